"""Small sweeps that several tests make, and pools of this process."""

import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import somaflow as sf
from somaflow.sweeping.space import Space, read_space
from somaflow.sweeping.task import Outcome
from somaflow.units import ms, mV, nA


class Here(Executor):
    """Computes in this process, as soon as it is asked to."""

    _max_workers = 1

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


class Backwards(Executor):
    """Computes what was asked for last first, once it has all of it."""

    def __init__(self, tasks: int) -> None:
        self._max_workers = tasks
        self._waiting: list[tuple[Future[Any], Callable[[], Any]]] = []
        self.order: list[int] = []

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        if not args:  # whether it is open
            future.set_result(None)
            return future
        self._waiting.append((future, lambda: fn(*args, **kwargs)))
        if len(self._waiting) == self._max_workers:
            threading.Thread(target=self._work).start()
        return future

    def _work(self) -> None:
        for future, call in reversed(self._waiting):
            outcomes = call()
            self.order += [outcome.number for outcome in outcomes]
            future.set_result(outcomes)


@pytest.fixture
def here() -> Executor:
    """A pool that is this process."""
    return Here()


@pytest.fixture
def backwards() -> Callable[[int], Executor]:
    """Makes a pool that computes so many tasks, the last one first."""
    return Backwards


def _cells(size: int = 3) -> sf.Population:
    text = "dv/dt = (E - v + R*I)/tau : mV"
    model = sf.Equations.parse(text, E=-65 * mV, R=10 * mV / nA, tau=20 * ms, I=2 * nA, v=-65)
    return sf.Population("cells", size, model, threshold="v > -50*mV", reset="v = -65*mV")


@pytest.fixture
def leaky() -> sf.Network:
    """Three cells that fire where `cells.I` is above 1.5 nA; they blow up at a tau of 0.01 ms."""
    return sf.Network(_cells())


@pytest.fixture
def arguments(leaky: sf.Network, here: Executor) -> dict[str, Any]:
    """A sweep of six members in three tasks: two record spikes and voltages, four nothing else."""
    cells = leaky.population("cells")
    return {
        "model": leaky,
        "vary": {"cells.I": [1, 2, 3] * nA, "seed": [0, 7]},
        "duration": 60 * ms,
        "dt": 0.5 * ms,
        "record": [cells.spikes, cells["v"].every(1 * ms)],
        "pool": here,
        "batch": 2,
        "progress": False,
    }


def of_member(number: int, spikes: int = 2, samples: int = 3) -> xr.Dataset:
    """Return what a member might be: a voltage, spikes, a number and a text."""
    return xr.Dataset(
        {
            "c.v": (("c.v.time", "c.v.cell"), number + np.arange(2.0 * samples).reshape(-1, 2)),
            "c.spikes.times": ("c.spikes.times.spike", number + np.arange(float(spikes))),
            "c.spikes.cells": ("c.spikes.cells.spike", np.full(spikes, number)),
            "rate": ((), 10 * number, {"units": "Hz"}),
            "word": ((), "x" * number),
        },
        {"c.v.time": ("c.v.time", np.arange(samples) * 0.5, {"units": "ms"})},
    )


@pytest.fixture
def outcomes() -> list[Outcome]:
    """Six members, of which number 3 has failed; number k has k spikes."""
    return [
        Outcome(k, None if k == 3 else of_member(k, k), "it broke" if k == 3 else "", False, "")
        for k in range(6)
    ]


@pytest.fixture
def space() -> Space:
    """Three values of an axis and two of another."""
    return read_space({"p.x": [0.1, 0.2, 0.3] * nA, "kind": ["one", "two"]})


@pytest.fixture
def files() -> Callable[[Path], dict[str, bytes]]:
    """Reads all files below a folder."""

    def read(path: Path) -> dict[str, bytes]:
        found = (file for file in path.rglob("*") if file.is_file())
        return {str(file.relative_to(path)): file.read_bytes() for file in found}

    return read
