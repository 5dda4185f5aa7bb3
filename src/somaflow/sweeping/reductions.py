"""Reductions: what is kept of a member in place of its recordings."""

from collections.abc import Callable, Sequence

import xarray as xr

from somaflow.storage.solution import Solution


def reduced(
    solution: Solution, reduce: Callable[[Solution], object] | str | Sequence[str] | None
) -> xr.Dataset:
    """Return what a sweep keeps of a member.

    Args:
        solution: The member's run.
        reduce: A function of it, names of reductions, or None for all recordings.
    """
    if reduce is None:
        return solution.to_xarray()
    raise NotImplementedError
