"""Jumping synapses: states that jump at spikes and have closed forms between them."""

from typing import Any

import numpy as np
import tensorflow as tf

from somaflow.compiler.coupling import (
    Group,
    Moment,
    Outcome,
    Route,
    Spikes,
    States,
    Variable,
    fractions,
    ports,
)
from somaflow.compiler.linear import Linear
from somaflow.compiler.ring import Ring
from somaflow.compiler.wiring import Wiring
from somaflow.equations.expression import Node
from somaflow.errors import EquationError, NetworkError
from somaflow.network.jumping import Jumping
from somaflow.numerics.delivery import Value
from somaflow.numerics.device import cast
from somaflow.numerics.types import Tensor
from somaflow.units import Parameter


class Traces:
    """States that all synapses of a cell share: they jump at the cell's spikes.

    Args:
        group: The group.
        states: Their names.
        assignments: What a spike does, in order.
        side: `_pre` or `_post`: the cell's end of the name of an input.
    """

    def __init__(self, group: Group, states: Any, assignments: Any, side: str) -> None:
        self.group, self.side = group, side
        self.assignments = tuple(assignments)
        self.linear = Linear(group.lowered.equations, states)
        self.states = self.linear.states

    def later(self, values: Any, z: States, dt: float) -> dict[str, Tensor]:
        """Return the states at the step's end, without spikes."""
        return self.linear.advance(values, z, dt) if self.states else {}

    def spike(
        self, values: Any, z: States, since: Tensor, dt: float, owner: States, table: Any
    ) -> tuple[list[dict[str, Tensor]], dict[str, Tensor]]:
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

    def __init__(self, group: Group, wiring: Wiring, dtype: Any) -> None:
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

    def check(self, parameters: dict[str, Any], dt: float) -> None:
        """Refuse what has no closed form.

        Raises:
            NetworkError: A sum does not decay to 0, or is faster than a step.
        """
        check_sums(self.group, self.linear, parameters, dt)
        check_sums(self.group, self.traces.linear, parameters, dt, rest=False)

    def initial(self, batch: tuple[int, ...]) -> Any:
        """Return sums of 0, and the traces' initial values."""
        made: dict[str, Any] = {
            "sums": {s: np.zeros((*batch, self.wiring.width), self.dtype) for s in self.form.sums},
            "before": {
                s: np.full((*batch, self.wiring.n_pre), self.group.initial[s], self.dtype)
                for s in self.form.before
            },
        }
        if self.wiring.latest is not None:
            made["late"] = Ring(self.wiring, self.height, batch).initial(self.dtype)
        return made

    def prepare(self, arrays: Any, table: Any, dt: float, nodes: tuple[float, ...]) -> Any:
        """Evaluate the coefficients, and the way of the sums to each node."""
        prepared = self.group.lowered.prepare(table)
        return {
            "arrays": arrays,
            "table": prepared,
            "before": coefficients(self.group, self.traces.linear, prepared, self.dtype),
        } | ways(self.group, self.linear, prepared, self.dtype, dt, nodes)

    def arrive(self, event: Any, moment: Moment, prepared: Any) -> Any:
        """Return the sums at each node and at the end."""
        return opened(self.linear, event["sums"], moment, prepared)

    def sums(self, states: States, context: Any, node: int, prepared: Any) -> Any:
        """Return the sums over the synapses of each postsynaptic cell, by state."""
        return context["sums"][node]

    def current(
        self, route: Route, owner: States, sums: Any, table: Any, of: tuple[Node, ...] | None = None
    ) -> Tensor | None:
        """Return the outward current of a route."""
        return summed_current(route, owner, sums, table, of)

    def slopes(self, states: States, context: Any, prepared: Any) -> dict[str, Tensor]:
        """Return nothing: no solver integrates these states."""
        return {}

    def emit(
        self, event: Any, context: Any, spikes: Spikes, moment: Moment, prepared: Any
    ) -> Outcome | None:
        """Add the jumps of the spikes that arrive, each from its crossing on."""
        since, form, arrays = spikes.before, self.form, prepared["arrays"]
        hit = since > 0
        nothing = tf.zeros_like(since)
        calm = self.traces.later(prepared["before"], event["before"], moment.dt)
        ends = tuple(context["end"][s] for s in form.sums)

        # Within a branch, where what is added to is stored already: elsewhere its product and this
        # sum may be contracted or not, and rows of a batch differ from a run alone.
        def grown_by(found: Any) -> tuple[Tensor, ...]:
            sums = (end + part for end, part in zip(ends, found, strict=False))
            return (*sums, *found[len(ends) :])

        def traces(now: Any) -> tuple[Tensor, ...]:
            after = self.traces.linear.advance(prepared["before"], now, since) if now else {}
            return tuple(tf.where(hit, after[s], calm[s]) for s in form.before)

        mask = tf.reduce_any(tf.reshape(hit, [-1, hit.shape[-1]]), axis=0)

        def delivered() -> Any:
            jumps, added, now = self._jumps(event, spikes, moment, prepared)
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

        def quiet() -> Any:
            kept = tuple(calm[s] for s in form.before)
            nothing = tf.zeros([*since.shape[:-1], self.wiring.width], since.dtype)
            return *ends, *[nothing] * (self.height - len(ends)), *kept

        made: dict[str, Any] = {}
        if self.wiring.latest is not None:
            ring = Ring(self.wiring, self.height, tuple(since.shape[:-1]))
            names = [a.name for a in form.on_spike if a.name not in form.before]

            # A ring passes no conditional: XLA would copy it in both branches.
            def sizes() -> Any:
                jumps, added, now = self._jumps(event, spikes, moment, prepared)
                rest = iter(added)
                ordered = [jumps[name] if name in jumps else next(rest) for name in names]
                return *ordered, *traces(now)

            def none() -> Any:
                return *[nothing] * len(names), *(calm[s] for s in form.before)

            every = tf.cond(tf.reduce_any(hit), sizes, none)
            named = list(zip(names, every, strict=False))
            jumps = {name: size for name, size in named if name in form.sums}
            added = [size for name, size in named if name not in form.sums]
            kept = every[len(names) :]
            one = self._of_one(jumps, added, since, prepared)
            late = ring.add_values(event["late"], arrays, mask, one, moment.step)
            arrived, made["late"] = ring.take(late, moment.step)
            found = grown_by(tf.unstack(arrived))
        else:
            every = tf.cond(tf.reduce_any(hit), delivered, quiet)
            found, kept = every[: self.height], every[self.height :]
        made["before"] = dict(zip(form.before, kept, strict=True))
        return finished(self.linear, self.ports, found, made)

    def _sent(self, jumps: Any, added: Any, since: Tensor, prepared: Any) -> Tensor:
        """Return what is delivered, `[height, ...]`, of all cells or of one."""
        values = []
        if self.form.sums:
            both = self.linear.swept(prepared["sums"], jumps, since)
            values = [part[s] for part in both for s in self.form.sums]
        return tf.stack([*values, *added])

    def _of_one(self, jumps: Any, added: Any, since: Tensor, prepared: Any) -> Value:
        def one(j: Tensor) -> Tensor:
            jumped = {s: size[..., j] for s, size in jumps.items()}
            each = [size[..., j] for size in added]
            return tf.reshape(self._sent(jumped, each, since[..., j], prepared), [-1])

        return one

    def _jumps(
        self, event: Any, spikes: Spikes, moment: Moment, prepared: Any
    ) -> tuple[dict[str, Tensor], list[Tensor], dict[str, Tensor]]:
        """Return the jump of each sum, what is added to states, and the traces behind the spikes.

        All without the weight, and 0 for cells without a spike.
        """
        since, form, table = spikes.before, self.form, prepared["table"]
        owner = spikes.states[self.group.source]
        seen, now = self.traces.spike(
            prepared["before"], event["before"], since, moment.dt, owner, table
        )
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

    def variable(self, name: str, route: Route) -> Variable:
        """Return where a trace of a presynaptic cell or a sum is found."""
        if name in self.form.before:
            return Variable("pre", lambda event, _: event["before"][name])
        return Variable("post", lambda event, _: event["sums"][name][..., route.columns])


# ------------------------------------------------------------------- shared with plastic


def coefficients(group: Group, linear: Linear, prepared: Any, dtype: Any) -> dict[str, Any]:
    """Return the coefficients of closed forms as tensors."""
    value = group.lowered.scope(prepared, {})
    return linear.values(lambda node: cast(value(node), dtype))


def ways(
    group: Group, linear: Linear, prepared: Any, dtype: Any, dt: float, nodes: tuple[float, ...]
) -> dict[str, Any]:
    """Return the coefficients of the sums and how each sum depends on all after parts of a step.

    Each way is a vector over `fractions(nodes)`, and then of the mean over the step, if the solver
    gets that.
    """
    values = coefficients(group, linear, prepared, dtype)
    found: dict[str, list[Tensor]] = {}
    mean = linear.steep[len(nodes) > 1]
    for column in linear.states:
        unit = {s: tf.constant(float(s == column), dtype) for s in linear.states}
        moved = [linear.advance(values, unit, c * dt) for c in fractions(nodes)]
        if mean:
            _, areas = linear.swept(values, unit, tf.constant(dt, dtype))
            moved.append({s: area / dt for s, area in areas.items()})
        for row in linear.states:
            if linear.parts.reaches(column, row):
                found[f"{row} {column}"] = [part[row] for part in moved]
    return {"sums": values, "ways": {key: tf.stack(way) for key, way in found.items()}}


def opened(linear: Linear, sums: Any, moment: Moment, prepared: Any) -> dict[str, Any]:
    """Return the sums at each node, at the start and at the end, without spikes."""
    made: dict[str, Tensor] = {}
    for key, way in prepared["ways"].items():
        row, column = key.split(" ")
        # Of all times at once: a product that its reader could contract with an addition, or not,
        # would make rows of a batch differ from a run alone in their last bits.
        term = way[(slice(None), *[None] * sums[column].shape.rank)] * sums[column][None]
        made[row] = made[row] + term if row in made else term
    rows = {state: tf.unstack(total) for state, total in made.items()}
    places = {0.0: dict(sums)}
    for k, c in enumerate(moment.fractions):
        places[c] = {state: rows[state][k] for state in linear.states}
    seen = [places[c] for c in moment.nodes]
    if any(len(row) > len(moment.fractions) for row in rows.values()):
        seen = [{state: rows[state][-1] for state in linear.states}] * len(seen)
    return {"sums": [*seen, places[0.0]], "end": places[1.0]}


def summed_current(
    route: Route, owner: States, sums: Any, table: Any, of: tuple[Node, ...] | None = None
) -> Tensor | None:
    """Return the outward current: that of one synapse, with the sums for its states."""
    if not route.post:
        return None
    values = ports(route.lowered, owner, "_post")
    values |= {state: total[..., route.columns] for state, total in sums.items()}
    return route.lowered.scope(table, values)((route.post if of is None else of)[0])


def finished(linear: Linear, names: Any, found: Any, made: Any) -> Outcome:
    """Return the outcome of a step from the sums, their charges and what is added to states."""
    n = len(linear.states)
    made["sums"] = dict(zip(linear.states, found[:n], strict=True))
    charge = dict(zip(linear.states, found[n : 2 * n], strict=True))
    added = dict(zip(names, found[2 * n :], strict=True))
    return Outcome(made, charge if n else None, {}, added)


def check_sums(
    group: Group, linear: Linear, parameters: dict[str, Any], dt: float, rest: bool = True
) -> None:
    """Refuse states without a closed form, and set how far the closed form has to reach.

    Raises:
        NetworkError: A number on which they depend is not finite; a sum does not decay to 0 or
            starts elsewhere.
    """
    table = {name: tf.constant(value) for name, value in parameters.items()}
    prepared = group.lowered.prepare(table)
    try:
        values = coefficients(group, linear, prepared, np.float64)
    except EquationError as error:
        raise NetworkError(f"{group.place}: {error}") from error
    for state in linear.states:
        found = [values["a"].get((state, state), 1.0), values["b"].get(state, 0.0)]
        if not np.all(np.isfinite([float(number) for number in found])) or float(found[0]) == 0:
            raise NetworkError(
                f"{group.place}: d{state}/dt has the rate {float(found[0]):g} per ms; are the time "
                "constants greater than 0 and finite? Leave out of the text what is switched off."
            )
    for state in linear.states if rest else ():
        rate = float(values["a"].get((state, state), 0.0))
        if not (np.isfinite(rate) and rate < 0):
            raise NetworkError(
                f"{group.place}: between spikes {state} must decay, but its rate is {rate:g} per "
                "ms; are the time constants greater than 0?"
            )
        level, start = float(values["b"].get(state, 0.0)), group.initial[state]
        if level or start:
            unit = group.lowered.equations.unit(state)
            raise NetworkError(
                f"{group.place}: between spikes {state} must decay to 0 and start there; found "
                f"d{state}/dt = {Parameter(np.asarray(level), f'{unit}/ms')} at 0 and a start of "
                f"{Parameter(np.asarray(start), unit)}."
            )
    linear.reach(values, dt)
