"""How a solve ended, in a sentence."""

import numpy as np

from somaflow.simulation.blame import Place, far_from_zero, resolution
from somaflow.simulation.flow import BROKEN, PILED, SPENT, STOPPED, UNDERFLOW
from somaflow.simulation.stretches import Labels, Outcome
from somaflow.solvers.base import Solver

_FEW = 1000  # roundings, below which a relative tolerance is hardly to be met


def sentence(
    outcome: Outcome,
    labels: Labels,
    solver: Solver,
    t0: float,
    sign: float,
    t1: float,
    rtol: float,
    atol: np.ndarray,
) -> str:
    """Return why a solve ended, and for the first problem that ended early where and what to do.

    Args:
        outcome: What the solve left.
        labels: What components are called.
        solver: The method.
        t0: Start.
        sign: -1 for a solve backwards.
        t1: The end asked for.
        rtol: Relative tolerance.
        atol: Absolute tolerance, [n, 1].
    """
    early = np.flatnonzero(np.isin(outcome.status, (UNDERFLOW, PILED, BROKEN, SPENT)))
    if not len(early):
        stopped = np.flatnonzero(outcome.status == STOPPED)
        if not len(stopped):
            return f"reached t1 = {t1:g}"
        time = t0 + sign * outcome.end[stopped[0]]
        if len(outcome.status) == 1:
            return f"stopped at t = {time:.10g} by a terminal event"
        return f"{len(stopped)} of {len(outcome.status)} problems stopped by a terminal event"
    row = int(early[0])
    who = ""
    if len(outcome.status) > 1:
        who = f"{len(early)} of {len(outcome.status)} problems stopped early; problem {row} "
    time = t0 + sign * outcome.end[row]
    stopped = f"{who}stopped at t = {time:.10g}"
    assert outcome.place is not None
    place, worst = outcome.place(row), labels.component(int(outcome.worst[row]))
    status = outcome.status[row]
    if status == PILED:
        return f"{stopped}: events follow each other without end"
    if status == SPENT:
        return f"{stopped}: {_spent(outcome, place, worst, solver, rtol)}"
    if status == BROKEN:
        bad = place.not_finite()
        if bad is None:
            return (
                f"{stopped}: the error of a step is not finite, because of {worst!r}, where "
                f"{labels.state(place.y[:, row])}"
            )
        return f"{stopped}: f is {labels.not_finite(bad, t0 + sign * bad.s)}"
    cause = _underflow(place, labels, worst, time, abs(t1 - t0), atol[:, 0])
    return f"{stopped}: the step fell below the resolution of time, because of {cause}"


def _underflow(
    place: Place, labels: Labels, worst: str, time: float, length: float, atol: np.ndarray
) -> str:
    """Return what is to blame where a step fell below the resolution of time."""
    shortest = resolution(time)
    if far_from_zero(time, length):
        return (
            f"{worst!r}; so far from 0 steps below {shortest:.1g} cannot be told apart: let time "
            "begin near 0"
        )
    grown = place.boundless(shortest, atol)
    if grown is not None:
        return f"{labels.component(grown)!r}; the solution grows without bound there"
    grown = place.diverging(shortest)
    if grown is not None:
        return f"{labels.component(grown)!r}; f grows without bound there"
    jump = place.jumping(shortest)
    if jump is not None:
        return f"{labels.component(jump)!r}; {_JUMPS}"
    return (
        f"{worst!r}; nothing is steep there, so the tolerances ask for more digits than numbers "
        "have: take a larger rtol= or atol="
    )


_JUMPS = (
    "f jumps there: name a set time in jumps=, make a change that depends on the state an event, "
    "or smooth it"
)


def _spent(outcome: Outcome, place: Place, worst: str, solver: Solver, rtol: float) -> str:
    """Return what is to blame where a solve took too many steps."""
    row = place.column
    attempts, last = int(outcome.accepted[row] + outcome.rejected[row]), float(place.h[row])
    done = f"{attempts} steps were taken (max_steps=), the last of about {last:.2g}"
    if solver.error_order is None:
        return f"{done}; events follow each other at nearly every step"
    if place.jumping(last) is not None:
        return f"{done}, because of {worst!r}; {_JUMPS}"
    if rtol < _FEW * np.finfo(place.y.dtype).eps:
        return f"{done}, because of {worst!r}; rtol = {rtol:.2g} asks for all digits of a number"
    stiff = "" if solver.stiff else "the equations may be stiff (try sf.Rosenbrock()); "
    return f"{done}, because of {worst!r}; {stiff}if so many are needed, give a larger max_steps="
