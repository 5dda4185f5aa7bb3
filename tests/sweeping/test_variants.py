"""Members that are one network with other parts, put together elsewhere, are what they were."""

import pickle

import numpy as np
import pytest

import somaflow as sf
from somaflow.sweeping.members import Members
from somaflow.sweeping.space import read_space
from somaflow.units import cm, mS, mV, uA

S, A = mS / cm**2, uA / cm**2


def _network() -> sf.Network:
    cells = sf.Population("cells", 3, sf.load("hodgkin_huxley_1952"))
    others = sf.Population("others", 2, sf.load("hodgkin_huxley_1952")(g_na=100 * S))
    excitation = sf.catalogue("synapses").nach
    return sf.Network(
        cells,
        others,
        sf.Stimulus(cells[:2], sf.Step(3 * A), name="clamp"),
        sf.Projection(cells, others, excitation, sf.FixedProbability(0.5), name="joint"),
        sf.Projection(others, cells, excitation, sf.AllToAll(), name="back"),
    )


@pytest.fixture(scope="module")
def members() -> Members:
    """Members that differ in all kinds of things: 2 x 2 x 2 x 2 x 2 x 2, in 2 trials."""
    vary = {
        "cells.g_na": [90, 120] * S,
        "clamp.amplitude": [1, 5],
        ("joint", "weight"): [0.1, 0.2] * S,
        "others.v": [-70 * mV, [-60, -50] * mV],
        "network.seed": [0, 4],
        "seed": [0, 9],
    }
    return Members(_network(), read_space(vary, 2), initial={"cells": {"v": -64 * mV}})


def test_those_of_another_process_are_what_each_is_by_itself(members: Members) -> None:
    numbers = [0, 1, 2, 5, 17, 40, 63, 64, 127]
    several = members.several(numbers)
    there = pickle.loads(pickle.dumps(several))
    assert len(there) == len(numbers)
    for number, here, other in zip(numbers, several, there, strict=True):
        alone = members.member(number)
        for member in (here, other):
            assert member.network == alone.network
            assert member.network.projections == alone.network.projections
            assert (member.seed, member.record) == (alone.seed, alone.record)
            assert member.initial.keys() == alone.initial.keys()
            for name, states in alone.initial.items():
                for state, value in states.items():
                    np.testing.assert_array_equal(member.initial[name][state].value, value.value)
    assert there[3].network == members.member(5).network
    assert [member.seed for member in there[1:3]] == [members.seed(1), members.seed(2)]


def test_parts_refer_to_the_populations_of_their_network(members: Members) -> None:
    for member in pickle.loads(pickle.dumps(members.several([3, 77, 127]))):
        cells, others = member.network.populations
        assert member.network.stimuli[0].target.population is cells
        joint, back = member.network.projections
        assert joint.pre.population is cells and joint.post.population is others
        assert back.pre.population is others and back.post.population is cells


def test_what_is_sent_grows_with_what_is_new_alone() -> None:
    vary = {"cells.g_na": np.linspace(80, 120, 5) * S, "seed": range(200)}
    members = Members(_network(), read_space(vary, None))
    few, many = (len(pickle.dumps(members.several(range(n)))) for n in (200, 1000))
    assert many - few < 800 * 100
    networks = {id(member.network) for member in members.several(range(400))}
    assert len(networks) == 2  # numbers 0 to 399 are two values of g_na


def test_those_of_a_function_are_sent_whole() -> None:
    def network(scale: float) -> sf.Network:
        cells = sf.Population("cells", 1, sf.load("hodgkin_huxley_1952")(g_na=scale * S))
        return sf.Network(cells)

    members = Members(network, read_space({"scale": [90.0, 110.0]}, None))
    assert [m.network for m in members.several([1, 0])] == [network(110.0), network(90.0)]
