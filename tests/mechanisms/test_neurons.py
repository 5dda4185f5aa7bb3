"""Every neuron of the catalogue runs and spikes; what a paper says of one is checked."""

from typing import Any

import numpy as np
import pytest

import somaflow as sf
from somaflow.solvers.base import Solver
from somaflow.units import cm, ms, nA, uA

pytestmark = pytest.mark.slow

DENSITY = uA / cm**2
CURRENTS: dict[str, Any] = {  # well above rheobase
    "adex": 1 * nA,
    "connor_stevens": 15 * DENSITY,
    "eif": 2 * DENSITY,
    "hh_cond_exp": 1 * nA,
    "hh_cond_exp_traub": 1 * nA,
    "hodgkin_huxley_1952": 10 * DENSITY,
    "izhikevich": 10 * nA,
    "lif": 2 * nA,
    "morris_lecar": 120 * DENSITY,
    "pinsky_rinzel": 2.5 * DENSITY,
    "qif": 10 * nA,
    "wang_buzsaki": 2 * DENSITY,
}
INTO = {"pinsky_rinzel": "I_soma"}  # of those that have several inputs
# The leak of one reverses at -60 mV; the other bursts every 1.3 s.
FIRES_BY_ITSELF = {"hh_cond_exp_traub", "pinsky_rinzel"}
CUT_OFF = {"adex", "eif", "izhikevich", "qif"}
METHODS: dict[str, tuple[Solver, float]] = {
    "RK4": (sf.RK4(), 0.01),
    "ExponentialEuler": (sf.ExponentialEuler(), 0.05),
}


def run(name: str, current: Any, dt: float = 0.01, **initial: Any) -> sf.Solution:
    """200 ms, one cell for each current."""
    cells = sf.Population("cells", len(current.magnitude), sf.load(name))
    return sf.simulate(
        sf.Network(cells, sf.CurrentClamp(cells, current)),
        200 * ms,
        dt=dt * ms,
        record=cells.spikes,
        initial={"cells": initial} if initial else None,
    )


@pytest.fixture(
    scope="module",
    params=["RK4", pytest.param("ExponentialEuler", marks=pytest.mark.slow)],
)
def everybody(request: pytest.FixtureRequest) -> sf.Solution:
    """Two cells of every kind, one without input and one with it."""
    solver, dt = METHODS[request.param]
    cells = [sf.Population(name, 2, sf.load(name)) for name in CURRENTS]
    clamps = [
        sf.CurrentClamp(c, np.array([0.0, 1.0]) * CURRENTS[c.name], into=INTO.get(c.name))
        for c in cells
    ]
    record = [r for c in cells for r in (c.spikes, c["v"].every(0.5 * ms))]
    network = sf.Network(*cells, *clamps)
    return sf.simulate(network, 200 * ms, dt=dt * ms, solver=solver, record=record)


def driven(found: sf.Solution, name: str) -> Any:
    """Spike times of the cell with input."""
    spikes = found[f"{name}.spikes"]
    return spikes.times[spikes.cells == 1]


def test_all_neurons_are_tried() -> None:
    assert set(CURRENTS) == set(sf.catalogue("neurons"))


@pytest.mark.parametrize("name", CURRENTS)
def test_it_fires_with_input_and_stays_in_bounds(everybody: sf.Solution, name: str) -> None:
    assert everybody[f"{name}.spikes"].counts()[1] >= 2
    v = everybody[f"{name}.v"].values
    assert v.min() > -120
    assert v.max() < 80


@pytest.mark.parametrize("name", sorted(set(CURRENTS) - FIRES_BY_ITSELF))
def test_it_rests_without_input(everybody: sf.Solution, name: str) -> None:
    assert everybody[f"{name}.spikes"].counts()[0] == 0
    assert np.ptp(everybody[f"{name}.v"].values[-100:, 0]) < 0.5


def test_the_cell_of_nest_fires_by_itself(everybody: sf.Solution) -> None:
    """SciPy's LSODA at rtol 1e-9: a first spike at 10.900 ms and intervals of 72.177 ms."""
    found = everybody["hh_cond_exp_traub.spikes"]
    times = found.times[found.cells == 0]
    assert len(times) == 3
    assert np.diff(times) == pytest.approx(72.177, rel=0.025)


@pytest.mark.parametrize("name", sorted(CUT_OFF))
def test_the_cutoff_leaves_the_interval_alone_when_the_step_changes(name: str) -> None:
    """The upstroke of these would go to infinity; a long step must not carry it astray."""
    fine, coarse = (
        run(name, np.array([1.0]) * CURRENTS[name], dt)["cells.spikes"].times for dt in (0.01, 0.05)
    )
    assert len(fine) == len(coarse)
    assert np.diff(coarse)[0] == pytest.approx(np.diff(fine)[0], abs=0.1)


def test_the_first_interval_of_the_lif_is_that_of_the_closed_form() -> None:
    times = run("lif", np.array([2.0]) * nA)["cells.spikes"].times
    assert times[0] == pytest.approx(20 * np.log(20 / 5), abs=1e-3)


def test_the_qif_takes_the_time_of_the_closed_form() -> None:
    """With input above rheobase dv/dt = a ((v - c)**2 + q**2): v - c = q tan(a q t + s)."""
    found = run("qif", np.array([10.0]) * nA)
    a, c = 0.07 / 10, -57.5
    q = np.sqrt((10 - 0.07 * 7.5**2) / 0.07)
    begin, end = np.arctan((-68 - c) / q), np.arctan((-30 - c) / q)
    intervals = np.diff(found["cells.spikes"].times)
    # The reset is made at the end of its step, up to 0.01 ms after the crossing.
    assert intervals.mean() == pytest.approx((end - begin) / (a * q), abs=0.011)


@pytest.mark.parametrize(("name", "ratio"), [("adex", 1.5), ("izhikevich", 1.2)])
def test_it_adapts(everybody: sf.Solution, name: str, ratio: float) -> None:
    intervals = np.diff(driven(everybody, name))
    assert intervals[-1] > ratio * intervals[0]


def test_the_exponential_neuron_follows_the_one_it_was_fitted_to() -> None:
    """Fourcaud-Trocme et al. (2003), figure 1: the rates over current nearly agree."""
    currents = np.array([0.5, 1.0, 1.5]) * DENSITY
    rates = [
        run(name, currents, 0.02)["cells.spikes"].counts() / 0.2 for name in ("eif", "wang_buzsaki")
    ]
    assert rates[0] == pytest.approx(rates[1], rel=0.15)


def test_morris_lecar_rests_or_fires_at_one_current_as_it_began() -> None:
    """Just below the Hopf bifurcation, near 94 uA/cm2, both states are stable."""
    currents = np.array([90.0, 90.0]) * DENSITY
    found = run("morris_lecar", currents, 0.05, v=[-26.6, -10.0], n=[0.13, 0.0])
    counts = found["cells.spikes"].counts()
    assert counts[0] == 0
    assert counts[1] >= 2


def test_connor_stevens_fires_as_slowly_as_one_likes() -> None:
    """The A-current delays; the axon of Hodgkin and Huxley begins at 50 Hz at once."""
    currents = np.array([8.0, 8.5, 9.0, 10.0]) * DENSITY
    counts = run("connor_stevens", currents, 0.02)["cells.spikes"].counts()
    assert 0 <= counts[0] < counts[1] < counts[3]
