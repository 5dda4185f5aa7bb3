"""The default pool: an executor whose processes may be lost."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future, wait
from pathlib import Path
from typing import Any

import pytest
import small_tasks as small

import somaflow as sf
from somaflow.errors import RunError, WrongTypeError
from somaflow.running.child import THREADS, WorkerLost
from somaflow.running.pickles import UnsendableError
from somaflow.sweeping.processes import Processes


@pytest.fixture(scope="module")
def shared() -> Iterator[Processes]:
    with Processes(1) as pool:
        yield pool


def until(true: Callable[[], Any]) -> None:
    end = time.monotonic() + 600
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


def is_alive(number: int) -> bool:
    """Whether there is a process, and it is no zombie; nor has threads that are not over yet."""
    place = Path(f"/proc/{number}")
    try:
        ended = (place / "stat").read_text().rpartition(")")[2].split()[0] == "Z"
        return not ended or len(list((place / "task").iterdir())) > 1
    except (FileNotFoundError, ProcessLookupError):
        return False


# ------------------------------------------------------------------------------- an executor


def test_map_keeps_the_order_and_the_process_stays(shared: Processes) -> None:
    assert list(shared.map(small.square, range(20))) == [x * x for x in range(20)]
    assert len(set(shared.map(small.process, range(5)))) == 1
    assert shared.submit(small.process).result() != os.getpid()


def test_nothing_begins_before_it_is_needed_and_no_more_than_are() -> None:
    before = threading.active_count()
    pool = Processes(3)
    assert threading.active_count() == before
    for _ in range(4):  # one after another: one process does
        pool.submit(small.square, 2).result()
        until(lambda: pool._desk.free == 1)
    assert pool._desk.workers == 1
    assert threading.active_count() == before + 2  # its thread, and the one that hears it
    pool.shutdown()
    until(lambda: threading.active_count() == before)


def test_several_compute_at_a_time(tmp_path: Path) -> None:
    with Processes(2) as pool:
        marks = [tmp_path / "a", tmp_path / "b"]
        naps = [pool.submit(small.nap, 600, mark) for mark in marks]
        until(lambda: all(mark.exists() and mark.read_text() for mark in marks))
        assert len({mark.read_text() for mark in marks}) == 2
        pool.end(naps)
        assert all(isinstance(nap.exception(), WorkerLost) for nap in naps)
        assert pool.submit(small.square, 3).result() == 9


def test_submit_after_shutdown_is_refused() -> None:
    pool = Processes(1)
    future = pool.submit(small.square, 2)
    pool.shutdown()
    assert future.result(timeout=0) == 4  # what was begun is waited for
    with pytest.raises(RuntimeError, match="after shutdown"):
        pool.submit(small.square, 2)
    pool.shutdown()  # once more does no harm


def test_what_has_not_begun_can_be_cancelled(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    with Processes(1) as pool:
        first = pool.submit(small.nap, 600, mark)
        until(mark.exists)
        waiting = [pool.submit(small.square, x) for x in range(3)]
        assert waiting[1].cancel()
        assert not first.cancel()
        assert first.running()
        pool.end([first])
        assert [waiting[0].result(), waiting[2].result()] == [0, 4]
        with pytest.raises(CancelledError):
            waiting[1].result()


def test_shutdown_can_cancel_and_need_not_wait(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    pool = Processes(1)
    first = pool.submit(small.nap, 0.2, mark)
    until(mark.exists)
    second = pool.submit(small.square, 2)
    pool.shutdown(wait=False, cancel_futures=True)
    assert second.cancelled()
    assert wait([second], timeout=600).not_done == set()
    assert first.result() == 0.2
    pool.shutdown()


def test_a_pool_that_nobody_has_any_more_finishes_and_ends(tmp_path: Path) -> None:
    pool = Processes(1)
    future = pool.submit(small.nap, 0.1, tmp_path / "mark")
    until((tmp_path / "mark").exists)
    desk = pool._desk
    del pool
    assert desk.closed
    assert future.result() == 0.1
    until(lambda: not is_alive(int((tmp_path / "mark").read_text())))


def test_ctrl_c_in_a_with_block_does_not_wait(tmp_path: Path) -> None:
    futures: list[Future[Any]] = []
    with pytest.raises(KeyboardInterrupt), Processes(1) as pool:
        futures = [pool.submit(small.nap, 600, tmp_path / "mark"), pool.submit(small.nap, 600)]
        until((tmp_path / "mark").exists)
        raise KeyboardInterrupt
    assert isinstance(futures[0].exception(), WorkerLost)
    assert futures[1].cancelled()


@pytest.mark.parametrize("workers", [0, -1])
def test_there_is_at_least_one_worker(workers: int) -> None:
    with pytest.raises(RunError, match=f"at least 1, not {workers}"):
        Processes(workers)


@pytest.mark.parametrize("workers", [2.0, "2", True, object()])
def test_their_number_is_whole(workers: Any) -> None:
    with pytest.raises(WrongTypeError, match="whole number"):
        Processes(workers)


# ------------------------------------------------------------------------------ what is sent


def test_results_may_be_large(shared: Processes) -> None:
    assert shared.submit(small.big, 50_000_000).result() == bytes(50_000_000)
    assert shared.submit(len, bytes(50_000_000)).result() == 50_000_000


def test_prints_do_not_disturb(shared: Processes, capsys: pytest.CaptureFixture[str]) -> None:
    assert shared.submit(small.talk).result() == "nothing to read"
    said: list[str] = []

    def heard() -> bool:
        out, error = capsys.readouterr()
        assert out == ""
        said.extend(error.split())
        return len(said) == 3

    until(heard)
    assert sorted(said) == ["echoed", "printed", "written"]


def test_an_error_comes_with_its_kind_and_its_traceback(shared: Processes) -> None:
    error = shared.submit(small.fail, "too small").exception()
    assert isinstance(error, ValueError)
    assert str(error) == "too small"
    assert "in fail" in error.__notes__[0]
    assert isinstance(shared.submit(small.ask_to_exit).exception(), SystemExit)


def test_an_error_that_cannot_be_pickled_comes_in_words(shared: Processes) -> None:
    assert str(shared.submit(small.fail_oddly).exception()) == "NotPickledError: 1 and 2"


def test_what_cannot_be_sent_or_sent_back_says_so(shared: Processes) -> None:
    before = shared.submit(small.process).result()
    with pytest.raises(UnsendableError, match=r"cannot be sent to another.*lock.*ThreadPool"):
        shared.submit(small.square, threading.Lock()).result()
    with pytest.raises(UnsendableError, match=r"result cannot be sent back: .*lock"):
        shared.submit(small.no_result).result()
    assert shared.submit(small.process).result() == before


def test_a_worker_finds_what_this_process_finds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "only_here.py").write_text("def three(): return 3")
    monkeypatch.syspath_prepend(tmp_path)
    import only_here  # pyright: ignore[reportMissingImports]

    with Processes(1) as pool:
        assert pool.submit(only_here.three).result() == 3


def test_a_worker_loads_nothing_heavy_and_has_one_thread_for_everything() -> None:
    with Processes(1) as pool:
        loaded = set(pool.submit(small.modules).result())
        assert not loaded & {"tensorflow", "xarray", "zarr", "matplotlib"}
        for name in THREADS:
            assert pool.submit(small.variable, name).result() == "1"


# ------------------------------------------------------------------------------------- lost


@pytest.mark.parametrize(
    ("call", "how"),
    [
        (small.Call(small.kill), r"ended by SIGKILL \(as when memory runs out\)$"),
        (small.Call(small.kill, (signal.SIGTERM,)), "ended by SIGTERM$"),
        (small.Call(small.leave, (3,)), "ended with exit status 3$"),
        (
            small.Call(small.crash),
            r"ended by SIGSEGV; it said last:\s[\s\S]*Segmentation[\s\S]*in crash",
        ),
    ],
    ids=["SIGKILL", "SIGTERM", "exit", "SIGSEGV"],
)
def test_a_lost_worker_fails_its_own_call_only(call: Any, how: str, shared: Processes) -> None:
    before = shared.submit(small.process).result()
    futures = [shared.submit(small.square, 2), shared.submit(call), shared.submit(small.process)]
    assert futures[0].result() == 4
    with pytest.raises(WorkerLost, match=f"^its process {how}"):
        futures[1].result()
    assert futures[2].result() not in (before, os.getpid())


def test_what_an_earlier_call_said_is_not_told(shared: Processes) -> None:
    shared.submit(small.say, "all is well").result()
    error = shared.submit(small.kill).exception()
    assert "all is well" not in str(error)


def test_a_worker_that_dies_between_calls_costs_nothing(shared: Processes) -> None:
    for _ in range(3):
        number = shared.submit(small.process).result()
        os.kill(number, signal.SIGKILL)
        until(lambda number=number: not is_alive(number))
        assert shared.submit(small.process).result() != number


def test_a_process_that_cannot_begin_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/no/such/python")
    with Processes(1) as pool, pytest.raises(WorkerLost, match=r"begins no process.*no/such"):
        pool.submit(small.square, 2).result()
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with Processes(1) as pool, pytest.raises(WorkerLost, match="exit status 1"):
        pool.submit(small.square, 2).result()


# --------------------------------------------------------------------------- scripts of users

LONG = """
import sys
from pathlib import Path
import small_tasks as small
from somaflow.sweeping.processes import Processes

with Processes(2) as pool:
    for k in range(2):
        pool.submit({function}, {arguments} Path(sys.argv[1]) / str(k))
    pool.submit(small.nap, 600).result()
"""


def script(text: str, *arguments: object) -> subprocess.Popen[str]:
    path = os.pathsep.join([str(Path(small.__file__).parent), *sys.path])
    return subprocess.Popen(
        [sys.executable, "-c", text, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": path},
        start_new_session=True,
    )


def begun(text: str, folder: Path) -> tuple[subprocess.Popen[str], list[int]]:
    """Return a script that runs, and its workers."""
    parent, marks = script(text, folder), [folder / "0", folder / "1"]
    until(lambda: all(mark.exists() and mark.read_text() for mark in marks))
    return parent, [int(mark.read_text()) for mark in marks]


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize(
    ("function", "arguments"), [("small.nap", "600, "), ("small.spin", "")], ids=["idle", "busy"]
)
def test_workers_end_with_their_parent(function: str, arguments: str, tmp_path: Path) -> None:
    parent, workers = begun(LONG.format(function=function, arguments=arguments), tmp_path)
    assert all(is_alive(number) for number in workers)
    parent.kill()
    parent.communicate()
    until(lambda: not any(is_alive(number) for number in workers))


FORKING = """
import os, time
from threading import Thread
def fork():
    while not (Path(sys.argv[1]) / "1").exists():
        time.sleep(0.01)
    if os.fork() == 0:
        Path(sys.argv[1], "forked").touch()
        time.sleep(600)  # and has all pipes open
Thread(target=fork, daemon=True).start()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_workers_end_with_their_parent_though_a_fork_of_it_lives(tmp_path: Path) -> None:
    text = LONG.format(function="small.nap", arguments="600, ")
    text = text.replace("\nwith", f"{FORKING}\nwith")
    parent, workers = begun(text, tmp_path)
    until((tmp_path / "forked").exists)
    parent.kill()
    parent.wait()
    until(lambda: not any(is_alive(number) for number in workers))
    os.killpg(parent.pid, signal.SIGKILL)  # the fork
    parent.communicate()


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_ctrl_c_in_a_terminal_brings_one_traceback(tmp_path: Path) -> None:
    """As a terminal does: the signal goes to all processes of the group."""
    parent, workers = begun(LONG.format(function="small.nap", arguments="600, "), tmp_path)
    os.killpg(parent.pid, signal.SIGINT)
    _, error = parent.communicate()
    assert parent.returncode == -signal.SIGINT
    assert error.count("Traceback") == 1
    assert "small_tasks" not in error
    until(lambda: not any(is_alive(number) for number in workers))


OWN = """
from concurrent.futures import ThreadPoolExecutor
from somaflow.sweeping.processes import Processes

import math
import os.path as paths

class Solver:
    pass

FACTOR = 3

def scaled(x, by=2, *, plus=0):
    return x * by * FACTOR + plus

def outer(k):
    def inner(x):
        return math.floor(k) + scaled(x, plus=k)
    return inner

def factorial(n):
    return n * factorial(n - 1) if n else 1

def all_of(names):
    return [paths.basename(name) + str(FACTOR) for name in names]

scaled.label = "three"
print("begun")
with Processes(1) as pool:
    print(pool.submit(len, [Solver()]).exception())
    print(pool.submit(lambda x: -x, 1).result())
    print(pool.submit(outer(5.5), 10).result(), pool.submit(factorial, 6).result())
    print(pool.submit(all_of, ["a/b", "c/d"]).result())
    print(pool.submit(lambda: (scaled.label, scaled.__qualname__)).result())
    print(type(pool.submit(lambda: Solver()).exception()).__name__)
"""


def test_a_script_needs_no_guard_for_its_functions_and_is_told_what_cannot_be_found() -> None:
    out, error = script(OWN).communicate()
    assert error == ""
    lines = out.splitlines()
    assert lines[0] == "begun"
    assert lines[2:] == [
        "-1",
        f"{5 + 10 * 2 * 3 + 5.5} 720",
        "['b3', 'd3']",
        "('three', 'scaled')",
        "UnsendableError",
    ]
    assert "'__main__.Solver'> is defined in the script or notebook itself" in lines[1]
    assert "from mine import Solver" in lines[1]
    assert "ThreadPoolExecutor(1)" in lines[1]


def test_the_pool_is_a_public_name() -> None:
    assert sf.Processes is Processes
