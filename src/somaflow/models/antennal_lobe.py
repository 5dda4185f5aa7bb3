"""The locust antennal lobe: 90 projection neurons (PN) and 30 local neurons (LN).

Bazhenov M, Stopfer M, Rabinovich M, Huerta R, Abarbanel HDI, Sejnowski TJ, Laurent G (2001) Model
of transient oscillatory synchronization in the locust antennal lobe. Neuron 30:553-567.

No number stands here: each parameter set is a file in `parameters/`, which says where its numbers
come from.
"""

from dataclasses import dataclass
from typing import TypedDict, cast

import numpy as np
from numpy.typing import NDArray

import somaflow as sf
from somaflow.given import shown
from somaflow.models.files import read, require_known
from somaflow.units import Parameter

PARAMETER_SETS = ("al-20hz", "psst-2022")
_LARGEST_SEED = 2**63 - 1


@dataclass(frozen=True, eq=False)
class AntennalLobe:
    """An antennal lobe ready to run.

    Attributes:
        network: The description.
        initial: Initial values for `sf.simulate(..., initial=...)`: population, state, value; one
            number, or an array of shape [n_cells].
        title: One line that says what it is.
        provenance: Where the numbers come from, and what was changed.
        pn: The projection neurons.
        ln: The local neurons.
        odour: Onset and offset of the odour in ms.
    """

    network: sf.Network
    initial: dict[str, dict[str, object]]
    title: str
    provenance: str
    pn: sf.Population
    ln: sf.Population
    odour: tuple[float, float]


class _Scatter(TypedDict):
    """An initial value that differs from cell to cell."""

    mean: str
    relative_sd: float


class _Cells(TypedDict):
    """One of the populations."""

    size: int
    C: str
    threshold: str
    mechanisms: dict[str, dict[str, str]]
    initial: dict[str, str | _Scatter]


class _Synapses(TypedDict):
    """One of the projections."""

    pre: str
    post: str
    synapse: str
    weight: str
    p: float


class _Drive(TypedDict):
    """What the odour does to a population: to how many cells, and how much, in a range."""

    cells: int
    lowest: str
    highest: str


class _Odour(TypedDict):
    """The course of the odour."""

    on: str
    off: str
    rise: str
    decay: str


class ParameterSet(TypedDict):
    """The contents of a parameter file; quantities are texts."""

    title: str
    origin: str
    reference: str
    provenance: str
    populations: dict[str, _Cells]
    projections: list[_Synapses]
    stimuli: dict[str, _Drive]
    odour: _Odour


def parameter_set(name: str) -> ParameterSet:
    """Return the contents of a parameter file.

    Args:
        name: One of `PARAMETER_SETS`.

    Raises:
        UnknownNameError: There is no such set.
    """
    require_known(name, PARAMETER_SETS, "the antennal lobe has no parameter set")
    return cast("ParameterSet", read(name))


def antennal_lobe(parameters: str = "al-20hz", seed: int = 1) -> AntennalLobe:
    """Build the antennal lobe.

    Every random choice (wiring, which cells the odour drives and how strongly, initial voltages)
    is keyed by `seed` alone, so a seed means the same network on every machine.

    Args:
        parameters: `"al-20hz"`, tuned by us to oscillate near 20 Hz, or `"psst-2022"`, as
            published, with its two slips.
        seed: An integer from 0 to 2**63 - 1.

    Returns:
        The network, its initial values, and what they are.

    Raises:
        UnknownNameError: There is no such parameter set.
        WrongTypeError: The seed is not such an integer.
    """
    data = parameter_set(parameters)
    keys = _Keys(seed)
    pn, ln = (_population(name, data["populations"][name]) for name in ("PN", "LN"))
    cells = {"PN": pn, "LN": ln}
    projections = [_projection(entry, cells, keys) for entry in data["projections"]]
    stimuli = [
        _stimulus(cells[name], entry, data["odour"], keys)
        for name, entry in data["stimuli"].items()
    ]
    onset = sf.units.scalar(data["odour"]["on"], "ms", "on")
    offset = sf.units.scalar(data["odour"]["off"], "ms", "off")
    initial = {
        name: {
            state: _initial(value, entry["size"], keys) for state, value in entry["initial"].items()
        }
        for name, entry in data["populations"].items()
    }
    return AntennalLobe(
        network=sf.Network(pn, ln, *projections, *stimuli),
        initial=initial,
        title=f"{data['title']} ({parameters})",
        provenance=" ".join(f"{data['origin']}. {data['provenance']} {data['reference']}".split()),
        pn=pn,
        ln=ln,
        odour=(onset, offset),
    )


class _Keys:
    """Hands out independent seeds, one for each random choice, in the order of the file.

    `SeedSequence` is part of NumPy's reproducibility promise (NEP 19), unlike the distributions.
    """

    def __init__(self, seed: object) -> None:
        whole = (int, np.integer)
        if isinstance(seed, bool) or not isinstance(seed, whole) or not 0 <= seed <= _LARGEST_SEED:
            raise sf.errors.WrongTypeError(
                f"a seed is an integer from 0 to 2**63 - 1, not {shown(seed)}."
            )
        self._seed, self._count = int(seed), 0

    def next(self) -> int:
        self._count += 1
        words = np.random.SeedSequence([self._seed, self._count]).generate_state(1, np.uint64)
        return int(words[0] >> np.uint64(1))


def _draw(distribution: sf.Uniform | sf.Normal, size: int) -> Parameter:
    """Return one value a cell, of shape [size]."""
    return distribution.draw((np.arange(size), 0), 0)


def _population(name: str, entry: _Cells) -> sf.Population:
    mechanisms = {}
    for key, values in entry["mechanisms"].items():
        settings = {k: value for k, value in values.items() if k != "name"}
        mechanisms[key] = sf.load(values["name"])(**settings)
    neuron = sf.Neuron(entry["C"], **mechanisms)
    return sf.Population(name, entry["size"], neuron, threshold=entry["threshold"])


def _projection(entry: _Synapses, cells: dict[str, sf.Population], keys: _Keys) -> sf.Projection:
    synapse = sf.load(entry["synapse"])
    connector = sf.FixedProbability(entry["p"], seed=keys.next(), self_connections=False)
    return sf.Projection(
        cells[entry["pre"]],
        cells[entry["post"]],
        synapse(**{synapse.details["weight"]: entry["weight"]}),
        connector,
    )


def _stimulus(population: sf.Population, entry: _Drive, odour: _Odour, keys: _Keys) -> sf.Stimulus:
    chance = _draw(sf.Uniform(0, 1, seed=keys.next()), population.size).value
    driven: NDArray[np.int64] = np.sort(np.argsort(chance, kind="stable")[: entry["cells"]])
    amplitude = _draw(sf.Uniform(entry["lowest"], entry["highest"], seed=keys.next()), len(driven))
    return sf.Stimulus(population[driven], sf.SaturatingPulse(amplitude, **odour))


def _initial(value: str | _Scatter, size: int, keys: _Keys) -> object:
    if isinstance(value, str):
        return value
    scatter = _draw(sf.Normal(1, value["relative_sd"], seed=keys.next()), size).value
    return sf.units.Quantity(value["mean"]) * scatter
