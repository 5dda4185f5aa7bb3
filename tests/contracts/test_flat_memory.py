"""Memory does not grow with the length of a run."""

from pathlib import Path

import numpy as np
import pytest

import somaflow as sf
from somaflow.simulation import chunks
from somaflow.units import ms, nA

MIB = 1 << 20


def test_memory_is_flat_over_two_hundred_chunks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The recordings of the last 150 are 60 MB."""
    monkeypatch.setattr(chunks, "_CHUNK_STEPS", 500)
    cells = sf.Population("cells", 100, sf.load("lif"))
    network = sf.Network(cells, sf.CurrentClamp(cells, np.linspace(1, 4, 100) * nA))
    seen: list[sf.Progress] = []
    sf.simulate(
        network,
        10_000 * ms,
        dt=0.1 * ms,
        record=[cells.spikes, cells["v"]],
        sink=tmp_path / "a.zarr",
        checkpoint=500 * ms,
        progress=seen.append,
    )
    assert len(seen) == 200
    assert seen[-1].memory - seen[49].memory < 20 * MIB
