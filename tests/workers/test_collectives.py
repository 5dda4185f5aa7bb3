"""Workers that TensorFlow's own collectives carry, where TF_CONFIG names them."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import toy_parts as toy

HERE = Path(__file__).parent

pytestmark = pytest.mark.slow


def ran(tmp_path: Path, text: str) -> list[tuple[int, str, str]]:
    """Run a script as two workers; return of each its exit status and what it printed."""
    path = tmp_path / "script.py"
    path.write_text(
        "import sys\n"
        f"sys.path.insert(0, {str(HERE)!r})\n"
        "import toy_parts as toy\n"
        "from somaflow.workers.carrying import carried, here\n"
        f"rank, size = here()\n{text}\n"
    )
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    workers = ["{}:{}".format(*server.getsockname()) for server in sockets]
    for server in sockets:
        server.close()
    processes = [
        subprocess.Popen(
            [sys.executable, str(path)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ
            | {
                "TF_CONFIG": json.dumps(
                    {"cluster": {"worker": workers}, "task": {"type": "worker", "index": k}}
                )
            },
        )
        for k in range(2)
    ]
    try:
        first = processes[0].communicate()
        processes[1].kill()  # where it is stopped; it has ended otherwise, or is about to
        second = processes[1].communicate()
    finally:
        for process in processes:
            process.kill()
    return [(p.returncode, *o) for p, o in zip(processes, (first, second), strict=True)]


def test_workers_hear_one_another(tmp_path: Path) -> None:
    text = "for _ in range(2): print(carried(toy.adding(rank, size), 60), flush=True)"
    status, said, errors = ran(tmp_path, text)[0]
    assert status == 0, errors
    assert said == f"{toy.sums(2)}\n" * 2


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("fail", "worker 1 of 2 has gone"),
        ("stop", "worker 1 of 2 did not answer for 6 s"),
    ],
)
def test_a_worker_that_fails_ends_the_others(tmp_path: Path, what: str, words: str) -> None:
    status, _, errors = ran(tmp_path, f"carried(toy.then(toy.{what}, 1, rank, size), 6)")[0]
    assert status == 75, errors
    assert words in errors


def test_a_worker_that_never_comes_ends_the_others(tmp_path: Path) -> None:
    text = "import time\nif rank == 1: time.sleep(100)\ncarried(toy.adding(rank, size), 4)"
    status, _, errors = ran(tmp_path, text)[0]
    assert status == 1
    assert "Timeout (0:00:04)!" in errors and "collectives.py" in errors


def test_workers_are_joined_before_anything_is_computed(tmp_path: Path) -> None:
    text = "import tensorflow as tf\ntf.ones(3) + 1\ncarried(toy.adding(rank, size), 30)"
    for status, _, errors in ran(tmp_path, text)[:1]:
        assert status == 1
        assert "begin the run on several workers before all else" in errors
