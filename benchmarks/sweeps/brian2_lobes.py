"""Lobes in a pool of Brian2 standalone processes: compiled once, its parameter set for each run.

This is the way of Brian2's own page on many standalone runs: the network is built and compiled
once, and a pool of processes starts the program with `run_args` and a folder of results a member.
The equations are those of `antennal_lobe.brian2_peer`, with the weight from LN to PN as a variable.
"""

import argparse
import contextlib
import json
import multiprocessing
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import brian2 as b2
import numpy as np
from antennal_lobe import brian2_peer as lobe
from brian2 import ms
from harness import brian2_build
from sweeps import lobes


def _member(task: tuple[str, int, float]) -> tuple[int, int, float]:
    """Run a member; return spikes of PN and of LN, and Brian2's own time of the run."""
    folder, number, weight = task
    parts = PARTS
    b2.device.run(
        directory=folder,
        results_directory=f"results_{number}",
        run_args={parts["pn"].w_gaba_pn: weight},
    )
    # What a user takes from a member: all spikes and the mean voltage.
    spikes = [np.array(parts[name].t) for name in ("pn_spikes", "ln_spikes")]
    np.array(parts["mean"].mean)
    return len(spikes[0]), len(spikes[1]), float(b2.device._last_run_time)


PARTS: dict[str, Any] = {}


def build(problem: dict[str, Any], dtype: str) -> None:
    """Describe the network; its parts are in `PARTS` afterwards, and in the pool's processes."""
    lobe.PN += "w_gaba_pn : 1 (constant, shared)\n"
    weights = {name: value for name, value in problem["weights"].items() if name != "gaba_pn"}
    parts = lobe.build(problem | {"weights": weights}, dtype)
    network = parts["network"]
    network.remove(parts["v"])  # members keep their spikes and the mean voltage
    PARTS.update(parts, pn=network["pn"])
    PARTS["pn"].w_gaba_pn = problem["weights"]["gaba_pn"]
    network.run(problem["duration_ms"] * ms)


def main() -> None:
    """Run all members, and print what they took."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("problem", type=Path, help="JSON file, made by run.py")
    parser.add_argument("--members", type=int, default=lobes.MEMBERS)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--dtype", choices=("float64", "float32"), default="float32")
    parser.add_argument("--flags", choices=brian2_build.FLAGS, default="default")
    options = parser.parse_args()
    problem = json.loads(options.problem.read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(sys.stderr):
        begin = time.perf_counter()
        brian2_build.prepare(options.dtype, options.flags, problem["dt_ms"])
        build(problem, options.dtype)
        program = str(Path(folder) / "program")
        b2.device.build(directory=program, compile=False, run=False)
        if options.dtype == "float32":
            lobe.use_float_literals(Path(program))
        b2.device.compile_source(program, "unix", debug=False, clean=False)
        compiled = time.perf_counter() - begin
        tasks = [
            (program, number, float(weight))
            for number, weight in enumerate(lobes.weights(options.members))
        ]
        with multiprocessing.get_context("fork").Pool(options.processes) as pool:
            pool.map(_member, tasks[: options.processes], chunksize=1)  # a first one warms up
            begin = time.perf_counter()
            found = pool.map(_member, tasks, chunksize=1)
            seconds = time.perf_counter() - begin
    lobes.answer(
        "Brian2",
        len(found),
        seconds,
        pn_spikes=sum(pn for pn, _, _ in found),
        ln_spikes=sum(ln for _, ln, _ in found),
        run_seconds=sum(own for _, _, own in found),
        compile_seconds=compiled,
    )


if __name__ == "__main__":
    main()
