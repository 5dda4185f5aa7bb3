"""The decision network at a quarter of its scale against Brian2.

`make_decision_reference.py` made the numbers of Brian2.
"""

import json
from pathlib import Path

import numpy as np
import pytest
from make_decision_reference import DURATION, rates

import somaflow as sf
from somaflow.models import decision
from somaflow.units import ms

REFERENCE = Path(__file__).parent / "decision.json"
SCALE, SEEDS = 0.25, (1, 2, 3)


def simulated(seed: int, coherence: float) -> dict[str, list[float]]:
    model = decision(seed=seed, scale=SCALE, coherence=coherence)
    excite, inhibit = model.network.populations
    run = sf.simulate(
        model.network,
        DURATION * ms,
        dt=0.1 * ms,
        solver=sf.ExponentialEuler(),
        seed=seed,
        record=[excite.spikes, inhibit.spikes],
    )
    trains = [run[f"{cells.name}.spikes"] for cells in (excite, inhibit)]
    spikes = [(train.times, train.cells) for train in trains]
    return rates(*spikes, (excite.size, inhibit.size, len(model.groups["A"])))


@pytest.mark.slow
def test_the_network_decides_as_in_brian2() -> None:
    reference = json.loads(REFERENCE.read_text(encoding="utf-8"))["runs"]
    others = [run for run in reference if run["scale"] == SCALE and run["coherence"] == 51.2]
    runs = [simulated(seed, 51.2) for seed in SEEDS]
    for window in ("before", "late"):
        found = np.mean([run[window] for run in runs], axis=0)
        expected = np.mean([run[window] for run in others], axis=0)
        # When a network decides differs from seed to seed, and so does the rate of A.
        assert found == pytest.approx(expected, rel=0.35, abs=1.0), window
    # Motion of 51.2 % is seen rightly, and of the other direction too.
    assert all(run["late"][0] > 3 * run["late"][1] for run in runs)
    back = simulated(SEEDS[0], -51.2)
    assert back["late"][1] > 3 * back["late"][0]
