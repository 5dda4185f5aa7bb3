"""Networks of one cell: the compiler treats their loops in another way than those of many."""

import numpy as np
import pytest

import somaflow as sf
from somaflow.units import Hz, ms, nA, nS


def lone() -> sf.Population:
    return sf.Population("cell", 1, sf.load("lif"))


def nothing(cell: sf.Population) -> list:
    return []


def clamped(cell: sf.Population) -> list:
    return [sf.CurrentClamp(cell, 0.2 * nA)]


def fed(cell: sf.Population) -> list:
    return [sf.PoissonInput(cell, sf.load("exponential_current"), 500 * Hz, weight=0.1 * nA)]


def heard(cell: sf.Population) -> list:
    source = sf.Population("source", 1, sf.SpikeSourcePoisson(300 * Hz))
    synapse = sf.load("exponential_current")
    return [source, sf.Projection(source, cell, synapse, sf.AllToAll(), weight=0.2 * nA)]


def itself(synapse: str, **more):
    def made(cell: sf.Population) -> list:
        given = {"weight": 1 * nS, **more}
        joined = sf.Projection(cell, cell, sf.load(synapse), sf.AllToAll(), **given)
        return [joined, sf.CurrentClamp(cell, 0.2 * nA)]

    return made


CASES = {
    "alone": nothing,
    "a current": clamped,
    "a Poisson input": fed,
    "a source": heard,
    "a jumping synapse": itself("exponential_conductance"),
    "a late one": itself("exponential_conductance", delay=sf.Uniform(1 * ms, 1.1 * ms, seed=1)),
    "a pulsed synapse": itself("ampa"),
    "a graded synapse": itself("graded_conductance"),
}


@pytest.mark.parametrize("case", CASES)
def test_one_cell_runs_in_both_types_and_they_agree(case: str) -> None:
    found = {}
    for dtype in ("float32", "float64"):
        cell = lone()
        network = sf.Network(cell, *CASES[case](cell))
        found[dtype] = sf.simulate(
            network, 10 * ms, dt=0.1 * ms, dtype=dtype, seed=3, record=[cell["v"], cell.spikes]
        )
    single, double = (run["cell.v"].values for run in found.values())
    assert np.ptp(double) > 0 or case == "alone"
    assert np.allclose(single, double, atol=2e-3)
