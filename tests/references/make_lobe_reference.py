"""Makes `al_6_2.json` and `al_10_4.json`: small antennal lobes, integrated event by event.

    python tests/references/make_lobe_reference.py

NumPy and SciPy only. DOP853 goes from one event to the next: an upward 0 mV crossing of a PN, the
end of a transmitter pulse, the onset of the odour, and each passage of a PN through -63 mV, where
the time constant of I_A jumps. Between events the right-hand side is smooth. Each lobe is done at
two tolerances; the file holds the finer one and how far they differ.

C dv/dt = I - gL(v-EL) - gKL(v+95) - ..., with the numbers that the catalogue's mechanisms name.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
from scipy.integrate import DOP853
from scipy.optimize import brentq

DURATION, ONSET, PULSE = 250.0, 100.0, 0.3
PHI, PHI_A, PHI_KCA = 3 ** ((22 - 36) / 10), 3 ** ((36 - 23.5) / 10), 2.3 ** ((26 - 23) / 10)
ACH, GABA_PN, GABA_LN = 0.25, 0.3, 0.1
EDGE = -63.0


def linear_rate(x: np.ndarray) -> np.ndarray:
    """x/(exp(x) - 1)."""
    small = np.abs(x) < 1e-6
    safe = np.where(small, 1.0, x)
    return np.where(small, 1 - x / 2, safe / np.expm1(safe))


class Lobe:
    """State: [v na_m na_h k_n a_m a_h o] of each PN, [v ca_m ca_h kca_m k_n Ca o] of each LN."""

    def __init__(self, wiring: dict[str, Any]) -> None:
        self.wiring = wiring
        self.pn_ln, self.ln_pn, self.ln_ln = (
            np.array(wiring[key], float) for key in ("pn_ln", "ln_pn", "ln_ln")
        )
        self.drive_pn, self.drive_ln = (np.array(wiring[key]) for key in ("I_pn", "I_ln"))
        self.n, self.m = len(self.drive_pn), len(self.drive_ln)
        self.below = np.array(wiring["v0_pn"]) < EDGE
        self.pulse_end = np.full(self.n, -1.0)
        self.open = np.zeros(self.n, bool)
        self.odour = False

    def start(self) -> np.ndarray:
        pn, ln = np.zeros((7, self.n)), np.zeros((7, self.m))
        pn[0], ln[0], ln[5] = self.wiring["v0_pn"], self.wiring["v0_ln"], 2.4e-4
        return np.concatenate([pn.ravel(), ln.ravel()])

    def slope(self, t: float, y: np.ndarray) -> np.ndarray:
        pn, ln = y[: 7 * self.n].reshape(7, self.n), y[7 * self.n :].reshape(7, self.m)
        d_pn, d_ln = np.empty_like(pn), np.empty_like(ln)
        course = -np.expm1(-(t - ONSET) / 75.0) if self.odour else 0.0
        v, m, h, n, am, ah, o = pn
        u = v + 50
        d_pn[1] = PHI * (
            1.28 * linear_rate((13 - u) / 4) * (1 - m) - 1.4 * linear_rate((u - 40) / 5) * m
        )
        d_pn[2] = PHI * (
            0.128 * np.exp((17 - u) / 18) * (1 - h) - 4 / (1 + np.exp((40 - u) / 5)) * h
        )
        d_pn[3] = PHI * (
            0.1 * linear_rate((15 - u) / 5) * (1 - n) - 0.5 * np.exp((10 - u) / 40) * n
        )
        tau_m = (1 / (np.exp((v + 35.82) / 19.69) + np.exp(-(v + 79.69) / 12.7)) + 0.37) / PHI_A
        low = 1 / (np.exp((v + 46.05) / 5) + np.exp(-(v + 238.4) / 37.45))
        tau_h = np.where(self.below, low, 19.0) / PHI_A
        d_pn[4] = (1 / (1 + np.exp(-(v + 60) / 8.5)) - am) / tau_m
        d_pn[5] = (1 / (1 + np.exp((v + 78) / 6)) - ah) / tau_h
        d_pn[6] = 10 * 0.5 * self.open * (1 - o) - 0.2 * o
        gaba = ln[6]
        d_pn[0] = (
            self.drive_pn * course
            - 100 * m**3 * h * (v - 50)
            - 10 * n**4 * (v + 95)
            - 10 * am**4 * ah * (v + 95)
            - 0.15 * (v + 55)
            - 0.05 * (v + 95)
            - GABA_PN * (self.ln_pn @ gaba) * (v + 70)
        )
        v, m, h, w, n, calcium, _ = ln
        u = v + 50
        i_ca = 3 * m**2 * h * (v - 140)
        d_ln[1] = (1 / (1 + np.exp(-(v + 20) / 6.5)) - m) / 1.5
        tau = 0.3 * np.exp((v - 40) / 13) + 0.002 * np.exp((60 - v) / 29)
        d_ln[2] = (1 / (1 + np.exp((v + 25) / 12)) - h) / tau
        d_ln[3] = PHI_KCA * (0.01 * calcium * (1 - w) - 0.02 * w)
        d_ln[4] = PHI * (
            0.1 * linear_rate((15 - u) / 5) * (1 - n) - 0.5 * np.exp((10 - u) / 40) * n
        )
        d_ln[5] = -2e-4 * i_ca - (calcium - 2.4e-4) / 150
        d_ln[6] = 10 * (1 - gaba) / (1 + np.exp(-(v + 20) / 1.5)) - 0.16 * gaba
        d_ln[0] = (
            self.drive_ln * course
            - i_ca
            - 0.3 * w * (v + 90)
            - 10 * n**4 * (v + 95)
            - 0.15 * (v + 50)
            - 0.02 * (v + 95)
            - ACH * (self.pn_ln @ o) * v
            - GABA_LN * (self.ln_ln @ gaba) * (v + 70)
        )
        return np.concatenate([d_pn.ravel(), d_ln.ravel()])


def integrate(wiring: dict[str, Any], rtol: float) -> dict[str, Any]:
    lobe = Lobe(wiring)
    n, m = lobe.n, lobe.m
    t, y = 0.0, lobe.start()
    grid = np.arange(int(DURATION) + 1.0)
    trace = np.zeros((len(grid), n + m))
    spikes: list[list[float]] = [[] for _ in range(n)]

    def voltages(state: np.ndarray) -> np.ndarray:
        return np.concatenate([state[:n], state[7 * n : 7 * n + m]])

    trace[0] = voltages(y)
    while t < DURATION:
        bound = min([*lobe.pulse_end[lobe.open], ONSET if t < ONSET else DURATION])
        solver = DOP853(lobe.slope, t, y, bound, rtol=rtol, atol=rtol * 1e-2)
        event = None
        while solver.status == "running" and event is None:
            solver.step()
            dense = solver.dense_output()
            old, new = dense(solver.t_old)[:n], solver.y[:n]
            found = []
            for cell in range(n):
                for level in (0.0, EDGE):
                    # What started at a level, because an event was there, has not crossed it.
                    if abs(old[cell] - level) < 1e-9 or (old[cell] > level) == (new[cell] > level):
                        continue
                    at = brentq(
                        lambda s, c=cell, x=level, d=dense: d(s)[c] - x, solver.t_old, solver.t,
                        xtol=1e-13, rtol=1e-14,
                    )  # fmt: skip
                    found.append((at, cell, level, new[cell] > old[cell]))
            stop = solver.t
            if found:
                event = min(found)
                stop = event[0]
            inside = (grid > solver.t_old) & (grid <= stop)
            if inside.any():
                trace[inside] = [voltages(dense(s)) for s in grid[inside]]
        if event is None:
            t, y = solver.t, solver.y
        else:
            t, y = event[0], dense(event[0])
            _, cell, level, up = event
            y[cell] = level
            if level == EDGE:
                lobe.below[cell] = not up
            elif up:
                spikes[cell].append(t)
                lobe.open[cell], lobe.pulse_end[cell] = True, t + PULSE
        clear = abs(y[:n] - EDGE) > 1e-6
        assert np.array_equal(lobe.below[clear], y[:n][clear] < EDGE), t
        closing = lobe.open & (lobe.pulse_end <= t)
        lobe.open[closing] = False
        lobe.odour = lobe.odour or t >= ONSET
    return {"v_mV": trace, "pn_spikes_ms": spikes}


def wiring(pn: int, ln: int, seed: int) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    ln_ln = rng.random((ln, ln)) < 0.5
    np.fill_diagonal(ln_ln, False)
    driven = rng.random(pn) < 0.6
    return {
        "pn_ln": (rng.random((ln, pn)) < 0.5).astype(int).tolist(),
        "ln_pn": (rng.random((pn, ln)) < 0.5).astype(int).tolist(),
        "ln_ln": ln_ln.astype(int).tolist(),
        "I_pn": np.where(driven, rng.uniform(8, 13, pn), 0).round(6).tolist(),
        "I_ln": rng.uniform(0, 1, ln).round(6).tolist(),
        "v0_pn": rng.normal(-70, 1, pn).round(6).tolist(),
        "v0_ln": rng.normal(-70, 1, ln).round(6).tolist(),
    }


def make(name: str, pn: int, ln: int, seed: int) -> None:
    made = wiring(pn, ln, seed)
    coarse, fine = (integrate(made, rtol) for rtol in (1e-9, 1e-11))
    assert [len(s) for s in coarse["pn_spikes_ms"]] == [len(s) for s in fine["pn_spikes_ms"]]
    apart = [
        abs(np.subtract(a, b)).max()
        for a, b in zip(coarse["pn_spikes_ms"], fine["pn_spikes_ms"], strict=True)
        if a
    ]
    agreement = {
        "max_dt_ms": float(max(apart)),
        "max_dv_mV": float(abs(coarse["v_mV"] - fine["v_mV"]).max()),
    }
    data = {
        "description": f"{pn} PN and {ln} LN, random wiring, by make_lobe_reference.py; matrices "
        "are [post][pre]; gates start at 0, Ca at 2.4e-4 mM; v each ms, PNs first",
        "weights": {"ach_ln": ACH, "gaba_pn": GABA_PN, "gaba_ln": GABA_LN},
        **made,
        "v_mV": fine["v_mV"].round(9).tolist(),
        "pn_spikes_ms": fine["pn_spikes_ms"],
        "agreement": agreement,
    }
    path = Path(__file__).with_name(name)
    path.write_text(json.dumps(data) + "\n")
    print(name, [len(s) for s in fine["pn_spikes_ms"]], agreement, flush=True)


if __name__ == "__main__":
    make("al_6_2.json", 6, 2, 20)
    make("al_10_4.json", 10, 4, 21)
