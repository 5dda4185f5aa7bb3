"""Arrivals: what spikes move in postsynaptic cells within the step of their arrival.

The flow of the step did not know of the spikes. What it missed is the integral of the new
conductance from the spike's arrival to the step's end; without it, spikes that follow a pulse
closely would be late by a first-order error.
"""

from collections.abc import Callable, Collection
from functools import reduce
from typing import NamedTuple

import tensorflow as tf

from somaflow.compiler.coupling import AnyCoupling, Effect, Route
from somaflow.compiler.states import Constants, States, Tensors, by_name
from somaflow.compiler.tables import Tables
from somaflow.equations.affine import ZERO, affine_in
from somaflow.equations.equations import Equations
from somaflow.equations.expression import Node
from somaflow.equations.statements import are_maps
from somaflow.errors import EquationError
from somaflow.network.inputs import inputs_of
from somaflow.numerics.constants import columns
from somaflow.numerics.functions import exprel
from somaflow.numerics.types import Tensor

Part = tuple[AnyCoupling, Route, object]  # a route of a coupling, with the coupling's sums
Free = Callable[[int, str, Tensor], Tensor]


class Arrival(NamedTuple):
    """What a coupling's spikes have done by the end of a step.

    Attributes:
        coupling: The coupling.
        effect: What they have done.
        spiked: The spikes, as the time from each to the step's end, 0 where there is none.
    """

    coupling: AnyCoupling
    effect: Effect[object, object]
    spiked: Tensor

    @property
    def some(self) -> Tensor:
        """Whether anything may have arrived, bool."""
        known = self.effect.some
        return tf.reduce_any(self.spiked > 0) if known is None else known


class Arrivals:
    """Brings arrivals into the states of the cells.

    Args:
        tables: The tables of the network.

    Attributes:
        pushes: For each population by input how fast each state changes with it.
    """

    def __init__(self, tables: Tables) -> None:
        self.lowered = tables.lowered
        self.order = {route.projection: place for place, (_, route) in enumerate(tables.routes)}
        # Within a step nothing moves a map.
        self.pushes = [
            {}
            if are_maps(lowered.equations.states)
            else _pushed(lowered.equations, inputs_of(population))
            for lowered, population in zip(tables.lowered, tables.populations, strict=True)
        ]

    def bring(
        self,
        arrivals: list[Arrival],
        states: list[States],
        end: Tensor,
        prepared: Constants,
        free: Free,
    ) -> None:
        """Change the states at the step's end by what spikes have moved within it.

        Args:
            arrivals: Of all couplings that spikes act on.
            states: The states of each population, which are changed.
            end: Time at the step's end.
            prepared: What `NetworkDynamics.prepare` returned.
            free: Takes a population, a state of it and a change, and returns the change that the
                state is free to make.
        """
        for coupling, effect, _ in arrivals:
            states[coupling.group.source] |= effect.rows
            for name, total in effect.added.items():
                for route in coupling.group.routes:
                    state, k = name.removesuffix("_post"), route.target
                    change = free(k, state, columns(total, route.columns))
                    states[k][state] = states[k][state] + change
            if effect.moves is not None:
                k = coupling.group.routes[0].target
                for state, value in effect.moves(states[k]).items():
                    allowed = free(k, state, tf.ones_like(value)) > 0
                    states[k][state] = tf.where(allowed, value, states[k][state])
        reached: dict[tuple[int, str], list[tuple[Arrival, Route]]] = {}
        for arrival in arrivals:
            for route in arrival.coupling.group.routes:
                into = route.into
                if arrival.effect.charge is not None and into in self.pushes[route.target]:
                    reached.setdefault((route.target, into), []).append((arrival, route))
        for key in sorted(reached):
            parts = sorted(reached[key], key=lambda part: self.order[part[1].projection])
            self._charge(*key, parts, states[key[0]], end, prepared, free)

    def _charge(
        self,
        target: int,
        into: str,
        reached: list[tuple[Arrival, Route]],
        states: States,
        end: Tensor,
        prepared: Constants,
        free: Free,
    ) -> None:
        names = list(self.pushes[target][into])

        def moved() -> tuple[Tensor, ...]:
            changes = self._changes(target, into, reached, states, end, prepared, free)
            return tuple(states[name] + changes[name] for name in names)

        def still() -> tuple[Tensor, ...]:
            return tuple(states[name] for name in names)

        # With delays that differ nobody knows who arrives; the charge is then added always.
        if any(arrival.coupling.wiring.latest is not None for arrival, _ in reached):
            changed = moved()
        else:
            some = {arrival.coupling.group.key: arrival.some for arrival, _ in reached}
            changed = tf.cond(reduce(tf.logical_or, some.values()), moved, still)
        states.update(zip(names, changed, strict=True))

    def _changes(
        self,
        target: int,
        into: str,
        reached: list[tuple[Arrival, Route]],
        states: States,
        end: Tensor,
        prepared: Constants,
        free: Free,
    ) -> Tensors:
        """Return the change of each state that the input moves.

        With s the integral of a conductance, a state x that it pulls to E obeys dx/ds = -k*(x - E),
        k being dx'/dI. So does the current of all synapses of a cell together: over the charges it
        changes at the rate a = -sum of k*dI/dx, and its mean is I at the present state times
        (exp(a) - 1)/a. No cell is moved beyond where the current vanishes.
        """
        parts = [(arrival.coupling, route, arrival.effect.charge) for arrival, route in reached]
        slopes = self.slopes(target, into, states | {"t": end}, prepared)
        inward = self.inward(parts, states, prepared)
        if inward is None:
            return {state: tf.zeros_like(states[state]) for state in slopes}
        rate, exact = self.rate(target, parts, states, slopes, prepared, free)
        if rate is not None:
            # A chord whose sign is wrong leads away from where the current vanishes.
            inward = inward * exprel(rate if exact else tf.minimum(rate, 0))
        return {state: free(target, state, slope * inward) for state, slope in slopes.items()}

    def slopes(self, target: int, into: str, values: States, prepared: Constants) -> Tensors:
        """Return how fast each state of a population changes with an input."""
        value = self.lowered[target].scope(prepared.cells[target], by_name(values))
        return {state: value(slope) for state, slope in self.pushes[target][into].items()}

    @staticmethod
    def inward(parts: list[Part], states: States, prepared: Constants) -> Tensor | None:
        """Return the inward current of some routes to one population."""
        total: Tensor | None = None
        for coupling, route, sums in parts:
            table = prepared.routes[route.projection]
            outward = coupling.current(route, states, sums, table)
            if outward is not None:
                total = -outward if total is None else total - outward
        return total

    @staticmethod
    def rate(
        target: int,
        parts: list[Part],
        states: States,
        slopes: Tensors,
        prepared: Constants,
        free: Free,
    ) -> tuple[Tensor | None, bool]:
        """Return the rate at which the same current changes, by what it moves itself.

        Returns:
            The rate, per ms for sums and a pure number for their charges, or None where it does not
            change; and whether the current is a straight line.
        """
        total: Tensor | None = None
        exact = True
        for coupling, route, sums in parts:
            table = prepared.routes[route.projection]
            for state, slope in slopes.items():
                if (chord := route.chords.get(f"{state}_post")) is None:
                    continue
                pull = coupling.current(route, states, sums, table, chord.slopes)
                term = free(target, state, -slope * pull)
                total = term if total is None else total + term
                exact = exact and chord.exact
        return total, exact


def _pushed(equations: Equations, inputs: Collection[str]) -> dict[str, dict[str, Node]]:
    """Return by input how fast each state changes with it, of inputs that move any."""
    moved = {into: pushed_states(equations, into, inputs) for into in inputs}
    return {into: states for into, states in moved.items() if states}


def pushed_states(equations: Equations, into: str, inputs: Collection[str]) -> dict[str, Node]:
    """Return how fast each state changes with one of several inputs, where that is linear."""
    slopes = {}
    for state, variable in equations.states.items():
        if into not in equations.depends(variable.expression):
            continue
        try:
            slope, _ = affine_in(into, variable, equations.definitions)
        except EquationError:
            continue  # the step's end is then late by what a spike moves within its own step
        # What other inputs are is not known at the step's end.
        if slope != ZERO and not equations.depends(slope) & set(inputs):
            slopes[state] = slope
    return slopes
