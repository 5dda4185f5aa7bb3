"""The Traub-Miles point neuron, against converged values and against NEST's own test.

The spike times are upward 0 mV crossings of SciPy's DOP853 at rtol 1e-12. The voltages are those
of NEST's testsuite/unittests/test_hh_cond_exp_traub.sli, which NEST prints to six digits and
integrates to 1e-3; DOP853 at rtol 1e-12 is within 0.0015 mV of all of them.
"""

from typing import Any

import numpy as np
import pytest

import somaflow as sf
from somaflow.units import ms, mV, nA, nS, pA, pF

SPIKES = [2.952144, 10.394908, 18.183013, 25.976517]
# At 0.1, 0.2, ... 4.0 ms.
NEST = [
    39.1934, 38.5037, 33.1563, 22.1761, 7.13172, -8.72846, -23.1221, -35.9526, -51.8259, -66.9994,
    -73.9833, -76.4715, -77.4865, -77.9377, -78.1358, -78.2039, -78.1978, -78.1458, -78.0638,
    -77.9615, -77.8452, -77.7191, -77.526, -77.3464, -77.1764, -77.0134, -76.8556, -76.7019,
    -76.5514, -76.4035, -76.2577, -76.1137, -75.9714, -75.8306, -75.6911, -75.553, -75.416,
    -75.2803, -75.1457, -75.0123,
]  # fmt: skip


@pytest.mark.parametrize(("dt", "within"), [(0.01, 0.0005), (0.025, 0.01)])
def test_the_cell_of_pynn(dt: float, within: float) -> None:
    """1 nA from the start, -64 mV, all gates closed."""
    cells = sf.Population("cells", 1, sf.load("hh_cond_exp"))
    network = sf.Network(cells, sf.CurrentClamp(cells, 1 * nA))
    start = {"v": -64 * mV, "m": 0, "h": 0, "n": 0}
    found = sf.simulate(network, 30 * ms, dt=dt * ms, record=cells.spikes, initial={"cells": start})
    times = found["cells.spikes"].times
    assert len(times) == len(SPIKES)
    assert np.abs(times - SPIKES).max() < within


def events_of_nest(dt: float) -> Any:
    """Two spikes arrive at 1.1 and 2.2 ms, each opens 1 nS; 100 pA begin at 1.1 ms."""
    clock = sf.Equations.parse("dv/dt = 1*mV/ms : mV", v=0 * mV)
    sources = sf.Population("sources", 2, clock, threshold="v > 0*mV")
    model = sf.load("hh_cond_exp_traub")(
        C=110 * pF,
        g_na=19000 * nS,
        g_k=5000 * nS,
        g_leak=9 * nS,
        E_na=40 * mV,
        E_k=-80 * mV,
        E_leak=-70 * mV,
    )
    cell = sf.Population("cell", 1, model)
    synapse = sf.catalogue("synapses").exponential_conductance(E=1 * mV, tau=0.3 * ms, g=1 * nS)
    network = sf.Network(
        sources,
        cell,
        sf.Projection(sources, cell, synapse),
        sf.CurrentClamp(cell, 1 * pA),
        sf.CurrentClamp(cell, 100 * pA, start=1.1 * ms),
    )
    # The gates stay at their initial values, those of -60 mV.
    initial = {"cell": {"v": 10 * mV}, "sources": {"v": [-1.1, -2.2]}}
    record = cell["v"].every(0.1 * ms)
    found = sf.simulate(network, 4 * ms, dt=dt * ms, record=record, initial=initial)
    return found["cell.v"].values[1:, 0]


def test_the_events_of_nest() -> None:
    found = events_of_nest(0.005)
    assert np.abs(found - NEST).max() < 0.003
