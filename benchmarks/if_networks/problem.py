"""Three networks of integrate-and-fire cells with constant weights.

    python -m if_networks.problem FILE --model coba --seed 1

CUBA and COBA, benchmarks 2 and 1 of Brette et al. (2007), after Vogels and Abbott (2005): 4,000
cells, 3,200 of which excite, 2 % of all pairs joined. `brunel`, model A of Brunel (2000): 12,500
cells, each with synapses from 1,000 of 10,000 that excite and from 250 of 2,500 that inhibit.
"""

import argparse
from pathlib import Path

import numpy as np
from harness import peer

DT = 0.1  # ms
TAU = 20.0  # ms
# Of CUBA and COBA: mV and ms; 10 nS and 200 pF, so 100 mV a nA.
VOGELS = {"n": 4000, "n_exc": 3200, "V_threshold": -50.0, "V_reset": -60.0, "refractory": 5.0}
P, TAU_E, TAU_I = 0.02, 5.0, 10.0
# COBA needs a push: this part of the exciting cells fires once at the start, by a current for the
# first millisecond. More of them would make the whole network fire together and fall silent.
PUSHED, PUSH, PUSH_END = 0.02, 5.0, 1.0  # nA, ms
MODELS = {
    # Rests above threshold and goes by itself; a synapse adds a current, here in nA: 1.62 mV and
    # -9 mV in the units of Brian2's example.
    "cuba": {**VOGELS, "E_L": -49.0, "w_e": 0.0162, "w_i": -0.09},
    # Rests at -60 mV, with conductances of 6 and 67 nS.
    "coba": {**VOGELS, "E_L": -60.0, "w_e": 0.006, "w_i": 0.067, "E_e": 0.0, "E_i": -80.0},
    # A spike moves the voltage by w_e or by w_i = -g*w_e after `delay` ms. Here g = 5 and the drive
    # is twice what reaches the threshold, 20 spikes a ms (`external`): asynchronous and irregular.
    "brunel": {
        "n": 12_500,
        "n_exc": 10_000,
        "V_threshold": 20.0,
        "V_reset": 10.0,
        "refractory": 2.0,
        "E_L": 0.0,
        "w_e": 0.1,
        "w_i": -0.5,
        "delay": 1.5,
        "external": 20.0,
    },
}
SHARE = 0.1  # of the cells of each kind that reach a cell of `brunel`


def make(model: str, seed: int) -> peer.Problem:
    """Return the problem of a seed.

    `v` is in mV, [n]; weights are in nA, uS or mV; the first `pushed` cells get the push.
    """
    rng = np.random.default_rng(seed)
    constants = MODELS[model]
    n, n_exc = constants["n"], constants["n_exc"]
    if model == "brunel":
        pre, post = _fixed_in_degrees(rng, n_exc, n)
    else:
        pre, post = peer.random_pairs(rng, n, P)
    v = rng.uniform(constants["V_reset"], constants["V_threshold"], n)
    pushed = round(PUSHED * n_exc) if model == "coba" else 0
    fixed = {"dt": DT, "seed": seed, "model": model, "pushed": pushed}
    return {**fixed, **constants, "pre": pre, "post": post, "v": v}


def _fixed_in_degrees(
    rng: np.random.Generator, n_exc: int, n: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return `pre` and `post`, ordered by pre: each cell is reached by as many of each kind."""
    kinds = ((0, n_exc), (n_exc, n - n_exc))
    chosen = [
        first + rng.choice(size, size=round(SHARE * size), replace=False)
        for _ in range(n)
        for first, size in kinds
    ]
    pre = np.concatenate(chosen).astype(np.int32)
    post = np.repeat(np.arange(n, dtype=np.int32), len(pre) // n)
    order = np.argsort(pre, kind="stable")
    return pre[order], post[order]


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
