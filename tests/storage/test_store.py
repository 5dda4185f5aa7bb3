"""Zarr stores: what is refused, and what survives a disk that fills."""

import errno
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
import zarr
from zarr.storage import LocalStore

from somaflow.errors import StoreError
from somaflow.storage import store
from somaflow.storage.sinks import Column
from somaflow.storage.store import ZarrSink

V = Column("PN.v", "mV", (3,), ("cell",), (4, 5, 7), 0.5, 40, "float64")
MEAN = Column("PN.v.mean", "mV", (), (), None, 0.5, 40, "float32")
SPIKES = Column("PN.spikes", "ms", None, (), tuple(range(8)), 0.0, 0, "float64")
COLUMNS = (V, MEAN, SPIKES)
ROWS, SPIKE_COUNT = 10, 6


def chunk(k: int) -> dict[str, Any]:
    """What chunk `k` of four hands to a sink; no stored number is 0, the value of empty space."""
    first = k * ROWS
    rows = np.arange(first, first + ROWS, dtype=float)
    return {
        "PN.v": rows[:, None] + np.array([0.25, 0.5, 0.75]),
        "PN.v.mean": (rows + 0.5).astype("float32"),
        "times": 5.0 * k + np.linspace(0.1, 4.9, SPIKE_COUNT),
        "cells": np.arange(1, 1 + SPIKE_COUNT),
    }


def fill(sink: Any, chunks: int = 4, flush: bool = False) -> None:
    sink.open(COLUMNS, {"seed": 3})
    try:
        for k in range(chunks):
            given = chunk(k)
            sink.rows("PN.v", k * ROWS, given["PN.v"])
            sink.rows("PN.v.mean", k * ROWS, given["PN.v.mean"])
            sink.spikes("PN.spikes", given["times"], given["cells"])
            if flush:
                sink.flush()
    finally:
        sink.close()


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "CHUNK_BYTES", 200)


class FullDisk:
    """A disk with room for a number of writes, of metadata or data."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, room: float, number: int) -> None:
        self.writes, self.room, self.number = 0, room, number
        plain = LocalStore.set

        async def limited(store: LocalStore, key: str, value: Any) -> None:
            self.writes += 1
            if self.writes > self.room:
                raise OSError(self.number, "No space left on device")
            await plain(store, key, value)

        monkeypatch.setattr(LocalStore, "set", limited)


def test_what_is_flushed_can_be_read_and_changes_no_byte(tmp_path: Path) -> None:
    fill(ZarrSink(tmp_path / "a.zarr"))
    fill(ZarrSink(tmp_path / "b.zarr"), flush=True)
    found = [
        {file.relative_to(path): file.read_bytes() for file in path.rglob("*") if file.is_file()}
        for path in (tmp_path / "a.zarr", tmp_path / "b.zarr")
    ]
    assert len(found[0]) > 15
    assert found[0] == found[1]
    sink = ZarrSink(tmp_path / "c.zarr")
    sink.open(COLUMNS, {})
    sink.rows("PN.v", 0, chunk(0)["PN.v"])
    for flushed, rows in ((False, 8), (True, 10)):
        if flushed:
            sink.flush()
        with xr.open_zarr(tmp_path / "c.zarr", consolidated=False) as data:
            values = data["PN.v"].values
            assert values.shape == (40, 3)
            np.testing.assert_array_equal(values[:rows], chunk(0)["PN.v"][:rows])
            assert np.all(np.isnan(values[rows:]))


def test_a_store_goes_on_from_its_cursors(tmp_path: Path) -> None:
    """Whatever was written after them, and whatever a write left that was cut short."""
    header = {"seed": 3, "fingerprint": "abc"}
    kept: dict[str, Any] = {}
    for name, stops in (("a", ()), ("b", (1,)), ("c", (1, 2, 3))):
        path = tmp_path / f"{name}.zarr"
        sink = ZarrSink(path)
        sink.open(COLUMNS, header)
        for k in range(4):
            if k in stops:
                cursors = sink.cursors()
                sink.rows("PN.v", k * ROWS, 7 * chunk(k)["PN.v"])
                sink.spikes("PN.spikes", np.full(40, 7.0), np.zeros(40, np.int64))
                sink.close()
                (path / "PN.v" / "c" / "1.partial").write_bytes(b"half")
                (path / "PN.v" / "c" / ".DS_Store").write_bytes(b"a Mac was here")
                sink = ZarrSink(path)
                sink.reopen(COLUMNS, header, cursors)
                (path / "PN.v" / "c" / ".DS_Store").unlink()
            given = chunk(k)
            sink.rows("PN.v", k * ROWS, given["PN.v"])
            sink.rows("PN.v.mean", k * ROWS, given["PN.v.mean"])
            sink.spikes("PN.spikes", given["times"], given["cells"])
        sink.close()
        kept[name] = {f.relative_to(path): f.read_bytes() for f in path.rglob("*") if f.is_file()}
    assert kept["a"] == kept["b"] == kept["c"]


def count_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    with monkeypatch.context() as patch:
        disk = FullDisk(patch, float("inf"), errno.ENOSPC)
        fill(ZarrSink(tmp_path / "counted.zarr"))
    assert disk.writes > 20
    return disk.writes


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_disk_that_fills_ends_with_the_path(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for room in range(count_writes(tmp_path, monkeypatch)):
        path = tmp_path / f"{number}-{room}.zarr"
        with monkeypatch.context() as patch:
            FullDisk(patch, room, number)
            with pytest.raises(StoreError, match="the disk is full") as caught:
                fill(ZarrSink(path))
        assert str(path) in str(caught.value)


def test_what_was_written_before_the_disk_was_full_stays_readable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At each write that can fail: what is there is right, and what is missing says so."""
    total = count_writes(tmp_path, monkeypatch)
    with monkeypatch.context() as patch:
        opened = FullDisk(patch, float("inf"), errno.ENOSPC)
        fill(ZarrSink(tmp_path / "empty.zarr"), chunks=0)
    whole = [chunk(k) for k in range(4)]
    kept = []
    for room in range(opened.writes, total):
        path = tmp_path / f"{room}.zarr"
        with monkeypatch.context() as patch:
            FullDisk(patch, room, errno.ENOSPC)
            with pytest.raises(StoreError):
                fill(ZarrSink(path))
        with xr.open_zarr(path, consolidated=False) as data:
            found = {}
            for key in ("PN.v", "PN.v.mean"):
                wanted = np.concatenate([c[key] for c in whole])
                values = data[key].values[: len(wanted)]
                missing = np.isnan(values)
                np.testing.assert_array_equal(values[~missing], wanted[~missing])
                found[key] = int((~missing).sum())
            for key in ("times", "cells"):
                wanted = np.concatenate([c[key] for c in whole])
                values = data[f"PN.spikes.{key}"].values
                # A spike array is made longer before its new part is written.
                right = values == wanted[: len(values)]
                assert np.all(right[: np.argmin(right)] if not right.all() else right)
                found[key] = len(values)
        kept.append(found["PN.v"])
    assert kept == sorted(kept)
    assert kept[0] < kept[-1]


def test_another_failure_is_named_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    FullDisk(monkeypatch, 12, errno.EIO)
    with pytest.raises(StoreError, match="stays readable") as caught:
        fill(ZarrSink(tmp_path / "a.zarr"))
    assert "disk is full" not in str(caught.value)


# ---------------------------------------------------------------------- places


def test_a_store_is_not_written_over_another(tmp_path: Path) -> None:
    path = tmp_path / "a.zarr"
    fill(ZarrSink(path))
    before = {file: file.read_bytes() for file in path.rglob("*") if file.is_file()}
    with pytest.raises(StoreError, match="overwrite=True") as caught:
        fill(ZarrSink(path))
    assert str(path) in str(caught.value)
    assert before == {file: file.read_bytes() for file in path.rglob("*") if file.is_file()}


def test_a_store_is_replaced_where_that_is_allowed(tmp_path: Path) -> None:
    path = tmp_path / "a.zarr"
    fill(ZarrSink(path))
    fill(ZarrSink(path, overwrite=True), chunks=1)
    with xr.open_zarr(path, consolidated=False) as data:
        assert data["PN.v"].shape == (ROWS, 3)


@pytest.mark.parametrize("overwrite", [False, True])
def test_what_is_no_store_is_never_replaced(tmp_path: Path, overwrite: bool) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "text.txt").write_text("mine")
    (tmp_path / "file").write_text("mine")
    for name in ("thesis", "file"):
        with pytest.raises(StoreError, match=r"not a results store|holds something already"):
            fill(ZarrSink(tmp_path / name, overwrite))
    assert (tmp_path / "thesis" / "text.txt").read_text() == "mine"
    assert (tmp_path / "file").read_text() == "mine"


def test_an_empty_folder_and_missing_parents_are_taken(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for path in (tmp_path / "empty", tmp_path / "not" / "yet" / "there.zarr"):
        fill(ZarrSink(path), chunks=1)
        assert zarr.open_group(path, mode="r").attrs["seed"] == 3


def test_a_file_where_a_folder_should_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(StoreError, match="file is not a folder"):
        fill(ZarrSink(tmp_path / "file" / "a.zarr"))


def test_an_unwritable_folder_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: Any) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(tempfile, "NamedTemporaryFile", refuse)
    with pytest.raises(StoreError, match="cannot be written: Permission denied") as caught:
        fill(ZarrSink(tmp_path / "a.zarr"))
    assert str(tmp_path / "a.zarr") in str(caught.value)
    assert list(tmp_path.iterdir()) == []
