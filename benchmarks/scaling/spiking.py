"""Cells that spike, beside a loop in C++; delays, and conductance cells with synapses."""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from cobahh_sizes import problem as cobahh
from cobahh_sizes import somaflow_peer
from scaling.measure import DT, Point, a_step, paired

import somaflow as sf
from somaflow.units import ms, mV, nA

SOURCE = Path(__file__).parent / "lif.cpp"
BUILT = Path(__file__).parents[2] / ".bench" / "lif"


def driven(size: int, delay: Any = None, most: float = 3.0) -> sf.Network:
    """Return integrate-and-fire cells, with synapses of no weight where a delay is given."""
    model = sf.load("lif")(R=10 * mV / nA, tau=20 * ms)
    cells = sf.Population("cells", size, model, refractory=2 * ms)
    clamp = sf.CurrentClamp(cells, np.linspace(1.6, most, size) * nA)
    if delay is None:
        return sf.Network(cells, clamp)
    synapse, connector = sf.load("exponential_current"), sf.FixedInDegree(20, seed=3)
    joined = sf.Projection(cells, cells, synapse, connector, weight=0 * nA, delay=delay)
    return sf.Network(cells, clamp, joined)


def step_of(network: sf.Network, steps: int) -> Any:
    """Return what measures a step with all spikes recorded."""
    spikes = network.populations[0].spikes
    return a_step(network, steps, solver=sf.ExponentialEuler(), record=spikes)


def cells(rounds: int) -> Iterator[Point]:
    """Measure cells with thresholds, resets and refractory periods, at some 40 Hz."""
    BUILT.parent.mkdir(exist_ok=True)
    subprocess.run(["g++", "-O3", "-march=native", "-o", BUILT, SOURCE], check=True)
    for size in (100, 1_000, 10_000, 100_000):
        steps = max(300, 20_000_000 // size)
        ours = step_of(driven(size), steps)

        def loop(size: int = size, steps: int = steps) -> float:
            done = subprocess.run(
                [BUILT, str(size), str(steps)], check=True, capture_output=True, text=True
            )
            return float(done.stdout.split()[0])

        def each(size: int = size, ours: Any = ours) -> float:
            return ours() / size * 1e3

        cost = paired(each, loop, rounds)
        yield Point("integrate-and-fire cells", size, *cost, 2.0, "ns a cell and step", "C++")


def rates(rounds: int) -> Iterator[Point]:
    """Measure 10,000 such cells that fire more often, beside those at some 40 Hz."""
    few = step_of(driven(10_000), 2_000)
    for most in (3.0, 10.0, 40.0):
        network = driven(10_000, most=most)
        spikes = network.populations[0].spikes
        run = sf.simulate(
            network, 200 * ms, dt=DT * ms, solver=sf.ExponentialEuler(), record=spikes
        )
        rate = len(run["cells.spikes"].times) / 10_000 / 0.2
        cost = paired(step_of(network, 2_000), few, rounds)
        yield Point("10,000 cells at Hz", rate, *cost, None, "us a step", "at 40 Hz")


def varied_delays(rounds: int) -> Iterator[Point]:
    """Measure delays that differ: longest delays, beside one of 10 steps."""
    for size in (10_000, 40_000):
        runs = {
            longest: step_of(driven(size, sf.Uniform(DT * ms, longest * DT * ms, seed=5)), 1_200)
            for longest in (10, 100, 1_000)
        }
        for longest in (100, 1_000):
            cost = paired(runs[longest], runs[10], rounds)
            name = f"longest delay in steps, {size:,} cells"
            yield Point(name, longest, *cost, 1.2, "us a step", "10 steps")


def one_delay(rounds: int) -> Iterator[Point]:
    """Measure one delay for all, beside one of a step."""
    first = step_of(driven(10_000, DT * ms), 1_200)
    for delay in (10, 100, 1_000):
        cost = paired(step_of(driven(10_000, delay * DT * ms), 1_200), first, rounds)
        yield Point("one delay in steps, 10,000 cells", delay, *cost, None, "us a step", "1 step")


def conductances(rounds: int) -> Iterator[Point]:
    """Measure COBAHH with 80 synapses a cell, beside 4,000 cells of it."""

    def each(size: int) -> Any:
        given = cobahh.make(size, 1)
        network, cells = somaflow_peer.build(given)
        start = {"v": given["v"] * mV, **dict.fromkeys("mhn", np.zeros(size))}
        step = a_step(
            network,
            max(200, 4_000_000 // size),
            solver=sf.ExponentialEuler(),
            record=cells.spikes,
            initial={"cells": start},
        )
        return lambda: step() / size * 1e3

    first = each(4_000)
    for size in (400, 1_000, 16_000, 64_000):
        cost = paired(each(size), first, rounds)
        unit = "ns a cell and step"
        yield Point("COBAHH cells, 80 synapses each", size, *cost, 1.3, unit, "4,000 cells")
