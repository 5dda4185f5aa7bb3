"""What is kept of a sweep so that it can go on without the script that began it."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pint

from somaflow import description, units
from somaflow.errors import StoreError
from somaflow.given import is_number, is_whole
from somaflow.network.network import Network
from somaflow.network.recorder import Recorder
from somaflow.notation import Json
from somaflow.settings import positive
from somaflow.solvers import catalogue
from somaflow.sweeping.space import Space
from somaflow.sweeping.task import Settings

MISSING = "missing"
COMMAND = "command"  # beside it: what was asked for on the command line, which can go on with it


def to_json(
    model: object,
    space: Space,
    record: object,
    initial: object,
    seed: int,
    common: Settings,
    batch: int | None,
) -> dict[str, Json]:
    """Return what `from_json` reads; where something has no form on a disk, what that is.

    Args:
        model: As `sf.sweep` was given it.
        space: What varies.
        record: As `sf.sweep` was given it.
        initial: Likewise.
        seed: Likewise.
        common: What the members share.
        batch: As `sf.sweep` was given it.
    """
    try:
        return {
            "model": _model(model),
            "vary": [
                {
                    "key": one.key if isinstance(one.key, str) else list(one.key),
                    "values": [_value(item, f"a value of {one.name!r}") for item in one.items],
                }
                for one in space.varied
            ],
            "table": space.points is not None,
            "trials": space.trials,
            "record": _record(record),
            "initial": _initial(initial),
            "seed": int(seed),
            "duration_ms": positive(common.duration, "duration"),
            "dt_ms": positive(common.dt, "dt"),
            "solver": _solver(common),
            "dtype": common.dtype,
            "reduce": _reduce(common.reduce),
            "batch": batch,
        }
    except _Missing as missing:
        return {MISSING: str(missing)}


def from_json(told: Any, place: str) -> dict[str, Any]:
    """Return the arguments of `sf.sweep` for a sweep that goes on.

    Args:
        told: What `to_json` returned.
        place: Where it was found.

    Raises:
        StoreError: Something of it has no form on a disk, or it is damaged.
    """
    if isinstance(told, dict) and MISSING in told:
        raise StoreError(
            f"{place} does not hold {told[MISSING]}: call sf.sweep as before, with sink={place!r}."
        )
    try:
        vary = [(_key(one["key"]), [_read(v) for v in one["values"]]) for one in told["vary"]]
        solver = told["solver"]
        initial = told["initial"]
        return {
            "model": description.from_json(told["model"])["network"],
            "vary": _points(vary) if told["table"] else dict(vary),
            "trials": told["trials"],
            "record": None if told["record"] is None else description.from_json(told["record"]),
            "initial": None
            if initial is None
            else {
                name: {state: _read(value) for state, value in values.items()}
                for name, values in initial.items()
            },
            "seed": told["seed"],
            "duration": told["duration_ms"],
            "dt": told["dt_ms"],
            "solver": None if solver is None else catalogue.kept()[solver].make(),
            "dtype": told["dtype"],
            "reduce": told["reduce"],
            "batch": told["batch"],
        }
    except (KeyError, TypeError, ValueError) as error:
        raise StoreError(f"what {place} tells of its sweep is damaged ({error}).") from error


class _Missing(Exception):  # noqa: N818 - what is missing
    """Something has no form on a disk."""


def _model(model: object) -> Json:
    if not isinstance(model, Network):
        raise _Missing("its model, which is no sf.Network")
    return description.to_json({"network": model})


def _record(record: object) -> Json:
    if record is None:
        return None
    several = [record] if isinstance(record, Recorder) else record
    if callable(several) or not all(isinstance(one, Recorder) for one in several):  # type: ignore
        raise _Missing("what is recorded, which is a function")
    return description.to_json(tuple(several))  # type: ignore[arg-type]


def _initial(initial: Any) -> Json:
    if not initial:
        return None
    return {
        name: {state: _value(value, f"{name}.{state} of initial") for state, value in ones.items()}
        for name, ones in initial.items()
    }


def _solver(common: Settings) -> str | None:
    if common.solver is None:
        return None
    known = catalogue.kept().get(common.solver.name)
    if known is None or known.make() != common.solver:
        raise _Missing("its solver, which is a method of your own")
    return common.solver.name


def _reduce(reduce: object) -> Json:
    if reduce is None or isinstance(reduce, str):
        return reduce
    if callable(reduce) or not isinstance(reduce, Sequence):
        raise _Missing("reduce, which is a function")
    return list(reduce)


def _value(item: Any, what: str) -> Json:
    """Return a value of a parameter as JSON."""
    if isinstance(item, (str, bool)):
        return item
    if is_whole(item):
        return int(item)
    if is_number(item):
        return float(item)
    if isinstance(item, pint.Quantity):
        return {"of": _value(item.magnitude, what), "unit": units.unit_text(item.units)}
    if isinstance(item, np.ndarray) and item.dtype.kind in "iuf":
        return {"array": item.tolist(), "dtype": item.dtype.str}
    raise _Missing(f"{what}, which is a {type(item).__name__}")


def _read(told: Any) -> Any:
    if not isinstance(told, dict):
        return told
    if "array" in told:
        return np.array(told["array"], told["dtype"])
    return units.Quantity(_read(told["of"]), units.parse_unit(told["unit"]))


def _points(columns: list[tuple[Any, list[Any]]]) -> list[dict[Any, Any]]:
    """Return the points of a table."""
    names = [name for name, _ in columns]
    rows = zip(*(values for _, values in columns), strict=True)
    return [dict(zip(names, row, strict=True)) for row in rows]


def _key(told: Any) -> Any:
    return told if isinstance(told, str) else tuple(told)
