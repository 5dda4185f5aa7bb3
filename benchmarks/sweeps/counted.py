"""A pool that counts: how many tasks, how many compiled, and in which processes."""

from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from somaflow import Processes
from somaflow.sweeping.task import Task


class Counted(Processes):
    """The pool that `sf.sweep` has by default, and what its processes told.

    Args:
        workers: How many processes.

    Attributes:
        tasks: How many tasks came back.
        compiled: How many of them compiled something.
        rows: The largest number of rows of a task.
        processes: Which processes computed something.
    """

    def __init__(self, workers: int) -> None:
        super().__init__(workers)
        self.tasks = self.compiled = self.rows = 0
        self.processes: set[str] = set()

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Have a function called in a worker process, and count what comes of it."""
        future = super().submit(fn, *args, **kwargs)
        if any(isinstance(one, Task) for one in args):
            self.rows = max([self.rows, *(one.rows for one in args if isinstance(one, Task))])
            future.add_done_callback(self._count)
        return future

    def _count(self, future: Future[Any]) -> None:
        if future.cancelled() or future.exception() is not None:
            return
        outcomes = future.result()
        self.tasks += 1
        self.compiled += any(one.compiled for one in outcomes)
        self.processes |= {one.process for one in outcomes}
