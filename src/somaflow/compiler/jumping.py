"""Jumping synapses: states that jump at spikes and have closed forms between them."""

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
from somaflow.compiler.ring import Ring
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
from somaflow.compiler.wiring import Wiring
from somaflow.equations.expression import Node
from somaflow.network.jumping import Jumping
from somaflow.numerics.delivery import Value
from somaflow.numerics.device import cast, spread
from somaflow.numerics.places import senders
from somaflow.numerics.types import Tensor
from somaflow.simulation.system import Array


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


class JumpingCoupling:
    """A group of jumping synapses whose jumps are the weight times what the presynaptic cell gives.

    Args:
        group: The group.
        wiring: Its synapses.
        dtype: NumPy type of the run.
    """

    rows: dict[str, float] = {}  # noqa: RUF012 - never changed
    wired, began, places, each, follows, flowing, ordered = "", "", (), False, False, (), None

    def __init__(self, group: Group, wiring: Wiring, dtype: np.dtype) -> None:
        self.group, self.wiring, self.dtype = group, wiring, dtype
        form = group.form
        assert isinstance(form, Jumping)
        self.form = form
        self.linear = Linear(group.lowered.equations, form.sums)
        self.traces = Traces(group, form.pre_states, form.on_spike, "_pre")
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
                for s in self.form.pre_states
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
        still = tuple(calm[s] for s in form.pre_states)
        ends = tuple(context.end[s] for s in form.sums)

        # Within a branch, where what is added to is stored already: elsewhere its product and this
        # sum may be contracted or not, and rows of a batch differ from a run alone.
        def grown_by(rows: Sequence[Tensor]) -> tuple[Tensor, ...]:
            sums = (end + part for end, part in zip(ends, rows, strict=False))
            return (*sums, *rows[len(ends) :])

        if self.wiring.latest is not None:
            kept = event if self.group.heard else self.sent(event, spikes, tick, prepared)
            arrived, late = self._ring(since).take(kept.late, tick.step, self.group.heard)
            sums, charge, added = finished(self.linear, self.ports, grown_by(tf.unstack(arrived)))
            return Effect(JumpingState(sums, kept.pre, late), charge, {}, added)

        def traces(now: Tensors) -> tuple[Tensor, ...]:
            return self._traced(now, since, calm, prepared)

        sending, some = None, tf.reduce_any(hit)
        if self.wiring.choice.form == "loop":
            mask = tf.reduce_any(tf.reshape(hit, [-1, hit.shape[-1]]), axis=0)
            sending = senders(arrays["first"], mask)
            # Traces move also of cells without synapses.
            some = some if form.pre_states else sending.some

        def delivered() -> tuple[Tensor, ...]:
            jumps, added, now = self._jumps(event, spikes, tick, prepared)
            traced = traces(now)
            shape = [self.height, *since.shape[:-1], self.wiring.width]
            if sending is not None:
                height = int(np.prod(shape[:-1]))
                total = self.wiring.sum_values(
                    arrays, sending, self._of_one(jumps, added, since, prepared), height
                )
                return *grown_by(tf.unstack(tf.reshape(total, shape))), *traced
            x = tf.where(hit, self._sent(jumps, added, since, prepared), nothing)
            return *grown_by(tf.unstack(self.wiring.sum(arrays, x))), *traced

        def quiet() -> tuple[Tensor, ...]:
            nothing = tf.zeros([*since.shape[:-1], self.wiring.width], since.dtype)
            return *ends, *[nothing] * (self.height - len(ends)), *still

        every = tf.cond(some, delivered, quiet)
        sums, charge, added = finished(self.linear, self.ports, every[: self.height])
        states = dict(zip(form.pre_states, every[self.height :], strict=True))
        return Effect(JumpingState(sums, states), charge, {}, added, some=some)

    def emptied(self, event: JumpingState, step: Tensor) -> JumpingState:
        """Return the event state without what has arrived in the step before a step."""
        ring = Ring(self.wiring, self.height, ())  # to empty it no batch matters
        return event._replace(late=ring.emptied(event.late, step))

    def sent(
        self, event: JumpingState, spikes: Spikes, tick: Tick, prepared: JumpingConstants
    ) -> JumpingState:
        """Put what the spikes of a step will deliver into the ring, and move the traces on."""
        since, form, arrays = spikes.pre, self.form, prepared.arrays
        calm = self.traces.later(prepared.pre, event.pre, tick.dt)
        still = tuple(calm[s] for s in form.pre_states)

        def traces(now: Tensors) -> tuple[Tensor, ...]:
            return self._traced(now, since, calm, prepared)

        mask = tf.reduce_any(tf.reshape(since > 0, [-1, since.shape[-1]]), axis=0)
        sending = senders(arrays["first"], mask)
        # Traces move also of cells without synapses.
        some = tf.reduce_any(since > 0) if form.pre_states else sending.some
        jumps, added, traced = self._sizes(event, spikes, tick, prepared, some, still, traces)
        one = self._of_one(jumps, added, since, prepared)
        late = self._ring(since).add_values(event.late, arrays, sending, one, tick.step)
        return JumpingState(event.sums, dict(zip(form.pre_states, traced, strict=True)), late)

    def _ring(self, since: Tensor) -> Ring:
        return Ring(self.wiring, self.height, tuple(since.shape[:-1]))

    def _traced(
        self, now: Tensors, since: Tensor, calm: Tensors, prepared: JumpingConstants
    ) -> tuple[Tensor, ...]:
        """Return the traces at the step's end, given those behind the spikes."""
        jumped = self.traces.linear.advance(prepared.pre, now, since) if now else {}
        return tuple(tf.where(since > 0, jumped[s], calm[s]) for s in self.form.pre_states)

    def _sizes(
        self,
        event: JumpingState,
        spikes: Spikes,
        tick: Tick,
        prepared: JumpingConstants,
        some: Tensor,
        calm: tuple[Tensor, ...],
        traces: Callable[[Tensors], tuple[Tensor, ...]],
    ) -> tuple[Tensors, list[Tensor], tuple[Tensor, ...]]:
        """Return what `_jumps` does, computed where there are spikes, and the traces at the end.

        A ring passes no conditional, for XLA would copy it in both branches; what goes into it may.
        """
        jumps, added, _ = self._jumps(event, spikes, tick, prepared)
        if not (self.form.pre_states or any(s.shape.rank for s in (*jumps.values(), *added))):
            return jumps, added, ()
        nothing = tf.zeros_like(spikes.pre)

        def spiked() -> tuple[Tensor, ...]:
            jumps, added, now = self._jumps(event, spikes, tick, prepared)
            sizes = (spread(size, nothing.shape) for size in (*jumps.values(), *added))
            return *sizes, *traces(now)

        def quiet() -> tuple[Tensor, ...]:
            return *[nothing] * (len(jumps) + len(added)), *calm

        every = tf.cond(some, spiked, quiet)
        jumps = dict(zip(jumps, every, strict=False))
        n, count = len(jumps), len(jumps) + len(added)
        return jumps, list(every[n:count]), every[count:]

    def _sent(
        self, jumps: Tensors, added: list[Tensor], since: Tensor, prepared: JumpingConstants
    ) -> Tensor:
        """Return what is delivered, `[height, ...]`, of all cells or of one."""
        values = []
        if self.form.sums:
            both = self.linear.swept(prepared.sums, jumps, since)
            values = [part[s] for part in both for s in self.form.sums]
        return tf.stack([spread(value, since.shape) for value in (*values, *added)])

    def _of_one(
        self, jumps: Tensors, added: list[Tensor], since: Tensor, prepared: JumpingConstants
    ) -> Value:
        def one(j: Tensor) -> Tensor:
            ago = since[..., j]

            def at(size: Tensor) -> Tensor:
                here = size[..., j] if size.shape.rank else size
                return tf.where(ago > 0, here, tf.zeros_like(ago))

            jumped = {s: at(size) for s, size in jumps.items()}
            sent = self._sent(jumped, [at(size) for size in added], ago, prepared)
            return tf.reshape(sent, [-1])

        return one

    def _jumps(
        self, event: JumpingState, spikes: Spikes, tick: Tick, prepared: JumpingConstants
    ) -> tuple[Tensors, list[Tensor], Tensors]:
        """Return the jump of each sum, what is added to states, and the traces behind the spikes.

        All without the weight: one number, or one for each cell, of which those of cells without a
        spike mean nothing.
        """
        since, form, table = spikes.pre, self.form, prepared.table
        owner = spikes.states[self.group.source]
        seen, now = self.traces.spike(prepared.pre, event.pre, since, tick.dt, owner, table)
        jumps, added = {}, []
        inputs = ports(self.group.lowered, owner, "_pre")
        for assignment, then in zip(form.on_spike, seen, strict=True):
            if assignment.name in form.pre_states:
                continue
            value = self.group.lowered.scope(table, {**inputs, **then})
            size = cast(value(form.amplitudes[assignment.name]), since.dtype)
            if size.shape.rank:
                size = spread(size, since.shape)
            if assignment.name in form.sums:
                jumps[assignment.name] = size
            else:
                added.append(size)
        return jumps, added, now

    def variable(self, name: str, route: Route) -> Location[JumpingState]:
        """Return where a trace of a presynaptic cell or a sum is found."""
        if name in self.form.pre_states:
            return Location("pre", lambda event, _: event.pre[name])
        return Location("post", lambda event, _: event.sums[name][..., route.columns])
