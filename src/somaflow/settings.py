"""What `simulate` and `solve` share: checks of their arguments, and what a result keeps."""

import platform
from functools import cache
from importlib.metadata import version
from typing import Any

import tensorflow as tf

from somaflow import description, units
from somaflow.errors import RunError, WrongTypeError
from somaflow.given import has, shown
from somaflow.solvers.base import Solver


def positive(value: Any, name: str, unit: str = "ms") -> float:
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


def method(solver: Any, default: Solver) -> Solver:
    """Return the solver, or the default for None.

    Raises:
        WrongTypeError: It is none.
    """
    if solver is None:
        return default
    parts = ("step", "init", "nodes", "order")
    if isinstance(solver, type) or not all(has(solver, part) for part in parts):
        name = getattr(solver, "__name__", "")
        if callable(solver) and getattr(solver, "__module__", "").startswith("somaflow."):
            solver = f"sf.{name} without brackets: write solver=sf.{name}()"
        else:
            solver = shown(solver)
        raise WrongTypeError(f"solver is a method such as sf.RK4(), not {solver}.")
    return solver


def float_type(dtype: Any) -> tf.DType:
    """Return the dtype of a run.

    Raises:
        WrongTypeError: It is neither of the two.
    """
    if not isinstance(dtype, str) or dtype not in ("float64", "float32"):
        meant = getattr(dtype, "name", None) or getattr(dtype, "__name__", None)
        advice = f": write dtype={meant!r}" if meant in ("float64", "float32") else ""
        raise WrongTypeError(f"dtype is 'float64' or 'float32', not {shown(dtype)}{advice}.")
    return tf.as_dtype(dtype)


@cache
def versions() -> dict[str, str]:
    """Return the versions of all that a result is made with."""
    names = ("somaflow", "tensorflow", "numpy", "zarr", "xarray")
    return {name: version(name) for name in names} | {
        "python": platform.python_version(),
        "machine": platform.machine(),
    }


def meta(described: dict[str, Any], settings: dict[str, Any], solver: Solver) -> dict[str, Any]:
    """Return all that is needed to repeat a run, as plain JSON."""
    return settings | {
        "solver": solver.name,
        "description": description.to_json(described),
        "fingerprint": description.fingerprint(described),
        "versions": dict(versions()),
    }
