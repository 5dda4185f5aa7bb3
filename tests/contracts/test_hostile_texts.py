"""Input from anywhere gets an answer: whatever a text holds, and wherever it is given.

A text is read, or refused by an error of our own. Where neither happens, a test here hangs.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import somaflow as sf
from somaflow import units
from somaflow.cli.durations import milliseconds
from somaflow.description import load, save, to_json
from somaflow.difference import diff
from somaflow.equations.affine import inlined
from somaflow.errors import (
    EquationError,
    MechanismError,
    SomaflowError,
    StoreError,
    UnitError,
    nearest,
)
from somaflow.network.network import load_network
from somaflow.network.pairs import OfPair
from somaflow.notation import DEEPEST, LONGEST
from somaflow.units import mV

LONG = "m" * 100_000
CELL = sf.Equations.parse("dv/dt = -v/ms : mV", v=0)

UNITS = {
    "tower": "9**9**9**9",
    "tower on a unit": "mV**9**9**9",
    "tower of twos": "m**2**2**2**2**2",
    "tower in parentheses": "2*mV**(9**9**9)",
    "towers nested": "(((m**99)**99)**99)**99",
    "towers of fractions": "((m**(1/1e-300))**(1/1e-300))**(1/1e-300)",
    "circumflexes": "mV^9^9^9^9",
    "superscripts": "mV⁹⁹⁹⁹⁹⁹⁹⁹⁹⁹",
    "large exponent": "mV**101",
    "exponent that is infinite": "mV**1e999",
    "exponent of many digits": "mV**" + "9" * 5000,
    "exponent that is none": "mV**mV",
    "exponent by zero": "mV**(1/0)",
    "large number": "1e999999999*mV",
    "number to a power": "10**1000000",
    "factor": "2*mV",
    "many letters": LONG,
    "many spaces": "m" + " " * 100_000 + "x",
    "many products": "*".join(["mV"] * 50_000),
    "more parentheses": "(" * 50_000 + "mV",
    "many signs": "+" * 50_000 + "mV",
    "too large": "Ym**60",
    "too small": "ym**60",
    "light": "candela",
    "light per area": "lumen/m**2",
    "light in a product": "mV*cd/cd**2",
    "printing": "pixel",
    "logarithmic": "dB",
    "logarithmic in a product": "mV*dBW",
    "logarithmic power": "decibelmilliwatt**2",
    "octave": "octave/ms",
    "offset": "degC",
    "flag": "mV" + " (" * 50_000,
    "call": "mV(ms)",
    "attribute": "mV.real",
    "index": "mV[0]",
    "code": "__import__('os').abort()",
    "lambda": "(lambda: mV)()",
    "text": "'mV'",
    "null": "mV\0",
    "not a number": "nan",
}
DOUBTFUL = {"bits": "bit", "bytes": "byte", "counts": "count/second", "radians": "radian"}
DOUBTFUL |= {"many parentheses": "(" * 90 + "mV" + ")" * 90, "lines": "mV\n*ms"}
EXPRESSIONS = {
    "many letters": LONG,
    "deep": "(" * 5000 + "x" + ")" * 5000,
    "deep calls": "exp(" * 170 + "x" + ")" * 170,
    "long sum": "+".join("x" * 20_000),
    "sum as deep as it is read": "+".join("x" * DEEPEST),
    "signs": "-" * 20_000 + "x",
    "wide": "+".join(["(" + "+".join("x" * 100) + ")"] * 5000),
    "longest": "+".join(["(" + "+".join("x" * 100) + ")"] * (LONGEST // 203)),
    "wide characters": "+".join(["(" + "+".join("µ" * 100) + ")"] * (LONGEST // 203)),
    "conditions": "where(" + " and ".join(["x < 1"] * 5000) + ", x, x)",
    "refused within what is deep": "[" + "+".join("x" * 400) + "]",
    "many arguments": "exp(" + ", ".join("x" * 10_000) + ")",
    "tower": "x*9**9**9**9",
    "tower of units": "x*mV**9**9**9",
    "large power of a unit": "x*mV**1e300/mV**1e300",
    "infinite power of a unit": "x*(mV**1e200)**1e200/(mV**1e200)**1e200",
    "power of a power": "x*(mV**99)**99/(mV**99)**99",
    "large number": "1e999999999",
    "folded": "10**1000000",
    "many digits": "9" * 10_000,
    "spaces": " " * 100_000 + "x",
    "code": "__import__('os').abort()",
    "text": "'x'*10**10",
}


def as_any(value: Any) -> Any:
    """Return a value that is given against the annotations."""
    return value


def answered(call: Callable[[], Any]) -> Any:
    """Return what a call returns, or the error of ours that it raises."""
    try:
        return call()
    except SomaflowError as error:
        return error


def mechanism(tmp_path: Path, **changes: str) -> Callable[[], Any]:
    """Return what loads a model file with some of its texts replaced."""
    texts = {"equations": "I = g : nA", "g": "1 nA", "initial": ""} | changes
    path = tmp_path / "hostile.toml"
    # JSON's texts are also TOML's, but for what only TOML forbids.
    path.write_text(
        f'kind = "channel"\ntitle = "x"\nreference = "x"\n'
        f"equations = {json.dumps(texts['equations'])}\n"
        f"[parameters]\ng = {json.dumps(texts['g'])}\n{texts['initial']}\n"
        '[[check]]\nat = {}\nexpect = {I = 1}\nsource = "x"\n'
    )
    return lambda: sf.load(str(path))


def quoted(text: str) -> str:
    """Return a text as JSON has it between quotes."""
    return json.dumps(text)[1:-1]


def saved(tmp_path: Path, old: str, new: str) -> Callable[[], Any]:
    """Return what loads a saved description in which a text was replaced."""
    path = tmp_path / "hostile.npz"
    save(CELL, path)
    with np.load(path) as archive:
        contents = dict(archive)
    text = str(contents["description"])
    assert old in text
    contents["description"] = np.array(text.replace(old, new))
    np.savez(path, **contents)
    return lambda: load(path)


UNIT_PLACES: dict[str, Callable[[str, Path], Any]] = {
    "parse_unit": lambda text, _: units.parse_unit(text),
    "factor": lambda text, _: units.factor(text),
    "dimensions": lambda text, _: units.dimensions(text),
    "canonical text": lambda text, _: units.canonical_text(text),
    "value": lambda text, _: units.parameter(f"1 {text}", None, "g"),
    "value in a unit": lambda text, _: units.parameter(f"1 {text}", "mV", "g"),
    "declared unit": lambda text, _: units.parameter(1, text, "g"),
    "definition": lambda text, _: sf.Equations.parse(f"x = 1 : {text}"),
    "state": lambda text, _: sf.Equations.parse(f"dx/dt = 0/ms : {text}"),
    "input": lambda text, _: sf.Equations.parse(f"I : {text}\nx = 1 : 1"),
    "parameter of equations": lambda text, _: sf.Equations.parse("x = 1 : 1", g=f"1 {text}"),
    "new value": lambda text, _: CELL(v=f"1 {text}"),
    "name in an expression": lambda text, _: sf.Equations.parse(f"x = 1*({text}) : 1"),
    "delay": lambda text, _: units.scalar(f"1 {text}", "ms", "delay"),
    "duration": lambda text, _: milliseconds(f"1{text}", "--duration"),
    "file, equations": lambda text, tmp: mechanism(tmp, equations=f"I = g : {text}")(),
    "file, parameter": lambda text, tmp: mechanism(tmp, g=f"1 {text}")(),
    "saved equations": lambda text, tmp: saved(tmp, ": mV", f": {quoted(text)}")(),
    "saved parameter": lambda text, tmp: saved(tmp, '"unit": "mV', f'"unit": "{quoted(text)}')(),
}
# Text that is read in another way, where more than units may stand.
WIDER = {"name in an expression", "duration", "saved parameter"}


@pytest.mark.parametrize("text", UNITS.values(), ids=UNITS.keys())
@pytest.mark.parametrize("place", UNIT_PLACES.values(), ids=UNIT_PLACES.keys())
def test_a_text_that_is_no_unit_is_refused_wherever_it_stands(
    text: str, place: Callable[[str, Path], Any], tmp_path: Path
) -> None:
    if place in [UNIT_PLACES[name] for name in WIDER]:
        answered(lambda: place(text, tmp_path))
        return
    with pytest.raises(SomaflowError) as caught:
        place(text, tmp_path)
    assert len(str(caught.value)) < 5000


@pytest.mark.parametrize("text", DOUBTFUL.values(), ids=DOUBTFUL.keys())
@pytest.mark.parametrize("place", UNIT_PLACES.values(), ids=UNIT_PLACES.keys())
def test_a_doubtful_unit_is_read_or_refused(
    text: str, place: Callable[[str, Path], Any], tmp_path: Path
) -> None:
    answered(lambda: place(text, tmp_path))


@pytest.mark.parametrize("name", ["candela", "lumen", "bit", "count", "pixel", "degC", "dB"])
@pytest.mark.parametrize("unit", [None, "mV", "1"])
def test_a_quantity_of_a_foreign_unit_is_read_or_refused(name: str, unit: str | None) -> None:
    held = answered(lambda: units.parameter(units.Quantity(1.0, name), unit, "g"))
    assert isinstance(held, (units.Parameter, SomaflowError))


def test_a_unit_that_cannot_be_computed_with_says_why() -> None:
    for text, said in {
        "candela": r"'candela' is a unit of \[luminosity\]; units here are of mass, length",
        "mV*dB": "is not a unit",
        "ym**60": "too large or too small",
        "mV**101": "an exponent is above 100",
        "mV**(2**3)": "an exponent in a unit is one number",
        LONG: "it has 100,000 characters, and at most 200 are read",
    }.items():
        with pytest.raises(UnitError, match=said):
            units.parse_unit(text)


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("mS cm^-2", "mS/cm**2"), ("mS/cm²", "mS/cm**2"), ("mV per second", "mV/second"),
        ("ms**(1/2)", "ms**0.5"), ("(mV*ms)/(cm)", "mV*ms/cm"), ("mV**-1", "1/mV"),
        ("1/in", "in**-1"), ("1 / as", "as**-1"), ("µm", "um"), ("Ω", "ohm"),
        ("mV*mV", "mV**2"), ("mV/mV*ms", "ms"), ("second per second", "1"),
    ],
)  # fmt: skip
def test_units_may_be_written_as_people_write_them(text: str, same: str) -> None:
    assert units.parse_unit(text) == units.parse_unit(same)


EXPRESSION_PLACES: dict[str, Callable[[str, Path], Any]] = {
    "derivative": lambda text, _: sf.Equations.parse(f"dx/dt = ({text})/ms : 1"),
    "definition": lambda text, _: sf.Equations.parse(f"x = 0 : 1\ny = {text} : 1"),
    "initial value": lambda text, _: sf.Equations.parse("dx/dt = 0/ms : 1", x=text),
    "initial value, read": lambda text, _: sf.Equations.parse(
        "dx/dt = 0/ms : 1\ndy/dt = 0/ms : 1", x=text, y=1
    ).initial_values({}, "x"),
    "spike": lambda text, _: sf.Equations.parse(f"dx/dt = 0/ms : 1\non spike: x += {text}"),
    "threshold": lambda text, _: sf.Population("c", 1, CELL, threshold=text),
    "reset": lambda text, _: sf.Population("c", 1, CELL, threshold="v > 0*mV", reset=f"v = {text}"),
    "pair": lambda text, _: OfPair(text.replace("x", "d")),
    "probability": lambda text, _: sf.FixedProbability(as_any(text), seed=1),
    "value": lambda text, _: units.parameter(text, "mV", "g"),
    "name of a state": lambda text, _: CELL.unit(text),
    "name of a parameter": lambda text, _: CELL(**{text: 1}),
    "name of a mechanism": lambda text, _: sf.load(text),
    "line": lambda text, _: sf.Equations.parse(text),
    "duration": lambda text, _: milliseconds(text, "--duration"),
    "file": lambda text, tmp: mechanism(tmp, equations=f"I = {text} : nA")(),
    "saved equations": lambda text, tmp: saved(tmp, "v / ms", quoted(text))(),
}


@pytest.mark.parametrize("text", EXPRESSIONS.values(), ids=EXPRESSIONS.keys())
@pytest.mark.parametrize("place", EXPRESSION_PLACES.values(), ids=EXPRESSION_PLACES.keys())
def test_an_expression_is_read_or_refused_wherever_it_stands(
    text: str, place: Callable[[str, Path], Any], tmp_path: Path
) -> None:
    found = answered(lambda: place(text, tmp_path))
    if isinstance(found, SomaflowError):
        assert len(str(found)) < 5000


def chain(length: int, last: str = "1", step: str = "{} + 1") -> str:
    """Write definitions, each of which needs the one below it."""
    lines = [f"a{k} = {step.format(f'a{k + 1}')} : 1" for k in range(length - 1)]
    return "\n".join(["dx/dt = (a0 - x)/ms : 1", *lines, f"a{length - 1} = {last} : 1"])


def test_a_long_chain_of_definitions_is_read() -> None:
    model = sf.Equations.parse(chain(1500), x="a0")
    assert next(iter(model.definitions)) == "a1499"
    assert model.initial_values({}, "x")["x"] == 1500


def test_a_long_chain_of_definitions_is_solved() -> None:
    found = sf.solve(sf.Equations.parse(chain(300), x=300), t1=1 * units.ms, dt=0.5 * units.ms)
    assert np.all(found["x"] == 300)


def test_a_long_circle_of_definitions_is_refused_in_few_words() -> None:
    with pytest.raises(EquationError, match=r"need each other: a0 -> a1 -> .* -> a0\.") as caught:
        sf.Equations.parse(chain(1500, "a0"))
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(
    "text",
    [
        chain(10_000),
        chain(100_000),
        "\n".join(f"a{k} = {k} : 1" for k in range(10_000)),
        "\n".join(f"a{k} : 1" for k in range(10_000)),
        "dx/dt = 0/ms : 1\n" + "on spike: x += 1\n" * 10_000,
        "dx/dt = 0/ms : 1\n" + "#\n" * 1_000_000,
    ],
    ids=["chain", "longer chain", "definitions", "inputs", "spikes", "comments"],
)
def test_too_many_statements_are_refused(text: str) -> None:
    with pytest.raises(EquationError, match=r"statements|characters"):
        sf.Equations.parse(text)


def test_advice_on_many_parameters_is_left_out() -> None:
    count = 1500
    lines = ["dx/dt = x : 1", *(f"a{k} = p{k}*mV : mV" for k in range(count))]
    with pytest.raises(UnitError, match="Divide by a time constant"):
        sf.Equations.parse("\n".join(lines), **{f"p{k}": 1 for k in range(count)})


def test_definitions_that_double_are_not_written_out() -> None:
    model = sf.Equations.parse(chain(60, "x", "{0} + {0}"))
    with pytest.raises(EquationError, match="when the definitions that it needs are written out"):
        inlined(model.states["x"].expression, model.definitions, set())
    noisy = sf.Equations.parse(chain(60, "xi*ms**0.5", "{0} + {0}"))
    with pytest.raises(EquationError, match="when the definitions that it needs are written out"):
        noisy.drift_and_diffusion("x")
    text = chain(60, "v_pre/mV", "{0} + {0}") + "\nI = w*a0*x : nA\nv_pre : mV"
    synapse = sf.Equations.parse(text, w=1 * units.nA, x=0)
    cells = sf.Population("c", 2, CELL)
    found = answered(lambda: sf.Projection(cells[:], cells[:], synapse, weight="w"))
    assert isinstance(found, SomaflowError)


@pytest.mark.parametrize("text", ["10**1000000", "1/0", "exp(1e300)", "(0 - 8)**0.5"])
def test_what_is_folded_to_no_number_is_refused(text: str) -> None:
    model = sf.Equations.parse(f"dx/dt = {text}/ms : 1", x=0)
    with pytest.raises(SomaflowError):
        sf.solve(model, t1=1 * units.ms, dt=0.5 * units.ms)


TOML = {
    "nested arrays": "a = " + "[" * 5000,
    "nested tables": "a = " + "{a = " * 5000,
    "dotted key": "a." * 50_000 + "a = 1",
    "dotted table": "[" + "a." * 50_000 + "a]",
    "quoted key": '"a b".' * 10_000 + "a = 1",
    "digits": "a = " + "9" * 50_000,
    "large": "# " + "x" * 10_000_000,
    "bytes": "a = '\udcff'",
}


@pytest.mark.parametrize("text", TOML.values(), ids=TOML.keys())
def test_a_file_that_is_no_model_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "hostile.toml"
    path.write_text(text, encoding="utf-8", errors="surrogateescape")
    with pytest.raises(MechanismError):
        sf.load(str(path))


JSON = {
    "nested": "[" * 100_000,
    "nested objects": '{"format": 1, "root": ' + '{"$dict": [["a", ' * 400 + "1",
    "nested and closed": '{"format": 1, "root": ' + "[" * 600 + "]" * 600 + "}",
    "digits": '{"format": 1, "root": ' + "9" * 50_000 + "}",
    "hexadecimal": '{"format": 1, "root": {"$float": "0x1p99999999999"}}',
    "array": '{"format": 1, "root": {"$array": 5}}',
    "class": '{"format": 1, "root": {"$class": "os.system", "x": 1}}',
    "same": '{"format": 1, "root": {"$same": 0}}',
    "number": "1",
}


@pytest.mark.parametrize("text", JSON.values(), ids=JSON.keys())
def test_a_saved_text_that_is_no_description_is_refused(text: str, tmp_path: Path) -> None:
    np.savez(tmp_path / "hostile.npz", description=np.array(text))
    found = answered(lambda: load(tmp_path / "hostile.npz"))
    assert isinstance(found, (StoreError, tuple))
    stored = {"attributes": {"description": to_json(CELL) | {"text": text}}}
    (tmp_path / "zarr.json").write_text(json.dumps(stored))
    with pytest.raises(SomaflowError):
        load_network(tmp_path)


def test_stored_leaves_are_never_run() -> None:
    mine = {"a": "'one\\ntwo'", "b": "1"}
    for text in ("'x\\n' + 1", "'x\\n'" + "+('x'" * 5000, "'x\\n"):
        assert diff(mine, {"a": text, "b": "1"})


@pytest.mark.parametrize(
    "text", ["1" * 60_000 + " 1", "1" + " " * 60_000 + "1", "1e999s", "9" * 60]
)
def test_a_duration_that_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(SomaflowError) as caught:
        milliseconds(text, "--duration")
    assert len(str(caught.value)) < 500


def test_a_name_that_is_far_too_long_has_none_near() -> None:
    assert nearest(LONG, ["mV"]) == " Known: mV."
    assert "mm..." in nearest("x" * 100_000, [LONG])
    assert nearest("volts", [*(f"n{k}" * 20 for k in range(20_000)), "volt"]).startswith(" ")


def test_a_long_line_is_shown_around_its_caret() -> None:
    with pytest.raises(SomaflowError) as caught:
        sf.Equations.parse("x = " + "1 + " * 200 + "nothing + " + "1 + " * 200 + "1 : mV")
    line, caret = str(caught.value).splitlines()[-2:]
    assert line[caret.index("^") :].startswith("nothing")
    assert len(line) < 200
    assert mV == units.parse_unit("mV")
