"""Gap junctions between two populations conduct both ways, and equal plain NumPy."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.integrate import solve_ivp

import somaflow as sf
from somaflow.errors import NetworkError, SomaflowWarning, UnitError, WrongTypeError
from somaflow.units import cm, mS, ms, mV, nA, nF, nS, uF

RNG = np.random.default_rng(3)
WEIGHT = RNG.uniform(1, 5, (3, 2))
GAP = "v_pre : mV\nv_post : mV\nI = w*(v_post - v_pre) : nA"
RECTIFYING = """
v_pre : mV
v_post : mV
I = w*maximum(v_post - v_pre, 0*mV) : nA
I_pre = -I : nA
"""


def cells(name: str, current: Any) -> sf.Population:
    text = "dv/dt = (g*(E - v) + I_stim + I0)/C : mV\nI_stim : nA"
    values = {"g": 10 * nS, "E": -60 * mV, "C": 0.2 * nF, "I0": np.array(current) * nA}
    model = sf.Equations.parse(text, v=-60 * mV + np.arange(len(current)) * mV, **values)
    return sf.Population(name, len(current), model)


A, B = [0.0, 0.1, -0.1], [0.05, -0.05]


def joined(text: str, **given: Any) -> sf.Network:
    a, b = cells("a", A), cells("b", B)
    settings = {"weight": WEIGHT * nS, "name": "gap"} | given
    made = sf.Projection(a, b, sf.Equations.parse(text, w=1 * nS), **settings)
    return sf.Network(a, b, made)


@pytest.mark.parametrize(
    ("text", "form"), [(GAP, "graded"), (RECTIFYING, "general")], ids=["gap", "rectifying"]
)
def test_one_declaration_conducts_both_ways(text: str, form: str) -> None:
    network = joined(text)

    def slope(t: float, v: Any) -> Any:
        apart = v[None, 3:] - v[:3, None]
        flow = WEIGHT * 1e-3 * (apart if text == GAP else np.maximum(apart, 0))
        out = np.concatenate([-flow.sum(axis=1), flow.sum(axis=0)])
        return (0.01 * (-60 - v) + np.concatenate([A, B]) - out) / 0.2

    start = np.concatenate([-60 + np.arange(3.0), -60 + np.arange(2.0)])
    times = np.arange(0, 20.5, 0.5)
    exact = solve_ivp(slope, (0, 20), start, "DOP853", times, rtol=1e-12, atol=1e-12).y.T
    a, b = network.population("a"), network.population("b")
    there, back = network.projection("gap"), network.projection("gap back")
    record = [a["v"], b["v"], there["I"], back["I"]]
    record = [recorder.every(0.5 * ms) for recorder in record]
    settings = {"dt": 0.05 * ms, "solver": sf.RK4(), "progress": False}
    run = sf.simulate(network, 20 * ms, record=record, **settings)
    # A rectifying junction has corners, at which no method has its order.
    tolerance = 1e-9 if text == GAP else 1e-4
    np.testing.assert_allclose(run["a.v"].values, exact[:, :3], atol=tolerance)
    np.testing.assert_allclose(run["b.v"].values, exact[:, 3:], atol=tolerance)
    # What leaves one side enters the other.
    sums = [run[key].values.sum(axis=1) for key in ("gap.I", "gap back.I")]
    np.testing.assert_allclose(sums[0], -sums[1], atol=1e-12)
    assert np.abs(sums[0]).max() > 0.01
    said = network.explain()
    assert said.count(f"form         {form}") == 2
    assert "gap back" in said


def test_a_run_with_junctions_goes_on_from_its_end_and_from_a_store(tmp_path: Path) -> None:
    network = joined(RECTIFYING)
    b = network.population("b")
    settings = {"dt": 0.05 * ms, "solver": sf.RK4(), "progress": False, "record": b["v"]}
    whole = sf.simulate(network, 10 * ms, **settings)
    first = sf.simulate(network, 4 * ms, sink=tmp_path / "a.zarr", **settings)
    rest = sf.simulate(network, 6 * ms, initial=first.final, **settings)
    assert np.array_equal(whole["b.v"].values[-len(rest["b.v"].time) :], rest["b.v"].values)
    resumed = sf.resume(tmp_path / "a.zarr", 10 * ms, progress=False)
    assert np.array_equal(whole["b.v"].values, resumed["b.v"].values)


def test_drawn_weights_are_one_for_each_pair() -> None:
    network = joined(GAP, weight=sf.Uniform(1 * nS, 2 * nS))
    there = network.projection("gap").connections().to_scipy().toarray()
    back = network.projection("gap back").connections().to_scipy().toarray()
    assert np.array_equal(there, back.T)
    assert len(np.unique(there)) == there.size


def test_what_does_not_fit_the_way_back_is_refused() -> None:
    text = "dv/dt = (g*(E - v) + I_stim)/C : mV\nI_stim : uA/cm**2"
    values = {"g": 1 * mS / cm**2, "E": -60 * mV, "C": 1 * uF / cm**2, "v": -60}
    other = sf.Population("other", 2, sf.Equations.parse(text, **values))
    with pytest.raises(UnitError, match="gives a current in nA, but 'other' takes"):
        sf.Projection(other, cells("b", B), sf.Equations.parse(GAP, w=1 * nS))
    states = RECTIFYING + "ds/dt = (v_pre/(1*mV) - s)/tau : 1"
    synapse = sf.Equations.parse(states, w=1 * nS, tau=1 * ms, s=0)
    a, b = cells("a", A), cells("b", B)
    with pytest.raises(NetworkError, match="has no states and no 'on spike:' lines"):
        sf.Projection(a, b, synapse)
    junction = sf.Projection(a, b, sf.Equations.parse(GAP, w=1 * nS), name="x")
    named = sf.Projection(a, b, sf.load("graded_conductance"), name="x back")
    with pytest.raises(NetworkError, match="two parts of the network are called 'x back'"):
        sf.Network(a, b, junction, named)


@pytest.mark.parametrize(
    "of",
    [
        sf.AllToAll(),
        sf.FixedProbability(0.3, seed=2),
        sf.FixedProbability(0.3),
        sf.FromList([(0, 1), (3, 2), (5, 4), (2, 5)]),
    ],
    ids=repr,
)
def test_mutual_pairs_are_symmetric(of: Any) -> None:
    a = cells("a", np.zeros(40))
    synapse = sf.Equations.parse(GAP, w=1 * nS)
    made = sf.Projection(a, a, synapse, sf.Mutual(of), sf.Uniform(1 * nS, 2 * nS))
    table = made.connections().to_scipy().toarray()
    assert np.array_equal(table, table.T)
    assert not table.diagonal().any()
    count = np.count_nonzero(table)
    expected = {"AllToAll": 1560, "FixedProbability": 468, "FromList": 8}[type(of).__name__]
    assert abs(count - expected) < (120 if type(of).__name__ == "FixedProbability" else 1)
    parts = [made.connections(rows) for rows in ((0, 3), (3, 40))]
    whole = made.connections()
    assert np.array_equal(np.concatenate([part.pre for part in parts]), whole.pre)
    assert np.array_equal(np.concatenate([part.weight for part in parts]), whole.weight)


def test_mutual_refuses_what_it_cannot_join() -> None:
    a, b = cells("a", np.zeros(3)), cells("b", np.zeros(3))
    synapse = sf.Equations.parse(GAP, w=1 * nS)
    with pytest.raises(WrongTypeError, match="Mutual takes AllToAll, FixedProbability, FromList"):
        sf.Mutual(sf.OneToOne())
    with pytest.raises(NetworkError, match="conducts both ways by itself"):
        sf.Projection(a, b, synapse, sf.Mutual(sf.AllToAll()))
    turned = sf.Projection(a, a[::-1], synapse, sf.Mutual(sf.AllToAll()))
    with pytest.raises(NetworkError, match="in the same order on both sides"):
        turned.connections()


def within(pairs: Any, text: str = GAP, multapses: bool = False, **given: Any) -> sf.Network:
    a = cells("a", A)
    model = sf.Equations.parse(text, **{"w": 1 * nS} | given)
    return sf.Network(a, sf.Projection(a, a, model, sf.FromList(pairs, multapses=multapses)))


BOTH = [(0, 1), (1, 0)]
SCALED = "v_pre : mV\nv_post : mV\nI = w*k*(v_post - v_pre) : nA"
TWICE = "v_pre : mV\nv_post : mV\nI = w*(v_post - v_pre) : nA\nI_pre = w*(v_pre - v_post) : nA"


def test_what_is_not_the_same_both_ways_is_refused() -> None:
    with pytest.raises(NetworkError, match=r"leave the line 'I_pre = \.\.\.' out"):
        within(BOTH, TWICE)
    uneven = within(BOTH, SCALED, k=np.array([1.0, 3.0]))
    with pytest.raises(NetworkError, match="has the same parameters both ways, but the pair"):
        sf.simulate(uneven, 1 * ms)
    sf.simulate(within(BOTH, SCALED, k=np.array([3.0, 3.0])), 1 * ms)
    thrice = within([(0, 1), *BOTH], multapses=True)
    with pytest.raises(NetworkError, match=r"the pair \(0, 1\) is given 2 times, and \(1, 0\) 1"):
        sf.simulate(thrice, 1 * ms)
    with pytest.raises(WrongTypeError, match="Mutual joins each pair once"):
        sf.Mutual(sf.FromList([(0, 1), (0, 1)], multapses=True))


def test_junctions_that_are_given_from_both_sides_are_told_of() -> None:
    a, b = cells("a", A), cells("b", B)
    gap = sf.Equations.parse(GAP, w=1 * nS)
    there, back = sf.Projection(a[:2], b, gap), sf.Projection(b, a[1:], gap)
    with pytest.warns(SomaflowWarning, match="'a_to_b' and 'b_to_a' are gap junctions between"):
        sf.Network(a, b, there, back)
    sf.Network(a, b, there, sf.Projection(b, a[2:], gap))


def test_a_current_like_a_gap_junction_s_that_acts_one_way_is_told_of() -> None:
    first, second = cells("first", A), cells("second", B)
    text = GAP + "\ndw/dt = 0*nS/ms : nS\nevery 10*ms: w *= 0.9"
    one = sf.Projection(first, second, sf.Equations.parse(text, w=1 * nS))
    with pytest.warns(SomaflowWarning, match="acts on the postsynaptic cell alone"):
        sf.Network(first, second, one)
