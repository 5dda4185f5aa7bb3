"""The three networks in NEST, one thread.

`iaf_psc_exp` (exact) for CUBA, `iaf_cond_exp` (adaptive RKF45) for COBA, whose least delay is one
step where the others have none; `iaf_psc_delta` (exact) for `brunel`, with a `poisson_generator`.
"""

import time

import nest
import numpy as np
from harness import peer
from if_networks import problem as p


def build(problem: peer.Problem) -> nest.NodeCollection:
    """Build the network; return the recorder of spikes."""
    nest.ResetKernel()
    nest.resolution = problem["dt"]
    nest.local_num_threads = 1
    nest.rng_seed = problem["seed"]
    constants = {
        "C_m": 200.0,
        "E_L": problem["E_L"],
        "V_th": problem["V_threshold"],
        "V_reset": problem["V_reset"],
        "t_ref": problem["refractory"],
    }
    decaying = {"tau_syn_ex": p.TAU_E, "tau_syn_in": p.TAU_I}
    if problem["model"] == "brunel":
        model, constants = "iaf_psc_delta", {**constants, "tau_m": p.TAU}
        w_e, w_i = problem["w_e"], problem["w_i"]  # mV
    elif problem["model"] == "cuba":
        model, constants = "iaf_psc_exp", {**constants, **decaying, "tau_m": p.TAU}
        w_e, w_i = 1e3 * problem["w_e"], 1e3 * problem["w_i"]  # pA
    else:
        reversal = {"E_ex": problem["E_e"], "E_in": problem["E_i"]}
        model, constants = "iaf_cond_exp", {**constants, **decaying, **reversal, "g_L": 10.0}
        w_e, w_i = 1e3 * problem["w_e"], -1e3 * problem["w_i"]  # nS; the sign says which
    cells = nest.Create(model, problem["n"], params=constants)
    cells.V_m = problem["v"].tolist()
    if problem["pushed"]:
        push = nest.Create("dc_generator", params={"amplitude": 1e3 * p.PUSH, "stop": p.PUSH_END})
        nest.Connect(push, cells[: problem["pushed"]])
    if "external" in problem:
        drive = nest.Create("poisson_generator", params={"rate": 1e3 * problem["external"]})
        nest.Connect(drive, cells, syn_spec={"weight": w_e, "delay": problem["dt"]})
    first = cells[0].global_id
    pre, post = problem["pre"].astype(np.int64), problem["post"].astype(np.int64)
    synapses = {
        "synapse_model": "static_synapse",
        "weight": np.where(pre < problem["n_exc"], w_e, w_i),
        "delay": np.full(len(pre), problem.get("delay", problem["dt"])),
    }
    nest.Connect(pre + first, post + first, "one_to_one", synapses)
    recorder = nest.Create("spike_recorder")
    nest.Connect(cells, recorder)
    return recorder


def main() -> None:
    """Run the problem."""
    options = peer.parser(__doc__).parse_args()
    problem = peer.load(options.problem)
    nest.verbosity = nest.VerbosityLevel.ERROR
    begin = time.process_time()
    recorder = build(problem)
    nest.Prepare()
    built = time.process_time()
    nest.Run(options.duration)
    seconds = time.process_time() - built
    nest.Cleanup()
    spikes = recorder.get("events")
    spiked = spikes["senders"] - 1
    counts = np.bincount(spiked, minlength=problem["n"])
    varied = peer.irregularity(spikes["times"], spiked)
    peer.answer("NEST", options, problem, seconds, counts, build_seconds=built - begin, cv=varied)


if __name__ == "__main__":
    main()
