"""Plans, what they say against what runs leave, and the refusal of what cannot fit."""

import json
import re
import shutil
import tempfile
from collections import namedtuple
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import somaflow as sf
from somaflow.errors import Interrupted, RunError, SomaflowError, StoreError
from somaflow.numerics import memory
from somaflow.numerics.memory import in_words
from somaflow.simulation import chunks
from somaflow.units import ms, nA

CELLS = sf.Population("lif", 40, sf.load("lif"), refractory=1 * ms)
CURRENT = sf.load("exponential_current")
CLAMP = sf.CurrentClamp(CELLS, np.linspace(1, 4, 40) * nA)
NETWORK = sf.Network(
    CELLS,
    sf.Projection(CELLS, CELLS, CURRENT(), sf.OneToOne(), weight=0.1 * nA, delay=2 * ms, name="on"),
    CLAMP,
)
RECORD = [CELLS["v"], CELLS.spikes]
USAGE = namedtuple("USAGE", "total used free")


def total(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def free_memory(patch: pytest.MonkeyPatch, count: float | None) -> None:
    patch.setattr(memory, "available_bytes", lambda: count)


def free_disk(patch: pytest.MonkeyPatch, count: int) -> None:
    patch.setattr(shutil, "disk_usage", lambda _: USAGE(10**15, 0, count))


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for temporary files, in which nothing stays."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


class StoppedError(Exception):
    pass


def no_run(*_: Any, **__: Any) -> None:
    raise StoppedError


def full(*_: Any, **__: Any) -> None:
    raise StoreError("the disk is full")


# ------------------------------------------------------------------------------- numbers


def test_a_plan_that_ran_it_all_is_exact(
    tmp_path: Path, temporary: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    settings: dict[str, Any] = {
        "dt": 0.1 * ms,
        "record": [*RECORD, CELLS["v"].mean().every(1 * ms)],
        "sink": tmp_path / "a.zarr",
        "checkpoint": 40 * ms,
    }
    plan = sf.plan(NETWORK, 100 * ms, **settings)
    printed = capfd.readouterr()
    assert printed.out == ""
    assert "ms," not in printed.err  # no progress; XLA itself says that it is there
    assert list(temporary.iterdir()) == []
    assert list(tmp_path.iterdir()) == [temporary]
    run = sf.simulate(NETWORK, 100 * ms, progress=False, **settings)
    beside = tmp_path / "a.zarr.run"
    assert plan.calibrated_ms == 100
    assert plan.spikes == len(run["lif.spikes"].times) > 0
    assert plan.recordings_on_disk == total(tmp_path / "a.zarr")
    size = (beside / sorted(n.name for n in beside.glob("checkpoint-*"))[-1]).stat().st_size
    assert plan.checkpoint == pytest.approx(size, abs=64)  # the digits of numbers in its header
    assert plan.before_compression == pytest.approx(
        1001 * 41 * 8 + 101 * 16 + plan.spikes * 16, rel=1e-6
    )
    assert plan.fits and plan.shortage == "" and plan.remedies == ()
    assert plan.chunk_steps == 400 and plan.chunk_ms == pytest.approx(40)


def test_a_plan_from_the_beginning_tells_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chunks, "_CHUNK_STEPS", 7000)
    monkeypatch.setattr("somaflow.planning.plan._BYTES", 0)
    settings: dict[str, Any] = {"dt": 0.1 * ms, "record": RECORD, "sink": tmp_path / "a.zarr"}
    plan = sf.plan(NETWORK, 4000 * ms, **settings)
    run = sf.simulate(NETWORK, 4000 * ms, progress=False, **settings)
    assert plan.spikes is not None
    assert plan.calibrated_ms == pytest.approx(1400)
    assert plan.recordings_on_disk == pytest.approx(total(tmp_path / "a.zarr"), rel=0.1)
    assert plan.spikes == pytest.approx(len(run["lif.spikes"].times), rel=0.1)
    found = sorted((tmp_path / "a.zarr.run").glob("checkpoint-*"))[-1].stat().st_size
    # A chunk of V, which may be full or empty, and as many spikes again.
    assert found <= plan.checkpoint <= found + (1 << 20) + 16 * plan.spikes
    assert plan.run_seconds is not None and plan.run_seconds > 0
    assert plan.compile_seconds is not None and plan.compile_seconds > 0.05


def test_arrays_are_counted_by_what_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("somaflow.planning.plan.execute", no_run)
    with monkeypatch.context() as patch:
        free_memory(patch, -1e6)  # too little to calibrate
        plan = sf.plan(NETWORK, 100 * ms, dt=0.1 * ms, record=RECORD)
    final = sf.simulate(NETWORK_ALONE, 1 * ms, dt=0.1 * ms, progress=False).final
    own = sum(a.nbytes for a in final.events.values()) + final["lif"]["v"].nbytes
    history = 21 * 48 * 8  # 2 ms and a step of 40 cells, padded to 48
    assert plan.delays == history
    assert plan.state == pytest.approx(own + 48 * 8, rel=0.25)  # the sums of `on`, and padding
    assert plan.recordings_in_memory == 1001 * 40 * 8
    assert plan.recordings_on_disk == plan.checkpoint == 0
    assert plan.compile_seconds is plan.run_seconds is plan.spikes is None


NETWORK_ALONE = sf.Network(CELLS, CLAMP)


def test_a_ring_is_a_delay_line_and_a_plastic_weight_a_synapse(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("somaflow.planning.plan.execute", no_run)
    free_memory(monkeypatch, None)
    uniform = sf.Uniform(1 * ms, 5 * ms, seed=1)
    varied = sf.Projection(
        CELLS, CELLS, CURRENT(), sf.AllToAll(), weight=1 * nA, delay=uniform, name="varied"
    )
    learns = sf.load("stdp_pair_all_to_all")(w_max=1e-3)
    plastic = sf.Projection(CELLS, CELLS, learns, sf.AllToAll(), weight=1e-6, name="learns")
    found = []
    for projection in (varied, plastic):
        free_memory(monkeypatch, -(10**9))
        found.append(sf.plan(sf.Network(CELLS, projection), 100 * ms, dt=0.1 * ms))
    ring, own = found
    assert ring.delays > 40 * 48 * 8
    assert ring.delays > 10 * ring.state
    assert own.delays == 0
    assert own.synapses >= 40 * 40 * (8 + 4 + 8)  # weight, target, and the weight that changes


def test_a_plan_in_words_and_as_json() -> None:
    plan = sf.plan(NETWORK, 20 * ms, dt=0.1 * ms, record=RECORD[0])
    lines = str(plan).splitlines()
    assert lines[-1] == "It fits."
    assert {line[:26] for line in lines if line.startswith("delay lines")} == {
        f"{'delay lines':26}"
    }
    assert f"{'recordings in memory':26}64.3 kB" in lines
    told = json.loads(plan.to_json())
    assert told["state"] == plan.state and told["memory"] == plan.memory
    assert told["remedies"] == []


@pytest.mark.parametrize(
    ("count", "words"),
    [(999, "999 bytes"), (999_600, "1 MB"), (96e6, "96 MB"), (9.6e9, "9.6 GB"), (2e12, "2 TB")],
)
def test_bytes_in_words(count: float, words: str) -> None:
    assert in_words(count) == words


# ------------------------------------------------------------------------------- refusals

HOUR = 3_600_000 * ms
LARGE = 36_000_001 * 40 * 8  # bytes of V at each step of 0.1 ms


def test_a_run_too_large_for_memory_is_refused_with_what_would_fit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("somaflow.run.execute", no_run)
    free_memory(monkeypatch, 3e9)
    free_disk(monkeypatch, 10**12)
    with pytest.raises(RunError) as caught:
        sf.simulate(NETWORK, HOUR, dt=0.1 * ms, record=RECORD)
    said = str(caught.value)
    assert in_words(LARGE) == "11.5 GB"
    assert "needs 23.1 GB of memory, 11.5 GB of it for recordings" in said
    assert "(the largest twice while it is read: 11.5 GB more), but 3 GB are free." in said
    # Twice is needed while it is read, so that 0.5 ms would be too much.
    assert "record lif.v every 1 ms instead of every step: 1.15 GB instead of 11.5 GB" in said
    assert "give sink='run.zarr': " in said and "GB of memory" in said
    free_memory(monkeypatch, 30e9)
    with pytest.raises(StoppedError):
        sf.simulate(NETWORK, HOUR, dt=0.1 * ms, record=RECORD)
    free_memory(monkeypatch, None)
    with pytest.raises(StoppedError):
        sf.simulate(NETWORK, HOUR, dt=0.1 * ms, record=RECORD)


def test_a_run_too_large_for_the_disk_leaves_no_folder(
    tmp_path: Path, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free_memory(monkeypatch, 3e9)
    free_disk(monkeypatch, 10**9)
    settings: dict[str, Any] = {
        "dt": 0.1 * ms,
        "record": RECORD,
        "sink": tmp_path / "in" / "a.zarr",
    }
    with pytest.raises(StoreError) as caught:
        sf.simulate(NETWORK, HOUR, **settings)
    said = str(caught.value)
    assert str(settings["sink"]) in said and "1 GB are free there" in said
    found = re.search(r"record lif.v every 1 ms instead of every step: (\d+) MB instead of 6", said)
    assert found is not None
    assert float(found[1]) == pytest.approx(650, rel=0.1)  # a tenth, compressed
    assert "sink=" not in said
    assert list(tmp_path.iterdir()) == [temporary]


def test_a_disk_is_too_small_by_what_is_left_after_compression(
    tmp_path: Path, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("somaflow.run.execute", no_run)
    settings: dict[str, Any] = {"dt": 0.1 * ms, "record": RECORD, "sink": tmp_path / "a.zarr"}
    free_memory(monkeypatch, None)
    free_disk(monkeypatch, 8 * 10**9)  # of 12 GB before compression
    with pytest.raises(StoppedError):
        sf.simulate(NETWORK, HOUR, **settings)
    plan = sf.plan(NETWORK, HOUR, **settings)
    assert plan.fits
    assert plan.recordings_on_disk < 8e9 < plan.before_compression
    assert 1000 < plan.description < 10**5
    # Where not even the beginning can be written, there is no room for the whole.
    monkeypatch.setattr("somaflow.planning.plan.execute", full)
    with pytest.raises(StoreError, match=r"needs 1[12]\.\d GB of disk"):
        sf.simulate(NETWORK, HOUR, **settings)
    assert list(tmp_path.iterdir()) == [temporary]


def test_a_plan_says_what_the_refusal_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    free_memory(monkeypatch, 3e9)
    monkeypatch.setattr("somaflow.planning.plan._BYTES", 0)
    plan = sf.plan(NETWORK, HOUR, dt=0.1 * ms, record=RECORD)
    remedy = "record lif.v every 1 ms instead of every step: 1.15 GB instead of 11.5 GB"
    assert not plan.fits
    assert remedy in plan.remedies
    assert f"  {remedy}" in str(plan).splitlines()
    assert f"It does not fit: {plan.shortage}." in str(plan)
    assert plan.free_memory is not None and plan.free_memory == pytest.approx(3e9, rel=1e-3)
    assert plan.run_seconds is not None and plan.run_seconds > 1  # it was calibrated all the same


def test_what_an_older_store_takes_is_free_where_it_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.zarr"
    settings: dict[str, Any] = {"dt": 0.1 * ms, "record": RECORD}
    sf.simulate(NETWORK, 1 * ms, sink=path, progress=False, **settings)
    (path / "lif.v" / "c" / "0" / "0").write_bytes(b" " * 2_000_000)
    monkeypatch.setattr("somaflow.run.execute", no_run)
    free_disk(monkeypatch, 10**5)
    with pytest.raises(StoppedError):
        sf.simulate(NETWORK, 100 * ms, sink=sf.ZarrSink(path, overwrite=True), **settings)
    with pytest.raises(StoreError, match="100 kB are free there"):
        sf.simulate(NETWORK, 100 * ms, sink=tmp_path / "b.zarr", **settings)


def test_a_resumed_run_needs_room_for_its_rest_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.zarr"
    sf.simulate(NETWORK, 100 * ms, dt=0.1 * ms, record=RECORD, sink=path, progress=False)
    before = {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}
    monkeypatch.setattr("somaflow.run.execute", no_run)
    free_disk(monkeypatch, 10**6)
    with pytest.raises(StoreError, match=r"needs 3.* shorter duration"):
        sf.resume(path, 1000 * ms)
    assert before == {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}
    free_disk(monkeypatch, 4_000_000)  # what is left takes 2.65 MB, and a checkpoint 1.14 MB
    with pytest.raises(StoppedError):
        sf.resume(path, 1000 * ms)
    with pytest.raises(StoreError):
        sf.simulate(NETWORK, 1000 * ms, dt=0.1 * ms, record=RECORD, sink=tmp_path / "b.zarr")


def test_synapses_too_large_are_told_by_float32_or_by_projection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def planned(count: float, **settings: Any) -> sf.Plan:
        free_memory(monkeypatch, count)
        return sf.plan(network, 10 * ms, dt=0.1 * ms, **settings)

    monkeypatch.setattr("somaflow.planning.plan.execute", no_run)
    monkeypatch.setattr("somaflow.compiler.tables.available_bytes", lambda: None)
    # Buffers are as long as for any duration, and hide what synapses take.
    monkeypatch.setattr("somaflow.simulation.chunks._CHUNK_NUMBERS", 100_000)
    cells = sf.Population("many", 1000, sf.load("lif"))
    joined = sf.Projection(cells, cells, CURRENT(), sf.AllToAll(), weight=1 * nA, name="all")
    network = sf.Network(cells, joined)
    needed = planned(-1e9).memory
    built = planned(-1e9).synapses  # which is there when the rest is asked for
    plan = planned(0.8 * needed - built)
    narrow = planned(-1e9, dtype="float32").memory
    assert plan.remedies == (
        f"use dtype='float32': {in_words(narrow)} instead of {in_words(needed)}",
    )
    (remedy,) = planned(0.2 * needed - built).remedies
    assert remedy.startswith("fewer synapses (projection 'all' has most: ")


def test_two_large_recordings_are_both_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("somaflow.run.execute", no_run)
    free_memory(monkeypatch, 3e9)
    record = [CELLS["v"], CELLS["v"].every(0.1 * ms, "mean"), CELLS["v"].every(10 * ms, "max")]
    with pytest.raises(RunError) as caught:
        sf.simulate(NETWORK, HOUR, dt=0.1 * ms, record=record)
    one = "every 2 ms instead of every step: 576 MB instead of 11.5 GB"
    assert f"record lif.v {one}, and record lif.v.mean_over_time {one}" in str(caught.value)
    assert "lif.v.max" not in str(caught.value)


def test_steps_that_are_no_nice_part_of_a_millisecond(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("somaflow.run.execute", no_run)
    free_memory(monkeypatch, 0.5e9)
    cells = sf.Population("axon", 40, sf.load("hodgkin_huxley_1952"))
    with pytest.raises(RunError, match=r"record axon\.v every 0\.15 ms instead of every step"):
        sf.simulate(sf.Network(cells), 90_000 * ms, dt=0.03 * ms, record=cells["v"])


# ------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    "name", ["network", "duration", "dt", "solver", "dtype", "seed", "record", "initial", "sink"]
)
def test_nonsense_is_refused_as_by_simulate(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("somaflow.planning.plan.execute", no_run)
    given = {"network": NETWORK, "duration": 10 * ms, name: object()}
    messages = []
    for call in (sf.plan, sf.simulate):
        with pytest.raises(SomaflowError) as caught:
            call(**given)
        messages.append(str(caught.value))
    assert messages[0] == messages[1]


def test_checkpoints_without_a_store_are_refused() -> None:
    with pytest.raises(RunError, match="checkpoints lie beside a store"):
        sf.plan(NETWORK, 10 * ms, checkpoint=1 * ms)


def test_a_sink_of_ones_own_is_not_called() -> None:
    class Own:
        open = rows = spikes = close = read = read_spikes = no_run

    plan = sf.plan(NETWORK, 10 * ms, dt=0.1 * ms, record=RECORD, sink=Own())  # pyright: ignore
    assert plan.recordings_in_memory == plan.recordings_on_disk == 0
    assert plan.spikes is not None


def test_a_run_that_blows_up_says_so(temporary: Path, tmp_path: Path) -> None:
    low = sf.CurrentClamp(CELLS, -1e308 * nA)
    with pytest.raises(sf.errors.NonFiniteState):
        sf.plan(sf.Network(CELLS, low), 100 * ms, dt=0.1 * ms, sink=tmp_path / "a.zarr")
    assert list(temporary.iterdir()) == []
    assert list(tmp_path.iterdir()) == [temporary]


def test_a_signal_ends_a_plan(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(*_: Any, **__: Any) -> None:
        raise Interrupted("go on with sf.resume('/tmp/x')", "/tmp/x", 3.0, 2)

    monkeypatch.setattr("somaflow.planning.plan.execute", stopped)
    with pytest.raises(Interrupted, match="stopped before the run began") as caught:
        sf.plan(NETWORK, 10 * ms)
    assert caught.value.path is None
    assert list(temporary.iterdir()) == []


def test_chunks_are_no_longer_than_what_their_inputs_leave_room_for() -> None:
    """A ramp of its own for each of many cells is a number for each cell and node of a step."""
    cells = sf.Population("cells", 10_000, sf.load("lif"))
    own = sf.Ramp(np.zeros(10_000) * nA, np.linspace(1, 2, 10_000) * nA, 0 * ms, 500 * ms)
    chunks = [
        sf.plan(network, 500 * ms, dt=0.1 * ms, record=cells.spikes).buffers
        for network in (sf.Network(cells, sf.Stimulus(cells, own)), sf.Network(cells))
    ]
    assert chunks[0] < 5 * chunks[1]
