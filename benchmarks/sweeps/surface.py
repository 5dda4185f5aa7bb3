"""The f-I surface: currents x conductances of sodium, and the squid axons that stand at its points.

Needs NumPy and the harness alone, so that every peer's environment can import it. A surface has
four currents for every five conductances: 40 x 50 are 2,000 points.
"""

import math

import numpy as np
from harness import peer

CURRENTS, CONDUCTANCES = (0.0, 20.0), (80.0, 160.0)  # uA/cm2 and mS/cm2
POINTS, DT = 2_000, 0.01  # ms
V = -65.0  # mV
# alpha/(alpha + beta) of the 1952 rates at -65 mV.
GATES = {"m": 0.0529324852572, "h": 0.596120753508, "n_gate": 0.317676914061}


def axes(points: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the currents in uA/cm2, and the conductances in mS/cm2."""
    shorter = max(round(math.sqrt(points * 0.8)), 1)
    return np.linspace(*CURRENTS, shorter), np.linspace(*CONDUCTANCES, max(points // shorter, 1))


def make(points: int) -> peer.Problem:
    """Return the problem: `I` and `g_na` of each point, [points], current by current."""
    current, conductance = np.meshgrid(*axes(points), indexing="ij")
    return {
        "n": current.size,
        "dt": DT,
        "v": V,
        "I": current.ravel(),
        "g_na": conductance.ravel(),
        **GATES,
    }
