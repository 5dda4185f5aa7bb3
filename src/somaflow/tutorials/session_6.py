"""Checks of session 6: the antennal lobe."""

from typing import Any

import numpy as np

from somaflow.models import antennal_lobe
from somaflow.tutorials.checking import Check, Unanswered, near, number

_CONDUCTANCE, _OPEN, _VOLTAGE, _REVERSAL = 0.6, 0.5, -55.0, -70.0  # of exercise 6.1
_STABLE = 2.785  # steps of RK4, in time constants


def _current(answer: Any) -> str | None:
    value = number(answer, "uA/cm**2")
    right = _CONDUCTANCE * _OPEN * (_VOLTAGE - _REVERSAL)
    if near(value, right, 0.01):
        return None
    if near(value, -right, 0.01):
        return "Look at the sign: is the voltage above or below the reversal potential?"
    if near(value, right / _OPEN, 0.01):
        return "Not all of the channels are open."
    return "Put the four numbers into the equation again; E is the reversal potential of GABA_A."


def _frequency(answer: Any) -> str | None:
    draws = np.random.default_rng(6)
    for count in (2, 3, 12):
        times = 50 + np.cumsum(draws.uniform(20, 60, count))
        for given in (times, times.tolist()):
            found = answer(given)
            if found is None or found is ...:
                raise Unanswered
            value = number(found, "Hz")
            right = 1000 * (count - 1) / (times[-1] - times[0])
            if not near(value, right, 5e-3):
                return _about_frequency(value, times, right)
    return None


def _about_frequency(value: float, times: np.ndarray, right: float) -> str:
    if near(value * 1000, right, 5e-3):
        return "How many milliseconds does a second have?"
    if near(value, 1000 / right, 5e-3):
        return "That is the interval, and not the frequency."
    if near(value, right * len(times) / (len(times) - 1), 5e-3):
        return f"How many intervals are there between {len(times)} volleys?"
    return (
        "Take the mean of the intervals between volleys; when the first one came is of no matter."
    )


def _slow(answer: Any) -> str | None:
    if not hasattr(answer, "final"):
        return "Store the run, which is what `loop` returns."
    spikes, volleys = answer["PN.spikes"], answer["LN.spikes"].trains()[0]
    if spikes.size != 6 or answer["LN.spikes"].size != 2:
        return "The loop is to keep its six projection neurons and two local neurons."
    if len(volleys) < 3:
        return "The local neurons hardly fire: do the projection neurons still reach them?"
    rate = 1000 * (len(volleys) - 1) / (volleys[-1] - volleys[0])
    if not 18 <= rate <= 22:
        return f"The volleys come {rate:.1f} times a second."
    if _locked(spikes.times, volleys) < 0.5:
        return "The projection neurons fire at any time between two volleys: what should join them?"
    active = int(np.count_nonzero(spikes.counts() >= len(volleys) / 2))
    if active < 2:
        return "Fewer than two projection neurons take part in most of the volleys."
    return None


def _locked(times: np.ndarray, volleys: np.ndarray) -> float:
    """Return how well spikes keep to one phase between volleys: 1 is one phase, near 0 any."""
    times = times[(times >= volleys[0]) & (times < volleys[-1])]
    if not len(times):
        return 0.0
    last = np.searchsorted(volleys, times, side="right") - 1
    phases = (times - volleys[last]) / np.diff(volleys)[last]
    return float(abs(np.exp(2j * np.pi * phases).mean()))


def _block(answer: Any) -> str | None:
    network = antennal_lobe().network
    for names in (["LN_to_LN"], ["LN_to_PN"], ["LN_to_PN", "LN_to_LN"], []):
        found = answer(network, names)
        if found is None or found is ...:
            raise Unanswered
        if said := _blocked(network, found, names):
            return said
    return None


def _blocked(network: Any, found: Any, names: list[str]) -> str | None:
    if type(found) is not type(network):
        return "It is to return a network."
    there = {part.name: part for part in found.projections}
    for part in network.projections:
        weight = float(there[part.name].weight.value) if part.name in there else 0.0
        if part.name in names and weight != 0:
            return f"With {names}, {part.name} still has a conductance."
        if part.name not in names and weight != float(part.weight.value):
            return f"With {names}, {part.name} is to be as it was."
    if found.stimuli != network.stimuli or found.populations != network.populations:
        return "Cells and odour are to be as they were."
    return None


def _longest(answer: Any) -> str | None:
    answer = answer.to("ms").magnitude if hasattr(answer, "to") else answer
    parts = answer if isinstance(answer, (list, tuple)) else np.atleast_1d(answer)
    values = [number(value, "ms") for value in parts]
    if len(values) != 2:
        return "There are to be two numbers: mended, and with the slip."
    total = np.exp((40 + 35.82) / 19.69) + np.exp(-(40 + 79.69) / 12.7)
    factor = 3 ** ((36 - 23.5) / 10)
    right = [_STABLE * (1 / total + 0.37) / factor, _STABLE / (total + 0.37) / factor]
    if all(near(value, exact, 0.05) for value, exact in zip(values, right, strict=True)):
        return None
    if near(values, right[::-1], 0.05):
        return "The mended one comes first."
    if near(values, np.array(right) / _STABLE, 0.05):
        return "These are the time constants. How many of them may a step of RK4 have?"
    return "Take the time constants at +40 mV, and the sentence above on what RK4 allows."


def _sparse(answer: Any) -> str | None:
    if not hasattr(answer, "final"):
        return "Store the run, which is what `own_lobe` returns."
    answering = _firing(answer["PN.spikes"])
    if answering <= 10:
        return f"Only {answering} projection neurons answer the rose."
    cells = answer["KC.spikes"].size
    if cells != 100:
        return f"There are to be 100 Kenyon cells, not {cells}."
    readers = _firing(answer["KC.spikes"])
    if readers == 0:
        return "No Kenyon cell answers the rose."
    if readers > 20:
        return f"{readers} Kenyon cells answer the rose: too many."
    return None


def _firing(spikes: Any) -> int:
    """Return how many cells fire while the first odour acts."""
    inside = (spikes.times >= 100) & (spikes.times < 450)
    return len(np.unique(spikes.cells[inside]))


CHECKS: dict[str, Check] = {
    "6.1": _current,
    "6.2": _frequency,
    "6.3": _slow,
    "6.4": _block,
    "6.5": _longest,
    "6.6": _sparse,
}
