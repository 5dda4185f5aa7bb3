import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import somaflow as sf
from somaflow import units
from somaflow.equations.equations import Equations
from somaflow.equations.expression import parse
from somaflow.equations.statements import STEPPED
from somaflow.errors import (
    EquationError,
    MissingValueError,
    SomaflowError,
    TraceError,
    UnitError,
    UnknownNameError,
    WrongTypeError,
)
from somaflow.units import Parameter, mM, ms, mV, nA

LIF = "dv/dt = (E - v)/tau : mV"


def read(text: str = LIF, **values: Any) -> Equations:
    return Equations.parse(text, **{"E": -65 * mV, "tau": 20 * ms, **values})


def test_a_missing_initial_value_shows_the_line() -> None:
    with pytest.raises(MissingValueError) as caught:
        read("# a cell\n  dv/dt = (E - v)/tau : mV").initial_values({}, "PN")
    message, line, caret = str(caught.value).split("\n")
    assert "state 'v' of PN has no initial value. Give v=... in mV" in message
    assert "initial={'PN': {'v': ...}}" in message
    assert line == "  line 2:   dv/dt = (E - v)/tau : mV"
    assert line[caret.index("^") :].startswith("v/dt")


def test_every_operator_of_an_assignment() -> None:
    found = read(v=0).assignments("v = E; v += E; v -= E; v *= 2; v /= 2")
    expected = ["E", "v + E", "v - E", "v * 2", "v / 2"]
    assert [item.expression for item in found] == [parse(text) for text in expected]


def test_assignments_on_several_lines_show_their_own() -> None:
    with pytest.raises(UnknownNameError) as caught:
        read().assignments("v = E\nv = 2*EE\n")
    _, line, caret = str(caught.value).split("\n")
    assert line == "  v = 2*EE"
    assert line[caret.index("^") :] == "EE"


def test_a_reset_cannot_be_a_comparison() -> None:
    with pytest.raises(EquationError, match="a comparison has no value"):
        Equations.parse("dm/dt = -m : 1").assignments("m = m > 1")


def test_conditions() -> None:
    assert read().condition("v > -50*mV") == parse("v > -50*mV")


@pytest.mark.parametrize(
    ("text", "kind", "above", "words"),
    [
        ("v > -50", UnitError, "-50", "mV compared with a pure number"),
        ("v + E", EquationError, "v + E", "a threshold is a comparison"),
        ("vv > E", UnknownNameError, "vv", "Did you mean"),
        ("v >", EquationError, "", "this is not an expression"),
    ],
)
def test_a_slip_in_a_condition(text: str, kind: type, above: str, words: str) -> None:
    with pytest.raises(kind, match=words) as caught:
        read().condition(text)
    line, caret = str(caught.value).split("\n")[-2:]
    assert line[caret.index("^") :].startswith(above)


def test_rand_and_dt_are_known_where_there_are_steps() -> None:
    equations = read()
    assert equations.condition("rand() < dt/ms", known=STEPPED) == parse("rand() < dt/ms")
    assert equations.assignments("v = E*rand() - E*dt/ms", known=STEPPED)[0].name == "v"
    with pytest.raises(UnitError, match="a pure number compared with ms"):
        equations.condition("rand() < dt", known=STEPPED)
    for text in ("rand() < 1", "dt > 1*ms"):
        with pytest.raises(EquationError, match="threshold, the reset and the refractory"):
            equations.condition(text)
    with pytest.raises(EquationError, match="white noise is called xi"):
        Equations.parse("dx/dt = rand()/ms : 1")
    own = Equations.parse("dx/dt = (dt - x)/(1*ms) : 1", dt=3)
    with pytest.raises(EquationError, match="'dt' is the step here, and in the equations too"):
        own.condition("x > dt", known=STEPPED)
    with pytest.raises(EquationError, match="the name 'rand' is taken"):
        Equations.parse("dx/dt = -rand*x/ms : 1", rand=3)


def test_where_takes_joined_conditions() -> None:
    model = Equations.parse(
        "dx/dt = where(x > a and not x > 2*a, a - x, x)/ms : 1",
        a=1,
        x="where(a > 0 or a < 0, 3, 4)",
    )
    assert model.initial_values({}, "cells")["x"] == 3


def test_time_is_in_ms_unless_nothing_has_a_unit() -> None:
    assert Equations.parse("dx/dt = sin(t) - x : 1").pure_time
    assert not Equations.parse("dx/dt = (sin(t/(1*ms)) - x)/(2*ms) : 1").pure_time
    with pytest.raises(UnitError, match="sin of ms"):
        Equations.parse("dx/dt = (sin(t) - x)/(2*ms) : 1")


def test_a_plain_number_means_the_declared_unit_of_a_state() -> None:
    assert read(v=-60).initial_values({}, "x") == {"v": -60.0}
    assert Equations.parse("dv/dt = -v/tau : volt", tau=1 * ms, v=2).initial["v"].value == 2000


def test_initial_values_may_be_expressions_of_the_others() -> None:
    text = "dv/dt = (E - v)/tau : mV\ndm/dt = (m_inf - m)/tau : 1\nm_inf = sigmoid(v/(10*mV)) : 1"
    found = read(text, v="2*E", m="m_inf + 1").initial_values({}, "x")
    assert found["v"] == -130
    assert found["m"] == pytest.approx(1 + 1 / (1 + np.exp(13)))
    given = read(text, v="2*E", m="m_inf + 1").initial_values({"v": np.zeros(3)}, "x")
    assert np.array_equal(given["m"], [1.5, 1.5, 1.5])


@pytest.mark.parametrize(
    ("initial", "kind", "words"),
    [
        ("2*tau", UnitError, "the initial value of 'v' is ms, not mV"),
        ("2*EE", UnknownNameError, "Did you mean 'E'"),
        ("2*", EquationError, "this is not an expression"),
        ("E > v", EquationError, "a comparison has no value"),
        (3 * ms, UnitError, "'v' of the initial state is in mV, not ms"),
        (np.nan, MissingValueError, "must be a finite number"),
        (object(), WrongTypeError, "must be a number or array in mV"),
        (None, WrongTypeError, "must be a number or array in mV"),
    ],
)
def test_a_wrong_initial_value(initial: Any, kind: type, words: str) -> None:
    with pytest.raises(kind, match=words):
        read(v=initial)


def test_initial_values_that_need_each_other() -> None:
    text = "dv/dt = (E - w)/tau : mV\ndw/dt = (E - v)/tau : mV"
    with pytest.raises(MissingValueError, match=r"'v' of PN is w, which needs .* \['w'\]"):
        read(text, v="w", w="v").initial_values({}, "PN")


@pytest.mark.parametrize("value", ["E/0", "E*log(0)", "E*exp(1000)"])
def test_an_initial_value_that_is_not_finite(value: str) -> None:
    with pytest.raises(MissingValueError, match="initial value of 'v' of PN is not finite"):
        read(v=value).initial_values({}, "PN")


def test_an_initial_value_of_no_state() -> None:
    with pytest.raises(UnknownNameError, match=r"no state 'w'.*Known: v"):
        Equations(LIF, dict(read().parameters), {"w": 3})


@pytest.mark.parametrize("name", ["t", "exp", "mV"])
def test_a_parameter_cannot_take_the_name_of_something_else(name: str) -> None:
    with pytest.raises(EquationError, match=f"the name '{name}' is taken"):
        read(**{name: 3})


def test_calling_sets_values() -> None:
    first = read(v=-60)
    other = first(tau=0.03 * units.second, v=-70)
    assert other.parameters["tau"].value == 30
    assert other.parameters["tau"].unit == "ms"
    assert other.initial["v"].value == -70
    assert first.parameters["tau"].value == 20
    assert first() == first


def test_calling_with_an_unknown_or_wrong_value() -> None:
    with pytest.raises(UnknownNameError, match=r"no parameter 'taau'. Did you mean 'tau'"):
        read()(taau=3)
    with pytest.raises(UnitError, match="'tau' is in ms, not mV"):
        read()(tau=3 * mV)
    with pytest.raises(MissingValueError, match="'tau' is nan"):
        read()(tau=np.nan)


def test_units_of_names() -> None:
    text = f"{LIF}\nI = J : nA\nJ : nA"
    assert [read(text).unit(name) for name in ("v", "I", "J", "tau")] == ["mV", "nA", "nA", "ms"]
    with pytest.raises(UnknownNameError, match=r"no 'taau'.*Did you mean 'tau'"):
        read().unit("taau")


def test_repr_shows_text_and_values() -> None:
    assert repr(read()) == (
        "Equations(\n  dv/dt = (E - v)/tau : mV\n  E = -65 mV\n  tau = 20 ms\n)"
    )


def test_pickle_keeps_the_bits() -> None:
    found = read(tau="0.0203 second", v="E/3")
    again = pickle.loads(pickle.dumps(found))
    assert again == found
    assert again.states == found.states


def fitzhugh_nagumo(t: Any, y: dict[str, Any], p: dict[str, Any]) -> dict[str, Any]:
    return {
        "v": y["v"] - y["v"] ** 3 / 3 - y["w"] + p["I"],
        "w": p["e"] * (y["v"] + p["a"] - p["b"] * y["w"]),
    }


def test_a_function_gives_what_the_text_gives() -> None:
    values = {"I": 0.5, "e": 0.08, "a": 0.7, "b": 0.8}
    text = "dv/dt = v - v**3 / 3 - w + I : 1\ndw/dt = e * (v + a - b * w) : 1"
    from_text = Equations.parse(text, v=-1.0, w=1.0, **values)
    traced = Equations.from_function(fitzhugh_nagumo, {"v": -1.0, "w": 1.0}, **values)
    assert traced == from_text
    assert traced.states == from_text.states


def test_a_function_with_units_and_sf_math() -> None:
    def f(t: Any, y: Any, p: Any) -> Any:
        return {"v": p["E"] * sf.math.exp(-t / p["tau"]) / p["tau"] - y["v"] / (3 * ms)}

    traced = Equations.from_function(f, {"v": -60 * mV}, E=-65 * mV, tau=20 * ms)
    assert traced.states["v"].expression == parse("E*exp(-t/tau)/tau - v/(3*ms)")
    with pytest.raises(UnitError, match="exp of"):
        Equations.from_function(
            lambda t, y: {"v": y["v"] * sf.math.exp(y["v"]) / (1 * ms)}, {"v": -60 * mV}
        )


def test_a_function_of_time_and_state_only() -> None:
    traced = Equations.from_function(lambda t, y: {"x": -y["x"] + t}, {"x": 1.0})
    assert traced.states["x"].expression == parse("-x + t")


def _calls_numpy(t: Any, y: Any) -> Any:
    return {"x": np.exp(y["x"])}


def _branches(t: Any, y: Any) -> Any:
    return {"x": -1 if y["x"] > 0 else 1}


def _compares(t: Any, y: Any) -> Any:
    return {"x": -1 if y["x"] == 0 else 1}


def _misses(t: Any, y: Any) -> Any:
    return {"x": y["z"]}


def _returns_a_list(t: Any, y: Any) -> Any:
    return [y["x"]]


def _returns_another_state(t: Any, y: Any) -> Any:
    return {"y": y["x"]}


def _returns_an_array(t: Any, y: Any) -> Any:
    return {"x": np.zeros(3)}


def _one_argument(t: Any) -> Any:
    return {"x": t}


@pytest.mark.parametrize(
    "f",
    [
        _calls_numpy,
        _branches,
        _compares,
        _misses,
        _returns_a_list,
        _returns_another_state,
        _returns_an_array,
        _one_argument,
        max,
    ],
)
def test_a_function_that_cannot_be_traced_says_so(f: Callable[..., Any]) -> None:
    with pytest.raises(TraceError):
        Equations.from_function(f, {"x": 1.0})


@pytest.mark.parametrize(
    "build",
    [
        lambda: Equations.parse(object()),  # type: ignore[arg-type]
        lambda: Equations.parse(_misses),  # type: ignore[arg-type]
        lambda: Equations.from_function(LIF, {}),  # type: ignore[arg-type]
        lambda: Equations.from_function(_misses, [1, 2]),  # type: ignore[arg-type]
        lambda: Equations(3, {}, {}),  # type: ignore[arg-type]
    ],
)
def test_the_wrong_kind_of_argument(build: Callable[[], Any]) -> None:
    with pytest.raises(WrongTypeError):
        build()


def test_pulse_is_found() -> None:
    assert read("dv/dt = E*pulse(tau)/tau : mV").uses_pulse
    assert not read().uses_pulse


def test_values_have_their_own_units() -> None:
    found = Equations.parse("dc/dt = -c/tau : mM", tau=1 * ms, c=2e3 * units.uM, I=3 * nA)
    assert found.parameters["I"].unit == "nA"
    assert found.initial["c"].value == 2
    assert isinstance(found.initial["c"], Parameter)
    assert units.dimensions("mM").powers == mM.dimensionality
    assert issubclass(UnitError, SomaflowError)


def test_text_and_function_give_the_same_object_however_they_are_written() -> None:
    def decay(t: Any, y: dict[str, Any], p: dict[str, Any]) -> dict[str, Any]:
        return {"v": (p["E"] - y["v"]) / p["tau"]}

    values = {"v": -60 * mV, "tau": 20 * ms, "E": -65 * mV}
    text = Equations.parse("  dv/dt=(E-v)/tau:mV   # a comment", **values)
    initial = {"v": values["v"]}
    traced = Equations.from_function(decay, initial, E=-65 * mV, tau=20 * ms)
    assert text == traced
    assert text.text == traced.text
