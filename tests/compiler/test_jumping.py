"""What spikes open equals one state for every synapse, in every form of sums and with delays.

Cells of a population cross their threshold up to a few times a millisecond and reach one population
for each kind of synapse. Closed forms of the plain result are written by hand.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import somaflow as sf
from somaflow.units import ms, mV, nA, nF, uS

pytestmark = pytest.mark.slow

DT, STEPS, EVERY = 0.05, 400, 3  # ms; 20 ms; the drive changes every 3 steps
N_PRE, N_POST = 5, 3
RNG = np.random.default_rng(21)
PRE = (np.linspace(5, 15, N_PRE), RNG.normal(0, 900, (1 + STEPS // EVERY, N_PRE)), EVERY)
POST = (np.linspace(0.2, 0.4, N_POST), RNG.normal(0, 60, (1 + STEPS // EVERY, N_POST)), EVERY)
WEIGHT = RNG.uniform(0.01, 0.3, (N_PRE, N_POST))
WEIGHT[0, 1] = 0.0
DELAYS = {"none": 0, "one": 7, "varied": RNG.integers(0, 40, (N_PRE, N_POST))}
DELAYS["varied"][:2, 0] = 0, 39


@dataclass
class Kind:
    """A synapse as text, and in plain NumPy."""

    synapse: Any
    unit: Any
    initial: dict[str, float]
    later: Callable[[Any, Any], dict[str, Any]]
    jump: Callable[[Any, Any], dict[str, Any]]
    current: Callable[[Any, Any, Any, Any], Any]


def parse(text: str, **numbers: Any) -> sf.Equations:
    return sf.Equations.parse(text, **numbers)


def decay(tau: float, *states: str) -> Callable[[Any, Any], dict[str, Any]]:
    return lambda z, t: {s: z[s] * np.exp(-t / tau) for s in states}


def conductance(z: Any, v_pre: Any, v: Any, w: Any) -> Any:
    return -z["G"] * v


def alpha(tau: float) -> Callable[[Any, Any], dict[str, Any]]:
    def later(z: Any, t: Any) -> dict[str, Any]:
        e = np.exp(-t / tau)
        return {"J": (z["J"] + z["K"] * t / tau) * e, "K": z["K"] * e}

    return later


def chain(rise: float, fall: float, gain: float) -> Callable[[Any, Any], dict[str, Any]]:
    def later(z: Any, t: Any) -> dict[str, Any]:
        first, second = np.exp(-t / rise), np.exp(-t / fall)
        moved = gain / (1 / fall - 1 / rise) * (first - second)
        return {"G": z["G"] * second + z["X"] * moved, "X": z["X"] * first}

    return later


def pulsed(z: Any, t: Any) -> dict[str, Any]:
    """A gate that opens at 2.5 per ms for what is `left` of its pulse, and closes at 0.2."""
    within = np.minimum(z["left"], t)
    level = 2.5 / 2.7
    risen = level + (z["o"] - level) * np.exp(-2.7 * within)
    return {"o": risen * np.exp(-0.2 * (t - within)), "left": np.maximum(z["left"] - t, 0)}


def facilitated(z: Any, w: Any) -> dict[str, Any]:
    u = z["u"] + 0.3 * (1 - z["u"])
    return {"u": u, "G": z["G"] + w * u * z["R"], "R": z["R"] - u * z["R"]}


def recovering(z: Any, t: Any) -> dict[str, Any]:
    return {
        "G": z["G"] * np.exp(-t / 5),
        "u": z["u"] * np.exp(-t / 50),
        "R": 1 - (1 - z["R"]) * np.exp(-t / 13),
    }


PEAK = np.log(3 / 0.7) * 3 * 0.7 / (3 - 0.7)
FACTOR = 1 / (np.exp(-PEAK / 3) - np.exp(-PEAK / 0.7))
OPEN = "v_post : mV\nI = G*(v_post - E) : nA\ndG/dt = -G/tau : uS\n"
BLOCK = "(1 + exp(-0.062*v_post/(1*mV))/3.57)"
PULSED = "v_post : mV\nI = w*o*(v_post - E) : nA\ndo/dt = alpha*(1 - o)*pulse(d)/2 - beta*o : 1"
KINDS = {
    "exponential current": Kind(
        sf.load("exponential_current")(tau=5 * ms),
        nA,
        {"J": 0.0},
        decay(5, "J"),
        lambda z, w: {"J": z["J"] + w},
        lambda z, v_pre, v, w: z["J"] + 0 * v,
    ),
    "exponential conductance": Kind(
        sf.load("exponential_conductance")(tau=5 * ms, E=0 * mV),
        uS,
        {"G": 0.0},
        decay(5, "G"),
        lambda z, w: {"G": z["G"] + w},
        conductance,
    ),
    "alpha current": Kind(
        sf.load("alpha_current")(tau=2 * ms),
        nA,
        {"J": 0.0, "K": 0.0},
        alpha(2.0),
        lambda z, w: {"J": z["J"], "K": z["K"] + np.e * w},
        lambda z, v_pre, v, w: z["J"] + 0 * v,
    ),
    "double-exponential conductance": Kind(
        sf.load("double_exponential_conductance")(tau_rise=0.7 * ms, tau_decay=3 * ms, E=0 * mV),
        uS,
        {"G": 0.0, "X": 0.0},
        chain(0.7, 3.0, 1 / 3),
        lambda z, w: {"G": z["G"], "X": z["X"] + FACTOR * w * 2.3 / 0.7},
        conductance,
    ),
    "a chain of two rates": Kind(
        parse(
            "v_post : mV\nI = G*(v_post - E) : nA\ndG/dt = k*X - G/fall : uS\n"
            "dX/dt = -X/rise : uS\non spike: X += w",
            E=0 * mV,
            rise=0.8 * ms,
            fall=4 * ms,
            k="0.6 1/ms",
            w=1 * uS,
            G=0,
            X=0,
        ),
        uS,
        {"G": 0.0, "X": 0.0},
        chain(0.8, 4.0, 0.6),
        lambda z, w: {"G": z["G"], "X": z["X"] + w},
        conductance,
    ),
    "short-term plasticity": Kind(
        sf.load("tsodyks_markram_conductance")(
            U=0.3, tau_rec=13 * ms, tau_facil=50 * ms, tau=5 * ms, E=0 * mV
        ),
        uS,
        {"G": 0.0, "u": 0.0, "R": 1.0},
        recovering,
        facilitated,
        conductance,
    ),
    "delta": Kind(
        sf.load("delta"),
        mV,
        {},
        lambda z, t: {},
        lambda z, w: {"v_post": w},
        lambda z, v_pre, v, w: np.zeros_like(w),
    ),
    "magnesium block": Kind(
        parse(
            OPEN.replace("(v_post - E)", f"(v_post - E)/{BLOCK}") + "on spike: G += w",
            E=0 * mV,
            tau=8 * ms,
            w=1 * uS,
            G=0,
        ),
        uS,
        {"G": 0.0},
        decay(8, "G"),
        lambda z, w: {"G": z["G"] + w},
        lambda z, v_pre, v, w: -z["G"] * v / (1 + np.exp(-0.062 * v) / 3.57),
    ),
    "a weight in the current": Kind(
        parse(
            "v_post : mV\nI = w*G*(v_post - E) : nA\ndG/dt = -G/tau : 1\non spike: G += 1",
            E=0 * mV,
            tau=5 * ms,
            w=1 * uS,
            G=0,
        ),
        uS,
        {"G": 0.0},
        decay(5, "G"),
        lambda z, w: {"G": z["G"] + 1},
        lambda z, v_pre, v, w: -w * z["G"] * v,
    ),
    "pulses": Kind(
        parse(PULSED, E=0 * mV, alpha="5 1/ms", beta="0.2 1/ms", d=0.33 * ms, w=1 * uS, o=0),
        uS,
        {"o": 0.0, "left": 0.0},
        pulsed,
        lambda z, w: {"o": z["o"], "left": np.full_like(z["left"], 0.33)},
        lambda z, v_pre, v, w: -w * z["o"] * v,
    ),
    "pulses and a magnesium block": Kind(
        parse(
            PULSED.replace("(v_post - E)", f"(v_post - E)/{BLOCK}").replace("(d)", "(0.7*ms)"),
            E=0 * mV,
            alpha="5 1/ms",
            beta="0.2 1/ms",
            w=1 * uS,
            o=0,
        ),
        uS,
        {"o": 0.0, "left": 0.0},
        pulsed,
        lambda z, w: {"o": z["o"], "left": np.full_like(z["left"], 0.7)},
        lambda z, v_pre, v, w: -w * z["o"] * v / (1 + np.exp(-0.062 * v) / 3.57),
    ),
}
SLOW = pytest.mark.slow
RUNS = [
    ("dense", "none"),
    pytest.param(("gathered", "one"), marks=SLOW),
    ("loop", "varied"),
]


def steps(delay: str) -> np.ndarray:
    return np.broadcast_to(DELAYS[delay], WEIGHT.shape)


def identifier(name: str) -> str:
    return name.replace(" ", "_").replace("-", "_")


def cells(name: str, numbers: tuple) -> sf.Population:
    model = parse(
        "dv/dt = (g*(E - v) + I_stim)/C : mV\nI_stim : nA",
        E=-60 * mV,
        g=numbers[0] * uS,
        C=1 * nF,
        v=-60,
    )
    return sf.Population(name, len(numbers[0]), model, threshold="v > -20*mV")


@pytest.fixture(scope="module", params=RUNS, ids=" ".join)
def both(request: pytest.FixtureRequest, plain: Any, forced: Any) -> tuple[sf.Solution, Any]:
    form, delay = request.param
    pre = cells("a", PRE)
    posts = {name: cells(identifier(name), POST) for name in KINDS}
    given = DELAYS[delay] * DT * ms
    network = sf.Network(
        pre,
        *posts.values(),
        *(
            sf.Projection(pre, posts[name], kind.synapse, weight=WEIGHT * kind.unit, delay=given)
            for name, kind in KINDS.items()
        ),
        sf.Stimulus(pre, sf.Waveform(PRE[1] * nA, EVERY * DT * ms)),
        *(sf.Stimulus(p, sf.Waveform(POST[1] * nA, EVERY * DT * ms)) for p in posts.values()),
    )
    record = [pre.spikes, *(p["v"] for p in posts.values())]
    with forced(form):
        run = sf.simulate(network, STEPS * DT * ms, dt=DT * ms, record=record)
    wanted = plain(
        {"a": PRE, **{name: POST for name in KINDS}},
        [("a", name, kind, WEIGHT, steps(delay)) for name, kind in KINDS.items()],
        DT,
        STEPS,
    )
    return run, wanted


@pytest.mark.parametrize("name", KINDS)
def test_voltages_equal_those_of_one_state_a_synapse(both: tuple, name: str) -> None:
    run, wanted = both
    found = run[f"{identifier(name)}.v"].values
    assert found.shape == wanted.v[name].shape
    error = np.abs(found - wanted.v[name]).max() / np.abs(wanted.v[name]).max()
    assert error < 1e-12


def test_the_synapses_are_felt_in_bursts_and_alone(plain: Any) -> None:
    cells_of = {"a": PRE, **{name: POST for name in KINDS}}
    synapses = [("a", name, kind, WEIGHT, steps("none")) for name, kind in KINDS.items()]
    found = plain(cells_of, synapses, DT, STEPS)
    alone = plain({"post": POST}, [], DT, STEPS).v["post"]
    for name in KINDS:
        assert np.abs(found.v[name] - alone).max() > 3, name
    times = np.array([time for time, _ in found.spikes["a"]])
    cells_hit = np.array([cell for _, cell in found.spikes["a"]])
    apart = np.concatenate([np.diff(times[cells_hit == cell]) for cell in range(N_PRE)])
    assert np.sum(apart < 0.33) >= 5  # pulses that overlap
    assert np.sum(apart > 1.0) >= 5
    assert len(np.unique((times / DT).astype(int))) < len(times)  # several in one step
