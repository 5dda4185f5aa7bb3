import ast
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

import somaflow as sf
from somaflow.equations import expression
from somaflow.errors import (
    MissingValueError,
    NetworkError,
    SomaflowError,
    UnitError,
    UnknownNameError,
    WrongTypeError,
)
from somaflow.mechanisms import catalogue
from somaflow.units import cm, mS, ms, mV, nF, uF

C = 1 * uF / cm**2
CHANNELS = sf.catalogue("channels")
SYNAPSES = sf.catalogue("synapses")


def test_a_neuron_is_its_membrane_and_mechanisms() -> None:
    neuron = sf.Neuron(
        C,
        na=CHANNELS.na_traub1991,
        ca=CHANNELS.ca,
        cb=CHANNELS.ca(g=1.0),
        kca=CHANNELS.kca,
        pool=sf.load("ca_decay"),
    )
    found = neuron.equations
    assert list(found.states) == [
        "v",
        "na.m",
        "na.h",
        "ca.m",
        "ca.h",
        "cb.m",
        "cb.h",
        "kca.m",
        "pool.Ca",
    ]
    assert found.inputs == {"I_stim": "uA/cm**2"}
    total = "(I_stim - na.I - ca.I - cb.I - kca.I)/C"
    assert (
        found.states["v"].expression
        == sf.Equations.parse(
            f"dx/dt = {total}/ms : 1",
            **dict.fromkeys(["I_stim", "na.I", "ca.I", "cb.I", "kca.I", "C"], 1),
        )
        .states["x"]
        .expression.left
    )  # type: ignore[attr-defined]
    assert "ca.I + cb.I" in found.text
    assert "pool.Ca" in found.text
    assert found.parameters["cb.g"].value == 1


@pytest.mark.parametrize(
    ("build", "kind", "words"),
    [
        (lambda: sf.Neuron(1 * mV), WrongTypeError, "C is in mV; it must be in uF/cm"),
        (lambda: sf.Neuron(0 * uF / cm**2), MissingValueError, "C is 0 .*greater than 0"),
        (lambda: sf.Neuron(C, v=3 * ms), UnitError, "'v' of Neuron is in mV, not ms"),
        (lambda: sf.Neuron(1 * nF, leak=CHANNELS.leak), UnitError, "and"),
        (lambda: sf.Neuron(C, syn=SYNAPSES.nach), WrongTypeError, "takes a channel or a pool"),
        (lambda: sf.Neuron(C, mechanisms=3), WrongTypeError, "takes a channel or a pool"),
        (lambda: sf.Neuron(C, kca=CHANNELS.kca), NetworkError, "'kca' reads 'Ca', but none"),
        (
            lambda: sf.Neuron(C, pool=sf.load("ca_decay")),
            NetworkError,
            "no channel .* carries 'ca'",
        ),
        (
            lambda: sf.Neuron(
                C, ca=CHANNELS.ca, kca=CHANNELS.kca, a=sf.load("ca_decay"), b=sf.load("ca_decay")
            ),
            NetworkError,
            "a and b provide it",
        ),
    ],
)
def test_a_neuron_that_does_not_fit(
    build: Callable[[], Any], kind: type[SomaflowError], words: str
) -> None:
    with pytest.raises(kind, match=words):
        build()


def test_other_values_make_the_neuron_that_one_would_write() -> None:
    def neuron(capacitance: object, v: object, g: object, m: object) -> sf.Neuron:
        leak = CHANNELS.leak(g=0.1 * mS / cm**2)
        return sf.Neuron(capacitance, v, na=CHANNELS.na_traub1991(g=g, m=m), leak=leak)

    first = neuron(C, -65 * mV, 100.0, 0.5)
    drawn = sf.Uniform(80 * mS / cm**2, 90 * mS / cm**2)
    new = first(C=2 * C, v=-60, **{"na.g": drawn, "na.m": 0.25})
    expected = neuron(2 * C, -60 * mV, drawn, 0.25)
    assert new == expected
    assert new.equations == expected.equations
    assert first == neuron(C, -65 * mV, 100.0, 0.5)
    assert sf.Population("a", 3, new).equations == sf.Population("a", 3, expected).equations


@pytest.mark.parametrize(
    ("values", "error", "words"),
    [
        ({"na.G": 1}, UnknownNameError, "no parameter 'na.G'"),
        ({"na.g": 1 * mV}, UnitError, "'na.g' is in mS"),
        ({"C": 0}, MissingValueError, "C is 0"),
        ({"na": 1}, UnknownNameError, "no parameter 'na'"),
    ],
)
def test_other_values_that_do_not_fit(
    values: dict[str, Any], error: type[SomaflowError], words: str
) -> None:
    with pytest.raises(error, match=words):
        sf.Neuron(C, na=CHANNELS.na_traub1991)(**values)


def test_the_text_of_a_channel_is_parsed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other values, other names and many neurons take the trees that were made of it."""
    parsed: Counter[str] = Counter()
    tree = expression.tree

    def counted(text: str) -> ast.expr:
        parsed[text] += 1
        return tree(text)

    monkeypatch.setattr(expression, "tree", counted)
    catalogue._catalogued.cache_clear()
    expression._parsed.cache_clear()
    names = ["na_traub1991", "k_traub1991", "ka", "ca", "kca"]
    channels = {name: getattr(CHANNELS, name) for name in names}
    pool = sf.load("ca_decay")
    expected: Counter[str] = Counter()
    for name in (*names, "ca_decay"):
        data = catalogue.read(catalogue._path(name))
        lines = [line.partition("#")[0] for line in data["equations"].splitlines()]
        sides = [line.partition("=")[2].rpartition(":")[0].strip() for line in lines]
        expected.update([side for side in sides if side])
        expected.update(text for text in data["initial"].values() if isinstance(text, str))
    assert parsed.keys() == expected.keys() and parsed <= expected
    once = parsed.copy()
    for g in (1, 2):
        others = {name: channel(g=g) for name, channel in channels.items()}
        neuron = sf.Neuron(C, **others, pool=pool(tau=100 * ms))
        assert neuron.equations(v=-50 * mV).initial_values({}, "here")["v"] == -50
    assert parsed == once
