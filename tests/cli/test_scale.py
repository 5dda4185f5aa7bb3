"""`somaflow run cortical-microcircuit --scale`: what is built, recorded, printed and kept."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

import somaflow as sf
from somaflow.cli.main import app
from somaflow.cli.request import kept_model
from somaflow.storage.folder import beside
from somaflow.storage.sinks import Column, MemorySink

SIZES = {
    "L23E": 207,
    "L23I": 58,
    "L4E": 219,
    "L4I": 55,
    "L5E": 48,
    "L5I": 11,
    "L6E": 144,
    "L6I": 29,
}


def call(*arguments: str):
    return CliRunner().invoke(app, ["run", *arguments], env={"COLUMNS": "200", "TERM": "dumb"})


@pytest.fixture
def given(monkeypatch) -> dict:
    """The arguments of `sf.simulate`, which gives two spikes for each cell of each population."""
    taken = {}

    def simulate(**arguments) -> sf.Solution:
        taken.update(arguments)
        arguments["sink"].create((), {})
        duration = arguments["duration"].to("ms").magnitude
        columns = tuple(
            Column(f"{p.name}.spikes", "ms", None, (), tuple(range(p.size)), 0.0, 0, "float64")
            for p in arguments["network"].populations
        )
        sink = MemorySink()
        sink.open(columns, {})
        for column in columns:
            cells = np.tile(np.arange(len(column.cells)), 2)
            sink.spikes(column.key, np.linspace(0, duration, len(cells)), cells)
        statistics = dict.fromkeys(("cells", "equations", "synapses", "steps"), 1)
        statistics |= {"compile_seconds": 1.0, "run_seconds": 0.5, "samples_end_ms": {}}
        statistics["spikes"] = {name: 2 * size for name, size in SIZES.items()}
        meta = {"solver": "RK4", "dtype": "float32", "duration_ms": duration}
        return sf.Solution(columns, sink, duration, meta, statistics)

    monkeypatch.setattr(sf, "simulate", simulate)
    return taken


def test_a_share_of_the_cells_is_run_at_the_models_own_step(tmp_path, given):
    out = tmp_path / "out"
    result = call(
        "cortical-microcircuit", "--scale", "0.01", "--json", "--quiet", "--out", str(out)
    )
    assert result.exit_code == 0, result.output
    assert {p.name: p.size for p in given["network"].populations} == SIZES
    assert given["dt"].to("ms").magnitude == 0.1
    assert {recorder.key for recorder in given["record"]} == {f"{name}.spikes" for name in SIZES}
    numbers = json.loads(result.stdout)
    assert numbers["rates_hz"] == dict.fromkeys(SIZES, 2.0)
    assert "lfp_peak_hz" not in numbers
    assert (out / "cortical-microcircuit.png").exists()
    # What is kept beside the results builds the same network again.
    again = kept_model(beside(str(out / "cortical-microcircuit.zarr")))
    assert again is not None
    assert again.network == given["network"]


def test_the_table_tells_rates_and_no_field_potential(tmp_path, given):
    result = call(
        "cortical-microcircuit", "--scale", "0.01", "--parameters", "dc", "--duration", "2s",
        "--dt", "0.05ms", "--out", str(tmp_path),
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert given["dt"].to("ms").magnitude == 0.05
    assert not given["network"].inputs
    flat = " ".join(result.stdout.split())
    for word in ("dc, at 0.01 of its scale", "rate of L6I", "1.00 Hz", "bhs358", "pcbi.1004490"):
        assert word in flat
    assert "LFP" not in flat


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ["antennal-lobe", "--scale", "0.1"],
            "'antennal-lobe' takes no --scale; of the models cortical-microcircuit and decision do",
        ),
        (
            ["cortical-microcircuit", "--coherence", "10"],
            "takes no --coherence; of the models decision does",
        ),
        (["decision", "--coherence", "101"], "from -100 to 100"),
        (["decision", "--scale", "0.001"], "a selective group has no cell"),
        (["cortical-microcircuit", "--scale", "0"], "above 0 and at most 1"),
        (["cortical-microcircuit", "--scale", "0.0004"], "population L5I has no cell"),
        (["cortical-microcircuit", "--parameters", "al-20hz"], "no background 'al-20hz'"),
    ],
)
def test_what_cannot_be_is_said_in_plain_words_and_leaves_nothing(tmp_path, arguments, words):
    result = call(*arguments, "--out", str(tmp_path / "out"))
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert words in result.stderr
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "out").exists()
