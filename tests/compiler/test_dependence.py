"""Who acts on whom, read off the operations: never less than the derivatives show."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from somaflow.compiler.dependence import pattern
from somaflow.numerics import functions

N = 36
RNG = np.random.default_rng(2)
MIXED = RNG.permutation(N)
KERNEL = np.array([[0.0, 1, 0], [1, -4, 1], [0, 1, 0]]).reshape(3, 3, 1, 1)


def around(y: Any) -> Any:
    return tf.pad(y, [[1, 1], [0, 0]])


def before(y: Any) -> Any:
    return around(y)[:-2]


def after(y: Any) -> Any:
    return around(y)[2:]


def two(t: Any, y: Any, p: Any) -> Any:
    u, v = y[: N // 2], y[N // 2 :]
    return tf.concat([before(u) - u**3 - v, 0.1 * (u - v)], axis=0)


def conv(t: Any, y: Any, p: Any) -> Any:
    square = tf.reshape(y, [1, 6, 6, 1])
    return tf.reshape(tf.nn.conv2d(square, tf.constant(KERNEL), 1, "SAME"), [N, 1])


def guarded(t: Any, y: Any, p: Any) -> Any:
    """Not a number at y = 0 in the branch that is not taken."""
    return tf.where(y == 0, tf.ones_like(y), after(y) / y)


# Each function, and the most entries that its pattern may have.
BANDS: dict[str, tuple[Callable[..., Any], int]] = {
    "heat": (lambda t, y, p: before(y) - 2 * y + after(y), 3 * N),
    "upwind": (lambda t, y, p: tf.where(y > 0, y - before(y), after(y) - y), 3 * N),
    "kinks": (
        lambda t, y, p: (
            tf.maximum(after(y), 0.0) + tf.nn.relu(before(y)) - tf.clip_by_value(y, -1.0, 1.0)
        ),
        3 * N,
    ),
    "ring": (lambda t, y, p: tf.roll(y, 1, 0) + tf.roll(y, -1, 0), 2 * N),
    "sine": (lambda t, y, p: functions.sin(y) * after(y) + functions.exprel(y), 2 * N),
    "power of a parameter": (lambda t, y, p: tf.pow(y, p["zero"]) * after(y), 2 * N),
    "product with zero": (lambda t, y, p: p["zero"] * after(y), N),
    "guarded": (guarded, 2 * N),
    "two variables": (two, 3 * N),
    "chosen": (lambda t, y, p: tf.gather(y, p["mixed"]), N),
    "held": (lambda t, y, p: tf.stop_gradient(y) * tf.cast(y > 0, y.dtype), N),
    "convolution": (conv, 9 * N),
    "time": (lambda t, y, p: tf.sin(t) * y, N),
    "constant": (lambda t, y, p: tf.ones_like(y), 0),
}
UNKNOWN: dict[str, Callable[..., Any]] = {
    "mean": lambda t, y, p: y - tf.reduce_mean(y),
    "sorted": lambda t, y, p: tf.sort(y, axis=0),
    "chosen by the state": lambda t, y, p: tf.gather(y, tf.cast(y[:, 0], tf.int32)),
    "chosen by a truth": lambda t, y, p: tf.gather(y, tf.cast(y[:, 0] > 0, tf.int32)),
    "branch": lambda t, y, p: tf.cond(t > 0, lambda: y, lambda: tf.roll(y, 1, 0)),
    "matrix": lambda t, y, p: tf.matmul(tf.eye(N, dtype=y.dtype), y),
}


def given(dtype: Any = tf.float64) -> Any:
    parameters = {"zero": tf.zeros([], dtype), "mixed": tf.constant(MIXED)}
    return tf.zeros([], dtype), tf.zeros([N, 1], dtype), parameters


@pytest.mark.parametrize("name", BANDS)
def test_a_pattern_covers_the_derivatives(name: str) -> None:
    f, most = BANDS[name]
    found = pattern(f, N, given())
    assert found is not None
    assert len(found.rows) <= most
    mask = np.zeros((N, N), bool)
    mask[found.rows, found.columns] = True
    parameters = {"zero": tf.constant(2.0, tf.float64), "mixed": tf.constant(MIXED)}
    for _ in range(3):
        y = tf.constant(RNG.normal(size=(N, 1)))
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(y)
            rows = tf.unstack(f(tf.constant(0.3, tf.float64), y, parameters))
        for k, row in enumerate(rows):
            by = tape.gradient(row, y, unconnected_gradients=tf.UnconnectedGradients.ZERO)
            assert not (tf.convert_to_tensor(by).numpy()[:, 0] != 0)[~mask[k]].any()


@pytest.mark.parametrize("name", UNKNOWN)
def test_nothing_is_said_of_what_is_full_or_unknown(name: str) -> None:
    assert pattern(UNKNOWN[name], N, given()) is None


def test_in_float32_and_with_what_the_function_refers_to() -> None:
    weights = tf.constant(RNG.normal(size=(N, 1)), tf.float32)
    found = pattern(lambda t, y, p: weights * before(y) * p["zero"], N, given(tf.float32))
    assert found is not None
    assert set(found.rows - found.columns) == {1}
