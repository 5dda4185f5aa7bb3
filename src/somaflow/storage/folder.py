"""Folder: the place beside a results store for all that tells of the clock and the process.

A store holds what a run of the same description always holds, to the byte. Checkpoints, progress,
dates and the log lie in a folder of the same name and `.run`.
"""

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

from somaflow.errors import StoreError

SUFFIX = ".run"
# What lies there: what the run is, how far it is, what happened, who writes it, what was asked for
# on the command line, and its state.
JOB, PROGRESS, LOG, LOCK, REQUEST, CHECKPOINT = (
    "run.json",
    "progress.json",
    "log.txt",
    "lock",
    "request.json",
    "checkpoint-",
)
# And beside the store of a sweep: what it is, its finished members, its result while that is being
# written, and the one that it takes the place of.
SWEEP, PART, RESULT, REPLACED = "sweep.json", "part-", "result", "replaced"
PARTIAL = ".partial"
METADATA = "zarr.json"  # of Zarr's format 3, for a store and for each array in it
_LOCAL = "file://"
_NAME, _PATH = 255, 4096  # bytes that file systems take


def located(path: str | Path) -> str | Path:
    """Return an address such as `s3://bucket/al.zarr` as text, and a local path as a path.

    `file:///data/al.zarr` is a local path.

    Raises:
        StoreError: No file system can have such a path.
    """
    text = str(path)
    if not text or "\0" in text:
        raise StoreError(f"{text!r} is no path: it is empty, or holds a NUL character.")
    try:
        os.fsencode(text)
    except UnicodeEncodeError as error:
        raise StoreError(f"{text!r} is no path: it is no text that can be written.") from error
    if "://" in text and not text.startswith(_LOCAL):
        if not text.partition("://")[2].strip("/"):
            raise StoreError(f"{text!r} is an address without a place.")
        return text
    place = Path(text.removeprefix(_LOCAL))
    for part in place.parts:
        if (size := len(os.fsencode(part))) > _NAME:
            raise StoreError(
                f"the name {part[:40]}... has {size} bytes, and a file system takes {_NAME}; a "
                f"store needs {len(SUFFIX)} fewer, for the folder beside it."
            )
    if (size := len(os.fsencode(place.absolute()))) > _PATH:
        raise StoreError(
            f"the path {str(place)[:40]}... has {size:,} bytes, and a file system takes {_PATH:,}."
        )
    return place


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

    @property
    def place(self) -> str | Path:
        """Where it is: a local path, or an address."""
        return self._name if self._address else self._path

    def local(self, name: str) -> Path | None:
        """Return the path of a file on this machine; None at an address."""
        return None if self._address else self._path / name

    def exists(self) -> bool:
        """Return whether it is there."""
        return self._remote.exists(self._root) if self._address else os.path.isdir(self._path)

    def is_there(self) -> bool:
        """Return whether anything is there, were it a file or a link to nothing."""
        return self.exists() or (not self._address and os.path.lexists(self._path))

    def is_link(self) -> bool:
        """Return whether it is a symbolic link."""
        return not self._address and os.path.islink(self._path)  # not a path's: it may raise

    def shallow(self) -> list[str]:
        """Return the names of all that is directly in it, sorted; those of folders end with `/`."""
        if self._address or not self.exists():
            return sorted({path.split("/")[0] + "/" * ("/" in path) for path in self.tree()})
        return sorted(
            entry.name + "/" * entry.is_dir(follow_symlinks=False)
            for entry in os.scandir(self._path)
        )

    def tree(self) -> list[str]:
        """Return the path of everything below it, sorted; those of folders end with `/`.

        Links end with `@` and are not followed; at an address there are no folders.
        """
        if not self.exists():
            return []
        if self._address:
            root = self._root.rstrip("/") + "/"
            entries = self._remote.find(self._root)
            return sorted(str(entry).partition(root)[2] or str(entry) for entry in entries)
        found = []
        for place, folders, files in os.walk(self._path):
            where = Path(place).relative_to(self._path)
            for names, mark in ((files, ""), (folders, "/")):
                for name in names:
                    link = os.path.islink(os.path.join(place, name))
                    found.append((where / name).as_posix() + ("@" if link else mark))
        return sorted(found)

    def names(self) -> list[str]:
        """Return the names of its files, sorted; of a write that was cut short there is none."""
        if not self.exists():
            return []
        if self._address:
            found = [str(entry).rsplit("/", 1)[-1] for entry in self._remote.ls(self._root, False)]
        else:
            found = os.listdir(self._path)
        return sorted(name for name in found if not name.endswith(PARTIAL))

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
        partial = [path.with_name(f"{path.name}{PARTIAL}") for path in whole]
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

    def log(self, text: str) -> None:
        """Add a line with the date to the log."""
        now = datetime.now().astimezone().isoformat(sep=" ", timespec="seconds")
        self.append(LOG, f"{now} {text}\n")

    def remove(self, name: str) -> None:
        """Remove a file, if it is there; or a folder, whose path ends with `/`, if it is empty."""
        if self._address:
            if self._remote.exists(f"{self._root}/{name}"):
                self._remote.rm_file(f"{self._root}/{name}")
        elif name.endswith("/"):
            (self._path / name).rmdir()
        else:
            (self._path / name).unlink(missing_ok=True)


def probe(folder: Path, path: str | Path) -> None:
    """Refuse a folder that cannot be written to.

    Args:
        folder: The folder, which is there.
        path: What is to be written in it, for the message.

    Raises:
        StoreError: So it is.
    """
    # os.access says yes to root, whatever a read-only mount says; a file tells the truth.
    try:
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".somaflow-"):
            pass
    except OSError as error:
        raise StoreError(
            f"{path} cannot be written: {error.strerror or error} ({folder})."
        ) from error


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


def replace_file(path: Path, data: bytes) -> None:
    """Write a file that is there whole or not at all, in place of one that may be there.

    Args:
        path: The file; where it is a link, the link is replaced and not what it leads to.
        data: What is to be in it.

    Raises:
        OSError: It cannot be written; what was there is as it was.
    """
    part = path.with_name(f".{path.name}-{uuid4().hex}")
    try:
        with part.open("xb") as file:
            file.write(data)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def writing(path: object) -> Iterator[None]:
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


def failed(path: object, error: OSError) -> StoreError:
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
    try:
        return fsspec.core.url_to_fs(address)
    except (ValueError, ImportError, OSError) as error:
        raise StoreError(f"{address} is an address that cannot be opened: {error}.") from error
