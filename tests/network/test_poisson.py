"""Poisson inputs as descriptions: what they are, and what they refuse."""

import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import somaflow as sf
from somaflow.description import from_json, to_json
from somaflow.errors import NetworkError, SomaflowError, UnitError, WrongTypeError
from somaflow.units import Hz, kHz, ms, mV, nA, nS, uS

SYN = sf.catalogue("synapses")
LIF = sf.Population("lif", 5, sf.load("lif"))


def background(**given: Any) -> sf.PoissonInput:
    arguments = {"post": LIF, "synapse": SYN.exponential_current, "rate": 8 * Hz, "n": 1000}
    return sf.PoissonInput(**arguments | given)


def test_an_input_has_a_name_a_weight_and_a_total_rate() -> None:
    made = background()
    assert made.name == "lif_input"
    assert made.weight == SYN.exponential_current.equations.parameters["i"]
    assert made.highest == pytest.approx(8.0)
    assert background(rate=sf.Ramp(0 * Hz, 2 * kHz, 0, 9), n=[1, 2, 3, 0, 1]).highest == 6.0


@pytest.mark.parametrize(
    ("given", "kind", "words"),
    [
        ({"rate": -1 * Hz}, NetworkError, "rate of a Poisson input is -1 Hz somewhere"),
        ({"rate": 1 * nA}, UnitError, "'rate' of Poisson input is in Hz"),
        ({"rate": sf.Step(1 * nA)}, UnitError, "is in nA; give a waveform in Hz"),
        ({"rate": [1, 2] * Hz}, NetworkError, "'lif_input' has 2 rates for 5 cells"),
        ({"rate": sf.Uniform(1 * Hz, 2 * Hz)}, WrongTypeError, "one number, one for each cell or"),
        ({"n": -3}, NetworkError, "is -3; give at least 0"),
        ({"n": 2.5}, WrongTypeError, "whole number of sources, or one for each cell, not 2.5"),
        ({"n": True}, WrongTypeError, "whole number of sources"),
        ({"n": [1, 2]}, NetworkError, "2 numbers of sources for 5 cells"),
        ({"weight": [1, 2] * nA}, NetworkError, "2 weights for 5 cells"),
        ({"weight": 1 * mV}, UnitError, "is in nA, not mV"),
        ({"synapse": SYN.exponential_conductance, "weight": [1, 2, -3, 1, 1] * nS}, NetworkError,
         "Poisson input 'lif_input': the weight is -3 nS; a conductance below 0"),
        ({"weight": sf.Uniform(1 * nA, 2 * nA)}, WrongTypeError, "number or array in nA"),
        ({"shared": True, "rate": [1] * 5 * Hz}, NetworkError, "one train for all its cells"),
        ({"shared": True, "n": [1] * 5}, NetworkError, "one train for all its cells"),
        ({"shared": 1}, WrongTypeError, "shared is True or False"),
        ({"post": LIF[:0]}, NetworkError, "has no cells"),
        ({"synapse": SYN.gap_junction}, NetworkError, "reads 'v_pre', and there are no pre"),
        ({"synapse": SYN.ampa}, NetworkError, "lets each presynaptic cell open a gate of its own"),
        ({"synapse": SYN.tsodyks_markram_current}, NetworkError, "keeps u, R for each cell or syn"),
        ({"synapse": SYN.exponential_current_density}, UnitError, "Use the variant of the synapse"),
        ({"post": sf.Population("s", 2, sf.SpikeSourcePoisson(1 * Hz))}, NetworkError,
         "Poisson input 's_input': 's' is made of spike sources"),
    ],
)  # fmt: skip
def test_an_input_that_cannot_be(
    given: dict[str, Any], kind: type[SomaflowError], words: str
) -> None:
    with pytest.raises(kind, match=words):
        background(**given)


def test_a_plastic_synapse_is_refused() -> None:
    spiking = sf.Population("a", 2, sf.load("lif"), threshold="v > -50*mV", reset="v = -65*mV")
    with pytest.raises(NetworkError, match=r"keeps .* for each cell or synapse, and here only"):
        background(post=spiking, synapse=SYN.stdp_pair_nearest)


def test_names_of_inputs_and_projections_differ() -> None:
    with pytest.raises(NetworkError, match="two parts of the network are called 'lif_input'"):
        sf.Network(LIF, background(), background(rate=3 * Hz))
    link = sf.Projection(LIF, LIF, SYN.exponential_current, name="same")
    with pytest.raises(NetworkError, match="two parts of the network are called 'same'"):
        sf.Network(LIF, link, background(name="same"))
    other = sf.Population("other", 5, sf.load("lif"))
    with pytest.raises(NetworkError, match="refers to the population 'lif', which is not among"):
        sf.Network(other, background())


BUILD: dict[str, Callable[[], sf.PoissonInput]] = {
    "plain": background,
    "all": lambda: background(
        post=LIF[[3, 1]],
        rate=sf.Waveform(np.ones((4, 2)) * Hz),
        n=[2, 3],
        weight=[1, 2] * nA,
        name="all",
    ),
    "shared": lambda: background(shared=True, synapse=SYN.delta, weight=0.2 * mV),
}


@pytest.mark.parametrize("name", BUILD)
def test_an_input_has_a_serial_form(name: str) -> None:
    network = sf.Network(LIF, BUILD[name]())
    for again in (pickle.loads(pickle.dumps(network)), from_json(to_json(network))):
        assert again == network
        assert again.inputs[0].post.population is again.populations[0]
    assert sf.diff(network, sf.Network(LIF, background(name="x")))


def test_a_difference_names_the_input() -> None:
    nets = [sf.Network(LIF, background(n=n)) for n in (10, 20)]
    assert sf.diff(*nets) == ["inputs['lif_input'].n: 10 here, 20 there"]


def test_an_explanation_says_what_is_drawn_and_kept() -> None:
    given = background(synapse=SYN.exponential_conductance, weight=1e-3 * uS, name="bg")
    text = sf.Network(LIF, given).explain()
    assert "synapses bg (exponential_conductance)" in text
    told = [" ".join(line.split()) for line in text[text.index("Poisson inputs") :].splitlines()]
    assert told[2] == "cells 5 of lif, a train for each"
    assert told[3].startswith("rate up to 8,000 Hz a cell")
    assert told[4] == "kept G of each cell"
    assert told[5].startswith("drawn 5 numbers a step, about 0.15 us")
    assert "Poisson inputs" not in sf.Network(LIF).explain()


def test_a_synapse_that_blocks_with_the_voltage_is_told_to_exponential_methods() -> None:
    text = """
        v_post : mV
        I = G*v_post/(1 + exp(-v_post/(10*mV))) : nA
        dG/dt = -G/(5*ms) : uS
        on spike: G += w
    """
    blocked = sf.Equations.parse(text, w=1e-3 * uS, G=0)
    said = sf.Network(LIF, background(synapse=blocked, name="bg")).explain()
    assert "v  Rosenbrock form: the current of synapse 'equations' in 'bg' is not affine" in said


def test_the_rate_may_be_far_above_one_spike_a_step() -> None:
    assert background(rate=1 * kHz, n=10**6).highest == 1e6
    assert background(rate=0 * Hz, n=0).highest == 0
    assert background(rate=1 / ms).rate.value == 1.0
