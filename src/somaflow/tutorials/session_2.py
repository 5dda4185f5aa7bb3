"""Checks of session 2."""

from typing import Any

import numpy as np
import tensorflow as tf

from somaflow.tutorials.checking import Check, Unanswered, near

_STEP, _CURRENTS = 0.1, np.linspace(0.0, 1.5, 31)


def voltages(current: Any, n: int) -> Any:
    """Return v of the caricature from (-1, 0), after 0 to n steps, for each current, by RK4."""

    def f(y: Any) -> Any:
        v, w = y
        return np.array([v - v**3 / 3 - w + current, (v + 0.7 - 0.8 * w) / 12.5])

    y = np.array([np.full_like(current, -1.0), np.zeros_like(current)])
    kept = [y[0]]
    for _ in range(n):
        a = f(y)
        b = f(y + _STEP / 2 * a)
        c = f(y + _STEP / 2 * b)
        y = y + _STEP / 6 * (a + 2 * b + 2 * c + f(y + _STEP * c))
        kept.append(y[0])
    return np.array(kept)


def shape(answer: Any) -> str | None:
    """Check the shape of a product."""
    if np.shape(answer) == ():
        return "A shape is a tuple, with one number for each axis."
    if tuple(float(one) for one in answer) == np.broadcast_shapes((5, 1), (3,)):
        return None
    return "Align the two shapes on the right: which length has each axis of the product?"


def traces(answer: Any) -> str | None:
    """Check how often a function is traced: once for each shape and type, or value."""
    tensors = [((), "float32"), ((), "float32"), ((2,), "float32"), ((), "float64")]
    right = len(set(tensors)) + len({1, 2})
    if near(np.squeeze(answer), right, 1e-9):
        return None
    return "Go through the calls again: which of them finds a graph that is already there?"


def steps_until(answer: Any) -> str | None:
    """Check a loop that ends at a level, compiled."""
    cases = ((1.0, 0.5, 0.1), (7.0, 0.3, 0.02), (0.2, 0.5, 0.1), (1.0, 0.01, 0.25))
    compiled = tf.function(answer, jit_compile=True)
    for y, level, dt in (*cases, (1.0, 0.25, 0.5)):  # the last one meets its level exactly
        right, state = 0, y
        while state >= level:
            right, state = right + 1, state - dt * state
        given = [tf.constant(one, tf.float64) for one in (y, level, dt)]
        if answer(*given) is None:
            raise Unanswered
        found = compiled(*given)
        if np.shape(found) != ():
            return f"It should return one number, and returns shape {np.shape(found)}."
        if float(found) != right:
            told = f"From {y:g} to below {level:g} in steps of {dt:g}"
            return f"{told} it returns {float(found):g}: when does the loop end, what is counted?"
    return None


def swing(answer: Any) -> str | None:
    """Check how far v swings after time 100, of 31 currents."""
    if np.shape(answer) != _CURRENTS.shape:
        return f"It should have 31 numbers, and has the shape {np.shape(answer)}."
    v = voltages(_CURRENTS, 2000)
    if near(answer, np.ptp(v[1000:], axis=0), 5e-3):
        return None
    if near(answer, np.ptp(v, axis=0), 5e-3):
        return "This takes in times before 100: which samples lie after it?"
    return "Some of the numbers are not right: which variable, which times, along which axis?"


def my_current(answer: Any) -> str | None:
    """Check a current, by the time between two firings."""
    current = float(np.squeeze(answer))
    with np.errstate(all="ignore"):  # a current may be as large as it likes
        v = voltages(np.array([current]), 3000)[:, 0]
    if not np.all(np.isfinite(v)):
        return "With this current the state grows without bound."
    upward = np.flatnonzero((v[:-1] < 0) & (v[1:] >= 0))
    if len(upward) < 4:
        return "With this current the cell does not fire without end."
    interval = _STEP * float(upward[-1] - upward[-2])
    if 40.0 - 0.05 <= interval <= 42.0 + 0.05:
        return None
    return f"With it the time from one firing to the next is {interval:.1f}."


def stuck(answer: Any) -> str | None:
    """Check a time at which a clock in float32 stops."""
    with np.errstate(over="ignore"):
        time = np.float32(np.squeeze(answer))
    if not np.isfinite(time) or time < 0:
        return "It should be a time that is not negative, and finite in float32."
    moved = float(time + np.float32(0.1)) - float(time)
    return None if moved == 0 else f"There a step of 0.1 still moves the clock by {moved:.3g}."


CHECKS: dict[str, Check] = {
    "2.1": shape,
    "2.2": traces,
    "2.3": steps_until,
    "2.4": swing,
    "2.5": my_current,
    "2.6": stuck,
}
