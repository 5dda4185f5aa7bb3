"""Checks of session 3."""

from typing import Any

import numpy as np

import somaflow as sf
from somaflow.tutorials.checking import Check, given, near, number
from somaflow.units import cm, ms, mV, registry, uA


def _chloride(answer: Any) -> str | None:
    right = -1000 * 8.314 * (273.15 + 6.3) / 96485 * np.log(560 / 52)
    value = number(given(answer), "mV")
    if near(value, right, 0.01):
        return None
    if near(value, -right, 0.01):
        return "The size is right; which sign has the charge of chloride, and where does it stand?"
    if near(1000 * value, right, 0.01):
        return "Is that in mV?"
    return "Check which concentration stands above the line, the logarithm, and the temperature."


def _gates(answer: Any) -> str | None:
    letters = given(answer)
    if isinstance(letters, str):
        letters = letters.replace(",", " ").split()
    if len(letters) != 2:
        return "Two letters are asked for, as (open, quickest)."
    mostly_open, quickest = (str(one).strip().lower() for one in letters)
    if mostly_open != "h":
        return "Look for the curve of the left panel that is above one half at -65 mV."
    if quickest != "m":
        return "Look for the lowest curve of the right panel at -65 mV."
    return None


def _leaky(answer: Any) -> str | None:
    equations = given(answer)
    if not isinstance(equations, sf.Equations):
        return "It is to be what sf.Equations.parse() returns."
    if "I_stim" not in equations.inputs:
        return "Let the input be called I_stim."
    if "v" not in equations.states:
        return "Let the potential be called v."
    cells = sf.Population("cells", 2, equations)
    clamp = sf.CurrentClamp(cells, np.array([0.0, 4.0]) * uA / cm**2)
    run = sf.simulate(
        sf.Network(cells, clamp), 6 * ms, dt=0.01 * ms, solver=sf.RK4(), record=cells["v"]
    )
    unit = registry.Quantity(1.0, run["cells.v"].attrs["units"])
    found = run["cells.v"].values * unit.to("mV").magnitude
    time = np.arange(601)[:, None] * 0.01
    plateau = -70 + np.array([0.0, 4.0]) / 0.5
    right = plateau + (-60 - plateau) * np.exp(-0.5 * time)
    if not near(found[0], right[0]):
        return "Where does the potential start?"
    if near(found, right):
        return None
    if near(found[:, 0], right[:, 0]):
        return "Without a current it is right; how does the current enter?"
    return "Without a current it should come to -70 mV; look at signs and numbers of the leak."


def _onset(answer: Any) -> str | None:
    value = number(given(answer), "uA/cm**2")
    tried = value + np.array([-0.12, 0.12])
    cells = sf.Population("cells", 2, sf.load("hodgkin_huxley_1952"))
    network = sf.Network(cells, sf.CurrentClamp(cells, tried * uA / cm**2))
    run = sf.simulate(network, 1000 * ms, dt=0.02 * ms, solver=sf.RK4(), record=cells.spikes)
    below, above = run.read("cells.spikes", 500, 1000).counts()
    if above == 0:
        return "With a little more than that an axon is still silent, but for a spike at the start."
    if below > 0:
        return "With a little less than that an axon still fires again and again."
    return None


def _both(answer: Any) -> str | None:
    current, resting, firing = given(answer)
    starts = np.array([number(resting, "mV"), number(firing, "mV")])
    cells = sf.Population("cells", 2, sf.load("morris_lecar")(v=starts * mV))
    clamp = sf.CurrentClamp(cells, number(current, "uA/cm**2") * uA / cm**2)
    run = sf.simulate(
        sf.Network(cells, clamp),
        3000 * ms,
        dt=0.1 * ms,
        solver=sf.RK4(),
        record=[cells.spikes, cells["v"].every(1 * ms)],
    )
    values = run["cells.v"].values
    early, swing = np.ptp(values[1000:2000], axis=0), np.ptp(values[2000:], axis=0)
    spikes = run.read("cells.spikes", 2000, 3000).counts()
    if swing[0] > 1:
        return "From the first potential the cell does not come to rest."
    if swing[0] > early[0] and swing[0] > 1e-6:  # what does not repel, but for round-off
        return "The cell does not come to rest: it moves away from the first potential, slowly."
    if spikes[1] < 3:
        return "From the second potential the cell does not go on firing."
    return None


CHECKS: dict[str, Check] = {
    "3.1": _chloride,
    "3.2": _gates,
    "3.3": _leaky,
    "3.4": _onset,
    "3.5": _both,
}
