"""Growing: an array in a store that is written along its first axis, a whole chunk at a time."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from somaflow.simulation.folder import METADATA, settle
from somaflow.simulation.system import Array


class Growing:
    """An array that is written along its first axis.

    Args:
        path: The store.
        name: The array's name.
        array: The array.
        rows: Its length at the run's end, which it has from the beginning; None where it is not
            known beforehand.

    Attributes:
        array: The array.
        done: Rows in whole chunks that are written.
    """

    def __init__(self, path: str | Path, name: str, array: Any, rows: int | None) -> None:
        self.array, self._rows = array, rows
        self._folder = path / name / "c" if isinstance(path, Path) else None
        self._chunk = array.chunks[0]
        self._waiting: list[Array] = []
        self._n_waiting = 0
        # What must be brought to the disk; a file before the folder that names it.
        self._unsettled: set[Path] = set()
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
        unsettled, self._unsettled = self._unsettled, set()
        for place in sorted(unsettled, key=lambda place: len(place.parts), reverse=True):
            settle(place)

    @property
    def length(self) -> int:
        """Rows that were given."""
        return self.done + self._n_waiting

    def resize(self, length: int) -> None:
        """Make the array longer or shorter."""
        if self.array.shape[0] != length:
            self.array.resize((length, *self.array.shape[1:]))
            if self._folder is not None:
                self._unsettled |= {self._folder.parent / METADATA, self._folder.parent}

    def restore(self, done: int, tail: Array) -> None:
        """Go on after `done` rows in whole chunks; of all that was written later nothing stays.

        Raises:
            FileNotFoundError: One of those chunks is missing in a local folder.
        """
        self.done = done
        for file in self._files(done // self._chunk):
            if not file.exists():
                raise FileNotFoundError(f"{file} is missing")
        self._keep(np.asarray(tail))
        if self._folder is None:
            self.resize(done)  # which removes the chunks behind
        else:
            self._remove_rest(self._folder)
        self.resize(done if self._rows is None else self._rows)

    def is_whole(self, length: int) -> bool:
        """Return whether the array has so many rows, and every chunk of them."""
        files = self._files(-(-length // self._chunk))
        return self.array.shape[0] == length and all(file.exists() for file in files)

    def _keep(self, values: Array) -> None:
        self._waiting, self._n_waiting = [values], len(values)

    def _write(self, values: Array) -> None:
        end = self.done + len(values)
        if self.array.shape[0] < end:
            self.resize(end)
        self.array[self.done : end] = values
        for file in self._files(self.done // self._chunk + 1, self.done // self._chunk):
            places = file, *file.parents
            self._unsettled.update(places[: self.array.ndim + 2])  # up to that of the array

    def _files(self, end: int, begin: int = 0) -> Iterator[Path]:
        """Iterate over the files of some chunks in a local folder."""
        if self._folder is not None and 0 not in self.array.shape[1:]:
            for number in range(begin, end):
                yield self._folder.joinpath(str(number), *["0"] * (self.array.ndim - 1))

    def _remove_rest(self, folder: Path) -> None:
        for entry in list(folder.iterdir()) if folder.is_dir() else ():
            if entry.name.isdecimal() and int(entry.name) >= self.done // self._chunk:
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
