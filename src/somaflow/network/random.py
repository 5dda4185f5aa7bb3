"""Random numbers for wiring: Threefry-2x32, a counter-based generator, in NumPy.

The numbers depend on the seed and the counter alone, so a network is wired alike on every machine
and with every version of NumPy, and any range of cells can be wired by itself.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
_PARITY = np.uint32(0x1BD11BDA)

Words = NDArray[np.uint32]


def threefry(key: tuple[Any, Any], counter: tuple[Any, Any]) -> tuple[Words, Words]:
    """Return the two words of Threefry-2x32 with 20 rounds.

    Salmon JK, Moraes MA, Dror RO, Shaw DE (2011) Parallel random numbers: as easy as 1, 2, 3.
    SC'11, doi:10.1145/2063384.2063405.

    Args:
        key: Two 32-bit words.
        counter: Two arrays of 32-bit words, of shapes that broadcast.

    Returns:
        Two uint32 arrays of the broadcast shape.
    """
    k0, k1 = (np.asarray(word, dtype=np.uint32) for word in key)
    keys = (k0, k1, k0 ^ k1 ^ _PARITY)
    with np.errstate(over="ignore"):
        x0 = np.asarray(counter[0], dtype=np.uint32) + k0
        x1 = np.asarray(counter[1], dtype=np.uint32) + k1
        for block in range(5):
            for rotation in _ROTATIONS[block % 2]:
                x0 = x0 + x1
                x1 = (x1 << np.uint32(rotation)) | (x1 >> np.uint32(32 - rotation))
                x1 = x1 ^ x0
            x0 = x0 + keys[(block + 1) % 3]
            x1 = x1 + keys[(block + 2) % 3] + np.uint32(block + 1)
    return x0, x1


def uniform(seed: int, stream: int, counter: tuple[Any, Any]) -> NDArray[np.float64]:
    """Return numbers in (0, 1), with 52 random bits, keyed by seed, stream and counter."""
    high, low = threefry((seed & 0xFFFFFFFF, (seed >> 32) ^ stream), counter)
    bits = (high.astype(np.uint64) << np.uint64(20)) | (low.astype(np.uint64) >> np.uint64(12))
    return (bits.astype(np.float64) + 0.5) * 2.0**-52
