"""ZarrSink: recordings in a Zarr store whose every byte follows from what was run.

A store is written one whole chunk after another, and chunks are as large as the recording alone
says. What does not fill a chunk yet waits in memory; a checkpoint takes it along, so a chunk that
is on the disk is never needed again and never changes.
"""

import errno
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from zarr.codecs import ZstdCodec

from somaflow.errors import StoreError, WrongTypeError
from somaflow.simulation.folder import beside, is_address, settle
from somaflow.simulation.sinks import Column
from somaflow.simulation.system import Array

_CHUNK_BYTES = 1 << 20
_CODEC = ZstdCodec(level=1)


class ZarrSink:
    """Writes to a folder in Zarr format 3, which `xarray.open_zarr` opens.

    Beside it, in a folder of the same name and `.run`, lie checkpoints, progress and the log.

    Args:
        path: The folder, or an address that fsspec knows, such as `s3://bucket/al.zarr`.
        overwrite: Whether a run that is there may be replaced.

    Raises:
        WrongTypeError: The path is no text and no `pathlib.Path`.
        StoreError: It is an address, and fsspec is not installed.
    """

    def __init__(self, path: str | Path, overwrite: bool = False) -> None:
        if not isinstance(path, (str, Path)):
            raise WrongTypeError(f"a path is a text or a pathlib.Path, not {path!r}.")
        self.path: str | Path = str(path) if is_address(path) else Path(path)
        self.beside = beside(path)
        self.overwrite = overwrite
        self._parts: dict[str, _Growing] = {}
        self._columns: tuple[Column, ...] = ()
        self._sound = True

    # ------------------------------------------------------------------------- begin

    def check(self, columns: tuple[Column, ...]) -> None:
        """Refuse a place that cannot take the recordings, before anything is computed.

        Raises:
            StoreError: Something else is there, it cannot be written to, or it has no room.
        """
        for column in columns:
            if "/" in column.key:
                raise StoreError(
                    f"{column.key!r} cannot be stored in {self.path}: a '/' divides folders there. "
                    "Give the projection another name."
                )
        if isinstance(self.path, str):
            self._check_address()
        else:
            self._check_path(self.path, columns)

    def open(self, columns: tuple[Column, ...], header: dict[str, Any]) -> None:
        """Write the empty columns.

        Raises:
            StoreError: Something else is there, it cannot be written to, or it has no room.
        """
        self.check(columns)
        self.create(columns, header)

    def create(self, columns: tuple[Column, ...], header: dict[str, Any]) -> None:
        """Write the empty columns in place of whatever is there.

        Raises:
            StoreError: It cannot be written to.
        """
        self._columns, self._sound = columns, True
        with self._guard():
            self._group = zarr.open_group(self.path, mode="w", zarr_format=3)
            self._group.attrs.update(_plain(header))
            self._parts = {}
            for column in columns:
                self._create(column)

    def reopen(
        self, columns: tuple[Column, ...], header: dict[str, Any], cursors: dict[str, Array]
    ) -> None:
        """Go on with a store from what `cursors` told; what was written later is taken away.

        Raises:
            StoreError: It is not there, or cannot be written to.
        """
        self._columns, self._sound = columns, True
        with self._guard():
            try:
                if isinstance(self.path, Path):
                    for entry in list(self.path.rglob("*.partial")):
                        entry.unlink()  # a write that was cut short
                self._group = zarr.open_group(self.path, mode="r+", zarr_format=3)
                self._parts = {}
                for column in columns:
                    for name in _names(column):
                        array: Any = self._group[name]
                        full = None if column.shape is None else column.rows
                        part = _Growing(self.path, name, array, full)
                        part.restore(int(cursors[f"{name}/rows"]), cursors[f"{name}/tail"])
                        self._parts[name] = part
            except (KeyError, FileNotFoundError) as error:
                raise StoreError(f"{self.path} is not the store of this run ({error}).") from error
            self._group.update_attributes(_plain(header))

    # ------------------------------------------------------------------------- write

    def rows(self, key: str, first: int, values: Array) -> None:
        """Take samples `first` and following."""
        column = next(column for column in self._columns if column.key == key)
        with self._guard():
            self._parts[key].add(values)
            self._parts[f"{key}.time"].add(
                column.start + np.arange(first, first + len(values)) * column.interval
            )

    def spikes(self, key: str, times: Array, cells: Array) -> None:
        """Append spikes, ordered by time."""
        if len(times):
            with self._guard():
                self._parts[f"{key}.times"].add(times)
                self._parts[f"{key}.cells"].add(cells)

    def flush(self) -> None:
        """Write also what does not fill a chunk, so that others can read it.

        Raises:
            StoreError: It cannot be written.
        """
        with self._guard():
            for part in self._parts.values():
                part.flush()

    def cursors(self) -> dict[str, Array]:
        """Return how far each array is in whole chunks, and what waits for the next one."""
        found = {}
        for name, part in self._parts.items():
            found[f"{name}/rows"] = np.array(part.done, np.int64)
            found[f"{name}/tail"] = part.tail()
        return found

    def close(self) -> None:
        """Write what is left. A run that ended early leaves no empty rows."""
        with self._guard():
            # A disk that failed is left alone: data and their times must not get two lengths.
            for part in self._parts.values() if self._sound else ():
                part.flush()
                part.cut()

    # -------------------------------------------------------------------------- read

    def read(self, key: str) -> Array:
        """Return all samples of a column."""
        return np.asarray(self._parts[key].array[:])

    def read_spikes(self, key: str) -> tuple[Array, Array]:
        """Return times and cells of all spikes of a column."""
        return self.read(f"{key}.times"), self.read(f"{key}.cells")

    # ----------------------------------------------------------------------- details

    def _check_address(self) -> None:
        with self._guard():
            try:
                zarr.open_group(self.path, mode="r", zarr_format=3)
            except (FileNotFoundError, KeyError):
                return
            if not self.overwrite:
                raise StoreError(f"{self.path} {self._taken()}")

    def _check_path(self, path: Path, columns: tuple[Column, ...]) -> None:
        taken = path.exists() and (not path.is_dir() or any(path.iterdir()))
        if taken and not self.overwrite:
            raise StoreError(f"{path} {self._taken()}")
        if taken and not (path / "zarr.json").exists():
            raise StoreError(f"{path} is not a results store, so it is not replaced.")
        parent = next(p for p in (path, *path.absolute().parents) if p.exists())
        if not parent.is_dir():
            raise StoreError(f"{path} cannot be made: {parent} is not a folder.")
        self._probe(parent)
        needed = sum(column.bytes for column in columns)
        free = shutil.disk_usage(parent).free
        if needed > free:
            raise StoreError(
                f"{path} needs {needed:,} bytes for the recordings, but {free:,} bytes are "
                "free there. Record less often, fewer cells, or write elsewhere."
            )

    def _taken(self) -> str:
        again = ""
        if any(name.startswith("checkpoint") for name in self.beside.names()):
            again = f"go on with that run (sf.resume({str(self.path)!r})), "
        return (
            f"exists and holds something already; {again}choose another path, or allow it to be "
            "replaced (overwrite=True in Python, --overwrite on the command line)."
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
        except StoreError:
            raise
        except OSError as error:
            self._sound = False
            raise failed(self.path, error) from error

    def _create(self, column: Column) -> None:
        key = column.key
        if column.shape is None:
            for part, dtype, unit in (("times", "float64", "ms"), ("cells", "int64", "1")):
                more = column.place if part == "cells" else ()
                # A dimension each: whatever write fails, no two lengths can contradict.
                names = (f"{key}.{part}.spike", *(["index"] if more else ()))
                self._grow(f"{key}.{part}", None, more, dtype, names, {"units": unit})
            return
        attributes: dict[str, Any] = {"units": column.unit}
        others = [f"{key}.{c.name}" for c in column.coordinates if c.name != c.axis]
        if others and not any(character.isspace() for character in key):
            attributes["coordinates"] = " ".join(others)  # as in the CF conventions
        time = f"{key}.time"
        names = (time, *(f"{key}.{axis}" for axis in column.axes))
        self._grow(key, column.rows, column.shape, column.dtype, names, attributes)
        self._grow(time, column.rows, (), "float64", (time,), {"units": "ms"})
        if column.cells is not None:
            self._write(f"{key}.cell", np.array(column.cells, np.int64), f"{key}.cell", {})
        for c in column.coordinates:
            self._write(f"{key}.{c.name}", c.values, f"{key}.{c.axis}", {"units": c.unit})

    def _grow(
        self,
        name: str,
        rows: int | None,
        shape: tuple[int, ...],
        dtype: str,
        dimensions: tuple[str, ...],
        attributes: dict[str, Any],
    ) -> None:
        width = max(1, int(np.prod(shape, initial=1)) * np.dtype(dtype).itemsize)
        array = self._group.create_array(
            name,
            shape=(rows or 0, *shape),
            # What an interrupted run has not written.
            fill_value=float("nan") if np.dtype(dtype).kind == "f" else -1,
            chunks=(max(1, _CHUNK_BYTES // width), *(max(1, n) for n in shape)),
            compressors=_CODEC,
            dtype=dtype,
            dimension_names=dimensions,
            attributes=attributes,
        )
        self._parts[name] = _Growing(self.path, name, array, rows)

    def _write(self, name: str, values: Array, dimension: str, attributes: dict[str, Any]) -> None:
        made = self._group.create_array(
            name,
            shape=values.shape,
            dtype=values.dtype,
            compressors=_CODEC,
            dimension_names=(dimension,),
            attributes=attributes,
        )
        made[:] = values


class _Growing:
    """An array that is written along its first axis.

    Args:
        path: The store.
        name: The array's name.
        array: The array.
        rows: Its length at the run's end, which it has from the beginning; None where it is not
            known beforehand.

    Attributes:
        done: Rows in whole chunks that are written.
    """

    def __init__(self, path: str | Path, name: str, array: Any, rows: int | None) -> None:
        self.array, self._rows = array, rows
        self._folder = path / name / "c" if isinstance(path, Path) else None
        self._chunk = array.chunks[0]
        self._waiting: list[Array] = []
        self._n_waiting = 0
        self._unsettled: list[int] = []
        self.done = 0

    def add(self, values: Array) -> None:
        # A copy: what comes may be a view of a far larger table.
        self._waiting.append(np.array(values, self.array.dtype))
        self._n_waiting += len(values)
        if self._n_waiting < self._chunk:
            return
        whole = self.tail()
        while len(whole) >= self._chunk:
            self._write(whole[: self._chunk])
            self.done += self._chunk
            whole = whole[self._chunk :]
            self._keep(whole)

    def tail(self) -> Array:
        """Return what does not fill a chunk yet."""
        if len(self._waiting) != 1:
            nothing = np.zeros((0, *self.array.shape[1:]), self.array.dtype)
            self._waiting = [np.concatenate([nothing, *self._waiting])]
        return self._waiting[0]

    def flush(self) -> None:
        """Write what waits, and wait until all is on the disk."""
        if self._n_waiting:
            self._write(self.tail())
        unsettled, self._unsettled = self._unsettled, []
        if self._folder is None:
            return
        for number in unsettled:
            file = self._folder / "/".join([str(number), *["0"] * (self.array.ndim - 1)])
            # A chunk that holds nothing but the fill value has no file.
            if file.exists():
                settle(file)

    def cut(self) -> None:
        """End the array where the data end."""
        length = self.done + self._n_waiting
        if self.array.shape[0] != length:
            self.array.resize((length, *self.array.shape[1:]))

    def restore(self, done: int, tail: Array) -> None:
        """Go on after `done` rows in whole chunks; of all that was written later nothing stays."""
        self.done = done
        self._keep(np.asarray(tail))
        shape = self.array.shape[1:]
        if self.array.shape[0] != done:
            self.array.resize((done, *shape))
        self._remove_rest()
        if self._rows is not None:
            self.array.resize((self._rows, *shape))

    def _keep(self, values: Array) -> None:
        self._waiting, self._n_waiting = [values], len(values)

    def _write(self, values: Array) -> None:
        end = self.done + len(values)
        if self.array.shape[0] < end:
            self.array.resize((end, *self.array.shape[1:]))
        self.array[self.done : end] = values
        self._unsettled.append(self.done // self._chunk)

    def _remove_rest(self) -> None:
        if self._folder is None or not self._folder.is_dir():
            return
        for entry in list(self._folder.iterdir()):
            if int(entry.name) >= self.done // self._chunk:
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink()


def failed(path: Any, error: OSError) -> StoreError:
    """Return what a user is told when the operating system refuses a write."""
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    reason = "the disk is full" if full else (error.strerror or str(error))
    return StoreError(
        f"writing to {path} failed: {reason}. What was written before stays readable."
    )


def _names(column: Column) -> tuple[str, ...]:
    if column.shape is None:
        return f"{column.key}.times", f"{column.key}.cells"
    return column.key, f"{column.key}.time"


def _plain(header: dict[str, Any]) -> dict[str, Any]:
    return json.loads(json.dumps(header))
