"""Values that are drawn: what equations must know of a distribution before its size is known."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, fields, replace
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from somaflow import units
from somaflow.description import Description
from somaflow.errors import MissingValueError, UnitError, WrongTypeError
from somaflow.given import has, shown
from somaflow.units import Parameter

Whole = NDArray[np.integer] | int
Counter = tuple[Whole, Whole]  # of shapes that broadcast
Stream = int | tuple[int, ...]


class Distribution(Description, ABC):
    """A value that differs from cell to cell, or from synapse to synapse, by chance.

    It stands for numbers until something that has a size draws them: a population for its cells,
    a projection for its synapses.
    """

    @property
    @abstractmethod
    def unit(self) -> str:
        """The unit of the values."""

    @property
    @abstractmethod
    def lowest(self) -> float:
        """A number that no value is below, in the coherent system."""

    @property
    @abstractmethod
    def highest(self) -> float:
        """A number that no value is above, in the coherent system."""

    @property
    def value(self) -> NoReturn:
        """No number: numbers are read where nothing draws them, as in `sf.solve`.

        Raises:
            MissingValueError: Always.
        """
        raise MissingValueError(
            f"{self} is drawn for the cells of a sf.Population; give a number or an array here."
        )

    @abstractmethod
    def draw(self, counter: Counter, stream: Stream) -> Parameter:
        """Return one value for each counter.

        Args:
            counter: Two arrays of whole numbers, of shapes that broadcast.
            stream: What the values are for: a number or several, so that one seed in two places
                gives values that have nothing to do with each other.
        """

    def __neg__(self) -> "Distribution":
        """Return the distribution of minus the values."""
        return Negated(self)

    def _compute(self, other: object) -> NoReturn:
        """Refuse to compute with the distribution.

        Raises:
            WrongTypeError: Always.
        """
        raise WrongTypeError(
            f"{self} is no number to compute with. Scale and shift its own numbers, as the mean "
            "and the standard deviation of sf.Normal(2*mean, 2*sd), or give "
            "sf.FromSciPy(scipy.stats.gamma(2, scale=3), ms)."
        )

    __add__ = __radd__ = __sub__ = __rsub__ = _compute
    __mul__ = __rmul__ = __truediv__ = __rtruediv__ = __pow__ = __rpow__ = _compute

    def __repr__(self) -> str:
        names = [f.name for f in fields(self) if f.repr]  # pyright: ignore[reportArgumentType]
        arguments = ", ".join(f"{name}={getattr(self, name)}" for name in names)
        return f"{type(self).__name__}({arguments})"

    def __str__(self) -> str:
        return repr(self)


class Marginal(Distribution):
    """A distribution that can be one of several that are correlated."""

    @abstractmethod
    def at(self, z: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the values that a rising function makes of standard normal numbers.

        Args:
            z: The numbers. The values have this distribution where these are standard normal.

        Returns:
            The values, in the coherent system.
        """


@dataclass(frozen=True, eq=False, repr=False)
class Negated(Marginal):
    """Minus the values of a distribution: what `-sf.LogNormal(...)` makes.

    Args:
        of: The distribution.
        seed: Its seed; default the one that it has.
    """

    of: Distribution
    seed: int | None = None

    def __post_init__(self) -> None:
        own = getattr(self.of, "seed", None)
        if self.seed is not None and self.seed != own:
            object.__setattr__(self, "of", replace(self.of, seed=self.seed))  # pyright: ignore
        else:
            object.__setattr__(self, "seed", own)

    @property
    def unit(self) -> str:
        """The unit of the values."""
        return self.of.unit

    @property
    def lowest(self) -> float:
        """A number that no value is below, in the coherent system."""
        return -self.of.highest

    @property
    def highest(self) -> float:
        """A number that no value is above, in the coherent system."""
        return -self.of.lowest

    def draw(self, counter: Counter, stream: Stream) -> Parameter:
        """Return one value for each counter, with its unit."""
        drawn = self.of.draw(counter, stream)
        return Parameter(-drawn.value, drawn.unit)

    @property
    def together(self) -> tuple[str, ...]:
        """The names of what is drawn jointly with it; none where it is drawn by itself."""
        return getattr(self.of, "together", ())

    def at(self, z: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the values at standard normal numbers."""
        return -self.of.at(-z)  # pyright: ignore[reportAttributeAccessIssue]

    def __neg__(self) -> Distribution:
        return self.of

    def __repr__(self) -> str:
        return f"-{self.of!r}"


class Joint(Description, ABC):
    """Several distributions that are drawn together, each under a name.

    What belongs to one cell, or to one synapse, is of one draw, whatever its name and purpose.
    """

    @abstractmethod
    def keys(self) -> tuple[str, ...]:
        """Return the names; with them a model takes all at once, `model(**joint)`."""

    @abstractmethod
    def __getitem__(self, name: str) -> Distribution:
        """Return one of the distributions, to be given as a value.

        Raises:
            UnknownNameError: There is none of this name.
        """

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(self.keys())})"


Setting = Parameter | Distribution  # what a parameter or an initial value may be


def held(value: object, unit: str | None, name: str, where: str = "") -> Setting:
    """Check a value that may be a distribution, and hold it in the declared unit.

    Other values are held as by `units.parameter`, whose arguments these are.

    Raises:
        UnitError, MissingValueError, WrongTypeError: As `units.parameter`.
    """
    if type(value) is Parameter:
        return units.parameter(value, unit, name, where)
    place = f" of {where}" if where else ""
    if has(value, "ppf") or callable(value):  # a distribution of scipy.stats, or what draws
        raise WrongTypeError(
            f"{name!r}{place} is {shown(value)}; what is drawn is an sf.Normal, sf.LogNormal or "
            f"sf.Uniform, or sf.FromSciPy(scipy.stats.gamma(2, scale=3), {unit or 'mV'})."
        )
    if isinstance(value, Joint):
        raise WrongTypeError(
            f"{name!r}{place} is several distributions; give one of them, such as "
            f"joint[{value.keys()[0]!r}], or all by their names, model(**joint)."
        )
    if not isinstance(value, Distribution):
        return units.parameter(value, unit, name, where)
    if unit is not None and units.dimensions(value.unit) != units.dimensions(unit):
        raise UnitError(f"{name!r}{place} is in {unit}, but {value} is in {value.unit}.")
    return value if unit is None else _shown_in(value, unit)


def _shown_in(value: Distribution, unit: str) -> Distribution:
    if unit == value.unit:
        return value
    # Values are in the coherent system already, so only the unit that is shown changes.
    arguments = {f.name: getattr(value, f.name) for f in fields(value) if f.init}  # pyright: ignore[reportArgumentType]
    for key, argument in arguments.items():
        if isinstance(argument, Parameter):
            arguments[key] = Parameter(argument.value, unit)
        elif isinstance(argument, Distribution):
            arguments[key] = _shown_in(argument, unit)
    return type(value)(**arguments)
