"""Delivery to the synapses of the cells that spiked, so that the cost follows the spikes.

Synapses are kept as out-lists: for each presynaptic cell some blocks of `width` synapses, one after
another. A loop visits the cells that have something to deliver, in ascending order, and adds each
block to its targets. The order of additions to a target is therefore that of the presynaptic cells,
whatever else there is.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from somaflow.numerics.types import Tensor

Indices = NDArray[np.integer]
Columns = dict[str, NDArray[np.generic]]
State = TypeVar("State")  # a nest of tensors

_WORD, _HALF = 32, 32
# What may be left empty at the ends of blocks: little where memory matters, more where it does not.
_WASTE, _WASTE_IF_SMALL, _SMALL = 1.12, 1.6, 10_000_000


class Part(NamedTuple):
    """Some synapses, ordered by postsynaptic and then presynaptic index.

    Attributes:
        pre: Presynaptic index of each, int32 or int64.
        post: Postsynaptic index of each.
        columns: What else is kept of each synapse, by name.
    """

    pre: Indices
    post: Indices
    columns: Columns


Parts = Callable[[], Iterable[Part]]
Value = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Lists:
    """Lists of synapses by cell.

    Attributes:
        first: Number of the first block of each cell, and of the one behind the last,
            int32 [n_cells + 1].
        other: Index of the cell on the other side, int32 [n_blocks, width]; in places that are
            empty the number of cells there.
        columns: What else is kept of each synapse, [n_blocks, width]; 0 in empty places.
        count: Number of synapses.
        single: Whether each cell has exactly one block.
    """

    first: NDArray[np.int32]
    other: NDArray[np.int32]
    columns: Columns
    count: int
    single: bool


def block_width(degrees: NDArray[np.int64]) -> tuple[int, bool]:
    """Choose the width of blocks from the number of synapses of each cell.

    Returns:
        The width, and whether each cell has exactly one block.
    """
    count, most = int(degrees.sum()), int(degrees.max(initial=0))
    allowed = (_WASTE_IF_SMALL if count < _SMALL else _WASTE) * count
    if most * len(degrees) <= allowed or most == 0:
        return max(most, 1), True
    for width in (1024, 512, 256, 128, 64, 32, 16):
        if int((-(-degrees // width)).sum()) * width <= allowed:
            return width, False
    return 8, False


def out_lists(
    parts: Parts, n_pre: int, n_post: int, dtypes: Mapping[str, np.dtype | type[np.generic]]
) -> Lists:
    """Sort synapses by presynaptic cell, in memory of the result and a few times one part.

    Args:
        parts: Gives the synapses in parts; called twice.
        n_pre: Number of presynaptic cells, padding included.
        n_post: Number of postsynaptic cells, padding included.
        dtypes: NumPy type of each column.
    """
    degrees = np.zeros(n_pre, np.int64)
    for part in parts():
        degrees += np.bincount(part.pre, minlength=n_pre)
    width, single = block_width(degrees)
    blocks = np.ones(n_pre, np.int64) if single else -(-degrees // width)
    first = np.concatenate([[0], np.cumsum(blocks)])
    size = max(int(first[-1]), 1) * width
    other = np.full(size, n_post, np.int32)
    columns = {name: np.zeros(size, dtype) for name, dtype in dtypes.items()}
    filled = first[:-1] * width
    for part in parts():
        # Numbers of 64 bits that hold cell and place: NumPy sorts them several times as fast as it
        # finds a stable order of the cells.
        keys = (part.pre.astype(np.int64) << _HALF) | np.arange(len(part.pre))
        keys.sort()
        pre, order = keys >> _HALF, keys & ((1 << _HALF) - 1)
        counts = np.bincount(pre, minlength=n_pre)
        place = np.arange(len(pre)) + (filled - (np.cumsum(counts) - counts))[pre]
        other[place] = part.post[order]
        for name, column in columns.items():
            column[place] = part.columns[name][order]
        filled = filled + counts
    shaped = {name: column.reshape(-1, width) for name, column in columns.items()}
    return Lists(
        first.astype(np.int32), other.reshape(-1, width), shaped, int(degrees.sum()), single
    )


def in_lists(out: Lists, n_pre: int, n_post: int) -> Lists:
    """Return, for each postsynaptic cell, where its synapses are in the out-lists.

    The column `place` is the place in the flattened out-lists; in empty places their size.
    """
    flat = out.other.ravel()
    place = np.flatnonzero(flat < n_post)
    owner = np.repeat(np.arange(n_pre), np.diff(out.first)) if not out.single else np.arange(n_pre)
    pre = np.repeat(owner, out.other.shape[1])[place]
    part = Part(flat[place], pre, {"place": place})
    lists = out_lists(lambda: [part], n_post, n_pre, {"place": np.int32})
    lists.columns["place"][lists.other == n_pre] = flat.size
    return lists


def for_each(mask: Tensor, body: Callable[[Tensor, State], State], state: State) -> State:
    """Run a loop over the places where a mask is true, in ascending order.

    Sixteen true among four thousand are found in a quarter of the time that a cumulative sum over
    all needs: the mask is packed into words of 32 bits, and only words that hold one are visited.

    Args:
        mask: bool [n].
        body: `(place, state) -> state`.
        state: A nest of tensors.
    """
    n = mask.shape[0]
    n_words = -(-n // _WORD)
    bits = tf.constant((1 << np.arange(_WORD, dtype=np.uint64)).astype(np.uint32))
    padded = tf.pad(mask, [[0, n_words * _WORD - n]])
    ones = tf.where(tf.reshape(padded, [n_words, _WORD]), bits[None], tf.zeros_like(bits)[None])
    words = tf.reduce_sum(ones, axis=1)
    busy = words != 0
    rank = tf.cumsum(tf.cast(busy, tf.int32)) - 1
    count = rank[-1] + 1
    target = tf.where(busy, rank, n_words)
    order = tf.tensor_scatter_nd_update(
        tf.zeros([n_words + 1], tf.int32), target[:, None], tf.range(n_words)
    )

    # The word's number is carried along rather than looked up where a place is needed: a slice that
    # begins at a number out of `order` would be compiled anew for each order.
    def one(
        k: Tensor, number: Tensor, word: Tensor, state: State
    ) -> tuple[Tensor, Tensor, Tensor, State]:
        lowest = tf.bitwise.bitwise_and(word, tf.bitwise.invert(word) + 1)
        below = tf.bitcast(lowest - 1, tf.int32)
        bit = tf.cast(tf.raw_ops.PopulationCount(x=below), tf.int32)
        rest = word - lowest
        state = body(number * _WORD + bit, state)
        following = tf.where(rest == 0, k + 1, k)
        number = tf.gather(order, following)
        return following, number, tf.where(rest == 0, tf.gather(words, number), rest), state

    start = (tf.constant(0), order[0], tf.gather(words, order[0]), state)
    return tf.while_loop(lambda k, *_: k < count, one, start)[3]


def over_blocks(
    first: Tensor, single: bool, cell: Tensor, body: Callable[[Tensor, State], State], state: State
) -> State:
    """Run `(block, state) -> state` over the blocks of a cell."""
    if single:
        return body(cell, state)
    end = first[cell + 1]
    _, state = tf.while_loop(
        lambda block, _: block < end,
        lambda block, state: (block + 1, body(block, state)),
        (first[cell], state),
    )
    return state


def deliver(lists: dict[str, Tensor], single: bool, n_post: int, x: Tensor) -> Tensor:
    """Return sum over j of weight[j, i]*x[..., j] for each i, visiting only j with x not 0.

    Args:
        lists: `first`, `other` and `weight` of the out-lists.
        single: Whether each cell has exactly one block.
        n_post: Number of postsynaptic cells, padding included.
        x: `[..., n_pre]`.

    Returns:
        `[..., n_post]`.
    """
    leading = x.shape[:-1]
    mask, value, height = columns_of(x)
    total = deliver_values(lists, single, n_post, mask, value, height, x.dtype)
    return tf.reshape(total, [*leading, n_post])


def deliver_values(
    lists: dict[str, Tensor],
    single: bool,
    n_post: int,
    mask: Tensor,
    value: Value,
    height: int,
    dtype: tf.DType | np.dtype,
) -> Tensor:
    """Return sum over j of weight[j, i]*value(j) for each i, for the j that a mask names.

    What is expensive to compute is so computed for the cells that deliver, and for no others.

    Args:
        lists: As for `deliver`.
        single: As for `deliver`.
        n_post: As for `deliver`.
        mask: bool `[n_pre]`.
        value: What cell j delivers, `[height]`.
        height: How many numbers.
        dtype: Type of the sums.

    Returns:
        `[height, n_post]`.
    """
    empty = tf.zeros([n_post + 1, height], dtype)
    total = _visit(lists, single, mask, value, empty, lambda b: lists["other"][b])
    return tf.transpose(total)[:, :n_post]


def columns_of(x: Tensor) -> tuple[Tensor, Value, int]:
    """Return which columns of `[..., n]` hold anything, what takes one out, and its length."""
    rows: Tensor = tf.reshape(x, [-1, x.shape[-1]])
    columns = tf.transpose(rows)
    return tf.reduce_any(rows != 0, axis=0), lambda j: columns[j], rows.shape[0]


def deliver_later(
    lists: dict[str, Tensor],
    single: bool,
    n_post: int,
    mask: Tensor,
    value: Value,
    now: Tensor,
    ring: Tensor,
) -> Tensor:
    """Add weight[j, i]*value(j) to what arrives at i after the delay of each synapse.

    Args:
        lists: As for `deliver`, and `delay`, in steps, of each synapse.
        single: As for `deliver`.
        n_post: As for `deliver`.
        mask: As for `deliver_values`.
        value: As for `deliver_values`.
        now: The step's slot of the ring.
        ring: `[n_slots*(n_post + 1), height]`.

    Returns:
        The ring.
    """
    stride = n_post + 1
    n_slots = ring.shape[0] // stride

    def targets(b: Tensor) -> Tensor:
        slot = tf.math.floormod(now + lists["delay"][b], n_slots)
        return slot * stride + lists["other"][b]

    return _visit(lists, single, mask, value, ring, targets)


def _visit(
    lists: dict[str, Tensor],
    single: bool,
    mask: Tensor,
    value: Value,
    total: Tensor,
    targets: Callable[[Tensor], Tensor],
) -> Tensor:
    """Add what each cell delivers to the rows of a table of shape [places, height]."""
    flat = total.shape[1] == 1  # a vector is several times as fast as a column

    def cell(j: Tensor, table: Tensor) -> Tensor:
        column = value(j)

        def block(b: Tensor, table: Tensor) -> Tensor:
            weight = lists["weight"][b]
            added = weight * column[0] if flat else weight[:, None] * column[None]
            return tf.tensor_scatter_nd_add(table, targets(b)[:, None], added)

        return over_blocks(lists["first"], single, j, block, table)

    table = for_each(mask, cell, total[:, 0] if flat else total)
    return table[:, None] if flat else table
