"""MPI: carries the messages of workers that a launcher of MPI has started, one process each.

MPI itself waits for ever for a process that hangs, and for one that has raised an exception. So
here nothing blocks: what is begun is asked about until it is done or `patience` is over.
"""

import functools
import os
import sys
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, NoReturn

import numpy as np

from somaflow.errors import MissingValueError
from somaflow.workers.carrying import FAILED, PATIENCE, WorkerSilent, bounded, patience_of
from somaflow.workers.exchange import Message

INSTALL = "pip install 'somaflow[mpi]'"

_HOT = 1e-4  # seconds without giving the core to others
_SPIN = 1e-3  # seconds without sleep, in which a worker that is as fast will have come
_RATE = 1e-9  # seconds for a byte: longer messages are waited for without sleep for longer
_SLEEP = 50e-6
# Seconds after which a worker that waits tells the others, and in which they hear of it at the end.
_TELL, _HEAR = 1.0, 2.0
_GAP = 1.0  # seconds: more of them between two looks were this process's own, such as by Ctrl-Z

_yield: Callable[[], object] = getattr(os, "sched_yield", functools.partial(time.sleep, 0))


def joined(within: float) -> tuple[int, int]:
    """Wait for all workers to come up, and return this one's number and how many there are.

    Where one does not come in time, this process ends with where it was, and with it the job.

    Args:
        within: For how many seconds to wait.

    Raises:
        MissingValueError: There is no mpi4py, or no MPI that it can load.
    """
    world = _started(within).COMM_WORLD
    return world.rank, world.size


def _started(patience: float) -> Any:
    """Return MPI, initialised, which it is when all workers have come."""
    try:
        with bounded(patience):
            from mpi4py import MPI  # noqa: PLC0415 - optional, and it begins MPI
    except (ImportError, RuntimeError) as error:
        raise MissingValueError(
            f"several workers need MPI and mpi4py, which do not load ({error}); install both by "
            f"{INSTALL}."
        ) from error
    return MPI


@functools.cache  # an MPI has some thousand communicators, and a script may have more runs
def _lines(mpi: Any) -> "_MpiLine":
    return _MpiLine(mpi)


def line(patience: float) -> "_MpiLine":
    """Return the line of this process, when all workers have come to it."""
    mpi = _started(patience)
    with bounded(patience):
        line = _lines(mpi)
    line.patience = patience
    return line


class _MpiLine:
    """What this worker hears the others by.

    Args:
        mpi: MPI, initialised.

    Attributes:
        rank: The number of this worker.
        size: How many there are.
        patience: For how many seconds to wait for the others.
    """

    def __init__(self, mpi: Any) -> None:
        self._mpi = mpi
        self._all = mpi.COMM_WORLD.Dup()
        self._words = mpi.COMM_WORLD.Dup()  # of who waits, which are no messages of a part
        self.rank, self.size = self._all.rank, self._all.size
        self.patience = patience_of(None)
        self._number = 0  # of the exchange
        self._heard = np.full(self.size, -1)  # in which exchange others were last heard to wait
        self._told: list[Any] = []
        if self.size > 1:
            self._end_with_script()

    def _end_with_script(self) -> None:
        """Have an exception that ends the script end all workers; MPI would wait for this one."""
        say = sys.excepthook

        def hook(kind: type[BaseException], error: BaseException, at: TracebackType | None) -> None:
            say(kind, error, at)
            self.abort(FAILED)

        sys.excepthook = hook

    def exchanged(self, message: Message) -> Sequence[bytes]:
        """Return what all say, in their order; an empty list where it is not for this worker.

        Raises:
            WorkerSilent: Some do not answer.
        """
        self._number += 1
        own = np.frombuffer(message.data, np.uint8)
        size, sizes = np.array([own.size]), np.zeros(self.size, np.int64)
        hears = message.to_all or self.rank == 0
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
                if waited > _HOT:
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
        others = (k for k in range(self.size) if k != self.rank)
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
        self._heard[self.rank] = self._number
        missing = [str(k) for k in np.flatnonzero(self._heard < self._number)]
        who = f"worker{'s' * (len(missing) > 1)} {', '.join(missing[:20])}"
        who += ", ..." if len(missing) > 20 else ""
        return WorkerSilent(
            f"{who if missing else 'some worker'} of {self.size} did not answer for "
            f"{self.patience:g} s: it hangs, is stopped, or computes for longer than that between "
            "two exchanges. Look at that process and its machine; a run with a store goes on from "
            f"its last checkpoint; {PATIENCE} sets how many seconds workers wait."
        )

    def abort(self, status: int) -> NoReturn:
        """End all processes."""
        sys.stdout.flush()
        sys.stderr.flush()
        self._all.Abort(status)
        os._exit(status)  # where an MPI returns from that
