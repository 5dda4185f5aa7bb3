"""Progress: what is said of a run on the way, and when nothing is."""

import os
import pty
import re
import select
import subprocess
import sys
import time

import pytest
from rich.console import Console

import somaflow as sf
from somaflow.running import progress
from somaflow.running.progress import (
    Progress,
    bar,
    check_progress,
    draws,
    resident_bytes,
    shown,
    span,
)

START = Progress(0.0, 10_000.0, 0.0, 0.0, None, 0)
HALF = Progress(4200.0, 10_000.0, 0.0, 8.82, 1034, 812 << 20)


def test_a_sentence_says_all_of_it():
    assert HALF.sentence() == (
        "4,200 of 10,000 ms, 2.1 times slower than real time, 12 s left, 1,034 spikes, 812 MiB"
    )


def test_two_lines_say_the_same():
    first, second = HALF.two_lines()
    assert first == "4,200 of 10,000 ms, 12 s left"
    assert second == "2.1 times slower than real time, 1,034 spikes, 812 MiB"


def test_before_anything_is_computed_no_speed_is_known():
    none = Progress(500.0, 1000.0, 500.0, 0.0, 0, 0)
    assert none.real_time_factor is None
    assert none.seconds_left is None
    assert none.sentence() == "500 of 1,000 ms, 0 spikes"


def test_the_speed_is_that_of_this_process():
    resumed = Progress(3000.0, 4000.0, 2000.0, 0.5, None, 0)
    assert resumed.real_time_factor == pytest.approx(0.5)
    assert resumed.seconds_left == pytest.approx(0.5)
    assert resumed.sentence().startswith("3,000 of 4,000 ms, 2 times faster than real time")


def test_at_the_end_nothing_is_left():
    ended = Progress(0.3, 0.3, 0.0, 0.1, 1, 0)
    assert ended.seconds_left == 0
    assert ended.sentence() == "0.3 of 0.3 ms, 333 times slower than real time, 1 spike"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.2, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min 0 s"),
        (3599.7, "1 h 0 min"),
        (7500, "2 h 5 min"),
        (90_000, "1 d 1 h"),
    ],
)
def test_spans(seconds, words):
    assert span(seconds) == words


def test_memory_is_that_of_this_process():
    before = resident_bytes()
    held = b"x" * (200 << 20)
    grown = resident_bytes() - before
    assert 50 << 20 < before < 100 << 30
    assert grown > 150 << 20
    del held


def test_without_proc_the_peak_is_told(monkeypatch, tmp_path):
    monkeypatch.setattr(progress, "_STATM", tmp_path / "none")
    assert 50 << 20 < resident_bytes() < 100 << 30
    monkeypatch.setattr(progress, "resource", None)
    assert resident_bytes() == 0


@pytest.mark.parametrize("value", [None, 1, "yes", object()])
def test_what_is_no_progress_is_refused(value):
    with pytest.raises(sf.errors.WrongTypeError, match="True, False, or a function"):
        check_progress(value)
    with pytest.raises(sf.errors.WrongTypeError):
        shown(value, START)


def test_a_function_is_called_as_it_is():
    seen = []
    with shown(seen.append, START) as show:
        show(HALF)
    assert seen == [HALF]


def test_what_a_function_raises_passes_through():
    def fails(_):
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"), shown(fails, START) as show:
        show(HALF)


def test_false_is_silent(capsys, monkeypatch):
    monkeypatch.setattr(progress, "BETWEEN_LINES", 0.0)
    with shown(False, START) as show:
        show(HALF)
    assert capsys.readouterr() == ("", "")


class Clock:
    def __init__(self):
        self.now = 100.0

    def monotonic(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    made = Clock()
    monkeypatch.setattr(progress, "time", made)
    return made


def at(done: float) -> Progress:
    return Progress(done, 10_000.0, 0.0, done / 1000, None, 0)


def test_a_log_gets_a_line_every_ten_seconds_and_the_last(capsys, clock):
    with shown(True, START) as show:
        for k in range(1, 11):
            clock.now += 4.0
            show(at(1000.0 * k))
    out, lines = capsys.readouterr()
    assert out == ""
    begins = [line.split(",0")[0] for line in lines.splitlines()]
    assert begins == ["3", "6", "9", "10"]


def test_a_run_that_ends_sooner_is_silent_in_a_log(capsys, clock):
    with shown(True, START) as show:
        for k in range(1, 11):
            clock.now += 0.9
            show(at(1000.0 * k))
    assert capsys.readouterr() == ("", "")


def test_without_standard_error_nothing_happens(monkeypatch):
    monkeypatch.setattr(sys, "stderr", None)
    with shown(True, START) as show:
        show(HALF)


def test_forced_colours_make_no_bar_in_a_log(monkeypatch, capsys):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setattr(progress, "DELAY", 0.0)
    with shown(True, START) as show:
        show(HALF)
        time.sleep(0.05)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("there", [True, False])
def test_a_notebook_has_a_bar_where_its_widgets_are_installed(monkeypatch, there):
    found = object() if there else None
    monkeypatch.setattr(progress.importlib.util, "find_spec", lambda name: found)
    assert draws(Console(force_jupyter=True)) is there


# ------------------------------------------------------------------- on a terminal


def on_a_terminal(code: str, waits: tuple[str, ...] = ()) -> tuple[str, int]:
    """What a script writes to a terminal of 80 columns, and its exit code.

    Each `wait()` of the script lasts until the next of the words `waits` is on the terminal.
    """
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "80", "LINES": "24"}
    environment.pop("NO_COLOR", None)
    begin = (
        "import sys\n"
        "from somaflow.running.progress import Progress, shown\n"
        "def at(done): return Progress(done, 1000.0, 0.0, done / 500, 7, 5 << 20)\n"
        "START = at(0.0)\n"
        "def wait(): sys.stdin.readline()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", begin + code],
        stderr=theirs,
        stdin=subprocess.PIPE,
        env=environment,
    )
    assert process.stdin is not None
    os.close(theirs)
    parts, awaited = [], list(waits)
    while process.poll() is None or select.select([ours], [], [], 0)[0]:
        if select.select([ours], [], [], 0.1)[0]:
            try:
                data = os.read(ours, 65536)
            except OSError:  # Linux says so where nobody writes any more
                break
            if not data:
                break
            parts.append(data)
            if awaited and awaited[0] in b"".join(parts).decode(errors="replace"):
                del awaited[0]
                process.stdin.write(b"\n")
                process.stdin.flush()
    os.close(ours)
    process.stdin.close()
    return b"".join(parts).decode(), process.wait()


def test_a_short_run_shows_no_bar():
    # The timer that brings the bar up does not ring while the run lasts, however slow it is.
    written, code = on_a_terminal(
        "import threading\n"
        "threading.Timer.run = lambda timer: timer.finished.wait()\n"
        "with shown(True, START) as show:\n    show(at(500.0)); show(at(1000.0))\n"
    )
    assert (written, code) == ("", 0)


def test_a_longer_run_shows_a_bar_that_ends_as_a_line():
    written, code = on_a_terminal(
        "with shown(True, START) as show:\n"
        "    wait()\n    show(at(500.0))\n    wait()\n    show(at(1000.0))\n",
        ("compiling", "running"),
    )
    assert code == 0
    for words in ("compiling", "running", "500 of 1,000 ms, 1 s left", "━"):
        assert words in written
    last = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", written).rstrip().splitlines()[-1]
    assert "1,000 of 1,000 ms, 2 times slower than real time, 7 spikes, 5 MiB" in last
    assert "━" not in last


def test_an_error_leaves_no_bar():
    written, code = on_a_terminal(
        "try:\n"
        "    with shown(True, START) as show:\n"
        "        wait()\n        show(at(500.0))\n        wait()\n"
        "        raise LookupError\n"
        "except LookupError:\n"
        "    raise SystemExit(3)\n",
        ("compiling", "running"),
    )
    assert code == 3
    assert "running" in written
    # Both lines of the bar are erased, and the cursor is visible.
    assert "\x1b[2K" in written[written.rindex("running") :]
    assert written.rindex("\x1b[?25h") > written.rindex("running")


def test_a_bar_is_stopped_once_and_for_all(capsys):
    # Ended at the moment when its timer fires: neither a leftover thread nor a picture.
    for _ in range(20):
        with bar(Console(stderr=True), START, "compiling", 0.001) as show:
            show(at(1.0))
            time.sleep(0.001)
