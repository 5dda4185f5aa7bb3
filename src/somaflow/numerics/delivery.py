"""Delivery to the synapses of the cells that spiked, so that the cost follows the spikes.

Synapses are kept as out-lists: for each presynaptic cell some blocks of `width` synapses, one after
another. A loop visits the cells that have something to deliver, in ascending order, and adds each
block to its targets. The order of additions to a target is therefore that of the presynaptic cells,
whatever else there is.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from somaflow.numerics.device import ON_CPU, in_each_row, number_of, put, row_of
from somaflow.numerics.places import Places, State, for_each, senders
from somaflow.numerics.types import Tensor

Indices = NDArray[np.integer]
Columns = dict[str, NDArray[np.generic]]

_WORD = 32
_ROWS = 4  # more are added to a table
# Synapses in a block of which each is added by itself: 4 ns each and nothing else, where a scatter
# takes 3 ns each, and what it needs of a cell a kernel of its own for each number.
_SHORT = 128
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
# What cell j delivers. It holds no barrier of a few numbers, which XLA refuses in a small loop.
Value = Callable[[Tensor], Tensor]
# A block's number, what its cell delivers, and what it is added to.
Add = Callable[[Tensor, Tensor, Tensor], Tensor]
# Takes what reads synapses out of a column of the lists, and returns where each row of what they
# deliver goes.
Targets = Callable[[Callable[[Tensor], Tensor]], list[Tensor]]


@dataclass(frozen=True)
class Lists:
    """Lists of synapses by cell.

    Attributes:
        first: Number of the first block of each cell, and of the one behind the last,
            int32 [n_cells + 1]; a cell without synapses has no block.
        other: Index of the cell on the other side, int32 [n_blocks, width]; in places that are
            empty the number of cells there.
        columns: What else is kept of each synapse, [n_blocks, width]; 0 in empty places.
        count: Number of synapses.
        single: Whether no cell has more than one block.
    """

    first: NDArray[np.int32]
    other: NDArray[np.int32]
    columns: Columns
    count: int
    single: bool


def block_width(degrees: NDArray[np.int64]) -> tuple[int, bool]:
    """Choose the width of blocks from the number of synapses of each cell.

    Returns:
        The width, and whether no cell has more than one block.
    """
    count, most = int(degrees.sum()), int(degrees.max(initial=0))
    allowed = (_WASTE_IF_SMALL if count < _SMALL else _WASTE) * count
    if most * np.count_nonzero(degrees) <= allowed:
        # Two at least: XLA makes a plain sum of adding one number, and may contract it with the
        # product that is added, which has other bits than the rows of a longer block.
        return max(most, 2), True
    for width in (1024, 512, 256, 128, 64, 32, 16):
        if int((-(-degrees // width)).sum()) * width <= allowed:
            return width, False
    return 8, False


def out_lists(
    parts: Parts,
    n_pre: int,
    n_post: int,
    dtypes: Mapping[str, np.dtype | type[np.generic]],
    single: bool = False,
) -> Lists:
    """Sort synapses by presynaptic cell, in memory of the result and a few times one part.

    Args:
        parts: Gives the synapses in parts; called twice.
        n_pre: Number of presynaptic cells, padding included.
        n_post: Number of postsynaptic cells, padding included.
        dtypes: NumPy type of each column.
        single: Whether no cell may have more than one block, whatever that leaves empty.
    """
    degrees = np.zeros(n_pre, np.int64)
    for part in parts():
        degrees += np.bincount(part.pre, minlength=n_pre)
    width, single = (max(int(degrees.max()), 2), True) if single else block_width(degrees)
    first = np.concatenate([[0], np.cumsum(-(-degrees // width))])
    size = max(int(first[-1]), 1) * width
    other = np.full(size, n_post, np.int32)
    columns = {name: np.zeros(size, dtype) for name, dtype in dtypes.items()}
    filled = first[:-1] * width
    # A number holds cell and place, which NumPy sorts several times as fast as it finds a stable
    # order of the cells; those of 32 bits twice as fast, and so many at once as a cache holds.
    bits = _WORD - int(n_pre - 1).bit_length()
    kind, bits, most = (np.uint32, bits, 1 << 18) if bits >= 18 else (np.uint64, _WORD, 1 << 20)
    for part in parts():
        for begin in range(0, len(part.pre), most):
            some = slice(begin, begin + most)
            order = part.pre[some].astype(kind) << kind(bits)
            order |= np.arange(len(order), dtype=kind)
            order.sort()
            order &= kind((1 << bits) - 1)
            counts = np.bincount(part.pre[some], minlength=n_pre)
            place = np.repeat(filled - (np.cumsum(counts) - counts), counts)
            place += np.arange(len(place))
            other[place] = part.post[some][order]
            for name, column in columns.items():
                given = part.columns[name]
                column[place] = given[0] if is_one(given) else given[some][order]
            filled = filled + counts
    shaped = {name: column.reshape(-1, width) for name, column in columns.items()}
    return Lists(
        first.astype(np.int32), other.reshape(-1, width), shaped, int(degrees.sum()), single
    )


def is_one(column: NDArray[np.generic]) -> bool:
    """Tell whether a column is one number, repeated without memory of its own."""
    return column.strides == (0,)


def in_lists(out: Lists, n_pre: int, n_post: int) -> Lists:
    """Return, for each postsynaptic cell, where its synapses are in the out-lists.

    The column `place` is the place in the flattened out-lists; in empty places their size.
    """
    flat = out.other.ravel()
    place = np.flatnonzero(flat < n_post)
    owner = np.repeat(np.arange(n_pre), np.diff(out.first))
    pre = np.repeat(owner, out.other.shape[1])[place]
    part = Part(flat[place], pre, {"place": place})
    lists = out_lists(lambda: [part], n_post, n_pre, {"place": np.int32})
    lists.columns["place"][lists.other == n_pre] = flat.size
    return lists


def over_blocks(
    first: Tensor, single: bool, cell: Tensor, body: Callable[[Tensor, State], State], state: State
) -> State:
    """Run `(block, state) -> state` over the blocks of a cell that has some."""
    if single:
        return body(row_of(first, cell), state)
    end = row_of(first, cell + 1)
    _, state = tf.while_loop(
        lambda block, _: block < end,
        lambda block, state: (block + 1, body(block, state)),
        (row_of(first, cell), state),
    )
    return state


def deliver(lists: dict[str, Tensor], single: bool, n_post: int, x: Tensor) -> Tensor:
    """Return sum over j of weight[j, i]*x[..., j] for each i, visiting only j with x not 0.

    Args:
        lists: `first`, `other` and `weight` of the out-lists.
        single: Whether no cell has more than one block.
        n_post: Number of postsynaptic cells, padding included.
        x: `[..., n_pre]`.

    Returns:
        `[..., n_post]`.
    """
    leading = x.shape[:-1]
    mask, value, height = columns_of(x)
    sending = senders(lists["first"], mask)
    total = deliver_values(lists, single, n_post, sending, value, height, x.dtype)
    return tf.reshape(total, [*leading, n_post])


def deliver_values(
    lists: dict[str, Tensor],
    single: bool,
    n_post: int,
    sending: Places,
    value: Value,
    height: int,
    dtype: tf.DType | np.dtype,
) -> Tensor:
    """Return sum over j of weight[j, i]*value(j) for each i, for some j.

    What is expensive to compute is so computed for the cells that deliver, and for no others.

    Args:
        lists: As for `deliver`.
        single: As for `deliver`.
        n_post: As for `deliver`.
        sending: The j, as `senders` found them.
        value: What cell j delivers, `[height]`.
        height: How many numbers.
        dtype: Type of the sums.

    Returns:
        `[height, n_post]`.
    """
    stride = n_post + 1
    if height > _ROWS:
        add = _to_table(lists, lambda b: row_of(lists["other"], b))
        empty = tf.zeros([stride, height], dtype)
        return tf.transpose(_visit(lists, single, sending, value, empty, add))[:, :n_post]

    # Rows behind each other, which need not be transposed.
    def rows(read: Callable[[Tensor], Tensor]) -> list[Tensor]:
        other = read(lists["other"])
        return [other + row * stride for row in range(height)]

    total = tf.zeros([height * stride], dtype)
    total = _visit(lists, single, sending, value, total, _to_vector(lists, rows))
    return tf.reshape(total, [height, stride])[:, :n_post]


def columns_of(x: Tensor) -> tuple[Tensor, Value, int]:
    """Return which columns of `[..., n]` hold anything, what takes one out, and its length."""
    rows: Tensor = tf.reshape(x, [-1, x.shape[-1]])
    columns = tf.transpose(rows)
    return tf.reduce_any(rows != 0, axis=0), lambda j: row_of(columns, j), rows.shape[0]


def deliver_later(
    lists: dict[str, Tensor],
    single: bool,
    n_post: int,
    sending: Places,
    value: Value,
    now: Tensor,
    ring: Tensor,
) -> Tensor:
    """Add weight[j, i]*value(j) to what arrives at i after the delay of each synapse.

    Args:
        lists: As for `deliver`, and `delay`, in steps, of each synapse.
        single: As for `deliver`.
        n_post: As for `deliver`.
        sending: As for `deliver_values`.
        value: As for `deliver_values`.
        now: The step's slot of the ring.
        ring: `[n_slots*(n_post + 1), height]`.

    Returns:
        The ring.
    """
    stride = n_post + 1
    n_slots = ring.shape[0] // stride

    def target(read: Callable[[Tensor], Tensor]) -> Tensor:
        slot = now + read(lists["delay"])  # no delay is as long as the ring
        slot = tf.where(slot < n_slots, slot, slot - n_slots)
        return slot * stride + read(lists["other"])

    height = ring.shape[1]
    if height > _ROWS:
        add = _to_table(lists, lambda b: target(lambda column: row_of(column, b)))
        return _visit(lists, single, sending, value, ring, add)

    def columns(read: Callable[[Tensor], Tensor]) -> list[Tensor]:
        first = target(read) * height
        return [first + column for column in range(height)]

    flat = tf.reshape(ring, [-1])
    flat = _visit(lists, single, sending, value, flat, _by_rows(lists, columns))
    return tf.reshape(flat, ring.shape)


def _visit(
    lists: dict[str, Tensor],
    single: bool,
    sending: Places,
    value: Value,
    total: Tensor,
    add: Add,
) -> Tensor:
    """Add what each cell delivers, block by block."""

    def cell(j: Tensor, total: Tensor) -> Tensor:
        column = value(j)

        def block(b: Tensor, total: Tensor) -> Tensor:
            return add(b, column, total)

        return over_blocks(lists["first"], single, j, block, total)

    return for_each(sending, cell, total)


def _to_table(lists: dict[str, Tensor], targets: Callable[[Tensor], Tensor]) -> Add:
    """Return what adds weights times a column to rows of a table `[places, height]`."""

    def add(b: Tensor, column: Tensor, table: Tensor) -> Tensor:
        added = row_of(lists["weight"], b)[:, None] * column[None]
        return tf.tensor_scatter_nd_add(table, targets(b)[:, None], added)

    return add


def _to_vector(lists: dict[str, Tensor], targets: Targets) -> Add:
    """Return what adds weights times each of a few numbers to places of its own in a vector.

    Several times as fast as to add a row to a table.
    """
    scattered = tf.executing_eagerly() or not ON_CPU
    if scattered or lists["weight"].shape[1] > _SHORT:
        return _by_rows(lists, targets)
    return _by_numbers(lists, targets)


def _by_rows(lists: dict[str, Tensor], targets: Targets) -> Add:
    """Return the same with all synapses of a block at once, as suits a device of many threads."""

    def add(b: Tensor, column: Tensor, vector: Tensor) -> Tensor:
        weight = row_of(lists["weight"], b)
        for row, places in enumerate(targets(lambda table: row_of(table, b))):
            vector = tf.tensor_scatter_nd_add(vector, places[:, None], weight * column[row])
        return vector

    return add


def _by_numbers(lists: dict[str, Tensor], targets: Targets) -> Add:
    """Return the same with one synapse after another, of which XLA makes one kernel on a CPU.

    It does so with a loop that touches few bytes in a turn and scatters nothing: with that over the
    synapses of a block, and where a cell's value is found in a few operations with that over the
    cells. Nothing in it may be a barrier, which XLA refuses in such a loop.
    """
    width = lists["weight"].shape[1]

    def add(b: Tensor, column: Tensor, vector: Tensor) -> Tensor:
        def one(k: Tensor, vector: Tensor) -> tuple[Tensor, Tensor]:
            weight = number_of(lists["weight"], b, k)
            for row, place in enumerate(targets(lambda table: number_of(table, b, k))):
                # The bits of `_by_rows`, where no product is contracted with the sum.
                added = in_each_row(weight * column[row], weight)
                vector = put(vector, place, row_of(vector, place) + added)
            return k + 1, vector

        return tf.while_loop(lambda k, _: k < width, one, (tf.constant(0), vector))[1]

    return add
