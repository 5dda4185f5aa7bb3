from collections.abc import Callable
from typing import Any

import pytest

import somaflow as sf
from somaflow.errors import (
    MissingValueError,
    NetworkError,
    SomaflowError,
    UnitError,
    WrongTypeError,
)
from somaflow.units import cm, ms, mV, nF, uF

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
