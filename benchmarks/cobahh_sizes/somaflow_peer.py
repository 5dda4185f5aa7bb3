"""COBAHH of any size with 80 synapses a cell, in somaflow: exponential Euler, one thread."""

import numpy as np
from cobahh import problem as cobahh
from cobahh.somaflow_peer import cell, synapses
from harness import peer, somaflow_run

import somaflow as sf
from somaflow.units import ms, mV, uS

IN_DEGREE = 80


def build(problem: peer.Problem) -> tuple[sf.Network, sf.Population]:
    """Build the network; the share of exciting cells, weights and degrees are those of COBAHH."""
    cells = sf.Population("cells", problem["n"], cell(), threshold="v > -20*mV")
    split, seed = problem["n_exc"], problem["seed"]
    exciting = IN_DEGREE * cobahh.N_EXC // cobahh.N
    sides = (
        ("excite", cells[:split], exciting, 0.006 * uS),
        ("inhibit", cells[split:], IN_DEGREE - exciting, 0.067 * uS),
    )
    projections = [
        sf.Projection(
            pre,
            cells,
            synapse,
            sf.FixedInDegree(degree, seed=2 * seed + k),
            weight=weight,
            name=name,
        )
        for k, ((name, pre, degree, weight), synapse) in enumerate(
            zip(sides, synapses(), strict=True)
        )
    ]
    return sf.Network(cells, *projections), cells


def out_degrees(network: sf.Network, n: int) -> np.ndarray:
    """Return the number of synapses that leave each cell, [n]."""
    built = [projection.connections().pre for projection in network.projections]
    return sum((np.bincount(pre, minlength=n) for pre in built), np.zeros(n, np.int64))


def main() -> None:
    """Run the problem."""
    options = peer.parser(__doc__).parse_args()
    problem = peer.load(options.problem)
    network, cells = build(problem)
    start = {"v": problem["v"] * mV, **dict.fromkeys("mhn", np.zeros(problem["n"]))}
    run, counts = somaflow_run.simulate(
        network, cells, options, dt=problem["dt"] * ms, initial={"cells": start}
    )
    problem["out_degree"] = out_degrees(network, problem["n"])
    somaflow_run.answer(options, problem, run, counts)


if __name__ == "__main__":
    main()
