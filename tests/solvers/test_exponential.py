"""Exponential methods: exact where a component is affine in itself, of their order elsewhere."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from somaflow.solvers.base import Problem
from somaflow.solvers.exponential import ExponentialEuler, ExponentialMidpoint

METHODS = {1: ExponentialEuler, 2: ExponentialMidpoint}


@pytest.mark.parametrize("order", METHODS)
@pytest.mark.parametrize("problem", ["linear", "non-autonomous", "nonlinear"])
def test_order(order: int, problem: str, global_order: Any, closed: Any) -> None:
    solver, case = METHODS[order](), closed[problem]
    assert solver.order == order
    found = global_order(solver, Problem(case.f), case, 400)
    assert found == pytest.approx(order, abs=0.1)


@pytest.mark.parametrize("order", METHODS)
def test_order_within_the_step(order: int, dense_order: Any, closed: Any) -> None:
    # The midpoint itself comes from a step of order 1, so both miss by the second power.
    found = dense_order(METHODS[order](), closed["nonlinear"], 0.02)
    assert found == pytest.approx(2, abs=0.1)


@pytest.mark.parametrize("order", METHODS)
@pytest.mark.parametrize("dt", [0.1, 30.0, 1e4])
def test_an_affine_equation_is_exact_at_any_step(order: int, dt: float) -> None:
    problem = Problem(lambda t, y: (2.0 - y) * np.array([[3.0], [0.01]]))
    y = np.array([[5.0, -1.0], [0.5, 9.0]])
    step = METHODS[order]().step(problem, 0.0, dt, tf.constant(y), ())
    exact = 2 + (y - 2) * np.exp(-dt * np.array([[3.0], [0.01]]))
    np.testing.assert_allclose(step.y, exact, rtol=1e-12)


def test_the_quadratic_goes_through_the_midpoint() -> None:
    problem, y = Problem(lambda t, y: 1.0 - y), tf.constant([[4.0]], tf.float64)
    step = ExponentialMidpoint().step(problem, 0.0, 0.8, y, ())
    middle = sum(c * 0.5**k for k, c in enumerate(step.dense()))
    np.testing.assert_allclose(middle, [[1 + 3 * np.exp(-0.4)]], rtol=1e-14)


@pytest.mark.parametrize("order", METHODS)
def test_field_is_evaluated_at_the_nodes(order: int) -> None:
    seen: list[float] = []

    def f(t: float, y: Any) -> Any:
        seen.append(t)
        return -y

    solver = METHODS[order]()
    solver.step(Problem(f), 1.0, 0.5, tf.ones([1, 1]), ())
    assert seen == [1.0 + c * 0.5 for c in solver.nodes]


@pytest.mark.parametrize("order", METHODS)
def test_coupling_between_cells_keeps_the_order(order: int, integrate: Any) -> None:
    weights = np.random.default_rng(2).normal(size=(5, 5))

    def field(own: Any, others: Any) -> Any:
        v, w = tf.unstack(own)
        heard = tf.linalg.matvec(weights, tf.tanh(others[0]))
        return tf.stack([v - v**3 / 3 - w + heard * (1.5 - v), 0.3 * (v - w)])

    problem = Problem(lambda t, y: field(y, y), local=lambda t, y: field(y, tf.stop_gradient(y)))
    run, y0 = integrate(METHODS[order](), problem), np.linspace(-1, 1, 10).reshape(2, 5)
    ends = [run(y0, 1.0, n) for n in (200, 400, 800)]
    change = [np.linalg.norm(b - a) for a, b in pairwise(ends)]
    assert np.log2(change[0] / change[1]) == pytest.approx(order, abs=0.1)


@pytest.mark.parametrize("order", METHODS)
def test_the_gradient_is_that_of_the_steps(order: int, slopes: Any) -> None:
    def equations(parameter: Any) -> Problem:
        return Problem(lambda t, y: tf.sin(parameter * y * y[::-1]) * tf.cos(t) - y * y * y)

    y0 = np.array([[0.4, -0.2], [0.8, 0.3]])
    taped, measured = slopes(METHODS[order](), equations, y0, 0.2)
    assert taped == pytest.approx(measured, rel=1e-7)


def test_methods_are_equal_by_value() -> None:
    assert ExponentialEuler() == ExponentialEuler()
    assert len({ExponentialEuler(), ExponentialMidpoint(), ExponentialMidpoint()}) == 2
