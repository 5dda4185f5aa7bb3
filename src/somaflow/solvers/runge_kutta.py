"""Explicit Runge-Kutta methods: one step for any tableau."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from somaflow.numerics.types import Tensor
from somaflow.solvers import tableaux
from somaflow.solvers.base import Problem, State, Step, Time, combine
from somaflow.solvers.tableaux import Number, Tableau


@dataclass(frozen=True)
class ExplicitRungeKutta:
    """The method of a tableau.

    If the tableau's last stage is the next step's first and it has an error estimate, that slope is
    the memory between steps. Whoever changes the state between two steps calls `init` again.

    Attributes:
        tableau: Its numbers.
    """

    tableau: Tableau

    @property
    def name(self) -> str:
        """The method's name."""
        return self.tableau.name

    @property
    def order(self) -> int:
        """Its global order."""
        return self.tableau.order

    @property
    def nodes(self) -> tuple[float, ...]:
        """The fractions of a step at which the vector field is evaluated."""
        return tuple(sorted({float(c) for c in self.tableau.c}))

    @property
    def error_order(self) -> int | None:
        """The order of the embedded method."""
        return self.tableau.error_order

    @property
    def stiff(self) -> bool:
        """An explicit method is unstable on stiff equations."""
        return False

    @property
    def calculus(self) -> str | None:
        """Not for stochastic equations."""
        return None

    @property
    def _hands_on(self) -> bool:
        return self.tableau.first_same_as_last and self.tableau.b_error is not None

    def init(self, problem: Problem[State], t: Time, y: State) -> State | tuple[()]:
        """Return the memory before the first step: its first slope, or nothing."""
        return problem.f(t, y) if self._hands_on else ()

    def step(
        self,
        problem: Problem[State],
        t: Time,
        dt: Time,
        y: State,
        memory: Any,
        noise: object = None,
    ) -> Step[State]:
        """Advance `y` from `t` by `dt`."""
        table = self.tableau
        slopes, stage = (self._rolled if problem.long else self._stages)(problem, t, dt, y, memory)
        # The last stage is the result where its row of a equals b.
        y1 = stage if table.first_same_as_last else combine(y, dt, _floats(table.b), slopes)
        error = None
        if table.b_error is not None:
            difference = [b - b_hat for b, b_hat in zip(table.b, table.b_error, strict=True)]
            error = increment(dt, difference, slopes)

        def dense() -> tuple[State, ...]:
            if table.dense:
                powers = zip(*table.dense, strict=True)
                return (y, *(increment(dt, weights, slopes) for weights in powers))
            if table.order == 1:
                return linear(y, y1)()
            return hermite(y, y1, dt, slopes[0], problem.f(t + 1.0 * dt, y1))

        return Step(y1, error, dense, slopes[-1] if self._hands_on else ())

    def _stages(
        self, problem: Problem[State], t: Time, dt: Time, y: State, memory: Any
    ) -> tuple[list[State], State]:
        """Return the slope of every stage, and the state of the last."""
        table, slopes, stage = self.tableau, [], y
        for row, c in zip(((), *table.a), table.c, strict=True):
            stage = combine(y, dt, _floats(row), slopes) if row else y
            known = self._hands_on and not row
            slopes.append(memory if known else problem.f(t + float(c) * dt, stage))
        return slopes, stage

    def _rolled(
        self, problem: Problem[Tensor], t: Time, dt: Time, y: Tensor, memory: Tensor
    ) -> tuple[list[Tensor], Tensor]:
        """Return the same by a loop over the stages: f stands in the compiled code once."""
        table, count = self.tableau, len(self.tableau.b)
        rows = [[*_floats(row), *[0.0] * (count - len(row))] for row in ((), *table.a)]
        a = tf.constant(rows, y.dtype)
        c = tf.constant(_floats(table.c), y.dtype)
        slopes = tf.zeros([count, *y.shape], y.dtype)
        first = 1 if self._hands_on else 0
        if first:
            slopes = tf.concat([memory[None], slopes[1:]], axis=0)

        def body(k: Tensor, slopes: Tensor, _: Tensor) -> tuple[Tensor, ...]:
            stage = y + dt * tf.tensordot(a[k], slopes, 1)
            slope = problem.f(t + c[k] * dt, stage)
            return k + 1, tf.tensor_scatter_nd_update(slopes, [[k]], [slope]), stage

        _, slopes, stage = tf.while_loop(
            lambda k, *_: k < count,
            body,
            (tf.constant(first), slopes, y),
            maximum_iterations=count - first,
        )
        return tf.unstack(slopes), stage


def _floats(weights: Sequence[Number]) -> tuple[float, ...]:
    return tuple(float(weight) for weight in weights)


def increment(dt: Time, weights: Sequence[Number], slopes: Sequence[State]) -> State:
    """Return dt * (sum of weights times slopes), leaf by leaf; some weight is not zero."""
    terms = [(float(w), k) for w, k in zip(weights, slopes, strict=True) if w]

    def leaf(*ks: Tensor) -> Tensor:
        total = (dt * terms[0][0]) * ks[0]
        for (weight, _), k in zip(terms[1:], ks[1:], strict=True):
            total = total + (dt * weight) * k
        return total

    return tf.nest.map_structure(leaf, *(k for _, k in terms))


def linear(y: State, y1: State) -> Callable[[], tuple[State, ...]]:
    """Return the dense output of a method that knows no more than both ends."""
    return lambda: (y, tf.nest.map_structure(lambda start, end: end - start, y, y1))


def hermite(y: State, y1: State, dt: Time, slope: State, slope1: State) -> tuple[State, ...]:
    """Return the coefficients of the cubic through both ends with the slopes there."""

    def leaf(start: Tensor, end: Tensor, k0: Tensor, k1: Tensor) -> tuple[Tensor, ...]:
        rise, d0, d1 = end - start, dt * k0, dt * k1
        return start, d0, 3 * rise - 2 * d0 - d1, d0 + d1 - 2 * rise

    leaves = zip(*(tf.nest.flatten(state) for state in (y, y1, slope, slope1)), strict=True)
    powers = zip(*(leaf(*values) for values in leaves), strict=True)
    return tuple(tf.nest.pack_sequence_as(y, list(power)) for power in powers)


def Euler() -> ExplicitRungeKutta:  # noqa: N802 - a method's name
    """Return Euler's method: order 1."""
    return ExplicitRungeKutta(tableaux.EULER)


def Midpoint() -> ExplicitRungeKutta:  # noqa: N802
    """Return Runge's midpoint method: order 2."""
    return ExplicitRungeKutta(tableaux.MIDPOINT)


def Heun() -> ExplicitRungeKutta:  # noqa: N802
    """Return Heun's method, the explicit trapezoidal rule: order 2."""
    return ExplicitRungeKutta(tableaux.HEUN)


def RK4() -> ExplicitRungeKutta:  # noqa: N802
    """Return the classical Runge-Kutta method: order 4."""
    return ExplicitRungeKutta(tableaux.RK4)


def ThreeEighths() -> ExplicitRungeKutta:  # noqa: N802
    """Return Kutta's 3/8 rule: order 4, with smaller error terms than RK4."""
    return ExplicitRungeKutta(tableaux.THREE_EIGHTHS)


def BogackiShampine() -> ExplicitRungeKutta:  # noqa: N802
    """Return the pair of Bogacki and Shampine: order 3, error estimate of order 2."""
    return ExplicitRungeKutta(tableaux.BOGACKI_SHAMPINE)


def DormandPrince() -> ExplicitRungeKutta:  # noqa: N802
    """Return the pair of Dormand and Prince: order 5, error estimate of order 4."""
    return ExplicitRungeKutta(tableaux.DORMAND_PRINCE)


def Tsitouras() -> ExplicitRungeKutta:  # noqa: N802
    """Return the pair of Tsitouras: order 5, error estimate of order 4."""
    return ExplicitRungeKutta(tableaux.TSITOURAS)
