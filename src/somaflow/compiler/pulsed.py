"""Pulsed synapses: gates that transmitter pulses open, and the conductances that they open.

Between pulses a gate only decays, and so does the sum of the gates over the synapses of a cell,
with one rate. So the sum is a state, and synapses are visited only while a pulse lasts somewhere.
"""

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
    multiplied,
)
from somaflow.compiler.lower import TensorAlgebra, unit_factor
from somaflow.compiler.ring import Ring
from somaflow.compiler.states import States, Tensors, Tick, fractions
from somaflow.compiler.sums import at_all_times
from somaflow.compiler.wiring import Wiring
from somaflow.equations.expression import Node, evaluate
from somaflow.errors import NetworkError
from somaflow.network.pulsed import Pulsed
from somaflow.numerics.device import cast
from somaflow.numerics.functions import exprel
from somaflow.numerics.types import Tensor
from somaflow.simulation.system import Array
from somaflow.units import Parameter


class Rates(NamedTuple):
    """The numbers of a gate that pulses open.

    Attributes:
        off: Its rate outside a pulse, per ms; below 0.
        on: Its rate within one.
        level: What it tends to within a pulse.
        duration: Length of a pulse in ms.
    """

    off: Tensor
    on: Tensor
    level: Tensor
    duration: Tensor


class PulsedState(NamedTuple):
    """What pulsed synapses keep from step to step.

    Attributes:
        sum: The sum of the gates over the synapses of each postsynaptic cell, `[..., width]`.
        gate: The gate of each presynaptic cell, `[..., n_pre]`.
        remaining: How much longer its pulse lasts, in ms.
        busy: Steps until no pulse can last any more, of each row of a batch: what a step costs
            follows the spikes.
        late: Where delays differ, a ring of what gates under way will add at each node; else ().
        late_end: Likewise of what spikes under way will add at a step's end, and its charge.
    """

    sum: Tensor
    gate: Tensor
    remaining: Tensor
    busy: Tensor
    late: Tensor = ()
    late_end: Tensor = ()


class PulsedConstants(NamedTuple):
    """What pulsed synapses have for a chunk.

    Attributes:
        arrays: Of the wiring.
        rates: Of the gates.
        busy: In how many steps a pulse that begins ends.
        decays: What is left of a gate without a pulse at each of `Tick.fractions`.
    """

    arrays: Tensors
    rates: Rates
    busy: Tensor
    decays: Tensor


class PulsedContext(NamedTuple):
    """What pulses that began before a step do in it.

    Attributes:
        sums: The sum of the gates at each node, and at the start.
        end: The same at the end.
        gate: The gates at the end.
        remaining: How much longer the pulses last then.
        late: The ring of the gates, as it is then.
    """

    sums: list[Tensor]
    end: Tensor
    gate: Tensor
    remaining: Tensor
    late: Tensor = ()


class PulsedCoupling:
    """A group of pulsed synapses.

    Args:
        group: The group.
        wiring: Its synapses.
        dtype: NumPy type of the run.
    """

    rows: dict[str, float] = {}  # noqa: RUF012 - never changed
    wired, began, each, follows, flowing, ordered = "", "", False, False, (), None

    def __init__(self, group: Group, wiring: Wiring, dtype: np.dtype) -> None:
        self.group, self.wiring, self.dtype = group, wiring, dtype
        self.places = fractions(group.nodes) if wiring.latest is not None else ()
        form = group.form
        assert isinstance(form, Pulsed)
        self.form = form

    def check(self, parameters: dict[str, Array], dt: float) -> None:
        """Refuse a closed form that does not rest at 0.

        Raises:
            NetworkError: The gate is not 0, or does not decay, between pulses.
        """
        table = {name: tf.constant(value) for name, value in parameters.items()}
        prepared = self.group.lowered.prepare(table)
        state = self.form.state
        off = float(_with_pulse(0.0, self.form.rate[0], prepared))
        if not (np.isfinite(off) and off < 0):
            raise NetworkError(
                f"{self.group.place}: between spikes {state} must decay, but its rate is "
                f"{off:g} per ms; are the time constants greater than 0?"
            )
        rest = float(_with_pulse(0.0, self.form.rate[1], prepared))
        start = self.group.initial[state]
        if abs(rest) > 0 or start != 0:
            unit = self.group.lowered.equations.unit(state)
            raise NetworkError(
                f"{self.group.place}: between spikes {state} must decay to 0 and start there; "
                f"found d{state}/dt = {Parameter(np.asarray(rest), f'{unit}/ms')} at 0 and a start "
                f"of {Parameter(np.asarray(start), unit)}."
            )

    def initial(self, batch: tuple[int, ...]) -> PulsedState:
        """Return closed gates."""
        gate = np.full((*batch, self.wiring.n_pre), self.group.initial[self.form.state], self.dtype)
        total = np.zeros((*batch, self.wiring.width), self.dtype)
        start = PulsedState(total, gate, np.zeros_like(gate), np.zeros(batch, np.int32))
        if self.wiring.latest is None:
            return start
        return start._replace(
            late=Ring(self.wiring, len(self.places), batch).initial(self.dtype),
            late_end=Ring(self.wiring, 2, batch).initial(self.dtype),
        )

    def prepare(
        self, arrays: Tensors, table: Tensors, dt: float, nodes: tuple[float, ...]
    ) -> PulsedConstants:
        """Evaluate the rates, and the decay to each node."""
        prepared = self.group.lowered.prepare(table)
        a, b = self.form.rate
        on = _with_pulse(1.0, a, prepared)
        numbers = (
            _with_pulse(0.0, a, prepared),
            on,
            -_with_pulse(1.0, b, prepared) / on,
            _with_pulse(1.0, self.form.duration, prepared),
        )
        rates = Rates(*(cast(value, self.dtype) for value in numbers))
        # Of rows of a batch each has its own, `[n_rows, 1]`.
        longest = rates.duration if rates.duration.shape.rank == 0 else rates.duration[..., 0]
        steps = tf.math.ceil(longest / dt)
        decays = [tf.exp(rates.off * (c * dt)) for c in fractions(nodes)]
        return PulsedConstants(arrays, rates, tf.cast(steps, tf.int32) + 1, tf.stack(decays))

    def arrive(self, event: PulsedState, tick: Tick, prepared: PulsedConstants) -> PulsedContext:
        """Return the sums at each node and at the end, and the gates at the end."""
        decays = prepared.decays
        parts = tick.fractions
        gate, remaining, arrays = event.gate, event.remaining, prepared.arrays
        opened = list(tf.unstack(at_all_times(decays, event.sum)))
        if self.wiring.latest is not None:
            kept = event if self.group.heard else self._open(event, tick, prepared)
            ring = self._ring(event, len(parts))
            arrived, late = ring.take(kept.late, tick.step, self.group.heard)
            opened = [a + arrived[k] for k, a in enumerate(opened)]
            sums = self._at(tick, event, opened)
            return PulsedContext(*sums, kept.gate, kept.remaining, late)

        def pulsing() -> tuple[Tensor, ...]:
            grown, end = self._gains(event, tick, prepared)
            added = [self.wiring.sum(arrays, gain) for gain in grown]
            total = [a + b for a, b in zip(opened, added, strict=True)]
            return (*total, end, tf.maximum(remaining - tick.dt, 0))

        def silent() -> tuple[Tensor, ...]:
            return (*opened, gate * decays[-1], remaining)

        *opened, end, left = tf.cond(tf.reduce_any(event.busy > 0), pulsing, silent)
        return PulsedContext(*self._at(tick, event, opened), end, left)

    def _gains(
        self, event: PulsedState, tick: Tick, prepared: PulsedConstants
    ) -> tuple[list[Tensor], Tensor]:
        """Return what gates gain over decay at each node, and the gates at the end.

        Outside pulses a conductance only decays. Within them it gains what the gates gain over
        decay: zero for a cell outside a pulse, so that leaving the sum out where all terms are
        zero changes no bit.
        """
        gate, remaining = event.gate, event.remaining
        grown, end = [], gate
        for c, decay in zip(tick.fractions, tf.unstack(prepared.decays), strict=True):
            later = after(gate, remaining, c * tick.dt, prepared.rates)
            # Selected, not subtracted to zero: a product and a difference may be contracted,
            # and leave a rounding residue where 0 is meant.
            grown.append(tf.where(remaining > 0, later - gate * decay, tf.zeros_like(gate)))
            end = tf.where(remaining > 0, later, gate * decay)
        return grown, end

    def _ring(self, event: PulsedState, height: int) -> Ring:
        return Ring(self.wiring, height, tuple(event.gate.shape[:-1]))

    def _open(self, event: PulsedState, tick: Tick, prepared: PulsedConstants) -> PulsedState:
        """Put what gates gain in a step into the ring, and move the gates on, without its spikes.

        A ring passes no conditional: XLA would copy it in both branches.
        """
        gate, remaining, n = event.gate, event.remaining, len(tick.fractions)

        def pulsing() -> tuple[Tensor, ...]:
            grown, end = self._gains(event, tick, prepared)
            return tf.stack(grown), end, tf.maximum(remaining - tick.dt, 0)

        def silent() -> tuple[Tensor, ...]:
            return tf.zeros([n, *gate.shape], gate.dtype), gate * prepared.decays[-1], remaining

        grown, end, left = tf.cond(tf.reduce_any(event.busy > 0), pulsing, silent)
        late = self._ring(event, n).add(event.late, prepared.arrays, grown, tick.step)
        return event._replace(gate=end, remaining=left, late=late)

    @staticmethod
    def _at(tick: Tick, event: PulsedState, opened: list[Tensor]) -> tuple[list[Tensor], Tensor]:
        """Return the sums at each node and at the start, and at the end."""
        places = {0.0: event.sum, **dict(zip(tick.fractions, opened, strict=True))}
        return [*(places[c] for c in tick.nodes), event.sum], places[1.0]

    def sums(
        self, states: States, context: PulsedContext, node: int, prepared: PulsedConstants
    ) -> list[Tensor]:
        """Return the sum of the gates over the synapses of each postsynaptic cell."""
        return [context.sums[node]]

    def current(
        self,
        route: Route,
        owner: States,
        sums: list[Tensor],
        table: Tensors,
        of: tuple[Node, ...] | None = None,
    ) -> Tensor | None:
        """Return the outward current of a route."""
        return multiplied(route, owner, sums, table, of)

    def slopes(self, states: States, context: PulsedContext, prepared: PulsedConstants) -> States:
        """Return nothing: no solver integrates a pulsed gate."""
        return {}

    def emit(
        self,
        event: PulsedState,
        context: PulsedContext,
        spikes: Spikes,
        tick: Tick,
        prepared: PulsedConstants,
    ) -> Effect[PulsedState, list[Tensor]] | None:
        """Begin the pulses of the cells whose spikes arrive, each at its crossing."""
        since, arrays = spikes.pre, prepared.arrays
        if self.wiring.latest is not None:
            kept = event
            if not self.group.heard:
                ended = event._replace(gate=context.gate, remaining=context.remaining)
                kept = self._begin(event, ended, since, tick, prepared)
            ring = self._ring(event, 2)
            added, late_end = ring.take(kept.late_end, tick.step, self.group.heard)
            total = context.end + added[0]
            state = kept._replace(sum=total, late=context.late, late_end=late_end)
            return Effect(state, [added[1]], {}, {})

        def deliver(gain: Tensor) -> Tensor:
            return self.wiring.sum(arrays, gain)

        nothing = tf.zeros_like(context.end)
        opened, left, busy, *added = self._pulses(
            event, context, since, tick, prepared, deliver, nothing
        )
        state = PulsedState(context.end + added[0], opened, left, busy)
        return Effect(state, [added[1]], {}, {})

    def _pulses(
        self,
        event: PulsedState,
        ended: PulsedState | PulsedContext,
        since: Tensor,
        tick: Tick,
        prepared: PulsedConstants,
        deliver: Callable[[Tensor], Tensor],
        nothing: Tensor,
    ) -> Sequence[Tensor]:
        """Return what spikes leave of gates: these, their pulses, and what they add.

        Args:
            event: What was kept at the step's start.
            ended: The gates at its end without its spikes, and their pulses.
            since: The time from each spike to the step's end.
            tick: The step.
            prepared: What `prepare` returned.
            deliver: What is made of what is added at the step's end, and of its charge.
            nothing: What is made of nothing.
        """
        gate, remaining, rates = event.gate, event.remaining, prepared.rates
        hit, waited = since > 0, tf.maximum(event.busy - 1, 0)

        def pulsed() -> tuple[Tensor, ...]:
            crossing = after(gate, remaining, tick.dt - since, rates)
            rest = tf.maximum(remaining - (tick.dt - since), 0)
            whole = tf.zeros_like(since) + rates.duration
            opened = after(crossing, whole, since, rates)
            gain = tf.where(hit, opened - ended.gate, tf.zeros_like(gate))
            left = tf.where(hit, tf.maximum(whole - since, 0), ended.remaining)
            more = swept(crossing, whole, since, rates) - swept(crossing, rest, since, rates)
            area = tf.where(hit, more, tf.zeros_like(gate))
            begun = tf.where(tf.reduce_any(hit, axis=-1), prepared.busy, waited)
            return (ended.gate + gain, left, begun, deliver(gain), deliver(area))

        def quiet() -> tuple[Tensor, ...]:
            return (ended.gate, ended.remaining, waited, nothing, nothing)

        return tf.cond(tf.reduce_any(hit), pulsed, quiet)

    def _begin(
        self,
        event: PulsedState,
        ended: PulsedState,
        since: Tensor,
        tick: Tick,
        prepared: PulsedConstants,
    ) -> PulsedState:
        """Begin pulses, and put what spikes have added by the step's end into the ring."""
        opened, left, busy, *added = self._pulses(
            event, ended, since, tick, prepared, lambda gain: gain, tf.zeros_like(event.gate)
        )
        ring = self._ring(event, 2)
        late_end = ring.add(event.late_end, prepared.arrays, tf.stack(added), tick.step)
        return ended._replace(gate=opened, remaining=left, busy=busy, late_end=late_end)

    def emptied(self, event: PulsedState, step: Tensor) -> PulsedState:
        """Return the event state without what has arrived in the step before a step."""
        late = self._ring(event, len(self.places)).emptied(event.late, step)
        return event._replace(
            late=late, late_end=self._ring(event, 2).emptied(event.late_end, step)
        )

    def sent(
        self, event: PulsedState, spikes: Spikes, tick: Tick, prepared: PulsedConstants
    ) -> PulsedState:
        """Put what gates do in a step into the rings, its spikes with them."""
        ended = self._open(event, tick, prepared)
        return self._begin(event, ended, spikes.pre, tick, prepared)

    def variable(self, name: str, route: Route) -> Location[PulsedState]:
        """Return what reads the gate, which each presynaptic cell has once."""
        return Location("pre", lambda event, _: event.gate)


def _with_pulse(pulse: float, node: Node, prepared: Tensors) -> Tensor:
    def lookup(name: str) -> Tensor:
        return prepared[name] if name in prepared else unit_factor(name)

    return evaluate(node, TensorAlgebra(lookup, {"pulse": lambda _: pulse}))


def after(gate: Tensor, remaining: Tensor, time: Tensor, rates: Rates) -> Tensor:
    """Return a pulsed gate after some time without a new pulse, in closed form.

    Args:
        gate: Its value now.
        remaining: How much longer its pulse lasts; 0 outside a pulse.
        time: How far to go, not negative.
        rates: Its numbers.
    """
    within = tf.minimum(remaining, time)
    opened = rates.level + (gate - rates.level) * tf.exp(rates.on * within)
    return opened * tf.exp(rates.off * (time - within))


def swept(gate: Tensor, remaining: Tensor, time: Tensor, rates: Rates) -> Tensor:
    """Return the integral of `after` from now on."""
    within = tf.minimum(remaining, time)
    risen = rates.level + (gate - rates.level) * exprel(rates.on * within)
    opened, left = after(gate, within, within, rates), time - within
    return within * risen + left * exprel(rates.off * left) * opened
