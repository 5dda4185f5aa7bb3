"""Equations with closed solutions, and a loop that drives a solver through them."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
import tensorflow as tf

from somaflow.solvers.base import Problem, Solver


class Closed(NamedTuple):
    """Equations with their solution at t, from y0 [n, R] at t = 0."""

    f: Callable[[Any, Any], Any]
    solution: Callable[[Any, np.ndarray], np.ndarray]
    y0: np.ndarray


def _oscillator(t: Any, y: Any) -> Any:
    return tf.stack([y[1] - 0.3 * y[0], -y[0] - 0.3 * y[1]])


def _oscillator_solution(t: Any, y0: np.ndarray) -> np.ndarray:
    turned = [
        y0[0] * np.cos(t) + y0[1] * np.sin(t),
        y0[1] * np.cos(t) - y0[0] * np.sin(t),
    ]
    return np.exp(-0.3 * t) * np.stack(turned)


def _season(t: Any, y: Any) -> Any:
    return tf.cos(t) * y * (1 - y)


def _season_solution(t: Any, y0: np.ndarray) -> np.ndarray:
    return 1 / (1 + (1 / y0 - 1) * np.exp(-np.sin(t)))


def _cycle(t: Any, y: Any) -> Any:
    """A limit cycle on which the turning speed follows the time."""
    growth = 0.3 * (1 - y[0] * y[0] - y[1] * y[1])
    speed = 1 + 0.5 * tf.cos(t)
    return tf.stack([y[0] * growth - speed * y[1], y[1] * growth + speed * y[0]])


def _cycle_solution(t: Any, y0: np.ndarray) -> np.ndarray:
    start = y0[0] + 1j * y0[1]
    radius = 1 / np.sqrt(1 + (1 / abs(start) ** 2 - 1) * np.exp(-0.6 * t))
    end = radius * np.exp(1j * (np.angle(start) + t + 0.5 * np.sin(t)))
    return np.stack([end.real, end.imag])


def norm(errors: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(errors))))


def last_power(errors: np.ndarray) -> float:
    """Return by which power [n, starts * sizes] falls between the two smallest sizes."""
    by_size = errors.reshape(len(errors), -1, 3)
    return float(np.log2(norm(by_size[..., 1]) / norm(by_size[..., 2])))


@pytest.fixture
def closed() -> dict[str, Closed]:
    """A linear, a non-autonomous and a nonlinear problem."""
    return {
        "linear": Closed(
            _oscillator, _oscillator_solution, np.array([[1.0, -0.3, 0.2], [0.5, 1.2, -0.7]])
        ),
        "non-autonomous": Closed(_season, _season_solution, np.array([[0.2, 0.5, 0.7]])),
        "nonlinear": Closed(
            _cycle, _cycle_solution, np.array([[0.4, -0.8, 0.3], [-0.3, 0.5, 1.2]])
        ),
    }


@pytest.fixture
def integrate() -> Callable[..., Callable[[np.ndarray, float, int], np.ndarray]]:
    """Return a compiled integration: `integrate(solver, problem)(y0, end, count)`."""

    def build(solver: Solver, problem: Problem) -> Callable[[np.ndarray, float, int], np.ndarray]:
        @tf.function(jit_compile=True, autograph=False)
        def compiled(y: Any, dt: Any, count: Any) -> Any:
            def body(k: Any, y: Any, memory: Any) -> Any:
                step = solver.step(problem, tf.cast(k, dt.dtype) * dt, dt, y, memory)
                return k + 1, step.y, step.memory

            memory = solver.init(problem, tf.zeros_like(dt), y)
            return tf.while_loop(lambda k, *_: k < count, body, (0, y, memory))[1]

        def run(y0: np.ndarray, end: float, count: int) -> np.ndarray:
            return compiled(tf.constant(y0), tf.constant(end / count, y0.dtype), count).numpy()

        return run

    return build


@pytest.fixture
def global_order(integrate: Any) -> Callable[[Solver, Problem, Closed, int], float]:
    """Return by which power of the step the error at t = 2 falls, beyond `coarsest` steps."""

    def measure(solver: Solver, problem: Problem, case: Closed, coarsest: int) -> float:
        run, exact = integrate(solver, problem), case.solution(2.0, case.y0)
        errors = [norm(run(case.y0, 2.0, n) - exact) for n in (coarsest, 2 * coarsest)]
        return float(np.log2(errors[0] / errors[1]))

    return measure


@pytest.fixture
def one_step() -> Callable[..., Any]:
    """Take one step from t = 0, of three sizes for each start: `(dt [R], step)`."""

    def take(solver: Solver, case: Closed, largest: float) -> Any:
        sizes = largest / 2.0 ** np.arange(3)
        dt = np.tile(sizes, case.y0.shape[1])
        y = tf.constant(np.repeat(case.y0, len(sizes), axis=1))
        problem, t = Problem(case.f), tf.zeros([len(dt)], tf.float64)
        memory = solver.init(problem, t, y)
        return dt, solver.step(problem, t, tf.constant(dt), y, memory)

    return take


@pytest.fixture
def dense_order(one_step: Any) -> Callable[[Solver, Closed, float], float]:
    """Return by which power of the step the error at 0.37 of it falls."""

    def measure(solver: Solver, case: Closed, largest: float) -> float:
        dt, step = one_step(solver, case, largest)
        powers = [c.numpy() for c in step.dense()]
        np.testing.assert_allclose(sum(powers), step.y, rtol=1e-13, atol=1e-14)
        start = np.repeat(case.y0, 3, axis=1)
        np.testing.assert_array_equal(powers[0], start)
        found = sum(c * 0.37**k for k, c in enumerate(powers))
        return last_power(found - case.solution(0.37 * dt, start))

    return measure


@pytest.fixture
def error_falls_as(one_step: Any) -> Callable[[Solver, Closed, float], float]:
    """Return by which power of the step the error estimate falls."""

    def measure(solver: Solver, case: Closed, largest: float) -> float:
        _, step = one_step(solver, case, largest)
        return last_power(step.error.numpy())

    return measure


@pytest.fixture
def slopes() -> Callable[..., tuple[float, float]]:
    """Return a loss's derivative along one direction: by the tape, and by differences.

    The loss follows three steps; the direction changes the start and a parameter of
    `equations(parameter) -> Problem`.
    """

    def measure(
        solver: Solver, equations: Callable[[Any], Problem], y0: np.ndarray, dt: float
    ) -> tuple[float, float]:
        rng = np.random.default_rng(4)
        weights, direction = rng.normal(size=(2, *y0.shape))

        def loss(y: Any, parameter: Any) -> Any:
            problem, size = equations(parameter), tf.constant(dt, tf.float64)

            def body(k: Any, y: Any, memory: Any) -> Any:
                step = solver.step(problem, tf.cast(k, tf.float64) * size, size, y, memory)
                return k + 1, step.y, step.memory

            start = (0, y, solver.init(problem, tf.zeros([], tf.float64), y))
            loop = tf.while_loop(lambda k, *_: k < 3, body, start, maximum_iterations=3)
            return tf.reduce_sum(weights * loop[1])

        @tf.function(jit_compile=True, autograph=False)
        def differentiated(y: Any, parameter: Any) -> Any:
            with tf.GradientTape() as tape:
                tape.watch((y, parameter))
                value = loss(y, parameter)
            return value, tape.gradient(value, (y, parameter))

        def at(h: float) -> Any:
            return differentiated(tf.constant(y0 + h * direction), tf.constant(0.7 + h, tf.float64))

        h = 1e-5
        by_y, by_parameter = at(0.0)[1]
        taped = np.sum(by_y.numpy() * direction) + by_parameter.numpy()
        return float(taped), float((at(h)[0] - at(-h)[0]) / (2 * h))

    return measure
