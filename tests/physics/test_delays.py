"""VALIDATION 5 and 6: delays of single synapses, and spikes that go round in a ring."""

from typing import Any

import numpy as np
import pytest
from scipy.integrate import solve_ivp

import somaflow as sf
from somaflow.simulation import chunks
from somaflow.units import ms, mV, nA, nF, uS

DT, SPIKE = 0.01, 1.2345  # ms
DELAYS = 3.3 + np.modf(np.arange(100) * 0.618)[0]
CELL = {"E": -65.0, "g": 0.01, "C": 0.1}  # mV, uS, nF: 10 ms
WEIGHT = 0.004  # uS


def passive(threshold: str | None = None) -> sf.Population:
    model = sf.Equations.parse(
        "dv/dt = (g*(E - v) + I_stim)/C : mV\nI_stim : nA",
        E=CELL["E"] * mV,
        g=CELL["g"] * uS,
        C=CELL["C"] * nF,
        v=CELL["E"],
    )
    return sf.Population("post", len(DELAYS), model, threshold=threshold)


def reached(name: str, threshold: str | None = None, **numbers: Any) -> sf.Solution:
    pre = sf.Population("pre", 1, sf.SpikeSourceArray([SPIKE] * ms))
    post = passive(threshold)
    synapse = sf.load(name)(E=0 * mV, **numbers)
    made = sf.Projection(pre, post, synapse, weight=WEIGHT * uS, delay=DELAYS[None] * ms)
    record = [post["v"].every(0.1 * ms)] + ([post.spikes] if threshold else [])
    return sf.simulate(sf.Network(pre, post, made), 20 * ms, dt=DT * ms, record=record)


def analytic(conductance: Any) -> Any:
    """The voltage as a function of the time since the spike's arrival."""

    def slope(t: float, v: np.ndarray) -> np.ndarray:
        return (CELL["g"] * (CELL["E"] - v) - conductance(t) * v) / CELL["C"]

    made = solve_ivp(
        slope, (0, 20), [CELL["E"]], method="DOP853", rtol=1e-12, atol=1e-12, dense_output=True
    )
    return lambda t: np.where(t > 0, made.sol(np.maximum(t, 0).ravel())[0].reshape(t.shape), -65.0)


def exponential(t: Any) -> Any:
    return WEIGHT * np.exp(-t / 2)


def double(t: Any) -> Any:
    peak = 0.5 * 2 / 1.5 * np.log(4)
    factor = 1 / (np.exp(-peak / 2) - np.exp(-peak / 0.5))
    return WEIGHT * factor * (np.exp(-t / 2) - np.exp(-t / 0.5))


KINDS = {
    "exponential_conductance": (exponential, {"tau": 2 * ms}),
    "double_exponential_conductance": (double, {"tau_rise": 0.5 * ms, "tau_decay": 2 * ms}),
}


@pytest.mark.parametrize("name", KINDS)
def test_each_cell_follows_the_analytic_voltage_after_its_delay(name: str) -> None:
    conductance, numbers = KINDS[name]
    run = reached(name, **numbers)
    since = run["post.v"].time.values[:, None] - (SPIKE + DELAYS)
    wanted = analytic(conductance)(since)
    assert wanted.max() > CELL["E"] + 3
    # A delay is a whole number of steps: half a step off, at a slope of 2.6 mV/ms at most.
    assert np.abs(run["post.v"].values - wanted).max() < 0.01 * (wanted.max() - CELL["E"])
    rounded = np.rint(DELAYS / DT) * DT
    exact = analytic(conductance)(run["post.v"].time.values[:, None] - (SPIKE + rounded))
    assert np.abs(run["post.v"].values - exact).max() < 1e-4


def test_each_cell_spikes_when_the_analytic_voltage_crosses_the_threshold() -> None:
    conductance, numbers = KINDS["double_exponential_conductance"]
    run = reached("double_exponential_conductance", threshold="v > -63*mV", **numbers)
    fine = np.arange(0, 5, 1e-5)
    crossing = fine[np.argmax(analytic(conductance)(fine) > -63)]
    spikes = run["post.spikes"]
    assert len(spikes) == len(DELAYS)
    found = spikes.times[np.argsort(spikes.cells)]
    assert np.abs(found - (SPIKE + DELAYS + crossing)).max() < 0.51 * DT
    rounded = np.rint(DELAYS / DT) * DT
    assert np.abs(found - (SPIKE + rounded + crossing)).max() < 0.01 * DT


# ---------------------------------------------------------------------------- ring

N, DELAY, RING_DT = 20, 1.0, 0.05


def ring(duration: float = 150.0) -> sf.Solution:
    cells = sf.Population(
        "ring",
        N,
        sf.Equations.parse(
            "dv/dt = (E - v + R*I_stim)/tau : mV\nI_stim : nA",
            E=-65 * mV,
            R=10 * mV / nA,
            tau=5 * ms,
            v=-65,
        ),
        threshold="v > -50*mV",
        reset="v = -65*mV",
        refractory=8 * ms,
    )
    start = sf.Population("start", 1, sf.SpikeSourceArray([0.123] * ms))
    synapse = sf.load("exponential_current")(tau=1 * ms)
    following = sf.FromList([(k, (k + 1) % N) for k in range(N)])
    network = sf.Network(
        cells,
        start,
        sf.Projection(cells, cells, synapse, following, weight=15 * nA, delay=DELAY * ms),
        sf.Projection(start, cells[:1], synapse, weight=15 * nA),
    )
    return sf.simulate(network, duration * ms, dt=RING_DT * ms, record=cells.spikes)


@pytest.fixture(scope="module")
def rounds() -> sf.Solution:
    return ring()


def test_every_cell_of_a_ring_spikes_one_lap_apart(rounds: sf.Solution) -> None:
    spikes = rounds["ring.spikes"]
    order = np.argsort(spikes.times)
    assert spikes.cells[order].tolist() == [k % N for k in range(len(order))]
    laps = np.concatenate([np.diff(train) for train in spikes.trains()])
    assert len(laps) >= 3 * N
    # v reaches -50 in a current of 15 nA*exp(-t): 150/(5 - 1)*(exp(-t/5) - exp(-t)) = 15.
    t = np.arange(0, 2, 1e-6)
    latency = t[np.argmax(150 / 4 * (np.exp(-t / 5) - np.exp(-t)) > 15)]
    assert laps == pytest.approx(N * (DELAY + latency), abs=0.02 * RING_DT * N)
    assert np.ptp(laps) < 0.05 * RING_DT


@pytest.mark.parametrize(("steps", "duration"), [(1, 5.0), (7, 20.0), (333, 150.0)])
def test_a_ring_has_the_same_spikes_for_any_chunk_length(
    rounds: sf.Solution, steps: int, duration: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chunks, "_CHUNK_STEPS", steps)
    again, wanted = ring(duration)["ring.spikes"], rounds["ring.spikes"]
    until = np.searchsorted(wanted.times, duration)
    assert len(again) == until >= 2
    assert again.times.tobytes() == wanted.times[:until].tobytes()
    assert again.cells.tobytes() == wanted.cells[:until].tobytes()
