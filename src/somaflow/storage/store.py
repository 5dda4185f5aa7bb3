"""ZarrSink: recordings in a Zarr store whose every byte follows from what was run.

A store is written one whole chunk after another, and chunks are as large as the recording alone
says. What does not fill a chunk yet waits in memory; a checkpoint takes it along, so a chunk that
is on the disk is never needed again and never changes.
"""

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType

import numpy as np
import zarr

from somaflow import given
from somaflow.errors import StoreError
from somaflow.notation import Json
from somaflow.simulation.system import Array
from somaflow.storage import damage
from somaflow.storage.checkpoint import names as checkpoints
from somaflow.storage.damage import Damage
from somaflow.storage.folder import METADATA, Folder, beside, failed, located, probe, settle
from somaflow.storage.growing import Growing
from somaflow.storage.layout import WHOLE, ArrayLayout, array_in, layouts_of
from somaflow.storage.ownership import (
    ARRAYS,
    attributes_of,
    check_beside,
    check_store,
    clear_store,
    leftovers,
)
from somaflow.storage.sinks import (
    EVERY,
    Column,
    Measurable,
    Needs,
    Resumable,
    bytes_of_spikes,
)

CHUNK_BYTES = 1 << 20


class ZarrSink(Resumable, Measurable):
    """Writes to a folder in Zarr format 3, which `xarray.open_zarr` opens.

    Beside it, in a folder of the same name and `.run`, lie checkpoints, progress and the log.

    Args:
        path: The folder, or an address that fsspec knows, such as `s3://bucket/al.zarr`.
        overwrite: Whether a run that is there may be replaced. Only what a run has written is ever
            removed; where anything else is, the place is refused.

    Attributes:
        beside: The folder beside it.
        resumed_by: How a user goes on with its run, for messages.
        notes: What else is to lie beside the store when a run begins, by the names of the files.
        begun: Whether a run has begun to write to it.

    Raises:
        WrongTypeError: The path is no text and no `pathlib.Path`.
        StoreError: It is a symbolic link, or no file system can have it; it is an address that
            fsspec does not know, or fsspec is not installed.
    """

    in_memory = False

    def __init__(self, path: str | Path, overwrite: bool = False) -> None:
        self.path = located(given.path(path))
        self.resumed_by = f"sf.resume({str(self.path)!r})", f"somaflow resume {self.path}"
        self.beside = beside(self.path)
        self._store = Folder(self.path)
        if self._store.is_link():
            raise StoreError(
                f"{path} is a symbolic link to {os.readlink(path)}; give that place itself: what "
                "belongs to a run lies beside its store."
            )
        self.overwrite, self.begun = overwrite, False
        self.notes: dict[str, bytes] = {}
        self._parts: dict[str, Growing] = {}
        self._columns: tuple[Column, ...] = ()
        self._sound = True

    # ------------------------------------------------------------------------- sizes

    def needs(self, columns: tuple[Column, ...], spikes: int) -> Needs:
        """Return what it takes: in memory what waits until it fills a chunk, at most."""
        raw = bytes_of_spikes(columns, spikes) + sum(column.bytes for column in columns)
        times = sum(8 * column.rows for column in columns)
        return Needs(sum(_waiting(column, spikes) for column in columns), 0, raw + times)

    def taken(self) -> int:
        """Return the bytes that it has on a disk; 0 at an address."""
        if isinstance(self.path, str):
            return 0
        return sum(file.stat().st_size for file in self.path.rglob("*") if file.is_file())

    def free(self) -> int | None:
        """Return the bytes of disk that it may take, what it replaces included."""
        if isinstance(self.path, str):
            return None
        path = self.path.absolute()
        there = next(place for place in (path, *path.parents) if place.exists())
        return shutil.disk_usage(there).free + (self.taken() if self.overwrite else 0)

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
        with self._guard():
            check_beside(self.beside)
            self._check_place()
            if isinstance(self.path, Path):
                self._check_parent(self.path)

    def open(self, columns: tuple[Column, ...], header: dict[str, Json]) -> None:
        """Write the empty columns.

        Raises:
            StoreError: Something else is there, or it cannot be written to.
        """
        self.check(columns)
        self.clear()
        self.create(columns, header)

    def clear(self) -> None:
        """Remove the store of an earlier run.

        Raises:
            StoreError: There is anything else, or it cannot be removed.
        """
        with self._guard():
            clear_store(self._store)

    def create(self, columns: tuple[Column, ...], header: dict[str, Json]) -> None:
        """Write the empty columns where nothing is, or what this run itself has begun.

        Raises:
            StoreError: Something else is there, or it cannot be written to.
        """
        self._columns, self._sound = columns, True
        told = self._told(header)
        with self._guard():
            damage.refuse_another(self.path, attributes_of(self._store), told)
            clear_store(self._store)
            if self.notes:
                self.beside.write_all(self.notes)
            self.begun = True
            # Whose it is must be on the disk before anything else is.
            self._group = zarr.create_group(self.path, attributes=told, zarr_format=3)
            self._make(None)
            if isinstance(self.path, Path):
                for place in (*self.path.rglob("*"), self.path, self.path.absolute().parent):
                    settle(place)

    def reopen(
        self, columns: tuple[Column, ...], header: dict[str, Json], cursors: dict[str, Array]
    ) -> None:
        """Go on with a store from what `cursors` told; what was written later is taken away.

        Raises:
            StoreError: It is not there, is of another run, or cannot be written to.
        """
        self._columns, self._sound = columns, True
        told = self._told(header)
        with self._guard():
            try:
                torn = None
                if isinstance(self.path, Path):
                    torn = damage.torn(self._store, self._layouts(), told)
                    _tidy(self._store, torn, self._layouts())
                mode = "a" if torn and "" in torn else "r+"
                self._group = zarr.open_group(
                    self.path, mode=mode, zarr_format=3, use_consolidated=False
                )
                if torn is None:
                    damage.refuse_another(self.path, dict(self._group.attrs), told)
                self._make(torn or set())
                places = {name: damage.cursors_of(cursors, name) for name in self._parts}
                # All are looked at before one is changed.
                wrong = {name: part.check(places[name][2]) for name, part in self._parts.items()}
                for name, part in self._parts.items():
                    part.restore(*places[name], wrong[name])
            except (KeyError, FileNotFoundError) as error:
                raise StoreError(f"{self.path} is not the store of this run ({error}).") from error
            self._group.attrs.put(dict(told))

    def is_complete(
        self, columns: tuple[Column, ...], header: dict[str, Json], cursors: dict[str, Array]
    ) -> bool:
        """Return whether the store holds all that `cursors` tell of; then it can be read."""
        self._columns = columns
        if attributes_of(self._store) != self._told(header):
            return False
        try:
            self._group = zarr.open_group(
                self.path, mode="r", zarr_format=3, use_consolidated=False
            )
            if not all(damage.agrees(self._store, layout) for layout in self._layouts()):
                return False
            self._make(set())
        except (KeyError, ValueError, OSError, RecursionError):  # missing or damaged
            return False
        return all(
            part.is_whole(*damage.cursors_of(cursors, name)) for name, part in self._parts.items()
        )

    def damage(
        self,
        columns: tuple[Column, ...],
        header: dict[str, Json],
        cursors: dict[str, Array],
        *,
        ended: bool,
    ) -> list[Damage]:
        """Return all that is not as `cursors` tell, in a local folder; nothing is written.

        Args:
            columns: The recordings.
            header: What the store should tell of the run.
            cursors: How far each array is.
            ended: Whether that is all of the run.
        """
        self._columns = columns
        told = self._told(header)
        return damage.of_store(self._store, self._layouts(), told, cursors, ended=ended)

    # ------------------------------------------------------------------------- write

    def rows(self, key: str, first: int, values: Array) -> None:
        """Take samples `first` and following."""
        column = next(column for column in self._columns if column.key == key)
        with self._guard():
            self._parts[key].add(values)
            self._parts[f"{key}.time"].add(
                column.start + np.arange(first, first + len(values)) * column.interval
            )

    def spikes(
        self,
        key: str,
        times: Array,
        cells: Array,
        values: Mapping[str, Array] = MappingProxyType({}),
    ) -> None:
        """Append spikes, ordered by time."""
        if len(times):
            with self._guard():
                self._parts[f"{key}.times"].add(times)
                self._parts[f"{key}.cells"].add(cells)
                for name, numbers in values.items():
                    self._parts[f"{key}.{name}"].add(numbers)

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
        arrays = {}
        for name, part in self._parts.items():
            arrays[f"{name}/rows"] = np.array(part.done, np.int64)
            arrays[f"{name}/tail"] = part.tail()
            arrays[f"{name}/checksums"] = np.array(part.checksums, np.uint32)
        return arrays

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
        return self._parts[key].read(rows)

    def read_spikes(self, key: str) -> tuple[Array, Array]:
        """Return times and cells of all spikes of a column."""
        return self.read(f"{key}.times"), self.read(f"{key}.cells")

    # ----------------------------------------------------------------------- details

    def _told(self, header: dict[str, Json]) -> dict[str, Json]:
        """Return what the store says of itself."""
        arrays = sorted(layout.name for layout in self._layouts())
        return json.loads(json.dumps(header)) | {ARRAYS: arrays}

    def _check_place(self) -> None:
        if isinstance(self.path, Path):
            there = self.path.exists() and (not self.path.is_dir() or any(self.path.iterdir()))
        else:
            there = bool(self._store.tree())
        if there and not self.overwrite:
            raise StoreError(f"{self.path} {self._taken()}")
        if there:
            check_store(self._store)
        elif checkpoints(self.beside) and not self.overwrite:
            raise StoreError(
                f"{self.beside} holds the checkpoints of a run whose store is not at {self.path}. "
                f"Move the store back there, go on with that run (sf.resume({str(self.path)!r})) "
                "if it had not begun one, choose another path, or allow it to be replaced "
                "(overwrite=True in Python, --overwrite on the command line)."
            )

    def _check_parent(self, path: Path) -> None:
        parent = next(p for p in (path, *path.absolute().parents) if p.exists())
        if not parent.is_dir():
            raise StoreError(f"{path} cannot be made: {parent} is not a folder.")
        probe(parent, self.path)

    def _taken(self) -> str:
        again = ""
        if checkpoints(self.beside):
            again = f"go on with that run (sf.resume({str(self.path)!r})), "
        return (
            f"exists and holds something already; {again}choose another path, or allow it to be "
            "replaced (overwrite=True in Python, --overwrite on the command line)."
        )

    @contextmanager
    def _guard(self) -> Iterator[None]:
        try:
            yield
        except StoreError:
            raise
        except OSError as error:
            self._sound = False
            raise failed(self.path, error) from error
        except Exception as error:
            if isinstance(self.path, Path):
                raise
            self._sound = False  # each service has errors of its own
            raise StoreError(f"{self.path} cannot be used: {error}.") from error

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
            told = given.parsed((self.path / file).read_bytes())
            told["shape"][0] = part.length
            files[file] = json.dumps(told, indent=2).encode()
        Folder(self.path).write_all(files)
        for name, part in longer.items():
            part.array = array_in(self._group, name)

    def _layouts(self) -> list[ArrayLayout]:
        return [layout for column in self._columns for layout in layouts_of(column, CHUNK_BYTES)]

    def _make(self, torn: set[str] | None) -> None:
        """Make the arrays, or find them.

        Args:
            torn: Names of those whose metadata were damaged; None for a store that is new.

        Raises:
            KeyError: One is missing, or damaged in a store that is only read.
        """
        self._parts = {}
        for layout in self._layouts():
            if torn is None or layout.name in torn:
                array = layout.create(self._group)
            else:
                with zarr.config.set(WHOLE):
                    array = array_in(self._group, layout.name)
            if layout.values is None:
                part = Growing(self.path, layout.name, array, layout.rows, layout.known)
                self._parts[layout.name] = part
            elif not damage.holds(array, layout.values):
                if array.read_only:
                    raise KeyError(layout.name)
                array[...] = layout.values


def _waiting(column: Column, spikes: int) -> int:
    """Return the most that waits in memory until it fills a chunk."""
    if column.shape is None:
        return min(spikes * column.spike_bytes, 2 * CHUNK_BYTES)
    width = max(1, column.bytes // max(column.rows, 1))
    rows = min(column.rows, max(1, CHUNK_BYTES // width))
    return rows * width + min(8 * column.rows, CHUNK_BYTES)


def _tidy(store: Folder, torn: set[str], layouts: list[ArrayLayout]) -> None:
    """Remove what writes left that were cut short, and metadata that are damaged.

    Args:
        store: The store, which is known to be of this run.
        torn: Names of the arrays whose metadata are damaged, and "" for the store itself.
        layouts: Its arrays.
    """
    for left in leftovers(store, [layout.name for layout in layouts]):
        store.remove(left)
    for name in torn:
        store.remove(f"{name}/{METADATA}".lstrip("/"))
