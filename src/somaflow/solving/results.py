"""The results of a solve, from what its loop left."""

from functools import cache
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from somaflow import units
from somaflow.compiler.ode import OdeModel
from somaflow.notation import Json
from somaflow.numerics.types import Tensor
from somaflow.simulation.stretches import Outcome
from somaflow.simulation.system import Array
from somaflow.solvers.base import Problem, Solver
from somaflow.solving.arguments import Times
from somaflow.storage.sinks import Column, MemorySink
from somaflow.storage.solution import Occurrences, Solution


class Traits(NamedTuple):
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
    memory: object


@cache
def traits(solver: Solver) -> Traits:
    """Return what one step of a method tells of it."""
    count = [0]

    def f(t: Tensor, y: Tensor) -> Tensor:
        count[0] += 1
        return -y

    y, t = tf.ones([1, 1], tf.float64), tf.zeros([1], tf.float64)
    problem = Problem(f, None, None if solver.calculus is None else lambda t, y: 0.1 * y)
    memory = solver.init(problem, t, y)
    first = count[0]
    step = solver.step(problem, t, t + 1, y, memory, 0 * y)
    each = count[0] - first
    iterates = solver.stiff and solver.error_order is None  # until it has converged
    return Traits(first, None if iterates else each, len(step.dense()) - 1, memory)


def statistics(outcome: Outcome, solver: Solver, seconds: float, fresh: bool) -> dict[str, object]:
    """Return numbers of the solve: steps, evaluations, seconds; arrays for a batch.

    Args:
        outcome: What the loop left.
        solver: The method.
        seconds: That it took.
        fresh: Whether it was compiled for it.
    """
    batch = len(outcome.accepted) > 1

    def total(values: Array) -> int | Array:
        return int(values.sum()) if not batch else values.astype(np.int64)

    counts: dict[str, object] = {
        "accepted": total(outcome.accepted),
        "rejected": total(outcome.rejected),
        "smallest_step": outcome.smallest if batch else float(outcome.smallest[0]),
        "seconds": seconds,
        "compiled": fresh,
    }
    parts = traits(solver)
    if parts.each is not None:
        attempts = outcome.accepted + outcome.rejected
        counts["evaluations"] = total(parts.first + parts.each * attempts)
    return counts


def solution(
    model: OdeModel,
    times: Times,
    outcome: Outcome,
    counts: dict[str, object],
    names: list[str],
    kept: dict[str, Json],
    status: str,
) -> Solution:
    """Return the results of a solve, in the structure and the units of its state.

    Args:
        model: The model.
        times: When.
        outcome: What the loop left.
        counts: What `statistics` returned.
        names: Of the events.
        kept: All that is needed to repeat it.
        status: How it ended.
    """
    blocks = model.blocks
    scaled = [units.factor(unit) for unit in model.units]
    if isinstance(outcome.samples, np.ndarray):
        arrays = blocks.unpack_arrays(outcome.samples)
    else:
        arrays = blocks.unpack_arrays(outcome.samples.numpy())
    columns, stored = [], []
    for name, unit, leaf, scale in zip(blocks.names, model.units, arrays, scaled, strict=True):
        shape, dtype = tuple(leaf.shape[1:]), leaf.dtype.name
        axes = tuple(f"axis_{k}" for k in range(len(shape)))
        columns.append(Column(name, unit, shape, axes, None, 0.0, len(times.at), dtype, times.at))
        stored.append(leaf if scale == 1.0 else (leaf / scale).astype(leaf.dtype))
    sink = MemorySink.holding(tuple(columns), stored)

    def tensors() -> object:
        y = blocks.unpack(tf.convert_to_tensor(outcome.samples))
        flat = zip(tf.nest.flatten(y), scaled, strict=True)
        return tf.nest.pack_sequence_as(y, [x if u == 1.0 else x / u for x, u in flat])

    # Under a tape they must be made while it watches; else only if somebody wants them.
    y = tensors() if not isinstance(outcome.samples, np.ndarray) else tensors
    events = None
    if outcome.events is not None:
        events = _occurrences(model, times, outcome, names)
    return Solution(
        tuple(columns),
        sink,
        abs(times.t1 - times.t0),
        kept,
        counts,
        status=status,
        y=y,
        events=events,
    )


def _occurrences(
    model: OdeModel, times: Times, outcome: Outcome, names: list[str]
) -> dict[str, Occurrences]:
    assert outcome.events is not None
    inner, kinds, columns, states = outcome.events
    t = times.t0 + times.sign * inner
    plain = inner.numpy()
    occurrences = {}
    for kind, name in enumerate(names):
        place = np.flatnonzero(kinds == kind)
        place = place[np.lexsort((plain[place], columns[place]))]
        values = tf.gather(states, place)
        rows, leaves = 0, []
        for shape, size, unit in zip(
            model.blocks.shapes, model.blocks.sizes, model.units, strict=True
        ):
            part = tf.reshape(values[:, rows : rows + size], [-1, *shape])
            leaves.append(part / units.factor(unit))
            rows += size
        y = tf.nest.pack_sequence_as(model.blocks.nest, leaves)
        index = np.stack(np.unravel_index(columns[place], model.blocks.batch or (1,)), axis=-1)
        occurrences[name] = Occurrences(
            tf.gather(t, place), y, index if model.blocks.batch else None
        )
    return occurrences
