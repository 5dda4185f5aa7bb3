"""Rows of blocks `[n, ...]`, which a graph takes apart once, and not where it has the rows."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

import tensorflow as tf

from somaflow.numerics.device import recording
from somaflow.numerics.types import Tensor

_KNOWN = "_somaflow_rows"
# By the identity of a block: the block, which so stays, and its rows.
_Open = dict[int, tuple[Tensor, tuple[Tensor, ...]]]
_OPEN: ContextVar[_Open | None] = ContextVar("_OPEN", default=None)


def stacked(rows: Sequence[Tensor]) -> Tensor:
    """Return rows as a block; `rows_of` it returns these very tensors.

    Args:
        rows: At least one, all of one shape.
    """
    block: Tensor = tf.stack(rows)
    _remember(block, tuple(rows))
    known = _OPEN.get()
    if known is not None:
        known[id(block)] = block, tuple(rows)
    return block


def rows_of(block: Tensor) -> tuple[Tensor, ...]:
    """Return the rows of a block, the same tensors each time that a graph asks for them.

    Where a tape may record they are taken out anew: it would not see that rows of an earlier time
    come from a block that it watches, and find derivatives of 0.
    """
    own = (_OPEN.get() or {}).get(id(block))
    if own is not None:
        return own[1]
    if recording():
        return tuple(tf.unstack(block))
    known = getattr(block, _KNOWN, None)
    if known is not None and not tf.executing_eagerly() and known[0].graph is _graph():
        return known
    rows = tuple(tf.unstack(block))
    _remember(block, rows)
    return rows


@contextmanager
def watched_by_row() -> Iterator[None]:
    """Let `rows_of` give, of a block that is stacked within, the rows that it was stacked of.

    For a tape that watches rows and no block.
    """
    token = _OPEN.set({})
    try:
        yield
    finally:
        _OPEN.reset(token)


def _remember(block: Tensor, rows: tuple[Tensor, ...]) -> None:
    # What a branch or a loop's body has taken apart is unknown outside of it.
    if not tf.executing_eagerly() and block.graph is _graph():
        setattr(block, _KNOWN, rows)


def _graph() -> tf.Graph:
    return tf.compat.v1.get_default_graph()
