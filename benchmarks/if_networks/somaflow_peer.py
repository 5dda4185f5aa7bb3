"""The networks in somaflow: exponential Euler, one thread, spikes recorded, finite check on."""

from harness import peer, somaflow_run
from if_networks import problem as p

import somaflow as sf
from somaflow.units import kHz, ms, mV, nA, uS


def synapses(problem: peer.Problem) -> tuple[tuple[sf.Mechanism, sf.Mechanism], tuple]:
    """Return the exciting and the inhibiting synapse, and their weights."""
    catalogue = sf.catalogue("synapses")
    if problem["model"] == "brunel":
        return (catalogue.delta, catalogue.delta), (problem["w_e"] * mV, problem["w_i"] * mV)
    taus = p.TAU_E * ms, p.TAU_I * ms
    if problem["model"] == "cuba":
        current = catalogue.exponential_current
        weights = problem["w_e"] * nA, problem["w_i"] * nA
        return (current(tau=taus[0]), current(tau=taus[1])), weights
    conductance = catalogue.exponential_conductance
    excite = conductance(E=problem["E_e"] * mV, tau=taus[0])
    inhibit = conductance(E=problem["E_i"] * mV, tau=taus[1])
    return (excite, inhibit), (problem["w_e"] * uS, problem["w_i"] * uS)


def build(problem: peer.Problem) -> tuple[sf.Network, sf.Population]:
    """Build the network of a problem file."""
    model = sf.load("lif")(
        E_L=problem["E_L"] * mV,
        R=100 * mV / nA,
        tau=p.TAU * ms,
        V_threshold=problem["V_threshold"] * mV,
        V_reset=problem["V_reset"] * mV,
    )
    cells = sf.Population("cells", problem["n"], model, refractory=problem["refractory"] * ms)
    split = problem["n_exc"]
    exciting = problem["pre"] < split
    kinds, weights = synapses(problem)
    sides = (
        ("excite", cells[:split], somaflow_run.wired(problem, exciting)),
        ("inhibit", cells[split:], somaflow_run.wired(problem, ~exciting, split)),
    )
    delay = {"delay": problem["delay"] * ms} if "delay" in problem else {}
    projections = [
        sf.Projection(pre, cells, synapse, connector, weight=weight, name=name, **delay)
        for (name, pre, connector), synapse, weight in zip(sides, kinds, weights, strict=True)
    ]
    drives = []
    if problem["pushed"]:
        pushed = cells[: problem["pushed"]]
        drives = [sf.CurrentClamp(pushed, p.PUSH * nA, start=0 * ms, stop=p.PUSH_END * ms)]
    if "external" in problem:
        drives = [
            sf.PoissonInput(cells, kinds[0], rate=problem["external"] * kHz, weight=weights[0])
        ]
    return sf.Network(cells, *projections, *drives), cells


def main() -> None:
    """Run the problem."""
    options = peer.parser(__doc__).parse_args()
    problem = peer.load(options.problem)
    network, cells = build(problem)
    initial = {"cells": {"v": problem["v"] * mV}}
    run, counts = somaflow_run.simulate(
        network, cells, options, dt=problem["dt"] * ms, initial=initial
    )
    spikes = run["cells.spikes"]
    varied = peer.irregularity(spikes.times, spikes.cells)
    somaflow_run.answer(options, problem, run, counts, cv=varied)


if __name__ == "__main__":
    main()
