"""The contract of shares: whatever one process computes, several compute to the last bit."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from scipy import sparse
from wholes import RATES, asked, contents, cut, differences, different_states, lif, shared

import somaflow as sf
from somaflow.network.shares import shares
from somaflow.network.ties import goes_by_spikes, together
from somaflow.running.arguments import Changes
from somaflow.units import Hz, cm, ms, mV, nA, nS, uA, um
from somaflow.workers.dividing import bounds_of
from somaflow.workers.exchange import in_turn
from somaflow.workers.running import Rest, again, other
from somaflow.workers.sharing import prepared

J, C = sf.load("exponential_current"), sf.load("exponential_conductance")


def mixed() -> sf.Network:
    """Return a network with every connector and every input."""
    threshold, reset = RATES
    e = sf.Population(
        "E",
        163,
        lif(v=sf.Uniform(-70 * mV, -50 * mV)),
        threshold=f"{threshold} and rand() < 0.9 and i >= 0",
        reset=reset,
        refractory=sf.Uniform(3 * ms, 6 * ms),
        events={"up": "v > -52*mV"},
        positions=np.arange(163.0) * um,
    )
    i = sf.Population("I", 37, lif(), threshold=threshold, reset=reset, refractory=2 * ms)
    s = sf.Population("S", 70, sf.SpikeSourcePoisson(sf.Uniform(5 * Hz, 50 * Hz)))
    course = sf.Waveform(np.linspace(0, 90, 165).reshape(5, 33) * Hz, every=5 * ms)
    d = sf.Population("D", 33, sf.SpikeSourcePoisson(course))
    times = [3, 4, 5.05, 20, 30] * ms
    a = sf.Population("A", 20, sf.SpikeSourceArray(times, cells=[1, 5, 19, 3, 2]))
    near = sf.DistanceDependent("exp(-d/(20*um))", radius=60 * um)
    listed = sf.FromList([(3, 90), (3, 90), (7, 1), (7, 150), (0, 162), (7, 1)], multapses=True)
    matrix = sparse.coo_array((np.add.outer(np.arange(37), np.arange(163)) % 11 == 0) * 1.0)
    thin = {"weight": 0.02 * nA, "delay": 1 * ms}
    projections = [
        sf.Projection(e, i, C(tau=5 * ms), sf.FixedProbability(0.1), weight=0.6 * nS, delay=1 * ms),
        sf.Projection(
            e,
            e,
            C(tau=5 * ms),
            sf.FixedInDegree(10),
            weight=sf.Uniform(0 * nS, 1 * nS),
            delay=1.5 * ms,
        ),
        sf.Projection(i[5:30], e[10:100], J, sf.FixedOutDegree(5), name="view", **thin),
        sf.Projection(e[[9, 140, 3, 60]], i[[36, 0, 12]], J, name="unordered", **thin),
        sf.Projection(s, e, J, sf.FixedTotal(300, multapses=True), **thin),
        sf.Projection(d, i[:33], J, sf.OneToOne(), **thin),
        sf.Projection(a, i, J, sf.AllToAll(), weight=0.1 * nA, delay=3 * ms),
        sf.Projection(e, i, J, sf.FixedTotal(50), on="up", name="event", **thin),
        sf.Projection(e, e, J, near, name="near", **thin),
        sf.Projection(e, e, J, listed, name="listed", **thin),
        sf.Projection(
            i, e, J, sf.FromSparse(matrix), name="sparse", weight=-0.01 * nA, delay=2 * ms
        ),
        sf.Projection(e, e, J, sf.Mutual(sf.FixedProbability(0.05)), name="both", **thin),
        sf.Projection(i, e, sf.load("delta"), sf.FixedInDegree(3, multapses=True), delay=1 * ms),
        sf.Projection(
            e,
            e,
            sf.load("stdp_pair_all_to_all"),
            sf.FixedProbability(0.05),
            delay=1 * ms,
            name="learn",
        ),
        sf.Projection(
            e,
            i,
            sf.load("tsodyks_markram_current"),
            sf.FixedProbability(0.05),
            weight=0.1 * nA,
            delay=1 * ms,
            name="tm",
        ),
        sf.Projection(
            i, e, sf.load("ampa"), sf.FixedProbability(0.05), delay=1.2 * ms, name="pulse"
        ),
    ]
    waves = np.linspace(0, 0.05, 30).reshape(10, 3) * nA
    inputs = [
        sf.Stimulus(e[:100], sf.WhiteNoise(0.02 * nA * ms**0.5, np.linspace(0.11, 0.15, 100) * nA)),
        sf.Stimulus(e[50:], sf.OrnsteinUhlenbeck(0.03 * nA, 0.02 * nA, 5 * ms)),
        sf.Stimulus(i, sf.Step(0.13 * nA)),
        sf.Stimulus(i[[30, 3, 20]], sf.Step([0.01, 0.02, 0.03] * nA, 10 * ms, 40 * ms)),
        sf.Stimulus(i[:5], sf.Ramp(0 * nA, 0.05 * nA, 3, 30)),
        sf.Stimulus(e[20:60], sf.SaturatingPulse(0.05 * nA, on=5, off=20, rise=2, decay=4)),
        sf.Stimulus(e[[130, 2, 66]], sf.Waveform(waves, every=2 * ms)),
        sf.Stimulus(e[7:90], sf.Waveform([0.0, 0.04, 0.01] * nA, every=7 * ms)),
        sf.VoltageClamp(e[[150, 5]], sf.Step([-55, -45] * mV, 4, 12)),
        sf.PoissonInput(e[20:], J, rate=8 * Hz, n=100, weight=0.02 * nA),
        sf.PoissonInput(i[[33, 2]], J, rate=[80, 200] * Hz, n=[1, 3], weight=[0.02, 0.05] * nA),
    ]
    return sf.Network(e, i, s, d, a, *projections, *inputs, seed=5)


def recorded(network: sf.Network) -> list[sf.Recorder]:
    """Return every kind of recorder of the network `mixed`."""
    e, i = network.population("E"), network.population("I")
    of = network.projection
    return [
        *(p.spikes for p in network.populations),
        e.event("up"),
        e.spikes.with_("v").as_("kept"),
        e[[140, 2, 70]].spikes.as_("some spikes"),
        e.spikes.every(2 * ms).as_("counts"),
        i.rate(5 * ms),
        e["v"].every(1 * ms),
        e[[161, 4, 100, 33]]["v"].every(0.5 * ms, "max").as_("most"),
        e["v"].every(2 * ms, "mean").as_("over time"),
        i["I"].every(1 * ms),
        of("learn")["w"].every(10 * ms),
        of("learn")["w"][[5, 200, 3, 400]].as_("few").every(5 * ms),
        of("learn")["x"].every(10 * ms),
        of("tm")["u"].every(5 * ms),
        of("pulse")["I"].every(5 * ms),
        of("pulse")["o"].every(5 * ms),
        of("view")["I"].every(5 * ms),
    ]


def keywords(**more: object) -> dict[str, object]:
    return {"dt": 0.1 * ms, "solver": sf.ExponentialEuler(), "seed": 3} | more


def check(network: sf.Network, duration: object, bounds: object, **asks: object) -> sf.Solution:
    """Assert that shares compute what one process does; return what that has."""
    one = sf.simulate(network, duration, progress=False, **asks)
    parts = shared(asked(network, duration, **asks), bounds)
    assert not differences(one, parts, asks["record"])
    return one


@pytest.mark.slow
def test_every_connector_input_and_recorder_has_the_bits_of_one() -> None:
    network = mixed()
    record = recorded(network)
    one = check(network, 20 * ms, cut(network, 3), **keywords(record=record))
    assert all(len(one[f"{name}.spikes"].times) > 1 for name in "EISDA")


@pytest.mark.slow
def test_every_synapse_of_the_catalogue_has_the_bits_of_one() -> None:
    threshold, reset = RATES
    text = "dv/dt = (-60*mV - v + I*(100*Mohm))/(20*ms) : mV\nI : nA\ndD/dt = -D/(50*ms) : 1"
    equations = sf.Equations.parse(text, v=-60 * mV, D=0.5)
    p, w = (
        sf.Population(name, size, equations, threshold, reset)
        for name, size in (("P", 45), ("W", 11))
    )
    q = sf.Population("Q", 29, lif("uA/cm**2"), threshold, reset)
    s = sf.Population("S", 24, sf.SpikeSourcePoisson(300 * Hz))
    t = sf.Population("T", 7, sf.SpikeSourcePoisson(300 * Hz))
    u = sf.Population("U", 13, lif("uA/cm**2"), threshold, reset)
    parts: list[object] = [p, q, s, t, u, w]
    parts += [sf.Stimulus(cells, sf.Step(0.3 * nA)) for cells in (p, w)]
    parts += [sf.Stimulus(cells, sf.Step(3 * uA / cm**2)) for cells in (q, u)]
    spiking = 0
    for name in sf.catalogue("synapses"):
        synapse = sf.load(name)
        if any(given.endswith("_pre") for given in synapse.equations.inputs):
            continue
        text = str(synapse.equations)
        density = "I = " in text and "uA/cm**2" in text
        rest = {"connector": sf.FixedProbability(0.3), "delay": 0.5 * ms, "name": name}
        projection = sf.Projection(s, q if density else p, synapse, **rest)
        if goes_by_spikes(projection, 0.1):
            spiking += 1
        else:
            projection = sf.Projection(t, u if density else w, synapse, **rest)
        parts.append(projection)
    assert spiking >= 29
    record = [cells.spikes for cells in (p, q, s, u, w)]
    record += [cells["v"].every(1 * ms) for cells in (p, q, u, w)]
    held = {"T": (0, 7), "U": (0, 13), "W": (0, 11)}
    bounds = [{"P": (0, 32), "S": (0, 24)}, {"P": (32, 45), "Q": (0, 29)} | held]
    network = sf.Network(*parts)
    assert {n for tie in together(network, record, 0.1) for n in tie.names} == set(held)
    one = check(network, 20 * ms, bounds, **keywords(record=record, dtype="float32"))
    assert all(len(one[f"{name}.spikes"].times) for name in "PQSUW")


def noisy() -> sf.Network:
    """Return cells with noise of their own and in common, held by a condition."""
    equations = sf.Equations.parse(
        "dv/dt = (-47*mV - v + I*(100*Mohm))/(10*ms)"
        " + 3*mV/sqrt(20*ms)*(xi + xi_common) : mV\nI : nA\n"
        "dw/dt = -w/(5*ms) : mV",
        v=sf.Normal(-53 * mV, 2 * mV),
        w=0 * mV,
    )
    e = sf.Population(
        "E",
        75,
        equations,
        threshold="v > -50*mV and w < 3*mV",
        reset="v = -58*mV + 2*mV*rand(); w += 2*mV + 0.01*mV*i",
        refractory="w > 1.5*mV",
        shared_noise=("xi_common",),
        events={"up": ("v > -53*mV", "w += 0.002*mV")},
    )
    i = sf.Population("I", 20, lif(), threshold="v > -50*mV", reset="v = -60*mV", refractory=3 * ms)
    return sf.Network(
        *(e, i),
        sf.Projection(
            e, i, J, sf.FixedProbability(0.2), weight=1 * nA, delay=0.3 * ms, on="up", name="ups"
        ),
        sf.Projection(e, i, J, sf.FixedProbability(0.2), weight=1 * nA, delay=0.4 * ms),
        sf.Projection(i, e, J, sf.FixedProbability(0.5), weight=-0.002 * nA, delay=1 * ms),
        seed=11,
    )


@pytest.mark.slow
def test_noise_in_equations_has_the_bits_of_one() -> None:
    network = noisy()
    e, i = network.populations
    record = [e.spikes, i.spikes, e.event("up"), e["v"].every(1 * ms)]
    asks = keywords(record=record, dtype="float32", solver=sf.EulerMaruyama())
    one = check(network, 20 * ms, cut(network, 5), **asks)
    assert min(len(one[key].times) for key in ("E.spikes", "I.spikes", "E.up")) > 5


@pytest.mark.slow
def test_a_run_goes_on_with_another_number_of_shares() -> None:
    network = plastic()
    e = network.population("E")
    record = [e.spikes, e["v"].every(1 * ms), network.projection("learn")["w"].every(2 * ms)]
    asks = keywords(record=record, solver=sf.RK4())
    one = sf.simulate(network, 10 * ms, progress=False, **asks)
    three = shared(asked(network, 10 * ms, **asks), cut(network, 3))
    assert not differences(one, three, record)
    n = len(network.projection("learn").connections())
    weights, potentials = np.linspace(0, 1, n) * nS, np.linspace(-65, -51, 75) * mV

    def edited(state: sf.FinalState) -> sf.FinalState:
        return state.with_(E={"v": potentials}, learn={"w": weights})

    after = sf.simulate(network, 10 * ms, progress=False, initial=edited(one.final), **asks)
    job = asked(network, 10 * ms, initial=edited(three.final), **asks)
    assert not differences(after, shared(job, 2), record)


def plastic() -> sf.Network:
    """Return a network with learning synapses, noise, refractory cells and spikes under way."""
    threshold, reset = RATES
    e = sf.Population("E", 75, lif(v=sf.Uniform(-60 * mV, -48 * mV)), threshold, reset, 3 * ms)
    s = sf.Population("S", 20, sf.SpikeSourcePoisson(100 * Hz))
    learns = sf.load("stdp_pair_all_to_all")
    return sf.Network(
        *(e, s),
        sf.Projection(e, e, learns, sf.FixedProbability(0.1), delay=1.5 * ms, name="learn"),
        sf.Projection(s, e, J, sf.FixedProbability(0.3), weight=0.05 * nA, delay=3 * ms),
        sf.Stimulus(e[10:], sf.OrnsteinUhlenbeck(0.12 * nA, 0.05 * nA, 5 * ms)),
        seed=2,
    )


@pytest.mark.slow
def test_a_store_goes_on_with_another_number_of_shares(tmp_path: Path) -> None:
    network = plastic()
    e = network.population("E")
    asks = keywords(record=[e.spikes, e["v"].every(1 * ms)], checkpoint=5 * ms)
    one, parts = tmp_path / "one.zarr", tmp_path / "parts.zarr"
    sf.simulate(network, 10 * ms, progress=False, sink=one, **asks)
    after = sf.resume(one, duration=20 * ms, progress=False)
    job = asked(network, 10 * ms, sink=parts, **asks)
    shared(job, cut(network, 3), sf.ZarrSink(parts))
    rest = Rest(sf.ZarrSink(parts), Changes(duration=20 * ms), True, False)
    run = in_turn([again(rest, 2), other(1)])[0]
    assert not different_states(after.final, run.final)
    assert contents(one) == contents(parts)


@pytest.mark.slow
def test_more_spikes_than_are_heard_at_once_and_means_over_synapses() -> None:
    e = sf.Population("E", 40, lif(v=sf.Uniform(-60 * mV, -52 * mV)), "v > -55*mV", "v += 0.001*mV")
    i = sf.Population("I", 20, lif(), "v > -58*mV", "v = -60*mV")
    network = sf.Network(
        *(e, i),
        sf.Projection(e, e, J, sf.FixedProbability(0.2), weight=0.01 * nA, delay=2 * ms),
        sf.Projection(e, i, sf.load("stdp_pair_all_to_all"), delay=2 * ms, name="learn"),
    )
    learn = network.projection("learn")
    record = [e.spikes.with_("v"), i.spikes, e["v"].every(1 * ms), learn["w"].mean().every(1 * ms)]
    record.append(learn["x"].sum().every(1 * ms))
    asks = keywords(record=record)
    one = check(network, 10 * ms, bounds_of(asked(network, 10 * ms, **asks), 2), **asks)
    # In each of five intervals most of 40 cells spike in each of 20 steps: the loop has room for
    # 60 that are heard of, and for 64 + 40 of its own with what is kept with them.
    assert len(one["E.spikes"].times) > 5 * 20 * 30


def test_what_meets_within_a_step_is_whole_in_one_share() -> None:
    cells = {
        name: sf.Population(name, 40, lif(), "v > -50*mV", "v = -60*mV") for name in "ABCDEFGHK"
    }
    a, b, c, d, e, f, g, h, k = cells.values()
    wired = {"weight": 0.1 * nA}
    varied = sf.Uniform(0.04 * ms, 2 * ms)
    network = sf.Network(
        *cells.values(),
        sf.Projection(a, b, sf.load("gap_junction"), sf.OneToOne()),
        sf.Projection(b, c, J, **wired, delay=1 * ms),
        sf.Projection(c, d, J, **wired),
        sf.Projection(e, f, J, **wired, delay=varied),
        sf.Projection(f, g, J, **wired, delay=0.1 * ms),
        sf.Projection(h, k, J, **wired, delay=1 * ms, name="h_to_k"),
    )
    sets = {frozenset(tie.names) for tie in together(network, [], 0.1)}
    assert sets == {frozenset("AB"), frozenset("CD"), frozenset("EF")}
    # A delay below half a step is none.
    assert frozenset("FGE") in {frozenset(tie.names) for tie in together(network, [], 0.25)}
    record = [g["v"].mean().every(1 * ms), network.projection("h_to_k")["J"].sum().every(1 * ms)]
    sets |= {frozenset("G"), frozenset("K")}
    assert {frozenset(tie.names) for tie in together(network, record, 0.1)} == sets
    bounds = shares(network, 3, [sorted(names) for names in sets])
    for name in cells:
        own = [share[name] for share in bounds if name in share]
        assert len(own) == 1 or name == "H"
        assert [begin for begin, _ in own] == [0, *(end for _, end in own[:-1])]
        assert own[-1][1] == 40


@pytest.mark.slow
def test_the_antennal_lobe_is_whole_in_one_share(lobe: sf.Network) -> None:
    pn = lobe.population("PN")
    asks = {"record": [pn.spikes, pn["v"].every(1 * ms)], "dt": 0.01 * ms, "solver": sf.RK4()}
    check(lobe, 5 * ms, 3, **asks)


def test_a_state_that_is_not_finite_is_named_as_in_the_whole() -> None:
    e = sf.Population(
        "E", 40, sf.Equations.parse("dv/dt = k*v**2/mV/ms : mV", v=1 * mV, k=[0.0] * 37 + [9] * 3)
    )
    network = sf.Network(e)
    asks = {"record": [e["v"].every(1 * ms)], "dt": 0.1 * ms}
    with pytest.raises(sf.errors.NonFiniteState) as one:
        sf.simulate(network, 10 * ms, progress=False, **asks)
    assert "E.v[37]" in str(one.value)
    with pytest.raises(sf.errors.NonFiniteState) as parts:
        shared(asked(network, 10 * ms, **asks), [{"E": (0, 16)}, {"E": (16, 40)}])
    assert str(parts.value) == str(one.value)


def test_a_batch_is_refused() -> None:
    e = sf.Population("E", 40, lif(v=np.full((2, 1), -60.0) * mV))
    asks = {"record": [e["v"].every(1 * ms)], "dt": 0.1 * ms}
    with pytest.raises(sf.errors.RunError, match="batch axes"):
        shared(asked(sf.Network(e), 1 * ms, **asks), 2)


@pytest.mark.slow
def test_spikes_arrive_in_time_where_nothing_else_is_exchanged() -> None:
    # All that waits for spikes is whole in one share, so nothing says how often to exchange.
    a = sf.Population("A", 20, sf.SpikeSourcePoisson(60 * Hz))
    b = sf.Population("B", 20, lif(), threshold=RATES[0])
    free = sf.Population("F", 32, lif(), threshold=RATES[0], reset=RATES[1])
    gaba = sf.Projection(a, b, sf.load("gaba_b"), sf.FixedProbability(0.5), delay=1 * ms)
    drive = sf.Stimulus(free, sf.Step(0.2 * nA))
    network = sf.Network(a, b, free, gaba, drive)
    assert not goes_by_spikes(gaba, 0.1)
    record = [a.spikes, b.spikes, free.spikes, b["v"].every(1 * ms)]
    bounds = [{"A": (0, 20), "B": (0, 20)}, {"F": (0, 32)}]
    whole = check(network, 40 * ms, bounds, **keywords(record=record))
    assert float(whole["B.v"].std()) > 0


@pytest.mark.slow
def test_all_cells_spike_at_once_in_float32() -> None:
    # More than a list of crossings has room for in one process, where it ends the chunk.
    cells = sf.Population("E", 2400, lif(), threshold=RATES[0], reset=RATES[1])
    recurrent = sf.Projection(
        cells, cells, J, sf.FixedInDegree(3), weight=-0.01 * nA, delay=1 * ms, name="recurrent"
    )
    network = sf.Network(cells, recurrent, sf.Stimulus(cells, sf.Step(1 * nA)))
    record = [cells.spikes]
    bounds = [{"E": (0, 1600)}, {"E": (1600, 2400)}]
    whole = check(network, 12 * ms, bounds, **keywords(record=record, dtype="float32"))
    assert len(whole["E.spikes"].times) >= 2400


@pytest.mark.slow
def test_cells_without_a_reset_that_some_spikes_reach_go_on_as_in_one_process() -> None:
    cells = sf.Population("H", 64, lif(v=sf.Uniform(-55 * mV, -45 * mV)), threshold=RATES[0])
    source = sf.Population("S", 20, sf.SpikeSourcePoisson(100 * Hz))
    wired = sf.Projection(source, cells[40:], J, sf.FixedProbability(0.3), 0.05 * nA, 1 * ms)
    noise = sf.Stimulus(cells, sf.OrnsteinUhlenbeck(0.1 * nA, sd=0.05 * nA, tau=5 * ms))
    network = sf.Network(cells, source, wired, noise)
    bounds = [{"H": (0, 32), "S": (0, 20)}, {"H": (32, 64)}]
    record = [cells.spikes]
    first = check(network, 10 * ms, bounds, **keywords(record=record))
    louder = sf.Stimulus(cells, sf.OrnsteinUhlenbeck(0.1 * nA, sd=0.08 * nA, tau=5 * ms))
    changed = sf.Network(cells, source, wired, louder)
    check(changed, 10 * ms, bounds, **keywords(record=record, initial=first.final))


def test_a_worker_holds_its_part_of_the_synapses_and_cells() -> None:
    cells = sf.Population("cells", 1024, lif(), threshold=RATES[0], reset=RATES[1])
    synapse = sf.load("exponential_current")
    delays = {"fixed": 1 * ms, "varied": sf.Uniform(1 * ms, 3 * ms, seed=2)}
    joined = [
        sf.Projection(cells, cells, synapse, sf.FixedInDegree(100, seed=k), name=name, delay=delay)
        for k, (name, delay) in enumerate(delays.items())
    ]
    job = asked(sf.Network(cells, *joined), 1 * ms, dt=0.1 * ms, solver=sf.ExponentialEuler())

    def most(count: int) -> int:
        bounds = bounds_of(job, count)
        parts = in_turn([prepared(job, k, bounds) for k in range(count)])
        sizes = []
        for part in parts:
            held = part.compiled.system.parameters.sums, part.compiled.system.initial.event.groups
            sizes.append(sum(np.asarray(leaf).nbytes for leaf in tf.nest.flatten(held)))
        return max(sizes)

    whole = most(1)
    for count in (2, 4):  # lists of a share are padded to its longest, hence not the whole 1/N
        assert most(count) <= 1.3 * whole / count
