"""Sums and traces with closed forms, which jumping and plastic synapses have in common."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from somaflow.compiler.coupling import Group, Route, ports
from somaflow.compiler.linear import Linear
from somaflow.compiler.states import Coefficients, Matrix, States, Tensors, Tick, fractions
from somaflow.equations.equations import Assignment
from somaflow.equations.expression import Node
from somaflow.errors import EquationError, NetworkError
from somaflow.numerics.constants import columns
from somaflow.numerics.device import cast, spread
from somaflow.numerics.types import Tensor
from somaflow.simulation.system import Array
from somaflow.units import Parameter


class JumpingContext(NamedTuple):
    """The sums in a step, without its spikes.

    Attributes:
        sums: By state, at each node and, last, at the start.
        end: The same at the end.
    """

    sums: list[Tensors]
    end: Tensors


class Traces:
    """States that all synapses of a cell share: they jump at the cell's spikes.

    Args:
        group: The group.
        states: Their names.
        assignments: What a spike does, in order.
        side: `_pre` or `_post`: the cell's end of the name of an input.
    """

    def __init__(
        self, group: Group, states: Sequence[str], assignments: Sequence[Assignment], side: str
    ) -> None:
        self.group, self.side = group, side
        self.assignments = tuple(assignments)
        self.linear = Linear(group.lowered.equations, states)
        self.states = self.linear.states

    def later(self, values: Coefficients, z: Tensors, dt: float) -> Tensors:
        """Return the states at the step's end, without spikes."""
        return self.linear.advance(values, z, dt) if self.states else {}

    def spike(
        self,
        values: Coefficients,
        z: Tensors,
        since: Tensor,
        dt: float,
        owner: States,
        table: Tensors,
    ) -> tuple[list[Tensors], Tensors]:
        """Return the states of each cell before each assignment, and behind the last one.

        Args:
            values: The coefficients.
            z: The states at the step's start.
            since: Time from the spike to the step's end.
            dt: The step.
            owner: The states of the cells.
            table: The prepared parameters.
        """
        now = self.linear.advance(values, z, dt - since) if self.states else {}
        inputs = ports(self.group.lowered, owner, self.side)
        seen = []
        for assignment in self.assignments:
            seen.append(dict(now))
            if assignment.name in self.states:
                value = self.group.lowered.scope(table, {**inputs, **now})
                fresh = cast(value(assignment.expression), since.dtype)
                now = {**now, assignment.name: tf.broadcast_to(fresh, since.shape)}
        return seen, now


def coefficients(group: Group, linear: Linear, table: Tensors, dtype: np.dtype) -> Coefficients:
    """Return the coefficients of closed forms as tensors."""
    value = group.lowered.scope(table, {})
    return linear.values(lambda node: cast(value(node), dtype))


def ways(
    linear: Linear, values: Coefficients, dtype: np.dtype, dt: float, nodes: tuple[float, ...]
) -> Matrix:
    """Return how each sum depends on all after parts of a step.

    Each way is a vector over `fractions(nodes)`, and then of the mean over the step, if the solver
    gets that.
    """
    parts: dict[tuple[str, str], list[Tensor]] = {}
    mean = linear.steep[len(nodes) > 1]
    for column in linear.states:
        unit = {s: tf.constant(float(s == column), dtype) for s in linear.states}
        moved = [linear.advance(values, unit, c * dt) for c in fractions(nodes)]
        if mean:
            _, areas = linear.swept(values, unit, tf.constant(dt, dtype))
            moved.append({s: area / dt for s, area in areas.items()})
        for row in linear.states:
            if linear.parts.reaches(column, row):
                parts[row, column] = [part[row] for part in moved]
    return {key: together(way) for key, way in parts.items()}


def together(parts: Sequence[Tensor]) -> Tensor:
    """Return numbers at several times, or rows of such `[n_rows, 1]`, as one tensor."""
    shape = max((part.shape for part in parts), key=len)
    return tf.stack([spread(part, shape) for part in parts])


def at_all_times(numbers: Tensor, value: Tensor) -> Tensor:
    """Return `[n_times, ...]`: the products of a value with what `together` has returned."""
    missing = value.shape.rank + 1 - numbers.shape.rank
    return numbers[(slice(None), *[None] * missing)] * value[None]


def opened(linear: Linear, sums: Tensors, tick: Tick, ways: Matrix) -> JumpingContext:
    """Return the sums at each node, at the start and at the end, without spikes."""
    totals: Tensors = {}
    for (row, column), way in ways.items():
        # Of all times at once: a product that its reader could contract with an addition, or not,
        # would make rows of a batch differ from a run alone in their last bits.
        term = at_all_times(way, sums[column])
        totals[row] = totals[row] + term if row in totals else term
    rows = {state: tf.unstack(total) for state, total in totals.items()}
    places = {0.0: dict(sums)}
    for k, c in enumerate(tick.fractions):
        places[c] = {state: rows[state][k] for state in linear.states}
    nodes = [places[c] for c in tick.nodes]
    if any(len(row) > len(tick.fractions) for row in rows.values()):
        nodes = [{state: rows[state][-1] for state in linear.states}] * len(nodes)
    return JumpingContext([*nodes, places[0.0]], places[1.0])


def summed_current(
    route: Route,
    owner: States,
    sums: Tensors,
    table: Tensors,
    of: tuple[Node, ...] | None = None,
) -> Tensor | None:
    """Return the outward current: that of one synapse, with the sums for its states."""
    if not route.post:
        return None
    values = ports(route.lowered, owner, "_post")
    values |= {state: columns(total, route.columns) for state, total in sums.items()}
    return route.lowered.scope(table, values)((route.post if of is None else of)[0])


def finished(
    linear: Linear, names: Sequence[str], row: Sequence[Tensor]
) -> tuple[Tensors, Tensors | None, Tensors]:
    """Return the sums, their charges and what is added to states by name, from the row of all."""
    n = len(linear.states)
    sums = dict(zip(linear.states, row[:n], strict=True))
    charge = dict(zip(linear.states, row[n : 2 * n], strict=True))
    return sums, charge if n else None, dict(zip(names, row[2 * n :], strict=True))


def check_sums(
    group: Group, linear: Linear, parameters: dict[str, Array], dt: float, rest: bool = True
) -> None:
    """Refuse states without a closed form, and set how far the closed form has to reach.

    Raises:
        NetworkError: A number on which they depend is not finite; a sum does not decay to 0 or
            starts elsewhere.
    """
    table = {name: tf.constant(value) for name, value in parameters.items()}
    prepared = group.lowered.prepare(table)
    try:
        values = coefficients(group, linear, prepared, np.dtype(np.float64))
    except EquationError as error:
        raise NetworkError(f"{group.place}: {error}") from error
    for state in linear.states:
        numbers = [values.matrix.get((state, state), 1.0), values.offsets.get(state, 0.0)]
        rate = float(numbers[0])
        if not np.all(np.isfinite([float(number) for number in numbers])) or rate == 0:
            raise NetworkError(
                f"{group.place}: d{state}/dt has the rate {rate:g} per ms; are the time "
                "constants greater than 0 and finite? Leave out of the text what is switched off."
            )
    for state in linear.states if rest else ():
        rate = float(values.matrix.get((state, state), 0.0))
        if not (np.isfinite(rate) and rate < 0):
            raise NetworkError(
                f"{group.place}: between spikes {state} must decay, but its rate is {rate:g} per "
                "ms; are the time constants greater than 0?"
            )
        level, start = float(values.offsets.get(state, 0.0)), group.initial[state]
        if level or start:
            unit = group.lowered.equations.unit(state)
            raise NetworkError(
                f"{group.place}: between spikes {state} must decay to 0 and start there; found "
                f"d{state}/dt = {Parameter(np.asarray(level), f'{unit}/ms')} at 0 and a start of "
                f"{Parameter(np.asarray(start), unit)}."
            )
    linear.reach(values, dt)
