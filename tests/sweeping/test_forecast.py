"""How long a sweep takes follows from two cuts of its first task."""

from dataclasses import dataclass
from typing import Any

import pytest

import somaflow as sf
from somaflow.settings import positive
from somaflow.sweeping import forecast as module
from somaflow.sweeping import sweep as facade
from somaflow.sweeping.forecast import forecast
from somaflow.sweeping.task import Outcome, Task
from somaflow.units import ms, nA


@dataclass
class Clock:
    """A machine: 10 s to compile, then 0.5 s for a task and 0.25 s more for each ms of it."""

    now: float = 0.0
    compiled: tuple[float, ...] = ()

    def perf_counter(self) -> float:
        return self.now

    def compute(self, task: Task) -> list[Outcome]:
        duration = positive(task.settings.duration, "duration")
        fresh = duration not in self.compiled
        self.compiled += (duration,)
        self.now += 0.5 + 0.25 * duration + 10 * fresh
        return [Outcome(number, None, "", fresh, "") for number in task.numbers]


def asked(model: sf.Network, batch: int | None) -> Any:
    many: Any = {"cells.I": [k / 10 for k in range(10)] * nA}
    return facade.asked(
        model, many, 1000 * ms, 0.5 * ms, None, "float64", 0, None, (), None, "rate", batch, None,
        None, False,
    )  # fmt: skip


@pytest.mark.parametrize(("processes", "in_turn"), [(1, 3), (2, 2), (3, 1)])
def test_members_of_one_program_are_timed_together(
    processes: int, in_turn: int, leaky: sf.Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    monkeypatch.setattr(module, "compute", clock.compute)
    found = forecast(asked(leaky, 4), processes, 1.0, 1.0)
    assert (found.rows, found.compile_seconds) == (4, 10)
    assert found.run_seconds == pytest.approx(in_turn * (0.5 + 0.25 * 1000), rel=1e-12)


def test_members_computed_one_by_one_take_what_a_run_alone_takes(
    leaky: sf.Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "time", Clock())
    assert forecast(asked(leaky, 1), 4, 2.0, 7.0) == (1, 2.0, 3 * 7.0)
