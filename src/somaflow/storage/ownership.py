"""Ownership: which files at a store, and in the folder beside it, a run has written.

Only such files are ever removed, by their names and one by one. Whatever else is there makes a run
refuse the place before it touches anything.
"""

import re
from collections.abc import Callable
from pathlib import PurePosixPath
from typing import Any

from somaflow.errors import StoreError
from somaflow.given import parsed
from somaflow.notation import Json
from somaflow.storage.claim import is_lock
from somaflow.storage.folder import (
    CHECKPOINT,
    JOB,
    LOCK,
    LOG,
    METADATA,
    PART,
    PARTIAL,
    PROGRESS,
    REPLACED,
    REQUEST,
    RESULT,
    SWEEP,
    Folder,
)

ARRAYS = "somaflow_arrays"  # in a store's attributes: the names of all that its run has made
_GROUP = {"attributes", "node_type", "zarr_format", "consolidated_metadata"}
_MOST = 5  # names in a message
# A file that is being written has a name with some digits of its own, and this at its end.
_WRITING = rf"(\.[0-9a-f]+)?{re.escape(PARTIAL)}"
_FILES = "|".join(re.escape(name) for name in (JOB, PROGRESS, LOG, REQUEST))
_BESIDE = re.compile(rf"(?:{_FILES}|{re.escape(CHECKPOINT)}\d{{12,}})(?:{re.escape(PARTIAL)})?")
_SWEEP_FILES = "|".join(re.escape(name) for name in (SWEEP, PROGRESS, LOG, REQUEST))
_SWEEP = re.compile(
    rf"(?:{_SWEEP_FILES}|{re.escape(PART)}\d{{8,}})(?:{re.escape(PARTIAL)})?|{RESULT}/|{REPLACED}/"
)
_TOLD = re.compile(rf"(?:zarr|{re.escape(METADATA)})(?:{_WRITING})")
_CHUNK = re.compile(rf"\d+(?:{_WRITING})?")


# --------------------------------------------------------------------- the folder beside a store


def check_beside(folder: Folder) -> None:
    """Refuse a folder beside a store that holds anything but a run.

    Raises:
        StoreError: It is no folder, or a link; something in it was not written by a run; or
            nothing in it says of which run it is.
    """
    _check_kept(folder, "a run keeps its checkpoints", "run", _BESIDE, JOB, job_of)


def job_of(folder: Folder) -> dict[str, Json] | None:
    """Return what the folder beside a store tells of its run; None where that is not recognised."""
    try:
        told = parsed(folder.read(JOB))
        return told if "fingerprint" in told["meta"] and "format" in told else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def clear_beside(folder: Folder) -> None:
    """Remove what an earlier run left beside its store: checkpoints first, and last what it was."""
    for name in sorted(folder.shallow(), key=lambda name: (name == JOB, name)):
        if _BESIDE.fullmatch(name):
            folder.remove(name)


def tidy_beside(folder: Folder) -> None:
    """Remove what is left beside a store of writes that were cut short."""
    for name in folder.shallow():
        if name.endswith(PARTIAL) and _BESIDE.fullmatch(name):
            folder.remove(name)


# ----------------------------------------------------------- the folder beside a sweep's result


def check_beside_sweep(folder: Folder) -> None:
    """Refuse a folder beside the result of a sweep that holds anything but a sweep.

    Raises:
        StoreError: It is no folder, or a link; it holds a run, or something that no sweep has
            written; or nothing in it says of which sweep it is.
    """
    if folder.exists() and not folder.is_link() and JOB in folder.shallow():
        raise StoreError(
            f"{folder} belongs to a single run, not to a sweep; choose another path for the sweep."
        )
    _check_kept(folder, "a sweep keeps its finished members", "sweep", _SWEEP, SWEEP, sweep_of)


def sweep_of(folder: Folder) -> dict[str, Json] | None:
    """Return what the folder beside a result tells of its sweep; None where it tells of none."""
    try:
        told = parsed(folder.read(SWEEP))
        return told if "fingerprint" in told and "format" in told else None
    except (OSError, ValueError, TypeError):
        return None


def tidy_beside_sweep(folder: Folder, parts: bool) -> None:
    """Remove what writes that were cut short left beside the result of a sweep.

    Args:
        folder: That folder, which `check_beside_sweep` takes.
        parts: Whether the finished members go too, since the result has them all.

    Raises:
        StoreError: There is something in a result there that no sweep has written.
        OSError: A file cannot be removed.
    """
    for name in folder.shallow():
        if name in (f"{RESULT}/", f"{REPLACED}/"):
            clear_store(Folder(f"{folder}/{name[:-1]}"))
            folder.remove(name)
        elif _SWEEP.fullmatch(name) and (
            name.endswith(PARTIAL) or (parts and name.startswith(PART))
        ):
            folder.remove(name)


def clear_beside_sweep(folder: Folder) -> None:
    """Remove what a sweep has left beside its result, and last what tells whose it was.

    Raises:
        StoreError: There is something that no sweep has written.
        OSError: A file cannot be removed.
    """
    check_beside_sweep(folder)
    tidy_beside_sweep(folder, parts=True)
    for name in sorted(folder.shallow(), key=lambda name: (name == SWEEP, name)):
        if _SWEEP.fullmatch(name):
            folder.remove(name)


# ------------------------------------------------------------------------------------- the store


def attributes_of(store: Folder) -> dict[str, Any] | None:
    """Return what a store says of itself; None where it is not one that a run has written."""
    try:
        group = parsed(store.read(METADATA))
        told, names = group["attributes"], group["attributes"][ARRAYS]
        is_group = (group["node_type"], group["zarr_format"]) == ("group", 3)
        known = isinstance(names, list) and all(isinstance(name, str) for name in names)
        return told if is_group and group.keys() <= _GROUP and known else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def leftovers(store: Folder, arrays: list[str]) -> list[str]:
    """Return what is left in a store of writes of some arrays that were cut short."""
    return [path for path in store.tree() if path.endswith(PARTIAL) and _belongs(path, arrays)]


def strangers(store: Folder, arrays: list[str]) -> list[str]:
    """Return what lies in a store and belongs to none of some arrays, nor to the store itself."""
    return [path for path in store.tree() if not _belongs(path, arrays)]


def check_store(store: Folder) -> None:
    """Refuse to replace a place that holds anything but a store of ours.

    Raises:
        StoreError: So it does.
    """
    told = attributes_of(store)
    is_file = store.is_there() and not store.exists()
    if told is None and not is_file and all(_TOLD.fullmatch(name) for name in store.shallow()):
        return  # nothing, or what was left of the very first write
    if told is None:
        raise StoreError(
            f"{store} is not a results store of this version of somaflow, so it is not replaced; "
            "move it, or choose another path."
        )
    if strange := strangers(store, told[ARRAYS]):
        raise StoreError(
            f"{store} holds what its run has not written, so it is not replaced: "
            f"{listed(strange)}. Move it, or choose another path."
        )


def clear_store(store: Folder) -> None:
    """Remove every file that a run has written to a store; what tells whose it is goes last.

    Raises:
        StoreError: There is anything else.
        OSError: A file cannot be removed.
    """
    check_store(store)
    # Deep ones first: a folder is removed when it is empty.
    for path in sorted(store.tree(), key=lambda path: (path == METADATA, -_depth(path), path)):
        store.remove(path)


def _check_kept(
    folder: Folder,
    what: str,
    kind: str,
    known: re.Pattern[str],
    file: str,
    told_of: Callable[[Folder], object],
) -> None:
    """Refuse a folder that holds anything but what a run or a sweep has written.

    Args:
        folder: The folder.
        what: What it is for, for messages.
        kind: Whose it is.
        known: Matches the names of what is written there.
        file: The name of what says whose it is.
        told_of: Returns what that says; None where it is missing or damaged.

    Raises:
        StoreError: So it does.
    """
    if folder.is_link() or (folder.is_there() and not folder.exists()):
        raise StoreError(
            f"{folder}, where {what}, is a link or no folder; move it, or choose another path."
        )
    files = folder.shallow()
    strange = [name for name in files if not known.fullmatch(name) and name != LOCK]
    if LOCK in files and not is_lock(folder):
        strange.append(LOCK)
    if strange:
        raise StoreError(
            f"{folder}, where {what}, holds what no {kind} has written: {listed(strange)}. Move "
            "it, or choose another path."
        )
    if set(files) - {LOCK, f"{file}{PARTIAL}"} and told_of(folder) is None:
        raise StoreError(
            f"nothing in {folder} says of which {kind} it is: {file} is missing or damaged. Move "
            "that folder, or choose another path."
        )


def listed(names: list[str]) -> str:
    """Return some names for a message."""
    more = len(names) - _MOST
    shown = ", ".join(repr(name) for name in sorted(names)[:_MOST])
    return f"{shown} and {more} more" if more > 0 else shown


def _depth(path: str) -> int:
    return len(PurePosixPath(path).parts)


def _belongs(path: str, arrays: list[str]) -> bool:
    """Return whether a path in a store is one that a run writes; one of a folder ends with `/`."""
    is_folder = path.endswith("/")
    name, *rest = PurePosixPath(path).parts
    if not rest and not is_folder:
        return name == METADATA or _TOLD.fullmatch(name) is not None
    if name not in arrays:
        return False
    if not rest:
        return is_folder
    if len(rest) == 1 and not is_folder:
        return rest[0] == METADATA or _TOLD.fullmatch(rest[0]) is not None
    pattern = re.compile(r"\d+") if is_folder else _CHUNK
    return rest[0] == "c" and all(
        (pattern if k == len(rest) - 1 else re.compile(r"\d+")).fullmatch(part)
        for k, part in enumerate(rest)
        if k
    )
