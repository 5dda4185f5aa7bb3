"""Rows of blocks `[n, ...]`, which a graph takes apart once, and not where it has the rows."""

from collections.abc import Sequence

import tensorflow as tf

from somaflow.numerics.types import Tensor

_KNOWN = "_somaflow_rows"


def stacked(rows: Sequence[Tensor]) -> Tensor:
    """Return rows as a block; `rows_of` it returns these very tensors.

    Args:
        rows: At least one, all of one shape.
    """
    block: Tensor = tf.stack(rows)
    _remember(block, tuple(rows))
    return block


def rows_of(block: Tensor) -> tuple[Tensor, ...]:
    """Return the rows of a block, the same tensors each time that a graph asks for them."""
    known = getattr(block, _KNOWN, None)
    if known is not None and not tf.executing_eagerly() and known[0].graph is _graph():
        return known
    rows = tuple(tf.unstack(block))
    _remember(block, rows)
    return rows


def _remember(block: Tensor, rows: tuple[Tensor, ...]) -> None:
    # What a branch or a loop's body has taken apart is unknown outside of it.
    if not tf.executing_eagerly() and block.graph is _graph():
        setattr(block, _KNOWN, rows)


def _graph() -> tf.Graph:
    return tf.compat.v1.get_default_graph()
