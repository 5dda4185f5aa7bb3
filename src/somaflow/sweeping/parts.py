"""Parts: finished members of a sweep, kept as they end.

A part is a file for the members of a task, written whole or not at all. It is one line (a name,
the length and the SHA-256 of what follows), then JSON that says which sweep it is of, and of each
member why it failed, or which arrays it has, with the SHA-256 of their bytes; then these bytes, one
member after another.
"""

# Annotations stay text: `Outcome` would load TensorFlow.
from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
import xarray as xr

from somaflow.errors import RunError, StoreError
from somaflow.given import parsed, shown
from somaflow.simulation.system import Array
from somaflow.storage.folder import PART, Folder
from somaflow.storage.ownership import listed

if TYPE_CHECKING:
    from somaflow.sweeping.task import Outcome

FORMAT = 1
FAILURE = "failure"  # what the result calls the reasons why members failed
_WORD = "somaflow-part"
_NAME = re.compile(rf"{re.escape(PART)}\d{{8,}}")
_KINDS = "biufcU"  # of NumPy's: what a file can hold as it is
_SPIKE = ".spike"


@dataclass(frozen=True)
class Spec:
    """What is known of an array of a member without its numbers.

    Attributes:
        name: Its name.
        dims: Names of its axes.
        dtype: NumPy text of its type.
        shape: Its shape.
        attributes: Its attributes, as JSON.
        digest: SHA-256 of its bytes where it is a coordinate, which all members share; else empty.
    """

    name: str
    dims: tuple[str, ...]
    dtype: str
    shape: tuple[int, ...]
    attributes: str
    digest: str = ""

    @property
    def ragged(self) -> bool:
        """Whether its length follows from what happened: one row for each spike."""
        return self.dims[:1] == (f"{self.name}{_SPIKE}",)

    @property
    def bytes(self) -> int:
        """Its size."""
        return math.prod(self.shape) * np.dtype(self.dtype).itemsize


class Entry(NamedTuple):
    """What is known of a finished member without its numbers.

    Attributes:
        failure: Why it failed; empty where it did not.
        specs: Its arrays, in the order of their bytes.
        file: The part it is in.
        offset: Where its bytes begin there.
        digest: SHA-256 of its bytes.
    """

    failure: str
    specs: tuple[Spec, ...] = ()
    file: str = ""
    offset: int = 0
    digest: str = ""

    @property
    def bytes(self) -> int:
        """Size of its arrays."""
        return sum(spec.bytes for spec in self.specs)


class Kept(Protocol):
    """Members that have ended.

    Attributes:
        entries: What is known of each, by its number.
    """

    entries: dict[int, Entry]

    def add(self, outcomes: Iterable[Outcome]) -> None:
        """Keep members that have ended."""
        ...

    def read(self, number: int) -> dict[str, Array]:
        """Return the arrays of a member that did not fail."""
        ...


class InMemory:
    """Keeps members in memory.

    Args:
        taken: Names that no array of a member may have, and no axis.

    Attributes:
        entries: What is known of each, by its number.
    """

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self.entries: dict[int, Entry] = {}
        self._arrays: dict[int, list[Array]] = {}
        self._taken = frozenset(taken)

    def add(self, outcomes: Iterable[Outcome]) -> None:
        """Keep members that have ended."""
        for outcome in outcomes:
            failure, specs, arrays = taken_apart(outcome, self._taken)
            self.entries[outcome.number] = Entry(failure, specs)
            self._arrays[outcome.number] = arrays

    def read(self, number: int) -> dict[str, Array]:
        """Return the arrays of a member that did not fail."""
        specs = self.entries[number].specs
        return {s.name: a for s, a in zip(specs, self._arrays[number], strict=True)}


class Parts:
    """Keeps members in files.

    Args:
        folder: The folder beside the result.
        sweep: The fingerprint of the sweep, which each part has.
        taken: Names that no array of a member may have, and no axis.

    Attributes:
        entries: What is known of each member, by its number; of those whose bytes are not what was
            written nothing is.
        damaged: What was found damaged, in words.

    Raises:
        StoreError: A part is of another sweep, or of another format.
    """

    def __init__(self, folder: Folder, sweep: str, taken: Iterable[str] = ()) -> None:
        self.entries: dict[int, Entry] = {}
        self.damaged: list[str] = []
        self._folder, self._sweep = folder, sweep
        self._taken, self._next = frozenset(taken), 0
        self._known: dict[Spec, Spec] = {}
        for name in folder.names():
            if _NAME.fullmatch(name):
                self._next = max(self._next, int(name.removeprefix(PART)) + 1)
                self._look(name)

    def add(self, outcomes: Iterable[Outcome]) -> None:
        """Write a part.

        Raises:
            OSError: It cannot be written; nothing of it stays.
        """
        told: list[dict[str, Any]] = []
        bodies: list[bytes] = []
        for outcome in outcomes:
            failure, specs, arrays = taken_apart(outcome, self._taken)
            body = b"".join(array.tobytes() for array in arrays)
            told.append(
                {
                    "number": outcome.number,
                    "failure": failure,
                    "arrays": [list(vars(spec).values()) for spec in specs],
                    "sha256": hashlib.sha256(body).hexdigest(),
                }
            )
            bodies.append(body)
        header = json.dumps({"sweep": self._sweep, "members": told}).encode()
        line = f"{_WORD} {FORMAT} {len(header)} {hashlib.sha256(header).hexdigest()}\n".encode()
        name = f"{PART}{self._next:08d}"
        self._folder.write(name, b"".join([line, header, *bodies]))
        self._next += 1
        for number, entry in self._entries(name, told, len(line) + len(header)):
            self._take(number, entry)

    def read(self, number: int) -> dict[str, Array]:
        """Return the arrays of a member that did not fail.

        Raises:
            StoreError: They are not what was written.
        """
        entry = self.entries[number]
        path = self._folder.local(entry.file)
        assert path is not None  # sweeps are kept on local disks
        with path.open("rb") as file:
            file.seek(entry.offset)
            body = file.read(entry.bytes)
        if hashlib.sha256(body).hexdigest() != entry.digest:
            raise StoreError(
                f"{path} was changed or damaged since it was written; call sf.sweep again, and "
                "its members are computed again."
            )
        arrays, place = {}, 0
        for spec in entry.specs:
            flat = np.frombuffer(body, spec.dtype, math.prod(spec.shape), place)
            arrays[spec.name] = flat.reshape(spec.shape)
            place += spec.bytes
        return arrays

    # ------------------------------------------------------------------------- details

    def _look(self, name: str) -> None:
        """Take what is whole in a part."""
        path = self._folder.local(name)
        assert path is not None
        wrong: list[int] = []
        try:
            with path.open("rb") as file:
                line = file.readline(200)
                word, form, length, digest = line.decode().split()
                header = file.read(int(length))
                if word != _WORD or hashlib.sha256(header).hexdigest() != digest:
                    raise ValueError(name)
                if int(form) != FORMAT:
                    raise StoreError(
                        f"{path} has format {form}; this version reads format {FORMAT}. Go on with "
                        "the version that wrote it, or choose another path."
                    )
                told: Any = parsed(header)
                if told["sweep"] != self._sweep:
                    raise StoreError(
                        f"{path} holds finished members of another sweep; move it elsewhere, and "
                        "sf.sweep called as before goes on."
                    )
                members = told["members"]
                for number, entry in self._entries(name, members, len(line) + len(header)):
                    body = file.read(entry.bytes)
                    if hashlib.sha256(body).hexdigest() == entry.digest:
                        self._take(number, entry)
                    else:
                        wrong.append(number)
        except StoreError:
            raise
        except OSError as error:
            self.damaged.append(f"{name} cannot be read ({error.strerror or error})")
        except (ValueError, KeyError, TypeError):
            self.damaged.append(f"{name} is damaged")
        if wrong:
            self.damaged.append(f"{name} is damaged in {_members(wrong)}")

    def _entries(self, name: str, told: list[Any], offset: int) -> Iterator[tuple[int, Entry]]:
        for one in told:
            specs = tuple(self._one(Spec(n, tuple(d), t, tuple(s), a, h)) for n, d, t, s, a, h
                          in one["arrays"])  # fmt: skip
            entry = Entry(one["failure"], specs, name, offset, one["sha256"])
            yield one["number"], entry
            offset += entry.bytes

    def _one(self, spec: Spec) -> Spec:
        """Return the same object for equal ones: a sweep may have a million members."""
        return self._known.setdefault(spec, spec)

    def _take(self, number: int, entry: Entry) -> None:
        """Keep an entry; a later one counts more, and one that did not fail most."""
        old = self.entries.get(number)
        if old is None or old.failure or not entry.failure:
            self.entries[number] = entry


def taken_apart(
    outcome: Outcome, taken: frozenset[str]
) -> tuple[str, tuple[Spec, ...], list[Array]]:
    """Return why a member failed, what its arrays are, and the arrays.

    A member whose arrays cannot be kept has failed.

    Args:
        outcome: What came of it.
        taken: Names that no array may have, and no axis.
    """
    data = outcome.data
    if not isinstance(data, xr.Dataset):
        return outcome.failure or "it ended without a result and without a reason", (), []
    try:
        pairs = [_pair(data, name, taken) for name in map(str, data.variables)]
    except RunError as error:
        return f"its result cannot be kept: {error}", (), []
    return "", tuple(spec for spec, _ in pairs), [array for _, array in pairs]


def differing(first: Entry, other: Entry) -> str:
    """Return in words what of a member does not fit to the first one; empty where all does."""
    if first.specs == other.specs:
        return ""
    here, there = ({s.name: s for s in e.specs} for e in (first, other))
    if missing := sorted(here.keys() ^ there.keys()):
        name = missing[0]
        return f"{name!r} is only in {'the first' if name in here else 'this one'}"
    for name, wanted in here.items():
        found = there[name]
        if _compared(wanted) == _compared(found):
            continue
        if (wanted.dims, wanted.shape) != (found.dims, found.shape) and not wanted.ragged:
            return (
                f"{name!r} has the shape {_shape(found)} in place of {_shape(wanted)}. Let reduce "
                "return numbers, or arrays of one length, filled up with NaN."
            )
        if wanted.attributes != found.attributes:
            return f"{name!r} has the attributes {found.attributes}, not {wanted.attributes}"
        return f"{name!r} has other {'labels' if wanted.digest else 'axes or values'}"
    return ""


def _compared(spec: Spec) -> tuple[object, ...]:
    """Return what must be equal in all members."""
    shape = spec.shape[1:] if spec.ragged else spec.shape
    text = np.dtype(spec.dtype).kind == "U"
    return spec.dims, shape, text, spec.attributes, spec.digest


def _shape(spec: Spec) -> str:
    sizes = (f"{name}={size}" for name, size in zip(spec.dims, spec.shape, strict=True))
    return f"({', '.join(sizes)})"


def _pair(data: xr.Dataset, name: str, taken: frozenset[str]) -> tuple[Spec, Array]:
    variable = data.variables[name]
    values = np.asarray(variable.values)
    if values.dtype.kind == "O" and all(isinstance(value, str) for value in values.flat):
        values = values.astype("U")
    if values.dtype.kind == "T":  # NumPy's texts of any length
        values = values.astype("U")
    if values.dtype.kind not in _KINDS:
        raise RunError(
            f"{name!r} holds {values.dtype.name}, and a sweep keeps numbers, truth values and "
            "texts."
        )
    dims = tuple(map(str, variable.dims))
    if both := taken & {name, *dims}:
        raise RunError(
            f"the name {listed(sorted(both))} in it belongs to the sweep itself; give it another."
        )
    if "/" in name or not name:
        raise RunError(f"{name!r} is no name of an array: a '/' divides folders in a store.")
    values = np.ascontiguousarray(values, values.dtype.newbyteorder("<")).reshape(values.shape)
    coordinate = name in data.coords
    digest = hashlib.sha256(values.tobytes()).hexdigest() if coordinate else ""
    attributes = json.dumps(_plain(variable.attrs), sort_keys=True)
    return Spec(name, dims, values.dtype.str, values.shape, attributes, digest), values


def _plain(attributes: Mapping[Any, Any]) -> dict[str, Any]:
    """Return attributes as JSON has them; what it does not know as text."""
    told = {str(name): value for name, value in attributes.items()}
    return json.loads(json.dumps(told, default=_as_json))


def _as_json(value: object) -> object:
    return value.tolist() if isinstance(value, (np.generic, np.ndarray)) else shown(value)


def _members(numbers: list[int]) -> str:
    some = ", ".join(map(str, numbers[:5]))
    more = f" and {len(numbers) - 5} more" if len(numbers) > 5 else ""
    return f"member{'s' if len(numbers) > 1 else ''} {some}{more}"
