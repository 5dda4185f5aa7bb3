"""The Rosenbrock-W method: its table, its orders, and stiff equations."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from somaflow.solvers.base import Problem
from somaflow.solvers.rosenbrock import ROS34PW2, Rosenbrock

PROBLEMS = ["linear", "non-autonomous", "nonlinear"]


@pytest.mark.parametrize("problem", PROBLEMS)
def test_order(problem: str, global_order: Any, closed: Any) -> None:
    case = closed[problem]
    assert Rosenbrock().order == 3
    found = global_order(Rosenbrock(), Problem(case.f), case, 160)
    assert found == pytest.approx(3, abs=0.1)


@pytest.mark.parametrize("problem", ["linear", "nonlinear"])
def test_the_order_stands_a_wrong_jacobian(problem: str, global_order: Any, closed: Any) -> None:
    f = closed[problem].f

    def local(t: Any, y: Any) -> Any:
        held = tf.stop_gradient(y)
        return f(t, tf.stack([y[0], held[1]])) - 3.0 * (y - held)

    found = global_order(Rosenbrock(), Problem(f, local), closed[problem], 160)
    assert found == pytest.approx(3, abs=0.1)


def test_the_order_stands_an_unknown_time_derivative(closed: Any) -> None:
    case, ends = closed["non-autonomous"], []
    for count in (80, 160):
        y, dt = tf.constant(case.y0), 2.0 / count
        for k in range(count):
            # A Python number, of which nothing can be differentiated.
            y = Rosenbrock().step(Problem(timed(case.f)), k * dt, dt, y, ()).y
        ends.append(np.linalg.norm(y - case.solution(2.0, case.y0)))
    assert np.log2(ends[0] / ends[1]) == pytest.approx(3, abs=0.1)


def timed(f: Any) -> Any:
    return lambda t, y: f(tf.constant(t, tf.float64), y)


def test_time_is_treated_like_a_component() -> None:
    def f(t: Any, y: Any) -> Any:
        return tf.sin(3.0 * t) * y * y - tf.exp(t)

    with_time = Problem(lambda t, y: tf.concat([f(y[1:], y[:1]), tf.ones_like(y[1:])], 0))
    dt = tf.constant(0.4, tf.float64)
    y, t = np.array([[0.7, -0.2]]), np.array([0.5, 0.8])
    found = Rosenbrock().step(Problem(f), tf.constant(t), dt, tf.constant(y), ())
    both = tf.constant(np.concatenate([y, t[None]]))
    wanted = Rosenbrock().step(with_time, tf.zeros_like(dt), dt, both, ())
    np.testing.assert_allclose(found.y, wanted.y[:1], rtol=1e-13)
    np.testing.assert_allclose(found.error, wanted.error[:1], rtol=1e-11)


@pytest.mark.parametrize("problem", PROBLEMS)
def test_order_within_the_step(problem: str, dense_order: Any, closed: Any) -> None:
    assert dense_order(Rosenbrock(), closed[problem], 0.02) == pytest.approx(4, abs=0.1)


def test_the_error_estimate_falls_with_its_order(error_falls_as: Any, closed: Any) -> None:
    found = error_falls_as(Rosenbrock(), closed["nonlinear"], 0.02)
    assert found == pytest.approx(Rosenbrock().error_order + 1, abs=0.1)


@pytest.mark.parametrize("rate", [1e3, 1e8])
def test_one_huge_step_on_a_stiff_equation(rate: float) -> None:
    problem = Problem(lambda t, y: -rate * (y - tf.cos(t)))
    t, dt = tf.constant(0.6, tf.float64), tf.constant(0.5, tf.float64)
    y = tf.constant([[np.cos(0.6), 50.0]])  # on the slow solution, and far from it
    step = Rosenbrock().step(problem, t, dt, y, ())
    np.testing.assert_allclose(step.y, [[np.cos(1.1)] * 2], atol=0.001 + 300 / rate)
    assert abs(float(step.y[0, 0]) - np.cos(1.1)) < 1e-3
    inside = [sum(c.numpy() * s**k for k, c in enumerate(step.dense())) for s in (0.3, 0.7)]
    assert np.abs(inside).max() < 51


def test_a_stiff_and_nonlinear_equation(integrate: Any) -> None:
    def van_der_pol(t: Any, y: Any) -> Any:
        return tf.stack([y[1], 1e4 * ((1 - y[0] * y[0]) * y[1] - y[0])])

    run = integrate(Rosenbrock(), Problem(van_der_pol))
    start = np.array([[2.0], [-2 / 3]])
    # On the slow manifold: ln(x) - x**2/2 grows by t, up to terms in 1e-4.
    x = run(start, 0.5, 100)[0, 0]
    assert np.log(x) - x * x / 2 - np.log(2) + 2 == pytest.approx(0.5, abs=1e-3)


def test_field_is_evaluated_at_the_nodes() -> None:
    seen: list[float] = []

    def f(t: float, y: Any) -> Any:
        seen.append(t)
        return -y

    solver = Rosenbrock()
    solver.step(Problem(f), 1.0, 0.5, tf.ones([1, 1]), ())
    assert len(solver.nodes) == 4
    assert sorted(seen) == [1.0 + c * 0.5 for c in solver.nodes]


def test_blocks_are_solved_each_by_itself() -> None:
    problem = Problem(lambda t, y: (-1e5 * y[0], 2.0 * y[1]))
    y = (tf.ones([2, 3], tf.float64), tf.ones([1, 4], tf.float64))
    step = Rosenbrock().step(problem, 0.0, 0.1, y, ())
    np.testing.assert_allclose(step.y[0], np.zeros((2, 3)), atol=1e-3)
    np.testing.assert_allclose(step.y[1], np.full((1, 4), np.exp(0.2)), rtol=1e-3)
    for part in (step.error, *step.dense()):
        tf.nest.assert_same_structure(part, y)


def test_the_gradient_is_that_of_the_steps(slopes: Any) -> None:
    def equations(parameter: Any) -> Problem:
        return Problem(lambda t, y: tf.sin(parameter * y * y[::-1]) * tf.cos(t) - y * y * y)

    y0 = np.array([[0.4, -0.2], [0.8, 0.3]])
    taped, measured = slopes(Rosenbrock(), equations, y0, 0.2)
    assert taped == pytest.approx(measured, rel=1e-7)


def moved(numbers: tuple[float, ...], by: float) -> tuple[float, ...]:
    return (numbers[0] - by, *numbers[1:-1], numbers[-1] + by)


BROKEN = {
    "b": ({"b": moved(ROS34PW2.b, 1e-9)}, "order condition 0.5 gives"),
    "b_error": ({"b_error": moved(ROS34PW2.b_error, 1e-9)}, "embedded: order condition 0.5"),
    "embedded order": ({"error_order": 3}, "embedded: order condition 0.333"),
    # Enough for the exact Jacobian, not for any: alpha and gamma exchange in their sum.
    "gamma": (
        {
            "alpha": ((ROS34PW2.alpha[0][0] + 1e-9,), *ROS34PW2.alpha[1:]),
            "gamma": ((ROS34PW2.gamma[0][0] - 1e-9,), *ROS34PW2.gamma[1:]),
        },
        "order condition 0.5 gives",
    ),
    "row": ({"alpha": ((1.0, 1.0), *ROS34PW2.alpha[1:])}, "row 1 has 2 numbers"),
    "the last stage": (
        {
            "order": 1,
            "error_order": 1,
            "gamma": (*ROS34PW2.gamma[:2], moved(ROS34PW2.gamma[2], 1e-9)),
        },
        "not stiffly accurate",
    ),
    "damping": (
        {
            "order": 1,
            "error_order": 1,
            "alpha": (),
            "gamma": (),
            "b": (1.0,),
            "b_error": (1.0,),
            "gamma_diagonal": 0.5,
        },
        "not stiffly accurate|not L-stable",
    ),
}


@pytest.mark.parametrize(("change", "message"), BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_table_is_refused(change: dict, message: str) -> None:
    with pytest.raises(ArithmeticError, match=message):
        replace(ROS34PW2, **change)


def test_stability_on_the_left_half_plane() -> None:
    alpha, gamma = ROS34PW2._matrices()
    z = -np.logspace(-3, 6, 60)[:, None] * np.exp(1j * np.linspace(0, np.pi / 2, 40))
    beta, b, ones = alpha + gamma, np.array(ROS34PW2.b), np.ones(4)
    growth = [1 + x * b @ np.linalg.solve(np.eye(4) - x * beta, ones) for x in z.ravel()]
    assert np.abs(growth).max() <= 1 + 1e-12


def test_methods_are_equal_by_value() -> None:
    assert Rosenbrock() == Rosenbrock()
    assert hash(Rosenbrock()) == hash(Rosenbrock())
    assert Rosenbrock().stiff
