"""COBAHH with a delay of 1 ms, of some sizes: each cell has as many synapses as with 4,000 cells.

python -m workers.problem FILE --cells 16000
"""

import argparse
from pathlib import Path

import numpy as np
from cobahh import problem
from harness import peer

DELAY = 1.0  # ms
SIZES = (4000, 16_000, 64_000)
_DEGREE = round(problem.N * problem.P)


def make(n: int, seed: int) -> peer.Problem:
    """Return the problem of a seed: that of `cobahh` at its size, and with larger ones sparser."""
    rng = np.random.default_rng(seed)
    pre, post = peer.random_pairs(rng, n, _DEGREE / n)
    v = problem.E_LEAK + 5.0 * rng.standard_normal(n) - 5.0
    made: peer.Problem = {"n": n, "n_exc": n * problem.N_EXC // problem.N, "dt": problem.DT}
    return made | {"seed": seed, "delay": DELAY, "pre": pre, "post": post, "v": v}


def main() -> None:
    """Write a problem file."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--cells", type=int, default=SIZES[0])
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    peer.save(options.file, make(options.cells, options.seed))


if __name__ == "__main__":
    main()
