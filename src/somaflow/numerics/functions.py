"""Functions over tensors that TensorFlow lacks, or has in a form that XLA runs slowly."""

import math
from collections.abc import Callable

import tensorflow as tf
from tensorflow.python.eager import record

from somaflow.numerics.constants import number
from somaflow.numerics.device import traced_once
from somaflow.numerics.types import Tensor


def inverse_exprel(x: Tensor) -> Tensor:
    """Return x/(exp(x) - 1), finite with its gradient at x = 0.

    Within |x| < 1/4 it is the generating function of the Bernoulli numbers (Abramowitz and Stegun
    1964, 23.1.1) up to x**10, good to 1e-16; beyond, exp(x) - 1 has lost at most two bits.
    `tf.math.expm1` is exact too, but takes three times as long under XLA.

    Args:
        x: Float tensor of any shape.

    Returns:
        A tensor of the same shape and dtype.
    """
    return _inverse_exprel(x)


@traced_once
def _inverse_exprel(x: Tensor) -> Tensor:
    one = number(1.0, x.dtype)
    near = _magnitude(x) < number(0.25, x.dtype)
    # Both branches of a where() are differentiated, so each gets an argument it can bear.
    small = tf.where(near, x, number(0.0, x.dtype))
    large = tf.where(near, one, x)
    square = small * small
    series = number(1 / 1209600, x.dtype) - square * number(1 / 47900160, x.dtype)
    for coefficient in (1 / 30240, 1 / 720, 1 / 12):
        series = number(coefficient, x.dtype) - square * series
    close = one - small / number(2.0, x.dtype) + square * series
    return tf.where(near, close, large / (exp(large) - one))


# The comparison has no gradient, and so no tape has to see it.
def _magnitude(x: Tensor) -> Tensor:
    with record.stop_recording():
        return _abs(x)


def exp(x: Tensor) -> Tensor:
    """Return the exponential, which XLA is handed once for each shape under a tape too."""
    with record.stop_recording():
        value = _exp(x)
    record.record_operation("Exp", [value], [x], lambda upstream: [upstream * tf.math.conj(value)])
    return value


_exp, _abs = traced_once(tf.exp), traced_once(tf.abs)


def exprel(x: Tensor) -> Tensor:
    """Return (exp(x) - 1)/x, finite with its gradient at x = 0."""
    return number(1.0, x.dtype) / inverse_exprel(x)


def power(x: Tensor, exponent: float) -> Tensor:
    """Return x**exponent for a literal exponent; whole ones up to 32 by multiplication.

    XLA turns a general power into a logarithm and an exponential, which costs more than all the
    rest of a channel.
    """
    whole = int(exponent)
    if whole != exponent or not 1 <= abs(whole) <= 32:
        return tf.sqrt(x) if exponent == 0.5 else tf.pow(x, tf.constant(exponent, x.dtype))
    factors, square, left = [], x, abs(whole)
    while left:
        if left & 1:
            factors.append(square)
        left >>= 1
        square = square * square if left else square
    product = factors[0]
    for factor in factors[1:]:
        product = product * factor
    return 1 / product if whole < 0 else product


# pi/2 in parts of few bits, so that the product of each but the last with a whole number of less
# than 2**29 (2**14 in float32) is exact.
_HALF_PI = {
    tf.float64: (
        1.570796251296997,
        7.549790126404332e-08,
        -1.7151245100058819e-15,
        1.0562999066987428e-23,
    ),
    tf.float32: (1.5703125, 0.00048351287841796875, 3.1385570764541626e-07, 6.07710062827671e-11),
}


@tf.custom_gradient
def sin(x: Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
    """Return the sine; XLA calls a library number by number, several times slower in float64."""
    value = _turned(x, 0.0) if x.dtype in _HALF_PI else tf.sin(x)
    return value, lambda upstream: upstream * cos(x)


@tf.custom_gradient
def cos(x: Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
    """Return the cosine."""
    value = _turned(x, 1.0) if x.dtype in _HALF_PI else tf.cos(x)
    return value, lambda upstream: -upstream * sin(x)


def _turned(x: Tensor, quarters: float) -> Tensor:
    """Return sin(x + quarters*pi/2).

    The argument is brought to [-pi/4, pi/4] (Cody WJ, Waite W (1980) Software manual for the
    elementary functions), where the Taylor series are good to the last bit but one. The error is
    at most 3 in the last place for |x| < 2**29 (2**14 in float32); beyond, it is as if x had been
    changed by a rounding error of its own.
    """
    k = tf.round(x * (2 / math.pi))
    rest = x
    for part in _HALF_PI[x.dtype]:
        rest = rest - k * part
    rest = tf.clip_by_value(rest, -1.0, 1.0)
    terms = 9 if x.dtype == tf.float64 else 5
    square = rest * rest
    odd, even = tf.ones_like(x), tf.ones_like(x)
    for n in range(terms, 0, -1):
        odd = 1 - square * odd * (1 / (2 * n * (2 * n + 1)))
        even = 1 - square * even * (1 / ((2 * n - 1) * 2 * n))
    quarter = k + quarters
    quarter = quarter - 4 * tf.floor(quarter * 0.25)  # 0, 1, 2 or 3
    is_even = (quarter == 0) | (quarter == 2)
    value = tf.where(is_even, rest * odd, even)
    return tf.where(quarter < 2, value, -value)


def where(condition: Tensor | bool, a: Tensor | float, b: Tensor | float) -> Tensor:
    """Return `a` where the condition holds, else `b`; numbers take the other's dtype."""
    like = next(item for item in (a, b, condition) if isinstance(item, tf.Tensor))
    if like is condition:
        like = tf.cast(condition, tf.float64)
    a, b = (tf.convert_to_tensor(item, dtype=like.dtype) for item in (a, b))
    return tf.where(condition, a, b)


FUNCTIONS: dict[str, Callable[..., Tensor]] = {
    "exp": exp,
    "expm1": tf.math.expm1,
    "exprel": exprel,
    "log": tf.math.log,
    "log1p": tf.math.log1p,
    "log10": lambda x: tf.math.log(x) * (1 / math.log(10)),
    "sin": sin,
    "cos": cos,
    "arctan": tf.atan,
    "arctan2": tf.atan2,
    "sinh": tf.sinh,
    "cosh": tf.cosh,
    "tanh": tf.tanh,
    "sigmoid": tf.sigmoid,
    "sqrt": tf.sqrt,
    "abs": tf.abs,
    "sign": tf.sign,
    "floor": tf.floor,
    "ceil": tf.math.ceil,
    "clip": lambda x, low, high: tf.minimum(tf.maximum(x, low), high),
    "minimum": tf.minimum,
    "maximum": tf.maximum,
    "where": where,
}
