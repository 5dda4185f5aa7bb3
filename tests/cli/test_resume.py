"""`somaflow resume`: what it goes on with, what it says, and what it refuses."""

import json
import os
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import somaflow as sf
from somaflow.cli.main import app
from somaflow.cli.request import Request, kept_model
from somaflow.storage.folder import beside
from somaflow.storage.sinks import Column, MemorySink
from somaflow.units import ms


def call(*arguments: str):
    return CliRunner().invoke(app, ["resume", *arguments], env={"COLUMNS": "200", "TERM": "dumb"})


def made_up(duration: float, seconds: float = 0.5) -> sf.Solution:
    """A run of the antennal lobe, with invented recordings."""
    rows = round(duration) + 1
    columns = [
        Column(f"{name}.spikes", "ms", None, (), tuple(range(n)), 0.0, 0, "float64")
        for name, n in (("PN", 90), ("LN", 30))
    ]
    cells = tuple(range(90))
    columns.append(Column("PN.v", "mV", (90,), ("cell",), cells, 1.0, rows, "float64"))
    columns.append(Column("PN.v.mean", "mV", (), (), None, 0.1, 10 * rows - 9, "float64"))
    sink = MemorySink()
    sink.open(tuple(columns), {})
    sink.spikes("PN.spikes", np.arange(7.0), np.arange(7))
    sink.rows("PN.v", 0, np.full((rows, 90), -65.0))
    sink.rows("PN.v.mean", 0, np.full(10 * rows - 9, -65.0))
    statistics = dict.fromkeys(("cells", "equations", "synapses", "steps"), 1)
    statistics |= {"compile_seconds": 1.0, "run_seconds": seconds, "spikes": {"PN": 7, "LN": 0}}
    statistics |= {"samples_end_ms": {}}
    meta = {"solver": "RK4", "dtype": "float64", "duration_ms": duration}
    return sf.Solution(tuple(columns), sink, duration, meta, statistics)


class Fake:
    """What stands in for `sf.resume`: it keeps its arguments, and tells that it is finished."""

    def __init__(self, begun: float, total: float):
        self.begun, self.total, self.given = begun, total, {}

    def __call__(self, path, duration=None, **given):
        self.given = {"path": path, "duration": duration, **given}
        tell(path, "finished", self.total, self.total, self.begun)
        return made_up(self.total, 0.5 if self.total > self.begun else 0.0)


def tell(store, state, done, total, begun=0.0):
    progress = {"done": done, "total": total, "begun": begun, "seconds": 0.5, "spikes": 7}
    told = {"state": state, "sentence": "", "host": "x", "pid": 1, "updated": time.time()}
    told["progress"] = progress | {"memory": 0}
    beside(store).write("progress.json", json.dumps(told).encode())


@pytest.fixture
def store(tmp_path):
    """A run by the command line that was stopped at 10 of 20 ms."""
    request = Request("antennal-lobe", None, 20.0, 0.01, "rk4", "float64", 4, tmp_path / "out")
    beside(request.store).write("request.json", request.text())
    tell(request.store, "interrupted", 10.0, 20.0)
    return request.store


def resumed_by(monkeypatch, begun=10.0, total=20.0) -> Fake:
    fake = Fake(begun, total)
    monkeypatch.setattr(sf, "resume", fake, raising=False)
    return fake


def test_a_run_goes_on_and_is_drawn(store, monkeypatch):
    fake = resumed_by(monkeypatch)
    result = call(str(store.parent))
    assert result.exit_code == 0, result.output
    given = {"path": str(store), "duration": None, "checkpoint": None}
    assert fake.given == given | {"exact": True, "workers": None, "progress": True}
    assert store.with_suffix(".png").read_bytes()[:4] == b"\x89PNG"
    flat = " ".join(result.stdout.split())
    for words in ("al-20hz", "spikes of PN", "antennal-lobe.png", "antennal-lobe.zarr"):
        assert words in flat
    assert "nothing is left" not in result.stderr


def test_the_speed_is_that_of_the_time_computed_now(store, monkeypatch):
    resumed_by(monkeypatch)
    result = call(str(store), "--json", "--quiet")
    assert json.loads(result.stdout)["times_slower_than_real_time"] == 50.0
    assert result.stderr == ""


def test_what_is_asked_for_is_what_is_done(store, monkeypatch):
    fake = resumed_by(monkeypatch, total=40.0)
    result = call(
        str(store), "--duration", "0.04s", "--checkpoint", "5ms", "--not-exact", "--workers", "3",
        "--quiet",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert fake.given["duration"].to("ms").magnitude == 40.0
    assert fake.given["checkpoint"].to("ms").magnitude == 5.0
    assert (fake.given["exact"], fake.given["progress"]) == (False, False)
    assert fake.given["workers"] == 3


@pytest.mark.parametrize("more", [[], ["--duration", "20ms"]])
def test_where_nothing_is_left_it_says_so_and_draws_again(store, monkeypatch, more):
    tell(store, "finished", 20.0, 20.0)
    resumed_by(monkeypatch, begun=20.0)
    result = call(str(store), *more)
    assert result.exit_code == 0, result.output
    assert "nothing is left to do: all 20 ms are computed" in result.stderr
    assert "real time" not in result.stdout
    assert store.with_suffix(".png").exists()


def test_a_finished_run_that_is_made_longer_has_something_left(store, monkeypatch):
    tell(store, "finished", 20.0, 20.0)
    resumed_by(monkeypatch, begun=20.0, total=30.0)
    assert "nothing is left" not in call(str(store), "--duration", "30ms").stderr


def test_a_run_from_python_has_a_table_and_no_figure(store, monkeypatch):
    beside(store).remove("request.json")
    resumed_by(monkeypatch)
    result = call(str(store))
    assert result.exit_code == 0, result.output
    assert "spikes of PN" in result.stdout
    assert not store.with_suffix(".png").exists()
    assert "figure" not in result.stdout


def test_the_model_is_the_one_that_was_asked_for(store):
    model = kept_model(beside(store))
    assert model is not None
    expected = sf.models.antennal_lobe("al-20hz", 4)
    assert model.network == expected.network
    assert model.network != sf.models.antennal_lobe("al-20hz", 5).network


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"{", "damaged"),
        (b"[]", "damaged"),
        (b'{"format": 1, "model": "antennal-lobe"}', "damaged"),
        (b'{"format": 2}', "format 2"),
        (b'{"format": 1, "model": "ant", "parameters": null, "seed": 1}', "no model 'ant'"),
    ],
)
def test_a_request_that_cannot_be_read_is_named(store, monkeypatch, data, words):
    beside(store).write("request.json", data)
    fake = resumed_by(monkeypatch)
    result = call(str(store))
    assert (result.exit_code, result.stdout) == (2, "")
    assert words in result.stderr
    assert not fake.given


def test_damaged_progress_does_not_keep_a_run_from_going_on(store, monkeypatch):
    beside(store).write("progress.json", b"{")
    resumed_by(monkeypatch)
    assert call(str(store)).exit_code == 0


def test_a_warning_is_a_plain_line(store, monkeypatch):
    def resume(path, duration=None, **given):
        warnings.warn("checkpoint-7 is damaged; the one at 5 ms is used.", stacklevel=2)
        return made_up(20.0)

    monkeypatch.setattr(sf, "resume", resume, raising=False)
    result = call(str(store), "--quiet")
    assert result.exit_code == 0, result.output
    assert result.stderr == "note: checkpoint-7 is damaged; the one at 5 ms is used.\n"


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (sf.errors.NonFiniteState("PN.v[3] is inf"), 2, ["error: PN.v[3] is inf", "before is in"]),
        (sf.errors.RunError("the processor is another"), 2, ["error: the processor is another"]),
    ],
)
def test_errors_are_said_in_plain_words(store, monkeypatch, error, code, words):
    def resume(path, duration=None, **given):
        raise error

    monkeypatch.setattr(sf, "resume", resume, raising=False)
    result = call(str(store))
    assert (result.exit_code, result.stdout) == (code, "")
    for word in words:
        assert word in result.stderr


def test_an_interrupt_says_how_to_go_on(store, monkeypatch):
    def resume(path, duration=None, **given):
        raise sf.errors.Interrupted("x", path, 12.5, 2)

    monkeypatch.setattr(sf, "resume", resume, raising=False)
    result = call(str(store), "--quiet")
    assert result.exit_code == 130
    said = f"stopped at 12.5 ms by SIGINT; go on with: somaflow resume {store.parent}\n"
    assert result.stderr == said


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere"], "is not there"),
        ([".", "--duration", "2"], "no unit"),
        ([".", "--checkpoint", "2"], "no unit"),
    ],
)
def test_bad_input_is_said_in_plain_words(arguments, words):
    result = call(*arguments)
    assert result.exit_code == 2
    assert words in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.slow
def test_a_real_run_from_python_goes_on(tmp_path):
    cells = sf.Population("cells", 2, sf.load("hodgkin_huxley_1952"))
    store = tmp_path / "out" / "hh.zarr"
    record = [cells.spikes, cells["v"].every(1 * ms)]
    sf.simulate(sf.Network(cells), 5 * ms, record=record, sink=str(store), progress=False)
    result = call(str(store.parent), "--duration", "8ms", "--json", "--quiet")
    assert result.exit_code == 0, result.output
    numbers = json.loads(result.stdout)
    assert (numbers["steps"], numbers["spikes"]) == (800, {"cells": 0})
    assert "lfp_peak_hz" not in numbers
    again = json.loads(call(str(store.parent), "--json", "--quiet").stdout)
    assert again["times_slower_than_real_time"] is None
    assert again["spikes"] == {"cells": 0}


# -------------------------------------------------------------------- the whole of it


def somaflow(*arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", "from somaflow.cli.main import app; app()", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.slow(seconds=25)
@pytest.mark.skipif(os.name != "posix", reason="needs signals")
def test_a_run_is_stopped_watched_and_gone_on_with(tmp_path):
    out = tmp_path / "out"
    told = out / "antennal-lobe.zarr.run" / "progress.json"
    run = somaflow("run", "antennal-lobe", "--duration", "1s", "--out", str(out), "--quiet")
    while run.poll() is None and not told.exists():
        time.sleep(0.1)
    run.send_signal(signal.SIGTERM)
    _, said = run.communicate()
    assert run.returncode == 128 + signal.SIGTERM
    assert said.endswith(f"go on with: somaflow resume {out}\n")
    assert not (out / "antennal-lobe.png").exists()
    watch = somaflow("watch", str(out))
    assert watch.communicate()[0].startswith("interrupted: stopped at ")
    assert watch.returncode == 1
    resume = somaflow("resume", str(out), "--json", "--quiet")
    numbers = json.loads(resume.communicate()[0])
    assert (numbers["steps"], resume.returncode) == (100_000, 0)
    assert numbers["spikes"]["PN"] > 100
    assert Path(out / "antennal-lobe.png").exists()
    watch = somaflow("watch", str(out), "--once")
    assert watch.communicate()[0].startswith("finished: 1,000 of 1,000 ms")
    assert watch.returncode == 0
