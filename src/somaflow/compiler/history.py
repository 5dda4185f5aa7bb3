"""The last spikes of a population, `[n_steps, ..., n_cells]`: each step has a slot of its own.

There is one slot more than the longest delay has steps, so that a step writes in another one than
it reads: XLA would copy all of them otherwise.
"""

import tensorflow as tf

from somaflow.numerics.device import put
from somaflow.numerics.types import Tensor


def with_step(history: Tensor, step: Tensor, crossed: Tensor) -> Tensor:
    """Return a history with the spikes of a step."""
    return put(history, _slot(step, history), crossed)


def at_step(history: Tensor, step: Tensor, begun: Tensor | None) -> Tensor:
    """Return the spikes of a step, none where it is before the one in which they begin to count."""
    # A slice at a place that an argument gives would be compiled anew for each chunk.
    return _counting(tf.gather(history, _slot(step, history)), step, begun)


def of_cells(history: Tensor, step: Tensor, cells: Tensor, begun: Tensor | None) -> Tensor:
    """Return the spikes of cells, each in a step of its own, likewise; `[..., n_cells]`."""
    last = history.shape.rank - 1
    ordered = tf.transpose(history, [*range(1, last), 0, last]) if last > 1 else history
    flat = tf.reshape(ordered, [*ordered.shape[:-2], -1])
    places = _slot(step, history) * history.shape[-1] + cells
    return _counting(tf.gather(flat, places, axis=-1), step, begun)


def _counting(spikes: Tensor, step: Tensor, begun: Tensor | None) -> Tensor:
    return spikes if begun is None else tf.where(step >= begun, spikes, tf.zeros_like(spikes))


def _slot(step: Tensor, history: Tensor) -> Tensor:
    return tf.cast(tf.math.floormod(step, history.shape[0]), tf.int32)
