"""One stretch of steps of each column's own, backwards."""

from typing import TYPE_CHECKING, Any, NamedTuple

import tensorflow as tf

from somaflow.numerics.device import compiled
from somaflow.simulation.events import Event
from somaflow.simulation.flow import RUNNING, Flow, Tensor, Tree, polynomial, slope_of

if TYPE_CHECKING:
    from somaflow.simulation.rowwise import Plan, Rows, Rowwise

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
    def zero(cls, degree: int, shape: Any, dtype: Any) -> "Bars":
        """Return zeros for polynomials of a degree."""
        block, row = tf.zeros(shape, dtype), tf.zeros(shape[1:], dtype)
        return cls(block, row, (block,) * (degree + 1), row, row)


class Kept(NamedTuple):
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

    def _again(self, rows: "Rows", parameters: Tree, plan: "Plan") -> tuple[Kept, Any, Any, Any]:
        """Recompute a stretch as it went forward, and note what each step began with."""
        frame, (n, columns) = self.frame, rows.y.shape
        length, capacity, dtype = frame.length, frame.capacity, frame.dtype

        def zeros(*shape: int, of: Any = dtype) -> Tensor:
            return tf.zeros(shape, of)

        masks = [zeros(length, columns, of=tf.bool) for _ in range(3)]
        kept = Kept(
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

        def attempted(count: Tensor, before: Any, size: Any, after: Any, found: Any, kept: Kept):
            def put(where: Tensor, value: Tensor) -> Tensor:
                return tf.tensor_scatter_nd_update(where, [[count]], [value])

            met = kept.met
            if self.flow.conditions:
                met = tf.tensor_scatter_nd_update(met, [[count + 1]], [found.count])
            return kept._replace(
                y=put(kept.y, before.y),
                s=put(kept.s, before.s),
                h=put(kept.h, frame.length_of(size.h)),
                ends=put(kept.ends, size.last),
                accepted=put(kept.accepted, after.accepted > before.accepted),
                cut=put(kept.cut, after.cut & (after.accepted > before.accepted))
                if self.timed
                else kept.cut,
                piece=put(kept.piece, before.piece) if frame.jumps else (),
                met=met,
            )

        def sampled(row: Tensor, count: Tensor, mark: Tensor, rows: Any, kept: Kept) -> Kept:
            def put(where: Tensor, value: Tensor) -> Tensor:
                return tf.tensor_scatter_nd_update(where, [[row]], [value])

            pace = kept.pace
            if self.timed:
                coefficients = frame.dense(rows, parameters, plan)
                pace = put(pace, slope_of(coefficients, frame.theta(rows, mark)))
            return kept._replace(
                taken=put(kept.taken, count),
                theta=put(kept.theta, frame.theta(rows, mark)),
                valid=put(kept.valid, (rows.status == RUNNING) | (mark <= rows.s)),
                pace=pace,
            )

        _, _, row, count, found, kept = frame.stretch(
            rows, parameters, plan, kept, attempted, sampled
        )
        return kept, row, count, found

    def _backward(
        self, rows: "Rows", parameters: Tree, plan: "Plan", upstream: Tensor, met: Any, bars: Bars
    ) -> Any:
        """Take derivatives back through a stretch.

        Args:
            rows: The columns at its start.
            parameters: As forward.
            plan: As forward.
            upstream: Derivative by each sample, [capacity, n, R].
            met: Derivatives by times and states of its events, in the shape of the slots.
            bars: Derivatives by what the stretch handed on.

        Returns:
            Derivatives by what it began with, by each parameter, and whether an event's margin
            was tangential.
        """
        kept, row, count, found = self._again(rows, parameters, plan)
        flat = tf.nest.flatten(parameters)
        sums = [tf.zeros_like(leaf) for leaf in flat]

        def samples(count: Tensor, row: Tensor, bars: Bars) -> tuple[Tensor, Bars]:
            """Add the derivatives by the samples taken after so many attempts."""
            return tf.while_loop(
                lambda row, bars: (row >= 0) & (kept.taken[tf.maximum(row, 0)] == count),
                lambda row, bars: (row - 1, self._sample(row, upstream, kept, bars)),
                (row, bars),
            )

        def back(k: Tensor, row: Tensor, bars: Bars, sums: list[Tensor], tangent: Tensor) -> Any:
            row, bars = samples(k + 1, row, bars)
            bars, found_sums, flat_angle = self._step(k, kept, parameters, plan, found, met, bars)
            sums = [total + part for total, part in zip(sums, found_sums, strict=True)]
            return k - 1, row, bars, sums, tangent | flat_angle

        _, row, bars, sums, tangent = tf.while_loop(
            lambda k, *_: k >= 0,
            back,
            (count - 1, row - 1, bars, sums, tf.constant(False)),
        )
        _, bars = samples(tf.constant(0), row, bars)
        return bars, sums, tangent

    def _sample(self, row: Tensor, upstream: Tensor, kept: Kept, bars: Bars) -> Bars:
        valid, theta = kept.valid[row], kept.theta[row]
        bar = tf.where(valid, upstream[row], tf.zeros_like(bars.y))
        dense, power = [], tf.ones_like(theta)
        for old in bars.dense:
            dense.append(old + power * bar)
            power = power * theta
        bars = bars._replace(dense=tuple(dense))
        if self.timed:  # theta = (mark - start)/span; the span is filled in by the step
            along = tf.reduce_sum(bar * kept.pace[row], axis=0)
            bars = bars._replace(start=bars.start - along, span=bars.span - theta * along)
        return bars

    def _step(
        self,
        k: Tensor,
        kept: Kept,
        parameters: Tree,
        plan: "Plan",
        found: Any,
        met: Any,
        bars: Bars,
    ) -> Any:
        """Take derivatives back through one attempt; columns that waited hand theirs on."""
        made, flat = kept.accepted[k], tf.nest.flatten(parameters)
        y, start = kept.y[k], kept.s[k]
        s = self.frame.time(start, start)
        h = tf.where(made, kept.h[k], tf.zeros_like(s))
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch([y, s, *flat])
            begin = tf.identity(s)
            size = tf.where(kept.ends[k], tf.stop_gradient(s + h) - s, h)
            size = tf.where(made, size, tf.zeros_like(size))
            piece = kept.piece[k] if self.frame.jumps else ()
            problem = self.frame.problem(parameters, plan, start, piece)
            step = self.frame.solver.step(
                problem, s, size, y, self.frame.solver.init(problem, s, y)
            )
            coefficients = step.dense()
            y1, s1 = step.y, tf.where(kept.ends[k], tf.stop_gradient(s + h), s + size)
            if self.timed:
                y1, s1 = self._cut(k, kept, parameters, plan, found, s, size, coefficients, y1, s1)
        noted = None
        if self.flow.conditions:
            noted = self._noted(k, kept, parameters, plan, found, met, s, size, coefficients)
        step_bars = (bars.y, bars.s, *bars.dense)
        targets = [y1, s1, *coefficients]
        if noted is not None:
            length = tf.where(made & (h > 0), h, tf.ones_like(h))
            moved = noted.bars
            targets += [begin, size]
            step_bars = (
                *step_bars[:2],
                *(a + b for a, b in zip(bars.dense, moved.dense, strict=True)),
                moved.start + bars.start / length,
                moved.span + bars.span / length,
            )
        step_bars = [tf.where(made, bar, tf.zeros_like(bar)) for bar in step_bars]
        found_bars, sums = self._collect(tape, targets, step_bars, [y, s, *flat], made, bars)
        if noted is None:
            return found_bars, sums, tf.constant(False)
        sums = [a + b for a, b in zip(sums, noted.sums, strict=True)]
        return found_bars, sums, noted.tangent

    @staticmethod
    def _collect(
        tape: tf.GradientTape,
        targets: list[Tensor],
        step_bars: list[Tensor],
        sources: list[Tensor],
        made: Tensor,
        bars: Bars,
    ) -> Any:
        found: Any = tape.gradient(targets, sources, step_bars, unconnected_gradients=_ZERO)
        zero, none = tf.zeros_like(bars.y), tf.zeros_like(bars.s)
        back = Bars(
            tf.where(made, found[0], bars.y),
            tf.where(made, found[1], bars.s),
            tuple(tf.where(made, zero, bar) for bar in bars.dense),
            tf.where(made, none, bars.start),
            tf.where(made, none, bars.span),
        )
        return back, found[2:]

    def _cut(
        self,
        k: Tensor,
        kept: Kept,
        parameters: Tree,
        plan: "Plan",
        found: Any,
        s: Tensor,
        size: Tensor,
        coefficients: tuple[Tensor, ...],
        y1: Tensor,
        s1: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Return a step's end as the events that cut it moved it."""
        start = kept.s[k]
        events = self.frame.events(parameters, plan, start)
        columns, last = tf.range(kept.s.shape[1]), found.times.shape[0] - 1
        places = kept.met[k] + tf.range(self.frame.room)[:, None]
        index = tf.stack([tf.minimum(places, last), tf.broadcast_to(columns, places.shape)], axis=2)
        kinds = tf.where(places < kept.met[k + 1], tf.gather_nd(found.kinds, index), -1)
        late: list[tuple[Event, Tensor]] = []
        for kind, event in enumerate(events):
            if not event.cuts:
                continue
            here = kinds == kind
            slot = tf.argmax(here, axis=0, output_type=tf.int32)
            time = tf.gather_nd(found.times, tf.gather_nd(index, tf.stack([slot, columns], 1)))
            hit = kept.cut[k] & tf.reduce_any(here, axis=0)
            when, state, _ = self._at(event, hit, time, start, s, size, coefficients)
            late.append((event, hit))
            y1, s1 = tf.where(hit, state, y1), tf.where(hit, when, s1)
        for event, hit in late:
            if event.change is not None:
                y1 = tf.where(hit, event.change(s1, y1), y1)
        return y1, s1

    def _at(
        self,
        event: Event,
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

    def _noted(
        self,
        k: Tensor,
        kept: Kept,
        parameters: Tree,
        plan: "Plan",
        found: Any,
        met: Any,
        s: Tensor,
        size: Tensor,
        coefficients: tuple[Tensor, ...],
    ) -> "Noted":
        """Take derivatives back through the times and states of all events of an attempt."""
        columns, last = tf.range(kept.s.shape[1]), found.times.shape[0] - 1
        start = kept.s[k]
        flat, degree = tf.nest.flatten(parameters), len(coefficients)

        def body(offset: Tensor, old: Noted) -> Any:
            place = kept.met[k] + offset
            mine = place < kept.met[k + 1]
            index = tf.stack([tf.where(mine, place, last), columns], axis=1)
            kind, time = tf.gather_nd(found.kinds, index), tf.gather_nd(found.times, index)
            bars = [tf.gather_nd(met[0], index), tf.transpose(tf.gather_nd(met[1], index))]
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
            new: Any = tape.gradient([when, state], sources, bars, unconnected_gradients=_ZERO)
            moved = Bars(
                old.bars.y,
                old.bars.s,
                tuple(a + b for a, b in zip(old.bars.dense, new[2 : 2 + degree], strict=True)),
                old.bars.start + new[0],
                old.bars.span + new[1],
            )
            sums = [a + b for a, b in zip(old.sums, new[2 + degree :], strict=True)]
            return offset + 1, Noted(moved, sums, old.tangent | tangent)

        none = Bars.zero(degree - 1, kept.y.shape[1:], kept.y.dtype)
        nothing = Noted(none, [tf.zeros_like(leaf) for leaf in flat], tf.constant(False))
        most = tf.reduce_max(kept.met[k + 1] - kept.met[k])
        return tf.while_loop(lambda offset, _: offset < most, body, (tf.constant(0), nothing))[1]


class Noted(NamedTuple):
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
    event: Event,
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
