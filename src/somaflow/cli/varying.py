"""What varies, as it is typed on a command line: `LN->PN.g=0:0.6:13mS/cm2`, `seed=1:5`."""

import re
from collections.abc import Iterable
from typing import Any

import numpy as np

from somaflow import units
from somaflow.errors import RunError, UnitError, WrongTypeError, quoted

_NUMBER = r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?"
_VALUE = re.compile(rf"\s*({_NUMBER})\s*([^\d\s.+-].*|1/.*)?")
_COUNT = re.compile(r"\s*(\d+)\s*([^\d.\s].*|(?<=\s)1/.*)?")
_POWER = re.compile(r"([A-Za-z])\^?(\d+)")
_WHOLE = re.compile(r"[+-]?\d+")
_LONGEST = 2000  # characters
_MOST = 1_000_000  # values
GRAMMAR = (
    "a:b:n UNIT are n values from a to b; a:b are the whole numbers from a to b; a,b,c UNIT is a "
    "list, which may be of names"
)


def read(texts: Iterable[str]) -> dict[str, Any]:
    """Return what varies, as `sf.sweep` takes it.

    Args:
        texts: `NAME=VALUES`. Values are `a:b:n UNIT`, n values from a to b; `a:b`, the whole
            numbers from a to b; or `a,b,c UNIT`, a list of numbers or names. Powers may be written
            without a sign, as in `mS/cm2`.

    Returns:
        By name a quantity, or a list of numbers or names.

    Raises:
        WrongTypeError: A text is none of these.
        UnitError: There is no such unit, or a list has several.
        RunError: A name comes twice, or a range is empty.
    """
    varied: dict[str, Any] = {}
    for text in texts:
        name, sign, values = text.partition("=")
        name = name.strip()
        if not sign or not name or not values.strip() or len(text) > _LONGEST:
            raise WrongTypeError(
                f"--vary is {quoted(text)}; write NAME=VALUES, where {GRAMMAR}: "
                "--vary 'LN->PN.g=0:0.6:13mS/cm2', --vary seed=1:5."
            )
        if name in varied:
            raise RunError(f"--vary {name!r} is given twice; write all of its values in one.")
        varied[name] = _values(name, values)
    return varied


def _values(name: str, text: str) -> Any:
    parts = text.split(":")
    if len(parts) == 1:
        return _listed(name, text)
    if len(parts) == 2 and all(_WHOLE.fullmatch(part.strip()) for part in parts):
        first, last = map(int, parts)
        if not first <= last < first + _MOST:
            raise RunError(
                f"--vary {name}={text}: a:b counts from a up to b, and b may be at most "
                f"{_MOST:,} more."
            )
        return list(range(first, last + 1))
    if len(parts) == 2:
        raise WrongTypeError(
            f"--vary {name}={text}: a:b are whole numbers; of others say how many, such as "
            f"{name}={parts[0].strip()}:{parts[1].strip() or 1}:5."
        )
    if len(parts) > 3:
        raise WrongTypeError(f"--vary {name}={quoted(text)}: {GRAMMAR}.")
    ends, count = [_number(name, part) for part in parts[:2]], _COUNT.fullmatch(parts[2])
    if count is None or not 2 <= int(count[1]) <= _MOST:
        raise WrongTypeError(
            f"--vary {name}={quoted(text)}: in a:b:n, n is how many values there are, a whole "
            f"number from 2 to {_MOST:,}, with the unit behind it."
        )
    unit = _one([*(unit for _, unit in ends), _unit(name, count[2])], name, text)
    # Rounded to 15 digits, so that 0.15 is what is typed as 0.15.
    values = [float(f"{x:.15g}") for x in np.linspace(ends[0][0], ends[1][0], int(count[1]))]
    return _measured(np.array(values), unit)


def _listed(name: str, text: str) -> Any:
    items = [item.strip() for item in text.split(",")]
    if not all(items):
        raise WrongTypeError(f"--vary {name}={quoted(text)} has an empty place in its list.")
    if not any(_VALUE.fullmatch(item) for item in items):
        return items
    pairs = [_number(name, item) for item in items]
    unit = _one([unit for _, unit in pairs], name, text)
    if unit is None and all(_WHOLE.fullmatch(item) for item in items):
        return [int(item) for item in items]
    return _measured(np.array([number for number, _ in pairs]), unit)


def _number(name: str, text: str) -> tuple[float, str | None]:
    match = _VALUE.fullmatch(text)
    if match is None:
        raise WrongTypeError(f"--vary {name}: {quoted(text.strip())} is no number; {GRAMMAR}.")
    return float(match[1]), _unit(name, match[2])


def _unit(name: str, text: str | None) -> str | None:
    """Return a unit in the words of the library: `mS/cm**2` of `mS/cm2`."""
    if text is None or not text.strip():
        return None
    unit = _POWER.sub(r"\1**\2", text.strip()).replace("µ", "u")
    try:
        units.parse_unit(unit)
    except UnitError as error:
        raise UnitError(f"--vary {name}: {error}") from error
    return unit


def _one(found: list[str | None], name: str, text: str) -> str | None:
    """Return the unit of values, of which one at least has it."""
    several = {unit for unit in found if unit is not None}
    if len(several) > 1:
        raise UnitError(
            f"--vary {name}={quoted(text)} has the units {' and '.join(sorted(several))}; write "
            "one, at its end."
        )
    return next(iter(several), None)


def _measured(values: Any, unit: str | None) -> Any:
    if unit is None:
        return values.tolist()
    return units.Quantity(values, units.parse_unit(unit))
