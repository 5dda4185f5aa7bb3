"""Launch: workers on this machine, which MPI starts for this process.

A job has a folder of its own, in which its workers leave how they are: files written whole. What is
not there in time is missing, and nobody waits for ever.
"""

import contextlib
import json
import os
import pickle
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from pathlib import Path
from typing import Any, TextIO

from somaflow.errors import Interrupted, RunError, SomaflowError
from somaflow.running.child import WorkerLost, ended, on_one_core
from somaflow.running.signals import stoppable
from somaflow.workers import serve
from somaflow.workers.carrying import WorkerSilent, here, patience_of
from somaflow.workers.found import Mpi, find

# A worker has this process's search path, not the folder it is started in.
_BEGIN = (
    "import json, sys; sys.path[:] = json.load(open(sys.argv[1] + '/path', encoding='utf-8')); "
    "from somaflow.workers.serve import main; main(sys.argv[1])"
)
_START = 60.0  # seconds in which all workers come up
_TIDY = 30.0  # seconds that workers have after a signal
_END = 5.0  # seconds in which a launcher ends what is left of a job
_LOOK = 0.1  # seconds
_LAST_LINES, _LINE = 12, 200  # lines that are kept, and characters of each

# What launchers say of a job that has ended badly, which is said here in other words.
_OF_LAUNCHERS = re.compile(
    r"={83}$|=   |YOUR APPLICATION TERMINATED|This typically refers to a problem|"
    r"Please see the FAQ|Abort\(\d+\) on node|application called MPI_Abort|\[mpiexec@|"
    r"signal \d+ \([\w ]+\)\.$"
)
# The process that a launcher says ended first, by its number or its worker's.
_FIRST = re.compile(r"=   PID (?P<pid>\d+) RUNNING AT|[Pp]rocess rank (?P<rank>\d+) with PID")
_STATUS = re.compile(r"=   EXIT CODE: (\d+)")
_SIGNALS = 128  # exit statuses above it are of signals


def launch(
    count: int,
    payload: bytes,
    *,
    patience: float | None = None,
    start: float = _START,
    mpi: Mpi | None = None,
) -> Any:
    """Compute the parts of a run in worker processes on this machine, one core each.

    Ctrl-C and SIGTERM are passed on to the workers, which may end tidily within 30 s; a second one
    ends them at once. What they print comes out here.

    Args:
        count: How many workers.
        payload: A pickle (`running.pickles.packed`) of a callable `make(number, count)`, which
            returns the part of a worker.
        patience: For how many seconds workers wait for one another, as of `carrying.carried`.
        start: Seconds in which all workers are to come up.
        mpi: What starts them; by default what `find` finds.

    Returns:
        What the part of the first worker returns.

    Raises:
        MissingValueError: There is no MPI.
        WorkerLost: A worker was killed, or one did not come up.
        WorkerSilent: Some did not answer.
        Interrupted: A signal ended the workers before they had a result.
        RunError: `patience` is no number above 0, this process is itself one of several workers, or
            what they are to do cannot be written.
        BaseException: Whatever one of the parts raises, with its traceback as a note.
    """
    patience = patience_of(patience)
    if here()[1] > 1:
        raise RunError(
            f"this process is worker {here()[0]} of {here()[1]} already, which a launcher has "
            "started; it does not start others. Leave `workers` out."
        )
    mpi = find() if mpi is None else mpi
    wishes: list[int] = []
    with (
        tempfile.TemporaryDirectory(prefix="somaflow-", ignore_cleanup_errors=True) as place,
        stoppable(wishes.append),
    ):
        folder = Path(place)
        terms = pickle.dumps((os.getpid(), count, start, patience))
        try:
            (folder / serve.PATH).write_text(json.dumps(sys.path), encoding="utf-8")
            (folder / serve.PAYLOAD).write_bytes(payload)
            (folder / serve.TERMS).write_bytes(terms)
        except OSError as error:
            raise RunError(
                f"what workers are to do cannot be written to {place}: {error.strerror or error}; "
                "TMPDIR sets another place."
            ) from error
        job = _Job(folder, count, mpi)
        try:
            job.wait(wishes, start)
        finally:
            job.end()
        return job.result(wishes)


class _Job:
    """Workers and their launcher.

    Args:
        folder: Where they leave how they are.
        count: How many.
        mpi: What starts them.

    Raises:
        WorkerLost: The system begins no process.
    """

    def __init__(self, folder: Path, count: int, mpi: Mpi) -> None:
        self._folder, self._count = folder, count
        self._lines: deque[str] = deque(maxlen=_LAST_LINES)
        self._of_launcher: list[str] = []
        self._gone: list[int] = []  # who was seen to have ended first
        own = [sys.executable, "-P", "-c", _BEGIN, str(folder)]
        try:
            self._process = subprocess.Popen(
                [*mpi.command(count), *own],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=on_one_core(mpi.environment(os.environ)),
                text=True,
                errors="replace",
                start_new_session=True,  # so that Ctrl-C comes to this process alone
            )
        except OSError as error:
            raise WorkerLost(f"the system does not begin {mpi.launcher}: {error}") from error
        self._hearing = [
            threading.Thread(target=self._hear, args=(name,), daemon=True)
            for name in ("stdout", "stderr")
        ]
        for thread in self._hearing:
            thread.start()

    def wait(self, wishes: list[int], start: float) -> None:
        """Wait until the job has ended, or is to be ended.

        Args:
            wishes: The numbers of signals that have come; they are passed on.
            start: Seconds in which all workers are to come up.

        Raises:
            WorkerLost: Some do not.
        """
        begun, last, passed = time.monotonic(), float("inf"), False
        ready = False
        while self._process.poll() is None and time.monotonic() < last:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_LOOK)
            now = time.monotonic()
            if wishes and not passed:
                self._signal(wishes[0])
                passed, last = True, now + _TIDY
            # A launcher may be slow to see it, and an MPI to take leave.
            if last == float("inf") and (self._has_failed() or not self._missing(serve.DONE)):
                last = now + _END
            ready = ready or not self._missing(serve.READY)
            self._gone = self._gone or self._ended()
            if not ready and now > begun + start:
                raise self._never_came(start)

    def end(self) -> None:
        """End what is left of the job."""
        if self._process.poll() is None:
            self._signal(signal.SIGKILL)
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_END)  # launchers tidy up when their processes have gone
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        for thread in self._hearing:
            thread.join(_END)

    def result(self, wishes: list[int]) -> Any:
        """Return the result, or raise why there is none."""
        if not self._missing(serve.DONE):
            with (self._folder / serve.RESULT).open("rb") as file:
                return pickle.load(file)
        errors = [self._failure(k) for k in range(self._count)]
        if isinstance(errors[0], Interrupted):  # it knows where the run goes on
            raise errors[0]
        if wishes:
            name = signal.Signals(wishes[0]).name
            raise Interrupted(
                f"the workers were ended by {name} before they had a result", None, 0.0, wishes[0]
            )
        found = {k: error for k, error in enumerate(errors) if error is not None}
        if not found:
            raise self._lost()
        # What one raised is why others hear nothing of it.
        raise min(found.items(), key=lambda item: (isinstance(item[1], WorkerSilent), item[0]))[1]

    def _has_failed(self) -> bool:
        return any(self._folder.glob(f"{serve.FAILURE}*"))

    def _failure(self, rank: int) -> BaseException | None:
        """Return why a worker failed, if it says so."""
        path = self._folder / f"{serve.FAILURE}{rank}"
        if not path.exists():
            return None
        try:
            _, error, text = pickle.loads(path.read_bytes())
        except Exception as unread:  # of a class that can be loaded there but not here
            return unread
        if not isinstance(error, WorkerSilent):
            where = f"It was raised in worker {rank} of {self._count}"
            # An error of the package says by itself what is wrong.
            plain = isinstance(error, (SomaflowError, Interrupted))
            error.add_note(f"{where}." if plain else f"{where}:\n{text}")
        return error

    def _missing(self, kind: str) -> list[int]:
        """Return the workers of which there is no file of some kind."""
        there = (self._folder / f"{kind}{k}" for k in range(self._count))
        return [k for k, path in enumerate(there) if not path.exists()]

    def _never_came(self, start: float) -> WorkerLost:
        # One that is there waits for the others in MPI, and is no more ready than they are.
        missing = self._missing(serve.PROCESS) or self._missing(serve.READY)
        numbers = ", ".join(map(str, missing))
        return WorkerLost(
            f"worker{'s' * (len(missing) > 1)} {numbers} of {self._count} did not come up within "
            f"{start:g} s; `somaflow doctor mpi` tries the MPI that was to start them",
            list(self._lines),
        )

    def _lost(self) -> WorkerLost:
        """Return which worker has ended without a word, as far as the launcher says it."""
        text = "\n".join(self._of_launcher)
        first, status = _FIRST.search(text), _STATUS.search(text)
        numbers = self._gone
        if first is not None:
            numbers = [int(first["rank"])] if first["rank"] else self._with(str(first["pid"]))
        who = f"worker {numbers[0]}" if len(numbers) == 1 else "a worker"
        number = self._process.returncode if status is None else int(status[1])
        if "(signal" in text:  # and MPICH gives its number as that of an exit
            number = -number
        elif number > _SIGNALS:  # as shells and Open MPI say it
            number = _SIGNALS - number
        how = ended(number)
        return WorkerLost(
            f"{who} of {self._count} {how}, and with it the run; a run with a store goes on from "
            "its last checkpoint",
            list(self._lines),
        )

    def _with(self, process: str) -> list[int]:
        """Return the worker that is a process, in a list; an empty one where none is."""
        return [k for k in range(self._count) if self._process_of(k) == process]

    def _process_of(self, rank: int) -> str:
        path = self._folder / f"{serve.PROCESS}{rank}"
        return path.read_text() if path.exists() else ""

    def _ended(self) -> list[int]:
        """Return the workers whose processes are there no more, though they were not done."""
        gone = []
        for k in range(self._count):
            process = self._process_of(k)
            if process:
                try:
                    os.kill(int(process), 0)
                except ProcessLookupError:
                    gone.append(k)
                except PermissionError:
                    pass
        return [k for k in gone if k in self._missing(serve.DONE)]

    def _signal(self, number: int) -> None:
        """Send a signal to all workers that have come up."""
        for k in range(self._count):
            if process := self._process_of(k):
                with contextlib.suppress(OSError):
                    os.kill(int(process), number)

    def _hear(self, name: str) -> None:
        """Pass on what the workers print, line by line; keep the last, and what launchers say."""
        with getattr(self._process, name) as pipe:
            self._hear_from(pipe, name)

    def _hear_from(self, pipe: TextIO, name: str) -> None:
        blank = ""  # lines, with which MPICH sets apart what it says
        for line in pipe:
            text = line.rstrip()
            if not text:
                blank += line
            elif _OF_LAUNCHERS.match(text) or _FIRST.search(text):
                self._of_launcher.append(text)
                blank = ""
            else:
                self._lines.append(text[:_LINE])
                # Asked anew for each line: a progress bar, or a notebook, puts another one there.
                with contextlib.suppress(Exception):
                    getattr(sys, name).write(blank + line)
                blank = ""
