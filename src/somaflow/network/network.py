"""Network: populations, projections, stimuli, clamps and inputs that belong together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from itertools import chain
from pathlib import Path
from typing import TypeVar

from somaflow import description
from somaflow.description import Description
from somaflow.errors import (
    NetworkError,
    StoreError,
    UnknownNameError,
    WrongTypeError,
    nearest,
    warn,
)
from somaflow.given import parsed, shown
from somaflow.network import explanation
from somaflow.network.attributes import Described
from somaflow.network.inputs import undriven
from somaflow.network.joined import Joined
from somaflow.network.junctions import both_ways, doubled, has_back, name_of_back, one_way
from somaflow.network.links import Link, in_order
from somaflow.network.poisson import PoissonInput
from somaflow.network.population import Population, PopulationView
from somaflow.network.projection import Projection
from somaflow.network.random import check_seed
from somaflow.network.sides import moved_to, views_of
from somaflow.network.stimuli import Stimulus, VoltageClamp

Part = Population | Projection | Stimulus | VoltageClamp | PoissonInput
Kind = TypeVar("Kind", bound=Part)
Named = TypeVar("Named", Population, Projection)


@dataclass(frozen=True, eq=False, init=False)
class Network(Described, Description):
    """Everything that is simulated together.

    Args:
        *parts: Populations, projections, stimuli, voltage clamps and Poisson inputs, in any order,
            on which no random number depends.
        seed: Of all that has no seed of its own: wiring, weights and delays of projections,
            parameters and initial values of populations. Each gets one from this seed and from its
            names. With another seed than 0, `populations`, `projections` and so on give the parts
            as this network draws them, which are other objects than those in `parts`.

    Raises:
        WrongTypeError: Something is none of these, or the seed no seed.
        NetworkError: Two parts have one name, or a part refers to a population that is not here.
    """

    parts: tuple[Part, ...]
    seed: int = 0
    _drawn: tuple[Part, ...] = field(init=False, repr=False)
    _links: tuple[Link, ...] = field(init=False, repr=False)

    def __init__(self, *members: Part, parts: Sequence[Part] = (), seed: int = 0) -> None:
        if not isinstance(parts, (tuple, list)):
            raise WrongTypeError(f"the parts of a Network are a tuple, not {shown(parts)}.")
        parts = (*members, *parts)
        for part in parts:
            if not isinstance(part, (Population, Projection, Stimulus, VoltageClamp, PoissonInput)):
                raise WrongTypeError(
                    "a Network is made of Population, Projection, Stimulus, VoltageClamp and "
                    f"PoissonInput, not {shown(part)}."
                )
        object.__setattr__(self, "parts", parts)
        object.__setattr__(self, "seed", check_seed(seed))
        object.__setattr__(self, "_drawn", parts)
        if not self.populations:
            raise NetworkError("a Network needs at least one Population.")
        given = self._of(Projection)
        for group in (self.populations, (*given, *self.inputs), self.stimuli):
            names = [part.name for part in group]
            names += [name for p in group if isinstance(p, Projection) for name in p.names_of_parts]
            names += [name_of_back(p) for p in group if isinstance(p, Projection) and has_back(p)]
            for name in filter(None, names):
                if names.count(name) > 1:
                    raise NetworkError(
                        f"two parts of the network are called {name!r}; give one of them "
                        "another name."
                    )
        for part in parts:
            for view in chain(*map(views_of, _sides(part).values())):
                if not any(view.population is population for population in self.populations):
                    raise NetworkError(
                        f"{part!r} refers to the population {view.population.name!r}, which is "
                        "not among the parts of this network; pass it to Network too."
                    )
        object.__setattr__(self, "_links", in_order(self.populations))
        drives = undriven(self.populations, self._driven())
        for warning in filter(None, (doubled(given), drives, one_way(self._of(Projection)))):
            warn(warning)
        if self.seed:
            object.__setattr__(self, "_drawn", _seeded(parts, self.seed))

    def _driven(self) -> set[tuple[str, str]]:
        """Return the population and the input of each part that drives one."""
        driven = {(s.target.population.name, s.into) for s in self.stimuli}
        for part in (*self._of(Projection), *self.inputs):
            driven |= {(owner.name, into) for owner, into in part.driven}
        return driven

    def _of(self, kind: type[Kind]) -> tuple[Kind, ...]:
        """Return the parts of a kind as this network draws them."""
        return tuple(part for part in self._drawn if isinstance(part, kind))

    @property
    def populations(self) -> tuple[Population, ...]:
        """The populations, in the order given."""
        return self._of(Population)

    @property
    def projections(self) -> tuple[Projection, ...]:
        """The projections, in the order given; of one between joined populations its parts."""
        return tuple(part for whole in self._of(Projection) for part in whole.parts)

    @property
    def stimuli(self) -> tuple[Stimulus, ...]:
        """The stimuli, in the order given."""
        return self._of(Stimulus)

    @property
    def clamps(self) -> tuple[VoltageClamp, ...]:
        """The voltage clamps, in the order given."""
        return self._of(VoltageClamp)

    @property
    def inputs(self) -> tuple[PoissonInput, ...]:
        """The Poisson inputs, in the order given."""
        return self._of(PoissonInput)

    @property
    def links(self) -> tuple[Link, ...]:
        """What the equations of populations read of other cells, each after what it needs."""
        return self._links

    def projection(self, name: str) -> Projection:
        """Return a projection by name, as this network draws it.

        One between joined populations is found whole, and its parts too. The way back of gap
        junctions between two populations has the name of the projection and `" back"`.

        Raises:
            UnknownNameError: There is none of that name.
        """
        wholes = [whole for whole in self._of(Projection) if whole.is_joined]
        return _find([*both_ways(self.projections), *wholes], name, "projection")

    def population(self, name: str) -> Population:
        """Return a population by name, as this network draws it.

        Raises:
            UnknownNameError: There is none of that name.
        """
        return _find(self.populations, name, "population")

    def explain(self) -> str:
        """Return in words how a run treats each state of populations and synapses.

        Exponential methods are exact, with all other states held fixed, for a state whose
        derivative is affine in the state itself; for others they take the Rosenbrock form, which
        is linear around the present value. Text, to be printed.
        """
        return explanation.explain(self.populations, self.projections, self.inputs)

    def save(self, path: str | Path) -> None:
        """Write the network to one file; `sf.load_network` reads it.

        Raises:
            StoreError: The file cannot be written.
        """
        description.save(self, path)

    def __repr__(self) -> str:
        return f"Network({', '.join(repr(part) for part in self.parts)})"


def _find(parts: Sequence[Named], name: str, kind: str) -> Named:
    for part in parts:
        if isinstance(name, str) and part.name == name:
            return part
    known = [str(part.name) for part in parts]
    raise UnknownNameError(f"the network has no {kind} {shown(name)}.{nearest(name, known)}")


def _sides(part: Part) -> dict[str, PopulationView | Joined]:
    """Return the cells of populations that a part refers to, by field."""
    values = {item.name: getattr(part, item.name) for item in fields(part)}
    kinds = (PopulationView, Joined)
    return {name: value for name, value in values.items() if isinstance(value, kinds)}


def _seeded(parts: tuple[Part, ...], seed: int) -> tuple[Part, ...]:
    """Return the parts as a network of this seed draws them."""
    drawn = {id(part): part.seeded(seed) for part in parts if isinstance(part, Population)}
    own = _with_populations(parts, drawn)
    return tuple(part.seeded(seed) if isinstance(part, Projection) else part for part in own)


def _with_populations(parts: Sequence[Part], new: Mapping[int, Population]) -> tuple[Part, ...]:
    """Return parts of a network with other populations, by the id of those that they replace."""
    own: list[Part] = []
    for part in parts:
        if isinstance(part, Population):
            own.append(new[id(part)])
            continue
        moved = {
            name: moved_to(side, new)
            for name, side in _sides(part).items()
            if any(new[id(v.population)] is not v.population for v in views_of(side))
        }
        own.append(replace(part, **moved) if moved else part)
    return tuple(own)


def exchanged(network: Network, new: Mapping[int, Part], seed: int | None = None) -> Network:
    """Return a network with other parts in place of some, which all other parts then refer to.

    Args:
        network: The network.
        new: The other parts, by the place in `network.parts`; each refers to the populations
            of the network as it is.
        seed: The seed of the other network; None for that of this one.
    """
    old = network.parts
    populations = {
        id(part): new.get(place, part)
        for place, part in enumerate(old)
        if isinstance(part, Population)
    }
    # In the order of the old ones a population stands in its own place, whatever it is now.
    others = [
        part if isinstance(part, Population) else new.get(place, part)
        for place, part in enumerate(old)
    ]
    parts = _with_populations(others, populations)  # pyright: ignore[reportArgumentType]
    return Network(parts=parts, seed=network.seed if seed is None else seed)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # such as a name that is too long
        return False


def load_network(path: str | Path) -> Network:
    """Read a network that `Network.save` wrote, or the network of a results store.

    Args:
        path: A saved network, or the folder of a Zarr store that `simulate` wrote.

    Raises:
        StoreError: There is no such file, or it holds something else.
    """
    group = Path(path) / "zarr.json" if isinstance(path, (str, Path)) else None
    if group is not None and _is_file(group):
        try:
            stored = parsed(group.read_text(encoding="utf-8"))
            network = description.from_json(stored["attributes"]["description"])["network"]
        except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
            raise StoreError(f"{path} holds no network that can be read ({error}).") from error
    else:
        network = description.load(path)
    if not isinstance(network, Network):
        raise StoreError(f"{path} holds a {type(network).__name__}, not a Network.")
    return network
