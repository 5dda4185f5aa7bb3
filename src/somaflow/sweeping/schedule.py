"""The schedule: tasks, fed to any executor; those that are lost are computed again."""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future
from dataclasses import dataclass, replace
from queue import Empty, SimpleQueue
from typing import Any

from somaflow.errors import RunError, WrongTypeError
from somaflow.given import has, shown
from somaflow.running.child import WorkerLost
from somaflow.running.pickles import UnsendableError
from somaflow.sweeping.processes import Processes
from somaflow.sweeping.task import Outcome, Task, compute

ATTEMPTS = 5
# Members that were lost together so often are computed one by one, to find the guilty one.
_TOGETHER = 2
_LOOK = 0.2  # seconds between looks at whether it was asked to stop
_GRACE = 3.0  # seconds that what is running then has to end
_ASK = 2.0  # seconds between questions to a cluster, whose workers come and go
_UNKNOWN = 64  # workers of an executor that does not tell
_AGAIN = (
    "The members that are finished are kept; call again with a new pool. Without pool= it is "
    "somaflow's own, which replaces lost processes."
)


@dataclass(frozen=True)
class Event:
    """Something that happened during a sweep.

    Attributes:
        outcomes: Members that are over now, failed ones too.
        done: Members that have ended well, since the beginning of this call.
        failed: Members that have failed.
        running: Members that are with the executor, computed or next to be.
        retried: How many times a member was given to it again.
        lost: Why tasks were lost now, in words; empty where none was.
    """

    outcomes: tuple[Outcome, ...]
    done: int
    failed: int
    running: int
    retried: int
    lost: str = ""


def check_pool(executor: object) -> None:
    """Refuse what is no executor, or one that is shut, before anything is computed.

    Raises:
        WrongTypeError: It is no `concurrent.futures.Executor`.
        RunError: It is shut, or broken.
    """
    if not isinstance(executor, Executor):
        hint = " Write pool=client.get_executor()." if has(executor, "get_executor") else ""
        raise WrongTypeError(
            "pool takes a concurrent.futures.Executor, such as sf.Processes(4) or "
            f"ThreadPoolExecutor(1), not {shown(executor)}.{hint}"
        )
    try:
        executor.submit(int).cancel()  # the only question that all of them answer
    except Exception as error:  # of any pool's own kind
        words = str(error).rstrip(".") or type(error).__name__
        raise RunError(
            f"pool={shown(executor)} takes no tasks: {words}. "
            "Give one that is open, such as sf.Processes()."
        ) from error


def run(
    tasks: Iterable[Task],
    executor: Executor,
    attempts: int = ATTEMPTS,
    stop: Callable[[], bool] = lambda: False,
    work: Callable[[Task], list[Outcome]] = compute,
) -> Iterator[Event]:
    """Have tasks computed, and tell what comes of them in the order in which they end.

    A task whose process ends is computed again; one of several members that is lost again is taken
    apart. A member fails where it is lost `attempts` times, or where `work` raises for it alone.
    Tasks are taken from `tasks` as workers come free.

    Args:
        tasks: The tasks.
        executor: Where they are computed; it stays open.
        attempts: How many times a task is given to it at most.
        stop: Asked now and then, and between events; once it says True no more is begun, and what
            is running has a few seconds to end. Where the iterator is closed, or an exception
            passes through it, as of a second Ctrl-C, it has none.
        work: What computes a task.

    Raises:
        WrongTypeError: The executor is none.
        RunError: It is shut or broken.
        UnsendableError: A task has something that cannot be sent to another process.
    """
    check_pool(executor)
    schedule = _Schedule(iter(tasks), executor, attempts, stop, work)
    try:
        yield from schedule.events()
    finally:
        schedule.leave()


@dataclass
class _Given:
    """A task, and how often it was lost."""

    task: Task
    losses: int = 0

    @property
    def size(self) -> int:
        return len(self.task.numbers)


class _Schedule:
    """What is waiting and what is running."""

    def __init__(
        self,
        tasks: Iterator[Task],
        executor: Executor,
        attempts: int,
        stop: Callable[[], bool],
        work: Callable[[Task], list[Outcome]],
    ) -> None:
        self.tasks, self.executor, self.attempts = tasks, executor, attempts
        self.stop, self.work = stop, work
        self.again: deque[_Given] = deque()
        self.running: dict[Future[list[Outcome]], _Given] = {}
        self.ended: SimpleQueue[Future[list[Outcome]]] = SimpleQueue()
        self.done = self.failed = self.retried = 0
        self.width = _Width(executor)

    def events(self) -> Iterator[Event]:
        """Feed and tell until all is over, or it was asked to stop."""
        while not self.stop():
            self.fill()
            if not self.running:
                return
            with contextlib.suppress(Empty):
                yield self.settled(self.ended.get(timeout=_LOOK))
        yield from self.wind_up()

    def fill(self) -> None:
        """Give as many tasks to the executor as keep its workers busy."""
        most = self.width.tasks()
        while len(self.running) < most and not self.stop():
            given = self.again.popleft() if self.again else None
            if given is None:
                task = next(self.tasks, None)
                if task is None:
                    return
                given = _Given(task)
            try:
                future = self.executor.submit(self.work, given.task)
            except Exception as error:  # of any pool's own kind
                raise _gone(error) from error
            self.running[future] = given
            future.add_done_callback(self.ended.put)

    def settled(self, future: Future[list[Outcome]]) -> Event:
        """Return what came of a task."""
        given = self.running.pop(future)
        error = _error(future)
        if error is None:
            return self.event(future.result())
        if isinstance(error, BrokenExecutor):
            raise _gone(error) from error
        if isinstance(error, UnsendableError):
            raise error
        if not _is_loss(error):
            words = f"{type(error).__name__}: {error}"
            return self.apart(given, words) if given.size > 1 else self.failure(given, words)
        given.losses += self.attempts if _is_final(error) else 1
        words = str(error) or type(error).__name__
        if given.size > 1 and given.losses >= min(_TOGETHER, self.attempts):
            return self.apart(given, words)
        if given.losses < self.attempts:
            return self.retry([given], words)
        if _is_final(error):
            return self.failure(given, "lost: all the cluster's workers that tried it died")
        # What it said last has addresses and times in it, and a result is to be the same each time.
        how = error.how if isinstance(error, WorkerLost) else words
        times = "once" if given.losses == 1 else f"{given.losses} times"
        return self.failure(given, f"lost {times}: {how}")

    def apart(self, given: _Given, words: str) -> Event:
        """Have the members of a task computed one by one."""
        task = given.task
        pairs = zip(task.numbers, task.members, strict=True)
        alone = [_Given(replace(task, numbers=(n,), members=(member,))) for n, member in pairs]
        return self.retry(alone, words)

    def retry(self, given: list[_Given], words: str) -> Event:
        """Have tasks computed again, before others."""
        self.again.extend(given)
        self.retried += sum(item.size for item in given)
        return self.event([], words)

    def failure(self, given: _Given, words: str) -> Event:
        """Give up a task of one member."""
        return self.event(
            [Outcome(number, None, words, False, "") for number in given.task.numbers]
        )

    def event(self, outcomes: list[Outcome], lost: str = "") -> Event:
        """Count outcomes."""
        failed = sum(outcome.failure != "" for outcome in outcomes)
        self.failed += failed
        self.done += len(outcomes) - failed
        running = sum(given.size for given in self.running.values())
        return Event(tuple(outcomes), self.done, self.failed, running, self.retried, lost)

    def wind_up(self) -> Iterator[Event]:
        """Take back what has not begun, and tell what ends within a few seconds."""
        end = time.monotonic() + _GRACE
        for future in [future for future in self.running if future.cancel()]:
            del self.running[future]
        while self.running and (left := end - time.monotonic()) > 0:
            with contextlib.suppress(Empty):
                future = self.ended.get(timeout=left)
                # One that was lost, or cancelled, is left for the next time.
                if self.running.pop(future, None) and _error(future) is None:
                    yield self.event(future.result())

    def leave(self) -> None:
        """Have nothing of this sweep run on."""
        if isinstance(self.executor, Processes):
            self.executor.end(self.running)
        for future in self.running:
            future.cancel()


class _Width:
    """How many tasks an executor is given at once."""

    def __init__(self, executor: Executor) -> None:
        self.executor = executor
        self.asked, self.workers = float("-inf"), 1

    def tasks(self) -> int:
        """Return twice as many as there are workers: one to compute and one to go on with."""
        now = time.monotonic()
        if now - self.asked >= _ASK:
            self.asked, self.workers = now, _workers(self.executor)
        return 2 * max(self.workers, 1)


def _workers(executor: Executor) -> int:
    """Return how many tasks an executor computes at once, as far as it tells."""
    client = getattr(executor, "_client", None)
    if client is not None and has(client, "nthreads"):  # of dask
        return sum(client.nthreads().values())
    for name in ("_max_workers", "num_workers"):  # of the standard library, of mpi4py
        number = getattr(executor, name, None)
        if isinstance(number, int):
            return number
    return _UNKNOWN


def _error(future: Future[Any]) -> BaseException | None:
    """Return what a future that is over has in place of a result."""
    try:
        return future.exception()
    except CancelledError as error:
        return error


def _is_loss(error: BaseException) -> bool:
    """Tell whether a task has an error that is not its own, and may go well another time.

    Exceptions of `dask.distributed` are known by their module, as it is not imported.
    """
    cluster = type(error).__module__.partition(".")[0] == "distributed"
    kinds = (WorkerLost, CancelledError, asyncio.CancelledError, MemoryError, KeyboardInterrupt)
    return cluster or isinstance(error, kinds)


def _is_final(error: BaseException) -> bool:
    """Tell whether a cluster has computed a task again already, as often as it does."""
    return type(error).__name__ == "KilledWorker"


def _gone(error: BaseException) -> RunError:
    words = str(error).rstrip(".") or type(error).__name__
    return RunError(f"the pool takes no more tasks: {words}. {_AGAIN}")
