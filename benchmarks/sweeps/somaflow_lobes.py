"""Lobes in somaflow: one after another by `sf.simulate`, or by `sf.sweep` as rows and in processes.

Seconds are those of the wall. Beginning the processes and compiling stand apart: a first run, or a
sweep of as many members as it takes to have each process compile, comes before.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
from antennal_lobe import somaflow_peer as lobe
from sweeps import lobes
from sweeps.counted import Counted

import somaflow as sf
from somaflow.units import cm, mS, ms


def described(problem: dict[str, Any], dtype: str) -> tuple[sf.Network, dict[str, Any]]:
    """Return the network, and what `sf.simulate` and `sf.sweep` are asked for beside it."""
    network, pn, ln = lobe.network(problem)
    closed = dict.fromkeys(("na.m", "na.h", "k.n", "ka.m", "ka.h"), 0.0)
    slow = dict.fromkeys(("ca.m", "ca.h", "kca.m", "k.n"), 0.0)
    settings: dict[str, Any] = {
        "dt": problem["dt_ms"] * ms,
        "solver": sf.RK4(),
        "dtype": dtype,
        "initial": {
            "PN": {"v": np.array(problem["v0_pn"]), **closed},
            "LN": {"v": np.array(problem["v0_ln"]), **slow},
        },
        "record": [pn.spikes, ln.spikes, pn["v"].mean().every(0.1 * ms)],
        "progress": False,
    }
    return network, settings


def loop(problem: dict[str, Any], options: argparse.Namespace) -> None:
    """Run one lobe after another."""
    duration, compiled, own = problem["duration_ms"] * ms, [], 0.0
    spikes = {"PN.spikes": 0, "LN.spikes": 0}
    weights = lobes.weights(options.members)
    begin = time.perf_counter()
    for number, weight in enumerate([weights[0], *weights]):
        if number == 1:  # the one before was compiled
            own, begin, spikes = 0.0, time.perf_counter(), dict.fromkeys(spikes, 0)
        strengths = problem["weights"] | {"gaba_pn": float(weight)}
        network, settings = described(problem | {"weights": strengths}, options.dtype)
        run = sf.simulate(network, duration, **settings)
        own += run.statistics["run_seconds"]
        compiled.append(bool(run.statistics["compiled"]))
        spikes = {name: count + len(run[name]) for name, count in spikes.items()}
    lobes.answer(
        "somaflow",
        options.members,
        time.perf_counter() - begin,
        pn_spikes=spikes["PN.spikes"],
        ln_spikes=spikes["LN.spikes"],
        run_seconds=own,
        compiled=sum(compiled),
        processes=1,
    )


def sweep(problem: dict[str, Any], options: argparse.Namespace) -> None:
    """Run them as rows, in processes."""
    network, settings = described(problem, options.dtype)
    settings |= {"duration": problem["duration_ms"] * ms, "batch": options.rows or None}
    with Counted(options.processes) as pool:

        def run(weights: np.ndarray, **changed: Any) -> Any:
            vary = {("LN->PN", "weight"): weights * (mS / cm**2)}
            return sf.sweep(network, vary, pool=pool, **settings | changed)

        begin = time.perf_counter()
        # As many tasks as processes and more, so that each process has compiled.
        rows = options.rows or options.members // options.processes
        first = min(2 * rows * options.processes, options.members)
        run(lobes.weights(first), duration=1 * ms)
        first_seconds, begin = time.perf_counter() - begin, time.perf_counter()
        found = run(lobes.weights(options.members))
        seconds = time.perf_counter() - begin
        compiled, processes = pool.compiled, len(pool.processes)
    failed = int((found["failure"] != "").sum())
    if failed:
        raise RuntimeError(f"{failed} members failed")
    lobes.answer(
        "somaflow",
        options.members,
        seconds,
        pn_spikes=int(found["PN.spikes.count"].sum()),
        ln_spikes=int(found["LN.spikes.count"].sum()),
        compile_seconds=first_seconds,
        compiled=compiled,
        processes=processes,
        tasks=pool.tasks,
        rows=pool.rows,
    )


def main() -> None:
    """Run all members, and print what they took."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("problem", type=Path, help="JSON file, made by run.py")
    parser.add_argument("--members", type=int, default=lobes.MEMBERS)
    parser.add_argument("--way", choices=("loop", "sweep"), default="sweep")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--rows", type=int, default=0, help="0 leaves it to the plan")
    parser.add_argument("--dtype", choices=("float64", "float32"), default="float32")
    options = parser.parse_args()
    problem = json.loads(options.problem.read_text(encoding="utf-8"))
    (loop if options.way == "loop" else sweep)(problem, options)


if __name__ == "__main__":
    main()
