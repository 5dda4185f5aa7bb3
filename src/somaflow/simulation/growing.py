"""Growing: an array in a store that is written along its first axis, a whole chunk at a time."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np

from somaflow.simulation.folder import settle
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

    @property
    def length(self) -> int:
        """Rows that were given."""
        return self.done + self._n_waiting

    def resize(self, length: int) -> None:
        """Make the array longer or shorter."""
        if self.array.shape[0] != length:
            self.array.resize((length, *self.array.shape[1:]))

    def restore(self, done: int, tail: Array) -> None:
        """Go on after `done` rows in whole chunks; of all that was written later nothing stays."""
        self.done = done
        self._keep(np.asarray(tail))
        if self._folder is None:
            self.resize(done)  # which removes the chunks behind
        else:
            self._remove_rest(self._folder)
        self.resize(done if self._rows is None else self._rows)

    def _keep(self, values: Array) -> None:
        self._waiting, self._n_waiting = [values], len(values)

    def _write(self, values: Array) -> None:
        end = self.done + len(values)
        if self.array.shape[0] < end:
            self.resize(end)
        self.array[self.done : end] = values
        self._unsettled.append(self.done // self._chunk)

    def _remove_rest(self, folder: Path) -> None:
        for entry in list(folder.iterdir()) if folder.is_dir() else ():
            if entry.name.isdecimal() and int(entry.name) >= self.done // self._chunk:
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
