from typing import Any

import numpy as np
import pytest

from somaflow import Equations
from somaflow.errors import UnitError
from somaflow.units import Mohm, mS, ms, mV, nA, nS, pF, um, volt

TEXT = "dv/dt = (E_L - v + R*I)/tau : mV"
GIVEN: dict[str, Any] = {"E_L": -65 * mV, "R": 10 * Mohm, "tau": 20 * ms, "I": 2 * nA}


@pytest.mark.parametrize(
    ("plain", "said"),
    [
        ({"E_L": [-80.0, -60.0]}, ["make it mV: give its unit, as in E_L=[-80., -60.]*mV"]),
        ({"E_L": -80.0}, ["as in E_L=-80.*mV"]),
        ({"E_L": np.zeros(9)}, ["as in E_L=...*mV"]),
        ({"tau": 20}, ["make it ms: give its unit, as in tau=20.*ms"]),
        ({"I": 2}, ["make it nA: give its unit, as in I=2.*nA"]),  # what mV is over Mohm
        ({"R": 10}, ["make it Mohm: give its unit, as in R=10.*Mohm"]),
        ({"E_L": -80, "tau": 20}, ["as in E_L=-80.*mV", "as in tau=20.*ms"]),
    ],
)
def test_a_plain_number_is_told_the_unit_that_the_equations_fix(
    plain: dict[str, Any], said: list[str]
) -> None:
    with pytest.raises(UnitError) as caught:
        Equations.parse(TEXT, **GIVEN | plain)
    for words in said:
        assert words in str(caught.value)
    assert str(caught.value).count("is a plain number") == len(plain)
    assert f"line 1: {TEXT}" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "values", "said"),
    [
        ("dv/dt = -r*v : mV", {"r": 0.1}, "as in r=0.1/ms"),
        ("dv/dt = -v*exp(-v/s)/ms : mV", {"s": 9}, "as in s=9.*mV"),
        ("dv/dt = -(v - b*v**2)/ms : mV", {"b": 2}, "as in b=2./mV"),
        ("dv/dt = minimum(v, top)/ms : mV", {"top": 2}, "as in top=2.*mV"),
        ("dv/dt = where(v > low, v, 2*v)/ms : mV", {"low": 2}, "as in low=2.*mV"),
        ("dv/dt = I/C : mV\nI = -g*v : nA", {"g": 10 * nS, "C": 200}, "in C=200.*nF"),
        ("dv/dt = sqrt(k)/ms : mV", {"k": 3}, "as in k=3.*mV**2"),
    ],
)
def test_the_unit_is_found_through_every_operation(
    text: str, values: dict[str, Any], said: str
) -> None:
    with pytest.raises(UnitError) as caught:
        Equations.parse(text, **values)
    assert said in str(caught.value)


def test_nothing_is_said_where_the_equations_do_not_fix_the_unit() -> None:
    for text, values in (
        (TEXT, GIVEN | {"R": 10, "I": 2}),  # only their product
        ("dv/dt = -v*ms : mV", {"k": 1}),  # wrong whatever k is
        ("dx/dt = (x + v)/ms : 1\ndv/dt = a*v/ms : mV", {"a": 1}),
    ):
        with pytest.raises(UnitError) as caught:
            Equations.parse(text, **values)
        assert "plain number, but" not in str(caught.value)
    assert Equations.parse("dx/dt = -a*x/tau : 1", a=2, tau=10).pure_time


def test_thresholds_resets_and_initial_values_tell_it_too() -> None:
    made = Equations.parse("dv/dt = -v/tau : mV", tau=10 * ms, V=-50)
    for check in (
        lambda: made.condition("v > V"),
        lambda: made.assignments("v = V"),
        lambda: made(v="V"),
    ):
        with pytest.raises(UnitError, match=r"as in V=-50\.\*mV"):
            check()
    with pytest.raises(UnitError, match=r"compared with a pure number. Write -50\*mV"):
        made.condition("v > -50")


@pytest.mark.parametrize(
    ("text", "values", "expected", "found"),
    [
        ("dv/dt = (E - v + I)/tau : mV", {"E": 1 * mV, "I": 1 * nA, "tau": 1 * ms}, "mV", "nA"),
        ("dv/dt = g*v : mV", {"g": 10 * nS}, "mV/ms", "pA"),
        ("dv/dt = g*v : volt", {"g": 1 * mS}, "volt/ms", "mA"),
        ("dv/dt = I/C : mV\nI = g*v*v : nA", {"g": 1 * nS, "C": 1 * pF}, "nA", "mV*pA"),
        ("dv/dt = v*x/ms : mV\nx = v/d : 1", {"d": 3 * um}, "a pure number", "mV/um"),
        ("dv/dt = v**2/tau : mV", {"tau": 1 * ms}, "mV/ms", "mV**2/ms"),
        ("dv/dt = v**2/tau : volt", {"tau": 1 * ms}, "volt/ms", "volt**2/ms"),
        ("dv/dt = v + E/ms : volt", {"E": 1 * volt}, "volt/ms", "volt"),
    ],
)
def test_units_are_named_in_the_users_prefix(
    text: str, values: dict[str, Any], expected: str, found: str
) -> None:
    with pytest.raises(UnitError) as caught:
        Equations.parse(text, **values)
    first = str(caught.value).splitlines()[0].replace(",", " ").replace(".", " ").split()
    for unit in (expected, found):
        assert unit.split()[0] in first, str(caught.value)
    assert "[" not in str(caught.value).splitlines()[0]
