"""ZarrSink: recordings in a Zarr store whose every byte follows from what was run.

A store is written one whole chunk after another, and chunks are as large as the recording alone
says. What does not fill a chunk yet waits in memory; a checkpoint takes it along, so a chunk that
is on the disk is never needed again and never changes.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from zarr.codecs import ZstdCodec

from somaflow.errors import StoreError, WrongTypeError
from somaflow.simulation.folder import CHECKPOINT, METADATA, Folder, beside, failed, located, settle
from somaflow.simulation.growing import Growing
from somaflow.simulation.sinks import EVERY, Column
from somaflow.simulation.system import Array

CHUNK_BYTES = 1 << 20
_CODEC = ZstdCodec(level=1)
# A chunk of nothing but the fill value has a file too, so that a missing one is noticed.
_WHOLE = {"array.write_empty_chunks": True}


class ZarrSink:
    """Writes to a folder in Zarr format 3, which `xarray.open_zarr` opens.

    Beside it, in a folder of the same name and `.run`, lie checkpoints, progress and the log.

    Args:
        path: The folder, or an address that fsspec knows, such as `s3://bucket/al.zarr`.
        overwrite: Whether a run that is there may be replaced.

    Attributes:
        notes: What else is to lie beside the store when a run begins, by the names of the files.
        begun: Whether a run has begun to write to it.

    Raises:
        WrongTypeError: The path is no text and no `pathlib.Path`.
        StoreError: It is an address, and fsspec is not installed.
    """

    def __init__(self, path: str | Path, overwrite: bool = False) -> None:
        if not isinstance(path, (str, Path)):
            raise WrongTypeError(f"a path is a text or a pathlib.Path, not {path!r}.")
        self.path = located(path)
        self.beside = beside(path)
        self.overwrite, self.begun = overwrite, False
        self.notes: dict[str, bytes] = {}
        self._parts: dict[str, Growing] = {}
        # Names of arrays whose metadata were damaged; None for a store that is new.
        self._torn: set[str] | None = None
        self._columns: tuple[Column, ...] = ()
        self._sound = True

    # ------------------------------------------------------------------------- begin

    def check(self, columns: tuple[Column, ...]) -> None:
        """Refuse a place that cannot take the recordings, before anything is computed.

        Raises:
            StoreError: Something else is there, or it cannot be written to.
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
            self._check_path(self.path)

    def open(self, columns: tuple[Column, ...], header: dict[str, Any]) -> None:
        """Write the empty columns.

        Raises:
            StoreError: Something else is there, or it cannot be written to.
        """
        self.check(columns)
        self.create(columns, header)

    def create(self, columns: tuple[Column, ...], header: dict[str, Any]) -> None:
        """Write the empty columns in place of whatever is there.

        Raises:
            StoreError: It cannot be written to.
        """
        self._columns, self._sound, self._torn = columns, True, None
        with self._guard():
            if self.notes:
                self.beside.write_all(self.notes)
            self.begun = True
            self._group = zarr.open_group(self.path, mode="w", zarr_format=3)
            self._group.attrs.put(_plain(header))
            self._parts = {}
            for column in columns:
                self._create(column)
            if isinstance(self.path, Path):
                for place in (*self.path.rglob("*"), self.path, self.path.absolute().parent):
                    settle(place)

    def reopen(
        self, columns: tuple[Column, ...], header: dict[str, Any], cursors: dict[str, Array]
    ) -> None:
        """Go on with a store from what `cursors` told; what was written later is taken away.

        Raises:
            StoreError: It is not there, is of another run, or cannot be written to.
        """
        self._columns, self._sound = columns, True
        with self._guard():
            try:
                names = [name for column in columns for name in _names(column)]
                self._torn = _tidied(self.path, names) if isinstance(self.path, Path) else set()
                mode = "a" if "" in self._torn else "r+"
                self._group = zarr.open_group(self.path, mode=mode, zarr_format=3)
                told = self._group.attrs.get("fingerprint", header["fingerprint"])
                if told != header["fingerprint"]:
                    raise StoreError(f"{self.path} is the store of another run.")
                self._parts = {}
                for column in columns:
                    self._create(column)
                for name, part in self._parts.items():
                    part.restore(int(cursors[f"{name}/rows"]), cursors[f"{name}/tail"])
            except (KeyError, FileNotFoundError) as error:
                raise StoreError(f"{self.path} is not the store of this run ({error}).") from error
            self._group.attrs.put(_plain(header))

    def is_complete(
        self, columns: tuple[Column, ...], header: dict[str, Any], cursors: dict[str, Array]
    ) -> bool:
        """Return whether the store holds all that `cursors` tell of; then it can be read."""
        self._columns, self._torn, self._parts = columns, set(), {}
        try:
            self._group = zarr.open_group(self.path, mode="r", zarr_format=3)
            for column in columns:
                self._create(column)
        except (KeyError, ValueError, OSError):  # missing or damaged
            return False
        return dict(self._group.attrs) == _plain(header) and all(
            part.is_whole(int(cursors[f"{name}/rows"]) + len(cursors[f"{name}/tail"]))
            for name, part in self._parts.items()
        )

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
            if self._sound:  # a disk that failed is left alone
                for part in self._parts.values():
                    part.flush()
                self._cut()

    # -------------------------------------------------------------------------- read

    def read(self, key: str, rows: slice = EVERY) -> Array:
        """Return samples of a column, all of them by default."""
        return np.asarray(self._parts[key].array[rows])

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

    def _check_path(self, path: Path) -> None:
        taken = path.exists() and (not path.is_dir() or any(path.iterdir()))
        if taken and not self.overwrite:
            raise StoreError(f"{path} {self._taken()}")
        if taken and not (path / METADATA).exists():
            raise StoreError(f"{path} is not a results store, so it is not replaced.")
        parent = next(p for p in (path, *path.absolute().parents) if p.exists())
        if not parent.is_dir():
            raise StoreError(f"{path} cannot be made: {parent} is not a folder.")
        self._probe(parent)

    def _taken(self) -> str:
        again = ""
        if any(name.startswith(CHECKPOINT) for name in self.beside.names()):
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

    def _cut(self) -> None:
        """End arrays where their data end, all or none: data and times must have one length."""
        longer = {name: p for name, p in self._parts.items() if p.array.shape[0] != p.length}
        if isinstance(self.path, str):
            for part in longer.values():
                part.resize(part.length)
            return
        files = {}
        for name, part in longer.items():
            file = f"{name}/{METADATA}"
            told = json.loads((self.path / file).read_bytes())
            told["shape"][0] = part.length
            files[file] = json.dumps(told, indent=2).encode()
        Folder(self.path).write_all(files)
        for name, part in longer.items():
            part.array = self._group[name]

    def _create(self, column: Column) -> None:
        """Make the arrays of a column, or find them."""
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
        array = self._found(name)
        if array is None:
            with zarr.config.set(_WHOLE):
                array = self._group.create_array(
                    name,
                    shape=(rows or 0, *shape),
                    # What an interrupted run has not written.
                    fill_value=float("nan") if np.dtype(dtype).kind == "f" else -1,
                    chunks=(max(1, CHUNK_BYTES // width), *(max(1, n) for n in shape)),
                    compressors=_CODEC,
                    dtype=dtype,
                    dimension_names=dimensions,
                    attributes=attributes,
                )
        self._parts[name] = Growing(self.path, name, array, rows)

    def _found(self, name: str) -> Any:
        """Return an array that should be there; None where it is to be made.

        Raises:
            KeyError: It is missing.
        """
        if self._torn is None or name in self._torn:
            return None
        with zarr.config.set(_WHOLE):
            return self._group[name]

    def _write(self, name: str, values: Array, dimension: str, attributes: dict[str, Any]) -> None:
        """Make an array that is known from the beginning, or mend it.

        Raises:
            KeyError: It is damaged in a store that is only read.
        """
        array = self._found(name)
        if array is None:
            with zarr.config.set(_WHOLE):
                array = self._group.create_array(
                    name,
                    shape=values.shape,
                    dtype=values.dtype,
                    compressors=_CODEC,
                    dimension_names=(dimension,),
                    attributes=attributes,
                )
        elif np.array_equal(array[:], values):
            return
        elif array.read_only:
            raise KeyError(name)
        array[:] = values


def _tidied(path: Path, names: list[str]) -> set[str]:
    """Remove what a write left that was cut short.

    Args:
        path: The store.
        names: Its arrays.

    Returns:
        The arrays whose metadata were damaged, and "" if those of the store itself were. Since
        version 3.1, Zarr replaces files as a whole; a disk can fail in spite of it.

    Raises:
        FileNotFoundError: There is no such array.
    """
    for name in ("", *names):
        if not (path / name).is_dir():
            raise FileNotFoundError(f"{path / name} is missing")
    for entry in list(path.rglob("*.partial")):
        entry.unlink()
    torn = set()
    for name in ("", *names):
        try:
            json.loads((path / name / METADATA).read_bytes())
        except (ValueError, FileNotFoundError):
            (path / name / METADATA).unlink(missing_ok=True)
            torn.add(name)
    return torn


def _names(column: Column) -> tuple[str, ...]:
    if column.shape is None:
        return f"{column.key}.times", f"{column.key}.cells"
    return column.key, f"{column.key}.time"


def _plain(header: dict[str, Any]) -> dict[str, Any]:
    return json.loads(json.dumps(header))
