"""Events: where a margin crosses zero within a step, and what happens there."""

from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple

import tensorflow as tf

from somaflow.numerics.types import Nest, Tensor
from somaflow.simulation.flow import PILED, STOPPED, Flow, outer_time, polynomial
from somaflow.simulation.rows import Rows
from somaflow.solvers.base import Problem, Solver, Step

_HALVINGS = 54  # down to the last bit of a fraction in float64
PARTS = 8  # of a step, between which each margin is looked at
_NONE = 2.0  # a fraction of the step that no event has


Inner = Callable[[Tensor, Tensor], Tensor]  # `(s, y)`


class BoundCondition(NamedTuple):
    """A condition over inner time, parameters filled in.

    Attributes:
        margin: `(s, y) -> [R]`.
        change: `(s, y) -> y`, or None.
        direction: As in `Condition`.
        terminal: As in `Condition`.
    """

    margin: Inner
    change: Inner | None
    direction: int
    terminal: bool

    @property
    def cuts(self) -> bool:
        """Whether the step ends at the event."""
        return self.terminal or self.change is not None

    def crossed(self, side: Tensor, margin: Tensor) -> Tensor:
        """Tell which columns have crossed zero in the right direction."""
        up, down = (side < 0) & (margin >= 0), (side > 0) & (margin <= 0)
        return up if self.direction > 0 else down if self.direction < 0 else up | down


def bind(flow: Flow, parameters: Nest, begin: Tensor, sign: float) -> tuple[BoundCondition, ...]:
    """Return the events of a flow for one solve."""

    def inner(function: Callable[[Tensor, Tensor, Nest], Tensor]) -> Inner:
        return lambda s, y: function(outer_time(begin, sign, s), y, parameters)

    return tuple(
        BoundCondition(
            inner(c.margin),
            None if c.change is None else inner(c.change),
            c.direction,
            c.terminal,
        )
        for c in flow.conditions
    )


class EventLog(NamedTuple):
    """The events of a stretch, in the order in which each column met them.

    The last slot takes what is to be forgotten.

    Attributes:
        times: float64 [slots + 1, R].
        kinds: Which condition, int32 [slots + 1, R].
        states: The state there, before any change, [slots + 1, R, n].
        count: How many each column has met, int32 [R].
    """

    times: Tensor
    kinds: Tensor
    states: Tensor
    count: Tensor

    @classmethod
    def empty(cls, slots: int, n: int, columns: int, dtype: tf.DType) -> "EventLog":
        """Return room for events."""
        return cls(
            tf.zeros([slots + 1, columns], tf.float64),
            tf.zeros([slots + 1, columns], tf.int32),
            tf.zeros([slots + 1, columns, n], dtype),
            tf.zeros([columns], tf.int32),
        )

    def slot(self, hit: Tensor) -> Tensor:
        """Return where each column's next event goes, as indices [R, 2]."""
        last = self.times.shape[0] - 1
        place = tf.where(hit, self.count, last)
        return tf.stack([place, tf.range(self.times.shape[1])], axis=1)

    def put(self, hit: Tensor, time: Tensor, kind: int, state: Tensor) -> "EventLog":
        """Add an event to the columns of a mask."""
        slot = self.slot(hit)
        return EventLog(
            tf.tensor_scatter_nd_update(self.times, slot, time),
            tf.tensor_scatter_nd_update(self.kinds, slot, tf.fill(time.shape, kind)),
            tf.tensor_scatter_nd_update(self.states, slot, tf.transpose(state)),
            self.count + tf.cast(hit, tf.int32),
        )


Log = EventLog | tuple[()]  # () for a flow without conditions


def window(h: Tensor) -> Tensor:
    """Return the time within which a margin that was just zero is not looked at again."""
    return h * (2.0**-31 if h.dtype == tf.float64 else 2.0**-14)


def outset(
    problem: Problem[Tensor], events: tuple[BoundCondition, ...], s: Tensor, h: Tensor, y: Tensor
) -> tuple[Tensor, ...]:
    """Return on which side of zero each margin sets out, as numbers of that sign.

    A ball that was just thrown back up from the floor is on the floor, within rounding on either
    side: its side is where it is going.

    Args:
        problem: What the solver sees.
        events: The events.
        s: Time, [R].
        h: The size of the next step, [R].
        y: State, [n, R].
    """
    if not events:
        return ()
    slope, probe = problem.f(s, y), h * 2.0**-10
    sides = []
    for event in events:
        here = event.margin(s, y)
        pace = (event.margin(s + probe, y + probe * slope) - here) / probe
        sides.append(here + window(h) * pace)
    return tuple(sides)


def root(
    margin: Inner,
    side: Tensor,
    coefficients: tuple[Tensor, ...],
    start: Tensor,
    span: Tensor,
    low: Tensor,
) -> Tensor:
    """Return the fraction of a step just behind a crossing, by bisection, [R].

    Args:
        margin: `(s, y) -> [R]`.
        side: The margin at `low`, [R].
        coefficients: The polynomial of the step.
        start: Its start, [R].
        span: Its size, [R].
        low: Where the part of the step begins that has the crossing, [R].
    """

    def halve(k: Tensor, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        middle = (low + high) / 2
        value = margin(start + middle * span, polynomial(coefficients, middle))
        not_yet = value * side > 0
        return k + 1, tf.where(not_yet, middle, low), tf.where(not_yet, high, middle)

    return tf.while_loop(lambda k, *_: k < _HALVINGS, halve, (0, low, low + 1 / PARTS))[2]


class Crossings(NamedTuple):
    """What is left to find in a step of one event.

    Attributes:
        margins: At the start of the step and at the end of each of its parts, [PARTS + 1, R].
        parts: Which parts have a crossing, [PARTS, R].
    """

    margins: Tensor
    parts: Tensor

    @classmethod
    def of(
        cls,
        event: BoundCondition,
        accepted: Tensor,
        side: Tensor,
        after: Tensor,
        coefficients: tuple[Tensor, ...],
        start: Tensor,
        span: Tensor,
    ) -> "Crossings":
        """Look at a margin between the parts of a step.

        Args:
            event: The event.
            accepted: Which columns made the step, [R].
            side: The margin at its start, [R].
            after: The margin at its end, [R].
            coefficients: Its polynomial.
            start: Its start, [R].
            span: Its size, [R].
        """
        between = [
            event.margin(start + theta * span, polynomial(coefficients, tf.fill(span.shape, theta)))
            for theta in (tf.constant(k / PARTS, span.dtype) for k in range(1, PARTS))
        ]
        margins = [side, *between, after]
        crossed = [accepted & event.crossed(a, b) for a, b in pairwise(margins)]
        if event.cuts:  # what comes after the first is another step's
            met, first = tf.zeros_like(accepted), []
            for part in crossed:
                first.append(part & ~met)
                met = met | part
            crossed = first
        return cls(tf.stack(margins), tf.stack(crossed))

    def next(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return which columns have a crossing left, its part and the margin before it, [R]."""
        part = tf.argmax(self.parts, axis=0, output_type=tf.int32)
        index = tf.stack([part, tf.range(part.shape[0])], axis=1)
        return tf.reduce_any(self.parts, axis=0), part, tf.gather_nd(self.margins, index)

    def without(self, part: Tensor, limit: Tensor) -> "Crossings":
        """Return what is left after a part, and before a fraction of the step, [R]."""
        number = tf.range(PARTS)[:, None]
        before = tf.cast(number, limit.dtype) / PARTS <= limit
        return self._replace(parts=self.parts & (number > part) & before)


def locate(
    events: tuple[BoundCondition, ...],
    problem: Problem[Tensor],
    solver: Solver,
    rows: Rows,
    after: Rows,
    step: Step[Tensor],
    accepted: Tensor,
    log: EventLog,
    clock: Callable[[Tensor, Tensor], Tensor],
) -> tuple[Rows, EventLog]:
    """Find the events of a step, note them, and apply what the first that cuts it changes.

    Args:
        events: The events.
        problem: What the solver sees.
        solver: The method.
        rows: The columns before the step.
        after: The columns after it.
        step: The step.
        accepted: Which columns made it.
        log: The events so far.
        clock: `(s, start)`, a time as the solver sees it in a step that starts there.

    Returns:
        `after` with cuts and changes, and the events.
    """
    dtype = after.y.dtype
    margins = [event.margin(clock(after.s, rows.s), after.y) for event in events]
    coefficients = step.dense()
    start, span = clock(rows.s, rows.s), tf.cast(after.span, dtype)
    crossings = tuple(
        Crossings.of(event, accepted, side, value, coefficients, start, span)
        for event, side, value in zip(events, rows.side, margins, strict=True)
    )
    after = after._replace(side=tuple(margins))

    def some(crossings: tuple[Crossings, ...]) -> Tensor:
        return tf.reduce_any(tf.stack([tf.reduce_any(c.parts) for c in crossings]))

    def note(
        crossings: tuple[Crossings, ...], cut: Tensor, hits: tuple[Tensor, ...], log: EventLog
    ) -> tuple[tuple[Crossings, ...], Tensor, tuple[Tensor, ...], EventLog]:
        """Note the next crossing of each event."""
        following = [c.next() for c in crossings]
        roots = [
            root(event.margin, side, coefficients, start, span, tf.cast(part, dtype) / PARTS)
            for event, (_, part, side) in zip(events, following, strict=True)
        ]
        for event, (hit, _, _), theta in zip(events, following, roots, strict=True):
            if event.cuts:
                cut = tf.minimum(cut, tf.where(hit, theta, cut))
        # What comes within the window in which PILED is said comes together.
        limit = cut + (2.0**-28 if dtype == tf.float64 else 2.0**-11)
        now = [hit & (theta <= limit) for (hit, *_), theta in zip(following, roots, strict=True)]
        for kind, (hit, theta) in enumerate(zip(now, roots, strict=True)):
            time = rows.s + tf.cast(theta, tf.float64) * after.span
            log = log.put(hit, time, kind, polynomial(coefficients, theta))
        crossings = tuple(
            c.without(part, limit) for c, (_, part, _) in zip(crossings, following, strict=True)
        )
        hits = tuple(old | new for old, new in zip(hits, now, strict=True))
        return crossings, cut, hits, log

    def happening() -> tuple[Rows, EventLog]:
        none = tuple(tf.zeros_like(accepted) for _ in events)
        cut = tf.fill(span.shape, tf.cast(_NONE, dtype))
        _, cut, hits, longer = tf.while_loop(
            lambda crossings, *_: some(crossings), note, (crossings, cut, none, log)
        )
        cut_short = _cut(events, problem, solver, rows, after, list(hits), cut, coefficients, clock)
        return cut_short, longer

    return tf.cond(some(crossings), happening, lambda: (after, log))


def _cut(
    events: tuple[BoundCondition, ...],
    problem: Problem[Tensor],
    solver: Solver,
    rows: Rows,
    after: Rows,
    hits: list[Tensor],
    cut: Tensor,
    coefficients: tuple[Tensor, ...],
    clock: Callable[[Tensor, Tensor], Tensor],
) -> Rows:
    """Return the columns with steps that end at an event, and the state changed there."""
    if not any(event.cuts for event in events):
        return after
    dtype, short = after.y.dtype, cut <= 1
    theta = tf.where(short, cut, tf.ones_like(cut))
    time = rows.s + tf.cast(theta, tf.float64) * after.span
    s, span = clock(time, rows.s), tf.cast(after.span, dtype)
    y = tf.where(short, polynomial(coefficients, theta), after.y)
    stop, status = tf.zeros_like(short), after.status
    gap = 4 * tf.cast(window(span), tf.float64)
    for event, hit, recent in zip(events, hits, rows.recent, strict=True):
        status = tf.where(short & hit & (time - recent < gap), PILED, status)
        if event.change is not None:
            y = tf.where(hit, event.change(s, y), y)
        if event.terminal:
            stop = stop | hit
    ahead = outset(problem, events, s, tf.where(span > 0, span, tf.ones_like(span)), y)
    sides = []
    for event, hit, later, before in zip(events, hits, ahead, rows.side, strict=True):
        # An event that did not happen here may be about to: its side is where it is.
        here = event.margin(s, y)
        sides.append(tf.where(hit, later, tf.where(here == 0, before, here)))

    def pick(new: Tensor, old: Tensor) -> Tensor:
        return tf.where(short, new, old)

    return after._replace(
        y=y,
        s=pick(time, after.s),
        low=pick(tf.zeros_like(time), after.low),
        grid=tf.nest.map_structure(
            lambda old, new: tf.where(short & (time < after.s), old, new), rows.grid, after.grid
        ),
        memory=tf.nest.map_structure(pick, solver.init(problem, s, y), after.memory),
        side=tuple(pick(new, old) for new, old in zip(sides, after.side, strict=True)),
        recent=tuple(
            tf.where(short & hit, time, old) for hit, old in zip(hits, rows.recent, strict=True)
        ),
        smallest=tf.where(
            short & (time > rows.s), tf.minimum(rows.smallest, time - rows.s), after.smallest
        ),
        cut=short,
        status=tf.where(stop, STOPPED, status),
    )
