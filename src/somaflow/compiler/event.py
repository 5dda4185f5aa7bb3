"""What an event of `solve` is; how it is found, `conditions` says."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from somaflow.errors import WrongTypeError
from somaflow.given import is_among, shown
from somaflow.numerics.types import Tensor

DIRECTIONS = {"up": 1, "down": -1, "both": 0}


@dataclass(frozen=True)
class Event:
    """Something that happens where a scalar of the state crosses zero.

    Attributes:
        condition: `g(t, y)` or `g(t, y, args)`, a number for each problem; for equations also a
            text such as `"v > -50*mV"`, which is an upward crossing.
        change: `c(t, y)` or `c(t, y, args)`, the state just after the event, in the structure of
            `y`; for equations also a text such as `"v = -65*mV; w += b"`. Default: no change.
        terminal: Whether the solve ends there.
        direction: `"up"`, `"down"` or `"both"`: which crossings of zero count.
    """

    condition: Callable[..., Tensor] | str
    change: Callable[..., object] | str | None = None
    terminal: bool = False
    direction: str = "both"

    def __post_init__(self) -> None:
        """Refuse parts of another kind.

        Raises:
            WrongTypeError: So it is.
        """
        for what in ("condition", "change"):
            part = getattr(self, what)
            if not (callable(part) or isinstance(part, str) or (part is None and what == "change")):
                raise WrongTypeError(
                    f"an event's {what} is a function of (t, y), or a text for equations, not "
                    f"{shown(part)}."
                )
        if not isinstance(self.terminal, (bool, np.bool_)):
            raise WrongTypeError(
                f"an event's terminal is True or False, not {shown(self.terminal)}."
            )
        if not is_among(self.direction, DIRECTIONS):
            raise WrongTypeError(
                f"an event's direction is 'up', 'down' or 'both', not {shown(self.direction)}."
            )
