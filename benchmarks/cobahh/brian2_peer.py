"""COBAHH in Brian2, C++ standalone, one thread, exponential Euler.

The equations are those of Brian2's own example. With `--rates` they are written as there, as
x/(exp(x) - 1) ("quotient", fastest), by Brian2's `exprel` ("exprel", cannot be 0/0), or as the
quotient with a guard that is a comparison ("guard", which the compiler can vectorise).
"""

import contextlib
import sys
import tempfile
from pathlib import Path

import brian2 as b2
import numpy as np
from brian2 import ms, mV, nS, pF
from harness import brian2_build, peer

EQUATIONS = """
dv/dt = (g_l*(E_l - v) + g_e*(E_e - v) + g_i*(E_i - v)
         - g_na*(m*m*m)*h*(v - E_na) - g_k*(n*n*n*n)*(v - E_k))/C : volt
dm/dt = alpha_m*(1 - m) - beta_m*m : 1
dn/dt = alpha_n*(1 - n) - beta_n*n : 1
dh/dt = alpha_h*(1 - h) - beta_h*h : 1
dg_e/dt = -g_e/tau_e : siemens
dg_i/dt = -g_i/tau_i : siemens
z_m = (13*mV - v + V_T)/(4*mV) : 1
z_b = (v - V_T - 40*mV)/(5*mV) : 1
z_n = (15*mV - v + V_T)/(5*mV) : 1
alpha_m = 1.28*{m}/ms : Hz
beta_m = 1.4*{b}/ms : Hz
alpha_h = 0.128*exp((17*mV - v + V_T)/(18*mV))/ms : Hz
beta_h = 4/(1 + exp((40*mV - v + V_T)/(5*mV)))/ms : Hz
alpha_n = 0.16*{n}/ms : Hz
beta_n = 0.5*exp((10*mV - v + V_T)/(40*mV))/ms : Hz
"""
CONSTANTS = {
    "C": 200 * pF,
    "g_l": 10 * nS,
    "g_na": 20000 * nS,
    "g_k": 6000 * nS,
    "E_l": -60 * mV,
    "E_na": 50 * mV,
    "E_k": -90 * mV,
    "V_T": -63 * mV,
    "E_e": 0 * mV,
    "E_i": -80 * mV,
    "tau_e": 5 * ms,
    "tau_i": 10 * ms,
}
W_E, W_I = 6 * nS, 67 * nS


def rate(z: str, form: str, near: float) -> str:
    """Return z/(exp(z) - 1) as text."""
    if form == "quotient":
        return f"({z}/(exp({z}) - 1))"
    if form == "exprel":
        return f"(1/exprel({z}))"
    safe = f"({z} + {2 * near}*int(abs({z}) < {near}))"
    return f"({safe}/(exp({safe}) - 1))"


def build(problem: peer.Problem, form: str, near: float) -> tuple[b2.Network, b2.SpikeMonitor]:
    """Return the network and its recorder of spikes."""
    forms = {letter: rate(f"z_{letter}", form, near) for letter in "mbn"}
    cells = b2.NeuronGroup(
        problem["n"],
        EQUATIONS.format(**forms),
        threshold="v > -20*mV",
        refractory=3 * ms,
        method="exponential_euler",
        namespace=CONSTANTS,
    )
    cells.v = problem["v"] * mV
    split = problem["n_exc"]
    pre, post = problem["pre"], problem["post"]
    exciting = pre < split
    excite = b2.Synapses(cells[:split], cells, on_pre="g_e += W_E", namespace={"W_E": W_E})
    inhibit = b2.Synapses(cells[split:], cells, on_pre="g_i += W_I", namespace={"W_I": W_I})
    excite.connect(i=pre[exciting], j=post[exciting])
    inhibit.connect(i=pre[~exciting] - split, j=post[~exciting])
    spikes = b2.SpikeMonitor(cells)
    return b2.Network(cells, excite, inhibit, spikes), spikes


def main() -> None:
    """Run the problem."""
    parser = peer.parser(__doc__)
    parser.add_argument("--flags", choices=brian2_build.FLAGS, default="default")
    parser.add_argument("--rates", choices=("quotient", "exprel", "guard"), default="quotient")
    options = parser.parse_args()
    problem = peer.load(options.problem)
    near = 1e-3 if options.dtype == "float32" else 1e-6
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(sys.stderr):
        brian2_build.prepare(options.dtype, options.flags, problem["dt"])
        network, spikes = build(problem, options.rates, near)
        network.run(options.duration * ms)
        seconds, whole = brian2_build.finish(Path(folder), options.dtype)
        counts = np.asarray(spikes.count)
    peer.answer("Brian2", options, problem, seconds, counts, compile_seconds=whole)


if __name__ == "__main__":
    main()
