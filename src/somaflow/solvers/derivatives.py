"""Derivatives of a vector field within each column, by reverse-mode differentiation.

The field may be given with what comes from other columns held constant (`Problem.local`). Then n
reverse sweeps, one for each component of a block [n, ...], differentiate all columns at once. The
results are tensors like any other: they compile, stand inside loops, and can be differentiated.
"""

from typing import Any

import tensorflow as tf

from somaflow.solvers.base import Problem, State, Time

Tensor = Any  # a tf.Tensor: TensorFlow's own type stubs refuse ordinary indexing

_ZERO = tf.UnconnectedGradients.ZERO


def diagonal(problem: Problem, t: Time, y: State) -> tuple[State, State]:
    """Return the slope f and the derivative of each component of f by the same component of y.

    Args:
        problem: The problem.
        t: Time.
        y: Nest of blocks [n, ...].

    Returns:
        Slope and derivatives, both in the structure and shapes of `y`.
    """
    with tf.GradientTape(persistent=True) as tape:
        slope, rows = _rows(problem, t, y, tape)
    leaves = tf.nest.flatten(y)
    rates = [
        tf.stack([sweep[i] for i, sweep in enumerate(_sweeps(tape, components, leaf))])
        for components, leaf in zip(rows, leaves, strict=True)
    ]
    return slope, tf.nest.pack_sequence_as(y, rates)


def jacobians(problem: Problem, t: Time, y: State) -> tuple[State, State]:
    """Return the slope f and the Jacobian of each column.

    Args:
        problem: The problem.
        t: Time.
        y: Nest of blocks [n, ...].

    Returns:
        The slope; and for each block the matrices [..., n, n] whose element i, j is the derivative
        of component i by component j of the same block.
    """
    with tf.GradientTape(persistent=True) as tape:
        slope, rows = _rows(problem, t, y, tape)
    found = []
    for components, leaf in zip(rows, tf.nest.flatten(y), strict=True):
        matrix = tf.stack(list(_sweeps(tape, components, leaf)))
        found.append(tf.transpose(matrix, [*range(2, matrix.shape.rank), 0, 1]))
    return slope, tf.nest.pack_sequence_as(y, found)


def blocks(problem: Problem, t: Time, y: State) -> tuple[State, State, State]:
    """Return the slope f, the Jacobian of each column, and df/dt at constant y.

    Args:
        problem: The problem.
        t: Time; a tensor of shape [] or [R] against blocks [n, R], or a Python number.
        y: Nest of blocks [n, ...].

    Returns:
        Slope and matrices as of `jacobians`, and df/dt as of `time_slope`.
    """
    return *jacobians(problem, t, y), time_slope(problem, t, y)


def time_slope(problem: Problem, t: Time, y: State) -> State:
    """Return df/dt at constant y, in the structure of `y`; zero where `t` is a Python number."""
    if not isinstance(t, tf.Tensor):
        return tf.nest.map_structure(tf.zeros_like, y)
    # A reverse sweep is linear in what it starts from, so the derivative of the sweep by that is
    # the forward derivative: of each element, though all share one t.
    start = tf.nest.map_structure(tf.zeros_like, y)
    with tf.GradientTape() as outer:
        outer.watch(start)
        with tf.GradientTape() as tape:
            tape.watch(t)
            slope = problem.f(t, y)
        swept: Any = tape.gradient(slope, t, start, unconnected_gradients=_ZERO)
    return outer.gradient(swept, start, unconnected_gradients=_ZERO)


def _rows(problem: Problem, t: Time, y: State, tape: Any) -> tuple[State, list[list[Tensor]]]:
    """Return the slope, and for each block the components that the tape can differentiate.

    The slope itself is that of `f`: an outer tape has to see what comes from other columns, too.
    """
    tape.watch(y)
    slope = problem.f(t, y)
    inside = slope if problem.local is None else problem.local(t, y)
    return slope, [tf.unstack(block) for block in tf.nest.flatten(inside)]


def _sweeps(tape: Any, components: list[Tensor], leaf: Tensor) -> Any:
    """Yield the derivatives of each component by its block, [n, ...] each."""
    for component in components:
        yield tape.gradient(component, leaf, unconnected_gradients=_ZERO)


def solve_columns(matrices: Tensor, block: Tensor) -> Tensor:
    """Return x with M x = b in each column.

    Args:
        matrices: M, [..., n, n].
        block: b, [n, ...].

    Returns:
        [n, ...].
    """
    rank = block.shape.rank
    columns = tf.expand_dims(tf.transpose(block, [*range(1, rank), 0]), -1)
    solved = tf.squeeze(tf.linalg.solve(matrices, columns), -1)
    return tf.transpose(solved, [rank - 1, *range(rank - 1)])


def identity_minus(factor: Time, matrices: Tensor) -> Tensor:
    """Return I - factor*J for matrices [..., n, n] and a factor of shape [] or [R]."""
    if isinstance(factor, tf.Tensor):
        factor = tf.reshape(factor, [*factor.shape, 1, 1])
    return tf.eye(matrices.shape[-1], dtype=matrices.dtype) - factor * matrices
