"""Places: where a mask is true, as a tree of bits, so that a loop visits those places alone."""

from collections.abc import Callable
from typing import NamedTuple, TypeVar

import numpy as np
import tensorflow as tf

from somaflow.numerics.types import Tensor

State = TypeVar("State")  # a nest of tensors

_WORD = 32


class Places(NamedTuple):
    """Where a mask is true, as a tree of bits.

    Attributes:
        levels: uint32 `[n_words]` each. A bit of the first level says that the mask is true, one of
            the others that a word of the level before is not 0. The last level is one word.
    """

    levels: tuple[Tensor, ...]

    @property
    def some(self) -> Tensor:
        """Whether the mask is true anywhere."""
        return self.levels[-1][0] != 0


def places(mask: Tensor) -> Places:
    """Find where a mask `[n]` is true."""
    return _tree(_packed(mask))


def senders(first: Tensor, mask: Tensor) -> Places:
    """Find the cells of a mask `[n]` that have synapses; only those may be visited.

    Args:
        first: Of the lists.
        mask: Which cells there is something to do for.
    """
    # Packed by itself, so that all lists of a population share it.
    having = _packed(first[1:] > first[:-1])
    return _tree(tf.bitwise.bitwise_and(_packed(mask), having))


def _tree(words: Tensor) -> Places:
    levels = [words]
    while levels[-1].shape[0] > 1:
        levels.append(_packed(levels[-1] != 0))
    return Places(tuple(levels))


def _packed(mask: Tensor) -> Tensor:
    """Return a mask as words of 32 bits."""
    n = mask.shape[0]
    n_words = max(-(-n // _WORD), 1)
    bits = tf.constant((1 << np.arange(_WORD, dtype=np.uint64)).astype(np.uint32))
    padded = tf.reshape(tf.pad(mask, [[0, n_words * _WORD - n]]), [n_words, _WORD])
    return tf.reduce_sum(tf.where(padded, bits[None], tf.zeros_like(bits)[None]), axis=1)


def for_each(where: Places, body: Callable[[Tensor, State], State], state: State) -> State:
    """Run a loop over some places in ascending order.

    Args:
        where: The places.
        body: `(place, state) -> state`.
        state: A nest of tensors.
    """
    levels = where.levels

    # Where the loop stands is one vector: each number by itself would be a kernel of its own.
    # First, of each level, the word that leads to the place, without the bits that are done; then
    # the number of that word. Numbers are carried along rather than looked up: a slice that begins
    # at a number out of another table would be compiled anew for each.
    def standing(words: list[Tensor], numbers: list[Tensor]) -> Tensor:
        return tf.stack([*(tf.bitcast(word, tf.int32) for word in words), *numbers])

    def one(at: Tensor, state: State) -> tuple[Tensor, State]:
        rows = tf.unstack(at)
        words = [tf.bitcast(row, tf.uint32) for row in rows[: len(levels)]]
        numbers = rows[len(levels) :]
        state = body(numbers[0] * _WORD + _lowest(words[0]), state)
        done = tf.constant(True)
        for level, word in enumerate(words):
            left = tf.where(done, tf.bitwise.bitwise_and(word, word - 1), word)
            words[level], done = left, done & (left == 0)
        return standing(*_descended(levels, words, numbers)), state

    words = [*(tf.zeros_like(level[0]) for level in levels[:-1]), levels[-1][0]]
    start = standing(*_descended(levels, words, [tf.constant(0)] * len(levels)))
    return tf.while_loop(lambda at, _: at[len(levels) - 1] != 0, one, (start, state))[1]


def _descended(
    levels: tuple[Tensor, ...], words: list[Tensor], numbers: list[Tensor]
) -> tuple[list[Tensor], list[Tensor]]:
    """Return words and numbers with the words that are 0 replaced by where those above lead."""
    words, numbers = [*words], [*numbers]
    for level in reversed(range(len(levels) - 1)):
        empty = words[level] == 0
        below = numbers[level + 1] * _WORD + _lowest(words[level + 1])
        following = tf.minimum(below, levels[level].shape[0] - 1)  # behind the last place: any
        numbers[level] = tf.where(empty, following, numbers[level])
        words[level] = tf.where(empty, tf.gather(levels[level], following), words[level])
    return words, numbers


def _lowest(word: Tensor) -> Tensor:
    """Return the number of the lowest bit of a word; 32 of an empty one."""
    below = tf.bitwise.bitwise_and(tf.bitwise.invert(word), word - 1)
    return tf.cast(tf.raw_ops.PopulationCount(x=tf.bitcast(below, tf.int32)), tf.int32)
