"""How many operations a network is traced to, which is what it costs before its first step."""

from typing import Any

import pytest

import somaflow as sf
from somaflow.numerics import programs
from somaflow.simulation import loop
from somaflow.units import Hz, cm, mS, ms, mV, nA, uF

_LOOPS = ("While", "StatelessWhile")


class _TracedError(Exception):
    """Ends a run before XLA compiles."""


def traced(
    monkeypatch: pytest.MonkeyPatch, network: sf.Network, solver: Any, record: Any = ()
) -> Any:
    """Return the graph of a run's loop."""
    graphs = []
    real: Any = loop.traced

    def stop(*arguments: Any) -> Any:
        graphs.append(real(*arguments).graph.as_graph_def())
        raise _TracedError

    programs.clear()
    with monkeypatch.context() as patch, pytest.raises(_TracedError):
        patch.setattr(loop, "traced", stop)
        sf.simulate(network, 1 * ms, dt=0.1 * ms, solver=solver, record=list(record))
    return graphs[0]


def operations(monkeypatch: pytest.MonkeyPatch, network: sf.Network, solver: Any = None) -> int:
    graph = traced(monkeypatch, network, solver or sf.ExponentialEuler())
    return len(graph.node) + sum(len(f.node_def) for f in graph.library.function)


def lifs(count: int) -> list[sf.Population]:
    return [sf.Population(f"p{i}", 10, sf.load("lif"), refractory=2 * ms) for i in range(count)]


def joined(count: int, delays: bool) -> sf.Network:
    a, b = lifs(2)
    return sf.Network(
        *(a, b),
        *(
            sf.Projection(
                *(a, b, sf.load("exponential_current"), sf.AllToAll(), 0.1 * nA),
                name=f"q{i}",
                delay=(1 + i) * ms if delays else 0 * ms,
            )
            for i in range(count)
        ),
    )


def conductances() -> sf.Network:
    """Three cells of seven currents, joined by graded synapses."""
    channels, density = sf.catalogue("channels"), mS / cm**2
    cells = [
        sf.Population(
            f"c{i}",
            1,
            sf.Neuron(
                1 * uF / cm**2,
                na=channels.na_traub1991(g=100 * density),
                k=channels.k_traub1991(g=10 * density),
                ka=channels.ka(g=10 * density),
                ca=channels.ca(g=3 * density),
                kca=channels.kca(g=0.3 * density),
                pool=sf.load("ca_decay")(tau=150 * ms),
                leak=channels.leak(g=0.15 * density, E=-55 * mV),
            ),
            threshold="v > 0*mV",
        )
        for i in range(3)
    ]
    graded = sf.load("graded_conductance_density")
    pairs = [(a, b) for a in cells for b in cells if a is not b]
    synapses = [sf.Projection(a, b, graded, name=f"g{i}") for i, (a, b) in enumerate(pairs)]
    return sf.Network(*cells, *synapses)


def test_exponential_euler_is_traced_to_little_more_than_euler(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    network = conductances()
    euler = operations(monkeypatch, network, sf.Euler())
    assert operations(monkeypatch, network) < 1.5 * euler


def test_a_further_population_is_traced_to_some_operations(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    few, many = (operations(monkeypatch, sf.Network(*lifs(n))) for n in (2, 12))
    assert many - few <= 10 * 70


@pytest.mark.parametrize(("delays", "most"), [(False, 13), (True, 20)])
def test_a_further_projection_is_traced_to_some_operations(
    monkeypatch: pytest.MonkeyPatch, delays: bool, most: int
) -> None:
    few, many = (operations(monkeypatch, joined(n, delays)) for n in (2, 7))
    assert many - few <= 5 * most


def test_no_tensor_passes_from_the_inner_loop_to_the_end_of_the_outer_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """For each that does, TensorFlow reads the whole inner loop again."""
    graph = traced(monkeypatch, sf.Network(*lifs(2)), sf.ExponentialEuler())
    outer = [f for f in graph.library.function if any(n.op in _LOOPS for n in f.node_def)]
    assert outer
    for function in outer:
        nodes = {node.name: node for node in function.node_def}
        for value in function.ret.values():
            node = nodes.get(value.split(":")[0])
            while node is not None and node.op in ("Identity", "IdentityN"):
                node = nodes.get(node.input[0].split(":")[0])
            assert node is None or node.op not in _LOOPS


def test_what_looks_at_a_state_draws_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The numbers of spikes and of noise are drawn where a step needs them, and nowhere else."""
    cells = lifs(1)[0]
    spikes = sf.PoissonInput(
        cells, sf.load("exponential_current"), rate=100 * Hz, weight=0.1 * nA, name="in"
    )
    network = sf.Network(cells, spikes)
    graphs = [traced(monkeypatch, network, sf.Euler(), some) for some in ([], [cells["v"]])]
    drawn = [
        sum(n.op == "Exp" or "threefry" in n.attr["f"].func.name for n in nodes)
        for nodes in (
            [*g.node, *(n for f in g.library.function for n in f.node_def)] for g in graphs
        )
    ]
    assert drawn[0] == drawn[1] > 0
