"""A run goes on from another's end in a network that has changed: what is the same goes on."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import somaflow as sf
from somaflow.errors import (
    MissingValueError,
    RunError,
    UnitError,
    UnknownNameError,
    WrongTypeError,
)
from somaflow.units import Hz, ms, mV, nA, nF, nS, pS, uS

# The second part of a run is given the spikes of the first again, and says so.
GIVEN_AGAIN = "ignore:.*spike times of.*are before:somaflow.errors.SomaflowWarning"
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings(GIVEN_AGAIN)]

STILL = sf.Equations.parse("dv/dt = -v/tau : mV", tau=1e12 * ms, v=0 * mV)
PASSIVE = sf.Equations.parse(
    "dv/dt = (g*(E - v) + I_stim)/C : mV\nI_stim : nA", E=-60 * mV, g=0.02 * uS, C=0.2 * nF, v=-60
)
TIMES = np.array([1.05, 9.52, 9.97, 11.03])


def simulate(*parts: Any, to: float, dt: float = 0.1, after: Any = None, **more: Any) -> Any:
    """Run a network until a time, from time 0 or from the end of another run."""
    network = sf.Network(*parts)
    begin = 0.0 if after is None else after.final.time
    settings: dict[str, Any] = {"solver": sf.Euler(), "progress": False} | more
    initial = None if after is None else after.final
    return sf.simulate(network, (to - begin) * ms, dt=dt * ms, initial=initial, **settings)


def test_pulses_of_a_batch_go_on_that_were_counted_for_all_its_rows_at_once() -> None:
    cells = sf.Population("cells", 1, PASSIVE)
    source = sf.Population("source", 1, sf.SpikeSourceArray([0.95] * ms))
    text = "v_post : mV\nI = w*o*v_post : nA\ndo/dt = (5/ms)*(1 - o)*pulse(0.5*ms) - o/(5*ms) : 1"
    gate = sf.Equations.parse(text, w=20 * nS, o=0)
    network = sf.Network(source, cells, sf.Projection(source, cells, gate, name="p"))
    settings = {"dt": 0.1 * ms, "solver": sf.Euler(), "record": cells["v"], "progress": False}
    batch = {"cells": {"v": np.array([[-60.0], [-50.0]]) * mV}}
    whole = sf.simulate(network, 2 * ms, initial=batch, **settings)
    half = sf.simulate(network, 1 * ms, initial=batch, **settings).final
    (busy,) = (name for name in half.events if name.endswith("/busy"))
    assert half.events[busy].shape == (2,)
    assert half.events[busy].min() > 0
    events = {**half.events, busy: half.events[busy].max()}
    later = sf.simulate(network, 1 * ms, initial=replace(half, events=events), **settings)
    assert later["cells.v"].values.tobytes() == whole["cells.v"].values[10:].tobytes()


# -------------------------------------------------------------------- delays of one number

SOURCE = sf.Population("source", 1, sf.SpikeSourceArray(TIMES * ms))
TARGET = sf.Population("target", 2, STILL)


def delta(place: int, delay: float, name: str) -> sf.Projection:
    jump = sf.load("delta")
    return sf.Projection(SOURCE, TARGET[[place]], jump, weight=1 * mV, delay=delay * ms, name=name)


LATE, EARLY = delta(0, 20, "late"), delta(1, 5, "early")


def arrived(run: Any, cell: int) -> np.ndarray:
    """When the voltage of a cell jumped by 1 mV, as the sample behind each jump."""
    v = run["target.v"]
    return v.time.values[1:][np.diff(v.values[:, cell]) > 0.5]


@pytest.fixture(scope="module")
def short() -> sf.Solution:
    """A run that is shorter than its longest delay, with three spikes under way."""
    return simulate(SOURCE, TARGET, LATE, to=10, record=TARGET["v"])


@pytest.mark.parametrize("dt", [0.1, 0.05, 0.2])
def test_spikes_under_way_arrive_in_time_at_any_dt(short: sf.Solution, dt: float) -> None:
    assert short["target.v"].values.max() < 0.5
    run = simulate(SOURCE, TARGET, LATE, to=40, dt=dt, after=short, record=TARGET["v"])
    wanted = np.ceil((TIMES + 20) / dt - 1e-6) * dt
    np.testing.assert_allclose(arrived(run, 0), wanted)


def test_an_added_projection_delivers_what_is_sent_from_then_on(short: sf.Solution) -> None:
    both = SOURCE, TARGET, LATE, EARLY
    whole = simulate(*both, to=40, after=short, record=TARGET["v"])
    np.testing.assert_allclose(arrived(whole, 1), [16.1])
    np.testing.assert_allclose(arrived(whole, 0), [21.1, 29.6, 30.0, 31.1])
    # It stays so where that run is cut in turn, while earlier spikes would still arrive.
    first = simulate(*both, to=12, after=short)
    rest = simulate(*both, to=40, after=first, record=TARGET["v"])
    np.testing.assert_array_equal(rest["target.v"], whole["target.v"][20:])
    with pytest.warns(UserWarning, match="projection 'early' begins anew"):
        early = simulate(SOURCE, TARGET, EARLY, to=40, after=short, record=TARGET["v"])
    assert arrived(early, 0).tolist() == []  # what was under way went with its projection


def test_a_delay_is_not_changed_under_spikes(short: sf.Solution) -> None:
    with pytest.raises(RunError, match="'late' has a delay of 8 ms, but a delay of 20 ms in the"):
        simulate(SOURCE, TARGET, delta(0, 8, "late"), to=40, after=short)
    quiet = simulate(SOURCE, TARGET, LATE, to=32, after=short)
    run = simulate(SOURCE, TARGET, delta(0, 8, "late"), to=50, after=quiet, record=TARGET["v"])
    assert arrived(run, 0).tolist() == []


def test_what_is_kept_in_steps_is_told_exactly_or_refused() -> None:
    model = sf.Equations.parse("dv/dt = slope : mV", slope=15 * mV / ms, v=0 * mV)
    fast = sf.Population("fast", 1, model, threshold="v > 1*mV", reset="v = 0*mV")
    late = sf.Projection(fast, TARGET, sf.load("delta"), weight=1 * mV, delay=20 * ms)
    first = simulate(fast, TARGET, late, to=10.1)
    with pytest.raises(RunError, match=r"of 10\.1 ms, which is not a whole number of steps"):
        simulate(fast, TARGET, late, to=40.1, dt=0.2, after=first)
    first = simulate(fast, TARGET, late, to=10)
    with pytest.raises(RunError, match=r"cell of 'fast' has two spikes under way within 0\.2 ms"):
        simulate(fast, TARGET, late, to=40, dt=0.2, after=first)


def test_a_store_that_is_shorter_than_a_delay_is_made_longer(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"record": TARGET["v"]}
    simulate(SOURCE, TARGET, LATE, to=5, sink=tmp_path / "a.zarr", **settings)
    found = sf.resume(tmp_path / "a.zarr", 40 * ms, progress=False)
    wanted = simulate(SOURCE, TARGET, LATE, to=40, **settings)
    assert found["target.v"].values.tobytes() == wanted["target.v"].values.tobytes()
    assert len(arrived(found, 0)) == 4


# -------------------------------------------------------------------- delays that differ


def test_what_arrives_later_belongs_to_its_projection() -> None:
    source = sf.Population("source", 3, sf.SpikeSourceArray([1, 4, 8, 9.5] * ms))
    posts = [sf.Population(name, 4, PASSIVE) for name in ("a", "b")]
    synapse = sf.load("exponential_current")
    to_a, to_b = (
        sf.Projection(
            source, post, synapse, weight=0.1 * nA, delay=sf.Uniform(1 * ms, last * ms, seed=k)
        )
        for k, (post, last) in enumerate(zip(posts, (3, 25), strict=True))
    )
    settings: dict[str, Any] = {"record": [post["v"] for post in posts], "dtype": "float32"}
    first = simulate(source, *posts, to_a, to_b, to=10, **settings)
    for kept, key in ((to_a, "a.v"), (to_b, "b.v")):
        alone = simulate(source, *posts, kept, to=40, **settings)
        run = simulate(source, *posts, kept, to=40, after=first, **settings)
        assert np.ptp(run[key].values) > 1
        np.testing.assert_allclose(run[key], alone[key][100:], rtol=1e-6)
        other = ({"a.v", "b.v"} - {key}).pop()
        assert np.abs(first[other].values[-1] + 60).max() > 0.1
    with pytest.raises(RunError, match=r"by projection 'source_to_b', whose delays differ"):
        simulate(source, *posts, to_b, to=40, dt=0.05, after=first, dtype="float32")
    fixed = sf.Projection(source, posts[1], synapse, weight=0.1 * nA, delay=2 * ms)
    with pytest.raises(RunError, match=r"a delay of 2 ms, but delays that differ in the state"):
        simulate(source, *posts, fixed, to=40, after=first, dtype="float32")


# -------------------------------------------------------------------- cells and synapses


def test_refractory_periods_end_in_time_at_another_dt() -> None:
    model = sf.Equations.parse("dv/dt = slope : mV", slope=1 * mV / ms, v=0.56 * mV)
    cells = sf.Population(
        "cells", 1, model, threshold="v > 10.03*mV", reset="v = 0*mV", refractory=2 * ms
    )
    whole = simulate(cells, to=30, record=cells.spikes)["cells.spikes"].times
    np.testing.assert_allclose(whole, [9.47, 21.53])
    first = simulate(cells, to=10)
    found = simulate(cells, to=30, dt=0.05, after=first, record=cells.spikes)["cells.spikes"].times
    np.testing.assert_allclose(found, whole[1:])
    with pytest.raises(RunError, match="cells of 'cells' are refractory, which no whole number"):
        simulate(cells, to=30, dt=0.2, after=first)


def test_synapses_of_every_form_go_on_beside_new_ones() -> None:
    pre = sf.Population("pre", 6, sf.load("lif"))
    post, other = (
        sf.Population(name, 6, PASSIVE, threshold="v > 0*mV") for name in ("post", "other")
    )
    drive = sf.CurrentClamp(pre, np.linspace(2, 4, 6) * nA)
    wiring = sf.FixedProbability(0.5, seed=1)
    kinds = {
        "stdp_pair_all_to_all": 1 * nS,
        "gaba_a_destexhe": 5 * nS,
        "graded_conductance": 5 * nS,
    }

    def to(target: sf.Population, kind: str, weight: Any = None) -> sf.Projection:
        weight = kinds[kind] if weight is None else weight
        name = f"{kind} {target.name}"
        return sf.Projection(pre, target, sf.load(kind), wiring, weight=weight, name=name)

    kept = [to(post, kind) for kind in kinds]
    gone, new = [to(other, kind) for kind in kinds], [to(other, "gaba_a_destexhe", 1 * nS)]
    cells = pre, post, drive, *kept
    settings: dict[str, Any] = {"record": [post["v"], kept[0]["w"], pre.spikes]}
    whole = simulate(*cells, to=60, **settings)
    mixed = [link for pair in zip(gone, kept, strict=True) for link in pair]
    first = simulate(pre, other, post, drive, *mixed, to=30, **settings)
    assert len(first["pre.spikes"]) > 5
    run = simulate(*cells, to=60, after=first, **settings)
    assert np.ptp(run["post.v"].values) > 0.1
    for key in ("post.v", f"{kept[0].name}.w"):
        np.testing.assert_allclose(run[key], whole[key][300:], rtol=1e-12)
    renewed = sf.Population("renewed", 6, PASSIVE)
    after = first
    record = [*settings["record"], other["v"], renewed["v"]]
    more = [sf.Projection(pre, renewed, sf.load("graded_conductance"), weight=5 * nS)]
    run = simulate(*cells, other, renewed, *new, *more, to=60, after=after, record=record)
    np.testing.assert_allclose(run["post.v"], whole["post.v"][300:], rtol=1e-12)
    assert run["renewed.v"].values[0] == pytest.approx(-60)
    assert np.ptp(run["renewed.v"].values) > 0.01
    rewired = sf.FixedProbability(0.5, seed=2)
    changed = sf.Projection(
        pre, post, sf.load("stdp_pair_all_to_all"), rewired, weight=1 * nS, name=kept[0].name
    )
    with pytest.raises(RunError, match=f"'{kept[0].name}' joins other cells than in the state"):
        simulate(pre, post, drive, changed, to=60, after=first)
    for kind in ("exponential_current", "gaba_a_destexhe"):
        unlike = sf.Projection(pre, post, sf.load(kind), wiring, name=kept[2].name)
        with pytest.raises(RunError, match="a synapse with other variables"):
            simulate(pre, post, drive, unlike, to=60, after=first)
    elsewhere = sf.Projection(pre, pre, sf.load("graded_conductance"), name=kept[2].name)
    with pytest.raises(RunError, match="leads from 'pre' to 'pre', but from 'pre' to 'post' in"):
        simulate(pre, drive, elsewhere, to=60, after=first)


# -------------------------------------------------------------------- noise and populations


def test_noise_is_told_by_what_it_is_and_not_by_its_place() -> None:
    cells = sf.Population("cells", 400, PASSIVE)

    def noise(part: slice, mean: float) -> sf.Stimulus:
        process = sf.OrnsteinUhlenbeck(mean * nA, 0.1 * nA, 1e7 * ms)
        return sf.Stimulus(cells[part], process)

    left, right = noise(slice(0, 200), 1.0), noise(slice(200, 400), 2.0)
    everywhere = sf.Stimulus(cells, sf.OrnsteinUhlenbeck(0 * nA, 0.3 * nA, 1e7 * ms))
    white = sf.Stimulus(cells, sf.WhiteNoise(0 * nA * ms**0.5))
    record = cells["I_stim"].every(5 * ms)
    first = simulate(cells, white, left, right, to=5, record=record)
    last = first["cells.I_stim"].values[-1]
    run = simulate(cells, right, to=10, after=first, record=record)
    found = run["cells.I_stim"].values
    np.testing.assert_allclose(found[:, 200:], [last[200:]] * 2, atol=1e-2)
    assert not found[:, :200].any()
    # Other parameters, and one more: it begins as noise does, anywhere in its distribution.
    run = simulate(
        cells, everywhere, noise(slice(200, 400), 5.0), to=10, after=first, record=record
    )
    found = run["cells.I_stim"].values[0]
    assert found[:200].std() == pytest.approx(0.3, rel=0.2)
    assert np.corrcoef(found[200:] - last[200:] - 3, last[200:])[0, 1] == pytest.approx(0, abs=0.3)
    assert (found[200:] - last[200:] - 3).std() == pytest.approx(0.3, rel=0.2)


def test_what_only_seems_to_go_on_is_told() -> None:
    cells, more = sf.Population("cells", 3, PASSIVE), sf.Population("more", 3, PASSIVE)
    sources = [sf.Population(n, 3, sf.SpikeSourceArray([2.5] * ms)) for n in ("one", "two")]
    links = [sf.Projection(s, cells, sf.load("exponential_current")) for s in sources]
    first = simulate(cells, sources[0], links[0], to=2)
    run = simulate(cells, sources[1], links[1], to=3, after=first)  # another input, as any
    assert run.final["cells"]["v"].shape == (3,)
    with pytest.warns(UserWarning, match="population 'more' begins anew: .* has 'cells', which"):
        simulate(more, to=3, after=first)
    named = sf.Projection(sources[0], cells, sf.load("exponential_current"), name="named")
    with pytest.warns(UserWarning, match="projection 'named' begins anew: .* has 'one_to_cells'"):
        simulate(cells, sources[0], named, to=3, after=first)
    other = sf.Population("cells", 3, STILL(tau=1 * ms))
    with pytest.raises(RunError, match="float64, but this run is float32"):
        simulate(other, to=3, after=first, dtype="float32")
    lif = sf.Population("cells", 3, sf.load("adex"))
    with pytest.raises(RunError, match="'cells' has the states v, w, but the states v in the"):
        simulate(lif, to=3, after=first)
    larger = sf.Population("one", 4, sf.SpikeSourceArray([2.5] * ms))
    with pytest.raises(RunError, match="'one' has 4 cells, but 3 in the state that is given"):
        simulate(cells, larger, to=3, after=first)


def test_an_input_that_was_a_projection_is_told() -> None:
    cells = sf.Population("cells", 3, PASSIVE)
    source = sf.Population("source", 3, sf.SpikeSourceArray([2.5] * ms))
    synapse = sf.load("exponential_current")
    first = simulate(cells, source, sf.Projection(source, cells, synapse, name="x"), to=2)
    given = sf.PoissonInput(cells, synapse, rate=5 * Hz, name="x")
    with pytest.raises(RunError, match=r"'x'.* was of another kind"):
        simulate(cells, source, given, to=3, after=first)


@pytest.mark.parametrize("form", ["list", "each by itself"])
def test_another_weight_of_plastic_synapses_is_refused(form: str) -> None:
    """It would be ignored: what spikes have made of the weights goes on."""
    stdp = sf.load("stdp_pair_all_to_all")
    delay = 1 * ms if form == "list" else sf.Uniform(1 * ms, 2 * ms, seed=1)

    def network(weight: Any, name: str = "plastic") -> sf.Network:
        pre = sf.Population("pre", 4, sf.SpikeSourcePoisson(rate=100 * Hz))
        post = sf.Population("post", 3, PASSIVE, threshold="v > 0*mV")
        joined = sf.Projection(pre, post, stdp, weight=weight, delay=delay, name=name)
        return sf.Network(pre, post, joined)

    def simulated(network: sf.Network, **more: Any) -> Any:
        return sf.simulate(network, 20 * ms, dt=0.1 * ms, record=[], seed=1, **more)

    first = simulated(network(0.5 * nS))
    for weight in (0.25 * nS, sf.Uniform(0.1 * nS, 0.9 * nS, seed=4)):
        with pytest.raises(RunError, match="'plastic' has another weight=") as caught:
            simulated(network(weight), initial=first.final)
        assert "initial=run.final.with_(plastic={'w': weights})" in str(caught.value)
    simulated(network(500 * pS), initial=first.final)  # the same
    with pytest.warns(UserWarning, match="'another' begins anew"):
        simulated(network(0.25 * nS, "another"), initial=first.final)


def edited_network() -> sf.Network:
    pre = sf.Population("pre", 4, sf.SpikeSourceArray([25] * ms, cells=[2]))
    post = sf.Population("post", 3, PASSIVE, threshold="v > 0*mV")
    learning = sf.Equations.parse(
        "dw/dt = 0*mV/ms : mV\nv_post : mV\non spike: v_post += w; w = w + 1*mV", w=1 * mV
    )
    pairs = sf.FixedProbability(0.7, seed=3)
    return sf.Network(pre, post, sf.Projection(pre, post, learning, pairs, name="plastic"))


def simulated(network: sf.Network, **more: Any) -> Any:
    record = [network.population("post")["v"], network.projection("plastic")["w"]]
    return sf.simulate(network, 20 * ms, dt=0.1 * ms, record=record, **more)


def test_a_final_state_can_be_edited() -> None:
    """Voltages and weights are what they are set to, and a spike moves cells by the latter."""
    network = edited_network()
    first = simulated(network)
    given = network.projection("plastic").connections()
    weights = np.arange(1.0, len(given) + 1)
    final = first.final.with_(post={"v": [-61, -62, -63] * mV}, plastic={"w": weights * mV})
    assert np.array_equal(final["post"]["v"], [-61, -62, -63])
    assert not np.array_equal(first.final["post"]["v"], final["post"]["v"])
    again = simulated(network, initial=final)
    assert np.array_equal(again["plastic.w"].values[0], weights)
    assert np.array_equal(again["post.v"].values[0], [-61, -62, -63])
    at = 50  # the spike at 25 ms ends its step at 25.1
    jumps = again["post.v"].values[at + 1] - again["post.v"].values[at]
    wanted = np.zeros(3)
    from_two = given.pre == 2
    wanted[given.post[from_two]] = weights[from_two]
    assert wanted.any() and np.allclose(jumps, wanted, atol=0.2)
    grown = weights + from_two
    assert np.array_equal(again["plastic.w"].values[-1], grown)
    one = simulated(network, initial=first.final.with_(plastic={"w": 2 * mV}))
    assert np.array_equal(one["plastic.w"].values[0], np.full(len(given), 2.0))


@pytest.mark.parametrize(
    ("parts", "kind", "words"),
    [
        ({"posts": {"v": 0 * mV}}, UnknownNameError, "Did you mean 'post'"),
        ({"post": {"u": 0 * mV}}, UnknownNameError, "'post' has no state 'u'"),
        ({"pre": {"v": 0 * mV}}, UnknownNameError, "has no part 'pre'"),
        ({"post": {"v": 1 * ms}}, UnitError, "mV"),
        ({"post": {"v": [1, 2] * mV}}, RunError, r"an array of shape \[3\]"),
        ({"post": 3}, WrongTypeError, "takes a dict"),
        ({"plastic": {"w": [1, 2] * mV}}, RunError, "an array of shape"),
        ({"plastic": {"w": np.nan}}, MissingValueError, "'w' of plastic"),
    ],
)
def test_what_cannot_be_edited_is_refused(parts: Any, kind: Any, words: str) -> None:
    final = simulated(edited_network()).final
    with pytest.raises(kind, match=words):
        final.with_(**parts)


@pytest.mark.parametrize("synapse", ["graded_conductance", "exponential_current", "ampa"])
def test_what_is_kept_once_a_cell_cannot_be_given_for_synapses(synapse: str) -> None:
    pre = sf.Population("pre", 4, PASSIVE, threshold="v > 0*mV")
    post = sf.Population("post", 3, PASSIVE)
    joined = sf.Projection(pre, post, sf.load(synapse), name="joined")
    network = sf.Network(pre, post, joined)
    state = next(iter(joined.equations.states))

    def simulated(**more: Any) -> Any:
        return sf.simulate(network, 2 * ms, dt=0.1 * ms, solver=sf.RK4(), record=[], **more)

    final = simulated().final.with_(joined={state: 0.5})
    with pytest.raises(RunError, match=r"is kept for each (pre|post)synaptic cell"):
        simulated(initial=final)


@pytest.mark.parametrize("form", ["stdp_pair_all_to_all", "stdp_pair_nearest"])
def test_weights_that_are_given_are_those_of_a_run_that_begins_with_them(form: str) -> None:
    """In the order of `connections()`, whatever the order of a list of pairs."""
    pairs = [(2, 0), (0, 2), (1, 0), (0, 0), (3, 1)]
    given = np.array([5.0, 3.0, 4.0, 1.0, 2.0])

    def made(weight: Any) -> sf.Network:
        pre = sf.Population("pre", 4, sf.SpikeSourceArray([5, 6, 7, 8] * ms, cells=[0, 1, 2, 3]))
        post = sf.Population("post", 3, PASSIVE)
        fired = sf.Population("fired", 3, PASSIVE, threshold="v > 0*mV")
        joined = sf.Projection(
            pre, fired, sf.load(form), sf.FromList(pairs), weight=weight, name="p"
        )
        return sf.Network(pre, post, fired, joined)

    def simulated(network: sf.Network, length: float, **more: Any) -> Any:
        record = [network.population("fired")["v"], network.projection("p")["w"]]
        return sf.simulate(network, length * ms, dt=0.1 * ms, record=record, **more)

    network = made(1 * nS)
    wanted = simulated(made(given * 0.1 * nS), 12)
    order = np.lexsort(([a for a, _ in pairs], [b for _, b in pairs]))
    begun = simulated(network, 2).final.with_(p={"w": given[order] * 0.1 * nS})
    run = simulated(network, 10, initial=begun)
    assert np.allclose(run["p.w"].values[-1], wanted["p.w"].values[-1], rtol=1e-12)
    assert np.allclose(run["fired.v"].values[-1], wanted["fired.v"].values[-1], rtol=1e-12)
    assert np.ptp(wanted["fired.v"].values) > 0.001
