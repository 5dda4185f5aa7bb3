"""Squid axons in CoreNEURON: its own method (implicit voltage, `cnexp` gates), one thread.

Each axon is a compartment with `hh` and an `IClamp`; a spike is detected at 0 mV. The time is that
which CoreNEURON prints for its solver, so that the copying of the model into it is left out.
CoreNEURON computes in double precision.
"""

import os
import re
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from harness import peer
from neuron import coreneuron, h

AREA = 1e-5  # cm2: density times area is the current, and 1 uA/cm2 is 0.01 nA
SIDE = 1e4 * np.sqrt(AREA / np.pi)  # um, length and diameter of a cylinder of that area


def build(problem: peer.Problem) -> tuple[list[object], h.Vector]:
    """Build the cells; return what must be kept alive, and the vector of spiking cells."""
    kept: list[object] = []
    context = h.ParallelContext()
    times, ids = h.Vector(), h.Vector()
    for number, current in enumerate(problem["I"]):
        section = h.Section(name=f"cell_{number}")
        section.L = section.diam = SIDE
        section.insert("hh")
        clamp = h.IClamp(section(0.5))
        clamp.delay, clamp.dur, clamp.amp = 0.0, 1e9, current * AREA * 1e3
        detector = h.NetCon(section(0.5)._ref_v, None, sec=section)
        detector.threshold = 0.0
        context.set_gid2node(number, context.id())
        context.cell(number, detector)
        kept += [section, clamp, detector]
    context.spike_record(-1, times, ids)
    return [*kept, context, times], ids


def main() -> None:
    """Run the problem."""
    options = peer.parser(__doc__).parse_args()
    problem = peer.load(options.problem)
    h.load_file("stdrun.hoc")
    begin = time.perf_counter()
    kept, ids = build(problem)
    built = time.perf_counter() - begin
    h.celsius = 6.3
    h.dt = problem["dt"]
    h.CVode().cache_efficient(True)
    coreneuron.enable, coreneuron.verbose = True, 2
    context = h.ParallelContext()
    context.set_maxstep(10)
    h.finitialize(problem["v"])
    # CoreNEURON prints its times from C, past sys.stdout.
    sys.stdout.flush()
    with tempfile.TemporaryDirectory() as folder:
        said = Path(folder) / "said"
        screen = os.dup(1)
        with said.open("w") as file:
            os.dup2(file.fileno(), 1)
            begin = time.perf_counter()
            context.psolve(options.duration)
            whole = time.perf_counter() - begin
        os.dup2(screen, 1)
        text = said.read_text()
    found = re.search(r"Solver Time\s*:\s*([0-9.eE+-]+)", text)
    seconds = float(found.group(1)) if found else whole
    counts = np.bincount(np.asarray(ids, int), minlength=problem["n"])
    del kept
    more = {"psolve_seconds": whole, "build_seconds": built, "solver_time_found": bool(found)}
    peer.answer("CoreNEURON", options, problem, seconds, counts, **more)


if __name__ == "__main__":
    main()
