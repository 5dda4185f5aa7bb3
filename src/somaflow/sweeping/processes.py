"""Processes: the pool that computes a sweep where none is given."""

import contextlib
import os
import pickle
import signal
import subprocess
import sys
import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Executor, Future
from functools import partial
from types import TracebackType
from typing import Any, BinaryIO, cast

from somaflow.errors import RunError, WrongTypeError
from somaflow.given import is_whole, shown
from somaflow.running import pickles
from somaflow.running.child import WorkerLost, ended, on_one_core
from somaflow.running.cores import physical_cores

# A worker has the parent's search path, not the folder it is started in.
_BEGIN = "import sys; sys.path[:] = sys.argv[1:]; from somaflow.sweeping.worker import main; main()"
_HERE = (
    "Or compute in this process, to which nothing is sent: "
    "pool=concurrent.futures.ThreadPoolExecutor(1)."
)
_STARTS = 3  # processes that may end before one takes a task
_LAST_LINES = 12
_LINE = 200  # characters of a line that are kept
_PATIENCE = 5.0  # seconds


class Processes(Executor):
    """Worker processes on this machine, each computing one thing at a time on one core.

    Unlike those of `concurrent.futures.ProcessPoolExecutor` they do not import the script that
    started them, so that it needs no `if __name__ == "__main__":`; and one that is killed, or
    crashes, takes nothing with it but what it was computing: another takes its place. What is
    printed in them comes on the standard error here. They are started when first needed, and end
    with `shutdown`, at the end of a `with` block, and with the process that started them.

    Args:
        workers: How many; by default the number of physical cores that this process may use.

    Raises:
        WrongTypeError: `workers` is no whole number.
        RunError: It is below 1.
    """

    def __init__(self, workers: int | None = None) -> None:
        if workers is not None and not is_whole(workers):
            raise WrongTypeError(f"workers is a whole number, not {shown(workers)}")
        if workers is not None and workers < 1:
            raise RunError(f"workers is at least 1, not {workers}")
        # The name that the pools of the standard library have it under.
        self._max_workers = physical_cores() if workers is None else int(workers)
        self._desk = _Desk()
        self._threads: set[threading.Thread] = set()
        # Threads know the desk, not the pool: one that nobody has any more ends when all is done.
        self._forgotten = weakref.finalize(self, self._desk.close)
        # At the interpreter's end nothing is to be done: the workers see that the pipes close.
        self._forgotten.atexit = False

    def __repr__(self) -> str:
        return f"Processes({self._max_workers})"

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Have a function called in a worker process.

        Args:
            fn: The function; it and its arguments are pickled when their turn has come.
            *args: Its arguments.
            **kwargs: Its arguments by name.

        Returns:
            What will hold its result, or the exception it raised; `WorkerLost` where its process
            ended, `UnsendableError` where the call cannot be pickled.

        Raises:
            RuntimeError: The pool is shut.
        """
        call = _Call(fn, args, kwargs)
        if self._desk.put(call, self._max_workers):
            thread = threading.Thread(target=_serve, args=(self._desk,), daemon=True)
            self._threads.add(thread)
            thread.start()
        return call.future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more calls, and end the processes when all is done.

        Args:
            wait: Whether to return only then.
            cancel_futures: Whether to cancel what has not begun.
        """
        for call in self._desk.close(cancel_futures):
            call.future.cancel()
            call.future.set_running_or_notify_cancel()  # tells those who wait for it
        if wait:
            for thread in self._threads:
                thread.join()

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        """Wait for what was begun; after Ctrl-C end it."""
        if exc_type is not None and not issubclass(exc_type, Exception):
            self.shutdown(wait=False, cancel_futures=True)
            self._desk.condemn()
        self.shutdown()

    def end(self, futures: Iterable[Future[Any]]) -> None:
        """End what is being computed, with its processes; others take their places.

        Args:
            futures: Of calls; those that have not begun are cancelled.
        """
        running = {future for future in futures if not future.cancel()}
        self._desk.condemn(running)


class _Call:
    """Something to be called, and what its result goes to."""

    def __init__(self, function: Callable[..., Any], args: Any, kwargs: Any) -> None:
        self.future: Future[Any] = Future()
        self.what: Any = function, args, kwargs
        self.worker: _Worker | None = None
        self.condemned = False


class _Desk:
    """Where calls wait for a free worker."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.waiting: deque[_Call] = deque()
        self.running: set[_Call] = set()
        self.workers = self.free = 0
        self.closed = False

    def put(self, call: _Call, most: int) -> bool:
        """Take a call; return whether one more worker is to be begun for it."""
        with self.changed:
            if self.closed:
                raise RuntimeError("cannot schedule new futures after shutdown")
            self.waiting.append(call)
            self.changed.notify()
            more = self.free < len(self.waiting) and self.workers < most
            self.workers += more
            return more

    def take(self) -> _Call | None:
        """Return the next call when there is one, None when there will be none."""
        with self.changed:
            self.free += 1
            while not self.waiting and not self.closed:
                self.changed.wait()
            self.free -= 1
            if not self.waiting:
                return None
            call = self.waiting.popleft()
            self.running.add(call)
            return call

    def given(self, call: _Call, worker: "_Worker") -> None:
        """Note which worker has a call."""
        with self.changed:
            call.worker = worker
            if call.condemned:
                worker.process.kill()

    def left(self, call: _Call) -> None:
        """Note that no worker has a call any more."""
        with self.changed:
            self.running.discard(call)

    def condemn(self, futures: set[Future[Any]] | None = None) -> None:
        """Kill the workers that have some calls, or any, now or as soon as they have them."""
        with self.changed:
            for call in self.running:
                if futures is None or call.future in futures:
                    call.condemned = True
                    if call.worker is not None:
                        call.worker.process.kill()

    def close(self, cancel: bool = False) -> list[_Call]:
        """Take no more calls; return those that were waiting, where they are to be cancelled."""
        with self.changed:
            self.closed = True
            left = list(self.waiting) if cancel else []
            if cancel:
                self.waiting.clear()
            self.changed.notify_all()
        return left


class _Worker:
    """A worker process, as its parent has it.

    Raises:
        OSError: The system begins no more processes.
    """

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-c", _BEGIN, *sys.path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=on_one_core(os.environ),
        )
        self.calls = cast(BinaryIO, self.process.stdin)
        self.replies = cast(BinaryIO, self.process.stdout)
        self.lines: deque[str] = deque(maxlen=_LAST_LINES)
        self._hearing = threading.Thread(target=self._hear, daemon=True)
        self._hearing.start()

    def _hear(self) -> None:
        """Pass on what the worker prints, line by line, and keep the last of it."""
        for line in cast(BinaryIO, self.process.stderr):
            text = line.removesuffix(pickles.END_OF_CALL).decode(errors="replace")
            self.lines.append(text.rstrip()[:_LINE])
            # Asked anew for each line: a progress bar, or a notebook, puts another one there.
            with contextlib.suppress(Exception):
                sys.stderr.write(text)
            if line.endswith(pickles.END_OF_CALL):
                self.lines.clear()

    def close(self) -> None:
        """End the process, which is doing nothing, or has ended."""
        with contextlib.suppress(OSError):
            self.calls.close()
        try:
            self.process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.replies.close()
        # What the worker itself has begun may hold the pipe open.
        self._hearing.join(_PATIENCE)
        if not self._hearing.is_alive():
            cast(BinaryIO, self.process.stderr).close()

    def loss(self) -> WorkerLost:
        """Return how the process ended, when it has."""
        self.close()
        how = ended(self.process.returncode)
        return WorkerLost(f"its process {how}", [line for line in self.lines if line])


def _serve(desk: _Desk) -> None:
    """Answer calls with one worker process after another, of which all but the last were lost."""
    if hasattr(signal, "pthread_sigmask"):
        # Workers inherit it, so that Ctrl-C does not meet them before they ignore it.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    worker: _Worker | None = None
    while (call := desk.take()) is not None:
        done: Callable[[], None] = _nothing
        if call.future.set_running_or_notify_cancel():
            worker, done = _answered(desk, call, worker)
        desk.left(call)  # before those who wait are told: they may end what is running
        done()
        del call, done  # a result is not kept while the next call is awaited
    if worker is not None:
        worker.close()


def _nothing() -> None:
    pass


def _answered(
    desk: _Desk, call: _Call, worker: _Worker | None
) -> tuple[_Worker | None, Callable[[], None]]:
    """Have a worker compute a call.

    Returns:
        The worker, None where it was lost; and what sets the call's result.
    """
    future = call.future
    try:
        data = pickles.packed(call.what, _HERE)
        call.what = None
    except Exception as error:
        return worker, partial(future.set_exception, error)
    try:
        worker = _handed(desk, call, worker, data)
    except WorkerLost as error:
        return None, partial(future.set_exception, error)
    del data
    reply = pickles.read(worker.replies)
    if reply is None:
        return None, partial(future.set_exception, worker.loss())
    try:
        done, value, text = pickle.loads(reply)
    except Exception as error:  # of a class that can be loaded there but not here
        return worker, partial(future.set_exception, error)
    if done:
        return worker, partial(future.set_result, value)
    value.add_note(f"It was raised in a worker process:\n{text}")
    return worker, partial(future.set_exception, value)


def _handed(desk: _Desk, call: _Call, worker: _Worker | None, data: bytes) -> _Worker:
    """Send a call to a worker; one that has ended meanwhile is not the call's fault.

    Raises:
        WorkerLost: Several ended, one after another.
    """
    lost = WorkerLost("its process was not begun")
    for _ in range(_STARTS):
        if worker is not None and worker.process.poll() is not None:
            worker.close()
            worker = None
        try:
            worker = worker or _Worker()
        except OSError as error:
            raise WorkerLost(f"the system begins no process for it: {error}") from error
        desk.given(call, worker)
        try:
            pickles.write(worker.calls, data)
            return worker
        except OSError:
            lost, worker = worker.loss(), None
        if call.condemned:
            break
    raise lost
