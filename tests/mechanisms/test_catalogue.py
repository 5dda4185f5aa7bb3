import copy
import shutil
import tomllib
from pathlib import Path
from typing import Any

import pytest

import somaflow as sf
from somaflow.equations.equations import Equations
from somaflow.errors import (
    EquationError,
    MechanismError,
    MissingValueError,
    SomaflowError,
    UnitError,
    UnknownMechanismError,
    UnknownNameError,
)
from somaflow.mechanisms import catalogue as module
from somaflow.mechanisms.catalogue import checks, from_data, value_at
from somaflow.units import mS, mV

LEAK = Path(module.__file__).parent / "channels" / "leak.toml"


def data(**changes: Any) -> dict[str, Any]:
    """What leak.toml says, with some keys replaced, or left out where the value is None."""
    found = copy.deepcopy(tomllib.loads(LEAK.read_text())) | changes
    return {key: value for key, value in found.items() if value is not None}


def test_the_file_itself_is_accepted() -> None:
    assert from_data(data(), "leak") == sf.load("leak")


@pytest.mark.parametrize("key", ["title", "reference", "equations", "parameters", "check"])
def test_a_missing_key_is_refused(key: str) -> None:
    with pytest.raises(MechanismError, match=f"leak: the file lacks {key}"):
        from_data(data(**{key: None}), "leak")


def test_a_missing_kind_is_refused() -> None:
    with pytest.raises(MechanismError, match="kind is None; it must be one of channel, synapse"):
        from_data(data(kind=None), "leak")


CHECK = {"at": {"v": 0}, "expect": {"I": 1}, "source": "by hand"}
BROKEN: dict[str, tuple[dict[str, Any], str]] = {
    "unknown key": ({"referense": "x"}, "unknown key 'referense'. Did you mean 'reference'"),
    "key of another kind": ({"reset": "v = 3*mV"}, "unknown key 'reset'"),
    "unknown kind": ({"kind": "chanel"}, "kind is 'chanel'"),
    "kind that is no text": ({"kind": ["channel"]}, "kind is"),
    "number without a unit": ({"parameters": {"g": 0.3}}, "parameter 'g' is 0.3; write its unit"),
    "text without a unit": ({"parameters": {"g": "0.3"}}, "parameter 'g' is '0.3'; write its unit"),
    "empty reference": ({"reference": "  "}, "the reference is '  '"),
    "reference that is no text": ({"reference": 3}, "the reference is 3"),
    "equations that are no text": ({"equations": 3}, "the equations is 3"),
    "parameters that are no table": ({"parameters": 3}, "parameters must be a table"),
    "initial that is no table": ({"initial": 3}, "initial must be a table"),
    "no check": ({"check": []}, "lacks a .*check"),
    "check that is no list": ({"check": {"at": {}}}, "lacks a .*check"),
    "check that is no table": ({"check": [3]}, "check 1 has the keys"),
    "check of nothing": ({"check": [CHECK, CHECK | {"expect": {}}]}, "check 2 has the keys"),
    "check without a source": ({"check": [{"at": {}, "expect": {"I": 1}}]}, "it needs at, expect"),
    "check with another key": ({"check": [CHECK | {"tol": 1}]}, "'tol'"),
    "synapse without a weight": ({"kind": "synapse"}, "weight is None; it must name a parameter"),
    "synapse with a wrong weight": (
        {"kind": "synapse", "weight": "w"},
        "weight is 'w'; it must name a parameter or a state",
    ),
}


@pytest.mark.parametrize(("changes", "words"), BROKEN.values(), ids=BROKEN)
def test_a_broken_file_is_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(MechanismError, match=words):
        from_data(data(**changes), "leak")


@pytest.mark.parametrize(
    ("changes", "kind", "words"),
    [
        ({"parameters": {"g": "1 mVV", "E": "1 mV"}}, UnitError, "mVV"),
        ({"equations": "v : mV\nI = g*v"}, EquationError, "the unit is missing"),
        ({"equations": "v : mV\nI = gg*v : nA"}, UnknownNameError, "leak: 'gg' is not defined"),
        ({"initial": {"q": 0}}, UnknownNameError, "no state 'q'"),
    ],
)
def test_a_slip_in_a_file_names_the_mechanism(
    changes: dict[str, Any], kind: type[SomaflowError], words: str
) -> None:
    with pytest.raises(kind, match=words) as caught:
        from_data(data(**changes), "leak")
    assert "leak" in str(caught.value)


@pytest.mark.parametrize("wrong", [None, object(), []])
def test_what_is_no_table_is_refused(wrong: Any) -> None:
    with pytest.raises(MechanismError):
        from_data(wrong, "leak")


def test_an_own_file_is_read_anew_each_time(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    shutil.copy(LEAK, path)
    assert sf.load(str(path)).name == "mine"
    path.write_text(path.read_text().replace("0.3 mS", "0.4 mS"))
    assert sf.load(str(path)).equations.parameters["g"].value == 0.4
    assert checks(str(path))[0]["found"] == pytest.approx(-4.28)


@pytest.mark.parametrize("text", ["a = ", "a = 1\na = 2", b"\xff\xfe"])
def test_a_file_that_is_no_toml_is_our_error(text: str | bytes, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(MechanismError, match=r"cannot read .*mine\.toml"):
        sf.load(str(path))
    with pytest.raises(MechanismError, match=r"cannot read .*gone\.toml"):
        sf.load(str(tmp_path / "gone.toml"))


def test_unknown_names_get_the_nearest() -> None:
    with pytest.raises(UnknownMechanismError, match=r"no channel 'leek'.*Did you mean 'leak'"):
        _ = sf.catalogue("channels").leek
    with pytest.raises(UnknownMechanismError, match=r"no mechanism 'leek'.*Did you mean 'leak'"):
        sf.load("leek")
    with pytest.raises(UnknownNameError, match=r"no catalogue of 'chanels'.*'channels'"):
        sf.catalogue("chanels")


def test_the_catalogue_lists_and_completes() -> None:
    channels = sf.catalogue("channels")
    assert list(channels) == dir(channels)
    assert {"leak", "ka", "ka_psst2022", "na_traub1991"} <= set(channels)
    assert not hasattr(channels, "__wrapped__")
    assert not hasattr(channels, "gaba_a")


def test_calling_sets_parameters_and_leaves_the_catalogue_alone() -> None:
    leak = sf.load("leak")
    other = leak(g=0.15, E=-0.055 * sf.units.volt)
    assert repr(other) == "leak(E=-55 mV, g=0.15 mS/cm**2)"
    assert repr(sf.load("leak")) == "leak(E=-54.3 mV, g=0.3 mS/cm**2)"
    assert other.reference == leak.reference


@pytest.mark.parametrize(
    ("values", "kind", "words"),
    [
        ({"gg": 3}, UnknownNameError, "channel 'leak': there is no parameter 'gg'"),
        ({"g": 3 * mV}, UnitError, r"channel 'leak': 'g' is in mS/cm\*\*2, not mV"),
        ({"g": 3 * mS}, UnitError, "channel 'leak'"),
        ({"E": float("nan")}, MissingValueError, "channel 'leak': 'E' is nan"),
    ],
)
def test_a_wrong_parameter_names_the_mechanism(
    values: dict[str, Any], kind: type[SomaflowError], words: str
) -> None:
    with pytest.raises(kind, match=words):
        sf.load("leak")(**values)


def test_value_at() -> None:
    found = Equations.parse(
        "dx/dt = y/(2*ms) : 1\ny = x + z : 1\nz : 1\nu = q : 1\nq : 1\ndw/dt = q/ms : 1", x="y/2"
    )
    assert value_at(found, "dx/dt", {"x": 1.0, "z": 3.0}) == 2
    assert value_at(found, "y", {"x": 1.0, "z": 3.0}) == 4
    assert value_at(found, "x", {"x": 1.0, "z": 3.0}) == 2
    with pytest.raises(MissingValueError, match="'u' needs the value of u"):
        value_at(found, "u", {"x": 1.0})
    with pytest.raises(MissingValueError, match="state 'w'"):
        value_at(found, "w", {})
    for name, at in (("no", {}), ("dno/dt", {}), ("y", {"no": 1.0})):
        with pytest.raises(UnknownNameError, match="the equations have no 'no'"):
            value_at(found, name, at)


def test_value_at_a_spike() -> None:
    """Assignments are made in the order written, and later ones see earlier ones."""
    found = Equations.parse(
        "dx/dt = -x/(2*ms) : 1\ndw/dt = 0/ms : 1\nv_post : mV\ny = x + 1 : 1\nz : 1\n"
        "on spike: x += 1; w = y*2; v_post += w*mV\non post spike: w += x; x = z",
        x=0,
        w=0,
    )
    at = {"x": 3.0, "w": 5.0, "v_post": -60.0}
    assert value_at(found, "x after spike", at) == 4
    assert value_at(found, "w after spike", at) == 10
    assert value_at(found, "v_post after spike", at) == -50
    assert value_at(found, "y after spike", at) == 5
    assert value_at(found, "w after post spike", at) == 8
    assert value_at(found, "w after spike", {"x": 0.0}) == 4
    with pytest.raises(MissingValueError, match="needs the value of w"):
        value_at(found, "w after post spike", {"x": 3.0})
    with pytest.raises(MissingValueError, match="needs the value of w"):
        value_at(found, "w after post spike", {"w": 3.0})
    with pytest.raises(MissingValueError, match="needs the value of x"):
        value_at(found, "x after post spike", {"w": 3.0})
    with pytest.raises(UnknownNameError, match="the equations have no 'no'"):
        value_at(found, "no after spike", at)


def test_a_plastic_weight_is_a_state() -> None:
    assert sf.load("stdp_pair_nearest").details["weight"] == "w"
    assert "w" in sf.load("stdp_pair_nearest").equations.states
