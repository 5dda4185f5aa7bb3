"""The compiled loop is compiled once."""

from collections.abc import Callable

import numpy as np
import pytest

import somaflow as sf
from somaflow.numerics import programs
from somaflow.simulation import chunks
from somaflow.units import ms, nA, nS

CELLS = sf.Population("cells", 40, sf.load("lif"), refractory=1 * ms)
HALF = sf.FixedProbability(0.5, seed=1)

PROJECTIONS: dict[str, Callable[[], sf.Projection]] = {
    "a delay": lambda: sf.Projection(
        CELLS, CELLS, sf.load("exponential_current"), HALF, 0.01 * nA, delay=1 * ms
    ),
    "delays that differ": lambda: sf.Projection(
        CELLS,
        CELLS,
        sf.load("exponential_current"),
        HALF,
        0.01 * nA,
        delay=sf.Uniform(0.5 * ms, 2 * ms, seed=1),
    ),
    "plastic synapses": lambda: sf.Projection(
        CELLS, CELLS, sf.load("stdp_pair_all_to_all"), HALF, 1 * nS
    ),
}


@pytest.mark.parametrize("make", PROJECTIONS.values(), ids=PROJECTIONS.keys())
def test_later_chunks_are_not_compiled_again(
    make: Callable[[], sf.Projection], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Forty chunks took as long as forty compilations where an index depended on an argument."""
    programs.clear()
    monkeypatch.setattr(chunks, "_CHUNK_STEPS", 10)
    clamp = sf.CurrentClamp(CELLS, np.linspace(1.6, 4, 40) * nA)
    run = sf.simulate(
        sf.Network(CELLS, make(), clamp),
        40 * ms,
        dt=0.1 * ms,
        solver=sf.Euler(),
        record=[CELLS.spikes, CELLS["v"].every(1 * ms)],
    )
    assert len(run["cells.spikes"]) > 20
    assert run.statistics["run_seconds"] < 3 * run.statistics["compile_seconds"]
