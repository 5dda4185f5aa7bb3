"""Matrices in a band, within each column of a block: Gaussian elimination with pivots.

One loop over the rows, all columns at once. Golub GH, Van Loan CF (2013) Matrix computations,
section 4.3; the exchange of rows widens the upper part by the lower one.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from somaflow.numerics.device import put
from somaflow.numerics.types import Tensor
from somaflow.solvers.base import Time
from somaflow.solvers.pattern import Pattern


@dataclass(frozen=True)
class Banded:
    """A matrix for each column of a block.

    Attributes:
        pattern: Where its entries are.
        rows: Its entries in band storage, `[n, lower + upper + 1, R]`; see `Pattern.places`.
    """

    pattern: Pattern
    rows: Tensor

    def identity_minus(self, factor: Time) -> "Banded":
        """Return I - factor*J for a factor of shape [] or [R]."""
        lower, _ = self.pattern.reach
        unit = tf.one_hot(lower, self.rows.shape[1], dtype=self.rows.dtype)
        return Banded(self.pattern, unit[:, None] - factor * self.rows)

    def factorised(self) -> "Factors":
        """Return what solves linear systems."""
        return Factors(self, *_eliminate(tf.stop_gradient(self.rows), *self.pattern.reach))


@dataclass(frozen=True)
class Factors:
    """The factors of a matrix.

    Attributes:
        matrix: The matrix.
        upper: Rows from the diagonal on, `[n, lower + upper + 1, R]`.
        multiples: Of each row that were taken from the next ones, `[n, lower, R]`.
        pivots: How far below each row stood that it changed places with, int32 `[n, R]`.
    """

    matrix: Banded
    upper: Tensor
    multiples: Tensor
    pivots: Tensor

    def solve(self, block: Tensor) -> Tensor:
        """Return x with M x = b, both [n, R]; differentiable by M and by b."""
        order = self.matrix.pattern.order
        lower, _ = self.matrix.pattern.reach
        n, width, _ = self.upper.shape
        natural = np.arange(n)
        back = np.argsort(order).astype(np.int32)
        beside = np.clip(natural[:, None] + np.arange(width) - lower, 0, n - 1)

        def moved(block: Tensor, places: NDArray[np.int32]) -> Tensor:
            return block if np.array_equal(order, natural) else tf.gather(block, places)

        # Within the gradient's border: that of a gather is sparse, which a loop does not take.
        @tf.custom_gradient
        def solved(
            rows: Tensor, block: Tensor
        ) -> tuple[Tensor, Callable[[Tensor], tuple[Tensor, Tensor]]]:
            x = self._back(self._forth(moved(block, order)))

            def gradient(bar: Tensor) -> tuple[Tensor, Tensor]:
                bar = self._transposed(moved(bar, order))
                # Outside of the matrix the neighbour is a wrong one; nothing reads the result.
                return -bar[:, None] * tf.gather(x, beside), moved(bar, back)

            return moved(x, back), gradient

        return solved(self.matrix.rows, block)

    def _forth(self, block: Tensor) -> Tensor:
        """Do to a block what elimination did to the matrix."""
        n, lower, _ = self.multiples.shape
        padded = tf.pad(block, [[0, lower + 1], [0, 0]])

        def body(row: Tensor, window: Tensor, out: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            first, rest = _exchanged(window, tf.gather(self.pivots, row))
            rest = rest - tf.gather(self.multiples, row) * first
            window = tf.concat([rest, tf.gather(padded, row + lower + 1)[None]], axis=0)
            return row + 1, window, put(out, row, first)

        start = (tf.constant(0), padded[: lower + 1], tf.zeros_like(block))
        return tf.while_loop(lambda row, *_: row < n, body, start)[2]

    def _back(self, block: Tensor) -> Tensor:
        """Solve with the upper factor."""
        n, width, columns = self.upper.shape

        def body(row: Tensor, later: Tensor, out: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            u = tf.gather(self.upper, row)
            known = tf.reduce_sum(u[1:] * later, axis=0)
            x = (tf.gather(block, row) - known) / u[0]
            return row - 1, tf.concat([x[None], later[:-1]], axis=0), put(out, row, x)

        later = tf.zeros([width - 1, columns], block.dtype)
        start = (tf.constant(n - 1), later, tf.zeros_like(block))
        return tf.while_loop(lambda row, *_: row >= 0, body, start)[2]

    def _transposed(self, block: Tensor) -> Tensor:
        """Return x with M' x = b: the steps of `_back` and `_forth` transposed, last one first."""
        n, lower, columns = self.multiples.shape
        width = self.upper.shape[1]

        def down(row: Tensor, owed: Tensor, out: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            u = tf.gather(self.upper, row)
            x = (tf.gather(block, row) - owed[0]) / u[0]
            owed = tf.pad(owed[1:], [[0, 1], [0, 0]]) + u[1:] * x
            return row + 1, owed, put(out, row, x)

        owed = tf.zeros([width - 1, columns], block.dtype)
        start = (tf.constant(0), owed, tf.zeros_like(block))
        middle = tf.while_loop(lambda row, *_: row < n, down, start)[2]

        def up(row: Tensor, later: Tensor, out: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            x = tf.gather(middle, row)
            x = x - tf.reduce_sum(tf.gather(self.multiples, row) * later, axis=0)
            first, rest = _exchanged(
                tf.concat([x[None], later], axis=0), tf.gather(self.pivots, row)
            )
            window = tf.concat([first[None], rest], axis=0)
            return row - 1, window[:-1], put(out, row + lower, window[-1])

        # The last places of the window leave it below the matrix first: they are zero.
        later = tf.zeros([lower, columns], block.dtype)
        out = tf.zeros([n + lower, columns], block.dtype)
        start = (tf.constant(n - 1), later, out)
        _, later, out = tf.while_loop(lambda row, *_: row >= 0, up, start)
        return tf.concat([later, out[lower:n]], axis=0)


def _eliminate(rows: Tensor, lower: int, upper: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return the factors of a band: upper rows, multiples and pivots."""
    n, _, columns = rows.shape
    padded = tf.pad(rows, [[0, lower + 1], [0, 0], [0, 0]])
    # The window holds the rows that reach the column to be cleared, from that column on.
    window = tf.stack(
        [tf.pad(padded[k, lower - k :], [[0, lower - k], [0, 0]]) for k in range(lower + 1)]
    )

    def body(
        row: Tensor, window: Tensor, out: Tensor, multiples: Tensor, pivots: Tensor
    ) -> tuple[Tensor, ...]:
        pivot = tf.argmax(tf.abs(window[:, 0]), axis=0, output_type=tf.int32)
        first, rest = _exchanged(window, pivot)
        multiple = rest[:, 0] / first[0]
        rest = rest[:, 1:] - multiple[:, None] * first[1:]
        window = tf.concat(
            [tf.pad(rest, [[0, 0], [0, 1], [0, 0]]), tf.gather(padded, row + lower + 1)[None]],
            axis=0,
        )
        written = (put(out, row, first), put(multiples, row, multiple), put(pivots, row, pivot))
        return row + 1, window, *written

    start = (
        tf.constant(0),
        window,
        tf.zeros_like(rows),
        tf.zeros([n, lower, columns], rows.dtype),
        tf.zeros([n, columns], tf.int32),
    )
    return tf.while_loop(lambda row, *_: row < n, body, start)[2:]


def _exchanged(window: Tensor, pivot: Tensor) -> tuple[Tensor, Tensor]:
    """Return the row of a window that `pivot` [R] names, and the others with the first there."""
    place = tf.range(window.shape[0])[:, None] == pivot
    if window.shape.rank == 3:
        place = place[:, None]
    first = tf.reduce_sum(tf.where(place, window, tf.zeros_like(window)), axis=0)
    return first, tf.where(place[1:], window[0], window[1:])
