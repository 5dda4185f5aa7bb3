"""What `simulate` and `solve` share: checks of their arguments, and what a result keeps."""

# Annotations stay text: `Solver` would load TensorFlow, before which arguments are checked.
from __future__ import annotations

import platform
from collections.abc import Mapping
from functools import cache
from importlib.metadata import version
from typing import TYPE_CHECKING

import pint

from somaflow import description, units
from somaflow.errors import RunError, WrongTypeError
from somaflow.given import has, is_among, shown
from somaflow.notation import Json

if TYPE_CHECKING:
    from somaflow.solvers.base import Solver

_FLOATS = ("float64", "float32")
Duration = float | pint.Quantity  # a time as users give it; a number is in ms, in a network


def positive(value: object, name: str, unit: str = "ms") -> float:
    """Return a time that must be greater than 0.

    Args:
        value: A quantity or a number.
        name: What the user calls it.
        unit: What a plain number is in.

    Raises:
        RunError: It is not.
        WrongTypeError: It is not a number.
    """
    if isinstance(value, str):
        raise WrongTypeError(
            f"{name} is a time such as {'0.01' if unit == '1' else '0.01*ms'}, not {shown(value)}."
        )
    number = units.scalar(value, unit, name)
    if number <= 0:
        raise RunError(
            f"{name} is {number:g}{'' if unit == '1' else ' ' + unit}; it must be greater than 0."
        )
    return number


def method(solver: Solver | None) -> Solver | None:
    """Return the solver, if it is one; None where none is given.

    Raises:
        WrongTypeError: It is none.
    """
    if solver is None:
        return None
    parts = ("step", "init", "nodes", "order")
    if isinstance(solver, type) or not all(has(solver, part) for part in parts):
        name = getattr(solver, "__name__", "")
        if callable(solver) and getattr(solver, "__module__", "").startswith("somaflow."):
            meant = f"sf.{name} without brackets: write solver=sf.{name}()"
        else:
            meant = shown(solver)
        raise WrongTypeError(f"solver is a method such as sf.RK4(), not {meant}.")
    return solver


def float_type(dtype: object) -> str:
    """Return the name of the dtype of a run.

    Raises:
        WrongTypeError: It is neither of the two.
    """
    if not is_among(dtype, _FLOATS):
        meant = getattr(dtype, "name", None) or getattr(dtype, "__name__", None)
        advice = f": write dtype={meant!r}" if is_among(meant, _FLOATS) else ""
        raise WrongTypeError(f"dtype is 'float64' or 'float32', not {shown(dtype)}{advice}.")
    return dtype


@cache
def versions() -> dict[str, str]:
    """Return the versions of all that a result is made with."""
    names = ("somaflow", "tensorflow", "numpy", "zarr", "xarray")
    return {name: version(name) for name in names} | {
        "python": platform.python_version(),
        "machine": platform.machine(),
    }


def meta(
    described: Mapping[str, object], settings: dict[str, Json], solver: Solver
) -> dict[str, Json]:
    """Return all that is needed to repeat a run, as plain JSON."""
    text, fingerprint = description.to_json_and_fingerprint(described)
    return settings | {
        "solver": solver.name,
        "description": text,
        "fingerprint": fingerprint,
        "versions": dict(versions()),
    }
