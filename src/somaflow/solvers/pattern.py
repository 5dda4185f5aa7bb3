"""Which entries of a Jacobian can be other than zero, and how to use it.

Rows that share no column are differentiated together, in one product: they have one colour. In an
order in which neighbours stand close the matrix is a band, and a linear system costs its width.

Curtis AR, Powell MJD, Reid JK (1974) On the estimation of sparse Jacobian matrices. IMA Journal of
Applied Mathematics 13:117-119; Cuthill E, McKee J (1969) Reducing the bandwidth of sparse symmetric
matrices. Proceedings of the 24th ACM National Conference, 157-172.
"""

from dataclasses import dataclass
from functools import cached_property
from itertools import count

import numpy as np
from numpy.typing import NDArray

Whole = NDArray[np.int32]

_FEW = 32  # entries in a row


@dataclass(frozen=True, eq=False)
class Pattern:
    """The entries of an n by n matrix that can be other than zero.

    Attributes:
        n: Size of the matrix.
        rows: Row of each entry.
        columns: Column of each entry.
    """

    n: int
    rows: Whole
    columns: Whole

    @cached_property
    def colours(self) -> Whole:
        """The colour of each row, from 0; rows of one colour share no column."""
        if len(self.rows) > _FEW * self.n:  # to look for more would take too long
            place, width = _inverse(self.order), sum(self.reach) + 1
            return place % width if self.banded else np.arange(self.n, dtype=np.int32)
        by_row = _lists(self.rows, self.columns, self.n)
        by_column = _lists(self.columns, self.rows, self.n)
        colours = np.full(self.n, -1, np.int32)
        for row in self.order:
            near = [colours[by_column[column]] for column in by_row[row]]
            taken = set(np.concatenate(near).tolist()) if near else set()
            colours[row] = next(colour for colour in count() if colour not in taken)
        return colours

    @property
    def products(self) -> int:
        """How many products give the whole matrix."""
        return int(self.colours.max()) + 1

    @cached_property
    def order(self) -> Whole:
        """Which row and column of the matrix stands at each place of the band."""
        natural = np.arange(self.n, dtype=np.int32)
        mixed = _cuthill_mckee(self.rows, self.columns, self.n)
        return min((natural, mixed), key=lambda order: sum(self._reach(order)))

    @cached_property
    def reach(self) -> tuple[int, int]:
        """How far entries reach below and above the diagonal in that order, each at least 1."""
        return self._reach(self.order)

    @cached_property
    def banded(self) -> bool:
        """Whether a band is less work than the full matrix."""
        lower, upper = self.reach
        return 2 * lower + upper + 1 <= self.n // 2

    @cached_property
    def places(self) -> Whole:
        """Where each entry stands among the products, `colour*n + column`, after them if zero.

        `[n, lower + upper + 1]` in band storage: element a, k is that of row `order[a]` and column
        `order[a + k - lower]`; `[n, n]` where the matrix is not banded.
        """
        row, column, width = self.rows, self.columns, self.n
        if self.banded:
            place, (lower, upper) = _inverse(self.order), self.reach
            row, column = place[row], place[column] - place[row] + lower
            width = lower + upper + 1
        places = np.full((self.n, width), self.products * self.n, np.int32)
        places[row, column] = self.colours[self.rows] * self.n + self.columns
        return places

    @property
    def diagonal(self) -> Whole:
        """Where each entry of the diagonal stands among the products, [n]; after them if zero."""
        places = np.full(self.n, self.products * self.n, np.int32)
        rows = self.rows[self.rows == self.columns]
        places[rows] = self.colours[rows] * self.n + rows
        return places

    def _reach(self, order: Whole) -> tuple[int, int]:
        place = _inverse(order)
        above = place[self.columns] - place[self.rows]
        return max(1, int((-above).max(initial=0))), max(1, int(above.max(initial=0)))


def _inverse(order: Whole) -> Whole:
    place = np.empty_like(order)
    place[order] = np.arange(len(order), dtype=order.dtype)
    return place


def _lists(keys: Whole, values: Whole, n: int) -> list[Whole]:
    """Return the values that go with each key from 0 to n - 1, ascending."""
    sorted_ = np.lexsort((values, keys))
    return np.split(values[sorted_], np.cumsum(np.bincount(keys, minlength=n))[:-1])


def _cuthill_mckee(rows: Whole, columns: Whole, n: int) -> Whole:
    """Return the reverse Cuthill-McKee order: neighbours first found, those of few links first."""
    both = np.unique(np.stack([np.r_[rows, columns], np.r_[columns, rows]]), axis=1)
    links = _lists(both[0], both[1], n)
    degree = np.array([len(near) for near in links])
    seen, order = np.zeros(n, bool), []
    for first in np.argsort(degree, kind="stable"):
        if not seen[first]:
            far = _walk(int(first), links, degree, seen.copy())[-1]
            order += _walk(far, links, degree, seen)
    return np.array(order[::-1], np.int32)


def _walk(first: int, links: list[Whole], degree: NDArray, seen: NDArray[np.bool_]) -> list[int]:
    """Return all that hangs together with `first`, by distance; they are marked in `seen`."""
    queue, seen[first] = [first], True
    for node in queue:  # it grows meanwhile
        new = links[node][~seen[links[node]]]
        seen[new] = True
        queue += new[np.argsort(degree[new], kind="stable")].tolist()
    return queue
