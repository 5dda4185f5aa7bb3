"""Poisson numbers, exact for any mean, from the counter-based generator of `random.py`.

Small means go by inversion: the distribution function is added up, term by term, until it is beyond
a uniform number. Large ones go by rejection, whose cost does not grow with the mean. Both are loops
that end when every number is found, so their cost follows what is drawn. All is in float64: in
float32 the distribution function would be rounded to 6e-8 near 1.
"""

import math

import tensorflow as tf

from somaflow.numerics.random import Integer, Key, threefry, uniforms_of
from somaflow.numerics.types import Tensor

LARGE = 256.0  # the mean from which on rejection costs less
_TERMS = 12  # of the distribution function that are added in one kernel
_TINY = 1e-18  # a term that changes no sum near 1
_TRIES = 100  # of a rejection; one in five is refused


def poisson_of(key: Key, step: Integer, index: Integer, mean: Tensor, most: float) -> Tensor:
    """Return whole numbers with Poisson distributions, float64, one for each step and index.

    Args:
        key: Of `derive`.
        step: Integer tensor or int below 2**32.
        index: Integer tensor or int below 2**32, of a shape that broadcasts with that of `step`.
        mean: The means, float64, at least 0, of a shape that broadcasts with that of `index`.
        most: A number that no mean is above. Where it is small, rejection is not even compiled,
            which would take as long as all the rest.
    """
    high, low = threefry(key, (tf.cast(step, tf.uint32), tf.cast(index, tf.uint32)))
    # 52 bits and a half: neither 0 nor 1, and nothing is rounded.
    low = tf.bitwise.right_shift(low, tf.constant(12, tf.uint32))
    uniform = tf.cast(high, tf.float64) * 2.0**-32 + (tf.cast(low, tf.float64) + 0.5) * 2.0**-52
    if most < LARGE:
        return _inverted(uniform, mean)
    numbers = _inverted(uniform, tf.where(mean < LARGE, mean, tf.zeros_like(mean)))
    return _rejected(key, step, index, mean, numbers)


def _inverted(uniform: Tensor, mean: Tensor) -> Tensor:
    """Return the least k whose distribution function is not below a uniform number."""
    term, base = tf.exp(-mean), tf.zeros([], tf.float64)

    def more(base: Tensor, term: Tensor, total: Tensor, count: Tensor) -> tuple[Tensor, ...]:
        for j in range(_TERMS):
            count += tf.cast(uniform > total, tf.float64)
            term *= mean * (1 / (base + (j + 1.0)))
            total += term
        return base + float(_TERMS), term, total, count

    def unfinished(base: Tensor, term: Tensor, total: Tensor, count: Tensor) -> Tensor:
        return tf.reduce_any((uniform > total) & ((term > _TINY) | (base < mean)))

    start = more(base, term, term, tf.zeros_like(uniform))
    return tf.while_loop(unfinished, more, start)[3]


def _rejected(key: Key, step: Integer, index: Integer, mean: Tensor, numbers: Tensor) -> Tensor:
    """Return `numbers`, with numbers of large means in place of those of small ones.

    Hormann W (1993) The transformed rejection method for generating Poisson random variables.
    Insurance: Mathematics and Economics 12:39-45, doi:10.1016/0167-6687(93)90997-4, algorithm PTRS
    without its squeezes, which save nothing where many numbers are drawn at once.
    """
    b = 0.931 + 2.53 * tf.sqrt(mean)
    a = -0.059 + 0.02483 * b
    scale = 1.1239 + 1.1328 / (b - 3.4)

    def attempt(t: Tensor, open_: Tensor, numbers: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        # A key for each try; counters are used up by step and index.
        u, v = uniforms_of(threefry(key, (tf.cast(t, tf.uint32), 1)), step, index, tf.float64)
        u = u - 0.5
        edge = 0.5 - tf.abs(u)
        k = tf.floor((2 * a / edge + b) * u + mean + 0.43)
        inside = tf.maximum(k, 1.0)
        # log of mean**k*exp(-mean)/k!, the factorial by Stirling's series; it is off by 6e-11 at
        # k = 10, which no mean that is large ever gives.
        stirling = (1 / 12 - (1 / 360 - 1 / (1260 * inside**2)) / inside**2) / inside
        log_p = (
            inside * tf.math.log(mean / inside)
            + (inside - mean)
            - 0.5 * tf.math.log(2 * math.pi * inside)
            - stirling
        )
        hit = tf.math.log(v * scale / (a / edge**2 + b)) <= log_p
        hit = open_ & hit & (k >= 1)
        return t + 1, open_ & ~hit, tf.where(hit, k, numbers)

    wanted = tf.broadcast_to(mean >= LARGE, numbers.shape)
    start = tf.constant(0), wanted, numbers
    return tf.while_loop(lambda t, open_, _: (t < _TRIES) & tf.reduce_any(open_), attempt, start)[2]
