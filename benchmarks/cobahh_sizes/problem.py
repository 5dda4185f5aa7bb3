"""COBAHH at other sizes: as many synapses a cell as at 4,000 cells, so the rate stays the same.

    python -m cobahh_sizes.problem FILE --cells 16000

The file holds the initial state; the wiring, 64 exciting and 16 inhibiting synapses on every cell,
is drawn by the library from the seed.
"""

import argparse
from pathlib import Path

import numpy as np
from cobahh import problem as cobahh
from harness import peer

SIZES = (4_000, 16_000, 64_000)


def make(cells: int, seed: int) -> peer.Problem:
    """Return the problem: `v` is in mV, [cells], distributed as in COBAHH."""
    rng = np.random.default_rng(seed)
    v = cobahh.E_LEAK + 5.0 * rng.standard_normal(cells) - 5.0
    n_exc = cells * cobahh.N_EXC // cobahh.N
    return {"n": cells, "n_exc": n_exc, "dt": cobahh.DT, "seed": seed, "v": v}


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
