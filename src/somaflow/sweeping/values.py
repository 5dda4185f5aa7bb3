"""Values of something that varies: one by one, as the coordinates of a result, and in words."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pint
from numpy.typing import NDArray

from somaflow import given, units
from somaflow.description import Description, fingerprint
from somaflow.errors import UnitError, WrongTypeError
from somaflow.given import is_number, is_whole, shown

_WRITTEN_OUT, _LONGEST = 8, 40  # values in full, and characters of one


def items_of(name: str, values: object) -> list[object]:
    """Return the values of an axis or a column, one by one."""
    wrong = f"the values of {name!r} are a list or an array, not {shown(values)}."
    if isinstance(values, (str, bytes, Mapping, set, frozenset)):
        raise WrongTypeError(wrong)
    if isinstance(values, pint.Quantity):
        if not np.ndim(values.magnitude):
            raise WrongTypeError(wrong)
        numbers = np.asarray(values.magnitude)
        return [units.Quantity(plain(number), values.units) for number in numbers]
    if not isinstance(values, (list, tuple, range)) and given.has(values, "__array__"):
        array = given.array(values)
        if array is not None and array.ndim and array.dtype != object:
            return [plain(item) for item in array]
    items = given.listed(values)
    if items is None:
        raise WrongTypeError(wrong)
    return [plain(item) for item in items]


def plain(item: object) -> object:
    """Return a scalar of NumPy as Python's, which functions and texts take more kindly."""
    return item.item() if isinstance(item, np.generic) else item


def coordinates_of(name: str, items: tuple[object, ...]) -> tuple[NDArray[np.generic], str | None]:
    """Return values as coordinates, and their unit."""
    first = items[0]
    quantities = [item for item in items if isinstance(item, pint.Quantity)]
    if quantities and len(quantities) < len(items):
        bare = next(item for item in items if not isinstance(item, pint.Quantity))
        raise UnitError(
            f"some values of {name!r} have a unit and {shown(bare)} has none; give all of them one."
        )
    if any(map(is_array, items)):
        return np.arange(len(items)), "1"
    if isinstance(first, pint.Quantity):
        for item in quantities:
            if item.dimensionality != first.dimensionality:
                raise UnitError(
                    f"the values of {name!r} are in {unit_of(first)}, but one of them is in "
                    f"{unit_of(item)}."
                )
        numbers = [q.m if q.units == first.units else q.to(first.units).m for q in quantities]
        return np.asarray(numbers), unit_of(first)
    if all(isinstance(item, bool) for item in items):
        return np.asarray(items), ""
    if all(map(_fits, items)):
        return np.asarray(items, np.int64), None
    if all(map(is_number, items)):
        return np.asarray(items, np.float64), None
    return np.asarray([item if isinstance(item, str) else _text(item) for item in items]), ""


def _fits(item: Any) -> bool:
    return is_whole(item) and -(2**63) <= item < 2**63


def is_array(item: object) -> bool:
    """Return whether a value is several numbers."""
    if isinstance(item, pint.Quantity):
        item = item.magnitude
    if isinstance(item, units.Parameter):
        item = item.value
    return isinstance(item, (list, tuple)) or (isinstance(item, np.ndarray) and item.ndim > 0)


def is_numeric(text: str) -> bool:
    """Return whether a text is a number without a unit, as where a table was read as texts."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def _text(item: object) -> str:
    """Return a value that is no number as a text, the same in every process."""
    name = getattr(item, "__name__", None)
    text = shown(item) if name is None else str(name)
    return type(item).__name__ if " at 0x" in text else text


def unit_of(quantity: pint.Quantity) -> str:
    """Return the unit of a quantity as a text."""
    return units.unit_text(quantity.units)


def in_words(items: Sequence[object]) -> str:
    """Return values in words, so that others have another text.

    Up to 8 are written out; of more there is a checksum.
    """
    exact = [_exact(item) for item in items]
    if len(exact) <= _WRITTEN_OUT and all(len(text) <= _LONGEST for text in exact):
        return ", ".join(exact)
    digest = hashlib.sha256("\n".join(exact).encode()).hexdigest()[:12]
    return f"{len(exact)} values from {exact[0][:_LONGEST]} to {exact[-1][:_LONGEST]} ({digest})"


def _exact(item: object) -> str:
    """Return a value as a text that no other value has."""
    if isinstance(item, pint.Quantity):
        return f"{_exact(item.magnitude)} {unit_of(item)}"
    if isinstance(item, (list, tuple)):
        return f"({', '.join(map(_exact, item))})"
    if isinstance(item, np.ndarray):
        return f"array {item.shape} {hashlib.sha256(item.tobytes()).hexdigest()[:12]}"
    if isinstance(item, Description):
        return f"{item} {fingerprint(item)[:12]}"
    item = plain(item)
    return repr(item) if isinstance(item, (str, int, float)) else _text(item)
