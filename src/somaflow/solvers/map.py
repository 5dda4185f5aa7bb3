"""Maps: systems in discrete time, of which a step is one iteration."""

from dataclasses import dataclass

from somaflow.solvers.base import Problem, State, Step, Time
from somaflow.solvers.runge_kutta import linear


@dataclass(frozen=True)
class Map:
    """One iteration a step: for maps, whose right-hand side is what the state becomes.

    y1 = f(t, y), to the bit; it is no method for differential equations. Iteration n ends at
    t = n*dt.
    """

    name = "Map"
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
        """Return what `y` becomes."""
        y1 = problem.f(t, y)
        return Step(y1, None, linear(y, y1), ())
