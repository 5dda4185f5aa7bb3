"""Weighted sums over presynaptic cells, in one fixed order of additions.

The order is the promise: it follows from the number of terms alone, so a cell's sum has the same
bits however the postsynaptic cells are split, batched or padded, and a chaotic network cannot
drift apart. A matrix-vector product does not keep it, and neither does `tf.reduce_sum`, which XLA
hands to LLVM with leave to reassociate. Here every addition is an operation of its own, 16 of them
in a row over a whole row of cells; that is as fast as the product (docs/design/sums.md).
"""

from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from somaflow.numerics.device import materialize
from somaflow.numerics.types import Tensor

_RUN = 16


Integers = NDArray[Any]


def dense(
    pre: Integers, post: Integers, weight: NDArray[Any], n_pre: int, n_post: int
) -> dict[str, NDArray[Any]]:
    """Return the synapses as a matrix, `weight` `[n_pre, n_post]`.

    Args:
        pre: Presynaptic index of each synapse, ordered by (post, pre).
        post: Postsynaptic index of each synapse.
        weight: Weight of each synapse.
        n_pre: Number of presynaptic cells, padding included.
        n_post: Number of postsynaptic cells, padding included.
    """
    matrix = np.zeros((n_pre, n_post), weight.dtype)
    if np.any((post[1:] == post[:-1]) & (pre[1:] == pre[:-1])):  # a pair may have several synapses
        np.add.at(matrix, (pre, post), weight)
    else:
        matrix[pre, post] = weight
    return {"weight": matrix}


def gathered(
    pre: Integers, post: Integers, weight: NDArray[Any], n_pre: int, n_post: int
) -> dict[str, NDArray[Any]]:
    """Return the synapses as lists: `weight` and `sources`, both `[k, n_post]`.

    k is the largest in-degree, and `sources` the presynaptic cell of each term, int32.

    Args:
        pre: As for `dense`.
        post: As for `dense`.
        weight: As for `dense`.
        n_pre: As for `dense`.
        n_post: As for `dense`.
    """
    degrees = np.bincount(post, minlength=n_post)
    terms = max(1, int(degrees.max(initial=0)))
    rank = np.arange(len(post)) - (np.cumsum(degrees) - degrees)[post]
    weights = np.zeros((terms, n_post), weight.dtype)
    sources = np.zeros((terms, n_post), np.int32)
    place = rank * n_post + post
    weights.reshape(-1)[place] = weight
    sources.reshape(-1)[place] = pre
    return {"weight": weights, "sources": sources}


def weighted_sum(
    weights: Tensor, sources: Tensor | None, x: Tensor, scale: Tensor | None = None
) -> Tensor:
    """Return scale[i] times the sum over j of weights[j, i]*x[..., j], for each i.

    Args:
        weights: As `dense` or `gathered` returns them, or `[k, ..., n_post]`: for each row its own.
        sources: As `gathered` returns them, or None.
        x: `[..., n_pre]`.
        scale: `[n_post]`, or `[..., n_post]`: for each row its own; None is 1.

    Returns:
        `[..., n_post]`.
    """
    missing = weights.shape.rank - 1 - x.shape.rank
    if missing > 0:  # all rows have the same x, and weights of their own
        x = tf.reshape(x, [*[1] * missing, *x.shape])
    x = materialize(x)
    batch = x.shape.rank - 1
    first = tf.transpose(x, [batch, *range(batch)]) if batch else x
    spread = weights
    if weights.shape.rank == 2:
        spread = tf.reshape(weights, [weights.shape[0], *[1] * batch, weights.shape[1]])
    if sources is None:
        return _stored(_sum_rows(spread, tf.expand_dims(first, -1)), scale)
    gathered = tf.gather(first, sources, axis=0)
    if batch:
        gathered = tf.transpose(gathered, [0, *range(2, batch + 2), 1])
    if weights.shape[0] <= _RUN:
        return _stored(_sum_rows(spread, gathered), scale)
    # Gathered into memory first: 16 gathers in one kernel take twice as long.
    runs = _sum_runs(materialize(_folded(spread * gathered)), None, 1)
    return _stored(_sum_rows(runs, None), scale)


def _stored(sums: Tensor, scale: Tensor | None) -> Tensor:
    """Return sums times their scale, which no reader can contract with what it adds."""
    return materialize(sums if scale is None else sums * scale)


def total(x: Tensor) -> Tensor:
    """Return the sum over the last axis, `[..., 1]`: of 16 terms far from each other, and so on.

    Args:
        x: `[..., n]`.
    """
    x = materialize(x)
    while x.shape[-1] > 1:
        count = min(_RUN, x.shape[-1])
        missing = -x.shape[-1] % count
        if missing:
            x = tf.pad(x, [[0, 0]] * (x.shape.rank - 1) + [[0, missing]])
        parts = tf.reshape(x, [*x.shape[:-1], count, -1])
        x = materialize(_sum_runs(parts, None, -2))
    return x


def block_sums(weights: Tensor, block: Tensor, x: Tensor, scale: Tensor | None = None) -> Tensor:
    """Return sums over parts of the presynaptic cells, each as `weighted_sum` of a matrix.

    Args:
        weights: `[n, n_matrices, n_post]`, or `[n, ..., n_matrices, n_post]`: for each row its own.
        block: Which n of the presynaptic cells each matrix has, int32 `[n_matrices]`.
        x: `[..., n_blocks*n]`.
        scale: As of `weighted_sum`, `[n_matrices*n_post]`.

    Returns:
        `[..., n_matrices*n_post]`.
    """
    x = materialize(x)
    batch = x.shape.rank - 1
    blocks = tf.reshape(x, [*x.shape[:-1], -1, weights.shape[0]])
    first = tf.transpose(tf.gather(blocks, block, axis=batch), [batch + 1, *range(batch + 1)])
    spread = weights
    if weights.shape.rank == 3:
        spread = tf.reshape(weights, [weights.shape[0], *[1] * batch, *weights.shape[1:]])
    sums = _sum_rows(spread, tf.expand_dims(first, -1))
    return _stored(tf.reshape(sums, [*x.shape[:-1], -1]), scale)


def _folded(value: Tensor) -> Tensor:
    """Return `[count, ...]` as `[runs, _RUN, ...]`, with zeros at the end."""
    missing = -value.shape[0] % _RUN
    if missing:
        value = tf.pad(value, [[0, missing]] + [[0, 0]] * (value.shape.rank - 1))
    return tf.reshape(value, [-1, _RUN, *value.shape[1:]])


def _sum_rows(a: Tensor, b: Tensor | None) -> Tensor:
    """Return the sum of a*b, or of a, over the first axis: a tree of runs of `_RUN` terms."""
    if a.shape[0] > _RUN:
        return _sum_rows(_sum_runs(_folded(a), None if b is None else _folded(b), 1), None)
    return _sum_runs(a, b, 0)


def _sum_runs(a: Tensor, b: Tensor | None, axis: int) -> Tensor:
    """Return the sum of a*b, or of a, over an axis, one addition after the other."""
    rows = tf.unstack(a, axis=axis)
    if b is not None:
        rows = [x * y for x, y in zip(rows, tf.unstack(b, axis=axis), strict=True)]
    total = rows[0]
    for row in rows[1:]:
        total = total + row
    return total
