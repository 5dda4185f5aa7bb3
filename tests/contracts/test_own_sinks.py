"""Sinks of your own and sinks that are far away: everything, in order, and closed at the end."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

import somaflow as sf
from somaflow.errors import RunError, StoreError
from somaflow.simulation.folder import beside
from somaflow.simulation.sinks import Column, MemorySink
from somaflow.units import ms

pytestmark = pytest.mark.usefixtures("many_chunks")


class OwnSink:
    """Keeps what it was told, by whom and when; fails at a call if it is told to."""

    def __init__(self, fails_at: str = "", after: int = 0) -> None:
        self.memory, self.fails_at, self.after = MemorySink(), fails_at, after
        self.calls: list[tuple[str, str, int]] = []
        self.threads: set[int] = set()
        self.header: dict[str, Any] = {}

    def _note(self, name: str, key: str = "", first: int = 0) -> None:
        self.calls.append((name, key, first))
        if name == self.fails_at and sum(call[0] == name for call in self.calls) > self.after:
            raise ValueError("no more")

    def open(self, columns: tuple[Column, ...], header: dict[str, Any]) -> None:
        self.header = header
        self._note("open")
        self.memory.open(columns, header)

    def rows(self, key: str, first: int, values: Any) -> None:
        self.threads.add(threading.get_ident())
        self._note("rows", key, first)
        assert first == sum(len(part) for part in self.memory._parts[key])
        self.memory.rows(key, first, values)

    def spikes(self, key: str, times: Any, cells: Any) -> None:
        self.threads.add(threading.get_ident())
        self._note("spikes", key)
        self.memory.spikes(key, times, cells)

    def close(self) -> None:
        self._note("close")

    def read(self, key: str) -> Any:
        return self.memory.read(key)

    def read_spikes(self, key: str) -> Any:
        return self.memory.read_spikes(key)


def test_an_own_sink_gets_everything_in_order_from_one_thread(small: Any) -> None:
    sink, wanted = OwnSink(), small()
    run = small(sink=sink)
    assert sink.calls[0] == ("open", "", 0)
    assert sink.calls[-1] == ("close", "", 0)
    assert [name for name, *_ in sink.calls].count("close") == 1
    assert len(sink.threads) == 1
    assert sink.threads != {threading.get_ident()}
    assert sink.header["fingerprint"] == run.meta["fingerprint"]
    for key in wanted:
        if key == "lif.spikes":
            assert run[key].times.tobytes() == wanted[key].times.tobytes()
            assert np.all(np.diff(run[key].times) >= 0)
        else:
            assert run[key].identical(wanted[key])


def test_an_own_sink_is_closed_when_the_run_fails(small: Any, stopping: Callable) -> None:
    sink = OwnSink()
    with pytest.raises(InterruptedError):
        small(sink=sink, progress=stopping(20))
    assert sink.calls[-1] == ("close", "", 0)
    # All that was computed has arrived.
    assert sum(len(part) for part in sink.memory._parts["lif.v"]) == 20 / 0.3 // 1 + 1


@pytest.mark.parametrize("name", ["rows", "spikes"])
def test_what_an_own_sink_raises_ends_the_run_and_nothing_comes_after(
    name: str, small: Any
) -> None:
    sink = OwnSink(name, after=3)
    with pytest.raises(ValueError, match="no more"):
        small(sink=sink)
    assert sum(call[0] == name for call in sink.calls) == 4
    assert sink.calls[-2:] == [next(c for c in sink.calls[::-1] if c[0] == name), ("close", "", 0)]


def test_an_own_sink_that_cannot_be_opened_or_closed(small: Any) -> None:
    with pytest.raises(ValueError, match="no more"):
        small(sink=OwnSink("open"))
    with pytest.raises(ValueError, match="no more"):
        small(sink=OwnSink("close"))


def test_an_own_sink_has_no_checkpoints(small: Any) -> None:
    sink = OwnSink()
    with pytest.raises(RunError, match="checkpoints lie beside a store, and this run has none"):
        small(sink=sink, checkpoint=8 * ms)
    assert sink.calls == []


# ------------------------------------------------------------------------- addresses


def arrays(address: str) -> dict[str, Any]:
    group = zarr.open_group(address, mode="r")
    found = {name: array[:] for name, array in group.arrays()}
    return found | {"attributes": group.attrs.asdict()}


@pytest.fixture(params=["memory", "file"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "memory":
        return f"memory://{tmp_path.name}/a.zarr"
    return f"file://{tmp_path}/a.zarr"


@pytest.mark.slow
def test_a_run_at_an_address_stops_and_goes_on_with_the_same_arrays(
    address: str, small: Any, stopping: Callable, tmp_path: Path
) -> None:
    local = small(sink=tmp_path / "whole.zarr")
    with pytest.raises(InterruptedError):
        small(sink=address, checkpoint=8 * ms, progress=stopping(35))
    assert "checkpoint-000000000320" in beside(address).names()
    with pytest.raises(StoreError, match=r"holds something already; go on with that run \(sf\.res"):
        small(sink=address)
    with pytest.raises(InterruptedError):
        sf.resume(address, progress=stopping(45))
    run = sf.resume(address, progress=False)
    wanted, found = arrays(str(tmp_path / "whole.zarr")), arrays(address)
    assert found.keys() == wanted.keys()
    assert found.pop("attributes") == wanted.pop("attributes")
    for name, values in wanted.items():
        np.testing.assert_array_equal(found[name], values, err_msg=name)
    assert run["lif.v"].identical(local["lif.v"])
    log = beside(address).read("log.txt").decode()
    assert log.count("resumed at") == 2
    longer = sf.resume(address, 66 * ms, progress=False)
    assert longer["lif.v"].shape == (221, 4)
    np.testing.assert_array_equal(longer["lif.v"].values[:201], local["lif.v"].values)


@pytest.mark.slow
def test_a_store_at_an_address_is_replaced_only_where_that_is_allowed(
    address: str, small: Any
) -> None:
    small(20, sink=address)
    with pytest.raises(StoreError, match="overwrite=True"):
        small(10, sink=address)
    run = small(10, sink=sf.ZarrSink(address, overwrite=True))
    assert run["lif.v"].shape == (34, 4)
    assert beside(address).names() == [
        "checkpoint-000000000000", "checkpoint-000000000100", "log.txt", "progress.json", "run.json"
    ]  # fmt: skip


def test_nothing_is_at_an_address(address: str) -> None:
    with pytest.raises(StoreError, match="no run to resume"):
        sf.resume(address)
