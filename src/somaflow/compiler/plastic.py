"""Plastic synapses: each has variables of its own, which change at spikes on either side.

What a spike does is evaluated for the synapses of the cell that spiked, and for no other. Traces
are read at the moment of the spike, spikes of the same step that came before it included. Within a
step, what presynaptic spikes do to a synapse is done before what postsynaptic spikes do.
"""

import math
from collections.abc import Callable, Sequence
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
from somaflow.compiler.states import Coefficients, Matrix, States, Tensors, Tick
from somaflow.compiler.sums import (
    JumpingContext,
    Traces,
    check_sums,
    coefficients,
    finished,
    opened,
    summed_current,
    ways,
)
from somaflow.compiler.wiring import Wiring, pairs_of, tally
from somaflow.equations.expression import Node
from somaflow.errors import NetworkError
from somaflow.network.jumping import increment
from somaflow.network.plastic import Plastic
from somaflow.numerics.delivery import Lists, in_lists, over_blocks
from somaflow.numerics.device import cast, row_of, rows_of, spread, stored
from somaflow.numerics.places import for_each, senders
from somaflow.numerics.types import Tensor
from somaflow.simulation.system import Array


class PlasticState(NamedTuple):
    """What plastic synapses keep from step to step.

    Attributes:
        sums: States of synapses, summed over those of each postsynaptic cell, `[width]`.
        pre: Traces of each presynaptic cell, `[n_pre]`.
        post: Traces of each postsynaptic cell, `[width]`.
        own: Variables of each synapse, in the order of the wiring; the last is of no synapse.
    """

    sums: Tensors
    pre: Tensors
    post: Tensors
    own: Tensors


class PlasticConstants(NamedTuple):
    """What plastic synapses have for a chunk.

    Attributes:
        arrays: Of the wiring.
        table: Numbers of the equations, by name.
        pre: Coefficients of the traces of presynaptic cells.
        post: Of those of postsynaptic cells.
        sums: Of the sums.
        ways: As of jumping synapses.
    """

    arrays: Tensors
    table: Tensors
    pre: Coefficients
    post: Coefficients
    sums: Coefficients
    ways: Matrix


class Side(NamedTuple):
    """The cells of one side in a step, and what synapses may ask of their traces.

    Attributes:
        since: Time from each spike to the step's end, 0 where there is none.
        seen: The traces before each assignment of the spike.
        end: The traces at the step's end.
        at: Takes cells and a time before the step's end, and returns their traces then.
        ports: What the cells give to the equations of a synapse.
    """

    since: Tensor
    seen: list[Tensors]
    end: Tensors
    at: Callable[[Tensor, Tensor], Tensors]
    ports: Tensors


class PlasticCoupling:
    """One projection of plastic synapses.

    Args:
        group: The group, of one projection.
        wiring: Its synapses, as a loop.
        dtype: NumPy type of the run.
    """

    rows: dict[str, float] = {}  # noqa: RUF012 - never changed
    places, each, follows, flowing = (), False, False, ()
    unseen = ("projection", "wired", "began", "ordered", "back")

    def __init__(self, group: Group, wiring: Wiring, dtype: np.dtype) -> None:
        self.group, self.wiring, self.dtype = group, wiring, dtype
        form = group.form
        assert isinstance(form, Plastic)
        self.form = form
        self.projection = group.members[0].projection
        self.linear = Linear(group.lowered.equations, form.sums)
        self.pre = Traces(group, form.pre_states, form.on_spike, "_pre")
        self.post = Traces(group, form.post_states, form.on_post_spike, "_post")
        known = {*form.sums, *form.own, *form.pre_states, *form.post_states}
        self.ports = tuple(dict.fromkeys(a.name for a in form.on_spike if a.name not in known))
        self.height = 2 * len(form.sums) + len(self.ports)
        self.weight = self.projection.weight_name
        arrays = wiring.arrays
        self.width = arrays["other"].shape[1]
        self.size = arrays["other"].size
        out = Lists(arrays["first"], arrays["other"], {}, wiring.choice.synapses, wiring.single)
        pre, post, places = pairs_of(out, wiring.width)
        self.ordered: Array = places[np.lexsort((pre, post))]
        pairs = pre, post + group.members[0].first
        self.wired = tally(*pairs)
        self.began = ""
        if self.weight in form.own:
            self.began = tally(*pairs, arrays["weight"].ravel()[places])
        self.back: Lists | None = None
        self.back_single = False
        if form.on_post_spike:
            self.back = in_lists(out, wiring.n_pre, wiring.width)
            self.back_single = self.back.single
            wiring.arrays |= {
                "in first": self.back.first,
                "in other": self.back.other,
                "in place": self.back.columns["place"],
            }

    def check(self, parameters: dict[str, Array], dt: float) -> None:
        """Refuse what has no closed form.

        Raises:
            NetworkError: As for `check_sums`.
        """
        check_sums(self.group, self.linear, parameters, dt)
        for traces in (self.pre, self.post):
            check_sums(self.group, traces.linear, parameters, dt, rest=False)

    def initial(self, batch: tuple[int, ...]) -> PlasticState:
        """Return sums of 0, and the initial values of traces and of synapses.

        Raises:
            NetworkError: There is a batch, for which plastic synapses are not made.
        """
        if batch:
            raise NetworkError(
                f"{self.group.place}: what a spike does is computed for each synapse by itself, "
                "and such synapses take no batch axes: parameters and initial values of this "
                "network have one value a cell at most."
            )
        start = self.group.initial

        def full(names: Sequence[str], size: int) -> dict[str, np.ndarray]:
            return {s: np.full((size,), start[s], self.dtype) for s in names}

        variables = full(self.form.own, self.size + 1)
        if self.weight in variables:
            variables[self.weight] = np.append(self.wiring.arrays["weight"], 0).astype(self.dtype)
        return PlasticState(
            full(self.form.sums, self.wiring.width),
            full(self.form.pre_states, self.wiring.n_pre),
            full(self.form.post_states, self.wiring.width),
            variables,
        )

    def prepare(
        self, arrays: Tensors, table: Tensors, dt: float, nodes: tuple[float, ...]
    ) -> PlasticConstants:
        """Evaluate the coefficients, and the way of the sums to each node."""
        numbers = self.group.lowered.prepare(table)
        pre, post, sums = (
            coefficients(self.group, linear, numbers, self.dtype)
            for linear in (self.pre.linear, self.post.linear, self.linear)
        )
        moved = ways(self.linear, sums, self.dtype, dt, nodes)
        return PlasticConstants(arrays, numbers, pre, post, sums, moved)

    def arrive(self, event: PlasticState, tick: Tick, prepared: PlasticConstants) -> JumpingContext:
        """Return the sums at each node and at the end."""
        return opened(self.linear, event.sums, tick, prepared.ways)

    def sums(
        self, states: States, context: JumpingContext, node: int, prepared: PlasticConstants
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

    def slopes(self, states: States, context: JumpingContext, prepared: PlasticConstants) -> States:
        """Return nothing: no solver integrates these states."""
        return {}

    def emit(
        self,
        event: PlasticState,
        context: JumpingContext,
        spikes: Spikes,
        tick: Tick,
        prepared: PlasticConstants,
    ) -> Effect[PlasticState, Tensors] | None:
        """Do what the spikes of both sides do."""
        source, target = self.group.source, self.group.routes[0].target
        pre = self._side(
            self.pre, prepared.pre, event.pre, spikes.pre, spikes.states[source], tick, prepared
        )
        post = None
        if spikes.post is not None:  # else nothing reads the postsynaptic spikes
            owner = spikes.states[target]
            post = self._side(
                self.post, prepared.post, event.post, spikes.post, owner, tick, prepared
            )
        given = ports(self.group.lowered, spikes.states[target], "_post")
        # No conditions around these: each branch would copy the variables of all synapses.
        variables, total = self._presynaptic(event.own, pre, post, given, prepared)
        if post is not None and self.form.on_post_spike:
            variables = self._postsynaptic(variables, pre, post, prepared)
        rows = tf.unstack(tf.transpose(total)[:, :-1])[: self.height]
        ends = [context.end[s] for s in self.form.sums]
        grown = [end + part for end, part in zip(ends, rows, strict=False)]
        sums, charge, added = finished(self.linear, self.ports, [*grown, *rows[len(ends) :]])
        state = PlasticState(sums, pre.end, {} if post is None else post.end, variables)
        return Effect(state, charge, {}, added)

    def _side(
        self,
        traces: Traces,
        values: Coefficients,
        z: Tensors,
        since: Tensor,
        owner: States,
        tick: Tick,
        prepared: PlasticConstants,
    ) -> Side:
        """Return what the synapses may ask of the cells of one side.

        Args:
            traces: Their traces.
            values: The coefficients of those.
            z: The traces at the step's start.
            since: Time from each spike to the step's end.
            owner: The states of the cells.
            tick: The step.
            prepared: What `prepare` returned.
        """
        dt = tick.dt
        seen, now = traces.spike(values, z, since, dt, owner, prepared.table)
        calm = traces.later(values, z, dt)
        grown = traces.linear.advance(values, now, since) if now else {}
        end = {s: tf.where(since > 0, grown[s], calm[s]) for s in traces.states}

        def at(cells: Tensor, ago: Tensor) -> Tensors:
            if not traces.states:
                return {}
            last = tf.gather(since, cells)
            start = {s: tf.gather(z[s], cells) for s in traces.states}
            jumped = {s: tf.gather(now[s], cells) for s in traces.states}
            early = traces.linear.advance(values, start, dt - ago)
            late = traces.linear.advance(values, jumped, tf.maximum(last - ago, 0))
            return {
                s: tf.where((last > 0) & (last > ago), late[s], early[s]) for s in traces.states
            }

        return Side(since, seen, end, at, ports(self.group.lowered, owner, traces.side))

    def _presynaptic(
        self,
        variables: Tensors,
        pre: Side,
        post: Side | None,
        given: Tensors,
        prepared: PlasticConstants,
    ) -> tuple[Tensors, Tensor]:
        """Return the variables of synapses after presynaptic spikes, and what these deliver.

        Args:
            variables: The variables before.
            pre: The presynaptic cells.
            post: The postsynaptic cells; None where nothing reads their spikes.
            given: What the postsynaptic cells give to the equations.
            prepared: What `prepare` returned.
        """
        form, arrays, dtype = self.form, prepared.arrays, tf.as_dtype(self.dtype)
        lowered = self.group.lowered

        def cell(j: Tensor, state: tuple[Tensors, Tensor]) -> tuple[Tensors, Tensor]:
            since = pre.since[j]
            fixed = {name: value[j] for name, value in pre.ports.items()}
            snapshots = [{s: v[j] for s, v in then.items()} for then in pre.seen]

            def block(b: Tensor, state: tuple[Tensors, Tensor]) -> tuple[Tensors, Tensor]:
                variables, total = state
                target = row_of(arrays["other"], b)
                cells = tf.minimum(target, self.wiring.width - 1)
                values = fixed | {name: tf.gather(v, cells) for name, v in given.items()}
                if post is not None:
                    values |= post.at(cells, since)
                start = b * self.width
                values |= {s: rows_of(v, start, self.width) for s, v in variables.items()}
                if self.weight is not None and self.weight not in variables:
                    values[self.weight] = row_of(arrays["weight"], b)
                jumps, added, done = {}, {}, None
                for assignment, then in zip(form.on_spike, snapshots, strict=True):
                    name = assignment.name
                    if name in form.pre_states:
                        continue
                    value = lowered.scope(prepared.table, {**values, **then})
                    if name in variables:
                        fresh = spread(cast(value(assignment.expression), dtype), target.shape)
                        if jumps or added:
                            total = self._delivered(total, target, jumps, added, since, prepared)
                            jumps, added, done = {}, {}, total[0, 0]
                        if done is not None:
                            # What was done has read the old values. If these could be overwritten
                            # before, XLA would copy all of them: so nothing is until it is done.
                            fresh = tf.where(tf.equal(done, done), fresh, math.nan)
                        variables = {**variables, name: stored(variables[name], fresh, start)}
                        # Read back from where it was written, for the same reason.
                        places = start + tf.range(self.width)
                        values[name] = tf.gather(variables[name], places)
                        done = values[name][0]
                        continue
                    size = value(increment(assignment, self.group.place))
                    of = jumps if name in form.sums else added
                    of[name] = of.get(name, 0.0) + spread(cast(size, dtype), target.shape)
                if jumps or added:
                    total = self._delivered(total, target, jumps, added, since, prepared)
                return variables, total

            return over_blocks(arrays["first"], self.wiring.single, j, block, state)

        total = tf.zeros([self.wiring.width + 1, max(self.height, 1)], dtype)
        return for_each(senders(arrays["first"], pre.since > 0), cell, (variables, total))

    def _delivered(
        self,
        total: Tensor,
        target: Tensor,
        jumps: Tensors,
        added: Tensors,
        since: Tensor,
        prepared: PlasticConstants,
    ) -> Tensor:
        """Return what is delivered in a step with what some synapses deliver.

        Args:
            total: What is so far, a row a postsynaptic cell.
            target: The cell of each synapse.
            jumps: What is added to sums, by state.
            added: What is added to variables of the cells.
            since: The time from the spike to the step's end.
            prepared: What `prepare` returned.
        """
        nothing, columns = tf.zeros(target.shape, total.dtype), []
        if self.form.sums:
            jumps = jumps or {self.form.sums[0]: nothing}
            both = self.linear.swept(prepared.sums, jumps, since)
            columns = [part[s] for part in both for s in self.form.sums]
        columns += [added.get(name, nothing) for name in self.ports]
        return tf.tensor_scatter_nd_add(total, target[:, None], tf.stack(columns, axis=-1))

    def _postsynaptic(
        self, variables: Tensors, pre: Side, post: Side, prepared: PlasticConstants
    ) -> Tensors:
        """Return the variables of synapses after postsynaptic spikes."""
        form, arrays, dtype = self.form, prepared.arrays, tf.as_dtype(self.dtype)
        lowered = self.group.lowered

        def cell(i: Tensor, variables: Tensors) -> Tensors:
            since = post.since[i]
            fixed = {name: value[i] for name, value in post.ports.items()}
            snapshots = [{s: v[i] for s, v in then.items()} for then in post.seen]

            def block(b: Tensor, variables: Tensors) -> Tensors:
                place = row_of(arrays["in place"], b)
                cells = tf.minimum(row_of(arrays["in other"], b), self.wiring.n_pre - 1)
                values = fixed | {name: tf.gather(v, cells) for name, v in pre.ports.items()}
                values |= pre.at(cells, since)
                values |= {s: tf.gather(v, place) for s, v in variables.items()}
                if self.weight is not None and self.weight not in variables:
                    flat = tf.reshape(arrays["weight"], [-1])
                    values[self.weight] = tf.gather(flat, tf.minimum(place, self.size - 1))
                changed = set()
                for assignment, then in zip(form.on_post_spike, snapshots, strict=True):
                    if assignment.name in variables:
                        value = lowered.scope(prepared.table, {**values, **then})
                        fresh = spread(cast(value(assignment.expression), dtype), place.shape)
                        values[assignment.name] = fresh
                        changed.add(assignment.name)
                return {
                    s: tf.tensor_scatter_nd_update(v, place[:, None], values[s])
                    if s in changed
                    else v
                    for s, v in variables.items()
                }

            return over_blocks(arrays["in first"], self.back_single, i, block, variables)

        return for_each(senders(arrays["in first"], post.since > 0), cell, variables)

    def variable(self, name: str, route: Route) -> Location[PlasticState]:
        """Return where a variable of each synapse, a trace of either side or a sum is found."""
        form = self.form
        if name in form.own:
            return Location("synapse", lambda event, _: event.own[name], self.ordered)
        if name in form.pre_states:
            return Location("pre", lambda event, _: event.pre[name])
        if name in form.post_states:
            return Location("post", lambda event, _: event.post[name][..., route.columns])
        return Location("post", lambda event, _: event.sums[name][..., route.columns])
