from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import somaflow as sf
from somaflow.equations.affine import (
    ONE,
    ZERO,
    AffineAlgebra,
    affine_in,
    affine_parts,
    chord_in,
    inlined,
    not_affine,
    not_affine_components,
)
from somaflow.equations.algebras import NumberAlgebra
from somaflow.equations.equations import Equations
from somaflow.equations.expression import Call, Name, Node, evaluate, names, parse, render
from somaflow.errors import EquationError, UnknownNameError

numbers = st.floats(-100, 100).filter(lambda x: abs(x) > 1e-3)
AFFINE = ["3", "y", "-y", "a*y + b", "(b - y)/a", "a*(1 - y) - b*y", "y*a/b - (y - exp(a/100))",
          "2*(y + 3*(a - y))", "where(a < b, a, b)*y", "-(a - b*y)/2", "y**1", "(a*y + b)**1.0",
          "where(a < b, a*y + 1, b)", "where(a < 0, b - y, 2*y)", "where(a < 0, y, 2*y) + 1",
          "0*y", "1*y + 0*a", "0 - y"]  # fmt: skip


def value(node: Node, **table: Any) -> float:
    return float(evaluate(node, NumberAlgebra(table)))


@given(st.sampled_from(AFFINE), numbers, numbers, numbers)
def test_the_affine_form_has_the_value_of_the_expression(
    text: str, y: float, a: float, b: float
) -> None:
    tree, table = parse(text), {"y": y, "a": a, "b": b}
    slope, offset = evaluate(tree, AffineAlgebra("y"))
    assert "y" not in names(slope) | names(offset)
    parts = [value(part, **table) for part in (slope, offset)]
    scale = abs(parts[0] * y) + abs(parts[1]) + 1e-9
    assert parts[0] * y + parts[1] == pytest.approx(value(tree, **table), abs=1e-11 * scale)


NOT_AFFINE = {
    "y*y": "y * y",
    "1 + y**2": "y**2",
    "y**a": "y**a",
    "y**0.5": "y**0.5",
    "2**y": "2**y",
    "1/y": "1 / y",
    "a + exp(y)*b": "exp(y)",
    "where(y < a, y, 1)": "y < a",
    "where(y < a, 1, 2)": "y < a",
    "a/(1 + y)": "a / (1 + y)",
    "y/(1 + y)": "y / (1 + y)",
    "abs(y)": "abs(y)",
    "minimum(a, y)": "minimum(a, y)",
    "where(a < b, y*y, y)": "y * y",
}


@pytest.mark.parametrize(("text", "part"), NOT_AFFINE.items(), ids=NOT_AFFINE.keys())
def test_what_is_not_affine_is_told(text: str, part: str) -> None:
    with pytest.raises(EquationError) as caught:
        evaluate(parse(text), AffineAlgebra("y"))
    assert str(caught.value) == f"{part} is not affine in y."


def test_a_traced_condition_need_not_be_a_comparison() -> None:
    tree = Call("where", (Name("y"), Name("a"), Name("b")))
    with pytest.raises(EquationError, match=r"where\(y, a, b\) is not affine in y"):
        evaluate(tree, AffineAlgebra("y"))


def test_a_long_part_is_cut() -> None:
    with pytest.raises(EquationError) as caught:
        evaluate(parse(f"exp({' + '.join(['y'] * 100)})"), AffineAlgebra("y"))
    assert str(caught.value).endswith("... is not affine in y.")
    assert len(str(caught.value)) < 120


TEXT = """
dv/dt = (g*m*(E - v) + rest)/C : 1
rest = shift + drive : 1
shift = 3*v : 1
drive = exp(E)*m : 1
unused = exp(m) : 1
dm/dt = m_inf*(1 - m) - m*v : 1
m_inf = exp(v) : 1
du/dt = product + 1 : 1
product = left*u : 1
left = 1 + u : 1
"""
MODEL = Equations.parse(TEXT, g=2.0, E=0.3, C=4.0)


def test_definitions_are_written_out_where_they_depend_on_the_state() -> None:
    slope, offset = affine_parts(MODEL, "v")
    assert names(slope) | names(offset) == {"g", "m", "C", "E", "drive"}
    assert value(slope, g=2, m=0.5, C=4, E=0.3, drive=7) == pytest.approx((3 - 1) / 4)
    assert value(offset, g=2, m=0.5, C=4, E=0.3, drive=7) == pytest.approx((0.3 + 7) / 4)
    slope, offset = affine_parts(MODEL, "m")
    assert (render(slope), render(offset)) == ("m_inf * -1 - v", "m_inf")


def test_a_derivative_that_is_not_affine_shows_the_line_of_the_definition() -> None:
    with pytest.raises(EquationError) as caught:
        affine_parts(MODEL, "u")
    message, line, caret = str(caught.value).split("\n")
    assert message == "du/dt is not affine in u, because of left * u."
    assert line == "  line 10: product = left*u : 1"
    assert line[caret.index("^") :].startswith("left*u")
    assert list(not_affine(MODEL)) == ["u"]
    assert not_affine(MODEL)["u"] == str(caught.value)


def test_an_unknown_state() -> None:
    with pytest.raises(UnknownNameError, match=r"no state 'vv'. Did you mean 'v'"):
        affine_parts(MODEL, "vv")


def test_inputs_may_depend_on_the_state() -> None:
    model = Equations.parse("dv/dt = -v + I : 1\ndw/dt = -w*I : 1\nI : 1")
    assert render(affine_parts(model, "v")[1]) == "I"
    slope, offset = affine_parts(model, "v", {"I": (Name("c"), Name("d"))})
    assert (value(slope, c=3), value(offset, d=5)) == (2, 5)
    with pytest.raises(EquationError, match=r"because of -w \* I"):
        affine_parts(model, "w", {"I": (Name("c"), Name("d"))})


def test_of_a_noisy_derivative_it_is_the_drift() -> None:
    text = "dx/dt = (m - x)/tau + kick + x*kick : 1\nkick = sigma*xi_x : 1\nm = exp(tau) : 1"
    slope, offset = affine_parts(Equations.parse(text, tau=2.0, sigma=3.0), "x")
    assert names(slope) | names(offset) == {"tau", "m"}
    assert (value(slope, tau=2), value(offset, tau=2, m=3)) == (-0.5, 1.5)


def test_the_adaptive_exponential_neuron() -> None:
    text = """
    dv/dt = (g*(E - v) + upstroke - w)/C : 1
    upstroke = g*D*exp((v - V)/D) : 1
    dw/dt = (a*(v - E) - w)/tau : 1
    """
    model = Equations.parse(text, g=1.0, E=-1.0, D=1.0, V=1.0, C=1.0, a=1.0, tau=1.0)
    found = not_affine(model)
    assert list(found) == ["v"]
    first, line, _ = found["v"].split("\n")
    assert first == "dv/dt is not affine in v, because of exp((v - V) / D)."
    assert "upstroke = " in line


def doubling(first: str) -> Equations:
    lines = [f"d0 = {first} : 1", *(f"d{k + 1} = d{k} + d{k} : 1" for k in range(60))]
    return Equations.parse("\n".join(["dv/dt = d60 - v : 1", "du/dt = -u : 1", *lines]))


def test_definitions_that_use_each_other_twice_cost_no_more_than_once() -> None:
    slope, offset = affine_parts(doubling("u"), "v")
    assert (render(slope), render(offset)) == ("-1", "d60")
    assert affine_parts(doubling("v"), "v")[1] == ZERO
    assert list(not_affine(doubling("exp(v)"))) == ["v"]


def test_a_form_in_any_name() -> None:
    found = affine_in("drive", MODEL.states["v"], MODEL.definitions)
    assert value(found[0], C=4) == 0.25
    assert affine_in("v", MODEL.definitions["shift"], MODEL.definitions)[1] == ZERO
    assert affine_in("E", MODEL.states["m"], MODEL.definitions)[0] == ZERO
    assert affine_in("m", MODEL.definitions["left"], {}, {"u": (ONE, ZERO)}) == (ONE, parse("1"))


def test_components_that_are_not_affine() -> None:
    trees = [parse(text) for text in ("s*(y - x)", "x*(r - z) - y*y", "x*y - exp(b)*z")]
    found = not_affine_components(trees, ["x", "y", "z"])
    assert found == {"y": "dy/dt is not affine in y, because of y * y."}
    with pytest.raises(ValueError, match="zip"):
        not_affine_components(trees, ["x"])


def test_inlined_writes_out_all_but_what_is_kept() -> None:
    model = sf.Equations.parse("x = y*2 : 1\ny = -z : 1\nz = exp(p) : 1", p=1.0)
    tree = parse("x + where(p < y, x, 1)")
    found = inlined(tree, model.definitions, {"z"})
    assert found == parse("(-z)*2 + where(p < -z, (-z)*2, 1)")
    assert names(inlined(tree, model.definitions, set())) == {"p"}
    assert inlined(tree, {}, set()) == tree


@pytest.mark.parametrize(
    ("text", "slope", "exact"),
    [
        ("G*(y - E)", 2.0, True),
        ("a - G*y", -2.0, True),
        ("G*B*(y - E)", 2 * 0.25, False),
        ("G*(y - E)/(1 + y)", 2 / 4, False),
        ("where(y > E, G*(y - E), 0)", 2.0, False),
        ("G*y**2*(y - E)", 2 * 9, False),
        ("G*exp(y)", 0.0, False),
        ("a", 0.0, True),
    ],
)
def test_the_chord_takes_what_is_not_affine_at_the_present_value(
    text: str, slope: float, exact: bool
) -> None:
    equations = sf.Equations.parse(
        "dy/dt = 0 : 1\nB = 1/(1 + y) : 1\nI = a : 1", a=5.0, y=3.0
    )  # fmt: skip
    found, straight = chord_in("y", parse(text), equations.definitions)
    table = {"y": 3.0, "G": 2.0, "E": 1.0, "a": 5.0, "B": 0.25}
    assert (value(found, **table), straight) == (slope, exact)
