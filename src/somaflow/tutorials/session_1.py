"""Checks of session 1."""

from itertools import pairwise
from typing import Any

import numpy as np

from somaflow.tutorials.checking import Check, Unanswered, near, number

_CHANGED = "It changes the state that it is given; {} += writes into the caller's array."


def next_temperature(answer: Any) -> str | None:
    """Check one Euler step of the coffee, in degrees."""
    right = 80.0 - 5.0 * (80.0 - 20.0) / 20.0
    found = number(answer)
    if near(found, right, 1e-3):
        return None
    if found > 80.0:
        return "The room is colder than the coffee: which way does its temperature go?"
    return "Look at the speed again: how far above the room is it, and for how long does it last?"


def order(answer: Any) -> str | None:
    """Check an order, from two errors."""
    if near(number(answer), np.log2(0.0240 / 0.0030), 0.02):
        return None
    return "Half the step divides the error by 2**order: which order makes the factor that you see?"


def heun(answer: Any) -> str | None:
    """Check one step of Heun's method: a nonlinear system that knows the time."""

    def f(t: float, y: Any) -> Any:
        return np.array([y[1] * np.cos(t), t**2 - y[0] * y[1]])

    t, y, dt = 0.3, np.array([0.8, -0.5]), 0.2
    state = y.copy()
    found = answer(f, t, state, dt)
    if found is None:
        raise Unanswered
    if not np.array_equal(state, y):
        return _CHANGED.format("y")
    trial = y + dt * f(t, y)
    if near(found, y + dt * (f(t, y) + f(t + dt, trial)) / 2, 1e-9):
        return None
    if near(found, y + dt * (f(t, y) + f(t, trial)) / 2, 1e-9):
        return "At which time does the second speed belong?"
    return "One step gives another state: where are the two speeds taken, and what is their mean?"


def pair(answer: Any) -> str | None:
    """Check the right-hand side of two leaky pieces, in mV and ms."""
    matrix = np.array([[-1 / 10 - 0.3, 0.3], [0.3, -1 / 10 - 0.3]])
    states = np.array([[0.0, 0.0], [5.0, 2.0], [-1.0, 4.0]])
    for t, v in zip((0.0, 7.0, 300.0), states, strict=True):
        right, state = matrix @ v + [1.0, 0.0], v.copy()
        found = answer(t, state)
        if found is None:
            raise Unanswered
        if not np.array_equal(state, v):
            return _CHANGED.format("v")
        if np.shape(found) != (2,):
            return f"It should return two speeds, and returns something of shape {np.shape(found)}."
        if not near(found, right, 1e-9):
            if near(answer(0.0, v.copy()), right, 1e-9):
                return f"It is right at time 0, and not at {t:g} ms: what there knows the time?"
            return f"At v = ({v[0]:g}, {v[1]:g}) mV a speed is not right: who gains, who loses?"
    return None


def length_constant(answer: Any) -> str | None:
    """Check a length constant in mm, by how much of a voltage is left after 2 mm."""
    found = number(answer, "mm")
    if not found > 0:
        return "A length constant is a positive length."
    part = float(np.exp(-2 / found))
    if 0.2 <= part <= 0.25:
        return None
    return f"With it {100 * part:.3g} per cent are left at 2 mm."


def ringing_step(answer: Any) -> str | None:
    """Check a step in ms, by Euler's method on a decay with a time constant of 4 ms."""
    dt = number(answer, "ms")
    if not dt > 0:
        return "A step is a positive time."
    y = [1.0]
    for _ in range(3):
        y.append(y[-1] + dt * (-y[-1] / 4))
    if not all(one * other < 0 for one, other in pairwise(y)):
        return "With this step the sign does not change."
    if abs(y[3]) >= abs(y[2]):
        return "With this step the numbers do not die away."
    return None


CHECKS: dict[str, Check] = {
    "1.1": next_temperature,
    "1.2": order,
    "1.3": heun,
    "1.4": pair,
    "1.5": length_constant,
    "1.6": ringing_step,
}
