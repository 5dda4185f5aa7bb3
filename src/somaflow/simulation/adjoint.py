"""Derivatives of a solve: stretch by stretch backwards, each recomputed from its start.

An eager `tf.GradientTape` sees one operation with a gradient of its own. What is kept is the state
at the start of each stretch; a stretch has a fixed greatest length, so memory grows with their
number and not with that of the steps.
"""

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NoReturn

import numpy as np
import tensorflow as tf

from somaflow.errors import RunError
from somaflow.numerics.types import Nest, Tensor
from somaflow.simulation.events import EventLog
from somaflow.simulation.lockstep import Lockstep
from somaflow.simulation.reverse import Bars
from somaflow.simulation.rowwise import Rowwise
from somaflow.simulation.stretches import Outcome, slots_of

Gradient = Callable[..., list[Tensor]]


def differentiable(
    compiled: Lockstep | Rowwise,
    run: Callable[[Tensor, Nest, bool], Outcome],
    y: Tensor,
    parameters: Nest,
) -> Outcome:
    """Run a solve as one differentiable operation of its state and its parameters.

    Steps are held as they were chosen: the derivative is that of the map with those steps. Times
    of events move with the state, by the implicit function theorem.

    Args:
        compiled: The functions.
        run: `(y, parameters, keep) -> Outcome`.
        y: Initial state, [n, R].
        parameters: Nest of tensors; those of whole numbers are constants.

    Returns:
        The outcome; its samples, and the times and states of its events, have gradients.
    """
    flat = tf.nest.flatten(parameters)
    moving = [k for k, leaf in enumerate(flat) if leaf.dtype.is_floating]
    outcomes: list[Outcome] = []
    y_given = y

    @tf.custom_gradient
    def operation(y: Tensor, *_: Tensor) -> Any:  # the gradient is taken off
        full = [_plain(leaf) for leaf in flat]
        packed = tf.nest.pack_sequence_as(parameters, full)
        outcome = run(_plain(y), packed, True)
        outcomes.append(outcome)
        events = outcome.events

        def gradient(*bars: Tensor) -> list[Tensor]:
            if not tf.executing_eagerly():
                raise RunError(
                    "the derivative of a solve is computed eagerly: for tape.jacobian, set "
                    "experimental_use_pfor=False and take a persistent tape."
                )
            dense = tuple(tf.convert_to_tensor(bar) for bar in bars)  # a gather's is sparse
            return _once(backwards, dense, (y_given, *(flat[k] for k in moving)))

        def backwards(samples: Tensor, *event_bars: Tensor) -> list[Tensor]:
            try:
                if isinstance(compiled, Lockstep):
                    bar, sums = _lockstep(compiled, outcome, packed, samples)
                else:
                    bar, sums = _rowwise(compiled, outcome, packed, samples, event_bars)
            except (tf.errors.InvalidArgumentError, tf.errors.UnimplementedError) as error:
                raise refused(error) from error
            return [bar, *(sums[k] for k in moving)]

        outputs = (tf.constant(outcome.samples),)
        if events is not None:
            outputs = (*outputs, events[0], events[3])
        return outputs, gradient

    outputs = operation(y, *(flat[k] for k in moving))
    outcome, events = outcomes[0], outcomes[0].events
    if events is not None:
        events = (outputs[1], events[1], events[2], outputs[2])
    return replace(outcome, samples=outputs[0], events=events)


def _once(
    backwards: Gradient, bars: tuple[Tensor, ...], sources: tuple[Tensor, ...]
) -> list[Tensor]:
    """Compute derivatives such that a derivative of them is refused, and not None."""

    @tf.custom_gradient
    def operation(*leaves: Tensor) -> Any:  # as above
        def refuse(*_: Tensor) -> NoReturn:
            raise RunError(
                "a solve has first derivatives by a tf.GradientTape, no second ones and none in "
                "forward mode. For a Hessian take differences "
                "of gradients, or make the sensitivities dy/dp states of the equations."
            )

        return backwards(*(_plain(bar) for bar in leaves[: len(bars)])), refuse

    return operation(*bars, *sources)


def refused(error: Exception) -> RunError:
    """Return what a user is told where XLA does not compile an operation."""
    text = str(error).strip().splitlines()[0]
    if isinstance(error, LookupError) or "fixed tensor list size" in text:
        return RunError(
            "f or an event refers to a tensor that a tf.GradientTape watches. What it refers to is "
            "a constant without a derivative: pass it in args= and take it from there."
        )
    operation = re.search(r"No registered '(\w+)' OpKernel", text)
    if operation:
        text = f"{operation[1]}. Where it is tf.linalg.lu, tf.linalg.solve would do."
    return RunError(f"f or an event uses an operation that XLA does not compile: {text}")


def _plain(tensor: Tensor) -> Tensor:
    """Return a tensor that no tape watches: a compiled function that one looks into fails."""
    return tf.constant(tensor.numpy())


def _part(bars: Tensor, rows: tuple[int, int], capacity: int) -> Tensor:
    """Return the derivatives by a stretch's samples, filled up to the capacity."""
    first, count = rows
    part = bars[first : first + count]
    missing = capacity - part.shape[0]  # the end of a solve may be no sample
    return tf.pad(part, [[0, missing], *[[0, 0]] * (part.shape.rank - 1)])


def _lockstep(
    compiled: Lockstep, outcome: Outcome, parameters: Nest, samples: Tensor
) -> tuple[Tensor, list[Tensor]]:
    bar = tf.zeros_like(samples[0])
    sums = [tf.zeros_like(leaf) for leaf in tf.nest.flatten(parameters)]
    for stretch in reversed(outcome.stretches):
        upstream = _part(samples, stretch.rows, compiled.capacity)
        bar, parts = compiled.backward(stretch.start, parameters, stretch.timing, upstream, bar)
        sums = [total + part for total, part in zip(sums, parts, strict=True)]
    return bar, sums


def _rowwise(
    compiled: Rowwise,
    outcome: Outcome,
    parameters: Nest,
    samples: Tensor,
    event_bars: tuple[Tensor, ...],
) -> tuple[Tensor, list[Tensor]]:
    shape = samples.shape[1:]
    bars = Bars.zero(compiled.reverse.degree, shape, samples.dtype)
    sums = [tf.zeros_like(leaf) for leaf in tf.nest.flatten(parameters)]
    last = 0 if outcome.events is None else len(outcome.events[1])
    for stretch in reversed(outcome.stretches):
        upstream = _part(samples, stretch.rows, compiled.capacity)
        part = ()
        if isinstance(stretch.log, EventLog):
            part, last = _events(stretch.log, event_bars, last, samples.dtype)
        bars, parts, tangent = compiled.reverse.backward(
            stretch.start, parameters, stretch.timing, upstream, part, bars
        )
        if bool(tangent):
            raise RunError(
                "the derivative of an event's time does not exist: a condition touches zero there "
                "without crossing it at an angle. Choose a condition that crosses zero steeply."
            )
        sums = [total + more for total, more in zip(sums, parts, strict=True)]
    return bars.y + bars.dense[0], sums


def _events(
    log: EventLog, event_bars: tuple[Tensor, ...], last: int, dtype: tf.DType
) -> tuple[tuple[Tensor, ...], int]:
    """Return the derivatives by the events of a stretch in the shape of its slots."""
    slots = slots_of(log)
    first = last - len(slots)
    part = [tf.cast(bar[first:last], dtype) for bar in event_bars]
    times = tf.scatter_nd(slots, part[0], log.times.shape)
    states = tf.scatter_nd(slots, part[1], log.states.shape)
    return (tf.cast(times, dtype), states), first


def segments(outcome: Outcome) -> int:
    """Return how many states are kept for derivatives."""
    return len(outcome.stretches)


def bytes_kept(outcome: Outcome) -> int:
    """Return how many bytes are kept for derivatives, samples apart."""
    leaves = [leaf for s in outcome.stretches for leaf in tf.nest.flatten((s.start, s.timing))]
    return sum(np.asarray(leaf).nbytes for leaf in leaves)
