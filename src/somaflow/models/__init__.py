"""Models that are ready to run, written with the public API only.

`MODELS` lists them; `somaflow models` prints it and `somaflow run NAME` runs one.
"""

from collections.abc import Callable
from typing import NamedTuple

from somaflow.models.antennal_lobe import PARAMETER_SETS, AntennalLobe, antennal_lobe
from somaflow.models.cortical_microcircuit import (
    BACKGROUNDS,
    CorticalMicrocircuit,
    cortical_microcircuit,
)

Model = AntennalLobe | CorticalMicrocircuit


class ModelEntry(NamedTuple):
    """What the list of models says of one.

    Attributes:
        description: One line.
        build: `(parameters, seed) -> Model`; of one that can be scaled
            `(parameters, seed, scale) -> Model`.
        parameter_sets: The names that `parameters` may have, the default first.
        dt: The step that it is meant for.
        scales: Whether it can be built with a share of its cells.
    """

    description: str
    build: Callable[..., Model]
    parameter_sets: tuple[str, ...]
    dt: str
    scales: bool = False


MODELS: dict[str, ModelEntry] = {
    "antennal-lobe": ModelEntry(
        "the locust antennal lobe: 90 projection and 30 local neurons answer an odour",
        antennal_lobe,
        PARAMETER_SETS,
        "0.01ms",
    ),
    "cortical-microcircuit": ModelEntry(
        "a cortical column of 77,169 neurons and 0.3e9 synapses; --scale 0.1 takes a tenth",
        cortical_microcircuit,
        BACKGROUNDS,
        "0.1ms",
        scales=True,
    ),
}

__all__ = [
    "MODELS",
    "AntennalLobe",
    "CorticalMicrocircuit",
    "Model",
    "ModelEntry",
    "antennal_lobe",
    "cortical_microcircuit",
]
