"""Rows: several runs of one structure in one compiled program."""

from collections.abc import Sequence

from somaflow.errors import SomaflowError
from somaflow.running.execution import execute, prepare
from somaflow.running.job import Job
from somaflow.storage.sinks import MemorySink
from somaflow.storage.solution import Solution


def rows_of(job: Job) -> int:
    """Return how many runs like this one are best computed in one program.

    Args:
        job: One of them.
    """
    del job
    return 1


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
    del rows
    results: list[Solution | SomaflowError] = []
    for job in jobs:
        try:
            results.append(execute(prepare(job), MemorySink(), False))
        except SomaflowError as error:
            results.append(error)
    return results
