"""Shares of networks whose delays differ between synapses have the bits of one process."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from wholes import RATES, asked, contents, cut, differences, different_states, lif, shared

import somaflow as sf
from somaflow.network.ties import together
from somaflow.running.arguments import Changes
from somaflow.solvers.base import Solver
from somaflow.units import Hz, ms, mV, nA
from somaflow.workers.dividing import bounds_of, interval_of
from somaflow.workers.exchange import in_turn
from somaflow.workers.running import Rest, again, other
from somaflow.workers.sharing import share

J = sf.load("exponential_current")
THIN = {"weight": 0.02 * nA, "connector": sf.FixedProbability(0.1)}


def varied() -> sf.Network:
    """Return a network with delays of every kind, of every synapse that is shared with them."""
    threshold, reset = RATES
    start = lif(v=sf.Uniform(-70 * mV, -50 * mV))
    up = {"up": "v > -52*mV"}
    e = sf.Population("E", 163, start, threshold, reset, 2 * ms, events=up)
    i = sf.Population("I", 37, start, threshold, reset)
    s = sf.Population("S", 70, sf.SpikeSourcePoisson(40 * Hz))
    clipped = sf.Normal(1.5 * ms, 0.75 * ms, low=0.4 * ms)
    listed = sf.FromList([(3, 9), (3, 9), (7, 1), (70, 36), (0, 30), (7, 1)], multapses=True)
    each = np.random.default_rng(1).uniform(0.6, 9, (37, 163)) * ms
    uniform = sf.Uniform(0.5 * ms, 3 * ms)
    strong = sf.Uniform(0 * nA, 0.1 * nA)
    projections = [
        sf.Projection(e, e, J, delay=clipped, name="clipped", **THIN),
        sf.Projection(e, i, J, sf.FixedInDegree(20), weight=strong, delay=uniform, name="uniform"),
        sf.Projection(e, i, J, listed, 0.1 * nA, [1, 2, 0.7, 4, 0.5, 0.8] * ms, name="listed"),
        sf.Projection(i, e, J, sf.FixedInDegree(5), weight=-0.02 * nA, delay=each, name="array"),
        sf.Projection(s, e[20:90], J, delay="0.5*ms + 0.02*ms*(i + j)", name="pairs", **THIN),
        sf.Projection(e, i, J, delay=uniform, on="up", name="event", **THIN),
        sf.Projection(i, e, sf.load("delta"), sf.FixedInDegree(3), delay=uniform, name="delta"),
        sf.Projection(s, e, sf.load("ampa"), sf.FixedInDegree(4), delay=uniform, name="pulse"),
        sf.Projection(s, i, sf.load("tsodyks_markram_current"), delay=uniform, name="tm", **THIN),
        sf.Projection(s, i, J, sf.FixedInDegree(6), weight=0.1 * nA, delay=1 * ms, name="fixed"),
    ]
    steady = sf.Stimulus(e, sf.Step(0.13 * nA))
    return sf.Network(e, i, s, *projections, steady, seed=4)


def recorded(network: sf.Network) -> list[sf.Recorder]:
    e, i, s = network.populations
    of = network.projection
    own = [of(name)["I"].every(2 * ms) for name in ("clipped", "pulse", "tm")]
    return [e.spikes, i.spikes, s.spikes, e.event("up"), e["v"].every(1 * ms), *own]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("count", "dtype", "solver"),
    [
        (2, "float64", sf.ExponentialEuler()),
        (3, "float32", sf.RK4()),
        (5, "float64", sf.ExponentialEuler()),
    ],
)
def test_delays_of_every_kind_have_the_bits_of_one(count: int, dtype: str, solver: Solver) -> None:
    network = varied()
    assert not together(network, [], 0.1)
    record = recorded(network)
    asks = {"record": record, "dt": 0.1 * ms, "dtype": dtype, "solver": solver, "seed": 3}
    one = sf.simulate(network, 15 * ms, progress=False, **asks)
    assert not differences(
        one, shared(asked(network, 15 * ms, **asks), cut(network, count)), record
    )
    assert all(len(one[f"{name}.spikes"].times) > 3 for name in "EIS")


@pytest.mark.slow
def test_runs_go_on_from_within_a_chunk_with_another_number_of_shares(tmp_path: Path) -> None:
    network = varied()
    record = recorded(network)
    asks = {"record": record, "dt": 0.1 * ms, "solver": sf.ExponentialEuler(), "seed": 3}
    length = 8.3 * ms  # no whole number of chunks
    assert 83 % interval_of(asked(network, length, **asks))
    one, parts = tmp_path / "one.zarr", tmp_path / "parts.zarr"
    first = sf.simulate(network, length, progress=False, sink=one, **asks)
    after = sf.resume(one, duration=16 * ms, progress=False)
    three = shared(asked(network, length, sink=parts, **asks), cut(network, 3), sf.ZarrSink(parts))
    assert not different_states(first.final, three.final)
    assert any(array.any() for path, array in three.final.events.items() if "/late" in path)
    rest = Rest(sf.ZarrSink(parts), Changes(duration=16 * ms), True, False)
    run = in_turn([again(rest, 2), other(1)])[0]
    assert run is not None and not different_states(after.final, run.final)
    assert contents(one) == contents(parts)
    # From the state of shares one process goes on, and the other way.
    whole = sf.simulate(network, 5 * ms, progress=False, initial=three.final, **asks)
    job = asked(network, 5 * ms, initial=first.final, **asks)
    assert not differences(whole, shared(job, 2), record)


def small(delay: Any) -> sf.Network:
    threshold, reset = RATES
    a, b = (sf.Population(name, 40, lif(), threshold, reset) for name in "AB")
    one = sf.Projection(a, b, J, weight=0.1 * nA, delay=delay, name="one")
    return sf.Network(a, b, one)


def test_an_exchange_is_due_after_the_smallest_delay() -> None:
    clipped = sf.Normal(2 * ms, 0.1 * ms, low=0.2 * ms)
    for delay, steps in [
        (sf.Uniform(0.5 * ms, 4 * ms), 5),
        (clipped, 2),
        (sf.Normal(1.5 * ms, 0.75 * ms, low=0.05 * ms), 1),  # no drawn one is rounded to none
        (np.linspace(0.7, 4, 1600).reshape(40, 40) * ms, 7),
        ("0.4*ms + 0.1*ms*abs(i - j)", 4),
    ]:
        network = small(delay)
        assert not together(network, [], 0.1)
        assert interval_of(asked(network, 10 * ms, dt=0.1 * ms)) == steps
    job = asked(small(clipped), 10 * ms, dt=0.1 * ms)
    found = job.network.projection("one").connections().delay
    assert "2 steps, 0.2 ms, or more" in str(sf.plan(job.network, 10 * ms, dt=0.1 * ms, workers=2))
    # Once they are drawn it is known that none is so short.
    spans = [
        ready.mine.span for ready in in_turn([share(job, k, cut(job.network, 2)) for k in (0, 1)])
    ]
    assert spans == [round(found.min() / 0.1)] * 2
    assert spans[0] > 10


@pytest.mark.slow
def test_more_spikes_than_are_heard_at_once_are_under_way() -> None:
    e = sf.Population("E", 40, lif(v=sf.Uniform(-60 * mV, -52 * mV)), "v > -55*mV", "v += 0.001*mV")
    delays = {"delay": sf.Uniform(2 * ms, 3 * ms), "weight": 0.01 * nA}
    network = sf.Network(e, sf.Projection(e, e, J, sf.FixedProbability(0.2), **delays))
    asks = {"record": [e.spikes], "dt": 0.1 * ms, "solver": sf.ExponentialEuler()}
    one = sf.simulate(network, 10 * ms, progress=False, **asks)
    job = asked(network, 10 * ms, **asks)
    assert not differences(one, shared(job, bounds_of(job, 2)), [e.spikes])
    assert len(one["E.spikes"].times) > 5 * 20 * 25


@pytest.mark.slow
def test_what_is_kept_of_presynaptic_cells_is_recorded_where_they_are() -> None:
    network = varied()
    record = [network.projection("tm")["u"].every(1 * ms), *recorded(network)]
    (held,) = together(network, record, 0.1)
    assert held.names == ("I", "S")
    assert held.reasons == ("delays differ and what presynaptic cells keep is recorded in tm.u",)
    asks = {"record": record, "dt": 0.1 * ms, "solver": sf.ExponentialEuler()}
    one = sf.simulate(network, 6 * ms, progress=False, **asks)
    job = asked(network, 6 * ms, **asks)
    assert not differences(one, shared(job, bounds_of(job, 2)), record)
