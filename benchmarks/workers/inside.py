"""What the first worker does between two compiled calls, timed in that worker."""

import statistics
import time
from collections.abc import Callable
from typing import Any


def _timed(function: Callable[..., Any], into: list[float]) -> Callable[..., Any]:
    def call(*arguments: Any, **named: Any) -> Any:
        begun = time.perf_counter()
        result = function(*arguments, **named)
        into.append(time.perf_counter() - begun)
        return result

    return call


class Inside:
    """A worker's part, timed where it is the first: what stands where `team.Start` does.

    Args:
        start: What makes the parts.
    """

    def __init__(self, start: Any) -> None:
        self.start = start

    def __call__(self, k: int, count: int) -> Any:
        """Return the part of a worker."""
        from somaflow.simulation import interval  # noqa: PLC0415 - in the worker
        from somaflow.workers import hearing, mpi  # noqa: PLC0415

        parts: dict[str, list[float]] = {"call": [], "pack": [], "gather": [], "unpack": []}
        if k == 0:
            hears, line = hearing.Hearing, mpi._MpiLine
            loop = interval.Interval
            loop.__call__ = _timed(loop.__call__, parts["call"])
            hears.said = _timed(hears.said, parts["pack"])
            hears.hear = _timed(hears.hear, parts["unpack"])
            line.exchanged = _timed(line.exchanged, parts["gather"])
        solution = yield from self.start(k, count)
        if solution is not None:
            n = len(parts["unpack"])
            # Before and after the chunks the workers exchange other things; those are few.
            told = {key: statistics.median(taken[-n:]) for key, taken in parts.items()}
            solution.statistics["boundary"] = told | {"boundaries": n}
        return solution
