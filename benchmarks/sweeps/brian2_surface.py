"""An f-I surface in Brian2's best way: all points as cells of one group, C++ standalone.

One thread; exponential Euler or RK4. Spikes are counted. The equations are those of
`hh_cells.brian2_peer`, with the conductance of sodium as a variable of each cell.
"""

import contextlib
import sys
import tempfile
from pathlib import Path

import brian2 as b2
import numpy as np
from brian2 import ms
from harness import brian2_build, peer
from hh_cells import brian2_peer as axon

EQUATIONS = axon.EQUATIONS.replace("120*(m*m*m)", "g_na*(m*m*m)") + "g_na : 1 (constant)\n"


def main() -> None:
    """Run the problem."""
    parser = peer.parser(__doc__)
    parser.add_argument("--flags", choices=brian2_build.FLAGS, default="default")
    parser.add_argument("--method", choices=("exponential_euler", "rk4"), default="rk4")
    options = parser.parse_args()
    problem = peer.load(options.problem)
    near = 1e-3 if options.dtype == "float32" else 1e-6
    forms = {letter: axon.rate(f"z_{letter}", "guard", near) for letter in "mn"}
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(sys.stderr):
        brian2_build.prepare(options.dtype, options.flags, problem["dt"])
        cells = b2.NeuronGroup(
            problem["n"],
            EQUATIONS.format(**forms),
            threshold="V > 0",
            refractory="V > 0",
            method=options.method,
        )
        cells.V, cells.I, cells.g_na = problem["v"], problem["I"], problem["g_na"]
        cells.m, cells.h, cells.n = (problem[key] for key in ("m", "h", "n_gate"))
        spikes = b2.SpikeMonitor(cells)
        b2.Network(cells, spikes).run(options.duration * ms)
        seconds, compiled = brian2_build.finish(Path(folder), options.dtype)
        counts = np.asarray(spikes.count)
    peer.answer("Brian2", options, problem, seconds, counts, compile_seconds=compiled)


if __name__ == "__main__":
    main()
