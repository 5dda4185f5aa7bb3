"""Why a solve went wrong: the field is looked at where it stopped, outside of compiled code."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]

_DOUBLINGS = 40
_BOUNDLESS = 1e-2  # of a component's size, by which it changes within the resolution of time
_JUMP = 1e-2  # of a slope, by which it changes within the resolution of time
_FAR = 1e-12  # of the length of a solve, at which the resolution of time begins to matter


class Bad(NamedTuple):
    """A place where the field is not finite.

    Attributes:
        component: Which component of it.
        value: What it is there.
        s: Time from the start of the solve.
        y: The state, [n].
    """

    component: int
    value: float
    s: float
    y: Array


@dataclass(frozen=True)
class Place:
    """Where a column of a solve stopped.

    Attributes:
        slope: `(s [R], y [n, R]) -> [n, R]`, the field in the piece in which it stopped.
        s: Times of all columns from the start of the solve, [R].
        y: States of all columns, [n, R].
        h: The step attempted last by each column, [R].
        column: The one in question.
    """

    slope: Callable[[Array, Array], Array]
    s: Array
    y: Array
    h: Array
    column: int

    def ahead(self, h: float) -> tuple[Array, Array, Array]:
        """Return a state a little ahead, along the field, and the field at both ends; [n] each."""
        with np.errstate(all="ignore"):
            before = self.slope(self.s, self.y)
            y = (self.y + h * before).astype(self.y.dtype)
            after = self.slope(self.s + h, y)
        return y[:, self.column], before[:, self.column], after[:, self.column]

    def not_finite(self) -> Bad | None:
        """Return where the field is not finite: at the state, or first ahead of it."""
        s, h = float(self.s[self.column]), float(self.h[self.column])
        step = h if np.isfinite(h) and h > 0 else 2.0**-52 * max(abs(s), 1e-290)
        here = self.y[:, self.column]
        for k in range(_DOUBLINGS):
            y, before, after = self.ahead(step * 2.0 ** (k - 4))
            for slope, time, state in ((before, s, here), (after, s + step * 2.0 ** (k - 4), y)):
                bad = np.flatnonzero(~np.isfinite(slope))
                if len(bad) and np.isfinite(state).all():
                    return Bad(int(bad[0]), float(slope[bad[0]]), time, state)
        return None

    def boundless(self, h: float, atol: Array) -> int | None:
        """Return the component that changes by a part of its own size within a time, or None."""
        _, before, _ = self.ahead(h)
        size = np.abs(self.y[:, self.column]) + atol + 1e-300
        change = h * np.abs(before) / size
        return int(np.argmax(change)) if np.max(change) > _BOUNDLESS else None

    def jumping(self, h: float) -> int | None:
        """Return the component whose slope jumps within a time along the field, or None.

        The change is followed into ever smaller parts: that of a smooth field vanishes.
        """
        low, high = 0.0, h
        _, first, last = self.ahead(h)
        size = _size(first, last)
        shortest = 2.0**-51 * abs(float(self.s[self.column])) + h * 2.0**-30
        while high - low > 2 * shortest:
            middle = (low + high) / 2
            _, _, between = self.ahead(middle)
            changes = np.abs(between - first) / size, np.abs(last - between) / size
            if changes[0].max() > changes[1].max():
                high, last = middle, between
            else:
                low, first = middle, between
        part = np.abs(last - first) / size
        return int(np.argmax(part)) if part.max() > _JUMP else None

    def diverging(self, h: float) -> int | None:
        """Return the component whose slope grew from before a time until now, or None."""
        _, now, before = self.ahead(-64 * h)
        part = np.abs(now - before) / _size(now, before)
        return int(np.argmax(part)) if part.max() > _JUMP else None


def _size(a: Array, b: Array) -> Array:
    """Return the larger size of two numbers each, 1 where both are 0."""
    size = np.maximum(np.abs(a), np.abs(b))
    return np.where(size > 0, size, 1.0)


def resolution(t: float) -> float:
    """Return the shortest step that time can tell from none, at a time of the user's."""
    return 16 * 2.0**-52 * abs(t)


def far_from_zero(t: float, length: float) -> bool:
    """Tell whether time is resolved coarsely for the length of a solve."""
    return resolution(t) > _FAR * length
