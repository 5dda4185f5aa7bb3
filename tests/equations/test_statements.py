from typing import Any

import pytest

from somaflow.equations.algebras import NumberAlgebra
from somaflow.equations.equations import Equations
from somaflow.equations.expression import evaluate, parse
from somaflow.errors import (
    EquationError,
    UnitError,
    UnknownNameError,
)
from somaflow.units import ms, mV

LIF = "dv/dt = (E - v)/tau : mV"


def read(text: str = LIF, **values: Any) -> Equations:
    return Equations.parse(text, **{"E": -65 * mV, "tau": 20 * ms, **values})


# Each slip: text, the error's kind, the number of the line shown, what stands from the caret on
# (nothing: the caret is behind the line), and words that help.
SLIPS: dict[str, tuple[str, type[EquationError], int, str, str]] = {
    "mV added to a number": (
        "dv/dt = (E - v + 3)/tau : mV",
        UnitError,
        1,
        "3)/tau",
        "mV added to a pure number",
    ),
    "exp of a voltage": (
        "dv/dt = E*exp(v)/tau : mV",
        UnitError,
        1,
        "v)/tau",
        "exp of mV: divide by a scale first",
    ),
    "right-hand side of the wrong unit": (
        "dv/dt = E - v : mV",
        UnitError,
        1,
        "E - v",
        "is mV, but dv/dt must be mV/ms. Divide by a time constant.",
    ),
    "definition of the wrong unit": (
        "dv/dt = I/tau : mV\nI = tau*2 : mV",
        UnitError,
        2,
        "tau*2",
        "is ms, but I must be mV",
    ),
    "no space before the wrong side": ("dv/dt=E:mV", UnitError, 1, "E:mV", "must be mV/ms"),
    "unknown name": (
        "dv/dt = (E - v)/taau : mV",
        UnknownNameError,
        1,
        "taau",
        "Did you mean 'tau'?",
    ),
    "unknown unit in an expression": (
        "dv/dt = E/(3*mss) : mV",
        UnknownNameError,
        1,
        "mss",
        "Did you mean 'ms'?",
    ),
    "unknown function": (
        "dv/dt = E*expp(1)/tau : mV",
        UnknownNameError,
        1,
        "expp(1)",
        "The functions are exp, expm1",
    ),
    "cycle": (
        "dv/dt = a/tau : mV\na = b + E : mV\nb = a - E : mV",
        EquationError,
        2,
        "a = b",
        "need each other: a -> b -> a",
    ),
    "cycle of one": (
        "dv/dt = a/tau : mV\n  a = a + E : mV",
        EquationError,
        2,
        "a = a",
        "need each other: a -> a",
    ),
    "assignment to a parameter": (
        "dv/dt = (E - v)/tau : mV\ntau = 3*ms : ms",
        EquationError,
        2,
        "tau = 3",
        "'tau' is a parameter (given as 20 ms)",
    ),
    "syntax slip": (
        "dv/dt = (E - v)/tau) : mV",
        EquationError,
        1,
        ") : mV",
        "this is not an expression",
    ),
    "call that is not allowed": (
        "dv/dt = np.exp(1)*E/tau : mV",
        EquationError,
        1,
        "np.exp",
        "'np.exp(1)' is not allowed in an equation",
    ),
    "dunder": (
        "dv/dt = __import__('os') : mV",
        UnknownNameError,
        1,
        "__import__",
        "a call of '__import__' is not allowed",
    ),
    "no statement": (
        "dv/dt = (E - v)/tau : mV\n  what is this",
        EquationError,
        2,
        "what is",
        "this is not a statement",
    ),
    "no unit": ("dv/dt = (E - v)/tau", EquationError, 1, "", "the unit is missing"),
    "unit that is none": ("dv/dt = (E - v)/tau : mVx", UnitError, 1, "mVx", "Did you mean 'mV'?"),
    "unit that is none, without a space": (
        "dv/dt = (E - v)/tau :mVx",
        UnitError,
        1,
        "mVx",
        "'mVx' is not a unit",
    ),
    "input with a unit that is none": (
        "dv/dt = I : mV\nI  :  mVx",
        UnitError,
        2,
        "mVx",
        "'mVx' is not a unit",
    ),
    "twice": ("dv/dt = E/tau : mV\nv = E : mV", EquationError, 2, "v = E", "'v' is defined twice"),
    "name of a function": (
        "dv/dt = E/tau : mV\nexp = E : mV",
        EquationError,
        2,
        "exp = E",
        "it is a function",
    ),
    "name of time": ("dv/dt = E/tau : mV\nt = E : mV", EquationError, 2, "t = E", "it is time"),
    "name of a unit": ("dv/dt = E/tau : mV\nmS : mV", EquationError, 2, "mS : mV", "it is a unit"),
    "comparison as a value": (
        "dv/dt = E/tau : mV\nx = v > E : 1",
        EquationError,
        2,
        "v > E",
        "write int(condition)",
    ),
    "comparison inside": (
        "dv/dt = E/tau*(v > E) : mV",
        EquationError,
        1,
        "v > E",
        "write int(condition)",
    ),
    "chained comparison": (
        "dv/dt = where(E < v < 2*E, E, v)/tau : mV",
        EquationError,
        1,
        "E < v",
        "write E < v and v < 2 * E",
    ),
    "assignment at a spike to a parameter": (
        "dv/dt = E/tau : mV\non spike: tau = 3*ms",
        EquationError,
        2,
        "tau = 3",
        "'tau' is a parameter; only states can be assigned to",
    ),
    "assignment at a spike to nothing": (
        "dv/dt = E/tau : mV\non spike: v += 1*mV; w += 1",
        EquationError,
        2,
        "w += 1",
        "'w' is not a state",
    ),
    "unit of an assignment": (
        "dv/dt = E/tau : mV\non spike: v = 3*ms",
        UnitError,
        2,
        "3*ms",
        "'v' is mV; it cannot become ms",
    ),
    "unit of an increment": (
        "dv/dt = E/tau : mV\non spike: v += 3",
        UnitError,
        2,
        "3",
        "mV added to a pure number",
    ),
    "no assignment": (
        "dv/dt = E/tau : mV\non spike: v",
        EquationError,
        2,
        "v",
        "an assignment has the form",
    ),
    "Greek letters": (
        "dv/dt = E/τ : mV\nτ = 2*ms + 3*ς : ms",
        UnknownNameError,
        2,
        "ς",
        "'ς' is not defined",
    ),
}


@pytest.mark.parametrize(("text", "kind", "number", "above", "words"), SLIPS.values(), ids=SLIPS)
def test_a_slip_is_shown_with_its_line_and_a_caret(
    text: str, kind: type[EquationError], number: int, above: str, words: str
) -> None:
    with pytest.raises(EquationError) as caught:
        read(text)
    assert type(caught.value) is kind
    message, line, caret = str(caught.value).split("\n")
    assert words in message
    assert line == f"  line {number}: {text.splitlines()[number - 1]}"
    assert caret.strip() == "^"
    assert line[caret.index("^") :].startswith(above) and (above or caret.index("^") == len(line))


def test_statements_are_read() -> None:
    text = """
    # a comment
    dg/dt = -g/tau : uS         # and another
    I = g*(u - E) : nA
    u = v_post : mV
    v_post : mV
    on spike: g += w; g = minimum(g, 2*w)
    """
    found = read(text, w="0.1 uS", g=0)
    assert list(found.states) == ["g"]
    assert list(found.definitions) == ["u", "I"]  # each after those that it needs
    assert found.inputs == {"v_post": "mV"}
    assert [item.expression for item in found.on_spike] == [
        parse("g + w"),
        parse("minimum(g, 2*w)"),
    ]
    assert found.states["g"].number == 3
    assert not found.pure_time


def test_dotted_names_are_names() -> None:
    found = Equations.parse("dna.m/dt = -na.m/na.tau : 1", **{"na.tau": 2 * ms, "na.m": 0.5})
    assert found.initial_values({}, "x") == {"na.m": 0.5}


def test_letters_that_python_takes_for_one_are_one_name() -> None:
    # U+03D5 and U+00B5, which a keyboard gives, and U+03C6 and U+03BC, which Python makes of them.
    text = "d\u03d5/dt = -\u03d5/\u00b5 : 1\n\u00b5 = 3*ms : ms\non spike: \u03d5 += 1"
    found = Equations.parse(text, **{"\u03c6": 1})
    assert list(found.states) == ["\u03c6"]
    assert list(found.definitions) == ["\u03bc"]
    assert found.on_spike[0].expression == parse("\u03c6 + 1")


def test_an_empty_text_is_refused() -> None:
    with pytest.raises(EquationError, match="no equations"):
        Equations.parse("# nothing\n")


WRITTEN = {
    "brackets": "dv/dt = (E\n         - v)/tau : mV",
    "an operator at the end": "dv/dt = (E - v)/\n  tau : mV",
    "an operator at the beginning": "dv/dt = E/tau  # inward\n\n  - v/tau\n  : mV",
    "a backslash": "dv/dt = (E - v) \\\n  /tau : mV",
    "the sign of equality": "dv/dt =\n  (E - v)/tau : mV",
}


@pytest.mark.parametrize("text", WRITTEN.values(), ids=WRITTEN)
def test_a_statement_may_go_on_in_the_next_line(text: str) -> None:
    one = Equations.parse("dv/dt = (E - v)/tau : mV", E=1 * mV, tau=2 * ms)
    other = Equations.parse(f"{text}\nw = v : mV", E=1 * mV, tau=2 * ms)
    assert list(other.definitions) == ["w"]
    values = {"v": 3.0, "E": 1.0, "tau": 2.0}
    slopes = [evaluate(made.states["v"].expression, NumberAlgebra(values)) for made in (one, other)]
    assert slopes[0] == slopes[1] == -1.0


def test_a_slip_in_a_statement_of_two_lines_is_shown_in_one() -> None:
    with pytest.raises(EquationError) as caught:
        Equations.parse("\ndv/dt = (E\n  - w)/tau : mV", E=1 * mV, tau=2 * ms)
    assert "line 2: dv/dt = (E - w)/tau : mV" in str(caught.value)


def test_a_bracket_that_stays_open_does_not_take_the_next_statement() -> None:
    with pytest.raises(EquationError) as caught:
        Equations.parse("dv/dt = (E - v/tau : mV\nw = v : mV", E=1 * mV, tau=2 * ms)
    assert "line 1: dv/dt = (E - v/tau : mV\n" in str(caught.value)
