"""Rows of blocks that a graph knows, and tapes that have to see where they come from."""

from typing import Any

import numpy as np
import tensorflow as tf

from somaflow.numerics.rows import rows_of, stacked, watched_by_row


def compiled(function, *arguments):
    return tf.function(function, jit_compile=True, autograph=False)(*arguments)


def test_a_graph_takes_a_block_apart_once() -> None:
    def square(y: tf.Tensor) -> tf.Tensor:
        assert rows_of(y)[0] is rows_of(y)[0]
        again = stacked([row * row for row in rows_of(y)])
        assert rows_of(again)[1] is rows_of(again)[1]
        return again

    assert compiled(square, tf.constant([[1.0], [3.0]])).numpy().tolist() == [[1.0], [9.0]]


def test_a_tape_sees_that_rows_come_from_the_block_that_it_watches() -> None:
    def slope(y: tf.Tensor) -> Any:
        rows_of(y)
        with tf.GradientTape() as tape:
            tape.watch(y)
            first, second = rows_of(y)
            product = first * second
        return tape.gradient(product, y)

    y = tf.constant([[2.0, 3.0], [5.0, 7.0]])
    assert compiled(slope, y).numpy().tolist() == [[5.0, 7.0], [2.0, 3.0]]


def test_rows_that_a_tape_watches_are_those_of_the_block_made_of_them() -> None:
    def slope(y: tf.Tensor) -> Any:
        rows = tuple(map(tf.identity, tf.unstack(y)))
        with tf.GradientTape() as tape:
            tape.watch(rows[0])
            with watched_by_row():
                first, second = rows_of(stacked(rows))
            assert first is rows[0]
            product = first * second
        return tape.gradient(product, rows[0])

    assert compiled(slope, tf.constant(np.array([[2.0], [5.0]]))).numpy().tolist() == [5.0]
