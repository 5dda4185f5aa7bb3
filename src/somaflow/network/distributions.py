"""Distributions for weights: data, drawn by the counter-based generator when a network is built."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from somaflow import units
from somaflow.description import Description
from somaflow.errors import NetworkError, WrongTypeError
from somaflow.network.random import uniform
from somaflow.units import Parameter


def check_seed(seed: Any) -> int:
    """Return a seed as an int.

    Raises:
        WrongTypeError: It is not an integer from 0 to 2**63 - 1.
    """
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or not 0 <= seed < 2**63:
        raise WrongTypeError(f"a seed is an integer from 0 to 2**63 - 1, not {seed!r}.")
    return int(seed)


@dataclass(frozen=True, eq=False)
class Uniform(Description):
    """Values spread evenly between `low` and `high`, which have one unit."""

    low: Any
    high: Any
    seed: int = 0

    def __post_init__(self) -> None:
        low = units.parameter(self.low, None, "low", "Uniform")
        high = units.parameter(self.high, low.unit, "high", "Uniform")
        if low.value.ndim or high.value.ndim or high.value < low.value:
            raise NetworkError(f"Uniform needs two numbers low <= high, not {low} and {high}.")
        object.__setattr__(self, "low", low)
        object.__setattr__(self, "high", high)
        object.__setattr__(self, "seed", check_seed(self.seed))

    def draw(self, counter: tuple[Any, Any], stream: int) -> Parameter:
        """Return one value for each counter, with its unit."""
        span = self.high.value - self.low.value
        return Parameter(self.low.value + span * uniform(self.seed, stream, counter), self.low.unit)


@dataclass(frozen=True, eq=False)
class Normal(Description):
    """Values from a normal distribution with a mean and a standard deviation of one unit."""

    mean: Any
    sd: Any
    seed: int = 0

    def __post_init__(self) -> None:
        mean = units.parameter(self.mean, None, "mean", "Normal")
        sd = units.parameter(self.sd, mean.unit, "sd", "Normal")
        if mean.value.ndim or sd.value.ndim or sd.value < 0:
            raise NetworkError(f"Normal needs one mean and one sd >= 0, not {mean} and {sd}.")
        object.__setattr__(self, "mean", mean)
        object.__setattr__(self, "sd", sd)
        object.__setattr__(self, "seed", check_seed(self.seed))

    def draw(self, counter: tuple[Any, Any], stream: int) -> Parameter:
        """Return one value for each counter, with its unit."""
        z = _standard_normal(self.seed, stream, counter)
        return Parameter(self.mean.value + self.sd.value * z, self.mean.unit)


Distribution = Uniform | Normal


def _standard_normal(seed: int, stream: int, counter: tuple[Any, Any]) -> NDArray[np.float64]:
    # Box and Muller (1958), doi:10.1214/aoms/1177706645; streams 2k and 2k + 1 give the pair.
    radius = np.sqrt(-2 * np.log(uniform(seed, 2 * stream, counter)))
    return radius * np.cos(2 * np.pi * uniform(seed, 2 * stream + 1, counter))
