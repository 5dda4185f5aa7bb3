"""Final states: all that a run needs to go on where another one ended."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from somaflow.errors import RunError, UnknownNameError, nearest
from somaflow.given import is_among, shown
from somaflow.simulation.system import Array


@dataclass(frozen=True)
class KeptGroup:
    """What a state tells of projections that share presynaptic states.

    Attributes:
        source: The presynaptic population.
        members: Of each projection its postsynaptic population, and the begin and end of its
            columns among the sums.
        delay: Their delay in steps; None where it differs between synapses.
        sums: How the sums are computed; kept, so that the order of additions stays.
        begun: Steps made before they were added to a network that ran already; else None. What
            was sent before does not arrive.
        wired: Which cells are joined, as a checksum; empty where no synapse has variables of its
            own.
        places: Parts of a step at which gates that are under way in rings are known; empty where
            there are none.
        began: The weights with which synapses began, as a checksum; empty where spikes do not
            change them.
    """

    source: str
    members: dict[str, tuple[str, int, int]]
    delay: int | None
    sums: str
    begun: int | None = None
    wired: str = ""
    places: tuple[float, ...] = ()
    began: str = ""

    def to_json(self) -> dict[str, object]:
        """Return plain JSON."""
        return asdict(self)

    @classmethod
    def from_json(cls, told: Mapping[str, Any]) -> "KeptGroup":
        """Return what `to_json` told."""
        members = {name: tuple(member) for name, member in told["members"].items()}
        places = tuple(told.get("places", ()))
        return cls(**{**told, "members": members, "places": places})


@dataclass(frozen=True)
class FinalState:
    """The whole state at the end of a run; `sf.simulate(..., initial=run.final)` goes on from it.

    Cells, synapses, spikes that are still under way and the count of steps are all in it, so two
    runs, the second with `initial=` the final state of the first, give the bits of one long run.

    Attributes:
        steps: Steps made since time 0.
        dt: The step in ms.
        states: Value of each state of each population: `states["PN"]["v"]`, in the coherent
            system, shape `[..., n_cells]`.
        events: What synapses, delays and noise keep, by name, and the method.
        sizes: Number of cells of each population.
        groups: Projections that share presynaptic states, by the name under which they do.
    """

    steps: int
    dt: float
    states: dict[str, dict[str, Array]]
    events: dict[str, Array]
    sizes: dict[str, int]
    groups: dict[str, KeptGroup]

    @property
    def time(self) -> float:
        """Biological time in ms."""
        return self.steps * self.dt

    @property
    def group_of(self) -> dict[str, str]:
        """The name of the group of each projection."""
        return {name: key for key, group in self.groups.items() for name in group.members}

    def __getitem__(self, population: str) -> dict[str, Array]:
        """Return the states of a population.

        Raises:
            UnknownNameError: There is none of that name.
        """
        if not is_among(population, self.states):
            known = nearest(population, self.states)
            raise UnknownNameError(f"the final state has no population {shown(population)}.{known}")
        return self.states[population]

    def __repr__(self) -> str:
        return f"FinalState({', '.join(self.states)} at {self.time:g} ms)"


def parts_of(tree: object) -> Mapping[str, object] | None:
    """Return the parts of a nest by name; None of a leaf. A field that is () is no part."""
    if isinstance(tree, tuple) and hasattr(tree, "_fields"):
        fields = zip(tree._fields, tree, strict=True)  # pyright: ignore
        return {name: part for name, part in fields if not (isinstance(part, tuple) and not part)}
    return tree if isinstance(tree, Mapping) else None


def flattened(tree: object, path: str = "") -> dict[str, Array]:
    """Return the arrays of nested dicts and named tuples by path."""
    parts = parts_of(tree)
    if parts is None:
        return {path: np.asarray(tree)}
    arrays: dict[str, Array] = {}
    for key, value in parts.items():
        arrays |= flattened(value, f"{path}/{key}" if path else str(key))
    return arrays


def restored(tree: object, given: Mapping[str, Array], path: str = "") -> object:
    """Return nested dicts of the same structure with the arrays that are given by path.

    Raises:
        RunError: Something is missing, or has another shape or type.
    """
    if isinstance(tree, Mapping):
        return {
            key: restored(value, given, f"{path}/{key}" if path else str(key))
            for key, value in tree.items()
        }
    value = given.get(path)
    wanted = np.asarray(tree)
    if value is None or value.shape != wanted.shape or value.dtype != wanted.dtype:
        state = "is missing" if value is None else f"is {value.dtype} {list(value.shape)}"
        raise RunError(
            f"{path!r} of the state that is given {state}, and is {wanted.dtype} "
            f"{list(wanted.shape)} in this run."
        )
    return value
