"""Seeds: what has none gets one of its own, from names and the network's seed."""

import itertools
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import somaflow as sf
from somaflow.description import from_json, to_json
from somaflow.errors import MissingValueError, NetworkError, UnknownNameError, WrongTypeError
from somaflow.network.random import derive, seed_for, seeded
from somaflow.units import Hz, cm, mm, ms, mV, nA, uF, uS

SYNAPSES = sf.catalogue("synapses")
MODEL = sf.load("lif")(tau=sf.Normal(20 * ms, 2 * ms, low=5 * ms), v=sf.Uniform(-70 * mV, -60 * mV))
PLACES = np.arange(60) / 60 * mm
CONNECTORS = [
    sf.FixedProbability(0.1),
    sf.FixedInDegree(6),
    sf.FixedOutDegree(6),
    sf.FixedTotal(300),
    sf.DistanceDependent("0.1"),
]


def cells(name: str) -> sf.Population:
    return sf.Population(name, 60, MODEL, positions=PLACES)


def project(pre: Any, post: Any, connector: Any = CONNECTORS[0], **options: Any) -> sf.Projection:
    options = {"weight": sf.Uniform(0 * uS, 1 * uS), "delay": sf.Uniform(1 * ms, 2 * ms)} | options
    return sf.Projection(pre, post, SYNAPSES.gaba_a_destexhe, connector, **options)


def wiring(projection: sf.Projection) -> tuple[np.ndarray, ...]:
    made = projection.connections()
    return made.pre, made.post, made.weight, made.delay


def equal(one: Any, other: Any) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def states(population: sf.Population) -> tuple[np.ndarray, np.ndarray]:
    equations = population.equations
    return equations.parameters["tau"].value, equations.initial["v"].value


def overlap(one: Any, other: Any) -> float:
    """Return the share of the pairs of one that the other has too."""
    first, second = (set(zip(w[0].tolist(), w[1].tolist(), strict=True)) for w in (one, other))
    return len(first & second) / len(first)


@pytest.mark.parametrize("connector", CONNECTORS, ids=lambda c: type(c).__name__)
def test_projections_without_seeds_are_independent(connector: Any) -> None:
    a, b = cells("a"), cells("b")
    four = [project(x, y, connector) for x, y in itertools.product((a, b), (a, b))]
    four.append(project(a, b, connector, name="second"))
    found = [wiring(projection) for projection in four]
    for one, other in itertools.combinations(found, 2):
        assert overlap(one, other) < 0.3  # 0.1 by chance, with an sd of 0.016
        n = min(len(one[2]), len(other[2]))
        for k in (2, 3):
            assert abs(np.corrcoef(one[k][:n], other[k][:n])[0, 1]) < 0.3
    weight, delay = found[0][2:]
    assert abs(np.corrcoef(weight, delay)[0, 1]) < 0.3


def test_populations_without_seeds_are_independent() -> None:
    first, second = states(cells("a")), states(cells("b"))
    for one, other in itertools.combinations((*first, *second), 2):
        assert abs(np.corrcoef(one, other)[0, 1]) < 0.5  # by chance, with an sd of 0.13


def test_rates_without_seeds_are_independent() -> None:
    source = sf.SpikeSourcePoisson(sf.Uniform(1 * Hz, 20 * Hz))
    rates = [sf.Population(name, 60, source).source.rate.value for name in "ab"]  # pyright: ignore
    assert abs(np.corrcoef(*rates)[0, 1]) < 0.5


def test_a_seed_of_its_own_means_what_it_says() -> None:
    a, b = cells("a"), cells("b")
    one, other = (
        project(a, y, sf.FixedProbability(0.1, 3), weight=sf.Uniform(0 * uS, 1 * uS, 4))
        for y in (a, b)
    )
    assert equal(wiring(one)[:3], wiring(other)[:3])
    assert not np.array_equal(wiring(one)[3], wiring(other)[3])
    for seed in (0, 9):
        network = sf.Network(a, b, one, other, seed=seed)
        assert equal(wiring(network.projection("a_to_a"))[:3], wiring(one)[:3])
    model = sf.load("lif")(tau=sf.Normal(20 * ms, 2 * ms, seed=0))
    two = [sf.Population(name, 60, model).equations.parameters["tau"].value for name in "ab"]
    assert np.array_equal(*two)
    # Numbers as they were before there were other seeds than given ones.
    np.testing.assert_allclose(two[0][:3], [17.03367062, 16.84520826, 21.94067069], rtol=1e-8)


def test_nothing_depends_on_what_else_there_is_or_on_the_order() -> None:
    a, b = cells("a"), cells("b")
    one, other = project(a, b), project(b, a)
    for seed in (0, 5):
        alone = sf.Network(a, b, one, seed=seed)
        both = sf.Network(other, b, one, a, seed=seed)
        assert equal(wiring(alone.projection("a_to_b")), wiring(both.projection("a_to_b")))
        assert equal(states(alone.population("a")), states(both.population("a")))


def test_the_seed_of_a_network_changes_all_that_has_none() -> None:
    a, b = cells("a"), cells("b")
    source = sf.Population("s", 60, sf.SpikeSourcePoisson(sf.Uniform(1 * Hz, 20 * Hz)))
    clamp = sf.VoltageClamp(a[:1], -60 * mV)
    parts = a, b, source, project(a, b), sf.CurrentClamp(b[3:5], 1 * nA), clamp
    plain, one, again, other = (sf.Network(*parts, seed=seed) for seed in (0, 1, 1, 2))
    assert plain.populations == parts[:3]
    assert plain.projections[0] is parts[3]
    for network in (one, other):
        assert network.parts == parts
        assert not equal(wiring(network.projections[0]), wiring(plain.projections[0]))
        assert not equal(states(network.population("a")), states(a))
        drawn = [n.population("s").source.rate.value for n in (network, plain)]  # pyright: ignore
        assert not np.array_equal(*drawn)
        # The parts of one network belong together.
        for view in (network.projections[0].post, network.stimuli[0].target):
            assert view.population is network.population("b")
        assert network.clamps[0].cells.population is network.population("a")
        assert list(network.stimuli[0].target.cells) == [3, 4]
    assert equal(wiring(one.projections[0]), wiring(again.projections[0]))
    assert not equal(wiring(one.projections[0]), wiring(other.projections[0]))
    assert not equal(states(one.population("a")), states(other.population("a")))


def test_a_neuron_of_mechanisms_is_drawn_anew() -> None:
    leak = sf.catalogue("channels").leak(E=sf.Normal(-65 * mV, 2 * mV))
    neuron = sf.Neuron(1 * uF / cm**2, v=sf.Uniform(-70 * mV, -60 * mV), leak=leak, other=leak)
    population = sf.Population("n", 60, neuron, threshold="v > 0*mV", reset="v = -65*mV")
    drawn = sf.Network(population, seed=3).populations[0]
    assert (drawn.threshold, drawn.reset) == (population.threshold, population.reset)
    assert drawn.equations.text == population.equations.text
    found = [
        values
        for equations in (population.equations, drawn.equations)
        for values in (
            equations.parameters["leak.E"].value,
            equations.parameters["other.E"].value,
            equations.initial["v"].value,
        )
    ]
    for one, other in itertools.combinations(found, 2):
        assert abs(np.corrcoef(one, other)[0, 1]) < 0.5


def test_networks_with_seeds_are_stored_compared_and_pickled(tmp_path: Path) -> None:
    a, b = cells("a"), cells("b")
    parts = a, b, project(a, b)
    network, other = sf.Network(*parts, seed=7), sf.Network(*parts, seed=8)
    network.save(tmp_path / "net")
    copies = (
        sf.load_network(tmp_path / "net"),
        from_json(to_json(network)),
        pickle.loads(pickle.dumps(network)),
    )
    for copy in copies:
        assert copy == network
        assert copy.seed == 7
        assert equal(wiring(copy.projections[0]), wiring(network.projections[0]))
        assert equal(states(copy.populations[1]), states(network.populations[1]))
    drawn = pickle.loads(pickle.dumps(network.projections[0]))
    assert equal(wiring(drawn), wiring(network.projections[0]))
    assert sf.diff(network, other) == ["seed: 7 here, 8 there"]
    assert sf.diff(network, copies[0]) == []


def test_gap_junctions_stay_symmetric() -> None:
    a = cells("a")
    pairs = [(i, j) for i in range(10) for j in range(10) if i != j]
    options = {"weight": sf.Uniform(1 * sf.units.nS, 2 * sf.units.nS)}
    gaps = sf.Projection(a, a, SYNAPSES.gap_junction, sf.FromList(pairs), **options)
    for seed in (0, 3):
        made = sf.Network(a, gaps, seed=seed).projections[0].connections()
        table = made.to_scipy().toarray()
        assert np.array_equal(table, table.T)
        assert len(np.unique(table)) == 46  # 45 pairs, and none


def test_purposes_do_not_meet() -> None:
    found = {
        seed_for(seed, *purpose)
        for seed in (0, 1, 2**63 - 1)
        for purpose in (("a", "b"), ("ab",), ("a b",), ("b", "a"), ("a", "b", ""))
    }
    assert len(found) == 15
    assert all(0 <= seed < 2**63 for seed in found)
    connector = sf.AllToAll()
    assert seeded(connector, 1, "x") is connector
    mine = sf.FixedTotal(3, seed=0)
    assert seeded(mine, 1, "x") is mine


def test_by_itself_nothing_is_drawn_without_a_seed() -> None:
    everybody = np.arange(5), np.arange(5)
    with pytest.raises(MissingValueError, match="by itself it draws with seed="):
        sf.FixedProbability(0.5).connect(*everybody, False)
    with pytest.raises(MissingValueError, match="gets one from the Projection or the Population"):
        sf.Normal(0, 1).draw(everybody, 1)
    with pytest.raises(MissingValueError):
        derive(None)


def test_names_and_seeds_that_cannot_be() -> None:
    a = cells("a")
    for wrong in (-1, 1.5, True, None, "1", 2**63):
        with pytest.raises(WrongTypeError, match="a seed is an integer"):
            sf.Network(a, seed=wrong)  # pyright: ignore[reportArgumentType]
    with pytest.raises(WrongTypeError, match="a seed is an integer"):
        sf.FixedTotal(3, seed=1.5)  # pyright: ignore[reportArgumentType]
    with pytest.raises(UnknownNameError, match=r"no projection 'a_to_b'. Did you mean 'a_to_a'"):
        sf.Network(a, project(a, a)).projection("a_to_b")
    twice = [sf.Stimulus(a, sf.Step(1 * nA), name="same") for _ in range(2)]
    with pytest.raises(NetworkError, match="two parts of the network are called 'same'"):
        sf.Network(a, *twice)
    with pytest.raises(NetworkError, match="cannot name a stimulus"):
        sf.Stimulus(a, sf.Step(1 * nA), name="no name")
