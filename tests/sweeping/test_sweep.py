"""A sweep gives what `sf.simulate` gives of each member, and goes on wherever it was stopped."""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import warnings
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from zarr.storage import LocalStore

import somaflow as sf
from somaflow.errors import (
    Interrupted,
    RunError,
    SomaflowWarning,
    StoreError,
    UnitError,
    UnknownNameError,
    WrongTypeError,
)
from somaflow.storage.claim import claimed
from somaflow.storage.folder import Folder, beside
from somaflow.sweeping import place
from somaflow.sweeping.parts import Parts
from somaflow.units import ms, mV, nA

Files = Callable[[Path], dict[str, bytes]]


@pytest.fixture
def sweep(arguments: dict[str, Any]) -> Callable[..., xr.Dataset]:
    """The sweep of six members, with some arguments changed."""

    def run(**changed: Any) -> xr.Dataset:
        return sf.sweep(**{**arguments, **changed})

    return run


def alone(arguments: dict[str, Any], current: float, seed: int) -> sf.Solution:
    """Return a member as `sf.simulate` computes it."""
    cells = arguments["model"].population("cells")
    other = sf.Population(
        "cells", 3, cells.model(I=current * nA), threshold=cells.threshold, reset="v = -65*mV"
    )
    record = [other.spikes, other["v"].every(1 * ms)]
    duration, dt = arguments["duration"], arguments["dt"]
    network = sf.Network(other)
    return sf.simulate(network, duration, dt=dt, seed=seed, record=record, progress=False)


def test_members_are_what_simulate_gives(sweep: Callable, arguments: dict, tmp_path: Path) -> None:
    in_memory, stored = sweep(), sweep(sink=tmp_path / "a.zarr")
    for data in (in_memory, stored):
        assert data["cells.v"].dims == ("cells.I", "seed", "cells.v.time", "cells.v.cell")
        for current in (1, 2, 3):
            for seed in (0, 7):
                run = alone(arguments, current, seed)
                at = {"cells.I": current * nA, "seed": seed}
                here = data.sel({"cells.I": current, "seed": seed})
                np.testing.assert_array_equal(here["cells.v"], run["cells.v"])
                found, wanted = sf.spikes_of(data, "cells", at), run["cells.spikes"]
                np.testing.assert_array_equal(found.times, wanted.times)
                np.testing.assert_array_equal(found.cells, wanted.cells)
                np.testing.assert_array_equal(found.rates(), wanted.rates())
                assert int(here["cells.spikes.count"]) == len(wanted) == len(found)
                assert (len(wanted) > 0) == (current > 1)
    assert in_memory.attrs["duration_ms"] == 60 and in_memory.attrs["dt_ms"] == 0.5
    assert in_memory["cells.I"].attrs == {"units": "nA"}
    assert in_memory["cells.v"].attrs == {"units": "mV"}


def test_xarray_opens_the_store_without_a_warning(sweep: Callable, tmp_path: Path) -> None:
    wanted = sweep(sink=tmp_path / "a.zarr")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = xr.open_zarr(tmp_path / "a.zarr", consolidated=False)
    xr.testing.assert_identical(found.load(), wanted.load())


@pytest.mark.parametrize("batch", [1, 4, 6])
def test_bytes_do_not_depend_on_batch_and_order(
    batch: int, sweep: Callable, backwards: Callable, tmp_path: Path, files: Files
) -> None:
    sweep(sink=tmp_path / "a.zarr")
    pool = backwards(-(-6 // batch))
    sweep(sink=tmp_path / "b.zarr", batch=batch, pool=pool)
    assert files(tmp_path / "a.zarr") == files(tmp_path / "b.zarr")
    if batch < 6:
        assert pool.order != sorted(pool.order)


@pytest.mark.parametrize("stored", [False, True])
def test_trials_and_points(stored: bool, sweep: Callable, tmp_path: Path) -> None:
    sink = tmp_path / "a.zarr" if stored else None
    data = sweep(vary=[{"cells.I": 2 * nA}, {"cells.I": 3 * nA}], trials=2, sink=sink)
    assert data["failure"].dims == ("point", "trial")
    assert data["cells.I"].dims == ("point",)
    assert data["seed"].dims == ("point", "trial") and data["seed"][0, 0] == 0
    assert data["seed"][0, 1] != 0
    assert len(sf.spikes_of(data, "cells", {"point": 1, "trial": 0})) == 12
    assert len(sf.spikes_of(data.isel(point=1, trial=[1]), "cells.spikes")) == 12


# ------------------------------------------------------------------------------- reductions


def test_a_reduction_is_kept_in_place_of_recordings(sweep: Callable, tmp_path: Path) -> None:
    for sink in (None, tmp_path / "a.zarr"):
        data = sweep(reduce="rate", sink=sink)
        assert set(data.data_vars) == {"failure", "cells.rate"}
        np.testing.assert_allclose(data["cells.rate"][:, 0], [0, 1000 * 2 / 60, 1000 * 4 / 60])
        assert data["cells.rate"].attrs["units"] == "Hz"


def test_a_function_may_return_arrays(sweep: Callable) -> None:
    def last(run: sf.Solution) -> Any:
        return run["cells.v"][-1].rename("last").drop_vars("time")

    data = sweep(reduce=last)
    assert data["last"].dims == ("cells.I", "seed", "cell")
    np.testing.assert_array_equal(data["last"], sweep()["cells.v"][:, :, -1])


# --------------------------------------------------------------------------------- failures


def fails_at(current: float, times: list[int]) -> Callable[[sf.Solution], float]:
    """Return a reduction that raises for members without spikes as often as it is told to."""

    def count(run: sf.Solution) -> float:
        if len(run["cells.spikes"]) == current and times[0]:
            times[0] -= 1
            raise ValueError("no spikes")
        return float(len(run["cells.spikes"]))

    return count


def test_failed_members_are_named_and_run_again(
    sweep: Callable, tmp_path: Path, files: Files, capsys: pytest.CaptureFixture[str]
) -> None:
    sink = tmp_path / "a.zarr"
    reduce = fails_at(0, times := [3])
    with pytest.warns(SomaflowWarning, match="2 of 6 members failed") as told:
        data = sweep(reduce=reduce, sink=sink)
    reason = "reduce failed: ValueError: no spikes"
    assert f"cells.I=1 nA, seed=7: {reason}" in str(told[0].message)
    assert data["failure"].values.tolist() == [[reason, reason], ["", ""], ["", ""]]
    np.testing.assert_array_equal(data["count"], [[np.nan] * 2, [6, 6], [12, 12]])
    with pytest.warns(SomaflowWarning, match="1 of 6 members failed"):
        data = sweep(reduce=reduce, sink=sink, progress=True)
    assert "4 of 6 members are finished; 2 failed and are run again" in capsys.readouterr().err
    np.testing.assert_array_equal(data["count"], [[np.nan, 0], [6, 6], [12, 12]])
    assert times == [0]
    data = sweep(reduce=reduce, sink=sink)
    np.testing.assert_array_equal(data["count"], [[0, 0], [6, 6], [12, 12]])
    sweep(reduce=reduce, sink=tmp_path / "b.zarr")
    assert files(sink) == files(tmp_path / "b.zarr")
    assert set(files(beside_of(sink))) == {"sweep.json", "log.txt", "progress.json"}


def test_what_is_for_single_runs_says_that_it_is_a_sweep(sweep: Callable, tmp_path: Path) -> None:
    sweep(reduce="count", sink=tmp_path / "a.zarr")
    with pytest.raises(StoreError, match=r"of a sweep, and check looks at runs of sf.simulate"):
        sf.check(tmp_path / "a.zarr")
    with pytest.raises(StoreError, match=r"of a sweep, not of one run.*sf.resume_sweep"):
        sf.resume(tmp_path / "a.zarr")


def test_a_member_that_blows_up_is_named(sweep: Callable) -> None:
    with pytest.warns(SomaflowWarning, match="1 of 2 members failed"):
        data = sweep(vary={"cells.tau": [20, 0.01] * ms})
    assert str(data["failure"][0].values) == ""
    assert str(data["failure"][1].values).startswith("cells.v[0] is ")
    assert np.isnan(data["cells.v"][1]).all() and not np.isnan(data["cells.v"][0]).any()
    np.testing.assert_array_equal(data["cells.spikes.count"], [6, np.nan])  # not silent: unknown
    assert len(sf.spikes_of(data, "cells", {"cells.tau": 20})) == 6
    assert len(sf.spikes_of(data, "cells", {"cells.tau": 0.01})) == 0


# ----------------------------------------------------------------------------------- resume


def beside_of(sink: Path) -> Path:
    return Path(str(beside(sink)))


class Stop(BaseException):
    """What ends a sweep in the middle of it, and lets nobody clean up."""


def stop_before_the_result(monkeypatch: pytest.MonkeyPatch, sweep: Callable, sink: Path) -> None:
    """Leave a sweep all of whose members are finished, and that has no result."""
    with monkeypatch.context() as patch:
        patch.setattr(place, "write", lambda *_: (_ for _ in ()).throw(Stop()))
        with pytest.raises(Stop):
            sweep(sink=sink)


@pytest.fixture
def whole(sweep: Callable, tmp_path: Path, files: Files) -> dict[str, bytes]:
    """The files of a sweep that was not disturbed."""
    sweep(sink=tmp_path / "whole.zarr")
    return files(tmp_path / "whole.zarr")


def written(patch: pytest.MonkeyPatch, meet: Callable[[], None]) -> None:
    """Have something called before each file is written."""
    plain_set, plain_write, rename = LocalStore.set, Folder.write_all, Path.rename

    async def put(to: LocalStore, key: str, value: Any) -> None:
        meet()
        await plain_set(to, key, value)

    def write(to: Folder, contents: dict[str, bytes]) -> None:
        meet()
        plain_write(to, contents)

    def move(path: Path, target: Path) -> Path:
        meet()
        return rename(path, target)

    patch.setattr(LocalStore, "set", put)
    patch.setattr(Folder, "write_all", write)
    patch.setattr(Path, "rename", move)


class Fault:
    """Raises at the write number `at`, and with `forever` at all that follow."""

    def __init__(self, at: float, error: Callable[[], BaseException], forever: bool) -> None:
        self.at, self.error, self.forever, self.writes = at, error, forever, 0

    def __call__(self) -> None:
        self.writes += 1
        if self.writes == self.at or (self.forever and self.writes > self.at):
            raise self.error()


def full() -> OSError:
    return OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("kind", [Stop, full])
def test_a_sweep_goes_on_from_any_write(
    kind: Callable[[], BaseException], sweep: Callable, whole: dict, tmp_path: Path, files: Files
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        counted = Fault(float("inf"), kind, False)
        written(patch, counted)
        sweep(sink=tmp_path / "counted.zarr")
    assert counted.writes > 20
    stopped = 0
    for at in range(1, counted.writes + 1, 3):
        sink = tmp_path / f"{at}.zarr"
        with pytest.MonkeyPatch.context() as patch:
            written(patch, Fault(at, kind, True))
            try:
                sweep(sink=sink)
            except StoreError as error:
                assert kind is full and "the disk is full" in str(error)
                stopped += 1
            except Stop:
                stopped += 1
        assert not sink.exists() or files(sink) == whole, at
        sweep(sink=sink)
        assert files(sink) == whole, at
        assert set(files(beside_of(sink))) == {"sweep.json", "log.txt", "progress.json"}
    assert stopped > 5


def test_a_full_disk_keeps_what_is_finished(
    sweep: Callable, whole: dict, tmp_path: Path, files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    sink, add = tmp_path / "a.zarr", Parts.add
    with monkeypatch.context() as patch:

        def fill(parts: Parts, outcomes: Any) -> None:
            if len(parts.entries) == 4:
                raise full()
            add(parts, outcomes)

        patch.setattr(Parts, "add", fill)
        for _ in range(2):
            with pytest.raises(StoreError, match=r"the disk is full\. 4 of 6 members are finished"):
                sweep(sink=sink)
    assert not sink.exists()
    sweep(sink=sink)
    assert files(sink) == whole


def test_only_what_is_missing_is_computed(
    sweep: Callable, whole: dict, tmp_path: Path, files: Files,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], here: Executor,
) -> None:  # fmt: skip
    sink = tmp_path / "a.zarr"
    stop_before_the_result(monkeypatch, sweep, sink)
    part = beside_of(sink) / "part-00000001"
    data = bytearray(part.read_bytes())
    data[-1] ^= 1
    part.write_bytes(data)
    given: list[int] = []

    class Told(type(here)):
        def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Any:
            given.extend(number for task in args for number in task.numbers)
            return super().submit(fn, *args, **kwargs)

    sweep(sink=sink, pool=Told(), progress=True)
    said = capsys.readouterr().err
    assert given == [3]
    assert "5 of 6 members are finished" in said
    assert "part-00000001 is damaged in member 3; what was in it is computed again" in said
    assert files(sink) == whole
    before = {file: file.stat().st_mtime_ns for file in sink.rglob("*")}
    again = sweep(sink=sink, pool=Told(), progress=True)
    assert "complete: all 6 members are finished; nothing to do" in capsys.readouterr().err
    assert given == [3] and {file: file.stat().st_mtime_ns for file in sink.rglob("*")} == before
    assert again["cells.v"].shape == (3, 2, 61, 3)


def test_a_signal_stops_a_sweep_that_goes_on_later(
    sweep: Callable, whole: dict, tmp_path: Path, files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    sink, add = tmp_path / "a.zarr", Parts.add

    def interrupt(parts: Parts, outcomes: Any) -> None:
        if not parts.entries:
            os.kill(os.getpid(), signal.SIGTERM)
        add(parts, outcomes)

    with monkeypatch.context() as patch:
        patch.setattr(Parts, "add", interrupt)
        with pytest.raises(Interrupted, match="stopped by SIGTERM with 4 of 6") as told:
            sweep(sink=sink)
    assert told.value.path == str(sink) and told.value.signal == signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    assert not sink.exists()
    sweep(sink=sink)
    assert files(sink) == whole


SCRIPT = """
import os, signal, sys
import somaflow as sf
from somaflow.sweeping.parts import Parts
from somaflow.units import mV, ms, nA

text = "dv/dt = (E - v + R*I)/tau : mV"
model = sf.Equations.parse(text, E=-65 * mV, R=10 * mV / nA, tau=20 * ms, I=2 * nA, v=-65)
cells = sf.Population("cells", 3, model, threshold="v > -50*mV", reset="v = -65*mV")
add = Parts.add
def killing(parts, outcomes):
    add(parts, outcomes)
    if len(parts.entries) >= 2 and "--kill" in sys.argv:
        os.kill(os.getpid(), signal.SIGKILL)
Parts.add = killing
sf.sweep(sf.Network(cells), {"cells.I": [1, 2, 3] * nA, "seed": [0, 7]}, 60 * ms, dt=0.5 * ms,
         record=[cells.spikes, cells["v"].every(1 * ms)], pool=1, batch=2, progress=False,
         sink=sys.argv[1])
"""


@pytest.mark.slow
def test_a_killed_sweep_goes_on(sweep: Callable, whole: dict, tmp_path: Path, files: Files) -> None:
    sink = tmp_path / "a.zarr"
    command = [sys.executable, "-c", SCRIPT, str(sink), "--kill"]
    ended = subprocess.run(command, check=False)
    assert ended.returncode == -signal.SIGKILL
    assert not sink.exists()
    assert set(files(beside_of(sink))) >= {"sweep.json", "part-00000000", "lock"}
    given = sweep(sink=sink)
    assert files(sink) == whole
    assert given["cells.spikes.count"].shape == (3, 2)


def test_finished_members_of_another_sweep_are_not_taken(
    sweep: Callable, whole: dict, tmp_path: Path, files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    sink, other = tmp_path / "a.zarr", tmp_path / "b.zarr"
    stop_before_the_result(monkeypatch, sweep, sink)
    stop_before_the_result(monkeypatch, partial(sweep, dt=0.25 * ms), other)
    stray = beside_of(sink) / "part-00000003"
    shutil.copy(beside_of(other) / "part-00000000", stray)
    with pytest.raises(StoreError, match="part-00000003 holds finished members of another sweep"):
        sweep(sink=sink)
    stray.unlink()
    sweep(sink=sink)
    assert files(sink) == whole


def test_it_goes_on_without_the_script(
    sweep: Callable, whole: dict, here: Executor, tmp_path: Path, files: Files,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    sink = tmp_path / "a.zarr"
    stop_before_the_result(monkeypatch, sweep, sink)
    (beside_of(sink) / "part-00000002").unlink()
    data = sf.resume_sweep(sink, pool=here, progress=False)
    assert files(sink) == whole
    assert data["cells.v"].shape == (3, 2, 61, 3)


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"reduce": len}, "reduce, which is a function"),
        ({"record": lambda _: []}, "what is recorded, which is a function"),
        ({"model": lambda: None}, "its model, which is no sf.Network"),
    ],
)
def test_what_has_no_form_on_a_disk_is_said(
    changed: dict, why: str, sweep: Callable, leaky: sf.Network, here: Executor, tmp_path: Path
) -> None:
    sink = tmp_path / "a.zarr"
    if "model" in changed:
        changed = {"model": lambda: leaky, "record": ()}
    if "record" in changed and callable(changed["record"]):
        changed = {"record": lambda network: [network.population("cells").spikes]}
    if "reduce" in changed:
        changed = {"reduce": lambda run: len(run["cells.spikes"])}
    sweep(sink=sink, **changed)
    with pytest.raises(StoreError, match=why):
        sf.resume_sweep(sink, pool=here)


def test_values_of_all_kinds_go_on_without_the_script(
    leaky: sf.Network, here: Executor, tmp_path: Path, files: Files
) -> None:
    arguments: dict[str, Any] = {
        "vary": [
            {("cells", "tau"): 20 * ms, "cells.I": np.array([1.0, 2, 3]) * nA, "seed": 1},
            {("cells", "tau"): 0.021 * sf.units.second, "cells.I": 2.5 * nA, "seed": 2},
        ],
        "duration": 5 * ms,
        "dt": 0.5 * ms,
        "trials": 2,
        "initial": {"cells": {"v": [-60, -61, -62] * mV}},
        "solver": sf.ExponentialEuler(),
        "dtype": "float32",
        "reduce": ["rate", "count"],
        "pool": here,
        "progress": False,
    }
    first, second = tmp_path / "a.zarr", tmp_path / "b.zarr"
    sf.sweep(leaky, **arguments, sink=first)
    wanted = files(first)
    file = beside_of(first) / "sweep.json"
    beside_of(second).mkdir()
    (beside_of(second) / "sweep.json").write_bytes(file.read_bytes())
    sf.resume_sweep(second, pool=here, progress=False)
    assert files(second) == wanted


# ------------------------------------------------------------------------------- what is there


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"duration": 61 * ms}, r"duration is 60\.0 ms there and 61\.0 ms here"),
        ({"dtype": "float32"}, "dtype is 'float64' there and 'float32' here"),
        ({"vary": {"cells.I": [1, 2, 4] * nA, "seed": [0, 7]}}, r"cells\.I.*3 nA there and .*4 nA"),
        ({"trials": 2}, "trials is None there and 2 here"),
        ({"reduce": "rate"}, "reduce is None there and 'rate' here"),
    ],
)
def test_another_sweep_is_refused_in_words(
    changed: dict, why: str, sweep: Callable, tmp_path: Path, files: Files
) -> None:
    sink = tmp_path / "a.zarr"
    sweep(sink=sink)
    before = files(tmp_path)
    with pytest.raises(StoreError, match=f"is of another sweep: .*{why}"):
        sweep(sink=sink, **changed)
    assert files(tmp_path) == before


def test_a_function_that_holds_another_number_is_another_one(
    sweep: Callable, here: Executor, tmp_path: Path
) -> None:
    def last(run: sf.Solution, scale: float = 1.0) -> float:
        return scale * float(run["cells.v"].values[-1, 0])

    def scaled(by: float) -> Callable[[sf.Solution], float]:
        return lambda run: by * last(run)

    on_one_line = [lambda run: 3.0 * last(run), lambda run: 2.0 * last(run)]
    held = partial(last, scale=1.0), partial(last, scale=2.0)
    pairs = [(scaled(1.0), scaled(2.0)), held, on_one_line]
    for k, (one, other) in enumerate(pairs):
        sink = tmp_path / f"{k}.zarr"
        sweep(sink=sink, reduce=one, pool=here)
        sweep(sink=sink, reduce=one, pool=here)
        with pytest.raises(StoreError, match=r"is of another sweep: .*function reduce is another"):
            sweep(sink=sink, reduce=other, pool=here)


def test_a_method_with_other_numbers_is_another_one(
    sweep: Callable, here: Executor, tmp_path: Path
) -> None:
    sink = tmp_path / "a.zarr"
    one, other = (
        replace(method, tableau=replace(method.tableau, name="mine"))
        for method in (sf.Heun(), sf.Midpoint())
    )
    sweep(sink=sink, solver=one, pool=here)
    sweep(sink=sink, solver=one, pool=here)
    with pytest.raises(StoreError, match=r"is of another sweep: solver is 'mine'"):
        sweep(sink=sink, solver=other, pool=here)


def test_a_result_alone_is_recognised(sweep: Callable, tmp_path: Path, files: Files) -> None:
    sink = tmp_path / "a.zarr"
    sweep(sink=sink)
    wanted = files(sink)
    for file in beside_of(sink).iterdir():
        file.unlink()
    sweep(sink=sink)
    assert files(sink) == wanted
    for file in beside_of(sink).iterdir():
        file.unlink()
    with pytest.raises(StoreError, match="is the result of another sweep"):
        sweep(sink=sink, dtype="float32")


def test_what_is_not_a_sweeps_own_is_left_alone(
    sweep: Callable, leaky: sf.Network, tmp_path: Path, files: Files
) -> None:
    folder, file = tmp_path / "mine", tmp_path / "notes"
    folder.mkdir()
    (folder / "thesis.txt").write_text("all of it")
    file.write_text("a file")
    store = tmp_path / "run.zarr"
    sf.simulate(leaky, 5 * ms, dt=0.5 * ms, sink=store, progress=False)
    begun = tmp_path / "begun.zarr"
    beside_of(begun).mkdir()
    (beside_of(begun) / "part-00000000").write_text("not a sweep's")
    strange = tmp_path / "strange.zarr"
    beside_of(strange).mkdir()
    (beside_of(strange) / "data.csv").write_text("1,2")
    before = files(tmp_path)
    for sink, why in (
        (folder, "exists and is no result of a sweep"),
        (file, "exists and is no result of a sweep"),
        (store, "belongs to a single run, not to a sweep"),
        (begun, "says of which sweep it is"),
        (strange, "holds what no sweep has written: 'data.csv'"),
        (file / "below.zarr", "is not a folder|no folder"),
    ):
        with pytest.raises(StoreError, match=why):
            sweep(sink=sink)
    with pytest.raises(StoreError, match="is an address"):
        sweep(sink="s3://bucket/a.zarr")
    (tmp_path / "link").symlink_to(folder)
    with pytest.raises(StoreError, match="is a symbolic link"):
        sweep(sink=tmp_path / "link")
    (tmp_path / "link").unlink()
    assert files(tmp_path) == before


def test_a_users_file_in_a_result_stays(sweep: Callable, tmp_path: Path) -> None:
    sink = tmp_path / "a.zarr"
    reduce = fails_at(0, [2])
    with pytest.warns(SomaflowWarning):
        sweep(reduce=reduce, sink=sink)
    (sink / "notes.txt").write_text("mine")
    with pytest.raises(StoreError, match=r"has not written.*notes\.txt"):
        sweep(reduce=reduce, sink=sink)
    assert (sink / "notes.txt").read_text() == "mine"
    (sink / "notes.txt").unlink()
    assert not (sweep(reduce=reduce, sink=sink)["failure"] != "").any()


def test_two_sweeps_at_once_are_refused(sweep: Callable, tmp_path: Path) -> None:
    sink = tmp_path / "a.zarr"
    with claimed(beside(sink)), pytest.raises(StoreError, match="is being written by process"):
        sweep(sink=sink)
    sweep(sink=sink)


def test_other_versions_are_not_mixed(
    sweep: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sink = tmp_path / "a.zarr"
    stop_before_the_result(monkeypatch, sweep, sink)
    file = beside_of(sink) / "sweep.json"
    told = json.loads(file.read_text())
    told["versions"]["numpy"] = "1.0"
    file.write_text(json.dumps(told))
    with pytest.raises(StoreError, match=r"other versions \(numpy 1\.0 there and"):
        sweep(sink=sink)
    for part in beside_of(sink).glob("part-*"):
        part.unlink()
    sweep(sink=sink)
    assert json.loads(file.read_text())["versions"]["numpy"] == np.__version__


# --------------------------------------------------------------------------- before it begins


@pytest.mark.parametrize(
    ("changed", "error", "why"),
    [
        ({"batch": 0}, RunError, "batch is a number of members"),
        ({"pool": "many"}, WrongTypeError, "pool is a number of processes or"),
        ({"pool": 0}, RunError, "at least one process"),
        ({"pool": True}, WrongTypeError, "pool is a number of processes or"),
        ({"sink": 3}, WrongTypeError, "a path is a text"),
        ({"duration": 0.3 * ms}, RunError, "duration"),
        ({"vary": {"cells.J": [1]}}, UnknownNameError, "cells.J"),
        ({"vary": {"cells.I": [1] * mV}}, UnitError, "cells.I"),
        ({"reduce": "rates"}, UnknownNameError, "Did you mean 'rate'"),
        ({"progress": 3}, WrongTypeError, "progress"),
        ({"solver": sf.EulerMaruyama()}, RunError, "Euler-Maruyama is for stochastic"),
    ],
)
def test_bad_arguments_are_refused_before_anything_runs(
    changed: dict, error: type[Exception], why: str, sweep: Callable, tmp_path: Path
) -> None:
    with pytest.raises(error, match=why):
        sweep(**{"sink": tmp_path / "a.zarr", **changed})
    assert not list(tmp_path.iterdir())


def test_a_pool_that_is_shut_is_refused(sweep: Callable, tmp_path: Path) -> None:
    pool = sf.Processes(1)
    pool.shutdown()
    with pytest.raises(RunError, match="takes no tasks"):
        sweep(pool=pool, sink=tmp_path / "a.zarr")
    assert not list(tmp_path.iterdir())


def test_more_than_the_disk_has_is_refused(
    sweep: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A member has 61 samples of 3 numbers, and their times.
    needed = 2 * 6 * 61 * (3 + 1) * 8
    monkeypatch.setattr(place.Place, "free", lambda _: needed - 1)
    with pytest.raises(StoreError, match=r"needs 23\.4 kB of disk .* but 23\.4 kB are free"):
        sweep(sink=tmp_path / "a.zarr")
    monkeypatch.setattr(place.Place, "free", lambda _: needed)
    sweep(sink=tmp_path / "a.zarr")


# -------------------------------------------------------------------------------- spikes_of


@pytest.fixture(scope="module")
def result() -> xr.Dataset:
    """A result with the spikes of two populations: member [i, k] of `a` has i + k spikes."""
    count = np.array([[0, 1], [1, 2]])
    first = np.array([[0, 0], [1, 2]])
    return xr.Dataset(
        {
            "a.spikes.count": (("x", "point"), count),
            "a.spikes.first": (("x", "point"), first),
            "a.spikes.times": ("a.spikes.spike", [1.0, 2, 3, 4]),
            "a.spikes.cells": ("a.spikes.spike", [4, 4, 4, 2]),
            "a.spikes.w": ("a.spikes.spike", [10.0, 20, 30, 40], {"units": "mV"}),
        },
        {"x": ("x", [0.1, 0.2], {"units": "mS"}), "a.spikes.cell": ("a.spikes.cell", [2, 4])},
        {"duration_ms": 5.0, "start_ms": 0.0},
    )


def test_spikes_of_one_member(result: xr.Dataset) -> None:
    found = sf.spikes_of(result, "a", {"x": 200 * sf.units.uS, "point": 1})
    assert found.times.tolist() == [3, 4] and found.cells.tolist() == [4, 2]
    assert found.counts().tolist() == [1, 1] and found.duration == 5
    assert found["w"].values.tolist() == [30, 40] and found["w"].attrs["units"] == "mV"
    assert sf.spikes_of(result.isel(x=[1]), "a.spikes", {"point": 0}).times.tolist() == [2]


@pytest.mark.parametrize(
    ("key", "at", "error", "why"),
    [
        ("b", {}, UnknownNameError, "Known: a"),
        ("a", {"x": 0.1}, RunError, "Give at={'point': ...} too"),
        ("a", {"y": 0.1}, UnknownNameError, "no axis 'y'"),
        ("a", {"x": 0.3, "point": 0}, RunError, r"no value of 'x': it has 0\.1, 0\.2 \(mS\)"),
        ("a", {"x": 1 * mV, "point": 0}, UnitError, "'x' is in mS"),
        ("a", {"x": 0.1, "point": 2}, RunError, "from 0 to 1, not 2"),
        ("a", 3, WrongTypeError, "at is a dict"),
    ],
)
def test_a_member_that_is_not_there_is_refused(
    key: str, at: Any, error: type[Exception], why: str, result: xr.Dataset
) -> None:
    with pytest.raises(error, match=why):
        sf.spikes_of(result, key, at)
