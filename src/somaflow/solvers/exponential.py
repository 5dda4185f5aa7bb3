"""Exponential methods: each component's own linear part is integrated exactly.

They are stable where gates and membranes are stiff each by itself, at the price of an explicit
method. A component that is affine in itself, others held constant, is integrated exactly.
"""

from dataclasses import dataclass

import tensorflow as tf

from somaflow.numerics.constants import number
from somaflow.numerics.device import traced_once
from somaflow.numerics.functions import exprel
from somaflow.numerics.rows import rows_of, stacked
from somaflow.numerics.types import Tensor
from somaflow.solvers.base import Problem, State, Step, Time
from somaflow.solvers.derivatives import diagonal
from somaflow.solvers.runge_kutta import linear

_ROWS = 64


@dataclass(frozen=True)
class ExponentialEuler:
    """The exponential Euler method: order 1.

    y1 = y + dt*phi1(dt*a)*f with phi1(x) = (exp(x) - 1)/x and a the derivative of each component of
    f by itself at the step's start; for an affine component this is the exact solution.

    Rush S, Larsen H (1978) A practical algorithm for solving dynamic membrane equations. IEEE
    Transactions on Biomedical Engineering 25:389-392.
    """

    name = "Exponential Euler"
    order = 1
    nodes = (0.0,)
    error_order = None
    stiff = False
    calculus = None

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
        noise: object = None,
    ) -> Step[State]:
        """Advance `y` from `t` by `dt`."""
        y1 = _advanced(y, dt, *diagonal(problem, t, y))
        return Step(y1, None, linear(y, y1), ())


@dataclass(frozen=True)
class ExponentialMidpoint:
    """The exponential midpoint method: order 2.

    Exponential Euler leads to the midpoint; the whole step is exponential in the linear part there.

    Sundnes J, Artebrant R, Skavhaug O, Tveito A (2009) A second-order algorithm for solving dynamic
    cell membrane equations. IEEE Transactions on Biomedical Engineering 56:2546-2548.
    """

    name = "Exponential midpoint"
    order = 2
    nodes = (0.0, 0.5)
    error_order = None
    stiff = False
    calculus = None

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
        noise: object = None,
    ) -> Step[State]:
        """Advance `y` from `t` by `dt`."""
        middle = _advanced(y, 0.5 * dt, *diagonal(problem, t, y))
        slope, rates = diagonal(problem, t + 0.5 * dt, middle)
        # The tangent at the midpoint, read off at the step's start.
        at_start = tf.nest.map_structure(
            lambda f, a, start, mid: f + a * (start - mid), slope, rates, y, middle
        )
        y1 = _advanced(y, dt, at_start, rates)

        def dense() -> tuple[State, ...]:
            first = tf.nest.map_structure(lambda a, m, b: 4 * m - 3 * a - b, y, middle, y1)
            second = tf.nest.map_structure(lambda a, m, b: 2 * (a + b) - 4 * m, y, middle, y1)
            return y, first, second

        return Step(y1, None, dense, ())


def _advanced(y: State, dt: Time, slope: State, rates: State) -> State:
    def block(*leaves: Tensor) -> Tensor:
        step = dt if tf.is_tensor(dt) else number(dt, leaves[0].dtype)
        # Row by row, and stacked last: XLA leaves a loop over stacked rows unvectorised.
        if leaves[0].shape.rank < 2 or leaves[0].shape[0] > _ROWS:
            return _along(step, *leaves)
        rows = zip(*map(rows_of, leaves), strict=True)
        return stacked([_along(step, *parts) for parts in rows])

    return tf.nest.map_structure(block, y, slope, rates)


@traced_once
def _along(dt: Tensor, start: Tensor, slope: Tensor, rate: Tensor) -> Tensor:
    return start + dt * exprel(dt * rate) * slope
