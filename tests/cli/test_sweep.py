"""`somaflow sweep`: how what varies is typed, and what is written, printed and refused."""

import json

import numpy as np
import pytest
import xarray as xr
from typer.testing import CliRunner

import somaflow as sf
from somaflow.cli import varying
from somaflow.cli.main import app
from somaflow.models import MODELS, AntennalLobe, ModelEntry
from somaflow.units import ms, mV

CELL = sf.Equations.parse("dv/dt = (E + I - v)/tau : mV", E=-65 * mV, I=0 * mV, tau=5 * ms, v=-65)


def small(parameters: str = "plain", seed: int = 1) -> AntennalLobe:
    """Three cells that fire where I is above 15 mV; `seed` moves where they begin."""
    pn = sf.Population("PN", 2, CELL, threshold="v > -50*mV", reset="v = E")
    ln = sf.Population("LN", 1, CELL, threshold="v > -50*mV", reset="v = E")
    initial = {"PN": {"v": (-65 + seed) * mV}}
    return AntennalLobe(sf.Network(pn, ln), initial, "small", "made up", pn, ln, (0.0, 1.0))


@pytest.fixture(autouse=True)
def model(monkeypatch):
    entry = ModelEntry("small", small, ("plain",), "0.1ms", duration="20ms", solver="rk4")
    monkeypatch.setitem(MODELS, "small", entry)


def call(*arguments: str):
    return CliRunner().invoke(app, ["sweep", *arguments], env={"COLUMNS": "200", "TERM": "dumb"})


@pytest.mark.parametrize(
    ("text", "values", "unit"),
    [
        ("LN->PN.g=0:0.6:13mS/cm2", [0.05 * k for k in range(13)], "mS/cm**2"),
        ("g=0:0.6:3 mS/cm**2", [0, 0.3, 0.6], "mS/cm**2"),
        ("g=0mS/cm^2:0.6:3", [0, 0.3, 0.6], "mS/cm**2"),
        ("E=-70:-50:3mV", [-70, -60, -50], "mV"),
        ("r=0:10:3 1/ms", [0, 5, 10], "1/ms"),
        ("g=80,1e2 mS", [80, 100], "mS"),
        ("g=3ms", [3], "ms"),
    ],
)
def test_values_with_a_unit(text, values, unit):
    ((name, found),) = varying.read([text]).items()
    assert name == text.partition("=")[0]
    assert sf.units.unit_text(found.units) == unit
    np.testing.assert_allclose(found.magnitude, values, rtol=1e-14)
    assert all(float(f"{x:.15g}") == x for x in found.magnitude)


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("seed=1:5", [1, 2, 3, 4, 5]),
        ("seed=7:7", [7]),
        ("seed=1,4,9", [1, 4, 9]),
        ("x=-1:1:3", [-1.0, 0.0, 1.0]),
        ("scale=0.1,0.5", [0.1, 0.5]),
        ("parameters=al-20hz, psst-2022", ["al-20hz", "psst-2022"]),
    ],
)
def test_values_without(text, values):
    (found,) = varying.read([text]).values()
    assert found == values
    assert list(map(type, found)) == list(map(type, values))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("seed", "write NAME=VALUES"),
        ("=3", "write NAME=VALUES"),
        ("a=", "write NAME=VALUES"),
        ("a=1:2.5", "say how many, such as a=1:2.5:5"),
        ("a=5:1", "counts from a up to b"),
        ("a=1:2:3:4", "a:b:n UNIT are n values"),
        ("a=1:2:1", "a whole number from 2"),
        ("a=1:2:2.5", "a whole number from 2"),
        ("a=1ms,2mV", "has the units mV and ms"),
        ("a=1:2ms:3s", "has the units ms and s"),
        ("a=1,x", "'x' is no number"),
        ("a=1,,2", "an empty place"),
        ("a=1:2:3foo", "'foo' is not a unit"),
    ],
)
def test_slips_are_said(text, words):
    with pytest.raises(sf.errors.SomaflowError) as caught:
        varying.read([text])
    assert words in str(caught.value)


def test_a_name_is_given_once():
    with pytest.raises(sf.errors.RunError, match="given twice"):
        varying.read(["a=1", "a=2"])


def test_a_sweep_leaves_a_result_and_a_figure_and_goes_on(tmp_path):
    asked = ["small", "--vary", "PN.I=10:30:2mV", "--vary", "seed=1:2", "--processes", "1"]
    done = call(*asked, "--reduce", "rate", "--json", "--out", str(tmp_path))
    assert done.exit_code == 0, done.output
    numbers = json.loads(done.stdout)
    assert (numbers["members"], numbers["failed"]) == (4, 0)
    assert numbers["axes"] == {"PN.I": 2, "seed": 2}
    with xr.open_zarr(tmp_path / "small-sweep.zarr", consolidated=False) as data:
        rates = data["PN.rate"].load()
        np.testing.assert_array_equal(data["PN.I"], [10, 30])
    for index, seed in enumerate((1, 2)):
        one = small(seed=seed)
        network = sf.Network(one.pn.__class__(**_with(one.pn, 30 * mV)), one.ln)
        run = sf.simulate(
            network, 20 * ms, dt=0.1 * ms, seed=seed, initial=one.initial, progress=False,
            record=[network.populations[0].spikes],
        )  # fmt: skip
        assert rates[1, index] == run["PN.spikes"].rates().mean() > 0
    np.testing.assert_array_equal(rates[0], 0)
    assert (tmp_path / "small-sweep.png").read_bytes().startswith(b"\x89PNG")
    again = call("--resume", str(tmp_path), "--processes", "1")
    assert again.exit_code == 0, again.output
    assert "nothing to do" in again.stderr
    assert "PN.rate" in again.stdout
    watched = CliRunner().invoke(app, ["watch", str(tmp_path)])
    assert watched.stdout == "finished: 4 of 4 members\n"
    run = CliRunner().invoke(app, ["resume", str(tmp_path)])
    assert run.exit_code == 2
    assert "somaflow sweep --resume" in run.stderr
    other = call("small", "--vary", "PN.I=1:2:2mV", "--reduce", "rate", "--out", str(tmp_path))
    assert other.exit_code == 2
    assert "another sweep" in other.stderr
    asked = ["small", "--vary", "PN.I=20,25mV", "--reduce", "rate", "--processes", "1", "--quiet"]
    new = call(*asked, "--overwrite", "--out", str(tmp_path))
    assert (new.exit_code, new.stderr) == (0, "")
    with xr.open_zarr(tmp_path / "small-sweep.zarr", consolidated=False) as data:
        np.testing.assert_array_equal(data["PN.I"], [20, 25])


def test_recordings_leave_counts_of_spikes_and_not_where_they_lie(tmp_path):
    asked = ["small", "--vary", "PN.I=10,30mV", "--record", "--processes", "1", "--quiet"]
    done = call(*asked, "--json", "--out", str(tmp_path))
    assert done.exit_code == 0, done.output
    assert set(json.loads(done.stdout)["ranges"]) == {"PN.spikes.count", "LN.spikes.count"}


def test_help_says_how_values_are_typed():
    done = call("--help")
    assert "FIRST:LAST:COUNT" in done.output
    assert all(ord(letter) < 0x2600 for letter in done.output)  # no emoji


def _with(pn, current):
    return {
        "name": pn.name,
        "size": pn.size,
        "model": CELL(I=current),
        "threshold": "v > -50*mV",
        "reset": "v = E",
    }


def test_a_plan_runs_nothing(tmp_path):
    done = call("small", "--vary", "seed=1:3", "--plan", "--json", "--out", str(tmp_path))
    assert done.exit_code == 0, done.output
    needed = json.loads(done.stdout)
    assert (needed["members"], needed["axes"], needed["fits"]) == (3, {"seed": 3}, True)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "MODEL, or --resume"),
        (["small"], "nothing varies"),
        (["smal", "--vary", "seed=1:2"], "Did you mean 'small'"),
        (["small", "--vary", "PN.J=1:2"], "PN.J"),
        (["small", "--vary", "PN.I=1:2:2ms"], "ms"),
        (["small", "--vary", "seed=1:2", "--reduce", "lfp"], "Did you mean 'lfp_peak'"),
        (["small", "--vary", "seed=1:2", "--reduce", "cv", "--record"], "in place of --reduce"),
        (["small", "--vary", "seed=1:2", "--scale", "0.5"], "takes no --scale"),
        (["--resume", "nowhere"], "nowhere is not there"),
    ],
)
def test_what_cannot_be_is_refused(arguments, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = call(*arguments)
    assert done.exit_code == 2, done.output
    assert words in done.stderr
    assert list(tmp_path.iterdir()) == []
