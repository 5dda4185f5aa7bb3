import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import somaflow as sf
from somaflow.errors import (
    EquationError,
    NetworkError,
    SomaflowError,
    UnitError,
    UnknownNameError,
    WrongTypeError,
)
from somaflow.units import cm, mm, mS, ms, mV, uF, um

C = 1 * uF / cm**2
CHANNELS = sf.catalogue("channels")
TEXT = "dv/dt = (E - v)/(20*ms) + I_stim/(1*nF) : mV\nI_stim : nA"


def cells(name: str = "PN", size: int = 5, **options: Any) -> sf.Population:
    options = {"threshold": "v > 0*mV"} | options
    return sf.Population(name, size, sf.Neuron(C, leak=CHANNELS.leak), **options)


def point(text: str = TEXT, **options: Any) -> sf.Population:
    values = options.pop("values", {"E": -65 * mV, "v": -65})
    return sf.Population("P", 5, sf.Equations.parse(text, **values), **options)


def test_a_population_takes_what_the_catalogue_says() -> None:
    lif = sf.Population("lif", np.int64(3), sf.load("lif"))
    assert (lif.threshold, lif.reset, lif.refractory.value) == ("v > V_threshold", "v = V_reset", 2)
    assert len(lif) == 3
    assert lif.spikes.key == "lif.spikes"
    assert sf.Population("lif", 3, sf.load("lif"), refractory=3 * ms).refractory.value == 3


@pytest.mark.parametrize(
    ("build", "kind", "words"),
    [
        (lambda: cells("a b"), NetworkError, "'a b' cannot name a population"),
        (lambda: cells("a.b"), NetworkError, "cannot name"),
        (lambda: cells(size=0), NetworkError, "needs 1 to 2,147,483,647 cells, not 0"),
        (lambda: cells(size=2.0), WrongTypeError, "a whole number, not 2.0"),
        (lambda: cells(size=True), WrongTypeError, "a whole number"),
        (lambda: sf.Population("P", 3, CHANNELS.leak), WrongTypeError, "is a channel; put it into"),
        (lambda: sf.Population("P", 3, lambda t, y: y), WrongTypeError, "only be run by sf.solve"),
        (lambda: cells(threshold="v > 0"), UnitError, "mV compared with a pure number"),
        (lambda: cells(threshold="vv > 0*mV"), UnknownNameError, "Did you mean 'v'"),
        (lambda: cells(threshold="v"), EquationError, "a threshold is a comparison"),
        (lambda: cells(threshold=None, reset="v = 0*mV"), NetworkError, "a reset but no threshold"),
        (lambda: cells(reset="v = 3*ms"), UnitError, "cannot become ms"),
        (lambda: cells(reset="C = 3"), EquationError, "'C' is a parameter"),
        (lambda: cells(refractory=-1 * ms), NetworkError, "one time >= 0 ms"),
        (lambda: cells(refractory=[1, 2]), NetworkError, "or one for each of the 5 cells"),
        (lambda: cells(refractory=[1, 2, 3, -4, 5]), NetworkError, "-4 ms in cell 3"),
        (
            lambda: cells(refractory=sf.Normal(1 * ms, 5 * ms)),
            NetworkError,
            "goes below 0: give it a bound, low=",
        ),
        (lambda: cells(refractory=sf.Normal(1 * mV, 5 * mV)), UnitError, "'refractory' of PN"),
        (lambda: cells(refractory="v > 0"), UnitError, "mV compared with a pure number"),
        (lambda: point(refractory="v > 0*mV"), NetworkError, "refractory condition but no thresh"),
        (lambda: point(hold=("v",)), NetworkError, "hold but no threshold"),
        (lambda: cells(hold="v"), WrongTypeError, r"such as \('v',\) or \(\), not 'v'"),
        (lambda: cells(hold=("V",)), UnknownNameError, "no state 'V' to hold. Known: v"),
        (lambda: point(threshold="v > I_stim*R"), UnknownNameError, "'R' is not defined"),
        (lambda: point(threshold="v > 0*mV and I_stim > 0*nA"), NetworkError, "not I_stim"),
        (
            lambda: cells(reset="v -= 3*mV", refractory=1 * ms),
            NetworkError,
            r"which states .* of 'PN' hold\? No state that the threshold compares",
        ),
        (lambda: cells(refractory=1 * mV), UnitError, "'refractory' of PN is in ms"),
        (lambda: point("dx/dt = -x : 1", values={"x": 1}), NetworkError, "no unit of time"),
        (lambda: point("dx/dt = pulse(3*ms)/ms : 1", values={}), NetworkError, "synapses"),
        (lambda: point("dx/dt = -x/ms : 1\non spike: x += 1", values={}), NetworkError, "synapses"),
        (lambda: point(values={"E": [1, 2] * mV}), NetworkError, r"'E' of 'P' has shape \(2,\)"),
        (lambda: point(values={"E": 1 * mV, "v": [1] * 6}), NetworkError, r"'v' of 'P' has shape"),
        (lambda: point().spikes, NetworkError, "no threshold, so it has no spikes"),
    ],
)
def test_a_population_that_does_not_fit(
    build: Callable[[], Any], kind: type[SomaflowError], words: str
) -> None:
    with pytest.raises(kind, match=words):
        build()


ADAPTIVE = """
dv/dt = (E - v)/(20*ms) : mV
du/dt = (E - u)/(50*ms) : mV
depth = v - E : mV
"""


def adaptive(threshold: str, reset: str, **options: Any) -> sf.Population:
    model = sf.Equations.parse(ADAPTIVE, E=-65 * mV, v=-65, u=-50)
    options = {"refractory": 2 * ms} | options
    return sf.Population("A", 5, model, threshold=threshold, reset=reset, **options)


@pytest.mark.parametrize(
    ("threshold", "reset", "options", "held"),
    [
        ("v > -50*mV", "v = E; u += 3*mV", {}, ("v",)),
        ("v > u", "v = E; u += 3*mV", {}, ("v",)),
        ("v > u", "u = v; v = E", {"hold": ("v",)}, ("v",)),
        ("depth > 15*mV", "v = E", {}, ("v",)),
        ("v > -50*mV and u > -50*mV", "v = E; u = E", {}, ("v", "u")),
        ("rand() < depth/mV", "v = E; u = E", {}, ("v",)),
        ("v > -50*mV", "v -= 15*mV; v = E", {}, ("v",)),
        ("v > -50*mV", "v -= 15*mV", {"hold": ()}, ()),
        ("v > -50*mV", "v -= 15*mV", {"refractory": 0 * ms}, ()),
        ("v > -50*mV", "v = E; u = E", {"hold": ["u"]}, ("u",)),
        ("v > -50*mV", "v = E", {"refractory": "u > v"}, ("v",)),
    ],
)
def test_which_states_a_refractory_period_holds(
    threshold: str, reset: str, options: dict[str, Any], held: tuple[str, ...]
) -> None:
    assert adaptive(threshold, reset, **options).firing.held == held


def test_two_sides_of_a_threshold_that_are_both_reset_need_hold() -> None:
    with pytest.raises(NetworkError, match=r"compares u and v, and the reset sets both.*hold=\("):
        adaptive("v > u", "v = E; u = -40*mV")


def test_what_a_population_says_of_its_spikes_is_kept() -> None:
    for refractory in ("u > v", sf.Uniform(1 * ms, 2 * ms, seed=3), [1, 2, 3, 4, 5] * ms):
        cells = adaptive("v > u or t > 1*second", "v = E", refractory=refractory, hold=("v",))
        again = pickle.loads(pickle.dumps(cells))
        assert again == cells
        assert again.firing.held == ("v",)
        assert cells != adaptive("v > u or t > 1*second", "v = E", refractory=refractory)


def test_parameters_may_differ_between_cells_and_have_batch_axes() -> None:
    assert point(values={"E": np.zeros((7, 5)) * mV}).equations.parameters["E"].value.shape == (
        7,
        5,
    )


def test_views() -> None:
    pn = cells()
    assert pn[:3].cells.tolist() == [0, 1, 2]
    assert pn[[4, 0]].cells.tolist() == [4, 0]
    assert pn[-1].cells.tolist() == [4]
    assert pn[1:][[0, 2]].cells.tolist() == [1, 3]
    assert pn[np.array([True, False, False, True, False])].cells.tolist() == [0, 3]
    assert len(pn[2:2]) == 0
    assert pn[:3].population is pn
    assert pn[:]["v"].cells is None
    assert pn[:3]["v"].cells.tolist() == [0, 1, 2]
    with pytest.raises(ValueError, match="read-only"):
        pn[:3].cells[0] = 4


@pytest.mark.parametrize("key", [5, -6, [0, 5], 1.5, None, object(), np.ones(4, bool), [[0, 1]]])
def test_cells_that_are_not_there(key: Any) -> None:
    with pytest.raises(SomaflowError):
        cells()[key]


@pytest.mark.parametrize("chosen", [[0, 9], [-1], [1, 1], [0.5], [[1]], "ab", object(), None])
def test_a_view_of_cells_that_cannot_be(chosen: Any) -> None:
    with pytest.raises((NetworkError, WrongTypeError)):
        sf.PopulationView(cells(), chosen)


def test_a_cell_twice_is_refused() -> None:
    with pytest.raises(NetworkError, match="a view of 'PN' names cell 1 twice"):
        cells()[[0, 1, 1]]


def test_an_unknown_variable_gets_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match=r"'PN' has no variable 'leak.i'.*'leak.I'"):
        cells()["leak.i"]


def test_parameters_and_initial_values_are_drawn_for_each_cell() -> None:
    lif = sf.load("lif")(
        tau=sf.Normal(20 * ms, 2 * ms, seed=3), v=sf.Uniform(-65 * mV, -55 * mV, 3)
    )
    cells = sf.Population("lif", 400, lif)
    tau = cells.equations.parameters["tau"].value
    v = cells.equations.initial["v"].value
    assert tau.shape == v.shape == (400,)
    assert abs(tau.mean() - 20) < 4 * 2 / 20
    assert np.all((v > -65) & (v < -55))
    # One seed, and yet the two have nothing to do with each other.
    assert abs(np.corrcoef(tau, v)[0, 1]) < 0.2
    fewer = sf.Population("other", 7, lif).equations.parameters["tau"].value
    assert np.array_equal(fewer, tau[:7])
    assert cells.model.equations.parameters["tau"].unit == "ms"


def test_two_parameters_with_one_distribution_differ() -> None:
    text = "dv/dt = (a + b - v)/(20*ms) : mV"
    width = sf.Uniform(1 * mV, 2 * mV, seed=4)
    model = sf.Equations.parse(text, a=width, b=width, v=0)
    parameters = sf.Population("P", 50, model).equations.parameters
    assert not np.any(parameters["a"].value == parameters["b"].value)
    assert abs(np.corrcoef(parameters["a"].value, parameters["b"].value)[0, 1]) < 0.5


def test_what_is_drawn_has_the_declared_unit() -> None:
    model = sf.load("lif")(tau=sf.Uniform(0.01 * sf.units.second, 0.02 * sf.units.second))
    tau = sf.Population("P", 5, model).equations.parameters["tau"]
    assert tau.unit == sf.load("lif").equations.parameters["tau"].unit
    assert np.all((tau.value > 10) & (tau.value < 20))
    with pytest.raises(UnitError, match=r"'tau' is in ms, but Uniform\(.*\) is in mV"):
        sf.load("lif")(tau=sf.Uniform(1 * mV, 2 * mV))
    with pytest.raises(UnitError, match=r"'v' of the initial state is in mV"):
        sf.load("lif")(v=sf.Uniform(1, 2))


def test_a_copy_draws_the_same() -> None:
    model = point(values={"E": sf.Normal(-60 * mV, 3 * mV, 5, low=-65 * mV), "v": -65}).model
    cells = sf.Population("P", 9, model)
    copy = pickle.loads(pickle.dumps(cells))
    assert copy == cells
    assert np.array_equal(
        copy.equations.parameters["E"].value, cells.equations.parameters["E"].value
    )


def test_channels_of_a_neuron_may_be_drawn() -> None:
    leak = CHANNELS.leak(g=sf.LogNormal(0.1 * mS / cm**2, 0.01 * mS / cm**2, seed=2))
    cells = sf.Population("P", 9, sf.Neuron(C, leak=leak))
    assert cells.equations.parameters["leak.g"].value.shape == (9,)


def test_positions_are_a_table_of_lengths() -> None:
    assert point(positions=np.arange(5) * um).positions.value.shape == (5, 1)
    placed = point(positions=np.ones((5, 3)) * mm)
    np.testing.assert_allclose(placed.positions.value, 0.1)  # in cm
    assert pickle.loads(pickle.dumps(placed)) == placed
    assert point().positions is None


@pytest.mark.parametrize(
    ("positions", "kind", "words"),
    [
        (np.arange(5), UnitError, "the positions of 'P' are in 1; give lengths"),
        (np.arange(5) * mV, UnitError, "are in mV"),
        (np.arange(4) * um, NetworkError, r"have shape \[4\]; give \[5\], or \[5, 1\]"),
        (np.ones((5, 4)) * um, NetworkError, r"have shape \[5, 4\]"),
        (3 * um, NetworkError, r"have shape \[\]"),
    ],
)
def test_positions_that_do_not_fit(positions: Any, kind: type[SomaflowError], words: str) -> None:
    with pytest.raises(kind, match=words):
        point(positions=positions)
