"""Structure: what functions see of the objects that they close over, as a short text.

Two functions of the same structure make the same graph. All that can be reached from a function is
taken by its value: its code, what it closes over, the attributes of objects. What an object's class
lists in `unseen` is left out: no function that is traced may look at it
(tests/contracts/test_structure.py), and what it has in it of numbers comes in as an argument.
"""

import dataclasses
import functools
import types
from collections.abc import Callable, Mapping
from hashlib import blake2b
from itertools import count
from typing import Any

import numpy as np
import tensorflow as tf

Rule = Callable[[Any], object]
_numbers = count()
# Things of other libraries that are told by their text.
_TOLD = (range, slice, types.BuiltinFunctionType, types.EllipsisType)
_TOLD += (np.dtype, np.ufunc, tf.DType, tf.TensorShape)
_PLAIN = (bool, int, float, complex, str, bytes, type(None))
# Texts of what never changes and has nothing but such things in it, with the thing, so that no
# other one comes to have its number.
_MOST_KEPT = 50_000
_kept: dict[int, tuple[object, str]] = {}


def structure(
    thing: object,
    rules: Mapping[type, Rule] | None = None,
    lasting: type | tuple[type, ...] = (),
) -> str:
    """Return a text that is equal for things of the same structure.

    Args:
        thing: A function, an object, or a nest of them.
        rules: For some classes and those below them, what is looked at instead.
        lasting: Classes whose objects never change and have only numbers, texts and each other in
            them: they are read once for all.
    """
    return _StructureReader(rules or {}, lasting).read(thing)


class _StructureReader:
    """Reads things, each object once."""

    def __init__(self, rules: Mapping[type, Rule], lasting: type | tuple[type, ...]) -> None:
        self._rules, self._kinds = rules, dict[type, Rule | None]()
        self._lasting = lasting
        # Things are held, so that the address of one does not pass to another.
        self._known: dict[int, tuple[object, str]] = {}

    def read(self, thing: object) -> str:
        if isinstance(thing, _PLAIN):
            return f"{type(thing).__name__} {thing!r}"
        if isinstance(thing, type):
            return _named(thing)
        if id(thing) in self._known:
            return self._known[id(thing)][1]
        if isinstance(thing, self._lasting):
            if id(thing) not in _kept:
                # By another reader: what is read here has the same places, known or not.
                text = _StructureReader(self._rules, ()).read(thing)
                if len(_kept) >= _MOST_KEPT:
                    _kept.clear()
                _kept[id(thing)] = thing, text
            return _kept[id(thing)][1]
        # Where it comes upon itself, its place in the order of reading stands for it.
        self._known[id(thing)] = thing, f"the {len(self._known)}th"
        text = f"{type(thing).__name__}({self._parts(thing)})"
        if len(text) > 40:
            text = blake2b(text.encode(), digest_size=16).hexdigest()
        self._known[id(thing)] = thing, text
        return text

    def _parts(self, thing: object) -> str:
        rule = self._rule(type(thing))
        if rule is not None:
            return f"{_named(type(thing))} {self.read(rule(thing))}"
        if isinstance(thing, np.ndarray) and thing.dtype != object:
            return f"{thing.dtype} {thing.shape} {thing.tobytes().hex()}"
        if isinstance(thing, np.generic):
            return f"{thing.dtype} {thing.item()!r}"
        if isinstance(thing, (dict, types.MappingProxyType)):
            return ", ".join(f"{self.read(k)}: {self.read(v)}" for k, v in thing.items())
        if isinstance(thing, (set, frozenset)):
            return ", ".join(sorted(map(self.read, thing)))
        if isinstance(thing, types.FunctionType):
            return self._function(thing)
        if isinstance(thing, types.MethodType):
            return f"{self.read(thing.__func__)}, {self.read(thing.__self__)}"
        if isinstance(thing, functools.partial):
            return ", ".join(map(self.read, (thing.func, thing.args, thing.keywords)))
        if isinstance(thing, (list, tuple)) and not hasattr(thing, "_fields"):
            return ", ".join(map(self.read, thing))
        return self._object(thing)

    def _rule(self, kind: type) -> Rule | None:
        if kind not in self._kinds:
            fitting = (rule for base, rule in self._rules.items() if issubclass(kind, base))
            self._kinds[kind] = next(fitting, None)
        return self._kinds[kind]

    def _object(self, thing: object) -> str:
        kind = type(thing)
        if isinstance(thing, tf.Tensor) and hasattr(thing, "numpy"):
            return self.read(np.asarray(thing))
        if kind.__module__.split(".")[0] in ("builtins", "numpy", "tensorflow"):
            text = repr(thing)
            # Of anything else nothing is known: it equals nothing, not even itself.
            whole = isinstance(thing, _TOLD) and " at 0x" not in text
            return text if whole else f"{text} {next(_numbers)}"
        unseen = {*getattr(kind, "unseen", ()), *_beside(kind)}
        names = [*getattr(kind, "_fields", ()), *slots(kind), *getattr(thing, "__dict__", ())]
        names = [n for n in names if n not in unseen and not _is_cached(kind, n)]
        parts = [f"{n}={self.read(getattr(thing, n))}" for n in names if hasattr(thing, n)]
        return f"{_named(kind)} {', '.join(parts)}"

    def _function(self, function: types.FunctionType) -> str:
        cells = []
        for cell in function.__closure__ or ():
            try:
                cells.append(self.read(cell.cell_contents))
            except ValueError:  # a name that is not assigned yet
                cells.append("nothing")
        defaults = self.read([function.__defaults__, function.__kwdefaults__])
        return f"{_code(function.__code__)} {', '.join(cells)} {defaults}"


def _named(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


@functools.cache
def _beside(kind: type) -> frozenset[str]:
    """Return the fields that play no part in equality, such as where a text has something."""
    fields = dataclasses.fields(kind) if dataclasses.is_dataclass(kind) else ()
    return frozenset(field.name for field in fields if not field.compare)


def _is_cached(kind: type, name: str) -> bool:
    return isinstance(getattr(kind, name, None), functools.cached_property)


def _code(code: types.CodeType) -> str:
    constants = [
        _code(c) if isinstance(c, types.CodeType) else f"{type(c).__name__} {c!r}"
        for c in code.co_consts
    ]
    place = f"{code.co_filename}:{code.co_firstlineno} {code.co_qualname}"
    return f"{place} {code.co_code.hex()} {code.co_names} {constants}"


@functools.cache
def slots(kind: type) -> tuple[str, ...]:
    """Return the names of what a class keeps places for, as `getattr` takes them."""
    places: list[str] = []
    for base in kind.__mro__:
        names = vars(base).get("__slots__", ())
        for name in [names] if isinstance(names, str) else names:
            private = name.startswith("__") and not name.endswith("__")
            places.append(f"_{base.__name__.lstrip('_')}{name}" if private else name)
    return tuple(places)
