"""Methods that the library does not ship, written as a user would write them."""

from typing import Any

import tensorflow as tf

from somaflow.solvers.base import Problem, State, Step, combine


class _Own:
    error_order = None
    stiff = False
    calculus = None

    def init(self, problem: Problem, t: Any, y: State) -> Any:
        return ()


def _linear(y: State, y1: State) -> Any:
    return lambda: (y, tf.nest.map_structure(lambda a, b: b - a, y, y1))


class AdamsBashforth2(_Own):
    """y1 = y + dt*(3/2 f - 1/2 f of the step before); the first step is one of Euler."""

    name, order, nodes = "Adams-Bashforth 2", 2, (0.0,)

    def init(self, problem: Problem, t: Any, y: State) -> Any:
        return problem.f(t, y)

    def step(
        self, problem: Problem, t: Any, dt: Any, y: State, memory: Any, noise: Any = None
    ) -> Step:
        slope = problem.f(t, y)
        y1 = combine(y, dt, (1.5, -0.5), [slope, memory])
        return Step(y1, None, _linear(y, y1), slope)


class Heun3(_Own):
    """Heun's method of order 3, with times as a textbook writes them."""

    name, order, nodes = "Heun 3", 3, (0.0, 1 / 3, 2 / 3)

    def step(
        self, problem: Problem, t: Any, dt: Any, y: State, memory: Any, noise: Any = None
    ) -> Step:
        k1 = problem.f(t, y)
        k2 = problem.f(t + dt / 3, combine(y, dt, (1 / 3,), [k1]))
        k3 = problem.f(t + 2 * dt / 3, combine(y, dt, (2 / 3,), [k2]))
        y1 = combine(y, dt, (1 / 4, 3 / 4), [k1, k3])
        return Step(y1, None, _linear(y, y1), ())


class ThreeTimesRK4(_Own):
    """Three steps of RK4 in one: twelve stages at seven nodes."""

    name, order = "three times RK4", 4
    nodes = (0.0, 1 / 6, 1 / 3, 1 / 2, 2 / 3, 5 / 6, 1.0)

    def step(
        self, problem: Problem, t: Any, dt: Any, y: State, memory: Any, noise: Any = None
    ) -> Step:
        y0, h = y, dt / 3
        for _ in range(3):
            k1 = problem.f(t, y)
            k2 = problem.f(t + h / 2, combine(y, h, (0.5,), [k1]))
            k3 = problem.f(t + h / 2, combine(y, h, (0.5,), [k2]))
            k4 = problem.f(t + h, combine(y, h, (1.0,), [k3]))
            y = combine(y, h, (1 / 6, 1 / 3, 1 / 3, 1 / 6), [k1, k2, k3, k4])
            t = t + h
        return Step(y, None, _linear(y0, y), ())
