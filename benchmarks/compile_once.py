"""What many runs of one structure cost: 200 values of a conductance in one process.

    benchmarks/compile_once.py [--runs 200] [--ms 20]

Told are the seconds of the first run and of a later one, how many runs were compiled, and by how
much the resident memory of the process has grown since the first.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np

import somaflow as sf
from somaflow.units import cm, mS, ms, uA

CURRENT = np.linspace(0, 20, 20) * uA / cm**2
STATM = Path("/proc/self/statm")


def run(g: float, duration: float) -> sf.Solution:
    """Run twenty squid axons with a sodium conductance."""
    axon = sf.load("hodgkin_huxley_1952")(g_na=g * mS / cm**2)
    cells = sf.Population("cells", 20, axon)
    network = sf.Network(cells, sf.CurrentClamp(cells, CURRENT, start=1 * ms))
    record = [cells["v"].every(0.1 * ms), cells.spikes]
    return sf.simulate(network, duration * ms, dt=0.01 * ms, record=record, progress=False)


def resident() -> float:
    """Return the resident memory of the process in MB."""
    return int(STATM.read_text().split()[1]) * 4096 / 1e6


def main() -> None:
    """Run all values, and print what they took as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--ms", type=float, default=20.0)
    chosen = parser.parse_args()
    seconds, compiled, memory = [], 0, []
    for g in np.linspace(100, 140, chosen.runs):
        begin = time.perf_counter()
        compiled += run(float(g), chosen.ms).statistics.get("compiled", True)
        seconds.append(time.perf_counter() - begin)
        memory.append(resident())
    found = {
        "runs": chosen.runs,
        "compiled": compiled,
        "first_seconds": round(seconds[0], 3),
        "later_seconds": round(float(np.median(seconds[1:])), 4),
        "grown_mb": round(memory[-1] - memory[0], 1),
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
