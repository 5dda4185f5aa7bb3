"""Reading: what a Python function depends on beyond its arguments.

A function is compiled once and then kept. It is compiled again when anything that it refers to has
changed since, so that no solve runs with yesterday's constants. Another function of the same code
that refers to equal things is the same function.
"""

import functools
import inspect
import sys
import types
from collections.abc import Iterator, Mapping
from fractions import Fraction

import numpy as np

from somaflow.errors import RunError
from somaflow.numerics.structure import slots

# Their constants are taken as they are.
_LIBRARIES = (
    *("tensorflow", "keras", "pint", "numpy", "scipy", "somaflow"),
    *("pandas", "xarray", "matplotlib", "pytest", "_pytest"),
)
Part = tuple[str, *tuple[object, ...]]  # a name, and what tells its value
Signature = tuple[Part, ...]
Seen = dict[int, tuple[int, object]]  # of each object its number, and the object
_CONSTANTS = (bool, int, float, complex, str, np.ndarray, np.generic, list, tuple, Mapping)

_TRANSPARENT = {list, tuple, set, frozenset, dict, types.MappingProxyType, types.MethodType}
_TRANSPARENT |= {functools.partial}


def signature(*functions: object) -> Signature:
    """Return what functions and all that they refer to are now, comparable by ==.

    Global names, closures, defaults, methods' objects and the functions called are followed, except
    into the modules of Python's own and of well-known libraries. What has its whole content in
    Python is compared by it, and anything else by identity.
    """
    seen: Seen = {}
    parts: list[Part] = []
    for function in functions:
        name = getattr(function, "__name__", "f")
        try:
            _visit(name, function, parts, seen)
        except RecursionError as error:
            raise RunError(
                f"{name} refers to something that is nested too deep to be looked through; take "
                "out what it needs, and refer to that alone."
            ) from error
    return tuple(parts)


def changed(before: Signature, after: Signature) -> str | None:
    """Return the name of the first thing that differs between two signatures, or None."""
    for a, b in zip(before, after, strict=False):
        if a != b:
            return a[0]
    return None if len(before) == len(after) else (before + after)[-1][0]


def objects(parts: Signature) -> Iterator[tuple[str, object]]:
    """Yield the name and the value of each object that a signature refers to."""
    for part in parts:
        if isinstance(part[-1], _Content):
            yield part[0], part[-1].value


def _visit(name: str, value: object, parts: list[Part], seen: Seen) -> None:
    if isinstance(value, (float, complex)):
        parts.append((name, type(value), repr(value)))  # 0 is not -0, and nan is nan
        return
    if isinstance(value, (bool, int, str, bytes, Fraction, type(None))):
        parts.append((name, type(value), value))
        return
    if isinstance(value, np.ndarray):
        content = value.tobytes() if value.dtype != object else id(value)
        parts.append((name, value.dtype.str, value.shape, content))
        return
    if isinstance(value, np.generic):
        parts.append((name, value.dtype.str, value.item()))
        return
    if isinstance(value, (np.random.Generator, np.random.RandomState)):
        parts.append((name, repr(_state(value))))
    if id(value) in seen:
        parts.append((name, "again", seen[id(value)][0]))
        return
    # Objects are held: the id of one could otherwise pass to another.
    seen[id(value)] = len(seen), value
    if isinstance(value, types.FunctionType):
        parts.append((name, value.__code__, _Content(value)))
    elif _is_transparent(type(value)):
        parts.append((name, type(value), _Content(value)))
    else:
        parts.append((name, _Identity(value)))
    if isinstance(value, types.FunctionType):
        _visit_function(value, parts, seen)
    elif isinstance(value, types.MethodType):
        _visit(f"{name}.__self__", value.__self__, parts, seen)
        _visit(name, value.__func__, parts, seen)
    elif isinstance(value, functools.partial):
        for part, item in (("func", value.func), ("args", value.args), ("kw", value.keywords)):
            _visit(f"{name}.{part}", item, parts, seen)
    elif isinstance(value, type):
        _visit_class(name, value, parts, seen)
    elif isinstance(value, Mapping):
        for key, item in list(value.items()):  # a copy: another thread may add to it meanwhile
            _visit(f"{name}[{key!r}]", item, parts, seen)
    elif isinstance(value, (list, tuple, set, frozenset)):
        parts.append((name, len(value)))
        for k, item in enumerate(list(value)):
            _visit(f"{name}[{k}]", item, parts, seen)
    elif type(value).__module__.split(".")[0] not in ("tensorflow", "keras", "pint"):
        for key, item in list(getattr(value, "__dict__", {}).items()):
            if not isinstance(value, types.ModuleType):
                _visit(f"{name}.{key}", item, parts, seen)
        for key in slots(type(value)):
            if hasattr(value, key):
                _visit(f"{name}.{key}", getattr(value, key), parts, seen)
        _visit_class(type(value).__name__, type(value), parts, seen)


def _visit_class(name: str, value: type, parts: list[Part], seen: Seen) -> None:
    """Visit what a user's class, and those that it inherits from, have for all objects."""
    for base in value.__mro__:
        if _is_library(base.__module__):
            continue
        for key, member in list(vars(base).items()):
            item = _unwrapped(member)
            special = key.startswith("__") and key.endswith("__")
            if isinstance(item, types.FunctionType) or not (special or _is_place(item)):
                _visit(f"{name}.{key}", item, parts, seen)


def _unwrapped(member: object) -> object:
    """Return the function in a property, or in a method of a class."""
    if isinstance(member, property):
        return member.fget
    if isinstance(member, functools.cached_property):
        return member.func
    return member.__func__ if isinstance(member, (staticmethod, classmethod)) else member


def _is_place(member: object) -> bool:
    """Tell whether a member of a class only says where objects have something."""
    return isinstance(member, (types.MemberDescriptorType, types.GetSetDescriptorType))


def _state(generator: np.random.Generator | np.random.RandomState) -> object:
    """Return where a random generator stands."""
    if isinstance(generator, np.random.Generator):
        return generator.bit_generator.state
    return generator.get_state(legacy=False)["state"]


def _visit_function(function: types.FunctionType, parts: list[Part], seen: Seen) -> None:
    code = function.__code__
    for name, item in list(vars(function).items()):
        _visit(f"{code.co_name}.{name}", item, parts, seen)
    # A library's modules may lead anywhere. A wrapper that it made of the user's function is looked
    # into all the same, by its closure.
    if not _is_library(function.__module__ or ""):
        for name in _names(code):
            if name in function.__globals__:
                _visit(name, function.__globals__[name], parts, seen)
        _visit_modules(function, parts, seen)
    for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
        try:
            _visit(name, cell.cell_contents, parts, seen)
        except ValueError:  # a name that is not assigned yet
            parts.append((name, None))
    for k, value in enumerate(function.__defaults__ or ()):
        _visit(f"default {k}", value, parts, seen)
    for name, value in (function.__kwdefaults__ or {}).items():
        _visit(name, value, parts, seen)


def _is_library(module: str) -> bool:
    root = module.split(".", maxsplit=1)[0]
    return root in _LIBRARIES or root in sys.stdlib_module_names - {"__main__"}


def _visit_modules(function: types.FunctionType, parts: list[Part], seen: Seen) -> None:
    """Visit the constants that a function takes from modules of the user's."""
    names = _names(function.__code__)
    closure = inspect.getclosurevars(function).nonlocals
    for name in (*names, *closure):
        module = closure.get(name, function.__globals__.get(name))
        if isinstance(module, types.ModuleType) and not _is_library(module.__name__):
            for key in names:
                item = vars(module).get(key)
                if isinstance(item, (*_CONSTANTS, types.FunctionType)):
                    _visit(f"{name}.{key}", item, parts, seen)


def _names(code: types.CodeType) -> list[str]:
    names = list(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            names += _names(constant)
    return names


def _is_transparent(kind: type) -> bool:
    """Tell whether the content of an object is all that is visited of it."""
    if kind in _TRANSPARENT:
        return True
    if _is_library(kind.__module__) and not kind.__module__.startswith("somaflow."):
        return False
    # No room for anything that C keeps beside the attributes.
    words = len(slots(kind)) + bool(kind.__dictoffset__) + bool(kind.__weakrefoffset__)
    return kind.__basicsize__ <= object.__basicsize__ + 8 * words and not kind.__itemsize__


class _Content:
    """An object whose content is compared where it stands; equal to any other."""

    def __init__(self, value: object) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Content)

    def __hash__(self) -> int:
        return 0


class _Identity(_Content):
    """Equal to itself wherever it is wrapped."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Identity) and self.value is other.value

    def __hash__(self) -> int:
        return id(self.value)
