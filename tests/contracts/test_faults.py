"""A disk that fails at any write ends the run cleanly; nothing is lost, and the run can go on."""

import errno
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
import zarr
from zarr.storage import LocalStore

import somaflow as sf
from somaflow.errors import StoreError
from somaflow.running import logbook
from somaflow.simulation import chunks
from somaflow.storage import checkpoint, folder, growing, store
from somaflow.storage.folder import Folder, beside
from somaflow.units import ms

FULL, BROKEN, TORN = "full", "broken", "torn"
DURATION, EVERY, STOP = 24, 12 * ms, 13
ARRAYS = ("lif.v", "lif.v.time", "lif.spikes.count.mean", "lif.spikes.times")


class Disk:
    """A disk that fails at its write number `at`: a file, a line of the log, a wait for it.

    Args:
        patch: What changes the writes.
        at: Counted from 1.
        kind: `FULL`: no room from then on. `BROKEN`: this write fails, and none after it. `TORN`:
            so too, but half of the bytes arrive, in their final place.
    """

    def __init__(self, patch: pytest.MonkeyPatch, at: float, kind: str) -> None:
        self.at, self.kind, self.writes = at, kind, 0
        self.failed: list[Path] = []
        self.chunks: dict[Path, bytes] = {}
        plain_set, plain_write, plain_append = LocalStore.set, Folder.write_all, Folder.append
        settle = folder.settle

        async def put(to: LocalStore, key: str, value: Any) -> None:
            path = Path(to.root) / key
            data = value.to_bytes()
            self.meet(path, data)
            await plain_set(to, key, value)
            if "/c/" in key:
                self.chunks[path] = data

        def write(to: Folder, files: dict[str, bytes]) -> None:
            for name, data in files.items():
                self.meet(Path(str(to)) / name, data)
            plain_write(to, files)

        def append(to: Folder, name: str, text: str) -> None:
            path = Path(str(to)) / name
            self.meet(path, (path.read_bytes() if path.exists() else b"") + text.encode())
            plain_append(to, name, text)

        def wait(path: Path) -> None:
            self.meet(path, None)
            settle(path)

        patch.setattr(LocalStore, "set", put)
        patch.setattr(Folder, "write_all", write)
        patch.setattr(Folder, "append", append)
        patch.setattr(growing, "settle", wait)
        patch.setattr(folder, "settle", wait)

    def meet(self, path: Path, data: bytes | None) -> None:
        self.writes += 1
        if self.writes < self.at or (self.kind != FULL and self.writes > self.at):
            return
        self.failed.append(path)
        self.chunks.pop(path, None)
        if self.kind == FULL:
            raise OSError(errno.ENOSPC, "No space left on device")
        if self.kind == TORN and data is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data[: len(data) // 2])
        raise OSError(errno.EIO, "Input/output error")


@pytest.fixture(autouse=True)
def _fewer_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks, "_CHUNK_STEPS", 110)
    monkeypatch.setattr(store, "CHUNK_BYTES", 1500)
    monkeypatch.setattr(logbook, "_BETWEEN", 0.0)  # the progress is noted after each chunk


@pytest.fixture
def record(small: Any) -> list[sf.Recorder]:
    return [small.record[k] for k in (0, 1, 3)]


@pytest.fixture
def whole(small: Any, record: list, tmp_path: Path) -> tuple[Any, Path]:
    """A run without a fault, and its store."""
    path = tmp_path / "whole.zarr"
    return small(DURATION, sink=path, record=record, checkpoint=EVERY), path


def check_readable(path: Path, disk: Disk, whole: sf.Solution) -> None:
    """Check that what was written is there, and that what is missing says so."""
    for file, data in disk.chunks.items():
        assert file.read_bytes() == data, file
    if disk.kind == TORN:
        torn = {file.parts[len(path.parts)] for file in disk.failed if file.is_relative_to(path)}
        if "zarr.json" not in torn:
            group = zarr.open_group(path, mode="r")
            found = {name: group[name][:] for name in set(ARRAYS) - torn}
            check_begins_right(found, whole)
        return
    with xr.open_zarr(path, consolidated=False) as data:
        check_begins_right({name: data[name].values for name in ARRAYS}, whole)


def check_begins_right(found: dict[str, Any], whole: sf.Solution) -> None:
    """Check that each array begins as that of the whole run, and ends in missing values."""
    wanted = whole.to_xarray()
    for name, values in found.items():
        missing = np.isnan(values).reshape(len(values), -1)
        assert np.all(missing.all(1) == missing.any(1)), name
        assert np.all(np.diff(missing.any(1).astype(int)) >= 0), name
        known = np.count_nonzero(~missing.any(1))
        np.testing.assert_array_equal(values[:known], wanted[name][:known], err_msg=name)


def one_fault(
    at: int, kind: str, make: Callable[[Path], Any], path: Path, hint: bool = True
) -> Disk:
    """Meet one fault."""
    with pytest.MonkeyPatch.context() as patch:
        disk = Disk(patch, at, kind)
        try:
            make(path)
            # Only how a run ended is told in vain.
            assert {file.name for file in disk.failed} <= {"progress.json", "log.txt"} | {
                beside(path).__str__().rsplit("/", 1)[-1]
            }
        except StoreError as error:
            assert str(path) in str(error)
            word = "the disk is full" if kind == FULL else "Input/output error"
            assert word in str(error)
            if hint and checkpoint.names(beside(path)):
                assert f"sf.resume({str(path)!r})" in str(error)
    return disk


def begin_again(path: Path, disk: Disk, make: Callable[[Any], Any]) -> None:
    """Begin a run anew that met a fault before it had computed anything."""
    if disk.kind == TORN and disk.failed[0].name == "run.json":
        # Nobody can tell whose half a description is.
        with pytest.raises(StoreError, match=r"run\.json is missing or damaged. Move that folder"):
            make(path)
        shutil.rmtree(str(beside(path)))
    elif disk.kind == TORN and disk.failed[0].name.startswith("checkpoint"):
        with pytest.raises(StoreError, match="overwrite=True"):
            make(path)
        make(sf.ZarrSink(path, overwrite=True))
        return
    make(path)


def same(path: Path, origin: Path, bytes_of: Callable, note: str) -> None:
    found, wanted = bytes_of(path), bytes_of(origin)
    differ = {name for name in found | wanted if found.get(name) != wanted.get(name)}
    assert not differ, note


def count(make: Callable[[Path], Any], path: Path) -> int:
    with pytest.MonkeyPatch.context() as patch:
        disk = Disk(patch, float("inf"), BROKEN)
        make(path)
    return disk.writes


def chosen(total: int, step: int, first: int) -> list[int]:
    return list(range(first, total + 1, step))


STEPS = [pytest.param(1, marks=pytest.mark.slow, id="each"), pytest.param(13, id="some")]


@pytest.mark.parametrize("kind", [FULL, BROKEN, TORN])
@pytest.mark.parametrize("step", STEPS)
def test_a_fault_at_any_write_of_a_run(
    step: int, kind: str, whole: tuple, small: Any, record: list, tmp_path: Path,
    bytes_of: Callable,
) -> None:  # fmt: skip
    def make(path: Any) -> sf.Solution:
        return small(DURATION, sink=path, record=record, checkpoint=EVERY)

    total = count(make, tmp_path / "counted.zarr")
    assert total > 50
    stopped = 0
    for at in chosen(total, step, 1 if step == 1 else 1 + [FULL, BROKEN, TORN].index(kind) * 4):
        path = tmp_path / f"{at}.zarr"
        disk = one_fault(at, kind, make, path)
        note = f"write {at} of {total}: {disk.failed[0]}"
        assert disk.failed, note
        try:
            reached = checkpoint.newest(beside(path))[0].step
        except StoreError:
            # Before the first checkpoint nothing is computed: the run is begun again.
            assert not path.exists(), note
            with pytest.raises(StoreError):
                sf.resume(path)
            begin_again(path, disk, make)
        else:
            if (path / "lif.v.time").exists() and reached:
                check_readable(path, disk, whole[0])
                stopped += 1
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr("warnings.warn", lambda *_, **__: None)  # of a torn checkpoint
                if kind == TORN and disk.failed[0] == path / "zarr.json" and not reached:
                    # Nobody can tell whose half a store is.
                    with pytest.raises(StoreError, match=r"not a results store .* move it"):
                        sf.resume(path)
                    disk.failed[0].unlink()
                sf.resume(path, progress=False)
        same(path, whole[1], bytes_of, note)
        shutil.rmtree(path)
        shutil.rmtree(str(beside(path)))
    assert stopped > total / step / 4
    print(f"{kind}: {len(chosen(total, step, 1))} faults at {total} writes")


@pytest.mark.parametrize("kind", [FULL, BROKEN, TORN])
@pytest.mark.parametrize("step", STEPS)
def test_a_fault_at_any_write_of_a_run_that_goes_on(
    step: int, kind: str, whole: tuple, small: Any, record: list, tmp_path: Path,
    bytes_of: Callable, stopping: Callable,
) -> None:  # fmt: skip
    origin = tmp_path / "origin"
    with pytest.raises(InterruptedError):
        small(
            DURATION,
            sink=origin / "a.zarr",
            record=record,
            checkpoint=EVERY,
            progress=stopping(STOP),
        )

    def make(path: Path) -> sf.Solution:
        shutil.copytree(origin, path.parent)
        return sf.resume(path, progress=False)

    total = count(make, tmp_path / "counted" / "a.zarr")
    assert total > 30
    for at in chosen(total, step, 1 if step == 1 else 2 + [FULL, BROKEN, TORN].index(kind) * 4):
        path = tmp_path / f"{at}" / "a.zarr"
        disk = one_fault(at, kind, make, path, hint=False)
        note = f"write {at} of {total}: {disk.failed}"
        if disk.failed[0].name == "run.json" and kind == TORN:
            # A file that is replaced as a whole; that a disk tears it in spite of that is told.
            with pytest.raises(StoreError, match=r"run\.json cannot be read"):
                sf.resume(path)
            continue
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("warnings.warn", lambda *_, **__: None)
            sf.resume(path, progress=False)
        same(path, whole[1], bytes_of, note)
        shutil.rmtree(path.parent)
    print(f"{kind}: {len(chosen(total, step, 1))} faults at {total} writes")


@pytest.mark.parametrize("kind", [FULL, BROKEN])
def test_a_fault_while_a_run_that_was_stopped_is_closed(
    kind: str, whole: tuple, small: Any, record: list, tmp_path: Path, bytes_of: Callable,
    stopping: Callable,
) -> None:  # fmt: skip
    """Arrays are cut where the data end: never one of two that belong together."""

    def make(path: Path) -> None:
        with pytest.raises(InterruptedError):
            small(DURATION, sink=path, record=record, checkpoint=EVERY, progress=stopping(STOP))

    total = count(make, tmp_path / "counted.zarr")
    for at in range(total - 16, total + 1):
        path = tmp_path / f"{at}.zarr"
        with pytest.MonkeyPatch.context() as patch:
            disk = Disk(patch, at, kind)
            with pytest.raises((InterruptedError, StoreError)):
                small(DURATION, sink=path, record=record, checkpoint=EVERY, progress=stopping(STOP))
        assert disk.failed
        check_readable(path, disk, whole[0])
        sf.resume(path, progress=False)
        same(path, whole[1], bytes_of, f"write {at} of {total}: {disk.failed[0]}")


def test_how_a_full_disk_ends_a_run_is_kept_once_there_is_room(
    whole: tuple, small: Any, record: list, tmp_path: Path
) -> None:
    path = tmp_path / "a.zarr"
    with pytest.MonkeyPatch.context() as patch:
        disk = Disk(patch, 40, BROKEN)
        with pytest.raises(StoreError):
            small(DURATION, sink=path, record=record, checkpoint=EVERY)
        assert len(disk.failed) == 1
    told = json.loads(beside(path).read("progress.json"))
    assert told["state"] == "failed"
    assert "Input/output error" in told["sentence"]
    assert "failed: " in beside(path).read("log.txt").decode()
    sf.resume(path, progress=False)
    assert json.loads(beside(path).read("progress.json"))["state"] == "finished"


def test_a_write_that_does_not_fit_leaves_no_part_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(number: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    place = Folder(tmp_path / "a")
    place.write("name", b"old")
    with monkeypatch.context() as patch:
        patch.setattr(folder.os, "fsync", full)
        with pytest.raises(OSError, match="No space"):
            place.write("name", b"new")
    assert place.read("name") == b"old"
    assert [entry.name for entry in (tmp_path / "a").iterdir()] == ["name"]
