"""What every solver promises: its order, on systems with and without a closed form."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.integrate import solve_ivp

import somaflow as sf
from somaflow.solvers.base import Solver

SOLVERS: dict[str, Callable[[], Solver]] = {"Euler": sf.Euler, "RK4": sf.RK4}


def lorenz(t: Any, y: Any) -> Any:
    return {
        "x": 10.0 * (y["y"] - y["x"]),
        "y": y["x"] * (28.0 - y["z"]) - y["y"],
        "z": y["x"] * y["y"] - 8 / 3 * y["z"],
    }


# Right-hand side, initial state, end, and the number of steps of the coarsest grid by order.
PROBLEMS: dict[str, tuple[Callable, dict[str, float], float, dict[int, int]]] = {
    "linear decay": (lambda t, y: {"x": -1.3 * y["x"]}, {"x": 2.0}, 2.0, {1: 800, 4: 20}),
    "x' = sin(x t)": (
        lambda t, y: {"x": sf.math.sin(y["x"] * t)},
        {"x": 1.0},
        2.0,
        {1: 800, 4: 40},
    ),
    "Lorenz": (lorenz, {"x": 1.0, "y": 1.0, "z": 1.0}, 0.5, {1: 4000, 4: 100}),
}


def reference(f: Callable, y0: dict[str, float], end: float) -> np.ndarray:
    keys = list(y0)

    def flat(t: float, values: np.ndarray) -> list[float]:
        slope = f(t, dict(zip(keys, values, strict=True)))
        return [slope[key] for key in keys]

    done = solve_ivp(flat, (0, end), list(y0.values()), method="DOP853", rtol=1e-12, atol=1e-13)
    return done.y[:, -1]


@pytest.mark.parametrize("problem", PROBLEMS)
@pytest.mark.parametrize("name", SOLVERS)
def test_order_of_convergence(name: str, problem: str) -> None:
    solver = SOLVERS[name]()
    f, y0, end, coarsest = PROBLEMS[problem]
    exact = reference(f, y0, end)
    counts = [coarsest[solver.order] * 2**k for k in range(3)]
    errors = []
    for count in counts:
        run = sf.solve(f, y0, t1=end, dt=end / count, every=end, solver=solver)
        last = [run[key].values[-1] for key in y0]
        errors.append(np.linalg.norm(np.array(last) - exact))
    slope = -np.polyfit(np.log(counts), np.log(errors), 1)[0]
    assert slope == pytest.approx(solver.order, abs=0.1)


@pytest.mark.parametrize("name", SOLVERS)
def test_a_solver_keeps_the_structure_and_dtype_of_the_state(name: str) -> None:
    y0 = {"a": np.ones((2, 3)), "b": {"c": 1.0, "d": [2.0, np.zeros(4)]}}

    def f(t: Any, y: Any) -> Any:
        return {"a": -y["a"], "b": {"c": -y["b"]["c"], "d": [-y["b"]["d"][0], y["b"]["d"][1] + 1]}}

    run = sf.solve(f, y0, t1=0.3, dt=0.1, solver=SOLVERS[name](), dtype="float32")
    assert run.keys() == ["a", "b.c", "b.d.0", "b.d.1"]
    assert [run[key].shape for key in run] == [(4, 2, 3), (4,), (4,), (4, 4)]
    assert {run[key].dtype.name for key in run} == {"float32"}


def test_every_public_solver_is_in_the_list() -> None:
    stub = Path(sf.__file__).with_name("__init__.pyi").read_text().splitlines()
    public = {line.split()[-1] for line in stub if line.startswith("from .solvers.")}
    assert public == set(SOLVERS)
