"""Units, by pint: one registry, and the coherent system ms, mV, uA, cm, mM.

In this system every product is again a unit of the system: uA/mV is mS, uA*ms/mV is uF. All
numbers inside somaflow are magnitudes in it; units live at the border.
"""
# ruff: noqa: N816 - the names are those of the units

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache, lru_cache, wraps
from typing import Any, TypeVar

import numpy as np
import pint
from numpy.typing import NDArray
from pint.facets.plain import PlainUnit
from pint.util import UnitsContainer

from somaflow import given
from somaflow.errors import MissingValueError, UnitError, WrongTypeError, nearest, quoted
from somaflow.given import shown
from somaflow.notation import UnreadableError, unit_powers

# fmt: off
__all__ = [
    "ms", "us", "second",
    "mV", "volt",
    "uA", "nA", "pA", "mA", "amp",
    "mS", "uS", "nS", "pS", "siemens",
    "uF", "nF", "pF", "farad",
    "ohm", "kohm", "Mohm", "Gohm",
    "cm", "mm", "um", "meter",
    "mM", "uM", "nM", "mole",
    "Hz", "kHz",
    "kelvin", "coulomb",
    "Parameter", "Quantity", "registry",
]
# fmt: on

registry: pint.UnitRegistry[Any] = pint.UnitRegistry(cache_folder=None)
Quantity: Any = registry.Quantity

ms, us, second = registry.ms, registry.us, registry.second
mV, volt = registry.mV, registry.volt
uA, nA, pA, mA, amp = registry.uA, registry.nA, registry.pA, registry.mA, registry.ampere
mS, uS, nS, pS, siemens = registry.mS, registry.uS, registry.nS, registry.pS, registry.siemens
uF, nF, pF, farad = registry.uF, registry.nF, registry.pF, registry.farad
ohm, kohm, Mohm, Gohm = registry.ohm, registry.kohm, registry.Mohm, registry.Gohm
cm, mm, um, meter = registry.cm, registry.mm, registry.um, registry.meter
mM, uM, nM, mole = registry.millimolar, registry.micromolar, registry.nanomolar, registry.mole
Hz, kHz = registry.Hz, registry.kHz
kelvin, coulomb = registry.kelvin, registry.coulomb

# The units that equations may name. One-letter units are left out on purpose: in the
# literature m, h, n, s and A are gates and parameters.
NAMES: dict[str, pint.Unit] = {
    name: value
    for name, value in list(globals().items())
    if isinstance(value, pint.Unit) and not name.startswith("_")
}


Meaning = TypeVar("Meaning")
_FAR = 1e300  # a whole number far above is no float
_LONGEST_VALUE = 1000  # characters of a number with its unit
# What a unit may measure, and products of powers of these.
_KINDS = ("mass", "length", "time", "current", "substance", "temperature")


@dataclass(frozen=True, eq=False)
class Parameter:
    """A value with its unit, as descriptions hold it.

    It is printed in its unit; `quantity` is what to compute with. `value` is what the library
    computes with, in its own units.

    Attributes:
        value: Magnitude in the coherent system (ms, mV, uA, cm, mM), of any shape.
        unit: The unit it was declared in, as text; `"1"` for a pure number.
    """

    value: NDArray[np.float64]
    unit: str

    @property
    def declared(self) -> NDArray[np.float64]:
        """The magnitude in the declared unit."""
        return np.asarray(self.value / factor(self.unit))

    @property
    def quantity(self) -> pint.Quantity:
        """The value as a pint quantity in the declared unit."""
        return Quantity(self.declared, parse_unit(self.unit))

    def __str__(self) -> str:
        numbers = self.declared
        text = f"{numbers:.10g}" if numbers.ndim == 0 else f"array of shape {numbers.shape}"
        return text if self.unit == "1" else f"{text} {self.unit}"

    def __repr__(self) -> str:
        numbers = self.declared
        if numbers.ndim == 0:
            return str(self)
        text = np.array2string(numbers, separator=", ", threshold=20)
        return text if self.unit == "1" else f"{text} {self.unit}"


@dataclass(frozen=True)
class Dimensions:
    """What kind of quantity something is, such as a voltage.

    Two are equal where they are of one kind, in units of whatever size. The size is kept for
    messages, which name a unit like those that the user wrote.

    Attributes:
        powers: The powers of mass, length, time and so on.
        size: Decimal logarithm of the unit's factor to that of the coherent system.
        text: The unit as the user wrote it, or None where it comes from a computation.
    """

    powers: UnitsContainer
    size: float = field(default=0.0, compare=False)
    text: str | None = field(default=None, compare=False)

    @property
    def plain(self) -> bool:
        """Whether it is a pure number."""
        return not self.powers

    def __mul__(self, other: "Dimensions") -> "Dimensions":
        if other.plain or self.plain:  # a factor without a unit changes no unit
            return self if other.plain else other
        return Dimensions(self.powers * other.powers, self.size + other.size)

    def __truediv__(self, other: "Dimensions") -> "Dimensions":
        return self if other.plain else self * other**-1

    def __pow__(self, exponent: float) -> "Dimensions":
        return Dimensions(self.powers**exponent, self.size * exponent)


def unit_text(unit: PlainUnit) -> str:
    """Return the canonical text of a pint unit, for example `mS/cm**2`.

    Raises:
        UnitError: It is one that pint itself cannot name, made of a logarithmic unit.
    """
    try:
        text = f"{unit:~D}"
    except KeyError as error:
        raise UnitError(f"a quantity has a unit without a name, {error}.") from error
    text = text.replace(" ", "").replace("µ", "u").replace("Ω", "ohm")
    return text or "1"


def _of_text(function: Callable[[str], Meaning]) -> Callable[[str], Meaning]:
    """Return a function of the text of a unit that remembers, and refuses what is no text."""
    remembered = lru_cache(maxsize=4096)(function)

    @wraps(function)
    def call(text: str) -> Meaning:
        if not isinstance(text, str):
            raise UnitError(f"a unit is given as a text such as 'mV/ms', not {shown(text)}.")
        return remembered(text)

    return call


@_of_text
def parse_unit(text: str) -> pint.Unit:
    """Return the pint unit that a text names.

    Args:
        text: Such as `"mV"`, `"mS/cm**2"` or `"1"`.

    Raises:
        UnitError: The text names no unit.
    """
    if text.strip() in ("1", ""):
        return registry.dimensionless
    try:
        powers = unit_powers(text, tuple(registry.preprocessors))
        # Pint computes with numbers in a text, of whatever size: it sees names and powers alone.
        plain = "*".join(f"{name}**{power!r}" for name, power in powers.items())
        unit = registry.parse_units(plain)
        unit_text(unit)  # which fails for products with logarithmic units
        zero = Quantity(0.0, unit).to_root_units().magnitude
    except Exception as error:
        why = f" ({error})" if isinstance(error, UnreadableError) else ""
        raise UnitError(
            f"{quoted(text)} is not a unit{why}.{nearest(text, NAMES)} "
            "Write for example mV, mS/cm**2 or 1."
        ) from error
    if zero != 0:
        raise UnitError(
            f"{text!r} has a zero of its own, so it cannot be multiplied; write a temperature in "
            "kelvin, or its number as a pure number."
        )
    if foreign := sorted(set(unit.dimensionality) - {f"[{kind}]" for kind in _KINDS}):
        raise UnitError(
            f"{text!r} is a unit of {', '.join(foreign)}; units here are of {', '.join(_KINDS)}."
        )
    if not 0 < _factor(unit) < math.inf:
        raise UnitError(f"{text!r} is too large or too small a unit to compute with.")
    return unit


@_of_text
def canonical_text(text: str) -> str:
    """Return the one text of a unit that may be written in several ways."""
    return unit_text(parse_unit(text))


@_of_text
def dimensions(text: str) -> Dimensions:
    """Return the dimensions of a unit given as text."""
    return Dimensions(parse_unit(text).dimensionality, math.log10(factor(text)), text.strip())


def named(dimensions: Dimensions) -> str:
    """Name a unit of some dimensions: the one that was written, or one of about that size."""
    if dimensions.text is not None or dimensions.plain:
        return dimensions.text or "1"
    choices = _named_units().get(dimensions.powers) or _products(dimensions.powers)
    try:
        return min(choices, key=lambda text: abs(math.log10(factor(text)) - dimensions.size))
    except UnitError:  # of powers beyond those that a unit may have
        return choices[0]


@cache
def _named_units() -> dict[UnitsContainer, list[str]]:
    """Return the units of each kind that have a name of their own or are common quotients."""
    texts = ["1/ms", "1/second", *NAMES]
    voltages, currents = ("mV", "volt"), ("uA", "nA", "pA", "mA", "amp")
    conductances, capacities = ("mS", "uS", "nS", "pS", "siemens"), ("uF", "nF", "pF", "farad")
    lengths, concentrations = ("um", "cm", "mm", "meter"), ("mM", "uM", "nM")
    for time in ("ms", "second"):
        texts += [f"{x}/{time}" for x in (*voltages, *lengths, *concentrations)]
    for x in (*currents, *conductances, *capacities):
        texts += [f"{x}/cm**2", f"{x}/ms", f"{x}/cm**2/ms"]
    texts += [f"{x}**2" for x in (*voltages, *lengths)]
    names: dict[UnitsContainer, list[str]] = {}
    for text in texts:
        names.setdefault(parse_unit(text).dimensionality, []).append(text)
    return names


def _products(powers: UnitsContainer) -> list[str]:
    """Return units of some dimensions as products of a voltage, a current, a length and a time."""
    exponents = _coherent_powers(powers)
    alike = {
        "uA": ("nA", "pA", "mA", "amp"),
        "mV": ("volt",),
        "cm": ("um", "mm", "meter"),
        "ms": ("second",),
    }

    def product(exchanged: dict[str, str]) -> str:
        above, below = (
            [
                exchanged.get(name, name) + ("" if p == 1 else f"**{p:g}")
                for name, p in signed.items()
                if p > 0
            ]
            for signed in (exponents, {name: -p for name, p in exponents.items()})
        )
        return "/".join(["*".join(above) or "1", *below])

    exchanges = [{name: other} for name in alike if exponents[name] for other in alike[name]]
    return [product({}), *map(product, exchanges)]


def _coherent_powers(powers: Any) -> dict[str, float]:
    """Return the powers of the coherent system's units in one of some dimensions."""
    mass, length, time, current, substance, temperature = (
        powers.get(f"[{kind}]", 0) for kind in _KINDS
    )
    return {
        "mV": mass,
        "cm": length - 2 * mass,
        "ms": time + 3 * mass,
        "uA": current + mass,
        "umol": substance,
        "kelvin": temperature,
    }


@_of_text
def factor(text: str) -> float:
    """Return how many units of the coherent system one `text` is.

    Args:
        text: A unit, such as `"second"`, which is 1000 (ms).

    Returns:
        The factor, rounded to 15 digits so that powers of ten are exact.
    """
    return _factor(parse_unit(text))


def _factor(unit: pint.Unit) -> float:
    base = registry.dimensionless
    for name, power in _coherent_powers(unit.dimensionality).items():
        base = base * getattr(registry, name) ** power
    try:
        ratio = Quantity(1.0, unit / base).to_root_units().magnitude
        return float(f"{ratio:.15g}")
    except (OverflowError, ValueError):  # a root of a negative constant is complex
        return math.inf


def parameter(value: object, unit: str | None, name: str, where: str = "") -> Parameter:
    """Check a user's value against a unit and hold it in the coherent system.

    Args:
        value: A pint quantity, a plain number or array (which means the declared unit), or text
            such as `"100 mS/cm**2"`.
        unit: The declared unit, or None to take the value's own.
        name: What the value is called, for messages.
        where: Where it is used, for messages.

    Returns:
        The value as a read-only float64 array with its unit.

    Raises:
        UnitError: The unit is of another dimension.
        MissingValueError: The value is not a number (NaN).
        WrongTypeError: The value is not numeric.
    """
    if type(value) is Parameter and unit in (None, value.unit) and _is_held(value.value):
        parse_unit(value.unit)
        return value
    if type(value) in (int, float) and unit is not None:  # what most values are, soon done with
        number = float(value) * factor(unit) if abs(value) < _FAR else math.inf  # type: ignore
        if math.isfinite(number):
            array = np.array(number)
            array.flags.writeable = False
            return Parameter(array, unit)
    place = f" of {where}" if where else ""
    if isinstance(value, str):
        value = _from_text(value, name, place)
    if isinstance(value, pint.Unit):
        value = Quantity(1.0, value)
    magnitude, own = value, None
    if isinstance(value, Parameter):
        magnitude, own = value.value, value.unit
    elif isinstance(value, pint.Quantity):
        magnitude, own = value.magnitude, unit_text(value.units)
    if unit is not None:
        parse_unit(unit)
    unit = unit or own or "1"
    if own is not None and dimensions(own) != dimensions(unit):
        raise UnitError(
            f"{name!r}{place} is in {unit}, not {own}. "
            f"Give a quantity in {unit}, or a plain number, which means {unit}."
        )
    array = _numbers(magnitude, f"{name!r}{place}", unit)
    if not isinstance(value, Parameter):  # which is in the coherent system already, to the bit
        if own not in (None, unit):
            array = Quantity(array, parse_unit(own)).to(parse_unit(unit)).magnitude
        array = np.asarray(array * factor(unit))
    array.flags.writeable = False
    return Parameter(array, unit)


def _is_held(numbers: object) -> bool:
    """Tell whether numbers are as `parameter` holds them, so that nothing can change them."""
    if type(numbers) is not np.ndarray or numbers.base is not None or numbers.flags.writeable:
        return False
    if numbers.dtype != np.float64:
        return False
    return bool(np.isfinite(numbers).all()) if numbers.ndim else math.isfinite(numbers.item())


def _numbers(value: object, what: str, unit: str) -> NDArray[np.float64]:
    def wrong() -> WrongTypeError:
        return WrongTypeError(f"{what} must be a number or array in {unit}, not {shown(value)}.")

    parts = value if isinstance(value, (list, tuple)) else ()
    if any(isinstance(part, pint.Quantity) for part in parts):
        raise WrongTypeError(f"{what} is a list of quantities; write [1, 2]*{unit}.")
    array = given.array(value)
    if array is None or array.dtype.kind not in "iuf":
        raise wrong()
    with np.errstate(over="ignore"):
        array = array.astype(np.float64)
    if not np.all(np.isfinite(array)):
        bad = np.argwhere(~np.isfinite(array))[0].tolist()
        at = f" at index {bad}" if bad else ""
        raise MissingValueError(
            f"{what} is {float(array[tuple(bad)])}{at}; it must be a finite number."
        )
    return array


def _from_text(text: str, name: str, place: str) -> pint.Quantity:
    if len(text) > _LONGEST_VALUE:
        raise UnitError(
            f"{name!r}{place} is {quoted(text)}; write a number and a unit, such as '10 mV'."
        )
    head, _, tail = text.strip().partition(" ")
    if re.search(r"\brandn?\(", text):
        raise UnitError(
            f"{name!r}{place} is {text!r}; what is drawn is a distribution, such as "
            "sf.Uniform(2*ms, 3*ms)."
        )
    if product := re.fullmatch(r"([-+\d.eE]+)\s*\*\s*(\w.*)", text.strip()):
        raise UnitError(
            f"{name!r}{place} is {text!r}; write {f'{product[1]} {product[2]}'!r}, or "
            f"{text.strip()} without quotes."
        )
    try:
        return Quantity(float(head), parse_unit(tail.strip()))
    except UnitError as error:
        raise UnitError(f"{name!r}{place} is {text!r}: {error}") from error
    except ValueError as error:
        raise UnitError(
            f"{name!r}{place} is {text!r}; write a number and a unit, such as '10 mV'."
        ) from error


def scalar(value: object, unit: str, name: str, *, positive: bool = False) -> float:
    """Return one number in the coherent system, checked like `parameter`.

    Raises:
        UnitError, MissingValueError, WrongTypeError: As `parameter`; also where the value is
            an array, or is not positive although it must be.
    """
    held = parameter(value, unit, name)
    if held.value.ndim:
        raise WrongTypeError(f"{name!r} must be one number in {unit}, not an array.")
    if positive and held.value <= 0:
        raise MissingValueError(f"{name!r} is {held}; it must be greater than 0 {unit}.")
    return float(held.value)
