"""Poisson inputs against Campbell's theorem: mean and variance of what they make of a membrane."""

from typing import Any

import numpy as np
import pytest

import somaflow as sf
from somaflow.units import Hz, kHz, ms, mV, nA, nF, uS

pytestmark = pytest.mark.slow

TAU, C, DT = 10.0, 0.2, 0.1  # ms, nF, ms
MODEL = sf.Equations.parse(
    "dv/dt = (I_stim + g*(E - v))/C : mV\nI_stim : nA", C=C * nF, g=C / TAU * uS, E=0 * mV, v=0
)


def ran(*parts: Any, T: float = 100, record: Any) -> sf.Solution:
    return sf.simulate(sf.Network(*parts), T * ms, dt=DT * ms, record=record, progress=False)


def check(v: np.ndarray, mean: float, variance: float) -> None:
    """Compare independent numbers with a mean and a variance, to 4 standard errors."""
    assert v.mean() == pytest.approx(mean, abs=4 * np.sqrt(variance / v.size))
    assert v.var() == pytest.approx(variance, rel=4.5 * np.sqrt(2 / v.size))


def test_mean_and_variance_of_a_membrane_are_those_of_campbell() -> None:
    rate, size = 8.0, 3000  # spikes a ms and cell, of 1,000 sources
    delta, current = (sf.Population(name, size, MODEL) for name in ("delta", "current"))
    weight, tau = 0.02, 5.0  # nA, ms
    synapse = sf.load("exponential_current")(tau=tau * ms)
    run = ran(
        delta,
        current,
        sf.PoissonInput(delta, sf.load("delta"), rate=8 * Hz, n=1000, weight=0.1 * mV),
        sf.PoissonInput(current, synapse, rate=8 * Hz, n=1000, weight=weight * nA),
        record=[delta["v"].every(50 * ms), current["v"].every(50 * ms)],
    )
    # A jump of 0.1 mV at each step's end that decays with 10 ms.
    kept = np.exp(-DT / TAU)
    jump = 0.1 * rate * DT
    check(run["delta.v"].values[2], jump / (1 - kept), 0.1 * jump / (1 - kept**2))
    # The response of the membrane to one spike is a difference of two exponentials.
    w = weight / C
    mean, variance = w * rate * TAU * tau, w**2 * rate * (TAU * tau) ** 2 / (2 * (TAU + tau))
    check(run["current.v"].values[2], mean, variance)
    v = run["current.v"].values[2] - mean
    assert abs(np.mean(v[1:] * v[:-1])) < 4 * variance / np.sqrt(size)


def test_a_conductance_holds_a_membrane_where_its_mean_does() -> None:
    cells = sf.Population("cells", 500, MODEL)
    synapse = sf.load("exponential_conductance")(E=-80 * mV, tau=2 * ms)
    given = sf.PoissonInput(cells, synapse, rate=100 * Hz, n=10_000, weight=1e-5 * uS)
    v = ran(cells, given, record=[cells["v"].every(100 * ms)])["cells.v"].values[1]
    g = 1e-5 * 1000 * 2  # uS: so many spikes that nothing is left of chance
    assert v.mean() == pytest.approx(-80 * g / (g + C / TAU), rel=2e-3)


def test_a_rate_that_changes_gives_its_integral_to_each_cell() -> None:
    """Cells that count: v is the number of spikes."""
    counter = sf.Equations.parse("dv/dt = 0*mV/ms : mV\nI_stim : nA", v=0)
    cells = {
        name: sf.Population(name, 2000, counter) for name in ("ramp", "step", "each", "few", "one")
    }
    delta = sf.load("delta")(w=1 * mV)
    samples = np.zeros((2, 2000))
    samples[0, :1000], samples[1, 1000:] = 30, 60
    few = np.array([1999, 4, 7])
    parts = [
        sf.PoissonInput(cells["ramp"], delta, rate=sf.Ramp(0 * kHz, 10 * kHz, 1 * ms, 5 * ms)),
        sf.PoissonInput(cells["step"], delta, rate=sf.Step(40 * kHz, 1.02 * ms, 1.07 * ms)),
        sf.PoissonInput(cells["each"], delta, sf.Waveform(samples * Hz, every=2 * ms), n=1000),
        sf.PoissonInput(cells["few"][few], delta, rate=5 * kHz, n=[0, 1, 20000]),
        sf.PoissonInput(cells["one"][1:], delta, rate=5 * kHz, shared=True),
    ]
    record = [p["v"].every(1 * ms) for p in cells.values()]
    run = ran(*cells.values(), *parts, T=10, record=record)
    found = {name: run[f"{name}.v"].values for name in cells}
    assert all(np.array_equal(v, np.floor(v)) for v in found.values())
    check(found["ramp"][5], 20, 20)
    check(found["ramp"][8] - found["ramp"][5], 30, 30)
    assert np.all(found["step"][1] == 0)
    check(found["step"][2], 2, 2)
    check(found["each"][2, :1000], 60, 60)
    assert np.all(found["each"][2, 1000:] == 0)
    check(found["each"][6, 1000:], 240, 240)
    last = found["few"][-1]
    assert np.flatnonzero(last).tolist() == [4, 7]
    assert last[4] == pytest.approx(50, abs=4 * np.sqrt(50))
    assert last[7] == pytest.approx(1e6, abs=4 * np.sqrt(1e6))
    assert np.all(found["one"][:, 0] == 0)
    assert np.ptp(found["one"][:, 1:], axis=1).max() == 0
    assert found["one"][-1, 1] == pytest.approx(50, abs=4 * np.sqrt(50))


def test_cells_fire_from_their_background_and_rows_of_a_batch_like_runs_alone() -> None:
    model = sf.Equations.parse(
        "dv/dt = (E - v)/tau + I_stim/C : mV\nI_stim : nA",
        E=-65 * mV,
        tau=[[10.0], [12.0]] * ms,
        C=C * nF,
        v=-65,
    )

    def spikes(tau: Any) -> sf.Solution:
        options = {"threshold": "v > -50*mV", "reset": "v = -65*mV", "refractory": 2 * ms}
        cells = sf.Population("cells", 40, model(tau=tau * ms), **options)
        parts = [
            sf.PoissonInput(cells, sf.load("exponential_current"), 8 * Hz, 1000, 0.011 * nA),
            sf.PoissonInput(cells, sf.load("delta"), 2 * Hz, 500, -0.3 * mV, name="inhibition"),
        ]
        return ran(cells, *parts, T=300, record=[cells.spikes, cells["v"].every(1 * ms)])

    both = spikes([[10.0], [12.0]])
    assert len(both["cells.spikes"]) > 200
    for row, tau in enumerate((10.0, 12.0)):
        alone = spikes(tau)
        assert both["cells.v"].values[:, row].tobytes() == alone["cells.v"].values.tobytes()
