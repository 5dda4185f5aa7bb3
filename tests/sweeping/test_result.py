"""The result of a sweep holds each member in its place, whatever the order they ended in."""

import json
import warnings
import weakref
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from somaflow.storage.folder import Folder
from somaflow.sweeping import result
from somaflow.sweeping.parts import InMemory, Kept, Parts
from somaflow.sweeping.result import in_memory, layout_of, write
from somaflow.sweeping.space import Space, read_space
from somaflow.sweeping.task import Outcome

CELLS = {"c.spikes": np.arange(2)}


def made(space: Space, outcomes: list[Outcome]) -> xr.Dataset:
    kept = InMemory()
    kept.add(outcomes)
    return in_memory(layout_of(space, kept, {"dt_ms": 1}, CELLS), kept)


def on_disk(space: Space, kept: Kept, path: Path) -> xr.Dataset:
    write(path, layout_of(space, kept, {"dt_ms": 1}, CELLS), kept)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return xr.open_zarr(path, consolidated=False)


def test_each_member_is_in_its_place(space: Space, outcomes: list[Outcome]) -> None:
    data = made(space, outcomes)
    assert data["c.v"].dims == ("p.x", "kind", "c.v.time", "c.v.cell")
    for k, outcome in enumerate(outcomes):
        one = data.isel(dict(zip(space.dims, space.index(k), strict=True)))
        assert one["p.x"] == [0.1, 0.2, 0.3][k // 2] and one["kind"] == ["one", "two"][k % 2]
        assert str(one["failure"].values) == outcome.failure
        if outcome.data is None:
            assert np.isnan(one["c.v"]).all() and np.isnan(one["rate"]) and one["word"] == ""
            assert np.isnan(one["c.spikes.count"]) and one["c.spikes.first"] == 3
            continue
        assert isinstance(outcome.data, xr.Dataset)
        np.testing.assert_array_equal(one["c.v"], outcome.data["c.v"])
        assert float(one["rate"]) == 10 * k and str(one["word"].values) == "x" * k
        begin, count = int(one["c.spikes.first"]), int(one["c.spikes.count"])
        assert count == k
        times = data["c.spikes.times"][begin : begin + count]
        np.testing.assert_array_equal(times, outcome.data["c.spikes.times"])
        cells = data["c.spikes.cells"][begin : begin + count]
        np.testing.assert_array_equal(cells, outcome.data["c.spikes.cells"])
    assert data["c.v.time"].dims == ("c.v.time",) and data["c.v.time"].attrs == {"units": "ms"}
    assert data["rate"].attrs == {"units": "Hz"}
    assert data["p.x"].attrs == {"units": "nA"}
    assert data.sizes["c.spikes.spike"] == 0 + 1 + 2 + 4 + 5
    assert data.attrs == {"dt_ms": 1}


def test_whole_numbers_stay_whole_where_none_failed(space: Space, outcomes: list[Outcome]) -> None:
    good = replace(outcomes[3], data=outcomes[2].data, failure="")
    assert made(space, outcomes)["rate"].dtype == np.float64
    whole = made(space, [*outcomes[:3], good, *outcomes[4:]])
    assert whole["rate"].dtype == whole["c.spikes.count"].dtype == np.int64
    np.testing.assert_array_equal(whole["rate"].values.ravel(), [0, 10, 20, 20, 40, 50])


@pytest.mark.parametrize("chunk", [1 << 20, 100, 40, 8])
def test_a_store_is_the_same_as_what_is_in_memory(
    chunk: int, space: Space, outcomes: list[Outcome], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(result, "CHUNK_BYTES", chunk)
    kept = InMemory()
    kept.add(outcomes)
    found, wanted = on_disk(space, kept, tmp_path / "a.zarr"), made(space, outcomes)
    assert set(found.variables) == set(wanted.variables)
    assert set(found.coords) == set(wanted.coords)
    for name, variable in wanted.variables.items():
        assert found[name].dims == variable.dims
        assert found[name].attrs == variable.attrs, name
        np.testing.assert_array_equal(found[name].values, variable.values, err_msg=str(name))
        if variable.dtype != object:
            assert found[name].dtype == variable.dtype, name


def test_bytes_do_not_depend_on_the_order_or_the_size_of_tasks(
    space: Space, outcomes: list[Outcome], tmp_path: Path,
    files: Callable[[Path], dict[str, bytes]], monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(result, "CHUNK_BYTES", 100)
    stores = []
    for k, groups in enumerate(([[0, 1, 2, 3, 4, 5]], [[5], [3, 4], [0, 2], [1]])):
        parts = Parts(Folder(tmp_path / f"{k}.run"), "a")
        for group in groups:
            parts.add([outcomes[number] for number in group])
        on_disk(space, parts, tmp_path / f"{k}.zarr").close()
        stores.append(files(tmp_path / f"{k}.zarr"))
    assert stores[0] == stores[1]
    told = json.loads(stores[0]["c.v/zarr.json"])
    assert told["chunk_grid"]["configuration"]["chunk_shape"] == [1, 2, 3, 2]


@pytest.mark.parametrize(
    ("axes", "own", "chunks"),
    [
        ((2, 5), (), (2, 5)),
        ((4, 6), (), (1, 6)),
        ((40, 60), (), (1, 10)),  # 80 bytes are ten numbers
        ((40, 3), (), (3, 3)),
        ((40, 3), (5,), (1, 2, 5)),
        ((40, 3), (10,), (1, 1, 10)),
        ((40, 3), (30, 2), (1, 1, 5, 2)),
        ((40,), (3, 20), (1, 1, 20)),
        ((), (30,), (10,)),
        ((2,), (0, 3), (2, 1, 3)),
    ],
)
def test_chunks_follow_from_sizes_alone(
    axes: tuple, own: tuple, chunks: tuple, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(result, "CHUNK_BYTES", 80)
    names = tuple("abcd"[: len(axes) + len(own)])
    variable = result.Variable("x", axes, names, own, "float64", np.nan, {})
    assert variable.chunks == chunks


class Counted:
    """Members that are made when they are read, and counts how many there are at a time."""

    def __init__(self, inner: InMemory) -> None:
        self.entries, self._inner = inner.entries, inner
        self.alive = self.most = 0

    def add(self, outcomes: Any) -> None:
        raise AssertionError

    def read(self, number: int) -> dict[str, Any]:
        found = {name: array.copy() for name, array in self._inner.read(number).items()}
        self.alive += 1
        self.most = max(self.most, self.alive)
        weakref.finalize(found["c.v"], self._gone)
        return found

    def _gone(self) -> None:
        self.alive -= 1


def test_a_store_is_written_without_all_members_in_memory(tmp_path: Path) -> None:
    space = read_space({"x": range(30)})
    inner = InMemory()
    time = np.arange(20_000.0)
    for k in range(30):
        data = xr.Dataset({"c.v": (("c.v.time",), time + k)}, {"c.v.time": time})
        inner.add([Outcome(k, data, "", False, "")])
    kept = Counted(inner)
    found = on_disk(space, kept, tmp_path / "a.zarr")
    assert kept.most <= 2  # the one that is written, and the next
    np.testing.assert_array_equal(found["c.v"][:, 7], 7 + np.arange(30.0))


_SHAPES = (
    "'c.v' has the shape (c.v.time=2, c.v.cell=2) in place of (c.v.time=3, c.v.cell=2). Let reduce "
    "return numbers, or arrays of one length"
)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda d: d.isel({"c.v.time": slice(2)}), _SHAPES),
        (lambda d: d.drop_vars("rate"), "'rate' is only in the first"),
        (lambda d: d.assign(more=1.0), "'more' is only in this one"),
        (lambda d: d.assign(rate=((), 1, {"units": "kHz"})), "'rate' has the attributes"),
        (lambda d: d.assign_coords({"c.v.time": [0.0, 1, 2]}), "'c.v.time' has the attributes"),
        (
            lambda d: d.assign_coords({"c.v.time": ("c.v.time", [0.0, 1, 2], {"units": "ms"})}),
            "'c.v.time' has other labels",
        ),
        (lambda d: d.assign(rate=((), "fast", {"units": "Hz"})), "'rate' has other axes or values"),
    ],
)
def test_a_member_that_does_not_fit_to_the_others_has_failed(
    change: Callable, why: str, space: Space, outcomes: list[Outcome]
) -> None:
    odd = replace(outcomes[4], data=change(outcomes[4].data))
    data = made(space, [*outcomes[:4], odd, outcomes[5]])
    failure = str(data["failure"][2, 0].values)
    assert failure.startswith("its result does not fit to that of p.x=0.1 nA, kind=one: " + why)
    assert np.isnan(data["c.v"][2, 0]).all() and np.isnan(data["c.spikes.count"][2, 0])
    assert str(data["failure"][2, 1].values) == ""


def test_numbers_of_other_types_get_one_that_holds_both() -> None:
    space = read_space({"x": [1, 2]})
    values = [
        Outcome(0, xr.Dataset({"y": ((), 1)}), "", False, ""),
        Outcome(1, xr.Dataset({"y": ((), 1.5)}), "", False, ""),
    ]
    data = made(space, values)
    assert data["y"].dtype == np.float64
    np.testing.assert_array_equal(data["y"], [1, 1.5])


def test_where_all_failed_there_are_reasons_alone(space: Space, tmp_path: Path) -> None:
    kept = InMemory()
    kept.add([Outcome(k, None, f"reason {k}", False, "") for k in range(6)])
    data = on_disk(space, kept, tmp_path / "a.zarr")
    assert list(data.data_vars) == ["failure"]
    assert data["failure"].values.ravel().tolist() == [f"reason {k}" for k in range(6)]
