"""COBAHH in NEST: `hh_cond_exp_traub`, one thread.

What cannot be the same as elsewhere: each cell is integrated by an adaptive Runge-Kutta method of
its own (GSL, RKF45); a spike is sent at the peak of the action potential and not at -20 mV; and
the least delay is one step, where the others have none.
"""

import time

import nest
import numpy as np
from harness import peer


def build(problem: peer.Problem) -> nest.NodeCollection:
    """Build the network; return the recorder of spikes."""
    nest.ResetKernel()
    nest.resolution = problem["dt"]
    nest.local_num_threads = 1
    constants = {
        "C_m": 200.0,
        "g_L": 10.0,
        "g_Na": 20000.0,
        "g_K": 6000.0,
        "E_L": -60.0,
        "E_Na": 50.0,
        "E_K": -90.0,
        "V_T": -63.0,
        "E_ex": 0.0,
        "E_in": -80.0,
        "tau_syn_ex": 5.0,
        "tau_syn_in": 10.0,
        "t_ref": 3.0,
        "Act_m": 0.0,
        "Act_n": 0.0,
        "Inact_h": 0.0,
    }
    cells = nest.Create("hh_cond_exp_traub", problem["n"], params=constants)
    cells.V_m = problem["v"].tolist()
    first = cells[0].global_id
    pre, post = problem["pre"], problem["post"]
    nest.Connect(
        pre.astype(np.int64) + first,
        post.astype(np.int64) + first,
        "one_to_one",
        {
            "synapse_model": "static_synapse",
            "weight": np.where(pre < problem["n_exc"], 6.0, -67.0),
            "delay": np.full(len(pre), problem["dt"]),
        },
    )
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
    counts = np.bincount(recorder.get("events", "senders") - 1, minlength=problem["n"])
    peer.answer("NEST", options, problem, seconds, counts, build_seconds=built - begin)


if __name__ == "__main__":
    main()
