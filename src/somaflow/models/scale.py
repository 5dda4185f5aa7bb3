"""The share of its cells that a model is built with."""

from typing import Any

from somaflow.errors import NetworkError, WrongTypeError
from somaflow.given import is_number, shown


def share(scale: Any) -> float:
    """Return a scale as a number.

    Raises:
        WrongTypeError: It is no number.
        NetworkError: It is not above 0 and at most 1.
    """
    if not is_number(scale):
        raise WrongTypeError(f"a scale is a number, not {shown(scale)}.")
    if not 0 < scale <= 1:
        raise NetworkError(f"the scale is {shown(scale)}; it must be above 0 and at most 1.")
    return float(scale)


def told(scale: float) -> str:
    """Say how much of a model is built."""
    return "at full scale" if scale == 1 else f"at {scale:g} of its scale"
