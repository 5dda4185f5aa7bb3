"""Bounds of distributions: what `low=` and `high=` of a `Normal` and a `FromSciPy` share."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from somaflow import units
from somaflow.equations.drawing import Distribution
from somaflow.errors import NetworkError

_LEAST_SHARE = 0.01  # of a distribution between its bounds; fewer values are a slip
_LAST = 1 - 2.0**-53  # the greatest number below 1, where no inverse is infinite


def hold_bounds(of: Any, unit: str) -> None:
    """Hold the bounds of a distribution in a unit.

    Args:
        of: The distribution, with `low` and `high`, None for no bound.
        unit: The unit of its values.

    Raises:
        UnitError: A bound is in another unit.
        NetworkError: It is no single number.
    """
    kind = type(of).__name__
    for name in ("low", "high"):
        if (bound := getattr(of, name)) is not None:
            bound = units.parameter(bound, unit, name, kind)
            if bound.value.ndim:
                raise NetworkError(f"{name!r} of {kind} is {bound}; give one number.")
            object.__setattr__(of, name, bound)


def bounds_of(of: Any) -> tuple[float, float]:
    """Return the two bounds of a distribution in the coherent system, infinite for none."""
    low = -math.inf if of.low is None else float(of.low.value)
    return low, math.inf if of.high is None else float(of.high.value)


def check_share(of: Distribution, share: float) -> None:
    """Refuse bounds that hold too little.

    Args:
        of: The distribution.
        share: The probability that a value lies between its bounds.

    Raises:
        NetworkError: It is below 1 in 100.
    """
    low, high = bounds_of(of)
    if low > high or not share >= _LEAST_SHARE:
        raise NetworkError(
            f"between the bounds lie {max(share, 0):.2g} of the values of {of}; give bounds that "
            f"hold at least {_LEAST_SHARE}."
        )


def between(u: NDArray[np.float64], ends: tuple[float, float]) -> NDArray[np.float64]:
    """Return numbers spread from one probability to another, of numbers spread from 0 to 1."""
    return np.minimum(ends[0] + (ends[1] - ends[0]) * u, _LAST)
