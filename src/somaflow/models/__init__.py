"""Models that are ready to run, written with the public API only.

`MODELS` lists them; `somaflow models` prints it and `somaflow run NAME` runs one.
"""

from collections.abc import Callable
from typing import NamedTuple

from somaflow.models.antennal_lobe import PARAMETER_SETS, Model, antennal_lobe


class ModelEntry(NamedTuple):
    """What the list of models says of one.

    Attributes:
        description: One line.
        build: `(parameters, seed) -> Model`.
        parameter_sets: The names that `parameters` may have, the default first.
    """

    description: str
    build: Callable[[str, int], Model]
    parameter_sets: tuple[str, ...]


MODELS: dict[str, ModelEntry] = {
    "antennal-lobe": ModelEntry(
        "the locust antennal lobe: 90 projection and 30 local neurons answer an odour",
        antennal_lobe,
        PARAMETER_SETS,
    ),
}

__all__ = ["MODELS", "Model", "ModelEntry", "antennal_lobe"]
