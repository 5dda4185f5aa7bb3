"""Units, by pint: one registry, and the coherent system ms, mV, uA, cm, mM.

In this system every product is again a unit of the system: uA/mV is mS, uA*ms/mV is uF. All
numbers inside somaflow are magnitudes in it; units live at the border.
"""
# ruff: noqa: N816 - the names are those of the units

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, cast

import numpy as np
import pint
from numpy.typing import NDArray
from pint.util import UnitsContainer

from somaflow.errors import MissingValueError, UnitError, WrongTypeError, nearest

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
NAMES: dict[str, Any] = {
    name: value
    for name, value in list(globals().items())
    if isinstance(value, pint.Unit) and not name.startswith("_")
}


@dataclass(frozen=True, eq=False)
class Parameter:
    """A value with its unit, as descriptions hold it.

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

    def __str__(self) -> str:
        shown = self.declared
        text = f"{shown:.10g}" if shown.ndim == 0 else f"array of shape {shown.shape}"
        return text if self.unit == "1" else f"{text} {self.unit}"


def unit_text(unit: Any) -> str:
    """Return the canonical text of a pint unit, for example `mS/cm**2`."""
    text = f"{unit:~D}".replace(" ", "").replace("µ", "u")
    return text or "1"


def canonical_text(text: str) -> str:
    """Return the one text of a unit that may be written in several ways."""
    return unit_text(parse_unit(text))


@lru_cache(maxsize=4096)
def parse_unit(text: str) -> Any:
    """Return the pint unit that a text names.

    Args:
        text: Such as `"mV"`, `"mS/cm**2"` or `"1"`.

    Raises:
        UnitError: The text names no unit.
    """
    if not isinstance(text, str):
        raise UnitError(f"a unit is given as a text such as 'mV/ms', not {text!r}.")
    if text.strip() in ("1", ""):
        return registry.dimensionless
    try:
        unit = registry.parse_units(text)
        zero = cast("Any", Quantity(0.0, unit)).to_root_units().magnitude
    except Exception as error:
        raise UnitError(
            f"{text!r} is not a unit.{nearest(text, NAMES)} Write for example mV, mS/cm**2 or 1."
        ) from error
    if zero != 0:
        raise UnitError(
            f"{text!r} has a zero of its own, so it cannot be multiplied; write a temperature in "
            "kelvin, or its number as a pure number."
        )
    return unit


@lru_cache(maxsize=4096)
def dimensions(text: str) -> UnitsContainer:
    """Return the dimensionality of a unit given as text."""
    return parse_unit(text).dimensionality


@lru_cache(maxsize=4096)
def factor(text: str) -> float:
    """Return how many units of the coherent system one `text` is.

    Args:
        text: A unit, such as `"second"`, which is 1000 (ms).

    Returns:
        The factor, rounded to 15 digits so that powers of ten are exact.
    """
    unit = parse_unit(text)
    powers = unit.dimensionality
    mass = powers.get("[mass]", 0)
    base = (
        registry.mV**mass
        * registry.cm ** (powers.get("[length]", 0) - 2 * mass)
        * registry.ms ** (powers.get("[time]", 0) + 3 * mass)
        * registry.uA ** (powers.get("[current]", 0) + mass)
        * registry.umol ** powers.get("[substance]", 0)
        * registry.kelvin ** powers.get("[temperature]", 0)
    )
    one = cast("Any", Quantity(1.0, unit))
    return float(f"{one.to(base).magnitude:.15g}")


def parameter(value: Any, unit: str | None, name: str, where: str = "") -> Parameter:
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
    unit = unit or own or "1"
    if own is not None and dimensions(own) != dimensions(unit):
        raise UnitError(
            f"{name!r}{place} is in {unit}, not {own}. "
            f"Give a quantity in {unit}, or a plain number, which means {unit}."
        )
    array = _numbers(magnitude, f"{name!r}{place}", unit)
    if not isinstance(value, Parameter):  # which is in the coherent system already, to the bit
        if own is not None:
            array = cast("Any", Quantity(array, parse_unit(own))).to(parse_unit(unit)).magnitude
        array = np.asarray(array * factor(unit))
    array.flags.writeable = False
    return Parameter(array, unit)


def _numbers(value: Any, what: str, unit: str) -> NDArray[np.float64]:
    def wrong() -> WrongTypeError:
        return WrongTypeError(f"{what} must be a number or array in {unit}, not {value!r}.")

    parts = value if isinstance(value, (list, tuple)) else ()
    if any(isinstance(part, pint.Quantity) for part in parts):
        raise WrongTypeError(f"{what} is a list of quantities; write [1, 2]*{unit}.")
    try:
        array = np.array(value)
    except (TypeError, ValueError):
        raise wrong() from None
    if array.dtype.kind not in "iuf":
        raise wrong()
    array = array.astype(np.float64)
    if not np.all(np.isfinite(array)):
        bad = np.argwhere(~np.isfinite(array))[0].tolist()
        at = f" at index {bad}" if bad else ""
        raise MissingValueError(
            f"{what} is {float(array[tuple(bad)])}{at}; it must be a finite number."
        )
    return array


def _from_text(text: str, name: str, place: str) -> Any:
    head, _, tail = text.strip().partition(" ")
    try:
        return Quantity(float(head), parse_unit(tail.strip()))
    except UnitError as error:
        raise UnitError(f"{name!r}{place} is {text!r}: {error}") from error
    except ValueError as error:
        raise UnitError(
            f"{name!r}{place} is {text!r}; write a number and a unit, such as '10 mV'."
        ) from error


def scalar(value: Any, unit: str, name: str, *, positive: bool = False) -> float:
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
