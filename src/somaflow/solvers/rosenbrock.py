"""Rosenbrock-W methods: linearly implicit, one Jacobian a step; each table checks itself."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from somaflow.numerics.types import Nest, Tensor
from somaflow.solvers.banded import Factors
from somaflow.solvers.base import Problem, State, Step, Time, combine
from somaflow.solvers.derivatives import blocks, factorised, identity_minus, solve_columns
from somaflow.solvers.runge_kutta import increment

_ROUNDING = 1e-13
# The polynomials of the dense output come out of a matrix with condition number 120.
_DENSE_ROUNDING = 1e-12


@dataclass(frozen=True)
class RosenbrockTableau:
    """The numbers of a Rosenbrock-W method.

    The stages k_i of a step solve

        (I - dt*gamma*J) k_i = f(t + alpha_i*dt, y + dt*sum_j alpha_ij k_j)
                               + dt*J*sum_j gamma_ij k_j + dt*gamma_i*df/dt

    with j < i, alpha_i = sum_j alpha_ij and gamma_i = gamma + sum_j gamma_ij.

    Attributes:
        name: The method.
        order: Its order up to 3, for any matrix in place of the Jacobian.
        gamma_diagonal: gamma.
        alpha: Row i holds alpha_ij of stage i + 1.
        gamma: Row i holds gamma_ij of stage i + 1.
        b: Weights of the stages in the result.
        b_error: Weights of the embedded method.
        error_order: The embedded method's order, with the exact Jacobian.
        reference: Where the numbers stand.

    Raises:
        ArithmeticError: The numbers miss an order condition, stiff accuracy or L-stability.
    """

    name: str
    order: int
    gamma_diagonal: float
    alpha: tuple[tuple[float, ...], ...]
    gamma: tuple[tuple[float, ...], ...]
    b: tuple[float, ...]
    b_error: tuple[float, ...]
    error_order: int
    reference: str

    def __post_init__(self) -> None:
        self._check("", self.b, self.order, inexact=True)
        self._check(", embedded", self.b_error, self.error_order, inexact=False)
        alpha, gamma = self._matrices()
        beta = alpha + gamma
        if np.abs(beta[-1] - self.b).max() > _ROUNDING:
            raise ArithmeticError(f"{self.name}: not stiffly accurate, b is not the last stage.")
        at_infinity = 1 - np.dot(self.b, np.linalg.solve(beta, np.ones(len(beta))))
        if abs(at_infinity) > _ROUNDING:
            raise ArithmeticError(f"{self.name}: not L-stable, R(inf) = {at_infinity}.")
        end = np.sum(self.dense(), axis=1)
        if np.abs(end - self.b).max() > _DENSE_ROUNDING:
            raise ArithmeticError(f"{self.name}, dense: weights {end} at the end, not {self.b}.")

    @property
    def c(self) -> tuple[float, ...]:
        """The fraction of the step at which each stage is evaluated."""
        return (0.0, *(float(sum(row)) for row in self.alpha))

    @property
    def gamma_sums(self) -> tuple[float, ...]:
        """The weight of dt*df/dt in each stage."""
        return tuple(float(row.sum()) for row in self._matrices()[1])

    def dense(self) -> tuple[tuple[float, ...], ...]:
        """Return each stage's weights of theta, theta**2 and theta**3 at t + theta*dt.

        They are what the four conditions of order 3 with the exact Jacobian leave to choose for
        four stages: nothing.
        """
        alpha, gamma = self._matrices()
        rows = _conditions(alpha, gamma, inexact=False)
        wanted = np.zeros((4, 3))
        for row, (order, _, value) in enumerate(rows):
            wanted[row, order - 1] = value
        weights = np.linalg.solve(np.stack([weight for _, weight, _ in rows]), wanted)
        return tuple(tuple(map(float, row)) for row in weights)

    def _matrices(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        stages = len(self.b)
        alpha, gamma = np.zeros((stages, stages)), self.gamma_diagonal * np.eye(stages)
        for table, rows in ((alpha, self.alpha), (gamma, self.gamma)):
            for row, weights in enumerate(rows, 1):
                if len(weights) != row:
                    raise ArithmeticError(f"{self.name}: row {row} has {len(weights)} numbers.")
                table[row, :row] = weights
        return alpha, gamma

    def _check(self, part: str, b: Sequence[float], order: int, inexact: bool) -> None:
        for least, weight, wanted in _conditions(*self._matrices(), inexact):
            total = np.dot(b, weight)
            if least <= order and abs(total - wanted) > _ROUNDING:
                raise ArithmeticError(f"{self.name}{part}: order condition {wanted} gives {total}.")


def _conditions(
    alpha: NDArray[np.float64], gamma: NDArray[np.float64], inexact: bool
) -> list[tuple[int, NDArray[np.float64], float]]:
    """Return order, weights of b, and wanted value of each order condition up to 3.

    Hairer E, Wanner G (1996) Solving ordinary differential equations II, section IV.7: table 7.1
    for the exact Jacobian, and for W-methods alpha and gamma taken apart.
    """
    ones = np.ones(len(alpha))
    a, g = alpha @ ones, gamma @ ones
    if not inexact:
        beta = alpha + gamma
        return [(1, ones, 1.0), (2, a + g, 1 / 2), (3, a * a, 1 / 3), (3, beta @ (a + g), 1 / 6)]
    return [
        (1, ones, 1.0),
        (2, a, 1 / 2),
        (2, g, 0.0),
        (3, a * a, 1 / 3),
        (3, alpha @ a, 1 / 6),
        (3, alpha @ g, 0.0),
        (3, gamma @ a, 0.0),
        (3, gamma @ g, 0.0),
    ]


ROS34PW2 = RosenbrockTableau(
    "ROS34PW2",
    3,
    4.3586652150845900e-01,
    (
        (8.7173304301691801e-01,),
        (8.4457060015369423e-01, -1.1299064236484185e-01),
        (0.0, 0.0, 1.0),
    ),
    (
        (-8.7173304301691801e-01,),
        (-9.0338057013044082e-01, 5.4180672388095326e-02),
        (2.4212380706095346e-01, -1.2232505839045147e00, 5.4526025533510214e-01),
    ),
    (
        2.4212380706095346e-01,
        -1.2232505839045147e00,
        1.5452602553351020e00,
        4.3586652150845900e-01,
    ),
    (
        3.7810903145819369e-01,
        -9.6042292212423178e-02,
        5.0000000000000000e-01,
        2.1793326075422950e-01,
    ),
    2,
    "Rang J, Angermann L (2005) New Rosenbrock W-methods of order 3 for partial differential"
    " algebraic equations of index 1. BIT Numerical Mathematics 45:761-787",
)


@dataclass(frozen=True)
class RosenbrockW:
    """The Rosenbrock-W method of a table, L-stable and stiffly accurate.

    The Jacobian is that within each column, the field itself is the whole one: what columns do to
    each other is treated explicitly. The order does not suffer, since the method keeps it for any
    matrix in place of the Jacobian. For the same reason df/dt may be left out where `t` is a Python
    number. Within the step the order is 3 with the exact Jacobian, otherwise 2.

    Attributes:
        tableau: Its numbers.
    """

    tableau: RosenbrockTableau

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
        return tuple(sorted(set(self.tableau.c)))

    @property
    def error_order(self) -> int | None:
        """The order of the embedded method."""
        return self.tableau.error_order

    @property
    def stiff(self) -> bool:
        """Large steps on stiff equations stay stable."""
        return True

    @property
    def calculus(self) -> str | None:
        """Not for stochastic equations."""
        return None

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
        table = self.tableau
        first, jacobians, time_slopes = blocks(problem, t, y)
        matrices = tf.nest.map_structure(
            lambda jacobian: factorised(identity_minus(dt * table.gamma_diagonal, jacobian)),
            jacobians,
        )
        stages: list[State] = []
        for i, (c, weight) in enumerate(zip(table.c, table.gamma_sums, strict=True)):
            slope = first
            if i:
                slope = problem.f(t + c * dt, combine(y, dt, table.alpha[i - 1], stages))
            stages.append(self._stage(i, slope, stages, matrices, (dt * weight), time_slopes))
        y1 = combine(y, dt, table.b, stages)
        difference = [b - b_hat for b, b_hat in zip(table.b, table.b_error, strict=True)]
        error = increment(dt, difference, stages)

        def dense() -> tuple[State, ...]:
            powers = zip(*table.dense(), strict=True)
            return (y, *(increment(dt, weights, stages) for weights in powers))

        return Step(y1, error, dense, ())

    def _stage(
        self, i: int, slope: State, stages: list[State], matrices: Nest, lag: Time, later: State
    ) -> State:
        """Solve for stage i: `slope` is f there, `later` df/dt, and `lag` its weight.

        With s = sum_j gamma_ij/gamma k_j the stage is M^-1 (f + s + lag*df/dt) - s, without a
        product with the Jacobian.
        """
        gamma = self.tableau.gamma_diagonal
        row = self.tableau.gamma[i - 1] if i else ()

        def leaf(f: Tensor, matrix: Tensor | Factors, f_t: Tensor, *ks: Tensor) -> Tensor:
            right, shift = f + lag * f_t, None
            for weight, k in zip(row, ks, strict=True):
                term = (weight / gamma) * k
                shift = term if shift is None else shift + term
            if shift is None:
                return solve_columns(matrix, right)
            return solve_columns(matrix, right + shift) - shift

        return tf.nest.map_structure(leaf, slope, matrices, later, *stages)


def Rosenbrock() -> RosenbrockW:  # noqa: N802 - a method's name
    """Return ROS34PW2 of Rang and Angermann: order 3 for stiff equations, error of order 2."""
    return RosenbrockW(ROS34PW2)
