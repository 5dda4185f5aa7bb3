"""The pages of models that are written as text: they run, and agree with others."""

from typing import Any

import numpy as np
import pytest
from pages import DOCS, run
from scipy.integrate import solve_ivp
from scipy.special import expit

MODELS = DOCS / "models"
pytestmark = pytest.mark.slow


def test_jansen_rit_is_that_of_scipy_and_has_an_alpha_rhythm() -> None:
    names: dict[str, Any] = run(MODELS / "jansen-rit.md")
    drive = np.array([120, 170, 220, 270, 320])
    C, a, b, A, B = 135, 100, 50, 3.25, 22  # in Hz and mV

    def slope(t: float, state: np.ndarray) -> np.ndarray:
        y0, y1, y2, z0, z1, z2 = state.reshape(6, 5)
        s1, s2, s3 = (5 * expit(0.56 * (v - 6)) for v in (y1 - y2, C * y0, 0.25 * C * y0))
        return np.concatenate(
            [
                *(z0, z1, z2),
                A * a * s1 - 2 * a * z0 - a**2 * y0,
                A * a * (drive + 0.8 * C * s2) - 2 * a * z1 - a**2 * y1,
                B * b * 0.25 * C * s3 - 2 * b * z2 - b**2 * y2,
            ]
        )

    times = np.linspace(2, 6, 4001)
    found = solve_ivp(
        slope, (0, 6), np.zeros(30), method="DOP853", rtol=1e-10, atol=1e-10, t_eval=times
    ).y.reshape(6, 5, -1)
    np.testing.assert_allclose(names["eeg"], (found[1] - found[2]).T, atol=1e-3)
    np.testing.assert_allclose(names["rhythm"], [2.5, 10.75, 11, 11, 11.25], atol=0.01)
    np.testing.assert_allclose(names["swing"], [9.9, 3.0, 3.0, 2.6, 1.5], atol=0.06)
    assert np.isfinite(names["joined"]["columns.y1"].values).all()


def test_kuramoto_has_the_order_and_the_frequency_of_the_closed_forms() -> None:
    names: dict[str, Any] = run(MODELS / "kuramoto.md")
    assert names["order"][15:].mean() == pytest.approx(np.sqrt(0.5), abs=0.02)
    assert names["Omega"] == pytest.approx(1 - 0.4 * np.sin(2 * names["Omega"]), abs=1e-9)
    assert np.ptp(names["theta"][-1]) < 1e-9


def test_rate_networks_have_their_cycle_and_their_onset() -> None:
    names: dict[str, Any] = run(MODELS / "rate-networks.md")
    assert np.ptp(names["cycle"][:, 0]) < 1e-4
    shrinks, stays, grows = names["swings"]
    assert shrinks < 0.5 and stays == pytest.approx(1, abs=1e-4) and grows > 2
    assert names["period"] == pytest.approx(30, abs=0.01)  # 2 pi tau/sqrt(3)
    assert names["rest"] == pytest.approx(-2, abs=1e-6)
    assert 500 < len(names["run"]["neurons.spikes"]) < 5000

    def slope(t: float, state: np.ndarray) -> list[float]:
        e, i = state
        tops = [1 - expit(-1.3 * 4), 1 - expit(-2 * 3.7)]
        inner = 1.3 * (16 * e - 12 * i + 1.25 - 4), 2 * (15 * e - 3 * i - 3.7)
        shares = [expit(inner[0]) - expit(-1.3 * 4), expit(inner[1]) - expit(-2 * 3.7)]
        return [
            (-e + (tops[0] - e) * shares[0]) / 8,
            (-i + (tops[1] - i) * shares[1]) / 8,
        ]

    times = np.arange(1000, 3001) / 10
    found = solve_ivp(slope, (0, 300), [0.1, 0.05], rtol=1e-10, atol=1e-12, t_eval=times).y[0]
    np.testing.assert_allclose(names["cycle"][:, 1], found, atol=1e-6)
    assert np.ptp(found) > 0.1
