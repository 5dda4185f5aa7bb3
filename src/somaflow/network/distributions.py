"""Distributions of weights, delays, parameters and initial values: data, drawn when needed.

A value depends on the distribution's seed, on what it is for, and on the cells it belongs to.
"""

import math
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from somaflow import units
from somaflow.equations.drawing import Distribution, Marginal
from somaflow.equations.equations import Equations
from somaflow.errors import NetworkError
from somaflow.network.bounds import between, bounds_of, check_share, hold_bounds
from somaflow.network.fields import Field, default
from somaflow.network.from_scipy import scipy_special
from somaflow.network.random import (
    INITIAL,
    PARAMETER,
    Counter,
    Stream,
    check_own_seed,
    derive,
    named,
    part_of,
    seeded,
    uniform_of,
)
from somaflow.units import Parameter

Value = TypeVar("Value")


@dataclass(frozen=True, eq=False, repr=False)
class Uniform(Marginal):
    """Values spread evenly between `low` and `high`, which have one unit.

    Args:
        low: The lowest value.
        high: The highest.
        seed: The values depend on it and their place alone. Default: a seed of its own, from the
            network's seed and from the names of what the values are for.

    Raises:
        UnitError: They have not.
        NetworkError: They are no two numbers low <= high.
    """

    low: Field[Parameter]
    high: Field[Parameter]
    seed: int | None = None

    def __post_init__(self) -> None:
        low = units.parameter(self.low, None, "low", "Uniform")
        high = units.parameter(self.high, low.unit, "high", "Uniform")
        if low.value.ndim or high.value.ndim or high.value < low.value:
            raise NetworkError(f"Uniform needs two numbers low <= high, not {low} and {high}.")
        object.__setattr__(self, "low", low)
        object.__setattr__(self, "high", high)
        object.__setattr__(self, "seed", check_own_seed(self.seed))

    @property
    def unit(self) -> str:
        """The unit of the values."""
        return self.low.unit

    @property
    def lowest(self) -> float:
        """A number that no value is below, in the coherent system."""
        return float(self.low.value)

    @property
    def highest(self) -> float:
        """A number that no value is above, in the coherent system."""
        return float(self.high.value)

    def draw(self, counter: Counter, stream: Stream) -> Parameter:
        """Return one value for each counter, with its unit."""
        span = self.high.value - self.low.value
        u = uniform_of(derive(self.seed, part_of(stream, 0)), counter)
        return Parameter(self.low.value + span * u, self.unit)

    def at(self, z: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the values at standard normal numbers."""
        share = scipy_special("a Uniform that is correlated").ndtr(z)
        return self.low.value + (self.high.value - self.low.value) * share


@dataclass(frozen=True, eq=False, repr=False)
class Normal(Marginal):
    """Values from a normal distribution, cut off at bounds if there are any.

    Args:
        mean: Its mean, before it is cut.
        sd: Its standard deviation, before it is cut.
        seed: The values depend on it and their place alone. Default: a seed of its own, from the
            network's seed and from the names of what the values are for.
        low: Values below are drawn again; None means no bound.
        high: Values above are drawn again; None means no bound.

    Raises:
        UnitError: Two of them have different units.
        NetworkError: The numbers make no distribution, or fewer than 1 in 100 values lie between
            the bounds.
    """

    mean: Field[Parameter]
    sd: Field[Parameter]
    seed: int | None = None
    low: Field[Parameter | None] = default(None)
    high: Field[Parameter | None] = default(None)

    def __post_init__(self) -> None:
        mean = units.parameter(self.mean, None, "mean", "Normal")
        sd = units.parameter(self.sd, mean.unit, "sd", "Normal")
        if mean.value.ndim or sd.value.ndim or sd.value < 0:
            raise NetworkError(f"Normal needs one mean and one sd >= 0, not {mean} and {sd}.")
        object.__setattr__(self, "mean", mean)
        object.__setattr__(self, "sd", sd)
        object.__setattr__(self, "seed", check_own_seed(self.seed))
        hold_bounds(self, mean.unit)
        low, high = self._standard_bounds
        check_share(self, (math.erf(high / math.sqrt(2)) - math.erf(low / math.sqrt(2))) / 2)

    @property
    def _standard_bounds(self) -> tuple[float, float]:
        """The bounds in standard deviations from the mean."""
        mean, sd = float(self.mean.value), max(float(self.sd.value), 1e-300)
        low, high = bounds_of(self)
        return (low - mean) / sd, (high - mean) / sd

    @property
    def unit(self) -> str:
        """The unit of the values."""
        return self.mean.unit

    @property
    def lowest(self) -> float:
        """A number that no value is below, in the coherent system."""
        return bounds_of(self)[0] if self.sd.value > 0 else float(self.mean.value)

    @property
    def highest(self) -> float:
        """A number that no value is above, in the coherent system."""
        return bounds_of(self)[1] if self.sd.value > 0 else float(self.mean.value)

    def draw(self, counter: Counter, stream: Stream) -> Parameter:
        """Return one value for each counter, with its unit."""
        low, high = bounds_of(self)
        values = np.asarray(self._attempt(counter, stream, 0))
        first, second = (np.broadcast_to(np.asarray(c), values.shape) for c in counter)
        again, attempt = (values < low) | (values > high), 0
        while again.any():
            attempt += 1
            values[again] = self._attempt((first[again], second[again]), stream, attempt)
            again = (values < low) | (values > high)
        return Parameter(values, self.unit)

    def at(self, z: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the values at standard normal numbers."""
        if self.low is None and self.high is None:
            return self.mean.value + self.sd.value * z
        special = scipy_special("a Normal with bounds that is correlated")
        low, high = (float(special.ndtr(end)) for end in self._standard_bounds)
        inside = special.ndtri(between(special.ndtr(z), (low, high)))
        return np.clip(self.mean.value + self.sd.value * inside, *bounds_of(self))

    def _attempt(self, counter: Counter, stream: Stream, attempt: int) -> NDArray[np.float64]:
        z = standard_normal(self.seed, part_of(stream, attempt), counter)
        return self.mean.value + self.sd.value * z


@dataclass(frozen=True, eq=False, repr=False)
class LogNormal(Marginal):
    """Values above 0 whose logarithm has a normal distribution.

    Args:
        mean: Mean of the values themselves.
        sd: Standard deviation of the values themselves.
        seed: The values depend on it and their place alone. Default: a seed of its own, from the
            network's seed and from the names of what the values are for.

    Raises:
        UnitError: They have different units.
        NetworkError: They are no mean > 0 and no sd >= 0.
    """

    mean: Field[Parameter]
    sd: Field[Parameter]
    seed: int | None = None

    def __post_init__(self) -> None:
        mean = units.parameter(self.mean, None, "mean", "LogNormal")
        sd = units.parameter(self.sd, mean.unit, "sd", "LogNormal")
        if mean.value.ndim or sd.value.ndim or mean.value <= 0 or sd.value < 0:
            raise NetworkError(f"LogNormal needs one mean > 0 and one sd >= 0, not {mean}, {sd}.")
        object.__setattr__(self, "mean", mean)
        object.__setattr__(self, "sd", sd)
        object.__setattr__(self, "seed", check_own_seed(self.seed))

    @property
    def unit(self) -> str:
        """The unit of the values."""
        return self.mean.unit

    @property
    def lowest(self) -> float:
        """A number that no value is below, in the coherent system."""
        return 0.0

    @property
    def highest(self) -> float:
        """A number that no value is above, in the coherent system."""
        return math.inf if self.sd.value > 0 else float(self.mean.value)

    def draw(self, counter: Counter, stream: Stream) -> Parameter:
        """Return one value for each counter, with its unit."""
        return Parameter(
            self.at(standard_normal(self.seed, part_of(stream, 0), counter)), self.unit
        )

    def at(self, z: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the values at standard normal numbers."""
        # mean = exp(m + s**2/2) and sd**2 = mean**2*(exp(s**2) - 1), solved for m and s.
        variance = np.log1p((self.sd.value / self.mean.value) ** 2)
        return self.mean.value * np.exp(np.sqrt(variance) * z - variance / 2)


def seeded_values(equations: Equations, owner: str, seed: int) -> dict[str, Distribution]:
    """Return the distributions among parameters and initial values, each with a seed.

    Args:
        equations: Whose they are.
        owner: The population.
        seed: The network's.
    """
    return {
        name: seeded(value, seed, "population", owner, name)
        for name, value in (*equations.parameters.items(), *equations.initial.items())
        if isinstance(value, Distribution)
    }


def drawn(equations: Equations, owner: str, size: int) -> Equations:
    """Return equations whose distributions are drawn, one value for each cell.

    What has no seed is drawn as in a network of seed 0.

    Args:
        equations: Whose parameters and initial values may be distributions.
        owner: The population.
        size: How many cells there are.
    """
    values = {}
    for name, value in seeded_values(equations, owner, 0).items():
        kind = PARAMETER if name in equations.parameters else INITIAL
        values[name] = value.draw(_cells(size), (kind, *named(name)))
    return equations(**values) if values else equations


def drawn_of(
    value: Value | Distribution, owner: str, size: int, name: str, seed: int
) -> Value | Parameter:
    """Return a distribution of initial values drawn for all cells; other things as they are.

    Args:
        value: What was given for a state.
        owner: The population.
        size: How many cells it has.
        name: The state.
        seed: The network's.
    """
    if not isinstance(value, Distribution):
        return value
    value = seeded(value, seed, "population", owner, name)
    return value.draw(_cells(size), (INITIAL, *named(name)))


def _cells(size: int) -> Counter:
    return np.arange(size), np.zeros((), np.int64)


def standard_normal(
    seed: int | None, stream: tuple[int, ...], counter: Counter
) -> NDArray[np.float64]:
    """Return standard normal numbers, keyed by seed, stream and counter.

    Args:
        seed: See `derive`.
        stream: See `derive`.
        counter: Two arrays of whole numbers, of shapes that broadcast.

    Raises:
        MissingValueError: There is no seed.
    """
    # Box and Muller (1958), doi:10.1214/aoms/1177706645; two streams give the pair.
    radius = np.sqrt(-2 * np.log(uniform_of(derive(seed, (*stream, 0)), counter)))
    return radius * np.cos(2 * np.pi * uniform_of(derive(seed, (*stream, 1)), counter))
