"""The place of a sweep on the disk: what lies there, whose it is, and what goes where."""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
import zarr

from somaflow import given
from somaflow.errors import StoreError
from somaflow.notation import Json
from somaflow.storage.claim import claimed
from somaflow.storage.folder import (
    PROGRESS,
    REPLACED,
    RESULT,
    SWEEP,
    Folder,
    beside,
    located,
    probe,
    settle,
    writing,
)
from somaflow.storage.ownership import (
    attributes_of,
    check_beside_sweep,
    check_store,
    sweep_of,
    tidy_beside_sweep,
)
from somaflow.sweeping.parts import FAILURE, Kept, Parts
from somaflow.sweeping.result import Layout, write

FORMAT = 1
TOLD = "sweep"  # in a result's attributes: which sweep it is of
_CHANGES = (
    "Choose another path for it. What varies, and how often, is fixed once a sweep has begun."
)
_LONGEST, _MOST = 60, 6  # characters of a value, and values, in a message
_DIGESTS = {
    "networks": "the function makes other networks",
    "text of reduce": "the text of the function reduce is another",
}


def place_of(sink: object) -> Path | None:
    """Return where a result goes; None for memory.

    Raises:
        WrongTypeError: It is no path.
        StoreError: It is an address, or a symbolic link, or no file system can have it.
    """
    if sink is None:
        return None
    path = located(given.path(sink))
    if isinstance(path, str):
        raise StoreError(
            f"{path} is an address, and a sweep keeps its finished members on a local disk; give "
            "a local path, and copy the result when it is whole."
        )
    if os.path.islink(path):
        raise StoreError(
            f"{path} is a symbolic link to {os.readlink(path)}; give that place itself: what "
            "belongs to a sweep lies beside its result."
        )
    return path


class Place:
    """The result of a sweep and the folder beside it.

    Args:
        path: Where the result is, or will be.

    Attributes:
        path: That place.
        folder: The folder beside it, with the finished members.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.folder = path, beside(path)
        self._store = Folder(path)

    @contextmanager
    def claimed(self) -> Iterator[None]:
        """Keep others from writing the sweep.

        Raises:
            StoreError: Another process is writing it, or the place cannot be written to.
        """
        self._check_parent()
        check_beside_sweep(self.folder)
        with claimed(self.folder):
            check_beside_sweep(self.folder)
            yield

    def check(self, ours: Mapping[str, str]) -> None:
        """Refuse what is there if it is not of this sweep.

        Args:
            ours: What the sweep is, in parts that can be told.

        Raises:
            StoreError: It is of another sweep, or of a run, or a user's own.
        """
        there = self.path.exists() and (not self.path.is_dir() or any(self.path.iterdir()))
        store = attributes_of(self._store)
        if there and store is None:
            raise StoreError(
                f"{self.path} exists and is no result of a sweep; choose another path."
            )
        if there and TOLD not in (store or {}):
            raise StoreError(
                f"{self.path} is the store of a single run, not the result of a sweep; choose "
                "another path."
            )
        told = self.told
        if told is not None:
            if told["format"] != FORMAT:
                raise StoreError(
                    f"{self.folder} has format {told['format']!r}; this version reads format "
                    f"{FORMAT}. Go on with the version that wrote it, or choose another path."
                )
            if told["fingerprint"] != fingerprint(ours):
                differences = "; ".join(differing(told["is"], ours))
                raise StoreError(f"{self.path} is of another sweep: {differences}. {_CHANGES}")
        if store is not None and store[TOLD] != fingerprint(ours):
            raise StoreError(f"{self.path} is the result of another sweep. {_CHANGES}")

    def begin(self, ours: Mapping[str, str], more: Mapping[str, Json]) -> None:
        """Say which sweep it is, before anything of it is written.

        Args:
            ours: What the sweep is.
            more: What else is kept with that.

        Raises:
            StoreError: It cannot be written.
        """
        told = {"format": FORMAT, "fingerprint": fingerprint(ours), "is": ours, **more}
        with writing(self.folder):
            self.folder.write(SWEEP, json.dumps(told).encode())

    @property
    def told(self) -> dict[str, Any] | None:
        """What it tells of its sweep; None where it tells of none."""
        return sweep_of(self.folder)

    def parts(self, ours: Mapping[str, str], taken: set[str]) -> Parts:
        """Return the finished members that are there.

        Args:
            ours: What the sweep is.
            taken: Names that no array of a member may have.

        Raises:
            StoreError: Some are of another sweep.
        """
        with writing(self.folder):
            tidy_beside_sweep(self.folder, parts=False)
            return Parts(self.folder, fingerprint(ours), taken)

    def failed(self) -> int | None:
        """Return how many members of the result have failed; None where there is no result."""
        if attributes_of(self._store) is None:
            return None
        reasons = zarr.open_array(f"{self.path}/{FAILURE}", mode="r")[...]
        return int(np.count_nonzero(np.asarray(reasons, object) != ""))

    def free(self) -> int:
        """Return the bytes that are free on its disk."""
        path = self.path.absolute()
        there = next(place for place in (path, *path.parents) if place.exists())
        return shutil.disk_usage(there).free

    def finish(self, layout: Layout, kept: Kept) -> None:
        """Write the result, whole or not at all, and put it in its place.

        Finished members that are in it are not needed any more, unless some failed: then the result
        is made anew of all when these are run again.

        Raises:
            StoreError: It cannot be written. The members that are finished stay.
        """
        made = Path(f"{self.folder}/{RESULT}")
        old = Path(f"{self.folder}/{REPLACED}")
        try:
            with writing(self.path):
                write(made, layout, kept)
                if self.path.exists():
                    if any(self.path.iterdir()):
                        check_store(self._store)
                        self.path.rename(old)
                    else:
                        self.path.rmdir()
                made.rename(self.path)
                settle(self.path.absolute().parent)
                settle(made.parent)
        except StoreError:
            with suppress(OSError):  # what does not fit must not fill the disk
                tidy_beside_sweep(self.folder, parts=False)
            raise
        self.tidy(whole=not layout.failures)

    def tidy(self, whole: bool) -> None:
        """Remove what is not needed any more.

        Args:
            whole: Whether the result holds all members.
        """
        with writing(self.folder):
            tidy_beside_sweep(self.folder, parts=whole)

    def line(self, text: str) -> None:
        """Add a line with the date to the log, if there is room for it."""
        with suppress(OSError):
            self.folder.log(text)

    def note(self, told: Mapping[str, Json]) -> None:
        """Write how far the sweep is, for others to read, if there is room for it."""
        with suppress(OSError):
            self.folder.write(PROGRESS, json.dumps(told).encode())

    def _check_parent(self) -> None:
        path = self.path.absolute()
        parent = next(place for place in path.parents if place.exists())
        if not parent.is_dir():
            raise StoreError(f"{self.path} cannot be made: {parent} is not a folder.")
        probe(parent, self.path)


def opened(path: Path) -> xr.Dataset:
    """Return a result whose numbers are read when they are asked for."""
    return xr.open_dataset(path, engine="zarr", consolidated=False, chunks=None)


def fingerprint(ours: Mapping[str, str]) -> str:
    """Return one text for what a sweep is."""
    return hashlib.sha256(json.dumps(ours, sort_keys=True).encode()).hexdigest()


def differing(there: Mapping[str, str], here: Mapping[str, str]) -> list[str]:
    """Return in words what differs between two sweeps.

    Args:
        there: What the one on the disk is, as `fingerprint` takes it.
        here: The one that is asked for.
    """
    words = []
    for name in sorted(here.keys() | there.keys()):
        old, new = there.get(name), here.get(name)
        if old == new:
            continue
        if name in _DIGESTS:
            words.append(_DIGESTS[name])
        elif old is None or new is None:
            words.append(f"{name} is only {'here' if old is None else 'there'}")
        else:
            words.append(f"{name} is {_short(old)} there and {_short(new)} here")
    more = len(words) - _MOST
    return [*words[:_MOST], f"and {more} more"] if more > 0 else words


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
