"""Integration: from the arguments of a solve to its results."""

import time
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from somaflow.compiler import checks, conditions, dependence, ode
from somaflow.compiler.event import Event
from somaflow.compiler.ode import OdeModel
from somaflow.compiler.reading import signature
from somaflow.compiler.timing import fitted, warn_of_rounding
from somaflow.errors import RunError
from somaflow.notation import Json
from somaflow.numerics import programs
from somaflow.numerics.device import begin_computing, choose_threads, is_tensor
from somaflow.numerics.types import Tensor
from somaflow.settings import meta
from somaflow.simulation import adjoint
from somaflow.simulation.flow import Flow
from somaflow.simulation.lockstep import Lockstep
from somaflow.simulation.rowwise import Rowwise
from somaflow.simulation.stretches import Grid, Labels, Outcome, Span, run_lockstep, run_rowwise
from somaflow.solvers.base import Solver
from somaflow.solvers.exponential import ExponentialEuler, ExponentialMidpoint
from somaflow.solving import arguments, fit, results
from somaflow.solving.arguments import SolveArguments, Times
from somaflow.solving.status import sentence
from somaflow.storage.solution import Solution

_NUMBERS = 1 << 18  # numbers in the buffers of a compiled call
# Operations of f above which it is compiled once and not for each stage: 4 times of 600 take 5 s.
_LONG = 400


def numbers(times: Mapping[str, object]) -> dict[str, object]:
    """Return times, or lists of them, without tensors.

    Raises:
        RunError: A solve is not possible here, or a gradient tape watches one of them.
    """
    if not tf.executing_eagerly():
        raise RunError(
            "solve was called inside a tf.function, where y0 and args have no values yet. Call it "
            "outside: it compiles its own steps, and an eager tf.GradientTape sees through it."
        )
    return checks.plain_numbers(times)


def integrate(order: SolveArguments) -> Solution:
    """Solve a system of differential equations.

    Args:
        order: What was asked for.

    Raises:
        RunError, WrongTypeError, NonFiniteState: As `sf.solve`.
    """
    begin_computing()
    f, y0, args, times = order.f, order.y0, order.args, order.times
    floats, events = tf.as_dtype(order.dtype), conditions.named(order.events)
    model = ode.model(f, y0, args, order.noise, order.batch, floats.as_numpy_dtype)
    chosen = fit.choose_solver(order.solver, times.dt is None, model)
    pieces = arguments.pieces(times, order.dtype)
    if isinstance(chosen, (ExponentialEuler, ExponentialMidpoint)):
        ode.refuse_not_affine(model, f, args, chosen.name)
    on_grid = arguments.whole_steps(times)
    lockstep = on_grid is not None and not events and pieces is None
    fit.refuse_rowwise(model, lockstep)
    checks.refuse_watched_references(model, events)
    rtols, atols = fit.tolerances(order.rtol, order.atol, model, floats)
    choose_threads(model.blocks.columns * sum(model.blocks.sizes))
    begin = time.perf_counter()
    n_pieces = 0 if pieces is None else pieces.shape[1]
    kind = _Kind(times.sign, times.dt is None, lockstep, events, args, floats, n_pieces)
    compiled, fresh = _compiled(model, chosen, kind)
    differentiable = _has_tensors(y0) or _has_tensors(args)
    if differentiable:
        y = model.blocks.pack(tf.nest.map_structure(tf.convert_to_tensor, model.state))
        parameters = tf.nest.map_structure(tf.convert_to_tensor, model.parameters)
    else:
        y, parameters = tf.constant(model.blocks.pack_arrays(model.state)), model.parameters
    labels = Labels(model.blocks.component, model.shown)
    if isinstance(compiled, Lockstep):
        assert times.dt is not None and on_grid is not None
        steps = round(abs(times.t1 - times.t0) / times.dt)
        grid = Grid(times.t0, times.dt, steps, on_grid, order.seed)

        def run(y: Tensor, parameters: object, keep: bool) -> Outcome:
            return run_lockstep(compiled, y, parameters, grid, labels, keep)

    else:
        span = _span(times, rtols, atols, pieces, order.most)

        def run(y: Tensor, parameters: object, keep: bool) -> Outcome:
            return run_rowwise(compiled, y, parameters, span, labels, keep, _length(model))

    try:
        if differentiable:
            outcome = adjoint.differentiable(compiled, run, y, parameters)
        else:
            outcome = run(y, parameters, False)
    except (tf.errors.InvalidArgumentError, tf.errors.UnimplementedError, LookupError) as error:
        raise adjoint.refused(error) from error
    if compiled.flow.rounds:
        step = times.dt or abs(times.t1 - times.t0) / max(int(outcome.accepted.max()), 1)
        warn_of_rounding(times.t0, times.t1, step)
    statistics = results.statistics(outcome, chosen, time.perf_counter() - begin, fresh)
    statistics |= dependence.told(model, chosen, compiled.flow.pattern)
    described = {} if model.equations is None else {"equations": model.equations}
    kept = meta(described, _settings(order, model, rtols, atols), chosen)
    status = sentence(outcome, labels, chosen, times.t0, times.sign, times.t1, rtols, atols)
    names = [condition.name for condition in compiled.flow.conditions]
    return results.solution(model, times, outcome, statistics, names, kept, status)


def _span(
    times: Times,
    rtol: float,
    atol: NDArray[np.float64],
    pieces: NDArray[np.float64] | None,
    most: int,
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


def _settings(
    order: SolveArguments, model: OdeModel, rtol: float, atol: NDArray[np.float64]
) -> dict[str, Json]:
    """Return what a result keeps of what was asked for."""
    times = order.times
    kept: dict[str, Json] = {"t0": times.t0, "t1": times.t1, "dt": times.dt}
    kept["time_unit"] = times.unit
    if times.dt is None:
        kept |= {"rtol": rtol, "atol": atol[:, 0].tolist(), "max_steps": order.most}
        kept |= {} if np.isinf(times.longest) else {"max_step": times.longest}
        kept |= {"first_step": times.first} if times.first else {}
    if len(times.jumps):
        kept["jumps"] = times.jumps.tolist()
    return kept | {"dtype": order.dtype, "seed": order.seed, "batch": list(model.blocks.batch)}


# ---------------------------------------------------------------------- compiled functions


def _length(model: OdeModel) -> int:
    """Return how many steps a stretch has that is recomputed backwards."""
    return int(np.clip(_NUMBERS // (model.blocks.columns * sum(model.blocks.sizes)), 16, 512))


class _Kind(NamedTuple):
    """What the loop of a solve depends on beside its model and its method.

    Attributes:
        sign: -1 for a solve backwards in time.
        adaptive: Whether steps follow the tolerances.
        lockstep: Whether all problems make the same steps.
        events: What may happen, by name.
        args: Passed to the conditions and changes of events.
        floats: The dtype of the state.
        n_pieces: Between jumps of the field; 0 where it has none.
    """

    sign: float
    adaptive: bool
    lockstep: bool
    events: Mapping[str, Event]
    args: object
    floats: tf.DType
    n_pieces: int


Loop = Lockstep | Rowwise


def _compiled(model: OdeModel, solver: Solver, kind: _Kind) -> tuple[Loop, bool]:
    """Return the compiled functions of a model, and whether they are new."""
    parts = [
        (name, event.condition, event.change, event.terminal, event.direction)
        for name, event in kind.events.items()
    ]
    key = (
        "solve",
        model.key,
        signature(*(part for event in parts for part in event)),
        repr(model.blocks),
        repr(tf.nest.map_structure(lambda x: (x.dtype, x.shape), model.parameters)),
        signature(solver),
        (kind.sign, kind.adaptive, kind.lockstep, kind.floats.name, kind.n_pieces, _NUMBERS),
        dependence.choices(model),
    )
    functions = (*model.functions, *(part for event in parts for part in event[1:3]))

    def make() -> tuple[Loop, tuple[object, ...]]:
        return _loop(model, solver, kind), functions

    (loop, before), fresh = programs.kept(key, make)
    if not fresh and signature(*before) != signature(*functions):
        # What those refer to has changed since, and some parts are compiled when first needed.
        programs.forget(key)
        (loop, _), fresh = programs.kept(key, make)
    return loop, fresh


def _loop(model: OdeModel, solver: Solver, kind: _Kind) -> Loop:
    """Return the loop over the steps of a model."""
    floats, lockstep = kind.floats, kind.lockstep
    operations = checks.check_field(model, model.field, "f", floats, not lockstep)
    for diffusion in model.diffusions:
        checks.check_field(model, diffusion, "noise", floats, False)
    field, diffusions, rounds = model.field, model.diffusions, False
    if model.equations is None:
        field, rounds = fitted(model, field, floats, not lockstep)
        diffusions = tuple(fitted(model, each, floats, not lockstep)[0] for each in diffusions)
    diffusions = tuple(map(model.on_block, diffusions))
    lowered = conditions.lower(kind.events, model, kind.args, floats)
    block = model.on_block(field)
    differentiated = (*diffusions, block)[0]
    pattern = dependence.of_model(model, solver, differentiated, floats, lockstep)
    flow = Flow(block, diffusions, model.sources, lowered, operations > _LONG, rounds, pattern)
    numbers = model.blocks.columns * sum(model.blocks.sizes)
    capacity = int(np.clip(_NUMBERS // numbers, 8, 1024))
    if lockstep:
        remembers = bool(tf.nest.flatten(results.traits(solver).memory))
        return Lockstep(flow, solver, kind.sign, floats, capacity, _length(model), remembers)
    slots = int(np.clip(_NUMBERS // numbers, 8, 256))
    return Rowwise(
        flow,
        solver,
        kind.adaptive,
        kind.sign,
        floats,
        capacity,
        slots,
        _length(model),
        results.traits(solver).degree,
        kind.n_pieces > 0,
    )


def _has_tensors(nest: object) -> bool:
    return any(is_tensor(leaf) for leaf in tf.nest.flatten(nest))
