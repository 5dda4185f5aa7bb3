"""In what two descriptions differ, in words.

Made from the canonical form of `description`: a flat map from readable paths to short texts, which
can be stored as JSON and compared later with that of another description.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from somaflow.description import Description, encode, is_shared
from somaflow.errors import UnitError, WrongTypeError
from somaflow.given import shown
from somaflow.units import factor

Record = dict[str, Any]  # of the canonical form: the name of a class, and fields
_WRITTEN_OUT = 8  # numbers of an array
_SHOWN = 12  # differences
_FIELDS = 4  # of a small thing that is shown within a sentence
# A Network keeps its parts in one tuple, and shows them to the user under these names.
_PARTS = {
    "Population": "populations",
    "Projection": "projections",
    "Stimulus": "stimuli",
    "VoltageClamp": "clamps",
    "PoissonInput": "inputs",
}


def leaves(thing: object) -> dict[str, str]:
    """Return the canonical form of a description as a flat map.

    Args:
        thing: A description, or a tuple or a dict with text keys of them.

    Returns:
        A short text for each path, such as `populations['PN'].size`, where a part that has a name
        goes by it: numbers so that they can be read back to the bit, parameters in their declared
        unit, arrays of at most 8 numbers in full and larger ones by 12 digits of their SHA-256. A
        record has the name of its class at its own path (the whole has the path `""`), a dict or a
        tuple of named parts the order of its entries as a JSON list. A population is described
        once, and elsewhere is `same as ...`. Two maps are equal exactly when the fingerprints
        are, but for chance in those 12 digits.

    Raises:
        StoreError: Something in it has no serial form.
    """
    text, arrays = encode(thing)
    return _Walk(json.loads(text)["root"], arrays).found


def diff(a: object, b: object, *, here: str = "here", there: str = "there") -> list[str]:
    """Return in what two descriptions differ, one sentence each.

    Args:
        a: A description such as a network, or what `leaves` returned for one.
        b: Another.
        here: What `a` is called in a sentence.
        there: What `b` is called.

    Returns:
        The sentences, and an empty list where the two are equal; such as
        `populations['PN'].size: 90 here, 45 there` and `only here: stimuli[1] = ...`. Of more
        than 12, the first 12 and the number of the others. A part that only one of them has is
        named alone, without what it holds.

    Raises:
        WrongTypeError: One of them is no description, or a word is no text.
        StoreError: Something in one of them has no serial form.
    """
    for name, word in (("here", here), ("there", there)):
        if not isinstance(word, str):
            raise WrongTypeError(f"{name} is a word for a sentence, not {shown(word)}.")
    mine, theirs = _read(a), _read(b)
    told: list[str] = []
    covered: tuple[str, ...] = ()
    for path in [*mine, *(path for path in theirs if path not in mine)]:
        one, other = mine.get(path), theirs.get(path)
        if one == other or path.startswith(covered):
            continue
        if one is None or other is None:
            word, owner = (here, mine) if other is None else (there, theirs)
            told.append(f"only {word}: {path} = {_shown(owner, path)}")
        elif _is_order(one) and _is_order(other):
            told += _order(path, json.loads(one), json.loads(other), here, there)
            continue  # what is added or left out is told by its own path
        elif _is_text_of_lines(one) and _is_text_of_lines(other):
            told.append(_lines(path, one, other, here, there))
        else:
            label = f"{path}: " if path else ""
            told.append(f"{label}{_shown(mine, path)} {here}, {_shown(theirs, path)} {there}")
        if not path:
            break
        if any(text is not None and _is_record(text) for text in (one, other)):
            covered = (*covered, f"{path}.", f"{path}[")
    return told if len(told) <= _SHOWN else [*told[:_SHOWN], f"and {len(told) - _SHOWN} more."]


def _read(thing: object) -> dict[str, str]:
    if isinstance(thing, Description):
        return leaves(thing)
    if isinstance(thing, Mapping) and thing:
        texts = [*thing.keys(), *thing.values()]
        if all(isinstance(text, str) for text in texts):
            return dict(thing)
    raise WrongTypeError(
        f"diff compares two descriptions, such as two networks, not {shown(thing)}."
    )


# ------------------------------------------------------------------- sentences


def _shown(found: Mapping[str, str], path: str) -> str:
    """Return a leaf for a sentence; of a small record also what it holds."""
    text = found[path]
    if not _is_record(text):
        return text
    prefix = f"{path}." if path else ""
    inside = [other for other in found if other.startswith(prefix) and other != path]
    inner = {other.removeprefix(prefix): found[other] for other in inside}
    if len(inner) > _FIELDS or not all(name.isidentifier() for name in inner):
        return f"{text}(...)"
    return f"{text}({', '.join(f'{name}={value}' for name, value in inner.items())})"


def _is_record(text: str) -> bool:
    """Whether a leaf is the name of a class."""
    return text.isidentifier() and text not in ("None", "True", "False", "inf", "nan")


def _is_order(text: str) -> bool:
    return text.startswith('["')


def _order(path: str, mine: list[str], theirs: list[str], here: str, there: str) -> list[str]:
    """Tell where the entries that both have are in another order."""
    one = [name for name in mine if name in theirs]
    other = [name for name in theirs if name in mine]
    for first, second in zip(one, other, strict=True):
        if first != second:
            return [f"order of {path}: {first} before {second} {here}, after it {there}"]
    return []


def _is_text_of_lines(text: str) -> bool:
    return text[:1] in ("'", '"') and "\\n" in text


def _lines(path: str, mine: str, theirs: str, here: str, there: str) -> str:
    """Tell which lines of two texts, each as `repr` wrote it, differ."""
    one, other = (text[1:-1].split("\\n") for text in (mine, theirs))
    sides = (one, other, here), (other, one, there)
    parts = [(word, [line for line in own if line not in rest]) for own, rest, word in sides]
    parts = [(word, f"'{'; '.join(lines)}'") for word, lines in parts if lines]
    if not parts:
        return f"{path}: the lines are in another order or number"
    if len(parts) == 1:
        return f"{path}: only {parts[0][0]} {parts[0][1]}"
    return f"{path}: {', '.join(f'{lines} {word}' for word, lines in parts)}"


# --------------------------------------------------------------------- the map


class _Walk:
    """Goes through a canonical form.

    Attributes:
        found: The text of each path.
    """

    def __init__(self, root: object, arrays: list[np.ndarray]) -> None:
        self.found: dict[str, str] = {}
        self._arrays = arrays
        self._shared: list[dict[str, object]] = []
        self._homes: dict[int, str] = {}
        self._collect(root)
        self._visit(root, "")

    def _collect(self, item: object) -> None:
        """List what can be referred to, in the order in which the form counts it."""
        if isinstance(item, dict):
            if is_shared(item.get("$class", "")):
                self._shared.append(item)
            for value in item.values():
                self._collect(value)
        elif isinstance(item, list):
            for value in item:
                self._collect(value)

    def _whole(self, item: object) -> object:
        """Return what a reference refers to, and anything else as it is."""
        return self._shared[item["$same"]] if isinstance(item, dict) and "$same" in item else item

    def _visit(self, item: object, path: str, named: bool = False) -> None:
        item = self._whole(item)
        if isinstance(item, list):
            self._list(item, path)
        elif not isinstance(item, dict):
            self.found[path] = repr(item)
        elif "$float" in item:
            self.found[path] = repr(float.fromhex(item["$float"]))
        elif "$array" in item:
            self.found[path] = _array(self._arrays[item["$array"]])
        elif "$dict" in item:
            keys = [key for key, _ in item["$dict"]]
            self.found[path] = json.dumps(keys, ensure_ascii=False) if keys else "{}"
            for key, value in item["$dict"]:
                plain = not path and isinstance(key, str) and key.isidentifier()
                self._visit(value, key if plain else f"{path}[{key!r}]")
        else:
            self._record(item, path, named)

    def _record(self, item: Record, path: str, named: bool) -> None:
        if id(item) in self._homes:
            self.found[path] = f"same as {self._homes[id(item)]}"
            return
        if is_shared(item["$class"]):
            self._homes[id(item)] = path
        text = self._parameter(item) if item["$class"] == "Parameter" else None
        self.found[path] = text or item["$class"]
        for name, value in item.items() if text is None else ():
            if name != "$class" and not (named and name == "name"):
                self._visit(value, f"{path}.{name}" if path else name)

    def _list(self, items: list[object], path: str) -> None:
        items = [self._whole(item) for item in items]
        groups: dict[str, list[object]] = {}
        for item in items:
            groups.setdefault(_group(item, path), []).append(item)
        by_name = {group for group, members in groups.items() if _have_names(members)}
        labels: list[str] = []
        counts = dict.fromkeys(groups, 0)
        for item in items:
            group = _group(item, path)
            place = repr(_name(item)) if group in by_name else counts[group]
            labels.append(f"{group}[{place}]")
            counts[group] += 1
        if not items:
            self.found[path] = "()"
        elif by_name or set(groups) != {path}:
            self.found[path] = json.dumps(labels, ensure_ascii=False)
        # A population is described where it is a part, not at a projection that comes before it.
        for k in sorted(range(len(items)), key=lambda k: not is_shared(_class(items[k]))):
            self._visit(items[k], labels[k], _group(items[k], path) in by_name)

    def _parameter(self, item: Record) -> str | None:
        """Return a value in its declared unit; None for one that was not made by `parameter`."""
        value, unit = item["value"], item["unit"]
        numbers = None
        if isinstance(value, dict) and "$float" in value:
            numbers = np.asarray(float.fromhex(value["$float"]))
        elif isinstance(value, dict) and "$array" in value:
            numbers = self._arrays[value["$array"]]
        try:
            scale = factor(unit)
        except UnitError:
            return None
        if numbers is None or numbers.dtype != np.float64:
            return None
        written = "(pure number)" if unit == "1" else unit
        if not _is_small(numbers):
            return _array(numbers, f" {written}")
        # 0.3 nA is held as 0.0003 uA, and that is 0.30000000000000004 nA by division.
        short = [float(f"{number / scale:.15g}") for number in numbers.ravel().tolist()]
        declared = np.reshape(short, numbers.shape)
        exact = (declared * scale).tobytes() == numbers.tobytes()
        exactly = "" if exact else f" (held as {numbers.tolist()})"
        return f"{declared.tolist()} {written}{exactly}"


def _class(item: object) -> str:
    return item.get("$class", "") if isinstance(item, dict) else ""


def _group(item: object, path: str) -> str:
    """Return the path below which an entry of a tuple is counted, or named."""
    if path.rpartition(".")[2] == "parts" and _class(item) in _PARTS:
        return path.removesuffix("parts") + _PARTS[_class(item)]
    return path


def _name(item: object) -> object:
    return item.get("name") if isinstance(item, dict) and _class(item) else None


def _have_names(items: list[object]) -> bool:
    names = [_name(item) for item in items]
    return all(isinstance(name, str) for name in names) and len(set(names)) == len(names)


# --------------------------------------------------------------------- numbers


def _is_small(array: np.ndarray) -> bool:
    """Whether an array is written out, so that its text says every bit of it."""
    plain = array.dtype.kind in "biuf" and array.dtype.itemsize <= 8
    return plain and 0 < array.size <= _WRITTEN_OUT and bool(np.isfinite(array).all())


def _array(array: np.ndarray, unit: str = "") -> str:
    dtype = array.dtype.name if array.dtype.isnative else array.dtype.str
    if _is_small(array):
        return f"{dtype} {array.tolist()}"
    digest = hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()
    return f"{dtype} {list(array.shape)}{unit} sha256 {digest[:12]}"
