"""Moments: the state of a run between two steps, by names, to be read and edited."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from somaflow import units
from somaflow.compiler.coupling import AnyCoupling, Route
from somaflow.compiler.final import held_value, require_state
from somaflow.compiler.tables import Tables
from somaflow.equations.equations import Equations
from somaflow.errors import MissingValueError, RunError, UnknownNameError, WrongTypeError, nearest
from somaflow.given import is_among, shown
from somaflow.network.population import Population
from somaflow.numerics.types import Tensor
from somaflow.simulation.memory import Memory, anew
from somaflow.simulation.system import Array, Carry


class Place(NamedTuple):
    """Where the values of a variable are.

    Attributes:
        block: The place of a block of the flow state; None where they are with the events.
        row: Their row in it.
        group: The group that keeps them with the events.
        name: Their name there.
        places: Which numbers of the last axis, in the order of the cells or of `connections()`;
            None for those at its beginning.
        size: How many there are.
    """

    block: int | None
    row: int
    group: str
    name: str
    places: NDArray[np.int64] | None
    size: int


class Part(Mapping[str, Array]):
    """The variables of a population or a projection, each read when it is asked for.

    A value is an array `[..., n_cells]` or `[..., n_synapses]`, in the order of `connections()`, in
    the unit that the equations give the variable. It is a copy.
    """

    def __init__(self, of: "Named", carry: Carry) -> None:
        self._of, self._carry = of, carry

    def __getitem__(self, name: str) -> Array:
        """Return the values of a variable.

        Raises:
            UnknownNameError: There is none of that name.
            RunError: It is not kept for each synapse.
        """
        place = self._of.place(name)
        values = _row(self._carry, place)
        values = values[..., : place.size] if place.places is None else values[..., place.places]
        return values / units.factor(self._of.equations.unit(name))

    def __iter__(self) -> Iterator[str]:
        return iter(self._of.places)

    def __len__(self) -> int:
        return len(self._of.places)

    def __repr__(self) -> str:
        return f"<{self._of.name}: {', '.join(self)}>"


class Moment:
    """The state of a run between two steps, as the function of `sf.Between` is given it.

    `moment["cells"]["v"]` is the state of a population, one number a cell, and
    `moment["a_to_b"]["w"]` what a projection keeps for each synapse, in the order of
    `connections()`; as arrays in the units of the equations. What is returned for them is taken in
    the same units, where it has none.

    Attributes:
        time: Biological time in ms.
        steps: Steps made since time 0.
        memory: Arrays by name, of the function's own. They are kept in checkpoints.
    """

    def __init__(
        self,
        names: "Mapping[str, Named]",
        carry: Carry,
        steps: int,
        dt: float,
        memory: dict[str, NDArray[Any]],
    ) -> None:
        self._names, self._carry = names, carry
        self.steps, self.time, self.memory = steps, steps * dt, memory

    def __getitem__(self, name: str) -> Part:
        """Return the variables of a population or a projection.

        Raises:
            UnknownNameError: There is none of that name.
        """
        if not is_among(name, self._names):
            known = nearest(name, self._names)
            raise UnknownNameError(f"the run has no part {shown(name)}.{known}")
        return Part(self._names[name], self._carry)

    def __repr__(self) -> str:
        return f"Moment({', '.join(self._names)} at {self.time:g} ms)"


class Named:
    """A population or a projection: where each of its variables is.

    Args:
        name: Its name.
        equations: Its equations.
        places: Where its variables are.
        elsewhere: Why other states are not among them.
    """

    def __init__(
        self, name: str, equations: Equations, places: dict[str, Place], elsewhere: str = ""
    ) -> None:
        self.name, self.equations, self.places = name, equations, places
        self._elsewhere = elsewhere

    def place(self, name: object) -> Place:
        """Return where a variable is.

        Raises:
            UnknownNameError: There is none of that name.
            RunError: It is not kept for each synapse.
        """
        if is_among(name, self.places):
            return self.places[name]
        require_state(name, self.name, self.equations)
        raise RunError(f"{name!r} of projection {self.name!r} {self._elsewhere}")


class Moments:
    """Makes moments of a run, and the state that follows from what is returned.

    Args:
        tables: The tables of the network.
    """

    def __init__(self, tables: Tables) -> None:
        self._dt, self._batch, self._dtype = tables.dt, tables.batch, tables.dtype
        self._names: dict[str, Named] = {}
        blocks = 0
        for layout, population in zip(tables.layouts, tables.populations, strict=True):
            if not layout.states:
                continue
            self._names[layout.name] = _cells(population, layout.states, blocks)
            blocks += 1
        flowing = {c: blocks + k for k, (c, _) in enumerate(tables.flowing)}
        for c, coupling in enumerate(tables.couplings):
            for route in coupling.group.routes:
                if coupling.group.counted is None:
                    named = _synapses(coupling, route, flowing.get(c))
                    self._names.setdefault(route.projection, named)

    def at(self, carry: Carry, steps: int, memory: dict[str, NDArray[Any]]) -> Moment:
        """Return the moment of a state after so many steps."""
        return Moment(self._names, carry, steps, self._dt, memory)

    def edited(self, carry: Carry, edits: object) -> Carry:
        """Return a state with what a function has returned in place of its own.

        Args:
            carry: The state.
            edits: Values by population or projection and variable; None for nothing.

        Raises:
            WrongTypeError: It is no dict of dicts.
            UnknownNameError, UnitError, MissingValueError, RunError: As `FinalState.with_`.
        """
        if edits is None:
            return carry
        if not isinstance(edits, Mapping):
            raise WrongTypeError(
                "the function of between returns None or edits such as {'cells': {'v': -60*mV}}, "
                f"not {shown(edits)}."
            )
        changed: dict[int | tuple[str, str], Array] = {}
        for name, values in edits.items():
            if not is_among(name, self._names):
                known = nearest(name, self._names)
                raise UnknownNameError(f"the run has no part {shown(name)} to edit.{known}")
            if not isinstance(values, Mapping):
                raise WrongTypeError(
                    f"the edits of {name!r} are a dict such as {{'v': -60*mV}}, not "
                    f"{shown(values)}."
                )
            for variable, value in values.items():
                self._edit(carry, changed, self._names[name], variable, value)
        return _with(carry, changed)

    def _edit(
        self,
        carry: Carry,
        changed: dict[int | tuple[str, str], Array],
        named: Named,
        variable: object,
        value: object,
    ) -> None:
        place = named.place(variable)
        shape = (*self._batch, place.size)
        held = held_value(value, str(variable), named.name, named.equations, shape)
        if not np.all(np.isfinite(held)):
            raise MissingValueError(f"{variable!r} of {named.name!r} is given as {shown(value)}.")
        key = (place.group, place.name) if place.block is None else place.block
        if key not in changed:
            changed[key] = np.array(_leaf(carry, place))
        row = changed[key] if place.block is None else changed[key][place.row]
        row[..., slice(place.size) if place.places is None else place.places] = held
        if place.block is not None and place.size:
            row[..., place.size :] = row[..., place.size - 1 : place.size]  # the padding


def _cells(population: Population, states: tuple[str, ...], block: int) -> Named:
    own = population.equations.states
    places = {
        state: Place(block, row, "", state, None, population.size)
        for row, state in enumerate(states)
        if state in own
    }
    return Named(population.name, population.equations, places)


def _synapses(coupling: AnyCoupling, route: Route, block: int | None) -> Named:
    equations, key = route.lowered.equations, coupling.group.key
    places: dict[str, Place] = {}
    for state in equations.states:
        found = coupling.variable(state, route)
        if found.axis != "synapse":
            continue
        assert found.places is not None
        size = len(found.places)
        if (key, state) in coupling.flowing:
            row = coupling.flowing.index((key, state))
            places[state] = Place(block, row, key, state, None, size)
        else:
            places[state] = Place(None, 0, key, state, found.places, size)
    said = "is kept for each cell and not for each synapse, and cannot be read or given."
    return Named(route.projection, equations, places, said)


def _leaf(carry: Carry, place: Place) -> Tensor:
    if place.block is not None:
        return carry.flow[place.block]
    return carry.event.groups[place.group].own[place.name]


def _row(carry: Carry, place: Place) -> Array:
    values = np.asarray(memoryview(_leaf(carry, place)))  # a view, where `numpy()` would copy
    return values if place.block is None else values[place.row]


def _with(carry: Carry, changed: Mapping[int | tuple[str, str], Array]) -> Carry:
    flow, groups, remembered = list(carry.flow), dict(carry.event.groups), carry.memory
    jumped: list[Array] = [np.array(False)] * len(flow)
    for key, values in changed.items():
        if isinstance(key, tuple):
            kept = groups[key[0]]
            own = {**kept.own, key[1]: tf.constant(values)}
            groups[key[0]] = kept._replace(own=own)
            continue
        old, flow[key] = flow[key], tf.constant(values)
        jumped[key] = np.any(np.asarray(old) != values, axis=0)
    if isinstance(remembered, Memory):
        # What a method remembers of a column is of another course.
        remembered = anew(remembered, jumped)
        stale = tf.nest.map_structure(tf.constant, remembered.stale)
        remembered = remembered._replace(stale=stale)
    event = carry.event._replace(groups=groups)
    return carry._replace(flow=tuple(flow), event=event, memory=remembered)
