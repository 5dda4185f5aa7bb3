"""Cost in proportion to the work, beside references in the same process: see README.md."""

import os

os.environ["TF_NUM_INTRAOP_THREADS"] = "1"
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["OPENBLAS_NUM_THREADS"] = "1"

import argparse
import time
from collections.abc import Callable, Iterator
from statistics import median
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse

import somaflow as sf
from somaflow.units import ms, mV, nA

RATE = "dr/dt = (-r + I_stim + 0.1)/tau : 1\nI_stim : 1"
TANH = "r_pre : 1\nI = w*tanh(r_pre) : 1"
PHASE = "dtheta/dt = omega + I_stim/tau : 1\nI_stim : 1"
SINE = "theta_pre : 1\ntheta_post : 1\nI = w*sin(theta_pre - theta_post) : 1"
STAGES, DT = 4, 0.1


class Line(NamedTuple):
    """A measurement: what, its cost, that of its reference, and how many times it may cost that."""

    what: str
    cost: float
    reference: float
    limit: float
    unit: str = "us a step"


def seconds(function: Callable[[], object]) -> float:
    """Return the processor time of a call."""
    begin = time.process_time()
    function()
    return time.process_time() - begin


def a_step(network: sf.Network, steps: int, **settings: Any) -> Callable[[], float]:
    """Return what measures the microseconds of a step, without what a run costs beside them."""

    def run(count: int) -> sf.Solution:
        return sf.simulate(network, count * DT * ms, dt=DT * ms, **settings)

    run(10)

    def measured() -> float:
        beside = seconds(lambda: run(10))
        return (seconds(lambda: run(10 + steps)) - beside) / steps * 1e6

    return measured


def paired(
    ours: Callable[[], float], reference: Callable[[], float], rounds: int
) -> tuple[float, float]:
    """Return the costs in the round with the median ratio; both are measured in turn."""
    found = sorted(
        ((ours(), reference()) for _ in range(rounds)), key=lambda pair: pair[0] / pair[1]
    )
    return found[rounds // 2]


def products(matrix: Any, function: Callable[[Any], Any], count: int) -> Callable[[], float]:
    """Return what measures the microseconds of the products of a step."""
    x = np.random.default_rng(1).random(matrix.shape[1])

    def step() -> None:
        for _ in range(STAGES):
            function(matrix, x)

    return lambda: seconds(lambda: [step() for _ in range(count)]) / count * 1e6


def rates(size: int, connector: Any) -> sf.Network:
    """Return rate units with a tanh of the presynaptic state."""
    start = sf.Uniform(-1, 1, seed=3)
    units = sf.Population("units", size, sf.Equations.parse(RATE, tau=10 * ms, r=start))
    synapse = sf.Equations.parse(TANH, w=0.01)
    return sf.Network(units, sf.Projection(units, units, synapse, connector))


def sparse(rounds: int) -> Iterator[Line]:
    """Graded sums over lists, 120 synapses a cell."""
    for size in (1_000, 3_000, 10_000, 30_000):
        network = rates(size, sf.FixedInDegree(120, seed=5))
        table = network.projections[0].connections()
        weights = np.full(len(table), 0.01)
        matrix = scipy.sparse.csr_array((weights, (table.post, table.pre)), (size, size))
        steps = max(20, 600_000 // size)
        cost = paired(
            a_step(network, steps),
            products(matrix, lambda m, x: m @ np.tanh(x), max(5, steps // 10)),
            rounds,
        )
        yield Line(f"{size:,} cells, 120 synapses each, tanh, RK4 / SciPy", *cost, 3.0)


def all_to_all(rounds: int) -> Iterator[Line]:
    """Graded sums over a matrix."""
    for size in (100, 300, 508, 532, 900, 2_000):
        network = rates(size, sf.AllToAll())
        steps = max(20, 100_000_000 // size**2)
        matrix = np.random.default_rng(2).random((size, size))
        cost = paired(
            a_step(network, steps),
            products(matrix, lambda m, x: m @ np.tanh(x), max(5, steps // 5)),
            rounds,
        )
        yield Line(f"{size:,} cells all to all, tanh, RK4 / NumPy", *cost, 2.0)


def oscillators(rounds: int) -> Iterator[Line]:
    """Kuramoto's model, its sine written as it is."""
    for size in (100, 800):
        model = sf.Equations.parse(
            PHASE,
            omega=sf.Normal(1.0 / ms, 0.1 / ms, seed=2),
            tau=1 * ms,
            theta=sf.Uniform(0, 6, seed=3),
        )
        cells = sf.Population("cells", size, model)
        synapse = sf.Equations.parse(SINE, w=1 / size)
        network = sf.Network(cells, sf.Projection(cells, cells, synapse, sf.AllToAll()))

        def theorem(matrix: Any, x: Any) -> Any:
            sine, cosine = np.sin(x), np.cos(x)
            return cosine * (matrix @ sine) - sine * (matrix @ cosine)

        steps = max(20, 100_000_000 // size**2)
        matrix = np.full((size, size), 1 / size)
        cost = paired(a_step(network, steps), products(matrix, theorem, max(5, steps // 5)), rounds)
        yield Line(f"{size:,} oscillators all to all, RK4 / NumPy", *cost, 2.5)


def driven(size: int, longest: int | None = None) -> sf.Network:
    """Return integrate-and-fire cells at some 40 Hz, with synapses of no weight where asked for."""
    model = sf.load("lif")(R=10 * mV / nA, tau=20 * ms)
    cells = sf.Population("cells", size, model, refractory=2 * ms)
    clamp = sf.CurrentClamp(cells, np.linspace(1.6, 3, size) * nA)
    if longest is None:
        return sf.Network(cells, clamp)
    delay = sf.Uniform(DT * ms, longest * DT * ms, seed=5)
    synapse, connector = sf.load("exponential_current"), sf.FixedInDegree(20, seed=3)
    joined = sf.Projection(cells, cells, synapse, connector, weight=0 * nA, delay=delay)
    return sf.Network(cells, clamp, joined)


def delays(rounds: int) -> Iterator[Line]:
    """Delays that differ: the longest is 1,000 steps, beside 10."""
    for size in (10_000, 40_000):
        runs = [
            a_step(
                network, 1_200, solver=sf.ExponentialEuler(), record=network.populations[0].spikes
            )
            for network in (driven(size, 1_000), driven(size, 10))
        ]
        cost = paired(runs[0], runs[1], rounds)
        yield Line(f"{size:,} cells, longest delay 1,000 steps / 10", *cost, 1.2)


def stimulated(waveforms: list[Any], size: int, name: str = "cells") -> sf.Network:
    """Return cells of which each waveform drives as many, in views side by side."""
    cells, width = sf.Population(name, size, sf.load("lif")), size // len(waveforms)
    views = [cells[width * k : width * (k + 1)] for k in range(len(waveforms))]
    return sf.Network(cells, *map(sf.Stimulus, views, waveforms))


def stimuli(rounds: int) -> Iterator[Line]:
    """Many stimuli on views of one population, beside few."""
    settings = {"solver": sf.ExponentialEuler(), "record": []}

    def clamps(count: int) -> list[Any]:
        return [sf.Step(0.1 * nA, k * ms, (k + 3) * ms) for k in range(count)]

    def noises(count: int) -> list[Any]:
        return [sf.OrnsteinUhlenbeck(0 * nA, 0.1 * nA, (5 + k) * ms) for k in range(count)]

    for what, made, size, count, limit in (
        ("current clamps", clamps, 640, 64, 1.5),
        ("noises", noises, 1600, 16, 1.2),
    ):
        many, one = (a_step(stimulated(made(n), size), 20_000, **settings) for n in (count, 1))
        yield Line(f"{count} {what} on views / one on all", *paired(many, one, rounds), limit)
        names = map("cells_{}".format, range(4 * rounds))  # another name is compiled anew

        def built(n: int, made: Any = made, size: int = size, names: Any = names) -> float:
            network = stimulated(made(n), size, next(names))
            return seconds(lambda: sf.simulate(network, DT * ms, dt=DT * ms, **settings))

        cost = paired(lambda n=count: built(n), lambda: built(2), rounds)
        yield Line(f"{count} {what} on views, built / two", *cost, 1.2, "s")


def wiring(rounds: int) -> Iterator[Line]:
    """Build runs, beside `connections()`."""
    for name, connector in (
        ("probability 0.02", sf.FixedProbability(0.02, seed=1)),
        ("in-degree 200", sf.FixedInDegree(200, seed=1)),
        ("out-degree 200", sf.FixedOutDegree(200, seed=1)),
        ("2,000,000 in all", sf.FixedTotal(2_000_000, seed=1)),
    ):
        cells = sf.Population("cells", 10_000, sf.load("lif"))

        def made(connector: Any = connector, cells: Any = cells) -> sf.Network:
            synapse = sf.load("exponential_current")
            return sf.Network(cells, sf.Projection(cells, cells, synapse, connector, weight=1 * nA))

        def built() -> float:
            network = made()
            return seconds(lambda: sf.simulate(network, DT * ms, dt=DT * ms)) / 2e6 * 1e9

        def drawn() -> float:
            network = made()
            return seconds(network.projections[0].connections) / 2e6 * 1e9

        built()
        cost = paired(built, drawn, rounds)
        yield Line(f"10,000 cells, {name}: a run / connections()", *cost, 1.5, "ns a synapse")


def pictures(rounds: int) -> Iterator[Line]:
    """Draw rasters; the reference is what is allowed."""
    for count, allowed in ((1_000_000, 1.5), (10_000_000, 10.0)):
        rng = np.random.default_rng(1)
        times, cells = np.sort(rng.random(count) * 1000), rng.integers(0, 10_000, count)
        spikes = sf.SpikeTrains(times, cells, 10_000, 1000.0)

        def draw(spikes: Any = spikes) -> None:
            sf.plotting.raster(spikes).figure.savefig(os.devnull, format="png")

        cost = median(seconds(draw) for _ in range(rounds))
        yield Line(f"raster of {count:,} spikes / seconds allowed", cost, allowed, 1.0, "s")


PARTS = {
    part.__name__: part
    for part in (sparse, all_to_all, oscillators, delays, stimuli, wiring, pictures)
}


def main() -> None:
    """Measure, and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    for part in options.only:
        for line in PARTS[part](options.rounds):
            ratio = line.cost / line.reference
            verdict = "met   " if ratio <= line.limit else "MISSED"
            print(
                f"{verdict} {line.what}: {line.cost:,.4g} / {line.reference:,.4g} {line.unit}, "
                f"{ratio:.2f} (limit {line.limit:g})",
                flush=True,
            )


if __name__ == "__main__":
    main()
