"""VALIDATION 10: plastic synapses under Poisson trains equal a reference from event to event."""

from typing import Any

import numpy as np
import pytest

import somaflow as sf
from somaflow.units import ms, mV, nA, nF, uS

DT, DURATION, RATE = 0.1, 400.0, 0.05  # ms, ms, per ms
N_PRE, N_POST = 12, 5
STEPS = round(DURATION / DT)
RNG = np.random.default_rng(10)


def poisson(apart: float) -> np.ndarray:
    """Times at least so far apart, and within their steps by a tenth of one."""
    times = np.cumsum(RNG.exponential(1 / RATE, 60))
    times = times[times < DURATION - 2 * DT]
    times = times[np.diff(times, prepend=-1.0) > apart]
    step = np.floor(times / DT)
    return DT * (step + np.clip(times / DT - step, 0.1, 0.9))


PRE = [poisson(1.5 * DT) for _ in range(N_PRE)]
POST = [poisson(3 * DT) for _ in range(N_POST)]


def sources() -> sf.Population:
    cells = np.repeat(np.arange(N_PRE), [len(train) for train in PRE])
    return sf.Population("pre", N_PRE, sf.SpikeSourceArray(np.concatenate(PRE) * ms, cells))


def targets() -> tuple[sf.Population, sf.Stimulus]:
    """Cells that cross 0 at given times: from -1 in one straight line, and back in the next step.

    They are so large that no synapse moves them.
    """
    slope = np.zeros((STEPS, N_POST))
    for cell, train in enumerate(POST):
        step = np.floor(train / DT).astype(int)
        place = train / DT - step
        slope[step, cell] = 1 / place / DT
        slope[step + 1, cell] = -1 / place / DT
    size = 1e9
    model = sf.Equations.parse("dv/dt = I_stim/C : mV\nI_stim : nA", C=size * nF, v=-1)
    post = sf.Population("post", N_POST, model, threshold="v > 0*mV")
    return post, sf.Stimulus(post, sf.Waveform(slope * size * nA, DT * ms))


def events(pre: np.ndarray, post: np.ndarray) -> list[tuple[float, bool]]:
    return sorted([(t, True) for t in pre] + [(t, False) for t in post])


def stdp(pre: np.ndarray, post: np.ndarray, nearest: bool, p: dict[str, float]) -> float:
    """The weight at the end, from event to event."""
    w, x, y, last = p["w_max"] / 2, 0.0, 0.0, 0.0
    for time, is_pre in events(pre, post):
        x *= np.exp(-(time - last) / p["tau_plus"])
        y *= np.exp(-(time - last) / p["tau_minus"])
        if is_pre:
            x = 1.0 if nearest else x + 1
            w = min(max(w - p["A_minus"] * p["w_max"] * y, 0.0), p["w_max"])
        else:
            y = 1.0 if nearest else y + 1
            w = min(max(w + p["A_plus"] * p["w_max"] * x, 0.0), p["w_max"])
        last = time
    return w


def balancing(pre: np.ndarray, post: np.ndarray, eta: float, alpha: float, tau: float) -> float:
    """The weight at the end by the rule of Vogels et al. (2011), from event to event."""
    w, x, y, last = 0.0005, 0.0, 0.0, 0.0
    for time, is_pre in events(pre, post):
        decay = np.exp(-(time - last) / tau)
        x, y, last = x * decay, y * decay, time
        if is_pre:
            x, w = x + 1, max(w + eta * (y - alpha), 0.0)
        else:
            y, w = y + 1, max(w + eta * x, 0.0)
    return w


def tsodyks(train: np.ndarray, g: float, p: dict[str, float]) -> tuple[float, float, float]:
    """u, R and G of one synapse at the end, from event to event."""
    u, r, conductance, last = 0.0, 1.0, 0.0, 0.0
    for time in [*train, DURATION]:
        u *= np.exp(-(time - last) / p["tau_facil"])
        r = 1 - (1 - r) * np.exp(-(time - last) / p["tau_rec"])
        conductance *= np.exp(-(time - last) / p["tau"])
        last = time
        if time < DURATION:
            u += p["U"] * (1 - u)
            conductance += g * u * r
            r -= u * r
    return u, r, conductance


def ran(projection: sf.Projection, stimulus: sf.Stimulus, record: list[Any]) -> sf.Solution:
    network = sf.Network(
        projection.pre.population, projection.post.population, projection, stimulus
    )
    return sf.simulate(network, DURATION * ms, dt=DT * ms, record=record)


def test_the_cells_spike_when_they_should() -> None:
    post, stimulus = targets()
    run = sf.simulate(sf.Network(post, stimulus), DURATION * ms, dt=DT * ms, record=post.spikes)
    for found, wanted in zip(run["post.spikes"].trains(), POST, strict=True):
        np.testing.assert_allclose(found, wanted, atol=1e-6 * DT)
        assert len(found) > 5


@pytest.mark.slow
@pytest.mark.parametrize("delay", [0.0, 1.7])
@pytest.mark.parametrize("name", ["stdp_pair_all_to_all", "stdp_pair_nearest"])
def test_weights_under_poisson_trains_equal_those_from_event_to_event(
    name: str, delay: float
) -> None:
    p = {
        "w_max": 0.0015,
        "A_plus": 0.03,
        "A_minus": 0.0315,
        "tau_plus": 20.0,
        "tau_minus": 25.0,
    }
    synapse = sf.load(name)(
        w_max=0.0015 * uS, A_plus=0.03, A_minus=0.0315, tau_plus=20 * ms, tau_minus=25 * ms
    )
    pre, (post, stimulus) = sources(), targets()
    half = sf.FixedProbability(0.6, seed=5)
    made = sf.Projection(pre, post, synapse, half, delay=delay * ms)
    run = ran(made, stimulus, [made["w"]])
    table = made.connections()
    arrived = [train[train + delay < DURATION] + delay for train in PRE]
    wanted = [
        stdp(arrived[j], POST[i], name.endswith("nearest"), p)
        for j, i in zip(table.pre, table.post, strict=True)
    ]
    np.testing.assert_allclose(run["pre_to_post.w"].values[-1], wanted, rtol=0, atol=1e-12)
    assert np.ptp(wanted) > 1e-4


def test_inhibitory_weights_under_poisson_trains_equal_those_from_event_to_event() -> None:
    eta, alpha, tau = 2e-4, 2.0, 20.0  # the mean of the traces is 1, so weights rise and fall
    synapse = sf.load("stdp_inhibitory")(
        eta=eta * uS, rho_0=alpha / (2 * tau) / ms, tau_stdp=tau * ms, w=0.5e-3 * uS
    )
    pre, (post, stimulus) = sources(), targets()
    made = sf.Projection(pre, post, synapse)
    run = ran(made, stimulus, [made["w"]])
    table = made.connections()
    wanted = [
        balancing(PRE[j], POST[i], eta, alpha, tau)
        for j, i in zip(table.pre, table.post, strict=True)
    ]
    np.testing.assert_allclose(run["pre_to_post.w"].values[-1], wanted, rtol=0, atol=1e-12)
    assert np.ptp(wanted) > 1e-4
    assert min(wanted) == 0


def test_facilitation_and_depression_under_poisson_trains_equal_those_from_event_to_event() -> None:
    p = {"U": 0.2, "tau_rec": 130.0, "tau_facil": 330.0, "tau": 5.0}
    synapse = sf.load("tsodyks_markram_conductance")(
        U=0.2, tau_rec=130 * ms, tau_facil=330 * ms, tau=5 * ms, E=0 * mV
    )
    weight = RNG.uniform(0.001, 0.01, (N_PRE, N_POST))
    pre, (post, stimulus) = sources(), targets()
    made = sf.Projection(pre, post, synapse, weight=weight * uS)
    run = ran(made, stimulus, [made["u"], made["R"], made["G"]])
    wanted = np.array([tsodyks(train, 1.0, p) for train in PRE])
    for k, name in enumerate("uR"):
        found = run[f"pre_to_post.{name}"].values[-1]
        np.testing.assert_allclose(found, wanted[:, k], rtol=0, atol=1e-12)
    total = run["pre_to_post.G"].values[-1]
    np.testing.assert_allclose(total, wanted[:, 2] @ weight, rtol=0, atol=1e-12)
    assert np.ptp(wanted[:, 1]) > 0.1
