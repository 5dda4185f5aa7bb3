"""Derivatives within columns, against derivatives by hand."""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from somaflow.solvers.base import Problem
from somaflow.solvers.derivatives import (
    WRITTEN_OUT,
    blocks,
    diagonal,
    factorised,
    identity_minus,
    jacobians,
    solve_columns,
    time_slope,
)
from somaflow.solvers.pattern import Pattern

RNG = np.random.default_rng(5)
Y = RNG.normal(size=(3, 4))


def f(t: Any, y: Any) -> Any:
    a, b, c = tf.unstack(y)
    return tf.stack([tf.sin(t) * b * c, a * a * tf.exp(-b) + t * t * c, tf.tanh(a * b) - c])


def by_hand(t: Any, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    a, b, c = y
    zero, tanh = np.zeros_like(a), np.tanh(a * b)
    jacobian = [
        [zero, np.sin(t) * c, np.sin(t) * b],
        [2 * a * np.exp(-b), -a * a * np.exp(-b), t * t + zero],
        [b * (1 - tanh**2), a * (1 - tanh**2), zero - 1],
    ]
    return np.array(jacobian), np.array([np.cos(t) * b * c, 2 * t * c, zero])


TIMES = {"scalar": np.array(0.7), "a time a column": np.array([0.1, 0.7, -0.4, 2.0])}


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "jit"])
@pytest.mark.parametrize("time", TIMES)
def test_blocks(time: str, compiled: bool) -> None:
    run = tf.function(blocks, jit_compile=True, autograph=False) if compiled else blocks
    slope, matrices, later = run(Problem(f), tf.constant(TIMES[time]), tf.constant(Y))
    jacobian, by_time = by_hand(TIMES[time], Y)
    np.testing.assert_allclose(slope, f(TIMES[time], tf.constant(Y)), rtol=1e-14)
    np.testing.assert_allclose(matrices, np.moveaxis(jacobian, 2, 0), rtol=1e-13, atol=1e-15)
    np.testing.assert_allclose(later, by_time, rtol=1e-13, atol=1e-15)


def test_diagonal() -> None:
    t = np.array(0.7)
    slope, rates = diagonal(Problem(f), tf.constant(t), tf.constant(Y))
    np.testing.assert_array_equal(slope, f(tf.constant(t), tf.constant(Y)))
    np.testing.assert_allclose(rates, np.einsum("iir->ir", by_hand(t, Y)[0]), rtol=1e-13)


def test_what_does_not_depend_has_zero_derivatives() -> None:
    problem, y = Problem(lambda t, y: tf.ones_like(y)), tf.constant(Y)
    for t in (tf.constant(0.5, tf.float64), 0.5):
        _, matrices, later = blocks(problem, t, y)
        assert matrices.shape == (4, 3, 3)
        assert not np.any(matrices)
        assert not np.any(later)
    assert not np.any(diagonal(problem, 0.5, y)[1])
    assert not np.any(time_slope(Problem(lambda t, y: t * y), 0.5, y))


def test_a_single_column_and_batches_of_columns() -> None:
    def square(t: Any, y: Any) -> Any:
        return tf.stack([y[0] * y[1], y[1] * y[1]])

    for shape in ((2,), (2, 5), (2, 3, 4)):
        y = RNG.normal(size=shape)
        _, matrices = jacobians(Problem(square), 0.0, tf.constant(y))
        wanted = np.array([[y[1], y[0]], [0 * y[0], 2 * y[1]]])
        np.testing.assert_allclose(matrices, np.moveaxis(wanted, (0, 1), (-2, -1)))


WEIGHTS = np.array([[0.0, 0.3], [-0.5, 0.2]])


def coupled(own: Any, others: Any) -> Any:
    """Two populations of different size and number of states; cells hear all cells."""
    heard = tf.linalg.matvec(WEIGHTS, others[0][0]), tf.reduce_sum(others[0][1])
    first = tf.stack([-own[0][0] + heard[0] * own[0][1], own[0][0] * own[0][1]])
    return first, tf.sin(own[1]) * heard[1]


COUPLED = Problem(
    lambda t, y: coupled(y, y), lambda t, y: coupled(y, tf.nest.map_structure(tf.stop_gradient, y))
)
STATE = (RNG.normal(size=(2, 2)), RNG.normal(size=(1, 3)))


def test_other_columns_are_held_constant() -> None:
    y = tuple(map(tf.constant, STATE))
    (a, b), (c,) = STATE
    heard = WEIGHTS @ a
    slope, rates = diagonal(COUPLED, 0.0, y)
    np.testing.assert_allclose(rates[0], [-np.ones(2), a])
    np.testing.assert_allclose(rates[1], [np.cos(c) * b.sum()])
    again, matrices = jacobians(COUPLED, 0.0, y)
    wanted = np.array([[-np.ones(2), heard], [b, a]])
    np.testing.assert_allclose(matrices[0], np.moveaxis(wanted, 2, 0))
    np.testing.assert_allclose(matrices[1][:, 0, 0], np.cos(c) * b.sum())
    tf.nest.map_structure(np.testing.assert_array_equal, slope, again)


def test_an_outer_tape_sees_the_other_columns_through_the_slope() -> None:
    y = tuple(map(tf.constant, STATE))
    with tf.GradientTape() as tape:
        tape.watch(y)
        total = tf.reduce_sum(diagonal(COUPLED, 0.0, y)[0][1])
    found = tape.gradient(total, y)
    np.testing.assert_allclose(found[0], [np.zeros(2), np.full(2, np.sin(STATE[1]).sum())])


def test_derivatives_are_differentiable_inside_a_compiled_loop() -> None:
    problem, eye = Problem(f), np.eye(3)[:, :1]

    def loss(y: Any) -> Any:
        def body(k: Any, y: Any) -> tuple[Any, Any]:
            t = 0.1 * tf.cast(k, tf.float64)
            slope, matrices, later = blocks(problem, t, y)
            change = solve_columns(identity_minus(tf.constant(0.2, tf.float64), matrices), slope)
            return k + 1, y + 0.1 * (change + later) * tf.exp(diagonal(problem, t, y)[1])

        loop = tf.while_loop(lambda k, _: k < 3, body, (0, y), maximum_iterations=3)
        return tf.reduce_sum(loop[1] ** 2)

    @tf.function(jit_compile=True, autograph=False)
    def differentiated(y: Any) -> tuple[Any, Any]:
        with tf.GradientTape() as tape:
            tape.watch(y)
            value = loss(y)
        return value, tape.gradient(value, y)

    h = 1e-6
    ends = [differentiated(tf.constant(0.5 * Y + sign * h * eye))[0] for sign in (1, -1)]
    taped = (differentiated(tf.constant(0.5 * Y))[1].numpy() * eye).sum()
    assert taped == pytest.approx(float((ends[0] - ends[1]) / (2 * h)), rel=1e-7)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_columns_are_solved_with_pivots(dtype: str) -> None:
    # Without exchange of rows the first would divide by zero, the second lose all digits.
    matrices = np.array([[[0, 1], [1, 0]], [[1e-20, 1], [1, 1]]], dtype)
    x = np.array([[3, 1], [5, 1]], dtype)
    block = np.einsum("rij,jr->ir", matrices, x)
    solve = tf.function(solve_columns, jit_compile=True, autograph=False)
    for solved in (solve_columns, solve):
        found = solved(tf.constant(matrices), tf.constant(block))
        np.testing.assert_allclose(found, x, rtol=1e-6 if dtype == "float32" else 1e-15)


def test_a_step_size_for_each_column() -> None:
    matrices = RNG.normal(size=(4, 3, 3))
    dt = np.array([0.1, 0.2, 0.3, 0.4])
    found = identity_minus(tf.constant(dt), tf.constant(matrices))
    np.testing.assert_allclose(found, np.eye(3) - dt[:, None, None] * matrices)
    np.testing.assert_allclose(
        identity_minus(0.1, tf.constant(matrices)), np.eye(3) - 0.1 * matrices
    )


def neighbours(t: Any, y: Any) -> Any:
    around = tf.pad(y, [[1, 1], [0, 0]])
    return tf.sin(t) * y * around[2:] - around[:-2] ** 2


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "jit"])
@pytest.mark.parametrize("known", [False, True], ids=["any", "neighbours"])
def test_many_components(known: bool, compiled: bool) -> None:
    n = WRITTEN_OUT + 6
    near = np.nonzero(np.abs(np.subtract.outer(np.arange(n), np.arange(n))) <= 1)
    pattern = Pattern(n, *(index.astype(np.int32) for index in near)) if known else None
    y = RNG.normal(size=(n, 2))
    up, down = np.vstack([y[1:], 0 * y[:1]]), np.vstack([0 * y[:1], y[:-1]])
    wanted = np.zeros((2, n, n))
    place = np.arange(n)
    wanted[:, place, place] = (np.sin(0.7) * up).T
    wanted[:, place[:-1], place[1:]] = (np.sin(0.7) * y[:-1]).T
    wanted[:, place[1:], place[:-1]] = (-2 * down[1:]).T

    def both(t: Any, y: Any) -> Any:
        problem = Problem(neighbours, pattern=pattern)
        slope, matrices = jacobians(problem, t, y)
        shifted = factorised(identity_minus(tf.constant(0.1, tf.float64), matrices))
        return slope, solve_columns(shifted, slope), diagonal(problem, t, y)[1]

    run = tf.function(both, jit_compile=True, autograph=False) if compiled else both
    slope, solved, rates = run(tf.constant(0.7, tf.float64), tf.constant(y))
    np.testing.assert_allclose(slope, np.sin(0.7) * y * up - down**2, rtol=1e-13)
    np.testing.assert_allclose(rates, (np.sin(0.7) * up), rtol=1e-13)
    right = np.linalg.solve(np.eye(n) - 0.1 * wanted, slope.numpy().T[..., None])[..., 0].T
    np.testing.assert_allclose(solved, right, rtol=1e-12)
