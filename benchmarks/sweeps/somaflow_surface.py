"""An f-I surface in somaflow: `sf.sweep`, or a loop over `sf.simulate` for some of its points.

Seconds of the loop are those of its points, times the number of all by the number of those that
were run. Processor time of the loop; of the sweep the wall's too, as it has processes.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
from harness import peer
from sweeps import surface
from sweeps.counted import Counted

import somaflow as sf
from somaflow.units import cm, mS, ms, mV, uA

METHODS = {"exponential_euler": sf.ExponentialEuler(), "rk4": sf.RK4()}
CURRENT, DENSITY = uA / cm**2, mS / cm**2


def described(current: float, g_na: float) -> sf.Network:
    """Return a squid axon at a point of the surface."""
    cell = sf.Population("cell", 1, sf.load("hodgkin_huxley_1952")(g_na=g_na * DENSITY))
    return sf.Network(cell, sf.Stimulus(cell, sf.Step(current * CURRENT), name="clamp"))


def asked(
    network: sf.Network, problem: peer.Problem, options: argparse.Namespace
) -> dict[str, Any]:
    """Return what `sf.simulate` and `sf.sweep` are asked for beside the network."""
    gates = {name: problem[key] for name, key in (("m", "m"), ("h", "h"), ("n", "n_gate"))}
    return {
        "dt": problem["dt"] * ms,
        "solver": METHODS[options.method],
        "dtype": options.dtype,
        "initial": {"cell": {"v": problem["v"] * mV, **gates}},
        "record": [network.parts[0].spikes],
        "progress": False,
    }


def loop(problem: peer.Problem, options: argparse.Namespace) -> dict[str, Any]:
    """Run some points, spread over the surface, one after another."""
    chosen = np.linspace(0, problem["n"] - 1, min(options.sample, problem["n"])).round().astype(int)
    counts, seconds = np.zeros(problem["n"]), [0.0, 0.0]
    for number, point in enumerate([chosen[0], *chosen]):
        begin = time.perf_counter(), time.process_time()
        network = described(float(problem["I"][point]), float(problem["g_na"][point]))
        settings = asked(network, problem, options)
        run = sf.simulate(network, options.duration * ms, **settings)
        if number:  # the one before was compiled
            counts[point] = len(run["cell.spikes"])
            seconds[0] += time.perf_counter() - begin[0]
            seconds[1] += time.process_time() - begin[1]
    scale = problem["n"] / len(chosen)
    return {
        "points": len(chosen),
        "seconds": seconds[0] * scale,
        "processor_seconds": seconds[1] * scale,
        "counts": counts[chosen].tolist(),
        "chosen": chosen.tolist(),
    }


def sweep(problem: peer.Problem, options: argparse.Namespace) -> dict[str, Any]:
    """Run all points."""
    points = problem["n"]
    currents, conductances = surface.axes(points)
    network = described(currents[0], conductances[0])
    settings = asked(network, problem, options) | {"batch": options.rows or None}
    vary = {"clamp.amplitude": currents * CURRENT, "cell.g_na": conductances * DENSITY}
    with Counted(options.processes) as pool:
        begin = time.perf_counter()
        sf.sweep(network, vary, 1 * ms, pool=pool, **settings)
        first, begin = time.perf_counter() - begin, time.perf_counter()
        found = sf.sweep(network, vary, options.duration * ms, pool=pool, **settings)
        seconds = time.perf_counter() - begin
    if failed := int((found["failure"] != "").sum()):
        raise RuntimeError(f"{failed} points failed")
    return {
        "points": points,
        "seconds": seconds,
        "counts": found["cell.spikes.count"].values.ravel().tolist(),
        "compile_seconds": first,
        "compiled": pool.compiled,
        "processes": len(pool.processes),
        "tasks": pool.tasks,
        "rows": pool.rows,
    }


def main() -> None:
    """Run the surface, and print what it took."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("problem", type=Path, help="npz file, made by run.py")
    parser.add_argument("--duration", type=float, default=1000.0, help="biological ms")
    parser.add_argument("--dtype", choices=("float64", "float32"), default="float32")
    parser.add_argument("--method", choices=METHODS, default="rk4")
    parser.add_argument("--way", choices=("loop", "sweep"), default="sweep")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--rows", type=int, default=0, help="0 leaves it to the plan")
    parser.add_argument("--sample", type=int, default=20, help="points of the loop")
    options = parser.parse_args()
    problem = peer.load(options.problem)
    found = (loop if options.way == "loop" else sweep)(problem, options)
    counts = found.pop("counts")
    found |= {"rate": float(np.mean(counts) / options.duration * 1e3), "spikes": int(sum(counts))}
    found.pop("chosen", None)
    print(json.dumps({"peer": "somaflow", "dtype": options.dtype, **found}), flush=True)


if __name__ == "__main__":
    main()
