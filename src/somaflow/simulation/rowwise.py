"""Steps of each column's own: adaptive sizes, and events that cut a step short.

A column is active until it has passed the next sample; the others wait. So a column's steps do not
depend on those beside it, and a sample is one polynomial in the step that every column made last.
"""

from collections.abc import Callable
from typing import TypeVar

import tensorflow as tf

from somaflow.numerics.device import compiled
from somaflow.numerics.types import Nest, Tensor
from somaflow.simulation.events import PARTS, BoundCondition, EventLog, Log, bind, locate, outset
from somaflow.simulation.flow import (
    BROKEN,
    DONE,
    RUNNING,
    SPENT,
    UNDERFLOW,
    Flow,
    outer_time,
    polynomial,
)
from somaflow.simulation.reverse import Reverse
from somaflow.simulation.rows import Attempt, Rows, Timetable
from somaflow.solvers import control
from somaflow.solvers.base import Problem, Solver, Step

Notes = TypeVar("Notes")  # what is written down of a stretch, a nest
_EPSILON = 2.0**-52
_SAME = 1e-9  # of a fixed step: a jump that near to a time of the grid lies on it


class Rowwise:
    """The compiled functions of a flow under steps of each column's own.

    Args:
        flow: The system.
        solver: The method.
        adaptive: Whether its error estimate sets the steps; else they end on a grid.
        sign: -1 for a solve backwards in time.
        dtype: Of the state.
        capacity: The most samples of a stretch.
        slots: The most events of a column in a stretch.
        length: The most attempts of a stretch that is recomputed backwards.
        degree: Of the solver's polynomial in a step.
        jumps: Whether the field jumps at set times, at which steps end.
    """

    def __init__(
        self,
        flow: Flow,
        solver: Solver,
        adaptive: bool,
        sign: float,
        dtype: tf.DType,
        capacity: int,
        slots: int,
        length: int,
        degree: int,
        jumps: bool,
    ) -> None:
        self.flow, self.solver, self.adaptive = flow, solver, adaptive
        self.sign, self.dtype = sign, dtype
        self.length, self.jumps = length, jumps
        self.capacity, self.room = capacity, PARTS * len(flow.conditions)
        self.slots = slots + self.room
        self.cuts = any(c.terminal or c.change is not None for c in flow.conditions)
        self.start = compiled(self._start)
        self.forward = compiled(self._forward)
        self.reverse = Reverse(self, degree)

    def problem(
        self, parameters: Nest, plan: Timetable, start: Tensor, piece: Tensor
    ) -> Problem[Tensor]:
        """Return what the solver sees in a step that starts at a time [R].

        Args:
            parameters: Nest of tensors.
            plan: When and how far.
            start: The time, float64.
            piece: Between which two jumps, int32 [R]; () where the field has none.
        """
        within = None
        if self.jumps:
            low, high = tf.unstack(tf.gather(plan.pieces[1:], piece, axis=1))
            within = low, high
        return self.flow.problem(parameters, self._begin(plan, start), self.sign, within)

    def time(self, s: Tensor, start: Tensor) -> Tensor:
        """Return a time as the solver sees it in a step that starts at `start`, both [R].

        In float32, which would round it, time begins anew with each step.
        """
        return tf.cast(s - start if self.dtype == tf.float32 else s, self.dtype)

    def length_of(self, h: Tensor) -> Tensor:
        """Return the size of a step in the dtype of the state."""
        return tf.cast(h, self.dtype)

    def events(
        self, parameters: Nest, plan: Timetable, start: Tensor
    ) -> tuple[BoundCondition, ...]:
        """Return the events as they are seen in a step that starts at a time [R]."""
        return bind(self.flow, parameters, self._begin(plan, start), self.sign)

    def _begin(self, plan: Timetable, start: Tensor) -> Tensor:
        begin = plan.scales[0]
        return outer_time(begin, self.sign, start) if self.dtype == tf.float32 else begin

    def _start(self, y: Tensor, parameters: Nest, plan: Timetable) -> Rows:
        """Return the columns before their first step."""
        columns = y.shape[1]
        zero = tf.zeros([columns], tf.float64)
        count = tf.zeros([columns], tf.int32)
        problem, s = self.problem(parameters, plan, zero, count), self.time(zero, zero)
        h = zero + plan.scales[2]
        if self.adaptive:
            rtol = tf.cast(plan.scales[3], self.dtype)
            order = self.solver.error_order or 1
            end = plan.pieces[0, 0] if self.jumps else plan.scales[1]
            most = self.length_of(zero + tf.minimum(end, plan.scales[4]))
            first = control.first_step(problem, s, y, order, rtol, plan.atol, most)
            h = tf.cast(first, tf.float64)
            h = tf.where(plan.scales[5] > 0, plan.scales[5], h)
        events = self.events(parameters, plan, zero)
        return Rows(
            y=y,
            memory=self.solver.init(problem, s, y),
            s=zero,
            low=zero,
            h=h,
            error=tf.fill([columns], tf.cast(control.LOWEST, self.dtype)),
            repeated=tf.zeros([columns], tf.bool),
            status=count,
            grid=() if self.adaptive else count,
            before=y,
            start=zero,
            span=h,
            cut=tf.zeros([columns], tf.bool) if self.cuts else (),
            side=outset(problem, events, s, self.length_of(h), y),
            recent=tuple(zero - plan.scales[1] for _ in events) if self.cuts else (),
            piece=count if self.jumps else (),
            piece_before=count if self.jumps else (),
            worst=count,
            accepted=count,
            rejected=count,
            smallest=zero + plan.scales[1],
        )

    def attempt(self, rows: Rows, plan: Timetable, active: Tensor) -> Attempt:
        """Return how far each column goes next."""
        target = tf.zeros_like(rows.s) + plan.scales[1]
        if not self.adaptive:
            target = self._grid(rows, plan)
        if self.jumps:
            # On a jump, rather than within rounding of it.
            jump = tf.gather(plan.pieces[0], rows.piece)
            target = tf.where(jump <= target + _SAME * plan.scales[2], jump, target)
        left = target - rows.s
        # A step that nearly reaches the end goes there: no sliver of a step is left over.
        last = rows.h * (1 + 1e-9) >= left if self.adaptive else tf.ones_like(active)
        h = tf.where(last, left, rows.h)
        return Attempt(tf.where(active, h, tf.zeros_like(h)), target, last, active)

    def _grid(self, rows: Rows, plan: Timetable) -> Tensor:
        """Return the next time of a fixed grid."""
        target = tf.cast(rows.grid + 1, tf.float64) * plan.scales[2]
        # The last step ends at the end, wherever rounding would put it.
        near = target >= plan.scales[1] - 0.5 * plan.scales[2]
        return tf.where(near, plan.scales[1], target)

    def take(self, rows: Rows, size: Attempt, problem: Problem[Tensor]) -> Step[Tensor]:
        """Take a step of every column; those that wait go nowhere."""
        s, h = self.time(rows.s, rows.s), self.length_of(size.h)
        return self.solver.step(problem, s, h, rows.y, rows.memory)

    def advance(
        self, rows: Rows, size: Attempt, parameters: Nest, plan: Timetable, log: Log
    ) -> tuple[Rows, Log]:
        """Attempt a step of every active column, and judge it."""
        problem = self.problem(parameters, plan, rows.s, rows.piece)
        step = self.take(rows, size, problem)
        accepted, h, error = size.active, rows.h, rows.error
        if self.adaptive:
            accepted, h, error = self._judge(rows, size, step, plan)
        added = size.h + rows.low
        sum_ = rows.s + added
        s = tf.where(size.last, size.target, sum_)
        low = tf.where(size.last, tf.zeros_like(s), added - (sum_ - rows.s))
        grid = rows.grid
        if not self.adaptive and self.jumps:  # a jump divides a step
            whole = size.target >= self._grid(rows, plan) - _SAME * plan.scales[2]
            grid = rows.grid + tf.cast(whole, tf.int32)
        elif not self.adaptive:
            grid = rows.grid + 1
        missed = size.active & ~accepted
        after = rows._replace(
            y=step.y,
            memory=step.memory,
            s=s,
            low=low,
            grid=grid,
            before=rows.y,
            start=rows.s,
            span=size.h,
            error=error,
            cut=tf.zeros_like(rows.cut) if self.cuts else (),
            piece_before=rows.piece,
            smallest=tf.where(size.h > 0, tf.minimum(rows.smallest, size.h), rows.smallest),
        )
        events = self.events(parameters, plan, rows.s)
        if isinstance(log, EventLog):
            after, log = locate(
                events, problem, self.solver, rows, after, step, accepted, log, self.time
            )
        after = _choose(accepted, after, rows)
        if self.jumps:
            after = self._over_jumps(after, parameters, plan, accepted)
        # At t = 0 still above the denormal numbers, which XLA takes for 0.
        floor = 16 * _EPSILON * tf.maximum(tf.abs(plan.scales[0] + self.sign * after.s), 1e-290)
        status = tf.where(after.s >= plan.scales[1], DONE, after.status)
        status, worst = tf.where(after.status == RUNNING, status, after.status), rows.worst
        spent = (status == RUNNING) & (rows.accepted + rows.rejected + 1 >= plan.counts[2])
        status = tf.where(spent, SPENT, status)
        if self.adaptive:
            small = missed & ~(h >= floor)  # also a step that is not a number
            why = tf.where(error < self.dtype.max, UNDERFLOW, BROKEN)
            status = tf.where(small, why, status)
            worst = self._worst(rows, step, plan, small | (spent & size.active))
        return (
            after._replace(
                h=tf.where(size.active, h, rows.h),
                repeated=tf.where(size.active, missed, rows.repeated),
                status=tf.where(size.active, status, rows.status),
                worst=worst,
                accepted=rows.accepted + tf.cast(accepted, tf.int32),
                rejected=rows.rejected + tf.cast(missed, tf.int32),
            ),
            log,
        )

    def _over_jumps(self, rows: Rows, parameters: Nest, plan: Timetable, accepted: Tensor) -> Rows:
        """Return the columns with the next step on the far side of a jump that one ended at."""
        over = accepted & (rows.s >= tf.gather(plan.pieces[0], rows.piece))
        piece = tf.minimum(rows.piece + tf.cast(over, tf.int32), plan.pieces.shape[1] - 1)
        memory = rows.memory

        def anew() -> Nest:
            problem = self.problem(parameters, plan, rows.s, piece)
            begun = self.solver.init(problem, self.time(rows.s, rows.s), rows.y)
            return tf.nest.map_structure(lambda a, b: tf.where(over, a, b), begun, memory)

        if tf.nest.flatten(memory):  # a slope before the jump is none behind it
            memory = tf.cond(tf.reduce_any(over), anew, lambda: memory)
        return rows._replace(piece=piece, memory=memory)

    def _judge(
        self, rows: Rows, size: Attempt, step: Step[Tensor], plan: Timetable
    ) -> tuple[Tensor, ...]:
        """Return who is accepted, the next sizes and the errors to remember."""
        rtol = tf.cast(plan.scales[3], self.dtype)
        order = self.solver.error_order or 1
        error = control.log_error(step.error, rows.y, step.y, rtol, plan.atol)
        growth = control.factor(error, rows.error, order, rows.repeated)
        h = size.h * tf.cast(growth, tf.float64)
        if self.jumps:  # a step that was cut short at a jump says nothing against the longer one
            h = tf.where(size.last & (error <= 0), tf.maximum(h, rows.h), h)
        h = tf.minimum(h, plan.scales[4])
        return size.active & (error <= 0), h, control.remembered(error)

    def _worst(self, rows: Rows, step: Step[Tensor], plan: Timetable, small: Tensor) -> Tensor:
        """Return the component for which a step became too small."""
        rtol = tf.cast(plan.scales[3], self.dtype)

        def largest() -> Tensor:
            worst = control.worst(step.error, rows.y, step.y, rtol, plan.atol)
            return tf.where(small, worst, rows.worst)

        return tf.cond(tf.reduce_any(small), largest, lambda: rows.worst)

    def _forward(
        self, rows: Rows, parameters: Nest, plan: Timetable
    ) -> tuple[Rows, Tensor, Tensor, Tensor, Log]:
        """Return the columns after a stretch, its samples, how many are complete, and events."""
        return self.stretch(rows, parameters, plan, (), _nothing, _nothing)[:-1]

    def stretch(
        self,
        rows: Rows,
        parameters: Nest,
        plan: Timetable,
        notes: Notes,
        attempted: Callable[[Tensor, Rows, Attempt, Rows, Log, Notes], Notes],
        sampled: Callable[[Tensor, Tensor, Tensor, Rows, Notes], Notes],
    ) -> tuple[Rows, Tensor, Tensor, Tensor, Log, Notes]:
        """Make the steps of a stretch.

        Args:
            rows: The columns at its start.
            parameters: Nest of tensors.
            plan: When and how far.
            notes: What `attempted` and `sampled` write to.
            attempted: `(count, before, size, after, log, notes) -> notes`, after each attempt.
            sampled: `(row, count, mark, rows, notes) -> notes`, at each sample.

        Returns:
            The columns, samples, number of samples and of attempts, events, and `notes`.
        """
        limit, n_rows, _ = tf.unstack(plan.counts)
        n, columns = rows.y.shape
        log = EventLog.empty(self.slots, n, columns, self.dtype) if self.flow.conditions else ()

        def active(rows: Rows, mark: Tensor, log: Log) -> Tensor:
            waits = (rows.status != RUNNING) | (rows.s >= mark)
            if isinstance(log, EventLog):
                waits = waits | (log.count > self.slots - self.room)  # a step may have as many
            return ~waits

        def inner(
            count: Tensor, rows: Rows, log: Log, notes: Notes, mark: Tensor
        ) -> tuple[Tensor, Rows, Log, Notes, Tensor]:
            size = self.attempt(rows, plan, active(rows, mark, log))
            after, log = self.advance(rows, size, parameters, plan, log)
            notes = attempted(count, rows, size, after, log, notes)
            return count + 1, after, log, notes, mark

        def going(count: Tensor, rows: Rows, log: Log, notes: Notes, mark: Tensor) -> Tensor:
            return (count < limit) & tf.reduce_any(active(rows, mark, log))

        def outer(
            row: Tensor, count: Tensor, rows: Rows, log: Log, notes: Notes, out: Tensor, _: Tensor
        ) -> tuple[Tensor, Tensor, Rows, Log, Notes, Tensor, Tensor]:
            mark = plan.marks[row]
            start = (count, rows, log, notes, mark)
            count, rows, log, notes, _ = tf.while_loop(going, inner, start)
            ready = tf.reduce_all((rows.status != RUNNING) | (rows.s >= mark))
            value = self.sample(rows, mark, parameters, plan)
            out = tf.tensor_scatter_nd_update(out, [[row]], [value])
            notes = sampled(row, count, mark, rows, notes)
            return row + tf.cast(ready, tf.int32), count, rows, log, notes, out, ready

        out = tf.zeros([self.capacity, n, columns], self.dtype)
        zero = tf.constant(0)
        row, count, rows, log, notes, out, _ = tf.while_loop(
            lambda row, *rest: (row < n_rows) & rest[-1],
            outer,
            (zero, zero, rows, log, notes, out, tf.constant(True)),
        )
        return rows, out, row, count, log, notes

    def sample(self, rows: Rows, mark: Tensor, parameters: Nest, plan: Timetable) -> Tensor:
        """Return the state of every column at one time, within the last step that each made."""
        whole = (mark >= rows.s) & ~rows.cut if self.cuts else mark >= rows.s
        theta = self.theta(rows, mark)

        def within() -> Tensor:
            return tf.where(whole, rows.y, polynomial(self.dense(rows, parameters, plan), theta))

        value = tf.cond(tf.reduce_all(whole), lambda: rows.y, within)
        ended = (rows.status != RUNNING) & (mark > rows.s)
        return tf.where(ended, tf.cast(float("nan"), self.dtype), value)

    def theta(self, rows: Rows, mark: Tensor) -> Tensor:
        """Return where in its last step each column is at a time."""
        span = tf.where(rows.span > 0, rows.span, tf.ones_like(rows.span))
        return self.length_of(tf.clip_by_value((mark - rows.start) / span, 0.0, 1.0))

    def dense(self, rows: Rows, parameters: Nest, plan: Timetable) -> tuple[Tensor, ...]:
        """Return the polynomial of the last step that each column made, by taking it again."""
        problem = self.problem(parameters, plan, rows.start, rows.piece_before)
        s, span = self.time(rows.start, rows.start), self.length_of(rows.span)
        memory = self.solver.init(problem, s, rows.before)
        return self.solver.step(problem, s, span, rows.before, memory).dense()


def _nothing(*_: object) -> tuple[()]:
    """Write nothing down."""
    return ()


def _choose(mask: Tensor, new: Rows, old: Rows) -> Rows:
    """Return `new` for the columns of a mask and `old` for the others."""
    return tf.nest.map_structure(lambda a, b: a if a is b else tf.where(mask, a, b), new, old)
