"""What all connectors share: ranges of rows, positions, and checks of their arguments."""

import numpy as np
from numpy.typing import NDArray

from somaflow.errors import NetworkError, WrongTypeError
from somaflow.given import array, shown

# Positions are int32, so that a synapse takes 8 bytes.
Indices = NDArray[np.integer]
MOST_CELLS = 2**31 - 1
Pairs = tuple[Indices, Indices]
Rows = tuple[int, int]


def check_count(value: object, what: str) -> int:
    """Return a number of synapses as an int.

    Raises:
        WrongTypeError: It is no whole number.
        NetworkError: It is negative.
    """
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise WrongTypeError(f"{what} is a whole number, not {shown(value)}.")
    if value < 0:
        raise NetworkError(f"{what} is {shown(value)}; it must be at least 0.")
    return int(value)


def check_rows(rows: Rows | None, n_post: int) -> Rows:
    """Return a range of postsynaptic positions, all of them for None.

    Raises:
        NetworkError: It is not inside.
    """
    if rows is None:
        return 0, n_post
    ends = array(rows)
    if ends is None or ends.shape != (2,) or ends.dtype.kind not in "iu":
        raise WrongTypeError(f"rows are two positions, (start, stop), not {shown(rows)}.")
    start, stop = (int(end) for end in ends)
    if not 0 <= start <= stop <= n_post:
        raise NetworkError(f"there are rows 0 to {n_post}, not {start} to {stop}.")
    return start, stop


def ascending(cells: Indices) -> bool:
    """Return whether cells stand in ascending order, none of them twice."""
    return bool(np.all(cells[1:] > cells[:-1]))


def cells_at(places: Indices, cells: Indices, size: int) -> Indices:
    """Return the cells at positions of a side, int32.

    Args:
        places: The positions.
        cells: The cells of the side, indices into their population.
        size: How many cells the population has.
    """
    if len(cells) == size and ascending(cells):
        return places
    return cells.astype(np.int32)[places]


def own_positions(pre: Indices, post: Indices) -> Indices:
    """Return where each postsynaptic cell stands among the presynaptic ones, -1 for nowhere."""
    order = np.argsort(pre, kind="stable")
    place = np.minimum(np.searchsorted(pre, post, sorter=order), max(len(pre) - 1, 0))
    if len(pre) == 0:
        return np.full(len(post), -1)
    return np.where(pre[order[place]] == post, order[place], -1)


def expand(counts: Indices, columns: Indices, start: int) -> Pairs:
    """Return the pairs of rows that have some columns each.

    Args:
        counts: How many columns each row has.
        columns: The columns of all rows, one row after the other.
        start: Position of the first row.
    """
    rows = np.arange(start, start + len(counts), dtype=np.int32)
    return columns.astype(np.int32, copy=False), np.repeat(rows, counts)


def by_row(pre: Indices, post: Indices, n_pre: int) -> Pairs:
    """Return pairs ordered by post position, then pre position."""
    key = post.astype(np.int64) * max(n_pre, 1) + pre
    key.sort()
    post = (key // max(n_pre, 1)).astype(np.int32)
    key %= max(n_pre, 1)
    return key.astype(np.int32), post


def nothing() -> Pairs:
    """Return no pairs."""
    return np.zeros(0, np.int32), np.zeros(0, np.int32)


def joined(parts: list[Pairs]) -> Pairs:
    """Return the pairs of several blocks as one."""
    if len(parts) == 1:
        return parts[0]
    if not parts:
        return nothing()
    pre, post = (np.concatenate(side) for side in zip(*parts, strict=True))
    return pre, post
