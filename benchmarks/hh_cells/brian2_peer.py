"""Squid axons in Brian2, C++ standalone, one thread, exponential Euler.

Rates are written with a guarded quotient, which Brian2's compiler can vectorise, or with Brian2's
`exprel` (`--rates`). Spikes are counted.
"""

import contextlib
import sys
import tempfile
from pathlib import Path

import brian2 as b2
import numpy as np
from brian2 import ms
from harness import brian2_build, peer

# mV, mS/cm2 and uA/cm2; the capacitance is 1 uF/cm2.
EQUATIONS = """
dV/dt = (I - 120*(m*m*m)*h*(V - 50) - 36*(n*n*n*n)*(V + 77) - 0.3*(V + 54.3))/ms : 1
dm/dt = (alpha_m*(1 - m) - 4*exp(-(V + 65)/18)*m)/ms : 1
dh/dt = (0.07*exp(-(V + 65)/20)*(1 - h) - h/(1 + exp(-(V + 35)/10)))/ms : 1
dn/dt = (alpha_n*(1 - n) - 0.125*exp(-(V + 65)/80)*n)/ms : 1
z_m = -(V + 40)/10 : 1
z_n = -(V + 55)/10 : 1
alpha_m = {m} : 1
alpha_n = 0.1*{n} : 1
I : 1 (constant)
"""


def rate(z: str, form: str, near: float) -> str:
    """Return z/(exp(z) - 1) as text."""
    if form == "exprel":
        return f"(1/exprel({z}))"
    safe = f"({z} + {2 * near}*int(abs({z}) < {near}))"
    return f"({safe}/(exp({safe}) - 1))"


def main() -> None:
    """Run the problem."""
    parser = peer.parser(__doc__)
    parser.add_argument("--flags", choices=brian2_build.FLAGS, default="default")
    parser.add_argument("--rates", choices=("exprel", "guard"), default="guard")
    options = parser.parse_args()
    problem = peer.load(options.problem)
    near = 1e-3 if options.dtype == "float32" else 1e-6
    forms = {letter: rate(f"z_{letter}", options.rates, near) for letter in "mn"}
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(sys.stderr):
        brian2_build.prepare(options.dtype, options.flags, problem["dt"])
        cells = b2.NeuronGroup(
            problem["n"],
            EQUATIONS.format(**forms),
            threshold="V > 0",
            refractory="V > 0",
            method="exponential_euler",
        )
        cells.V, cells.I = problem["v"], problem["I"]
        cells.m, cells.h, cells.n = (problem[key] for key in ("m", "h", "n_gate"))
        spikes = b2.SpikeMonitor(cells)
        b2.Network(cells, spikes).run(options.duration * ms)
        seconds, compiled = brian2_build.finish(Path(folder), options.dtype)
        counts = np.asarray(spikes.count)
    peer.answer("Brian2", options, problem, seconds, counts, compile_seconds=compiled)


if __name__ == "__main__":
    main()
