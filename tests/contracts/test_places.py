"""What stands at a run's place and is not the run's stays, whatever is asked for."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
import zarr

import somaflow as sf
from somaflow.errors import StoreError
from somaflow.storage import store
from somaflow.units import ms


@pytest.mark.parametrize("repair", [True, False])
def test_a_check_writes_nothing_where_there_is_no_run(tmp_path: Path, repair: bool) -> None:
    (tmp_path / "k.run").mkdir()
    (tmp_path / "k.run/lock").write_text("my thesis")
    for place in ("k", "q/r/s"):
        with pytest.raises(StoreError):
            sf.check(tmp_path / place, repair=repair)
    assert (tmp_path / "k.run/lock").read_text() == "my thesis"
    assert not (tmp_path / "q").exists()


def test_a_lock_of_somebody_else_is_not_taken(small: Any, tmp_path: Path) -> None:
    path = tmp_path / "a.zarr"
    small(sink=path)
    (tmp_path / "a.zarr.run/lock").write_text("my thesis")
    for act in (lambda: sf.resume(path, 80 * ms), lambda: sf.check(path, repair=True)):
        with pytest.raises(StoreError, match="lock is no file that a run has written"):
            act()
    assert (tmp_path / "a.zarr.run/lock").read_text() == "my thesis"


def test_a_run_json_of_somebody_else_stays(small: Any, tmp_path: Path) -> None:
    (tmp_path / "foo.run").mkdir()
    (tmp_path / "foo.run/run.json").write_text('{"mine": 1}')
    with pytest.raises(StoreError, match="missing or damaged"):
        small(sink=tmp_path / "foo")
    assert (tmp_path / "foo.run/run.json").read_text() == '{"mine": 1}'


def test_a_store_of_another_program_is_not_gone_on_with(small: Any, tmp_path: Path) -> None:
    path = tmp_path / "f.zarr"
    small(sink=path)
    names = [entry.name for entry in path.iterdir() if entry.is_dir()]
    shutil.rmtree(path)
    group = zarr.create_group(path, attributes={"mine": 1})
    for name in names:
        group.create_array(name, data=np.arange(7.0))
    before = {file: file.read_bytes() for file in path.rglob("*") if file.is_file()}
    for again in (lambda: sf.resume(path), lambda: sf.resume(path, 80 * ms)):
        with pytest.raises(StoreError, match="not the store of this run"):
            again()
    assert before == {file: file.read_bytes() for file in path.rglob("*") if file.is_file()}


def test_a_repaired_run_is_not_whole_before_it_is_gone_on_with(
    small: Any, tmp_path: Path, bytes_of: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "CHUNK_BYTES", 900)
    path = tmp_path / "w.zarr"
    small(sink=path)
    whole = bytes_of(path)
    file = path / "lif.v/c/0/0"
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 4
    file.write_bytes(data)
    for repair in (False, True, False, True):
        found = sf.check(path, repair=repair)
        assert not found.sound
        assert "sf.resume" in found.advice
    sf.resume(path, progress=False)
    assert bytes_of(path) == whole
    assert sf.check(path).sound


def test_labels_that_are_gone_are_written_again(
    small: Any, tmp_path: Path, bytes_of: Callable
) -> None:
    path = tmp_path / "w.zarr"
    small(sink=path)
    whole = bytes_of(path)
    shutil.rmtree(path / "lif.v.cell")
    (tmp_path / "w.zarr.run/progress.json").write_text("{")
    assert not sf.check(path).sound
    assert sf.check(path, repair=True).sound
    assert bytes_of(path) == whole


def test_a_folder_in_the_place_of_metadata_is_named(small: Any, tmp_path: Path) -> None:
    path = tmp_path / "w.zarr"
    small(sink=path)
    for name in ("zarr.json", "lif.v/zarr.json"):
        kept = (path / name).read_bytes()
        (path / name).unlink()
        (path / name).mkdir()
        found = sf.check(path, repair=True)
        assert "zarr.json is a folder" in str(found)
        assert "move it" in found.advice
        (path / name).rmdir()
        (path / name).write_bytes(kept)
    assert sf.check(path).sound


def test_consolidated_metadata_do_not_grow_stale(small: Any, tmp_path: Path) -> None:
    path = tmp_path / "e.zarr"
    run = small(sink=path)
    with pytest.warns(zarr.errors.ZarrUserWarning):
        zarr.consolidate_metadata(path)
    longer = sf.resume(path, 2 * run.duration * ms, progress=False)
    assert b"consolidated" not in (path / "zarr.json").read_bytes()
    with xr.open_zarr(path, consolidated=False) as data:
        assert data["lif.v"].shape == longer["lif.v"].shape


def test_an_address_is_not_checked_but_what_is_missing_is_told(small: Any) -> None:
    fsspec = pytest.importorskip("fsspec")
    address = "memory://places/a.zarr"
    run = small(sink=address)
    with pytest.raises(StoreError, match="is an address"):
        sf.check(address)
    files = fsspec.filesystem("memory")
    [first, *_] = sorted(files.find("/places/a.zarr/lif.v/c"))
    files.rm_file(first)
    with pytest.raises(StoreError, match=r"chunk 0 of lif\.v .* is missing"):
        run["lif.v"]
