"""Checks of session 4."""

from typing import Any

import numpy as np

import somaflow as sf
from somaflow.tutorials.checking import Check, given, near, number
from somaflow.units import kHz, ms, mV


def _ways(answer: Any) -> str | None:
    ways = tuple(str(one).strip().lower() for one in given(answer))
    if len(ways) != 2 or not set(ways) <= {"up", "down"}:
        return 'Two words are asked for, each "up" or "down".'
    if ways == ("down", "up"):
        return None
    return "Compare each potential with the reversal potential: to which side of it does it lie?"


def _factors(answer: Any) -> str | None:
    end, line = (float(one) for one in given(answer))
    if abs(end - 2) > 0.3:
        return "Of the first error, divide one value by the next one of half the step."
    if abs(line - 4) > 0.6:
        return "Of the second error, look at how much steeper its line is than the first one."
    return None


def _delay(answer: Any) -> str | None:
    delay = number(given(answer), "ms")
    cells = sf.Population(
        "cells", 20, sf.load("lif")(v=np.where(np.arange(20) == 0, -49, -65) * mV)
    )
    pairs = [(k, (k + 1) % 20) for k in range(20)]
    onward = sf.Projection(
        cells, cells, sf.load("delta"), sf.FromList(pairs), weight=20 * mV, delay=delay * ms
    )
    run = sf.simulate(
        sf.Network(cells, onward),
        220 * ms,
        dt=0.1 * ms,
        solver=sf.ExponentialEuler(),
        record=cells.spikes,
    )
    spikes = run["cells.spikes"]
    laps = np.diff(spikes.times[spikes.cells == 0])
    if not len(laps):
        return "In 200 ms the spike does not come round once."
    if abs(laps[0] - 100) < 0.05:
        return None
    return f"With that delay a lap takes {laps[0]:.1f} ms."


def _expected(answer: Any) -> str | None:
    few, many, fixed = (float(one) for one in given(answer))
    if not near(few, 0.1 * 3000**2, 0.001):
        return "How many pairs are there among 3,000 cells, and which part of them is joined?"
    if not near(many, 0.1 * 6000**2, 0.001):
        return "Twice as many senders, and to each of them twice as many receivers: what of pairs?"
    if not near(fixed, 100 * 6000):
        return "With an in-degree, count what arrives at one cell, and then the cells."
    return None


def _mean_rates(answer: Any) -> str | None:
    function = given(answer)
    random = np.random.default_rng(1)
    for n_steps, n_cells, dt in ((2000, 7, 0.1), (100, 3, 0.5)):
        fired = (random.random((n_steps, n_cells)) < 0.05).astype(float)
        fired[:, 1] = 0
        right = fired.sum(axis=0) / (n_steps * dt / 1000)
        found = given(function(fired, dt))
        found = np.asarray(found.to("Hz").magnitude if hasattr(found, "to") else found, float)
        if near(found, right, 5e-3):
            continue
        if found.shape != right.shape:
            return "It is to return one number for each cell, which is a column."
        ratios = found[right > 0] / right[right > 0]
        if near(ratios, np.full_like(ratios, 0.001), 5e-3):
            return "These are spikes per millisecond."
        if near(ratios, np.full_like(ratios, dt), 5e-3):
            return "How long is the recording, if a step takes dt?"
        return (
            "Count the spikes of each cell, and divide by the length of the recording in seconds."
        )
    return None


def _balanced(answer: Any) -> str | None:
    g, drive = (float(one) for one in given(answer))
    if g < 0 or drive < 0:
        return "Both numbers are at least 0."
    cells = sf.Population(
        "cells",
        1000,
        sf.load("lif")(
            E_L=0 * mV, V_threshold=20 * mV, V_reset=10 * mV, v=sf.Uniform(0 * mV, 20 * mV)
        ),
    )
    delta = sf.load("delta")

    def joined(name: str, senders: sf.PopulationView, degree: int, weight: float) -> sf.Projection:
        rule = sf.FixedInDegree(degree)
        return sf.Projection(
            senders, cells, delta, rule, weight=weight * mV, delay=1.5 * ms, name=name
        )

    network = sf.Network(
        cells,
        joined("excite", cells[:800], 80, 0.5),
        joined("inhibit", cells[800:], 20, -0.5 * g),
        sf.PoissonInput(cells, delta, rate=drive / 0.5 * kHz, weight=0.5 * mV),
    )
    run = sf.simulate(
        network,
        500 * ms,
        dt=0.1 * ms,
        solver=sf.ExponentialEuler(),
        seed=1,
        record=cells.spikes,
    )
    spikes = run.read("cells.spikes", 100, 500)
    rate = spikes.rates().mean()
    gaps = [np.diff(train) for train in spikes.trains() if len(train) > 4]
    spread = np.mean([gap.std() / gap.mean() for gap in gaps]) if gaps else 0.0
    if not 14.9 < rate < 25.1:
        return f"The mean rate is {rate:.1f} Hz."
    if spread < 0.845:
        return f"The rate is right, but the irregularity is {spread:.2f}."
    return None


CHECKS: dict[str, Check] = {
    "4.1": _ways,
    "4.2": _factors,
    "4.3": _delay,
    "4.4": _expected,
    "4.5": _mean_rates,
    "4.6": _balanced,
}
