"""The page on the cell of Pinsky and Rinzel runs, and spikes as the paper's equations in SciPy."""

from typing import Any

import numpy as np
import pytest
from numpy import exp
from pages import DOCS, run
from scipy.integrate import solve_ivp

pytestmark = pytest.mark.slow


def paper(t: float, y: np.ndarray, soma: float) -> list[float]:
    """The equations of the paper: in mV from rest, ms and uA/cm**2."""
    v, u, h, n, s, c, q, calcium = y
    a_m = 0.32 * (13.1 - v) / (exp((13.1 - v) / 4) - 1)
    b_m = 0.28 * (v - 40.1) / (exp((v - 40.1) / 5) - 1)
    a_n, b_n = 0.016 * (35.1 - v) / (exp((35.1 - v) / 5) - 1), 0.25 * exp(0.5 - 0.025 * v)
    a_h, b_h = 0.128 * exp((17 - v) / 18), 4 / (1 + exp((40 - v) / 5))
    a_s = 1.6 / (1 + exp(-0.072 * (u - 65)))
    b_s = 0.02 * (u - 51.1) / (exp((u - 51.1) / 5) - 1)
    falling = 2 * exp((6.5 - u) / 27)
    a_c = exp((u - 10) / 11 - (u - 6.5) / 27) / 18.975 if u <= 50 else falling
    b_c = falling - a_c if u <= 50 else 0.0
    i_ca = 10 * s**2 * (u - 140)
    i_na = 30 * (a_m / (a_m + b_m)) ** 2 * h * (v - 120)
    i_k = 0.8 * q * (u + 15) + 15 * c * min(calcium / 250, 1) * (u + 15)
    return [
        (-0.1 * v - i_na - 15 * n * (v + 15) + 2.1 / 0.5 * (u - v) + soma / 0.5) / 3,
        (-0.1 * u - i_ca - i_k + 2.1 / 0.5 * (v - u)) / 3,
        a_h * (1 - h) - b_h * h,
        a_n * (1 - n) - b_n * n,
        a_s * (1 - s) - b_s * s,
        a_c * (1 - c) - b_c * c,
        min(0.00002 * calcium, 0.01) * (1 - q) - 0.001 * q,
        -0.13 * i_ca - 0.075 * calcium,
    ]


def crossing(t: float, y: np.ndarray, soma: float) -> float:
    return y[0] - 40


crossing.direction = 1  # pyright: ignore[reportFunctionMemberAccess]


def test_the_page_runs_and_its_spikes_are_those_of_the_paper() -> None:
    names: dict[str, Any] = run(DOCS / "models/pinsky-rinzel.md")
    start = [-4.6, -4.5, 0.999, 0.001, 0.009, 0.007, 0.010, 0.2]
    settings: dict[str, Any] = {"method": "LSODA", "rtol": 1e-8, "atol": 1e-9}
    found = solve_ivp(paper, (0, 1000), start, events=crossing, args=(0.75,), **settings)
    spikes = found.t_events[0]
    assert len(spikes) == 8
    assert names["bursts"] == pytest.approx(spikes, rel=1e-3)
    assert names["bursts"][6] - names["bursts"][4] == pytest.approx(495.0, abs=0.5)
    counts = names["both"]["pair.spikes"].counts()
    assert counts[0] > 1
    assert counts[1] > 0
