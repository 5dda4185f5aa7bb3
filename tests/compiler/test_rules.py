"""Rules at intervals: when they are followed, what they read, and that every form follows alike."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import somaflow as sf
from somaflow.errors import EquationError, NetworkError, NonFiniteState, RunError
from somaflow.numerics import programs
from somaflow.units import Hz, ms, mV, nA

EULER: dict[str, Any] = {"dt": 0.1 * ms, "solver": sf.ExponentialEuler(), "progress": False}
CELL = """
dv/dt = (E - v)/(10*ms) : mV
dm/dt = 0/ms : 1
"""


def cells(rules: str, size: int = 3, **values: Any) -> sf.Population:
    given = {"E": 0 * mV, "v": 0 * mV, "m": 0} | values
    return sf.Population("cells", size, sf.Equations.parse(CELL + rules, **given))


def of(population: sf.Population, name: str, time: Any, **given: Any) -> NDArray[Any]:
    record = population[name].every(0.1 * ms)
    run = sf.simulate(sf.Network(population), time, record=record, **EULER | given)
    return np.asarray(run[f"cells.{name}"])


def test_a_rule_is_followed_at_whole_multiples_and_seen_by_the_sample_there() -> None:
    found = of(cells("every 0.5*ms: m += 1"), "m", 2 * ms)
    expected = np.floor(np.arange(21) / 5)
    np.testing.assert_array_equal(found, np.repeat(expected[:, None], 3, axis=1))


def test_rules_are_followed_in_the_order_of_the_text_and_know_the_cell_and_the_time() -> None:
    text = "every 1*ms: m += 1; m *= 2\nevery 1*ms: m += i\nevery T: m = t/ms\n"
    found = of(cells(text, T=3 * ms), "m", 3 * ms)
    np.testing.assert_array_equal(found[10], [2, 3, 4])
    np.testing.assert_array_equal(found[20], [6, 9, 12])
    np.testing.assert_allclose(found[30], 3.0, rtol=1e-15)


def test_between_rules_the_equations_go_on_from_what_the_rule_left() -> None:
    found = of(cells("every 2*ms: v += 3*mV"), "v", 4 * ms)[:, 0]
    decay = np.exp(-np.arange(41) * 0.1 / 10)
    np.testing.assert_allclose(found[:20], 0, atol=1e-15)
    np.testing.assert_allclose(found[20:40], 3 * decay[:20], rtol=1e-12)
    np.testing.assert_allclose(found[40], 3 * decay[20] + 3, rtol=1e-12)


def test_what_is_drawn_is_keyed_by_the_seed_the_cell_and_the_step() -> None:
    one = of(cells("every 1*ms: m = rand()", size=50), "m", 3 * ms)[10::10]
    again = of(cells("every 1*ms: m = rand()", size=50), "m", 3 * ms)[10::10]
    other = of(cells("every 1*ms: m = rand()", size=50), "m", 3 * ms, seed=1)[10::10]
    np.testing.assert_array_equal(one, again)
    assert len({*one.ravel()}) == 150
    assert not np.any(one == other)
    assert 0.35 < one.mean() < 0.65


def test_a_state_that_a_rule_lifts_over_the_threshold_is_found_there() -> None:
    for reset in (None, "v = 0*mV"):
        equations = cells("every 1*ms: v = where(t < 1.5*ms, 5*mV, 0*mV)").equations
        population = sf.Population("cells", 1, equations, threshold="v > 4*mV", reset=reset)
        run = sf.simulate(sf.Network(population), 3 * ms, record=population.spikes, **EULER)
        np.testing.assert_allclose(run["cells.spikes"].times, [1.0])


def test_a_clamped_membrane_stays_at_its_command() -> None:
    clamped = cells("every 1*ms: v = 7*mV; m += 1", size=2)
    network = sf.Network(clamped, sf.VoltageClamp(clamped[:1], -3 * mV))
    run = sf.simulate(network, 1 * ms, record=clamped["v"].every(1 * ms), **EULER)
    np.testing.assert_array_equal(np.asarray(run["cells.v"])[1], [-3, 7])


def test_rules_of_rows_of_a_batch_are_those_of_each_alone() -> None:
    rules = "every 1*ms: v = v*(1 + rand()); m = v/mV"
    start = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    both = of(cells(rules, v=1 * mV), "v", 3 * ms, initial={"cells": {"v": start * mV}})
    for k in range(2):
        alone = of(cells(rules, v=1 * mV), "v", 3 * ms, initial={"cells": {"v": start[k] * mV}})
        np.testing.assert_array_equal(both[:, k], alone)


# ------------------------------------------------------------------------- synapses

SYNAPSE = """
dw/dt = 0*mV/ms : mV
dx/dt = -x/(20*ms) : 1
v_post : mV
on spike: x += 1; v_post += w
"""
PLASTIC = SYNAPSE + "on post spike: w = clip(w + 0.01*mV*x, 0*mV, 2*mV)\n"
RULE = (
    "every 2*ms: w *= 7*mV/sum_post(w); w += 0.01*mV*rand()*x\nevery 3*ms: w *= 9*mV/sum_pre(w)\n"
)


def joined(text: str, **given: Any) -> tuple[sf.Network, sf.Projection]:
    model = sf.Equations.parse(
        "dv/dt = (E - v)/(10*ms) : mV", E=22 * mV, v=sf.Uniform(0 * mV, 20 * mV, seed=4)
    )
    ring = sf.Population("ring", 30, model, threshold="v > 20*mV", reset="v = 0*mV")
    synapse = sf.Equations.parse(text, w=1 * mV, x=0)
    connector = sf.FixedProbability(0.3, seed=2)
    projection = sf.Projection(
        ring, ring, synapse, connector, weight="(1 + 0.02*i)*mV", name="p", **given
    )
    return sf.Network(ring, projection), projection


def weights(text: str, time: Any = 12 * ms, **given: Any) -> NDArray[Any]:
    network, projection = joined(text)
    record = projection["w"].every(1 * ms)
    return np.asarray(sf.simulate(network, time, record=record, **EULER | given)["p.w"])


def test_plastic_and_general_synapses_follow_a_rule_alike() -> None:
    plain = SYNAPSE + "on spike: w = clip(w - 0.01*mV*x, 0*mV, 2*mV)\n"
    plastic, general = plain + RULE, plain + "on spike: w = w + 0*mV*rand()\n" + RULE
    kinds = [sf.Network.explain(joined(text)[0]) for text in (plastic, general)]
    assert "computed for each synapse by itself" in kinds[0]
    assert "general" in kinds[1]
    # A trace is of a cell in one form and of a synapse in the other, and decays by other roundings.
    np.testing.assert_allclose(weights(plastic), weights(general), rtol=1e-14)
    alone = [text.replace("*x", "") for text in (plastic, general)]
    np.testing.assert_array_equal(*map(weights, alone))


def test_sums_are_those_over_the_synapses_of_a_cell() -> None:
    """As Diehl and Cook (2015) normalise weights, Front Comput Neurosci 9:99."""
    found = weights(
        SYNAPSE.replace("v_post += w", "v_post += 0*w") + RULE.split(";", maxsplit=1)[0]
    )
    synapses = joined(SYNAPSE)[0].projection("p").connections()
    before = synapses.weight
    sums = np.bincount(synapses.post, before, 30)
    np.testing.assert_allclose(found[1], before, rtol=1e-14)
    np.testing.assert_allclose(found[2], before * 7 / sums[synapses.post], rtol=1e-13)


@pytest.mark.parametrize("side", ["pre", "post"])
@pytest.mark.parametrize("general", [False, True])
def test_a_sum_of_any_expression_has_the_cells_of_its_side(side: str, general: bool) -> None:
    more = "on spike: w = w + 0*mV*rand()\n" if general else ""
    text = SYNAPSE.replace("+= w", "+= 0*w") + more + f"every 1*ms: w = sum_{side}(w*w)/mV\n"
    found = weights(text, 1 * ms)
    synapses = joined(SYNAPSE)[0].projection("p").connections()
    owner = getattr(synapses, side)
    sums = np.bincount(owner, synapses.weight**2, 30)
    np.testing.assert_allclose(found[1], sums[owner], rtol=1e-12)


def test_a_rule_may_change_a_state_that_the_solver_integrates() -> None:
    text = """
    dw/dt = 0*mV/ms : mV
    ds/dt = (v_pre/mV - s**2)/(10*ms) : 1
    v_pre : mV
    v_post : mV
    on spike: v_post += w
    every 1*ms: s = 2*s; w += 0.1*mV*s
    """
    model = sf.Equations.parse("dv/dt = (E - v)/(10*ms) : mV", E=1 * mV, v=1 * mV)
    pair = sf.Population("pair", 2, model, threshold="v > 20*mV", reset="v = 0*mV")
    synapse = sf.Equations.parse(text, w=1 * mV, s=1)
    projection = sf.Projection(pair, pair, synapse, sf.OneToOne(), name="p")
    record = [projection[name].every(1 * ms) for name in ("s", "w")]
    run = sf.simulate(sf.Network(pair, projection), 2 * ms, record=record, **EULER)
    s, w = np.asarray(run["p.s"])[:, 0], np.asarray(run["p.w"])[:, 0]
    assert s[1] == 2.0
    assert w[1] == 1.2
    # s is 1/tanh of time until the next doubling: ds/dt = (1 - s**2)/tau.
    flown = 1 / np.tanh(np.arctanh(1 / 2) + 0.1)
    np.testing.assert_allclose(s[2], 2 * flown, rtol=2e-3)


def test_states_that_are_kept_as_sums_make_a_synapse_general() -> None:
    text = """
    dw/dt = 0*nA/ms : nA
    dG/dt = -G/(5*ms) : nA
    I = -G : nA
    on spike: G += w
    every 1*ms: G *= 0.5
    """
    population = sf.Population("lif", 2, sf.load("lif"))
    synapse = sf.Equations.parse(text, w=0.1 * nA, G=0.4 * nA)
    projection = sf.Projection(population, population, synapse, name="p")
    network = sf.Network(population, projection)
    assert "changes G of each synapse" in network.explain()
    run = sf.simulate(network, 1 * ms, record=projection["G"].every(1 * ms), **EULER)
    np.testing.assert_allclose(np.asarray(run["p.G"])[1], 0.2 * np.exp(-0.2), rtol=1e-12)


def test_a_synapse_that_rules_alone_change_needs_no_spike() -> None:
    text = """
    dw/dt = 0*nA/mV/ms : nA/mV
    v_pre : mV
    v_post : mV
    I = w*(v_post - v_pre) : nA
    every 1*ms: w *= 0.5
    """
    population = sf.Population("lif", 2, sf.load("lif"))
    synapse = sf.Equations.parse(text, w=0.1 * nA / mV)
    projection = sf.Projection(population, population, synapse, name="p")
    network = sf.Network(population, projection)
    run = sf.simulate(network, 3 * ms, record=projection["w"].every(1 * ms), **EULER)
    np.testing.assert_allclose(np.asarray(run["p.w"])[:, 0], [0.1, 0.05, 0.025, 0.0125])


def test_bounds_that_a_rule_says_are_those_of_the_weight() -> None:
    text = SYNAPSE + "every 1*ms: w = minimum(w, 0.5*mV)\n"
    with pytest.raises(NetworkError, match=r"0\.5.*the bound that the synapse keeps it within"):
        joined(text)[0].projection("p").connections()


@pytest.mark.parametrize("text", [PLASTIC + RULE, PLASTIC + "on spike: w += 0*mV*rand()\n" + RULE])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_run_in_two_parts_is_the_whole_run(text: str, dtype: str) -> None:
    network, projection = joined(text)
    given: dict[str, Any] = {**EULER, "record": projection["w"].every(1 * ms), "dtype": dtype}
    whole = np.asarray(sf.simulate(network, 9 * ms, **given)["p.w"])
    first = sf.simulate(network, 4 * ms, **given)
    second = sf.simulate(network, 5 * ms, initial=first.final, **given)
    np.testing.assert_array_equal(np.asarray(first["p.w"]), whole[:5])
    np.testing.assert_array_equal(np.asarray(second["p.w"]), whole[4:])


def test_another_interval_by_a_parameter_compiles_nothing_new() -> None:
    programs.clear()
    text = "every T: m += 1"
    first = sf.simulate(sf.Network(cells(text, T=1 * ms)), 3 * ms, **EULER)
    second = sf.simulate(sf.Network(cells(text, T=2 * ms)), 3 * ms, **EULER)
    assert first.statistics["compiled"] is True
    assert second.statistics["compiled"] is False


def test_texts_with_rules_are_descriptions() -> None:
    one, same, other = (cells(f"every {k}*ms: m += 1") for k in (1, 1, 2))
    assert one == same
    assert one != other
    assert any("every" in line for line in sf.diff(sf.Network(one), sf.Network(other)))
    again = sf.Equations.parse(one.equations.text, E=0 * mV, v=0 * mV, m=0)
    assert again == one.equations


def pop(rules: str, **values: Any) -> sf.Solution:
    return sf.simulate(sf.Network(cells(rules, **values)), 1 * ms, **EULER)


REFUSED: dict[str, tuple[Callable[[], object], type[Exception], str]] = {
    "part of a step": (lambda: pop("every 0.25*ms: m += 1"), RunError, "not a whole number"),
    "nothing": (lambda: pop("every 0*ms: m += 1"), EquationError, "greater than 0"),
    "many": (
        lambda: pop("every T: m += 1", T=[1, 2, 3] * ms), EquationError, "is one number, and 'T'",
    ),
    "a sum of cells": (lambda: cells("every 1*ms: m += sum_post(m)"), NetworkError, "population"),
    "a number of a cell": (
        lambda: joined(SYNAPSE + "every 1*ms: w *= i"), NetworkError, "a synapse has two cells",
    ),
    "an equation with a sum": (
        lambda: sf.Equations.parse("y = sum_post(w) : 1", w=1), EquationError, "rules of a synapse",
    ),
    "a parameter": (
        lambda: cells("every 1*ms: E *= 2"), EquationError, r"dE/dt = 0\*mV/ms : mV",
    ),
    "a call": (
        lambda: sf.Equations.parse("run_regularly('w *= 2', dt=1*ms)"), EquationError, "every 10",
    ),
    "an input": (
        lambda: sf.PoissonInput(
            cells(""), sf.Equations.parse(SYNAPSE + "every 1*ms: w *= 2", w=1 * mV, x=0), 1 * Hz
        ),
        NetworkError,
        "Poisson",
    ),
}  # fmt: skip


@pytest.mark.parametrize("title", REFUSED)
def test_what_cannot_be_is_refused_with_what_would_be_right(title: str) -> None:
    make, kind, words = REFUSED[title]
    with pytest.raises(kind, match=words):
        make()


def test_solve_refuses_rules() -> None:
    with pytest.raises(RunError, match="belong in a network"):
        sf.solve(cells("every 1*ms: m += 1").equations, t1=1.0, dt=0.1)


def test_a_state_that_a_rule_makes_no_number_is_told_with_the_rule() -> None:
    with pytest.raises(NonFiniteState, match=r"t = 2 ms(.|\n)*'every 2 \* ms:' is done at this"):
        of(cells("every 2*ms: v = log(-1 - m)*mV"), "v", 3 * ms)


TWO = """
    dvs/dt = (-vs + R*I_soma + g*(vd - vs))/tau : mV
    dvd/dt = (-vd + R*I_dend + g*(vs - vd))/tau : mV
    I_soma : nA
    I_dend : nA
    """
ONTO_ONE = """
    I = -w*G*(1 + 0*v_post/mV) : nA
    dG/dt = -G/tau : 1
    dw/dt = 0*nA/ms : nA
    v_post : mV
    on spike: G += 1
    on post spike: w += 0*nA
    every 10*ms: w *= {factor}
    """


def _two(name: str) -> sf.Population:
    numbers = {"R": 10 * mV / nA, "tau": 10 * ms, "g": 0.1}
    cell = sf.Equations.parse(TWO, **numbers, vs=0 * mV, vd=0 * mV)
    return sf.Population(name, 3, cell, threshold="vs > 5*mV", reset="vs = 0*mV")


def _onto_one(factor: str) -> sf.Equations:
    text = ONTO_ONE.format(factor=factor)
    return sf.Equations.parse(text, tau=5 * ms, G=0, w=0.1 * nA)


def test_a_synapse_onto_one_of_several_inputs_keeps_its_rules() -> None:
    a, b = _two("a"), _two("b")
    synapse = _onto_one("1.1 + 0*v_post/mV")
    wired = sf.Projection(a, b, synapse, into="I_dend", name="p")
    run = sf.simulate(sf.Network(a, b, wired), 50 * ms, dt=0.1 * ms, record=wired["w"])
    weights = run["p.w"].values[[99, 100, 199, 200, 500], 0]
    assert weights == pytest.approx(0.1 * 1.1 ** np.array([0, 1, 1, 2, 5]))


def test_sums_over_synapses_of_joined_populations_are_refused() -> None:
    a, b = _two("a"), _two("b")
    with pytest.raises(NetworkError, match="several populations are joined"):
        sf.Projection(a + b, b, _onto_one("0.3*nA/sum_post(w)"), into="I_dend")
    sf.Projection(a + b, b, _onto_one("0.3*nA/sum_pre(w)"), into="I_dend")


@pytest.mark.parametrize("size", [1, 2, 3])
def test_few_synapses_that_are_computed_each_by_itself_have_sums(size: int) -> None:
    model = sf.Equations.parse("dv/dt = (E - v + R*I_stim)/tau : mV\nI_stim : nA",
        E=1 * mV, R=1 * mV / nA, tau=10 * ms, v=1 * mV)  # fmt: skip
    cells = sf.Population("cells", size, model)
    text = """
    v_pre : mV
    v_post : mV
    I = 0*w*s*nA*(v_post/mV) : nA
    ds/dt = (v_pre*v_post/mV**2 - s)/(5*ms) : 1
    dw/dt = 0/ms : 1
    every 1*ms: w *= 1/sum_post(w)
    """
    synapse = sf.Equations.parse(text, s=0, w=0.3)
    joined = sf.Projection(cells, cells, synapse, sf.AllToAll(), name="p")
    run = sf.simulate(sf.Network(cells, joined), 3 * ms, record=joined["w"], **EULER)
    assert run["p.w"].values[-1] == pytest.approx(np.full(size**2, 1 / size))
