"""`somaflow run decision`: what is built, printed, drawn and kept."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

import somaflow as sf
from somaflow.cli.main import app
from somaflow.cli.request import kept_model
from somaflow.storage.folder import beside
from somaflow.storage.sinks import Column, MemorySink

SIZES = {"E": 160, "I": 40}


def call(*arguments: str):
    return CliRunner().invoke(app, ["run", *arguments], env={"COLUMNS": "200", "TERM": "dumb"})


@pytest.fixture
def given(monkeypatch) -> dict:
    """The arguments of `sf.simulate`; each cell of A fires every 50 ms, and one of B once."""
    taken = {}

    def simulate(**arguments) -> sf.Solution:
        taken.update(arguments)
        arguments["sink"].create((), {})
        duration = arguments["duration"].to("ms").magnitude
        sink, cells = MemorySink(), {"E": 160, "I": 40, "A": range(24), "B": range(24, 48)}
        chosen = {k: tuple(range(n) if isinstance(n, int) else n) for k, n in cells.items()}
        columns = tuple(
            Column(f"{name}.spikes", "ms", None, (), of, 0.0, 0, "float64")
            for name, of in chosen.items()
        )
        sink.open(columns, {})
        times = np.arange(25, duration, 50)
        sink.spikes("A.spikes", np.repeat(times, 24), np.tile(np.arange(24), len(times)))
        sink.spikes("B.spikes", np.array([900.0]), np.array([30]))
        statistics = dict.fromkeys(("cells", "equations", "synapses", "steps"), 1)
        statistics |= {"compile_seconds": 1.0, "run_seconds": 0.5, "samples_end_ms": {}}
        statistics["spikes"] = {"E": 320, "I": 200, "A": 24 * len(times), "B": 1}
        meta = {"solver": "Exponential midpoint", "dtype": "float64", "duration_ms": duration}
        return sf.Solution(columns, sink, duration, meta, statistics)

    monkeypatch.setattr(sf, "simulate", simulate)
    return taken


def test_a_decision_is_run_for_its_own_time_and_told(tmp_path, given):
    out = tmp_path / "out"
    arguments = ("decision", "--scale", "0.1", "--coherence", "-12.8", "--out", str(out))
    result = call(*arguments, "--json", "--quiet")
    assert result.exit_code == 0, result.output
    assert {p.name: p.size for p in given["network"].populations} == SIZES
    assert given["dt"].to("ms").magnitude == 0.1
    assert given["duration"].to("ms").magnitude == 2000
    assert isinstance(given["solver"], sf.ExponentialMidpoint)
    keys = {"E.spikes", "I.spikes", "A.spikes", "B.spikes"}
    assert {recorder.key for recorder in given["record"]} == keys
    numbers = json.loads(result.stdout)
    assert numbers["rates_hz"] == {"E": 1.0, "I": 2.5}
    assert numbers["decision_hz"] == {"A": 20.0, "B": 0.0}
    assert (out / "decision.png").exists()
    again = kept_model(beside(str(out / "decision.zarr")))
    assert again is not None
    assert again.network == given["network"]
    assert "coherence -12.8 %, at 0.1 of its scale" in again.title


def test_a_run_that_ends_before_the_motion_has_no_decision(tmp_path, given):
    result = call(
        "decision", "--scale", "0.1", "--duration", "200ms", "--solver", "rk4", "--quiet",
        "--out", str(tmp_path),
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert given["solver"] == sf.RK4()
    flat = " ".join(result.stdout.split())
    assert "rate of I" in flat
    assert "as the motion ends" not in flat
    assert "S0896-6273" in flat
