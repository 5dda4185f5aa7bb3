"""Folder: the place beside a results store for all that tells of the clock and the process.

A store holds what a run of the same description always holds, to the byte. Checkpoints, progress,
dates and the log lie in a folder of the same name and `.run`.
"""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from somaflow.errors import StoreError

SUFFIX = ".run"
# What lies there: what the run is, how far it is, what happened, who writes it, and its state.
JOB, PROGRESS, LOG, LOCK, CHECKPOINT = (
    "run.json",
    "progress.json",
    "log.txt",
    "lock",
    "checkpoint-",
)
_PARTIAL = ".partial"
METADATA = "zarr.json"  # of Zarr's format 3, for a store and for each array in it
_LOCAL = "file://"


def located(path: str | Path) -> str | Path:
    """Return an address such as `s3://bucket/al.zarr` as text, and a local path as a path.

    `file:///data/al.zarr` is a local path.
    """
    text = str(path)
    if text.startswith(_LOCAL):
        return Path(text.removeprefix(_LOCAL))
    return text if "://" in text else Path(path)


def is_address(path: str | Path) -> bool:
    """Return whether this is an address such as `s3://bucket/al.zarr` and not a local path."""
    return isinstance(located(path), str)


def beside(store: str | Path) -> "Folder":
    """Return the folder that belongs to a store."""
    return Folder(f"{str(store).rstrip('/')}{SUFFIX}")


class Folder:
    """Small files, each replaced as a whole or not at all.

    Args:
        path: A local path or an address that fsspec knows.

    Raises:
        StoreError: It is an address, and fsspec is not installed.
    """

    def __init__(self, path: str | Path) -> None:
        place = located(path)
        self._address = isinstance(place, str)
        if isinstance(place, str):
            self._remote, self._root = _file_system(place)
        else:
            self._path = place
        self._name = str(path)

    def __str__(self) -> str:
        return self._name

    def local(self, name: str) -> Path | None:
        """Return the path of a file on this machine; None at an address."""
        return None if self._address else self._path / name

    def exists(self) -> bool:
        """Return whether it is there."""
        return self._remote.exists(self._root) if self._address else self._path.is_dir()

    def names(self) -> list[str]:
        """Return the names of its files, sorted; of a write that was cut short there is none."""
        if not self.exists():
            return []
        if self._address:
            found = [str(entry).rsplit("/", 1)[-1] for entry in self._remote.ls(self._root, False)]
        else:
            found = os.listdir(self._path)
        return sorted(name for name in found if not name.endswith(_PARTIAL))

    def read(self, name: str) -> bytes:
        """Return a file.

        Raises:
            FileNotFoundError: There is none.
        """
        if self._address:
            return self._remote.cat_file(f"{self._root}/{name}")
        return (self._path / name).read_bytes()

    def write(self, name: str, data: bytes) -> None:
        """Write a file; until all of it is there, the old one stays.

        Raises:
            OSError: It cannot be written.
        """
        self.write_all({name: data})

    def write_all(self, files: dict[str, bytes]) -> None:
        """Write files that belong together: where one does not fit, all old ones stay.

        Args:
            files: What is in them by name; folders of a local path exist already.

        Raises:
            OSError: One of them cannot be written.
        """
        if self._address:
            self._remote.makedirs(self._root, exist_ok=True)
            for name, data in files.items():
                self._remote.pipe_file(f"{self._root}/{name}", data)
            return
        self._path.mkdir(parents=True, exist_ok=True)
        whole = [self._path / name for name in files]
        partial = [path.with_name(f"{path.name}{_PARTIAL}") for path in whole]
        try:
            for path, data in zip(partial, files.values(), strict=True):
                with path.open("wb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
            for path, target in zip(partial, whole, strict=True):
                path.replace(target)
        except OSError:
            for path in partial:
                with suppress(OSError):
                    path.unlink()  # what does not fit must not fill the disk
            raise
        for parent in {path.parent for path in whole}:
            settle(parent)

    def append(self, name: str, text: str) -> None:
        """Add text at the end of a file."""
        if self._address:
            old = self.read(name) if name in self.names() else b""
            self.write(name, old + text.encode())
            return
        self._path.mkdir(parents=True, exist_ok=True)
        with (self._path / name).open("a", encoding="utf-8") as file:
            file.write(text)

    def tidy(self) -> None:
        """Remove what is left of writes that were cut short."""
        if not self._address and self.exists():
            for entry in list(self._path.glob(f"*{_PARTIAL}")):
                entry.unlink(missing_ok=True)

    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""
        if self._address:
            if name in self.names():
                self._remote.rm_file(f"{self._root}/{name}")
        else:
            (self._path / name).unlink(missing_ok=True)


def settle(path: Path) -> None:
    """Wait until a file, or the list of names in a folder, is on the disk itself."""
    is_folder = path.is_dir()
    if os.name == "nt" and is_folder:
        return  # which Windows cannot wait for
    # Windows waits only for what may be written.
    with _descriptor(path, os.O_RDONLY if is_folder else os.O_RDWR) as number:
        try:
            os.fsync(number)
        except OSError as error:
            if not is_folder or error.errno not in (errno.EINVAL, errno.ENOTSUP):
                raise  # but some file systems have no lists of names to wait for


@contextmanager
def writing(path: Any) -> Iterator[None]:
    """Tell a user what the operating system refuses in a block that writes.

    Raises:
        StoreError: In place of any other error of the operating system.
    """
    try:
        yield
    except StoreError:
        raise
    except OSError as error:
        raise failed(path, error) from error


def failed(path: Any, error: OSError) -> StoreError:
    """Return what a user is told when the operating system refuses a write."""
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    reason = "the disk is full" if full else (error.strerror or str(error))
    return StoreError(
        f"writing to {path} failed: {reason}. What was written before stays readable."
    )


@contextmanager
def _descriptor(path: Path, flags: int) -> Iterator[int]:
    number = os.open(path, flags)
    try:
        yield number
    finally:
        os.close(number)


def _file_system(address: str) -> tuple[Any, str]:
    try:
        import fsspec  # noqa: PLC0415 - optional
    except ImportError as error:
        raise StoreError(
            f"{address} is an address, for which the package fsspec is needed: "
            "pip install 'somaflow[remote]'."
        ) from error
    return fsspec.core.url_to_fs(address)
