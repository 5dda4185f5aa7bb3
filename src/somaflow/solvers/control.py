"""Step size control: proportional-integral, each column of a block by itself.

Hairer E, Wanner G (1996) Solving Ordinary Differential Equations II, section IV.2, after Gustafsson
K (1991) Control theoretic techniques for stepsize selection in explicit Runge-Kutta methods. ACM
Transactions on Mathematical Software 17:533-554.
"""

import math

import tensorflow as tf

from somaflow.numerics.types import Tensor
from somaflow.solvers.base import Problem

SAFETY, LEAST, MOST = 0.9, 0.2, 10.0
_PROPORTIONAL, _INTEGRAL = 0.7, 0.4
_SMALLEST_ERROR = 1e-8
_TINY = 1e-15
LOWEST = math.log(1e-4)  # of what is remembered


def ratio(value: Tensor, scale: Tensor) -> Tensor:
    """Return value/scale; 0 for 0/0, as of a component that is exactly 0 with atol = 0."""
    safe = tf.where(scale > 0, scale, _TINY * tf.ones_like(scale))
    return tf.where(value == 0, tf.zeros_like(value), value / safe)


def norm(value: Tensor, scale: Tensor) -> Tensor:
    """Return the root mean square of value/scale over the components, shape [R] for [n, R]."""
    return tf.sqrt(tf.reduce_mean(tf.square(ratio(value, scale)), axis=0))


def log_error(error: Tensor, y0: Tensor, y1: Tensor, rtol: Tensor, atol: Tensor) -> Tensor:
    """Return the logarithm of an error in units of the tolerance; a step is accepted up to 0.

    Args:
        error: Estimate of the local error, [n, R].
        y0: State at the step's start, [n, R].
        y1: State at its end, [n, R].
        rtol: Relative tolerance, a scalar.
        atol: Absolute tolerance, a scalar or [n, 1].

    Returns:
        [R]; infinite where the estimate is not finite.
    """
    scale = atol + rtol * tf.maximum(tf.abs(y0), tf.abs(y1))
    square = tf.reduce_mean(tf.square(ratio(error, scale)), axis=0)
    logarithm = 0.5 * tf.math.log(tf.maximum(square, _SMALLEST_ERROR**2))
    return tf.where(tf.math.is_finite(square), logarithm, square.dtype.max * tf.ones_like(square))


def worst(error: Tensor, y0: Tensor, y1: Tensor, rtol: Tensor, atol: Tensor) -> Tensor:
    """Return the component with the largest scaled error, int32 [R]; one not finite goes first."""
    scaled = tf.abs(ratio(error, atol + rtol * tf.maximum(tf.abs(y0), tf.abs(y1))))
    scaled = tf.where(tf.math.is_finite(scaled), scaled, tf.fill(scaled.shape, error.dtype.max))
    return tf.argmax(scaled, axis=0, output_type=tf.int32)


def factor(error: Tensor, before: Tensor, order: int, repeated: Tensor) -> Tensor:
    """Return by how much the next step may be longer.

    In logarithms, since a power costs as much as the rest of a step of a small system.

    Args:
        error: Logarithm of this attempt's scaled error, [R].
        before: That of the last accepted step, [R].
        order: Order of the error estimate.
        repeated: Whether the last attempt was rejected, after which a step does not grow.

    Returns:
        [R]; below 1 where the attempt is rejected.
    """
    k, accepted = order + 1, error <= 0
    exponent = tf.where(
        accepted, (_INTEGRAL * before - _PROPORTIONAL * error) / k, -tf.minimum(error, 500.0) / k
    )
    ones = tf.ones_like(error)
    most = tf.where(accepted, tf.where(repeated, ones, MOST * ones), SAFETY * ones)
    return tf.clip_by_value(SAFETY * tf.exp(exponent), LEAST, most)


def remembered(error: Tensor) -> Tensor:
    """Return the logarithm of an accepted step's error as the next one's `before`."""
    return tf.maximum(error, LOWEST)


def first_step(
    problem: Problem, t: Tensor, y: Tensor, order: int, rtol: Tensor, atol: Tensor, most: Tensor
) -> Tensor:
    """Return the size of the first step, [R].

    Hairer E, Norsett SP, Wanner G (1993) Solving Ordinary Differential Equations I, section II.4.
    """
    scale = atol + rtol * tf.abs(y)
    slope = problem.f(t, y)
    d0, d1 = norm(y, scale), norm(slope, scale)
    tiny = (d0 < 1e-5) | (d1 < 1e-5)
    h0 = tf.where(tiny, 1e-6 * tf.ones_like(d0), 0.01 * d0 / tf.where(tiny, tf.ones_like(d1), d1))
    h0 = tf.minimum(h0, most)
    d2 = norm(problem.f(t + h0, y + h0 * slope) - slope, scale) / h0
    steep = tf.maximum(d1, d2)
    flat = ~(steep > 1e-15)  # also where f is not finite a little later
    root = (0.01 / tf.where(flat, tf.ones_like(steep), steep)) ** (1 / (order + 1))
    h1 = tf.where(flat, tf.maximum(1e-6 * tf.ones_like(h0), h0 * 1e-3), root)
    size = tf.minimum(tf.minimum(100 * h0, h1), most)
    # Where f is not finite at the start: a step to be refused, and to be seen as too small.
    return tf.where(tf.math.is_finite(size), size, 1e-6 * most)
