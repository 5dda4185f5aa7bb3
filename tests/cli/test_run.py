"""`somaflow run`: what it writes, what it prints, and what it refuses."""

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from typer.testing import CliRunner

import somaflow as sf
from somaflow.cli.main import app
from somaflow.cli.outcome import window
from somaflow.solvers import catalogue
from somaflow.storage.sinks import Column, MemorySink
from somaflow.workers.found import find

KEYS = [
    "cells",
    "equations",
    "synapses",
    "steps",
    "solver",
    "dtype",
    "compile_seconds",
    "run_seconds",
    "times_slower_than_real_time",
    "spikes",
    "samples_end_ms",
    "lfp_peak_hz",
]


def call(*arguments: str):
    return CliRunner().invoke(app, ["run", *arguments], env={"COLUMNS": "200", "TERM": "dumb"})


def refused(result, *words: str) -> None:
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    for word in words:
        assert word in result.stderr


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run of 2 ms, by the installed command, in a process of its own."""
    out = tmp_path_factory.mktemp("run") / "out"
    command = [sys.executable, "-c", "from somaflow.cli.main import app; app()", "run"]
    command += ["antennal-lobe", "--duration", "2ms", "--json", "--quiet", "--out", str(out)]
    environment = os.environ | {"COLUMNS": "200", "NO_COLOR": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    return out, done


def test_json_is_one_object_and_nothing_else(finished):
    _, done = finished
    numbers = json.loads(done.stdout)
    assert list(numbers) == KEYS
    assert numbers["cells"] == 120
    assert numbers["steps"] == 200
    assert numbers["solver"] == "RK4"
    assert numbers["dtype"] == "float64"
    assert numbers["spikes"] == {"PN": 0, "LN": 0}
    assert numbers["lfp_peak_hz"] is None


def test_quiet_is_quiet(finished):
    _, done = finished
    assert done.stderr == ""


def test_the_store_opens_and_holds_the_recordings(finished):
    out, _ = finished
    with xr.open_zarr(out / "antennal-lobe.zarr", consolidated=False) as data:
        assert data["PN.v"].shape == (3, 90)
        assert data["PN.v.mean"].shape == (21,)
        assert data["LN.v.mean"].shape == (21,)
        assert data["PN.v"].attrs["units"] == "mV"
        assert {"PN.spikes.times", "LN.spikes.cells"} <= set(data.variables)
        assert data.attrs["seed"] == 1


def test_the_figure_is_a_picture(finished):
    out, _ = finished
    assert (out / "antennal-lobe.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert sorted(path.name for path in out.iterdir()) == [
        "antennal-lobe.png",
        "antennal-lobe.zarr",
        "antennal-lobe.zarr.run",
    ]


def test_the_request_is_kept_beside_the_results(finished):
    out, _ = finished
    kept = json.loads((out / "antennal-lobe.zarr.run" / "request.json").read_bytes())
    expected = {"model": "antennal-lobe", "parameters": None, "seed": 1, "solver": "rk4"}
    assert kept | expected == kept
    assert (kept["duration_ms"], kept["dt_ms"], kept["checkpoint_ms"]) == (2.0, 0.01, None)


@pytest.mark.slow
def test_two_workers_leave_the_numbers_of_one_process_and_say_what_they_cost(finished, tmp_path):
    try:
        find()
    except sf.errors.MissingValueError as error:
        pytest.skip(str(error))
    arguments = ["antennal-lobe", "--duration", "2ms", "--json", "--out", str(tmp_path / "out")]
    result = call(*arguments, "--workers", "2")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["steps"] == 200
    for words in ("note: cells of different workers act", "LN_to_PN", "exchanges", "sf.sweep"):
        assert words in result.stderr
    stores = (folder / "antennal-lobe.zarr" for folder in (finished[0], tmp_path / "out"))
    one, two = (xr.open_zarr(store, consolidated=False) for store in stores)
    with one, two:
        assert np.array_equal(one["PN.v"], two["PN.v"])
        assert np.array_equal(one["PN.v.mean"], two["PN.v.mean"])
    assert (tmp_path / "out" / "antennal-lobe.png").exists()


def test_another_run_is_refused_and_the_flag_named(finished):
    out, _ = finished
    before = (out / "antennal-lobe.png").read_bytes()
    result = call("antennal-lobe", "--duration", "1ms", "--out", str(out))
    refused(result, f"somaflow resume {out}", "--out", "--overwrite")
    assert (out / "antennal-lobe.png").read_bytes() == before


def test_a_figure_alone_is_not_replaced_either(tmp_path):
    (tmp_path / "antennal-lobe.png").write_text("mine")
    result = call("antennal-lobe", "--out", str(tmp_path))
    refused(result, "antennal-lobe.png", "--overwrite")
    assert "resume" not in result.stderr
    assert (tmp_path / "antennal-lobe.png").read_text() == "mine"


def test_overwrite_spares_what_is_no_store(tmp_path):
    folder = tmp_path / "antennal-lobe.zarr"
    folder.mkdir()
    (folder / "thesis.txt").write_text("mine")
    result = call("antennal-lobe", "--duration", "1ms", "--out", str(tmp_path), "--overwrite")
    refused(result, "not a results store")
    assert (folder / "thesis.txt").read_text() == "mine"


def test_overwrite_spares_what_is_no_run(tmp_path):
    folder = tmp_path / "antennal-lobe.zarr.run"
    folder.mkdir()
    (folder / "thesis.txt").write_text("mine")
    for more in ((), ("--overwrite",)):
        result = call("antennal-lobe", "--duration", "1ms", "--out", str(tmp_path), *more)
        refused(result, "holds what no run has written", "'thesis.txt'")
        assert (folder / "thesis.txt").read_text() == "mine"


def test_overwrite_spares_a_picture_of_somebody_else(tmp_path):
    (tmp_path / "antennal-lobe.png").write_bytes(b"\x89PNG of mine")
    result = call("antennal-lobe", "--out", str(tmp_path), "--overwrite")
    refused(result, "antennal-lobe.png is not a figure of this version of somaflow")
    assert (tmp_path / "antennal-lobe.png").read_bytes() == b"\x89PNG of mine"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["antenal-lobe"], ["'antenal-lobe'", "Did you mean 'antennal-lobe'"]),
        (["antennal-lobe", "--parameters", "al-20"], ["'al-20'", "Did you mean 'al-20hz'"]),
        (["antennal-lobe", "--duration", "1"], ["--duration", "no unit", "1ms or 1s"]),
        (["antennal-lobe", "--dt", "0.01mV"], ["--dt", "not a unit of time"]),
        (["antennal-lobe", "--dt", "0ms"], ["--dt", "greater than 0"]),
        (["antennal-lobe", "--dt", "-0.01ms"], ["--dt", "greater than 0"]),
        (["antennal-lobe", "--dt", "0.03ms"], ["1000 ms", "whole number of steps", "0.03 ms"]),
        (["antennal-lobe", "--duration", "0.9s", "--dt", "0.03ms"], ["recording interval", "PN.v"]),
        (["antennal-lobe", "--checkpoint", "20"], ["--checkpoint", "no unit"]),
        (["antennal-lobe", "--checkpoint", "0.015ms"], ["checkpoint", "whole number of steps"]),
        (["antennal-lobe", "--seed", "-1"], ["seed", "-1"]),
        (["antennal-lobe", "--solver", "rk5"], ["rk5"]),
        (["antennal-lobe", "--dtype", "float16"], ["float16"]),
        (["antennal-lobe", "--workers", "0"], ["--workers", "equal to 1"]),
    ],
)
def test_bad_input_is_said_in_plain_words_and_leaves_nothing(tmp_path, arguments, words):
    out = tmp_path / "out"
    refused(call(*arguments, "--out", str(out)), *words)
    assert not out.exists()


def test_a_file_in_the_way(tmp_path):
    (tmp_path / "file").write_text("")
    refused(call("antennal-lobe", "--out", str(tmp_path / "file" / "out")), "is not a folder")


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs Linux's /proc")
def test_an_unwritable_folder_is_named():
    refused(call("antennal-lobe", "--out", "/proc/somaflow"), "/proc/somaflow", "cannot be written")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_permission(tmp_path):
    tmp_path.chmod(0o500)
    try:
        refused(call("antennal-lobe", "--out", str(tmp_path / "out")), "cannot be written")
    finally:
        tmp_path.chmod(0o700)


@pytest.mark.slow
def test_too_large_a_step_stops_and_keeps_what_came_before(tmp_path):
    out = tmp_path / "deep" / "out"
    result = call(
        "antennal-lobe", "--duration", "200ms", "--dt", "0.1ms", "--solver", "euler",
        "--out", str(out),
    )  # fmt: skip
    refused(result, "dt = 0.1 ms", f"What was computed before is in {out / 'antennal-lobe.zarr'}")
    with xr.open_zarr(out / "antennal-lobe.zarr", consolidated=False) as data:
        assert "PN.v" in data
    assert not (out / "antennal-lobe.png").exists()


# -------------------------------------------------------------------- without computing


class Fake:
    """What stands in for `sf.simulate`: it keeps its arguments, and does what it is told."""

    def __init__(self, does=None):
        self.does, self.given = does, {}

    def __call__(self, **given):
        self.given = given
        if self.does is not None:
            self.does(given["sink"])
        return made_up(given["duration"].to("ms").magnitude)


def made_up(duration: float) -> sf.Solution:
    sizes, steps = {"PN": 90, "LN": 30}, round(duration)
    columns = [
        Column(f"{name}.spikes", "ms", None, (), tuple(range(n)), 0.0, 0, "float64")
        for name, n in sizes.items()
    ]
    cells = tuple(range(90))
    columns.append(Column("PN.v", "mV", (90,), ("cell",), cells, 1.0, steps + 1, "float64"))
    columns.append(Column("PN.v.mean", "mV", (), (), None, 0.1, 10 * steps + 1, "float64"))
    sink = MemorySink()
    sink.open(tuple(columns), {})
    for name in sizes:
        sink.spikes(f"{name}.spikes", np.linspace(0, duration, 7), np.arange(7))
    sink.rows("PN.v", 0, np.full((steps + 1, 90), -65.0))
    sink.rows("PN.v.mean", 0, np.sin(np.arange(10 * steps + 1) / 70) - 65)
    statistics = dict.fromkeys(("cells", "equations", "synapses", "steps"), 1)
    statistics |= {"compile_seconds": 1.0, "run_seconds": 0.5, "spikes": {"PN": 7, "LN": 7}}
    statistics |= {"samples_end_ms": {"PN.v": 99.0}}
    meta = {"solver": "RK4", "dtype": "float64", "duration_ms": duration}
    return sf.Solution(tuple(columns), sink, duration, meta, statistics)


def begins(sink) -> None:
    sink.create((), {})


def simulated_by(monkeypatch, does=begins) -> Fake:
    fake = Fake(does)
    monkeypatch.setattr(sf, "simulate", fake)
    return fake


def fails_after_it_began(error):
    def does(sink):
        begins(sink)
        raise error

    return does


def test_what_is_asked_for_is_what_is_run(tmp_path, monkeypatch):
    fake = simulated_by(monkeypatch)
    result = call(
        "antennal-lobe", "--duration", "20ms", "--dt", "20us", "--checkpoint", "0.2s",
        "--solver", "exponential-midpoint", "--dtype", "float32", "--seed", "5", "--quiet",
        "--json", "--workers", "2", "--out", str(tmp_path / "out"),
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    given = fake.given
    assert given["dt"].to("ms").magnitude == 0.02
    assert given["checkpoint"].to("ms").magnitude == 200.0
    assert isinstance(given["solver"], sf.ExponentialMidpoint)
    assert (given["dtype"], given["seed"], given["progress"]) == ("float32", 5, False)
    assert given["workers"] == 2
    assert result.stderr == ""
    assert json.loads(result.stdout)["times_slower_than_real_time"] == 25.0


@pytest.mark.slow
def test_every_method_of_networks_is_offered(tmp_path, monkeypatch):
    for name, method in catalogue.in_networks().items():
        fake = simulated_by(monkeypatch)
        out = str(tmp_path / name)
        result = call("antennal-lobe", "--duration", "20ms", "--solver", name, "--out", out)
        assert result.exit_code == 0, result.output
        assert fake.given["solver"] == getattr(sf, method.name)()
    result = call("antennal-lobe", "--solver", "tsitouras", "--out", str(tmp_path / "none"))
    assert result.exit_code == 2
    assert "is not one of" in result.stderr


def test_a_run_without_quiet_shows_progress(tmp_path, monkeypatch):
    fake = simulated_by(monkeypatch)
    result = call("antennal-lobe", "--duration", "20ms", "--out", str(tmp_path / "out"))
    assert fake.given["progress"] is True
    assert fake.given["checkpoint"] is None
    assert "loading TensorFlow" in result.stderr


def test_a_long_run_is_drawn_around_its_odour(tmp_path, monkeypatch):
    simulated_by(monkeypatch)
    drawn = []
    response = sf.plotting.response
    monkeypatch.setattr(
        sf.plotting, "response", lambda *a, **k: drawn.append(k) or response(*a, **k)
    )
    out = tmp_path / "out"
    result = call("antennal-lobe", "--duration", "3s", "--json", "--out", str(out))
    assert result.exit_code == 0, result.output
    assert drawn[0]["window"] == (0.0, 2000.0)
    assert json.loads(result.stdout)["spikes"] == {"PN": 7, "LN": 7}
    assert (out / "antennal-lobe.png").exists()


@pytest.mark.parametrize(
    ("duration", "odour", "expected"),
    [
        (2000.0, (100.0, 600.0), None),
        (2000.01, (100.0, 600.0), (0.0, 2000.0)),
        (600_000.0, (100.0, 600.0), (0.0, 2000.0)),
        (600_000.0, (5000.0, 7000.0), (4500.0, 8000.0)),
        (600_000.0, (5000.0, 90_000.0), (4500.0, 14_500.0)),
        (5000.0, (20_000.0, 30_000.0), (3000.0, 5000.0)),
        (5000.0, (4000.0, 30_000.0), (3000.0, 5000.0)),
    ],
)
def test_the_part_that_is_drawn(duration, odour, expected):
    assert window(duration, odour) == expected


def test_an_interrupt_says_how_to_go_on(tmp_path, monkeypatch):
    out = tmp_path / "out"
    stop = sf.errors.Interrupted("x", str(out / "antennal-lobe.zarr"), 5230.0, 15)
    simulated_by(monkeypatch, fails_after_it_began(stop))
    result = call("antennal-lobe", "--quiet", "--out", str(out))
    assert result.exit_code == 128 + 15
    assert result.stdout == ""
    assert result.stderr == (f"stopped at 5,230 ms by SIGTERM; go on with: somaflow resume {out}\n")
    assert (out / "antennal-lobe.zarr.run" / "request.json").exists()


EARLIER = b"\x89PNG, which holds the text Software\0somaflow"


def test_a_run_that_failed_midway_keeps_its_request_but_no_older_figure(tmp_path, monkeypatch):
    (tmp_path / "antennal-lobe.png").write_bytes(EARLIER)
    error = sf.errors.NonFiniteState("PN.v[3] is inf")
    simulated_by(monkeypatch, fails_after_it_began(error))
    result = call("antennal-lobe", "--quiet", "--overwrite", "--out", str(tmp_path))
    refused(result, "PN.v[3] is inf", f"before is in {tmp_path / 'antennal-lobe.zarr'}")
    assert (tmp_path / "antennal-lobe.zarr.run" / "request.json").exists()
    assert not (tmp_path / "antennal-lobe.png").exists()


@pytest.mark.parametrize(
    "error",
    [
        sf.errors.StoreError("there is no room"),
        sf.errors.Interrupted("stopped before the run began", None, 0.0, 2),
        sf.errors.NonFiniteState("PN.v[3] is inf"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_run_that_did_not_begin_leaves_what_was_there(error, tmp_path, monkeypatch):
    def refuses(sink):
        raise error

    folder = tmp_path / "antennal-lobe.zarr.run"
    folder.mkdir()
    (folder / "request.json").write_text("an earlier one")
    (tmp_path / "antennal-lobe.png").write_bytes(EARLIER)
    simulated_by(monkeypatch, refuses)
    result = call("antennal-lobe", "--overwrite", "--out", str(tmp_path))
    assert result.exit_code == (130 if isinstance(error, KeyboardInterrupt) else 2)
    assert "What was computed" not in result.stderr
    assert (folder / "request.json").read_text() == "an earlier one"
    assert (tmp_path / "antennal-lobe.png").read_bytes() == EARLIER


def test_a_figure_that_cannot_be_written_is_said(tmp_path, monkeypatch):
    def takes_its_place(sink):
        begins(sink)
        (tmp_path / "antennal-lobe.png").mkdir()

    simulated_by(monkeypatch, takes_its_place)
    result = call("antennal-lobe", "--duration", "20ms", "--quiet", "--out", str(tmp_path))
    refused(result, "antennal-lobe.png is not a figure that a run has drawn", "The results are in")


@dataclasses.dataclass
class Plan:
    fits: bool = True

    def __str__(self):
        return "state 7 kB"

    def to_json(self):
        return '{"state": 7000}'


@pytest.mark.parametrize(("more", "said"), [([], "state 7 kB"), (["--json"], '{"state": 7000}')])
def test_a_plan_runs_and_writes_nothing(tmp_path, monkeypatch, more, said):
    asked = []
    monkeypatch.setattr(sf, "plan", lambda **given: asked.append(given) or Plan(), raising=False)
    fake = simulated_by(monkeypatch)
    out = tmp_path / "out"
    arguments = ["antennal-lobe", "--plan", "--quiet", "--duration", "600s", "--out", str(out)]
    result = call(*arguments, "--workers", "3", *more)
    assert (result.exit_code, result.stdout) == (0, f"{said}\n")
    assert asked[0]["workers"] == 3
    assert asked[0]["duration"].to("s").magnitude == 600
    assert not fake.given
    assert not out.exists()


def test_a_plan_that_does_not_fit_ends_with_another_code(tmp_path, monkeypatch):
    monkeypatch.setattr(sf, "plan", lambda **_: Plan(fits=False), raising=False)
    result = call("antennal-lobe", "--plan", "--quiet", "--out", str(tmp_path / "out"))
    assert (result.exit_code, result.stdout) == (1, "state 7 kB\n")


@pytest.mark.slow
def test_the_table_of_a_run(tmp_path):
    out = tmp_path / "out"
    arguments = ["antennal-lobe", "--parameters", "psst-2022", "--duration", "1ms", "--seed", "2"]
    result = call(*arguments, "--solver", "euler", "--dtype", "float32", "--out", str(out))
    assert result.exit_code == 0, result.output
    flat = " ".join(result.stdout.split())
    for word in ("psst-2022", "Euler", "float32", "real time", "spikes of PN", "LFP peak", "none"):
        assert word in flat
    for word in ("B1", "B2", "antennal-lobe.png", "antennal-lobe.zarr"):
        assert word in flat
    again = call(*arguments, "--out", str(out), "--overwrite", "--json")
    assert again.exit_code == 0, again.output
    assert json.loads(again.stdout)["steps"] == 100


BEFORE = """
import sys
from typer.testing import CliRunner
from somaflow.cli.main import app
result = CliRunner().invoke(app, ["run", "antennal-lobe", *sys.argv[1:]])
print(result.exit_code, "tensorflow" in sys.modules, type(result.exception).__name__)
"""


@pytest.mark.parametrize(
    "options",
    [
        ("--duration", "1e400s"),
        ("--duration", "1e300s"),
        ("--dt", "1e-320ms"),
        ("--duration", "1ms", "--dt", "0.3ms"),
        ("--checkpoint", "0.015ms"),
        ("--duration", "1e400s", "--plan"),
        ("--seed", "-1"),
    ],
)
def test_what_cannot_be_is_refused_before_tensorflow_is_loaded(options, tmp_path) -> None:
    command = [sys.executable, "-c", BEFORE, *options, "--out", str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.stdout.split(), done.stderr) == (["2", "False", "SystemExit"], "")
