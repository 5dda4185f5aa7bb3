"""Nonlinear states that presynaptic spikes move are one for each presynaptic cell."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.integrate import solve_ivp

import somaflow as sf
from somaflow.errors import NetworkError
from somaflow.network import forms
from somaflow.network.forms import Graded, take_apart
from somaflow.network.general import General
from somaflow.units import ms, mV, nA, nF, nS, uS

DT, T, DELAY = 0.1, 30.0, 0.3  # ms
LEAK, REST, C = 0.01, -60.0, 0.2  # uS, mV, nF
TIMES = np.array([1.234, 2.345, 5.05, 8.77, 14.2001, 20.002])
SENDERS = [0, 1, 0, 2, 0, 1]
WEIGHT = np.linspace(1, 2, 6).reshape(3, 2) * 5e-3  # uS


def passive(name: str, size: int, current: Any = 0.0) -> sf.Population:
    text = "dv/dt = (g*(E - v) + I_stim + I0)/C : mV\nI_stim : nA"
    values = {"g": LEAK * uS, "E": REST * mV, "C": C * nF, "I0": np.full(size, current) * nA}
    model = sf.Equations.parse(text, v=np.linspace(REST, REST + 2, size), **values)
    return sf.Population(name, size, model, threshold="v > -52*mV")


def run(network: sf.Network, record: list[Any], duration: float = T, **given: Any) -> sf.Solution:
    settings = {"solver": sf.RK4(), "progress": False, "dt": DT * ms, "seed": 4}
    return sf.simulate(network, duration * ms, record=record, **settings | given)


def saturating() -> tuple[sf.Network, sf.Population, sf.Projection]:
    sources = sf.Population("s", 3, sf.SpikeSourceArray(TIMES * ms, SENDERS))
    cells = passive("b", 2)
    synapse = sf.load("nmda_saturating")
    made = sf.Projection(sources, cells, synapse, weight=WEIGHT * uS, delay=DELAY * ms, name="p")
    return sf.Network(sources, cells, made), cells, made


def slope(t: float, y: Any) -> Any:
    v, s, x = y[:2], y[2:5], y[5:]
    opened = 1 / (1 + np.exp(-0.062 * v) / 3.57)
    dv = (LEAK * (REST - v) - (s @ WEIGHT) * opened * v) / C
    return np.concatenate([dv, 0.5 * x * (1 - s) - s / 100, -x / 2])


def from_spike_to_spike() -> np.ndarray:
    """v, s and x at the end, by SciPy."""
    y, now = np.concatenate([[REST, REST + 2], np.zeros(6)]), 0.0
    for time, cell in [*zip(TIMES + DELAY, SENDERS, strict=True), (T, None)]:
        y = solve_ivp(slope, (now, time), y, method="DOP853", rtol=1e-12, atol=1e-13).y[:, -1]
        now = time
        if cell is not None:
            y[5 + cell] += 1
    return y


@pytest.mark.slow
def test_gates_that_saturate_are_right_to_second_order() -> None:
    network, cells, made = saturating()
    wanted, errors = from_spike_to_spike(), []
    for dt in (0.1, 0.05, 0.025):
        found = run(network, [cells["v"], made["s"], made["x"]], dt=dt * ms, solver=sf.Heun())
        ends = [found[key].values[-1] for key in ("b.v", "p.s", "p.x")]
        assert [end.shape for end in ends] == [(2,), (3,), (3,)]
        parts = zip(ends, np.split(wanted, (2, 5)), strict=True)
        errors.append([np.abs(end - part).max() for end, part in parts])
    assert np.max(errors[0]) < 1e-3
    assert (np.log2(np.array(errors[0]) / errors[2]) / 2 > 1.8).all(), errors
    exact = run(network, [made["x"]], solver=sf.ExponentialEuler())
    np.testing.assert_allclose(exact["p.x"].values[-1], wanted[5:], rtol=1e-11)


KINDS: dict[str, str] = {
    "a chain": """
        I = w*s*(v_post - E0) : nA
        ds/dt = a*x*(1 - s) - s/(8*ms) : 1
        dx/dt = (y - x)/(2*ms) : 1
        dy/dt = -y/(2.1*ms) : 1
        on spike: y += 1 + 0.5*(1 - y)
        """,
    "a jump that saturates": """
        I = w*s*(v_post - E0) : nA
        ds/dt = -s/(6*ms) : 1
        on spike: s += 0.4*(1 - s)
        """,
    "squares, and a start that is open": """
        I = w*(s*s*(v_post - E0) - 0.2*x*v_post) : nA
        ds/dt = (0.1 - s)/(6*ms) : 1
        dx/dt = -x*x/(5*ms) : 1
        on spike: x += s; s = s + 0.4*(1 - s)*exp(v_pre/(90*mV))
        """,
}
STARTS = {
    "a chain": {"s": 0.0, "x": 0.0, "y": 0.0},
    "a jump that saturates": {"s": 0.0},
    "squares, and a start that is open": {"s": 0.1, "x": 0.3},
}


def beside(kind: str, delay: float = 0.0) -> tuple[sf.Network, list[Any]]:
    a, b = passive("a", 4, np.array([0.1, 0.12, 0.15, 0.2])), passive("b", 3, 0.06)
    text = "v_pre : mV\nv_post : mV\n" + KINDS[kind]
    values = {key: v for key, v in {"a": 0.6 / ms, "E0": 0 * mV}.items() if key in text}
    synapse = sf.Equations.parse(text, w=1 * nS, **values, **STARTS[kind])
    weight = np.linspace(1, 3, 12).reshape(4, 3) * nS
    p = sf.Projection(a, b, synapse, weight=weight, delay=delay * ms, name="p")
    q = sf.Projection(a, a, synapse, sf.FixedProbability(0.5, seed=1), 0.5 * nS, name="q")
    drives = [
        sf.Stimulus(cells, sf.OrnsteinUhlenbeck(0 * nA, 1.2 * nA, 1 * ms), name=cells.name)
        for cells in (a, b)
    ]
    return sf.Network(a, b, p, q, *drives), [b["v"], b.spikes, p["I"], p["s"]]


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Lets no rewrite apply from then on."""

    def refused(projection: Any) -> Any:
        raise NetworkError("no rewrite, for a test.")

    return lambda: monkeypatch.setattr(forms, "_rewritten", refused)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_state_for_each_presynaptic_cell_is_one_for_each_synapse(
    kind: str, alone: Callable[[], None]
) -> None:
    network, record = beside(kind)
    assert isinstance(take_apart(network.projection("p")), Graded)
    said = network.explain()
    assert "form         graded, moved by spikes" in said
    assert "projections  p, q" in said
    few = run(network, record, dt=0.025 * ms)
    alone()
    assert isinstance(take_apart(network.projection("p")), General)
    whole = run(network, record, dt=0.025 * ms)
    assert len(whole["b.spikes"].times)
    np.testing.assert_allclose(few["b.spikes"].times, whole["b.spikes"].times, atol=1e-6)
    np.testing.assert_allclose(few["b.v"].values, whole["b.v"].values, atol=1e-5)
    np.testing.assert_allclose(few["p.I"].values, whole["p.I"].values, atol=1e-6)
    each = whole["p.s"].values.reshape(-1, 3, 4)  # in the order of connections()
    np.testing.assert_allclose(
        each, np.broadcast_to(few["p.s"].values[:, None], each.shape), atol=1e-6
    )


@pytest.mark.slow
def test_a_run_goes_on_and_comes_from_a_store_with_all_bits(tmp_path: Path) -> None:
    network, record = beside("a chain")
    record = [recorder for recorder in record if "spikes" not in repr(recorder)]
    whole = run(network, record)
    first = run(network, record, 13.3)
    rest = run(network, record, T - 13.3, initial=first.final)
    store = tmp_path / "run.zarr"
    run(network, record, 13.3, sink=str(store))
    resumed = sf.resume(str(store), T * ms, progress=False)
    for key in whole:
        assert np.array_equal(whole[key].values[-len(rest[key].time) :], rest[key].values), key
        assert np.array_equal(whole[key].values, resumed[key].values), key


@pytest.mark.slow
def test_rows_of_a_batch_are_runs_of_their_own() -> None:
    network, record = beside("squares, and a start that is open")
    start = np.linspace(-61, -56, 8).reshape(2, 4)
    both = run(network, record, initial={"a": {"v": start}}, dtype="float32")
    for k in range(2):
        one = run(network, record, initial={"a": {"v": start[k]}}, dtype="float32")
        for key in ("b.v", "p.s", "p.I"):
            assert np.array_equal(both[key].values[:, k], one[key].values), key


GENERAL = {
    "chance": "on spike: s += 0.4*(1 - s)*rand()",
    "the weight": "on spike: s += w/(1*nS)*(1 - s)",
    "the other cell": "on spike: s += 0.4*(1 - s)*exp(v_post/(50*mV))",
    "its spikes": "on spike: s += 0.4*(1 - s)\non post spike: s = 0.1",
    "a variable of the cell": "on spike: s += 0.4*(1 - s); v_post += 0.1*mV",
}


@pytest.mark.parametrize("text", GENERAL.values(), ids=GENERAL.keys())
def test_what_knows_of_more_than_the_presynaptic_cell_is_of_each_synapse(text: str) -> None:
    ports = "v_pre : mV\nv_post : mV\nI = w*s*v_post : nA\nds/dt = -s/(6*ms) : 1\n"
    a = passive("a", 2)
    synapse = sf.Equations.parse(ports + text, w=1 * nS, s=0.0)
    assert isinstance(take_apart(sf.Projection(a, a, synapse)), General)


def test_delays_that_differ_or_a_parameter_of_each_synapse_need_states_of_each() -> None:
    a, synapse = passive("a", 2), sf.load("nmda_saturating")
    for given in (
        sf.Projection(a, a, synapse, delay=sf.Uniform(1 * ms, 2 * ms)),
        sf.Projection(a, a, synapse(tau_decay=sf.Uniform(50 * ms, 100 * ms))),
    ):
        assert isinstance(take_apart(given), General)


def test_a_rate_that_is_no_number_is_refused() -> None:
    network, cells, made = saturating()
    synapse = sf.load("nmda_saturating")(tau_rise=0 * ms)
    other = sf.Projection(made.pre, cells, synapse)
    with pytest.raises(NetworkError, match="are the time constants greater than 0"):
        run(sf.Network(*network.parts[:2], other), [cells["v"]], 1.0)
