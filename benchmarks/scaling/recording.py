"""Recordings, long runs and pictures."""

import os
from collections.abc import Iterator
from statistics import median
from typing import Any

import numpy as np
from scaling.building import lif
from scaling.measure import Point, a_step, paired, seconds
from scaling.spiking import driven

import somaflow as sf
from somaflow.units import ms


def recorded_cells(rounds: int) -> Iterator[Point]:
    """Measure the membrane of every cell at each step, beside a run that records nothing."""
    for size in (1_000, 10_000, 100_000):
        network, steps = driven(size), max(50, 2_000_000 // size)
        whole = a_step(
            network, steps, solver=sf.ExponentialEuler(), record=network.populations[0]["v"]
        )
        nothing = a_step(network, steps, solver=sf.ExponentialEuler(), record=[])
        cost = paired(whole, nothing, rounds)
        yield Point("recorded cells", size, *cost, None, "us a step", "without")


def recorders(rounds: int) -> Iterator[Point]:
    """Measure means over parts of 1,600 cells every 10 steps, beside one."""
    network = driven(1_600)
    cells = network.populations[0]

    def each(count: int) -> Any:
        views = [cells[k * 1_600 // count : (k + 1) * 1_600 // count] for k in range(count)]
        means = [view["v"].mean().every(1 * ms).as_(f"mean {k}") for k, view in enumerate(views)]
        return a_step(network, 5_000, solver=sf.ExponentialEuler(), record=means)

    one = each(1)
    for count in (4, 16, 64):
        yield Point("recorders", count, *paired(each(count), one, rounds), None, "us a step", "one")


def steps(rounds: int) -> Iterator[Point]:
    """Measure one cell for many steps, beside 100,000 of them."""
    network = sf.Network(lif("cell", 1))

    def each(count: int) -> Any:
        return a_step(network, count, solver=sf.ExponentialEuler(), record=[])

    first = each(100_000)
    for count in (1_000_000, 10_000_000):
        yield Point("steps", count, *paired(each(count), first, 1), 1.2, "us a step", "100,000")


def pictures(rounds: int) -> Iterator[Point]:
    """Measure rasters, beside what is allowed."""
    for count, allowed in ((100_000, None), (1_000_000, 1.5), (10_000_000, 10.0)):
        rng = np.random.default_rng(1)
        times, cells = np.sort(rng.random(count) * 1000), rng.integers(0, 10_000, count)
        spikes = sf.SpikeTrains(times, cells, 10_000, 1000.0)

        def draw(spikes: Any = spikes) -> None:
            figure = sf.plotting.raster(spikes).get_figure(root=True)
            assert figure is not None
            figure.savefig(os.devnull, format="png")

        cost = median(seconds(draw) for _ in range(rounds))
        yield Point("raster of spikes", count, cost, allowed, 1.0, "s", "allowed")
