"""Explicit Runge-Kutta methods: one step for any tableau."""

from dataclasses import dataclass
from typing import Any

from somaflow.solvers import tableaux
from somaflow.solvers.base import Problem, State, Step, Time, combine
from somaflow.solvers.tableaux import Tableau


@dataclass(frozen=True)
class ExplicitRungeKutta:
    """The method of a tableau.

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

    def init(self, problem: Problem, t: Time, y: State) -> Any:
        """Return the memory before the first step: none."""
        return ()

    def step(
        self, problem: Problem, t: Time, dt: Time, y: State, memory: Any, noise: Any = None
    ) -> Step:
        """Advance `y` from `t` by `dt`."""
        slopes: list[State] = []
        rows = ((), *self.tableau.a)
        for row, c in zip(rows, self.tableau.c, strict=True):
            stage = combine(y, dt, tuple(float(w) for w in row), slopes) if row else y
            slopes.append(problem.f(t + float(c) * dt, stage))
        weights = tuple(float(w) for w in self.tableau.b)
        return Step(combine(y, dt, weights, slopes), None, None, memory)


def Euler() -> ExplicitRungeKutta:  # noqa: N802 - a method's name
    """Return Euler's method: order 1."""
    return ExplicitRungeKutta(tableaux.EULER)


def RK4() -> ExplicitRungeKutta:  # noqa: N802 - a method's name
    """Return the classical Runge-Kutta method: order 4."""
    return ExplicitRungeKutta(tableaux.RK4)
