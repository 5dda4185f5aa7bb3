"""Cells that read each other within a step, in several shares, have the bits of one process."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from wholes import RATES, asked, cut, differences, lif, shared

import somaflow as sf
from somaflow.network.forms import take_apart
from somaflow.network.shares import Bounds
from somaflow.running.arguments import Changes
from somaflow.units import Hz, cm, mS, ms, mV, nA, nS, uA, uF
from somaflow.workers.dividing import division_of
from somaflow.workers.exchange import in_turn
from somaflow.workers.running import Rest, again, other
from somaflow.workers.stages import evaluations, exchanges, staged_of

GRADED = sf.load("graded_conductance")
SOLVERS = (sf.RK4(), sf.ExponentialEuler())


def check(
    network: sf.Network, duration: object, cuts: Sequence[list[Bounds]], **asks: object
) -> sf.Solution:
    """Assert that shares compute what one process does; return what that has."""
    one = sf.simulate(network, duration, progress=False, **asks)
    job = asked(network, duration, **asks)
    for bounds in cuts:
        assert staged_of(job, bounds)
        assert not differences(one, shared(job, bounds), asks["record"])
    return one


def pair(a: int = 70, b: int = 45) -> sf.Network:
    """Return two populations whose cells read each other's, and their own."""
    scatter = sf.Uniform(-60 * mV, -48 * mV)
    first, second = (
        sf.Population(name, size, lif(v=scatter), *RATES) for name, size in (("A", a), ("B", b))
    )
    wired = sf.FixedProbability(0.3)
    return sf.Network(
        *(first, second),
        sf.Projection(first, second, GRADED, wired, sf.Uniform(0.1 * nS, 1 * nS), name="ab"),
        sf.Projection(second, first, GRADED, wired, 0.5 * nS, name="ba"),
        sf.Projection(second, second, GRADED, wired, 0.5 * nS, name="bb"),
        sf.Stimulus(first, sf.Step(0.15 * nA)),
        sf.Stimulus(second, sf.OrnsteinUhlenbeck(0.12 * nA, 0.05 * nA, 5 * ms)),
        seed=3,
    )


@pytest.mark.slow
@pytest.mark.parametrize("solver", SOLVERS, ids=lambda solver: solver.name)
def test_graded_synapses(solver: Any) -> None:
    network = pair()
    a, b = network.populations
    of = network.projection
    record = [a.spikes, b.spikes, a["v"].every(0.5 * ms), b[[44, 3]]["v"].every(0.3 * ms)]
    record += [of("ab")["s"].every(0.5 * ms), of("bb")["s"][[40, 2]].every(0.5 * ms)]
    record += [of("ab")["I"].every(0.5 * ms), a["I"].every(0.7 * ms)]
    asks = {"dt": 0.1 * ms, "solver": solver, "seed": 3, "record": record}
    one = check(network, 4 * ms, [cut(network, 2), cut(network, 3)], **asks)
    assert len(one["A.spikes"].times) > 5 and float(one["ab.s"].std()) > 0


def antennal_lobe(pn_size: int = 40, ln_size: int = 36) -> sf.Network:
    """Return an antennal lobe whose cells spike at once, of projection and local neurons."""
    S = mS / cm**2
    channels, synapses = sf.catalogue("channels"), sf.catalogue("synapses")
    k = channels.k_traub1991(g=10 * S)
    pn = sf.Population(
        "PN",
        pn_size,
        sf.Neuron(
            1 * uF / cm**2,
            na=channels.na_traub1991(g=100 * S),
            k=k,
            ka=channels.ka(g=10 * S),
            leak=channels.leak(g=np.linspace(0.13, 0.16, pn_size) * S, E=-55 * mV),
            kl=channels.leak(g=0.05 * S, E=-95 * mV),
        ),
        threshold="v > 0*mV",
    )
    ln = sf.Population(
        "LN",
        ln_size,
        sf.Neuron(
            1 * uF / cm**2,
            ca=channels.ca(g=3 * S),
            kca=channels.kca(g=0.3 * S),
            pool=sf.load("ca_decay")(tau=150 * ms),
            k=k,
            leak=channels.leak(g=0.15 * S, E=-50 * mV),
            kl=channels.leak(g=0.02 * S, E=-95 * mV),
        ),
        threshold="v > -20*mV",
    )
    half = sf.FixedProbability(0.5, seed=1, self_connections=False)
    gaba = sf.Normal(0.1 * S, 0.01 * S, seed=3)
    drives = np.linspace(0, 60, pn_size), np.linspace(0, 30, ln_size)
    return sf.Network(
        *(pn, ln),
        sf.Projection(pn, ln, synapses.nach(g=0.05 * S), half, name="ach"),
        sf.Projection(ln, pn, synapses.gaba_a, half, gaba, name="gaba"),
        sf.Projection(ln, ln, synapses.gaba_a(g=0.02 * S), half, name="lateral"),
        sf.Stimulus(pn[::2], sf.Step(drives[0][::2] * uA / cm**2)),
        sf.CurrentClamp(ln, drives[1] * uA / cm**2, start=1 * ms),
    )


@pytest.mark.slow
@pytest.mark.parametrize("count", [2, 3, 5])
def test_the_antennal_lobe(count: int) -> None:
    network = antennal_lobe()
    pn, ln = network.populations
    record = [pn.spikes, ln.spikes, pn["v"].every(0.5 * ms), ln["kca.m"].every(0.5 * ms)]
    for projection in network.projections:
        record += [projection["o"].every(0.5 * ms), projection["I"].every(0.5 * ms)]
    asks = {"record": record, "dt": 0.02 * ms, "solver": sf.RK4()}
    one = check(network, 6 * ms, [cut(network, count)], **asks)
    assert len(one["PN.spikes"].times) > 5 and len(one["LN.spikes"].times) > 5
    assert float(one["ach.o"].std()) > 0 and float(one["gaba.o"].std()) > 0


def junctions() -> sf.Network:
    """Return cells that gap junctions join, and spikes with a delay and without one."""
    scatter = sf.Uniform(-60 * mV, -48 * mV)
    a, b = (sf.Population(n, size, lif(v=scatter), *RATES) for n, size in (("A", 70), ("B", 45)))
    gap, jump = sf.load("gap_junction"), sf.load("exponential_conductance")
    some, few = sf.FixedProbability(0.1), {"weight": 1 * nS}
    return sf.Network(
        *(a, b),
        sf.Projection(a, b, gap, some, weight=0.05 * nS, name="ab"),
        sf.Projection(a, a, gap, sf.Mutual(sf.FixedProbability(0.05)), 0.05 * nS, name="aa"),
        sf.Projection(b, a, jump, some, **few, name="at once"),
        sf.Projection(a, b, jump, some, **few, delay=0.5 * ms, name="later"),
        sf.Stimulus(a, sf.Step(0.15 * nA)),
        sf.Stimulus(b, sf.OrnsteinUhlenbeck(0.12 * nA, 0.05 * nA, 5 * ms)),
        seed=3,
    )


@pytest.mark.slow
def test_gap_junctions_and_spikes_without_a_delay_and_a_run_that_goes_on() -> None:
    network = junctions()
    a, b = network.populations
    of = network.projection
    record = [a.spikes, b.spikes, a["v"].every(0.5 * ms), b["v"].every(1 * ms, "mean")]
    record += [of("ab")["I"].every(0.5 * ms), of("at once")["G"].every(0.5 * ms)]
    asks = {"dt": 0.1 * ms, "solver": sf.ExponentialEuler(), "record": record, "dtype": "float32"}
    one = check(network, 4 * ms, [cut(network, 3)], **asks)
    assert min(len(one[key].times) for key in ("A.spikes", "B.spikes")) > 5
    check(network, 3 * ms, [cut(network, 2)], initial=one.final, **asks)


def gates() -> sf.Network:
    """Return cells whose gates spikes open, for a time or at once, in that step or later."""
    scatter, some = sf.Uniform(-60 * mV, -48 * mV), sf.FixedProbability(0.3)
    a, b = (sf.Population(n, size, lif(v=scatter), *RATES) for n, size in (("A", 70), ("B", 45)))
    gaba, nmda, late = sf.load("gaba_b"), sf.load("nmda_saturating"), 0.5 * ms
    return sf.Network(
        *(a, b),
        sf.Projection(a, b, gaba, some, weight=20 * nS, name="pulses"),
        sf.Projection(b, a, gaba, some, weight=20 * nS, delay=late, name="late pulses"),
        sf.Projection(b, a, nmda, some, weight=1 * nS, name="jumps"),
        sf.Projection(a, b, nmda, some, weight=1 * nS, delay=late, name="late jumps"),
        sf.Stimulus(a, sf.Step(0.15 * nA)),
        sf.Stimulus(b, sf.OrnsteinUhlenbeck(0.15 * nA, 0.05 * nA, 5 * ms)),
        seed=3,
    )


@pytest.mark.slow
def test_a_store_of_gates_that_spikes_open_goes_on_with_another_number_of_shares(
    tmp_path: Path,
) -> None:
    network = gates()
    a, b = network.populations
    record = [a.spikes, b.spikes, a["v"].every(0.5 * ms), b["v"].every(0.5 * ms)]
    for projection in network.projections:
        assert take_apart(projection).shown
        state = "R" if "pulses" in str(projection.name) else "s"
        record += [projection[state].every(0.5 * ms), projection["I"].every(0.5 * ms)]
    asks = {"dt": 0.1 * ms, "solver": sf.ExponentialEuler(), "record": record}
    one, parts = tmp_path / "one.zarr", tmp_path / "parts.zarr"
    sf.simulate(network, 3 * ms, progress=False, sink=one, checkpoint=1 * ms, **asks)
    after = sf.resume(one, duration=5 * ms, progress=False)
    job = asked(network, 3 * ms, sink=parts, checkpoint=1 * ms, **asks)
    shared(job, cut(network, 3), sf.ZarrSink(parts))
    rest = Rest(sf.ZarrSink(parts), Changes(duration=5 * ms), True, False)
    run = in_turn([again(rest, 2), other(1)])[0]
    for key in ("pulses.R", "late pulses.R", "jumps.s", "late jumps.s"):
        assert float(after[key].std()) > 0
    assert not differences(after, run, record)


def test_cells_that_meet_within_a_step_are_together_where_balance_allows() -> None:
    network, free = pair(), sf.Population("F", 240, lif(), *RATES)
    job = asked(network, 1 * ms, dt=0.1 * ms, solver=sf.RK4())
    assert len(division_of(job, 2).told) == 3
    parts = network.populations, network.projections, network.stimuli
    more = sf.Network(*(part for kind in parts for part in kind), free)
    division = division_of(asked(more, 1 * ms, dt=0.1 * ms, solver=sf.RK4()), 2)
    assert division.told == () and division.whole[0].names == ("A", "B")
    one_block = pair(9, 7)  # which cannot be cut
    assert division_of(asked(one_block, 1 * ms, dt=0.1 * ms), 2).told == ()


def test_methods_are_asked_how_often_they_look() -> None:
    counts = {sf.RK4(): 4, sf.ExponentialEuler(): 1, sf.ExponentialMidpoint(): 2, sf.Heun(): 2}
    assert {solver: evaluations(solver) for solver in counts} == counts
    network = antennal_lobe()
    job = asked(network, 5 * ms, dt=0.02 * ms, solver=sf.RK4())
    division = division_of(job, 2)
    assert division.told == ("ach", "gaba", "lateral")
    assert division.exchanges == 6 and division.interval_steps == 1
    # Spikes are told at a step's end alone.
    job = asked(at_once(), 5 * ms, dt=0.1 * ms, solver=sf.RK4())
    assert exchanges(job, staged_of(job, cut(job.network, 2))) == 2
    assert (
        division_of(asked(network, 5 * ms, dt=0.02 * ms, solver=sf.ImplicitEuler()), 2).told == ()
    )


def at_once() -> sf.Network:
    """Return cells whose spikes and events act at once, by synapses of many kinds."""
    scatter, some = sf.Uniform(-60 * mV, -48 * mV), sf.FixedProbability(0.2)
    events = {"up": "v > -52*mV"}
    a = sf.Population("A", 70, lif(v=scatter), *RATES, events=events, refractory=2 * ms)
    b = sf.Population("B", 45, lif(v=scatter), threshold=RATES[0])
    s = sf.Population("S", 33, sf.SpikeSourcePoisson(200 * Hz))
    current, synapses = sf.load("exponential_current"), sf.catalogue("synapses")
    return sf.Network(
        *(a, b, s),
        sf.Projection(s, a, current, some, weight=0.1 * nA, name="source"),
        sf.Projection(a, b, current, some, weight=0.1 * nA, on="up", name="event"),
        sf.Projection(b, a, synapses.delta, some, weight=0.5 * mV, name="delta"),
        sf.Projection(a, a, synapses.stdp_pair_all_to_all, some, weight=1 * nS, name="learn"),
        sf.Projection(a, b, synapses.tsodyks_markram_current, some, weight=0.1 * nA, name="tm"),
        sf.Projection(s, b, synapses.ampa, some, weight=1 * nS, name="pulse"),
        sf.Stimulus(a, sf.Step(0.15 * nA)),
        seed=3,
    )


@pytest.mark.slow
def test_spikes_of_all_kinds_that_act_at_once() -> None:
    network = at_once()
    a, b, s = network.populations
    of = network.projection
    record = [a.spikes, b.spikes, s.spikes, a.event("up"), a["v"].every(0.5 * ms)]
    record += [b["v"].every(0.5 * ms), of("learn")["w"].every(1 * ms), of("tm")["u"].every(1 * ms)]
    record += [of("learn")["x"].every(1 * ms), of("pulse")["o"].every(1 * ms)]
    asks = {"dt": 0.1 * ms, "solver": sf.ExponentialEuler(), "record": record}
    one = check(network, 4 * ms, [cut(network, 3)], **asks)
    assert min(len(one[key].times) for key in ("A.spikes", "B.spikes", "S.spikes", "A.up")) > 3


@pytest.mark.slow
def test_a_state_that_is_not_finite_ends_all_shares() -> None:
    text = "dv/dt = k*v**2/mV/ms + I*(1*Mohm)/ms : mV\nI : nA"
    a = sf.Population("A", 40, sf.Equations.parse(text, v=1 * mV, k=[0.0] * 37 + [9] * 3))
    b = sf.Population("B", 20, lif())
    network = sf.Network(a, b, sf.Projection(a, b, GRADED, weight=1 * nS, name="ab"))
    asks = {"record": [b["v"].every(1 * ms)], "dt": 0.1 * ms, "solver": sf.ExponentialEuler()}
    for run in (
        lambda: sf.simulate(network, 10 * ms, progress=False, **asks),
        lambda: shared(asked(network, 10 * ms, **asks), [{"A": (0, 40)}, {"B": (0, 20)}]),
    ):
        with pytest.raises(sf.errors.NonFiniteState, match=r"A\.v\[37\]"):
            run()


@pytest.mark.slow
def test_shares_that_look_more_often_than_others_are_refused() -> None:
    text = "dv/dt = (-50*mV - v)/(10*ms) + (3*mV + I*(10*Mohm))/sqrt(20*ms)*xi : mV\nI : nA"
    a = sf.Population("A", 32, sf.Equations.parse(text, v=-53 * mV), *RATES)
    b = sf.Population("B", 32, lif(), *RATES)
    network = sf.Network(a, b, sf.Projection(b, a, GRADED, weight=1 * nS))
    asks = {"record": [a.spikes], "dt": 0.1 * ms, "solver": sf.EulerMaruyama()}
    with pytest.raises(sf.errors.RunError, match="more often in some workers"):
        shared(asked(network, 1 * ms, **asks), [{"A": (0, 32)}, {"B": (0, 32)}])
