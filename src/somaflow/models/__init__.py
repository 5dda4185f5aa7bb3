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
from somaflow.models.decision import DECISIONS, Decision, decision

Model = AntennalLobe | CorticalMicrocircuit | Decision


class ModelEntry(NamedTuple):
    """What the list of models says of one.

    Attributes:
        description: One line.
        build: `(parameters, seed, **takes) -> Model`.
        parameter_sets: The names that `parameters` may have, the default first.
        dt: The step that it is meant for.
        takes: What else `build` takes: `scale`, the share of the cells; `coherence`, in percent.
        duration: The biological time that it is meant for.
        solver: The method that it is meant for, by its name on the command line.
    """

    description: str
    build: Callable[..., Model]
    parameter_sets: tuple[str, ...]
    dt: str
    takes: tuple[str, ...] = ()
    duration: str = "1s"
    solver: str = "rk4"


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
        takes=("scale",),
    ),
    "decision": ModelEntry(
        "2,000 cells that decide between two directions of motion; --coherence, --scale",
        decision,
        DECISIONS,
        "0.1ms",
        takes=("scale", "coherence"),
        duration="2s",
        solver="exponential-midpoint",
    ),
}

__all__ = [
    "MODELS",
    "AntennalLobe",
    "CorticalMicrocircuit",
    "Decision",
    "Model",
    "ModelEntry",
    "antennal_lobe",
    "cortical_microcircuit",
    "decision",
]
