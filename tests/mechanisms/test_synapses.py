"""The time course of every synapse of the catalogue, against closed forms and plain recursions.

One cell of constant voltage spikes every 20 ms. Each synapse leads to a cell of its own, whose
capacitance is so large that its voltage stands still, yet tells the charge that has come. The
charge of each 0.1 ms is compared, but for those in which a spike falls.
"""

from collections.abc import Callable
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.integrate import solve_ivp

import somaflow as sf
from somaflow.units import cm, ms, mV, nF, uF

Array = NDArray[np.float64]
DT, EVERY, DURATION = 0.005, 0.1, 50.0
FIRST, PERIOD = 1.0025, 20.0  # in the middle of a step
V_PRE, V_POST = -18.0, -60.0
LATER = 10.0  # the postsynaptic cells spike so much later
SPIKES = np.arange(FIRST, DURATION, PERIOD)
EDGES = np.arange(round(DURATION / EVERY) + 1) * EVERY
# The solver knows a pulse as the part of each step that it covers, and this one lasts two steps.
COARSE = {"gaba_a_facilitating": 2e-3}
# Those whose weights change between spikes are in tests/physics/test_rules_of_plasticity.py, and
# saturating gates in tests/compiler/test_moved.py.
ELSEWHERE = {"delta", "stdp_clopath", "stdp_graupner_brunel", "stdp_reward"}
ELSEWHERE |= {"nmda_saturating", "nmda_saturating_density"}
NAMES = [
    n for n in sf.catalogue("synapses") if n not in ELSEWHERE and not n.startswith("gap_junction")
]


def clock(name: str, first: float, size: int = 1, more: str = "", **values: Any) -> sf.Population:
    """Cells that spike at `first` and then every 20 ms, whatever their voltage."""
    model = sf.Equations.parse(f"dc/dt = 1/ms : 1\n{more}", c=-first, **values)
    reset = f"c = -{PERIOD - DT / 2}"  # made at the end of the step of the spike
    return sf.Population(name, size, model, threshold="c > 0", reset=reset)


def names_of(unit: str) -> list[str]:
    """The synapses that give a current in a unit."""
    return [name for name in NAMES if sf.load(name).equations.unit("I") == unit]


@pytest.fixture(scope="module", params=["nA", "uA/cm**2"])
def run(request: pytest.FixtureRequest) -> dict[str, Array]:
    """The voltage of each synapse's own cell, every 0.1 ms."""
    unit, farad = request.param, uF if request.param == "nA" else uF / cm**2
    names = names_of(unit)
    text = f"I_stim : {unit}\ndv/dt = I_stim/C : mV"
    C = np.array([capacitance(name) for name in names]) * farad
    pre = clock("pre", FIRST, more="dv/dt = 0*mV/ms : mV", v=V_PRE * mV)
    post = clock("post", FIRST + LATER, len(names), text, C=C, v=V_POST * mV)
    synapses = [
        sf.Projection(pre, post[[k]], sf.load(name), name=name) for k, name in enumerate(names)
    ]
    found = sf.simulate(
        sf.Network(pre, post, *synapses),
        DURATION * ms,
        dt=DT * ms,
        record=post["v"].every(EVERY * ms),
    )
    return dict(zip(names, found["post.v"].values.T, strict=True))


# ------------------------------------------------------------------------ what should come


def parameters(name: str) -> dict[str, float]:
    return {k: float(p.value) for k, p in sf.load(name).equations.parameters.items()}


def after_spikes(kernel: Callable[[Array], Array]) -> Callable[[Array], Array]:
    """The sum of what each spike leaves, none before it."""

    def course(t: Array) -> Array:
        ages = t[:, None] - SPIKES
        return np.where(ages > 0, kernel(np.maximum(ages, 0)), 0).sum(-1)

    return course


def solved(slope: Callable[..., Any], start: Any, value: Callable[[Array], Array]) -> Any:
    """What SciPy finds; `slope` knows the time since the last spike, which is inf before it."""

    def course(t: Array) -> Array:
        found = np.empty_like(t)
        # Nothing in these jumps but at a spike, and where a pulse of at most 1 ms ends.
        edges = np.sort(np.concatenate([[0], SPIKES, SPIKES + 0.3, SPIKES + 1, [DURATION]]))
        y = np.asarray(start, float)
        for begin, end in pairwise(edges):
            middle = (begin + end) / 2
            since = min((middle - s for s in SPIKES if s < middle), default=np.inf)
            inside = (t >= begin) & (t < end)
            sol = solve_ivp(
                lambda _, y, since=since: slope(y, since),
                (begin, end),
                y,
                t_eval=np.append(t[inside], end),
                method="LSODA",
                rtol=1e-9,
                atol=1e-14,
            )
            found[inside] = value(sol.y[:, :-1])
            y = sol.y[:, -1]
        return found

    return course


def expected(name: str) -> Callable[[Array], Array]:
    """The outward current, as a function of time."""
    p = parameters(name)
    kind = name.removesuffix("_density")
    drive = V_POST - p["E"] if "E" in p else -1.0
    weight = p.get("g", p.get("i", 0.0))
    match kind:
        case "exponential_conductance" | "exponential_current":
            return after_spikes(lambda t: drive * weight * np.exp(-t / p["tau"]))
        case "alpha_conductance" | "alpha_current":
            return after_spikes(lambda t: drive * weight * t / p["tau"] * np.exp(1 - t / p["tau"]))
        case "double_exponential_conductance" | "double_exponential_current":
            return after_spikes(lambda t: drive * weight * two_exponentials(t, p))
        case "ampa" | "gaba_a_destexhe" | "nach" | "nmda":
            block = 1 / (1 + np.exp(-0.062 * V_POST) / 3.57) if kind == "nmda" else 1.0
            return solved(pulsed(p), [0.0], lambda y: drive * weight * block * y[0])
        case "gaba_a":
            return solved(pulsed(p, opened(-20, 1.5)), [0.0], lambda y: drive * weight * y[0])
        case "graded_conductance" | "graded_prinz2004":
            target = opened(-40, 5) if "conductance" in kind else opened(-35, 5)
            tau = p["tau"] if "tau" in p else 40 * (1 - target)
            return lambda t: drive * weight * target * -np.expm1(-t / tau)
        case "gaba_b" | "slow_gaba" | "slow_gaba_mohanta2021":
            return solved(*g_proteins(p, drive * weight))
        case "gaba_a_facilitating":
            return facilitated(p, drive * weight)
        case "tsodyks_markram_conductance" | "tsodyks_markram_current":
            return spikewise(dynamic(p), lambda t: drive * weight * np.exp(-t / p["tau"]))
        case "stdp_pair_all_to_all" | "stdp_pair_nearest":
            return spikewise(plastic(p, "all" in kind), lambda t: drive * np.exp(-t / p["tau"]))
        case "stdp_inhibitory":
            return spikewise(balancing(p), lambda t: drive * np.exp(-t / p["tau"]))
        case "stdp_triplet_all_to_all" | "stdp_triplet_nearest":
            return spikewise(triplets(p, "all" in kind), lambda t: drive * np.exp(-t / p["tau"]))
    raise AssertionError(f"no time course for {name}")


def opened(half: float, slope: float) -> float:
    return 1 / (1 + np.exp(-(V_PRE - half) / slope))


def two_exponentials(t: Array, p: dict[str, float]) -> Array:
    """Two exponentials whose peak, found on a fine grid, is 1."""

    def shape(t: Array) -> Array:
        return np.exp(-t / p["tau_decay"]) - np.exp(-t / p["tau_rise"])

    return shape(t) / shape(np.linspace(0, 2, 200_001)).max()


def pulsed(p: dict[str, float], level: float | None = None) -> Any:
    def slope(y: Array, since: float) -> Array:
        T = (since < p["t_max"]) * p["T_max"] if level is None else level
        return p["alpha"] * (1 - y) * T - p["beta"] * y

    return slope


def g_proteins(p: dict[str, float], scale: float) -> Any:
    r = [
        p[k] for k in (("K_1", "K_2", "K_3", "K_4") if "K_1" in p else ("r_1", "r_2", "r_3", "r_4"))
    ]
    K = p["K_d"] if "K_d" in p else p["K"]

    def slope(y: Array, since: float) -> list[float]:
        T = p["T_max"] * (since < p["t_max"]) if "T_max" in p else opened(2, 5)
        return [r[0] * (1 - y[0]) * T - r[1] * y[0], r[2] * y[0] - r[3] * y[1]]

    return slope, [0.0, 0.0], lambda y: scale * y[1] ** 4 / (y[1] ** 4 + K)


def facilitated(p: dict[str, float], scale: float) -> Any:
    """The gate rises as in gaba_a; p goes 1 - exp(-0.08) of the way to 1 at each spike."""
    T = opened(-20, 1.5)
    rate = p["alpha"] * T + p["beta"]

    def course(t: Array) -> Array:
        level = np.full_like(t, p["p_0"])
        last, value = 0.0, p["p_0"]
        for spike in SPIKES:
            value = p["p_0"] + (value - p["p_0"]) * np.exp(-(spike - last) / p["tau_p"])
            value += (1 - value) * -np.expm1(-0.08)
            last = spike
            decayed = p["p_0"] + (value - p["p_0"]) * np.exp(-(t - spike) / p["tau_p"])
            level = np.where(t > spike, decayed, level)
        return scale * level * p["alpha"] * T / rate * -np.expm1(-rate * t)

    return course


def dynamic(p: dict[str, float]) -> list[float]:
    """Amplitudes by the recursion of Markram, Wang and Tsodyks (1998)."""
    u, R, found = 0.0, 1.0, []
    for _ in SPIKES:
        u += p["U"] * (1 - u)
        found.append(u * R)
        R -= u * R
        u *= np.exp(-PERIOD / p["tau_facil"])
        R = 1 + (R - 1) * np.exp(-PERIOD / p["tau_rec"])
    return found


def plastic(p: dict[str, float], add: bool) -> list[float]:
    """The weight at each presynaptic spike; the other cell spikes 10 ms after each."""
    w, x, y, found = p["w_max"] / 2, 0.0, 0.0, []
    for _ in SPIKES:
        w = np.clip(w - p["A_minus"] * p["w_max"] * y, 0, p["w_max"])
        found.append(float(w))
        x = x * add + 1
        x, y = x * np.exp(-LATER / p["tau_plus"]), y * np.exp(-LATER / p["tau_minus"])
        w = np.clip(w + p["A_plus"] * p["w_max"] * x, 0, p["w_max"])
        y = y * add + 1
        rest = PERIOD - LATER
        x, y = x * np.exp(-rest / p["tau_plus"]), y * np.exp(-rest / p["tau_minus"])
    return found


def balancing(p: dict[str, float]) -> list[float]:
    """The weight at each presynaptic spike by the rule of Vogels et al. (2011), likewise."""
    w, x, y, found = 0.0, 0.0, 0.0, []
    for _ in SPIKES:
        x, w = x + 1, max(w + p["eta"] * (y - 2 * p["rho_0"] * p["tau_stdp"]), 0.0)
        found.append(w)
        x, y = (trace * np.exp(-LATER / p["tau_stdp"]) for trace in (x, y))
        y, w = y + 1, w + p["eta"] * x
        x, y = (trace * np.exp(-(PERIOD - LATER) / p["tau_stdp"]) for trace in (x, y))
    return found


def triplets(p: dict[str, float], add: bool) -> list[float]:
    """The weight at each presynaptic spike; the other cell spikes 10 ms after each."""
    w, found, r, o = p["w_1"], [], np.zeros(2), np.zeros(2)
    fall_r, fall_o = (
        np.array([p[a], p[b]]) for a, b in (("tau_plus", "tau_x"), ("tau_minus", "tau_y"))
    )
    for _ in SPIKES:
        w -= p["w_1"] * o[0] * (p["A_2_minus"] + p["A_3_minus"] * r[1])
        found.append(w)
        r = (r * add + 1) * np.exp(-LATER / fall_r)
        o = o * np.exp(-LATER / fall_o)
        w += p["w_1"] * r[0] * (p["A_2_plus"] + p["A_3_plus"] * o[1])
        o = (o * add + 1) * np.exp(-(PERIOD - LATER) / fall_o)
        r = r * np.exp(-(PERIOD - LATER) / fall_r)
    return found


def spikewise(amplitudes: list[float], kernel: Callable[[Array], Array]) -> Any:
    return after_spikes(lambda ages: np.array(amplitudes) * kernel(ages))


@cache
def charges(name: str) -> Array:
    """The outward charge of each 0.1 ms, by Gauss and Legendre with eight nodes."""
    nodes, weights = np.polynomial.legendre.leggauss(8)
    half = EVERY / 2
    t = EDGES[:-1, None] + half * (1 + nodes)
    return (expected(name)(t.ravel()).reshape(t.shape) * weights * half).sum(-1)


def capacitance(name: str) -> float:
    """In uF, or per cm**2, so that all the charge moves the voltage by some 1e-5 mV."""
    return float(np.abs(charges(name)).sum() / 1e-5)


# ------------------------------------------------------------------------------- the tests


@pytest.mark.slow
def test_every_charge_comes_as_the_equations_say(run: dict[str, Array]) -> None:
    # Voltage feels a spike from the next step on, and a pulse ends within a step.
    clear = np.ones(len(EDGES) - 1, bool)
    for event in (*SPIKES, *(SPIKES + 0.3), *(SPIKES + 1)):
        clear[int(event / EVERY)] = False
    off = {}
    for name, v in run.items():
        wanted = charges(name)
        found = -np.diff(v) * capacitance(name)
        off[name] = np.abs(found - wanted)[clear].max() / np.abs(wanted).max()
    assert len(off) > 10
    assert not {name: error for name, error in off.items() if error > COARSE.get(name, 1e-4)}


@pytest.mark.parametrize("name", ["gap_junction", "gap_junction_density"])
def test_a_gap_junction_draws_two_cells_together(name: str) -> None:
    density = name.endswith("density")
    unit, C = ("uA/cm**2", 0.025 * uF / cm**2) if density else ("nA", 0.005 * nF)
    model = sf.Equations.parse(f"I_stim : {unit}\ndv/dt = I_stim/C : mV", C=C, v=-60 * mV)
    cells = sf.Population("cells", 2, model)
    both = sf.Projection(cells, cells, sf.load(name), sf.FromList([(0, 1), (1, 0)]))
    found = sf.simulate(
        sf.Network(cells, both),
        10 * ms,
        record=cells["v"].every(1 * ms),
        initial={"cells": {"v": [-60, -50]}},
    )
    v = found["cells.v"].values
    assert np.abs(v.sum(-1) + 110).max() < 1e-10
    assert v[:, 1] - v[:, 0] == pytest.approx(10 * np.exp(-2 * 0.1 * np.arange(11)), rel=1e-9)


def test_delta_lets_the_voltage_jump() -> None:
    pre = clock("pre", FIRST)
    leak = sf.Equations.parse("dv/dt = (E - v)/tau : mV", E=-60 * mV, tau=5 * ms, v=-60 * mV)
    post = sf.Population("post", 1, leak)
    synapse = sf.Projection(pre, post, sf.load("delta"), weight=2 * mV)
    found = sf.simulate(
        sf.Network(pre, post, synapse), 5 * ms, dt=DT * ms, record=post["v"].every(EVERY * ms)
    )
    v = found["post.v"].values[:, 0]
    t = np.arange(len(v)) * EVERY
    assert np.all(v[t < FIRST] == -60)
    jumped = -60 + 2 * np.exp(-(t[t > FIRST] - FIRST) / 5)
    assert v[t > FIRST] == pytest.approx(jumped, abs=2 * 2 * DT / 5)
