"""Asked: how many workers a run is asked for, known before TensorFlow is loaded."""

import sys

from somaflow.errors import RunError
from somaflow.given import is_whole, shown
from somaflow.workers.carrying import here


def number_of(workers: object) -> int:
    """Return how many workers compute a run.

    Args:
        workers: As given; None for as many as a launcher has started.

    Raises:
        RunError: It is no number of workers, or another one than was started.
    """
    count = 1 if _members_elsewhere() else here()[1]
    if workers is None:
        return count
    if not is_whole(workers) or not isinstance(workers, int) or workers < 1:
        raise RunError(f"workers is a whole number of processes from 1 on, not {shown(workers)}.")
    if 1 not in (workers, count) and workers != count:
        raise RunError(
            f"workers={workers}, but a launcher has started {count}; leave workers out, or give 1 "
            "for a run of each process by itself."
        )
    return workers


def _members_elsewhere() -> bool:
    """Tell whether the processes that a launcher has started compute tasks of an executor."""
    return "mpi4py.futures" in sys.modules
