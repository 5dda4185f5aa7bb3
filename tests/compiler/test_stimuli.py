"""Stimuli of one kind on one population are one table, and no number shows it."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

import somaflow as sf
from somaflow.compiler.drives import NOISE, Drives
from somaflow.compiler.states import DriveConstants, States, Tick
from somaflow.compiler.stimuli import side_by_side
from somaflow.network.random import named
from somaflow.numerics.random import normal
from somaflow.simulation.system import Array
from somaflow.units import ms, mV, nA, uS

DT, SEED, NODES = 0.1, 2**40 + 5, (0.0, 0.5, 1.0)
PASSIVE = sf.Equations.parse(
    "dv/dt = (E - v)/tau + I_stim/C : mV\nI_stim : nA",
    E=-60 * mV,
    tau=10 * ms,
    C=0.2 * nA * ms / mV,
    v=-60,
)
VIEWS = [np.arange(10), np.array([30, 12, 11]), np.arange(20, 29), np.array([36])]


def population(size: int = 37, name: str = "cells") -> sf.Population:
    return sf.Population(name, size, PASSIVE)


def network(*stimuli: sf.Stimulus) -> sf.Network:
    return sf.Network(stimuli[0].target.population, *stimuli)


class Stepped:
    """What the stimuli of a network give, outside its compiled loop."""

    def __init__(self, *stimuli: sf.Stimulus, seed: int = SEED) -> None:
        self.size = stimuli[0].target.population.size
        self.drives = Drives(network(*stimuli), DT, 100.0, np.float64, seed)
        self.parameters = tf.nest.map_structure(tf.constant, self.drives.parameters())
        self.event = self.drives.numbered(self.drives.initial())

    def at(
        self, event: Any, tick: Tick, given: Any, drive: Any, prepared: DriveConstants
    ) -> tuple[Any, list[Any]]:
        context = self.drives.arrive(event, tick, given, prepared)
        states: list[States] = [{"v": tf.fill([1], tf.constant(-60, tf.float64))}]
        found = self.drives.currents(states, drive, context, prepared)
        return self.drives.leave(event, context), [current for *_, current in found]

    def currents(self, steps: int) -> Array:
        """Return what each cell gets at the start of each step, `[steps, n_cells]`."""
        nodes, held = map(tf.constant, self.drives.inputs(np.arange(steps), NODES, DT))
        prepared, rows = self.drives.prepare(self.parameters), []
        for n in range(steps):
            tick = Tick(tf.constant(n, tf.int64), DT, NODES)
            self.event, terms = self.at(self.event, tick, held[n], nodes[n, 0], prepared)
            total = sum(terms[1:], terms[0])
            rows.append(np.asarray(total)[: self.size])
        return np.array(rows)

    def operations(self) -> list[tf.Operation]:
        """Return the operations that a step and its constants are traced to."""

        def traced(parameters: Any, event: Any, given: Any, drive: Any) -> Any:
            tick = Tick(tf.constant(3, tf.int64), DT, NODES)
            return self.at(event, tick, given, drive, self.drives.prepare(parameters))

        nodes, held = map(tf.constant, self.drives.inputs(np.arange(2), NODES, DT))
        arguments = self.parameters, self.event, held[0], nodes[0, 0]
        function: Any = tf.function(traced, autograph=False)
        return function.get_concrete_function(*arguments).graph.get_operations()

    def drawn(self) -> int:
        """Return how many normal numbers are drawn in a step."""
        return sum(
            op.outputs[0].shape.num_elements() for op in self.operations() if "Log" in op.type
        )


# ------------------------------------------------------------------- what shares a table


def test_what_shares_a_table() -> None:
    cells, other = population(), sf.Population("other", 9, PASSIVE)
    white = sf.WhiteNoise(0.1 * nA * ms**0.5)
    process = sf.OrnsteinUhlenbeck(0 * nA, 1 * nA, 5 * ms)
    conductance = sf.OrnsteinUhlenbeck(1 * uS, 1 * uS, 5 * ms, reversal=0 * mV)
    given: list[tuple[sf.PopulationView, Any]] = [
        (cells[:5], sf.Step(1 * nA)),
        (other[:5], sf.Step(1 * nA)),
        (cells[5:9], sf.Waveform([1, 2] * nA)),  # constant within a step, as the first
        (cells[9:], sf.Ramp(0 * nA, 1 * nA, 0, 9)),  # not so
        (cells[:5], white),
        (cells[5:7], white),
        (cells[7:8], process),
        (cells[8:9], conductance),
        (cells[20:22], sf.Step(2 * nA)),  # behind the ramp, on its cells
        (cells[4:6], sf.Step(3 * nA)),  # behind the white noises
        (other[5:], sf.Step(1 * nA)),
        (cells[30:], sf.Ramp(0 * nA, 1 * nA, 0, 9)),
    ]
    stimuli = [sf.Stimulus(*pair) for pair in given]
    assert side_by_side(stimuli) == [[0, 2], [1, 10], [3], [4, 5], [6], [7], [8, 9], [11]]


def test_each_cell_gets_its_own_in_the_order_of_the_network() -> None:
    cells, generator = population(12), np.random.default_rng(3)
    waveforms = (sf.Step(1 * nA), sf.Ramp(0 * nA, 1 * nA, 0, 9), sf.WhiteNoise(1 * nA * ms**0.5))
    for _ in range(50):
        stimuli = [
            sf.Stimulus(
                cells[generator.choice(12, generator.integers(1, 5), replace=False)],
                waveforms[generator.integers(3)],
            )
            for _ in range(12)
        ]
        order = [n for table in side_by_side(stimuli) for n in table]
        assert sorted(order) == list(range(12))
        for cell in range(12):
            own = [n for n in order if cell in stimuli[n].target.cells]
            assert own == sorted(own)


# ------------------------------------------------------------------------ known courses


def clamps(count: int, size: int = 128) -> list[sf.Stimulus]:
    cells, width = population(size), size // count
    return [
        sf.CurrentClamp(
            cells[width * k : width * (k + 1)],
            (1 + k) * nA,
            start=0.1 * (k % 7) * ms,
            stop=0.1 * (k % 7 + 3) * ms,
        )
        for k in range(count)
    ]


def test_many_clamps_on_views_are_what_a_table_of_numbers_says() -> None:
    k = np.arange(64).repeat(2)
    step = np.arange(12)[:, None]
    expected = np.where((step >= k % 7) & (step < k % 7 + 3), 1.0 + k, 0.0)
    found = Stepped(*clamps(64)).currents(12)
    np.testing.assert_allclose(found, 1e-3 * expected, rtol=1e-14)  # in uA


def test_a_step_of_many_clamps_is_traced_as_that_of_two() -> None:
    two, many = (Stepped(*clamps(count)).operations() for count in (2, 64))
    assert [op.type for op in two] == [op.type for op in many]
    one = Stepped(*clamps(1)).operations()
    assert len(many) < len(one) + 10


def every_course() -> list[sf.Stimulus]:
    cells = population()
    numbers = np.random.default_rng(1).normal(size=(9, 2))
    return [
        sf.CurrentClamp(cells[:5], np.linspace(0.1, 0.5, 5) * nA, start=0.33 * ms, stop=0.71 * ms),
        sf.CurrentClamp(cells[5:9], 0.3 * nA, start=0.2 * ms),
        sf.Stimulus(cells[9:12], sf.Ramp(0 * nA, [1, 2, 3] * nA, 0.25 * ms, 0.9 * ms)),
        sf.Stimulus(cells[12:20], sf.Ramp(0 * nA, 1.7 * nA, 0.25 * ms, 0.9 * ms)),
        sf.Stimulus(
            cells[20:22], sf.SaturatingPulse([3, 4] * nA, on=0.2, off=0.8, rise=2, decay=3)
        ),
        sf.Stimulus(cells[[25, 23]], sf.Waveform(numbers * nA, every=0.17 * ms)),
        sf.Stimulus(cells[30:], sf.Waveform(numbers[:, 0] * nA, every=0.05 * ms)),
        sf.CurrentClamp(cells[3:25], 0.37 * nA, start=0.15 * ms, stop=0.6 * ms),
        sf.CurrentClamp(cells[6:26], 0.271 * nA, start=0.25 * ms, stop=0.83 * ms),
    ]


def test_every_course_beside_others_is_what_it_is_alone() -> None:
    stimuli = every_course()
    stepped = Stepped(*stimuli)
    assert [len(table.stimuli) for table in stepped.drives.tables] == [4, 3, 1, 1]
    expected = sum(Stepped(stimulus).currents(12) for stimulus in stimuli)
    assert np.array_equal(stepped.currents(12), expected)


# -------------------------------------------------------------------------------- noise


def white(k: int, count: int) -> sf.WhiteNoise:
    sd = np.linspace(0.1, 0.2, count) * nA * ms**0.5
    return sf.WhiteNoise(sd, mean=0.1 * k * nA, start=0.3 * k * ms, stop=(1 + 0.1 * k) * ms)


def process(k: int, count: int) -> sf.OrnsteinUhlenbeck:
    sd, tau = (0.1 + 0.1 * k) * nA, np.linspace(2, 5, count) * ms
    return sf.OrnsteinUhlenbeck(0.1 * k * nA, sd, tau, start=0.35 * k * ms)


def conductance(k: int, count: int) -> sf.OrnsteinUhlenbeck:
    sd = np.linspace(3e-3, 4e-3, count) * uS
    return sf.OrnsteinUhlenbeck(0.01 * uS, sd, (2 + k) * ms, reversal=-10 * k * mV)


Kind = Callable[[int, int], Any]


def noises(kind: Kind, views: Sequence[Array] = VIEWS) -> list[sf.Stimulus]:
    cells = population()
    return [
        sf.Stimulus(cells[view], kind(k, len(view)), name=f"n{k}") for k, view in enumerate(views)
    ]


@pytest.mark.parametrize("kind", [white, process, conductance])
def test_noises_on_views_are_what_each_is_alone(kind: Kind) -> None:
    stimuli = noises(kind)
    stepped = Stepped(*stimuli)
    assert len(stepped.drives.tables) == 1
    found = stepped.currents(15)
    assert found.any(axis=0).sum() == 23
    for stimulus in stimuli:
        cells = stimulus.target.cells
        assert np.array_equal(found[:, cells], Stepped(stimulus).currents(15)[:, cells])


def test_the_numbers_belong_to_the_name_the_cell_and_the_step() -> None:
    found = Stepped(*noises(process)).currents(15)
    for k, cells in enumerate(VIEWS):
        x, words = np.zeros(len(cells)), (SEED & 0xFFFFFFFF, SEED >> 32)
        stream = (NOISE, *named(f"n{k}"))
        kept = np.exp(-DT / np.linspace(2, 5, len(cells)))
        for n in range(15):
            z = np.asarray(normal(words, stream, n, tf.constant(cells), tf.float64))
            x = kept * x + np.sqrt(1 - kept**2) * z if n else z
            part = np.clip((n + 1) * DT - 0.35 * k, 0, DT) / DT
            expected = 1e-3 * (0.1 * k + (0.1 + 0.1 * k) * x) * part  # in uA
            np.testing.assert_allclose(found[n, cells], expected, rtol=1e-9, atol=1e-12)


def test_the_numbers_are_those_of_a_table_for_each_noise() -> None:
    cells = population(name="c")
    stimuli = [
        sf.Stimulus(cells[view], process(k, len(view)), name=f"n{k}" if k % 2 else None)
        for k, view in enumerate(VIEWS)
    ]
    found = Stepped(*stimuli, seed=5).currents(41)[:, [3, 11, 20, 36]]
    # As they were when each noise was computed by itself, for all cells of its population, in nA.
    expected = [
        [-0.09784584365002394, 0, 0, 0],
        [-0.211397015006657, 0.16837138783415428, 0.8646071143124094, 0.18550942839792534],
    ]
    np.testing.assert_allclose(found[[0, 40]], 1e-3 * np.array(expected), rtol=1e-11)


def test_each_driven_cell_draws_one_number() -> None:
    assert Stepped(*noises(process)).drawn() == 32  # of 23 cells, padded to lanes
    halves = [np.arange(18), np.arange(18, 37)]
    assert Stepped(*noises(white, halves)).drawn() == 48  # of 37
    assert Stepped(*noises(white, [np.arange(37)])).drawn() == 48
    assert Stepped(*noises(white, [np.arange(3), np.arange(2, 5)])).drawn() == 32  # cell 2 twice


def test_a_noise_may_be_on_no_cell() -> None:
    nothing = sf.Stimulus(population()[:0], sf.WhiteNoise(1 * nA * ms**0.5))
    assert not Stepped(nothing).currents(3).any()


def test_states_have_the_names_of_their_noises() -> None:
    stimuli = noises(process)
    stepped = Stepped(*stimuli)
    stepped.currents(5)
    found = stepped.drives.named(stepped.event)
    assert [len(state) for state in found.values()] == [10, 3, 9, 1]
    for stimulus, (name, state) in zip(stimuli, found.items(), strict=True):
        alone = Stepped(stimulus)
        alone.currents(5)
        assert np.array_equal(alone.drives.named(alone.event)[name], state)
    again = stepped.drives.numbered(found)
    assert all(
        np.array_equal(*pair)
        for pair in zip(stepped.drives.named(again).values(), found.values(), strict=True)
    )


def test_the_one_to_blame_is_that_of_the_cell() -> None:
    stimuli = noises(process)
    (table,) = Stepped(*stimuli).drives.tables
    assert table.of_cell(12) is stimuli[1]
    assert table.of_cell(36) is stimuli[3]
    assert table.of_cell(13) is None
