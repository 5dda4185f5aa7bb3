"""Pair STDP in Brian2, C++ standalone, one thread.

Traces are kept in each synapse and advanced at its events, as in Brian2's own example, or once for
each cell (`--traces cell`), which gives the same numbers with less memory traffic.
"""

import contextlib
import sys
import tempfile
from pathlib import Path

import brian2 as b2
import numpy as np
from brian2 import Hz, ms, mV
from harness import brian2_build, peer
from stdp import problem as p

# The conductance is in units of the leak.
CELL = """
dv/dt = ({E_L}*mV - v - g*v)/({tau}*ms) : volt (unless refractory)
dg/dt = -g/({tau_g}*ms) : 1
"""
POST_TRACE = "dy/dt = -y/({tau_minus}*ms) : 1\n"
SYNAPSE = """
w : 1
dx/dt = -x/({tau_plus}*ms) : 1 (event-driven)
dy/dt = -y/({tau_minus}*ms) : 1 (event-driven)
"""
ON_PRE = "w = clip(w - {A_minus}*{w_max}*y{post}, 0, {w_max}); g_post += w"
ON_POST = "w = clip(w + {A_plus}*{w_max}*x{pre}, 0, {w_max})"


def sources(n: int, rate: float, traces: str) -> b2.NeuronGroup:
    """Return Poisson sources, with a trace each if traces are the cells'."""
    if traces == "synapse":
        return b2.PoissonGroup(n, rate * Hz)
    return b2.NeuronGroup(
        n,
        f"dx/dt = -x/({p.VALUES['tau_plus']}*ms) : 1",
        threshold=f"rand() < {rate}*Hz*dt",
        reset="x += 1",
        method="exact",
    )


def build(problem: peer.Problem, traces: str) -> tuple[b2.Network, tuple[b2.SpikeMonitor, ...]]:
    """Return the network, and the recorders of presynaptic and postsynaptic spikes."""
    values = p.VALUES
    n = problem["n_side"]
    pre, drive = sources(n, p.RATE, traces), b2.PoissonGroup(n, p.RATE * Hz)
    text, reset = CELL.format(**values), f"v = {values['E_L']}*mV"
    own = traces == "cell"
    post = b2.NeuronGroup(
        n,
        text + (POST_TRACE.format(**values) if own else ""),
        threshold="v > -50*mV",
        reset=reset + ("; y += 1" if own else ""),
        refractory=2 * ms,
        method="exponential_euler",
    )
    post.v = values["E_L"] * mV
    plastic = b2.Synapses(
        pre,
        post,
        "w : 1" if own else SYNAPSE.format(**values),
        on_pre=("" if own else "x += 1; ") + ON_PRE.format(**values, post="_post" if own else ""),
        on_post=("" if own else "y += 1; ") + ON_POST.format(**values, pre="_pre" if own else ""),
    )
    plastic.connect()
    plastic.w = values["w_max"] / 2
    driving = b2.Synapses(drive, post, on_pre=f"v_post += {values['push']}*mV")
    driving.connect(j="i")
    spikes = b2.SpikeMonitor(pre), b2.SpikeMonitor(post)
    return b2.Network(pre, drive, post, plastic, driving, *spikes), spikes


def main() -> None:
    """Run the problem."""
    parser = peer.parser(__doc__)
    parser.add_argument("--flags", choices=brian2_build.FLAGS, default="default")
    parser.add_argument("--traces", choices=("synapse", "cell"), default="synapse")
    options = parser.parse_args()
    problem = peer.load(options.problem)
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(sys.stderr):
        brian2_build.prepare(options.dtype, options.flags, problem["dt"])
        b2.seed(problem["seed"])
        network, spikes = build(problem, options.traces)
        network.run(options.duration * ms)
        seconds, compiled = brian2_build.finish(Path(folder), options.dtype)
        counts = [np.asarray(monitor.count) for monitor in spikes]
        synapses = next(
            part
            for part in network.objects
            if isinstance(part, b2.Synapses) and "w" in part.variables
        )
        mean = float(np.mean(synapses.w[:]) / p.VALUES["w_max"])
    p.answer(
        "Brian2", options, problem, seconds, counts, compile_seconds=compiled, mean_weight=mean
    )


if __name__ == "__main__":
    main()
