"""Sinks: where a run's recordings go, as they come.

A sink is opened with the columns it will get, receives rows and spikes in order of time, and is
closed. Whatever was written before an error stays readable. What a sink can do beyond that it
declares by being a `Resumable` or a `Measurable`.
"""

import inspect
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple, Protocol

import numpy as np

from somaflow.notation import Json
from somaflow.simulation.system import Array
from somaflow.storage.folder import Folder

EVERY = slice(None)  # samples of a recording


@dataclass(frozen=True)
class Coordinate:
    """What labels an axis of a recording.

    Attributes:
        name: Such as `pre`; the name of the axis itself makes it the axis' index.
        axis: The axis.
        values: One label for each place along it.
        unit: Their unit.
    """

    name: str
    axis: str
    values: Array
    unit: str = "1"


class Alongside(NamedTuple):
    """What is kept with each spike.

    Attributes:
        name: The variable.
        unit: Its unit.
        dtype: NumPy name of its numbers.
    """

    name: str
    unit: str
    dtype: str


@dataclass(frozen=True)
class Column:
    """One recording, as it will be stored.

    Attributes:
        key: Such as `PN.v`, `PN.v.mean` or `PN.spikes`.
        unit: Unit of the stored numbers.
        shape: Shape of one sample; None for spikes.
        axes: Names of the axes of one sample.
        cells: Index of each cell, or None.
        interval: Time between samples in ms; 0 for spikes.
        rows: How many samples there will be; 0 for spikes.
        dtype: NumPy name of the stored numbers.
        times: Times of the samples where they are not `interval` apart.
        start: Time of the first sample in ms.
        coordinates: What else labels the axes.
        batch: Sizes of the batch axes, where it is of spikes.
        alongside: Of spikes: what is kept with each.
    """

    key: str
    unit: str
    shape: tuple[int, ...] | None
    axes: tuple[str, ...]
    cells: tuple[int, ...] | None
    interval: float
    rows: int
    dtype: str
    times: Array | None = None
    coordinates: tuple[Coordinate, ...] = ()
    batch: tuple[int, ...] = ()
    start: float = 0.0
    alongside: tuple[Alongside, ...] = ()

    @property
    def bytes(self) -> int:
        """Size of all samples, uncompressed."""
        if self.shape is None:
            return 0
        return self.rows * int(np.prod(self.shape, initial=1)) * np.dtype(self.dtype).itemsize

    @property
    def spike_bytes(self) -> int:
        """Size of a spike: its time and the indices of its cell, 8 bytes each, and what it has."""
        kept = sum(np.dtype(part.dtype).itemsize for part in self.alongside)
        return 8 + 8 * (self.place[0] if self.place else 1) + kept

    @property
    def arrays(self) -> tuple[str, ...]:
        """Names of its arrays and axes in a store, and in a dataset."""
        if self.shape is None:
            names = "times", "cells", *(part.name for part in self.alongside)
            return tuple(f"{self.key}.{name}" for name in names)
        labels = {"time", *self.axes, *(c.name for c in self.coordinates)}
        return self.key, *(f"{self.key}.{label}" for label in sorted(labels))

    @property
    def last(self) -> float:
        """Time of the last sample of samples at equal distances."""
        return self.start + (self.rows - 1) * self.interval

    def ends_before(self, end: float) -> bool:
        """Return whether the last sample of samples at equal distances lies before a time."""
        sampled = self.shape is not None and self.times is None and self.interval > 0
        # A whole number of intervals may miss the end by the rounding of decimal times.
        return sampled and end - self.last > 1e-6 * self.interval

    @property
    def place(self) -> tuple[int, ...]:
        """Shape of one spike's place: its cell, or the indices of batch and cell."""
        return (len(self.batch) + 1,) if self.batch else ()


class Sink(Protocol):
    """What takes recordings.

    Any object with these methods is one. While a run computes, all is called from one thread that
    is not the one that computes.
    """

    @abstractmethod
    def open(self, columns: tuple[Column, ...], header: dict[str, Json]) -> None:
        """Make room for the columns; `header` is what the results tell of the run."""
        ...

    @abstractmethod
    def rows(self, key: str, first: int, values: Array) -> None:
        """Take samples `first` and following of a column, in order."""
        ...

    @abstractmethod
    def spikes(
        self, key: str, times: Array, cells: Array, values: Mapping[str, Array] = ...
    ) -> None:
        """Take spikes of a column, in order of time; of a batch, `cells` is `[n, n_axes + 1]`.

        Where the column has some `alongside`, `values` has them by name; elsewhere it is not given.
        """
        ...

    @abstractmethod
    def close(self) -> None:
        """Take nothing more. It is called once, however the run ends."""
        ...

    @abstractmethod
    def read(self, key: str, rows: slice = ...) -> Array:
        """Return samples of a column; it is given no `rows` where all are wanted.

        It is asked too for what is kept with spikes, by the key and the name: `PN.spikes.w`.
        """
        ...

    @abstractmethod
    def read_spikes(self, key: str) -> tuple[Array, Array]:
        """Return times and cells of all spikes of a column."""
        ...


class Resumable(Sink):
    """A sink whose run can stop, and go on to the same results.

    A sink declares that it is one by having this class as a base. In its `beside` lie the log, the
    progress and the checkpoints of the run, each with what `cursors` told. A run begins with
    `check`, `clear` and `create` in place of `open`.

    Attributes:
        path: Where it is, for messages.
        beside: The folder for what tells of its run: `somaflow.storage.folder.beside(path)`.
        resumed_by: How a user goes on with its run: calls and commands, for messages.
    """

    path: str | Path
    beside: Folder
    resumed_by: tuple[str, ...]

    @abstractmethod
    def check(self, columns: tuple[Column, ...]) -> None:
        """Refuse a place that cannot take the recordings; nothing is written."""
        ...

    @abstractmethod
    def clear(self) -> None:
        """Remove what an earlier run has written."""
        ...

    @abstractmethod
    def create(self, columns: tuple[Column, ...], header: dict[str, Json]) -> None:
        """Make room for the columns where nothing is, or what this run itself has begun."""
        ...

    @abstractmethod
    def reopen(
        self, columns: tuple[Column, ...], header: dict[str, Json], cursors: dict[str, Array]
    ) -> None:
        """Go on from what `cursors` told; what was written later is taken away."""
        ...

    @abstractmethod
    def is_complete(
        self, columns: tuple[Column, ...], header: dict[str, Json], cursors: dict[str, Array]
    ) -> bool:
        """Return whether all is there that `cursors` tell of; then it can be read."""
        ...

    @abstractmethod
    def flush(self) -> None:
        """Write all that it was given, so that a checkpoint may count on it."""
        ...

    @abstractmethod
    def cursors(self) -> dict[str, Array]:
        """Return how far it is: all that `reopen` needs, as small arrays by name."""
        ...


class Needs(NamedTuple):
    """Bytes that recordings take in a sink.

    Attributes:
        memory: What it holds in memory, at most.
        joined: What it takes beside that to read the largest recording.
        disk: What it writes to a disk, before compression.
    """

    memory: int
    joined: int
    disk: int


class Measurable(Sink):
    """A sink that says what it takes, so that a run that cannot fit is refused before it begins.

    A sink declares that it is one by having this class as a base.

    Attributes:
        in_memory: Whether what it holds is lost with the process.
    """

    in_memory: bool

    @abstractmethod
    def needs(self, columns: tuple[Column, ...], spikes: int) -> Needs:
        """Return what it takes for some columns, with so many spikes in all of them."""
        ...

    @abstractmethod
    def taken(self) -> int:
        """Return the bytes that it has on a disk now."""
        ...

    @abstractmethod
    def free(self) -> int | None:
        """Return the bytes of disk that it may take; None where that is not known."""
        ...


REQUIRED = ("open", "rows", "spikes", "close", "read", "read_spikes")  # of every sink


def takes_values(sink: Sink) -> bool:
    """Return whether a sink can be given what is kept with spikes."""
    try:
        inspect.signature(sink.spikes).bind("key", None, None, {})
    except TypeError:
        return False
    return True


def bytes_of_spikes(columns: tuple[Column, ...], spikes: int) -> int:
    """Return the size of so many spikes, whatever column they belong to, at most."""
    return spikes * max((c.spike_bytes for c in columns if c.shape is None), default=0)


class MemorySink(Measurable):
    """Keeps everything in memory."""

    in_memory = True

    def __init__(self) -> None:
        self._columns: dict[str, Column] = {}
        self._rows: dict[str, list[Array]] = {}
        self._spikes: dict[str, list[tuple[Array, Array]]] = {}

    @classmethod
    def holding(cls, columns: tuple[Column, ...], arrays: list[Array]) -> "MemorySink":
        """Return a sink that has all samples already, and does not copy them.

        Args:
            columns: What it holds.
            arrays: Of each that is not of spikes, the samples.
        """
        sink = cls()
        sink.open(columns, {})
        sampled = [column for column in columns if column.shape is not None]
        for column, values in zip(sampled, arrays, strict=True):
            sink._rows[column.key].append(values)
        return sink

    def open(self, columns: tuple[Column, ...], header: dict[str, Json]) -> None:
        """Make room for the columns."""
        self._columns = {column.key: column for column in columns}
        for column in columns:
            for part in column.alongside:
                name = f"{column.key}.{part.name}"
                own = Column(name, part.unit, (), (), None, 0.0, 0, part.dtype)
                self._columns[name] = own
        self._rows = {key: [] for key in self._columns}
        self._spikes = {key: [] for key in self._columns}

    def rows(self, key: str, first: int, values: Array) -> None:
        """Take samples `first` and following."""
        self._rows[key].append(np.array(values))

    def spikes(
        self,
        key: str,
        times: Array,
        cells: Array,
        values: Mapping[str, Array] = MappingProxyType({}),
    ) -> None:
        """Take spikes, ordered by time; of a batch, `cells` is `[n, n_batch_axes + 1]`."""
        self._spikes[key].append((times, cells))
        for name, numbers in values.items():
            self._rows[f"{key}.{name}"].append(numbers)

    def close(self) -> None:
        """Do nothing more."""

    def read(self, key: str, rows: slice = EVERY) -> Array:
        """Return samples of a column, all of them by default."""
        if len(self._rows[key]) != 1:
            column = self._columns[key]
            empty = np.zeros((0, *(column.shape or ())), column.dtype)
            self._rows[key] = [np.concatenate([empty, *self._rows[key]])]
        return self._rows[key][0][rows]

    def read_spikes(self, key: str) -> tuple[Array, Array]:
        """Return times and cells of all spikes of a column."""
        times = [np.zeros(0), *(times for times, _ in self._spikes[key])]
        nothing = np.zeros((0, *self._columns[key].place), np.int64)
        cells = [nothing, *(cells for _, cells in self._spikes[key])]
        return np.concatenate(times), np.concatenate(cells)

    def needs(self, columns: tuple[Column, ...], spikes: int) -> Needs:
        """Return what it takes: all of it, and the largest recording again to join its chunks."""
        sizes = [column.bytes for column in columns]
        return Needs(bytes_of_spikes(columns, spikes) + sum(sizes), max(sizes, default=0), 0)

    def taken(self) -> int:
        """Return that it has nothing on a disk."""
        return 0

    def free(self) -> None:
        """Return that it takes no disk."""
