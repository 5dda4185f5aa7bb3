"""Checks of session 5."""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

import somaflow as sf
from somaflow.tutorials.checking import Check, Unanswered, near, number
from somaflow.units import cm, ms, nA, uA

_STEPS = (0.4, 0.2, 0.1, 0.05, 0.025, 0.0125)


def _recorded(answer: Any) -> str | None:
    right = 5_000 * 120_001 * 8
    size = number(answer)
    if near(size, right):
        return None
    if near(size, right - 40_000):
        return "The sample at time zero is missing."
    if any(near(size, some / part) for some in (right, right - 40_000) for part in (8, 2)):
        return "How many bytes has one number in float64?"
    return "Cells times samples times bytes: how many samples are there in a minute?"


def _interval(answer: Any) -> str | None:
    interval = number(answer, "ms")
    if not interval > 0:
        return "An interval is longer than zero."
    if (3_600_000 // interval + 1) * 800 > 1e9:
        return "With this interval the recording takes more than 1 GB."
    if interval != round(interval):
        return "Whole milliseconds are asked for."
    if interval > 1 and (3_600_000 // (interval - 1) + 1) * 800 <= 1e9:
        return "It fits, but an interval that is shorter by 1 ms fits too."
    return None


def _resumed(answer: Any) -> str | None:
    longer, straight = answer
    if longer is ... or straight is ... or longer is None or straight is None:
        raise Unanswered
    if longer is straight:
        return "These are two names of one run."
    for name, run in (("longer", longer), ("straight", straight)):
        if run.duration != 800:
            return f"`{name}` ends at {run.duration:g} ms."
    if not isinstance(longer._sink, sf.ZarrSink):
        return "`longer` is to come out of a store, by sf.resume."
    one, other = longer["exc.spikes"], straight["exc.spikes"]
    if not np.array_equal(one.times, other.times) or not np.array_equal(one.cells, other.cells):
        return "The spikes of the two differ; have both runs the same settings, and the same seed?"
    return None


def _weight(answer: Any) -> str | None:
    rate = _rate_with(number(answer, "nA"))
    if abs(rate - 20) <= 2:
        return None
    return f"With this weight the mean rate is {rate:.1f} Hz."


@cache
def _rate_with(weight: float) -> float:
    """Return the mean rate of the excitatory cells of the session's network, in Hz.

    Args:
        weight: Of its inhibition, in nA.
    """
    exc = sf.Population("exc", 80, sf.load("qif"), refractory=2 * ms)
    inh = sf.Population("inh", 20, sf.load("qif"), refractory=2 * ms)
    wires = [
        sf.Projection(
            before,
            after,
            sf.load("exponential_current"),
            sf.FixedProbability(0.3, seed=seed),
            weight=strength * nA,
            delay=1 * ms,
        )
        for seed, (before, after, strength) in enumerate(
            [(exc, inh, 8.0), (inh, exc, weight), (exc, exc, 6.0), (inh, inh, -12.0)], 1
        )
    ]
    network = sf.Network(
        exc,
        inh,
        *wires,
        sf.CurrentClamp(exc, np.linspace(11, 13, 80) * nA),
        sf.CurrentClamp(inh, np.linspace(7, 9, 20) * nA),
        sf.Stimulus(exc, sf.OrnsteinUhlenbeck(0 * nA, sd=2 * nA, tau=5 * ms), name="noise"),
    )
    rates = []
    for seed in range(3):
        run = sf.simulate(
            network, 500 * ms, dt=0.1 * ms, record=exc.spikes, seed=seed, progress=False
        )
        rates.append(run["exc.spikes"].rates().mean())
    return float(np.mean(rates))


def _largest(answer: Any) -> str | None:
    step = number(answer, "ms")
    fits = [one for one in _STEPS if np.isclose(step, one)]
    if not fits:
        return "That is none of the six steps."
    if _error(fits[0]) > 0.02:
        return "With this step the rate is wrong by more than 2 %."
    if any(one > fits[0] and _error(one) <= 0.02 for one in _STEPS):
        return "The rate is right, but a larger step would do as well."
    return None


@cache
def _rate(solver: Callable[[], Any], step: float) -> float:
    """Return the rate of the session's axon in Hz."""
    axon = sf.Population("axon", 1, sf.load("hodgkin_huxley_1952"))
    clamped = sf.Network(axon, sf.CurrentClamp(axon, 10 * uA / cm**2))
    run = sf.simulate(
        clamped, 200 * ms, dt=step * ms, solver=solver(), record=axon.spikes, progress=False
    )
    return float(1000 / np.diff(run["axon.spikes"].times[2:]).mean())


def _error(step: float) -> float:
    return abs(_rate(sf.ExponentialEuler, step) / _rate(sf.RK4, 0.0125) - 1)


def _comparable(answer: Any) -> str | None:
    letters = {letter for letter in "".join(answer).lower() if letter.isalpha()}
    if letters - set("abcde"):
        return "The letters are a to e."
    if letters & set("ac"):
        return "One of these is long after the two runs have come apart."
    if letters != set("bde"):
        return "One that agrees is missing."
    return None


CHECKS: dict[str, Check] = {
    "5.1": _recorded,
    "5.2": _interval,
    "5.3": _resumed,
    "5.4": _weight,
    "5.5": _largest,
    "5.6": _comparable,
}
