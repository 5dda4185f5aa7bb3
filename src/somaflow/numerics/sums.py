"""Weighted sums over presynaptic cells, always in the order of the presynaptic index.

The order is the promise: a cell's sum has the same bits however the postsynaptic cells are split,
batched or padded. A matrix-vector product does not keep it, and a chaotic network follows.
"""

from dataclasses import dataclass

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

# Dense sums stream the matrix, gathers hop: one dense term costs about a fifth of a gathered one
# while the matrix stays in the second-level cache (docs/design/sums.md).
_DENSE_TERMS_FOR_ONE_GATHERED = 5
_DENSE_LIMIT = 1 << 18


@dataclass(frozen=True)
class Sum:
    """How one group of synapses is summed, and the arrays it needs.

    Attributes:
        weights: `[n_pre, n_post]` if dense, else `[k, n_post]`, k being the largest in-degree.
        sources: None if dense, else int32 `[k, n_post]`: presynaptic cell of each term.
    """

    weights: NDArray[np.float64]
    sources: NDArray[np.int32] | None


def plan(
    pre: NDArray[np.int64],
    post: NDArray[np.int64],
    weight: NDArray[np.float64],
    n_pre: int,
    n_post: int,
) -> Sum:
    """Choose the form of a sum from the numbers of cells and synapses, and fill its arrays.

    Args:
        pre: Presynaptic index of each synapse, ordered by (post, pre).
        post: Postsynaptic index of each synapse.
        weight: Weight of each synapse.
        n_pre: Number of presynaptic cells, padding included.
        n_post: Number of postsynaptic cells, padding included.

    Returns:
        The form and its arrays, in float64.
    """
    degrees = np.bincount(post, minlength=n_post)
    terms = max(1, int(degrees.max(initial=0)))
    dense = n_pre * n_post <= _DENSE_LIMIT and n_pre <= terms * _DENSE_TERMS_FOR_ONE_GATHERED
    if dense:
        matrix = np.zeros((n_pre, n_post))
        matrix[pre, post] = weight
        return Sum(matrix, None)
    rank = np.arange(len(post)) - (np.cumsum(degrees) - degrees)[post]
    weights, sources = np.zeros((terms, n_post)), np.zeros((terms, n_post), np.int32)
    weights[rank, post] = weight
    sources[rank, post] = pre
    return Sum(weights, sources)


def weighted_sum(weights: tf.Tensor, sources: tf.Tensor | None, x: tf.Tensor) -> tf.Tensor:
    """Return sum over j of weights[j, i]*x[..., j], for each i.

    Args:
        weights: As in `Sum`.
        sources: As in `Sum`.
        x: `[..., n_pre]`.

    Returns:
        `[..., n_post]`.
    """
    if sources is not None:
        return tf.reduce_sum(weights * tf.gather(x, sources, axis=-1), axis=-2)
    batch = x.shape.rank - 1
    first = tf.transpose(x, [batch, *range(batch)]) if batch else x
    spread = tf.reshape(weights, [weights.shape[0], *[1] * batch, weights.shape[1]])
    return tf.reduce_sum(spread * first[..., None], axis=0)
