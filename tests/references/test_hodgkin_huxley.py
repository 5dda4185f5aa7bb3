"""The squid axon of 1952, against converged values: gates at rest, and spikes of a step.

Upward 0 mV crossings of an integration at rtol 1e-12; halving dt confirms them.
"""

import numpy as np
import pytest

import somaflow as sf
from somaflow.units import cm, ms, uA

REST = {"m": 0.0529324852572, "h": 0.596120753508, "n": 0.317676914061}
SPIKES = [1.897977, 16.806214, 31.441397, 46.064463, 60.686632, 75.308734, 89.930831]
INTERVAL = 14.622097


def run(dt: float) -> sf.Solution:
    cells = sf.Population("cells", 1, sf.load("hodgkin_huxley_1952"))
    clamp = sf.CurrentClamp(cells, 10 * uA / cm**2)
    record = [cells.spikes, *(cells[name].every(100 * ms) for name in REST)]
    return sf.simulate(sf.Network(cells, clamp), 100 * ms, dt=dt * ms, record=record)


@pytest.fixture(scope="module")
def squid() -> sf.Solution:
    return run(0.01)


def test_gates_at_rest(squid: sf.Solution) -> None:
    for name, value in REST.items():
        assert squid[f"cells.{name}"].values[0, 0] == pytest.approx(value, rel=3e-12)


def test_all_seven_spikes(squid: sf.Solution) -> None:
    times = squid["cells.spikes"].times
    assert len(times) == len(SPIKES)
    assert np.abs(times - SPIKES).max() < 0.0005


def test_the_interval(squid: sf.Solution) -> None:
    assert np.diff(squid["cells.spikes"].times)[-1] == pytest.approx(INTERVAL, abs=0.0005)


@pytest.mark.slow
def test_halving_the_step_comes_closer(squid: sf.Solution) -> None:
    coarse, fine = squid["cells.spikes"].times, run(0.005)["cells.spikes"].times
    assert np.abs(fine - SPIKES).max() < np.abs(coarse - SPIKES).max() / 2
    assert np.abs(fine - SPIKES).max() < 0.0001


def test_the_current_sets_the_rate() -> None:
    """Below about 6.3 uA/cm2 the axon does not fire repeatedly; above, the rate rises."""
    cells = sf.Population("cells", 4, sf.load("hodgkin_huxley_1952"))
    clamp = sf.CurrentClamp(cells, np.array([0, 2, 10, 20]) * uA / cm**2)
    found = sf.simulate(sf.Network(cells, clamp), 60 * ms, dt=0.02 * ms, record=cells.spikes)
    counts = found["cells.spikes"].counts()
    assert counts[0] == counts[1] == 0
    assert 3 < counts[2] < counts[3]
