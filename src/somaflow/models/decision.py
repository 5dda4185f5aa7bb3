"""A cortical network that decides between two directions of motion: 2,000 cells.

Wang X-J (2002) Probabilistic decision making by slow reverberation in cortical circuits. Neuron
36:955-968, doi:10.1016/S0896-6273(02)01092-9.

No number stands here: they are in `parameters/wang-2002.toml`.
"""

from dataclasses import dataclass
from typing import Any, NotRequired, TypedDict, cast

import numpy as np

import somaflow as sf
from somaflow.given import is_number, shown
from somaflow.models.files import read, require_known
from somaflow.models.scale import share, told

DECISIONS = ("wang-2002",)
_STRONGEST = 100.0  # percent
_COHERENCE = 51.2  # percent, the strongest of the experiments


@dataclass(frozen=True, eq=False)
class Decision:
    """A network that decides, ready to run.

    Attributes:
        network: The description.
        initial: Initial values for `sf.simulate(..., initial=...)`: none beside the network's own.
        title: One line that says what it is.
        provenance: Where the numbers come from, and what was changed.
        groups: The cells of population `E` that are for a direction, by its name: `A` and `B`.
        motion: Onset and offset of the motion in ms.
    """

    network: sf.Network
    initial: dict[str, dict[str, object]]
    title: str
    provenance: str
    groups: dict[str, sf.PopulationView]
    motion: tuple[float, float]


class _Cells(TypedDict):
    """One of the populations."""

    equations: str
    threshold: str
    reset: str
    refractory: str
    parameters: dict[str, str]


class _Synapse(TypedDict):
    """A kind of synapse, of the catalogue or with equations, and its conductances by target."""

    model: NotRequired[str]
    equations: NotRequired[str]
    parameters: dict[str, str]
    g: dict[str, str]


class _Synapses(TypedDict):
    """The kinds of synapses."""

    latency: str
    ampa: _Synapse
    gaba: _Synapse
    nmda: _Synapse


class _Background(TypedDict):
    """Spikes that each cell gets from elsewhere."""

    sources: int
    rate: str
    g: dict[str, str]


class _Parameters(TypedDict):
    """The contents of the parameter file; quantities are texts."""

    title: str
    reference: str
    provenance: str
    scaling: str
    sizes: dict[str, int]
    cells: dict[str, _Cells]
    synapses: _Synapses
    weights: dict[str, float]
    background: _Background
    motion: dict[str, str]


def decision(
    parameters: str = "wang-2002",
    seed: int = 1,
    scale: float = 1.0,
    coherence: float = _COHERENCE,
) -> Decision:
    """Build the network.

    Every random choice is keyed by `seed` alone. The step that it is meant for is 0.1 ms.

    Args:
        parameters: `"wang-2002"`, as published.
        seed: An integer from 0 to 2**63 - 1.
        scale: The share of the cells, above 0 and at most 1. Recurrent conductances keep the mean
            of each cell's input.
        coherence: How much of the motion goes one way, in percent: from -100, all of it towards B,
            to 100, all of it towards A.

    Returns:
        The network, and what it is.

    Raises:
        UnknownNameError: There is no such parameter set.
        WrongTypeError: The seed is not such an integer, or the scale or the coherence no number.
        NetworkError: The scale or the coherence is not in its range, or a group would be empty.
    """
    require_known(parameters, DECISIONS, "the decision network has no parameter set")
    data = cast("_Parameters", read(parameters))
    circuit = _Circuit(data, share(scale), _direction(coherence))
    notes = data["provenance"] + (data["scaling"] if circuit.scale < 1 else "")
    parts = (*circuit.cells.values(), *circuit.recurrent(), *circuit.inputs(seed))
    motion = data["motion"]
    return Decision(
        network=sf.Network(*parts, seed=seed),
        initial={},
        title=f"{data['title']} (coherence {circuit.coherence:g} %, {told(circuit.scale)})",
        provenance=" ".join(f"{notes} {data['reference']}".split()),
        groups=circuit.groups,
        motion=(
            sf.units.scalar(motion["onset"], "ms", "onset"),
            sf.units.scalar(motion["offset"], "ms", "offset"),
        ),
    )


def _direction(coherence: Any) -> float:
    if not is_number(coherence):
        raise sf.errors.WrongTypeError(f"a coherence is a number, not {shown(coherence)}.")
    if not -_STRONGEST <= coherence <= _STRONGEST:
        raise sf.errors.NetworkError(
            f"the coherence is {shown(coherence)} percent; it must be from -100 to 100."
        )
    return float(coherence)


class _Circuit:
    """What follows from the parameters at one scale."""

    def __init__(self, data: _Parameters, scale: float, coherence: float) -> None:
        self.data, self.scale, self.coherence = data, scale, coherence
        self.sizes = {name: round(size * scale) for name, size in data["sizes"].items()}
        if not (selective := self.sizes["selective"]):
            raise sf.errors.NetworkError(
                f"at a scale of {scale:g} a selective group has no cell; give at least "
                f"{1 / data['sizes']['selective']:.2g}."
            )
        kinds = {"E": self.sizes["excitatory"], "I": self.sizes["inhibitory"]}
        self.cells = {name: _population(name, n, data["cells"][name]) for name, n in kinds.items()}
        excite = self.cells["E"]
        self.groups = {"A": excite[:selective], "B": excite[selective : 2 * selective]}

    def recurrent(self) -> list[sf.Projection]:
        """Return all projections; of the selective groups the weights differ."""
        return [
            self._projection(kind, source, target)
            for kind, source in (("ampa", "E"), ("nmda", "E"), ("gaba", "I"))
            for target in self.cells
        ]

    def _projection(self, kind: str, source: str, target: str) -> sf.Projection:
        given = cast("_Synapse", self.data["synapses"][kind])
        g = sf.units.Quantity(given["g"][target]) / self.scale
        return sf.Projection(
            self.cells[source],
            self.cells[target],
            _synapse(given),
            sf.AllToAll(),
            weight=self._structured(g) if source == target == "E" else g,
            name=f"{kind} {source} to {target}",
            delay=self.data["synapses"]["latency"],
        )

    def _structured(self, g: Any) -> str:
        """Return a conductance times what belongs to two cells that excite, as an expression."""
        n, weights = self.sizes["selective"], self.data["weights"]
        both = f"(i < {n} and j < {n}) or (i >= {n} and i < {2 * n} and j >= {n} and j < {2 * n})"
        factor = f"{weights['plus']} if {both} else {weights['minus']} if j < {2 * n} else 1"
        return f"{g.to('nS').magnitude!r}*nS*({factor})"

    def inputs(self, seed: int) -> list[sf.PoissonInput]:
        """Return the background, and the motion."""
        given = self.data["background"]
        synapse = _synapse(self.data["synapses"]["ampa"])
        background = [
            sf.PoissonInput(
                cells,
                synapse,
                rate=given["rate"],
                n=given["sources"],
                weight=given["g"][name],
                name=f"background of {name}",
            )
            for name, cells in self.cells.items()
        ]
        return background + [
            sf.PoissonInput(
                cells,
                synapse,
                rate=self._course(seed, number, sign),
                weight=given["g"]["E"],
                name=f"motion to {name}",
            )
            for number, ((name, cells), sign) in enumerate(
                zip(self.groups.items(), (1, -1), strict=True)
            )
        ]

    def _course(self, seed: int, number: int, sign: int) -> sf.Waveform:
        """Return how the rate of the motion's input to a group changes."""
        motion = self.data["motion"]
        every, onset, offset = (
            sf.units.scalar(motion[key], "ms", key) for key in ("every", "onset", "offset")
        )
        mean = sf.units.Quantity(motion["rate"]) * (1 + sign * self.coherence / _STRONGEST)
        drawn = sf.Normal(mean, motion["sd"], low=0 * mean, seed=seed)
        count = round((offset - onset) / every)
        rates = drawn.draw((np.arange(count), number), 0).value
        samples = sf.units.Quantity(np.append(rates, 0), "kHz")
        return sf.Waveform(samples, every=motion["every"], start=motion["onset"])


def _population(name: str, size: int, given: _Cells) -> sf.Population:
    return sf.Population(
        name,
        size,
        sf.Equations.parse(given["equations"], **given["parameters"]),
        threshold=given["threshold"],
        reset=given["reset"],
        refractory=given["refractory"],
    )


def _synapse(given: _Synapse) -> sf.Mechanism | sf.Equations:
    parameters = given["parameters"]
    if (model := given.get("model")) is not None:
        return sf.load(model)(**parameters)
    return sf.Equations.parse(given.get("equations", ""), **parameters)
