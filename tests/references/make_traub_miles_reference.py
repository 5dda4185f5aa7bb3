"""Prints the numbers of `test_traub_miles.py` and of the cell of NEST in `tests/mechanisms`.

    python tests/references/make_traub_miles_reference.py

NumPy and SciPy only: DOP853 at rtol 1e-12, from one event to the next.
"""

from typing import Any

import numpy as np
from scipy.integrate import solve_ivp

# uS, nF, mV, nA
PYNN = {"C": 0.2, "na": 20, "k": 6, "leak": 0.01, "E_na": 50, "E_k": -90, "E_leak": -65}
NEST = PYNN | {"E_leak": -60}
NEST_TEST = {"C": 0.11, "na": 19, "k": 5, "leak": 0.009, "E_na": 40, "E_k": -80, "E_leak": -70}
V_T, E_EX, TAU_EX = -63, 1, 0.3


def linear_rate(a: float, b: float, c: float, u: float) -> float:
    """a (b - u)/(exp((b - u)/c) - 1), or its limit."""
    x = (b - u) / c
    return a * c if abs(x) < 1e-9 else a * c * x / np.expm1(x)


def rates(u: float) -> tuple[float, ...]:
    """alpha and beta of m, h and n."""
    return (
        linear_rate(0.32, 13, 4, u),
        linear_rate(0.28, -40, 5, -u),
        0.128 * np.exp((17 - u) / 18),
        4 / (1 + np.exp((40 - u) / 5)),
        linear_rate(0.032, 15, 5, u),
        0.5 * np.exp((10 - u) / 40),
    )


def gates(u: float) -> list[float]:
    """Steady states of m, h and n."""
    a = rates(u)
    return [a[k] / (a[k] + a[k + 1]) for k in (0, 2, 4)]


def run(
    p: dict[str, float], current: float, span: Any, y: Any, level: float, at: Any = None
) -> Any:
    """Integrate [v, m, h, n, conductance], and find upward crossings of a level."""

    def slope(_: float, y: Any) -> list[float]:
        v, m, h, n, g = y
        a = rates(v - V_T)
        out = p["na"] * m**3 * h * (v - p["E_na"]) + p["k"] * n**4 * (v - p["E_k"])
        out += p["leak"] * (v - p["E_leak"]) + g * (v - E_EX)
        opening = [a[2 * k] * (1 - x) - a[2 * k + 1] * x for k, x in enumerate((m, h, n))]
        return [(current - out) / p["C"], *opening, -g / TAU_EX]

    def crossing(_: float, y: Any) -> float:
        return y[0] - level

    crossing.direction = 1
    return solve_ivp(
        slope, span, y, method="DOP853", rtol=1e-12, atol=1e-13, events=crossing, t_eval=at
    )


if __name__ == "__main__":
    print("PyNN, 1 nA:", run(PYNN, 1, (0, 30), [-64, 0, 0, 0, 0], 0).t_events[0])

    shifted = gates(-60)  # NEST leaves the shift by V_T out
    times = run(NEST, 0, (0, 200), [-60, *shifted, 0], V_T + 30).t_events[0]
    print("NEST, no input:", times, np.diff(times))

    y, at, found = np.array([10, *shifted, 0]), np.arange(1, 41) / 10, []
    for begin, end, current, jump in (
        (0, 1.1, 0.001, 0),
        (1.1, 2.2, 0.101, 1e-3),
        (2.2, 4, 0.101, 1e-3),
    ):
        y[4] += jump
        here = at[(at > begin) & (at <= end)]
        solution = run(NEST_TEST, current, (begin, end), y, 0, here)
        found += list(solution.y[0])
        y = solution.y[:, -1].copy()
    print("NEST, two events:", np.round(found, 5))
