"""Growing: an array in a store that is written along its first axis, a whole chunk at a time."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import google_crc32c
import numpy as np
import zarr

from somaflow.errors import StoreError
from somaflow.simulation.system import Array
from somaflow.storage.folder import METADATA, Folder, settle

_CHECKSUM = 4  # bytes at the end of a chunk


class Growing:
    """An array that is written along its first axis.

    Args:
        path: The store.
        name: The array's name.
        array: The array.
        rows: Its length at the run's end, which it has from the beginning; None where it is not
            known beforehand.
        known: `(begin, end) -> rows`, where they follow from their place; None elsewhere.

    Attributes:
        array: The array.
        done: Rows in whole chunks that are written.
        checksums: Of each of these chunks, its last four bytes, as uint32.
    """

    def __init__(
        self,
        path: str | Path,
        name: str,
        array: zarr.Array,
        rows: int | None,
        known: Callable[[int, int], Array] | None = None,
    ) -> None:
        self.path, self.name, self.array, self._rows, self._known = path, name, array, rows, known
        self._folder = path / name / "c" if isinstance(path, Path) else None
        self._chunk = array.chunks[0]
        self._waiting: list[Array] = []
        self._n_waiting = 0
        # What must be brought to the disk; a file before the folder that names it.
        self._unsettled: set[Path] = set()
        self.done = 0
        self.checksums: list[int] = []

    def add(self, values: Array) -> None:
        # A copy: what comes may be a view of a far larger table.
        self._waiting.append(np.array(values, self.array.dtype))
        self._n_waiting += len(values)
        if self._n_waiting < self._chunk:
            return
        whole = self.tail()
        while len(whole) >= self._chunk:
            self._write(whole[: self._chunk])
            self.checksums.append(self._checksum_of(len(self.checksums)))
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

    def check(self, checksums: Array) -> dict[int, str]:
        """Return what is wrong with each chunk, of an array where that can be mended.

        Raises:
            StoreError: One of those chunks is missing or damaged in a local folder, and its rows
                do not follow from their place.
        """
        damaged = self.damage(checksums)
        if damaged and self._known is None:
            raise StoreError(self._told(*next(iter(damaged.items()))))
        return damaged

    def restore(self, done: int, tail: Array, checksums: Array, damaged: dict[int, str]) -> None:
        """Go on after `done` rows in whole chunks; of all that was written later nothing stays.

        Args:
            done: Rows in whole chunks.
            tail: Those behind them.
            checksums: Of the chunks.
            damaged: What `check` returned; these are mended.
        """
        for number in damaged:
            self.done = number * self._chunk
            self._mend(number)
        self.done, self.checksums = done, [int(checksum) for checksum in checksums]
        self._keep(np.asarray(tail))
        if self._folder is None:
            self.resize(done)  # which removes the chunks behind
        else:
            self._remove_rest(self._folder)
        self.resize(done if self._rows is None else self._rows)

    def is_whole(self, done: int, tail: Array, checksums: Array) -> bool:
        """Return whether the array holds all of what a checkpoint tells, and nothing else."""
        self.done, self.checksums = done, [int(checksum) for checksum in checksums]
        self._keep(np.asarray(tail))
        return not (self.damage(checksums) or self.wrong_end(tail))

    def wrong_end(self, tail: Array) -> str | None:
        """Return what is wrong with the rows behind the whole chunks of a finished run, if any.

        Args:
            tail: Those rows.
        """
        if self.array.shape[0] != self.done + len(tail):
            return f"has {self.array.shape[0]:,} rows, not {self.done + len(tail):,}"
        try:
            rest = self.read(slice(self.done, None))
        except StoreError:
            return "is missing or damaged"
        right = np.asarray(tail, self.array.dtype)
        return None if rest.tobytes() == right.tobytes() else "is of another run"

    def damage(self, checksums: Array) -> dict[int, str]:
        """Return what is wrong with each chunk that is not what was written; in a local folder.

        Args:
            checksums: Of the chunks, uint32.
        """
        wrongs = {}
        for number, file in enumerate(self._files(len(checksums))):
            wrong = _wrong(file)
            if wrong is None and self._checksum_of(number) != int(checksums[number]):
                wrong = "is of another run"
            if wrong is not None:
                wrongs[number] = wrong
        return wrongs

    def read(self, rows: slice) -> Array:
        """Return some rows.

        Raises:
            StoreError: A chunk of them is missing, damaged or of another run.
        """
        begin, end, _ = rows.indices(self.array.shape[0])
        first, last = begin // self._chunk, -(-end // self._chunk)
        self._miss(first, last)
        for number, file in enumerate(self._files(last, first), first):
            if not file.is_file():
                raise StoreError(self._told(number, "is missing"))
            known = number < len(self.checksums)
            if known and self._checksum_of(number) != self.checksums[number]:
                raise StoreError(self._told(number, _wrong(file) or "is of another run"))
        try:
            return np.asarray(self.array[rows])
        except Exception as error:  # each codec has errors of its own
            for number, file in enumerate(self._files(last, first), first):
                if wrong := _wrong(file):
                    raise StoreError(self._told(number, wrong)) from error
            raise StoreError(f"{self.path}: {self.name} cannot be read ({error}).") from error

    def _miss(self, first: int, last: int) -> None:
        """Refuse to read chunks that are missing at an address, which Zarr takes for fill values.

        Raises:
            StoreError: One is missing.
        """
        if self._folder is not None or last <= first or 0 in self.array.shape[1:]:
            return
        place = f"{self.path}/{self.name}/c"
        there = set(Folder(place).tree())
        for number in range(first, last):
            if "/".join([str(number), *["0"] * (self.array.ndim - 1)]) not in there:
                raise StoreError(self._told(number, "is missing"))

    def _told(self, number: int, wrong: str) -> str:
        begin = number * self._chunk
        end = min(begin + self._chunk, max(self.length, begin + 1))
        return (
            f"{self.path}: chunk {number} of {self.name} (rows {begin:,} to {end - 1:,}) {wrong}. "
            f"`somaflow check {self.path}` lists what is whole; --repair mends what can be mended."
        )

    def _mend(self, number: int) -> None:
        assert self._known is not None
        [file] = self._files(number + 1, number)
        if file.is_dir():
            raise StoreError(self._told(number, "is a folder"))
        self._write(self._known(self.done, self.done + self._chunk))

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

    def _checksum_of(self, number: int) -> int:
        """Return the last bytes of a chunk; 0 where it has no file here."""
        for file in self._files(number + 1, number):
            with file.open("rb") as opened:
                opened.seek(0, 2)
                opened.seek(max(0, opened.tell() - _CHECKSUM))
                return int.from_bytes(opened.read(), "little")
        return 0

    def _remove_rest(self, folder: Path) -> None:
        first, below = self.done // self._chunk, Folder(folder)
        chunks = [path for path in below.tree() if re.fullmatch(r"\d+(/\d+)*/?", path)]
        for path in sorted(chunks, key=lambda path: -path.rstrip("/").count("/")):
            if int(path.split("/")[0]) >= first:
                below.remove(path)


def _wrong(file: Path) -> str | None:
    """Return what is wrong with the file of a chunk by itself; None if nothing is."""
    if file.is_dir():
        return "is a folder"
    try:
        data = file.read_bytes()
    except FileNotFoundError:
        return "is missing"
    except OSError as error:
        return f"cannot be read ({error.strerror or error})"
    body, checksum = data[:-_CHECKSUM], data[-_CHECKSUM:]
    if len(data) < _CHECKSUM or google_crc32c.value(body) != int.from_bytes(checksum, "little"):
        return "is damaged"
    return None
