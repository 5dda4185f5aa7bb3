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
        pre: Presynaptic index of each synapse.
        post: Postsynaptic index of each synapse.
        weight: Weight of each synapse.
        n_pre: Number of presynaptic cells, padding included.
        n_post: Number of postsynaptic cells, padding included.
    """
    matrix = np.zeros((n_pre, n_post), weight.dtype)
    np.add.at(matrix, (pre, post), weight)  # a pair may have several synapses
    return {"weight": matrix}


def gathered(
    pre: Integers, post: Integers, weight: NDArray[Any], n_pre: int, n_post: int
) -> dict[str, NDArray[Any]]:
    """Return the synapses as lists: `weight` and `sources`, both `[k, n_post]`.

    k is the largest in-degree, and `sources` the presynaptic cell of each term, int32.

    Args:
        pre: As for `dense`, ordered by (post, pre).
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
    weights[rank, post] = weight
    sources[rank, post] = pre
    return {"weight": weights, "sources": sources}


def weighted_sum(weights: Tensor, sources: Tensor | None, x: Tensor) -> Tensor:
    """Return sum over j of weights[j, i]*x[..., j], for each i.

    Args:
        weights: As `dense` or `gathered` returns them.
        sources: As `gathered` returns them, or None.
        x: `[..., n_pre]`.

    Returns:
        `[..., n_post]`.
    """
    x = materialize(x)
    batch = x.shape.rank - 1
    first = tf.transpose(x, [batch, *range(batch)]) if batch else x
    spread = tf.reshape(weights, [weights.shape[0], *[1] * batch, weights.shape[1]])
    if sources is None:
        return materialize(_sum_rows(spread, tf.expand_dims(first, -1)))
    gathered = tf.gather(first, sources, axis=0)
    if batch:
        gathered = tf.transpose(gathered, [0, *range(2, batch + 2), 1])
    return materialize(_sum_rows(spread, gathered))


def _sum_rows(a: Tensor, b: Tensor | None) -> Tensor:
    """Return the sum of a*b, or of a, over the first axis: a tree of runs of `_RUN` terms."""
    count = a.shape[0]
    runs = -(-count // _RUN)

    def folded(value: Tensor) -> Tensor:
        if runs * _RUN != count:
            missing = runs * _RUN - count
            value = tf.pad(value, [[0, missing]] + [[0, 0]] * (value.shape.rank - 1))
        return tf.reshape(value, [runs, _RUN, *value.shape[1:]])

    if runs == 1:
        terms = [a[k] if b is None else a[k] * b[k] for k in range(count)]
    else:
        a, b = folded(a), None if b is None else folded(b)
        terms = [a[:, k] if b is None else a[:, k] * b[:, k] for k in range(_RUN)]
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    return total if runs == 1 else _sum_rows(total, None)
