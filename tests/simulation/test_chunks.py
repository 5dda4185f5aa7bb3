"""Chunks: their length changes no bit; samples stand where they should; failures are located."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import xarray as xr

import somaflow as sf
from somaflow.errors import NonFiniteState
from somaflow.simulation import chunks, replay
from somaflow.simulation.loop import Schedule
from somaflow.simulation.system import Carry
from somaflow.units import ms, mV, nA, nF, uS

DT, STEPS = 0.1, 215


def network() -> sf.Network:
    """Cells with every kind of event state: refractory cells, jumping synapses, currents."""
    lif = sf.Population("a", 5, sf.load("lif")(tau=np.linspace(10, 20, 5) * ms))
    model = sf.Equations.parse(
        "dv/dt = (g*(E - v) - w + I_stim)/C : mV\ndw/dt = (g*(v - E)/4 - w)/(30*ms) : nA\n"
        "I_stim : nA\nexcess = v - E : mV",
        E=-60 * mV,
        g=0.01 * uS,
        C=0.2 * nF,
        v=-60,
        w=0,
    )
    other = sf.Population("b", 3, model, threshold="v > -58*mV")
    current = sf.load("exponential_current")(i=0.2 * nA)
    return sf.Network(
        lif,
        other,
        sf.Projection(lif, other, current),
        sf.Projection(lif, lif, current(i=0.1 * nA)),
        sf.Projection(other, lif, sf.load("exponential_conductance")),
        sf.CurrentClamp(lif, np.linspace(1.6, 3, 5) * nA, start=1.5 * ms),
    )


def recorded(every: bool, **settings: Any) -> sf.Solution:
    net = network()
    a, b = net.populations
    record = [a["v"], a.spikes, b.spikes, b["v"], b["w"], b["excess"].mean()]
    if not every:
        record = [a["v"].every(0.7 * ms), a.spikes, b.spikes, b["v"].every(1.1 * ms)]
        record += [b["w"].every(2.1 * ms), b["excess"].mean().every(21.5 * ms)]
    return sf.simulate(net, STEPS * DT * ms, dt=DT * ms, record=record, **settings)


@pytest.fixture(scope="module")
def whole() -> sf.Solution:
    """One chunk, every step recorded."""
    return recorded(True)


def bits(run: sf.Solution, *keys: str) -> list[bytes]:
    found = []
    for key in keys or run.keys():
        if key.endswith(".spikes"):
            found += [run[key].times.tobytes(), run[key].cells.tobytes()]
        else:
            found += [run[key].values.tobytes(), run[key].time.values.tobytes()]
    return found


@pytest.mark.parametrize(
    "most", [100, *(pytest.param(n, marks=pytest.mark.slow) for n in (1, 7, 214, 215))]
)
def test_the_length_of_chunks_changes_no_bit(
    most: int, whole: sf.Solution, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chunks, "_CHUNK_STEPS", most)
    assert len(whole["a.spikes"]) >= 5
    assert len(whole["b.spikes"]) > 2
    assert bits(recorded(True)) == bits(whole)


@pytest.mark.slow
@pytest.mark.parametrize("most", [None, 20, 50])
def test_sample_k_is_the_state_at_k_intervals(
    most: int | None, whole: sf.Solution, monkeypatch: pytest.MonkeyPatch
) -> None:
    """7, 11, 21 and 215 steps divide neither the chunks nor, but for the last, the run."""
    if most is not None:
        monkeypatch.setattr(chunks, "_CHUNK_STEPS", most)
    run = recorded(False)
    for key, steps in (("a.v", 7), ("b.v", 11), ("b.w", 21), ("b.excess.mean", 215)):
        found, wanted = run[key], whole[key].values[::steps]
        assert found.shape[0] == STEPS // steps + 1
        assert found.values.tobytes() == wanted.tobytes()
        np.testing.assert_allclose(found.time, np.arange(len(found)) * steps * DT, rtol=1e-15)
    assert bits(run, "a.spikes", "b.spikes") == bits(whole, "a.spikes", "b.spikes")


def test_sample_0_is_the_initial_state(whole: sf.Solution) -> None:
    assert whole["a.v"].values[0].tolist() == [-65.0] * 5
    assert whole["b.excess.mean"].values[0] == 0


def test_spikes_are_ordered_by_time(whole: sf.Solution) -> None:
    for key in ("a.spikes", "b.spikes"):
        assert np.all(np.diff(whole[key].times) >= 0)


@pytest.mark.parametrize(
    ("stride", "numbers", "wanted"),
    [
        (1, 1, Schedule(1, 10_000, 10_000)),
        (300, 1, Schedule(300, 33, 9900)),
        (20_000, 1, Schedule(20_000, 1, 10_000)),
        (20_000, 4_000, Schedule(20_000, 1, 1000)),
        (1, 4_000_000, Schedule(1, 1, 1)),
        (1, 40_000, Schedule(1, 100, 100)),
    ],
)
def test_the_plan_of_chunks(stride: int, numbers: int, wanted: Schedule) -> None:
    assert chunks.plan(stride, numbers) == wanted


def test_a_large_state_is_handed_over_more_seldom() -> None:
    assert chunks.plan(1, 40_000, 1_000 * 40_000) == Schedule(1, 1000, 1000)
    assert chunks.plan(1, 40_000, 1_000) == Schedule(1, 100, 100)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_one_number_that_is_not_finite_is_seen_and_large_ones_are_not_refused(
    bad: float, dtype: Any
) -> None:
    numbers = np.full(1000, np.finfo(dtype).max)
    state = Carry((tf.constant(numbers),), (), ())
    assert replay.finite(state)
    numbers[7] = bad
    assert not replay.finite(Carry((tf.constant(numbers),), (), ()))


def test_chunks_cover_the_run_once(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[sf.Progress] = []
    monkeypatch.setattr(chunks, "_CHUNK_STEPS", 30)
    net = network()
    sf.simulate(net, STEPS * DT * ms, dt=DT * ms, progress=seen.append)
    done, total, seconds = (
        [getattr(p, name) for p in seen] for name in ("done", "total", "seconds")
    )
    assert done[-1] == pytest.approx(STEPS * DT)
    assert set(total) == {done[-1]}
    assert all(x < y for x, y in pairwise(done))
    assert all(x <= y for x, y in pairwise(seconds))


# -------------------------------------------------------------------- failures


def explosive() -> sf.Network:
    """Cell 3 alone grows without bound: v' = 100 v a millisecond."""
    model = sf.Equations.parse(
        "dv/dt = rate*v : mV\ndw/dt = 0*mV/ms : mV",
        rate=[0, -1, 0, 100, 0] * sf.units.kHz,
        v=1,
        w=1,
    )
    return sf.Network(sf.Population("bang", 5, model))


@pytest.mark.parametrize("most", [10_000, 64])
def test_a_state_that_is_not_finite_is_located(
    most: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(chunks, "_CHUNK_STEPS", most)
    cells = explosive()
    # Euler at dt 0.1: v = 11**k, and its slope leaves float64 in step 296.
    with pytest.raises(NonFiniteState, match=r"bang\.v\[3\] is inf at t = 29\.6 ms") as caught:
        sf.simulate(
            cells, 40 * ms, dt=0.1 * ms, solver=sf.Euler(), sink=tmp_path / "a.zarr",
            record=cells.populations[0]["v"],
        )  # fmt: skip
    assert "one step before it was 1.6" in str(caught.value)
    assert "rate * v is inf, with rate = 100 kHz, v = 1.6" in str(caught.value)
    with xr.open_zarr(tmp_path / "a.zarr", consolidated=False) as data:
        kept = data["bang.v"].values
        assert data["bang.v.time"].shape == kept.shape[:1]
    assert np.isfinite(kept).all()
    # The chunks before the one in which it happened: 4 of 64 steps and the initial state.
    assert len(kept) == (4 * 64 + 1 if most == 64 else 0)


def test_solve_names_the_part_of_the_state() -> None:
    with pytest.raises(NonFiniteState, match=r"b\[1, 2\] is inf at t = 29\.6"):
        y0 = {"a": 1.0, "b": np.pad(np.ones((1, 1)), ((1, 1), (2, 0)))}
        sf.solve(
            lambda t, y: {"a": -y["a"], "b": 100.0 * y["b"]}, y0, t1=50.0, dt=0.1, solver=sf.Euler()
        )


def test_the_lobe_at_too_large_a_step_names_population_variable_cell_and_time(
    lobe: sf.Network,
) -> None:
    with pytest.raises(NonFiniteState, match=r"^(PN|LN)\.\S+\[\d\] is \S+ at t = \S+ ms \(one"):
        sf.simulate(lobe, 200 * ms, dt=0.2 * ms, solver=sf.Euler(), initial={"PN": {"v": -50}})
