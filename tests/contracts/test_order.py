"""Nothing random in a run depends on the order of declaration, or on what else there is."""

import numpy as np
import pytest

import somaflow as sf
from somaflow.units import Hz, ms, mV, nA

A, B = (
    sf.Population(name, 12, sf.load("lif")(tau=sf.Normal(20 * ms, 2 * ms, low=5 * ms)))
    for name in "AB"
)
SOURCES = [sf.Population(name, 12, sf.SpikeSourcePoisson(200 * Hz)) for name in ("S", "T")]
WIRES = [
    sf.Projection(
        source,
        target,
        sf.catalogue("synapses").exponential_current,
        sf.FixedProbability(0.3),
        weight=sf.Uniform(0 * nA, 0.2 * nA),
    )
    for source, target in zip(SOURCES, (A, B), strict=True)
]
WHITE = sf.WhiteNoise(0.3 * nA * ms**0.5)
SLOW = sf.OrnsteinUhlenbeck(0.1 * nA, 0.2 * nA, 3 * ms)
NOISES = [sf.Stimulus(A, WHITE), sf.Stimulus(A, SLOW), sf.Stimulus(B, WHITE)]
RECORD = [A["v"].every(1 * ms), SOURCES[0].spikes]


def run(*parts: object, initial: object = None) -> tuple[np.ndarray, ...]:
    found = sf.simulate(
        sf.Network(*parts),
        30 * ms,
        dt=0.1 * ms,
        record=RECORD,
        seed=3,
        progress=False,
        initial=initial,  # pyright: ignore[reportArgumentType]
    )
    spikes = found["S.spikes"]
    return found["A.v"].values, spikes.times, spikes.cells


@pytest.fixture(scope="module")
def alone() -> tuple[np.ndarray, ...]:
    """Return the run of what belongs to A."""
    return run(A, SOURCES[0], WIRES[0], *NOISES[:2])


def test_other_parts_and_another_order_change_no_number(alone: tuple[np.ndarray, ...]) -> None:
    step = sf.CurrentClamp(B, 1 * nA)
    found = run(SOURCES[1], step, *NOISES[::-1], B, SOURCES[0], A, *WIRES[::-1])
    assert len(alone[1]) > 40
    for one, other in zip(alone, found, strict=True):
        np.testing.assert_array_equal(one, other)


def test_noises_of_one_kind_differ_and_a_name_is_theirs_for_good() -> None:
    cells = sf.Population("A", 12, sf.load("lif"))
    still = {"A": {"v": -65 * mV}}

    def trace(*noises: sf.Stimulus) -> np.ndarray:
        return run(cells, SOURCES[0], *noises, initial=still)[0]

    first, second = (sf.Stimulus(cells, WHITE, name=name) for name in ("first", "second"))
    by_name = trace(first)
    assert not np.array_equal(by_name, trace(second))
    off = [sf.Stimulus(cells, sf.WhiteNoise(0 * nA * ms**0.5), name=name) for name in ("a", "b")]
    np.testing.assert_array_equal(by_name, trace(off[0], first, off[1]))
    # Two without names are no multiple of one.
    one, two = trace(sf.Stimulus(cells, WHITE)), trace(*[sf.Stimulus(cells, WHITE)] * 2)
    doubled = trace(sf.Stimulus(cells, sf.WhiteNoise(0.6 * nA * ms**0.5)))
    assert not np.allclose(two, doubled)
    assert not np.allclose(one, two)


def test_initial_values_given_to_a_run_follow_the_seed_of_the_network() -> None:
    model = sf.load("lif")(v=sf.Uniform(-65 * mV, -55 * mV))
    drawn, plain = sf.Population("A", 12, model), sf.Population("A", 12, sf.load("lif"))
    given = {"A": {"v": sf.Uniform(-65 * mV, -55 * mV)}}
    for seed in (0, 4):
        values = [
            sf.simulate(
                sf.Network(population, seed=seed),
                0.1 * ms,
                dt=0.1 * ms,
                progress=False,
                record=population["v"].every(0.1 * ms),
                initial=initial,
            )["A.v"].values[0]
            for population, initial in ((drawn, None), (plain, given))
        ]
        np.testing.assert_array_equal(*values)
        if seed:
            assert not np.array_equal(values[0], drawn.equations.initial["v"].value)
