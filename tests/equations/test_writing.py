from collections.abc import Callable

import pytest

from somaflow.equations.equations import Equations, from_draft, starts
from somaflow.equations.expression import (
    Binary,
    Name,
    Negative,
    Node,
    Number,
    parse,
    substitute,
    walk,
)
from somaflow.equations.writing import Draft
from somaflow.errors import SomaflowError
from somaflow.units import ms, mV, parameter

VALUES = {"E": parameter(1 * mV, None, "E")}


def draft(name: str = "na.x", expression: Node | None = None, unit: str = "mV") -> Draft:
    made = Draft()
    made.declare("v", "mV")
    made.define(name, expression or parse("(v - E)*2"), unit)
    slope = substitute(parse("-(1 + m)**2/ms - here/(mV*ms)"), {"here": Name(name)})
    made.derive("m", slope, "1")
    return made


def described(equations: Equations) -> list[object]:
    """Return all that messages may say of equations."""
    found: list[object] = [equations.text, equations.source, repr(equations), starts(equations)]
    for variable in (*equations.states.values(), *equations.definitions.values()):
        columns = [(type(node), node.column) for node in walk(variable.expression)]
        found += [variable.name, variable.unit, variable.line, variable.number, columns]
    return found


@pytest.mark.parametrize("name", ["na.x", "x", "\u03c4", "_"])
def test_a_draft_is_what_its_text_is(name: str) -> None:
    made = draft(name)
    start = made.start("m", parse("E/(2*mV)"))
    assert {*made.trees} == {name, "m"}
    read = Equations(made.text, dict(VALUES), {"m": start})
    assert described(from_draft(made, VALUES, {"m": start})) == described(read)


def long(parts: int) -> Node:
    tree: Node = Name("v")
    for _ in range(parts):
        tree = Binary("+", tree, Name("v"))
    return tree


@pytest.mark.parametrize(
    "build",
    [
        lambda: draft("lambda"),
        lambda: draft("a-b"),
        lambda: draft("a.b.c"),
        lambda: draft(expression=Name("v.a.b")),
        lambda: draft(expression=Name("None")),
        lambda: draft(expression=long(510)),
        lambda: draft(expression=Name("v" * 20_001)),
        lambda: draft(unit="ms"),
        lambda: draft(expression=Binary("+", Negative(Name("v")), Number(1.0))),
    ],
)
def test_what_a_draft_says_wrongly_is_said_as_of_its_text(build: Callable[[], Draft]) -> None:
    made = build()
    with pytest.raises(SomaflowError) as error:
        from_draft(made, VALUES, {})
    with pytest.raises(SomaflowError) as other:
        Equations(made.text, dict(VALUES), {})
    assert type(error.value) is type(other.value)
    assert str(error.value) == str(other.value)


@pytest.mark.parametrize(
    ("made", "known"),
    [
        (draft(expression=long(490)), {"m"}),  # near the bound of what is nested too deeply
        (draft("\ufb01.x"), set()),  # a ligature, which Python reads as two letters
    ],
)
def test_what_is_not_sure_to_be_read_so_is_read(made: Draft, known: set[str]) -> None:
    assert {*made.trees} == known
    read = Equations(made.text, dict(VALUES), {})
    assert described(from_draft(made, VALUES, {})) == described(read)


def test_an_initial_value_that_fits_nothing_shows_its_text() -> None:
    made = draft()
    start = made.start("m", parse("3*E"))
    with pytest.raises(SomaflowError, match=r"initial value of 'm' is mV, not 1\.\n +3 \* E"):
        from_draft(made, VALUES, {"m": start})


def test_other_values_read_nothing_again(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "dx/dt = (2*E - x)/tau : mV\ndy/dt = -y/ms : mV"
    equations = Equations.parse(text, tau=1 * ms, E=0 * mV, x="2*E", y="E")
    values = {**equations.parameters, **VALUES}
    read = Equations(equations.source, values, {"x": "2*E", "y": 3})
    monkeypatch.setattr("somaflow.equations.equations.parse", None)
    changed = equations(E=1 * mV, y=3)
    assert changed == read
    assert described(changed) == described(read)
    assert changed.initial_values({}, "here") == read.initial_values({}, "here") == {"x": 2, "y": 3}
    assert equations.initial_values({}, "here") == {"x": 0, "y": 0}
