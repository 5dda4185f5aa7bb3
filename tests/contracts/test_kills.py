"""A run that is killed at random moments and goes on gives the bytes of one that never was."""

import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from somaflow.storage import checkpoint
from somaflow.storage.folder import beside

pytestmark = pytest.mark.slow(seconds=40)
SCRIPT = Path(__file__).with_name("killed_run.py")
EACH, SHORT = 10_000, 6_000  # ms, for each kill: two seconds of computing; and one second


def started(path: Path, *arguments: Any) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(SCRIPT), str(path), *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def completed(path: Path, *arguments: Any) -> str:
    """Let a run come to its end, and return what it told."""
    process = started(path, *arguments)
    out, told = process.communicate(timeout=600)
    assert process.returncode == 0, told
    assert "done" in out
    return out


def differing(path: Path, other: Path, bytes_of: Callable) -> set[str]:
    found, wanted = bytes_of(path), bytes_of(other)
    return {name for name in found | wanted if found.get(name) != wanted.get(name)}


def begin_again(path: Path, whole: Path, bytes_of: Callable) -> None:
    """Remove a run that came to its end."""
    assert not differing(path, whole, bytes_of)
    shutil.rmtree(path)
    shutil.rmtree(str(beside(path)))


def reached(path: Path) -> int:
    names = checkpoint.names(beside(path))
    return checkpoint.step_of(names[-1]) if names else -1


def test_a_run_that_is_killed_at_random_moments(
    tmp_path: Path, bytes_of: Callable, request: pytest.FixtureRequest
) -> None:
    rng = np.random.default_rng(5)
    wanted = request.config.getoption("kills")
    long = EACH * wanted
    whole, path = tmp_path / "whole.zarr", tmp_path / "a.zarr"
    begin = time.monotonic()
    told = completed(whole, long)
    print(f"never killed: {time.monotonic() - begin:.1f} s, {told.split()[-2:]}")
    assert sum(len(data) for data in bytes_of(whole).values()) > 33 * long
    computing = float(told.split()[-2])
    kills: Counter[str] = Counter()
    while kills.total() < wanted:
        moment = ("later", "start", "first second")[kills.total() % 3]
        process = started(path, long)
        assert process.stdout is not None
        if moment == "start":
            time.sleep(rng.uniform(0, 9))
        else:
            process.stdout.readline()
            last = 1.0 if moment == "first second" else 1.5 * computing / wanted
            time.sleep(rng.uniform(0, last))
        process.send_signal(signal.SIGKILL)
        out, _ = process.communicate()
        if process.returncode == 0:  # it was faster
            assert "done" in out
            begin_again(path, whole, bytes_of)
            continue
        kills[moment] += 1
        print(f"killed {moment}, at {reached(path)} steps")
    completed(path, long)
    assert not differing(path, whole, bytes_of)
    print(f"{kills.total()} kills, {dict(kills)}, in {time.monotonic() - begin:.1f} s")


def test_a_run_that_is_killed_before_within_and_after_writes(
    tmp_path: Path, bytes_of: Callable, request: pytest.FixtureRequest
) -> None:
    rng = np.random.default_rng(11)
    wanted = request.config.getoption("kills")
    whole, path = tmp_path / "whole.zarr", tmp_path / "a.zarr"
    completed(whole, SHORT)
    kills: Counter[str] = Counter()
    while kills.total() < wanted:
        moment = ("WITHIN", "AFTER", "BEFORE")[kills.total() % 3]
        number = int(rng.choice([rng.integers(1, 30), rng.integers(30, 130)]))
        process = started(path, SHORT, number, moment)
        _, told = process.communicate(timeout=600)
        if process.returncode == 0:
            begin_again(path, whole, bytes_of)
            continue
        assert process.returncode == -signal.SIGKILL, told
        kills[moment] += 1
        print(f"killed {moment} write {number}, at {reached(path)} steps")
    completed(path, SHORT)
    assert not differing(path, whole, bytes_of)
    print(f"{kills.total()} kills: {dict(kills)}")
