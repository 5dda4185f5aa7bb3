"""Spaces: what varies in a sweep, and the members that follow, by number and by coordinates.

A grid is the product of its axes, in their order, the last one fastest; a table has one axis
`point`. Trials are one axis more, the last and fastest.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod

import numpy as np
import pint
from numpy.typing import NDArray

from somaflow import given, units
from somaflow.errors import RunError, UnitError, WrongTypeError
from somaflow.given import is_whole, shown
from somaflow.sweeping.values import coordinates_of, is_array, items_of, plain, unit_of

Key = str | tuple[str, str]  # a name, or the name of a part of the network and what of it varies
Vary = Mapping[Key, object] | Sequence[Mapping[Key, object]] | tuple[Sequence[Key], object]
POINT, TRIAL, FAILURE = "point", "trial", "failure"
_DIGITS = 10  # of a number in a label, as where parameters are printed


@dataclass(frozen=True)
class Coordinate:
    """The values of something that varies, as a result is labelled with them.

    Attributes:
        name: What varies.
        dims: The axes of the sweep over which it does.
        values: Numbers or texts, shape `[n]`; where each value is an array, its number.
        unit: Of the values; `"1"` for pure numbers, empty for texts.
    """

    name: str
    dims: tuple[str, ...]
    values: NDArray[np.generic]
    unit: str


@dataclass(frozen=True)
class Varied:
    """One thing that varies, and its values.

    Attributes:
        name: What it is called in results.
        key: Its name as it was given.
        items: The values as they were given.
        values: The values as coordinates.
        unit: Of the values as coordinates; None where they are numbers given without a unit.
    """

    name: str
    key: Key
    items: tuple[object, ...]
    values: NDArray[np.generic]
    unit: str | None


@dataclass(frozen=True)
class Space:
    """The members of a sweep.

    Attributes:
        varied: What varies.
        points: How many points a table has; None of a grid.
        trials: How many trials each point has; None where there is no such axis.
    """

    varied: tuple[Varied, ...]
    points: int | None = None
    trials: int | None = None

    @property
    def dims(self) -> tuple[str, ...]:
        """The axes."""
        names = (POINT,) if self.points is not None else tuple(one.name for one in self.varied)
        return names if self.trials is None else (*names, TRIAL)

    @property
    def shape(self) -> tuple[int, ...]:
        """The length of each axis."""
        counts = (self.points,) if self.points is not None else self._lengths
        return counts if self.trials is None else (*counts, self.trials)

    @property
    def _lengths(self) -> tuple[int, ...]:
        return tuple(len(one.items) for one in self.varied)

    def __len__(self) -> int:
        return prod(self.shape)

    @property
    def coordinates(self) -> tuple[Coordinate, ...]:
        """What the axes are labelled with."""
        table = self.points is not None
        own = [
            Coordinate(
                one.name,
                (POINT,) if table else (one.name,),
                one.values,
                "1" if one.unit is None else one.unit,
            )
            for one in self.varied
        ]
        if self.trials is not None:
            own.append(Coordinate(TRIAL, (TRIAL,), np.arange(self.trials), "1"))
        return tuple(own)

    def index(self, m: int) -> tuple[int, ...]:
        """Return the place of a member on each axis.

        Args:
            m: Its number, from 0 on.

        Raises:
            IndexError: There is no such member.
        """
        if not 0 <= m < len(self):
            raise IndexError(f"a sweep of {len(self)} members has no member {m}")
        index = []
        for size in reversed(self.shape):
            m, k = divmod(m, size)
            index.append(k)
        return tuple(reversed(index))

    def number(self, index: Sequence[int]) -> int:
        """Return the number of the member at a place on each axis: what `index` takes."""
        return int(np.ravel_multi_index(tuple(index), self.shape)) if self.shape else 0

    def with_value(self, axis: int, k: int) -> int:
        """Return the number of the first member that has value `k` of a thing that varies."""
        index = [0] * len(self.shape)
        index[0 if self.points is not None else axis] = k
        return self.number(index)

    def choices(self, m: int) -> tuple[int, ...]:
        """Return which value of each thing that varies a member has."""
        index = self.index(m)
        return (
            (index[0],) * len(self.varied) if self.points is not None else index[: len(self.varied)]
        )

    def trial(self, m: int) -> int:
        """Return the trial that a member is; 0 where there is no such axis."""
        return 0 if self.trials is None else self.index(m)[-1]

    def point(self, m: int) -> dict[str, object]:
        """Return the values of a member, by name, as they were given."""
        return {one.name: one.items[k] for one, k in zip(self.varied, self.choices(m), strict=True)}

    def label(self, m: int) -> str:
        """Return a member's coordinates in words, such as `LN_to_PN.g=0.2 mS/cm**2, seed=3`."""
        parts = [f"{POINT} {self.index(m)[0]}"] if self.points is not None else []
        parts += [_said(one, k) for one, k in zip(self.varied, self.choices(m), strict=True)]
        if self.trials is not None:
            parts.append(f"{TRIAL}={self.trial(m)}")
        return ", ".join(parts)

    def measured(self, known: Mapping[str, str]) -> "Space":
        """Return the space with the units that numbers given without one are in.

        Args:
            known: The unit of what varies, by name, where there is one.

        Raises:
            UnitError: Values have a unit, and of another kind.
        """
        return replace(self, varied=tuple(_in(one, known.get(one.name)) for one in self.varied))


def _in(one: Varied, unit: str | None) -> Varied:
    if one.unit is None:
        return replace(one, unit=unit or "1")
    own = unit_of(one.items[0]) if isinstance(one.items[0], pint.Quantity) else unit
    if own and unit and units.dimensions(own) != units.dimensions(unit):
        raise UnitError(
            f"the values of {one.name!r} are in {own}, and it is in {unit}. Give quantities in "
            f"{unit}, or plain numbers, which mean {unit}."
        )
    return one


def _said(one: Varied, k: int) -> str:
    value, unit = one.values[k], one.unit
    if is_array(one.items[k]):
        return f"{one.name}=array {k}"
    text = f"{value:.{_DIGITS}g}" if isinstance(value, np.floating) else str(value)
    return f"{one.name}={text}" + (f" {unit}" if unit not in (None, "", "1") else "")


# ------------------------------------------------------------------------- reading


def read_space(vary: object, trials: object = None) -> Space:
    """Return the members that are asked for.

    Args:
        vary: A grid, a dict of values by name, whose product is taken in the order of the dict;
            or a table: a list of points, each a dict of a value by name; a table with named columns
            such as a pandas DataFrame; or a pair of names and an array of shape
            [n_points, n_names], such as samples of `scipy.stats.qmc`. A name is a text such as
            `"PN.g_na"`, or a pair of texts, `("LN_to_PN", "weight")`.
        trials: How many runs each point has, with seeds of their own; None for one, without an
            axis.

    Raises:
        WrongTypeError: It is none of these.
        RunError: An axis is empty, a name or a value is there twice, or the points have other names
            than the first.
        UnitError: Some values of one name have a unit and some have none, or another one.
    """
    count = _checked_trials(trials)
    if isinstance(vary, Mapping):
        varied = tuple(_axis(key, values) for key, values in vary.items())
        space = Space(varied, None, count)
    else:
        columns = _columns(vary)
        varied = tuple(_varied(key, items) for key, items in columns.items())
        space = Space(varied, len(varied[0].items), count)
    if not varied and count is None:
        raise RunError("nothing varies; give vary={'name': [...]}, or trials=10.")
    _check_once([one.key for one in varied])
    for one in varied:
        if one.name in (POINT, TRIAL, FAILURE):
            raise RunError(f"{one.name!r} has a meaning of its own in a result; use another name.")
    return space


def _check_once(keys: Iterable[object]) -> None:
    names = [_name(key) for key in keys]
    for name in names:
        if names.count(name) > 1:
            raise RunError(f"{name!r} is in vary twice.")


def _checked_trials(trials: object) -> int | None:
    if trials is None:
        return None
    if not is_whole(trials):
        raise WrongTypeError(f"trials is a whole number, not {shown(trials)}.")
    number = int(trials)  # pyright: ignore[reportArgumentType]
    if number < 1:
        raise RunError(f"trials is {number}; give at least 1, or leave it out.")
    return number


def _name(key: object) -> str:
    """Return what something that varies is called in results."""
    if isinstance(key, str) and key:
        return key
    pair = key if isinstance(key, tuple) else ()
    if len(pair) == 2 and all(isinstance(part, str) and part for part in pair):
        return ".".join(pair)
    raise WrongTypeError(
        "what varies is named by a text such as 'PN.g_na', or by a pair such as ('LN_to_PN', "
        f"'weight'), not by {shown(key)}."
    )


def _axis(key: object, values: object) -> Varied:
    """Return an axis of a grid."""
    name = _name(key)
    one = _varied(key, items_of(name, values))
    kept = [repr(value) for value in one.values.tolist()]
    if len(set(kept)) < len(kept):
        again = next(text for k, text in enumerate(kept) if text in kept[:k])
        raise RunError(
            f"{name!r} has the value {again} twice; several runs of one point are trials=..."
        )
    return one


def _varied(key: object, items: Iterable[object]) -> Varied:
    name, own = _name(key), tuple(items)
    if not own:
        raise RunError(f"{name!r} has no values; give at least one.")
    values, unit = coordinates_of(name, own)
    return Varied(name, key, own, values, unit)  # pyright: ignore[reportArgumentType]


# -------------------------------------------------------------------------- tables


def _columns(table: object) -> dict[object, list[object]]:
    """Return the columns of a table by name."""
    if given.has(table, "columns") and given.has(table, "__getitem__"):
        names = given.listed(table.columns) or []  # pyright: ignore[reportAttributeAccessIssue]
        _check_once(names)
        columns = {key: items_of(_name(key), table[key]) for key in names}  # type: ignore[index]
    elif isinstance(table, tuple) and len(table) == 2 and not isinstance(table[1], Mapping):
        columns = _of_array(*table)
    elif isinstance(table, (list, tuple)):
        columns = _of_points(table)
    else:
        raise WrongTypeError(
            "vary is a dict of values by name, a list of points such as [{'PN.g_na': 1}, ...], a "
            f"pandas DataFrame, or a pair of names and an array, not {shown(table)}."
        )
    if not columns or not len(next(iter(columns.values()))):
        raise RunError("vary has no points; give at least one.")
    return columns


def _of_array(names: object, samples: object) -> dict[object, list[object]]:
    keys = None if isinstance(names, str) else given.listed(names)
    if isinstance(samples, pint.Quantity):
        raise WrongTypeError(
            "an array of samples has no unit: each column is in the unit in which its parameter is "
            "declared. With units give a list of points, or a DataFrame."
        )
    array = given.array(samples)
    if keys is None or array is None or array.ndim != 2 or array.dtype.kind not in "iuf":
        raise WrongTypeError(
            "a pair in vary is of names and an array of shape [n_points, n_names], not "
            f"{shown(names)} and {shown(samples)}."
        )
    if array.shape[1] != len(keys):
        raise RunError(f"vary has {len(keys)} names and an array of {array.shape[1]} columns.")
    _check_once(keys)
    return {key: [plain(item) for item in array[:, k]] for k, key in enumerate(keys)}


def _of_points(points: Sequence[object]) -> dict[object, list[object]]:
    columns: dict[object, list[object]] = {}
    for k, point in enumerate(points):
        if not isinstance(point, Mapping):
            raise WrongTypeError(
                f"point {k} of vary is {shown(point)}; a point is a dict such as {{'PN.g_na': 1}}."
            )
        if not k:
            columns = {key: [] for key in point}
        for key in dict.fromkeys((*columns, *point)):
            if key not in point or key not in columns:
                one, other = (0, k) if key in columns else (k, 0)
                raise RunError(
                    f"point {one} of vary has {_name(key)!r} and point {other} has none; all "
                    "points have the same names."
                )
            columns[key].append(plain(point[key]))
    return columns
