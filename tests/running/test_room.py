"""Room: a cache on a processor, memory on a GPU."""

import numpy as np
import pytest
import tensorflow as tf

import somaflow as sf
from somaflow.running import room
from somaflow.running.arguments import read
from somaflow.running.job import Job, job_of
from somaflow.running.room import CPU, room_here
from somaflow.running.rows import rows_of, run_together
from somaflow.storage.solution import Solution
from somaflow.units import ms, mV, nA, nS


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in for a GPU, beside which a gigabyte of memory is free."""
    monkeypatch.setattr(tf.config, "get_visible_devices", lambda kind: [kind])
    monkeypatch.setattr(room, "available_bytes", lambda: 1 << 30)


def job(network: sf.Network, every: float) -> Job:
    record = [network.populations[0]["v"].every(every * ms)]
    return job_of(read(network, 10 * ms, 0.1 * ms, None, "float64", 0, record, {}, None, None))


def chain(n: int) -> sf.Network:
    """Cells that meet: each acts on all, by n*n weights."""
    text = "dv/dt = (-65*mV - v + R*I)/(20*ms) : mV\nI : nA"
    cells = sf.Population("cells", n, sf.Equations.parse(text, R=10 * mV / nA, v=-60 * mV))
    weight = np.linspace(1, 9, n * n).reshape(n, n) * nS
    graded = sf.Projection(cells, cells, sf.load("graded_conductance"), weight=weight)
    return sf.Network(cells, graded)


def test_without_a_gpu_it_is_that_of_a_cache() -> None:
    assert room_here() is CPU


def test_cells_side_by_side_fill_memory(gpu: None) -> None:
    cells = sf.Population("cells", 2, sf.load("lif"))
    stored = job(sf.Network(cells), 0.1)
    assert rows_of(stored) == 512
    assert rows_of(stored, room_here()) == (1 << 27) // (8 * 2 * 101)
    assert rows_of(job(sf.Network(cells), 10), room_here()) == (2 << 30) // 1300 // 2


def test_rows_fill_memory_and_weights_do_not_forbid_them(gpu: None) -> None:
    large = chain(50)  # 20 kB of weights
    assert rows_of(job(large, 0.1)) == 1
    rows = rows_of(job(large, 0.1), room_here())
    assert rows == 2048  # recordings of 40 kB each, a power of 2
    assert rows_of(job(chain(5), 10), room_here()) > 1 << 16


def test_whether_runs_are_rows_depends_on_no_memory(
    gpu: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = job(chain(50), 0.1)
    wanted = run_together([run, run], 2)
    monkeypatch.setattr(room, "available_bytes", lambda: 1 << 10)
    assert rows_of(run, room_here()) == 2
    for one, other in zip(run_together([run, run], 2), wanted, strict=True):
        assert isinstance(one, Solution) and isinstance(other, Solution)
        assert one["cells.v"].values.tobytes() == other["cells.v"].values.tobytes()
