"""Methods for dy = f dt + g dW, each component with a Wiener process of its own.

The noise of a step is the increments dW, normal with variance dt, in the structure of the state.
The strong orders hold where the diffusion of a component depends on that component alone.

Kloeden PE, Platen E (1992) Numerical solution of stochastic differential equations. Springer.
"""

from dataclasses import dataclass

import tensorflow as tf

from somaflow.solvers.base import Problem, State, Step, Time, combine
from somaflow.solvers.derivatives import diagonal
from somaflow.solvers.runge_kutta import linear


@dataclass(frozen=True)
class EulerMaruyama:
    """The Euler-Maruyama method: Ito, strong order 1/2; 1 where the diffusion is constant.

    Maruyama G (1955) Continuous Markov processes and stochastic equations. Rendiconti del Circolo
    Matematico di Palermo 4:48-90; Kloeden and Platen, section 10.2.
    """

    name = "Euler-Maruyama"
    order = 0.5
    nodes = (0.0,)
    error_order = None
    stiff = False
    calculus = "Ito"

    def init(self, problem: Problem[State], t: Time, y: State) -> tuple[()]:
        """Return the memory before the first step: none."""
        return ()

    def step(
        self,
        problem: Problem[State],
        t: Time,
        dt: Time,
        y: State,
        memory: object,
        noise: State | None = None,
    ) -> Step[State]:
        """Advance `y` from `t` by `dt`."""
        y1 = combine(y, dt, (1.0,), [problem.f(t, y)])
        if problem.diffusion is not None:
            y1 = tf.nest.map_structure(
                lambda drifted, g, dw: drifted + g * dw, y1, problem.diffusion(t, y), noise
            )
        return Step(y1, None, linear(y, y1), ())


@dataclass(frozen=True)
class Milstein:
    """The Milstein method: Ito, strong order 1.

    Milstein GN (1975) Approximate integration of stochastic differential equations. Theory of
    Probability and its Applications 19:557-562; Kloeden and Platen, section 10.3.
    """

    name = "Milstein"
    order = 1.0
    nodes = (0.0,)
    error_order = None
    stiff = False
    calculus = "Ito"

    def init(self, problem: Problem[State], t: Time, y: State) -> tuple[()]:
        """Return the memory before the first step: none."""
        return ()

    def step(
        self,
        problem: Problem[State],
        t: Time,
        dt: Time,
        y: State,
        memory: object,
        noise: State | None = None,
    ) -> Step[State]:
        """Advance `y` from `t` by `dt`."""
        y1 = combine(y, dt, (1.0,), [problem.f(t, y)])
        if problem.diffusion is not None:
            diffusion, rates = diagonal(Problem(problem.diffusion, pattern=problem.pattern), t, y)
            y1 = tf.nest.map_structure(
                lambda drifted, g, rate, dw: drifted + g * dw + 0.5 * g * rate * (dw * dw - dt),
                y1,
                diffusion,
                rates,
                noise,
            )
        return Step(y1, None, linear(y, y1), ())


@dataclass(frozen=True)
class StochasticHeun:
    """The stochastic Heun method: Stratonovich, strong order 1; order 2 without noise.

    Ruemelin W (1982) Numerical treatment of stochastic differential equations. SIAM Journal on
    Numerical Analysis 19:604-613.
    """

    name = "Stochastic Heun"
    order = 1.0
    nodes = (0.0, 1.0)
    error_order = None
    stiff = False
    calculus = "Stratonovich"

    def init(self, problem: Problem[State], t: Time, y: State) -> tuple[()]:
        """Return the memory before the first step: none."""
        return ()

    def step(
        self,
        problem: Problem[State],
        t: Time,
        dt: Time,
        y: State,
        memory: object,
        noise: State | None = None,
    ) -> Step[State]:
        """Advance `y` from `t` by `dt`."""
        f, end = problem.f(t, y), t + 1.0 * dt
        guess = combine(y, dt, (1.0,), [f])
        if problem.diffusion is None:
            y1 = combine(y, dt, (0.5, 0.5), [f, problem.f(end, guess)])
            return Step(y1, None, linear(y, y1), ())
        g = problem.diffusion(t, y)
        guess = tf.nest.map_structure(lambda drifted, s, dw: drifted + s * dw, guess, g, noise)
        y1 = combine(y, dt, (0.5, 0.5), [f, problem.f(end, guess)])
        y1 = tf.nest.map_structure(
            lambda drifted, s, s1, dw: drifted + 0.5 * (s + s1) * dw,
            y1,
            g,
            problem.diffusion(end, guess),
            noise,
        )
        return Step(y1, None, linear(y, y1), ())
