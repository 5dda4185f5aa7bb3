"""Interval: the compiled loop of a share of a network, called once from exchange to exchange.

Such calls are short and many, so what goes in and comes out is packed.
"""

import itertools
import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import replace
from functools import cache, partial
from typing import Any, NamedTuple, TypeVar

import numpy as np
import tensorflow as tf

from somaflow.numerics import programs
from somaflow.numerics.device import called_flat, traced
from somaflow.numerics.types import Tensor
from somaflow.simulation.loop import Advance, Samples, Schedule, chunk_of, keeping_of
from somaflow.simulation.packing import Packing
from somaflow.simulation.stops import Found, Point
from somaflow.simulation.system import Array, Blocks, Carry, Heard, Inputs, Jump, Seen, System
from somaflow.solvers.base import Solver
from somaflow.solvers.stages import nodes_of

# The step, steps, samples, whether the first is taken before them, since when spikes are new, and
# how many there are.
_COUNTS = 6
_SOME, _LEAST = 4, 1024  # cells of which one spikes, and that may all
_AHEAD = 500  # steps of which inputs are computed at once

Result = TypeVar("Result")
Few = Sequence[Tensor]
Program = tuple[Callable[[Few], Few], Any]


class Told(NamedTuple):
    """Spikes that a share has heard of.

    Attributes:
        places: Where each stands, as in `Heard`.
        since: The time from each to the end of its step.
        first: The first step of the last interval.
        last: The step behind its last.
    """

    places: Array
    since: Array
    first: int
    last: int


class Interval(Advance):
    """The compiled loop of a share, with what it has heard of.

    The states that it takes and returns are packed ones.

    Args:
        system: The share.
        solver: A fixed-step method.
        dt: The step.
        schedule: Sizes of the buffers.
        dtype: `tf.float64` or `tf.float32`.
        key: As for `build`.
        device: The device of this worker, as TensorFlow names it.
        end: The last step of the run, from time 0.

    Attributes:
        heard: Spikes of all cells.
        seen: What is told within the next step, where anything is.
    """

    def __init__(
        self,
        system: System,
        solver: Solver,
        dt: float,
        schedule: Schedule,
        dtype: tf.DType,
        key: Hashable,
        device: str,
        end: int,
    ) -> None:
        super().__init__(system, solver, dt, schedule, dtype, key)
        assert system.elsewhere is not None
        self._elsewhere = system.elsewhere
        start, resting = self._elsewhere.split(system.initial)
        self._states, self._kept = Packing((start.flow, start.event)), Packing(start.kept)
        self._fixed, self._device = Packing(self.parameters), device
        with tf.device(device):
            self._given = self._fixed.packed(self.parameters)
            # Large, and the same throughout an interval: as arguments they would be copied.
            self._resting = tf.nest.map_structure(tf.Variable, resting)
        # As if one cell of some had spiked; for more a program is compiled when there are, with
        # room for one spike of each cell, so that it is hardly ever more than once.
        self._cells = sum(past.shape[-1] for past in self._elsewhere.histories.values())
        self._room, self._every = max(self._cells // _SOME, min(self._cells, _LEAST), 1), False
        self._programs: dict[tuple[bool | None, int, bool, int, int], Program] = {}
        self.heard = Told(np.zeros(0, np.int64), np.zeros(0), 0, 0)
        self.seen = Seen()
        self._taken = -1  # the step at which it was
        self._end = end
        self._known: tuple[int, Inputs] = 0, Inputs(*(np.zeros((0, 0)) for _ in range(2)))

    def begun(self) -> Carry:
        """Return the state of the share at its start, packed."""
        start, _ = self._elsewhere.split(self._system.initial)
        with tf.device(self._device):
            return self._packed(start)

    def _packed(self, carry: Carry) -> Carry:
        states = self._states.packed((carry.flow, carry.event))
        return Carry(states, (), self._kept.packed(carry.kept))

    def _unpacked(self, carry: Carry, resting: Any) -> Carry:
        flow, event = self._states.unpacked(carry.flow)
        carry = Carry(flow, event, self._kept.unpacked(carry.kept))
        return self._elsewhere.joined(carry, resting)

    def opened(self, carry: Carry) -> Carry:
        """Return a state as the functions of the system take it."""
        values = tf.nest.map_structure(lambda variable: variable.read_value(), self._resting)
        return self._unpacked(carry, values)

    def __call__(
        self, carry: Carry, step: int, n_steps: int, n_rows: int, lead: bool
    ) -> tuple[Carry, Samples]:
        """Go on from a packed state; see `Advance`."""
        counts = step, n_steps, n_rows, lead
        after, samples = self._made(carry, *counts)
        if samples.steps < n_steps:  # there was no room for more crossings
            self._every = True  # others go on, so this must too
            after, samples = self._made(carry, *counts)
        return after, samples

    def _made(
        self, carry: Carry, step: int, n_steps: int, n_rows: int, lead: bool
    ) -> tuple[Carry, Samples]:
        every, shapes = self._arguments(carry, step, (n_steps, n_rows, lead), self.seen)
        call, results = self._program_of(None, shapes, every, self.seen)
        self._taken = step if step == self.heard.last else self._taken
        with tf.device(self._device):
            few = call(every)
        carry, few = self._carry(few)
        made, found, out = results.views(few)
        made = int(made)
        keeps = keeping_of(self._system, self._schedule, self._dtype, self._every)
        crossings = None if keeps is None else cache(partial(keeps.found, found, made))
        # Copied, as it is kept: what else was packed with it would be kept too.
        observed = {name: table[:n_rows].copy() for name, table in out.items()}
        return carry, Samples(observed, made, crossings)

    def shown(self, carry: Carry, step: int, seen: Seen, look: bool) -> tuple[Array, Found]:
        """Return what own cells show at the first point of a step that nothing is told of.

        Args:
            carry: The state at the step's start.
            step: Steps made before.
            seen: What is told of the points before.
            look: Whether it is where somebody looks at the state, and no point of a step.

        Returns:
            What they show, and how many numbers of each name that is and are to be told, as
            `Point` finds them; None where there is no such point.
        """
        every, shapes = self._arguments(carry, step, (1, 0, False), seen)
        call, found = self._program_of(look, shapes, every, seen)
        with tf.device(self._device):
            (own,) = call(every)
        return np.asarray(memoryview(own)), found

    def _arguments(
        self, carry: Carry, step: int, counts: tuple[int, int, bool], seen: Seen
    ) -> tuple[list[Tensor], list[tuple[int, ...]]]:
        """Return what a program takes, and the shapes of the tables of inputs."""
        places, since, first, last = self.heard
        # From another step on, as where a fault is looked for, and a second time nothing is new.
        if step != last or last == self._taken:
            first = step
        while self._room < len(places):
            self._room = max(2 * self._room, self._cells)
        numbers = np.zeros(_COUNTS + self._room, np.int64)
        numbers[:_COUNTS] = step, *counts, first, len(places)
        numbers[_COUNTS : _COUNTS + len(places)] = places
        times = np.zeros(self._room)
        times[: len(since)] = since
        rows = [self._table(table) for table in self._inputs(step, counts[0] + 1)]
        parts = [step * self._dt], times, *(table.reshape(-1) for table in rows)
        with tf.device(self._device):
            values = tf.constant(np.concatenate(parts), self._dtype)
            every = [*carry.flow, *carry.kept, *self._given, tf.constant(numbers), values]
        every += [*seen.step, *seen.look, *(variable.handle for variable in self._at_rest())]
        return every, [table.shape for table in rows]

    def _inputs(self, step: int, count: int) -> list[Array]:
        """Return what is known beforehand of some steps; of many more it takes as long."""
        first, tables = self._known
        if not first <= step <= step + count <= first + len(tables[0]):
            steps = np.arange(step, min(max(self._end + 1, step + count), step + count + _AHEAD))
            tables = self._system.inputs(steps, nodes_of(self._solver), self._dt)
            first, self._known = step, (step, tables)
        return [table[step - first : step - first + count] for table in tables]

    def _carry(self, few: Few) -> tuple[Carry, Few]:
        """Return a packed state that stands before other tensors, and those."""
        end = self._states.count + self._kept.count
        flow, kept = tuple(few[: self._states.count]), tuple(few[self._states.count : end])
        return Carry(flow, (), kept), few[end:]

    def _program_of(
        self, look: bool | None, shapes: Sequence[tuple[int, ...]], every: Few, seen: Seen
    ) -> tuple[Callable[[Few], Few], Any]:
        """Return a program: of an interval, or if `look` is not None up to a point of a step."""
        known = look, self._room, self._every, len(seen.step), len(seen.look)
        if known not in self._programs:
            kinds = repr([(tensor.dtype, tuple(tensor.shape)) for tensor in every])
            packed = [packing.shapes for packing in (self._states, self._kept, self._fixed)]
            rest = repr([tuple(variable.shape) for variable in self._at_rest()])
            parts = self._key, kinds, *packed, rest, repr(shapes), self._dt, self._schedule
            trace = partial(self._traced, look, shapes, every, seen)
            key = "interval", self._device, self._dtype, *parts, *known
            self._programs[known], fresh = programs.kept(key, trace)
            self.fresh = self.fresh or fresh
        return self._programs[known]

    def _at_rest(self) -> list[tf.Variable]:
        return tf.nest.flatten(self._resting)

    def _with(self, resting: Any) -> System:
        """Return the system of states without what rests, which no loop carries: it is not copied.

        Args:
            resting: That.
        """
        system, elsewhere = self._system, self._elsewhere

        def jump(before: Carry, flow: Blocks, context: Any, prepared: Any) -> Jump:
            jump = system.jump(elsewhere.joined(before, resting), flow, context, prepared)
            after, _ = elsewhere.split(Carry(jump.flow, jump.event))
            return jump._replace(event=after.event)

        def given(function: Callable[..., Result]) -> Callable[..., Result]:
            return lambda carry, *more: function(elsewhere.joined(carry, resting), *more)

        return replace(
            system,
            arrive=given(system.arrive),
            jump=jump,
            observe=given(system.observe),
            follow=None if system.follow is None else given(system.follow),
        )

    def _traced(
        self, look: bool | None, shapes: Sequence[tuple[int, ...]], every: Few, seen: Seen
    ) -> tuple[Callable[[Few], Few], Any]:
        parts = self._solver, self._dt
        room, left, handles = self._room, [], len(every) - len(self._at_rest())
        ends = np.cumsum([1, room, *map(math.prod, shapes)])

        def interval(*every: Any) -> Few:
            few, variables = every[:handles], every[handles:]
            carry, few = self._carry(few)
            given, (numbers, values, *told) = few[: self._fixed.count], few[self._fixed.count :]
            resting = [variable.read_value() for variable in variables]
            carry = self._unpacked(carry, tf.nest.pack_sequence_as(self._resting, resting))
            since, *rows = (values[a:b] for a, b in itertools.pairwise(ends))
            drive = Inputs(*map(tf.reshape, rows, shapes))
            first, start, counts = numbers[0], values[0], tf.cast(numbers[1:4], tf.int32)
            places, new = tf.cast(numbers[_COUNTS - 1 :], tf.int32), numbers[_COUNTS - 2]
            known = Seen(tuple(told[: len(seen.step)]), tuple(told[len(seen.step) :]))
            heard = Heard(places[0], places[1:], since, new, known)
            parameters = self._fixed.unpacked(given)
            carry, parameters = self._elsewhere.received(carry, parameters, heard, first)
            if look is not None:
                point = Point(self._system, *parts, self._dtype, look)
                shown = point(carry, parameters, drive, first, start)
                left[:] = [point.found]
                return (shown,)
            carry, resting = self._elsewhere.split(carry)
            for variable, leaf in zip(variables, tf.nest.flatten(resting), strict=True):
                variable.assign(leaf)
            chunk = chunk_of(self._with(resting), *parts, self._schedule, self._dtype, self._every)
            carry, *results = chunk(carry, parameters, drive, first, start, counts)
            left[:] = [Packing(results)]
            after = self._packed(carry)
            return *after.flow, *after.kept, *left[0].packed(results)

        return called_flat(traced(interval, *every[:handles], *self._at_rest())), left[0]
