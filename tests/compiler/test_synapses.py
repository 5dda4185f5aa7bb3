"""The rewrites of synapses are exact: each equals one state for every synapse, in plain NumPy.

Two populations of passive cells, driven so hard that they cross their threshold up to a few times
a millisecond; `a` reaches itself and `b` with weights of its own. A crossing found at the end of a
step acts on the postsynaptic cells at its end, with all that it has done since the crossing.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import somaflow as sf
from somaflow.units import cm, mS, ms, mV, nA, nF, nS, uA, uF, uS

DT, STEPS, EVERY = 0.05, 400, 3  # ms; 20 ms; the drive changes every 3 steps
N_A, N_B = 5, 3
THRESHOLD = -20.0
DENSITY = mS / cm**2
RNG = np.random.default_rng(11)
DRIVE = {
    "a": RNG.normal(0, 900, (1 + STEPS // EVERY, N_A)),
    "b": RNG.normal(0, 60, (1 + STEPS // EVERY, N_B)),
}
LEAK = {"a": np.linspace(5, 15, N_A), "b": np.linspace(0.2, 0.4, N_B)}
WEIGHTS = {"a": RNG.uniform(0.1, 0.5, (N_A, N_A)), "b": RNG.uniform(0.01, 0.3, (N_A, N_B))}
WEIGHTS["a"][1, 2] = WEIGHTS["b"][0, 1] = 0.0


@dataclass
class Kind:
    """A synapse in plain NumPy; `tests/compiler/conftest.py` says what its functions are."""

    initial: dict[str, float]
    current: Callable[[Any, Any, Any, Any], Any]
    later: Callable[[Any, Any], dict[str, Any]]
    jump: Callable[[Any, Any], dict[str, Any]]


@dataclass
class Graded:
    initial: dict[str, float]
    current: Callable[[Any, Any, Any, Any], Any]
    slope: Callable[[Any, Any, Any], dict[str, Any]]
    duration: float = 0.0


def pulsed(z: Any, t: Any) -> dict[str, Any]:
    """alpha 10, beta 0.2, T 0.5 for 0.3 ms: what is `left` of the pulse goes first."""
    within = np.minimum(z["left"], t)
    risen = 5 / 5.2 + (z["o"] - 5 / 5.2) * np.exp(-5.2 * within)
    return {"o": risen * np.exp(-0.2 * (t - within)), "left": np.maximum(z["left"] - t, 0)}


def exponential(reversal: float | None) -> Kind:
    def current(z: Any, v_pre: Any, v: Any, w: Any) -> Any:
        return z["G"] * (1.0 + 0 * v if reversal is None else reversal - v)

    return Kind(
        {"G": 0.0},
        current,
        lambda z, t: {"G": z["G"] * np.exp(-t / 5)},
        lambda z, w: {"G": z["G"] + w},
    )


KINDS = {
    "gaba_a": Graded(
        {"o": 0.0},
        lambda z, v_pre, v, w: w * z["o"] * (-70 - v),
        lambda z, v, pulse: {
            "o": 10 * (1 - z["o"]) / (1 + np.exp(-(v + 20) / 1.5)) - 0.16 * z["o"]
        },
    ),
    "nach": Kind(
        {"o": 0.0, "left": 0.0},
        lambda z, v_pre, v, w: -w * z["o"] * v,
        pulsed,
        lambda z, w: {"o": z["o"], "left": np.full_like(z["left"], 0.3)},
    ),
    "exponential_conductance": exponential(0.0),
    "exponential_conductance_density": exponential(0.0),
    "exponential_current": exponential(None),
    "exponential_current_density": exponential(None),
}


def compiled(name: str) -> sf.Solution:
    point = name in ("exponential_conductance", "exponential_current")
    current = nA if point else uA / cm**2
    conductance, capacity = (uS, nF) if point else (DENSITY, uF / cm**2)
    strength = current if "current" in name else conductance
    text = f"""
    dv/dt = (g*(E - v) + I_stim)/C : mV
    I_stim : {"nA" if point else "uA/cm**2"}
    """
    cells = {}
    for key, size in (("a", N_A), ("b", N_B)):
        model = sf.Equations.parse(
            text, E=-60 * mV, g=LEAK[key] * conductance, C=1 * capacity, v=-60
        )
        cells[key] = sf.Population(key, size, model, threshold="v > -20*mV")
    synapse = sf.load(name)
    network = sf.Network(
        *cells.values(),
        *(sf.Projection(cells["a"], cells[k], synapse, weight=WEIGHTS[k] * strength) for k in "ab"),
        *(sf.Stimulus(cells[k], sf.Waveform(DRIVE[k] * current, EVERY * DT * ms)) for k in "ab"),
    )
    record = [cells["a"]["v"], cells["b"]["v"], cells["a"].spikes, cells["b"].spikes]
    return sf.simulate(network, STEPS * DT * ms, dt=DT * ms, record=record)


@pytest.fixture(scope="module", params=KINDS)
def pair(request: pytest.FixtureRequest, plain: Any) -> tuple[sf.Solution, Any]:
    kind, at_once = KINDS[request.param], np.zeros((N_A, N_A), int)
    wanted = plain(
        {key: (LEAK[key], DRIVE[key], EVERY) for key in "ab"},
        [("a", key, kind, WEIGHTS[key], at_once) for key in "ab"],
        DT,
        STEPS,
    )
    return compiled(request.param), wanted


@pytest.mark.slow
def test_voltages_equal_those_of_one_state_a_synapse(pair: tuple) -> None:
    run, plain = pair
    for key in "ab":
        found, wanted = run[f"{key}.v"].values, plain.v[key]
        assert found.shape == wanted.shape
        assert np.abs(found - wanted).max() < 1e-12 * np.abs(wanted).max()


@pytest.mark.slow
def test_spikes_equal_those_of_one_state_a_synapse(pair: tuple) -> None:
    run, plain = pair
    for key in "ab":
        found = run[f"{key}.spikes"]
        wanted = sorted(plain.spikes[key], key=lambda spike: (spike[1], spike[0]))
        order = np.lexsort((found.times, found.cells))
        assert found.cells[order].tolist() == [cell for _, cell in wanted]
        # The time since a crossing leaves the loop in float32: 1e-7 of a step.
        times = np.array([time for time, _ in wanted])
        assert np.abs(found.times[order] - times).max() < 1e-7 * DT


def test_the_drive_makes_what_is_tested(pair: tuple) -> None:
    """Overlapping pulses, several crossings in one step, and an effect on `b` that is felt."""
    run, plain = pair
    trains = run["a.spikes"].trains()
    apart = np.concatenate([np.diff(train) for train in trains])
    assert np.sum(apart < 0.3) >= 5
    assert np.sum(apart > 1.0) >= 5
    steps = [int(time / DT) for time, _ in plain.spikes["a"]]
    assert len(set(steps)) < len(steps)
    assert np.ptp(plain.v["b"]) > 10


@pytest.mark.slow
def test_a_refined_step_converges_to_the_pulse_at_the_crossing_itself() -> None:
    """Without recurrence the visibility one step late is all that separates dt from the limit."""
    text = "dv/dt = (g*(E - v) + I_stim)/C : mV\nI_stim : uA/cm**2"
    numbers: dict[str, Any] = {"E": -60 * mV, "g": 1 * DENSITY, "C": 1 * uF / cm**2, "v": -60}
    model = sf.Equations.parse(text, **numbers)
    pre = sf.Population("pre", 1, model, threshold="v > -20*mV")
    post = sf.Population("post", 1, model)
    network = sf.Network(
        pre,
        post,
        sf.Projection(pre, post, sf.load("nach")(g=1 * DENSITY)),
        sf.CurrentClamp(pre, 60 * uA / cm**2, start=1 * ms),
    )
    ends = []
    for dt in (0.1, 0.025):
        run = sf.simulate(network, 5 * ms, dt=dt * ms, record=[post["v"].every(5 * ms), pre.spikes])
        # v = -60 + 60 (1 - exp(-t)) reaches -20 at log(3)
        assert run["pre.spikes"].times == pytest.approx([1 + np.log(3)], abs=dt**2 / 4)
        ends.append(float(run["post.v"].values[-1, 0]))
    # The pulse alone lifts the cell by 20 mV, the part that one step of it gives is not seen.
    assert abs(ends[1] - ends[0]) < 0.3


@pytest.mark.slow
def test_projections_of_other_kinetics_keep_gates_of_their_own() -> None:
    text = "dv/dt = (g*(E - v) + I_stim)/C : mV\nI_stim : nA"
    numbers: dict[str, Any] = {"E": -60 * mV, "g": 10 * nS, "C": 0.2 * nF, "v": -60}
    model = sf.Equations.parse(text, **numbers)
    pre = sf.Population("pre", 2, model, threshold="v > -50*mV")
    post = sf.Population("post", 2, model)
    synapse = sf.load("exponential_current")(i=0.1 * nA)

    def after(*taus: float) -> np.ndarray:
        projections = [
            sf.Projection(pre, post, synapse(tau=tau * ms), name=f"tau{tau:g}") for tau in taus
        ]
        clamp = sf.CurrentClamp(pre, 1 * nA)
        run = sf.simulate(
            sf.Network(pre, post, *projections, clamp), 10 * ms, dt=0.1 * ms, record=post["v"]
        )
        return run["post.v"].values + 60

    # The cells are linear, so effects of projections add.
    np.testing.assert_allclose(after(2, 7), after(2) + after(7), rtol=1e-12, atol=1e-12)
