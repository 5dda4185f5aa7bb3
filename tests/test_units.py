from typing import Any

import numpy as np
import pint
import pytest
from hypothesis import given
from hypothesis import strategies as st

from somaflow import units
from somaflow.errors import MissingValueError, SomaflowError, UnitError, WrongTypeError
from somaflow.units import Parameter, parameter

PREFIXES = {"G": 9, "M": 6, "k": 3, "": 0, "m": -3, "u": -6, "n": -9, "p": -12}
# The power of ten of one unprefixed unit in the coherent system ms, mV, uA, cm, mM.
BASES = {"second": 3, "volt": 3, "ampere": 6, "siemens": 3, "farad": 6, "ohm": -3, "meter": 2}


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("base", BASES)
def test_factors_of_powers_of_ten_are_exact(prefix: str, base: str) -> None:
    exponent = PREFIXES[prefix] + BASES[base]
    assert units.factor(prefix + base) == float(f"1e{exponent}")


@pytest.mark.parametrize(
    ("unit", "factor"),
    [
        ("mV", 1), ("ms", 1), ("uA", 1), ("cm", 1), ("mS", 1), ("uF", 1), ("kohm", 1),
        ("mS/cm**2", 1), ("uF/cm**2", 1), ("uA/cm**2", 1), ("nS", 1e-6), ("nA", 1e-3),
        ("nA/mV", 1e-3), ("1/second", 1e-3), ("kHz", 1), ("Hz", 1e-3), ("1", 1),
        ("S/m**2", 0.1), ("F/m**2", 100), ("uM", 1e-3), ("mM", 1), ("mM*cm**2/ms/uA", 1),
        ("kelvin", 1), ("coulomb", 1e9),
    ],
)  # fmt: skip
def test_the_system_is_coherent(unit: str, factor: float) -> None:
    assert units.factor(unit) == factor


@given(st.sampled_from(sorted(units.NAMES)), st.sampled_from(sorted(units.NAMES)))
def test_the_factor_of_a_product_is_the_product(a: str, b: str) -> None:
    product = units.factor(a) * units.factor(b)
    assert units.factor(f"{a}*{b}") == pytest.approx(product, rel=1e-14, abs=0)
    assert units.factor(f"{a}/{b}") == pytest.approx(
        units.factor(a) / units.factor(b), rel=1e-14, abs=0
    )


@pytest.mark.parametrize("name", sorted(units.NAMES))
def test_the_text_of_a_unit_is_read_back(name: str) -> None:
    unit = units.NAMES[name]
    text = units.unit_text(unit**2 / units.mV)
    assert units.parse_unit(text) == unit**2 / units.mV


@pytest.mark.parametrize("text", ["mVV", "3*mV", "mV + mV", "-mV", "__import__('os')", "mV mV)"])
def test_what_is_no_unit_is_refused(text: str) -> None:
    with pytest.raises(UnitError, match="is not a unit"):
        units.parse_unit(text)


def test_a_misspelt_unit_gets_the_nearest() -> None:
    with pytest.raises(UnitError, match="Did you mean 'mV'"):
        units.parse_unit("mVx")


@pytest.mark.parametrize("text", ["degC", "degF", "dB"])
def test_units_with_a_zero_of_their_own_are_refused(text: str) -> None:
    with pytest.raises(UnitError, match="zero of its own"):
        units.parse_unit(text)
    with pytest.raises(UnitError, match="zero of its own"):
        parameter(f"6.3 {text}", None, "T")


def test_values_are_held_in_the_coherent_system() -> None:
    assert parameter(2 * units.second, "ms", "tau").value == 2000
    assert parameter("2 second", None, "tau").value == 2000
    assert parameter(-0.065 * units.volt, "mV", "v").value == -65
    assert parameter(2 * units.second, None, "tau").unit == "s"
    assert str(parameter(2 * units.second, None, "tau")) == "2 s"


def test_a_plain_number_means_the_declared_unit() -> None:
    assert parameter(3, "second", "tau").value == 3000
    assert parameter(3, None, "x").unit == "1"


def test_a_bare_unit_is_one_of_it() -> None:
    assert parameter(units.second, "ms", "tau").value == 1000


def test_a_quantity_of_another_registry_is_understood() -> None:
    other = pint.UnitRegistry()
    assert parameter(3 * other.volt, "mV", "v").value == 3000


def test_held_values_cannot_be_changed() -> None:
    held = parameter([1.0, 2.0] * units.mV, None, "v")
    with pytest.raises(ValueError, match="read-only"):
        held.value[0] = 3
    source = np.array([1.0, 2.0])
    held = parameter(source, "mV", "v")
    source[0] = 9
    assert held.value[0] == 1


@given(
    st.floats(allow_nan=False, allow_infinity=False, width=32),
    st.sampled_from(["s", "uV", "S/m**2", "ms", "uM"]),
)
def test_a_held_value_passes_through_again_to_the_bit(value: float, unit: str) -> None:
    first = parameter(value, unit, "x")
    again = parameter(first, first.unit, "x")
    assert again.value.tobytes() == first.value.tobytes()
    assert again.unit == unit


def test_a_held_value_keeps_its_magnitude_under_another_unit() -> None:
    held = parameter(0.0035 * units.second, None, "t")
    other = parameter(held, "ms", "t")
    assert (other.value, other.unit) == (held.value, "ms")


def test_the_wrong_dimension_names_both_units_and_the_place() -> None:
    with pytest.raises(UnitError, match=r"'v' of PN is in mV, not ms. Give a quantity in mV"):
        parameter(3 * units.ms, "mV", "v", "PN")
    with pytest.raises(UnitError):
        parameter(parameter(3 * units.ms, None, "v"), "mV", "v")


WRONG: dict[str, tuple[Any, type[SomaflowError]]] = {
    "object": (object(), WrongTypeError),
    "None": (None, WrongTypeError),
    "True": (True, WrongTypeError),
    "array of bool": (np.array([True]), WrongTypeError),
    "complex": (np.array([1 + 1j]), WrongTypeError),
    "ragged": ([1, [2, 3]], WrongTypeError),
    "list of quantities": ([1 * units.mV, 2 * units.volt], WrongTypeError),
    "texts": (["1", "2"], WrongTypeError),
    "dict": ({}, WrongTypeError),
    "text": ("abc", UnitError),
    "text with a wrong unit": ("3 mVV", UnitError),
    "nan": (float("nan"), MissingValueError),
    "inf": (float("inf") * units.mV, MissingValueError),
    "nan in an array": ([1.0, float("nan")], MissingValueError),
}


@pytest.mark.parametrize(("value", "kind"), WRONG.values(), ids=WRONG.keys())
def test_what_is_no_number_is_refused(value: Any, kind: type[SomaflowError]) -> None:
    with pytest.raises(kind, match="'v'"):
        parameter(value, "mV", "v")


def test_the_place_of_a_nan_is_named() -> None:
    with pytest.raises(MissingValueError, match=r"is nan at index \[1, 0\]"):
        parameter([[1, 2], [np.nan, 3]], "mV", "v")


def test_scalar_wants_one_number() -> None:
    assert units.scalar(1 * units.second, "ms", "t") == 1000
    with pytest.raises(WrongTypeError, match="not an array"):
        units.scalar([1, 2], "ms", "t")
    with pytest.raises(MissingValueError, match="greater than 0"):
        units.scalar(0, "ms", "t", positive=True)


def test_arrays_print_by_shape() -> None:
    assert str(Parameter(np.zeros((2, 3)), "mV")) == "array of shape (2, 3) mV"


def test_a_parameter_is_shown_in_its_unit() -> None:
    made = units.parameter([1, 2] * units.Mohm, None, "R")
    assert repr(made) == "[1., 2.] Mohm"
    assert made.value.tolist() == [1e3, 2e3]  # in kohm
    assert made.quantity.units == units.Mohm
    assert made.quantity.magnitude.tolist() == [1, 2]
    assert repr(units.parameter(3 * units.nS, "uS", "g")) == "0.003 uS"
    assert repr(units.parameter(3, None, "n")) == "3"


@pytest.mark.parametrize("text", ["2*ms", " 2 * ms "])
def test_a_product_as_text_is_told_how_it_is_written(text: str) -> None:
    with pytest.raises(UnitError, match=r"write '2 ms', or .*ms without quotes"):
        units.parameter(text, "ms", "refractory", "P")


def test_a_unit_is_named_in_the_size_that_was_written() -> None:
    def of(text: str) -> str:
        computed = units.dimensions(text) ** 2 * units.dimensions(text) ** -1
        assert computed.text is None
        return units.named(computed)

    for text in ("nS", "pA", "volt", "mV/ms", "um", "pF", "1/ms", "nA/cm**2", "mM", "mV**2"):
        assert of(text) == text
    assert of("uA*mV**2") == "mV**2*uA"
    assert units.named(units.dimensions("1") * units.dimensions("fS")) == "fS"
