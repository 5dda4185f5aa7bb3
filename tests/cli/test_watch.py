"""`somaflow watch`: what it says of a run, and when it ends."""

import dataclasses
import io
import json
import os
import platform
import subprocess
import sys
import time

import pytest
from rich.console import Console
from typer.testing import CliRunner

from somaflow.cli import watch
from somaflow.cli.main import app
from somaflow.errors import StoreError
from somaflow.running.progress import Progress
from somaflow.storage.folder import beside
from somaflow.sweeping.progress import SweepProgress

NOW = 1_800_000_000.0


def progress(done: float) -> dict:
    return dataclasses.asdict(Progress(done, 10_000.0, 0.0, done / 500, 1034, 812 << 20))


class Run:
    """A run that tells what a test wants it to tell."""

    def __init__(self, store):
        self.store, self.folder = str(store), beside(store)

    def tell(self, state="running", done=4200.0, **more):
        told = {
            "state": state,
            "sentence": "",
            "host": platform.node(),
            "pid": os.getpid(),
            "updated": NOW,
            "progress": progress(done),
        }
        self.folder.write("progress.json", json.dumps(told | more).encode())


@pytest.fixture
def run(tmp_path):
    made = Run(tmp_path / "out" / "al.zarr")
    made.folder.write("run.json", b"{}")
    made.folder.write("lock", b"")
    return made


def follow(run, *steps, once=False):
    """What is written, and the exit code; each step is done in the next second."""
    written, clock, waiting = io.StringIO(), [NOW], list(steps)

    def sleep(seconds):
        clock[0] += seconds
        assert waiting, f"it waits for ever: {written.getvalue()}"
        waiting.pop(0)()

    console = Console(file=written, width=200, color_system=None)
    code = watch.follow(run.store, console, once, lambda: clock[0], sleep)
    assert not waiting
    return written.getvalue().splitlines(), code


def nothing():
    pass


def gone_process() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


LINE = "4,200 of 10,000 ms, 2 times slower than real time, 12 s left, 1,034 spikes, 812 MiB"


def test_a_run_is_followed_until_it_is_finished(run):
    run.tell()
    lines, code = follow(run, lambda: run.tell("finished", 10_000.0, sentence="complete"))
    assert lines == [
        LINE,
        "finished: 10,000 of 10,000 ms, 2 times slower than real time, 1,034 spikes, 812 MiB",
    ]
    assert code == 0


@pytest.mark.parametrize("state", ["interrupted", "failed"])
def test_a_run_that_ended_early_says_why(run, state):
    run.tell()
    lines, code = follow(run, lambda: run.tell(state, sentence="stopped at 5,230 ms"))
    assert lines[-1] == f"{state}: stopped at 5,230 ms"
    assert code == 1


def test_lines_are_ten_seconds_apart_and_only_where_something_changed(run):
    run.tell()
    changing = [lambda k=k: run.tell(done=4200.0 + k) for k in range(1, 16)]
    end = [lambda: run.tell("finished", 10_000.0)]
    lines, _ = follow(run, *changing, *[nothing] * 20, *end)
    begins = [line.split(" of ")[0] for line in lines]
    assert begins == ["4,200", "4,210", "4,215", "finished: 10,000"]


def test_a_run_that_has_told_nothing_yet_is_waited_for(run):
    lines, code = follow(run, nothing, run.tell, lambda: run.tell("finished"))
    assert lines[0] == "nothing is computed yet"
    assert code == 0


def test_a_run_that_is_finished_takes_one_line(run):
    run.tell("finished", 10_000.0)
    lines, code = follow(run)
    assert len(lines) == 1
    assert code == 0


@pytest.mark.parametrize(("state", "code"), [("running", 0), ("finished", 0), ("failed", 1)])
def test_once_says_one_line(run, state, code):
    run.tell(state)
    lines, found = follow(run, once=True)
    assert len(lines) == 1
    assert found == code


def test_once_before_anything_is_told(run):
    assert follow(run, once=True) == (["nothing is computed yet"], 0)


def test_a_process_that_is_gone_is_told(run):
    pid = gone_process()
    run.tell(pid=pid)
    lines, code = follow(run)
    folder = os.path.dirname(run.store)
    assert lines == [f"{LINE}; process {pid} has left it; go on with: somaflow resume {folder}"]
    assert code == 1


def test_a_run_that_ended_without_a_word_is_told(run):
    """As on a full disk, in a notebook whose process lives on."""
    run.tell()
    lines, code = follow(run, nothing, lambda: run.folder.remove("lock"))
    assert lines[-1].startswith(f"{LINE}; process {os.getpid()} has left it; go on with")
    assert code == 1


def test_a_process_that_goes_while_it_is_watched(run):
    run.tell()
    lines, code = follow(run, nothing, lambda: run.tell(pid=gone_process()))
    assert "has left it" in lines[-1]
    assert code == 1


@pytest.mark.skipif(not os.path.exists("/proc/self/stat"), reason="needs Linux's /proc")
def test_a_zombie_is_gone(run):
    process = subprocess.Popen([sys.executable, "-c", ""])
    try:
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # it stays a zombie
        run.tell(pid=process.pid)
        assert "has left it" in follow(run)[0][-1]
    finally:
        process.wait()


def test_on_another_host_the_process_is_not_looked_for(run):
    run.tell(pid=gone_process(), host="elsewhere")
    lines, code = follow(run, once=True)
    assert lines == [LINE]
    assert code == 0


def test_a_run_that_is_silent_for_a_minute_is_told_with_its_host(run):
    run.tell(host="elsewhere", updated=NOW - 200.0)
    assert follow(run, once=True)[0] == [f"{LINE}; the last sign from elsewhere was 3 min 20 s ago"]
    run.tell(updated=NOW - 200.0)
    assert follow(run, once=True)[0] == [f"{LINE}; the last sign was 3 min 20 s ago"]
    run.tell(updated=NOW - 59.0)
    assert follow(run, once=True)[0] == [LINE]


def test_what_a_later_version_tells_besides_is_left_out(run):
    run.tell(progress=progress(4200.0) | {"watts": 12.0}, colour="red")
    assert follow(run, once=True)[0] == [LINE]


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b'{"state": "running"}', b"\xff"])
def test_a_damaged_file_is_named(run, data):
    run.folder.write("progress.json", data)
    with pytest.raises(StoreError, match=r"progress\.json is damaged"):
        watch.look(run.folder)


def test_a_terminal_gets_a_bar(run, monkeypatch):
    run.tell(host="elsewhere", updated=NOW - 200.0)
    written, clock, ends = io.StringIO(), [NOW], [nothing, lambda: run.tell("finished", 10_000.0)]

    def sleep(seconds):
        clock[0] += seconds
        while "running" not in written.getvalue():  # another thread draws
            time.sleep(0.01)
        ends.pop(0)()

    monkeypatch.setattr(watch, "draws", lambda console: True)
    console = Console(file=written, width=80, force_terminal=True, color_system=None)
    assert watch.follow(run.store, console, False, lambda: clock[0], sleep) == 0
    for words in ("running ━", "4,200 of 10,000 ms, 12 s left", "last sign from elsewhere"):
        assert words in written.getvalue()
    assert "finished: 10,000 of 10,000 ms" in written.getvalue().rpartition("running")[2]


def sweep(run, state="running", finished=98, **more):
    fields = dataclasses.asdict(SweepProgress(finished, 2, 8, 256, 50, 60.0))
    run.tell(state, progress=fields, kind="sweep", **({"again": True} | more))


def test_a_sweep_is_followed_until_it_is_finished(run):
    sweep(run)
    lines, code = follow(run, lambda: sweep(run, "finished", 254))
    assert lines == [
        "100 of 256 members, 8 running, 2 failed, 3 min 7 s left",
        "finished: 256 of 256 members, 8 running, 2 failed",
    ]
    assert code == 0


@pytest.mark.parametrize(
    ("again", "words"),
    [(True, "go on with: somaflow sweep --resume "), (False, "go on with: sf.sweep(...) called")],
)
def test_a_sweep_that_was_killed_says_what_goes_on_with_it(run, again, words):
    sweep(run, pid=gone_process(), again=again)
    (line,), code = follow(run)
    assert line.startswith("100 of 256 members, 8 running, 2 failed, ")
    assert words in line
    assert code == 1


def call(*arguments: str):
    return CliRunner().invoke(app, ["watch", *arguments], env={"COLUMNS": "200", "TERM": "dumb"})


def test_the_command(run):
    folder = os.path.dirname(run.store)
    run.tell("finished", 10_000.0)
    result = call(folder)
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.startswith("finished: 10,000 of 10,000 ms")
    run.tell("failed", sentence="the disk is full")
    result = call(folder, "--once")
    assert (result.exit_code, result.stdout) == (1, "failed: the disk is full\n")


def test_no_run_is_said_in_plain_words(tmp_path):
    result = call(str(tmp_path))
    assert result.exit_code == 2
    assert "holds no run" in result.stderr
    assert "Traceback" not in result.stderr


def test_watching_loads_nothing_heavy(run):
    run.tell("finished", 10_000.0)
    code = (
        "import sys\n"
        "from somaflow.cli.main import app\n"
        f"sys.argv = ['somaflow', 'watch', {run.store!r}]\n"
        "try:\n"
        "    app()\n"
        "except SystemExit as stop:\n"
        "    assert not stop.code, stop.code\n"
        "heavy = {'tensorflow', 'matplotlib', 'xarray', 'zarr'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "finished" in done.stdout
