"""Claims: a store is written by one run at a time.

The claim is a lock of the operating system on a file beside the store, so it ends with the process,
however that ends; filelock asks each system for it. A file that is there without a run that still
goes on was left by one that was killed. Why filelock's own `FileLock` does not serve is in
docs/design/checkpoints.md.
"""

import os
import platform
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import lock_descriptor

from somaflow.errors import StoreError
from somaflow.storage.folder import LOCK, Folder, writing

_TRIES = 100
# There the first byte of a file that is locked cannot be read, and a file that is open not removed.
_WINDOWS = os.name == "nt"


@contextmanager
def claimed(folder: Folder) -> Iterator[None]:
    """Keep others from writing a run while it is being written here.

    An address has no locks, and some file systems have none: there nothing is checked.

    Args:
        folder: The folder beside the store.

    Raises:
        StoreError: Another process, or another thread of this one, is writing it; or the folder
            cannot be made.
    """
    path = folder.local(LOCK)
    with writing(folder):
        number = None if path is None else _locked(path)
    try:
        yield
    finally:
        if path is not None and number is not None:
            _release(path, number)


def is_claimed(folder: Folder) -> bool:
    """Return whether a run may be writing; False only where none is.

    What a killed process left is taken for a claim: to try the lock might disturb a run that
    begins.
    """
    path = folder.local(LOCK)
    return path is None or path.exists()


def is_lock(folder: Folder) -> bool:
    """Return whether the file of a lock's name, which is there, is one that a run has written."""
    try:
        return re.fullmatch(rb"|process \d+ on .*", folder.read(LOCK)) is not None
    except PermissionError:
        return _WINDOWS  # somebody has locked it
    except OSError:
        return False


def _locked(path: Path) -> int | None:
    """Return the descriptor that holds the lock; None where the file system has none."""
    if path.exists() and not is_lock(Folder(path.parent)):
        raise StoreError(f"{path} is no file that a run has written; move it.")
    while True:
        number = _opened(path)
        try:
            free = lock_descriptor(number, blocking=False)
        except OSError:
            os.close(number)
            return None
        if not free:
            raise StoreError(
                f"{path.parent} is being written by {_holder(number)}; wait until that run has "
                "ended, or choose another path."
            )
        if _is_still(path, number):
            with suppress(OSError):  # on a full disk nobody learns the name
                os.truncate(number, 0)
                os.write(number, f"process {os.getpid()} on {platform.node()}".encode())
            return number
        os.close(number)  # whoever held it removed it meanwhile


def _holder(number: int) -> str:
    """Return who has locked a file that is open, and close it."""
    try:
        return os.read(number, 200).decode(errors="replace") or "another process"
    except OSError:
        return "another process"
    finally:
        os.close(number)


def _opened(path: Path) -> int:
    for _ in range(_TRIES):
        # Whoever held it may remove an empty folder in between.
        with suppress(FileNotFoundError, FileExistsError):
            path.parent.mkdir(parents=True, exist_ok=True)
            return os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    path.parent.mkdir(parents=True, exist_ok=True)
    return os.open(path, os.O_RDWR | os.O_CREAT, 0o644)


def _release(path: Path, number: int) -> None:
    """Give a lock back. A file system that has failed meanwhile must not hide why."""
    try:
        with suppress(OSError):
            if not _WINDOWS and _is_still(path, number):  # not another's, where ours was removed
                _remove(path)
    finally:
        os.close(number)
    if _WINDOWS:  # and where another has opened it meanwhile, it stays
        with suppress(OSError):
            _remove(path)


def _remove(path: Path) -> None:
    path.unlink()
    path.parent.rmdir()  # which it is only where nothing was written


def _is_still(path: Path, number: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(number))
    except FileNotFoundError:
        return False
