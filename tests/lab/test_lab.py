"""The page of the lab: what it holds, that it asks for nothing, and where it is not written."""

import json
import re
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

import somaflow as sf
from somaflow.cli.main import app
from somaflow.errors import RunError
from somaflow.lab import page
from somaflow.lab.lobe import driven, lobe
from somaflow.lab.packing import Scale, packed_spikes, unpacked_spikes
from somaflow.lab.runs import DT, DURATION, GRID, Axis, Lab, computed

TINY = (Axis("strength", (2.0,)), Axis("picrotoxin", (0.0, 1.0)), Axis("second", (0.0,)))
LINKS = (
    "https://doi.org/10.51628/001c.37893",
    "https://doi.org/10.1523/JNEUROSCI.19-01-00381.1999",
)
MOST = 15e6  # bytes


@pytest.fixture(scope="module")
def lab() -> Lab:
    """Two runs that are just long enough for spikes; the odour comes at 100 ms."""
    return computed(TINY, duration=142.0, pool=1, progress=False)


@pytest.fixture(scope="module")
def html(lab: Lab) -> str:
    return page.html(lab)


def held(html: str) -> dict:
    """What a page holds, as its script reads it."""
    found = re.findall(r'<script type="application/json" id="data">(.*?)</script>', html, re.S)
    assert len(found) == 1
    return json.loads(found[0])


# ---------------------------------------------------------------- what the page holds


def test_every_point_of_the_grid_is_there_once(html: str) -> None:
    data = held(html)
    assert [axis["name"] for axis in data["axes"]] == [axis.name for axis in TINY]
    assert [tuple(axis["values"]) for axis in data["axes"]] == [axis.values for axis in TINY]
    places = [tuple(point["at"]) for point in data["points"]]
    assert places == list(product(*(range(len(axis.values)) for axis in TINY)))


def test_spikes_come_back_exactly(lab: Lab, html: str) -> None:
    counts = []
    for run, point in zip(lab.runs, held(html)["points"], strict=True):
        for name, spikes in run.spikes.items():
            steps, cells = unpacked_spikes(point["spikes"][name])
            assert np.array_equal(steps, np.rint(spikes.times / DT))
            assert np.array_equal(cells, spikes.cells)
            counts.append(len(spikes))
    assert min(counts[::2]) > 0, "no PN has fired, so nothing was compared"


def test_traces_come_back_within_half_a_step(lab: Lab, html: str) -> None:
    data = held(html)
    field, power = (Scale(**data["scales"][name]) for name in ("field", "spectrum"))
    for run, point in zip(lab.runs, data["points"], strict=True):
        pairs = [(field, run.field, point["field"])]
        pairs += [
            (Scale(**shown["scale"]), trace, text)
            for shown, trace, text in zip(data["shown"], run.traces, point["traces"], strict=True)
        ]
        density = power.unpacked(point["spectrum"])
        pairs.append((power, run.spectrum.density[: len(density)], point["spectrum"]))
        for scale, values, text in pairs:
            assert np.abs(scale.unpacked(text) - values).max() <= 0.5001 * scale.step
        assert (len(density) - 1) * data["frequency"] == pytest.approx(100, abs=0.25)
    assert all(0 < shown["scale"]["step"] < 0.01 for shown in data["shown"])  # mV


def test_a_page_holds_what_drives_the_cells_that_it_shows(lab: Lab) -> None:
    a, b = (set(lab.driven[odour, "PN"].tolist()) for odour in "AB")
    kinds = {(True, False): "A", (True, True): "A+B", (False, True): "B", (False, False): "neither"}
    for population, cell, drive in lab.shown:
        if population == "PN":
            assert kinds[cell in a, cell in b] == drive
    assert [drive for _, _, drive in lab.shown] == ["A", "A+B", "B", "neither", "A"]


def test_without_inhibition_a_cell_that_no_odour_drives_feels_nothing(lab: Lab) -> None:
    place = [drive for _, _, drive in lab.shown].index("neither")
    ends = round(100 / lab.every)
    inhibited, free = (run.traces[place][ends:] for run in lab.runs)
    assert np.ptp(free) < 0.05 and inhibited.min() < free.min() - 0.05  # mV


def test_rates_are_of_the_odour(lab: Lab) -> None:
    run = lab.runs[0]
    times = run.spikes["PN"].times
    assert run.rates["PN"] == pytest.approx(1000 * np.sum(times >= 100) / (90 * 42))


def test_the_page_says_how_it_was_made_and_asks_for_nothing(html: str) -> None:
    rest = re.sub(r'<script type="application/json".*?</script>', "", html, flags=re.S)
    assert not re.findall(r"\[\[\w+\]\]", rest)
    for told in (f"somaflow {page_version(html)}", "RK4", "CC BY 4.0", "Apache-2.0", page.MARK):
        assert told in rest
    assert set(re.findall(r"https?:[^\"<> )]*", html)) == set(LINKS)
    assert len(re.findall(r"https?:", html)) == html.count('<a href="https://doi.org/')
    asking = r"\bsrc\s*=|@import|\bfetch\s*\(|XMLHttpRequest|\burl\(|\bimport\s*\(|WebSocket|//cdn"
    assert not re.search(asking, rest)
    assert re.findall(r"<link [^>]*>", rest) == ['<link rel="icon" href="data:,">']
    assert page.MARK in html[: page._HEAD]


def page_version(html: str) -> str:
    found = re.search(r"runs of somaflow (\S+) \(TensorFlow", html)
    assert found
    return found[1]


def test_the_page_of_the_whole_grid_is_small(lab: Lab, html: str) -> None:
    points = np.prod([len(axis.values) for axis in GRID])
    share = len(json.dumps(held(html)["points"])) / len(lab.runs) * DURATION / lab.duration
    assert points * share + len(html) < MOST


# ---------------------------------------------------------------- the model


def test_without_anything_it_is_the_model_itself() -> None:
    ours, model = lobe(1.0, 0.0, 0.0).network, sf.models.antennal_lobe().network
    for one, other in zip(ours.projections, model.projections, strict=True):
        assert one.connector == other.connector and one.synapse == other.synapse
        assert float(one.weight.value) == float(other.weight.value)
    for one, other in zip(ours.stimuli, model.stimuli, strict=False):
        assert np.array_equal(one.target.cells, other.target.cells)
        assert np.array_equal(one.waveform.amplitude.value, other.waveform.amplitude.value)
    assert all(not np.any(extra.waveform.amplitude.value) for extra in ours.stimuli[2:])


def test_picrotoxin_scales_inhibition_alone() -> None:
    whole, left = (lobe(1.0, share, 0.0).network.projections for share in (0.0, 0.6))
    pairs = zip(whole, left, strict=True)
    ratios = {one.name: float(other.weight.value / one.weight.value) for one, other in pairs}
    assert ratios == pytest.approx({"PN_to_LN": 1.0, "LN_to_PN": 0.4, "LN_to_LN": 0.4})


def test_odours_share_some_cells_and_add() -> None:
    model = lobe(0.5, 0.0, 1.0)
    cells = driven(model)
    for name in ("PN", "LN"):
        a, b = (set(cells[odour, name].tolist()) for odour in "AB")
        assert a & b and a - b and b - a and len(a) == len(b)
    assert [stimulus.name for stimulus in model.network.stimuli] == ["A_PN", "A_LN", "B_PN", "B_LN"]


# ---------------------------------------------------------------- packing


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=50))
def test_a_scale_holds_its_range(values: list[float]) -> None:
    scale = Scale.of(min(values), max(values))
    back = scale.unpacked(scale.packed(values))
    assert np.abs(back - values).max() <= 0.5 * scale.step + 1e-9 * max(map(abs, values))


def test_what_is_constant_comes_back() -> None:
    scale = Scale.of(-70.0, -70.0)
    assert np.array_equal(scale.unpacked(scale.packed([-70.0] * 3)), [-70.0] * 3)


@given(st.lists(st.tuples(st.integers(0, 65535), st.integers(0, 255)), max_size=50))
def test_spikes_are_whole_steps(spikes: list[tuple[int, int]]) -> None:
    steps, cells = np.array(spikes, np.int64).reshape(-1, 2).T
    back = unpacked_spikes(packed_spikes(steps * DT, cells, DT))
    assert np.array_equal(back[0], steps) and np.array_equal(back[1], cells)


@pytest.mark.parametrize(("time", "cell", "what"), [(655.36, 0, "steps"), (1.0, 256, "cells")])
def test_what_does_not_fit_is_refused(time: float, cell: int, what: str) -> None:
    with pytest.raises(RunError, match=what):
        packed_spikes([time], [cell], 0.01)


# ---------------------------------------------------------------- the command


def call(*arguments: str):
    return CliRunner().invoke(app, ["lab", *arguments], env={"COLUMNS": "200", "TERM": "dumb"})


@pytest.fixture
def never(monkeypatch: pytest.MonkeyPatch) -> None:
    def computes() -> Lab:
        raise AssertionError("something was computed")

    monkeypatch.setattr(page, "computed", computes)


def test_the_command_writes_one_file_and_says_which(
    lab: Lab, html: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page, "computed", lambda: lab)
    for _ in range(2):  # its own page is replaced
        done = call("--static", str(tmp_path / "new" / "folder"))
        assert done.exit_code == 0, done.output
        assert re.search(r"new/folder/antennal-lobe\.html +\d+\.\d MB\n$", done.stdout)
        made = tmp_path / "new" / "folder" / page.NAME
        assert made.read_text("utf-8") == html
        assert list(made.parent.iterdir()) == [made]


@pytest.mark.usefixtures("never")
@pytest.mark.parametrize("below", ["", "folder", "folder/folder"])
def test_a_file_in_place_of_the_folder_is_refused_first(tmp_path: Path, below: str) -> None:
    (tmp_path / "file").write_text("a thesis")
    done = call("--static", str(tmp_path / "file" / below))
    assert done.exit_code == 2
    assert done.stderr.startswith("error: ") and "Traceback" not in done.stderr
    assert "is a file" in done.stderr or "cannot be written: Not a directory" in done.stderr
    assert (tmp_path / "file").read_text() == "a thesis"


@pytest.mark.usefixtures("never")
def test_a_folder_that_cannot_be_written_is_refused_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tempfile.NamedTemporaryFile", refuse)
    done = call("--static", str(tmp_path))
    assert done.exit_code == 2
    assert "antennal-lobe.html cannot be written: Permission denied" in done.stderr


@pytest.mark.usefixtures("never")
def test_a_page_of_somebody_else_stays(tmp_path: Path) -> None:
    other = tmp_path / page.NAME
    other.write_text("<!DOCTYPE html><title>my own</title>")
    done = call("--static", str(tmp_path))
    assert done.exit_code == 2 and "not a page that somaflow has made" in done.stderr
    assert "my own" in other.read_text()


def test_the_folder_has_to_be_named() -> None:
    done = call()
    assert done.exit_code == 2 and "--static" in done.output
