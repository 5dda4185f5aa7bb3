"""Random numbers for noise: Threefry-2x32, a counter-based generator, in tensor operations.

A number depends on its key and counter alone, so runs have the same noise in any chunk, on any
device, eagerly or compiled. The generator of the wiring has the same bits (`network/random.py`).
"""

import math
from typing import Any

import tensorflow as tf

Tensor = Any  # a tf.Tensor: TensorFlow's own type stubs refuse ordinary indexing

_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
_PARITY = 0x1BD11BDA
# Set in the stream of every noise and of no wiring, so that the two never share a key.
_NOISE = 0x80000000


def threefry(key: tuple[Any, Any], counter: tuple[Any, Any]) -> tuple[Tensor, Tensor]:
    """Return the two words of Threefry-2x32 with 20 rounds.

    Salmon JK, Moraes MA, Dror RO, Shaw DE (2011) Parallel random numbers: as easy as 1, 2, 3.
    SC'11, doi:10.1145/2063384.2063405.

    Args:
        key: Two 32-bit words: uint32 tensors or Python ints.
        counter: The same, of shapes that broadcast with each other.

    Returns:
        Two uint32 tensors of the broadcast shape.
    """
    k0, k1, x0, x1 = (tf.convert_to_tensor(word, tf.uint32) for word in (*key, *counter))
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


def normal(seed_words: tuple[Any, Any], stream: int, step: Any, index: Any, dtype: Any) -> Tensor:
    """Return standard normal numbers, one for each step and index.

    Box GEP, Muller ME (1958) A note on the generation of random normal deviates. Annals of
    Mathematical Statistics 29:610-611; of the pair only the cosine is used.

    Args:
        seed_words: The seed's lower and upper 32 bits: uint32 tensors or Python ints.
        stream: Which noise, below 2**31.
        step: Integer tensor or int below 2**32.
        index: Integer tensor or int below 2**32, of a shape that broadcasts with that of `step`.
        dtype: Float type of the result.

    Returns:
        A tensor of the broadcast shape.
    """
    low, high = (_as_words(word) for word in seed_words)
    key = (low, tf.bitwise.bitwise_xor(high, _word(stream | _NOISE)))
    words = threefry(key, (_as_words(step), _as_words(index)))
    # Half a unit is added, so that no logarithm is infinite.
    radius, turn = ((tf.cast(word, dtype) + 0.5) * 2.0**-32 for word in words)
    return tf.sqrt(-2 * tf.math.log(radius)) * tf.cos(2 * math.pi * turn)


def _word(value: int) -> Tensor:
    return tf.constant(value, tf.uint32)


def _as_words(value: Any) -> Tensor:
    if isinstance(value, int):
        return _word(value)
    return tf.cast(value, tf.uint32)
