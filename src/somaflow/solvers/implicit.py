"""The implicit Euler method, solved by Newton's iteration to round-off."""

from dataclasses import dataclass

import tensorflow as tf

from somaflow.numerics.types import Nest, Tensor
from somaflow.solvers.base import Problem, State, Step, Time
from somaflow.solvers.derivatives import (
    constant,
    factorised,
    identity_minus,
    jacobians,
    solve_columns,
)
from somaflow.solvers.runge_kutta import linear

_NEWTON = 20
# Between columns the iteration is that of Jacobi, and gains a factor of dt*coupling each time.
_JACOBI = 50
# As many factors of dt*coupling are left of the gradient's error.
_CORRECTIONS = 4


@dataclass(frozen=True)
class ImplicitEuler:
    """The implicit Euler method: order 1, L-stable.

    y1 = y + dt*f(t + dt, y1) is solved with the whole f, by Newton's iteration with the Jacobian
    within each column. Where columns do not depend on each other this converges quadratically, and
    each column stops by itself. Where they do (`problem.local` is given) it converges linearly to
    the same solution, all cells of one row of a batch stop together, and dt times the strength of
    the coupling has to be below 1. A column that does not converge becomes NaN.

    The gradient is that of the solution, by the implicit function theorem, not of the iteration;
    with coupling it lacks a part of relative size (dt*coupling)**4.

    Curtiss CF, Hirschfelder JO (1952) Integration of stiff equations. Proceedings of the National
    Academy of Sciences 38:235-243; Hairer E, Wanner G (1996) Solving ordinary differential
    equations II, sections IV.3 and IV.8.
    """

    name = "Implicit Euler"
    order = 1
    nodes = (1.0,)
    error_order = None
    stiff = True
    calculus = None

    def init(self, problem: Problem[State], t: Time, y: State) -> tuple[()]:
        """Return the memory before the first step: none."""
        return ()

    def step(
        self,
        problem: Problem[State],
        t: Time,
        dt: Time,
        y: State,
        memory: object,
        noise: object = None,
    ) -> Step[State]:
        """Advance `y` from `t` by `dt`."""
        end = t + 1.0 * dt
        solution, settled = _newton(problem, end, dt, y)
        _, matrices = jacobians(problem, end, solution)
        matrices = tf.nest.map_structure(
            lambda jacobian: factorised(constant(identity_minus(dt, jacobian))), matrices
        )
        # From a constant that solves the equation, one more Newton step with a constant matrix
        # changes no digit, and its derivative is that of the solution.
        y1 = tf.nest.map_structure(tf.stop_gradient, solution)
        for _ in range(1 if problem.local is None else _CORRECTIONS):
            update = _update(y, y1, problem.f(end, y1), matrices, dt)
            y1 = tf.nest.map_structure(tf.subtract, y1, update)
        # Compiled code cannot raise; NaN is what the host looks for.
        y1 = tf.nest.map_structure(
            lambda mask, leaf: tf.where(mask, leaf, leaf.dtype.as_numpy_dtype("nan")),
            settled,
            y1,
        )
        return Step(y1, None, linear(y, y1), ())


def _update(y: State, iterate: State, slope: State, matrices: Nest, dt: Time) -> State:
    return tf.nest.map_structure(
        lambda start, now, f, matrix: solve_columns(matrix, now - start - dt * f),
        y,
        iterate,
        slope,
        matrices,
    )


def _newton(problem: Problem[State], end: Time, dt: Time, y: State) -> tuple[State, Nest]:
    """Return the solution, and for each block which of its columns have converged."""

    def body(count: Tensor, iterate: State, sizes: Nest, settled: Nest) -> tuple[Nest, ...]:
        slope, derivatives = jacobians(problem, end, iterate)
        matrices = tf.nest.map_structure(lambda j: factorised(identity_minus(dt, j)), derivatives)
        update = _update(y, iterate, slope, matrices, dt)
        # A settled column stays, so that its digits do not depend on its neighbours in a batch.
        later = tf.nest.map_structure(
            lambda mask, now, change: tf.where(mask, now, now - change), settled, iterate, update
        )
        new_sizes = tf.nest.map_structure(_size, update, later, y)
        if problem.local is not None:
            new_sizes = _together(new_sizes)
        new = tf.nest.map_structure(_converged, new_sizes, sizes)
        return count + 1, later, new_sizes, tf.nest.map_structure(tf.logical_or, settled, new)

    def going(count: Tensor, iterate: State, sizes: Nest, settled: Nest) -> Tensor:
        return ~tf.reduce_all([tf.reduce_all(mask) for mask in tf.nest.flatten(settled)])

    sizes = tf.nest.map_structure(lambda leaf: tf.fill(leaf.shape[1:], leaf.dtype.max), y)
    settled = tf.nest.map_structure(lambda leaf: tf.zeros(leaf.shape[1:], tf.bool), y)
    start = tf.nest.map_structure(tf.stop_gradient, y)
    most = _NEWTON if problem.local is None else _JACOBI
    _, solution, _, settled = tf.while_loop(
        going, body, (tf.constant(0), start, sizes, settled), maximum_iterations=most
    )
    return solution, settled


def _size(update: Tensor, iterate: Tensor, start: Tensor) -> Tensor:
    """Return the largest relative change in each column."""
    scale = tf.maximum(tf.abs(iterate), tf.abs(start)) + update.dtype.as_numpy_dtype(1e-30)
    return tf.reduce_max(tf.abs(update) / scale, axis=0)


def _converged(size: Tensor, before: Tensor) -> Tensor:
    """Tell where nothing is left to gain: round-off is reached, or changes have stopped to fall."""
    epsilon = {tf.float32: 2.0**-23}.get(size.dtype, 2.0**-52)
    return (size <= 8 * epsilon) | ((size >= before) & (size <= epsilon**0.5))


def _together(sizes: Nest) -> Nest:
    """Return the largest of the cells, the last axis, and of the blocks of each row of a batch."""
    leaves = tf.nest.flatten(sizes)
    rows = [tf.reduce_max(leaf, axis=-1, keepdims=True) for leaf in leaves]
    largest = rows[0]
    for row in rows[1:]:
        largest = tf.maximum(largest, row)
    return tf.nest.map_structure(lambda leaf: largest + tf.zeros_like(leaf), sizes)
