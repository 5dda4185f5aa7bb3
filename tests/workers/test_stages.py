"""Cells that read each other within a step, in several shares, have the bits of one process."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from wholes import RATES, asked, cut, differences, lif, shared

import somaflow as sf
from somaflow.network.shares import Bounds
from somaflow.units import cm, mS, ms, mV, nA, nS, uA, uF
from somaflow.workers.sharing import staged_of

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
            leak=channels.leak(g=0.15 * S, E=-55 * mV),
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
