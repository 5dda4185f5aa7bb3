"""What spikes do to general synapses within a step, each synapse from spike to spike.

The flow of the step did not know of its spikes. States with closed forms are taken to the moment of
each spike and on from there. A state that the solver integrates is at the spike where a straight
line from the step's start to its end is, and from there the difference that the spike makes is
carried on by the midpoint rule; both are second order, as the times of spikes are. What is not
moved by a spike keeps what the solver has found.
"""

from collections.abc import Callable
from typing import NamedTuple, Protocol

import numpy as np
import tensorflow as tf

from somaflow.compiler.coupling import Group
from somaflow.compiler.linear import Linear
from somaflow.compiler.single import Gains, GeneralConstants
from somaflow.compiler.states import Tensors, Tick
from somaflow.equations.equations import Assignment
from somaflow.equations.expression import Node
from somaflow.numerics.device import cast
from somaflow.numerics.types import Tensor

# Gauss and Legendre's five nodes and weights on (0, 1), exact to the tenth order.
_NODES = tuple(float(x) for x in (1 + np.polynomial.legendre.leggauss(5)[0]) / 2)
_WEIGHTS = tuple(float(w) for w in np.polynomial.legendre.leggauss(5)[1] / 2)


class Walked(Protocol):
    """The coupling whose synapses walk.

    Attributes:
        group: Its group.
        size: Number of synapses, padding included.
        linear: The closed forms.
        on_spike: What a presynaptic spike does, in order.
        on_post_spike: What a postsynaptic spike does, likewise.
        added: What each assignment adds to a variable of a cell, by its name.
        replaced: Variables of cells that are assigned to otherwise.
    """

    group: Group
    size: int
    linear: Linear
    on_spike: tuple[Assignment, ...]
    on_post_spike: tuple[Assignment, ...]
    added: dict[str, tuple[Node | None, ...]]
    replaced: tuple[str, ...]

    def drawn(self, step: Tensor, prepared: GeneralConstants) -> Tensors:
        """Return what is drawn in a step."""
        ...

    def derivatives(
        self, values: Tensors, pulse: Tensor, prepared: GeneralConstants
    ) -> list[Tensor]:
        """Return the derivative of each state that the solver integrates."""
        ...


class Way(NamedTuple):
    """How a step goes without its spikes, for each synapse.

    Attributes:
        closed: States with closed forms, at the step's start.
        old: States that the solver integrates, at the start.
        new: The same at the end.
        before: What the cells give at the start.
        after: What they give at the end, before resets.
        covered: The part of the step that transmitter pulses cover, or None for no pulses.
    """

    closed: Tensors
    old: Tensors
    new: Tensors
    before: Tensors
    after: Tensors
    covered: Tensor | None


class Slot(NamedTuple):
    """Spikes of one side.

    Attributes:
        assignments: What they do, in order.
        since: Time from each to the step's end in ms.
        mask: Of which synapses.
        opens: Whether they open transmitter pulses.
    """

    assignments: tuple[Assignment, ...]
    since: Tensor
    mask: Tensor
    opens: bool


class Waypoint(NamedTuple):
    """Where synapses are after their last spike.

    Attributes:
        time: When that was, from the step's start, in ms.
        met: Which synapses had one.
        closed: States with closed forms, right after it.
        moved: By how much spikes have moved the states that the solver integrates.
        opened: When the last pulse began; below minus its duration where none did.
    """

    time: Tensor
    met: Tensor
    closed: Tensors
    moved: Tensors
    opened: Tensor


class Ends(NamedTuple):
    """Synapses at the end of a step, and what spikes add to variables of cells."""

    closed: tuple[Tensor, ...]
    flowing: tuple[Tensor, ...]
    remaining: Tensor
    sizes: tuple[Tensor, ...]


Seen = Callable[[Tensor, Tensors, int, Assignment], None]
Passed = Callable[[Waypoint, Tensor, Tensors, Tensor], None]


class Walk:
    """The walk of the synapses of one projection through the spikes of a step.

    Args:
        coupling: The coupling of the projection.
        way: The step without spikes.
        pre: Time from the presynaptic spike of each synapse to the step's end, 0 for none.
        post: The same of the postsynaptic spike; None, as `pre`, where it does nothing.
        tick: The step.
        prepared: What the coupling has prepared.

    Attributes:
        shape: `[..., size]`.
    """

    def __init__(
        self,
        coupling: Walked,
        way: Way,
        pre: Tensor | None,
        post: Tensor | None,
        tick: Tick,
        prepared: GeneralConstants,
    ) -> None:
        self.coupling, self.way, self.tick, self.prepared = coupling, way, tick, prepared
        self.dt, self.linear = tick.dt, coupling.linear
        like = pre if pre is not None else post
        assert like is not None
        self.shape, self.dtype = like.shape, like.dtype
        self.slots = self._slots(pre, post)

    def _slots(self, pre: Tensor | None, post: Tensor | None) -> list[Slot]:
        """Return what each synapse meets, in the order of time; at a tie the presynaptic spike."""
        first, second = self.coupling.on_spike, self.coupling.on_post_spike
        if pre is None or post is None:
            since = post if pre is None else pre
            assert since is not None
            assignments = second if pre is None else first
            return [Slot(assignments, since, since > 0, pre is not None)]
        early = pre >= post
        return [
            Slot(first, pre, (pre > 0) & early, True),
            Slot(second, post, post > 0, False),
            Slot(first, pre, (pre > 0) & ~early, True),
        ]

    # ------------------------------------------------------------------- asked for

    def ends(self, closed: Tensors, flow: Tensors, remaining: Tensor) -> Ends:
        """Return the synapses at the step's end.

        Args:
            closed: States with closed forms there, without spikes.
            flow: The others there, likewise.
            remaining: How much longer pulses last there, without spikes; () where there are none.
        """
        sizes = {name: tf.zeros(self.shape, self.dtype) for name in self.coupling.added}

        def seen(mask: Tensor, values: Tensors, k: int, assignment: Assignment) -> None:
            if assignment.name in sizes:
                node = self.coupling.added[assignment.name][k]
                assert node is not None
                size = self._value(values)(node)
                sizes[assignment.name] += tf.where(mask, size, tf.zeros(self.shape, self.dtype))

        last = self._through(seen=seen)
        end = tf.zeros(self.shape, self.dtype) + self.dt
        grown = self._later(last.closed, end - last.time)
        moved = self._carried(last, end)
        if self.prepared.duration is not None:
            left = tf.maximum(last.opened + self.prepared.duration - self.dt, 0)
            remaining = tf.where(self._began(last), left, remaining)
        return Ends(
            tuple(tf.where(last.met, grown[s], closed[s]) for s in closed),
            tuple(tf.where(last.met, flow[s] + moved[s], flow[s]) for s in flow),
            remaining,
            tuple(sizes.values()),
        )

    def gains(self) -> Gains:
        """Return what the spikes have changed between them and the step's end."""
        points: list[tuple[Tensor, tuple[Tensors, Tensor], tuple[Tensors, Tensor]]] = []

        def passed(place: Waypoint, upto: Tensor, moved: Tensors, mask: Tensor) -> None:
            span = upto - place.time
            for part, weight in zip(_NODES, _WEIGHTS, strict=True):
                time = place.time + part * span
                cells, path = self._cells(time), self._path(time)
                there = {
                    s: x + place.moved[s] * (1 - part) + moved[s] * part for s, x in path.items()
                }
                with_spikes = cells | self._later(place.closed, part * span) | there
                without = cells | self._later(self.way.closed, time) | path
                share = tf.where(mask, weight * span, tf.zeros_like(span))
                pulses = self._pulse(place, upto), self._covered()
                points.append((share, (with_spikes, pulses[0]), (without, pulses[1])))

        last = self._through(passed=passed)
        end = tf.zeros(self.shape, self.dtype) + self.dt
        passed(last, end, self._carried(last, end), last.met)
        return Gains(points)

    def replaced(self, start: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Make the assignments to variables of cells, synapse after synapse of each cell.

        Args:
            start: The variables before, in the order of the coupling's `replaced`.
        """
        names, assignments = self.coupling.replaced, []

        def seen(mask: Tensor, values: Tensors, k: int, assignment: Assignment) -> None:
            if assignment.name in names:
                assignments.append((mask, dict(values), assignment))

        self._through(seen=seen)
        arrays, size = self.prepared.arrays, self.coupling.size
        lowered = self.coupling.group.lowered

        def one(k: Tensor, *now: Tensor) -> tuple[Tensor, ...]:
            place = tf.gather(arrays["sources"], k)
            real = tf.gather(arrays["weight"], k) > 0

            def taken(value: Tensor) -> Tensor:
                whole = tf.is_tensor(value) and value.shape.rank and value.shape[-1] == size
                return tf.gather(value, place, axis=-1) if whole else value

            table = {name: taken(value) for name, value in self.prepared.table.items()}
            variables = dict(zip(names, now, strict=True))
            for mask, values, assignment in assignments:
                given = {name: taken(value) for name, value in values.items()} | variables
                fresh = cast(lowered.scope(table, given)(assignment.expression), self.dtype)
                old, hit = variables[assignment.name], taken(mask) & real
                variables[assignment.name] = tf.where(hit, tf.broadcast_to(fresh, old.shape), old)
            return k + 1, *variables.values()

        most = arrays["sources"].shape[0]
        return tuple(tf.while_loop(lambda k, *_: k < most, one, (tf.constant(0), *start))[1:])

    # ---------------------------------------------------------------------- the way

    def _through(self, seen: Seen | None = None, passed: Passed | None = None) -> Waypoint:
        """Go through all spikes and return where the synapses are after the last."""
        nothing, duration = tf.zeros(self.shape, self.dtype), self.prepared.duration
        never = nothing - 2 * self.dt - (0.0 if duration is None else duration)
        closed = {s: tf.broadcast_to(z, self.shape) for s, z in self.way.closed.items()}
        moved = {state: nothing for state in self.way.old}
        place = Waypoint(nothing, tf.zeros(self.shape, tf.bool), closed, moved, never)
        drawn = self.coupling.drawn(self.tick.step, self.prepared)
        for k, slot in enumerate(self.slots):
            time = tf.where(slot.mask, self.dt - slot.since, place.time)
            moved = self._carried(place, time) if k else place.moved
            if passed is not None and k:
                passed(place, time, moved, place.met & slot.mask)
            now, path = self._later(place.closed, time - place.time), self._path(time)
            flowing = {state: x + moved[state] for state, x in path.items()}
            now, flowing = self._assign(slot, now, flowing, drawn, seen)
            place = Waypoint(
                time,
                place.met | slot.mask,
                {s: tf.where(slot.mask, now[s], z) for s, z in place.closed.items()},
                {s: tf.where(slot.mask, x - path[s], place.moved[s]) for s, x in flowing.items()},
                tf.where(slot.mask, time, place.opened) if slot.opens else place.opened,
            )
        return place

    def _assign(
        self, slot: Slot, closed: Tensors, flowing: Tensors, drawn: Tensors, seen: Seen | None
    ) -> tuple[Tensors, Tensors]:
        """Return the states after the assignments of a spike."""
        closed, flowing = dict(closed), dict(flowing)
        for k, assignment in enumerate(slot.assignments):
            values = {**self.way.after, **closed, **flowing, **drawn}
            name = assignment.name
            for states in (closed, flowing):
                if name in states:
                    fresh = self._value(values)(assignment.expression)
                    states[name] = tf.where(slot.mask, fresh, states[name])
            if seen is not None and name not in closed and name not in flowing:
                seen(slot.mask, values, k, assignment)
        return closed, flowing

    def _value(self, values: Tensors) -> Callable[[Node], Tensor]:
        """Return what evaluates trees for each synapse."""
        one = tf.ones([], self.dtype)
        scope = self.coupling.group.lowered.scope(
            self.prepared.table, values, {"pulse": lambda _: one}
        )
        return lambda node: tf.broadcast_to(cast(scope(node), self.dtype), self.shape)

    def _later(self, closed: Tensors, time: Tensor) -> Tensors:
        return self.linear.advance(self.prepared.values, closed, time) if closed else {}

    def _path(self, time: Tensor) -> Tensors:
        """Return the states that the solver integrates at a time, without spikes."""
        return _between(self.way.old, self.way.new, time / self.dt)

    def _cells(self, time: Tensor) -> Tensors:
        return _between(self.way.before, self.way.after, time / self.dt)

    def _carried(self, place: Waypoint, upto: Tensor) -> Tensors:
        """Return by how much spikes have moved the states of the solver at a later time."""
        if not place.moved:
            return {}
        span, path = upto - place.time, self._path(place.time)
        middle = place.time + span / 2
        pulses = self._pulse(place, upto), self._covered()
        started = {s: x + place.moved[s] for s, x in path.items()}, path
        early = place.closed, self._later(self.way.closed, place.time)
        late = self._later(place.closed, span / 2), self._later(self.way.closed, middle)
        slopes_at = []
        for start, first, second, pulse in zip(started, early, late, pulses, strict=True):
            slopes = self._slopes(place.time, first, start, pulse)
            half = {s: x + span / 2 * k for (s, x), k in zip(start.items(), slopes, strict=True)}
            slopes_at.append(self._slopes(middle, second, half, pulse))
        gained = [span * (there - without) for there, without in zip(*slopes_at, strict=True)]
        return {s: x + g for (s, x), g in zip(place.moved.items(), gained, strict=True)}

    def _slopes(
        self, time: Tensor, closed: Tensors, flowing: Tensors, pulse: Tensor
    ) -> list[Tensor]:
        values = {**self._cells(time), **closed, **flowing}
        return self.coupling.derivatives(values, pulse, self.prepared)

    def _began(self, place: Waypoint) -> Tensor:
        return place.opened >= 0

    def _covered(self) -> Tensor:
        return tf.zeros(self.shape, self.dtype) if self.way.covered is None else self.way.covered

    def _pulse(self, place: Waypoint, upto: Tensor) -> Tensor:
        """Return the part of the time from a place on that its pulse covers."""
        if self.way.covered is None:
            return self._covered()
        span = upto - place.time
        left = tf.clip_by_value(place.opened + self.prepared.duration - place.time, 0, span)
        share = left / tf.where(span > 0, span, tf.ones_like(span))
        return tf.where(self._began(place), share, self._covered())


def _between(old: Tensors, new: Tensors, part: Tensor) -> Tensors:
    """Return values on the straight line from old to new ones."""
    return {name: value + (new[name] - value) * part for name, value in old.items()}
