"""COBAHH, benchmark 3 of Brette et al. (2007): one wiring and one initial state from a seed.

    python -m cobahh.problem FILE --seed 1

The cells and their starting voltages are those of Brian2's own script of this benchmark, and like
there every gate starts at 0: with its potassium gates shut each cell sends a spike or two, and the
network goes on by itself. Synaptic conductances start at 0 here, since not every simulator can be
given others.
"""

import argparse
from pathlib import Path

import numpy as np
from harness import peer

N, N_EXC, P = 4000, 3200, 0.02
DT = 0.1  # ms
E_LEAK = -60.0  # mV


def make(seed: int) -> peer.Problem:
    """Return the problem of a seed: `v` is in mV, [n], E_leak + 5*randn - 5."""
    rng = np.random.default_rng(seed)
    pre, post = peer.random_pairs(rng, N, P)
    v = E_LEAK + 5.0 * rng.standard_normal(N) - 5.0
    return {"n": N, "n_exc": N_EXC, "dt": DT, "seed": seed, "pre": pre, "post": post, "v": v}


def main() -> None:
    """Write a problem file."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    peer.save(options.file, make(options.seed))


if __name__ == "__main__":
    main()
