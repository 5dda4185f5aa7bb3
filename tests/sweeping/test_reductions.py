"""Reductions: right values of spikes made by hand, and what is refused before anything runs."""

import functools
import pickle
import sys

import numpy as np
import pytest
import xarray as xr

import somaflow as sf
from somaflow.storage.sinks import Column, MemorySink
from somaflow.sweeping import task
from somaflow.sweeping.reductions import check_reduce, reduced, travels
from somaflow.units import mS, ms, mV

DURATION = 1000.0


def run(trains=(), voltage=None, key="PN.v.mean", every=1.0, spikes="PN.spikes", batch=()):
    """A run with the given spikes, and the given mean voltage."""
    columns = [
        Column(spikes, "ms", None, (), tuple(range(len(trains))), 0.0, 0, "float64", batch=batch)
    ]
    if voltage is not None:
        shape, axes = voltage.shape[1:], tuple(f"batch_{k}" for k in range(voltage.ndim - 1))
        columns.append(Column(key, "mV", shape, axes, None, every, len(voltage), "float64"))
    sink = MemorySink()
    sink.open(tuple(columns), {})
    times = np.array([t for train in trains for t in train], float)
    cells = np.array([cell for cell, train in enumerate(trains) for _ in train], np.int64)
    order = np.argsort(times, kind="stable")
    if len(times):
        sink.spikes(spikes, times[order], cells[order])
    if voltage is not None:
        sink.rows(key, 0, voltage)
    return sf.Solution(tuple(columns), sink, DURATION, {}, {"compiled": False})


# Intervals of 100, 100; of 100, 300, whose mean is 200 and sd 100; one; none.
TRAINS = ([0, 100, 200], [50, 150, 450], [10, 20], [])


def test_rates_counts_and_variations_of_spikes_made_by_hand():
    data = reduced(run(TRAINS), ["rate", "count", "cv"])
    assert list(data.data_vars) == ["PN.rate", "PN.count", "PN.cv"]
    assert data["PN.rate"].item() == 8 / 4  # spikes of a cell in 1 s
    assert data["PN.count"].item() == 8
    assert data["PN.cv"].item() == pytest.approx((0.0 + 0.5) / 2)
    assert [data[name].attrs["units"] for name in data] == ["Hz", "1", "1"]
    assert {data[name].dtype for name in data} == {np.dtype(np.float64)}


def test_a_poisson_process_has_a_variation_of_one():
    rng = np.random.default_rng(5)
    trains = [np.cumsum(rng.exponential(1.0, 20_000)) for _ in range(2)]
    assert reduced(run(trains), "cv")["PN.cv"].item() == pytest.approx(1, abs=0.02)


def test_cells_that_never_fire_have_a_rate_and_no_variation():
    data = reduced(run([[], []]), ["rate", "count", "cv"])
    assert (data["PN.rate"].item(), data["PN.count"].item()) == (0, 0)
    assert np.isnan(data["PN.cv"].item())


@pytest.mark.parametrize(("frequency", "every"), [(20.0, 0.1), (20.0, 1.0), (47.0, 0.5), (9.5, 5)])
def test_the_peak_of_a_sine_is_its_frequency(frequency, every):
    time = np.arange(round(DURATION / every) + 1) * every
    voltage = -60 + 2 * np.sin(2 * np.pi * frequency * time / 1000)
    data = reduced(run([[]], voltage, every=every), "lfp_peak")
    assert list(data.data_vars) == ["PN.lfp_peak"]
    assert data["PN.lfp_peak"].item() == pytest.approx(frequency, abs=0.25)
    assert data["PN.lfp_peak"].attrs == {"units": "Hz", "window": "whole run"}


@pytest.mark.parametrize("n", [1, 2, 200, 1001])
def test_what_is_too_short_or_silent_has_no_peak(n):
    voltage = np.full(n, -60.0) if n > 500 else np.sin(np.arange(n) / 8)
    assert np.isnan(reduced(run([[]], voltage), "lfp_peak")["PN.lfp_peak"].item())


def test_a_batch_has_a_value_of_each_of_its_problems():
    time = np.arange(1001)
    voltage = np.stack([np.sin(2 * np.pi * f * time / 1000) for f in (12, 30)], axis=1)
    solution = run([[]], voltage, batch=(2,))
    solution._sink.spikes("PN.spikes", np.array([1.0, 3, 5]), np.array([[0, 0], [1, 0], [1, 0]]))
    data = reduced(solution, ["lfp_peak", "count"])
    np.testing.assert_allclose(data["PN.lfp_peak"], [12, 30], atol=0.25)
    np.testing.assert_array_equal(data["PN.count"], [1, 2])


def test_names_of_recordings_stay_in_the_names_of_values():
    data = reduced(run([[1.0]], np.zeros(10), key="PN.u.mean", spikes="A"), ["rate", "lfp_peak"])
    assert list(data.data_vars) == ["A.rate", "PN.u.lfp_peak"]


def test_without_a_reduction_all_recordings_are_kept():
    solution = run(TRAINS, np.zeros(10))
    assert reduced(solution, None).identical(solution.to_xarray())


# ------------------------------------------------------------------------------ functions


def loudest(solution):
    return float(solution["PN.spikes"].counts().max())


def of(value):
    return lambda solution: value


def test_a_function_is_given_the_solution_and_names_what_it_returns():
    data = reduced(run(TRAINS), loudest)
    assert data["loudest"].item() == 3
    assert reduced(run(), of(np.float32(2)))["value"].dtype == np.float32


def test_a_quantity_keeps_its_unit():
    data = reduced(run(), of({"g": 3 * mS, "v": [1, 2] * mV, "n": 4, "yes": np.True_}))
    assert [data[name].attrs["units"] for name in data] == ["mS", "mV", "1", "1"]
    assert data["v"].dims == ("v.axis_0",)
    assert {data[name].dtype for name in data} == {np.dtype(np.float64)}


def test_labelled_arrays_stay_as_they_are():
    array = xr.DataArray([1.0, 2.0], {"band": ["low", "high"]}, name="power", attrs={"units": "W"})
    for value in (array, {"power": array}, array.to_dataset()):
        assert reduced(run(), of(value))["power"].identical(array)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "None as 'value'"),
        ("fast", "'fast'"),
        (object(), "object"),
        ([[1], [1, 2]], "[[1], [1, 2]]"),
        ({"a": {"b": 1}}, "as 'a'"),
        ({1: 2.0}, "the key 1"),
        ({}, "empty"),
        ([1 * mV, 2 * mV], r"return one quantity"),
        (xr.DataArray(["a"]), "return a number"),
    ],
)
def test_anything_else_is_named(value, words):
    with pytest.raises(sf.errors.SomaflowError) as caught:
        reduced(run(), of(value))
    assert words in str(caught.value)


# ------------------------------------------------------------------------------ before it runs

CELL = sf.Equations.parse(
    "dv/dt = (E - v)/tau : mV\ndw/dt = -w/tau : 1", E=-65 * mV, tau=20 * ms, v=-60, w=0
)
PN = sf.Population("PN", 3, CELL, threshold="v > -50*mV", reset="v = E")
NETWORK = sf.Network(PN)


@pytest.mark.parametrize(
    ("reduce", "record", "words"),
    [
        ("lfp_peak", [PN.spikes], "record=pn['v'].mean().every(0.1*ms)"),
        ("lfp_peak", [PN["v"]], "needs the mean of a voltage"),
        ("lfp_peak", [PN["w"].mean()], "needs the mean of a voltage"),
        ("lfp_peak", [PN["v"].mean().every(10 * ms)], "at most 6.25 ms apart"),
        ("rate", [PN["v"].mean()], "'rate' needs spikes"),
        (["lfp_peak", "cv"], [PN["v"].mean()], "'cv' needs spikes"),
        ("rate", [PN.spikes.every(1 * ms)], "needs spikes"),
        ("rate", [PN.spikes, PN[:2].spikes.as_("PN")], "both be reduced to 'PN.rate'"),
        ("lfp_peek", [PN["v"].mean()], "Did you mean 'lfp_peak'?"),
        (["rate", 3], [PN.spikes], "no reduction 3"),
        (["rate", loudest], [PN.spikes], "is a function or names, not both"),
        ([], [PN.spikes], "not []"),
        (3, [PN.spikes], "not 3"),
        ({"rate": 1}, [PN.spikes], "reduce is a function, or names"),
        (dict, [PN.spikes], "is given the sf.Solution"),
        (lambda: 0, [PN.spikes], "is given the sf.Solution"),
    ],
)
def test_what_cannot_reduce_is_refused(reduce, record, words):
    with pytest.raises(sf.errors.SomaflowError) as caught:
        check_reduce(reduce, record, NETWORK)
    assert words in str(caught.value)


@pytest.mark.parametrize("reduce", [None, loudest, "cv", ("rate", "lfp_peak"), ["rate", "rate"]])
def test_what_can_is_not(reduce):
    check_reduce(reduce, [PN.spikes, PN["v"].mean().every(0.1 * ms)], NETWORK)


# ------------------------------------------------------------------------------ elsewhere


class Local:
    """Of a module that the test seems to have typed in."""

    __module__ = "__main__"

    def __call__(self, solution):
        return 1.0


@pytest.mark.parametrize(
    ("reduce", "answer"),
    [
        (None, True),
        ("rate", True),
        (["rate", "cv"], True),
        (loudest, True),
        (functools.partial(loudest), True),
        (lambda solution: 1.0, False),
        (of(1.0), False),
        (Local(), False),
        (functools.partial(Local()), False),
    ],
)
def test_what_has_no_name_elsewhere_stays(reduce, answer, monkeypatch):
    monkeypatch.setattr(sys.modules["__main__"], "Local", Local, raising=False)
    assert travels(reduce) is answer


def test_a_run_is_the_same_object_wherever_it_is_reduced():
    member = task.Member(NETWORK, {}, 0, (PN.spikes, PN["v"].mean().every(1 * ms)))
    seen = []

    def closure(solution):
        seen.append(solution)
        return {"v": solution["PN.v.mean"][-1].item() * mV, "spikes": len(solution["PN.spikes"])}

    settings = task.Settings(2 * ms, 0.1 * ms, None, "float64", closure)
    here = task.compute(task.Task((7,), (member,), settings, 1))[0]
    assert settings.sent() == task.Settings(2 * ms, 0.1 * ms, None, "float64", None, True)
    sent = pickle.loads(pickle.dumps(task.Task((7,), (member,), settings.sent(), 1)))
    back = pickle.loads(pickle.dumps(task.compute(sent)[0]))
    assert back.data["PN.v.mean"].shape == (3,)
    assert back.reduced(closure).data.identical(here.data)
    assert here.data["v"].item() == pytest.approx(-65 + 5 * np.exp(-0.1), abs=1e-5)
    assert [type(solution) for solution in seen] == [sf.Solution] * 2


def test_a_reduction_that_raises_fails_its_member_alone():
    outcome = task.Outcome(0, run(TRAINS), "", False, "here")
    failed = outcome.reduced(lambda solution: 1 / 0)
    assert failed.data is None
    assert failed.failure == "reduce failed: ZeroDivisionError: division by zero"
    assert failed.reduced(loudest) is failed
