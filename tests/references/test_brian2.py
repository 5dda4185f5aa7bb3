"""The same spikes as Brian2, for 50 ms of a network of Hodgkin-Huxley cells.

Both use exponential Euler at 0.01 ms. Brian2 lets a spike act from the end of its step on, somaflow
from the crossing within it, so times differ by up to a step at first; inhibition that comes at
threshold stretches that difference, and here it never exceeds 0.06 ms.
"""

import json
from pathlib import Path

import numpy as np

import somaflow as sf
from somaflow.units import ms, mV, uS

REFERENCE = json.loads(Path(__file__).with_name("cobahh_100.json").read_text(encoding="utf-8"))
N, N_EXC = 100, 80


def test_every_spike_of_brian2_and_no_other() -> None:
    pre, post = np.array(REFERENCE["pre"]), np.array(REFERENCE["post"])
    cells = sf.Population(
        "cells",
        N,
        sf.load("hh_cond_exp")(E_leak=-60 * mV, V_T=-63 * mV),
        threshold="v > -20*mV",
    )
    conductance = sf.catalogue("synapses").exponential_conductance
    projections = []
    for begin, end, E, tau, weight in (
        (0, N_EXC, 0 * mV, 5 * ms, 0.006 * uS),
        (N_EXC, N, -80 * mV, 10 * ms, 0.067 * uS),
    ):
        mine = (pre >= begin) & (pre < end)
        pairs = np.stack([pre[mine] - begin, post[mine]], axis=1)
        synapse = conductance(E=E, tau=tau)
        chosen = cells[begin:end]
        name = f"from_{begin}"
        projections.append(
            sf.Projection(chosen, cells, synapse, sf.FromList(pairs), weight=weight, name=name)
        )
    run = sf.simulate(
        sf.Network(cells, *projections),
        50 * ms,
        dt=REFERENCE["dt_ms"] * ms,
        solver=sf.ExponentialEuler(),
        record=cells.spikes,
        initial={"cells": {"v": REFERENCE["v_mv"] * mV, "m": 0, "h": 0, "n": 0}},
    )
    found, wanted = run["cells.spikes"], np.array(REFERENCE["times_ms"])
    whose = np.array(REFERENCE["cells"])
    assert len(wanted) > 200
    away = []
    for cell in range(N):
        mine, theirs = found.times[found.cells == cell], wanted[whose == cell]
        assert len(mine) == len(theirs), cell
        away += list(np.abs(mine - theirs))
    assert max(away) < 0.06
    assert np.median(away) < 0.02
