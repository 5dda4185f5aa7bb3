"""The cortical microcircuit at a tenth of its scale against NEST.

`make_microcircuit_reference.py` made the numbers of NEST.
"""

import json
from pathlib import Path

import numpy as np
import pytest
from make_microcircuit_reference import statistics

import somaflow as sf
from somaflow.models import cortical_microcircuit
from somaflow.units import ms

REFERENCE = Path(__file__).parent / "microcircuit_01.json"


@pytest.mark.slow
def test_rates_irregularity_and_correlations_are_those_of_nest() -> None:
    reference = json.loads(REFERENCE.read_text(encoding="utf-8"))
    model = cortical_microcircuit(seed=7, scale=reference["scale"])
    populations = model.network.populations
    run = sf.simulate(
        model.network,
        reference["duration"] * ms,
        dt=0.1 * ms,
        dtype="float32",
        record=[p.spikes for p in populations],
    )
    for population in populations:
        spikes = run[f"{population.name}.spikes"]
        found = statistics(
            spikes.times, spikes.cells, population.size, reference["start"], reference["duration"]
        )
        for name, least in (("rate", 0.05), ("cv", 0.02), ("correlation", 0.002)):
            others = [seed[population.name][name] for seed in reference["seeds"].values()]
            mean, sd = np.mean(others), np.std(others, ddof=1)
            assert abs(found[name] - mean) < max(5 * sd, least * (mean if name == "rate" else 1)), (
                population.name,
                name,
                found[name],
                others,
            )
