"""Pair STDP in somaflow: exponential Euler, one thread, spikes of both sides recorded."""

from harness import peer
from stdp import problem as p

import somaflow as sf
from somaflow.units import Hz, ms, mV, nA, uS

LEAK = 0.01 * uS  # the leak of the cell, 1/R


def build(problem: peer.Problem) -> tuple[sf.Network, sf.Population, sf.Population]:
    """Build the network; return it with the presynaptic and the postsynaptic population."""
    values, n = p.VALUES, problem["n_side"]
    pre = sf.Population("pre", n, sf.SpikeSourcePoisson(rate=p.RATE * Hz))
    drive = sf.Population("drive", n, sf.SpikeSourcePoisson(rate=p.RATE * Hz))
    rest = values["E_L"] * mV
    model = sf.load("lif")(
        E_L=rest, R=100 * mV / nA, tau=values["tau"] * ms, V_threshold=-50 * mV, V_reset=rest
    )
    post = sf.Population("post", n, model, refractory=2 * ms)
    synapses = sf.catalogue("synapses")
    w_max = values["w_max"] * LEAK
    plastic = synapses.stdp_pair_all_to_all(
        w_max=w_max,
        A_plus=values["A_plus"],
        A_minus=values["A_minus"],
        tau_plus=values["tau_plus"] * ms,
        tau_minus=values["tau_minus"] * ms,
        tau=values["tau_g"] * ms,
    )
    push = values["push"] * mV
    network = sf.Network(
        pre,
        drive,
        post,
        sf.Projection(pre, post, plastic, sf.AllToAll(), weight=w_max / 2, name="plastic"),
        sf.Projection(drive, post, synapses.delta, sf.OneToOne(), weight=push, name="driving"),
    )
    return network, pre, post


def main() -> None:
    """Run the problem."""
    options = peer.parser(__doc__).parse_args()
    problem = peer.load(options.problem)
    network, pre, post = build(problem)
    run = sf.simulate(
        network,
        options.duration * ms,
        dt=problem["dt"] * ms,
        solver=sf.ExponentialEuler(),
        dtype=options.dtype,
        seed=problem["seed"],
        record=[pre.spikes, post.spikes],
    )
    counts = [run["pre.spikes"].counts(), run["post.spikes"].counts()]
    p.answer(
        "somaflow",
        options,
        problem,
        run.statistics["run_seconds"],
        counts,
        compile_seconds=run.statistics["compile_seconds"],
    )


if __name__ == "__main__":
    main()
