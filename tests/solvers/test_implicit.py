"""Implicit Euler: it solves its equation to round-off, and differentiates the solution."""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from somaflow.solvers.base import Problem
from somaflow.solvers.implicit import ImplicitEuler

WEIGHTS = np.random.default_rng(6).normal(size=(20, 20)) / np.sqrt(20)


def membrane(own: Any, others: Any, coupling: Any) -> Any:
    v, w = tf.unstack(own)
    heard = coupling * tf.linalg.matvec(WEIGHTS, tf.tanh(others[0]))
    return tf.stack([50.0 * (v - v * v * v / 3 - w) + heard * (1.5 - v), 0.3 * (v - w)])


def cells(coupling: Any) -> Problem:
    return Problem(
        lambda t, y: membrane(y, y, coupling),
        lambda t, y: membrane(y, tf.stop_gradient(y), coupling),
    )


@pytest.mark.parametrize("problem", ["linear", "non-autonomous", "nonlinear"])
def test_order(problem: str, global_order: Any, closed: Any) -> None:
    solver, case = ImplicitEuler(), closed[problem]
    found = global_order(solver, Problem(case.f), case, 100)
    assert found == pytest.approx(solver.order, abs=0.1)


def test_order_within_the_step(dense_order: Any, closed: Any) -> None:
    assert dense_order(ImplicitEuler(), closed["nonlinear"], 0.02) == pytest.approx(2, abs=0.1)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("coupling", [0.0, 0.3, 3.0])
def test_the_equation_is_solved_to_round_off(coupling: float, dtype: str) -> None:
    y = tf.constant(np.random.default_rng(1).normal(size=(2, 3, 20)), dtype)
    dt, weights = 0.015, tf.constant(WEIGHTS, dtype)

    def field(own: Any, others: Any) -> Any:
        v, w = tf.unstack(own)
        heard = coupling * tf.linalg.matvec(weights, tf.tanh(others[0]))
        return tf.stack([50.0 * (v - v * v * v / 3 - w) + heard * (1.5 - v), 0.3 * (v - w)])

    problem = Problem(lambda t, y: field(y, y), lambda t, y: field(y, tf.stop_gradient(y)))
    y1 = ImplicitEuler().step(problem, 0.0, dt, y, ()).y
    miss = np.abs(y1 - y - dt * problem.f(dt, y1)).max()
    assert miss < 200 * np.finfo(dtype).eps


@pytest.mark.parametrize("rate", [1e3, 1e8])
def test_one_huge_step_on_a_stiff_equation(rate: float) -> None:
    problem = Problem(lambda t, y: -rate * (y - tf.cos(t)))
    t, dt = tf.zeros([], tf.float64), tf.constant(0.5, tf.float64)
    y1 = ImplicitEuler().step(problem, t, dt, tf.constant([[1.0, 50.0]], tf.float64), ()).y
    exact = (np.array([[1.0, 50.0]]) + rate * 0.5 * np.cos(0.5)) / (1 + rate * 0.5)
    np.testing.assert_allclose(y1, exact, rtol=1e-12)


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "jit"])
def test_an_equation_without_solution_gives_nan_in_its_column_alone(compiled: bool) -> None:
    problem = Problem(lambda t, y: y * y + 1)  # y1 = y + dt*(y1**2 + 1): none if y is large

    def step(y: Any) -> Any:
        return ImplicitEuler().step(problem, 0.0, 0.25, y, ()).y

    run = tf.function(step, jit_compile=True, autograph=False) if compiled else step
    found = run(tf.constant([[0.5, 3.0, -1.0]], tf.float64)).numpy()[0]
    start = np.array([0.5, -1.0])
    np.testing.assert_allclose(found[[0, 2]], 2 - np.sqrt(3 - 4 * start), rtol=1e-13)
    assert np.isnan(found[1])


def test_a_column_has_the_same_digits_alone_and_in_company() -> None:
    problem = Problem(lambda t, y: -40.0 * y * y * y + y[::-1] * y[1:2])
    # The last column takes so many iterations that others, if they went on, would change digits.
    y = np.concatenate(
        [np.random.default_rng(7).normal(size=(3, 60)), np.full((3, 1), 9e4)], axis=1
    )
    together = ImplicitEuler().step(problem, 0.0, 0.5, tf.constant(y), ()).y.numpy()
    for k in range(y.shape[1]):
        alone = ImplicitEuler().step(problem, 0.0, 0.5, tf.constant(y[:, k : k + 1]), ()).y
        np.testing.assert_array_equal(together[:, k : k + 1], alone)


def test_blocks_of_different_shape() -> None:
    problem = Problem(lambda t, y: (-1e5 * y[0], 2.0 * y[1]))
    y = (tf.ones([2, 3], tf.float64), tf.ones([1, 4], tf.float64))
    first, second = ImplicitEuler().step(problem, 0.0, 0.1, y, ()).y
    np.testing.assert_allclose(first, np.full((2, 3), 1 / (1 + 1e4)), rtol=1e-13)
    np.testing.assert_allclose(second, np.full((1, 4), 1 / 0.8), rtol=1e-13)


def test_the_gradient_is_that_of_the_solution(slopes: Any) -> None:
    def equations(parameter: Any) -> Problem:
        return Problem(lambda t, y: tf.sin(parameter * y * y[::-1]) * tf.cos(t) - 9.0 * y * y * y)

    y0 = np.array([[0.4, -0.2], [0.8, 0.3]])
    taped, measured = slopes(ImplicitEuler(), equations, y0, 0.2)
    assert taped == pytest.approx(measured, rel=1e-7)


def test_the_gradient_reaches_other_cells(slopes: Any) -> None:
    y0 = np.random.default_rng(1).normal(size=(2, 20))
    taped, measured = slopes(ImplicitEuler(), cells, y0, 0.02)
    assert taped == pytest.approx(measured, rel=1e-6)


def test_field_is_evaluated_at_the_node() -> None:
    seen: set[float] = set()

    def f(t: float, y: Any) -> Any:
        seen.add(t)
        return -y

    ImplicitEuler().step(Problem(f), 0.3, 0.1, tf.ones([1, 1]), ())
    assert seen == {0.3 + 1.0 * 0.1}
    assert ImplicitEuler().nodes == (1.0,)
    assert ImplicitEuler() == ImplicitEuler()
