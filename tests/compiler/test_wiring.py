"""The synapses of a group as arrays: every form holds the same synapses."""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

import somaflow as sf
from somaflow.compiler.wiring import Member, Wiring, delay_steps
from somaflow.errors import NetworkError
from somaflow.network import groups
from somaflow.network.choice import Choice
from somaflow.numerics.delivery import columns_of
from somaflow.numerics.places import senders
from somaflow.units import ms, mV, nA

DT = 0.1
N_PRE, N_POST, PADDED = 40, 30, 32


def population(name: str, size: int) -> sf.Population:
    return sf.Population(name, size, sf.load("lif"))


PRE, POST = population("a", N_PRE), population("b", N_POST)


def projection(seed: int, delay: Any = 0 * ms, post: Any = POST) -> sf.Projection:
    weight = np.random.default_rng(seed).normal(size=(N_PRE, len(post))) * nA
    half = sf.FixedProbability(0.4, seed=seed)
    synapse = sf.load("exponential_current")
    return sf.Projection(PRE, post, synapse, half, weight=weight, delay=delay, name=f"p{seed}")


def wired(form: str, *projections: sf.Projection, dtype: Any = np.float64) -> Wiring:
    members = [Member(p, PADDED * k) for k, p in enumerate(projections)]
    drawn = groups.drawn(projections)
    return Wiring(members, drawn, Choice(form, {}, 0, 0), 48, PADDED * len(members), DT, dtype)


def matrix(*projections: sf.Projection) -> np.ndarray:
    made = np.zeros((48, PADDED * len(projections)))
    for k, p in enumerate(projections):
        table = p.connections()
        made[table.pre, PADDED * k + table.post] = table.coherent
    return made


@pytest.mark.parametrize("form", ["dense", "gathered", "loop"])
def test_every_form_sums_over_the_synapses_of_all_members(form: str) -> None:
    members = projection(1), projection(2)
    made = wired(form, *members)
    assert made.choice.form == form
    assert made.choice.bytes == sum(array.nbytes for array in made.arrays.values())
    x = np.random.default_rng(3).normal(size=48)
    arrays = {name: tf.constant(array) for name, array in made.arrays.items()}
    found = made.sum(arrays, tf.constant(x)).numpy()
    np.testing.assert_allclose(found, x @ matrix(*members), rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("form", ["dense", "gathered"])
def test_synapses_of_one_weight_are_counted_and_their_sums_are_multiplied(form: str) -> None:
    several = sf.FixedInDegree(60, multapses=True, seed=1)

    def members(*weights: float) -> list[sf.Projection]:
        given = PRE, POST, sf.load("exponential_current"), several
        return [sf.Projection(*given, w * nA, name=f"p{k}") for k, w in enumerate(weights)]

    one, other = wired(form, *members(0.1, -3.7)), wired(form, *members(0.3, 5.0))
    assert one.arrays["weight"].tobytes() == other.arrays["weight"].tobytes()
    assert set(np.unique(one.arrays["weight"])) <= set(range(20))
    pairs = np.zeros((48, 2 * PADDED))
    for k, member in enumerate(members(0.1, -3.7)):
        table = member.connections()
        np.add.at(pairs, (table.pre, PADDED * k + table.post), table.coherent)
        assert np.abs(pairs).max() > 2 * np.abs(table.coherent[0])
    x = np.random.default_rng(3).normal(size=48)
    arrays = {name: tf.constant(array) for name, array in one.arrays.items()}
    found = one.sum(arrays, tf.constant(x)).numpy()
    np.testing.assert_allclose(found, x @ pairs, rtol=1e-13, atol=1e-13)
    assert "scale" not in wired("loop", *members(0.1)).arrays
    assert "scale" not in wired(form, *members(0.1), projection(1)).arrays


MULTAPSES = (
    sf.FixedInDegree(60, multapses=True),
    sf.FixedOutDegree(45, multapses=True),
    sf.FixedTotal(1800, multapses=True),
)


@pytest.mark.parametrize("connector", MULTAPSES, ids=lambda connector: type(connector).__name__)
def test_each_of_several_synapses_of_a_pair_acts(connector: Any) -> None:
    times = 1 + DT / 2 + 2 * DT * np.arange(N_PRE)
    sources = sf.Population("s", N_PRE, sf.SpikeSourceArray(times * ms, np.arange(N_PRE)))
    text = "dv/dt = -v/(10*ms) : mV"
    cells = sf.Population("b", N_POST, sf.Equations.parse(text, v=0))
    weight = sf.Normal(1 * mV, 0.2 * mV)
    made = sf.Projection(sources, cells, sf.load("delta"), connector, weight, 1 * ms)
    found = made.connections()
    assert len(np.unique(found.pre * N_POST + found.post)) < len(found.pre) - 200
    run = sf.simulate(
        sf.Network(sources, cells, made),
        10 * ms,
        dt=DT * ms,
        solver=sf.ExponentialEuler(),
        record=cells["v"],
        progress=False,
    )
    # Spikes are in the middle of steps, and a jump comes at the end of the one it arrives in.
    since = 10 - (times[found.pre] + 1 + DT / 2)
    wanted = np.zeros(N_POST)
    np.add.at(wanted, found.post, found.weight * np.exp(-since / 10))
    np.testing.assert_allclose(run["b.v"].values[-1], wanted, rtol=1e-9)


@pytest.mark.parametrize("form", ["dense", "gathered", "loop"])
def test_weights_are_held_in_the_type_of_the_run(form: str) -> None:
    assert wired(form, projection(1), dtype=np.float32).arrays["weight"].dtype == np.float32


@pytest.mark.parametrize("form", ["dense", "gathered", "loop"])
def test_synapses_built_in_parts_are_the_same(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = wired(form, projection(1), projection(2))
    monkeypatch.setattr(groups, "_PART", 50)
    assert len(groups.drawn([projection(1)])[0]) > 5
    pieces = wired(form, projection(1), projection(2))
    assert whole.arrays.keys() == pieces.arrays.keys()
    for name, array in whole.arrays.items():
        assert array.tobytes() == pieces.arrays[name].tobytes()


def test_delays_that_differ_are_held_in_whole_steps() -> None:
    delay = sf.Uniform(0.3 * ms, 2 * ms, seed=4)
    given = projection(1, delay)
    made = wired("loop", given)
    table = given.connections()
    wanted = np.rint(table.delay / DT).astype(int)
    assert made.latest == wanted.max()
    held = made.arrays["other"].ravel() < PADDED
    assert sorted(made.arrays["delay"].ravel()[held]) == sorted(wanted)
    assert made.arrays["delay"].dtype == np.int32
    assert wired("loop", projection(1, 2 * ms)).latest is None


@pytest.mark.parametrize("n_post", [N_POST, 200])
def test_late_sums_reach_their_targets_in_their_slots(n_post: int) -> None:
    post = population("wide", n_post)
    given = projection(1, sf.Uniform(0 * ms, 0.5 * ms, seed=4), post)
    width = -(-n_post // 16) * 16
    made = Wiring(
        [Member(given, 0)],
        [[given.connections()]],
        Choice("loop", {}, 0, 0),
        48,
        width,
        DT,
        np.float64,
    )
    slots = (made.latest or 0) + 1
    x = np.random.default_rng(3).normal(size=(2, 48))
    arrays = {name: tf.constant(array) for name, array in made.arrays.items()}
    empty = tf.zeros([slots * (width + 1), 2], tf.float64)
    mask, value, _ = columns_of(tf.constant(x))
    sending = senders(arrays["first"], mask)
    ring = made.later(arrays, sending, value, tf.constant(2), empty).numpy()
    wanted = np.zeros((slots, width + 1, 2))
    table = given.connections()
    for j, i, w, d in zip(table.pre, table.post, table.coherent, table.delay, strict=True):
        wanted[(2 + round(d / DT)) % slots, i] += w * x[:, j]
    inner = (slice(None), slice(0, width))
    found = ring.reshape(slots, width + 1, 2)
    np.testing.assert_allclose(found[inner], wanted[inner], rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("delay", [0.0, 0.1, 0.3, 0.7, 5.0, 9.7])
def test_a_delay_is_a_number_of_steps(delay: float) -> None:
    assert delay_steps(projection(1, delay * ms), DT) == round(delay / DT)


def test_delays_that_differ_have_no_number_of_steps() -> None:
    assert delay_steps(projection(1, sf.Uniform(0 * ms, 1 * ms, seed=1)), DT) is None


@pytest.mark.parametrize(
    ("delay", "reason"),
    [
        (0.05, "'p1' is 0.05 ms, which is shorter than a step of 0.1 ms; give 0 or 0.1 ms"),
        (0.25, "'p1' is 0.25 ms, which is no whole number of steps; give 0.2 or 0.3 ms"),
    ],
)
def test_a_delay_that_does_not_fit_is_refused(delay: float, reason: str) -> None:
    with pytest.raises(NetworkError) as caught:
        delay_steps(projection(1, delay * ms), DT)
    assert reason in str(caught.value)


def test_a_run_draws_its_synapses_once(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = []
    draw = sf.Projection.connections

    def counted(self: sf.Projection, rows: Any = None) -> Any:
        drawn.append(rows)
        return draw(self, rows)

    monkeypatch.setattr(sf.Projection, "connections", counted)
    text = "ds/dt = v_post/(1*mV*ms) - s/ms : 1\nv_post : mV\nI = w*s**2 : nA"
    alone = sf.Projection(PRE, POST, sf.Equations.parse(text, w=0 * nA, s=0), name="alone")
    network = sf.Network(PRE, POST, projection(1), projection(2, delay=1 * ms), alone)
    assert "general" in network.explain()
    drawn.clear()
    sf.simulate(network, 1 * ms, dt=DT * ms)
    assert len(drawn) == 3
