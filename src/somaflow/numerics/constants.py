"""Constants that a graph has once, however often it uses them."""

from typing import Any

import tensorflow as tf

from somaflow.numerics.types import Tensor

_HELD = "_somaflow_held"


def number(value: float, dtype: tf.DType) -> Tensor:
    """Return a number as a tensor, the same one each time that a graph asks for it."""
    held = _held()
    if held is None:
        return tf.constant(value, dtype)
    key = repr(value), dtype
    if key not in held:
        held[key] = tf.constant(value, dtype)
    return held[key]


def columns(value: Tensor, chosen: slice) -> Tensor:
    """Return some numbers of the last axis; a graph has the place of each slice once.

    Args:
        value: `[..., n]`.
        chosen: From where to where.
    """
    held = _held()
    if held is None:
        return value[..., chosen]
    first = [0] * (value.shape.rank - 1)
    begin, size = [*first, chosen.start], [*value.shape[:-1], chosen.stop - chosen.start]
    for key in (tuple(begin), tuple(size)):
        if key not in held:
            held[key] = tf.constant(key, tf.int32)
    return tf.slice(value, held[tuple(begin)], held[tuple(size)])


def _held() -> dict[Any, Any] | None:
    """Return what the present graph holds, or None where there is no graph."""
    if tf.executing_eagerly():
        return None
    graph = tf.compat.v1.get_default_graph()
    if not hasattr(graph, _HELD):
        setattr(graph, _HELD, {})
    return getattr(graph, _HELD)
