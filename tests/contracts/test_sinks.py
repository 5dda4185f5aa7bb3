"""What every sink promises: what went in comes out, however it was cut."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import somaflow as sf
from somaflow.simulation import chunks
from somaflow.storage import sinks, store
from somaflow.storage.sinks import Column, MemorySink, Sink
from somaflow.storage.store import ZarrSink
from somaflow.units import ms, nA

SINKS: dict[str, Callable[[Path], Sink]] = {
    "MemorySink": lambda folder: MemorySink(),
    "ZarrSink": lambda folder: ZarrSink(folder / "a.zarr"),
}
COLUMNS = (
    Column("a.v", "mV", (2, 5), ("batch_0", "cell"), (0, 1, 2, 3, 4), 0.1, 30, "float64"),
    Column("a.w.mean", "1", (), (), None, 0.3, 30, "float32"),
    Column("a.spikes", "ms", None, (), (0, 1, 2, 3, 4), 0.0, 0, "float64"),
    Column("none", "mV", (0,), ("cell",), (), 0.1, 30, "float64"),
)


@pytest.fixture(params=SINKS)
def sink(request: pytest.FixtureRequest, tmp_path: Path) -> Sink:
    return SINKS[request.param](tmp_path)


def test_the_list_is_complete() -> None:
    made = {name for name in vars(sinks) | vars(store) if name.endswith("Sink")} - {"Sink"}
    assert made == set(SINKS)


@pytest.mark.parametrize("lengths", [[30], [1] * 30, [7, 11, 12], [29, 1]])
@pytest.mark.parametrize("room", [1, 100, 1 << 20])
def test_arrays_come_out_as_they_went_in(
    sink: Sink, lengths: list[int], room: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "CHUNK_BYTES", room)
    rng = np.random.default_rng(1)
    v, w = rng.normal(size=(30, 2, 5)), rng.normal(size=30).astype("float32")
    times, cells = np.sort(rng.random(30)) * 3, rng.integers(0, 5, 30)
    sink.open(COLUMNS, {"seed": 1})
    first = 0
    for length in lengths:
        part = slice(first, first + length)
        sink.rows("a.v", first, v[part])
        sink.rows("a.w.mean", first, w[part])
        sink.rows("none", first, np.zeros((length, 0)))
        sink.spikes("a.spikes", times[part], cells[part])
        first += length
    sink.close()
    for key, wanted in (("a.v", v), ("a.w.mean", w)):
        found = sink.read(key)
        assert found.dtype == wanted.dtype
        assert found.tobytes() == wanted.tobytes()
    found_times, found_cells = sink.read_spikes("a.spikes")
    assert found_times.tobytes() == times.tobytes()
    assert found_cells.tolist() == cells.tolist()
    assert found_cells.dtype == np.int64


def test_nothing_comes_out_where_nothing_went_in(sink: Sink) -> None:
    sink.open(COLUMNS, {})
    sink.close()
    assert sink.read("a.v").shape == (0, 2, 5)
    assert sink.read("a.w.mean").dtype == np.float32
    assert [part.size for part in sink.read_spikes("a.spikes")] == [0, 0]


def test_what_was_handed_in_may_change_afterwards(sink: Sink) -> None:
    values = np.ones((3, 2, 5))
    sink.open(COLUMNS, {})
    sink.rows("a.v", 0, values)
    values[:] = 7
    sink.close()
    assert np.all(sink.read("a.v") == 1)


# ------------------------------------------------------------------ whole runs


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[sf.Solution, Path]]:
    """One run into each sink, in chunks of 20 steps."""
    cells = sf.Population("lif", 4, sf.load("lif"), refractory=1 * ms)
    synapse = sf.load("exponential_current")(i=0.3 * nA)
    network = sf.Network(
        cells,
        sf.Projection(cells, cells, synapse, sf.FromList([(0, 1), (1, 2)])),
        sf.CurrentClamp(cells, np.array([3, 1.6, 1.7, 2]) * nA),
    )
    record = [cells["v"].every(0.3 * ms), cells.spikes, cells[2:]["v"].mean().every(0.5 * ms)]
    found = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chunks, "_CHUNK_STEPS", 20)
        for name, make in SINKS.items():
            folder = tmp_path_factory.mktemp(name)
            run = sf.simulate(
                network, 40 * ms, dt=0.1 * ms, record=record, sink=make(folder), seed=9,
            )  # fmt: skip
            found[name] = run, folder / "a.zarr"
    return found


@pytest.mark.parametrize("name", set(SINKS) - {"MemorySink"})
def test_each_sink_gives_the_arrays_of_memory(name: str, runs: dict) -> None:
    run, memory = runs[name][0], runs["MemorySink"][0]
    assert len(memory["lif.spikes"]) >= 3
    assert run.keys() == memory.keys() == ["lif.v", "lif.spikes", "lif.v.mean"]
    for key in ("lif.v", "lif.v.mean"):
        assert run[key].identical(memory[key])
    assert run["lif.spikes"].times.tobytes() == memory["lif.spikes"].times.tobytes()
    assert run["lif.spikes"].cells.tobytes() == memory["lif.spikes"].cells.tobytes()
    assert set(run.to_xarray().variables) == set(memory.to_xarray().variables)


def test_xarray_opens_the_store(runs: dict) -> None:
    run, path = runs["ZarrSink"]
    with xr.open_zarr(path, consolidated=False) as data:
        written, made = data.load(), run.to_xarray()
    assert set(written.variables) == set(made.variables)
    for name in written.variables:
        assert written[name].dims == made[name].dims, name
        np.testing.assert_array_equal(written[name], made[name], err_msg=str(name))
        assert written[name].attrs.get("units") == made[name].attrs.get("units"), name
    assert written["lif.v"].attrs["units"] == "mV"
    assert written["lif.v.time"].attrs["units"] == "ms"


def test_the_store_holds_all_that_is_needed_to_repeat_the_run(runs: dict) -> None:
    run, path = runs["ZarrSink"]
    with xr.open_zarr(path, consolidated=False) as data:
        meta = data.attrs
    assert (meta["seed"], meta["dt_ms"], meta["duration_ms"]) == (9, 0.1, 40.0)
    assert (meta["solver"], meta["dtype"]) == ("RK4", "float64")
    assert {"somaflow", "tensorflow", "numpy", "python"} <= set(meta["versions"])
    assert meta["fingerprint"] == run.meta["fingerprint"]
    told = dict(meta["statistics"])
    assert told.pop("samples_end_ms") == {"lif.v": pytest.approx(39.9)}
    assert told == {"cells": 4, "equations": 8, "synapses": 2, "steps": 400}
    assert "description" in meta
