"""A run that was stopped and goes on gives the store of one that never stopped, byte for byte."""

import shutil
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import xarray as xr
import zarr

import somaflow as sf
from somaflow.errors import RunError, StoreError
from somaflow.numerics import programs
from somaflow.storage import checkpoint, store
from somaflow.storage.folder import beside
from somaflow.units import ms, mV

pytestmark = pytest.mark.usefixtures("many_chunks")


def test_the_store_is_large_enough_to_tell(whole: Path, bytes_of: Callable) -> None:
    names = list(bytes_of(whole))
    for key in ("lif.v", "lif.spikes.times", "lif.v.mean.max_over_time", "lif.v.histogram"):
        assert sum(name.startswith(f"{key}/c/") for name in names) >= 2, key


def test_a_small_run_goes_on(stopped: Path, whole: Path, bytes_of: Callable) -> None:
    assert bytes_of(stopped) != bytes_of(whole)
    with xr.open_zarr(stopped, consolidated=False) as data:
        assert 32 <= float(data["lif.v.time"][-1]) <= 40
    found = sf.resume(str(stopped), progress=False)
    assert bytes_of(stopped) == bytes_of(whole)
    assert found["lif.v"].shape == (201, 4)
    assert found.duration == 60
    assert not found.statistics["compiled"]
    log = (beside(stopped).read("log.txt")).decode()
    assert "resumed at 32 ms, until 60 ms" in log


def test_what_was_compiled_before_it_stopped_is_not_needed(
    stopped: Path, whole: Path, bytes_of: Callable
) -> None:
    programs.clear()
    assert sf.resume(stopped, progress=False).statistics["compiled"]
    assert bytes_of(stopped) == bytes_of(whole)


@pytest.mark.slow
def test_a_small_run_goes_on_in_another_process(
    stopped: Path, whole: Path, bytes_of: Callable
) -> None:
    lines = f"""
import sys, somaflow as sf
from somaflow.storage import store
store.CHUNK_BYTES = {store.CHUNK_BYTES}
sf.resume(sys.argv[1], progress=False)
"""
    subprocess.run([sys.executable, "-c", lines, str(stopped)], check=True)
    assert bytes_of(stopped) == bytes_of(whole)


def test_a_run_that_was_not_closed_goes_on(whole: Path, tmp_path: Path, bytes_of: Callable) -> None:
    """As SIGKILL leaves it: of a later part some is there, and a write that was cut short."""
    path = tmp_path / "a.zarr"
    shutil.copytree(whole, path)
    shutil.copytree(str(beside(whole)), str(beside(path)))
    beside(path).remove("checkpoint-000000000600")
    group = zarr.open_group(path, mode="r+")
    for name, array in group.arrays():
        if name.split(".")[-1] in ("v", "times"):
            array.resize((array.shape[0] + 100, *array.shape[1:]))
            array[-110 if name == "lif.v" else -100 :] = 7
    (path / "lif.v" / "c" / "3" / "0.1234.partial").write_bytes(b"half")
    (path / "zarr.99.partial").write_bytes(b"half")
    sf.resume(path, progress=False)
    assert bytes_of(path) == bytes_of(whole)


def test_a_finished_run_is_left_as_it_is(whole: Path, bytes_of: Callable) -> None:
    before = bytes_of(whole)
    found = sf.resume(whole, progress=False)
    assert bytes_of(whole) == before
    assert found["lif.v"].shape == (201, 4)
    assert found.final.time == 60


@pytest.mark.slow
def test_a_run_can_be_extended_twice(
    small: Any, whole: Path, tmp_path: Path, bytes_of: Callable
) -> None:
    """Its ends lie beside the samples, and within intervals of what is taken over time."""
    path = tmp_path / "a.zarr"
    small(20.2, sink=path)
    first = sf.resume(path, 41.3 * ms, progress=False)
    assert first.duration == pytest.approx(41.3)
    assert first.final.time == pytest.approx(41.3)
    small(41.3, sink=tmp_path / "b.zarr")
    assert bytes_of(path) == bytes_of(tmp_path / "b.zarr")
    sf.resume(path, 60 * ms, progress=False)
    assert bytes_of(path) == bytes_of(whole)


@pytest.mark.slow
@pytest.mark.parametrize("chosen", [[1], [], [0, 3]], ids=["spikes", "nothing", "counts"])
def test_a_run_can_be_extended_whatever_is_recorded(
    chosen: list[int], small: Any, tmp_path: Path, bytes_of: Callable, stopping: Callable
) -> None:
    record = [small.record[k] for k in chosen]
    small(20, sink=tmp_path / "whole.zarr", record=record)
    path = tmp_path / "a.zarr"
    small(3.7, sink=path, record=record)
    with pytest.raises(InterruptedError):
        sf.resume(path, 20 * ms, progress=stopping(9))
    run = sf.resume(path, progress=False)
    assert run.final.time == 20
    assert bytes_of(path) == bytes_of(tmp_path / "whole.zarr")


@pytest.mark.slow
def test_a_stopped_run_can_be_made_shorter_or_longer(
    stopped: Path, small: Any, tmp_path: Path, bytes_of: Callable, whole: Path
) -> None:
    """Shorter than what was written after the checkpoint, too: none of that stays."""
    sf.resume(stopped, 34 * ms, progress=False)
    small(34, sink=tmp_path / "a.zarr")
    assert bytes_of(stopped) == bytes_of(tmp_path / "a.zarr")
    sf.resume(stopped, 45 * ms, progress=False)
    small(45, sink=tmp_path / "b.zarr")
    assert bytes_of(stopped) == bytes_of(tmp_path / "b.zarr")
    with pytest.raises(RunError, match=r"is at 45 ms already; .*not 44\.9 ms"):
        sf.resume(stopped, 44.9 * ms)
    assert bytes_of(stopped) == bytes_of(tmp_path / "b.zarr")
    sf.resume(stopped, 60, progress=False)
    assert bytes_of(stopped) == bytes_of(whole)


@pytest.mark.slow
def test_a_run_that_began_at_the_end_of_another_goes_on(
    small: Any, stopping: Callable, tmp_path: Path, bytes_of: Callable
) -> None:
    record = [recorder for recorder in small.record if recorder.over_time != "max"]
    transient = small(13.7, record=()).final
    settings = {"initial": transient, "record": record[:2]}
    whole = small(sink=tmp_path / "whole.zarr", **settings)
    assert whole["lif.spikes"].start == pytest.approx(13.7)
    path = tmp_path / "a.zarr"
    with pytest.raises(InterruptedError):
        small(sink=path, checkpoint=5 * ms, progress=stopping(20), **settings)
    found = sf.resume(path, progress=False)
    assert bytes_of(path) == bytes_of(tmp_path / "whole.zarr")
    assert found.final.time == whole.final.time == pytest.approx(73.7)
    assert found.meta == whole.meta


def test_values_that_began_it_are_not_needed_again(
    small: Any, stopping: Callable, tmp_path: Path, bytes_of: Callable
) -> None:
    initial = {"lif": {"v": sf.Uniform(-65 * mV, -55 * mV, seed=1)}}
    small(sink=tmp_path / "whole.zarr", initial=initial)
    path = tmp_path / "a.zarr"
    with pytest.raises(InterruptedError):
        small(sink=path, initial=initial, progress=stopping(20))
    assert checkpoint.names(beside(path)) == ["checkpoint-000000000000"]
    sf.resume(path, progress=False)
    assert bytes_of(path) == bytes_of(tmp_path / "whole.zarr")


def test_checkpoints_lie_at_whole_samples_and_two_are_kept(small: Any, tmp_path: Path) -> None:
    path, record = tmp_path / "a.zarr", [small.cells["v"].every(0.5 * ms)]
    small(21, sink=path, checkpoint=1.7 * ms, record=record)
    assert checkpoint.names(beside(path)) == [
        "checkpoint-000000000200",  # 1.7 ms are rounded up to four samples
        "checkpoint-000000000210",
    ]
    assert beside(path).read("log.txt").decode().count("checkpoint at") == 11


# -------------------------------------------------------------------- damage


def flip(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "a byte of the first line": lambda data: flip(data, 3),
    "the format": lambda data: data.replace(
        f'checkpoint": {checkpoint.FORMAT}'.encode(), b'checkpoint": 1', 1
    ),
    "the checksum": lambda data: flip(data, data.index(b"\n") - 5),
    "a byte in the middle": lambda data: flip(data, len(data) // 2),
    "the last byte": lambda data: flip(data, len(data) - 1),
    "cut in half": lambda data: data[: len(data) // 2],
    "cut in its first line": lambda data: data[:20],
    "empty": lambda data: b"",
    "zeros": lambda data: bytes(len(data)),
    "no text": lambda data: b"\xff\xfe\n" + data,
    "other JSON": lambda data: b"[1, 2]\n" + data,
}


def damage(path: Path, name: str, change: Callable[[bytes], bytes]) -> None:
    file = Path(str(beside(path))) / name
    before = file.read_bytes()
    file.write_bytes(change(before))
    assert file.read_bytes() != before


@pytest.mark.parametrize("change", DAMAGE.values(), ids=DAMAGE.keys())
def test_of_a_damaged_checkpoint_the_one_before_is_used_and_named(
    change: Callable, stopped: Path, whole: Path, bytes_of: Callable
) -> None:
    kept = checkpoint.names(beside(stopped))
    assert kept == ["checkpoint-000000000240", "checkpoint-000000000320"]
    damage(stopped, kept[1], change)
    with pytest.warns(UserWarning, match=f"{kept[1]} is damaged .*the one at 24 ms is used"):
        sf.resume(stopped, progress=False)
    assert bytes_of(stopped) == bytes_of(whole)
    log = beside(stopped).read("log.txt").decode()
    assert f"{kept[1]} is damaged" in log
    assert "resumed at 24 ms" in log
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sf.resume(stopped, progress=False)


def test_damaged_checkpoints_never_push_out_whole_ones(
    small: Any, stopped: Path, stopping: Callable, whole: Path, bytes_of: Callable
) -> None:
    folder = beside(stopped)
    folder.write("checkpoint-000000000400", b"damaged")
    folder.write("checkpoint-000000000500", b"damaged")
    with pytest.warns(UserWarning, match="damaged"), pytest.raises(InterruptedError):
        sf.resume(stopped, progress=stopping(43))
    assert checkpoint.names(folder) == ["checkpoint-000000000320", "checkpoint-000000000400"]
    assert checkpoint.newest(folder)[0].step == 400
    sf.resume(stopped, progress=False)
    assert bytes_of(stopped) == bytes_of(whole)


def test_both_damaged_are_both_named(stopped: Path, bytes_of: Callable) -> None:
    names = checkpoint.names(beside(stopped))
    damage(stopped, names[0], DAMAGE["empty"])
    damage(stopped, names[1], DAMAGE["a byte in the middle"])
    before = bytes_of(stopped)
    with pytest.raises(StoreError, match=r"no checkpoint in .*can be used") as caught:
        sf.resume(stopped)
    assert all(name in str(caught.value) for name in names)
    assert bytes_of(stopped) == before
