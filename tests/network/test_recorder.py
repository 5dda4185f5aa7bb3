import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import somaflow as sf
from somaflow.description import from_json, to_json
from somaflow.errors import (
    MissingValueError,
    NetworkError,
    UnitError,
    UnknownNameError,
    WrongTypeError,
)
from somaflow.units import cm, ms, mV, nA, uF

C = 1 * uF / cm**2
CHANNELS = sf.catalogue("channels")
EDGES = np.linspace(-80, -40, 5) * mV


def cells(name: str = "PN", size: int = 5, **options: Any) -> sf.Population:
    options = {"threshold": "v > 0*mV"} | options
    return sf.Population(name, size, sf.Neuron(C, leak=CHANNELS.leak), **options)


PN = cells()
LIF = sf.Population("lif", 5, sf.load("lif"))
PLASTIC = sf.Projection(LIF, LIF, sf.load("stdp_pair_all_to_all"), name="learning")


def test_recorders() -> None:
    assert PN["v"].key == "PN.v"
    assert PN["v"].mean().every(1 * ms).key == "PN.v.mean"
    assert PN["leak.I"].every("0.5 ms").interval == 0.5
    assert sf.Recorder("PN", "v", interval=1 * sf.units.second).interval == 1000
    for refused in (PN.spikes.mean, PN.spikes.sum, PN.spikes.rate):
        with pytest.raises(NetworkError, match="spikes have times of their own"):
            refused()
    for interval, kind in ((0, MissingValueError), (-1, MissingValueError), (1 * mV, UnitError)):
        with pytest.raises(kind):
            PN["v"].every(interval)


KEYS = {
    "PN.v": PN["v"].every(1 * ms),
    "PN.v.sum": PN["v"].sum(),
    "PN.v.histogram": PN["v"].histogram(EDGES),
    "PN.v.max_over_time": PN["v"].every(1 * ms, "max"),
    "PN.v.mean.max_over_time": PN["v"].mean().every(1 * ms, "max"),
    "PN.v.max_over_time.mean": PN["v"].every(1 * ms, "max").mean(),
    "PN.v.min_over_time.histogram": PN["v"].every(1 * ms, "min").histogram(EDGES),
    "PN.I_stim": PN["I_stim"],
    "PN.spikes": PN.spikes,
    "PN.spikes.count": PN[1:].spikes.every(1 * ms),
    "PN.spikes.count.sum": PN.spikes.every(1 * ms, "count").sum(),
    "PN.spikes.count.mean": PN.spikes.every(1 * ms).mean(),
    "PN.rate": PN[:2].rate(10 * ms),
    "learning.w": PLASTIC["w"],
    "learning.w.mean": PLASTIC["w"][[3, 4]].mean(),
    "learning.I": PLASTIC["I"],
}


@pytest.mark.parametrize("key", KEYS)
def test_the_key_tells_what_was_asked_for_in_order(key: str) -> None:
    assert KEYS[key].key == key


@pytest.mark.parametrize("key", KEYS)
def test_a_recorder_can_be_stored(key: str) -> None:
    assert pickle.loads(pickle.dumps(KEYS[key])) == KEYS[key]
    assert from_json(to_json(KEYS[key])) == KEYS[key]


def test_places_are_among_those_chosen_before() -> None:
    assert PN["v"][[4, 0]].cells.tolist() == [4, 0]
    assert PN[[4, 2, 0]]["v"][1:].cells.tolist() == [2, 0]
    assert PN["v"][3].cells.tolist() == [3]
    assert PLASTIC["w"][:7:3].cells.tolist() == [0, 3, 6]
    assert PN[[4, 2]].spikes.cells.tolist() == [4, 2]
    assert PN[:].spikes.cells is None


REFUSED: dict[str, tuple[Callable[[], Any], type[Exception], str]] = {
    "twice over cells": (lambda: PN["v"].mean().sum(), NetworkError, "over cells already"),
    "twice over time": (
        lambda: PN["v"].every(1, "max").every(2),
        NetworkError,
        "over time already",
    ),
    "unknown over time": (
        lambda: PN["v"].every(1, "median"),
        NetworkError,
        "'v' can be reduced by 'mean', 'max', 'min', not by 'median'",
    ),
    "count of a state": (lambda: PN["v"].every(1, "count"), NetworkError, "not by 'count'"),
    "maximum of spikes": (lambda: PN.spikes.every(1, "max"), NetworkError, "spikes.*'count'"),
    "rate of a state": (PN["v"].rate, NetworkError, "not by 'rate'"),
    "histogram of spikes": (
        lambda: PN.spikes.every(1).histogram([0, 1]),
        NetworkError,
        "not by 'histogram'",
    ),
    "over time without an interval": (
        lambda: sf.Recorder("PN", "v", over_time="max"),
        NetworkError,
        "needs an interval",
    ),
    "edges of a mean": (
        lambda: sf.Recorder("PN", "v", reduction="mean", edges=[0, 1]),
        NetworkError,
        "nothing else, has edges",
    ),
    "one edge": (lambda: PN["v"].histogram([1] * mV), NetworkError, r"shape \[1\].*at least two"),
    "edges that do not ascend": (
        lambda: PN["v"].histogram([-60, -50, -55] * mV),
        NetworkError,
        "-55 follows -50",
    ),
    "the mean of nothing": (PN["v"][[]].mean, NetworkError, "over no cells"),
    "cells after the mean": (lambda: PN["v"].mean()[[0]], NetworkError, "choose cells before"),
    "a place that is not there": (lambda: PN[[3, 4]]["v"][[2]], NetworkError, "no cell 2"),
    "an open slice": (lambda: PLASTIC["w"][3:], WrongTypeError, r"has an end, such as \[:10\]"),
    "a slice from the end": (lambda: PLASTIC["w"][-3:5], WrongTypeError, "has an end"),
    "an unknown variable": (lambda: PN["u"], UnknownNameError, "no variable 'u'"),
    "no variable of synapses": (lambda: PLASTIC["v"], UnknownNameError, "no variable 'v'"),
    "a parameter of synapses": (
        lambda: sf.Projection(LIF, LIF, sf.load("exponential_current"), weight=1 * nA)["i"],
        UnknownNameError,
        r"a parameter, which does not change; see connections\(\)",
    ),
    "no name": (lambda: PLASTIC[3], WrongTypeError, "name of a variable, not 3"),
    "the rate of cells without threshold": (
        lambda: cells(threshold=None).rate(1 * ms),
        NetworkError,
        "no threshold",
    ),
}


@pytest.mark.parametrize(("make", "kind", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_be_recorded_is_refused(
    make: Callable[[], Any], kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=message):
        make()
