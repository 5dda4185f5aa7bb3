"""Final states: all that a run needs to go on where another one ended."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from somaflow import units
from somaflow.equations.equations import Equations
from somaflow.errors import RunError, UnknownNameError, WrongTypeError, nearest
from somaflow.given import is_among, shown
from somaflow.network.network import Network
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
            own, None where only some of the synapses are known.
        places: Parts of a step at which gates that are under way in rings are known; empty where
            there are none.
        began: The weights with which synapses began, as a checksum; empty where spikes do not
            change them, None likewise.
    """

    source: str
    members: dict[str, tuple[str, int, int]]
    delay: int | None
    sums: str
    begun: int | None = None
    wired: str | None = ""
    places: tuple[float, ...] = ()
    began: str | None = ""

    @property
    def width(self) -> int:
        """Number of columns of its sums."""
        return max(end for _, _, end in self.members.values())

    def check(self, name: str, wired: str, began: str) -> None:
        """Refuse synapses with variables of their own that are others now.

        Args:
            name: The projection.
            wired: Which cells it joins, as a checksum.
            began: With which weights, likewise.

        Raises:
            RunError: They join other cells, or begin with other weights.
        """
        if self.wired not in (None, wired):
            raise RunError(
                f"projection {name!r} joins other cells than in the "
                "state that is given, or with other delays, and what its synapses keep, each "
                "by itself, cannot go on; give it another name, under which it begins anew."
            )
        if self.began not in (None, began):
            raise RunError(
                f"projection {name!r} has another weight= than in the "
                "state that is given, but spikes change these weights, and what they have "
                "become goes on; keep weight= as it was, or give the projection another name, "
                "under which it begins anew with the weights that you give; or keep it, and "
                "give the weights to the state: initial=run.final.with_("
                f"{name}={{'w': weights}}), one for each synapse in the "
                "order of connections()."
            )

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
        network: The network that was run; None of a state within a stored run.
        edits: What `with_` was given for single synapses, by projection and variable, in the
            coherent system and the order of `connections()`.
        before: Of each population of which `with_` changed a state, what its states were.
    """

    steps: int
    dt: float
    states: dict[str, dict[str, Array]]
    events: dict[str, Array]
    sizes: dict[str, int]
    groups: dict[str, KeptGroup]
    network: Network | None = None
    edits: Mapping[str, Mapping[str, Array]] = field(default_factory=dict)
    before: Mapping[str, Mapping[str, Array]] = field(default_factory=dict)

    @property
    def time(self) -> float:
        """Biological time in ms."""
        return self.steps * self.dt

    @property
    def group_of(self) -> dict[str, str]:
        """The name of the group of each projection."""
        return {name: key for key, group in self.groups.items() for name in group.members}

    def moved(self, name: str) -> Array:
        """Return which cells of a population `with_` gave another state, bool."""
        own, old = self.states[name], self.before.get(name, {})
        return np.logical_or.reduce([own[s] != old.get(s, own[s]) for s in own])

    def __getitem__(self, population: str) -> dict[str, Array]:
        """Return the states of a population, in the units of its equations, as `with_` takes them.

        Raises:
            UnknownNameError: There is none of that name.
        """
        if not is_among(population, self.states):
            known = nearest(population, self.states)
            raise UnknownNameError(f"the final state has no population {shown(population)}.{known}")
        assert self.network is not None  # every state that a user has knows it
        own = self.network.population(population).equations.states
        values = self.states[population]  # with gates of synapses, which have no unit there
        factors = {k: units.factor(own[k].unit) if k in own else 1.0 for k in values}
        return {k: v if factors[k] == 1 else v / factors[k] for k, v in values.items()}

    def with_(self, **parts: Mapping[str, object]) -> "FinalState":
        """Return the state with other values, from which a run goes on instead.

        Args:
            **parts: By name of a population, values of its states, one number or one a cell; by
                name of a projection, values of what it keeps for each synapse, such as a plastic
                weight, one number or one for each synapse, in the order of `connections()`. A
                number without a unit is in the unit of the equations.

        Raises:
            UnknownNameError: There is no such population, projection or variable.
            UnitError, MissingValueError: A value has another unit, or is no number.
            WrongTypeError: The values of a part are no dict.
            RunError: A value has another shape.
        """
        assert self.network is not None  # every state that a user has knows it
        states, edits, before = dict(self.states), dict(self.edits), dict(self.before)
        projections = {str(projection.name) for projection in self.network.projections}
        for name, values in parts.items():
            if not isinstance(values, Mapping):
                raise WrongTypeError(
                    f"with_({name}=...) takes a dict such as {{'v': -60*mV}}, not {shown(values)}."
                )
            if name in states:
                equations, own = self.network.population(name).equations, dict(states[name])
                for state, value in values.items():
                    require_state(state, name, equations)
                    like = own[state]
                    held = held_value(value, state, name, equations, like.shape)
                    own[state] = held.astype(like.dtype)
                before.setdefault(name, states[name])
                states[name] = own
            elif name in projections:
                projection = self.network.projection(name)
                shape, fresh = (len(projection.connections()),), {}
                for variable, value in values.items():
                    require_state(variable, name, projection.equations)
                    fresh[variable] = held_value(value, variable, name, projection.equations, shape)
                edits[name] = {**edits.get(name, {}), **fresh}
            else:
                known = nearest(name, {*states, *projections})
                raise UnknownNameError(f"the final state has no part {name!r}.{known}")
        return replace(self, states=states, edits=edits, before=before)

    def __repr__(self) -> str:
        return f"FinalState({', '.join(self.states)} at {self.time:g} ms)"


def require_state(name: object, part: str, equations: Equations) -> None:
    """Refuse what is no state.

    Raises:
        UnknownNameError: So it is.
    """
    states = getattr(equations, "states", {})  # spike sources have none
    if not is_among(name, states):
        raise UnknownNameError(f"{part!r} has no state {shown(name)}.{nearest(name, states)}")


def held_value(
    value: object, name: str, part: str, equations: Equations, shape: tuple[int, ...]
) -> Array:
    """Return a value of a state, checked, in the coherent system and a shape.

    Raises:
        UnitError, MissingValueError: It has another unit, or is no number.
        RunError: It has another shape.
    """
    held = units.parameter(value, equations.states[name].unit, name, part).value
    try:
        return np.broadcast_to(held, shape).copy()
    except ValueError:
        raise RunError(
            f"{name!r} of {part!r} is given with the shape {list(held.shape)}; give one number, or "
            f"an array of shape {list(shape)}."
        ) from None


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
