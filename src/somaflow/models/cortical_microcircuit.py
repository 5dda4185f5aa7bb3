"""The cortical microcircuit of Potjans and Diesmann: 77,169 cells and 0.3e9 synapses.

Potjans TC, Diesmann M (2014) The cell-type specific cortical microcircuit: relating structure and
activity in a full-scale spiking network model. Cerebral Cortex 24:785-806,
doi:10.1093/cercor/bhs358.

No number stands here: they are in `parameters/cortical-microcircuit.toml`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypedDict, cast

import numpy as np

import somaflow as sf
from somaflow.models.files import read, require_known
from somaflow.models.scale import share, told

BACKGROUNDS = ("poisson", "dc")


@dataclass(frozen=True, eq=False)
class CorticalMicrocircuit:
    """A microcircuit ready to run.

    Attributes:
        network: The description.
        initial: Initial values for `sf.simulate(..., initial=...)`: none beside the network's own.
        title: One line that says what it is.
        provenance: Where the numbers come from, and what was changed.
    """

    network: sf.Network
    initial: dict[str, dict[str, object]]
    title: str
    provenance: str


class _PerPopulation(TypedDict):
    """Numbers with a unit, one for each population."""

    unit: str
    values: list[float]


class _Populations(TypedDict):
    """What differs between populations, in one order."""

    names: list[str]
    sizes: list[int]
    external: list[int]
    rates: _PerPopulation
    v_mean: _PerPopulation
    v_sd: _PerPopulation


class _Stronger(TypedDict):
    """A projection whose weight is another by a factor."""

    pre: str
    post: str
    factor: float


class _Synapses(TypedDict):
    """What holds for all synapses."""

    model: str
    tau: str
    weight: str
    inhibition: float
    weight_spread: float
    delay: dict[str, str]
    delay_spread: float
    shortest: str
    stronger: list[_Stronger]


class _Parameters(TypedDict):
    """The contents of the parameter file; quantities are texts."""

    title: str
    reference: str
    provenance: str
    scaling: str
    populations: _Populations
    cells: dict[str, str]
    background: dict[str, str]
    synapses: _Synapses
    connections: dict[str, list[float]]


def cortical_microcircuit(
    background: str = "poisson", seed: int = 1, scale: float = 1.0
) -> CorticalMicrocircuit:
    """Build the microcircuit.

    Every random choice is keyed by `seed` alone. The step that it is meant for is 0.1 ms.

    Args:
        background: What comes from elsewhere in cortex: `"poisson"`, spikes at 8 Hz from each of
            1,500 to 2,900 sources a cell, or `"dc"`, their mean as a constant current.
        seed: An integer from 0 to 2**63 - 1.
        scale: The share of the cells, above 0 and at most 1. In-degrees shrink alike; weights and a
            constant current keep the mean and the variance of each cell's input at the published
            rates (van Albada et al. 2015, doi:10.1371/journal.pcbi.1004490).

    Returns:
        The network, and what it is.

    Raises:
        UnknownNameError: There is no such background.
        WrongTypeError: The seed is not such an integer, or the scale no number.
        NetworkError: The scale is not in its range, or a population would have no cell.
    """
    require_known(background, BACKGROUNDS, "the cortical microcircuit has no background")
    data = cast("_Parameters", read("cortical-microcircuit"))
    circuit = _Circuit(data, share(scale))
    populations = circuit.populations()
    parts = (
        *populations,
        *circuit.projections(populations),
        *circuit.inputs(populations, background),
    )
    notes = data["provenance"] + (data["scaling"] if circuit.scale < 1 else "")
    return CorticalMicrocircuit(
        network=sf.Network(*parts, seed=seed),
        initial={},
        title=f"{data['title']} ({background}, {told(circuit.scale)})",
        provenance=" ".join(f"{notes} {data['reference']}".split()),
    )


class _Circuit:
    """What follows from the parameters at one scale; rows of tables are postsynaptic."""

    def __init__(self, data: _Parameters, scale: float) -> None:
        self.data, self.scale = data, scale
        self.names, sizes = data["populations"]["names"], np.array(data["populations"]["sizes"])
        self.sizes = np.rint(sizes * scale).astype(int)
        for name, size in zip(self.names, self.sizes, strict=True):
            if not size:
                raise sf.errors.NetworkError(
                    f"at a scale of {scale:g} population {name} has no cell; give at least "
                    f"{1 / sizes.min():.2g}."
                )
        probability = np.array([data["connections"][name] for name in self.names])
        pairs = np.outer(sizes, sizes)
        # So many draws leave a pair out with probability 1 - p.
        self.whole = np.log1p(-probability) / np.log1p(-1 / pairs)
        self.totals = np.rint(self.whole * scale**2).astype(int)
        self.in_degrees = self.whole / sizes[:, None]
        self.weight = sf.units.Quantity(data["synapses"]["weight"])
        inhibits = [name.endswith("I") for name in self.names]
        self.factors = np.where(inhibits, data["synapses"]["inhibition"], np.ones(pairs.shape))
        for entry in data["synapses"]["stronger"]:
            place = self.names.index(entry["post"]), self.names.index(entry["pre"])
            self.factors[place] *= entry["factor"]

    def populations(self) -> list[sf.Population]:
        given = self.data["populations"]
        settings = {k: v for k, v in self.data["cells"].items() if k not in ("model", "refractory")}
        model = sf.load(self.data["cells"]["model"])
        v = [
            sf.Normal(mean, sd)
            for mean, sd in zip(_each(given["v_mean"]), _each(given["v_sd"]), strict=True)
        ]
        return [
            sf.Population(
                name,
                int(size),
                model(**settings, v=start),
                refractory=self.data["cells"]["refractory"],
            )
            for name, size, start in zip(self.names, self.sizes, v, strict=True)
        ]

    def projections(self, populations: list[sf.Population]) -> list[sf.Projection]:
        return [
            self._projection(populations[pre], populations[post], (post, pre))
            for post, pre in zip(*np.nonzero(self.totals), strict=True)
        ]

    def _projection(
        self, pre: sf.Population, post: sf.Population, place: tuple[int, int]
    ) -> sf.Projection:
        data, factor = self.data["synapses"], self.factors[place]
        mean = self.weight * factor / np.sqrt(self.scale)
        bound, kind = ("low", "excitatory") if factor > 0 else ("high", "inhibitory")
        delay = sf.units.Quantity(data["delay"][kind])
        return sf.Projection(
            pre,
            post,
            self.synapse,
            sf.FixedTotal(int(self.totals[place]), multapses=True),
            weight=sf.Normal(mean, abs(mean) * data["weight_spread"], **{bound: 0 * mean}),
            delay=sf.Normal(delay, delay * data["delay_spread"], low=data["shortest"]),
        )

    @property
    def synapse(self) -> sf.Mechanism:
        data = self.data["synapses"]
        return sf.load(data["model"])(tau=data["tau"])

    def inputs(
        self, populations: list[sf.Population], background: str
    ) -> Sequence[sf.PoissonInput | sf.Stimulus]:
        """Return what comes from outside: spikes, and a current in place of what is left out."""
        synapses, given = self.data["synapses"], self.data["populations"]
        rate = sf.units.Quantity(self.data["background"]["rate"])
        charge = self.weight * sf.units.Quantity(synapses["tau"])
        rates = sf.units.Quantity(given["rates"]["values"], given["rates"]["unit"])
        recurrent = charge * ((self.factors * self.in_degrees) @ rates)
        external = charge * rate * np.array(given["external"])
        lost = 1 - np.sqrt(self.scale)
        if background == "dc":
            return _currents(populations, external + lost * recurrent)
        spikes = [
            sf.PoissonInput(
                population,
                self.synapse,
                rate=rate,
                n=round(n * self.scale),
                weight=self.weight / np.sqrt(self.scale),
            )
            for population, n in zip(populations, given["external"], strict=True)
        ]
        if not lost:
            return spikes
        return [*spikes, *_currents(populations, lost * (external + recurrent))]


def _currents(populations: list[sf.Population], each: Any) -> list[sf.Stimulus]:
    """Return a constant current into each population, of a quantity of shape [n_populations]."""
    return [
        sf.CurrentClamp(p, current) for p, current in zip(populations, each.to("pA"), strict=True)
    ]


def _each(column: _PerPopulation) -> list[Any]:
    """Return a column of the file as quantities."""
    return list(sf.units.Quantity(column["values"], column["unit"]))
