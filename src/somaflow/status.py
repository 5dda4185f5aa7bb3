"""How a solve ended, in a sentence."""

from collections.abc import Callable

import numpy as np

from somaflow.simulation.flow import PILED, STOPPED, UNDERFLOW
from somaflow.simulation.stretches import Outcome
from somaflow.solvers.base import Solver


def sentence(
    outcome: Outcome, name: Callable[[int], str], solver: Solver, t0: float, sign: float, t1: float
) -> str:
    """Return why a solve ended, and for the first problem that ended early where and what to do.

    Args:
        outcome: What the solve left.
        name: Of a component, by its number.
        solver: The method.
        t0: Start.
        sign: -1 for a solve backwards.
        t1: The end asked for.
    """
    early = np.flatnonzero(np.isin(outcome.status, (UNDERFLOW, PILED)))
    if not len(early):
        stopped = np.flatnonzero(outcome.status == STOPPED)
        if not len(stopped):
            return f"reached t1 = {t1:g}"
        time = t0 + sign * outcome.end[stopped[0]]
        if len(outcome.status) == 1:
            return f"stopped at t = {time:.10g} by a terminal event"
        return f"{len(stopped)} of {len(outcome.status)} problems stopped by a terminal event"
    row = early[0]
    time = t0 + sign * outcome.end[row]
    who = ""
    if len(outcome.status) > 1:
        who = f"{len(early)} of {len(outcome.status)} problems stopped early; problem {row} "
    if outcome.status[row] == PILED:
        return f"{who}stopped at t = {time:.10g}: events follow each other without end"
    cause = (
        "the solution may grow without bound there, or f may not be smooth"
        if solver.stiff
        else "the equations may be stiff (try sf.Rosenbrock()), or the solution may grow without "
        "bound there"
    )
    return (
        f"{who}stopped at t = {time:.10g}: the step fell below the resolution of time, because of "
        f"{name(int(outcome.worst[row]))!r}; {cause}"
    )
