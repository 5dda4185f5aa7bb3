"""Solution: parts of a recording, read without the rest."""

import numpy as np
import pytest

import somaflow as sf
from somaflow.errors import StoreError
from somaflow.storage.sinks import Column, MemorySink
from somaflow.units import mV, second

COLUMNS = (
    Column("a.v", "mV", (3,), ("cell",), (0, 1, 2), 0.1, 1001, "float64", start=50.0),
    Column("a.spikes", "ms", None, (), (0, 1, 2), 0.0, 0, "float64", start=50.0),
)
VALUES = np.arange(3003.0).reshape(1001, 3)
TIMES = 50.0 + np.arange(0, 100.5, 0.5)  # with one at the very end


@pytest.fixture(params=["memory", "store"])
def run(request, tmp_path):
    """A run from 50 to 150 ms."""
    sink = MemorySink() if request.param == "memory" else sf.ZarrSink(tmp_path / "a.zarr")
    sink.open(COLUMNS, {})
    sink.rows("a.v", 0, VALUES[:600])
    sink.rows("a.v", 600, VALUES[600:])
    sink.spikes("a.spikes", TIMES, np.arange(len(TIMES)) % 3)
    sink.close()
    return sf.Solution(COLUMNS, sink, 100.0, {}, {})


@pytest.mark.parametrize(
    ("start", "stop", "first", "last"),
    [
        (None, None, 0, 1001),
        (50.0, None, 0, 1001),
        (None, 150.0, 0, 1000),
        (0.0, 1e9, 0, 1000),
        (60.0, 70.0, 100, 200),
        (60.05, 70.05, 101, 201),
        (0.06 * second, 0.07 * second, 100, 200),
        (50.3, 50.4, 3, 4),
        (149.9, None, 999, 1001),
    ],
)
def test_the_samples_between_two_times(run, start, stop, first, last):
    found = run.read("a.v", start, stop)
    np.testing.assert_array_equal(found, VALUES[first:last])
    np.testing.assert_array_equal(found.time, np.asarray(run["a.v"].time)[first:last])
    assert found.attrs == run["a.v"].attrs


def test_the_spikes_between_two_times(run):
    found = run.read("a.spikes", 60.0, 70.0)
    np.testing.assert_array_equal(found.times, np.arange(60.0, 70.0, 0.5))
    np.testing.assert_array_equal(found.cells, np.arange(20, 40) % 3)
    assert (found.start, found.duration, found.size) == (60.0, 10.0, 3)
    assert found.rates().sum() == pytest.approx(2000.0)


def test_without_a_stop_the_last_spike_is_there(run):
    assert run.read("a.spikes", 149.0).times[-1] == 150.0
    assert len(run.read("a.spikes")) == len(run["a.spikes"]) == len(TIMES)


@pytest.mark.parametrize(
    ("start", "stop"), [(150.0, None), (70.0, 60.0), (60.0, 60.0), (None, 50.0), (200.0, 300.0)]
)
@pytest.mark.parametrize("key", ["a.v", "a.spikes"])
def test_no_part_of_the_run(run, key, start, stop):
    with pytest.raises(sf.errors.RunError, match="the run goes from 50 to 150 ms"):
        run.read(key, start, stop)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("b.v",), sf.errors.UnknownNameError),
        ((object(),), sf.errors.UnknownNameError),
        (("a.v", object()), sf.errors.WrongTypeError),
        (("a.v", 60.0, "late"), sf.errors.SomaflowError),
        (("a.v", 1 * mV), sf.errors.UnitError),
    ],
)
def test_nonsense(run, arguments, error):
    with pytest.raises(error):
        run.read(*arguments)


def test_of_a_store_only_the_part_is_read(tmp_path, monkeypatch):
    column = Column("a.v", "mV", (1000,), ("cell",), None, 1.0, 2000, "float64")
    sink = sf.ZarrSink(tmp_path / "a.zarr")
    sink.open((column,), {})
    sink.rows("a.v", 0, np.ones((2000, 1000)))
    sink.close()
    chunks = sorted((tmp_path / "a.zarr" / "a.v" / "c").iterdir(), key=lambda path: int(path.name))
    for path in chunks[2:]:
        (path / "0").unlink()
    run = sf.Solution((column,), sink, 2000.0, {}, {})
    assert np.isfinite(run.read("a.v", 0.0, 200.0)).all()
    with pytest.raises(StoreError, match=r"chunk 2 of a\.v \(rows .*\) is missing"):
        run["a.v"]


def test_a_sink_of_ones_own_need_not_know_of_parts():
    class Own(MemorySink):
        def read(self, key):
            return VALUES

    sink = Own()
    sink.open(COLUMNS, {})
    run = sf.Solution(COLUMNS, sink, 100.0, {}, {})
    np.testing.assert_array_equal(run["a.v"], VALUES)


@pytest.mark.slow
def test_a_solve_forwards_and_backwards():
    for t0, t1, expected in ((1.0, 2.0, [1.3, 1.4, 1.5]), (2.0, 1.0, [1.5, 1.4, 1.3])):
        run = sf.solve(
            lambda t, y: {"x": -y["x"]}, {"x": 1.0}, t0=t0, t1=t1, dt=0.1, every=0.1,
            solver=sf.RK4(),
        )  # fmt: skip
        found = run.read("x", 1.25, 1.55)
        np.testing.assert_allclose(found.time, expected)
        np.testing.assert_array_equal(found, run["x"].sel(time=found.time))


@pytest.mark.slow
def test_a_solve_that_is_kept_at_one_time_only():
    run = sf.solve(lambda t, y: -y, 1.0, t1=1.0, at=[0.5])
    np.testing.assert_allclose(run["y"].values, [np.exp(-0.5)], rtol=1e-6)
    np.testing.assert_array_equal(run.read("y", 0.2).time, [0.5])
    with pytest.raises(sf.errors.RunError, match="there is nothing"):
        run.read("y", 0.2, 0.5)
