"""Log-normal degrees: pairs made block by block, so that memory follows the synapses kept."""

import numpy as np

_BLOCK = 1_000  # postsynaptic cells at a time


def log_normal(rng: np.random.Generator, mean: float, n: int, sigma: float) -> np.ndarray:
    """Return n log-normal numbers of a mean; `sigma` is that of their logarithms."""
    return mean * np.exp(sigma * rng.standard_normal(n) - sigma**2 / 2)


def pairs(
    n_pre: int, n_post: int, synapses: int, sigma: float, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return a wiring whose in-degrees and out-degrees are log-normal.

    Each postsynaptic cell draws its number of partners, and partners in proportion to a log-normal
    weight of theirs. A partner drawn twice counts once, so there are about 1 % fewer synapses.

    Args:
        n_pre: Presynaptic cells.
        n_post: Postsynaptic cells.
        synapses: How many to draw, on average.
        sigma: Of the logarithms of both degrees.
        seed: Of the wiring.

    Returns:
        Compressed columns: `indptr`, int64 of shape [n_post + 1], and the presynaptic `indices`,
        int32, rising within each postsynaptic cell.
    """
    rng = np.random.default_rng(seed)
    wanted = np.rint(log_normal(rng, synapses / n_post, n_post, sigma)).astype(np.int64)
    wanted = np.clip(wanted, 1, n_pre // 4)
    edges = np.cumsum(log_normal(rng, 1.0, n_pre, sigma))
    edges /= edges[-1]
    indptr = np.zeros(n_post + 1, np.int64)
    indices = np.empty(wanted.sum(), np.int32)
    for start in range(0, n_post, _BLOCK):
        block = wanted[start : start + _BLOCK]
        rows = np.repeat(np.arange(len(block)), block)
        drawn = np.minimum(np.searchsorted(edges, rng.random(len(rows))), n_pre - 1)
        keys = np.unique(rows * n_pre + drawn)
        kept = np.bincount(keys // n_pre, minlength=len(block))
        indptr[start + 1 : start + len(block) + 1] = indptr[start] + np.cumsum(kept)
        indices[indptr[start] : indptr[start] + len(keys)] = keys % n_pre
    return indptr, indices[: indptr[-1]]
