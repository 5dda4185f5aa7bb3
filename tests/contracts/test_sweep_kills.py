"""A sweep that is killed and whose disk fills leaves the bytes of one that ran in peace."""

import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.mark.slow(seconds=80)
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="it finds workers in /proc")
def test_a_sweep_whose_workers_and_parent_are_killed_and_whose_disk_fills() -> None:
    asked = ["--members", "30", "--workers", "4", "--parents", "3", "--fills", "1", "--seed", "7"]
    done = subprocess.run(
        [sys.executable, "-m", "sweeps.chaos", *asked],
        check=False,
        capture_output=True,
        text=True,
        cwd=BENCHMARKS,
    )
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
    last = done.stdout.strip().splitlines()[-1]
    assert last.startswith("EQUAL")
    assert "'worker': 4" in last
    assert "'disk is full': 1" in last
