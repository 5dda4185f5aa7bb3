"""The facade of differential equations: `solve`."""

import time
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from somaflow import units
from somaflow.compiler import checks, conditions, dependence, ode
from somaflow.compiler.ode import OdeModel
from somaflow.compiler.reading import signature
from somaflow.compiler.timing import fitted, warn_of_rounding
from somaflow.errors import RunError
from somaflow.network.random import check_seed
from somaflow.numerics import programs
from somaflow.numerics.device import begin_computing, choose_threads, is_tensor
from somaflow.settings import float_type, meta
from somaflow.simulation import adjoint
from somaflow.simulation.flow import Flow
from somaflow.simulation.lockstep import Lockstep
from somaflow.simulation.rowwise import Rowwise
from somaflow.simulation.stretches import Grid, Labels, Outcome, Span, run_lockstep, run_rowwise
from somaflow.solvers.base import Problem, Solver
from somaflow.solvers.exponential import ExponentialEuler, ExponentialMidpoint
from somaflow.solving import arguments
from somaflow.solving.status import sentence
from somaflow.storage.sinks import Column, MemorySink
from somaflow.storage.solution import Occurrences, Solution

_NUMBERS = 1 << 18  # numbers in the buffers of a compiled call
# Operations of f above which it is compiled once and not for each stage: 4 times of 600 take 5 s.
_LONG = 400


def solve(
    f: Any,
    y0: Any = None,
    *,
    t1: Any,
    t0: Any = 0.0,
    dt: Any = None,
    rtol: Any = None,
    atol: Any = None,
    every: Any = None,
    at: Sequence[Any] | Any = None,
    solver: Solver | None = None,
    args: Any = None,
    events: Any = None,
    noise: Callable[..., Any] | None = None,
    jumps: Sequence[Any] | Any = None,
    max_step: Any = None,
    first_step: Any = None,
    max_steps: int | None = None,
    seed: int = 0,
    dtype: str = "float64",
    batch: int | None = None,
) -> Solution:
    """Solve a system of ordinary or stochastic differential equations.

    Steps are fixed where `dt` is given; otherwise they follow the tolerances. With tensors or
    variables in `y0` or `args`, `solution.y` and the events' `t` are differentiable under an eager
    `tf.GradientTape`.

    Args:
        f: `f(t, y)` or `f(t, y, args)` with the derivative in the structure of `y`, using Python
            operators, `sf.math` or `tf`; or `Equations`.
        y0: Initial state: any nest of numbers, arrays, quantities or tensors. For equations, a
            dict of the states whose initial value is not that of the equations.
        t1: End; before `t0` the solve goes backwards.
        t0: Start.
        dt: Fixed step; `t1 - t0` is a whole number of steps.
        rtol: Relative tolerance of a step's error; default 1e-6, in float32 1e-4.
        atol: Absolute tolerance: a number, or a nest like `y0`; default a thousandth of `rtol`.
        every: Interval of the samples; default: every fixed step, or a hundredth of the span.
        at: Times of the samples, ascending in the direction of the solve.
        solver: Default `RK4()` with `dt`, else `Tsitouras()`.
        args: Passed to `f`, `noise` and events; for equations a dict of parameters.
        events: A dict of `sf.Event`.
        noise: `g(t, y)` or `g(t, y, args)`, the factor of each variable's white noise, for a
            stochastic solver, which sets how it is read: Ito or Stratonovich.
        jumps: Times at which `f` jumps, such as the start and end of a pulse, in any order: steps
            end there, and the next one begins with the value behind the jump.
        max_step: The longest step that follows the tolerances; without it a step grows as long as
            nothing happens, and may pass over what is shorter than itself.
        first_step: The first such step.
        max_steps: The most such steps, rejected ones included, of each problem; default 1,000,000.
        seed: Of the noise.
        dtype: `"float64"` or `"float32"`.
        batch: How many leading axes of every part of `y0` number independent problems, each of
            which has steps and events of its own. Default 0; all axes for equations.

    Returns:
        `sol["x"]` for each part of the state, labelled (the state itself, where it is not a
        dict, is called `"y"`); `sol.time`; `sol.y`, tensors in the structure of `y0` with samples
        along the first axis; `sol.events`; `sol.statistics`; `sol.status`, a sentence.

    Raises:
        RunError: Times, tolerances or functions that do not fit, with what would.
        WrongTypeError: An argument of another kind.
        NonFiniteState: With fixed steps, the state became infinite or not a number.
    """
    _begin()
    numbers = {"t0": t0, "t1": t1, "dt": dt, "every": every, "at": at, "jumps": jumps}
    numbers = checks.plain_numbers(numbers | {"max_step": max_step, "first_step": first_step})
    floats, number, events = float_type(dtype), check_seed(seed), conditions.named(events)
    made = ode.model(f, y0, args, noise, arguments.batch_axes(batch), floats.as_numpy_dtype)
    chosen = arguments.choose_solver(solver, dt, rtol, atol, made)
    times = arguments.read_times(f, **numbers)
    most, pieces = arguments.step_limit(max_steps, times), arguments.pieces(times, floats)
    if isinstance(chosen, (ExponentialEuler, ExponentialMidpoint)):
        ode.refuse_not_affine(made, f, args, chosen.name)
    on_grid = arguments.whole_steps(times)
    lockstep = on_grid is not None and not events and pieces is None
    _refuse_rowwise(made, lockstep)
    checks.refuse_watched_references(made, events)
    rtols, atols = arguments.tolerances(rtol, atol, made, floats)
    choose_threads(made.blocks.columns * sum(made.blocks.sizes))
    begin = time.perf_counter()
    n_pieces = 0 if pieces is None else pieces.shape[1]
    compiled, fresh = _compiled(made, chosen, times, lockstep, events, args, floats, n_pieces)
    differentiable = _has_tensors(y0) or _has_tensors(args)
    if differentiable:
        y = made.blocks.pack(tf.nest.map_structure(tf.convert_to_tensor, made.state))
        parameters = tf.nest.map_structure(tf.convert_to_tensor, made.parameters)
    else:
        y, parameters = tf.constant(made.blocks.pack_arrays(made.state)), made.parameters
    labels = Labels(made.blocks.component, made.shown)
    if lockstep:
        assert times.dt is not None and on_grid is not None
        steps = round(abs(times.t1 - times.t0) / times.dt)
        grid = Grid(times.t0, times.dt, steps, on_grid, number)

        def run(y: Any, parameters: Any, keep: bool) -> Outcome:
            return run_lockstep(compiled, y, parameters, grid, labels, keep)

    else:
        span = _span(times, rtols, atols, pieces, most)

        def run(y: Any, parameters: Any, keep: bool) -> Outcome:
            return run_rowwise(compiled, y, parameters, span, labels, keep, _length(made))

    try:
        if differentiable:
            outcome = adjoint.differentiable(compiled, run, y, parameters)
        else:
            outcome = run(y, parameters, False)
    except (tf.errors.InvalidArgumentError, tf.errors.UnimplementedError, LookupError) as error:
        raise adjoint.refused(error) from error
    _warn(compiled.flow, times, outcome)
    statistics = _statistics(outcome, chosen, time.perf_counter() - begin, fresh)
    statistics |= dependence.told(made, chosen, compiled.flow.pattern)
    described = {} if made.equations is None else {"equations": made.equations}
    settings = {"dtype": dtype, "seed": number, "batch": list(made.blocks.batch)}
    kept = meta(described, _settings(times, rtols, atols, most) | settings, chosen)
    status = sentence(outcome, labels, chosen, times.t0, times.sign, times.t1, rtols, atols)
    return _solution(made, times, outcome, statistics, compiled, kept, status)


# ---------------------------------------------------------------------- what a solve is told


def _begin() -> None:
    """Refuse to solve where that is not possible.

    Raises:
        RunError: So it is.
    """
    if not tf.executing_eagerly():
        raise RunError(
            "solve was called inside a tf.function, where y0 and args have no values yet. Call it "
            "outside: it compiles its own steps, and an eager tf.GradientTape sees through it."
        )
    begin_computing()


def _refuse_rowwise(made: OdeModel, lockstep: bool) -> None:
    """Refuse what steps of each problem's own cannot do.

    Raises:
        RunError: So it is.
    """
    if made.diffusion is not None and not lockstep:
        raise RunError(
            "with noise, samples lie on whole steps, and there are no events and no jumps=."
        )
    if not lockstep and made.blocks.batch and len({len(s) for s in made.blocks.shapes}) > 1:
        raise RunError(
            "with batch= every problem has a time of its own, which has to fit every part of y0: "
            "give all parts the same number of axes, such as [rows, 1] beside [rows, 5]; they "
            f"have {[len(s) + len(made.blocks.batch) for s in made.blocks.shapes]}."
        )


def _span(
    times: arguments.Times, rtol: float, atol: np.ndarray, pieces: np.ndarray | None, most: int
) -> Span:
    length = abs(times.t1 - times.t0)
    return Span(
        begin=times.t0,
        length=length,
        dt=times.dt or 0.0,
        rtol=rtol,
        atol=atol,
        marks=np.minimum(np.abs(times.at - times.t0), length),
        pieces=pieces,
        longest=times.longest,
        first=times.first,
        most=most,
    )


def _settings(times: arguments.Times, rtol: float, atol: np.ndarray, most: int) -> dict[str, Any]:
    """Return what a result keeps of its times and tolerances."""
    found = {"t0": times.t0, "t1": times.t1, "dt": times.dt, "time_unit": times.unit}
    if times.dt is None:
        found |= {"rtol": rtol, "atol": atol[:, 0].tolist(), "max_steps": most}
        found |= {} if np.isinf(times.longest) else {"max_step": times.longest}
        found |= {"first_step": times.first} if times.first else {}
    if len(times.jumps):
        found["jumps"] = times.jumps.tolist()
    return found


# ---------------------------------------------------------------------- compiled functions


def _length(made: OdeModel) -> int:
    """Return how many steps a stretch has that is recomputed backwards."""
    return int(np.clip(_NUMBERS // (made.blocks.columns * sum(made.blocks.sizes)), 16, 512))


def _compiled(
    made: OdeModel,
    solver: Solver,
    times: arguments.Times,
    lockstep: bool,
    events: Any,
    args: Any,
    floats: tf.DType,
    n_pieces: int,
) -> tuple[Any, bool]:
    """Return the compiled functions of a model, and whether they are new."""
    parts = [(name, e.condition, e.change, e.terminal, e.direction) for name, e in events.items()]
    key = (
        "solve",
        made.key,
        signature(*(part for event in parts for part in event)),
        repr(made.blocks),
        repr(tf.nest.map_structure(lambda x: (x.dtype, x.shape), made.parameters)),
        signature(solver),
        (times.sign, times.dt is None, lockstep, floats.name, n_pieces, _NUMBERS),
        dependence.choices(made),
    )
    told = times.sign, times.dt is None, lockstep, events, args, floats, n_pieces
    given = (*made.functions, *(part for event in parts for part in event[1:3]))

    def make() -> tuple[Any, tuple[Any, ...]]:
        return _loop(made, solver, *told), given

    (found, before), fresh = programs.kept(key, make)
    if not fresh and signature(*before) != signature(*given):
        # What those refer to has changed since, and some parts are compiled when first needed.
        programs.forget(key)
        (found, _), fresh = programs.kept(key, make)
    return found, fresh


def _loop(
    made: OdeModel,
    solver: Solver,
    sign: float,
    adaptive: bool,
    lockstep: bool,
    events: Any,
    args: Any,
    floats: tf.DType,
    n_pieces: int,
) -> Any:
    """Return the loop over the steps of a model."""
    operations = checks.check_field(made, made.field, "f", floats, not lockstep)
    if made.diffusion is not None:
        checks.check_field(made, made.diffusion, "noise", floats, False)
    field, diffusion, rounds = made.field, made.diffusion, False
    if made.equations is None:
        field, rounds = fitted(made, field, floats, not lockstep)
        if diffusion is not None:
            diffusion, _ = fitted(made, diffusion, floats, not lockstep)
    diffusion = None if diffusion is None else made.on_block(diffusion)
    lowered = conditions.lower(events, made, args, floats)
    block = made.on_block(field)
    pattern = dependence.of_model(made, solver, diffusion or block, floats, lockstep)
    flow = Flow(block, diffusion, lowered, operations > _LONG, rounds, pattern)
    numbers = made.blocks.columns * sum(made.blocks.sizes)
    capacity = int(np.clip(_NUMBERS // numbers, 8, 1024))
    if lockstep:
        remembers = bool(tf.nest.flatten(_traits(solver).memory))
        return Lockstep(flow, solver, sign, floats, capacity, _length(made), remembers)
    slots = int(np.clip(_NUMBERS // numbers, 8, 256))
    return Rowwise(
        flow,
        solver,
        adaptive,
        sign,
        floats,
        capacity,
        slots,
        _length(made),
        _traits(solver).degree,
        n_pieces > 0,
    )


def _warn(flow: Flow, times: arguments.Times, outcome: Outcome) -> None:
    if flow.rounds:
        step = times.dt or abs(times.t1 - times.t0) / max(int(outcome.accepted.max()), 1)
        warn_of_rounding(times.t0, times.t1, step)


def _has_tensors(nest: Any) -> bool:
    return any(is_tensor(leaf) for leaf in tf.nest.flatten(nest))


# ---------------------------------------------------------------------- results


class _Traits(NamedTuple):
    """What one step of a method on its own tells of it.

    Attributes:
        first: Evaluations of f before the first step.
        each: Evaluations in a step; None where an iteration sets it.
        degree: Of the polynomial in a step.
        memory: What it hands to the first step.
    """

    first: int
    each: int | None
    degree: int
    memory: Any


@cache
def _traits(solver: Solver) -> _Traits:
    count = [0]

    def f(t: Any, y: Any) -> Any:
        count[0] += 1
        return -y

    y, t = tf.ones([1, 1], tf.float64), tf.zeros([1], tf.float64)
    problem = Problem(f, None, None if solver.calculus is None else lambda t, y: 0.1 * y)
    memory = solver.init(problem, t, y)
    first = count[0]
    step = solver.step(problem, t, t + 1, y, memory, 0 * y)
    each = count[0] - first
    iterates = solver.stiff and solver.error_order is None  # until it has converged
    return _Traits(first, None if iterates else each, len(step.dense()) - 1, memory)


def _statistics(outcome: Outcome, solver: Solver, seconds: float, fresh: bool) -> dict[str, Any]:
    batch = len(outcome.accepted) > 1

    def total(values: np.ndarray) -> Any:
        return int(values.sum()) if not batch else values.astype(np.int64)

    found: dict[str, Any] = {
        "accepted": total(outcome.accepted),
        "rejected": total(outcome.rejected),
        "smallest_step": outcome.smallest if batch else float(outcome.smallest[0]),
        "seconds": seconds,
        "compiled": fresh,
    }
    traits = _traits(solver)
    if traits.each is not None:
        attempts = outcome.accepted + outcome.rejected
        found["evaluations"] = total(traits.first + traits.each * attempts)
    return found


def _solution(
    made: OdeModel,
    times: arguments.Times,
    outcome: Outcome,
    statistics: dict[str, Any],
    compiled: Any,
    kept: dict[str, Any],
    status: str,
) -> Solution:
    blocks = made.blocks
    scaled = [units.factor(unit) for unit in made.units]
    if isinstance(outcome.samples, np.ndarray):
        arrays = blocks.unpack_arrays(outcome.samples)
    else:
        arrays = blocks.unpack_arrays(outcome.samples.numpy())
    columns, stored = [], []
    for name, unit, leaf, scale in zip(blocks.names, made.units, arrays, scaled, strict=True):
        shape, dtype = tuple(leaf.shape[1:]), leaf.dtype.name
        axes = tuple(f"axis_{k}" for k in range(len(shape)))
        columns.append(Column(name, unit, shape, axes, None, 0.0, len(times.at), dtype, times.at))
        stored.append(leaf if scale == 1.0 else (leaf / scale).astype(leaf.dtype))
    sink = MemorySink.holding(tuple(columns), stored)

    def tensors() -> Any:
        y = blocks.unpack(tf.convert_to_tensor(outcome.samples))
        flat = zip(tf.nest.flatten(y), scaled, strict=True)
        return tf.nest.pack_sequence_as(y, [x if u == 1.0 else x / u for x, u in flat])

    # Under a tape they must be made while it watches; else only if somebody wants them.
    y = tensors() if not isinstance(outcome.samples, np.ndarray) else tensors
    found = None
    if outcome.events is not None:
        found = _occurrences(made, times, outcome, [c.name for c in compiled.flow.conditions])
    return Solution(
        tuple(columns),
        sink,
        abs(times.t1 - times.t0),
        kept,
        statistics,
        status=status,
        y=y,
        events=found,
    )


def _occurrences(
    made: OdeModel, times: arguments.Times, outcome: Outcome, names: list[str]
) -> dict[str, Occurrences]:
    assert outcome.events is not None
    inner, kinds, columns, states = outcome.events
    t = times.t0 + times.sign * inner
    plain = inner.numpy()
    found = {}
    for kind, name in enumerate(names):
        place = np.flatnonzero(kinds == kind)
        place = place[np.lexsort((plain[place], columns[place]))]
        values = tf.gather(states, place)
        rows, leaves = 0, []
        for shape, size, unit in zip(
            made.blocks.shapes, made.blocks.sizes, made.units, strict=True
        ):
            part = tf.reshape(values[:, rows : rows + size], [-1, *shape])
            leaves.append(part / units.factor(unit))
            rows += size
        y = tf.nest.pack_sequence_as(made.blocks.nest, leaves)
        index = np.stack(np.unravel_index(columns[place], made.blocks.batch or (1,)), axis=-1)
        found[name] = Occurrences(tf.gather(t, place), y, index if made.blocks.batch else None)
    return found
