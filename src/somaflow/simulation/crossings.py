"""Crossings: who spiked in the steps of a chunk, and when.

Of few sources a chunk leaves a table, of many a list in the order of steps, which takes what
happened and no more: to write and search the table would take as long as the step. A list that is
full ends its chunk, and the next one goes on from there. To keep a list takes four kernels a step,
and XLA runs a step of more than eight kernels from a queue, which costs more than a short row.
"""

import math
from typing import NamedTuple, Protocol

import numpy as np
import tensorflow as tf

from somaflow.numerics.device import put
from somaflow.numerics.places import for_each, places
from somaflow.numerics.types import Tensor
from somaflow.simulation.system import Array

# Times since a crossing are parts of a step: float32 keeps them to 1e-7 of it.
_SINCE = tf.float32
_FEW = 1024  # sources, for a table
# In each step one source of so many may spike before a list is full.
_SELDOM = 32
# In the length of a chunk so many sources count as one number that is left, for the time they take.
_LISTED = 4

Kept = tuple[Tensor, ...]


class Crossings(NamedTuple):
    """The crossings of a chunk, in the order of steps and then of sources.

    Attributes:
        shape: Of the sources, `[..., n_sources]`.
        steps: The step of each in the chunk.
        places: The batch indices of each and its source.
        since: Time from each to the end of its step.
        kept: The values that are kept with each, `[n_crossings, n_values]`.
    """

    shape: tuple[int, ...]
    steps: Array
    places: tuple[Array, ...]
    since: Array
    kept: Array

    @classmethod
    def numbered(
        cls, shape: tuple[int, ...], numbers: Array, since: Array, kept: Array | None = None
    ) -> "Crossings":
        """Return crossings by their numbers in the flat shape of all steps and sources."""
        most = int(numbers[-1]) // math.prod(shape) + 1 if len(numbers) else 1
        steps, *places = np.unravel_index(numbers, (most, *shape))
        kept = np.zeros((len(steps), 0)) if kept is None else kept
        return cls(shape, steps, tuple(places), since, kept)


class Keeping(Protocol):
    """A way to keep the crossings of a chunk while it is computed.

    Attributes:
        bytes: What it leaves.
    """

    @property
    def bytes(self) -> int: ...

    def empty(self) -> Kept:
        """Return what is kept of nothing."""
        ...

    def holds(self, kept: Kept) -> Tensor:
        """Tell whether there is room for one step more, whatever happens in it."""
        ...

    def after(self, kept: Kept, local: Tensor, since: Tensor, values: Tensor | None = None) -> Kept:
        """Return what is kept after a step.

        Args:
            kept: What is kept before.
            local: The step's number in the chunk, int32.
            since: Time from each crossing to the step's end, 0 where there is none, `[...]`.
            values: What is kept with each, `[n_values, ...]`, or None.
        """
        ...

    def found(self, kept: Kept, steps: int) -> Crossings:
        """Return the crossings of so many steps."""
        ...


class Table:
    """A number for each step and source, 0 where there is no crossing.

    Args:
        shape: Of the sources.
        steps: The most steps of a chunk.
        since: Type of the times since crossings.
    """

    def __init__(self, shape: tuple[int, ...], steps: int, since: tf.DType = _SINCE) -> None:
        self.shape, self.steps, self.since = shape, steps, since

    @property
    def bytes(self) -> int:
        return self.since.size * self.steps * math.prod(self.shape)

    def empty(self) -> Kept:
        return (tf.zeros([self.steps, *self.shape], self.since),)

    def holds(self, kept: Kept) -> Tensor:
        return tf.constant(True)

    def after(self, kept: Kept, local: Tensor, since: Tensor, values: Tensor | None = None) -> Kept:
        return (put(kept[0], local, tf.cast(since, self.since)),)

    def found(self, kept: Kept, steps: int) -> Crossings:
        table = np.asarray(memoryview(kept[0]))[:steps].reshape(-1)  # `.numpy()` would copy
        # NumPy finds the few that are true in bools many times as fast as in floats.
        numbers = np.flatnonzero(table != 0)
        return Crossings.numbered(self.shape, numbers, table[numbers])


class List:
    """How many there are; the number of each among all steps and sources; its time, and values.

    Args:
        shape: Of the sources.
        steps: The most steps of a chunk.
        values: How many values are kept with each.
        dtype: Their type.
        since: Type of the times since crossings.
        every: Whether there is room for all sources in all steps, so that no chunk ends early.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        steps: int,
        values: int = 0,
        dtype: tf.DType = tf.float64,
        since: tf.DType = _SINCE,
        every: bool = False,
    ) -> None:
        self.shape, self.sources, self.values, self.dtype = shape, math.prod(shape), values, dtype
        self.since = since
        # In one step all may spike.
        few = self.sources + steps * self.sources // _SELDOM
        self.room = self.sources * steps if every else few

    @property
    def bytes(self) -> int:
        return (tf.int64.size + self.since.size + self.values * self.dtype.size) * self.room

    def empty(self) -> Kept:
        known = tf.constant(0), tf.zeros([self.room], tf.int64), tf.zeros([self.room], self.since)
        return (*known, tf.zeros([self.room, self.values], self.dtype)) if self.values else known

    def holds(self, kept: Kept) -> Tensor:
        return kept[0] <= self.room - self.sources

    def after(self, kept: Kept, local: Tensor, since: Tensor, values: Tensor | None = None) -> Kept:
        flat: Tensor = tf.reshape(since, [-1])
        beside = () if values is None else (tf.reshape(values, [self.values, -1]),)
        first = tf.cast(local, tf.int64) * self.sources

        def add(place: Tensor, kept: Kept) -> Kept:
            count, numbers, times, *known = kept
            numbers = put(numbers, count, first + tf.cast(place, tf.int64))
            times = put(times, count, tf.cast(flat[place], self.since))
            pairs = zip(known, beside, strict=True)
            known = (put(a, count, tf.gather(b, place, axis=1)) for a, b in pairs)
            return count + 1, numbers, times, *known

        return for_each(places(flat > 0), add, kept)

    def found(self, kept: Kept, steps: int) -> Crossings:
        count = int(kept[0])
        parts = (np.asarray(memoryview(part))[:count] for part in kept[1:])
        return Crossings.numbered(self.shape, *parts)


def keeping(
    shape: tuple[int, ...],
    steps: int,
    values: int = 0,
    dtype: tf.DType = tf.float64,
    since: tf.DType = _SINCE,
    every: bool = False,
) -> Keeping:
    """Return how to keep the crossings of sources in a shape, in a chunk of so many steps.

    Args:
        shape: Of the sources.
        steps: The most steps of a chunk.
        values: How many values are kept with each, for which a table would be too wide.
        dtype: Their type.
        since: Type of the times since crossings.
        every: Whether there is to be room for all sources in all steps.
    """
    if values or math.prod(shape) > _FEW:
        return List(shape, steps, values, dtype, since, every)
    return Table(shape, steps, since)


def weight(shape: tuple[int, ...], values: int = 0) -> int:
    """Return as how many numbers sources count in the length of a chunk."""
    sources = math.prod(shape)
    if sources <= _FEW and not values:
        return sources
    return -(-sources * (1 + values) // _LISTED)
