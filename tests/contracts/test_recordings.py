"""Each kind of recording is what NumPy makes of all steps, and changes no bit of the run."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import somaflow as sf
from somaflow.errors import NetworkError, RunError, SomaflowError, UnitError
from somaflow.simulation import chunks
from somaflow.units import ms, mV, nA, nS

DT, STEPS = 0.1, 600
EDGES = np.linspace(-70, -50, 5)
A = sf.Population("a", 20, sf.load("lif"), refractory=1 * ms)
B = sf.Population("b", 6, sf.load("lif"))
HALF = sf.FixedProbability(0.5, seed=1)
LEARNING = sf.Projection(
    A, B, sf.load("stdp_pair_all_to_all"), HALF, sf.Uniform(0.5 * nS, 1 * nS, seed=3), name="stdp"
)
FACILITATING = sf.Projection(A, B[::-1], sf.load("tsodyks_markram_current"), HALF, name="tm")
PULSED = sf.Projection(B, A[3:9], sf.load("gaba_a_destexhe"), weight=0.5 * nS, name="gaba")
GRADED = sf.Projection(B, A, sf.load("graded_conductance"), weight=0.1 * nS, name="graded")
NETWORK = sf.Network(
    A,
    B,
    LEARNING,
    FACILITATING,
    PULSED,
    GRADED,
    sf.CurrentClamp(A, np.linspace(1, 4, 20) * nA),
    sf.CurrentClamp(B, 1.7 * nA),
)


def simulated(record: Any, monkeypatch: pytest.MonkeyPatch | None = None, **more: Any) -> Any:
    settings: dict[str, Any] = {"dt": DT * ms, "solver": sf.Euler()} | more
    if monkeypatch is not None:  # chunks that end within nearly all intervals
        monkeypatch.setattr(chunks, "_CHUNK_STEPS", 70)
    return sf.simulate(NETWORK, STEPS * DT * ms, record=record, **settings)


# All kinds in one run, which is compiled once.
OVER_TIME = [
    A["v"].every(1 * ms, "mean"),
    A["v"].every(1.3 * ms, "max"),
    A["v"].every(0.7 * ms, "min"),
    A["v"].mean().every(1.5 * ms, "max"),
    A["v"].every(1.1 * ms, "max").mean(),
    B["v"].histogram(EDGES * mV).every(9 * ms, "mean"),
    B["v"].every(9 * ms, "max").histogram(EDGES * mV),
    A["I_stim"].every(1 * ms, "mean"),
    A.spikes,
    LEARNING["w"].every(8 * ms, "mean"),
    FACILITATING["J"].every(2 * ms, "max"),
]
OVER_CELLS = [
    A["v"].sum(),
    B["v"].histogram(EDGES),
    A.spikes.every(7 * ms),
    B[[5, 2]].spikes,
    B[[5, 2]].spikes.every(0.5 * ms).sum(),
    B.spikes.every(20 * ms).mean(),
    A.rate(5 * ms),
    LEARNING["w"][[3, 1]],
    LEARNING["w"].mean(),
    PULSED["o"][1:4].every(1 * ms),
    PULSED["I"].sum(),
]
OTHERS = [
    A["v"].histogram(EDGES).every(1 * ms),
    LEARNING["G"].every(20 * ms),
    FACILITATING["u"].every(20 * ms),
]
KINDS = [*OVER_TIME, *OVER_CELLS, *OTHERS]
STATES = [A["v"], B["v"], A["I_stim"], B["I_stim"], A.spikes, B.spikes]
SYNAPSES = [
    *(LEARNING[name] for name in ("w", "x", "y", "G", "I")),
    *(FACILITATING[name] for name in ("u", "R", "J", "I")),
    *(PULSED[name] for name in ("o", "I")),
    *(GRADED[name] for name in GRADED.equations.states),
]


@pytest.fixture(scope="module")
def full() -> sf.Solution:
    run = simulated([*STATES, *SYNAPSES])
    assert len(run["a.spikes"]) > 30
    assert len(run["b.spikes"]) > 3
    return run


def over_time(values: np.ndarray, steps: int, reduce: Any) -> np.ndarray:
    """Value 0, then what is made of the steps in each interval."""
    whole = (len(values) - 1) // steps * steps
    parts = values[1 : whole + 1].reshape(-1, steps, *values.shape[1:])
    return np.concatenate([values[:1], reduce(parts, axis=1)])


def counts(trains: sf.SpikeTrains, steps: int) -> np.ndarray:
    """Spikes of each cell in each interval, from the times of the spikes."""
    step = np.ceil(trains.times / DT - 1e-9).astype(int) - 1
    made = np.zeros((STEPS // steps + 1, trains.size), np.int64)
    kept = step // steps + 1 < len(made)
    np.add.at(made, (step[kept] // steps + 1, trains.cells[kept]), 1)
    return made


def binned(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    return np.stack([np.histogram(row, edges)[0] for row in values])


@pytest.mark.slow
def test_intervals_of_any_length_give_what_numpy_makes_of_all_steps(
    full: sf.Solution, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = simulated(KINDS, monkeypatch)
    v, b = full["a.v"].values, full["b.v"].values
    close = {
        "a.v.mean_over_time": over_time(v, 10, np.mean),
        "a.v.mean.max_over_time": over_time(v.mean(1), 15, np.max),
        "a.v.max_over_time.mean": over_time(v, 11, np.max).mean(1),
        "b.v.histogram.mean_over_time": over_time(binned(b, EDGES), 90, np.mean),
        "a.I_stim.mean_over_time": over_time(full["a.I_stim"].values, 10, np.mean),
        "stdp.w.mean_over_time": over_time(full["stdp.w"].values, 80, np.mean),
    }
    for key, wanted in close.items():
        np.testing.assert_allclose(run[key], wanted, rtol=1e-13, err_msg=key)
    same = {
        "a.v.max_over_time": over_time(v, 13, np.max),
        "a.v.min_over_time": over_time(v, 7, np.min),
        "b.v.max_over_time.histogram": binned(over_time(b, 90, np.max), EDGES),
        "tm.J.max_over_time": over_time(full["tm.J"].values, 20, np.max),
    }
    for key, wanted in same.items():
        np.testing.assert_array_equal(run[key], wanted, err_msg=key)
    for part in ("times", "cells"):
        found, wanted = (getattr(one["a.spikes"], part) for one in (run, full))
        assert found.tobytes() == wanted.tobytes()
    assert run["a.v.max_over_time"].time.values[1] == pytest.approx(1.3)
    assert run["b.v.max_over_time.histogram"].dtype == np.int64


@pytest.mark.slow
@pytest.mark.parametrize(
    ("solver", "dtype"),
    [(sf.RK4(), "float64"), (sf.ExponentialEuler(), "float32")],
    ids=lambda value: getattr(value, "name", value),
)
def test_recordings_over_time_change_no_bit(solver: Any, dtype: str) -> None:
    plain = [A["v"].every(60), B["v"].every(60), LEARNING["w"].every(60), A.spikes, B.spikes]
    followed = [
        A["v"].every(1, "mean"),
        B["I_stim"].every(1, "max"),
        B["v"].mean().every(2, "min"),
        *(projection["I"].every(1, "mean") for projection in NETWORK.projections),
        *(LEARNING[name].every(60, "mean") for name in LEARNING.equations.states),
    ]
    first, second = (
        simulated(record, solver=solver, dtype=dtype) for record in (plain, [*plain, *followed])
    )
    for key in first:
        for part in ("times", "cells") if key.endswith("spikes") else ("values",):
            found, wanted = (getattr(run[key], part) for run in (second, first))
            assert found.tobytes() == wanted.tobytes(), key


@pytest.mark.slow
def test_recordings_over_cells_and_counts_are_what_numpy_makes_of_all_cells(
    full: sf.Solution, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = simulated(KINDS, monkeypatch)
    np.testing.assert_allclose(run["a.v.sum"], full["a.v"].values.sum(1), rtol=1e-13)
    np.testing.assert_array_equal(run["b.v.histogram"], binned(full["b.v"].values, EDGES))
    for name in ("low", "high"):
        assert run["b.v.histogram"][name].attrs["units"] == "mV"
    np.testing.assert_allclose(run["b.v.histogram"].low, EDGES[:-1])
    np.testing.assert_allclose(run["b.v.histogram"].high, EDGES[1:])
    for_a, for_b = full["a.spikes"], full["b.spikes"]
    assert run["a.spikes.count"].dtype == np.int64
    np.testing.assert_array_equal(run["a.spikes.count"], counts(for_a, 70))
    np.testing.assert_array_equal(run["b.spikes.count.sum"], counts(for_b, 5)[:, [5, 2]].sum(1))
    np.testing.assert_allclose(run["b.spikes.count.mean"], counts(for_b, 200).mean(1))
    np.testing.assert_allclose(run["a.rate"], counts(for_a, 50).mean(1) / 5e-3)
    assert run["a.rate"].attrs["units"] == "Hz"
    some = run["b.spikes"]
    mine = np.isin(for_b.cells, [5, 2])
    assert some.times.tobytes() == for_b.times[mine].tobytes()
    assert some.cells.tolist() == for_b.cells[mine].tolist()
    assert some.counts().tolist() == for_b.counts()[[5, 2]].tolist()
    assert [len(train) for train in some.trains()] == some.counts().tolist()
    weights = full["stdp.w"]
    assert run["stdp.w"].values.tobytes() == weights.values[:, [3, 1]].tobytes()
    assert run["stdp.w"].pre.values.tolist() == weights.pre.values[[3, 1]].tolist()
    np.testing.assert_allclose(run["stdp.w.mean"], weights.values.mean(1), rtol=1e-13)
    np.testing.assert_array_equal(run["gaba.o"], full["gaba.o"].values[::10, 1:4])
    np.testing.assert_allclose(run["gaba.I.sum"], full["gaba.I"].values.sum(1), rtol=1e-12)


def test_variables_of_synapses_have_the_axis_of_who_owns_them(full: sf.Solution) -> None:
    made = LEARNING.connections()
    weights = full["stdp.w"]
    assert weights.dims == ("time", "synapse")
    assert weights.attrs["units"] == "uS"
    np.testing.assert_array_equal(weights.pre, made.pre)
    np.testing.assert_array_equal(weights.post, made.post)
    np.testing.assert_allclose(weights[0].values, made.weight, rtol=1e-14)
    assert np.ptp(weights.values, axis=0).max() > 1e-6
    axes = {"stdp.x": "pre", "stdp.y": "post", "stdp.G": "post", "tm.u": "pre", "tm.I": "post"}
    for key, axis in axes.items():
        assert full[key].dims == ("time", axis)
    assert full["tm.J"].post.values.tolist() == [5, 4, 3, 2, 1, 0]
    assert full["gaba.I"].post.values.tolist() == [3, 4, 5, 6, 7, 8]
    silent = sorted(set(range(20)) - set(made.pre.tolist()))
    assert full["stdp.x"].shape == (STEPS + 1, 20)
    assert len(silent) < 20


def test_currents_of_synapses_follow_from_their_sums(full: sf.Solution) -> None:
    order = full["tm.J"].post.values
    np.testing.assert_allclose(full["tm.I"].values, -full["tm.J"].values, rtol=1e-13)
    driving = full["b.v"].values - float(LEARNING.equations.parameters["E"].value)
    np.testing.assert_allclose(
        full["stdp.I"].values, full["stdp.G"].values * driving, rtol=1e-12, atol=1e-15
    )
    assert np.abs(full["tm.J"].values).max() > 0
    assert order.tolist() == [5, 4, 3, 2, 1, 0]


def test_the_input_current_is_stimuli_less_synaptic_currents(full: sf.Solution) -> None:
    synaptic = full["stdp.I"].values + full["tm.I"].values[:, ::-1]
    np.testing.assert_allclose(full["b.I_stim"].values, 1.7 - synaptic, rtol=1e-12)
    assert np.ptp(synaptic) > 0


# ------------------------------------------------------------------ stores and batches


def test_every_kind_goes_through_a_store(
    tmp_path: Path, full: sf.Solution, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.zarr"
    run = simulated(KINDS, monkeypatch, sink=path)
    assert run["stdp.G"].values.tobytes() == full["stdp.G"].values[::200].tobytes()
    with xr.open_zarr(path, consolidated=False) as data:
        written, made = data.load(), run.to_xarray()
    assert set(written.variables) == set(made.variables)
    assert set(written.coords) == set(made.coords)
    for name in written.variables:
        assert written[name].dims == made[name].dims, name
        assert written[name].dtype == made[name].dtype, name
        np.testing.assert_array_equal(written[name], made[name], err_msg=str(name))
        assert written[name].attrs.get("units", "1") == made[name].attrs.get("units", "1"), name
    assert written["a.rate"].attrs["units"] == "Hz"


def test_spikes_of_a_batch_are_those_of_its_problems(tmp_path: Path) -> None:
    currents = np.array([[[1.2], [1.6]], [[2.1], [2.5]], [[1.9], [3.1]]])
    model = sf.Equations.parse(
        "dv/dt = (g*(E - v) + drive + I_stim)/C : mV\nI_stim : nA",
        g="100 nS", E="-65 mV", C="2 nF", v=-65, drive=currents * nA,
    )  # fmt: skip
    cells = sf.Population("cells", 3, model, threshold="v > -50*mV", reset="v = -65*mV")
    clamp = sf.CurrentClamp(cells, [0, 0.2, 0.4] * nA)
    settings: dict[str, Any] = {"dt": 0.1 * ms, "solver": sf.Euler()}
    record = [cells.spikes, cells.spikes.every(20 * ms), cells.rate(50 * ms), cells["v"].every(100)]
    network = sf.Network(cells, clamp)
    run = sf.simulate(network, 100 * ms, record=record, sink=tmp_path / "a.zarr", **settings)
    trains = run["cells.spikes"]
    assert trains.counts().shape == (3, 2, 3)
    assert np.ptp(trains.counts()) > 2
    np.testing.assert_array_equal(run["cells.spikes.count"].sum("time"), trains.counts())
    rates = run["cells.rate"]
    assert rates.dims == ("time", "batch_0", "batch_1")
    np.testing.assert_allclose(rates.values[1:].mean(0), trains.rates().mean(-1))
    alone = sf.Population(
        "cells", 3, model(drive=3.1 * nA), threshold="v > -50*mV", reset="v = -65*mV"
    )
    clamp = sf.CurrentClamp(alone, [0, 0.2, 0.4] * nA)
    single = sf.simulate(sf.Network(alone, clamp), 100 * ms, record=alone.spikes, **settings)
    one, wanted = trains.problem(2, 1), single["cells.spikes"]
    assert one.cells.tolist() == wanted.cells.tolist()
    np.testing.assert_allclose(one.times, wanted.times, rtol=1e-6)
    assert [len(train) for train in one.trains()] == wanted.counts().tolist()
    for wrong in ((3, 0), (0,)):
        with pytest.raises(RunError, match="not in the batch"):
            trains.problem(*wrong)
    with pytest.raises(RunError, match=r"\.problem\(0\)"):
        trains.trains()
    with xr.open_zarr(tmp_path / "a.zarr", consolidated=False) as data:
        assert data["cells.spikes.cells"].shape == (len(trains), 3)


# --------------------------------------------------------------------------- bad input

BAD: dict[str, tuple[Callable[[], Any], type[SomaflowError], str]] = {
    "edges in another unit": (
        lambda: A["v"].histogram([0, 1] * nA),
        UnitError,
        r"'edges' of 'a\.v\.histogram' is in mV, not nA",
    ),
    "an unknown projection": (
        lambda: sf.Recorder("stpd", "w", of_projection=True),
        SomaflowError,
        "no projection 'stpd'. Did you mean 'stdp'",
    ),
    "counts between steps": (
        lambda: A.spikes.every(0.25 * ms),
        RunError,
        r"the recording interval of 'a\.spikes\.count' is 0\.25 ms",
    ),
    "one key twice": (
        lambda: [A.rate(1 * ms), A[:2].rate(2 * ms)],
        RunError,
        r"two recordings are called 'a\.rate'; .* such as \.as_\('a\.rate\.other'\)",
    ),
    "a synapse that is not there": (
        lambda: LEARNING["w"][[10_000]],
        NetworkError,
        "recorded of 10000, but projection 'stdp' has [0-9]+ synapses",
    ),
    "a presynaptic cell that is not there": (
        lambda: FACILITATING["u"][[20]],
        NetworkError,
        r"has 20 presynaptic cells \(0 to 19\)",
    ),
}


@pytest.mark.parametrize(("make", "kind", "message"), BAD.values(), ids=BAD.keys())
def test_bad_recorders_are_refused_before_anything_is_written(
    make: Callable[[], Any], kind: type[SomaflowError], message: str, tmp_path: Path
) -> None:
    with pytest.raises(kind, match=message):
        simulated(make(), sink=tmp_path / "a.zarr")
    assert not (tmp_path / "a.zarr").exists()


@pytest.mark.parametrize("name", ["a/b", "", ".", "a\nb", " a"])
def test_names_that_no_store_could_hold_are_refused_where_they_are_given(name: str) -> None:
    current = sf.load("exponential_current")
    with pytest.raises(NetworkError, match="cannot be the name of a projection: it begins"):
        sf.Projection(A, B, current, name=name)
    with pytest.raises(NetworkError, match="cannot be the name of a Poisson input: it begins"):
        sf.PoissonInput(A, current, 1, name=name)
