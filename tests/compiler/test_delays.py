"""Delays shift what spikes do by whole steps, and nothing else."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

import somaflow as sf
from somaflow.compiler.ring import Ring
from somaflow.compiler.wiring import Member, Wiring
from somaflow.errors import NetworkError
from somaflow.network.choice import Choice
from somaflow.simulation import chunks
from somaflow.units import ms, mV, nA, nF, uA, uS

pytestmark = pytest.mark.slow

DT, STEPS = 0.1, 200
TIMES = np.array([0.5, 1.234, 1.31, 4.087, 4.13, 9.9, 12.345, 12.41])
CELLS = np.array([0, 0, 1, 2, 0, 1, 2, 1])
SYNAPSES = ["exponential_conductance", "alpha_current", "nmda", "gaba_b", "delta"]
SYNAPSES += ["tsodyks_markram_conductance", "stdp_pair_all_to_all"]
GRADED = ("gaba_b",)  # its states are one for each presynaptic cell, so it takes one delay
PLASTIC = ("stdp_pair_all_to_all",)
OWN = [name for name in SYNAPSES if name not in GRADED + PLASTIC]  # each synapse has its own delay


def passive(name: str, size: int = 2) -> sf.Population:
    model = sf.Equations.parse(
        "dv/dt = (g*(E - v) + I_stim)/C : mV\nI_stim : nA",
        E=-60 * mV,
        g=0.02 * uS,
        C=0.2 * nF,
        v=-60,
    )
    return sf.Population(name, size, model, threshold="v > 0*mV")


def voltages(delay: Any, names: list[str] = SYNAPSES) -> dict[str, np.ndarray]:
    """The voltage under each kind of synapse, each in a population of its own."""
    pre = sf.Population("pre", 3, sf.SpikeSourceArray(TIMES * ms, CELLS))
    posts = {name: passive(name) for name in names}
    weight = np.array([[1.0, 0.3], [0.0, 0.7], [0.5, 0.2]])
    scale = {"alpha_current": 0.1 * nA, "delta": 1 * mV, "nmda": 0.05 * uS, "gaba_b": 20 * uS}
    projections = []
    for name, post in posts.items():
        unit = scale.get(name, 0.001 * uS)
        synapse = sf.load(name)
        projections.append(
            sf.Projection(pre, post, synapse, weight=weight * unit, delay=delay * ms)
        )
    network = sf.Network(pre, *posts.values(), *projections)
    record = [post["v"] for post in posts.values()]
    run = sf.simulate(network, STEPS * DT * ms, dt=DT * ms, record=record)
    return {name: run[f"{name}.v"].values for name in names}


@pytest.fixture(scope="module")
def at_once() -> dict[str, np.ndarray]:
    return voltages(0.0)


@pytest.fixture(scope="module")
def late() -> dict[str, np.ndarray]:
    return voltages(2.3)


@pytest.fixture(scope="module")
def by_synapse() -> dict[str, np.ndarray]:
    delays = np.array([[0.0, 2.3], [0.0, 2.3], [0.0, 2.3]])
    return voltages(delays, OWN)


@pytest.mark.parametrize("name", SYNAPSES)
def test_one_delay_shifts_the_voltage_by_its_steps(at_once: Any, late: Any, name: str) -> None:
    shift = round(2.3 / DT)
    assert np.ptp(at_once[name]) > 0.1
    # The bits as well: no operation knows when it happens.
    assert late[name][shift:].tobytes() == at_once[name][:-shift].tobytes()
    assert (late[name][:shift] == -60).all()


@pytest.mark.parametrize("name", OWN)
def test_delays_of_single_synapses_do_what_one_delay_does(
    at_once: Any, late: Any, by_synapse: Any, name: str
) -> None:
    for cell, wanted in enumerate((at_once, late)):
        found = by_synapse[name][:, cell]
        np.testing.assert_allclose(found, wanted[name][:, cell], rtol=1e-13)


@pytest.mark.slow
def test_a_delay_of_the_whole_run_is_one_that_nothing_survives() -> None:
    assert (voltages(STEPS * DT, ["delta"])["delta"] == -60).all()


def test_the_voltage_jumps_at_the_end_of_the_step_in_which_a_spike_arrives(at_once: Any) -> None:
    v = at_once["delta"][:, 0]
    assert (v[:6] == -60).all()  # the spike at 0.5 ms is in the step that begins there
    assert v[6] == pytest.approx(-59, abs=1e-12)
    step = int(4.087 / DT)
    decayed = -60 + (v[step] + 60) * np.exp(-DT / 10)
    assert v[step + 1] == pytest.approx(decayed + 0.5, abs=1e-6)


def test_a_cell_that_a_delta_synapse_lifts_over_its_threshold_spikes() -> None:
    pre = sf.Population("pre", 1, sf.SpikeSourceArray([1.04] * ms))
    model = sf.Equations.parse("dv/dt = -(v + 60*mV)/(10*ms) : mV", v=-60)
    post = sf.Population("post", 1, model, threshold="v > -50*mV", reset="v = -60*mV")
    made = sf.Projection(pre, post, sf.load("delta"), weight=15 * mV)
    run = sf.simulate(
        sf.Network(pre, post, made), 3 * ms, dt=DT * ms, record=[post.spikes, post["v"]]
    )
    assert len(run["post.spikes"]) == 1
    assert run["post.spikes"].times[0] == pytest.approx(1.1, abs=0.11)
    assert run["post.v"].values[-1, 0] < -59


# --------------------------------------------------------------------------- rings


def test_a_ring_gives_each_value_once_in_the_step_of_its_delay() -> None:
    pairs = [(0, 0), (1, 0), (2, 1), (0, 1)]
    delays = np.array([0.0, 0.3, 0.1, 0.3])
    lif = sf.load("lif")
    pre, post = sf.Population("a", 3, lif), sf.Population("b", 2, lif)
    weights = np.array([1.0, 10.0, 100.0, 1000.0])
    made = sf.Projection(
        pre,
        post,
        sf.load("exponential_current"),
        sf.FromList(pairs),
        weight=weights * uA,
        delay=delays * ms,
    )
    wiring = Wiring(
        [Member(made, 0)], [[made.connections()]], Choice("loop", {}, 0, 0), 16, 16, DT, np.float64
    )
    ring = Ring(wiring, 2, ())
    assert ring.slots == 5
    held = tf.constant(ring.initial(np.float64))
    arrays = {name: tf.constant(array) for name, array in wiring.arrays.items()}
    sent = {3: (0, 1, 2), 5: (1,), 8: (0,)}
    wanted = np.zeros((20, 2))
    for step, cells in sent.items():
        for (j, i), delay, weight in zip(pairs, delays, weights, strict=True):
            if j in cells:
                wanted[step + round(delay / DT), i] += weight
    for step in range(20):
        now = tf.constant(step, tf.int64)
        x = np.zeros((2, 16))
        x[0, list(sent.get(step, ()))] = 1.0
        x[1] = -2 * x[0]
        held = ring.add(held, arrays, tf.constant(x), now)
        arrived, held = ring.take(held, now, heard=False)
        np.testing.assert_allclose(arrived[0, :2], wanted[step], rtol=1e-15)
        np.testing.assert_allclose(arrived[1, :2], -2 * wanted[step], rtol=1e-15)
    assert not held.numpy().reshape(5, 17, 2)[:, :-1].any()


# -------------------------------------------------------------------------- chunks


def recurrent() -> sf.Solution:
    """Cells that reach each other with delays of all kinds, and plastic synapses."""
    cells = sf.Population("a", 12, sf.load("lif"))
    others = sf.Population("b", 9, sf.load("lif"))
    half = sf.FixedProbability(0.6, seed=3)
    current = sf.load("exponential_current")
    stdp = sf.load("stdp_pair_all_to_all")(w_max=0.4 * nA / mV, A_plus=0.05, A_minus=0.05, E=0 * mV)
    plastic = sf.Projection(cells, others, stdp, half, delay=1.3 * ms, name="plastic")
    network = sf.Network(
        cells,
        others,
        sf.Projection(cells, cells, current, half, delay=0.7 * ms, name="one"),
        sf.Projection(
            others, cells, current, half, delay=sf.Uniform(0 * ms, 3 * ms, seed=1), name="varied"
        ),
        plastic,
        sf.CurrentClamp(cells, np.linspace(1.6, 4, 12) * nA),
    )
    record = [cells.spikes, others.spikes, others["v"].every(1 * ms), plastic["w"].every(5 * ms)]
    return sf.simulate(network, 60 * ms, dt=DT * ms, record=record)


@pytest.fixture(scope="module")
def whole() -> sf.Solution:
    return recurrent()


def test_delays_and_plasticity_have_the_same_bits_for_any_chunk_length(
    whole: sf.Solution, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert len(whole["a.spikes"]) > 20
    assert len(whole["b.spikes"]) > 10
    assert np.ptp(whole["plastic.w"].values, axis=0).max() > 0
    monkeypatch.setattr(chunks, "_CHUNK_STEPS", 170)
    again = recurrent()
    for key in ("a.spikes", "b.spikes"):
        assert again[key].times.tobytes() == whole[key].times.tobytes()
        assert again[key].cells.tobytes() == whole[key].cells.tobytes()
    for key in ("b.v", "plastic.w"):
        assert again[key].values.tobytes() == whole[key].values.tobytes()


def test_an_input_that_depends_on_time_is_reached_by_spikes() -> None:
    text = """
    dv/dt = (E_L - v + where(t > 5*ms, 2, 1)*R*I_stim)/tau : mV
    I_stim : nA
    """
    model = sf.Equations.parse(text, E_L=-65 * mV, R=10 * mV / nA, tau=20 * ms, v=-65)
    pre = sf.Population("pre", 1, sf.SpikeSourceArray([2.03, 7.03] * ms))
    post = sf.Population("post", 1, model)
    synapse = sf.load("exponential_current")(i=1 * nA, tau=0.5 * ms)
    net = sf.Network(pre, post, sf.Projection(pre, post, synapse))
    v = sf.simulate(net, 12 * ms, dt=0.1 * ms, record=post["v"])["post.v"].values[:, 0] + 65
    assert v[50] > 0.1
    assert v[100] - v[70] > 1.8 * v[50]


def test_a_network_too_large_for_memory_is_refused_before_it_is_built() -> None:
    cells = sf.Population("cells", 3_000_000, sf.load("lif"))
    many = sf.Projection(cells, cells, sf.load("exponential_current"), sf.FixedProbability(0.5))
    with pytest.raises(
        NetworkError, match=r"the synapses need about .* [GT]B of memory, but .* are free"
    ):
        sf.simulate(sf.Network(cells, many), 1 * ms, dt=0.1 * ms)


def test_rows_of_a_batch_are_right_in_loops_and_rings() -> None:
    pre = sf.Population("pre", 3, sf.SpikeSourceArray([1.03, 4.0] * ms))
    synapse = sf.load("exponential_current")
    alone, both = [], []
    for start in ([-65.0, -60.0], [-65.0], [-60.0]):
        model = sf.Equations.parse(
            "dv/dt = (E_L - v + R*I_stim)/tau : mV\nI_stim : nA",
            E_L=-65 * mV,
            R=10 * mV / nA,
            tau=20 * ms,
            v=np.array(start)[:, None] * mV,
        )
        post = sf.Population("post", 4, model)
        delay = sf.Uniform(0.5 * ms, 2 * ms, seed=1)
        net = sf.Network(pre, post, sf.Projection(pre, post, synapse, delay=delay))
        found = sf.simulate(net, 8 * ms, dt=0.1 * ms, record=post["v"])["post.v"].values
        (both if len(start) == 2 else alone).append(found)
    assert np.ptp(both[0][:, 0]) > 0.05
    np.testing.assert_allclose(both[0], np.concatenate(alone, axis=1), rtol=1e-13)


def test_a_ring_that_is_longer_than_its_places_can_be_counted_is_refused() -> None:
    wiring: Any = SimpleNamespace(latest=1_000, width=1_000_000)
    with pytest.raises(NetworkError, match="shorten the longest delay"):
        Ring(wiring, 3, ())
    assert Ring(wiring, 2, ()).slots == 1_002
