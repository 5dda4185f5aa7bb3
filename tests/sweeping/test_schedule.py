"""The schedule: any executor, every loss, and no more at once than is needed."""

import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import (
    BrokenExecutor,
    CancelledError,
    Executor,
    Future,
    ProcessPoolExecutor,
    ThreadPoolExecutor,
)
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import small_tasks as small
from small_tasks import Call, Small

import somaflow as sf
from somaflow.errors import RunError, WrongTypeError
from somaflow.running.pickles import UnsendableError
from somaflow.sweeping import schedule
from somaflow.sweeping.processes import Processes
from somaflow.sweeping.schedule import Event, check_pool, run
from somaflow.sweeping.task import Member, Settings, Task
from somaflow.units import ms, nA

SQUARES = [
    Small((n, n + 1), (Call(small.square, (n,)), Call(small.square, (n + 1,))))
    for n in range(0, 12, 2)
]


class Told(Executor):
    """An executor that computes nothing until it is told to, last task first.

    Args:
        errors: What its first tasks end with.
    """

    def __init__(self, errors: list[BaseException] | None = None, workers: int = 3) -> None:
        self._max_workers, self.errors = workers, list(errors or [])
        self.tasks: list[tuple[Future[Any], Any, Any]] = []
        self.most, self.given = 0, []

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        if args:
            self.tasks.append((future, fn, args))
            self.given.append(getattr(args[0], "numbers", ()))
            self.most = max(self.most, len(self.tasks))
            threading.Timer(0.001, self.one).start()
        return future

    def one(self) -> None:
        future, fn, args = self.tasks.pop()
        if not future.set_running_or_notify_cancel():
            return
        if self.errors:
            future.set_exception(self.errors.pop(0))
            return
        try:
            future.set_result(fn(*args))
        except BaseException as error:
            future.set_exception(error)


def results(events: Iterator[Event]) -> tuple[dict[int, Any], dict[int, str], list[Event]]:
    """Return data and failures of members, and all that was told."""
    told = list(events)
    outcomes = [outcome for event in told for outcome in event.outcomes]
    assert len({outcome.number for outcome in outcomes}) == len(outcomes)
    data = {outcome.number: outcome.data for outcome in outcomes if not outcome.failure}
    return data, {o.number: o.failure for o in outcomes if o.failure}, told


def ran(
    tasks: Any, executor: Executor, **more: Any
) -> tuple[dict[int, Any], dict[int, str], list[Event]]:
    return results(run(tasks, executor, work=small.work, **more))  # pyright: ignore


def spawned(workers: int) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(workers, get_context("spawn"))


POOLS = {
    "processes": lambda: Processes(2),
    "standard processes": lambda: spawned(1),
    "threads": lambda: ThreadPoolExecutor(2),
    "told": Told,
}


@pytest.mark.parametrize("make", POOLS.values(), ids=POOLS)
def test_any_executor_does(make: Callable[[], Executor]) -> None:
    with make() as pool:
        data, failures, told = ran(SQUARES, pool)
        assert (data, failures) == ({n: n * n for n in range(12)}, {})
        assert (told[-1].done, told[-1].failed, told[-1].running) == (12, 0, 0)
        assert [event.done for event in told] == list(range(2, 14, 2))
        assert pool.submit(small.square, 2) is not None  # it stays open


def test_no_tasks_are_no_events() -> None:
    assert list(run([], Told())) == []


@pytest.mark.parametrize("workers", [1, 3])
def test_no_more_is_taken_than_workers_need(workers: int) -> None:
    pool, taken = Told(workers=workers), [0]

    def tasks() -> Iterator[Small]:
        for n in range(200):
            taken[0] += 1
            yield Small((n,), (Call(small.square, (n,)),))

    seen = []
    for event in run(tasks(), pool, work=small.work):  # pyright: ignore
        seen.append(taken[0] - event.done)
        assert event.running <= 2 * workers
    assert max(seen) <= 2 * workers
    assert pool.most <= 2 * workers
    assert len(seen) == 200


# --------------------------------------------------------------------------------- failures


def test_one_that_kills_its_process_always_fails_alone_and_is_named() -> None:
    members = [Call(small.square, (n,)) for n in range(6)]
    members[4] = Call(small.kill)  # pyright: ignore
    tasks = [Small((0, 1, 2), tuple(members[:3])), Small((3, 4, 5), tuple(members[3:]))]
    with Processes(2) as pool:
        data, failures, told = ran(tasks, pool)
    assert data == {n: n * n for n in (0, 1, 2, 3, 5)}
    assert failures == {4: "lost 5 times: its process ended by SIGKILL (as when memory runs out)"}
    # Twice the three together, then each alone, then the guilty one four times more.
    assert told[-1].retried == 3 + 3 + 4
    assert sum(event.lost != "" for event in told) == 2 + 4
    assert (told[-1].done, told[-1].failed) == (5, 1)


@pytest.mark.parametrize(("times", "attempts"), [(1, 5), (4, 5), (5, 5), (1, 2), (1, 1)])
def test_what_is_lost_is_computed_again_with_a_bound(
    times: int, attempts: int, tmp_path: Path
) -> None:
    task = Small((7,), (Call(small.kill_first, (tmp_path, times)),))
    with Processes(1) as pool:
        data, failures, _ = ran([task], pool, attempts=attempts)
    assert len(list(tmp_path.iterdir())) == min(times, attempts)
    if times < attempts:
        assert (data, failures) == ({7: times}, {})
    else:
        word = "once" if attempts == 1 else f"{attempts} times"
        assert failures[7].startswith(f"lost {word}: its process ended by SIGKILL")


def test_a_crash_is_told_in_full_and_kept_in_short() -> None:
    with Processes(1) as pool:
        _, failures, told = ran([Small((0,), (Call(small.crash),))], pool, attempts=2)
    assert failures == {0: "lost 2 times: its process ended by SIGSEGV"}
    assert "in crash" in told[0].lost


@pytest.mark.parametrize(
    "make", [POOLS["processes"], POOLS["threads"]], ids=["processes", "threads"]
)
def test_an_exception_fails_its_own_member_only(make: Callable[[], Executor]) -> None:
    members = (Call(small.square, (2,)), Call(small.fail, ("too small",)), Call(small.square, (3,)))
    with make() as pool:
        data, failures, _ = ran([Small((0, 1, 2), members)], pool)
    assert (data, failures) == ({0: 4, 2: 9}, {1: "ValueError: too small"})


def test_memory_may_suffice_another_time() -> None:
    pool = Told([MemoryError("no more")] * 2)
    data, failures, told = ran(SQUARES[:1], pool)
    assert (data, failures) == ({0: 0, 1: 1}, {})
    assert [event.lost for event in told[:2]] == ["no more"] * 2
    assert pool.given == [(0, 1), (0, 1), (0,), (1,)]
    task = Small((0,), (Call(small.starve),))
    assert ran([task], Told())[1] == {0: "lost 5 times: no more"}


class KilledWorker(Exception):  # noqa: N818 - its name there
    """As `distributed.scheduler` has it."""


KilledWorker.__module__ = "distributed.scheduler"


@pytest.mark.parametrize(
    "error", [CancelledError(), KilledWorker("task")], ids=["cancelled", "killed"]
)
def test_what_a_cluster_loses_is_computed_again(error: BaseException) -> None:
    data, failures, told = ran(SQUARES[:2], Told([error]))
    assert (data, failures) == ({n: n * n for n in range(4)}, {})
    assert told[-1].retried == 2
    assert told[0].lost == (str(error) or type(error).__name__)


def test_what_a_cluster_has_tried_itself_is_not_tried_again() -> None:
    """Dask gives up a task when several workers died of it."""
    task = Small((4,), (Call(small.square, (4,)),))
    data, failures, told = ran([task], Told([KilledWorker("tcp://127.0.0.1:4711")]))
    assert (data, failures) == ({}, {4: "lost: all the cluster's workers that tried it died"})
    assert told[-1].retried == 0


@pytest.mark.parametrize("error", [BrokenExecutor("gone")], ids=["broken"])
def test_a_pool_that_breaks_ends_the_sweep_with_a_way_on(error: BaseException) -> None:
    with pytest.raises(RunError, match=r"pool takes no more tasks: gone\. .*are kept.*new pool"):
        ran(SQUARES, Told([error]))


def test_a_standard_pool_that_breaks_has_handed_out_what_was_finished() -> None:
    tasks = [*SQUARES, Small((99,), (Call(small.kill),))]
    done = []
    with spawned(1) as pool, pytest.raises(RunError, match=r"terminated abruptly.*new pool"):
        for event in run(tasks, pool, work=small.work):  # pyright: ignore
            done += event.outcomes
    assert sorted(outcome.number for outcome in done) == list(range(12))


def test_a_pool_that_is_shut_meanwhile_says_so() -> None:
    with (
        ThreadPoolExecutor(1) as pool,
        pytest.raises(RunError, match=r"no more tasks: cannot schedule new futures"),
    ):
        for _ in run(SQUARES, pool, work=small.work):  # pyright: ignore
            pool.shutdown()


def test_what_cannot_be_sent_ends_the_sweep() -> None:
    task = Small((0, 1), (threading.Lock(), threading.Lock()))
    with Processes(1) as pool, pytest.raises(UnsendableError, match="lock"):
        ran([task], pool)


def test_an_error_of_the_tasks_passes_through() -> None:
    def tasks() -> Iterator[Small]:
        yield SQUARES[0]
        raise ValueError("the second point cannot be built")

    with pytest.raises(ValueError, match="second point"):
        ran(tasks(), Told())


# ------------------------------------------------------------------------------ of real members


@pytest.mark.slow
def test_a_process_compiles_once() -> None:
    cells = sf.Population("lif", 3, sf.load("lif"))
    network = sf.Network(cells, sf.CurrentClamp(cells, [1, 2, 3] * nA))
    settings = Settings(30 * ms, 0.1 * ms, None, "float64")
    member = Member(network, {}, 0, (cells.spikes,))
    tasks = [Task((n,), (member,), settings, 1) for n in range(3)]
    with Processes(1) as pool:
        outcomes = [outcome for event in run(tasks, pool) for outcome in event.outcomes]
    assert [outcome.compiled for outcome in outcomes] == [True, False, False]
    assert len({outcome.process for outcome in outcomes}) == 1
    alone = sf.simulate(network, 30 * ms, dt=0.1 * ms, record=cells.spikes).to_xarray()
    for outcome in outcomes:
        assert outcome.data is not None
        for name in alone.variables:
            np.testing.assert_array_equal(outcome.data[name], alone[name])


# ------------------------------------------------------------------------ before anything runs


@pytest.mark.parametrize("make", [POOLS[n] for n in ("processes", "standard processes", "threads")])
def test_a_pool_that_is_shut_is_found_before_anything_runs(make: Callable[[], Executor]) -> None:
    pool, taken = make(), []
    check_pool(pool)
    pool.shutdown()

    def tasks() -> Iterator[Small]:
        taken.append(1)
        yield SQUARES[0]

    with pytest.raises(RunError, match=r"takes no tasks: cannot schedule.*sf\.Processes\(\)"):
        ran(tasks(), pool)
    assert taken == []


def test_a_pool_that_is_broken_too() -> None:
    with spawned(1) as pool:
        assert isinstance(pool.submit(small.kill).exception(), BrokenExecutor)
        with pytest.raises(RunError, match="takes no tasks"):
            check_pool(pool)


class Client:
    """As that of `dask.distributed`."""

    def get_executor(self) -> None: ...


@pytest.mark.parametrize(
    ("pool", "words"),
    [(4, "not 4"), (None, "not None"), (Client(), r"client\.get_executor\(\)")],
)
def test_what_is_no_executor_is_refused(pool: Any, words: str) -> None:
    with pytest.raises(WrongTypeError, match=rf"pool takes .*{words}"):
        check_pool(pool)


# ------------------------------------------------------------------------------- asked to stop


def until(true: Callable[[], Any]) -> None:
    end = time.monotonic() + 600
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_when_asked_to_stop_it_begins_nothing_and_hands_out_what_ends(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    tasks = [Small((0,), (Call(small.nap, (0.5, mark)),)), *SQUARES]
    with Processes(1) as pool:
        data, failures, _ = ran(tasks, pool, stop=mark.exists)
        assert (data, failures) == ({0: 0.5}, {})
        assert pool.submit(small.square, 2).result() == 4


def test_what_does_not_end_then_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schedule, "_GRACE", 0.1)
    mark = tmp_path / "mark"
    with Processes(1) as pool:
        assert ran([Small((0,), (Call(small.nap, (600, mark)),))], pool, stop=mark.exists)[2] == []
        assert pool.submit(small.square, 2).result() == 4


def test_an_iterator_that_is_closed_leaves_nothing_behind(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    tasks = [SQUARES[0], *[Small((n,), (Call(small.nap, (600, mark)),)) for n in (7, 8, 9)]]
    with Processes(1) as pool:
        events = run(tasks, pool, work=small.work)  # pyright: ignore
        assert next(events).done == 2
        until(mark.exists)
        events.close()  # pyright: ignore
        assert pool.submit(small.square, 2).result() == 4


def test_ctrl_c_ends_it_at_once(tmp_path: Path) -> None:
    """Where nobody listens for signals: as a second Ctrl-C acts."""
    mark = tmp_path / "mark"

    def interrupt() -> None:
        until(mark.exists)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    thread = threading.Thread(target=interrupt)
    thread.start()
    try:
        with Processes(1) as pool:
            with pytest.raises(KeyboardInterrupt):
                ran([Small((0,), (Call(small.nap, (600, mark)),))], pool)
            assert pool.submit(small.square, 2).result() == 4
    finally:
        signal.signal(signal.SIGINT, before)
        thread.join()
