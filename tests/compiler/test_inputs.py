"""Several inputs of a cell: each thing drives the one it names, and reads the voltage there."""

import re
from functools import cache
from typing import Any

import numpy as np
import pytest

import somaflow as sf
from somaflow.units import cm, mS, ms, mV, nA, nS, uA, uF

TEXT = """
I_soma : uA/cm**2
I_dend : uA/cm**2
dv/dt = (g*(E - v) + g_c*(v_dend - v) + I_soma)/C : mV
dv_dend/dt = (g*(E - v_dend) + g_c*(v - v_dend) + I_dend)/C : mV
"""
G, G_C, E, C = 0.1, 0.3, -65.0, 1.0  # mS/cm**2, mS/cm**2, mV, uF/cm**2
S, DENSITY = mS / cm**2, uA / cm**2
MODEL = sf.Equations.parse(
    TEXT, g=G * S, g_c=G_C * S, E=E * mV, C=C * uF / cm**2, v=-65, v_dend=-60
)
TIMES, TAU, WEIGHT, T = (5.03, 7.31, 11.27), 5.0, 0.2, 20.0
CONDUCTANCE = sf.load("exponential_conductance_density")
SOLVERS = [sf.RK4(), sf.ExponentialEuler(), sf.Rosenbrock(), sf.Midpoint()]


def cells(size: int = 1, name: str = "cells", **given: Any) -> sf.Population:
    return sf.Population(name, size, MODEL(**given))


def source(times: Any = TIMES) -> sf.Population:
    return sf.Population("source", 1, sf.SpikeSourceArray(np.array(times) * ms))


def simulated(*parts: Any, dt: float = 0.05, solver: Any = None, **given: Any) -> sf.Solution:
    solver = solver or sf.RK4()
    return sf.simulate(sf.Network(*parts), T * ms, dt=dt * ms, solver=solver, **given)


def ends(run: sf.Solution, name: str = "cells") -> np.ndarray:
    return np.array([run.final.states[name][state][0] for state in ("v", "v_dend")])


@cache
def reference(soma: bool, current: float = 0.0, steps: int = 20000) -> np.ndarray:
    """The two voltages at the end, by RK4 between the spikes."""
    matrix = np.array([[-G - G_C, G_C], [G_C, -G - G_C]]) / C
    where = np.array([1.0, 0.0] if soma else [0.0, 1.0])

    def slope(y: np.ndarray, g: float) -> np.ndarray:
        inward = current * np.array([1.0, 0.0]) - g * y * where  # E of the synapse is 0 mV
        return matrix @ y + (G * E + inward) / C

    y, g, now = np.array([-65.0, -60.0]), 0.0, 0.0
    for until in (*TIMES, T):
        n = round(steps * (until - now) / T)
        h = (until - now) / n
        for k in range(n):
            a, b, c = (g * np.exp(-(k + part) * h / TAU) for part in (0.0, 0.5, 1.0))
            k1 = slope(y, a)
            k2 = slope(y + h / 2 * k1, b)
            k3 = slope(y + h / 2 * k2, b)
            y = y + h / 6 * (k1 + 2 * k2 + 2 * k3 + slope(y + h * k3, c))
        g, now = g * np.exp(-(until - now) / TAU) + WEIGHT, until
    return y


@pytest.mark.parametrize("solver", SOLVERS, ids=lambda solver: solver.name)
def test_a_conductance_acts_where_it_is_and_converges(solver: Any) -> None:
    train, places = source(), {"soma": "I_soma", "dend": "I_dend"}
    parts: list[Any] = [train]
    for name, into in places.items():
        pop = cells(name=name)
        synapse = sf.Projection(train, pop, CONDUCTANCE, weight=WEIGHT * S, into=into)
        parts += [pop, synapse, sf.CurrentClamp(pop, 1 * uA / cm**2, into="I_soma")]
    runs = [simulated(*parts, dt=dt, solver=solver) for dt in (0.1, 0.05)]
    for name in places:
        wanted = reference(name == "soma", 1.0)
        coarse, fine = (np.abs(ends(run, name) - wanted).max() for run in runs)
        if solver.name == "Exponential Euler":
            assert fine < 0.06
            assert coarse / fine > 1.8
        elif solver.name == "Midpoint":
            assert fine < 4e-4
            assert coarse / fine > 3.5
        else:  # of the second order: where in its step a spike lies counts for more
            assert coarse < 3e-4
            assert fine < 1e-4


def test_each_input_gets_its_own_and_adds_up() -> None:
    pop, train = cells(), source()
    at_soma = sf.Projection(train, pop, CONDUCTANCE, weight=0.1 * S, name="at_soma", into="I_soma")
    at_dend = sf.Projection(train, pop, CONDUCTANCE, weight=0.2 * S, name="at_dend", into="I_dend")
    clamp = sf.CurrentClamp(pop, 2 * uA / cm**2, into="I_dend")
    record = [pop[name] for name in ("v", "v_dend", "I_soma", "I_dend")]
    record += [at_soma["I"], at_dend["I"]]
    run = simulated(pop, train, at_soma, at_dend, clamp, record=record)
    values = {key: np.asarray(run[key])[..., 0] for key in map(str, run)}
    assert values["cells.I_soma"] == pytest.approx(-values["at_soma.I"], rel=1e-13)
    assert values["cells.I_dend"] == pytest.approx(2 - values["at_dend.I"], rel=1e-13)
    decay = 0.2 * sum(np.exp(-(T - t) / TAU) for t in TIMES)
    assert values["at_dend.I"][-1] == pytest.approx(decay * values["cells.v_dend"][-1], rel=1e-9)
    assert values["at_soma.I"][-1] == pytest.approx(decay / 2 * values["cells.v"][-1], rel=1e-9)


def test_a_jump_goes_to_the_voltage_of_the_input() -> None:
    pop, train = cells(v_dend=-65), source([9.97])
    delta = sf.Projection(train, pop, sf.load("delta"), weight=3 * mV, into="I_dend")
    run = simulated(
        pop, train, delta, record=[pop["v"].every(10 * ms), pop["v_dend"].every(10 * ms)]
    )
    assert np.asarray(run["cells.v"])[1] == pytest.approx([-65.0])
    assert np.asarray(run["cells.v_dend"])[1] == pytest.approx([-62.0])


def test_inputs_of_all_kinds_reach_the_dendrite() -> None:
    names = {"v": "v_dend", "v_dend": "v", "I_soma": "I_dend", "I_dend": "I_soma"}
    turned = re.sub(r"v_dend|I_soma|I_dend|\bv\b|(?<=d)v(?=/dt)", lambda m: names[m[0]], TEXT)
    numbers = {"g": G * S, "g_c": G_C * S, "E": E * mV, "C": C * uF / cm**2}
    mirror = sf.Equations.parse(turned, **numbers, v=-65, v_dend=-65)
    runs = []
    for model, into in ((MODEL(v_dend=-65), "I_dend"), (mirror, "I_soma")):
        pop = sf.Population("cells", 4, model)
        noise = sf.WhiteNoise(1 * uA / cm**2 * ms**0.5)
        fluctuating = sf.OrnsteinUhlenbeck(0.02 * S, 0.01 * S, 3 * ms, reversal=0 * mV)
        parts = (
            sf.Stimulus(pop, noise, into=into),
            sf.Stimulus(pop, fluctuating, into=into),
            sf.Stimulus(pop[:2], sf.Ramp(0 * DENSITY, 1 * DENSITY, 2 * ms, 9 * ms), into=into),
            sf.PoissonInput(
                pop, CONDUCTANCE, rate=500 / (1000 * ms), weight=0.01 * S, name="p", into=into
            ),
        )
        runs.append(simulated(pop, *parts, seed=5).final.states["cells"])
    assert np.array_equal(runs[0]["v"], runs[1]["v_dend"])
    assert np.array_equal(runs[0]["v_dend"], runs[1]["v"])
    assert np.ptp(runs[0]["v_dend"]) > 0.1


def test_a_gap_junction_joins_dendrites_with_dendrites() -> None:
    gap = sf.load("gap_junction_density")
    pop = cells(2, v_dend=[-60, -50] * mV)
    pairs = sf.Mutual(sf.FromList([[0, 1]]))
    one = sf.Projection(pop, pop, gap, pairs, weight=0.2 * S, into="I_dend")
    within = simulated(pop, one).final.states["cells"]
    first, second = cells(name="first", v_dend=-60), cells(name="second", v_dend=-50)
    both = sf.Projection(first, second, gap, weight=0.2 * S, into="I_dend")
    between = simulated(first, second, both).final.states
    for k, name in enumerate(("first", "second")):
        for state in ("v", "v_dend"):
            assert within[state][k] == pytest.approx(between[name][state][0], rel=1e-12)
    # The mean is that of cells without it; the difference falls faster.
    alone = simulated(pop).final.states["cells"]["v_dend"]
    assert within["v_dend"].mean() == pytest.approx(alone.mean(), rel=1e-9)
    assert abs(np.diff(within["v_dend"])) < 0.2 * abs(np.diff(alone))


def test_a_gap_junction_of_cells_whose_inputs_have_other_names() -> None:
    point = sf.Equations.parse(
        "I_stim : uA/cm**2\ndv/dt = (g*(E - v) + I_stim)/C : mV",
        g=G * S, E=E * mV, C=C * uF / cm**2, v=-40,
    )  # fmt: skip
    gap, small, large = sf.load("gap_junction_density"), sf.Population("point", 1, point), cells()
    there = sf.Projection(small, large, gap, weight=0.2 * S, into="I_dend")
    run = simulated(small, large, there, record=[small["v"], large["v_dend"], small["I_stim"],
                                                 large["I_dend"], large["I_soma"]])  # fmt: skip
    u, v = np.asarray(run["point.v"]), np.asarray(run["cells.v_dend"])
    assert np.asarray(run["point.I_stim"]) == pytest.approx(0.2 * (v - u), rel=1e-9)
    assert np.asarray(run["cells.I_dend"]) == pytest.approx(0.2 * (u - v), rel=1e-9)
    assert not np.asarray(run["cells.I_soma"]).any()
    # From the other side: out of the soma, which is the only one that drives v.
    back = sf.Projection(large, small, gap, weight=0.2 * S)
    assert back.fitted is not None and back.fitted.back == "I_soma"


def test_a_text_may_add_to_an_input_by_its_name() -> None:
    model = sf.Equations.parse(
        "g_in : nS\nI_stim : nA\ndv/dt = (g*(E - v) - g_in*v + I_stim)/C : mV",
        g=10 * nS, E=-65 * mV, C=0.2 * sf.units.nF, v=-65,
    )  # fmt: skip
    opening = sf.Equations.parse(
        "g_in_post = s : nS\nds/dt = -s/tau : nS\non spike: s += w", w=4 * nS, tau=5 * ms, s=0
    )
    usual = sf.load("exponential_conductance")(tau=5 * ms)
    pop, train = sf.Population("cells", 1, model), source()
    named = sf.Projection(train, pop, opening)
    assert named.into == "g_in"
    clamp = sf.Stimulus(pop, sf.Step(0 * nS), into="g_in")
    runs = [
        simulated(pop, train, clamp, synapse, record=[pop["v"], pop["g_in"]], dt=0.01)
        for synapse in (named, sf.Projection(train, pop, usual, weight=4 * nS, into="I_stim"))
    ]
    opened = np.asarray(runs[0]["cells.g_in"])[-1, 0]
    assert opened == pytest.approx(4 * sum(np.exp(-(T - t) / 5) for t in TIMES), rel=1e-9)
    first, second = (np.asarray(run["cells.v"]) for run in runs)
    assert np.abs(first - second).max() < 2e-4
    assert np.ptp(first) > 1


def test_what_is_compiled_does_not_depend_on_numbers() -> None:
    pop, train = cells(), source()

    def network(weight: float) -> tuple[Any, ...]:
        return pop, train, sf.Projection(train, pop, CONDUCTANCE, weight=weight * S, into="I_dend")

    simulated(*network(0.1))
    assert not simulated(*network(0.3)).statistics["compiled"]


def test_rows_of_a_batch_are_those_of_runs_alone() -> None:
    train, values = source(), np.array([[-60.0], [-50.0]])
    runs = []
    for start in (values, values[:1], values[1:]):
        pop = cells()
        synapse = sf.Projection(train, pop, CONDUCTANCE, weight=WEIGHT * S, into="I_dend")
        initial = {"cells": {"v_dend": start * mV}}
        runs.append(simulated(pop, train, synapse, initial=initial).final.states["cells"]["v"])
    assert np.array_equal(runs[0], np.concatenate(runs[1:]))


def test_a_pull_beyond_reach_names_the_dendrite() -> None:
    pop, train = cells(), source()
    strong = sf.Projection(train, pop, CONDUCTANCE, weight=100 * S, name="strong", into="I_dend")
    with pytest.raises(sf.errors.NonFiniteState, match="synapses of 'strong' pull at cells"):
        simulated(pop, train, strong, solver=sf.RK4(), dt=0.1)


def test_a_blow_up_names_the_input_that_did_it() -> None:
    text = "I_a : nA\nI_b : nA\ndv/dt = (I_a + I_b*exp(I_b/nA))/nF : mV"
    pop = sf.Population("cells", 1, sf.Equations.parse(text, v=0))
    clamp = sf.CurrentClamp(pop, 800 * nA, into="I_b")
    with pytest.raises(sf.errors.NonFiniteState, match="Most of I_b comes from the stimulus"):
        simulated(pop, clamp)


@pytest.mark.parametrize(("second", "into", "voltage"), [("", "I_stim", "v"), ("b", "I_b", "q")])
def test_synapses_and_noisy_conductances_mean_one_voltage(
    second: str, into: str, voltage: str
) -> None:
    """It is `v` where there is one input, and else what the named one drives."""
    text = "dv/dt = 0*mV/ms + I_stim/C : mV\ndq/dt = I_b/C : mV\nI_stim : nA\nI_b : nA"
    if not second:
        text = "dv/dt = 0*mV/ms : mV\ndq/dt = I_stim/C : mV\nI_stim : nA"
    model = sf.Equations.parse(text, C=1 * sf.units.nF, v=0 * mV, q=0 * mV)
    pop, train = sf.Population("pop", 1, model), source()
    synapse = sf.Projection(train, pop, sf.load("exponential_conductance"), into=into)
    noise = sf.OrnsteinUhlenbeck(1 * nS, 0.1 * nS, 5 * ms, reversal=0 * mV)
    assert f"{voltage}_post" in synapse.equations.inputs
    assert sf.Stimulus(pop, noise, into=into).membrane == voltage
