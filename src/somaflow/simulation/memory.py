"""Memory: what a method hands from each step of a clock-driven run to the next.

Where the state of a column jumped at a step's end (a reset, a kick), what is remembered of its past
is of another course. What belongs to it begins anew there, as before the first step.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from somaflow.errors import RunError
from somaflow.numerics.types import Nest, Tensor
from somaflow.simulation.system import Array
from somaflow.solvers.base import Problem, Solver, Time


class Memory(NamedTuple):
    """What a method remembers.

    Attributes:
        kept: As the method returned it, a nest of tensors.
        stale: Of each block of the flow state, which columns begin anew, `[..., n_columns]`.
        begun: Whether a step was made.
    """

    kept: Nest
    stale: Nest
    begun: Tensor


def empty(solver: Solver, flow: Nest) -> Memory | tuple[()]:
    """Return the memory before the first step; () for a method without one.

    Args:
        solver: The method.
        flow: The first state, NumPy arrays `[n_components, ..., n_columns]`.
    """

    def still(t: Time, y: Nest) -> Nest:
        return tf.nest.map_structure(tf.zeros_like, y)

    kept = solver.init(Problem(still, still), 0.0, tf.nest.map_structure(tf.constant, flow))
    if kept is None or not tf.nest.flatten(kept):
        return ()
    zeros = tf.nest.map_structure(lambda leaf: np.zeros_like(np.asarray(leaf)), kept)
    stale = tf.nest.map_structure(lambda block: np.ones(block.shape[1:], np.bool_), flow)
    return Memory(zeros, stale, np.zeros((), np.bool_))


def recalled(memory: Memory, solver: Solver, problem: Problem[Nest], flow: Nest) -> Nest:
    """Return what a method is handed at a step's start."""
    anew = solver.init(problem, 0.0, flow)
    return _chosen(memory, anew, memory.kept, flow)


def noted(memory: Memory, solver: Solver, kept: Nest, before: Nest, after: Nest) -> Memory:
    """Return the memory at a step's end.

    Args:
        memory: That at its start.
        solver: The method.
        kept: What the method returned.
        before: The state that the method left.
        after: That after jumps.

    Raises:
        RunError: It has another structure than that which `init` returned.
    """
    try:
        tf.nest.assert_same_structure(memory.kept, kept)
    except (TypeError, ValueError) as error:
        raise RunError(
            f"{solver.name} returns another memory from step than from init; each step is handed "
            "what the one before has left, so both are of one structure."
        ) from error

    def jumped(old: tf.Tensor, new: tf.Tensor) -> tf.Tensor:
        return tf.reduce_any(tf.not_equal(old, new), axis=0)

    return Memory(kept, tf.nest.map_structure(jumped, before, after), tf.constant(True))


def anew(memory: Memory, columns: Sequence[Array]) -> Memory:
    """Return a memory of which some columns begin anew.

    Args:
        memory: The memory, as arrays.
        columns: Of each block of the flow state which, or whether all.
    """
    stale = (np.asarray(old) | new for old, new in zip(memory.stale, columns, strict=True))
    return memory._replace(stale=tuple(stale))


def _chosen(memory: Memory, anew: Any, kept: Any, flow: Nest) -> Nest:
    """Take the new where columns begin anew, in each part that has the structure of the state."""
    if _is_alike(kept, flow):
        return tf.nest.map_structure(
            lambda new, old, stale: tf.where(stale, new, old), anew, kept, memory.stale
        )
    if isinstance(kept, dict):
        return {key: _chosen(memory, anew[key], kept[key], flow) for key in kept}
    if isinstance(kept, (tuple, list)):
        parts = [_chosen(memory, a, k, flow) for a, k in zip(anew, kept, strict=True)]
        return type(kept)(*parts) if hasattr(kept, "_fields") else type(kept)(parts)
    # It belongs to no column: such as a count of steps.
    return tf.where(memory.begun, kept, anew)


def _is_alike(part: Nest, flow: Nest) -> bool:
    """Return whether a part of a memory has the structure and the shapes of the state."""
    try:
        tf.nest.assert_same_structure(part, flow)
    except (TypeError, ValueError):
        return False
    pairs = zip(tf.nest.flatten(part), tf.nest.flatten(flow), strict=True)
    return all(a.shape == b.shape for a, b in pairs)


def named(memory: Memory, key: str) -> dict[str, Array]:
    """Return the arrays of a memory by name, as a final state keeps them.

    Args:
        memory: The memory.
        key: What the method belongs to.
    """
    return {f"{key}/{k}": np.asarray(leaf) for k, leaf in enumerate(tf.nest.flatten(memory))}


def restored(memory: Memory, key: str, arrays: Mapping[str, Array]) -> Memory:
    """Return the memory that a final state keeps.

    Args:
        memory: An empty one, which is returned where the state keeps none of that key and these
            sizes: the method then begins anew.
        key: What the method belongs to.
        arrays: What the state keeps, by name.
    """
    leaves = tf.nest.flatten(memory)
    candidates = [arrays.get(f"{key}/{k}") for k in range(len(leaves))]
    fits = (
        a is not None and (a.shape, a.dtype) == (leaf.shape, leaf.dtype)
        for a, leaf in zip(candidates, leaves, strict=True)
    )
    return tf.nest.pack_sequence_as(memory, candidates) if all(fits) else memory
