"""What a user gave, whatever it is: shown in a message, and taken as a flag, a path or an array."""

import inspect
import json
import reprlib
import sys
from collections.abc import Callable, Container, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np
from numpy.typing import NDArray

from somaflow.errors import WrongTypeError

_short = reprlib.Repr()
_short.maxlevel = 4
_short.maxlist = _short.maxtuple = _short.maxset = _short.maxfrozenset = _short.maxdict = 8
_short.maxstring = _short.maxlong = 120
_short.maxother = 400
_DEEPEST = 50


def shown(value: object) -> str:
    """Return a value for a message, shortened where it is long.

    The message comes also where a value is nested deep, is in itself, or cannot be printed.
    """
    try:
        return _short.repr(value)
    except Exception:  # the value's own
        return f"<{type(value).__name__}>"


def is_among(value: object, names: Container[str]) -> TypeGuard[str]:
    """Return whether a value is one of some names; what is no text is none, hashable or not."""
    return isinstance(value, str) and value in names


def is_whole(value: object) -> bool:
    """Return whether a value is one whole number."""
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def is_number(value: object) -> bool:
    """Return whether a value is one finite real number."""
    kinds = (int, float, np.integer, np.floating)
    if not isinstance(value, kinds) or isinstance(value, bool):
        return False
    return bool(-sys.float_info.max <= value <= sys.float_info.max)


def has(value: object, name: str) -> bool:
    """Return whether a value has an attribute; where to ask for it fails, it has not."""
    try:
        return hasattr(value, name)
    except Exception:  # those of the value's own methods
        return False


def takes_one(function: Callable[..., object]) -> bool:
    """Return whether a function can be called with one argument, as far as it tells."""
    try:
        inspect.signature(function).bind(None)
    except TypeError:
        return False
    except ValueError:  # of a function of C
        pass
    return True


def flag(value: object, name: str) -> bool:
    """Return an argument that is True or False.

    Raises:
        WrongTypeError: It is neither.
    """
    if not isinstance(value, bool):
        raise WrongTypeError(f"{name} is True or False, not {shown(value)}.")
    return value


def path(value: object) -> str | Path:
    """Return an argument that is a path.

    Raises:
        WrongTypeError: It is none.
    """
    if not isinstance(value, (str, Path)):
        raise WrongTypeError(f"a path is a text or a pathlib.Path, not {shown(value)}.")
    return value


def array(value: object) -> NDArray[Any] | None:
    """Return a value as a new array, or None where NumPy can make none of it."""
    try:
        return np.array(value)
    except Exception:  # NumPy's, and those of the value's own methods
        return None


def has_unit(value: object) -> bool:
    """Return whether a value is a quantity, whose unit NumPy drops, or a list that begins so."""
    for _ in range(_DEEPEST):
        if not isinstance(value, (list, tuple)) or not value:
            break
        value = value[0]
    return has(value, "units") and not getattr(value, "unitless", False)


def listed(value: Any) -> list[Any] | None:
    """Return the parts of a value, or None where it has none."""
    try:
        return list(value)
    except Exception:  # those of the value's own methods
        return None


def check_depth(value: object, name: str) -> None:
    """Refuse dicts, lists and tuples in each other that are too deep, or in themselves.

    Raises:
        WrongTypeError: So it is.
    """
    level: list[object] = [value]
    for _ in range(_DEEPEST):
        inside = (part for item in level for part in _inside(item))
        level = list({id(part): part for part in inside}.values())
        if not level:
            return
    raise WrongTypeError(
        f"{name} has lists or dicts more than {_DEEPEST} deep in each other: {shown(value)}."
    )


def _inside(item: object) -> Iterable[object]:
    if isinstance(item, Mapping):
        return item.values()
    return item if isinstance(item, (list, tuple)) else ()


def parsed(text: str | bytes) -> Any:
    """Return what a JSON text says.

    Raises:
        ValueError: It is no JSON, or is nested too deep to be read.
    """
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deep to be read") from error
