"""The pages on published models run, and their numbers hold."""

import json
from typing import Any

import numpy as np
import pytest
from pages import DOCS, run


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
    path = DOCS.parent / "tests/references/memory.json"
    others = list(json.loads(path.read_text(encoding="utf-8"))["seeds"].values())
    bump, before = (np.mean([other[k] for other in others]) for k in ("bump", "before"))
    assert names["late"][names["within"]].mean() == pytest.approx(bump, rel=0.25)
    assert names["before"] == pytest.approx(before, abs=1.0)
    assert names["early_angle"] == pytest.approx(180, abs=15)
    assert names["late_angle"] == pytest.approx(180, abs=25)
    # The bump stands in a quiet ring.
    assert names["late"][~names["within"]].mean() < names["late"][names["within"]].mean() / 2
