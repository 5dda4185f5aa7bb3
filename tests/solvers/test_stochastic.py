"""Stochastic methods: strong orders on paths that are known, and which integral they are for."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from somaflow.solvers.base import Problem
from somaflow.solvers.runge_kutta import Euler, Heun
from somaflow.solvers.stochastic import EulerMaruyama, Milstein, StochasticHeun

METHODS = (EulerMaruyama(), Milstein(), StochasticHeun())
DRIFT, SPREAD, PATHS, FINEST = 0.4, 0.9, 4000, 256
# Geometric Brownian motion: dX = DRIFT*X dt + SPREAD*X dW.
GROWTH = Problem(lambda t, y: DRIFT * y, diffusion=lambda t, y: SPREAD * y)


def brownian() -> np.ndarray:
    """The increments of every path over the unit of time, at the finest step."""
    return np.random.default_rng(8).normal(scale=FINEST**-0.5, size=(FINEST, 1, PATHS))


def follow(solver: Any, problem: Problem, y: Any, increments: np.ndarray) -> np.ndarray:
    dt = tf.constant(1.0 / len(increments), tf.float64)

    @tf.function(jit_compile=True, autograph=False)
    def compiled(y: Any, noise: Any) -> Any:
        def body(k: Any, y: Any) -> tuple[Any, Any]:
            t = tf.cast(k, tf.float64) * dt
            return k + 1, solver.step(problem, t, dt, y, (), noise[k]).y

        return tf.while_loop(lambda k, _: k < len(increments), body, (0, y))[1]

    return compiled(tf.constant(y), tf.constant(increments)).numpy()


@pytest.mark.parametrize("solver", METHODS, ids=lambda s: s.name)
def test_strong_order(solver: Any) -> None:
    increments = brownian()
    correction = {"Ito": SPREAD**2 / 2, "Stratonovich": 0.0}[solver.calculus]
    exact = np.exp(DRIFT - correction + SPREAD * increments.sum(axis=0))
    errors = []
    for count in (32, 64, 128, 256):
        coarse = increments.reshape(count, -1, 1, PATHS).sum(axis=1)  # the same paths
        found = follow(solver, GROWTH, np.ones((1, PATHS)), coarse)
        errors.append(np.abs(found - exact).mean())
    slope = np.log2(errors[0] / errors[-1]) / 3
    assert slope == pytest.approx(solver.order, abs=0.15), errors
    assert all(fine < coarse for coarse, fine in pairwise(errors))


def test_ito_and_stratonovich_have_means_of_their_own() -> None:
    increments = brownian()
    means = {"Ito": np.exp(DRIFT), "Stratonovich": np.exp(DRIFT + SPREAD**2 / 2)}
    for solver in METHODS:
        found = follow(solver, GROWTH, np.ones((1, PATHS)), increments)
        distance = {
            kind: abs(found.mean() - mean) / (found.std() / PATHS**0.5)
            for kind, mean in means.items()
        }
        other = ({*means} - {solver.calculus}).pop()
        assert distance[solver.calculus] < 3
        assert distance[other] > 10


def test_constant_diffusion_needs_no_correction() -> None:
    problem = Problem(lambda t, y: -y, diffusion=lambda t, y: 0.5 * tf.ones_like(y))
    y, noise = tf.constant([[1.0, 2.0]], tf.float64), tf.constant([[0.3, -0.1]], tf.float64)
    first, second = (s.step(problem, 0.0, 0.1, y, (), noise).y for s in METHODS[:2])
    np.testing.assert_array_equal(first, second)
    np.testing.assert_allclose(first, [[0.9 + 0.15, 1.8 - 0.05]], rtol=1e-15)


def test_milstein_corrects_each_component_by_its_own_derivative() -> None:
    problem = Problem(
        lambda t, y: tf.zeros_like(y), diffusion=lambda t, y: tf.stack([y[0] ** 2, tf.sin(y[1])])
    )
    y, dw, dt = np.array([[1.5], [0.4]]), np.array([[0.2], [-0.3]]), 0.1
    found = Milstein().step(problem, 0.0, dt, tf.constant(y), (), tf.constant(dw)).y
    g = np.array([[1.5**2], [np.sin(0.4)]])
    slope = np.array([[3.0], [np.cos(0.4)]])
    np.testing.assert_allclose(found, y + g * dw + g * slope * (dw**2 - dt) / 2, rtol=1e-14)


def test_without_diffusion_they_are_euler_and_heun(closed: Any) -> None:
    case = closed["nonlinear"]
    problem, y = Problem(case.f), tf.constant(case.y0)
    t, dt = tf.constant(0.3, tf.float64), tf.constant(0.1, tf.float64)
    for solver, twin in zip(METHODS, (Euler(), Euler(), Heun()), strict=True):
        found = solver.step(problem, t, dt, y, ()).y
        np.testing.assert_array_equal(found, twin.step(problem, t, dt, y, ()).y)


def test_time_enters_at_both_ends() -> None:
    problem = Problem(lambda t, y: t * tf.ones_like(y), diffusion=lambda t, y: t * tf.ones_like(y))
    y, dw = tf.zeros([1, 1], tf.float64), tf.constant([[2.0]], tf.float64)
    found = [s.step(problem, 1.0, 0.5, y, (), dw).y.numpy().item() for s in METHODS]
    assert found == pytest.approx([0.5 + 2.0, 0.5 + 2.0, 0.625 + 2.5])
    assert [s.nodes for s in METHODS] == [(0.0,), (0.0,), (0.0, 1.0)]


def test_a_state_may_be_a_nest_and_the_line_between_is_straight() -> None:
    problem = Problem(lambda t, y: (-y[0], -y[1]), diffusion=lambda t, y: (y[0], 0.1 * y[1]))
    y = (tf.ones([2, 3], tf.float64), tf.ones([1, 4], tf.float64))
    noise = tf.nest.map_structure(lambda leaf: 0.1 * leaf, y)
    for solver in METHODS:
        step = solver.step(problem, 0.0, 0.1, y, solver.init(problem, 0.0, y), noise)
        start, rise = step.dense()
        for leaf in range(2):
            np.testing.assert_array_equal(start[leaf], y[leaf])
            np.testing.assert_allclose(start[leaf] + rise[leaf], step.y[leaf], rtol=1e-15)
        assert step.error is None


def test_methods_are_equal_by_value() -> None:
    assert len({*METHODS, EulerMaruyama(), Milstein(), StochasticHeun()}) == 3
