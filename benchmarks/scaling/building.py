"""Runs of one step: what stands before the first of them."""

from collections.abc import Iterator
from statistics import median
from typing import Any

import numpy as np
from scaling.measure import DT, Point, a_step, paired, seconds

import somaflow as sf
from somaflow.units import ms, nA, um


def first_step(network: sf.Network) -> float:
    """Return the processor seconds of a run of one step, compiled unless its structure was."""
    return seconds(
        lambda: sf.simulate(network, DT * ms, dt=DT * ms, solver=sf.ExponentialEuler(), record=[])
    )


def lif(name: str, size: int = 10) -> sf.Population:
    """Return integrate-and-fire cells."""
    return sf.Population(name, size, sf.load("lif"))


def populations(rounds: int) -> Iterator[Point]:
    """Measure populations of one kind in seconds, beside what is allowed for 64."""
    for count in (1, 4, 16, 64):
        network = sf.Network(*[lif(f"p{k}") for k in range(count)])
        allowed = 5.0 if count == 64 else None
        yield Point("populations", count, first_step(network), allowed, 1.0, "s", "allowed")


def projections(rounds: int) -> Iterator[Point]:
    """Measure projections of one kind between 16 populations, and with ten delays between 8."""
    for name, cells, counts, most, allowed in (
        ("projections", 16, (16, 64, 256), 256, 10.0),
        ("projections of ten delays", 8, (8, 16, 64), 64, 8.0),
    ):
        for count in counts:
            given = [lif(f"p{k}") for k in range(cells)]
            joined = [
                sf.Projection(
                    given[k % cells],
                    given[k // cells % cells],
                    sf.load("exponential_current"),
                    sf.AllToAll(),
                    weight=0.1 * nA,
                    delay=(1 + k % 10) * ms if "delays" in name else 0 * ms,
                    name=f"q{k}",
                )
                for k in range(count)
            ]
            time = first_step(sf.Network(*given, *joined))
            limit = allowed if count == most else None
            yield Point(name, count, time, limit, 1.0, "s", "allowed")


def stimuli(rounds: int) -> Iterator[Point]:
    """Measure stimuli on views of one population: to build, beside two; a step, beside one."""
    settings = {"solver": sf.ExponentialEuler(), "record": []}

    def given(waveforms: list[Any], size: int) -> sf.Network:
        cells, width = lif("cells", size), size // len(waveforms)
        views = [cells[width * k : width * (k + 1)] for k in range(len(waveforms))]
        return sf.Network(cells, *map(sf.Stimulus, views, waveforms))

    def clamps(count: int) -> sf.Network:
        return given([sf.Step(0.1 * nA, k * ms, (k + 3) * ms) for k in range(count)], 640)

    def noises(count: int) -> sf.Network:
        courses = [sf.OrnsteinUhlenbeck(0 * nA, 0.1 * nA, (5 + k) * ms) for k in range(count)]
        return given(courses, 1_600)

    for name, made, limit in (("current clamps", clamps, 1.5), ("noises", noises, 1.2)):
        one, two = a_step(made(1), 20_000, **settings), first_step(made(2))
        for count in (4, 16, 64):
            network = made(count)
            time = first_step(network)
            yield Point(f"{name} on views, built", count, time, two, 1.5, "s", "two")
            cost = paired(a_step(network, 20_000, **settings), one, rounds)
            yield Point(f"{name} on views", count, *cost, limit, "us a step", "one on all")


def wiring(rounds: int) -> Iterator[Point]:
    """Measure what stands before a run, beside `connections()`."""

    def made(count: int, connector: Any) -> sf.Network:
        size = count // 200
        cells = sf.Population("cells", size, sf.load("lif"), positions=np.arange(size) * um)
        synapse = sf.load("exponential_current")
        return sf.Network(cells, sf.Projection(cells, cells, synapse, connector, weight=1 * nA))

    kinds = {
        "in-degree 200": lambda count: sf.FixedInDegree(200, seed=1),
        "out-degree 200": lambda count: sf.FixedOutDegree(200, seed=1),
        "in all": lambda count: sf.FixedTotal(count, seed=1),
        "probability": lambda count: sf.FixedProbability(200 / (count // 200), seed=1),
    }
    for name, connector in kinds.items():
        for count in (200_000, 2_000_000, 20_000_000):

            def built(count: int = count, connector: Any = connector) -> float:
                return first_step(made(count, connector(count))) / count * 1e9

            def drawn(count: int = count, connector: Any = connector) -> float:
                joined = made(count, connector(count)).projections[0]
                return seconds(joined.connections) / count * 1e9

            built()
            cost = paired(built, drawn, 1 if count > 2_000_000 else rounds)
            curve = f"synapses, {name}"
            yield Point(curve, count, *cost, 1.5, "ns a synapse", "connections()")


def lists(rounds: int) -> Iterator[Point]:
    """Measure synapses that a list names, and those that distance decides."""
    for count in (100_000, 1_000_000, 10_000_000):
        size = count // 100
        cells = sf.Population("cells", size, sf.load("lif"), positions=np.arange(size) * um)
        pre, post = np.tile(np.arange(size), 100), np.repeat(np.arange(size), 100)
        kinds = {
            "a list": lambda pre=pre, post=post: sf.FromList(
                np.stack([pre[::-1], post[::-1]], axis=1)
            ),
            "distance": lambda: sf.DistanceDependent("exp(-d/(50*um))", seed=1),
        }
        for name, connector in kinds.items():
            if name == "distance" and count > 1_000_000:
                continue  # it looks at all pairs: 1e10 of them

            def made(connector: Any = connector, cells: Any = cells) -> int:
                synapse = sf.load("exponential_current")
                joined = sf.Projection(cells, cells, synapse, connector(), weight=1 * nA)
                return len(joined.connections())

            number = made()
            cost = median(seconds(made) for _ in range(rounds)) / number * 1e9
            yield Point(f"connections() of {name}", number, cost, None, None, "ns a synapse", "")
