"""Columns: numbers that are known before a step, side by side in one table."""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from somaflow.compiler.layout import padded
from somaflow.network.waveforms import Course, over_steps
from somaflow.simulation.system import Array

# From times and the middles of their steps, of one shape, to that shape and one axis more.
Fill = Callable[[Array, Array], Array]


class Columns:
    """A table whose columns are filled by those who asked for them."""

    unseen = ("_fills",)

    def __init__(self) -> None:
        self._fills: list[Fill] = []
        self.width = 0

    def add(self, width: int, fill: Fill) -> slice:
        """Take some columns, and return which they are."""
        begin = self.width
        self._fills.append(fill)
        self.width += width
        return slice(begin, self.width)

    def filled(self, times: Array, middle: Array) -> Array:
        """Return the table, `[*times.shape, width]`.

        Args:
            times: Times in ms.
            middle: Of each the middle of its step.
        """
        if len(self._fills) == 1:
            return self._fills[0](times, middle)
        table = np.empty((*times.shape, self.width))
        end = 0
        for fill in self._fills:
            part = fill(times, middle)
            table[..., end : end + part.shape[-1]] = part
            end += part.shape[-1]
        return table


def width_of(waveform: Course, size: int) -> int:
    """Return how many columns a waveform takes for a population of so many cells."""
    return 1 if _is_single(waveform) else padded(size)


def course_of(waveform: Course, cells: Array, size: int, dt: float | None) -> Fill:
    """Return what fills the columns of a waveform: its shape over time.

    Args:
        waveform: The course.
        cells: The cells that it is for.
        size: Number of cells of their population.
        dt: The step in ms, of which the course gives the mean where one of its borders cuts it;
            None where borders are taken to the nearest edge of a step.
    """

    def fill(times: Array, middle: Array) -> Array:
        if dt is None:
            course = waveform.shape(times, middle)
        else:
            course = over_steps(waveform, times, middle, dt)
        if _is_single(waveform):
            return course[..., None]
        spread = np.zeros((*times.shape, padded(size)))
        spread[..., cells] = course
        return spread

    return fill


def spread(value: ArrayLike, cells: Array, size: int, rest: float = 0.0) -> Array:
    """Return values of some cells for all cells of their population, padded.

    Args:
        value: One number, or one for each of `cells`.
        cells: Indices.
        size: Number of cells of the population.
        rest: The value of the others.
    """
    whole = np.full(padded(size), rest)
    whole[cells] = value
    return whole


def _is_single(waveform: Course) -> bool:
    return not waveform.sizes or waveform.amplitude.value.ndim > 0
