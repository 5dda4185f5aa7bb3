"""The benchmark of the tutorial that this project succeeds: x' = sin(x t), 500 steps of RK4.

Mohanta and Assisi (2022), doi:10.51628/001c.37893, supplement on benchmarks: 1 to 100,000
equations, dt 0.01, every step kept. Theirs start at 0, where nothing moves; here they start between
1 and 3. Beside it stands a right-hand side of ten mixed operations, and for both the 2,000
evaluations alone, by XLA and by NumPy: what is above that line is the solver's, and where the times
meet it, the solver costs nothing that another solver could save.

NumPy's integrator keeps a row a step. The tutorial's own keeps a column a step, which is slower at
100,000 equations, where each column is scattered over the memory: it is `numpy_columns`, measured
at the largest size only.

Prints a JSON object for each size, with the seconds of every program in every round. TensorFlow's
threads are set from outside, by TF_NUM_INTRAOP_THREADS; without it somaflow chooses.
"""

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import peer
import tensorflow as tf

import somaflow as sf

STEPS, DT = 500, 0.01
EVALUATIONS = 4 * STEPS
SIZES = (1, 10, 100, 1_000, 10_000, 100_000)
KEEPS = ("all", "last", "columns")

Field = Callable[[Any, Any], Any]
Program = Callable[[], Any]


def fields(xp: Any) -> dict[str, Field]:
    """Return the right-hand sides over the functions of a framework."""

    def sine(t: Any, x: Any) -> Any:
        return xp.sin(x * t)

    def mixed(t: Any, x: Any) -> Any:
        square = x * x
        return x * (1.0 - x) / (1.0 + square) + 0.1 * xp.exp(-square) * t

    return {"sine": sine, "mixed": mixed}


PLAIN, OURS = fields(np), fields(sf.math)


def numpy_rk4(f: Field, start: np.ndarray, keep: str) -> np.ndarray:
    """Return the states by plain NumPy: of all steps, [steps, equations], or the last."""
    x, kept = start, None
    if keep == "all":
        kept = np.empty((STEPS + 1, len(start)), start.dtype)
    elif keep == "columns":
        kept = np.empty((len(start), STEPS + 1), start.dtype).T
    if kept is not None:
        kept[0] = x
    for step in range(STEPS):
        t = step * DT
        k1 = f(t, x)
        k2 = f(t + DT / 2, x + DT / 2 * k1)
        k3 = f(t + DT / 2, x + DT / 2 * k2)
        k4 = f(t + DT, x + DT * k3)
        x = x + DT / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
        if kept is not None:
            kept[step + 1] = x
    return x if kept is None else kept


def somaflow_rk4(f: Field, start: np.ndarray, keep: str) -> np.ndarray:
    """Return the same by somaflow."""
    when: dict[str, Any] = {"at": [STEPS * DT]} if keep == "last" else {}
    found = sf.solve(
        f, start, t1=STEPS * DT, dt=DT, solver=sf.RK4(), dtype=start.dtype.name, **when
    )
    return found["y"].values


def numpy_alone(f: Field, start: np.ndarray) -> np.ndarray:
    """Evaluate as often as RK4 does, and nothing else."""
    x = start
    for _ in range(EVALUATIONS):
        x = f(1.5, x)
    return x


def xla_alone(f: Field, start: np.ndarray) -> Program:
    """Return what does so in one loop that XLA compiled."""

    @tf.function(jit_compile=True, autograph=False)
    def evaluate(x: Any) -> Any:
        t = tf.constant(1.5, x.dtype)
        loop = tf.while_loop(
            lambda k, _: k < EVALUATIONS, lambda k, x: (k + 1, f(t, x)), (tf.constant(0), x)
        )
        return loop[1]

    return lambda: evaluate(tf.constant(start)).numpy()


def programs(rhs: str, start: np.ndarray, keeps: list[str]) -> dict[str, Program]:
    """Return what is timed, by name.

    somaflow is first: it chooses TensorFlow's threads, which it can only before anything has run.
    """
    found: dict[str, Program] = {}
    for keep in keeps:
        if keep != "columns":
            found[f"somaflow_{keep}"] = lambda keep=keep: somaflow_rk4(OURS[rhs], start, keep)
        if keep != "columns" or len(start) == max(SIZES):
            found[f"numpy_{keep}"] = lambda keep=keep: numpy_rk4(PLAIN[rhs], start, keep)
    found["numpy_alone"] = lambda: numpy_alone(PLAIN[rhs], start)
    found["xla_alone"] = xla_alone(fields(tf.math)[rhs], start)
    return found


def timed(program: Program) -> float:
    """Return the median seconds of a few runs, fewer of long ones."""
    times: list[float] = []
    while len(times) < 9 and sum(times) < 0.05:
        begin = time.perf_counter()
        program()
        times.append(time.perf_counter() - begin)
    return statistics.median(times)


def measure(rhs: str, dtype: str, size: int, options: argparse.Namespace) -> dict[str, Any]:
    """Return the seconds of every program, round by round."""
    start = np.linspace(1.0, 3.0, size, dtype=dtype)
    chosen = programs(rhs, start, options.keep)
    first, last = {}, {}
    for name, program in chosen.items():  # compiles
        begin = time.perf_counter()
        last[name] = np.ravel(np.asarray(program()))[-size:]
        first[name] = time.perf_counter() - begin
    rounds = [
        {name: timed(program) for name, program in chosen.items()} for _ in range(options.rounds)
    ]
    keep = options.keep[0]
    return {
        "rhs": rhs,
        "dtype": dtype,
        "size": size,
        "threads": os.environ.get("TF_NUM_INTRAOP_THREADS", "default"),
        "seconds": {name: [one[name] for one in rounds] for name in chosen},
        "compile_seconds": first[f"somaflow_{keep}"] - rounds[0][f"somaflow_{keep}"],
        "difference": float(np.abs(last[f"somaflow_{keep}"] - last[f"numpy_{keep}"]).max()),
    }


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES))
    parser.add_argument("--fields", nargs="+", choices=tuple(PLAIN), default=list(PLAIN))
    parser.add_argument("--dtypes", nargs="+", default=["float64", "float32"])
    parser.add_argument("--keep", nargs="+", choices=KEEPS, default=["all"])
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    peer.limit_cores()
    for rhs in options.fields:
        for dtype in options.dtypes:
            for size in options.sizes:
                print(json.dumps(measure(rhs, dtype, size, options)), flush=True)


if __name__ == "__main__":
    main()
