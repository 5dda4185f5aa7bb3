"""One stretch of steps of each column's own, backwards."""

from typing import TYPE_CHECKING, NamedTuple

import tensorflow as tf

from somaflow.numerics.device import compiled
from somaflow.numerics.types import Nest, Tensor
from somaflow.simulation.events import BoundCondition, EventLog, Log
from somaflow.simulation.flow import RUNNING, Flow, polynomial, slope_of
from somaflow.simulation.rows import Attempt, Rows, Timetable

if TYPE_CHECKING:
    from somaflow.simulation.rowwise import Rowwise

_ZERO = tf.UnconnectedGradients.ZERO
_TANGENT = 1e-6


class Bars(NamedTuple):
    """Derivatives of the result by what a step hands to the next.

    Attributes:
        y: By the state, [n, R].
        s: By the time, [R].
        dense: By each coefficient of the polynomial in the step made last, [n, R] each.
        start: By the start of that step, [R].
        span: By its size, [R].
    """

    y: Tensor
    s: Tensor
    dense: tuple[Tensor, ...]
    start: Tensor
    span: Tensor

    @classmethod
    def zero(cls, degree: int, shape: tf.TensorShape, dtype: tf.DType) -> "Bars":
        """Return zeros for polynomials of a degree."""
        block, row = tf.zeros(shape, dtype), tf.zeros(shape[1:], dtype)
        return cls(block, row, (block,) * (degree + 1), row, row)


class Trail(NamedTuple):
    """What is noted of a stretch while it is recomputed.

    Attributes:
        y: State before each attempt, [length, n, R].
        s: Time then, float64 [length, R].
        h: Size of the step, [length, R].
        ends: Whether the step ended at a set time, [length, R].
        accepted: Whether it was made, [length, R].
        cut: Whether an event cut it, [length, R].
        piece: The piece between jumps that it lay in, int32 [length, R]; () without jumps.
        met: Events of each column before it, int32 [length + 1, R].
        taken: Attempts before each sample, int32 [capacity].
        theta: Where in its last step each column was at each sample, [capacity, R].
        valid: Whether it was still running, [capacity, R].
        pace: Derivative of the polynomial there, [capacity, n, R]; of shape [0] if not needed.
    """

    y: Tensor
    s: Tensor
    h: Tensor
    ends: Tensor
    accepted: Tensor
    cut: Tensor
    piece: Tensor
    met: Tensor
    taken: Tensor
    theta: Tensor
    valid: Tensor
    pace: Tensor


class Reverse:
    """The compiled derivative of a stretch.

    Args:
        frame: The functions forward.
        degree: Of the solver's polynomial in a step.
    """

    def __init__(self, frame: "Rowwise", degree: int) -> None:
        self.frame, self.degree = frame, degree
        self.flow: Flow = frame.flow
        self.timed = frame.cuts
        self.backward = compiled(self._backward)

    def _again(
        self, rows: Rows, parameters: Nest, plan: Timetable
    ) -> tuple[Trail, Tensor, Tensor, Log]:
        """Recompute a stretch as it went forward, and note what each step began with."""
        frame, (n, columns) = self.frame, rows.y.shape
        length, capacity, dtype = frame.length, frame.capacity, frame.dtype

        def zeros(*shape: int, of: tf.DType = dtype) -> Tensor:
            return tf.zeros(shape, of)

        masks = [zeros(length, columns, of=tf.bool) for _ in range(3)]
        trail = Trail(
            zeros(length, n, columns),
            zeros(length, columns, of=tf.float64),
            zeros(length, columns),
            *masks,
            piece=zeros(length, columns, of=tf.int32) if frame.jumps else (),
            met=zeros(length + 1, columns, of=tf.int32),
            taken=zeros(capacity, of=tf.int32),
            theta=zeros(capacity, columns),
            valid=zeros(capacity, columns, of=tf.bool),
            pace=zeros(capacity, n, columns) if self.timed else zeros(0),
        )

        def attempted(
            count: Tensor, before: Rows, size: Attempt, after: Rows, log: Log, trail: Trail
        ) -> Trail:
            def put(where: Tensor, value: Tensor) -> Tensor:
                return tf.tensor_scatter_nd_update(where, [[count]], [value])

            met = trail.met
            if isinstance(log, EventLog):
                met = tf.tensor_scatter_nd_update(met, [[count + 1]], [log.count])
            return trail._replace(
                y=put(trail.y, before.y),
                s=put(trail.s, before.s),
                h=put(trail.h, frame.length_of(size.h)),
                ends=put(trail.ends, size.last),
                accepted=put(trail.accepted, after.accepted > before.accepted),
                cut=put(trail.cut, after.cut & (after.accepted > before.accepted))
                if self.timed
                else trail.cut,
                piece=put(trail.piece, before.piece) if frame.jumps else (),
                met=met,
            )

        def sampled(row: Tensor, count: Tensor, mark: Tensor, rows: Rows, trail: Trail) -> Trail:
            def put(where: Tensor, value: Tensor) -> Tensor:
                return tf.tensor_scatter_nd_update(where, [[row]], [value])

            pace = trail.pace
            if self.timed:
                coefficients = frame.dense(rows, parameters, plan)
                pace = put(pace, slope_of(coefficients, frame.theta(rows, mark)))
            return trail._replace(
                taken=put(trail.taken, count),
                theta=put(trail.theta, frame.theta(rows, mark)),
                valid=put(trail.valid, (rows.status == RUNNING) | (mark <= rows.s)),
                pace=pace,
            )

        _, _, row, count, log, trail = frame.stretch(
            rows, parameters, plan, trail, attempted, sampled
        )
        return trail, row, count, log

    def _backward(
        self,
        rows: Rows,
        parameters: Nest,
        plan: Timetable,
        upstream: Tensor,
        event_bars: tuple[Tensor, ...],
        bars: Bars,
    ) -> tuple[Bars, list[Tensor], Tensor]:
        """Take derivatives back through a stretch.

        Args:
            rows: The columns at its start.
            parameters: As forward.
            plan: As forward.
            upstream: Derivative by each sample, [capacity, n, R].
            event_bars: Derivatives by times and states of its events, in the shape of the slots;
                () without conditions.
            bars: Derivatives by what the stretch handed on.

        Returns:
            Derivatives by what it began with, by each parameter, and whether an event's margin
            was tangential.
        """
        trail, row, count, log = self._again(rows, parameters, plan)
        flat = tf.nest.flatten(parameters)
        sums = [tf.zeros_like(leaf) for leaf in flat]

        def samples(count: Tensor, row: Tensor, bars: Bars) -> tuple[Tensor, Bars]:
            """Add the derivatives by the samples taken after so many attempts."""
            return tf.while_loop(
                lambda row, bars: (row >= 0) & (trail.taken[tf.maximum(row, 0)] == count),
                lambda row, bars: (row - 1, self._sample(row, upstream, trail, bars)),
                (row, bars),
            )

        def back(
            k: Tensor, row: Tensor, bars: Bars, sums: list[Tensor], tangent: Tensor
        ) -> tuple[Tensor, Tensor, Bars, list[Tensor], Tensor]:
            row, bars = samples(k + 1, row, bars)
            bars, parts, flat_angle = self._step(k, trail, parameters, plan, log, event_bars, bars)
            sums = [total + part for total, part in zip(sums, parts, strict=True)]
            return k - 1, row, bars, sums, tangent | flat_angle

        _, row, bars, sums, tangent = tf.while_loop(
            lambda k, *_: k >= 0,
            back,
            (count - 1, row - 1, bars, sums, tf.constant(False)),
        )
        _, bars = samples(tf.constant(0), row, bars)
        return bars, sums, tangent

    def _sample(self, row: Tensor, upstream: Tensor, trail: Trail, bars: Bars) -> Bars:
        valid, theta = trail.valid[row], trail.theta[row]
        bar = tf.where(valid, upstream[row], tf.zeros_like(bars.y))
        dense, power = [], tf.ones_like(theta)
        for old in bars.dense:
            dense.append(old + power * bar)
            power = power * theta
        bars = bars._replace(dense=tuple(dense))
        if self.timed:  # theta = (mark - start)/span; the span is filled in by the step
            along = tf.reduce_sum(bar * trail.pace[row], axis=0)
            bars = bars._replace(start=bars.start - along, span=bars.span - theta * along)
        return bars

    def _step(
        self,
        k: Tensor,
        trail: Trail,
        parameters: Nest,
        plan: Timetable,
        log: Log,
        event_bars: tuple[Tensor, ...],
        bars: Bars,
    ) -> tuple[Bars, list[Tensor], Tensor]:
        """Take derivatives back through one attempt; columns that waited hand theirs on."""
        made, flat = trail.accepted[k], tf.nest.flatten(parameters)
        y, start = trail.y[k], trail.s[k]
        s = self.frame.time(start, start)
        h = tf.where(made, trail.h[k], tf.zeros_like(s))
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch([y, s, *flat])
            begin = tf.identity(s)
            size = tf.where(trail.ends[k], tf.stop_gradient(s + h) - s, h)
            size = tf.where(made, size, tf.zeros_like(size))
            piece = trail.piece[k] if self.frame.jumps else ()
            problem = self.frame.problem(parameters, plan, start, piece)
            step = self.frame.solver.step(
                problem, s, size, y, self.frame.solver.init(problem, s, y)
            )
            coefficients = step.dense()
            y1, s1 = step.y, tf.where(trail.ends[k], tf.stop_gradient(s + h), s + size)
            if isinstance(log, EventLog) and self.timed:
                y1, s1 = self._cut(k, trail, parameters, plan, log, s, size, coefficients, y1, s1)
        at_events = None
        if isinstance(log, EventLog):
            at_events = self._through_events(
                k, trail, parameters, plan, log, event_bars, s, size, coefficients
            )
        step_bars = (bars.y, bars.s, *bars.dense)
        targets = [y1, s1, *coefficients]
        if at_events is not None:
            length = tf.where(made & (h > 0), h, tf.ones_like(h))
            moved = at_events.bars
            targets += [begin, size]
            step_bars = (
                *step_bars[:2],
                *(a + b for a, b in zip(bars.dense, moved.dense, strict=True)),
                moved.start + bars.start / length,
                moved.span + bars.span / length,
            )
        step_bars = [tf.where(made, bar, tf.zeros_like(bar)) for bar in step_bars]
        earlier, sums = self._collect(tape, targets, step_bars, [y, s, *flat], made, bars)
        if at_events is None:
            return earlier, sums, tf.constant(False)
        sums = [a + b for a, b in zip(sums, at_events.sums, strict=True)]
        return earlier, sums, at_events.tangent

    @staticmethod
    def _collect(
        tape: tf.GradientTape,
        targets: list[Tensor],
        step_bars: list[Tensor],
        sources: list[Tensor],
        made: Tensor,
        bars: Bars,
    ) -> tuple[Bars, list[Tensor]]:
        gradients: Tensor = tape.gradient(targets, sources, step_bars, unconnected_gradients=_ZERO)
        zero, none = tf.zeros_like(bars.y), tf.zeros_like(bars.s)
        back = Bars(
            tf.where(made, gradients[0], bars.y),
            tf.where(made, gradients[1], bars.s),
            tuple(tf.where(made, zero, bar) for bar in bars.dense),
            tf.where(made, none, bars.start),
            tf.where(made, none, bars.span),
        )
        return back, gradients[2:]

    def _cut(
        self,
        k: Tensor,
        trail: Trail,
        parameters: Nest,
        plan: Timetable,
        log: EventLog,
        s: Tensor,
        size: Tensor,
        coefficients: tuple[Tensor, ...],
        y1: Tensor,
        s1: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Return a step's end as the events that cut it moved it."""
        start = trail.s[k]
        events = self.frame.events(parameters, plan, start)
        columns, last = tf.range(trail.s.shape[1]), log.times.shape[0] - 1
        places = trail.met[k] + tf.range(self.frame.room)[:, None]
        index = tf.stack([tf.minimum(places, last), tf.broadcast_to(columns, places.shape)], axis=2)
        kinds = tf.where(places < trail.met[k + 1], tf.gather_nd(log.kinds, index), -1)
        late: list[tuple[BoundCondition, Tensor]] = []
        for kind, event in enumerate(events):
            if not event.cuts:
                continue
            here = kinds == kind
            slot = tf.argmax(here, axis=0, output_type=tf.int32)
            time = tf.gather_nd(log.times, tf.gather_nd(index, tf.stack([slot, columns], 1)))
            hit = trail.cut[k] & tf.reduce_any(here, axis=0)
            when, state, _ = self._at(event, hit, time, start, s, size, coefficients)
            late.append((event, hit))
            y1, s1 = tf.where(hit, state, y1), tf.where(hit, when, s1)
        for event, hit in late:
            if event.change is not None:
                y1 = tf.where(hit, event.change(s1, y1), y1)
        return y1, s1

    def _at(
        self,
        event: BoundCondition,
        hit: Tensor,
        time: Tensor,
        start: Tensor,
        s: Tensor,
        size: Tensor,
        coefficients: tuple[Tensor, ...],
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return when an event happens and the state there as functions of the step.

        The fraction theta at which a margin G is zero moves by -dG / (dG/dtheta): one step of
        Newton's iteration from the solution, with a constant slope, has that derivative.
        """
        span = tf.where(size > 0, size, tf.ones_like(size))
        fraction = tf.stop_gradient((self.frame.time(time, start) - s) / span)
        fraction = tf.where(hit, fraction, tf.zeros_like(fraction))
        theta, flat_angle = _moved(event, hit, fraction, s, size, coefficients)
        return s + theta * size, polynomial(coefficients, theta), flat_angle

    def _through_events(
        self,
        k: Tensor,
        trail: Trail,
        parameters: Nest,
        plan: Timetable,
        log: EventLog,
        event_bars: tuple[Tensor, ...],
        s: Tensor,
        size: Tensor,
        coefficients: tuple[Tensor, ...],
    ) -> "EventBars":
        """Take derivatives back through the times and states of all events of an attempt."""
        columns, last = tf.range(trail.s.shape[1]), log.times.shape[0] - 1
        start = trail.s[k]
        flat, degree = tf.nest.flatten(parameters), len(coefficients)

        def body(offset: Tensor, old: EventBars) -> tuple[Tensor, EventBars]:
            place = trail.met[k] + offset
            mine = place < trail.met[k + 1]
            index = tf.stack([tf.where(mine, place, last), columns], axis=1)
            kind, time = tf.gather_nd(log.kinds, index), tf.gather_nd(log.times, index)
            bars = [
                tf.gather_nd(event_bars[0], index),
                tf.transpose(tf.gather_nd(event_bars[1], index)),
            ]
            bars = [tf.where(mine, bar, tf.zeros_like(bar)) for bar in bars]
            sources = [tf.identity(x) for x in (s, size, *coefficients, *flat)]
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(sources)
                begin, length, dense = sources[0], sources[1], tuple(sources[2 : 2 + degree])
                packed = tf.nest.pack_sequence_as(parameters, sources[2 + degree :])
                when, state, tangent = begin, dense[0], tf.constant(False)
                for number, event in enumerate(self.frame.events(packed, plan, start)):
                    hit = mine & (kind == number)
                    moved, there, flat_angle = self._at(
                        event, hit, time, start, begin, length, dense
                    )
                    when, state = tf.where(hit, moved, when), tf.where(hit, there, state)
                    tangent = tangent | flat_angle
            new: Tensor = tape.gradient([when, state], sources, bars, unconnected_gradients=_ZERO)
            moved = Bars(
                old.bars.y,
                old.bars.s,
                tuple(a + b for a, b in zip(old.bars.dense, new[2 : 2 + degree], strict=True)),
                old.bars.start + new[0],
                old.bars.span + new[1],
            )
            sums = [a + b for a, b in zip(old.sums, new[2 + degree :], strict=True)]
            return offset + 1, EventBars(moved, sums, old.tangent | tangent)

        none = Bars.zero(degree - 1, trail.y.shape[1:], trail.y.dtype)
        nothing = EventBars(none, [tf.zeros_like(leaf) for leaf in flat], tf.constant(False))
        most = tf.reduce_max(trail.met[k + 1] - trail.met[k])
        return tf.while_loop(lambda offset, _: offset < most, body, (tf.constant(0), nothing))[1]


class EventBars(NamedTuple):
    """Derivatives by the times and states of events.

    Attributes:
        bars: By the coefficients of the step's polynomial, its start and its size.
        sums: By each parameter.
        tangent: Whether a margin was tangential.
    """

    bars: Bars
    sums: list[Tensor]
    tangent: Tensor


def _moved(
    event: BoundCondition,
    hit: Tensor,
    fraction: Tensor,
    s: Tensor,
    size: Tensor,
    coefficients: tuple[Tensor, ...],
) -> tuple[Tensor, Tensor]:
    """Return the fraction as a function of the step, and whether its margin was tangential."""

    def margin(theta: Tensor) -> Tensor:
        return event.margin(s + theta * size, polynomial(coefficients, theta))

    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(fraction)
        value = margin(fraction)
    angle = tf.stop_gradient(tape.gradient(value, fraction, unconnected_gradients=_ZERO))
    ends = tf.maximum(tf.abs(margin(tf.zeros_like(fraction))), tf.abs(margin(tf.ones_like(s))))
    flat = hit & (tf.abs(angle) <= _TANGENT * tf.stop_gradient(ends))
    slope = tf.where(hit & (angle != 0), angle, tf.ones_like(angle))
    moved = fraction - (value - tf.stop_gradient(value)) / slope
    return tf.where(hit, moved, fraction), tf.reduce_any(flat)
