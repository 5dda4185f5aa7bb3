"""Replay of a chunk that did not stay finite: which step, which part of the state, which cell."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from somaflow.errors import NonFiniteState
from somaflow.simulation.loop import Advance, Schedule
from somaflow.simulation.system import Carry, System, numbered


class Failure(NamedTuple):
    """The step in which a state ceased to be finite.

    Attributes:
        before: The state at its start, the last that is finite.
        after: The state at its end.
        step: Number of steps made before it since t = 0.
        dt: The step in ms.
        earlier: Gives the state so many steps before `before`.
        reach: The most steps that it can go back.
    """

    before: Carry
    after: Carry
    step: int
    dt: float
    earlier: Callable[[int], Carry]
    reach: int


def finite(carry: Carry) -> bool:
    """Tell whether all numbers on which the run depends are finite."""
    leaves = [leaf for leaf in tf.nest.flatten((carry.flow, carry.event)) if leaf.dtype.is_floating]
    return all(_all_finite(np.asarray(memoryview(leaf))) for leaf in leaves)


def _all_finite(numbers: NDArray[np.floating]) -> bool:
    # A sum needs a fifth of the time. It may overflow where no number has.
    with np.errstate(over="ignore", invalid="ignore"):
        total = numbers.sum()
    return bool(np.isfinite(total) or np.isfinite(numbers).all())


def diagnose(
    system: System,
    advance: Advance,
    schedule: Schedule,
    carry: Carry,
    step: int,
    steps: int,
    dt: float,
) -> NonFiniteState:
    """Find out in which step of a chunk a state ceased to be finite, and why.

    Args:
        system: The model; its `doctor`, if it has one, looks for the reason.
        advance: The compiled loop.
        schedule: Its sizes.
        carry: The state at the start of the chunk, which is finite.
        step: Steps made before the chunk since t = 0.
        steps: Steps of the chunk, at whose end the state is not finite.
        dt: The step in ms.

    Returns:
        The error to raise.
    """
    failure = _replay(advance, schedule, carry, step, steps, dt)
    plain = _plain(system, failure)
    if system.doctor is None:
        return NonFiniteState(plain)
    try:
        return NonFiniteState(system.doctor(failure))
    # A fault of the doctor must not hide what happened.
    except Exception:
        return NonFiniteState(plain)


def _replay(
    advance: Advance, schedule: Schedule, carry: Carry, step: int, steps: int, dt: float
) -> Failure:
    """Find the first bad step by bisection: a state that is not finite stays so."""

    def after(count: int, known: tuple[int, Carry]) -> Carry:
        steps_before, last = known
        more = count - steps_before
        if not more:
            return last
        return advance(last, step + steps_before, more, -(-more // schedule.stride), False)[0]

    good, bad = (0, carry), steps
    while bad - good[0] > 1:
        middle = (good[0] + bad) // 2
        state = after(middle, good)
        if finite(state):
            good = middle, state
        else:
            bad = middle
    states = [(0, carry)]

    def earlier(back: int) -> Carry:
        # The caller comes nearer and nearer, mostly.
        count = good[0] - back
        known = states[-1] if states[-1][0] <= count else states[0]
        states[1:] = [(count, after(count, known))]
        return advance.opened(states[-1][1])

    before, end = advance.opened(good[1]), advance.opened(after(bad, good))
    return Failure(before, end, step + good[0], dt, earlier, good[0])


def _plain(system: System, failure: Failure) -> str:
    before, flow = (
        tf.nest.map_structure(lambda x: x.numpy(), c.flow) for c in (failure.before, failure.after)
    )
    time = (failure.step + 1) * failure.dt
    for row in system.rows:
        wrong = np.argwhere(~np.isfinite(row.pick(flow)))
        if len(wrong):
            place = tuple(int(k) for k in wrong[0])
            value, was = row.pick(flow)[place], row.pick(before)[place]
            return (
                f"{row.name}{numbered(place, row.first)} is {value} at t = {time:g} ms "
                f"(one step before it was {was:.6g}). Is dt = {failure.dt:g} ms too large?"
            )
    return f"the state is not finite at t = {time:g} ms."
