"""Plastic synapses equal a walk from spike to spike, synapse by synapse."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import somaflow as sf
from somaflow.compiler.plastic import PlasticCoupling
from somaflow.compiler.tables import Tables
from somaflow.network.forms import take_apart
from somaflow.network.general import General
from somaflow.numerics import delivery
from somaflow.units import ms, mV, nA, nF, uS

DT, STEPS, EVERY = 0.05, 400, 3  # ms; 20 ms; the drive changes every 3 steps
N_PRE, N_POST = 5, 4
RNG = np.random.default_rng(41)
PRE = (np.linspace(5, 15, N_PRE), RNG.normal(0, 900, (1 + STEPS // EVERY, N_PRE)), EVERY)
POST = (np.linspace(5, 9, N_POST), RNG.normal(0, 700, (1 + STEPS // EVERY, N_POST)), EVERY)
WEIGHT = RNG.uniform(0.2, 1.8, (N_PRE, N_POST))
LOW, HIGH, PLUS, MINUS = 0.0, 2.0, 0.1, 0.1
TAU, TAU_PLUS, TAU_MINUS = 5.0, 8.0, 11.0


def stdp(nearest: bool) -> Callable[..., Any]:
    """The events of one step; traces know the order of spikes, the weight takes `pre` first."""

    def one(z: dict[str, float], pre: float, post: float) -> tuple[dict[str, float], float]:
        def trace(at: float, start: float, tau: float, spike: float) -> float:
            """A trace at some time before the step's end, spikes that came earlier included."""
            if not spike > at:
                return start * np.exp(-(DT - at) / tau)
            jumped = 1.0 if nearest else start * np.exp(-(DT - spike) / tau) + 1
            return jumped * np.exp(-(spike - at) / tau)

        made, area = dict(z), 0.0
        made["G"] = z["G"] * np.exp(-DT / TAU)
        if pre > 0:
            made["w"] = min(max(made["w"] - MINUS * trace(pre, z["y"], TAU_MINUS, post), LOW), HIGH)
            made["G"] += made["w"] * np.exp(-pre / TAU)
            area = made["w"] * TAU * -np.expm1(-pre / TAU)
        if post > 0:
            made["w"] = min(max(made["w"] + PLUS * trace(post, z["x"], TAU_PLUS, pre), LOW), HIGH)
        made["x"] = trace(0.0, z["x"], TAU_PLUS, pre)
        made["y"] = trace(0.0, z["y"], TAU_MINUS, post)
        return made, area

    def events(z: Any, pre: Any, post: Any, dt: float, v: Any, w: Any) -> Any:
        made, area = {name: value.copy() for name, value in z.items()}, np.zeros_like(pre)
        for place in np.ndindex(*pre.shape):
            single = {name: value[place] for name, value in z.items()}
            found, area[place] = one(single, pre[place], post[place[1]])
            for name, value in found.items():
                made[name][place] = value
        return made, {"G": area}

    return events


def grown(z: Any, pre: Any, w: Any) -> Any:
    """Add w to a conductance that decays with TAU."""
    hit = pre > 0
    end = z["G"] * np.exp(-DT / TAU) + np.where(hit, w * np.exp(-pre / TAU), 0)
    return end, {"G": np.where(hit, w * TAU * -np.expm1(-pre / TAU), 0)}


def hebbian(z: Any, pre: Any, post: Any, dt: float, v: Any, w: Any) -> Any:
    w = np.where(pre > 0, 0.9 * z["w"] + 0.05 * np.exp(0.01 * v), z["w"])
    end, area = grown(z, pre, w)
    return {"G": end, "w": w}, area


def tired(z: Any, pre: Any, post: Any, dt: float, v: Any, w: Any) -> Any:
    end, area = grown(z, pre, w / (1 + z["n"]))
    return {"G": end, "n": z["n"] + (pre > 0) * w}, area


def rectified(z: Any, pre: Any, post: Any, dt: float, v: Any, w: Any) -> Any:
    end, area = grown(z, pre, w * np.exp(0.01 * v) + 0.1)
    return {"G": end}, area


@dataclass
class Kind:
    """A synapse as text, and its events in plain NumPy."""

    text: str
    initial: dict[str, float]
    events: Callable[..., Any]

    def later(self, z: Any, time: float) -> Any:
        return z | {"G": z["G"] * np.exp(-time / TAU)}

    def current(self, z: Any, v_pre: Any, v: Any, w: Any) -> Any:
        return -z["G"] * v

    def parsed(self) -> sf.Equations:
        numbers = {
            "tau": TAU * ms,
            "tp": TAU_PLUS * ms,
            "tm": TAU_MINUS * ms,
            "A": PLUS * uS,
            "B": MINUS * uS,
            "wm": HIGH * uS,
        }
        used = {name: value for name, value in numbers.items() if name in OPEN + self.text}
        start = self.initial | {"w": 1 * uS}
        return sf.Equations.parse(OPEN + self.text, E=0 * mV, **used, **start)


OPEN = "v_post : mV\nI = G*(v_post - E) : nA\ndG/dt = -G/tau : uS\n"
WEIGHTED = "dw/dt = 0*uS/ms : uS\n"
PAIRS = (
    WEIGHTED + "dx/dt = -x/tp : 1\ndy/dt = -y/tm : 1\n"
    "on spike: x += 1; w = minimum(maximum(w - B*y, 0*uS), wm); G += w\n"
    "on post spike: y += 1; w = minimum(maximum(w + A*x, 0*uS), wm)"
)
START = {"G": 0.0, "w": 1.0, "x": 0.0, "y": 0.0}
KINDS = {
    "all_to_all": Kind(PAIRS, START, stdp(nearest=False)),
    "nearest": Kind(
        PAIRS.replace("x += 1", "x = 1").replace("y += 1", "y = 1"), START, stdp(nearest=True)
    ),
    "of_the_voltage": Kind(
        WEIGHTED + "on spike: w = 0.9*w + 0.05*uS*exp(0.01*v_post/mV); G += w",
        {"G": 0.0, "w": 1.0},
        hebbian,
    ),
    "with_a_state": Kind(
        "dn/dt = 0*uS/ms : uS\non spike: G += w/(1 + n/(1*uS)); n += w",
        {"G": 0.0, "n": 0.0},
        tired,
    ),
    "without_a_state": Kind("on spike: G += w*exp(0.01*v_post/mV) + 0.1*uS", {"G": 0.0}, rectified),
}
RUNS = {
    "one block a cell": (None, 0),
    "a delay": ((3, False), 7),
}
QUICK = "a delay"


def cells(name: str, numbers: tuple) -> sf.Population:
    model = sf.Equations.parse(
        "dv/dt = (g*(E - v) + I_stim)/C : mV\nI_stim : nA",
        E=-60 * mV,
        g=numbers[0] * uS,
        C=1 * nF,
        v=-60,
    )
    return sf.Population(name, len(numbers[0]), model, threshold="v > -20*mV")


@pytest.fixture(
    scope="module",
    params=[pytest.param(r, marks=() if r == QUICK else pytest.mark.slow) for r in RUNS],
)
def both(request: pytest.FixtureRequest, plain: Any) -> tuple[sf.Solution, Any]:
    blocks, delay = RUNS[request.param]
    pre, posts = cells("a", PRE), {name: cells(name, POST) for name in KINDS}
    projections = {
        name: sf.Projection(
            pre, posts[name], kind.parsed(), weight=WEIGHT * uS, delay=delay * DT * ms
        )
        for name, kind in KINDS.items()
    }
    network = sf.Network(
        pre,
        *posts.values(),
        *projections.values(),
        sf.Stimulus(pre, sf.Waveform(PRE[1] * nA, EVERY * DT * ms)),
        *(sf.Stimulus(p, sf.Waveform(POST[1] * nA, EVERY * DT * ms)) for p in posts.values()),
    )
    record = [pre.spikes, *(p["v"] for p in posts.values())]
    record += [p["w"] for name, p in projections.items() if "w" in KINDS[name].initial]
    with pytest.MonkeyPatch.context() as patch:
        if blocks is not None:
            patch.setattr(delivery, "block_width", lambda degrees: blocks)
        run = sf.simulate(network, STEPS * DT * ms, dt=DT * ms, record=record)
    delays = np.full(WEIGHT.shape, delay)
    wanted = plain(
        {"a": PRE, **{name: POST for name in KINDS}},
        [("a", name, kind, WEIGHT, delays) for name, kind in KINDS.items()],
        DT,
        STEPS,
    )
    return run, wanted


@pytest.mark.parametrize("name", KINDS)
def test_voltages_equal_those_of_a_walk_from_spike_to_spike(both: tuple, name: str) -> None:
    run, wanted = both
    found = run[f"{name}.v"].values
    assert found.shape == wanted.v[name].shape
    error = np.abs(found - wanted.v[name]).max() / np.abs(wanted.v[name]).max()
    assert error < 1e-12


@pytest.mark.parametrize("name", [name for name in KINDS if "w" in KINDS[name].initial])
def test_weights_equal_those_of_a_walk_from_spike_to_spike(both: tuple, name: str) -> None:
    run, wanted = both
    states = wanted.states[list(KINDS).index(name)]
    found = run[f"a_to_{name}.w"].values[-1]
    # By postsynaptic and then presynaptic cell, as in connections().
    np.testing.assert_allclose(found, states["w"].T.ravel(), rtol=1e-12, atol=1e-12)
    assert np.abs(states["w"] - WEIGHT).min() > 1e-3


def test_the_plain_result_has_what_is_tested(both: tuple) -> None:
    _, wanted = both
    for name in ("all_to_all", "nearest"):
        weights = wanted.states[list(KINDS).index(name)]["w"]
        assert np.isin(weights, (LOW, HIGH)).any()
        assert len(np.unique(weights)) > N_PRE
        sent = {int(time / DT) for time, _ in wanted.spikes["a"]}
        received = {int(time / DT) for time, _ in wanted.spikes[name]}
        assert len(sent & received) > 10  # pairs within one step


DRIFTING = "dw/dt = (1*uS - w)/tau : uS\non spike: w += 0.1*uS; G += w"


@pytest.mark.parametrize(
    ("text", "delay", "reason"),
    [
        (WEIGHTED + "on spike: w += 0.1*uS; G += w", [0, 0.1], "and their delays differ"),
        (
            WEIGHTED + "on spike: w += 0.1*uS; G += w\non post spike: G += w",
            0,
            "'on post spike' changes G",
        ),
        (DRIFTING, 0, "w is a state of every single synapse that changes between spikes"),
        (WEIGHTED + "on spike: w += 0.1*uS; G = w", 0, "a spike can only add to G"),
    ],
)
def test_what_is_more_than_plastic_is_general(text: str, delay: Any, reason: str) -> None:
    pre, post = cells("a", PRE), cells("b", POST)
    synapse = sf.Equations.parse(OPEN + text, E=0 * mV, tau=5 * ms, w=1 * uS, G=0)
    delays = np.resize(delay, WEIGHT.shape) * ms if delay else 0 * ms
    made = sf.Projection(pre, post, synapse, delay=delays)
    form = take_apart(made)
    assert isinstance(form, General)
    assert reason in form.reason


def test_variables_of_synapses_come_in_the_order_of_connections() -> None:
    pre, post = cells("a", PRE), cells("b", POST)
    pairs = [(3, 0), (0, 2), (3, 2), (1, 3), (4, 0), (3, 3)]
    weight = np.arange(1.0, 7.0) / 4
    synapse = KINDS["all_to_all"].parsed()
    made = sf.Projection(pre, post, synapse, sf.FromList(pairs), weight=weight * uS)
    tables = Tables(sf.Network(pre, post, made), DT, 1.0, np.float64, {})
    coupling = tables.couplings[0]
    assert isinstance(coupling, PlasticCoupling)
    own = coupling.initial(()).own["w"][:-1]
    assert own[coupling.ordered].tolist() == made.connections().coherent.tolist()
