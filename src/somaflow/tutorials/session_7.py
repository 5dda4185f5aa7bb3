"""Checks of session 7."""

from typing import Any

import numpy as np

from somaflow.tutorials.checking import Check, Unanswered, near, number


def _amdahl(answer: Any) -> str | None:
    eight, limit = map(number, answer)
    of_eight, at_most = 1 / (0.05 + 0.95 / 8), 1 / (1 - 0.95)
    if near(eight, of_eight, 0.015) and near(limit, at_most, 0.01):
        return None
    if near(limit, of_eight, 0.015) and near(eight, at_most, 0.01):
        return "Both numbers are there, in the other order."
    if near(limit, at_most, 0.01):
        return "The limit is right; look at what eight workers do with each of the two parts."
    if near(eight, of_eight, 0.015):
        return "The first is right; what is left of the time when workers cost nothing?"
    return "Which part of the time shrinks with the number of workers, and which part stays?"


def _count(answer: Any) -> str | None:
    # The spikes of the last steps need not be told: one fewer is right too.
    count = number(answer)
    if count in (1249, 1250):
        return None
    if count in (20_000, 19_999):
        return "That is one exchange in each step; how long may a worker go on without news?"
    return "Which delay decides, and how often does it fit into the run?"


def _total(answer: Any) -> str | None:
    rng = np.random.default_rng(11)
    for count in (1, 2, 3, 5):
        values = rng.normal(0, 1, 400)
        right = 0.0
        for value in values:
            right += float(value)
        owners = rng.integers(0, count, 400)
        held = [rng.permutation(np.flatnonzero(owners == k)) for k in range(count)]
        found = answer([(cells, values[cells]) for cells in held])
        if found is None:
            raise Unanswered
        if np.ndim(found) != 0:
            return "It is to return one number, and no array."
        if abs(float(found) - right) > 1e-9:
            return "The sum is another one, far beyond the last digits."
        if float(found) != right:
            return "The sum is right but for its last digits: in which order is it added?"
    return None


def _profitable(answer: Any) -> str | None:
    letter = str(np.squeeze(answer)).strip().rstrip(":.").upper()
    if letter == "A":
        return None
    if letter == "B":
        return "How many steps does a worker of that network make between two exchanges?"
    if letter == "C":
        return "When do those cells act on each other, and how many of them are there?"
    return "The answer is one letter: A, B or C."


def _choice(answer: Any) -> str | None:
    missing = [key for key in ("cells", "rate", "delay") if key not in answer]
    if missing:
        return f"There is no {missing[0]!r} in it."
    if any(value is ... for value in answer.values()):
        raise Unanswered
    cells, rate = number(answer["cells"]), number(answer["rate"], "Hz")
    delay = number(answer["delay"], "ms")
    if not (16 <= cells <= 1e6 and rate >= 1 and 0.1 <= delay <= 10):
        return "One of the three lies outside of what may be chosen."
    spikes = cells * rate * 1e-4
    step = 26 * cells / 16 + 1.6 * cells + 1000 * spikes + 65_000 / delay
    faster = 29 * cells / step
    return None if faster >= 6 else f"By the model this network is {faster:.2f} times as fast."


CHECKS: dict[str, Check] = {
    "7.1": _amdahl,
    "7.2": _count,
    "7.3": _total,
    "7.4": _profitable,
    "7.5": _choice,
}
