import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import somaflow as sf
from somaflow import units
from somaflow.equations.algebras import (
    NumberAlgebra,
    Symbol,
    UnitAlgebra,
    as_node,
    exprel,
    literal,
)
from somaflow.equations.expression import Name, Negative, Number, evaluate, parse
from somaflow.errors import TraceError, UnitError


def _series(x: float) -> float:
    """(exp(x) - 1)/x, the whole sum in exact fractions."""
    exact, term, total = Fraction(x), Fraction(1), Fraction(1)
    for k in range(2, 60):
        term = term * exact / k
        total += term
    return float(total)


@given(st.floats(-2, 2))
def test_exprel_agrees_with_its_series_in_fractions(x: float) -> None:
    assert float(exprel(x)) == pytest.approx(_series(x), rel=4e-16, abs=0)


def test_exprel_is_one_at_zero_and_finite_around_it() -> None:
    assert float(exprel(0.0)) == 1
    assert float(exprel(-0.0)) == 1
    values = exprel(np.array([-700.0, -1e-300, 5e-324, 0.25, 700.0]))
    assert np.all(np.isfinite(values))


def test_exprel_joins_where_its_form_changes() -> None:
    for edge in (-0.25, 0.25):
        inside, outside = exprel(np.nextafter(edge, 0)), exprel(edge)
        assert float(inside) == pytest.approx(float(outside), rel=1e-15, abs=0)


NUMBERS = {
    "2*3 - 4/8": 5.5,
    "2**-1": 0.5,
    "exp(1)": math.e,
    "expm1(1e-20)": 1e-20,
    "log(exp(2))": 2.0,
    "sin(0) + cos(0)": 1.0,
    "tanh(0.5)": math.tanh(0.5),
    "sigmoid(1)": 1 / (1 + math.exp(-1)),
    "sqrt(9)": 3.0,
    "abs(-2)": 2.0,
    "minimum(1, 2)": 1.0,
    "maximum(1, 2)": 2.0,
    "where(1 < 2, 3, 4)": 3.0,
    "where(1 > 2, 3, 4)": 4.0,
    "pulse(3)": 0.0,
    "x + volt": 1001.0,
}


@pytest.mark.parametrize(("text", "value"), NUMBERS.items(), ids=NUMBERS.keys())
def test_numbers(text: str, value: float) -> None:
    found = evaluate(parse(text), NumberAlgebra({"x": 1.0}))
    assert float(found) == pytest.approx(value, rel=1e-15)


def test_literals() -> None:
    assert literal(parse("-(1 + 1)/4")) == -0.5
    assert literal(parse("v")) is None
    assert literal(parse("exp(1)")) is None


@pytest.mark.parametrize("text", ["1/0", "2**100000", "(-8)**(1/3)"])
def test_a_literal_without_a_value_has_none(text: str) -> None:
    assert literal(parse(text)) is None


TABLE = {name: units.dimensions(unit) for name, unit in
         {"v": "mV", "tau": "ms", "g": "mS/cm**2", "m": "1", "t": "ms"}.items()}  # fmt: skip
HAVE_UNITS = {
    "v/tau": "mV/ms",
    "g*v": "uA/cm**2",
    "v**2": "mV**2",
    "v**-1": "1/mV",
    "v**(1/2)**2": "mV**0.25",
    "sqrt(v*v)": "mV",
    "m**tau**0": "1",
    "exp(v/mV)": "1",
    "abs(v)": "mV",
    "minimum(v, 3*mV)": "mV",
    "where(v < 0*mV, v, -v)": "mV",
    "pulse(tau)": "1",
    "v > 3*mV": "1",
    "10*mV": "mV",
    "1/t": "1/ms",
}


@pytest.mark.parametrize(("text", "unit"), HAVE_UNITS.items(), ids=HAVE_UNITS.keys())
def test_units_of_expressions(text: str, unit: str) -> None:
    if "m**tau" in text:
        text = "m**(tau/tau)"
    assert evaluate(parse(text), UnitAlgebra(TABLE, text)) == units.dimensions(unit)


MISFITS = {
    "v + 1": ("mV added to a pure number", 4),
    "1 + v": ("a pure number added to mV", 4),
    "v - tau": ("mV and ms are subtracted", 4),
    "v < tau": ("mV compared with ms", 4),
    "2*exp(v)": ("exp of mV: divide by a scale first", 6),
    "2*pulse(v)": ("pulse of mV: give a duration", 8),
    "m**v": ("an exponent must be a pure number, not mV", 3),
    "v**m": ("the exponent of mV must be a literal number", 3),
    "v**(1/0)": ("the exponent of mV must be a literal number", 4),
    "maximum(v, tau)": ("maximum of mV and ms", 11),
    "where(v < 1*mV, v, tau)": ("where of mV and ms", 19),
    "1 + where(m, v, v)": ("needs a comparison first", 4),
}


@pytest.mark.parametrize(("text", "expected"), MISFITS.items(), ids=MISFITS.keys())
def test_units_that_do_not_fit_fail_at_their_place(text: str, expected: tuple[str, int]) -> None:
    with pytest.raises(UnitError) as caught:
        evaluate(parse(text), UnitAlgebra(TABLE, text))
    message, line, caret = str(caught.value).splitlines()
    assert expected[0] in message
    assert line == f"  {text}"
    assert caret.index("^") - 2 == expected[1]


X = Symbol(Name("x"))
TRACED = {
    "x + 1": lambda: X + 1,
    "1 + x": lambda: 1 + X,
    "x - 2": lambda: X - 2,
    "2 - x": lambda: 2 - X,
    "x * x": lambda: X * X,
    "3 * x": lambda: np.float32(3) * X,
    "x / 3": lambda: X / np.int64(3),
    "3 / x": lambda: 3 / X,
    "x**2": lambda: X**2,
    "2**x": lambda: 2**X,
    "-x": lambda: -X,
    "abs(x)": lambda: abs(X),
    "where(x < 1, x, 0)": lambda: sf.math.where(X < 1, X, 0),
    "where(x > 1, x, 0)": lambda: sf.math.where(1 < X, X, 0),  # noqa: SIM300
    "where(x <= 1, x, 0)": lambda: sf.math.where(X <= 1, X, 0),
    "where(x >= 1, x, 0)": lambda: sf.math.where(X >= 1, X, 0),
    "x + -1": lambda: X + -1,
}


@pytest.mark.parametrize(("text", "trace"), TRACED.items(), ids=TRACED.keys())
def test_symbols_record_what_is_done_with_them(text: str, trace: object) -> None:
    assert as_node(trace()) == parse(text)  # type: ignore[operator]


def test_quantities_are_traced_with_their_unit() -> None:
    assert as_node(3 * units.mV) == parse("3*mV")
    assert as_node(X * (3 * units.mV)) == parse("x*(3*mV)")


def test_zeros_keep_their_sign() -> None:
    assert as_node(-0.0) == Negative(Number(0.0))


UNTRACEABLE = {
    "if": lambda: 1 if X > 0 else 2,
    "and": lambda: X > 0 and X < 1,
    "==": lambda: X == 1,
    "!=": lambda: X != 1,
    "float": lambda: float(X),
    "math": lambda: math.exp(X),  # type: ignore[arg-type]
    "array": lambda: as_node(np.zeros(3)),
    "bool": lambda: X + True,
    "nan": lambda: X + math.nan,
    "inf": lambda: X * math.inf,
    "object": lambda: as_node(object()),
    "a unit without a name": lambda: as_node(3 * units.mV**2),
    "array of quantities": lambda: as_node([1, 2] * units.mV),
}


@pytest.mark.parametrize("trace", UNTRACEABLE.values(), ids=UNTRACEABLE.keys())
def test_what_cannot_be_traced_says_so(trace: object) -> None:
    with pytest.raises(TraceError):
        trace()  # type: ignore[operator]
