import pytest
from hypothesis import given
from hypothesis import strategies as st

from somaflow.equations.expression import (
    FUNCTIONS,
    Binary,
    Call,
    Name,
    Negative,
    Node,
    Number,
    children,
    names,
    parse,
    render,
    substitute,
    typeset,
    walk,
)
from somaflow.errors import EquationError, UnknownNameError

numbers = st.floats(min_value=0, allow_nan=False, allow_infinity=False).map(Number)
leaves = numbers | st.sampled_from(["v", "m", "na.m", "tau_m", "mV", "t"]).map(Name)


def _grow(inner: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
    operators = st.sampled_from(["+", "-", "*", "/", "**"])
    plain = [name for name in FUNCTIONS if name != "where"]
    calls = st.sampled_from(plain).flatmap(
        lambda name: st.tuples(*[inner] * FUNCTIONS[name][0]).map(lambda a: Call(name, a))
    )
    conditions = st.builds(Binary, st.sampled_from(["<", "<=", ">", ">="]), inner, inner)
    choices = st.tuples(conditions, inner, inner).map(lambda a: Call("where", a))
    return st.builds(Binary, operators, inner, inner) | st.builds(Negative, inner) | calls | choices


trees = st.recursive(leaves, _grow, max_leaves=25)


@given(trees)
def test_what_is_rendered_is_read_back_to_an_equal_tree(tree: Node) -> None:
    assert parse(render(tree)) == tree


@given(trees, st.integers(0, 90))
def test_a_tree_has_the_columns_of_the_text_that_is_written_from_it(tree: Node, at: int) -> None:
    text, found = typeset(tree, at)
    read = parse(text, " " * at + text, at)
    assert text == render(tree)
    assert [(n, n.column) for n in walk(found)] == [(n, n.column) for n in walk(read)]


@given(trees, trees, st.sampled_from(["<", "<=", ">", ">="]))
def test_a_condition_is_read_back(left: Node, right: Node, operator: str) -> None:
    tree = Binary(operator, left, right)
    assert parse(render(tree)) == tree


@given(trees)
def test_a_walk_reaches_every_part(tree: Node) -> None:
    found = list(walk(tree))
    assert found[0] is tree
    assert len(found) == 1 + sum(len(list(walk(child))) for child in children(tree))


@given(trees)
def test_a_substitution_replaces_every_name(tree: Node) -> None:
    replaced = substitute(tree, {"v": Binary("+", Name("a"), Name("b"))})
    assert "v" not in names(replaced)
    assert names(replaced) - {"a", "b"} == names(tree) - {"v"}
    assert parse(render(replaced)) == replaced


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("a - b - c", Binary("-", Binary("-", Name("a"), Name("b")), Name("c"))),
        ("a - (b - c)", Binary("-", Name("a"), Binary("-", Name("b"), Name("c")))),
        ("-a**b", Negative(Binary("**", Name("a"), Name("b")))),
        ("(-a)**b", Binary("**", Negative(Name("a")), Name("b"))),
        ("a**b**c", Binary("**", Name("a"), Binary("**", Name("b"), Name("c")))),
        ("a**-b", Binary("**", Name("a"), Negative(Name("b")))),
        ("-a * b", Binary("*", Negative(Name("a")), Name("b"))),
        ("a / (b * c)", Binary("/", Name("a"), Binary("*", Name("b"), Name("c")))),
        ("na.m", Name("na.m")),
        ("2", Number(2.0)),
        ("1e-300", Number(1e-300)),
        ("rand() < p", Binary("<", Name("rand()"), Name("p"))),
        (
            "a < b and b < c or c < a",
            Binary(
                "or",
                Binary("and", Binary("<", Name("a"), Name("b")), Binary("<", Name("b"), Name("c"))),
                Binary("<", Name("c"), Name("a")),
            ),
        ),
        (
            "a < b and (b < c or c < a)",
            Binary(
                "and",
                Binary("<", Name("a"), Name("b")),
                Binary("or", Binary("<", Name("b"), Name("c")), Binary("<", Name("c"), Name("a"))),
            ),
        ),
        (
            "where(a < b, 1, 2)",
            Call("where", (Binary("<", Name("a"), Name("b")), Number(1.0), Number(2.0))),
        ),
    ],
)
def test_texts_have_the_tree_of_python(text: str, tree: Node) -> None:
    assert parse(text) == tree
    assert render(tree) == text


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("not a < b", "a >= b"),
        ("not a >= b", "a < b"),
        ("not (a <= b and c > d)", "a > b or c <= d"),
        ("not not a < b", "a < b"),
        ("where(not (a < b or c < d), a, b)", "where(a >= b and c >= d, a, b)"),
    ],
)
def test_not_is_taken_to_the_comparisons(text: str, plain: str) -> None:
    assert parse(text) == parse(plain)


@pytest.mark.parametrize(
    ("text", "words", "column"),
    [
        ("v and m > 1", "a condition is a comparison .*; 'v' is none", 0),
        ("v > 1 or not m", "'m' is none", 13),
        ("1 + (a < b and c < d)", "a comparison has no value here", 5),
        ("exp(not a < b)", "a comparison has no value here", 4),
        ("rand(1) < 2", "rand takes no argument", 0),
    ],
)
def test_conditions_that_are_none(text: str, words: str, column: int) -> None:
    with pytest.raises(EquationError, match=words) as caught:
        parse(text)
    assert str(caught.value).splitlines()[-1].index("^") - 2 == column


def test_a_plus_sign_says_nothing() -> None:
    assert parse("+a") == Name("a")


def test_columns_are_those_of_the_line() -> None:
    tree = parse(" a + b", "x = a + b", 3)
    assert isinstance(tree, Binary)
    assert (tree.left.column, tree.right.column) == (4, 8)


def test_columns_count_characters_not_bytes() -> None:
    tree = parse("τ + λ*b")
    assert isinstance(tree, Binary)
    assert tree.right.column == 4


REFUSED = {
    "attribute call": ("1 + np.exp(v)", 4),
    "lambda": ("1 + (lambda: 1)", 5),
    "text": ("v + 'x'", 4),
    "subscript": ("2*v[0]", 2),
    "chain": ("1 < v < 2", 0),
    "bitwise": ("a ^ b", 0),
    "floor": ("1 + a // b", 4),
    "equality": ("a == b", 0),
    "True": ("a*True", 2),
    "complex": ("2*1j", 2),
    "list": ("[a, b]", 0),
    "walrus": ("(a := 3)", 1),
    "keyword": ("a + exp(x=3)", 4),
    "star": ("exp(*a)", 4),
    "deep attribute": ("a.b.c", 0),
    "import": ("2*__import__('os')", 2),
}


@pytest.mark.parametrize(("text", "column"), REFUSED.values(), ids=REFUSED.keys())
def test_what_is_not_in_the_whitelist_is_refused_at_its_place(text: str, column: int) -> None:
    with pytest.raises(EquationError, match="is not allowed") as caught:
        parse(text)
    line, caret = str(caught.value).splitlines()[-2:]
    assert line == f"  {text}"
    assert caret.index("^") - 2 == column


@pytest.mark.parametrize(
    "text",
    [
        "1 + (a < b)",
        "-(a < b)",
        "exp(a < b)",
        "(a < b) < c",
        "where(a < b, a < b, 1)",
        "where(1 + (a < b), 1, 2)",
    ],
)
def test_a_comparison_is_no_number(text: str) -> None:
    with pytest.raises(EquationError, match="a comparison has no value here"):
        parse(text)


@pytest.mark.parametrize("text", ["", "a +", "a b", "(a", "a = b", "x²", "1..2", "\0", "a\nb"])
def test_a_syntax_slip_shows_the_line(text: str) -> None:
    with pytest.raises(EquationError, match="this is not an expression") as caught:
        parse(text)
    assert "^" in str(caught.value)
    assert "Powers are written x**2" in str(caught.value)


@pytest.mark.parametrize("text", ["1e999", "1" + "0" * 400])
def test_a_number_that_no_float_holds_is_refused(text: str) -> None:
    with pytest.raises(EquationError, match="too large"):
        parse(f"v + {text}")


@pytest.mark.parametrize(
    "text", ["(" * 5000 + "a" + ")" * 5000, "-" * 20000 + "a", "+".join("a" * 20000)]
)
def test_a_tree_too_deep_is_our_error(text: str) -> None:
    with pytest.raises(EquationError):
        parse(text)


@pytest.mark.parametrize("text", ["a if not b else c", "a if b else c", "int(b)"])
def test_a_number_is_no_condition(text: str) -> None:
    with pytest.raises(EquationError, match="'b' is none"):
        parse(text)


def test_an_unknown_function_leads_to_none_that_runs() -> None:
    with pytest.raises(UnknownNameError, match="The functions are exp, expm1") as caught:
        parse("1 + tahn(v)")
    assert "Did you mean" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "count"), [("exp()", 1), ("where(a < b, 1)", 3), ("abs(a, b)", 1)]
)
def test_the_wrong_number_of_arguments_is_told(text: str, count: int) -> None:
    with pytest.raises(EquationError, match=rf"takes {count} argument\(s\), not"):
        parse(text)
