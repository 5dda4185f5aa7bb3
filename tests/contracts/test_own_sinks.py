"""Sinks of your own and sinks that are far away: everything, in order, and closed at the end."""

import pickle
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

import somaflow as sf
from somaflow.errors import RunError, StoreError, WrongTypeError
from somaflow.storage.folder import Folder, beside
from somaflow.storage.sinks import (
    REQUIRED,
    Column,
    Measurable,
    MemorySink,
    Needs,
    Resumable,
    Sink,
    bytes_of_spikes,
)
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
        assert first == sum(len(part) for part in self.memory._rows[key])
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
    assert sum(len(part) for part in sink.memory._rows["lif.v"]) == 20 / 0.3 // 1 + 1


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


# ------------------------------------------------------------------- required methods


def test_the_list_of_required_methods_is_that_of_the_protocol() -> None:
    assert set(REQUIRED) == Sink.__abstractmethods__


@pytest.mark.parametrize("call", ["simulate", "plan"])
@pytest.mark.parametrize("name", REQUIRED)
def test_an_own_sink_without_a_required_method_is_refused_before_the_run(
    name: str, call: str, small: Any
) -> None:
    sink = OwnSink()
    setattr(sink, name, None)
    with pytest.raises(WrongTypeError, match=rf"is no Sink, for it has no {name}\. somaflow"):
        getattr(sf, call)(small.network, 1 * ms, dt=0.1 * ms, sink=sink)
    assert sink.calls == []


def test_all_methods_that_are_missing_are_named(small: Any) -> None:
    class Half:
        def open(self, columns: Any, header: Any) -> None: ...
        def rows(self, key: Any, first: Any, values: Any) -> None: ...
        def spikes(self, key: Any, times: Any, cells: Any) -> None: ...
        def close(self) -> None: ...

    with pytest.raises(WrongTypeError, match="it has no read and no read_spikes"):
        small(sink=Half())


@pytest.mark.parametrize("sink", [MemorySink, sf.ZarrSink, 3, {"path": "a.zarr"}])
def test_what_is_no_sink_at_all_is_told_what_is_one(sink: Any, small: Any) -> None:
    with pytest.raises(WrongTypeError, match=r"sink is a path, a sf\.ZarrSink, or None for memory"):
        small(sink=sink)


# ----------------------------------------------------------------- declared capabilities


class OwnStore(MemorySink, Resumable):
    """Keeps everything in one file, and can go on from how far a checkpoint says it is."""

    in_memory = False

    def __init__(self, path: Any, disk: int | None = None) -> None:
        super().__init__()
        self.path, self.beside, self.disk = path, beside(path), disk
        self.resumed_by = ("sf.resume(OwnStore(...))",)
        self.cut: dict[str, int] = {}

    @property
    def file(self) -> Path:
        return self.path / "all.pickle"

    def check(self, columns: tuple[Column, ...]) -> None:
        if self.path.exists():
            raise StoreError(f"{self.path} is there already.")

    def clear(self) -> None: ...

    def create(self, columns: tuple[Column, ...], header: dict[str, Any]) -> None:
        self.path.mkdir(exist_ok=True)
        self.open(columns, header)
        self.flush()

    def reopen(
        self, columns: tuple[Column, ...], header: dict[str, Any], cursors: dict[str, Any]
    ) -> None:
        self.open(columns, header)
        for column in columns:
            kept, n = pickle.loads(self.file.read_bytes())[column.key], int(cursors[column.key])
            if column.shape is None:
                self._spikes[column.key] = [(kept[0][:n], kept[1][:n])]
                self.cut[column.key] = len(kept[0]) - n
            else:
                self._rows[column.key] = [kept[:n]]
                self.cut[column.key] = len(kept) - n

    def is_complete(
        self, columns: tuple[Column, ...], header: dict[str, Any], cursors: dict[str, Any]
    ) -> bool:
        self.reopen(columns, header, cursors)
        return not any(self.cut.values())

    def everything(self) -> dict[str, Any]:
        shapes = {key: column.shape for key, column in self._columns.items()}
        return {k: self.read_spikes(k) if s is None else self.read(k) for k, s in shapes.items()}

    def flush(self) -> None:
        self.file.write_bytes(pickle.dumps(self.everything()))

    def close(self) -> None:
        self.flush()

    def cursors(self) -> dict[str, Any]:
        found = self.everything()
        return {k: np.array(len(v[0] if isinstance(v, tuple) else v)) for k, v in found.items()}

    def needs(self, columns: tuple[Column, ...], spikes: int) -> Needs:
        size = bytes_of_spikes(columns, spikes) + sum(column.bytes for column in columns)
        return Needs(size, 0, size)

    def taken(self) -> int:
        return self.file.stat().st_size if self.file.exists() else 0

    def free(self) -> Any:
        return self.disk


def test_each_sink_declares_what_it_can(tmp_path: Path) -> None:
    sinks = (OwnSink(), MemorySink(), sf.ZarrSink(tmp_path / "a.zarr"), OwnStore(tmp_path / "b"))
    assert [isinstance(sink, Resumable) for sink in sinks] == [False, False, True, True]
    assert [isinstance(sink, Measurable) for sink in sinks] == [False, True, True, True]


@pytest.mark.parametrize("name", ["path", "beside", "resumed_by"])
def test_a_declaration_without_what_belongs_to_it_is_refused(
    name: str, small: Any, tmp_path: Path
) -> None:
    sink = OwnStore(tmp_path / "own")
    delattr(sink, name)
    with pytest.raises(WrongTypeError, match=f"is no Resumable, for it has no {name}\\. somaflow"):
        small(sink=sink)


def test_who_declares_a_capability_has_its_methods() -> None:
    class Half(MemorySink, Resumable):
        path, resumed_by = Path("a"), ()

    with pytest.raises(TypeError, match=r"abstract methods? .*flush"):
        Half()  # pyright: ignore


def test_what_wraps_a_sink_declares_nothing_by_that(small: Any, tmp_path: Path) -> None:
    class Wrapping:
        def __init__(self) -> None:
            self.sink = sf.ZarrSink(tmp_path / "a.zarr")

        def __getattr__(self, name: str) -> Any:
            return getattr(self.sink, name)

    assert small(sink=Wrapping())["lif.v"].identical(small()["lif.v"])
    assert not beside(tmp_path / "a.zarr").exists()


def test_an_own_sink_that_can_go_on_is_resumed_to_the_same_results(
    small: Any, stopping: Callable, tmp_path: Path
) -> None:
    wanted, path = small(), tmp_path / "own"
    with pytest.raises(InterruptedError):
        small(sink=OwnStore(path), checkpoint=8 * ms, progress=stopping(35))
    assert Folder(f"{path}.run").names()[:2] == [
        "checkpoint-000000000240",
        "checkpoint-000000000320",
    ]
    sink = OwnStore(path)
    run = sf.resume(sink, progress=False)
    assert any(sink.cut.values())
    for key in wanted:
        if key == "lif.spikes":
            assert run[key].times.tobytes() == wanted[key].times.tobytes()
        else:
            assert run[key].identical(wanted[key])
    written = sink.file.read_bytes()
    again = sf.resume(OwnStore(path), progress=False)
    assert again["lif.v"].identical(wanted["lif.v"])
    assert sink.file.read_bytes() == written
    with pytest.raises(StoreError, match="is there already"):
        small(sink=OwnStore(path))


def test_an_own_sink_that_can_go_on_says_how(
    small: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(OwnStore, "flush", full_after(OwnStore.flush, 2))
    with pytest.raises(
        StoreError, match=r"written again, sf\.resume\(OwnStore\(\.\.\.\)\) goes on"
    ):
        small(sink=OwnStore(tmp_path / "own"), checkpoint=8 * ms)


def full_after(write: Callable[[OwnStore], None], times: int) -> Callable[[OwnStore], None]:
    calls: list[int] = []

    def flush(self: OwnStore) -> None:
        calls.append(1)
        if len(calls) > times:
            raise StoreError("the disk is full.")
        write(self)

    return flush


def test_what_an_own_sink_says_that_it_takes_is_counted(small: Any, tmp_path: Path) -> None:
    run = {"dt": 0.1 * ms, "record": small.record}
    plan = sf.plan(small.network, 60 * ms, **run, sink=OwnStore(tmp_path / "own", 10**9))
    assert plan.recordings_in_memory == plan.before_compression > 6400
    assert (plan.free_disk, plan.fits) == (10**9, True)
    with pytest.raises(StoreError, match=r"own needs .* of disk, .* but 10 bytes are free there"):
        small(sink=OwnStore(tmp_path / "own", 10))
    assert not (tmp_path / "own").exists()


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
