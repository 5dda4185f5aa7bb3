"""Random numbers for noise: Threefry-2x32, a counter-based generator, in tensor operations.

A number depends on its key and counter alone, so runs have the same noise in any chunk, on any
device, eagerly or compiled. The generator of the wiring has the same bits (`network/random.py`).
"""

import math

import numpy as np
import tensorflow as tf

from somaflow.numerics.device import traced_once
from somaflow.numerics.types import Tensor

_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
_PARITY = 0x1BD11BDA
# Of sin(pi*x): (-1)**k * pi**(2*k + 1)/(2*k + 1)!
_SINE = tuple((-1) ** k * math.pi ** (2 * k + 1) / math.factorial(2 * k + 1) for k in range(10))
# First number of the stream of all that a run draws; wiring has only smaller ones there, so the two
# never share a key.
NOISE = 0x80000000

Key = tuple[Tensor, Tensor]
Integer = Tensor | int
Words = tuple[Integer, Integer]
# A stream is a number below 2**32, or several of them; an array of them makes an array of keys.
Stream = int | tuple[Integer, ...]


def threefry(key: Words, counter: Words) -> tuple[Tensor, Tensor]:
    """Return the two words of Threefry-2x32 with 20 rounds.

    Salmon JK, Moraes MA, Dror RO, Shaw DE (2011) Parallel random numbers: as easy as 1, 2, 3.
    SC'11, doi:10.1145/2063384.2063405.

    Args:
        key: Two 32-bit words: uint32 tensors or Python ints.
        counter: The same, of shapes that broadcast with each other.

    Returns:
        Two uint32 tensors of the broadcast shape.
    """
    return _threefry(*(tf.convert_to_tensor(word, tf.uint32) for word in (*key, *counter)))


@traced_once
def _threefry(k0: Tensor, k1: Tensor, x0: Tensor, x1: Tensor) -> tuple[Tensor, Tensor]:
    keys = (k0, k1, tf.bitwise.bitwise_xor(tf.bitwise.bitwise_xor(k0, k1), _word(_PARITY)))
    x0, x1 = x0 + k0, x1 + k1
    for block in range(5):
        for rotation in _ROTATIONS[block % 2]:
            x0 = x0 + x1
            left = tf.bitwise.left_shift(x1, _word(rotation))
            right = tf.bitwise.right_shift(x1, _word(32 - rotation))
            x1 = tf.bitwise.bitwise_xor(tf.bitwise.bitwise_or(left, right), x0)
        x0 = x0 + keys[(block + 1) % 3]
        x1 = x1 + keys[(block + 2) % 3] + _word(block + 1)
    return x0, x1


def derive(seed_words: Words, stream: Stream) -> Key:
    """Return the key of a stream of a run: that of `(NOISE, *stream)` in `network/random.py`.

    Args:
        seed_words: The seed's lower and upper 32 bits: uint32 tensors or Python ints.
        stream: A number below 2**32, or several.
    """
    low, high = (_as_words(word) for word in seed_words)
    key: Key = low, high
    for number in (NOISE, *((stream,) if isinstance(stream, int) else stream)):
        key = threefry(key, (number, 0))
    return key


def normal(
    seed_words: Words, stream: Stream, step: Integer, index: Integer, dtype: tf.DType | np.dtype
) -> Tensor:
    """Return standard normal numbers, one for each step and index.

    Args:
        seed_words: The seed's lower and upper 32 bits: uint32 tensors or Python ints.
        stream: Which noise: a number below 2**32, or several.
        step: Integer tensor or int below 2**32.
        index: Integer tensor or int below 2**32, of a shape that broadcasts with that of `step`.
        dtype: Float type of the result.

    Returns:
        A tensor of the broadcast shape.
    """
    return normal_of(derive(seed_words, stream), step, index, dtype)


def normal_of(key: Key, step: Integer, index: Integer, dtype: tf.DType | np.dtype) -> Tensor:
    """Return the numbers of `normal` for a key of `derive`.

    Box GEP, Muller ME (1958) A note on the generation of random normal deviates. Annals of
    Mathematical Statistics 29:610-611; of the pair only the cosine is used.
    """
    radius, turn = uniforms_of(key, step, index, dtype)
    return tf.sqrt(-2 * tf.math.log(radius)) * _cosine(turn)


def _cosine(turn: Tensor) -> Tensor:
    """Return cos(2*pi*turn) for numbers from 0 to 1.

    It is sin(pi*x) at x = |2*turn - 1| - 1/2, by the Taylor series to x**19: what is left out is
    below 3e-16. With TensorFlow's own cosine a normal number takes nine times as long.
    """
    x = tf.abs(2 * turn - 1) - 0.5
    square = x * x
    total = tf.zeros_like(x)
    for coefficient in reversed(_SINE):
        total = total * square + coefficient
    return x * total


def uniforms_of(
    key: Key, step: Integer, index: Integer, dtype: tf.DType | np.dtype
) -> tuple[Tensor, Tensor]:
    """Return two independent numbers above 0 and at most 1 for each step and index.

    Args:
        key: Of `derive`.
        step: Integer tensor or int below 2**32.
        index: Integer tensor or int below 2**32, of a shape that broadcasts with that of `step`.
        dtype: Float type of the results; in float64 they are below 1.
    """
    words = threefry(key, (_as_words(step), _as_words(index)))
    # Half a unit is added, so that none is 0.
    first, second = ((tf.cast(word, dtype) + 0.5) * 2.0**-32 for word in words)
    return first, second


def fraction_of(key: Key, step: Integer, index: Integer, dtype: tf.DType | np.dtype) -> Tensor:
    """Return a number for each step and index that is at least 0 and below 1.

    Its arguments are those of `uniforms_of`. A number is below p with probability p,
    to rounding, however small p is.
    """
    first, second = threefry(key, (_as_words(step), _as_words(index)))
    fine = tf.cast(first, dtype) * 2.0**-32 + tf.cast(second, dtype) * 2.0**-64
    below = np.nextafter(np.ones((), tf.as_dtype(dtype).as_numpy_dtype), 0)
    return tf.minimum(fine, below)  # rounding may reach 1


def _word(value: int) -> Tensor:
    return tf.constant(value, tf.uint32)


def _as_words(value: Integer) -> Tensor:
    if isinstance(value, int):
        return _word(value)
    return tf.cast(value, tf.uint32)
