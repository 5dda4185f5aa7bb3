"""Descriptions: frozen dataclasses with one canonical serial form.

The form is plain JSON beside a list of arrays. From it come equality, the fingerprint, files on
disk and a worker's copy, so that two descriptions are equal exactly when they would be stored as
the same bytes.
"""

import base64
import dataclasses
import hashlib
import json
import zlib
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from somaflow import given
from somaflow.errors import SomaflowError, StoreError
from somaflow.given import parsed
from somaflow.units import Parameter

FORMAT = 1
Json = None | bool | int | float | str | Sequence["Json"] | Mapping[str, "Json"]
_classes: dict[str, type] = {"Parameter": Parameter}
_PLAIN = (str, int, bool)
_MOST_READ = 64
_read: dict[str, Any] = {}


class Description:
    """Base of everything that a user describes before a run.

    A subclass is a dataclass with `frozen=True, eq=False`; its fields are texts, numbers,
    arrays, tuples, dicts with text keys, `Parameter`s or other descriptions.

    Attributes:
        has_identity: True where it matters that two places name one and the same object: a
            population at both ends of a projection is written once, and is one object again
            when read.
        reads_text: True where making one reads a text, and calling one with other numbers by name
            gives another one without that.
    """

    has_identity: ClassVar[bool] = False
    reads_text: ClassVar[bool] = False

    def __init_subclass__(cls) -> None:
        _classes[cls.__name__] = cls

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other):
            return NotImplemented
        return fingerprint(self) == fingerprint(other)

    def __hash__(self) -> int:
        return hash(fingerprint(self))

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str, list[np.ndarray]]]:
        text, arrays = encode(self)
        return decode, (text, arrays)


def encode(thing: object) -> tuple[str, list[np.ndarray]]:
    """Return the canonical form of a description: JSON text and the arrays it refers to."""
    arrays: list[np.ndarray] = []
    seen: dict[int, int] = {}

    def form(item: object) -> Json:
        if item is None or type(item) in _PLAIN:
            return item  # pyright: ignore[reportReturnType]
        if isinstance(item, np.ndarray):
            if item.ndim == 0 and item.dtype == np.float64:
                return {"$float": float(item).hex()}
            arrays.append(item)
            return {"$array": len(arrays) - 1}
        names = _fields(type(item))
        if names is not None:
            if getattr(item, "has_identity", False):
                if id(item) in seen:
                    return {"$same": seen[id(item)]}
                seen[id(item)] = len(seen)
            told: dict[str, Json] = {"$class": type(item).__name__}
            for name in names:
                told[name] = form(getattr(item, name))
            return told
        if isinstance(item, dict):
            return {"$dict": [[key, form(value)] for key, value in item.items()]}
        if isinstance(item, (tuple, list)):
            return [form(value) for value in item]
        if isinstance(item, (np.floating, float)):
            return {"$float": float(item).hex()}
        if isinstance(item, np.integer):
            return int(item)
        if item is None or isinstance(item, (str, int, bool)):
            return item
        raise StoreError(f"a {type(item).__name__} has no serial form: {item!r}")

    return json.dumps({"format": FORMAT, "root": form(thing)}), arrays


@cache
def _fields(kind: type) -> tuple[str, ...] | None:
    """Return the fields by which a dataclass is made; None of another class."""
    if not dataclasses.is_dataclass(kind):
        return None
    return tuple(field.name for field in dataclasses.fields(kind) if field.init)


@cache
def _all_fields(kind: type) -> frozenset[str]:
    return frozenset(field.name for field in dataclasses.fields(kind))


def decode(text: str, arrays: list[np.ndarray]) -> Any:
    """Rebuild what `encode` wrote.

    Raises:
        StoreError: The text is of another format, or names an unknown class.
    """
    data = parsed(text)
    if data.get("format") != FORMAT:
        raise StoreError(
            f"this description has format {data.get('format')!r}; this version reads {FORMAT}."
        )
    built: list[object] = []

    def thing(item: object) -> Any:
        if isinstance(item, list):
            return tuple(thing(value) for value in item)
        if not isinstance(item, dict):
            return item
        if "$float" in item:
            return float.fromhex(item["$float"])
        if "$array" in item:
            return arrays[item["$array"]]
        if "$same" in item:
            return built[item["$same"]]
        if "$dict" in item:
            return {key: thing(value) for key, value in item["$dict"]}
        if item["$class"] not in _classes:
            raise StoreError(f"unknown class {item['$class']!r} in a stored description.")
        cls = _classes[item["$class"]]
        place = len(built)
        if getattr(cls, "has_identity", False):
            built.append(None)
        fields = {key: thing(value) for key, value in item.items() if key != "$class"}
        if cls is Parameter:
            fields["value"] = np.asarray(fields["value"], dtype=np.float64)
            fields["value"].flags.writeable = False
        if odd := fields.keys() - _all_fields(cls):
            raise TypeError(f"{item['$class']} has no field {min(odd)!r}")
        whole = _read_once(cls, fields) if getattr(cls, "reads_text", False) else cls(**fields)
        if getattr(cls, "has_identity", False):
            built[place] = whole
        return whole

    return thing(data["root"])


def _read_once(cls: type, fields: dict[str, Any]) -> Any:
    """Return what has some fields; of those that differ in numbers alone the text is read once.

    A worker of a sweep is sent the same equations with other numbers again and again.
    """
    tables = {name: value for name, value in fields.items() if isinstance(value, dict)}
    values = {k: v for table in tables.values() for k, v in table.items() if hasattr(v, "unit")}
    kinds = {
        name: {k: (type(v), v.unit) if k in values else v for k, v in table.items()}
        for name, table in tables.items()
    }
    key = repr((cls, {**fields, **kinds}))
    if key in _read:
        return _read[key](**values)
    whole = cls(**fields)
    if len(_read) >= _MOST_READ:
        _read.clear()
    _read[key] = whole
    return whole


def is_shared(class_name: str) -> bool:
    """Return whether things of a class are written once, and referred to where they recur."""
    return bool(getattr(_classes.get(class_name), "has_identity", False))


def fingerprint(thing: object) -> str:
    """Return the SHA-256 of the canonical form, as 64 hexadecimal digits."""
    return _digest(*encode(thing))


def _digest(text: str, arrays: list[np.ndarray]) -> str:
    digest = hashlib.sha256(text.encode())
    for array in arrays:
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def to_json(thing: object) -> dict[str, Json]:
    """Return a description as one JSON object, arrays compressed within it."""
    return _packed(*encode(thing))


def to_json_and_fingerprint(thing: object) -> tuple[dict[str, Json], str]:
    """Return what `to_json` and `fingerprint` do, at the cost of one."""
    both = encode(thing)
    return _packed(*both), _digest(*both)


def _packed(text: str, arrays: list[np.ndarray]) -> dict[str, Json]:
    packed: list[Json] = [
        {
            "dtype": array.dtype.str,
            "shape": list(array.shape),
            "data": base64.b64encode(zlib.compress(array.tobytes())).decode(),
        }
        for array in arrays
    ]
    return {"text": text, "arrays": packed}


def from_json(data: Any) -> Any:
    """Rebuild what `to_json` wrote.

    Raises:
        StoreError: It is something else.
    """
    try:
        arrays = [
            np.frombuffer(zlib.decompress(base64.b64decode(item["data"])), item["dtype"])
            .reshape(item["shape"])
            .copy()
            for item in data["arrays"]
        ]
        return decode(data["text"], arrays)
    except SomaflowError:
        raise
    except Exception as error:  # of NumPy, zlib or JSON, and of a class that is given other fields
        raise StoreError(f"this is not a stored description ({error}).") from error


def save(thing: object, path: str | Path) -> None:
    """Write a description to one file (JSON and arrays in a NumPy archive)."""
    path = given.path(path)
    text, arrays = encode(thing)
    contents: dict[str, Any] = {f"array_{k}": array for k, array in enumerate(arrays)}
    try:
        with open(path, "wb") as file:
            np.savez(file, description=np.array(text), **contents)
    except (OSError, ValueError) as error:  # a ValueError: no file system can have that path
        error = error if isinstance(error, OSError) else OSError(str(error))
        raise StoreError(f"cannot write {path}: {error.strerror or error}") from error


def load(path: str | Path) -> Any:
    """Read a description that `save` wrote.

    Raises:
        StoreError: There is no such file, or it is not a description.
    """
    path = given.path(path)
    try:
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as archive:
            arrays = [archive[f"array_{k}"] for k in range(len(archive.files) - 1)]
            return decode(str(archive["description"]), arrays)
    except FileNotFoundError as error:
        raise StoreError(f"there is no file {path}.") from error
    except SomaflowError:
        raise
    except OSError as error:
        raise StoreError(f"cannot read {path}: {error.strerror or error}") from error
    except Exception as error:  # of NumPy, zip or JSON, and of a class that is given other fields
        raise StoreError(f"{path} does not hold a somaflow description ({error}).") from error
