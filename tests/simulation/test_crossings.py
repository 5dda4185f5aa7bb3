"""Crossings: a table and a list leave the same bits, also where a full list ends chunks early."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

import somaflow as sf
from somaflow.numerics import programs
from somaflow.simulation import chunks, crossings
from somaflow.units import ms, mV, nA

SHAPE, STEPS = (2, 7), 30


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    """Nothing that was compiled with other limits."""
    programs.clear()
    yield
    programs.clear()


def recorded(**settings: Any) -> sf.Solution:
    """Two populations, each alone and with views, counts, samples and extremes over time."""
    model = sf.load("lif")(R=10 * mV / nA, tau=20 * ms)
    a = sf.Population("a", 5, model, refractory=1 * ms)
    b = sf.Population("b", 21, model)
    synapse = sf.load("exponential_current")
    net = sf.Network(
        a,
        b,
        sf.CurrentClamp(a, np.linspace(1.4, 9, 5) * nA),
        sf.CurrentClamp(b, np.linspace(1.6, 40, 21) * nA),
        sf.Projection(b, a, synapse, sf.AllToAll(), weight=0.01 * nA, delay=1 * ms),
    )
    some = b.spikes[[20, 3, 11]].as_("some")
    record = [a.spikes, b.spikes, some, b.rate(1 * ms), b.spikes.every(0.7 * ms).as_("count")]
    record += [a["v"].every(0.7 * ms), b["v"].every(1.1 * ms, "max")]
    return sf.simulate(net, 40 * ms, dt=0.1 * ms, record=record, **settings)


def bits(run: sf.Solution) -> list[bytes]:
    found = []
    for key in run.keys():  # noqa: SIM118
        trains: Any = run[key]
        arrays = (trains.times, trains.cells) if hasattr(trains, "cells") else (trains.values,)
        found += [np.asarray(array).tobytes() for array in arrays]
    return found


@pytest.mark.parametrize("seldom", [32, 1_000_000_000])
@pytest.mark.parametrize("batch", [False, True])
def test_a_list_leaves_the_bits_of_a_table(
    seldom: int, batch: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With room for a single step's spikes, each spike ends a chunk."""
    start = {"a": {"v": np.linspace(-65, -51, 10).reshape(2, 5) * mV}} if batch else {}
    seen: list[sf.Progress] = []
    table = recorded(initial=start, progress=seen.append)
    assert len(seen) == 1 and len(table["b.spikes"]) > 200
    monkeypatch.setattr(crossings, "_FEW", 0)
    monkeypatch.setattr(crossings, "_SELDOM", seldom)
    programs.clear()
    seen.clear()
    listed = recorded(initial=start, progress=seen.append)
    assert seldom == 32 or len(seen) > 100
    assert bits(listed) == bits(table)


@pytest.mark.parametrize("kind", [crossings.Table, crossings.List])
def test_crossings_are_found_in_the_order_of_steps_and_places(kind: Any) -> None:
    rng = np.random.default_rng(1)
    since = rng.random((STEPS, *SHAPE)) * (rng.random((STEPS, *SHAPE)) < 0.02)
    keeping = kind(SHAPE, STEPS)
    kept = keeping.empty()
    for step in range(STEPS):
        assert bool(keeping.holds(kept))
        kept = keeping.after(kept, tf.constant(step), tf.constant(since[step]))
    found = keeping.found(kept, STEPS)
    np.testing.assert_array_equal([found.steps, *found.places], np.nonzero(since))
    np.testing.assert_array_equal(found.since, since[since > 0].astype(np.float32))
    assert keeping.bytes == sum(part.numpy().nbytes for part in kept if part.shape.rank)


def test_a_list_has_room_for_all_sources_in_one_step() -> None:
    keeping = crossings.List(SHAPE, 3)
    kept = keeping.after(keeping.empty(), tf.constant(2), tf.ones(SHAPE, tf.float64))
    assert not bool(keeping.holds(kept))
    assert len(keeping.found(kept, 3).since) == 14


def test_a_chunk_of_many_sources_is_longer_than_its_table() -> None:
    assert crossings.weight((1000,)) == 1000
    assert crossings.weight((2, 10_001)) == 5001
    assert chunks.plan(1, crossings.weight((10_000,))).steps == 1600
