"""Runs that stop at a condition: at which step, with what is recorded, and when they go on."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import somaflow as sf
from somaflow.errors import (
    EquationError,
    RunError,
    SomaflowError,
    UnitError,
    UnknownNameError,
    WrongTypeError,
)
from somaflow.simulation import chunks
from somaflow.units import ms, mV

DT, END = 0.1, 40.0
DRIVE = np.linspace(20.0, 60.0, 5)
MODEL = sf.Equations.parse(
    "dv/dt = (drive - v)/tau : mV\nabove = v - 10*mV : mV", drive=DRIVE * mV, tau=10 * ms, v=0 * mV
)
CELLS = sf.Population(
    *("N", 5, MODEL, "v > 15*mV", "v = 0*mV"), events={"early": "v > 5*mV"}, refractory=1 * ms
)
OTHER = sf.Population("M", 2, sf.Equations.parse("dx/dt = 1/second : 1", x=0.0))
NETWORK = sf.Network(CELLS, OTHER)
RECORD = [CELLS["v"], CELLS["v"].every(1 * ms, "max"), CELLS.spikes, CELLS.spikes.every(1 * ms)]
V = "N.v"


def run(until: str | None = None, duration: float = END, **settings: Any) -> sf.Solution:
    settings = {"dt": DT * ms, "record": RECORD, "progress": False, "until": until} | settings
    return sf.simulate(NETWORK, duration * ms, **settings)


@pytest.fixture(scope="module")
def whole() -> sf.Solution:
    return run()


def spiked(whole: sf.Solution) -> np.ndarray:
    """How many cells spike in each step."""
    times = whole["N.spikes"].times
    return np.bincount(np.floor(times / DT + 1e-6).astype(int) + 1, minlength=401)


CONDITIONS = {
    "not all(N.v <= N.drive/3) and t > 3.05*ms": lambda v, n, t: ~(v <= DRIVE / 3).all(1) & (t > 3),
    "sum(N.spikes) >= 1 and t > 6*ms": lambda v, n, t: (n >= 1) & (t > 6.01),
    "max(N.v) - min(N.v) > 13*mV or mean(N.above) > 1*mV or any(M.x > 0.019)": lambda v, n, t: (
        (v.max(1) - v.min(1) > 13) | (v.mean(1) - 10 > 1) | (t > 19.05)
    ),
}


@pytest.mark.parametrize("until", CONDITIONS)
def test_the_first_step_at_whose_end_it_holds(
    until: str, whole: sf.Solution, monkeypatch: pytest.MonkeyPatch
) -> None:
    holds = CONDITIONS[until](whole[V].values, spiked(whole), whole[V].time.values)
    step = 1 + int(np.flatnonzero(holds[1:])[0])
    if "sum" in until:
        monkeypatch.setattr(chunks, "_CHUNK_STEPS", 7)
    got = run(until)
    assert got.duration == pytest.approx(step * DT)
    assert got.status == f"stopped at {step * DT:.10g} ms, where {until}"
    assert got.statistics["steps"] == step
    np.testing.assert_array_equal(got[V], whole[V][: step + 1])
    slow = whole["N.v.max_over_time"][: step // 10 + 1]
    xr.testing.assert_identical(got["N.v.max_over_time"].drop_attrs(), slow.drop_attrs())
    np.testing.assert_array_equal(got["N.spikes.count"], whole["N.spikes.count"][: step // 10 + 1])
    times = whole["N.spikes"].times
    np.testing.assert_array_equal(got["N.spikes"].times, times[times < (step - 1e-6) * DT])
    assert got.final.time == pytest.approx(step * DT)
    assert ("N.v.max_over_time" in got.statistics["samples_end_ms"]) == bool(step % 10)
    np.testing.assert_allclose(
        got["N.spikes"].rates(), got["N.spikes"].counts() * 1e3 / got.duration
    )


def test_one_that_never_holds(whole: sf.Solution) -> None:
    got = run("any(N.v > 15.5*mV) and any(N.v < 0*mV)")
    assert got.status == whole.status == "complete"
    np.testing.assert_array_equal(got[V], whole[V])


def test_an_event_ends_a_run_and_the_rest_follows(whole: sf.Solution) -> None:
    got = run("sum(N.early) > 0")
    first = 1 + int(np.flatnonzero((whole[V] > 5).any("cell"))[0]) - 1
    assert got.duration == pytest.approx(first * DT)
    rest = run(None, END - got.duration, initial=got.final, record=CELLS["v"])
    np.testing.assert_array_equal(rest[V][-1], whole[V][-1])


class Halt(Exception):  # noqa: N818 - not a fault
    """Somebody ends the process."""


@pytest.mark.parametrize("at", [0.0, 1.4])
def test_a_store_has_nothing_beyond_and_can_be_resumed(
    at: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    until = "any(N.v > 14*mV)"
    wanted = run(until)
    monkeypatch.setattr(chunks, "_CHUNK_STEPS", 5)
    straight = run(until, sink=str(tmp_path / "a.zarr"), checkpoint=1 * ms)

    def halt(progress: sf.Progress) -> None:
        if progress.done > at:
            raise Halt

    path = str(tmp_path / "b.zarr")
    with pytest.raises(Halt):
        run(until, sink=path, checkpoint=1 * ms, progress=halt)
    resumed = sf.resume(path, progress=False)
    again = sf.resume(path, progress=False)  # nothing is left to do
    for got in (straight, resumed, again):
        assert got.status == wanted.status
        assert got.duration == wanted.duration
        for key in (V, "N.v.max_over_time", "N.spikes.count"):
            xr.testing.assert_identical(got[key], wanted[key])
        np.testing.assert_array_equal(got["N.spikes"].times, wanted["N.spikes"].times)
        np.testing.assert_array_equal(got.final.states["N"]["v"], wanted[V][-1])
    with xr.open_zarr(path, consolidated=False) as stored:
        assert len(stored["N.v.time"]) == len(wanted[V])
        assert stored.attrs["until"] == until
    assert sf.check(path).sound
    files = {p.relative_to(tmp_path / "a.zarr") for p in (tmp_path / "a.zarr").rglob("*")}
    for file in files:
        one, other = tmp_path / "a.zarr" / file, tmp_path / "b.zarr" / file
        assert one.is_dir() or one.read_bytes() == other.read_bytes()
    with pytest.raises(RunError, match="is over; to go on from there"):
        sf.resume(path, duration=2 * END * ms, progress=False)


@pytest.mark.parametrize(
    ("until", "error", "words"),
    [
        (3, WrongTypeError, "until is a text"),
        ("N.v > 3*mV", EquationError, "N.v is not one number"),
        ("any(N.v)", EquationError, r"any\(\) is of a condition"),
        ("mean(N.v > 3*mV) > 2", EquationError, "and no condition"),
        ("mean(N.v)", EquationError, "until is a condition"),
        ("mean(N.v) > 3", UnitError, r"Write 3\*"),
        ("any(N.v > 3)", UnitError, r"Write 3\*"),
        ("any(N.u > 3*mV)", UnknownNameError, "'u' is not defined"),
        ("any(NN.v > 3*mV)", UnknownNameError, "no population 'NN'"),
        ("any(v > 3*mV)", EquationError, "names no population"),
        ("any(N.v > drive)", EquationError, "Write N.drive"),
        ("any(N.v > M.x*mV)", EquationError, "one population"),
        ("any(N.v > 3*mV", EquationError, "not closed"),
        ("max(N.v - mean(N.v)) > 3*mV", EquationError, "mean stands within max"),
        ("sum(M.spikes) > 3", UnknownNameError, "'spikes' is not defined"),
        ("any(N.v > 3*mV) and u > 2", UnknownNameError, "'u' is not defined"),
    ],
)
def test_bad_conditions(until: Any, error: type[SomaflowError], words: str) -> None:
    with pytest.raises(error, match=words):
        run(until)


def test_a_caret_stands_where_the_text_has_it() -> None:
    with pytest.raises(UnknownNameError) as caught:
        run("t > 1*ms and any(N.v > N.drivel)")
    line, caret = str(caught.value).split("\n")[-2:]
    assert line[caret.index("^") :].startswith("drivel")


def test_a_batch_is_refused() -> None:
    with pytest.raises(RunError, match="batch"):
        run("any(N.v > 3*mV)", initial={"N": {"v": np.zeros((2, 5)) * mV}})


def test_a_plan_is_of_the_whole_length() -> None:
    plan = sf.plan(NETWORK, END * ms, dt=DT * ms, record=RECORD, until="any(N.v > 3*mV)")
    assert plan.calibrated_ms == pytest.approx(END)
