"""Stages: the nodes of a method in a network's step, by number.

A network knows its inputs at the nodes of the method alone, by the number of the node. A method
writes times as a textbook does, `t + dt/3`; which node that is follows from the number, once, when
the step is traced: the nodes lie far enough apart that rounding cannot take one for another.
"""

from collections.abc import Sequence

import numpy as np

from somaflow.errors import RunError
from somaflow.solvers.base import Solver, Time

_APART = 1e-6  # of a step


class Stages:
    """The nodes at which a network is known within a step.

    Args:
        solver: The method.
        dt: The step.

    Attributes:
        nodes: Fractions of the step, ascending. The first is 0: what is recorded is seen at the
            start of a step, whether the method looks there or not.
    """

    def __init__(self, solver: Solver, dt: float) -> None:
        self.nodes = nodes_of(solver)
        self._name, self._dt = solver.name, dt

    def number(self, offset: Time) -> int:
        """Return the number of the node at a time since the step's start.

        Raises:
            RunError: The method did not name that node, or the time is a tensor.
        """
        if not isinstance(offset, (int, float)):
            raise RunError(
                f"{self._name} asks for the vector field at a time that is a tensor; in a network "
                "a method writes its stages out, so that times are numbers such as t + 0.5*dt."
            )
        fraction = offset / self._dt
        number = int(np.argmin(np.abs(np.array(self.nodes) - fraction)))
        if not abs(self.nodes[number] - fraction) < _APART / 2:
            raise RunError(
                f"{self._name} asks for the vector field at t + {fraction:.6g}*dt, but its nodes "
                f"are {_listed(self.nodes)}; name that fraction in `nodes`."
            )
        return number


def nodes_of(solver: Solver) -> tuple[float, ...]:
    """Return the nodes of a method in a network: its own and the step's start."""
    nodes = sorted(float(node) for node in solver.nodes)
    return tuple([0.0] * (not nodes or nodes[0] > 0) + nodes)


def check_nodes(solver: Solver) -> None:
    """Refuse nodes that a network cannot take.

    Raises:
        RunError: They are no fractions of a step, do not ascend, or cannot be told apart.
    """
    nodes = solver.nodes
    within = isinstance(nodes, Sequence) and all(
        isinstance(c, (int, float)) and 0 <= c <= 1 for c in nodes
    )
    if not within or list(nodes) != sorted(nodes) or np.any(np.diff(nodes_of(solver)) < _APART):
        raise RunError(
            f"the nodes of {solver.name} are {nodes!r}; they are the fractions of a step at which "
            "it evaluates the vector field, from 0 to 1, ascending and each once, such as "
            "(0.0, 0.5, 1.0)."
        )


def _listed(nodes: tuple[float, ...]) -> str:
    return ", ".join(f"{node:.6g}" for node in nodes)
