"""Rules of plasticity beyond pairs: equal to references from event to event, and to experiments."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from scipy.integrate import solve_ivp

import somaflow as sf
from somaflow.units import ms, mV, nA, nF

Trains = list[np.ndarray]


def numbers(name: str) -> dict[str, float]:
    return {key: float(p.value) for key, p in sf.load(name).equations.parameters.items()}


def pre_cells(trains: Trains) -> sf.Population:
    cells = np.repeat(np.arange(len(trains)), [len(train) for train in trains])
    times = np.concatenate(trains) * ms
    return sf.Population("pre", len(trains), sf.SpikeSourceArray(times, cells))


def post_cells(trains: Trains, duration: float, dt: float) -> tuple[sf.Population, sf.Stimulus]:
    """Cells that cross 0 at given times: from -1 in one straight line, and back in the next step.

    They are so large that no synapse moves them.
    """
    slope, size = np.zeros((round(duration / dt), len(trains))), 1e9
    for cell, train in enumerate(trains):
        step = np.floor(train / dt).astype(int)
        place = train / dt - step
        slope[step, cell], slope[step + 1, cell] = 1 / place / dt, -1 / place / dt
    model = sf.Equations.parse("dv/dt = I_stim/C : mV\nI_stim : nA", C=size * nF, v=-1)
    post = sf.Population("post", len(trains), model, threshold="v > 0*mV")
    return post, sf.Stimulus(post, sf.Waveform(slope * size * nA, dt * ms))


def merged(pre: np.ndarray, post: np.ndarray) -> list[tuple[float, bool]]:
    return sorted([(t, True) for t in pre] + [(t, False) for t in post])


def at_the_end(
    synapse: Any, pre: Trains, post: Trains, duration: float, dt: float, names: tuple[str, ...]
) -> dict[str, np.ndarray]:
    """Variables of synapses that join presynaptic cells to those of the same number."""
    sources, (cells, drive) = pre_cells(pre), post_cells(post, duration, dt)
    made = sf.Projection(sources, cells, synapse, sf.OneToOne(), name="p")
    run = sf.simulate(
        sf.Network(sources, cells, made, drive),
        duration * ms,
        dt=dt * ms,
        record=[made[name].every(duration * ms) for name in names],
    )
    return {name: run[f"p.{name}"].values[-1] for name in names}


# ---------------------------------------------------------------------------- triplets


def triplets(pre: np.ndarray, post: np.ndarray, p: dict[str, float], nearest: bool) -> float:
    """The weight in parts of the first one."""
    w, last = 1.0, 0.0
    r, o = np.zeros(2), np.zeros(2)
    for time, is_pre in merged(pre, post):
        r = r * np.exp(-(time - last) / np.array([p["tau_plus"], p["tau_x"]]))
        o = o * np.exp(-(time - last) / np.array([p["tau_minus"], p["tau_y"]]))
        last = time
        if is_pre:
            w = max(w - o[0] * (p["A_2_minus"] + p["A_3_minus"] * r[1]), 0.0)
            r = np.ones(2) if nearest else r + 1
        else:
            w = min(w + r[0] * (p["A_2_plus"] + p["A_3_plus"] * o[1]), p["w_max"] / p["w_1"])
            o = np.ones(2) if nearest else o + 1
    return w


def pairing(rate: float, apart: float) -> tuple[np.ndarray, np.ndarray]:
    """Sixty pairs, at a rate in Hz; the postsynaptic spike comes `apart` ms later."""
    pre = 30.3 + 1000 / rate * np.arange(60)
    return pre, pre + apart + 0.1


# Table 1 of Pfister and Gerstner: changes of weights in visual cortex after 60 pairs, by rate in Hz
# and time apart in ms, with standard errors, measured by Sjostrom, Turrigiano and Nelson (2001).
MEASURED = {
    (10, 10): (0.14, 0.1), (20, 10): (0.29, 0.14), (40, 10): (0.53, 0.11), (50, 10): (0.56, 0.26),
    (10, -10): (-0.41, 0.11), (20, -10): (-0.34, 0.1), (40, -10): (0.56, 0.32),
    (50, -10): (0.75, 0.19),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["all_to_all", "nearest"])
def test_triplets_change_weights_as_from_event_to_event_and_as_measured(kind: str) -> None:
    name = f"stdp_triplet_{kind}"
    pairs = [pairing(*protocol) for protocol in MEASURED]
    wanted = np.array([triplets(*pair, numbers(name), kind == "nearest") for pair in pairs])
    pre, post = map(list, zip(*pairs, strict=True))
    found = at_the_end(sf.load(name), pre, post, 6100.0, 0.5, ("w",))["w"] * 1e3
    np.testing.assert_allclose(found, wanted, rtol=1e-11)
    change, error = np.array([*MEASURED.values()]).T
    assert (np.abs(found - 1 - change) < 1.5 * error).all()


# ----------------------------------------------------------- voltage, calcium, dopamine


@pytest.mark.slow
def test_voltage_changes_weights_as_an_integration_from_spike_to_spike_says() -> None:
    """The voltage swings about -50 mV by 20 mV, and with it the cell passes the thresholds."""
    p, period, middle, swing = numbers("stdp_clopath"), 37.0, -50.0, 20.0
    model = sf.Equations.parse(
        "dv/dt = A*k*cos(k*t) + I_stim/C : mV\nI_stim : nA",
        **{"A": swing * mV, "k": 2 * np.pi / period / ms, "C": 1e9 * nF, "v": middle * mV},
    )
    rng = np.random.default_rng(11)
    trains = [np.sort(rng.uniform(5, 95, 5)) for _ in range(3)]
    pre, post = pre_cells(trains), sf.Population("post", 1, model, threshold="v > -40*mV")
    names = ("w", "u_minus", "u_plus", "x")
    made = sf.Projection(pre, post, sf.load("stdp_clopath"), name="p")
    run = sf.simulate(
        sf.Network(pre, post, made), 100 * ms, dt=0.05 * ms, record=[made[n] for n in names]
    )

    def v(t: float) -> float:
        return middle + swing * np.sin(2 * np.pi * t / period)

    def slope(t: float, y: Any) -> list[float]:
        low, high, x = y[1:]
        gate = max(v(t) - p["theta_plus"], 0) * max(high - p["theta_minus"], 0)
        return [
            p["w_1"] * p["A_LTP"] * x * gate,
            (v(t) - low) / p["tau_minus"],
            (v(t) - high) / p["tau_plus"],
            -x / p["tau_x"],
        ]

    ends = []
    for train in trains:
        y = np.array([p["w_1"], -70.6, -70.6, 0.0])
        for start, end in pairwise([0.0, *train, 100.0]):
            settings: Any = {"rtol": 1e-10, "atol": 1e-13, "max_step": 0.5}
            y = solve_ivp(slope, (start, end), y, method="DOP853", **settings).y[:, -1]
            if end < 100:
                y[0] -= p["w_1"] * p["A_LTD"] * max(y[1] - p["theta_minus"], 0)
                y[3] += 1 / p["tau_x"]
        ends.append([y[0] * 1e3, *y[1:]])  # in uS
    for name, wanted in zip(names, np.transpose(ends), strict=True):
        np.testing.assert_allclose(run[f"p.{name}"].values[-1], wanted, rtol=1e-5)
    assert np.ptp(np.array(ends)[:, 0]) > 1e-6


def calcium(pre: np.ndarray, post: np.ndarray, end: float, p: dict[str, float]) -> float:
    """The efficacy at the end, from event to event and from threshold to threshold."""
    c, rho, now = 0.0, 0.5, 0.0

    def slope(t: float, y: Any, up: bool, down: bool) -> Any:
        drift = -y * (1 - y) * (p["rho_star"] - y)
        return (drift + p["gamma_p"] * (1 - y) * up - p["gamma_d"] * y * down) / p["tau_rho"]

    for time, is_pre in [*merged(pre, post), (end, True)]:
        while now < time:
            passed = [
                now + p["tau_Ca"] * np.log(c / k) for k in (p["theta_p"], p["theta_d"]) if c > k
            ]
            upto = min([time, *(t for t in passed if t > now)])
            up, down = (c > p[k] * (1 + 1e-12) for k in ("theta_p", "theta_d"))
            settings: Any = {"method": "DOP853", "rtol": 1e-10, "atol": 1e-13, "args": (up, down)}
            rho = solve_ivp(slope, (now, upto), [rho], **settings).y[0, -1]
            c *= np.exp(-(upto - now) / p["tau_Ca"])
            now = upto
        c += p["C_pre"] if is_pre else p["C_post"]
    return rho


@pytest.mark.slow
def test_calcium_changes_efficacies_as_from_threshold_to_threshold() -> None:
    """Twenty pairs at 20 Hz; calcium comes 13.7 ms after the presynaptic spike."""
    delay, p = 13.7, numbers("stdp_graupner_brunel")
    pre = 30.3 + 50 * np.arange(20)
    apart = np.array([-30.0, -10.0, 5.0, 13.0, 30.0]) + 0.14
    sources = pre_cells([pre])
    cells, drive = post_cells([pre + a for a in apart], 1100.0, 0.1)
    made = sf.Projection(
        sources, cells, sf.load("stdp_graupner_brunel"), delay=delay * ms, name="p"
    )
    network = sf.Network(sources, cells, made, drive)
    run = sf.simulate(network, 1100 * ms, dt=0.1 * ms, record=[made["rho"].every(1100 * ms)])
    wanted = [calcium(pre + delay, pre + a, 1100.0, p) for a in apart]
    # A threshold that calcium falls below within a step is seen by the solver's nodes alone.
    np.testing.assert_allclose(run["p.rho"].values[-1], wanted, atol=5e-4)
    assert np.ptp(wanted) > 0.05


def rewarded(pre: np.ndarray, post: np.ndarray, p: dict[str, float], end: float) -> list[float]:
    """c, s and what the synapse has added to the voltage; dopamine of 0.5 comes at 300 ms."""
    x = y = c = level = now = added = 0.0
    s, tau = 1.0, 200.0
    for time, kind in sorted([*merged(pre, post), (300.0, "D"), (end, "")], key=lambda e: e[0]):
        span, rate = time - now, 1 / p["tau_c"] + 1 / tau
        s += c * level * -np.expm1(-span * rate) / rate
        x, y = x * np.exp(-span / p["tau_plus"]), y * np.exp(-span / p["tau_minus"])
        c, level, now = c * np.exp(-span / p["tau_c"]), level * np.exp(-span / tau), time
        if kind == "D":
            level += 0.5
        elif kind is True:
            x, c, added = 1.0, c - p["A_minus"] * y, added + s
        elif kind is False:
            y, c = 1.0, c + p["A_plus"] * x
    return [c, s, added]


@pytest.mark.slow
def test_dopamine_turns_eligibility_into_weight_as_from_event_to_event() -> None:
    p, end, dt, rng = numbers("stdp_reward"), 800.0, 0.1, np.random.default_rng(12)
    pre = [30.33 + np.sort(rng.uniform(0, 700, 9)).round(1) for _ in range(3)]
    post = [np.arange(50.05, 700, 41.0), np.arange(63.05, 700, 57.0)]
    slope = np.zeros((round(end / dt), 2))
    for cell, train in enumerate(post):
        step = np.floor(train / dt).astype(int)
        slope[step, cell], slope[step + 1, cell] = 2 / dt, -2 / dt
    # What the synapses move is not what makes these cells spike.
    text = "dq/dt = I_stim/C : mV\ndv/dt = 0*mV/ms : mV\ndD/dt = -D/(200*ms) : 1\nI_stim : nA"
    model = sf.Equations.parse(text, C=1 * nF, q=-1, v=0, D=0)
    cells = sf.Population("post", 2, model, threshold="q > 0*mV")
    drive = sf.Stimulus(cells, sf.Waveform(slope * nA, dt * ms))
    # It comes at the end of its step.
    source = sf.Population("reward", 1, sf.SpikeSourceArray([299.999] * ms))
    dopamine = sf.Equations.parse("D_post : 1\non spike: D_post += w", w=0.5)
    sources = pre_cells(pre)
    made = sf.Projection(sources, cells, sf.load("stdp_reward"), name="p")
    network = sf.Network(
        sources, cells, source, drive, made, sf.Projection(source, cells, dopamine)
    )
    record = [*(made[n].every(end * ms) for n in "cs"), cells["v"].every(end * ms)]
    run = sf.simulate(network, end * ms, dt=dt * ms, record=record)
    table = made.connections()
    wanted = [rewarded(pre[j], post[i], p, end) for j, i in zip(table.pre, table.post, strict=True)]
    c, s, added = np.transpose(wanted)
    np.testing.assert_allclose(run["p.c"].values[-1], c, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(run["p.s"].values[-1], s, atol=2e-5)
    np.testing.assert_allclose(run["post.v"].values[-1], np.bincount(table.post, added), rtol=1e-4)
    assert np.ptp(s) > 0.05


# ------------------------------------------------------------- short-term, by synapse


def tsodyks(train: np.ndarray, end: float, u_0: float, rec: float, facil: float) -> list[float]:
    u, r, now = 0.0, 1.0, 0.0
    for time in [*train, end]:
        u *= np.exp(-(time - now) / facil)
        r = 1 - (1 - r) * np.exp(-(time - now) / rec)
        now = time
        if time < end:
            u += u_0 * (1 - u)
            r -= u * r
    return [u, r]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["conductance", "current_density"])
def test_each_synapse_facilitates_and_depresses_by_numbers_of_its_own(name: str) -> None:
    train, end = np.sort(np.random.default_rng(13).uniform(1, 290, 12)), 300.0
    U, rec = np.array([[0.1, 0.5, 0.9]]), np.array([[50.0, 300.0, 800.0]])
    synapse = sf.load(f"tsodyks_markram_{name}")(
        U=U, tau_rec=rec * ms, tau_facil=sf.Uniform(100 * ms, 600 * ms)
    )
    unit = "uA/cm**2" if name.endswith("density") else "nA"
    C = "1 uF/cm**2" if name.endswith("density") else "1 nF"
    model = sf.Equations.parse(f"dv/dt = I_stim/C : mV\nI_stim : {unit}", C=C, v=-60 * mV)
    pre, post = pre_cells([train]), sf.Population("post", 3, model)
    made = sf.Projection(pre, post, synapse, name="p")
    network = sf.Network(pre, post, made)
    run = sf.simulate(
        network, end * ms, dt=0.1 * ms, record=[made[n].every(end * ms) for n in "uR"]
    )
    facil = network.projection("p").connections().own["tau_facil"]
    assert len(set(facil)) == 3
    wanted = [tsodyks(train, end, *of) for of in zip(U[0], rec[0], facil, strict=True)]
    for k, key in enumerate("uR"):
        np.testing.assert_allclose(run[f"p.{key}"].values[-1], np.array(wanted)[:, k], rtol=1e-11)
