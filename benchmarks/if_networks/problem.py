"""CUBA and COBA, benchmarks 2 and 1 of Brette et al. (2007), after Vogels and Abbott (2005).

    python -m if_networks.problem FILE --model coba --seed 1

4,000 integrate-and-fire cells, 3,200 of which excite, 2 % of all pairs joined, weights constant.
"""

import argparse
from pathlib import Path

import numpy as np
from harness import peer

N, N_EXC, P = 4000, 3200, 0.02
DT = 0.1  # ms
MODELS = ("cuba", "coba")
# Common to both: mV and ms; 10 nS and 200 pF, so 100 mV a nA.
TAU, REFRACTORY, V_THRESHOLD, V_RESET = 20.0, 5.0, -50.0, -60.0
TAU_E, TAU_I = 5.0, 10.0
# CUBA rests above threshold and goes by itself; a synapse adds a current, here in nA: 1.62 mV and
# -9 mV in the units of Brian2's example.
CUBA = {"E_L": -49.0, "w_e": 0.0162, "w_i": -0.09}
# COBA rests at -60 mV, with conductances of 6 and 67 nS.
COBA = {"E_L": -60.0, "w_e": 0.006, "w_i": 0.067, "E_e": 0.0, "E_i": -80.0}
# COBA needs a push: this part of the exciting cells fires once at the start, by a current for the
# first millisecond. More of them would make the whole network fire together and fall silent.
PUSHED, PUSH, PUSH_END = 0.02, 5.0, 1.0  # nA, ms


def make(model: str, seed: int) -> peer.Problem:
    """Return the problem of a seed.

    `v` is in mV, [n]; weights are in nA or in uS; the first `pushed` cells get the push.
    """
    rng = np.random.default_rng(seed)
    pre, post = peer.random_pairs(rng, N, P)
    v = rng.uniform(V_RESET, V_THRESHOLD, N)
    constants = CUBA if model == "cuba" else COBA
    pushed = round(PUSHED * N_EXC) if model == "coba" else 0
    fixed = {"n": N, "n_exc": N_EXC, "dt": DT, "seed": seed, "model": model, "pushed": pushed}
    return {**fixed, **constants, "pre": pre, "post": post, "v": v}


def main() -> None:
    """Write a problem file."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--model", choices=MODELS, default="cuba")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    peer.save(options.file, make(options.model, options.seed))


if __name__ == "__main__":
    main()
