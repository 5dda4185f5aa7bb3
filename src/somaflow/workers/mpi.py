"""MPI: carries the messages of workers that a launcher of MPI has started, one process each.

MPI itself waits for ever for a process that hangs, and for one that has raised an exception. So
here nothing blocks: what is begun is asked about until it is done or `patience` is over, and
whatever goes wrong ends all processes.
"""

import faulthandler
import functools
import math
import os
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, NoReturn

import numpy as np

from somaflow.errors import MissingValueError, RunError
from somaflow.workers.exchange import Message, Part, Result

PATIENCE = "SOMAFLOW_PATIENCE"  # the environment variable
FAILED, SILENT = 1, 75  # exit statuses of a job; the second is EX_TEMPFAIL: go on from a checkpoint
INSTALL = "pip install 'somaflow[mpi]'"

_PATIENCE = 600.0  # seconds
_SPIN = 1e-3  # seconds without sleep, in which a worker that is as fast will have come
_RATE = 1e-9  # seconds for a byte: longer messages are waited for without sleep for longer
_SLEEP = 50e-6
# Seconds after which a worker that waits tells the others, and in which they hear of it at the end.
_TELL, _HEAR = 1.0, 2.0
_GAP = 1.0  # seconds: more of them between two looks were this process's own, such as by Ctrl-Z

# The rank and the number of workers, as launchers give them to the processes that they start: those
# of MPICH and Intel MPI, of Open MPI, and srun.
_STARTED = (
    ("PMI_RANK", "PMI_SIZE"),
    ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"),
    ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS"),
)

_yield: Callable[[], object] = getattr(os, "sched_yield", functools.partial(time.sleep, 0))

Tell = Callable[
    [BaseException, int, int], object
]  # of what went wrong, in which worker, of how many


class WorkerSilent(RunError):  # noqa: N818 - what happened, in the user's words
    """Some workers did not answer in time."""


def here(environment: Mapping[str, str] = os.environ) -> tuple[int, int]:
    """Return the number of this worker and how many there are, by what its launcher told it.

    Args:
        environment: The environment of this process.

    Returns:
        (0, 1) where no launcher of MPI has started it.
    """
    for rank, size in _STARTED:
        both = environment.get(rank, ""), environment.get(size, "")
        if both[0].isdigit() and both[1].isdigit():
            return int(both[0]), int(both[1])
    return 0, 1


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


def joined(patience: float | None = None) -> tuple[int, int]:
    """Wait for all workers to come up, and return this one's number and how many there are.

    Where one does not come in time, this process ends with where it was, and with it the job.

    Args:
        patience: For how many seconds to wait; by default as of `patience_of`.

    Raises:
        MissingValueError: There is no mpi4py, or no MPI that it can load.
        RunError: `patience` is no number above 0.
    """
    world = _started(patience_of(patience)).COMM_WORLD
    return world.rank, world.size


def _started(patience: float) -> Any:
    """Return MPI, initialised.

    MPI waits for all workers while Python can do nothing. So a thread that needs no Python has the
    time.
    """
    faulthandler.dump_traceback_later(patience, exit=True)
    try:
        from mpi4py import MPI  # noqa: PLC0415 - optional, and it begins MPI
    except (ImportError, RuntimeError) as error:
        raise MissingValueError(
            f"several workers need MPI and mpi4py, which do not load ({error}); install both by "
            f"{INSTALL}."
        ) from error
    finally:
        faulthandler.cancel_dump_traceback_later()
    return MPI


@functools.cache  # an MPI has some thousand communicators, and a script may have more runs
def _lines(mpi: Any) -> "_Line":
    return _Line(mpi)


def _line(patience: float) -> "_Line":
    """Return the line of this process, when all workers have come to it."""
    mpi = _started(patience)
    faulthandler.dump_traceback_later(patience, exit=True)
    try:
        line = _lines(mpi)
    finally:
        faulthandler.cancel_dump_traceback_later()
    line.patience = patience
    return line


def told(error: BaseException, rank: int, size: int) -> None:
    """Print what went wrong, and in which worker."""
    words = traceback.format_exception(error)
    if isinstance(error, WorkerSilent):
        words = [f"{error}\n"]
    sys.stderr.write(f"\nsomaflow: worker {rank} of {size} ends the run:\n{''.join(words)}")


def carried(part: Part[Result], patience: float | None = None, tell: Tell = told) -> Result:
    """Compute this worker's part of a run; all processes that MPI has started call this.

    An exception in one part ends all processes, also those of a script that was not started by
    `python -m mpi4py`. So does a worker that does not answer.

    Args:
        part: This worker's part.
        patience: For how many seconds workers wait for one another; by default what the environment
            variable SOMAFLOW_PATIENCE says, or 600. It is to be longer than any worker computes
            between two messages.
        tell: Called with what went wrong before the processes are ended.

    Returns:
        What the part returns.

    Raises:
        MissingValueError: There is no mpi4py, or no MPI that it can load.
        RunError: `patience` is no number above 0.
    """
    line = _line(patience_of(patience))
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
        line.end(error, tell)


class _Line:
    """What this worker hears the others by.

    Args:
        mpi: MPI, initialised.

    Attributes:
        patience: For how many seconds to wait for them.
    """

    def __init__(self, mpi: Any) -> None:
        self._mpi = mpi
        self._all = mpi.COMM_WORLD.Dup()
        self._words = mpi.COMM_WORLD.Dup()  # of who waits, which are no messages of a part
        self._rank, self._size = self._all.rank, self._all.size
        self.patience = _PATIENCE
        self._number = 0  # of the exchange
        self._heard = np.full(self._size, -1)  # in which exchange others were last heard to wait
        self._told: list[Any] = []
        if self._size > 1:
            self._end_with_script()

    def _end_with_script(self) -> None:
        """Have an exception that ends the script end all workers; MPI would wait for this one."""
        say = sys.excepthook

        def hook(kind: type[BaseException], error: BaseException, at: TracebackType | None) -> None:
            say(kind, error, at)
            self._abort(FAILED)

        sys.excepthook = hook

    def exchanged(self, message: Message) -> Sequence[bytes]:
        """Return what all say, in their order; an empty list where it is not for this worker.

        Raises:
            WorkerSilent: Some do not answer.
        """
        self._number += 1
        own = np.frombuffer(message.data, np.uint8)
        size, sizes = np.array([own.size]), np.zeros(self._size, np.int64)
        hears = message.to_all or self._rank == 0
        if message.to_all:
            self._wait(self._all.Iallgather(size, sizes), 0)
        else:
            self._wait(self._all.Igather(size, sizes if hears else None), 0)
        ends = np.cumsum(sizes)
        data = np.empty(ends[-1], np.uint8)
        into = [data, (sizes, ends - sizes), self._mpi.BYTE] if hears else None
        if message.to_all:
            self._wait(self._all.Iallgatherv([own, self._mpi.BYTE], into), data.size)
        else:
            self._wait(self._all.Igatherv([own, self._mpi.BYTE], into), max(own.size, data.size))
        if not hears:
            return []
        return [data[end - n : end].tobytes() for n, end in zip(sizes, ends, strict=True)]

    def left(self) -> None:
        """Wait until all have come to their end.

        Raises:
            WorkerSilent: Some do not.
        """
        self._number += 1
        self._wait(self._all.Ibarrier(), 0)
        self._listen()

    def _wait(self, request: Any, size: int) -> None:
        """Ask about a request until it is done; let others have the core while it takes long."""
        if request.Test():
            return
        spin = _SPIN + _RATE * size
        tell = min(_TELL, self.patience)
        waited, told, latest = 0.0, False, time.monotonic()
        while not request.Test():
            now = time.monotonic()
            waited, latest = waited + min(now - latest, _GAP), now
            if waited < spin:
                _yield()
                continue
            time.sleep(_SLEEP)
            if not told and waited > tell:
                self._tell()
                told = True
            if waited > self.patience + _HEAR:
                raise self._silence()

    def _tell(self) -> None:
        """Tell the others that this worker is there and waits."""
        self._listen()
        word = np.array([self._number])
        others = (k for k in range(self._size) if k != self._rank)
        self._told = [request for request in self._told if not request[0].Test()]
        self._told += [(self._words.Isend(word, k), word) for k in others]

    def _listen(self) -> None:
        """Hear which of the others wait."""
        status, word = self._mpi.Status(), np.zeros(1, np.int64)
        while self._words.Iprobe(status=status):
            source = status.Get_source()
            self._words.Recv(word, source)
            self._heard[source] = word[0]

    def _silence(self) -> WorkerSilent:
        """Return that some workers do not answer, and which."""
        self._listen()
        self._heard[self._rank] = self._number
        missing = [str(k) for k in np.flatnonzero(self._heard < self._number)]
        who = f"worker{'s' * (len(missing) > 1)} {', '.join(missing[:20])}"
        who += ", ..." if len(missing) > 20 else ""
        return WorkerSilent(
            f"{who if missing else 'some worker'} of {self._size} did not answer for "
            f"{self.patience:g} s: it hangs, is stopped, or computes for longer than that between "
            "two exchanges. Look at that process and its machine; a run with a store goes on from "
            f"its last checkpoint; {PATIENCE} sets how many seconds workers wait."
        )

    def end(self, error: BaseException, tell: Tell) -> NoReturn:
        """End all processes."""
        try:
            tell(error, self._rank, self._size)
        finally:
            self._abort(SILENT if isinstance(error, WorkerSilent) else FAILED)

    def _abort(self, status: int) -> NoReturn:
        sys.stdout.flush()
        sys.stderr.flush()
        self._all.Abort(status)
        os._exit(status)  # where an MPI returns from that
