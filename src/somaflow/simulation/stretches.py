"""A solve as a row of stretches: calls of one compiled function, each of bounded length.

The state at the start of each stretch is all that a derivative backwards needs to keep.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from somaflow.errors import NonFiniteState
from somaflow.numerics.types import Nest, Tensor
from somaflow.simulation.blame import Bad, Place
from somaflow.simulation.events import EventLog, Log
from somaflow.simulation.flow import DONE, RUNNING
from somaflow.simulation.lockstep import Clock, Lockstep
from somaflow.simulation.rows import Rows, Timetable
from somaflow.simulation.rowwise import Rowwise
from somaflow.simulation.system import Array

Start = TypeVar("Start")  # a tensor or `Rows`
Timing = TypeVar("Timing")  # `Clock` or `Timetable`

_STRETCH = 10_000  # steps or attempts of a compiled call, so that a long solve can be interrupted


@dataclass
class Stretch(Generic[Start, Timing]):
    """What a derivative backwards needs of one compiled call.

    Attributes:
        start: The state, or the columns, at its start.
        timing: The clock or timetable it was called with.
        rows: Its first sample, and how many samples it has.
        log: The events in it.
    """

    start: Start
    timing: Timing
    rows: tuple[int, int]
    log: Log = ()


@dataclass
class Outcome:
    """What a solve leaves.

    Attributes:
        samples: `[n_samples, n, R]`, an array; a tensor where it is differentiable.
        accepted: Steps of each column, [R].
        rejected: Attempts in vain of each column, [R].
        smallest: The smallest step of each column, [R].
        status: How each column ended, [R].
        end: Time at which it ended, [R].
        worst: Its component with the largest error at the last attempt, [R].
        events: Times [M], kinds [M], columns [M] and states [M, n] of all events.
        stretches: For derivatives, in order.
        place: `column -> Place`, where a column stopped; None where nothing can stop.
    """

    samples: Tensor | Array
    accepted: Array
    rejected: Array
    smallest: Array
    status: Array
    end: Array
    worst: Array
    events: tuple[Tensor, Array, Array, Tensor] | None = None
    stretches: list[Stretch] = field(default_factory=list)
    place: Callable[[int], Place] | None = None


@dataclass(frozen=True)
class Labels:
    """What the components of a state are called in messages.

    Attributes:
        component: Of a component, by its number.
        state: Of a column of a state: names and values.
    """

    component: Callable[[int], str]
    state: Callable[[Array], str]

    def not_finite(self, bad: Bad, time: float) -> str:
        """Return what a field is, where, as the end of a sentence."""
        return (
            f"{bad.value} for {self.component(bad.component)!r} at t = {time:.10g}, where "
            f"{self.state(bad.y)}"
        )


@dataclass(frozen=True)
class Grid:
    """A fixed-step solve: how far, and which steps are sampled.

    Attributes:
        begin: The user's time at step 0.
        dt: The step, positive.
        steps: How many.
        marks: After how many steps each sample is due, ascending.
        seed: Of the noise.
    """

    begin: float
    dt: float
    steps: int
    marks: NDArray[np.int64]
    seed: int


def run_lockstep(
    compiled: Lockstep,
    y: Tensor,
    parameters: Nest,
    grid: Grid,
    labels: Labels,
    keep: bool,
) -> Outcome:
    """Make all steps of a fixed grid.

    Args:
        compiled: The functions.
        y: Initial state, [n, R].
        parameters: Nest of tensors.
        grid: Time.
        labels: What components are called, for messages.
        keep: Whether to keep what a derivative needs.

    Raises:
        NonFiniteState: A component became infinite or not a number.
    """
    longest = compiled.length if keep else _STRETCH
    first, row, total = 0, 0, len(grid.marks)
    samples = np.empty((total, *y.shape), y.dtype.as_numpy_dtype)
    stretches = []
    memory: Nest = ()
    if compiled.remembers:
        memory = compiled.start(y, parameters, _clock(compiled, grid, 0, 0, []))
    while first < grid.steps or row < total:
        steps = min(longest, grid.steps - first)
        due = int(np.searchsorted(grid.marks, first + steps, "right")) - row
        if due > compiled.capacity:
            due = compiled.capacity
            steps = int(grid.marks[row + due - 1]) - first
        clock = _clock(compiled, grid, first, steps, grid.marks[row : row + due] - first)
        if keep:
            stretches.append(Stretch(y, clock, (row, due)))
        before = y, memory
        y, memory, out = compiled.forward(*before, parameters, clock)
        if not np.isfinite(y.numpy()).all():
            raise _diagnose(compiled, *before, parameters, grid, first, steps, labels)
        samples[row : row + due] = out.numpy()[:due]
        first, row = first + steps, row + due
    ones = np.ones(y.shape[1], np.int64)
    return Outcome(
        samples=samples,
        accepted=ones * grid.steps,
        rejected=ones * 0,
        smallest=ones * grid.dt,
        status=ones * DONE,
        end=ones * (grid.dt * grid.steps),
        worst=ones * 0,
        stretches=stretches,
    )


def _clock(
    compiled: Lockstep, grid: Grid, first: int, steps: int, marks: NDArray[np.int64] | list[int]
) -> Clock:
    whole = np.zeros(5 + compiled.capacity, np.int64)
    whole[:5] = first, steps, len(marks), grid.seed & 0xFFFFFFFF, grid.seed >> 32
    whole[5 : 5 + len(marks)] = marks
    return Clock(np.array([grid.begin, grid.dt]), whole)


def _diagnose(
    compiled: Lockstep,
    y: Tensor,
    memory: Nest,
    parameters: Nest,
    grid: Grid,
    first: int,
    steps: int,
    labels: Labels,
) -> NonFiniteState:
    """Find the first bad step by bisection: a state that is not finite stays so."""

    def after(count: int) -> Array:
        clock = _clock(compiled, grid, first, count, [])
        return compiled.forward(y, memory, parameters, clock)[0].numpy()

    good, bad, last = 0, steps, y.numpy()
    while bad - good > 1:
        middle = (good + bad) // 2
        state = after(middle)
        if np.isfinite(state).all():
            good, last = middle, state
        else:
            bad = middle
    state = after(bad)
    component, column = (int(k) for k in np.argwhere(~np.isfinite(state))[0])
    time = grid.begin + compiled.sign * (first + bad) * grid.dt
    tensors = tf.nest.map_structure(tf.convert_to_tensor, parameters)
    begin = tf.constant(grid.begin, tf.float64)
    problem = compiled.flow.problem(tensors, begin, compiled.sign)

    def slope(s: Array, y: Array) -> Array:
        return problem.f(tf.constant(s[0], tf.float64), tf.constant(y)).numpy()

    columns = np.ones(last.shape[1])
    place = Place(slope, columns * (first + good) * grid.dt, last, columns * grid.dt, column)
    clock = grid.begin, compiled.sign
    return _not_finite(state, place, component, time, grid.dt, clock, labels)


@dataclass(frozen=True)
class Span:
    """A solve by steps of each column's own.

    Attributes:
        begin: The user's time at the start.
        length: How far, positive.
        dt: The step of a fixed grid, or 0.
        rtol: Relative tolerance.
        atol: Absolute tolerance, [n, 1].
        marks: Times of the samples from the start, ascending.
        pieces: As in `Timetable`; None where the field does not jump.
        longest: The longest step.
        first: The first step, or 0 for one that is to be chosen.
        most: The most attempts of a column.
    """

    begin: float
    length: float
    dt: float
    rtol: float
    atol: Array
    marks: NDArray[np.float64]
    pieces: NDArray[np.float64] | None
    longest: float
    first: float
    most: int


def run_rowwise(
    compiled: Rowwise,
    y: Tensor,
    parameters: Nest,
    span: Span,
    labels: Labels,
    keep: bool,
    length: int,
) -> Outcome:
    """Integrate every column by its own steps.

    Args:
        compiled: The functions.
        y: Initial state, [n, R].
        parameters: Nest of tensors.
        span: Time and tolerances.
        labels: What components are called, for messages.
        keep: Whether to keep what a derivative needs.
        length: Attempts of a stretch then.

    Raises:
        NonFiniteState: With fixed steps, a component became infinite or not a number.
    """
    plan = _timetable(compiled, span, 0, [])
    rows = compiled.start(y, parameters, plan)
    # A solve goes on to its end, whatever is sampled last.
    ends = span.marks if span.marks[-1] >= span.length else np.append(span.marks, span.length)
    limit, row, total = length if keep else _STRETCH, 0, len(ends)
    samples = np.empty((total, *y.shape), y.dtype.as_numpy_dtype)
    stretches, logs = [], []
    while row < total:
        marks = ends[row : row + compiled.capacity]
        plan = _timetable(compiled, span, limit, marks)
        start = rows
        rows, out, complete, count, log = compiled.forward(rows, parameters, plan)
        if not compiled.adaptive and not np.isfinite(rows.y.numpy()).all():
            raise _diagnose_rows(compiled, start, parameters, span, plan, int(count), labels)
        due = int(complete)
        if isinstance(log, EventLog):
            logs.append(log)
        if keep:
            stretches.append(Stretch(start, plan, (row, due), log))
        samples[row : row + due] = out.numpy()[:due]
        row += due
    status = rows.status.numpy()
    return Outcome(
        samples=samples[: len(span.marks)],
        accepted=rows.accepted.numpy(),
        rejected=rows.rejected.numpy(),
        smallest=rows.smallest.numpy(),
        status=np.where(status == RUNNING, DONE, status),
        end=rows.s.numpy(),
        worst=rows.worst.numpy(),
        events=_gather(logs) if compiled.flow.conditions else None,
        stretches=stretches,
        place=lambda column: _place(compiled, rows, parameters, plan, column),
    )


def _place(compiled: Rowwise, rows: Rows, parameters: Nest, plan: Timetable, column: int) -> Place:
    # Eagerly: what is compiled stays in memory for good, and f is asked a few times only.
    tensors = tf.nest.map_structure(tf.convert_to_tensor, parameters)
    problem = compiled.problem(tensors, plan, tf.zeros_like(rows.s), rows.piece)

    def slope(s: Array, y: Array) -> Array:
        return problem.f(tf.constant(s, tf.float64), tf.constant(y)).numpy()

    return Place(slope, rows.s.numpy(), rows.y.numpy(), rows.h.numpy(), column)


def _diagnose_rows(
    compiled: Rowwise,
    rows: Rows,
    parameters: Nest,
    span: Span,
    plan: Timetable,
    attempts: int,
    labels: Labels,
) -> NonFiniteState:
    """Find the first bad step of a fixed grid with events, by bisection."""

    def after(count: int) -> Rows:
        counts = tf.concat([[count], plan.counts[1:]], axis=0)
        return compiled.forward(rows, parameters, plan._replace(counts=counts))[0]

    good, bad, last = 0, attempts, rows
    while bad - good > 1:
        middle = (good + bad) // 2
        ahead = after(middle)
        if np.isfinite(ahead.y.numpy()).all():
            good, last = middle, ahead
        else:
            bad = middle
    ahead = after(bad)
    component, column = (int(k) for k in np.argwhere(~np.isfinite(ahead.y.numpy()))[0])
    time = span.begin + compiled.sign * float(ahead.s[column])
    place = _place(compiled, last, parameters, plan, column)
    clock = span.begin, compiled.sign
    return _not_finite(ahead.y.numpy(), place, component, time, span.dt, clock, labels)


def _not_finite(
    state: Array,
    place: Place,
    component: int,
    time: float,
    dt: float,
    clock: tuple[float, float],
    labels: Labels,
) -> NonFiniteState:
    column, last = place.column, place.y[component, place.column]
    where = f" of problem {column}" if state.shape[1] > 1 else ""
    bad = place.not_finite()
    blame = ""
    if bad is not None and bad.s - place.s[column] <= dt:
        when = clock[0] + clock[1] * bad.s
        blame = f" f is {labels.not_finite(bad, when)}."
    return NonFiniteState(
        f"{labels.component(component)}{where} is {state[component, column]} at t = {time:g} (one "
        f"step before it was {last:.6g}).{blame} Is dt = {dt:g} too large? A smaller dt, rtol= "
        "with an adaptive method, or sf.Rosenbrock() for stiff equations would tell."
    )


def _timetable(
    compiled: Rowwise, span: Span, limit: int, marks: NDArray[np.float64] | list[float]
) -> Timetable:
    padded = np.full(compiled.capacity, span.length)
    padded[: len(marks)] = marks
    scales = [span.begin, span.length, span.dt, span.rtol, span.longest, span.first]
    return Timetable(
        tf.constant(scales, tf.float64),
        tf.constant(span.atol, compiled.dtype),
        tf.constant([limit, len(marks), span.most], tf.int32),
        tf.constant(padded, tf.float64),
        () if span.pieces is None else tf.constant(span.pieces, tf.float64),
    )


def slots_of(log: EventLog) -> Array:
    """Return place and column of each event of a stretch, int [M, 2], in the order of columns."""
    counts = log.count.numpy()
    return np.array([(k, r) for r, count in enumerate(counts) for k in range(count)], int).reshape(
        -1, 2
    )


def _gather(logs: list[EventLog]) -> tuple[Tensor, Array, Array, Tensor]:
    """Return times, kinds, columns and states of all events, stretch after stretch."""
    times, kinds, columns, states = [], [], [], []
    for log in logs:
        slots = slots_of(log)
        times.append(tf.gather_nd(log.times, slots))
        kinds.append(tf.gather_nd(log.kinds, slots).numpy())
        states.append(tf.gather_nd(log.states, slots))
        columns.append(slots[:, 1])
    return tf.concat(times, 0), np.concatenate(kinds), np.concatenate(columns), tf.concat(states, 0)
