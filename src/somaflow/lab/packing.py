"""Packing: arrays as text in a page, and back.

Spikes become whole steps, as the page draws no finer. What is continuous becomes whole numbers of
16 bits, evenly from the least to the greatest value that any run has. Bytes are little-endian, as
on every machine that has a browser.
"""

import base64
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from somaflow.errors import RunError

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

_STEPS, _CELLS, _LEVELS = np.dtype("<u2"), np.dtype("u1"), np.dtype("<i2")
_LEAST, _MOST = np.iinfo(_LEVELS).min, np.iinfo(_LEVELS).max


@dataclass(frozen=True)
class Scale:
    """How numbers become whole ones: value = offset + step * level.

    Attributes:
        offset: The value of level 0.
        step: From a level to the next.
    """

    offset: float
    step: float

    @staticmethod
    def of(least: float, greatest: float) -> "Scale":
        """Return the scale that spreads a range over all levels."""
        step = (greatest - least) / (_MOST - _LEAST)
        return Scale(least - step * _LEAST, step or 1.0)

    def packed(self, values: ArrayLike) -> str:
        """Return values as text, row after row; each is at most half a step from what it was."""
        levels = np.rint((np.asarray(values, np.float64) - self.offset) / self.step)
        return _text(np.clip(levels, _LEAST, _MOST).astype(_LEVELS))

    def unpacked(self, text: str) -> Floats:
        """Return the values of a text, shape [n]."""
        levels = np.frombuffer(base64.b64decode(text), _LEVELS).astype(np.float64)
        return self.offset + self.step * levels


def packed_spikes(times: ArrayLike, cells: ArrayLike, dt: float) -> dict[str, str]:
    """Return spikes as two texts: the step that each is nearest to, and its cell.

    Args:
        times: In ms, shape [n_spikes].
        cells: Of each its cell.
        dt: The step in ms.

    Raises:
        RunError: There are more steps or cells than the page can hold.
    """
    steps = np.rint(np.asarray(times, np.float64) / dt)
    numbers = np.asarray(cells)
    for values, kind, what in ((steps, _STEPS, "steps"), (numbers, _CELLS, "cells")):
        if values.size and values.max() > np.iinfo(kind).max:
            raise RunError(f"a page of the lab holds at most {np.iinfo(kind).max:,} {what}.")
    return {"steps": _text(steps.astype(_STEPS)), "cells": _text(numbers.astype(_CELLS))}


def unpacked_spikes(packed: dict[str, str]) -> tuple[Integers, Integers]:
    """Return the step and the cell of each spike."""
    steps, cells = (
        np.frombuffer(base64.b64decode(packed[name]), kind).astype(np.int64)
        for name, kind in (("steps", _STEPS), ("cells", _CELLS))
    )
    return steps, cells


def _text(values: NDArray[np.integer]) -> str:
    return base64.b64encode(values.tobytes()).decode("ascii")
