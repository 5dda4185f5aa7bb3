"""Network: populations, projections, stimuli, clamps and inputs that belong together."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from somaflow import description
from somaflow.description import Description
from somaflow.errors import NetworkError, StoreError, UnknownNameError, WrongTypeError, nearest
from somaflow.network import explanation
from somaflow.network.poisson import PoissonInput
from somaflow.network.population import Population
from somaflow.network.projection import Projection
from somaflow.network.stimuli import Stimulus, VoltageClamp


@dataclass(frozen=True, eq=False, init=False)
class Network(Description):
    """Everything that is simulated together.

    Args:
        *parts: Populations, projections, stimuli, voltage clamps and Poisson inputs, in any order.
            The random numbers of noise and of Poisson sources depend on their place among the
            stimuli, or among the populations.

    Raises:
        WrongTypeError: Something is none of these.
        NetworkError: Two parts have one name, or a part refers to a population that is not here.
    """

    parts: tuple[Population | Projection | Stimulus | VoltageClamp | PoissonInput, ...]

    def __init__(self, *given: Any, parts: Any = ()) -> None:
        if not isinstance(parts, (tuple, list)):
            raise WrongTypeError(f"the parts of a Network are a tuple, not {parts!r}.")
        parts = (*given, *parts)
        for part in parts:
            if not isinstance(part, (Population, Projection, Stimulus, VoltageClamp, PoissonInput)):
                raise WrongTypeError(
                    "a Network is made of Population, Projection, Stimulus, VoltageClamp and "
                    f"PoissonInput, not {part!r}."
                )
        object.__setattr__(self, "parts", parts)
        if not self.populations:
            raise NetworkError("a Network needs at least one Population.")
        for group in (self.populations, (*self.projections, *self.inputs)):
            names = [part.name for part in group]
            for name in names:
                if names.count(name) > 1:
                    raise NetworkError(
                        f"two parts of the network are called {name!r}; give one of them "
                        "another name."
                    )
        for part in parts:
            views = ()
            if isinstance(part, Projection):
                views = (part.pre, part.post)
            elif isinstance(part, Stimulus):
                views = (part.target,)
            elif isinstance(part, VoltageClamp):
                views = (part.cells,)
            elif isinstance(part, PoissonInput):
                views = (part.post,)
            for view in views:
                if not any(view.population is population for population in self.populations):
                    raise NetworkError(
                        f"{part!r} refers to the population {view.population.name!r}, which is "
                        "not among the parts of this network; pass it to Network too."
                    )

    @property
    def populations(self) -> tuple[Population, ...]:
        """The populations, in the order given."""
        return tuple(part for part in self.parts if isinstance(part, Population))

    @property
    def projections(self) -> tuple[Projection, ...]:
        """The projections, in the order given."""
        return tuple(part for part in self.parts if isinstance(part, Projection))

    @property
    def stimuli(self) -> tuple[Stimulus, ...]:
        """The stimuli, in the order given."""
        return tuple(part for part in self.parts if isinstance(part, Stimulus))

    @property
    def clamps(self) -> tuple[VoltageClamp, ...]:
        """The voltage clamps, in the order given."""
        return tuple(part for part in self.parts if isinstance(part, VoltageClamp))

    @property
    def inputs(self) -> tuple[PoissonInput, ...]:
        """The Poisson inputs, in the order given."""
        return tuple(part for part in self.parts if isinstance(part, PoissonInput))

    def population(self, name: str) -> Population:
        """Return a population by name.

        Raises:
            UnknownNameError: There is none of that name.
        """
        for population in self.populations:
            if population.name == name:
                return population
        known = [population.name for population in self.populations]
        raise UnknownNameError(
            f"the network has no population {name!r}.{nearest(str(name), known)}"
        )

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


def load_network(path: str | Path) -> Network:
    """Read a network that `Network.save` wrote, or the network of a results store.

    Args:
        path: A saved network, or the folder of a Zarr store that `simulate` wrote.

    Raises:
        StoreError: There is no such file, or it holds something else.
    """
    group = Path(path) / "zarr.json" if isinstance(path, (str, Path)) else None
    if group is not None and group.is_file():
        try:
            stored = json.loads(group.read_text(encoding="utf-8"))
            network = description.from_json(stored["attributes"]["description"])["network"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise StoreError(f"{path} holds no network that can be read ({error}).") from error
    else:
        network = description.load(path)
    if not isinstance(network, Network):
        raise StoreError(f"{path} holds a {type(network).__name__}, not a Network.")
    return network
