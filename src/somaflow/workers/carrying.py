"""Carrying: computes a worker's part of a run, and carries its messages, whoever does that.

Whatever goes wrong in one worker ends all: the others would wait for it.
"""

from __future__ import annotations

import faulthandler
import json
import math
import os
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

from somaflow.errors import RunError
from somaflow.quiet import late
from somaflow.workers.exchange import Message, Part, Result

if TYPE_CHECKING:
    from somaflow.workers import collectives, mpi
else:  # each loads what carries
    collectives, mpi = map(late, ("somaflow.workers.collectives", "somaflow.workers.mpi"))

PATIENCE = "SOMAFLOW_PATIENCE"  # the environment variable
FAILED, SILENT = 1, 75  # exit statuses; the second is EX_TEMPFAIL: go on from a checkpoint

_PATIENCE = 600.0  # seconds
_CLUSTER = "TF_CONFIG"

# Told what went wrong, in which worker, and how many there are.
Tell = Callable[[BaseException, int, int], object]

# The rank and the number of workers, as launchers give them to the processes that they start: those
# of MPICH and Intel MPI, of Open MPI, and srun.
_STARTED = (
    ("PMI_RANK", "PMI_SIZE"),
    ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"),
    ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS"),
)


# The number among the workers of one machine, by the same launchers.
_STARTED_HERE = ("MPI_LOCALRANKID", "OMPI_COMM_WORLD_LOCAL_RANK", "SLURM_LOCALID")


class Line(Protocol):
    """What a worker hears the others by.

    Attributes:
        rank: The number of this worker.
        size: How many there are.
    """

    rank: int
    size: int

    def exchanged(self, message: Message) -> Sequence[bytes]:
        """Return what all say, in their order; an empty list where it is not for this worker.

        Raises:
            WorkerSilent: Some do not answer.
        """
        ...

    def left(self) -> None:
        """Wait until all have come to their end.

        Raises:
            WorkerSilent: Some do not.
        """
        ...

    def abort(self, status: int) -> NoReturn:
        """End all processes."""
        ...


class WorkerSilent(RunError):  # noqa: N818 - what happened, in the user's words
    """Some workers did not answer in time."""


def here(environment: Mapping[str, str] = os.environ) -> tuple[int, int]:
    """Return the number of this worker and how many there are, by what its launcher told it.

    Args:
        environment: The environment of this process.

    Returns:
        (0, 1) where neither a launcher of MPI has started it nor TF_CONFIG names others.
    """
    found = of_cluster(environment)
    if found[1] > 1:
        return found
    for rank, size in _STARTED:
        both = environment.get(rank, ""), environment.get(size, "")
        if both[0].isdigit() and both[1].isdigit():
            return int(both[0]), int(both[1])
    return 0, 1


def local_rank(environment: Mapping[str, str] = os.environ) -> int:
    """Return the number of this worker among those of its machine, by what it was told.

    Args:
        environment: The environment of this process.

    Returns:
        0 where nobody told it.
    """
    rank, size = of_cluster(environment)
    if size > 1:
        told = json.loads(environment[_CLUSTER])["cluster"]
        hosts = [
            name.rpartition(":")[0] for kind in ("chief", "worker") for name in told.get(kind, ())
        ]
        return hosts[:rank].count(hosts[rank])
    known = (environment.get(name, "") for name in _STARTED_HERE)
    return next((int(number) for number in known if number.isdigit()), 0)


def of_cluster(environment: Mapping[str, str] = os.environ) -> tuple[int, int]:
    """Return the number of this worker and how many there are, by TF_CONFIG; (0, 1) without it."""
    try:
        told = json.loads(environment.get(_CLUSTER) or "{}")
        cluster, task = told.get("cluster", {}), told.get("task", {})
        chiefs, workers = len(cluster.get("chief", ())), len(cluster.get("worker", ()))
        if chiefs + workers < 2:
            return 0, 1
        return chiefs * (task["type"] == "worker") + int(task["index"]), chiefs + workers
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise RunError(
            f"{_CLUSTER} cannot be read ({type(error).__name__}: {error}); it is JSON such as "
            '{"cluster": {"worker": ["host1:2222", "host2:2222"]}, '
            '"task": {"type": "worker", "index": 0}}.'
        ) from error


def patience_of(patience: float | None, environment: Mapping[str, str] = os.environ) -> float:
    """Return for how many seconds workers wait for one another.

    Args:
        patience: As given; None stands for what `SOMAFLOW_PATIENCE` says, or 600 s.
        environment: The environment of this process.

    Raises:
        RunError: It is no number above 0.
    """
    text = environment.get(PATIENCE) if patience is None else patience
    try:
        value = _PATIENCE if text is None else float(text)
    except (TypeError, ValueError):
        value = math.nan
    if not value > 0:
        name = PATIENCE if patience is None else "patience"
        raise RunError(f"{name} is a number of seconds above 0, such as 600, not {text!r}.")
    return value


@contextmanager
def bounded(patience: float) -> Iterator[None]:
    """End this process, with where it was, where something takes longer.

    What waits for the other workers to come up may let Python do nothing meanwhile. So a thread
    that needs no Python has the time.
    """
    if not math.isinf(patience):
        faulthandler.dump_traceback_later(patience, exit=True)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()


def told(error: BaseException, rank: int, size: int) -> None:
    """Print what went wrong, and in which worker."""
    words = traceback.format_exception(error)
    if isinstance(error, WorkerSilent):
        words = [f"{error}\n"]
    sys.stderr.write(f"\nsomaflow: worker {rank} of {size} ends the run:\n{''.join(words)}")


def carried(part: Part[Result], patience: float | None = None, tell: Tell = told) -> Result:
    """Compute this worker's part of a run; all processes of the run call this.

    MPI carries the messages, or TensorFlow's own collectives where TF_CONFIG names several workers.
    An exception in one part ends all processes, also those of a script that was not started by
    `python -m mpi4py`. So does a worker that does not answer.

    Args:
        part: This worker's part.
        patience: For how many seconds workers wait for one another; by default what the environment
            variable SOMAFLOW_PATIENCE says, or 600. It is to be longer than any worker computes
            between two messages, or comes later than the others.
        tell: Called with what went wrong before the processes are ended.

    Returns:
        What the part returns.

    Raises:
        MissingValueError: There is no mpi4py, or no MPI that it can load.
        RunError: `patience` is no number above 0, TF_CONFIG cannot be read, or it names several
            workers and TensorFlow has computed something in this process before.
    """
    by = mpi if of_cluster()[1] == 1 else collectives
    line: Line = by.line(patience_of(patience))
    try:
        heard: Any = None
        while True:
            try:
                message = part.send(heard)
            except StopIteration as end:
                line.left()
                return end.value
            heard = line.exchanged(message)
    except BaseException as error:  # also SystemExit and Ctrl-C: the others would wait for ever
        try:
            tell(error, line.rank, line.size)
        finally:
            line.abort(SILENT if isinstance(error, WorkerSilent) else FAILED)
