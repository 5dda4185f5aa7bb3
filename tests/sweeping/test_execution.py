"""Execution: which pool computes, and how much at once."""

from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Any

import pytest
import tensorflow as tf

import somaflow as sf
from somaflow.sweeping import execution
from somaflow.sweeping.schedule import run
from somaflow.units import ms, nA


class Used:
    """Notes which pools are begun for a sweep, and how many members their tasks have."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, here: Executor) -> None:
        self.pools: list[str] = []
        self.tasks: list[int] = []
        self.here = here
        monkeypatch.setattr(execution, "Processes", self.processes)
        monkeypatch.setattr(execution, "ThreadPoolExecutor", self.thread)
        monkeypatch.setattr(execution, "run", self.run)

    def processes(self, count: int | None) -> Any:
        self.pools.append(f"processes {count}")
        return self.here

    def thread(self, count: int) -> Any:
        self.pools.append(f"threads {count}")
        return ThreadPoolExecutor(count)

    def run(self, tasks: Iterator[Any], *args: Any, **kwargs: Any) -> Any:
        tasks = list(tasks)
        self.tasks += [len(task.numbers) for task in tasks]
        return run(tasks, *args, **kwargs)


@pytest.fixture
def used(monkeypatch: pytest.MonkeyPatch, here: Executor) -> Used:
    return Used(monkeypatch, here)


def see(monkeypatch: pytest.MonkeyPatch, gpus: int) -> None:
    """Stand in for what TensorFlow says of GPUs."""
    monkeypatch.setattr(tf.config, "get_visible_devices", lambda kind: [kind] * gpus)


def swept(pool: Any, batch: int | None = None) -> Any:
    cells = sf.Population("cells", 1, sf.load("lif"))
    clamp = sf.Stimulus(cells, sf.Step(1 * nA), name="clamp")
    vary = {"clamp.amplitude": [1, 2, 3] * nA, "seed": range(400)}
    return sf.sweep(
        sf.Network(cells, clamp), vary, 5 * ms, dt=0.5 * ms, reduce="count", pool=pool,
        batch=batch, progress=False,
    )  # fmt: skip


def test_on_a_gpu_the_batch_is_the_pool(used: Used, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = swept(None)
    assert used.pools == ["processes None"] and used.tasks == [1024, 176]
    see(monkeypatch, 1)
    found = swept(None)
    assert used.pools[1:] == ["threads 1"] and used.tasks[2:] == [1200]
    assert found.identical(wanted)
    swept(None, batch=700)
    assert used.tasks[3:] == [700, 500]


def test_a_gpu_that_is_hidden_changes_nothing_nor_does_a_pool_of_the_users_own(
    used: Used, monkeypatch: pytest.MonkeyPatch, here: Executor
) -> None:
    see(monkeypatch, 0)
    swept(None)
    see(monkeypatch, 1)
    swept(2)
    swept(here)
    assert used.pools == ["processes None", "processes 2"]
    assert used.tasks == [1024, 176, 1200, 1200]


def test_a_pool_of_unknown_size_gets_no_task_of_all(
    used: Used, monkeypatch: pytest.MonkeyPatch, here: Executor
) -> None:
    """As that of dask: its workers may have no GPU, and are several."""
    see(monkeypatch, 1)
    monkeypatch.delattr(type(here), "_max_workers")
    swept(here)
    assert used.tasks == [1024, 176]
