"""`somaflow run`: what it writes, what it prints, and what it refuses."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import xarray as xr
from typer.testing import CliRunner

from somaflow.cli.main import app

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
    command += ["antennal-lobe", "--duration", "2ms", "--json", "--out", str(out)]
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


def test_progress_goes_to_standard_error_without_library_noise(finished):
    _, done = finished
    assert "2 of 2 ms" in done.stderr
    assert "real time" in done.stderr
    for noise in ("absl", "cuda", "oneDNN", "XLA", "Warning"):
        assert noise not in done.stderr


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
    ]


def test_another_run_is_refused_and_the_flag_named(finished):
    out, _ = finished
    before = (out / "antennal-lobe.png").read_bytes()
    refused(call("antennal-lobe", "--duration", "1ms", "--out", str(out)), str(out), "--overwrite")
    assert (out / "antennal-lobe.png").read_bytes() == before


def test_a_figure_alone_is_not_replaced_either(tmp_path):
    (tmp_path / "antennal-lobe.png").write_text("mine")
    refused(call("antennal-lobe", "--out", str(tmp_path)), "antennal-lobe.png", "--overwrite")
    assert (tmp_path / "antennal-lobe.png").read_text() == "mine"


def test_overwrite_spares_what_is_no_store(tmp_path):
    folder = tmp_path / "antennal-lobe.zarr"
    folder.mkdir()
    (folder / "thesis.txt").write_text("mine")
    result = call("antennal-lobe", "--duration", "1ms", "--out", str(tmp_path), "--overwrite")
    refused(result, "not a results store")
    assert (folder / "thesis.txt").read_text() == "mine"


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
        (["antennal-lobe", "--seed", "-1"], ["seed", "-1"]),
        (["antennal-lobe", "--solver", "rk5"], ["rk5"]),
        (["antennal-lobe", "--dtype", "float16"], ["float16"]),
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
def test_too_large_a_step_stops_and_leaves_nothing(tmp_path):
    out = tmp_path / "deep" / "out"
    result = call(
        "antennal-lobe", "--duration", "200ms", "--dt", "0.1ms", "--solver", "euler",
        "--out", str(out),
    )  # fmt: skip
    refused(result, "dt = 0.1 ms too large")
    assert not (tmp_path / "deep").exists()


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
