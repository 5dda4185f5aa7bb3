"""COBAHH in somaflow: exponential Euler, one thread.

The finite check is on, as always, and spikes are recorded.
"""

import numpy as np
from harness import peer, somaflow_run

import somaflow as sf
from somaflow.units import ms, mV, uS


def cell() -> sf.Mechanism:
    """Return the cell of the benchmark: 20,000 um2, in nF, uS and nA."""
    return sf.load("hh_cond_exp")(E_leak=-60 * mV, V_T=-63 * mV)


def synapses() -> tuple[sf.Mechanism, sf.Mechanism]:
    """Return the exciting and the inhibiting synapse."""
    conductance = sf.catalogue("synapses").exponential_conductance
    return conductance(E=0 * mV, tau=5 * ms), conductance(E=-80 * mV, tau=10 * ms)


def build(problem: peer.Problem) -> tuple[sf.Network, sf.Population]:
    """Build the network of a problem file."""
    cells = sf.Population("cells", problem["n"], cell(), threshold="v > -20*mV")
    split = problem["n_exc"]
    exciting = problem["pre"] < split
    excite, inhibit = synapses()
    network = sf.Network(
        cells,
        sf.Projection(
            cells[:split],
            cells,
            excite,
            somaflow_run.wired(problem, exciting),
            weight=0.006 * uS,
            name="excite",
        ),
        sf.Projection(
            cells[split:],
            cells,
            inhibit,
            somaflow_run.wired(problem, ~exciting, split),
            weight=0.067 * uS,
            name="inhibit",
        ),
    )
    return network, cells


def main() -> None:
    """Run the problem."""
    options = peer.parser(__doc__).parse_args()
    problem = peer.load(options.problem)
    network, cells = build(problem)
    start = {"v": problem["v"] * mV, **dict.fromkeys("mhn", np.zeros(problem["n"]))}
    run, counts = somaflow_run.simulate(
        network, cells, options, dt=problem["dt"] * ms, initial={"cells": start}
    )
    somaflow_run.answer(options, problem, run, counts)


if __name__ == "__main__":
    main()
