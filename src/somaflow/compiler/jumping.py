"""Jumping synapses: states that jump at spikes and have closed forms between them."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from somaflow.compiler.coupling import (
    Effect,
    Group,
    Location,
    Route,
    Spikes,
    ports,
)
from somaflow.compiler.linear import Linear
from somaflow.compiler.ring import Ring
from somaflow.compiler.states import Coefficients, Matrix, States, Tensors, Tick, fractions
from somaflow.compiler.wiring import Wiring
from somaflow.equations.equations import Assignment
from somaflow.equations.expression import Node
from somaflow.errors import EquationError, NetworkError
from somaflow.network.jumping import Jumping
from somaflow.numerics.delivery import Value
from somaflow.numerics.device import cast
from somaflow.numerics.types import Tensor
from somaflow.simulation.system import Array
from somaflow.units import Parameter


class JumpingState(NamedTuple):
    """What jumping synapses keep from step to step.

    Attributes:
        sums: States of synapses, summed over those of each postsynaptic cell, `[..., width]`.
        pre: Traces of each presynaptic cell, `[..., n_pre]`.
        late: Where delays differ, a ring of what spikes under way will deliver; else ().
    """

    sums: Tensors
    pre: Tensors
    late: Tensor = ()


class JumpingConstants(NamedTuple):
    """What jumping synapses have for a chunk.

    Attributes:
        arrays: Of the wiring.
        table: Numbers of the equations, by name.
        pre: Coefficients of the traces of presynaptic cells.
        sums: Of the sums.
        ways: How each sum (the row) depends on each at the step's start (the column), over
            `Tick.fractions` and, if the solver gets it, the mean over the step.
        jumps: Of a Poisson input: what one spike adds to each cell, by name.
    """

    arrays: Tensors
    table: Tensors
    pre: Coefficients
    sums: Coefficients
    ways: Matrix
    jumps: Tensors


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


class JumpingCoupling:
    """A group of jumping synapses whose jumps are the weight times what the presynaptic cell gives.

    Args:
        group: The group.
        wiring: Its synapses.
        dtype: NumPy type of the run.
    """

    rows: dict[str, float] = {}  # noqa: RUF012 - never changed
    wired, places, each, follows, flowing = "", (), False, False, ()

    def __init__(self, group: Group, wiring: Wiring, dtype: np.dtype) -> None:
        self.group, self.wiring, self.dtype = group, wiring, dtype
        form = group.form
        assert isinstance(form, Jumping)
        self.form = form
        self.linear = Linear(group.lowered.equations, form.sums)
        self.traces = Traces(group, form.before, form.on_spike, "_pre")
        # What each spike delivers: the sums at the step's end, their integral within the step,
        # and what is added to variables of the postsynaptic cell.
        self.ports = tuple(name for name in form.amplitudes or {} if name not in form.sums)
        self.height = 2 * len(form.sums) + len(self.ports)

    def check(self, parameters: dict[str, Array], dt: float) -> None:
        """Refuse what has no closed form.

        Raises:
            NetworkError: A sum does not decay to 0, or is faster than a step.
        """
        check_sums(self.group, self.linear, parameters, dt)
        check_sums(self.group, self.traces.linear, parameters, dt, rest=False)

    def initial(self, batch: tuple[int, ...]) -> JumpingState:
        """Return sums of 0, and the traces' initial values."""
        late = ()
        if self.wiring.latest is not None:
            late = Ring(self.wiring, self.height, batch).initial(self.dtype)
        return JumpingState(
            {s: np.zeros((*batch, self.wiring.width), self.dtype) for s in self.form.sums},
            {
                s: np.full((*batch, self.wiring.n_pre), self.group.initial[s], self.dtype)
                for s in self.form.before
            },
            late,
        )

    def prepare(
        self, arrays: Tensors, table: Tensors, dt: float, nodes: tuple[float, ...]
    ) -> JumpingConstants:
        """Evaluate the coefficients, and the way of the sums to each node."""
        numbers = self.group.lowered.prepare(table)
        pre = coefficients(self.group, self.traces.linear, numbers, self.dtype)
        sums = coefficients(self.group, self.linear, numbers, self.dtype)
        moved = ways(self.linear, sums, self.dtype, dt, nodes)
        return JumpingConstants(arrays, numbers, pre, sums, moved, {})

    def arrive(self, event: JumpingState, tick: Tick, prepared: JumpingConstants) -> JumpingContext:
        """Return the sums at each node and at the end."""
        return opened(self.linear, event.sums, tick, prepared.ways)

    def sums(
        self, states: States, context: JumpingContext, node: int, prepared: JumpingConstants
    ) -> Tensors:
        """Return the sums over the synapses of each postsynaptic cell, by state."""
        return context.sums[node]

    def current(
        self,
        route: Route,
        owner: States,
        sums: Tensors,
        table: Tensors,
        of: tuple[Node, ...] | None = None,
    ) -> Tensor | None:
        """Return the outward current of a route."""
        return summed_current(route, owner, sums, table, of)

    def slopes(self, states: States, context: JumpingContext, prepared: JumpingConstants) -> States:
        """Return nothing: no solver integrates these states."""
        return {}

    def emit(
        self,
        event: JumpingState,
        context: JumpingContext,
        spikes: Spikes,
        tick: Tick,
        prepared: JumpingConstants,
    ) -> Effect[JumpingState, Tensors] | None:
        """Add the jumps of the spikes that arrive, each from its crossing on."""
        since, form, arrays = spikes.pre, self.form, prepared.arrays
        hit = since > 0
        nothing = tf.zeros_like(since)
        calm = self.traces.later(prepared.pre, event.pre, tick.dt)
        ends = tuple(context.end[s] for s in form.sums)

        # Within a branch, where what is added to is stored already: elsewhere its product and this
        # sum may be contracted or not, and rows of a batch differ from a run alone.
        def grown_by(found: Sequence[Tensor]) -> tuple[Tensor, ...]:
            sums = (end + part for end, part in zip(ends, found, strict=False))
            return (*sums, *found[len(ends) :])

        def traces(now: Tensors) -> tuple[Tensor, ...]:
            after = self.traces.linear.advance(prepared.pre, now, since) if now else {}
            return tuple(tf.where(hit, after[s], calm[s]) for s in form.before)

        mask = tf.reduce_any(tf.reshape(hit, [-1, hit.shape[-1]]), axis=0)

        def delivered() -> tuple[Tensor, ...]:
            jumps, added, now = self._jumps(event, spikes, tick, prepared)
            kept = traces(now)
            shape = [self.height, *since.shape[:-1], self.wiring.width]
            if self.wiring.choice.form == "loop":
                height = int(np.prod(shape[:-1]))
                total = self.wiring.sum_values(
                    arrays, mask, self._of_one(jumps, added, since, prepared), height
                )
                return *grown_by(tf.unstack(tf.reshape(total, shape))), *kept
            x = tf.where(hit, self._sent(jumps, added, since, prepared), nothing)
            return *grown_by([self.wiring.sum(arrays, part) for part in tf.unstack(x)]), *kept

        def quiet() -> tuple[Tensor, ...]:
            kept = tuple(calm[s] for s in form.before)
            nothing = tf.zeros([*since.shape[:-1], self.wiring.width], since.dtype)
            return *ends, *[nothing] * (self.height - len(ends)), *kept

        rest = ()
        if self.wiring.latest is not None:
            ring = Ring(self.wiring, self.height, tuple(since.shape[:-1]))
            names = [a.name for a in form.on_spike if a.name not in form.before]

            # A ring passes no conditional: XLA would copy it in both branches.
            def sizes() -> tuple[Tensor, ...]:
                jumps, added, now = self._jumps(event, spikes, tick, prepared)
                rest = iter(added)
                ordered = [jumps[name] if name in jumps else next(rest) for name in names]
                return *ordered, *traces(now)

            def none() -> tuple[Tensor, ...]:
                return *[nothing] * len(names), *(calm[s] for s in form.before)

            every = tf.cond(tf.reduce_any(hit), sizes, none)
            named = list(zip(names, every, strict=False))
            jumps = {name: size for name, size in named if name in form.sums}
            added = [size for name, size in named if name not in form.sums]
            kept = every[len(names) :]
            one = self._of_one(jumps, added, since, prepared)
            late = ring.add_values(event.late, arrays, mask, one, tick.step)
            arrived, rest = ring.take(late, tick.step)
            found = grown_by(tf.unstack(arrived))
        else:
            every = tf.cond(tf.reduce_any(hit), delivered, quiet)
            found, kept = every[: self.height], every[self.height :]
        sums, charge, added = finished(self.linear, self.ports, found)
        traced = dict(zip(form.before, kept, strict=True))
        return Effect(JumpingState(sums, traced, rest), charge, {}, added)

    def _sent(
        self, jumps: Tensors, added: list[Tensor], since: Tensor, prepared: JumpingConstants
    ) -> Tensor:
        """Return what is delivered, `[height, ...]`, of all cells or of one."""
        values = []
        if self.form.sums:
            both = self.linear.swept(prepared.sums, jumps, since)
            values = [part[s] for part in both for s in self.form.sums]
        return tf.stack([*values, *added])

    def _of_one(
        self, jumps: Tensors, added: list[Tensor], since: Tensor, prepared: JumpingConstants
    ) -> Value:
        def one(j: Tensor) -> Tensor:
            jumped = {s: size[..., j] for s, size in jumps.items()}
            each = [size[..., j] for size in added]
            return tf.reshape(self._sent(jumped, each, since[..., j], prepared), [-1])

        return one

    def _jumps(
        self, event: JumpingState, spikes: Spikes, tick: Tick, prepared: JumpingConstants
    ) -> tuple[Tensors, list[Tensor], Tensors]:
        """Return the jump of each sum, what is added to states, and the traces behind the spikes.

        All without the weight, and 0 for cells without a spike.
        """
        since, form, table = spikes.pre, self.form, prepared.table
        owner = spikes.states[self.group.source]
        seen, now = self.traces.spike(prepared.pre, event.pre, since, tick.dt, owner, table)
        jumps, added = {}, []
        inputs = ports(self.group.lowered, owner, "_pre")
        for assignment, then in zip(form.on_spike, seen, strict=True):
            if assignment.name in form.before:
                continue
            value = self.group.lowered.scope(table, {**inputs, **then})
            size = cast(value(form.amplitudes[assignment.name]), since.dtype)  # pyright: ignore
            size = tf.where(since > 0, tf.broadcast_to(size, since.shape), tf.zeros_like(since))
            if assignment.name in form.sums:
                jumps[assignment.name] = size
            else:
                added.append(size)
        return jumps, added, now

    def variable(self, name: str, route: Route) -> Location[JumpingState]:
        """Return where a trace of a presynaptic cell or a sum is found."""
        if name in self.form.before:
            return Location("pre", lambda event, _: event.pre[name])
        return Location("post", lambda event, _: event.sums[name][..., route.columns])


# ------------------------------------------------------------------- shared with plastic


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
    found: dict[tuple[str, str], list[Tensor]] = {}
    mean = linear.steep[len(nodes) > 1]
    for column in linear.states:
        unit = {s: tf.constant(float(s == column), dtype) for s in linear.states}
        moved = [linear.advance(values, unit, c * dt) for c in fractions(nodes)]
        if mean:
            _, areas = linear.swept(values, unit, tf.constant(dt, dtype))
            moved.append({s: area / dt for s, area in areas.items()})
        for row in linear.states:
            if linear.parts.reaches(column, row):
                found[row, column] = [part[row] for part in moved]
    return {key: tf.stack(way) for key, way in found.items()}


def opened(linear: Linear, sums: Tensors, tick: Tick, ways: Matrix) -> JumpingContext:
    """Return the sums at each node, at the start and at the end, without spikes."""
    made: Tensors = {}
    for (row, column), way in ways.items():
        # Of all times at once: a product that its reader could contract with an addition, or not,
        # would make rows of a batch differ from a run alone in their last bits.
        term = way[(slice(None), *[None] * sums[column].shape.rank)] * sums[column][None]
        made[row] = made[row] + term if row in made else term
    rows = {state: tf.unstack(total) for state, total in made.items()}
    places = {0.0: dict(sums)}
    for k, c in enumerate(tick.fractions):
        places[c] = {state: rows[state][k] for state in linear.states}
    seen = [places[c] for c in tick.nodes]
    if any(len(row) > len(tick.fractions) for row in rows.values()):
        seen = [{state: rows[state][-1] for state in linear.states}] * len(seen)
    return JumpingContext([*seen, places[0.0]], places[1.0])


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
    values |= {state: total[..., route.columns] for state, total in sums.items()}
    return route.lowered.scope(table, values)((route.post if of is None else of)[0])


def finished(
    linear: Linear, names: Sequence[str], found: Sequence[Tensor]
) -> tuple[Tensors, Tensors | None, Tensors]:
    """Return the sums, their charges and what is added to states by name, from the row of all."""
    n = len(linear.states)
    sums = dict(zip(linear.states, found[:n], strict=True))
    charge = dict(zip(linear.states, found[n : 2 * n], strict=True))
    return sums, charge if n else None, dict(zip(names, found[2 * n :], strict=True))


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
        found = [values.matrix.get((state, state), 1.0), values.offsets.get(state, 0.0)]
        if not np.all(np.isfinite([float(number) for number in found])) or float(found[0]) == 0:
            raise NetworkError(
                f"{group.place}: d{state}/dt has the rate {float(found[0]):g} per ms; are the time "
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
