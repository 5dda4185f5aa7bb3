"""Sinks: where a run's recordings go, as they come.

A sink is opened with the columns it will get, receives rows and spikes in order of time, and is
closed. Whatever was written before an error stays readable.
"""

import errno
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import zarr

from somaflow.errors import StoreError
from somaflow.simulation.system import Array

_ROW_CHUNK_BYTES = 1 << 20
_SPIKE_CHUNK = 1 << 16


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

    @property
    def bytes(self) -> int:
        """Size of all samples, uncompressed."""
        if self.shape is None:
            return 0
        return self.rows * int(np.prod(self.shape, initial=1)) * np.dtype(self.dtype).itemsize


class Sink(Protocol):
    """What takes recordings."""

    def open(self, columns: tuple[Column, ...], header: dict[str, Any]) -> None: ...

    def rows(self, key: str, first: int, values: Array) -> None: ...

    def spikes(self, key: str, times: Array, cells: Array) -> None: ...

    def close(self, summary: dict[str, Any]) -> None: ...

    def read(self, key: str) -> Array: ...

    def read_spikes(self, key: str) -> tuple[Array, Array]: ...


def _indices(column: Column) -> tuple[int, ...]:
    """Return the shape of one spike's place: its cell, or the indices of batch and cell."""
    return (len(column.batch) + 1,) if column.batch else ()


class MemorySink:
    """Keeps everything in memory."""

    def __init__(self) -> None:
        self._parts: dict[str, list[Any]] = {}

    @classmethod
    def holding(cls, columns: tuple[Column, ...], arrays: list[Array]) -> "MemorySink":
        """Return a sink that has all samples already, and does not copy them."""
        made = cls()
        made.open(columns, {})
        for column, values in zip(columns, arrays, strict=True):
            made._parts[column.key].append(values)
        return made

    def open(self, columns: tuple[Column, ...], header: dict[str, Any]) -> None:
        """Make room for the columns."""
        self._parts = {column.key: [] for column in columns}
        self._shapes = {column.key: column for column in columns}

    def rows(self, key: str, first: int, values: Array) -> None:
        """Take samples `first` and following."""
        self._parts[key].append(np.array(values))

    def spikes(self, key: str, times: Array, cells: Array) -> None:
        """Take spikes, ordered by time; of a batch, `cells` is `[n, n_batch_axes + 1]`."""
        self._parts[key].append((times, cells))

    def close(self, summary: dict[str, Any]) -> None:
        """Do nothing more."""

    def read(self, key: str) -> Array:
        """Return all samples of a column."""
        if len(self._parts[key]) == 1:
            return self._parts[key][0]
        column = self._shapes[key]
        empty = np.zeros((0, *(column.shape or ())), column.dtype)
        self._parts[key] = [np.concatenate([empty, *self._parts[key]])]
        return self._parts[key][0]

    def read_spikes(self, key: str) -> tuple[Array, Array]:
        """Return times and cells of all spikes of a column."""
        times = [np.zeros(0), *(times for times, _ in self._parts[key])]
        nothing = np.zeros((0, *_indices(self._shapes[key])), np.int64)
        cells = [nothing, *(cells for _, cells in self._parts[key])]
        return np.concatenate(times), np.concatenate(cells)


class ZarrSink:
    """Writes to a folder in Zarr format 3, which `xarray.open_zarr` opens.

    Args:
        path: The folder.
        overwrite: Whether a run that is there may be replaced.
    """

    def __init__(self, path: str | Path, overwrite: bool = False) -> None:
        self.path = Path(path)
        self.overwrite = overwrite
        self._sound = True

    def open(self, columns: tuple[Column, ...], header: dict[str, Any]) -> None:
        """Check the place, and write the empty columns.

        Raises:
            StoreError: Something else is there, it cannot be written to, or it has no room.
        """
        self._check(columns)
        with self._guard():
            self._arrays: dict[str, Any] = {}
            self._written = {column.key: 0 for column in columns if column.shape is not None}
            self._group = zarr.open_group(self.path, mode="w", zarr_format=3)
            self._group.attrs.update(header)
            for column in columns:
                self._create(column)

    def _check(self, columns: tuple[Column, ...]) -> None:
        taken = self.path.exists() and (not self.path.is_dir() or any(self.path.iterdir()))
        if taken and not self.overwrite:
            raise StoreError(
                f"{self.path} exists and holds something already; choose another path, or allow "
                "it to be replaced (overwrite=True in Python, --overwrite on the command line)."
            )
        if taken and not (self.path / "zarr.json").exists():
            raise StoreError(f"{self.path} is not a results store, so it is not replaced.")
        for column in columns:
            if "/" in column.key:
                raise StoreError(
                    f"{column.key!r} cannot be stored in {self.path}: a '/' divides folders there. "
                    "Give the projection another name."
                )
        parent = next(p for p in (self.path, *self.path.absolute().parents) if p.exists())
        if not parent.is_dir():
            raise StoreError(f"{self.path} cannot be made: {parent} is not a folder.")
        self._probe(parent)
        needed = sum(column.bytes for column in columns)
        free = shutil.disk_usage(parent).free
        if needed > free:
            raise StoreError(
                f"{self.path} needs {needed:,} bytes for the recordings, but {free:,} bytes are "
                "free there. Record less often, fewer cells, or write elsewhere."
            )

    def _probe(self, folder: Path) -> None:
        # os.access says yes to root, whatever a read-only mount says; a file tells the truth.
        probe = folder / ".somaflow-probe"
        try:
            probe.touch()
            probe.unlink()
        except OSError as error:
            raise StoreError(
                f"{self.path} cannot be written: {error.strerror or error} ({folder})."
            ) from error

    @contextmanager
    def _guard(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self._sound = False
            full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            reason = "the disk is full" if full else (error.strerror or str(error))
            raise StoreError(
                f"writing to {self.path} failed: {reason}. What was written before stays readable."
            ) from error

    def _create(self, column: Column) -> None:
        attributes: dict[str, Any] = {"units": column.unit}
        others = [f"{column.key}.{c.name}" for c in column.coordinates if c.name != c.axis]
        if others and not any(character.isspace() for character in column.key):
            attributes["coordinates"] = " ".join(others)  # as in the CF conventions
        if column.shape is None:
            for part, dtype, unit in (("times", "float64", "ms"), ("cells", "int64", "1")):
                more = _indices(column) if part == "cells" else ()
                self._arrays[f"{column.key}.{part}"] = self._group.create_array(
                    f"{column.key}.{part}",
                    shape=(0, *more),
                    chunks=(_SPIKE_CHUNK, *more),
                    dtype=dtype,
                    # A dimension each: whatever write fails, no two lengths can contradict.
                    dimension_names=(f"{column.key}.{part}.spike", *(["index"] if more else ())),
                    attributes={"units": unit},
                )
            return
        width = max(1, int(np.prod(column.shape, initial=1)) * np.dtype(column.dtype).itemsize)
        rows = max(1, min(column.rows, _ROW_CHUNK_BYTES // width))
        time = f"{column.key}.time"
        self._arrays[column.key] = self._group.create_array(
            column.key,
            shape=(column.rows, *column.shape),
            # What an interrupted run has not written.
            fill_value=float("nan") if np.dtype(column.dtype).kind == "f" else -1,
            chunks=(rows, *(max(1, n) for n in column.shape)),
            dtype=column.dtype,
            dimension_names=(time, *(f"{column.key}.{axis}" for axis in column.axes)),
            attributes=attributes,
        )
        self._arrays[time] = self._group.create_array(
            time,
            shape=(column.rows,),
            dtype="float64",
            dimension_names=(time,),
            attributes={"units": "ms", "interval": column.interval},
        )
        self._arrays[time][:] = column.start + np.arange(column.rows) * column.interval
        if column.cells is not None:
            cells = self._group.create_array(
                f"{column.key}.cell",
                shape=(len(column.cells),),
                dtype="int64",
                dimension_names=(f"{column.key}.cell",),
            )
            cells[:] = np.array(column.cells, np.int64)
        for c in column.coordinates:
            made = self._group.create_array(
                f"{column.key}.{c.name}",
                shape=c.values.shape,
                dtype=c.values.dtype,
                dimension_names=(f"{column.key}.{c.axis}",),
                attributes={"units": c.unit},
            )
            made[:] = c.values

    def rows(self, key: str, first: int, values: Array) -> None:
        """Write samples `first` and following."""
        with self._guard():
            self._arrays[key][first : first + len(values)] = values
            self._written[key] = first + len(values)

    def spikes(self, key: str, times: Array, cells: Array) -> None:
        """Append spikes, ordered by time."""
        if len(times):
            with self._guard():
                self._arrays[f"{key}.times"].append(times)
                self._arrays[f"{key}.cells"].append(cells)

    def close(self, summary: dict[str, Any]) -> None:
        """Write what is known only at the end."""
        with self._guard():
            # A run that ended early leaves no empty rows; a disk that failed is left alone, since
            # a data array and its times must not end up with two lengths.
            for key, rows in self._written.items() if self._sound else ():
                if rows < self._arrays[key].shape[0]:
                    for name in (key, f"{key}.time"):
                        self._arrays[name].resize((rows, *self._arrays[name].shape[1:]))
            self._group.attrs.update(json.loads(json.dumps(summary)))

    def read(self, key: str) -> Array:
        """Return all samples of a column."""
        return np.asarray(self._arrays[key][:])

    def read_spikes(self, key: str) -> tuple[Array, Array]:
        """Return times and cells of all spikes of a column."""
        parts = (self._arrays[f"{key}.{part}"] for part in ("times", "cells"))
        times, cells = (np.asarray(part[:]) for part in parts)
        return times, cells
