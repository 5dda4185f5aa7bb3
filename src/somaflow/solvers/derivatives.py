"""Derivatives of a vector field within each column, by reverse-mode differentiation.

The field may be given with what comes from other columns held constant (`Problem.local`). Then n
reverse sweeps, one for each component of a block [n, ...], differentiate all columns at once. The
results are tensors like any other: they compile, stand inside loops, and can be differentiated.

Where it is known which component depends on which, one sweep takes all that have nothing in common.
A few sweeps are written out one by one, many are a loop.
"""

from collections.abc import Iterator
from contextlib import ExitStack

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from somaflow.numerics.device import recording
from somaflow.numerics.rows import rows_of, stacked, watched_by_row
from somaflow.numerics.types import Nest, Tensor
from somaflow.solvers.banded import Banded, Factors
from somaflow.solvers.base import Problem, State, Time
from somaflow.solvers.pattern import Pattern

Matrix = Tensor | Banded  # of each column
_ZERO = tf.UnconnectedGradients.ZERO
WRITTEN_OUT = 24  # sweeps; 100 take 26 s and 0.75 GB to compile


def diagonal(problem: Problem[State], t: Time, y: State) -> tuple[State, State]:
    """Return the slope f and the derivative of each component of f by the same component of y.

    Args:
        problem: The problem.
        t: Time.
        y: Nest of blocks [n, ...].

    Returns:
        Slope and derivatives, both in the structure and shapes of `y`.
    """
    if _many(problem, y):
        return problem.f(t, y), tf.nest.pack_sequence_as(y, [_diagonal(problem, t, y)])
    # Tensors of their own, so that no row is watched as another one too.
    leaves = [tuple(map(tf.identity, rows_of(block))) for block in tf.nest.flatten(y)]
    seen = recording()
    with ExitStack() as stack:
        # A tape for each row, so that a component is differentiated by its own row and no other.
        most = max(map(len, leaves), default=0)
        tapes = [stack.enter_context(tf.GradientTape(persistent=True)) for _ in range(most)]
        for rows in leaves:
            for tape, row in zip(tapes, rows, strict=False):
                tape.watch(row)
        stack.enter_context(watched_by_row())
        apart = tf.nest.pack_sequence_as(y, [stacked(rows) for rows in leaves])
        slope, inside = _slope(problem, t, apart, seen)
        components = [rows_of(block) for block in tf.nest.flatten(inside)]
    rates = [
        stacked(
            [
                tape.gradient(component, row, unconnected_gradients=_ZERO)
                for tape, component, row in zip(tapes, parts, rows, strict=False)
            ]
        )
        for parts, rows in zip(components, leaves, strict=True)
    ]
    return slope, tf.nest.pack_sequence_as(y, rates)


def jacobians(problem: Problem[State], t: Time, y: State) -> tuple[State, Nest]:
    """Return the slope f and the Jacobian of each column.

    Args:
        problem: The problem.
        t: Time.
        y: Nest of blocks [n, ...].

    Returns:
        The slope; and for each block the matrices [..., n, n] whose element i, j is the derivative
        of component i by component j of the same block, or a `Banded`.
    """
    if _many(problem, y):
        return problem.f(t, y), tf.nest.pack_sequence_as(y, [_matrix(problem, t, y)])
    seen = recording()
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(tf.nest.flatten(y))
        slope, inside = _slope(problem, t, y, seen)
        rows = [tf.unstack(block) for block in tf.nest.flatten(inside)]
    matrices = []
    for components, leaf in zip(rows, tf.nest.flatten(y), strict=True):
        matrix = tf.stack(list(_sweeps(tape, components, leaf)))
        matrices.append(tf.transpose(matrix, [*range(2, matrix.shape.rank), 0, 1]))
    return slope, tf.nest.pack_sequence_as(y, matrices)


def blocks(problem: Problem[State], t: Time, y: State) -> tuple[State, Nest, State]:
    """Return the slope f, the Jacobian of each column, and df/dt at constant y.

    Args:
        problem: The problem.
        t: Time; a tensor of shape [] or [R] against blocks [n, R], or a Python number.
        y: Nest of blocks [n, ...].

    Returns:
        Slope and matrices as of `jacobians`, and df/dt as of `time_slope`.
    """
    return *jacobians(problem, t, y), time_slope(problem, t, y)


def time_slope(problem: Problem[State], t: Time, y: State) -> State:
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
            slope = tf.nest.flatten(problem.f(t, y))
        swept: Tensor = tape.gradient(slope, t, tf.nest.flatten(start), unconnected_gradients=_ZERO)
    return outer.gradient(swept, start, unconnected_gradients=_ZERO)


def _slope(problem: Problem[State], t: Time, y: State, seen: bool) -> tuple[State, State]:
    """Return the slope, and the same with what comes from other columns held constant.

    Where it is `seen` by an outer tape, the slope is that of `f`: the tape has to see what comes
    from other columns, too. Elsewhere one is the other.
    """
    inside = problem.f(t, y) if problem.local is None else problem.local(t, y)
    return problem.f(t, y) if seen and problem.local is not None else inside, inside


def _sweeps(tape: tf.GradientTape, components: list[Tensor], leaf: Tensor) -> Iterator[Tensor]:
    """Yield the derivatives of each component by its block, [n, ...] each."""
    for component in components:
        yield tape.gradient(component, leaf, unconnected_gradients=_ZERO)


def _many(problem: Problem[State], y: State) -> bool:
    """Tell whether sweeps are a loop: those of one large block that holds the whole system."""
    leaves = tf.nest.flatten(y)
    return problem.local is None and len(leaves) == 1 and leaves[0].shape[0] > WRITTEN_OUT


def _swept(
    problem: Problem[State],
    t: Time,
    y: State,
    groups: NDArray[np.int32],
    count: int,
    own: bool = False,
) -> Tensor:
    """Return for each group the derivatives of the sum of its components, [count, n, ...].

    Args:
        problem: The problem.
        t: Time.
        y: The state, a nest with one block [n, ...].
        groups: The group of each component, int32 [n].
        count: How many groups there are.
        own: Keep of each only that by the component of its number, [count, ...].
    """
    block = tf.nest.flatten(y)[0]
    numbers = tf.reshape(tf.constant(groups, tf.int32), [-1, *[1] * (block.shape.rank - 1)])

    def taped(tape: tf.GradientTape) -> Tensor:
        tape.watch(block)
        return tf.nest.flatten(problem.f(t, tf.nest.pack_sequence_as(y, [block])))[0]

    def sweep(tape: tf.GradientTape, slope: Tensor, group: Tensor | int) -> Tensor:
        start = tf.cast(numbers == group, block.dtype) + tf.zeros_like(block)
        return tape.gradient(slope, block, start, unconnected_gradients=_ZERO)

    if count <= WRITTEN_OUT:
        with tf.GradientTape(persistent=True) as tape:
            slope = taped(tape)
        return tf.stack([sweep(tape, slope, group) for group in range(count)])

    def row(group: Tensor) -> Tensor:
        with tf.GradientTape() as tape:
            slope = taped(tape)
        derivatives = sweep(tape, slope, group)
        return tf.gather(derivatives, group) if own else derivatives

    like = tf.TensorSpec(block.shape[1:] if own else block.shape, block.dtype)
    return tf.map_fn(row, tf.range(count), fn_output_signature=like)


def _compressed(problem: Problem[State], pattern: Pattern, t: Time, y: State) -> Tensor:
    """Return the products that hold all entries of a Jacobian, a row each, and a row of zeros."""
    swept = _swept(problem, t, y, pattern.colours, pattern.products)
    flat = tf.reshape(swept, [-1, *swept.shape[2:]])
    return tf.pad(flat, [[0, 1], *[[0, 0]] * (flat.shape.rank - 1)])


def _matrix(problem: Problem[State], t: Time, y: State) -> Matrix:
    block, pattern = tf.nest.flatten(y)[0], problem.pattern
    if pattern is None:
        n = block.shape[0]
        matrix = _swept(problem, t, y, np.arange(n, dtype=np.int32), n)
    else:
        matrix = tf.gather(_compressed(problem, pattern, t, y), pattern.places)
        if pattern.banded:
            return Banded(pattern, matrix)
    return tf.transpose(matrix, [*range(2, matrix.shape.rank), 0, 1])


def _diagonal(problem: Problem[State], t: Time, y: State) -> Tensor:
    pattern = problem.pattern
    if pattern is not None:
        return tf.gather(_compressed(problem, pattern, t, y), pattern.diagonal)
    n = tf.nest.flatten(y)[0].shape[0]
    return _swept(problem, t, y, np.arange(n, dtype=np.int32), n, own=True)


def constant(matrices: Matrix) -> Matrix:
    """Return the same matrices without derivatives."""
    if isinstance(matrices, Banded):
        return Banded(matrices.pattern, tf.stop_gradient(matrices.rows))
    return tf.stop_gradient(matrices)


def factorised(matrices: Matrix) -> Tensor | Factors:
    """Return what `solve_columns` takes, for several systems with one matrix."""
    return matrices.factorised() if isinstance(matrices, Banded) else matrices


def solve_columns(matrices: Tensor | Factors, block: Tensor) -> Tensor:
    """Return x with M x = b in each column.

    Args:
        matrices: M, [..., n, n], or `Factors`.
        block: b, [n, ...].

    Returns:
        [n, ...].
    """
    if isinstance(matrices, Factors):
        return matrices.solve(block)
    rank = block.shape.rank
    columns = tf.expand_dims(tf.transpose(block, [*range(1, rank), 0]), -1)
    solved = tf.squeeze(tf.linalg.solve(matrices, columns), -1)
    return tf.transpose(solved, [rank - 1, *range(rank - 1)])


def identity_minus(factor: Time, matrices: Matrix) -> Matrix:
    """Return I - factor*J for matrices [..., n, n] or a `Banded`; the factor is [] or [R]."""
    if isinstance(matrices, Banded):
        return matrices.identity_minus(factor)
    if isinstance(factor, tf.Tensor):
        factor = tf.reshape(factor, [*factor.shape, 1, 1])
    return tf.eye(matrices.shape[-1], dtype=matrices.dtype) - factor * matrices
