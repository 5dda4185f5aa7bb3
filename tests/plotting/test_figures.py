"""Figures: drawn without a display or pyplot, labelled with units."""

import subprocess
import sys

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

import somaflow as sf
from somaflow.storage.sinks import Column, MemorySink
from somaflow.units import ms


def made_up(duration: float = 200.0, spikes: int = 60) -> sf.Solution:
    """A solution with invented recordings, so that no simulation is needed."""
    rng = np.random.default_rng(3)
    sizes = {"PN": 12, "LN": 5}
    rows = int(duration) + 1
    columns = [
        Column(f"{name}.spikes", "ms", None, (), tuple(range(n)), 0.0, 0, "float64")
        for name, n in sizes.items()
    ]
    columns.append(Column("PN.v", "mV", (12,), ("cell",), tuple(range(12)), 1.0, rows, "float64"))
    columns.append(Column("PN.v.mean", "mV", (), (), None, 1.0, rows, "float64"))
    sink = MemorySink()
    sink.open(tuple(columns), {})
    for name, n in sizes.items():
        times = np.sort(rng.uniform(0, duration, spikes))
        sink.spikes(f"{name}.spikes", times, rng.integers(0, n, spikes))
    voltages = rng.normal(-65, 5, (rows, 12))
    sink.rows("PN.v", 0, voltages)
    sink.rows("PN.v.mean", 0, voltages.mean(1))
    return sf.Solution(tuple(columns), sink, duration, {}, {})


def ends(ax):
    """Return x and y of both ends of each mark, [marks, 2]."""
    marks = ax.lines[0]
    x, y = (np.reshape(value, (-1, 3)) for value in marks.get_data())
    assert np.isnan(x[:, 2]).all() and np.isnan(y[:, 2]).all()
    return x[:, :2], y[:, :2]


def pixels(ax) -> np.ndarray:
    """Return what is drawn, [height, width], from 0 to 1."""
    canvas = FigureCanvasAgg(ax.figure)
    ax.set_title("", loc="right")
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].mean(axis=2) / 255


def test_a_raster_of_many_spikes_leaves_out_only_what_cannot_be_seen(monkeypatch):
    rng = np.random.default_rng(4)
    size, count = 3000, 60_000
    cells = (size * rng.random(count) ** 3).astype(int)
    spikes = sf.SpikeTrains(np.sort(rng.uniform(0, 500, count)), cells, size, 500.0)
    ax = sf.plotting.raster(spikes, Figure(figsize=(4, 2)).add_subplot())
    x, y = ends(ax)
    assert len(x) < count
    assert ax.get_title(loc="right") == f"60,000 spikes as {len(x):,} marks"
    drawn = set(zip(spikes.times, spikes.cells, strict=True))
    assert set(zip(x[:, 0], y.mean(axis=1).round().astype(int), strict=True)) <= drawn
    thinned = pixels(ax)
    every = Figure(figsize=(4, 2)).add_subplot()
    height = y[0, 1] - y[0, 0]
    x = np.stack([spikes.times, spikes.times, np.full(count, np.nan)], axis=1)
    y = cells[:, None] + [-height / 2, height / 2, np.nan]
    every.plot(x.ravel(), y.ravel(), "#1d3557", linewidth=1.7, solid_capstyle="butt")
    every.set(xlim=ax.get_xlim(), ylim=ax.get_ylim(), xlabel="time (ms)", ylabel="cell")
    difference = np.abs(thinned - pixels(every))
    assert difference.mean() < 0.03


@pytest.mark.parametrize("size", [21, 43, 100])
def test_cells_that_fire_together_all_have_their_marks(size):
    volleys = np.linspace(1, 999, 25_000 // size)
    cells = np.tile(np.arange(size), len(volleys))
    spikes = sf.SpikeTrains(np.repeat(volleys, size), cells, size, 1000.0)
    ax = sf.plotting.raster(spikes, Figure(figsize=(40, 9)).add_subplot())
    _, y = ends(ax)
    np.testing.assert_array_equal(np.bincount(y.mean(axis=1).astype(int)), len(volleys))


def test_a_raster_marks_each_spike_where_it_was():
    spikes = made_up()["PN.spikes"]
    ax = sf.plotting.raster(spikes)
    x, y = ends(ax)
    np.testing.assert_array_equal(x, np.stack([spikes.times] * 2, axis=1))
    np.testing.assert_array_equal(y, spikes.cells[:, None] + [-0.5, 0.5])
    assert ax.get_title(loc="right") == ""
    assert ax.get_xlabel() == "time (ms)"
    assert ax.get_ylabel() == "cell"


def test_a_raster_can_be_drawn_into_axes():
    ax = Figure().add_subplot()
    assert sf.plotting.raster(made_up()["LN.spikes"], ax) is ax


def test_an_empty_raster(tmp_path):
    ax = sf.plotting.raster(made_up(spikes=0)["PN.spikes"])
    ax.figure.savefig(tmp_path / "empty.png")


@pytest.mark.parametrize("arguments", [(object(),), (made_up()["PN.spikes"], object())])
def test_nonsense_has_an_error_of_ours(arguments):
    with pytest.raises(sf.errors.WrongTypeError):
        sf.plotting.raster(*arguments)


def test_a_response_needs_a_run():
    with pytest.raises(sf.errors.WrongTypeError, match=r"sf\.simulate"):
        sf.plotting.response(object())


def test_the_response_says_what_and_in_which_units(tmp_path):
    run = made_up(500.0)
    signal = 5 * np.sin(2 * np.pi * 22 * np.arange(500) / 1000)
    spectrum = sf.analysis.power_spectrum(signal)
    figure = sf.plotting.response(run, spectrum, odour=(100.0, 400.0), title="a title")
    figure.savefig(tmp_path / "figure.png")
    assert (tmp_path / "figure.png").stat().st_size > 20_000
    labels = {ax.get_xlabel() for ax in figure.axes} | {ax.get_ylabel() for ax in figure.axes}
    for unit in ("(ms)", "(mV)", "(Hz)", "(mV²/Hz)"):
        assert any(unit in label for label in labels)
    texts = [text.get_text() for ax in figure.axes for text in ax.texts]
    assert f"{spectrum.peak:.1f} Hz" in texts
    assert sum(text.startswith("PN ") for text in texts) == 3


@pytest.mark.parametrize("duration", [1.0, 40.0])
def test_a_short_silent_run_has_a_figure(tmp_path, duration):
    figure = sf.plotting.response(made_up(duration, 0), None, odour=(100.0, 600.0))
    figure.savefig(tmp_path / "figure.png")
    assert any("too short" in text.get_text() for ax in figure.axes for text in ax.texts)


def test_of_a_long_run_a_part_is_drawn(tmp_path):
    run = made_up(5000.0, 2000)
    figure = sf.plotting.response(run, odour=(1000.0, 4000.0), window=(500.0, 1500.0))
    figure.savefig(tmp_path / "figure.png")
    timed = [ax for ax in figure.axes if ax.get_xlim() == (500.0, 1500.0)]
    assert len(timed) == 6
    marks, _ = ends(timed[0])
    spikes = run["LN.spikes"].times
    assert len(marks) == np.count_nonzero((spikes >= 500) & (spikes < 1500))
    labels = [ax.get_xlabel() for ax in figure.axes]
    assert "time (ms), of a run of 5,000 ms" in labels
    (line,) = timed[-1].lines
    np.testing.assert_array_equal(line.get_xdata(), np.arange(500.0, 1500.0))
    assert timed[0].get_title() == "odour"
    assert timed[0].title.get_position()[0] == pytest.approx(0.75)


def test_a_run_that_went_on_is_drawn_where_it_was(tmp_path):
    spikes = sf.SpikeTrains(np.array([110.0]), np.array([0]), 3, 50.0, start=100.0)
    assert sf.plotting.raster(spikes).get_xlim() == (100.0, 150.0)


def test_pyplot_is_not_touched():
    code = (
        "import sys, somaflow as sf\n"
        "sf.plotting.raster\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.slow
def test_a_real_run_can_be_drawn(tmp_path):
    cells = sf.Population("PN", 4, sf.load("hodgkin_huxley_1952"))
    run = sf.simulate(sf.Network(cells), 5 * ms, record=[cells.spikes])
    sf.plotting.raster(run["PN.spikes"]).figure.savefig(tmp_path / "raster.png")


def test_rasters_show_populations_from_top_to_bottom_and_their_rates():
    run = made_up(200.0, 60)
    figure = sf.plotting.rasters(run, ["LN", "PN"], title="both", window=(100.0, 200.0))
    assert isinstance(figure, Figure)
    spikes, counts = figure.axes[::2], figure.axes[1::2]
    assert [ax.get_ylabel() for ax in spikes] == ["LN", "PN"]
    assert [ax.get_xlim() for ax in spikes] == [(100.0, 200.0)] * 2
    assert spikes[1].get_xlabel() == "time (ms)"
    for ax, name, size in zip(counts, ("LN", "PN"), (5, 12), strict=True):
        inside = len(run.read(f"{name}.spikes", 100.0, 200.0))
        assert [text.get_text() for text in ax.texts] == [f"{inside / size / 0.1:.2f} Hz"]
        assert sum(bar.get_height() for bar in ax.patches) == size


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"run": 3}, "the result of sf.simulate"),
        ({"populations": "PN"}, "names such as"),
        ({"populations": []}, "names such as"),
        ({"title": None}, "title is a text"),
        ({"window": (1.0,)}, "two times in ms"),
    ],
)
def test_rasters_refuse_what_they_cannot_draw(given, words):
    with pytest.raises(sf.errors.WrongTypeError, match=words):
        sf.plotting.rasters(**({"run": made_up(), "populations": ["PN"]} | given))
