"""One stretch of steps of each column's own, backwards."""

from typing import TYPE_CHECKING, Any, NamedTuple

import tensorflow as tf

from somaflow.numerics.device import compiled
from somaflow.simulation.events import Event, Found
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
            problem = self.frame.problem(parameters, plan, start)
            step = self.frame.solver.step(
                problem, s, size, y, self.frame.solver.init(problem, s, y)
            )
            coefficients = step.dense()
            y1, s1 = step.y, tf.where(kept.ends[k], tf.stop_gradient(s + h), s + size)
            outputs, tangent = [], tf.constant(False)
            if self.flow.conditions:
                y1, s1, outputs, tangent = self._events(
                    k, kept, parameters, plan, found, s, size, coefficients, y1, s1
                )
        step_bars = (bars.y, bars.s, *bars.dense, *self._event_bars(k, kept, found, met))
        step_bars = [tf.where(made, bar, tf.zeros_like(bar)) for bar in step_bars]
        targets = [y1, s1, *coefficients, *outputs]
        if self.timed:
            length = tf.where(made & (h > 0), h, tf.ones_like(h))
            targets += [begin, size]
            step_bars += [
                tf.where(made, bars.start / length, tf.zeros_like(h)),
                tf.where(made, bars.span / length, tf.zeros_like(h)),
            ]
        return self._collect(tape, targets, step_bars, [y, s, *flat], made, bars, tangent)

    @staticmethod
    def _collect(
        tape: tf.GradientTape,
        targets: list[Tensor],
        step_bars: list[Tensor],
        sources: list[Tensor],
        made: Tensor,
        bars: Bars,
        tangent: Tensor,
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
        return back, found[2:], tangent

    def _places(self, k: Tensor, kept: Kept, found: Found) -> list[tuple[Tensor, Tensor, Tensor]]:
        """Return for each condition whether it was met in an attempt, and its slot, as indices."""
        columns = tf.range(kept.s.shape[1])
        before = kept.met[k]
        places = []
        for kind in range(len(self.flow.conditions)):
            hit = tf.zeros(columns.shape, tf.bool)
            slot = tf.zeros_like(columns)
            for offset in range(len(self.flow.conditions)):
                place = before + offset
                index = tf.stack([tf.minimum(place, found.times.shape[0] - 1), columns], axis=1)
                here = (place < kept.met[k + 1]) & (tf.gather_nd(found.kinds, index) == kind)
                hit, slot = hit | here, tf.where(here, place, slot)
            index = tf.stack([slot, columns], axis=1)
            places.append((hit, index, tf.gather_nd(found.times, index)))
        return places

    def _event_bars(self, k: Tensor, kept: Kept, found: Any, met: Any) -> list[Tensor]:
        bars = []
        if not self.flow.conditions:
            return bars
        for hit, index, _ in self._places(k, kept, found):
            time, state = tf.gather_nd(met[0], index), tf.gather_nd(met[1], index)
            bars.append(tf.where(hit, time, tf.zeros_like(time)))
            bars.append(tf.where(hit, tf.transpose(state), tf.zeros_like(tf.transpose(state))))
        return bars

    def _events(
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
    ) -> tuple[Tensor, Tensor, list[Tensor], Tensor]:
        """Return a step's end as events moved it, the events, and whether one was tangential.

        The fraction theta at which a margin G is zero moves by -dG / (dG/dtheta): one step of
        Newton's iteration from the solution, with a constant slope, has that derivative.
        """
        outputs, tangent, cut = [], tf.constant(False), kept.cut[k]
        span = tf.where(size > 0, size, tf.ones_like(size))
        start = kept.s[k]
        events = self.frame.events(parameters, plan, start)
        places = self._places(k, kept, found)
        late: list[tuple[Event, Tensor]] = []
        for event, (hit, _, time) in zip(events, places, strict=True):
            fraction = tf.stop_gradient((self.frame.time(time, start) - s) / span)
            fraction = tf.where(hit, fraction, tf.zeros_like(fraction))
            theta, flat_angle = _moved(event, hit, fraction, s, size, coefficients)
            tangent = tangent | flat_angle
            when, state = s + theta * size, polynomial(coefficients, theta)
            outputs += [when, state]
            if event.cuts:
                late.append((event, hit))
                y1 = tf.where(hit & cut, state, y1)
                s1 = tf.where(hit & cut, when, s1)
        for event, hit in late:
            if event.change is not None:
                y1 = tf.where(hit & cut, event.change(s1, y1), y1)
        return y1, s1, outputs, tangent


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
