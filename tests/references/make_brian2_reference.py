"""Writes `cobahh_100.json`: a small COBAHH network in Brian2, for `test_brian2.py`.

    python tests/references/make_brian2_reference.py      (with brian2 installed)

A hundred cells of benchmark 3 of Brette et al. (2007), a tenth of all pairs joined, 50 ms with
exponential Euler at 0.01 ms. The equations are those of Brian2's own example of the benchmark, with
its `exprel`, whose value at 0 is a number.
"""

import json
from pathlib import Path

import brian2 as b2
import numpy as np
from brian2 import ms, mV, nS, pF  # noqa: F401 - the equations name them

N, N_EXC, P, DT, DURATION, SEED = 100, 80, 0.1, 0.01, 50, 5
EQUATIONS = """
dv/dt = (10*nS*(-60*mV - v) + g_e*(0*mV - v) + g_i*(-80*mV - v)
         - 20000*nS*m**3*h*(v - 50*mV) - 6000*nS*n**4*(v + 90*mV))/(200*pF) : volt
dm/dt = alpha_m*(1 - m) - beta_m*m : 1
dn/dt = alpha_n*(1 - n) - beta_n*n : 1
dh/dt = alpha_h*(1 - h) - beta_h*h : 1
dg_e/dt = -g_e/(5*ms) : siemens
dg_i/dt = -g_i/(10*ms) : siemens
u = v + 63*mV : volt
alpha_m = 1.28/exprel((13*mV - u)/(4*mV))/ms : Hz
beta_m = 1.4/exprel((u - 40*mV)/(5*mV))/ms : Hz
alpha_h = 0.128*exp((17*mV - u)/(18*mV))/ms : Hz
beta_h = 4/(1 + exp((40*mV - u)/(5*mV)))/ms : Hz
alpha_n = 0.16/exprel((15*mV - u)/(5*mV))/ms : Hz
beta_n = 0.5*exp((10*mV - u)/(40*mV))/ms : Hz
"""


def main() -> None:
    """Simulate and write."""
    b2.prefs.codegen.target = "numpy"
    b2.defaultclock.dt = DT * ms
    rng = np.random.default_rng(SEED)
    pre, post = np.nonzero((rng.random((N, N)) < P) & ~np.eye(N, dtype=bool))
    start = np.round(-65 + 5 * rng.standard_normal(N), 6)
    cells = b2.NeuronGroup(
        N, EQUATIONS, threshold="v > -20*mV", refractory=3 * ms, method="exponential_euler"
    )
    cells.v = start * mV
    exciting = pre < N_EXC
    excite = b2.Synapses(cells[:N_EXC], cells, on_pre="g_e += 6*nS")
    inhibit = b2.Synapses(cells[N_EXC:], cells, on_pre="g_i += 67*nS")
    excite.connect(i=pre[exciting], j=post[exciting])
    inhibit.connect(i=pre[~exciting] - N_EXC, j=post[~exciting])
    spikes = b2.SpikeMonitor(cells)
    b2.Network(cells, excite, inhibit, spikes).run(DURATION * ms)
    found = {
        "program": f"Brian2 {b2.__version__}",
        "dt_ms": DT,
        "pre": pre.tolist(),
        "post": post.tolist(),
        "v_mv": start.tolist(),
        "times_ms": np.round(spikes.t / ms, 6).tolist(),
        "cells": np.asarray(spikes.i).tolist(),
    }
    path = Path(__file__).with_name("cobahh_100.json")
    path.write_text(json.dumps(found) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
