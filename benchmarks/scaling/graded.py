"""Graded sums under RK4, beside SciPy's and NumPy's products with the same function."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import scipy.sparse
from scaling.measure import Point, a_step, paired, seconds

import somaflow as sf
from somaflow.units import ms

RATE = "dr/dt = (-r + I_stim + 0.1)/tau : 1\nI_stim : 1"
TANH = "r_pre : 1\nI = w*tanh(r_pre) : 1"
PHASE = "dtheta/dt = omega + I_stim/tau : 1\nI_stim : 1"
SINE = "theta_pre : 1\ntheta_post : 1\nI = w*sin(theta_pre - theta_post) : 1"
STAGES = 4


def products(matrix: Any, function: Callable[[Any, Any], Any], count: int) -> Callable[[], float]:
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


def sparse(rounds: int) -> Iterator[Point]:
    """Measure sums over lists, 120 synapses a cell."""
    for size in (300, 1_000, 3_000, 10_000, 30_000):
        network = rates(size, sf.FixedInDegree(120, seed=5))
        table = network.projections[0].connections()
        weights = np.full(len(table), 0.01)
        matrix = scipy.sparse.csr_array((weights, (table.post, table.pre)), (size, size))
        steps = max(20, 600_000 // size)
        reference = products(matrix, lambda m, x: m @ np.tanh(x), max(5, steps // 10))
        cost = paired(a_step(network, steps), reference, rounds)
        yield Point("120 graded synapses a cell", size, *cost, 3.0, "us a step", "SciPy")


def all_to_all(rounds: int) -> Iterator[Point]:
    """Measure sums over a matrix."""
    for size in (30, 100, 300, 508, 532, 900, 2_000):
        network = rates(size, sf.AllToAll())
        steps = min(max(20, 100_000_000 // size**2), 20_000)
        matrix = np.random.default_rng(2).random((size, size))
        reference = products(matrix, lambda m, x: m @ np.tanh(x), max(5, steps // 5))
        cost = paired(a_step(network, steps), reference, rounds)
        yield Point("graded synapses all to all", size, *cost, 2.0, "us a step", "NumPy")


def oscillators(rounds: int) -> Iterator[Point]:
    """Measure Kuramoto's model, its sine written as it is."""

    def theorem(matrix: Any, x: Any) -> Any:
        sine, cosine = np.sin(x), np.cos(x)
        return cosine * (matrix @ sine) - sine * (matrix @ cosine)

    for size in (30, 100, 300, 800, 2_000):
        natural, start = sf.Normal(1.0 / ms, 0.1 / ms, seed=2), sf.Uniform(0, 6, seed=3)
        model = sf.Equations.parse(PHASE, omega=natural, tau=1 * ms, theta=start)
        cells = sf.Population("cells", size, model)
        synapse = sf.Equations.parse(SINE, w=1 / size)
        network = sf.Network(cells, sf.Projection(cells, cells, synapse, sf.AllToAll()))
        steps = min(max(20, 100_000_000 // size**2), 20_000)
        matrix = np.full((size, size), 1 / size)
        cost = paired(a_step(network, steps), products(matrix, theorem, max(5, steps // 5)), rounds)
        yield Point("oscillators all to all", size, *cost, 2.5, "us a step", "NumPy")
