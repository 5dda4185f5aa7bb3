"""The pages on published models run, and their numbers hold."""

import json
from typing import Any

import numpy as np
import pytest
from pages import DOCS, run

import somaflow as sf
from somaflow.units import ms

REFERENCES = DOCS.parent / "tests/references"


@pytest.mark.slow
def test_the_page_on_brunels_network_has_four_states_and_the_rates_of_its_theory() -> None:
    names: dict[str, Any] = run(DOCS / "models/brunel.md")
    found, theory = names["found"], names["theory"]
    rate, irregular, _ = (
        dict(zip(found, column, strict=True)) for column in zip(*found.values(), strict=True)
    )
    for state, expected in theory.items():
        assert rate[state] == pytest.approx(expected, rel=0.1), state
    assert irregular["SR"] < 0.1
    assert irregular["AI"] > 0.6
    assert irregular["SI fast"] > 0.6
    # NEST's 37.41 Hz of the benchmark, of the whole network.
    assert names["whole"] == pytest.approx(37.41, rel=0.02)


@pytest.mark.slow
def test_the_page_on_working_memory_remembers_the_angle_as_in_brian2() -> None:
    names: dict[str, Any] = run(DOCS / "models/working-memory.md")
    path = REFERENCES / "memory.json"
    others = list(json.loads(path.read_text(encoding="utf-8"))["seeds"].values())
    bump, before = (np.mean([other[k] for other in others]) for k in ("bump", "before"))
    assert names["late"][names["within"]].mean() == pytest.approx(bump, rel=0.25)
    assert names["before"] == pytest.approx(before, abs=1.0)
    assert names["early_angle"] == pytest.approx(180, abs=15)
    assert names["late_angle"] == pytest.approx(180, abs=25)
    # The bump stands in a quiet ring.
    assert names["late"][~names["within"]].mean() < names["late"][names["within"]].mean() / 2


def decided(run: sf.Solution) -> np.ndarray:
    """Rates in Hz of A and B before the motion and as it ends, [window, group]."""
    windows = ((200, 500), (1300, 1500))
    return np.array(
        [[run.read(f"{k}.spikes", *window).rates().mean() for k in "AB"] for window in windows]
    )


@pytest.mark.slow(seconds=30)
def test_the_page_on_a_decision_decides_as_in_brian2() -> None:
    names: dict[str, Any] = run(DOCS / "models/decision.md")
    found = [decided(names["run"])]
    assert found[0][1].tolist() == [names["last"]["A"], names["last"]["B"]]
    for seed, coherence in ((2, 51.2), (3, 51.2), (1, -51.2)):
        model = sf.models.decision(seed=seed, scale=0.25, coherence=coherence)
        spikes = [group.spikes.as_(f"{k}.spikes") for k, group in model.groups.items()]
        solver = sf.ExponentialMidpoint()
        again = sf.simulate(
            model.network, 1500 * ms, dt=0.1 * ms, solver=solver, seed=seed, record=spikes
        )
        found.append(decided(again))
    assert all(right > 3 * wrong for right, wrong in (each[1] for each in found[:3]))
    assert found[3][1][1] > 3 * found[3][1][0]  # towards B
    text = (REFERENCES / "decision.json").read_text(encoding="utf-8")
    others = [[each[k][:2] for k in ("before", "late")] for each in json.loads(text)["runs"]]
    # When a network decides differs from seed to seed, and so does the rate of A.
    assert np.mean(found[:3], axis=0) == pytest.approx(np.mean(others, axis=0), rel=0.35, abs=1.0)
