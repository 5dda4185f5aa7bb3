"""CUBA and COBA in Brian2, C++ standalone, one thread.

Exponential Euler by default, as in somaflow; `--method exact` is open to CUBA alone. In Brian2 a
cell above threshold fires, so the cells to be pushed begin there: a current that ends would cost
time in every step.
"""

import contextlib
import sys
import tempfile
from pathlib import Path

import brian2 as b2
import numpy as np
from brian2 import ms, mV
from harness import brian2_build, peer
from if_networks import problem as p

# mV; conductances are in units of the leak (10 nS), currents are 100 mV a nA.
CELL = """
dv/dt = ({E_L}*mV - v + {drive})/({tau}*ms) : volt (unless refractory)
dg_e/dt = -g_e/({tau_e}*ms) : 1
dg_i/dt = -g_i/({tau_i}*ms) : 1
"""
DRIVES = {"cuba": "(g_e + g_i)*mV", "coba": "g_e*({E_e}*mV - v) + g_i*({E_i}*mV - v)"}


def build(problem: peer.Problem, method: str) -> tuple[b2.Network, b2.SpikeMonitor]:
    """Return the network and its recorder of spikes."""
    drive = DRIVES[problem["model"]].format(**problem)
    text = CELL.format(E_L=problem["E_L"], drive=drive, tau=p.TAU, tau_e=p.TAU_E, tau_i=p.TAU_I)
    cells = b2.NeuronGroup(
        problem["n"],
        text,
        threshold=f"v > {p.V_THRESHOLD}*mV",
        reset=f"v = {p.V_RESET}*mV",
        refractory=p.REFRACTORY * ms,
        method=method,
    )
    cells.v = problem["v"] * mV
    if problem["pushed"]:
        cells[: problem["pushed"]].v = (p.V_THRESHOLD + 10) * mV
    split, pre, post = problem["n_exc"], problem["pre"], problem["post"]
    exciting = pre < split
    # 1 nA is 100 mV, and 1 uS is 100 times the leak.
    w_e, w_i = 100 * problem["w_e"], 100 * problem["w_i"]
    excite = b2.Synapses(cells[:split], cells, on_pre=f"g_e += {w_e}")
    inhibit = b2.Synapses(cells[split:], cells, on_pre=f"g_i += {w_i}")
    excite.connect(i=pre[exciting], j=post[exciting])
    inhibit.connect(i=pre[~exciting] - split, j=post[~exciting])
    spikes = b2.SpikeMonitor(cells)
    return b2.Network(cells, excite, inhibit, spikes), spikes


def main() -> None:
    """Run the problem."""
    parser = peer.parser(__doc__)
    parser.add_argument("--flags", choices=brian2_build.FLAGS, default="default")
    methods = ("exponential_euler", "euler", "exact")
    parser.add_argument("--method", choices=methods, default="exponential_euler")
    options = parser.parse_args()
    problem = peer.load(options.problem)
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(sys.stderr):
        brian2_build.prepare(options.dtype, options.flags, problem["dt"])
        network, spikes = build(problem, options.method)
        network.run(options.duration * ms)
        seconds, compiled = brian2_build.finish(Path(folder), options.dtype)
        counts = np.asarray(spikes.count)
    peer.answer("Brian2", options, problem, seconds, counts, compile_seconds=compiled)


if __name__ == "__main__":
    main()
