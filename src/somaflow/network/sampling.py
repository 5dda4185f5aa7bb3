"""Samples for wiring: of each row by itself, from counter-based numbers.

A row is a cell on one side, its columns are the positions of the other side. What a row draws is
keyed by the row alone, so any range of rows can be drawn by itself. Only sums, products, quotients,
roots and comparisons of floats decide, which IEEE 754 rounds alike everywhere; a logarithm serves
as a first guess.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from somaflow.network.random import Key, below, uniform_of

Integers = NDArray[np.integer]
BLOCK = 1 << 17  # numbers held at a time
_LONGEST = 1 << 15  # gaps longer than this are made of several


def blocks(costs: Integers, most: int) -> Iterator[slice]:
    """Cut rows into ranges whose costs add up to about `most`, at least one row in each."""
    ends = np.cumsum(costs)
    start = 0
    while start < len(costs):
        before = ends[start - 1] if start else 0
        stop = max(int(np.searchsorted(ends, before + most, side="right")), start + 1)
        yield slice(start, stop)
        start = stop


def bernoulli(key: Key, rows: Integers, width: int, p: float) -> tuple[Integers, Integers]:
    """Choose each column of each row with probability `p`, in time that grows with the chosen.

    The gaps between neighbours are geometric: a gap is at least g with probability (1 - p)**g.
    Gaps above 2**15 are drawn in parts, which changes nothing, since the distribution has no
    memory.

    Args:
        key: Of the generator.
        rows: The rows' own numbers, below 2**32.
        width: How many columns there are.
        p: The probability.

    Returns:
        How many columns each row has; the columns of all rows, ascending within each.
    """
    if p == 0 or width == 0 or len(rows) == 0:
        return np.zeros(len(rows), np.int64), np.zeros(0, np.int64)
    longest = min(_LONGEST, width + 1)
    # survival[g] is the probability of a gap of at least g; behind the longest it is 0.
    survival = np.cumprod(np.r_[1.0, np.full(longest, 1 - p)])
    scale = 1 / np.log1p(-p) if p < 1 else 0.0
    mean = (1 - survival[longest]) / p  # of the way that one number goes
    chunk = int(width / mean + 4 * np.sqrt(width / mean)) + 4
    place = np.zeros(len(rows), np.int64)  # the first column that is not decided
    drawn = 0
    open_rows = np.arange(len(rows))
    row_parts, column_parts = [], []
    while len(open_rows):
        counters = rows[open_rows][:, None], np.arange(drawn, drawn + chunk)
        gaps = _gaps(uniform_of(key, counters), survival, scale)
        hits = gaps < longest
        ends = place[open_rows][:, None] + np.cumsum(gaps + hits, axis=1)
        hits &= ends <= width
        line, column = np.nonzero(hits)
        row_parts.append(open_rows[line])
        column_parts.append(ends[line, column] - 1)
        place[open_rows] = ends[:, -1]
        open_rows = open_rows[ends[:, -1] < width]
        drawn, chunk = drawn + chunk, chunk // 8 + 4
    row, column = np.concatenate(row_parts), np.concatenate(column_parts)
    if len(row_parts) > 1:
        order = np.argsort(row, kind="stable")
        row, column = row[order], column[order]
    return np.bincount(row, minlength=len(rows)), column


def _gaps(u: NDArray[np.float64], survival: NDArray[np.float64], scale: float) -> Integers:
    """Return for each number how many entries of `survival`, behind the first, are above it."""
    longest = len(survival) - 1
    # Where log1p is not to be trusted to one step, gaps are so long that most are cut anyway.
    if scale < -1e9:
        return longest - np.searchsorted(survival[:0:-1], u, side="right")
    gaps = np.minimum(np.log(u) * scale, longest).astype(np.int64)
    gaps -= u >= survival[gaps]
    gaps += (u < survival[np.minimum(gaps + 1, longest)]) & (gaps < longest)
    return gaps


def choose(key: Key, rows: Integers, counts: Integers, widths: Integers) -> Integers:
    """Choose a number of different columns in each row, all such sets being equally probable.

    A row draws columns until it has as many different ones as it needs. A row that needs more
    than half of its columns draws those that it leaves out.

    Args:
        key: Of the generator.
        rows: The rows' own numbers, below 2**32.
        counts: How many columns each row needs.
        widths: How many columns each row has; at least as many.

    Returns:
        The columns of all rows, ascending within each.
    """
    parts: list[Integers] = [np.zeros(0, np.int64)]
    inverted = counts > widths // 2
    for block in blocks(np.where(inverted, widths, counts) + 1, BLOCK):
        turned, wide = inverted[block], widths[block]
        span = int(wide.max(initial=1))
        drawn = np.where(turned, wide - counts[block], counts[block])
        flat = _distinct(key, rows[block], drawn, wide, span)
        if turned.any():
            left = flat[turned[flat // span]]
            flat = np.concatenate([flat[~turned[flat // span]], _others(left, turned, wide, span)])
            flat.sort()
        parts.append(flat % span)
    return np.concatenate(parts)


def choose_again(key: Key, rows: Integers, counts: Integers, widths: Integers) -> Integers:
    """Choose a column of each row a number of times, each time any of them.

    Args:
        key: Of the generator.
        rows: The rows' own numbers, below 2**32.
        counts: How many times each row chooses.
        widths: How many columns each row has; at least one where it chooses.

    Returns:
        The columns of all rows, ascending within each.
    """
    row = np.repeat(np.arange(len(rows)), counts)
    within = np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts, counts)
    span = int(widths.max(initial=1))
    flat = row * span + below(widths[row], key, (rows[row], within))
    flat.sort()
    return flat - row * span


def _distinct(key: Key, rows: Integers, counts: Integers, widths: Integers, span: int) -> Integers:
    """Return row*span + column of the first `counts` different columns that each row draws."""
    drawn = np.zeros(len(rows), np.int64)
    codes = np.zeros(0, np.int64)
    missing = counts
    while missing.any():
        row = np.repeat(np.arange(len(rows)), missing)
        within = np.arange(len(row)) - np.repeat(np.cumsum(missing) - missing, missing)
        column = below(widths[row], key, (rows[row], drawn[row] + within))
        drawn = drawn + missing
        new = np.sort(row * span + column)
        new = new[np.concatenate([[True], new[1:] != new[:-1]])] if len(new) else new
        if len(codes):
            place = np.minimum(np.searchsorted(codes, new), len(codes) - 1)
            new = new[codes[place] != new]
        missing = missing - np.bincount(new // span, minlength=len(rows))
        codes = np.sort(np.concatenate([codes, new]), kind="stable") if len(codes) else new
    return codes


def _others(left: Integers, turned: NDArray[np.bool_], widths: Integers, span: int) -> Integers:
    """Return row*span + column of the columns, of the rows to turn, that are not left out."""
    sizes = np.where(turned, widths, 0)
    begins = np.cumsum(sizes) - sizes
    free = np.ones(int(sizes.sum()), bool)
    free[begins[left // span] + left % span] = False
    place = np.nonzero(free)[0]
    row = np.repeat(np.arange(len(widths)), sizes)[place]
    return row * span + place - begins[row]


def share(
    key: Key, total: int, ends: Integers, rows: tuple[int, int], again: bool = False
) -> Integers:
    """Share a total of chosen pairs among rows, as a uniform choice of that many pairs would.

    The rows are halved again and again. How many of the chosen fall to the first half is
    hypergeometric, or binomial where a pair may be chosen again, drawn with a number keyed by the
    place of the cut, so that the counts of a range need the halves on the way to it alone.

    Args:
        key: Of the generator.
        total: How many pairs are chosen.
        ends: How many pairs there are before each row, and at last in all; shape [n_rows + 1].
        rows: The range of rows whose counts are asked for.
        again: Whether a pair may be chosen more than once.

    Returns:
        The counts of the range, int64.
    """
    start, stop = rows
    counts = np.zeros(stop - start, np.int64)
    if start == stop:
        return counts
    reach, taken_of = (_reach_again, binomial) if again else (_reach, hypergeometric)
    low, high = np.array([0]), np.array([len(ends) - 1])
    totals = np.array([total])
    while len(low):
        single = high - low == 1
        counts[low[single] - start] = totals[single]
        low, high, totals = low[~single], high[~single], totals[~single]
        middle = (low + high) // 2
        size, first = ends[high] - ends[low], ends[middle] - ends[low]
        taken = np.zeros(len(low), np.int64)
        u = uniform_of(key, (middle, np.zeros_like(middle)))
        for part in blocks(reach(size, first, totals) * 2 + 1, BLOCK):
            taken[part] = taken_of(u[part], size[part], first[part], totals[part])
        low, high, totals = (
            np.concatenate([low, middle]),
            np.concatenate([middle, high]),
            np.concatenate([taken, totals - taken]),
        )
        wanted = (low < stop) & (high > start)
        low, high, totals = low[wanted], high[wanted], totals[wanted]
    return counts


def _reach(size: Integers, first: Integers, total: Integers) -> Integers:
    """Return how far from the mean all values lie but those of less than 2**-53 in all."""
    n, k = np.maximum(size, 2).astype(np.float64), total.astype(np.float64)
    part = first / n
    deviation = np.sqrt(np.maximum(k * part * (1 - part) * (n - k) / (n - 1), 0))
    return np.ceil(9 * deviation).astype(np.int64) + 20


def hypergeometric(
    u: NDArray[np.float64], size: Integers, first: Integers, total: Integers
) -> Integers:
    """Return how many of `total` chosen things are among the `first` of `size`, by inversion.

    Probabilities relative to that of the value nearest the mean come from the quotients of
    neighbours, p(x + 1)/p(x) = (total - x)(first - x)/((x + 1)(size - total - first + x + 1)).

    Args:
        u: A uniform number for each, in (0, 1).
        size: How many things there are.
        first: How many of them count.
        total: How many are chosen.
    """
    least, most = np.maximum(0, total - (size - first)), np.minimum(total, first)
    mean = total.astype(np.float64) * first / np.maximum(size, 1)
    centre = np.clip(mean.astype(np.int64), least, most)
    reach = _reach(size, first, total)
    step = np.arange(1, int(reach.max(initial=0)) + 1)
    within = step <= reach[:, None]
    x, k, n, rest = (
        a[:, None].astype(np.float64) for a in (centre, total, first, size - total - first)
    )

    def positive(a: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.maximum(a, 0)

    with np.errstate(all="ignore"):  # behind the ends, where the quotients are not used
        up = positive(k - x - step + 1) * positive(n - x - step + 1)
        up = up / ((x + step) * (rest + x + step))
        down = positive(x - step + 1) * positive(rest + x - step + 1)
        down = down / ((k - x + step) * (n - x + step))
    return _inverted(u, np.where(within, up, 0.0), np.where(within, down, 0.0), centre, least, most)


def _reach_again(size: Integers, first: Integers, total: Integers) -> Integers:
    """Return what `_reach` does, where a thing may be chosen again."""
    part = first / np.maximum(size, 1)
    return np.ceil(9 * np.sqrt(total * part * (1 - part))).astype(np.int64) + 20


def binomial(u: NDArray[np.float64], size: Integers, first: Integers, total: Integers) -> Integers:
    """Return how many of `total` choices are among the `first` of `size` things, by inversion.

    Each choice is of any thing: p(x + 1)/p(x) = (total - x)*first/((x + 1)*(size - first)).

    Args:
        u: A uniform number for each, in (0, 1).
        size: How many things there are.
        first: How many of them count.
        total: How many choices are made.
    """
    least = np.where(first == size, total, 0)
    most = np.where(first == 0, 0, total)
    mean = total.astype(np.float64) * first / np.maximum(size, 1)
    centre = np.clip(mean.astype(np.int64), least, most)
    reach = _reach_again(size, first, total)
    step = np.arange(1, int(reach.max(initial=0)) + 1)
    within = step <= reach[:, None]
    x, k, n, rest = (a[:, None].astype(np.float64) for a in (centre, total, first, size - first))
    with np.errstate(all="ignore"):  # behind the ends, where the quotients are not used
        up = np.maximum(k - x - step + 1, 0) * n / ((x + step) * rest)
        down = np.maximum(x - step + 1, 0) * rest / ((k - x + step) * n)
    return _inverted(u, np.where(within, up, 0.0), np.where(within, down, 0.0), centre, least, most)


def _inverted(
    u: NDArray[np.float64],
    up: NDArray[np.float64],
    down: NDArray[np.float64],
    centre: Integers,
    least: Integers,
    most: Integers,
) -> Integers:
    """Return the value at which a distribution function passes a uniform number.

    Args:
        u: The number of each distribution.
        up: Of each the quotients p(x + 1)/p(x) from the centre upward.
        down: The quotients p(x - 1)/p(x) from there downward.
        centre: A value near the mean.
        least: The least value.
        most: The greatest.
    """
    steps = down.shape[1]
    above, under = np.cumprod(up, axis=1), np.cumprod(down, axis=1)
    weights = np.concatenate([under[:, ::-1], np.ones((len(u), 1)), above], axis=1)
    sums = np.cumsum(weights, axis=1)
    passed = (sums <= u[:, None] * sums[:, -1:]).sum(axis=1)
    # Leading zeros are passed too, and lie below the first value that has a probability.
    return np.clip(centre - steps + passed, least, most)
