"""Writes `pyloric.json`: bursts of the pyloric network by SciPy, for `tests/docs`.

    python tests/references/make_pyloric_reference.py

Three cells of Prinz, Bucher and Marder (2004), Nat Neurosci 7:1345: AB/PD 2, LP 4 and
PY 1 of the table of cells, with the synapses of figure 2e. Written from the printed formulas,
with currents in nA and conductances in uS, without somaflow. The times at which each cell passes
-20 mV in six seconds, with a relative tolerance of 1e-9.
"""

import json
from pathlib import Path

import numpy as np
from scipy.integrate import solve_ivp

AREA, DURATION = 0.628e-3, 6000.0  # cm2, ms
# Na, CaT, CaS, A, KCa, Kd, H, leak; mS/cm2, here in uS of the whole cell.
CELLS = np.array(
    [
        [100, 2.5, 6, 50, 5, 100, 0.01, 0],
        [100, 0, 4, 20, 0, 25, 0.05, 0.03],
        [100, 2.5, 2, 50, 0, 125, 0.05, 0.01],
    ]
).T * (AREA * 1000)
PD, LP, PY = range(3)
# From, to, uS, mV, 1/ms.
SYNAPSES = [
    (PD, LP, 0.030, -80, 0.01),
    (PD, PY, 0.003, -80, 0.01),
    (PD, LP, 0.030, -70, 0.025),
    (PD, PY, 0.010, -70, 0.025),
    (LP, PY, 0.001, -70, 0.025),
    (PY, LP, 0.030, -70, 0.025),
    (LP, PD, 0.030, -70, 0.025),
]
PRE, POST = (np.array([s[k] for s in SYNAPSES]) for k in (0, 1))
G, E_SYN, K_OFF = (np.array([s[k] for s in SYNAPSES], float) for k in (2, 3, 4))


def sigmoid(x):
    return 1 / (1 + np.exp(x))


def gates(v, ca):
    """Steady states and time constants: mNa hNa mCaT hCaT mCaS hCaS mA hA mKCa mKd mH."""
    steady = [
        sigmoid((v + 25.5) / -5.29),
        sigmoid((v + 48.9) / 5.18),
        sigmoid((v + 27.1) / -7.2),
        sigmoid((v + 32.1) / 5.5),
        sigmoid((v + 33.0) / -8.1),
        sigmoid((v + 60.0) / 6.2),
        sigmoid((v + 27.2) / -8.7),
        sigmoid((v + 56.9) / 4.9),
        ca / (ca + 3) * sigmoid((v + 28.3) / -12.6),
        sigmoid((v + 12.3) / -11.8),
        sigmoid((v + 75.0) / 5.5),
    ]
    tau = [
        2.64 - 2.52 * sigmoid((v + 120) / -25),
        1.34 * sigmoid((v + 62.9) / -10) * (1.5 + sigmoid((v + 34.9) / 3.6)),
        43.4 - 42.6 * sigmoid((v + 68.1) / -20.5),
        210 - 179.6 * sigmoid((v + 55) / -16.9),
        2.8 + 14 / (np.exp((v + 27) / 10) + np.exp((v + 70) / -13)),
        120 + 300 / (np.exp((v + 55) / 9) + np.exp((v + 65) / -16)),
        23.2 - 20.8 * sigmoid((v + 32.9) / -15.2),
        77.2 - 58.4 * sigmoid((v + 38.9) / -26.5),
        180.6 - 150.2 * sigmoid((v + 46) / -22.7),
        14.4 - 12.8 * sigmoid((v + 28.3) / -19.2),
        2 / (np.exp((v + 169.7) / -11.6) + np.exp((v - 26.7) / 14.3)),
    ]
    return np.array(steady), np.array(tau)


def slope(t, y):
    v, ca = y[:3], y[3:6]
    gate, s = y[6:39].reshape(11, 3), y[39:]
    e_ca = 8.31446261815324 * 284.15 / (2 * 96485.33212331) * 1000 * np.log(3000 / ca)
    m_na, h_na, m_t, h_t, m_s, h_s, m_a, h_a, m_kca, m_kd, m_h = gate
    na, cat, cas, a, kca, kd, h, leak = CELLS
    calcium = (cat * m_t**3 * h_t + cas * m_s**3 * h_s) * (v - e_ca)
    current = calcium + na * m_na**3 * h_na * (v - 50)
    current += (a * m_a**3 * h_a + kca * m_kca**4 + kd * m_kd**4) * (v + 80)
    current += h * m_h * (v + 20) + leak * (v + 50)
    current += np.bincount(POST, G * s * (v[POST] - E_SYN), 3)
    steady, tau = gates(v, ca)
    opened = sigmoid((-35 - v[PRE]) / 5)
    return np.concatenate(
        [
            -current / (AREA * 1000),
            (0.05 - 14.96 * calcium - ca) / 200,
            ((steady - gate) / tau).ravel(),
            (opened - s) / ((1 - opened) / K_OFF),
        ]
    )


class Crossing:
    """Where a cell passes -20 mV upwards."""

    direction = 1

    def __init__(self, cell):
        self.cell = cell

    def __call__(self, t, y):
        return y[self.cell] + 20


def main() -> None:
    """Integrate and write."""
    v, ca = np.full(3, -50.0), np.full(3, 0.05)
    start = np.concatenate([v, ca, gates(v, ca)[0].ravel(), np.zeros(7)])

    sol = solve_ivp(
        slope,
        (0, DURATION),
        start,
        method="LSODA",
        rtol=1e-9,
        atol=1e-10,
        events=[Crossing(cell) for cell in range(3)],
    )
    found = {"duration_ms": DURATION}
    for name, times in zip(("PD", "LP", "PY"), sol.t_events, strict=True):
        found[name] = np.round(times, 4).tolist()
    path = Path(__file__).with_name("pyloric.json")
    path.write_text(json.dumps(found) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
