"""Checkpoints: the whole state of a run as one file that is either right or refused.

A file is one line of JSON (format, length of the rest, SHA-256 of format and rest) and then the
rest: a NumPy archive of arrays, with a header in JSON among them.
"""

import hashlib
import io
import json
import re
import zipfile
from dataclasses import dataclass
from typing import Any

import numpy as np

from somaflow.errors import StoreError
from somaflow.given import parsed
from somaflow.notation import Json
from somaflow.simulation.system import Array
from somaflow.storage.folder import CHECKPOINT, Folder

FORMAT = 7
_HEADER = "header"
_NAME = re.compile(rf"{re.escape(CHECKPOINT)}\d{{12,}}")
_KEPT = 2  # the newest, and the one before it in case that is damaged


@dataclass(frozen=True)
class Checkpoint:
    """All that a run needs to go on as if it had never stopped.

    Attributes:
        step: Steps made in the run.
        header: What else is known, as plain JSON.
        arrays: Arrays by name.
    """

    step: int
    header: dict[str, Any]
    arrays: dict[str, Array]

    @property
    def ended(self) -> bool:
        """Whether the run was over with its last step, before its length."""
        return self.header.get("ended", False)


def save(folder: Folder, checkpoint: Checkpoint) -> None:
    """Write a checkpoint, then remove all but this one and the one before it.

    A newer one is left over from a run that went on from an older one, because it was damaged.

    Raises:
        OSError: It cannot be written. The ones before it stay.
    """
    saved = f"{CHECKPOINT}{checkpoint.step:012d}"
    folder.write(saved, encode(checkpoint))
    there = names(folder)
    newest_two = [name for name in there if name <= saved][-_KEPT:]
    for name in there:
        if name not in newest_two:
            folder.remove(name)


def names(folder: Folder) -> list[str]:
    """Return the files of all checkpoints, the newest last."""
    return [name for name in folder.names() if _NAME.fullmatch(name)]


def step_of(name: str) -> int:
    """Return the steps made before the checkpoint of that name."""
    return int(name.removeprefix(CHECKPOINT))


def newest(folder: Folder) -> tuple[Checkpoint, list[str]]:
    """Return the newest checkpoint that is whole, and why each newer one was passed over.

    Raises:
        StoreError: There is none, or all are damaged, or it is of another format.
    """
    damaged = []
    for name in reversed(names(folder)):
        try:
            return read(folder, name), damaged
        except Damaged as error:
            damaged.append(str(error))
    if not damaged:
        raise StoreError(f"there is no checkpoint in {folder}.")
    raise StoreError(f"no checkpoint in {folder} can be used: {'; '.join(damaged)}.")


class Damaged(StoreError):  # noqa: N818 - a state of bytes
    """The bytes are not those that were written."""


def read(folder: Folder, name: str) -> Checkpoint:
    """Return the checkpoint in a file.

    Raises:
        Damaged: It is not what was written.
        StoreError: It is of another format.
    """
    try:
        checkpoint = decode(folder.read(name))
    except Damaged as error:
        raise Damaged(f"{name} is damaged ({error})") from error
    except StoreError:
        raise
    except OSError as error:
        raise Damaged(f"{name} cannot be read ({error.strerror or error})") from error
    if checkpoint.step != step_of(name):
        raise Damaged(f"{name} is damaged (it holds the state after {checkpoint.step} steps)")
    return checkpoint


def encode(checkpoint: Checkpoint) -> bytes:
    """Return a checkpoint as bytes."""
    header = json.dumps({"step": checkpoint.step, "header": checkpoint.header})
    # NumPy's archives name a file for each array, so paths are numbered.
    files = {f"array_{k}": array for k, array in enumerate(checkpoint.arrays.values())}
    files["names"] = np.array(json.dumps(list(checkpoint.arrays)))
    files[_HEADER] = np.array(header)
    rest = io.BytesIO()
    np.savez(rest, **files)  # pyright: ignore[reportArgumentType] - its other argument is a flag
    body = rest.getvalue()
    first = {"somaflow checkpoint": FORMAT, "bytes": len(body), "sha256": _digest(FORMAT, body)}
    return json.dumps(first).encode() + b"\n" + body


def decode(data: bytes) -> Checkpoint:
    """Return what `encode` wrote.

    Raises:
        StoreError: It is of another format.
    """
    line, _, body = data.partition(b"\n")
    try:
        first = parsed(line)
        form = first["somaflow checkpoint"]
        if len(body) != first["bytes"]:
            raise Damaged(f"{len(body):,} bytes of {first['bytes']:,}")
        if _digest(form, body) != first["sha256"]:
            raise Damaged("its checksum is another")
        if form != FORMAT:
            raise StoreError(
                f"the checkpoint has format {form!r}; this version reads format {FORMAT}. Resume "
                "the run with the version that wrote it, or begin it anew in another folder."
            )
        with np.load(io.BytesIO(body), allow_pickle=False) as archive:
            told = parsed(str(archive[_HEADER]))
            paths = parsed(str(archive["names"]))
            arrays = {name: archive[f"array_{k}"] for k, name in enumerate(paths)}
        return Checkpoint(told["step"], told["header"], arrays)
    except (ValueError, KeyError, TypeError, RecursionError, zipfile.BadZipFile) as error:
        raise Damaged("it is not a checkpoint") from error


def _digest(form: Json, body: bytes) -> str:
    digest = hashlib.sha256(json.dumps(form).encode())
    digest.update(body)
    return digest.hexdigest()
