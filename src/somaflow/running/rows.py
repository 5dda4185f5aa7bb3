"""Rows: several runs of one structure in one compiled program."""

from collections.abc import Sequence

from somaflow.errors import SomaflowError
from somaflow.running.execution import execute, prepare
from somaflow.running.job import Job
from somaflow.running.side_by_side import side_by_side
from somaflow.running.uncoupled import members_of
from somaflow.storage.sinks import MemorySink
from somaflow.storage.solution import Solution


def rows_of(job: Job) -> int:
    """Return how many runs like this one are best computed in one program.

    Args:
        job: One of them.
    """
    return members_of(job) or 1


def run_together(jobs: Sequence[Job], rows: int) -> list[Solution | SomaflowError]:
    """Run several jobs, those that can be as rows of one program.

    A run has the same bits whichever others are beside it, and however many.

    Args:
        jobs: The runs; they share duration, step, method and dtype.
        rows: How many are computed in one program; where there are fewer, it is filled up, so that
            nothing is compiled anew.

    Returns:
        Of each its recordings, in memory; or why it has none, where it failed.
    """
    results = side_by_side(jobs, rows)
    for place, job in enumerate(jobs):
        if place not in results:
            try:
                results[place] = execute(prepare(job), MemorySink(), False)
            except SomaflowError as error:
                results[place] = error
    return [results[place] for place in range(len(jobs))]
