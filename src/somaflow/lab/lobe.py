"""The antennal lobe of the lab: under two odours, with a share of its inhibition blocked.

The second odour is the one that the model draws from another seed: the same number of cells, with
amplitudes from the same range, some of them cells of the first odour too. Where both reach a cell
their currents add.
"""

# Annotations stay text: to evaluate them would load what `somaflow --help` must not wait for.
from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

import somaflow as sf

SEED, SECOND_SEED = 1, 2
BLOCKED = "gaba_a"  # by picrotoxin
ODOURS = ("A", "B")

Cells = NDArray[np.int64]


def lobe(strength: float, picrotoxin: float, second: float) -> sf.models.AntennalLobe:
    """Return the model at one setting of the sliders.

    With a strength of 1, no picrotoxin and no second odour it is `sf.models.antennal_lobe()`.

    Args:
        strength: Of odour A; 1 is that of the model.
        picrotoxin: The share of the GABA_A conductance that is blocked, 0 to 1.
        second: The strength of odour B.
    """
    model = sf.models.antennal_lobe(seed=SEED)
    other = sf.models.antennal_lobe(seed=SECOND_SEED)
    stimuli = [
        _scaled(stimulus, population, amount, f"{odour}_{population.name}")
        for odour, source, amount in zip(ODOURS, (model, other), (strength, second), strict=True)
        for stimulus in source.network.stimuli
        for population in model.network.populations
        if population.name == stimulus.target.population.name
    ]
    projections = [_blocked(one, picrotoxin) for one in model.network.projections]
    return replace(model, network=sf.Network(model.pn, model.ln, *projections, *stimuli))


def driven(model: sf.models.AntennalLobe) -> dict[tuple[str, str], Cells]:
    """Return which cells each odour drives, by the odour and the population.

    Args:
        model: What `lobe` returned.
    """
    found = {}
    for stimulus in model.network.stimuli:
        odour, _, population = str(stimulus.name).partition("_")
        found[odour, population] = np.asarray(stimulus.target.cells, np.int64)
    return found


def _scaled(
    stimulus: sf.Stimulus, population: sf.Population, amount: float, name: str
) -> sf.Stimulus:
    pulse = stimulus.waveform
    if not isinstance(pulse, sf.SaturatingPulse):
        raise sf.errors.WrongTypeError(f"the odour is a sf.SaturatingPulse, not {pulse!r}.")
    amplitude = amount * pulse.amplitude.value * sf.units.Quantity(1.0, pulse.unit)
    return sf.Stimulus(population[stimulus.target.cells], replace(pulse, amplitude=amplitude), name)


def _blocked(projection: sf.Projection, share: float) -> sf.Projection:
    if projection.synapse_name != BLOCKED:
        return projection
    weight = projection.weight
    if not isinstance(weight, sf.units.Parameter):
        raise sf.errors.WrongTypeError(f"the weights of {projection.name} are no numbers.")
    left = (1.0 - share) * weight.value * sf.units.Quantity(1.0, weight.unit)
    return sf.Projection(
        projection.pre, projection.post, projection.synapse, projection.connector, weight=left
    )
