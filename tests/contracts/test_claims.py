"""A store is written by one run at a time, and what others left or changed is noticed."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import somaflow as sf
from somaflow.errors import StoreError
from somaflow.storage import claim
from somaflow.storage.checkpoint import names
from somaflow.storage.claim import claimed
from somaflow.storage.folder import LOCK, beside
from somaflow.units import mV

pytestmark = pytest.mark.usefixtures("many_chunks")

# What another process does: hold the claim until it is told to end.
HOLDER = """
import sys
from somaflow.storage.claim import claimed
from somaflow.storage.folder import beside

with claimed(beside(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder() -> Any:
    """Return what starts a process that claims a store; it is ended with the test."""
    started: list[subprocess.Popen[str]] = []

    def hold(path: Path) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", HOLDER, str(path)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        return process

    yield hold
    for process in started:
        process.kill()
        process.communicate()


def test_a_run_is_refused_where_another_process_writes(
    holder: Callable, stopped: Path, whole: Path, small: Any, bytes_of: Callable
) -> None:
    process, before = holder(stopped), bytes_of(stopped)
    message = rf"stopped\.zarr\.run is being written by process {process.pid} on .*wait until"
    with pytest.raises(StoreError, match=message):
        sf.resume(stopped)
    with pytest.raises(StoreError, match=message):
        small(sink=sf.ZarrSink(stopped, overwrite=True))
    assert bytes_of(stopped) == before
    process.kill()  # a claim ends with its process
    process.wait()
    assert (beside(stopped).local("lock") or Path()).exists()
    sf.resume(stopped, progress=False)
    assert bytes_of(stopped) == bytes_of(whole)
    assert LOCK not in beside(stopped).names()


def test_a_run_claims_its_store_while_it_goes_on(
    small: Any, tmp_path: Path, stopping: Callable
) -> None:
    path, seen = tmp_path / "a.zarr", []

    def look(progress: sf.Progress) -> None:
        if progress.done == progress.total:  # then it can be read
            return
        with pytest.raises(StoreError, match=f"is being written by process {os.getpid()}"):
            sf.resume(path)
        seen.append(claim.is_claimed(beside(path)))

    small(5, sink=path, progress=look)
    assert seen
    assert all(seen)
    assert not claim.is_claimed(beside(path))
    with pytest.raises(InterruptedError):
        small(sink=sf.ZarrSink(path, overwrite=True), progress=stopping(10))
    assert not claim.is_claimed(beside(path))


def test_a_claim_that_was_removed_while_it_was_waited_for_is_made_anew(tmp_path: Path) -> None:
    folder = beside(tmp_path / "a.zarr")
    path = folder.local(LOCK)
    assert path is not None
    with claimed(folder):
        path.unlink()  # as by whoever held it before
        with claimed(folder):
            assert claim.is_claimed(folder)


def test_where_there_are_no_locks_nothing_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lockless(*_: Any, **__: Any) -> bool:
        raise OSError(95, "Operation not supported")

    folder = beside(tmp_path / "a.zarr")
    monkeypatch.setattr(claim, "lock_descriptor", lockless)
    with claimed(folder), claimed(folder):
        assert claim.is_claimed(folder)


@pytest.fixture
def as_on_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is locked cannot be read by others, and one that is open not removed."""
    opened: dict[str, int] = {}
    real_open, real_close, read_bytes, unlink = os.open, os.close, Path.read_bytes, Path.unlink

    def note(path: Any, *more: Any) -> int:
        number = real_open(path, *more)
        if str(path).endswith(LOCK):
            opened[str(path)] = opened.get(str(path), 0) + 1
            numbers[number] = str(path)
        return number

    def close(number: int) -> None:
        real_close(number)
        if path := numbers.pop(number, None):
            opened[path] -= 1

    def refused(path: Path) -> None:
        if opened.get(str(path)):
            raise PermissionError(13, "Permission denied")

    numbers: dict[int, str] = {}
    monkeypatch.setattr(claim, "_WINDOWS", True)
    monkeypatch.setattr(claim.os, "open", note)
    monkeypatch.setattr(claim.os, "close", close)
    monkeypatch.setattr(claim.os, "read", lambda *_: refused(Path(next(iter(opened)))) or b"")
    monkeypatch.setattr(Path, "read_bytes", lambda path: refused(path) or read_bytes(path))
    monkeypatch.setattr(
        Path, "unlink", lambda path, missing_ok=False: refused(path) or unlink(path, missing_ok)
    )


def test_a_store_is_claimed_by_one_where_locked_files_cannot_be_read_or_removed(
    as_on_windows: None, tmp_path: Path
) -> None:
    folder = beside(tmp_path / "a.zarr")
    for _ in range(2):
        with claimed(folder):
            assert claim.is_lock(folder)
            with pytest.raises(StoreError, match="by another process; wait"), claimed(folder):
                pass
        assert not claim.is_claimed(folder)
        assert not folder.exists()


def test_a_claim_that_somebody_removed_is_not_taken_from_the_next(tmp_path: Path) -> None:
    folder = beside(tmp_path / "a.zarr")
    first = claimed(folder)
    first.__enter__()
    shutil.rmtree(str(folder))
    with claimed(folder):
        first.__exit__(None, None, None)
        assert claim.is_claimed(folder)
        with pytest.raises(StoreError, match="is being written"), claimed(folder):
            pass
    assert not Path(str(folder)).exists()


def test_a_place_that_cannot_be_written_any_more_does_not_hide_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(self: Path, missing_ok: bool = False) -> None:
        raise OSError(30, "Read-only file system")

    folder = beside(tmp_path / "a.zarr")
    with monkeypatch.context() as patch, pytest.raises(ValueError, match="the reason"):
        patch.setattr(Path, "unlink", fails)
        with claimed(folder):
            raise ValueError("the reason")
    with claimed(folder):  # nobody holds it
        pass


def test_a_run_that_was_made_meanwhile_is_not_replaced(
    small: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bytes_of: Callable
) -> None:
    """While the second is looking whether there is room, the first one comes to its end."""
    path, before = tmp_path / "a.zarr", {}

    def refuse(*_: Any) -> None:
        monkeypatch.undo()
        small(3, sink=path, seed=1)
        before.update(bytes_of(path))

    monkeypatch.setattr(sf.run, "refuse", refuse)
    with pytest.raises(StoreError, match="holds something already"):
        small(5, sink=path)
    assert bytes_of(path) == before


# -------------------------------------------------------------------------- edited, missing


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda told: told["meta"].update(seed=10), "seed changed"),
        (lambda told: told["meta"].update(solver="Euler"), "solver changed"),
        (lambda told: told.update(begin=100), "begin changed"),
        (lambda told: told["meta"]["description"].clear(), "not a stored description"),
        (lambda told: told.update(every=0), "every is 0"),
        (lambda told: told.update(every="often"), "every is 'often'"),
        (lambda told: told.update(steps=-3), "steps is -3"),
        (lambda told: told.pop("steps"), r"run\.json is not what"),
    ],
)
def test_an_edited_description_is_refused(
    edit: Callable, message: str, stopped: Path, bytes_of: Callable
) -> None:
    told = json.loads(beside(stopped).read("run.json"))
    edit(told)
    beside(stopped).write("run.json", json.dumps(told).encode())
    before = bytes_of(stopped)
    with pytest.raises(StoreError, match=message):
        sf.resume(stopped)
    assert bytes_of(stopped) == before


def test_an_edited_network_is_refused(stopped: Path, bytes_of: Callable) -> None:
    data = beside(stopped).read("run.json")
    refractory = b"2 ms"
    assert refractory in data
    beside(stopped).write("run.json", data.replace(refractory, b"3 ms"))
    before = bytes_of(stopped)
    with pytest.raises(StoreError, match="description changed"):
        sf.resume(stopped)
    assert bytes_of(stopped) == before


def test_a_chunk_that_is_missing_is_noticed(stopped: Path) -> None:
    (stopped / "lif.v/c/0/0").unlink()
    with pytest.raises(StoreError, match=r"chunk 0 of lif\.v \(rows .*\) is missing"):
        sf.resume(stopped)


def test_a_chunk_of_times_that_is_missing_is_written_again(
    stopped: Path, whole: Path, bytes_of: Callable
) -> None:
    (stopped / "lif.v.time/c/1").unlink()
    sf.resume(stopped)
    assert bytes_of(stopped) == bytes_of(whole)


# ------------------------------------------------------------------------------- finished


def states(folder: Path) -> dict[str, tuple[int, bytes]]:
    return {
        str(path): (path.stat().st_mtime_ns, path.read_bytes())
        for place in (folder, Path(str(beside(folder))))
        for path in place.rglob("*")
        if path.is_file()
    }


def test_a_finished_run_is_only_read(
    small: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.zarr"
    run = small(sink=path)
    before = states(path)
    monkeypatch.setattr(sf.run, "made_with", lambda: {"tensorflow": "another"})
    again = sf.resume(path, progress=False)
    assert states(path) == before
    assert again.meta == run.meta
    assert again.statistics["spikes"] == run.statistics["spikes"] == {"lif": len(run["lif.spikes"])}
    for key in run:
        if not key.endswith("spikes"):
            assert (again[key] == run[key]).all()
    assert (again.final.states["lif"]["v"] == run.final.states["lif"]["v"]).all()


@pytest.mark.parametrize(
    "name", ["lif.v/c/1/0", "lif.v.cell/c/0", "zarr.json", "lif.spikes.cells/zarr.json"]
)
def test_a_finished_run_that_lost_a_file_of_its_end_is_mended_or_refused(
    name: str, small: Any, tmp_path: Path, bytes_of: Callable
) -> None:
    path = tmp_path / "a.zarr"
    small(sink=path)
    before = bytes_of(path)
    (path / name).unlink()
    assert name in before
    try:
        sf.resume(path, progress=False)
    except StoreError as error:
        assert "missing" in str(error)
    else:
        assert bytes_of(path) == before


def test_the_last_word_of_a_run_that_was_killed_is_given_when_it_is_resumed(
    small: Any, tmp_path: Path, bytes_of: Callable
) -> None:
    path = tmp_path / "a.zarr"
    small(sink=path)
    before = bytes_of(path)
    told = beside(path).read("progress.json")
    beside(path).write("progress.json", told.replace(b'"finished"', b'"running"'))
    beside(path).write(LOCK, b"process 999999 on a machine that was switched off")
    sf.resume(path, progress=False)
    assert b'"finished"' in beside(path).read("progress.json")
    assert not claim.is_claimed(beside(path))
    assert bytes_of(path) == before


def test_checkpoints_can_be_asked_for_later(
    stopped: Path, whole: Path, bytes_of: Callable, stopping: Callable
) -> None:
    with pytest.raises(InterruptedError):
        sf.resume(stopped, checkpoint=0.5, progress=stopping(45))
    assert [int(name[-12:]) for name in names(beside(stopped))][-1] > 400
    sf.resume(stopped, checkpoint=100, progress=False)
    assert bytes_of(stopped) == bytes_of(whole)
    with pytest.raises(sf.errors.UnitError):
        sf.resume(stopped, checkpoint=3 * mV)
    with pytest.raises(sf.errors.RunError, match="checkpoint is 0"):
        sf.resume(stopped, checkpoint=0)
