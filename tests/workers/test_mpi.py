"""Workers that MPI carries, here and in processes that a script of a user or `launch` has begun."""

import json
import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import toy_parts as toy

from somaflow.errors import Interrupted, MissingValueError, NonFiniteState, RunError
from somaflow.running.child import THREADS, WorkerLost
from somaflow.running.pickles import packed
from somaflow.workers import launch as launching
from somaflow.workers.carrying import WorkerSilent, here, patience_of
from somaflow.workers.exchange import Message, Part, in_turn
from somaflow.workers.found import Mpi, candidates, find, maker
from somaflow.workers.launch import launch

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def mpi() -> Mpi:
    """The MPI of the machine, or of the extra; `make test` installs that."""
    try:
        return find()
    except MissingValueError as error:
        pytest.skip(str(error))


@pytest.fixture(autouse=True)
def parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(HERE)


def told(make: Callable[..., Part[object]]) -> bytes:
    return packed(make, "")


# ------------------------------------------------------------------------------ without MPI


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, (0, 1)),
        ({"PMI_RANK": "1", "PMI_SIZE": "3"}, (1, 3)),
        ({"OMPI_COMM_WORLD_RANK": "2", "OMPI_COMM_WORLD_SIZE": "4"}, (2, 4)),
        ({"SLURM_PROCID": "5", "SLURM_STEP_NUM_TASKS": "8"}, (5, 8)),
        ({"SLURM_PROCID": "0", "SLURM_NTASKS": "8"}, (0, 1)),  # the script of a batch itself
        (
            {"PMI_RANK": "0", "PMI_SIZE": "2", "SLURM_PROCID": "0", "SLURM_STEP_NUM_TASKS": "1"},
            (0, 2),
        ),
        ({"PMI_RANK": "", "PMI_SIZE": "2"}, (0, 1)),
    ],
)
def test_a_process_knows_by_its_environment_which_worker_it_is(
    environment: dict[str, str], expected: tuple[int, int]
) -> None:
    assert here(environment) == expected
    assert "mpi4py" not in sys.modules


def test_a_cluster_of_tensorflow_is_read() -> None:
    def numbered(kind: str, index: object, **cluster: object) -> dict[str, str]:
        task = {"type": kind, "index": index}
        return {"PMI_RANK": "0", "TF_CONFIG": json.dumps({"cluster": cluster, "task": task})}

    assert here(numbered("worker", 1, worker=["a:1", "b:1"])) == (1, 2)
    assert here(numbered("worker", 1, worker=["a:1", "b:1"], chief=["c:1"])) == (2, 3)
    assert here(numbered("chief", 0, worker=["a:1", "b:1"], chief=["c:1"])) == (0, 3)
    assert here(numbered("worker", 0, worker=["a:1"])) == (0, 1)
    for wrong in ("{", "[]", '{"cluster": {"worker": ["a:1", "b:1"]}}'):
        with pytest.raises(RunError, match="TF_CONFIG cannot be read"):
            here({"TF_CONFIG": wrong})


def test_patience_is_given_or_set_and_a_number_above_0() -> None:
    assert patience_of(None, {}) == 600
    assert patience_of(None, {"SOMAFLOW_PATIENCE": "2.5"}) == 2.5
    assert patience_of(3, {"SOMAFLOW_PATIENCE": "2.5"}) == 3
    for wrong in ("soon", "0", "-1", "nan"):
        with pytest.raises(RunError, match=rf"SOMAFLOW_PATIENCE is .* not '{wrong}'"):
            patience_of(None, {"SOMAFLOW_PATIENCE": wrong})
    with pytest.raises(RunError, match=r"patience is .* not 0"):
        patience_of(0)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("HYDRA build details:\n    Version:                 5.0.2\n", "MPICH 5.0.2"),
        ("MPICH Version:      5.0.2\nMPICH Release date: Fri", "MPICH 5.0.2"),
        ("mpiexec (Open MPI) 5.0.11\n\nReport bugs to", "Open MPI 5.0.11"),
        ("Open MPI v5.0.11, package: Open MPI user@localhost, ident: 5.0.11", "Open MPI 5.0.11"),
        ("Intel(R) MPI Library 2021.13 for Linux* OS", "Intel MPI 2021.13"),
        ("Intel(R) MPI Library for Linux* OS, Version 2021.13 Build 2024", "Intel MPI 2021.13"),
        ("slurm 23.02.7", ""),
    ],
)
def test_launchers_and_libraries_say_their_makers(text: str, expected: str) -> None:
    assert maker(text) == expected


def test_toy_parts_in_turn() -> None:
    assert in_turn([toy.adding(r, 3) for r in range(3)]) == [toy.sums(3)] * 3


def _script(path: Path, text: str) -> str:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


def test_a_launcher_whose_library_is_another_one_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    launcher = _script(tmp_path / "mpiexec", "echo 'mpiexec (Open MPI) 3.1.4'")
    python = tmp_path / "python"
    monkeypatch.setattr(sys, "executable", _script(python, "echo MPICH Version: 4.2"))
    monkeypatch.setattr("sysconfig.get_path", lambda _: str(tmp_path / "none"))
    environment = {"PATH": str(tmp_path)}
    (found,) = candidates(environment)
    assert (found.launcher, found.launched, found.loaded) == (
        launcher,
        "Open MPI 3.1.4",
        "MPICH 4.2",
    )
    with pytest.raises(
        MissingValueError, match=r"somaflow\[mpi\].*3\.1\.4.*MPICH 4\.2, which does"
    ):
        find(environment)
    monkeypatch.setattr(
        sys, "executable", _script(tmp_path / "python", "echo no libmpi >&2; exit 1")
    )
    with pytest.raises(MissingValueError, match="mpi4py loads no library: no libmpi"):
        find(environment)
    with pytest.raises(
        MissingValueError, match=r"install both by pip install 'somaflow\[mpi\]'\.$"
    ):
        find({"PATH": str(tmp_path / "none")})


def test_the_site_comes_before_the_environment_of_this_python(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("site", "own"):
        (tmp_path / name / "bin").mkdir(parents=True)
        _script(tmp_path / name / "bin" / "mpiexec", "echo 'mpiexec (Open MPI) 4.1'")
    (tmp_path / "site" / "lib").mkdir()
    library = tmp_path / "site" / "lib" / "libmpi.so.40"
    library.touch()
    monkeypatch.setattr(sys, "executable", _script(tmp_path / "python", "echo Open MPI v4.1"))
    monkeypatch.setattr("sysconfig.get_path", lambda _: str(tmp_path / "own" / "bin"))
    path = os.pathsep.join(str(tmp_path / name / "bin") for name in ("own", "site"))
    site, own = candidates({"PATH": path})
    assert site.fits and site.origin == "the site's own" and site.library == str(library)
    assert own.fits and own.launcher == str(tmp_path / "own" / "bin" / "mpiexec")
    given = {"PMI_RANK": "1", "SLURM_JOB_ID": "7", "HOME": "/here", "OMPI_MCA_btl": "self,sm"}
    settings = site.environment(given)
    assert settings["OMPI_MCA_btl"] == "self,sm"
    assert settings["MPI4PY_LIBMPI"] == str(library) and settings["HOME"] == "/here"
    assert not {"PMI_RANK", "SLURM_JOB_ID"} & set(settings)


def test_workers_need_a_place_for_what_they_are_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    mpi = Mpi("mpiexec", None, "", "", "")
    with pytest.raises(RunError, match="No space left on device; TMPDIR sets another place"):
        launch(2, b"", mpi=mpi)


def test_a_worker_starts_no_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PMI_RANK", "1")
    monkeypatch.setenv("PMI_SIZE", "2")
    with pytest.raises(RunError, match="worker 1 of 2 already"):
        launch(2, b"")


# -------------------------------------------------------------------------------- launched


@pytest.mark.slow
@pytest.mark.parametrize("size", [1, 2, 3])
def test_workers_hear_one_another(mpi: Mpi, size: int) -> None:
    assert launch(size, told(toy.adding), mpi=mpi) == toy.sums(size)


@pytest.mark.slow
def test_workers_have_one_thread_and_print_here(
    mpi: Mpi, capfd: pytest.CaptureFixture[str]
) -> None:
    def speaking(rank: int, size: int) -> Part[list[str]]:
        print(f"worker {rank} speaks")
        heard = yield Message(" ".join(os.environ[name] for name in names).encode())
        return [data.decode() for data in heard]

    names = THREADS
    assert launch(2, told(speaking), mpi=mpi) == [" ".join("1" * len(THREADS))] * 2
    assert sorted(capfd.readouterr().out.split("\n")) == ["", "worker 0 speaks", "worker 1 speaks"]


@pytest.mark.slow
def test_an_exception_of_a_worker_is_raised_here(mpi: Mpi) -> None:
    with pytest.raises(NonFiniteState, match=r"v\[17\] at t = 8\.12") as caught:
        launch(2, told(partial(toy.then, toy.fail, 1)), mpi=mpi)
    # What the package says of itself needs no traceback of a worker.
    assert caught.value.__notes__ == ["It was raised in worker 1 of 2."]


@pytest.mark.slow
def test_what_cannot_be_made_or_sent_back_is_said(mpi: Mpi) -> None:
    with pytest.raises(ModuleNotFoundError, match="nowhere"):
        launch(2, b"cnowhere\nmake\n.", mpi=mpi)
    with pytest.raises(TypeError, match="a result cannot be sent back"):
        launch(2, told(toy.unsendable), mpi=mpi)


@pytest.mark.slow
def test_a_result_that_the_disk_does_not_hold_is_said(mpi: Mpi) -> None:
    with pytest.raises(OSError, match="File too large"):
        launch(2, told(toy.too_large), mpi=mpi)


@pytest.mark.slow
def test_a_killed_worker_ends_the_run(mpi: Mpi) -> None:
    with pytest.raises(WorkerLost, match=r"worker 1 of 2 ended by SIGKILL .*checkpoint"):
        launch(2, told(partial(toy.then, toy.kill, 1)), mpi=mpi)


@pytest.mark.slow
def test_a_stopped_worker_ends_the_run(mpi: Mpi, tmp_path: Path) -> None:
    noted = partial(toy.noted, str(tmp_path))
    with pytest.raises(WorkerSilent, match=r"^worker 1 of 3 did not answer for 3 s"):
        launch(3, told(partial(noted, partial(toy.then, toy.stop, 1))), mpi=mpi, patience=3)
    for path in tmp_path.iterdir():  # what was stopped is there no more, and neither are others
        with pytest.raises(ProcessLookupError):
            os.kill(int(path.name), 0)


@pytest.mark.slow
def test_a_worker_that_does_not_come_up_ends_the_run(
    mpi: Mpi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import os, time\n"
        "if '1' in (os.environ.get('PMI_RANK'), os.environ.get('OMPI_COMM_WORLD_RANK')):\n"
        "    time.sleep(100)\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(WorkerLost, match=r"^worker 1 of 2 did not come up within 8 s"):
        launch(2, told(toy.adding), mpi=mpi, start=8)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_passed_on_and_workers_may_end_tidily(mpi: Mpi, number: int) -> None:
    asked = partial(toy.until_asked, os.getpid(), number)
    assert launch(2, told(asked), mpi=mpi) == [number, number]


@pytest.mark.slow
def test_workers_that_do_not_heed_a_signal_are_ended(
    mpi: Mpi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launching, "_TIDY", 1.0)
    with pytest.raises(Interrupted, match="ended by SIGTERM") as caught:
        launch(2, told(partial(toy.deaf, os.getpid(), signal.SIGTERM)), mpi=mpi)
    assert caught.value.signal == signal.SIGTERM


@pytest.mark.slow
def test_workers_end_when_who_started_them_was_killed(mpi: Mpi, tmp_path: Path) -> None:
    make = partial(toy.noted, str(tmp_path), partial(toy.then, partial(time.sleep, 100), 1))
    (tmp_path / "make").write_bytes(pickle.dumps(make))
    code = (
        "import sys; sys.path.insert(0, sys.argv[2]); from pathlib import Path;"
        "from somaflow.workers.launch import launch; launch(2, Path(sys.argv[1]).read_bytes())"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "make"), str(HERE)]
    with subprocess.Popen(command) as parent:
        while len(workers := [int(p.name) for p in tmp_path.iterdir() if p.name.isdigit()]) < 2:
            assert parent.poll() is None
            time.sleep(0.05)
        parent.kill()
    while workers:
        time.sleep(0.05)
        workers = [pid for pid in workers if Path(f"/proc/{pid}").exists()]


# ------------------------------------------------------------------------ scripts of a user


def ran(mpi: Mpi, path: Path, text: str, *words: str) -> subprocess.CompletedProcess[str]:
    path.write_text(
        "import sys\n"
        f"sys.path.insert(0, {str(HERE)!r})\n"
        "import toy_parts as toy\n"
        "from somaflow.workers.carrying import carried, here\n"
        f"rank, size = here()\n{text}\n"
    )
    return subprocess.run(
        [*mpi.command(2), sys.executable, *words, str(path)],
        env=mpi.environment(os.environ),
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
@pytest.mark.parametrize("words", [(), ("-m", "mpi4py")])
def test_a_script_under_mpiexec(mpi: Mpi, tmp_path: Path, words: tuple[str, ...]) -> None:
    text = "both = [carried(toy.adding(rank, size)) for _ in range(2)]\nprint(f'{both}\\n', end='')"
    done = ran(mpi, tmp_path / "script.py", text, *words)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{[toy.sums(2)] * 2}\n" * 2


@pytest.mark.slow
@pytest.mark.parametrize(
    "text",
    [
        "carried(toy.then(toy.fail, 1, rank, size))",
        "carried(toy.adding(rank, size))\n"
        "if rank == 1: toy.fail()\n"
        "carried(toy.adding(rank, size))",
    ],
    ids=["in a part", "between two runs"],
)
def test_an_exception_in_one_worker_of_a_script_ends_all(
    mpi: Mpi, tmp_path: Path, text: str
) -> None:
    done = ran(mpi, tmp_path / "script.py", text)
    assert done.returncode == 1, done.stderr
    assert "NonFiniteState: PN.v[17] at t = 8.12 ms" in done.stderr


@pytest.mark.slow
def test_a_stopped_worker_of_a_script_ends_all(mpi: Mpi, tmp_path: Path) -> None:
    text = "carried(toy.then(toy.stop, 0, rank, size), 5)"
    done = ran(mpi, tmp_path / "script.py", text)
    assert done.returncode == 75, done.stderr
    assert "worker 0 of 2 did not answer for 5 s" in done.stderr


@pytest.mark.slow
def test_a_worker_of_a_script_that_never_comes_ends_all(mpi: Mpi, tmp_path: Path) -> None:
    text = "import time\nif rank == 1: time.sleep(100)\ncarried(toy.adding(rank, size), 3)"
    done = ran(mpi, tmp_path / "script.py", text)
    assert done.returncode != 0
    assert "Timeout (0:00:03)!" in done.stderr and "_started" in done.stderr
