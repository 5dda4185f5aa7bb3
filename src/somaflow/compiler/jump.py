"""The jump of a network at the end of a step: thresholds, resets, and what spikes do."""

from functools import partial
from typing import Any

import tensorflow as tf

from somaflow.compiler.arrivals import Arrival
from somaflow.compiler.coupling import Effect, Group, Spikes
from somaflow.compiler.graded import GradedConstants, follows_cells
from somaflow.compiler.history import at_step, with_step
from somaflow.compiler.single import GeneralConstants
from somaflow.compiler.states import Constants, Context, EventState, States, Tick
from somaflow.compiler.step import FlowState, NetworkDynamics
from somaflow.equations.expression import Name
from somaflow.numerics.constants import number
from somaflow.numerics.device import cast, held, spread
from somaflow.numerics.rows import stacked
from somaflow.numerics.types import Tensor
from somaflow.simulation.stops import Label
from somaflow.simulation.system import Carry, Jump


class NetworkJump:
    """What happens at the end of a step, closed over the functions of a network.

    Args:
        dynamics: They.
    """

    def __init__(self, dynamics: NetworkDynamics) -> None:
        self._whole = dynamics

    def at_end(
        self, before: Carry, flow: FlowState, context: Context, constants: Constants
    ) -> Jump:
        """Find crossings, reset the cells that spiked, and do what spikes do."""
        clamps, outside, tick = self._whole.drives.clamps, context.drives, context.tick
        begin, end = context.times
        old, new = self._both(before, flow, context, constants)
        states, arrived, each = [{**rows} for rows in new], [], dict(self._whole.tables.each)
        seen = self._whole.seen(new, end, constants), self._whole.seen(old, begin, constants)
        event = self._begin(before, context)
        crossings = [
            self._crossings(k, before, old[owner], new[owner], context, constants)
            for k, owner in enumerate(self._whole.owners)
        ]
        # Stored, or all that a spike does would compute the cell's step again.
        since = held(
            [
                s.ready(at, context.waiting)
                for s, at in zip(self._whole.spiking, crossings, strict=True)
            ]
        )
        sent = self._sent(since, context)
        for k, (spiking, crossed) in enumerate(zip(self._whole.spiking, since, strict=True)):
            if spiking.waits:
                waiting, steps = context.waiting[spiking.key], constants.refractory.get(spiking.key)
                event.refractory[spiking.key] = spiking.left(waiting, crossed > 0, steps)
            if spiking.resets:
                self._reset(k, states[self._whole.owners[k]], crossed > 0, context, constants)
            key = f"spikes {self._whole.populations[k].name}"
            if (past := before.event.spikes.get(key)) is not None:
                event.spikes[key] = with_step(past, tick.step, crossed)  # before any is read
        event.above.update(self._above(since, new, states, context, constants))
        couplings = list(zip(self._whole.couplings, constants.sums, strict=True))
        spikes = [
            Spikes(*self._arriving(c, since, sent, event, context, constants), *seen)
            for c in range(len(couplings))
        ]
        moved = self._moved_by(spikes, context, constants)
        for c, (coupling, numbers) in enumerate(couplings):
            key, (arriving, after, *_) = coupling.group.key, spikes[c]
            opened, kept = context.groups[key], before.event.groups.get(key)
            effect = moved.get(c) or coupling.emit(kept, opened, spikes[c], tick, numbers)
            if effect is not None:
                event.groups.update({} if effect.event is None else {key: effect.event})
                spiked = arriving if after is None or c not in each else tf.maximum(arriving, after)
                arrived.append(Arrival(coupling, effect, spiked))
        free = partial(self._free, event)
        self._whole.arrivals.bring(arrived, states, context.times[1], constants, free)
        states = clamps.at_end(states, outside, constants.drives)
        blocks = tuple(
            stacked([rows[state] for state in layout.states])
            for layout, rows in zip(self._whole.layouts, states, strict=True)
            if layout.states
        )
        blocks += tuple(
            stacked([states[coupling.group.source][key] for key in coupling.flowing])
            for _, coupling in self._whole.tables.flowing
        )
        kept = self._kept(since, new, context, constants)
        return Jump(blocks, event, tf.concat(since, axis=-1), kept)

    def _arriving(
        self,
        c: int,
        since: list[Tensor],
        sent: list[Tensor],
        event: EventState,
        context: Context,
        constants: Constants,
    ) -> tuple[Tensor, Tensor | None]:
        """Return the spikes that arrive by a coupling, and those of its postsynaptic cells.

        Args:
            c: The place of the coupling.
            since: The crossings of own cells, by population.
            sent: Likewise of all cells, where they are told.
            event: The event state at the end.
            context: What holds in the step.
            constants: What is computed once a chunk.
        """
        coupling, tick, each = self._whole.couplings[c], context.tick, dict(self._whole.tables.each)
        group, numbers = coupling.group, constants.sums[c]
        if group.counted is None:
            parts = (part.group for part in self._whole.tables.made_of[c])
            came = [
                self._delayed(part, sent if part.here is None else since, event, tick, constants)
                for part in parts
            ]
            arriving = came[0] if len(came) == 1 else tf.concat(came, axis=-1)
        else:
            arriving = context.drives.counts[group.counted]
        after = since[group.routes[0].target] if group.form.learns else None
        if c in each:
            assert isinstance(numbers, GeneralConstants)
            history = event.spikes.get(f"spikes {self._whole.populations[group.source].name}")
            begun = constants.begun.get(group.key)
            arriving = each[c].arriving(arriving, history, tick.step, begun, numbers.arrays)
            if after is not None:
                after = tf.gather(after, numbers.arrays["post"], axis=-1)
        return arriving, after

    def _moved_by(
        self, spikes: list[Spikes], context: Context, constants: Constants
    ) -> dict[int, Effect[Any, Any]]:
        """Return what spikes have done in shares that tell each other of it, by coupling.

        Args:
            spikes: Those of each coupling.
            context: What holds in the step.
            constants: What is computed once a chunk.
        """
        share, found = self._whole.tables.share, {}
        if context.told is None or share is None or not share.moves:
            return found
        own: dict[Label, Tensor] = {}
        wanted: dict[Label, int] = {}
        for c, coupling in enumerate(self._whole.couplings):
            group, numbers = coupling.group, constants.sums[c]
            if group.here is None or not group.form.acts or not follows_cells(coupling):
                continue
            assert isinstance(numbers, GradedConstants)
            sender, rows, changes = self._whole.populations[group.source].name, {}, []
            names = [(sender, group.key, str(k)) for k in range(len(coupling.form.terms))]
            if group.here:
                rows, changes = coupling.moved_by(spikes[c], context.tick, numbers, tf.identity)
            own |= dict(zip(names, changes, strict=False))
            wanted |= dict.fromkeys(names, coupling.wiring.n_pre)
            found[c] = coupling, rows, names, numbers
        every = context.told.of_all(own, wanted)
        return {
            c: coupling.charged(rows, [every[name] for name in names], numbers)
            for c, (coupling, rows, names, numbers) in found.items()
        }

    def _sent(self, since: list[Tensor], context: Context) -> list[Tensor]:
        """Return the spikes of a step that others get in it: in a share, of all cells.

        Args:
            since: The crossings of own cells, by population.
            context: What holds in the step.
        """
        share, populations = self._whole.tables.share, self._whole.populations
        if context.told is None or share is None or not share.told:
            return since
        names = [p.name for p in populations]
        asked = {names[c.group.source] for c in self._whole.tables.apart if c.group.here is None}
        own = {(n,): since[names.index(n)] for n in share.told if share.has_some(n)}
        wanted = {(n,): share.width(n) for n in share.told if n in asked}
        every = context.told.of_all(own, wanted)
        return [every.get((n,), here) for n, here in zip(names, since, strict=True)]

    def _above(
        self,
        since: list[Tensor],
        new: list[States],
        states: list[States],
        context: Context,
        constants: Constants,
    ) -> dict[str, Tensor]:
        """Tell where thresholds hold before what spikes do, and before and after all resets."""
        above = {}
        for k, crossed in enumerate(since):
            if not self._whole.struck[k]:
                continue
            owner, spiking = self._whole.owners[k], self._whole.spiking[k]
            moments = (new, states) if owner in self._whole.tables.shaken else (states,)
            holds = [
                spiking.holds(self._whole.between(k, moment[owner], 1, context, constants))
                for moment in moments
            ]
            held = holds[0] if len(holds) == 1 else holds[0] & holds[1]
            name = f"above {self._whole.populations[k].name}"
            above[name] = tf.broadcast_to(held, crossed.shape)
        return above

    def _kept(
        self, since: list[Tensor], new: list[States], context: Context, constants: Constants
    ) -> Tensor | None:
        """Return what is recorded with each spike, `[n_values, ..., n_sources]`; None for nothing.

        Args:
            since: The crossings of each population.
            new: The states of each at the step's end, before resets.
            context: What holds in the step.
            constants: What is computed once a chunk.
        """
        wanted, rows = self._whole.alongside, []
        for place in range(max(map(len, wanted))):
            parts = []
            for k, (names, crossed) in enumerate(zip(wanted, since, strict=True)):
                zero = tf.zeros_like(crossed)
                if place < len(names):
                    owner = self._whole.owners[k]
                    scope = self._whole.between(k, new[owner], 1, context, constants)
                    value = spread(cast(scope(Name(names[place])), crossed.dtype), crossed.shape)
                    # With a choice in between, XLA computes the state no other way than without.
                    zero = tf.where(crossed > 0, value, zero)
                parts.append(zero)
            rows.append(tf.concat(parts, axis=-1))
        return tf.stack(rows) if rows else None

    def _both(
        self, before: Carry, flow: FlowState, context: Context, constants: Constants
    ) -> tuple[list[States], list[States]]:
        """Return the states at a step's start and at its end, with what cells read of others."""
        old, drives = self._whole.states(before.flow), context.drives
        new = self._moved(old, flow, context)
        new = self._whole.drives.clamps.at_end(new, drives, constants.drives)
        begin, end = context.times
        return self._whole.linked(old, begin, constants), self._whole.linked(new, end, constants)

    def _begin(self, before: Carry, context: Context) -> EventState:
        """Return the event state of a step's end with what no spike changes."""
        noise = self._whole.drives.leave(before.event.noise, context.drives)
        past = self._whole.tables.past.kept(before.event.past, context)
        return EventState(noise, {}, {}, {}, {}, past)

    def _moved(self, old: list[States], flow: FlowState, context: Context) -> list[States]:
        """Return the states at a step's end, those that refractory periods hold put back."""
        new = self._whole.states(flow)
        for k, spiking in enumerate(self._whole.spiking if self._whole.behind else ()):
            new[k] |= spiking.put_back(old[k], new[k], context.waiting)
        return new

    def _delayed(
        self, group: Group, since: list[Tensor], event: EventState, tick: Tick, constants: Constants
    ) -> Tensor:
        """Return the spikes of a group's population that arrive in this step after its delay."""
        if not (group.delay and group.form.waits) or group.here == 0:
            return since[group.source]
        past, share = self._history(group.source, event, constants), self._whole.tables.share
        assert past is not None
        arrived = at_step(past, tick.step - group.delay, constants.begun.get(group.key))
        if group.here is None or share is None:
            return arrived
        name = self._whole.populations[group.source].name
        return tf.gather(arrived, share.padded_cells(name), axis=-1)

    def _history(self, source: int, event: EventState, constants: Constants) -> Tensor | None:
        """Return the last spikes of a population, of all its cells in the whole."""
        key = f"spikes {self._whole.populations[source].name}"
        return event.spikes.get(key, dict(constants.heard).get(key))

    def _free(self, event: EventState, k: int, state: str, change: Tensor) -> Tensor:
        """Return a change of a state, 0 for cells that are refractory."""
        spiking = self._whole.spiking[k]
        if not (spiking.waits and state in spiking.held):
            return change
        return tf.where(event.refractory[spiking.key] > 0, tf.zeros_like(change), change)

    def _crossings(
        self,
        k: int,
        before: Carry,
        old: States,
        new: States,
        context: Context,
        constants: Constants,
    ) -> Tensor:
        """Return the time from each spike to the step's end, 0 where there is none.

        A cell with a reset spikes wherever its threshold holds: at the step's start, if it held
        there. One without spikes where it begins to hold; if spikes have lifted it above at the end
        of the last step, at this step's start.
        """
        shape = (*self._whole.tables.batch, self._whole.layouts[k].padded)
        tick, spiking = context.tick, self._whole.spiking[k]
        if self._whole.populations[k].source is not None:
            since = self._whole.drives.sources.since(k, tick, context.drives, constants.drives)
            return spread(since, shape)
        if spiking.condition is None:
            return tf.zeros(shape, self._whole.tables.dtype)
        held, since = spiking.since(
            self._whole.between(k, old, 0, context, constants),
            self._whole.between(k, new, 1, context, constants),
        )
        at_start = number(self._whole.dt, since.dtype)
        if spiking.resets:
            return spread(tf.where(held, at_start, since), shape)
        since = tf.where(held, number(0.0, since.dtype), since)
        if self._whole.struck[k]:
            above = before.event.above[f"above {self._whole.populations[k].name}"]
            since = tf.where(held & ~above & (tick.step > 0), at_start, since)
        return spread(since, shape)

    def _reset(
        self, k: int, states: States, hit: Tensor, context: Context, constants: Constants
    ) -> None:
        for assignment in self._whole.spiking[k].resets:
            value = self._whole.between(k, states, 1, context, constants)
            fresh = cast(value(assignment.expression), self._whole.tables.dtype)
            states[assignment.name] = tf.where(hit, fresh, states[assignment.name])
