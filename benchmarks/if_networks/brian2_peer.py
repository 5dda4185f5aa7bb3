"""The three networks in Brian2, C++ standalone, one thread.

Exponential Euler by default, as in somaflow; `--method exact` is open to CUBA and `brunel`. In
Brian2 a cell above threshold fires, so the cells to be pushed begin there: a current that ends
would cost time in every step.
"""

import contextlib
import sys
import tempfile
from pathlib import Path

import brian2 as b2
import numpy as np
from brian2 import Hz, ms, mV
from harness import brian2_build, peer
from if_networks import problem as p

# mV; conductances are in units of the leak (10 nS), currents are 100 mV a nA.
CELL = "dv/dt = ({E_L}*mV - v{drive})/({tau}*ms) : volt (unless refractory)"
DECAYING = f"""
dg_e/dt = -g_e/({p.TAU_E}*ms) : 1
dg_i/dt = -g_i/({p.TAU_I}*ms) : 1
"""
DRIVES = {"cuba": " + (g_e + g_i)*mV", "coba": " + g_e*({E_e}*mV - v) + g_i*({E_i}*mV - v)"}
# How many spikes come from outside: Brian2's own input counts those of 1,000 sources.
INPUTS = ("PoissonInput", "poisson")
SOURCES = 1000


def cells_of(problem: peer.Problem, method: str) -> b2.NeuronGroup:
    """Return the cells in their initial state."""
    drive = DRIVES.get(problem["model"], "").format(**problem)
    text = CELL.format(E_L=problem["E_L"], drive=drive, tau=p.TAU)
    cells = b2.NeuronGroup(
        problem["n"],
        text + (DECAYING if drive else ""),
        threshold=f"v > {problem['V_threshold']}*mV",
        reset=f"v = {problem['V_reset']}*mV",
        refractory=problem["refractory"] * ms,
        method=method,
    )
    cells.v = problem["v"] * mV
    if problem["pushed"]:
        cells[: problem["pushed"]].v = (problem["V_threshold"] + 10) * mV
    return cells


def build(problem: peer.Problem, method: str, counted: str) -> tuple[b2.Network, b2.SpikeMonitor]:
    """Return the network and its recorder of spikes.

    Args:
        problem: The problem file.
        method: How a cell is integrated.
        counted: One of `INPUTS`.
    """
    cells = cells_of(problem, method)
    split, pre, post = problem["n_exc"], problem["pre"], problem["post"]
    exciting = pre < split
    w_e, w_i, ports, settings, drives = problem["w_e"], problem["w_i"], ("g_e", "g_i"), {}, []
    if problem["model"] == "brunel":
        ports, settings = ("v", "v"), {"delay": problem["delay"] * ms}
        w_e, w_i = f"{w_e}*mV", f"{w_i}*mV"
        if counted == "PoissonInput":
            rate = 1e3 * problem["external"] / SOURCES * Hz
            drives = [b2.PoissonInput(cells, "v", SOURCES, rate, problem["w_e"] * mV)]
        else:
            mean = problem["external"] * problem["dt"]
            cells.run_regularly(f"v += {w_e}*poisson({mean})*int(not_refractory)", when="synapses")
    else:
        # 1 nA is 100 mV, and 1 uS is 100 times the leak.
        w_e, w_i = 100 * w_e, 100 * w_i
    excite = b2.Synapses(cells[:split], cells, on_pre=f"{ports[0]} += {w_e}", **settings)
    inhibit = b2.Synapses(cells[split:], cells, on_pre=f"{ports[1]} += {w_i}", **settings)
    excite.connect(i=pre[exciting], j=post[exciting])
    inhibit.connect(i=pre[~exciting] - split, j=post[~exciting])
    spikes = b2.SpikeMonitor(cells)
    return b2.Network(cells, excite, inhibit, spikes, *drives), spikes


def main() -> None:
    """Run the problem."""
    parser = peer.parser(__doc__)
    parser.add_argument("--flags", choices=brian2_build.FLAGS, default="default")
    methods = ("exponential_euler", "euler", "exact")
    parser.add_argument("--method", choices=methods, default="exponential_euler")
    parser.add_argument("--input", choices=INPUTS, default=INPUTS[0])
    options = parser.parse_args()
    problem = peer.load(options.problem)
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(sys.stderr):
        brian2_build.prepare(options.dtype, options.flags, problem["dt"])
        network, spikes = build(problem, options.method, options.input)
        network.run(options.duration * ms)
        seconds, compiled = brian2_build.finish(Path(folder), options.dtype)
        counts = np.asarray(spikes.count)
        varied = peer.irregularity(np.asarray(spikes.t / ms), np.asarray(spikes.i))
    peer.answer("Brian2", options, problem, seconds, counts, compile_seconds=compiled, cv=varied)


if __name__ == "__main__":
    main()
