"""Random numbers for wiring: Threefry-2x32, a counter-based generator, in NumPy.

The numbers depend on the seed, the stream and the counter alone, so a network is wired alike on
every machine and with every version of NumPy, and any range of cells can be wired by itself.

What has no seed of its own gets one from the network's seed and from the names of what it is for,
so that no two things draw alike by default, and nothing depends on the order of declaration.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from somaflow.errors import MissingValueError, WrongTypeError
from somaflow.given import shown

_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
_PARITY = np.uint32(0x1BD11BDA)
_BLOCK = 1 << 15  # numbers made at a time: twenty rounds over these stay in a core's cache

Words = NDArray[np.uint32]
Key = tuple[Words, Words]
Numbers = NDArray[np.integer] | int
Counter = tuple[Numbers, Numbers]  # of shapes that broadcast
Thing = TypeVar("Thing")
# A stream is a number below 2**32, or several of them.
Stream = int | tuple[int, ...]

# Streams of what is drawn with a user's seed, so that one seed in two places means no relation.
# From the stream SEED come the seeds of what has none.
WIRING, WEIGHT, DELAY, PARAMETER, INITIAL, SEED, JOINT = range(7)


def check_seed(seed: object) -> int:
    """Return a seed as an int.

    Raises:
        WrongTypeError: It is not an integer from 0 to 2**63 - 1.
    """
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or not 0 <= seed < 2**63:
        raise WrongTypeError(f"a seed is an integer from 0 to 2**63 - 1, not {shown(seed)}.")
    return int(seed)


def check_own_seed(seed: object) -> int | None:
    """Return the seed of a part of a network as an int, or None where it has none.

    Raises:
        WrongTypeError: It is neither.
    """
    return None if seed is None else check_seed(seed)


def threefry(key: Counter, counter: Counter) -> tuple[Words, Words]:
    """Return the two words of Threefry-2x32 with 20 rounds.

    Salmon JK, Moraes MA, Dror RO, Shaw DE (2011) Parallel random numbers: as easy as 1, 2, 3.
    SC'11, doi:10.1145/2063384.2063405.

    Args:
        key: Two 32-bit words.
        counter: Two arrays of 32-bit words, of shapes that broadcast.

    Returns:
        Two uint32 arrays of the broadcast shape.
    """
    k0, k1, c0, c1 = (np.asarray(word, dtype=np.uint32) for word in (*key, *counter))
    keys = (k0, k1, k0 ^ k1 ^ _PARITY)
    shape = np.broadcast_shapes(c0.shape, c1.shape)
    x0, x1, turned = (np.empty(shape, np.uint32) for _ in range(3))
    with np.errstate(over="ignore"):
        np.add(c0, k0, out=x0)
        np.add(c1, k1, out=x1)
        for block in range(5):
            for rotation in _ROTATIONS[block % 2]:
                np.add(x0, x1, out=x0)
                np.left_shift(x1, np.uint32(rotation), out=turned)
                np.right_shift(x1, np.uint32(32 - rotation), out=x1)
                np.bitwise_or(x1, turned, out=x1)
                np.bitwise_xor(x1, x0, out=x1)
            np.add(x0, keys[(block + 1) % 3], out=x0)
            np.add(x1, keys[(block + 2) % 3] + np.uint32(block + 1), out=x1)
    return x0, x1


def derive(seed: int | None, stream: Stream = ()) -> Key:
    """Return the key of a stream of a seed.

    The seed is the first key; each number of the stream, as a counter under the key so far, gives
    the next. For one seed this is a bijection of a number, so two streams never share a key; two
    seeds share one by chance alone (2**-64), unlike with sums or xors of seed and stream.

    Args:
        seed: From 0 to 2**64 - 1.
        stream: A number below 2**32, or several.

    Raises:
        MissingValueError: There is no seed.
    """
    if seed is None:
        raise MissingValueError(
            "a connector or a distribution without a seed gets one from the Projection or the "
            "Population that it is for; by itself it draws with seed=... alone."
        )
    key: Key = (np.asarray(seed & 0xFFFFFFFF, np.uint32), np.asarray(seed >> 32, np.uint32))
    for number in (stream,) if isinstance(stream, int) else stream:
        key = threefry(key, (number, 0))
    return key


def part_of(stream: Stream, part: int) -> tuple[int, ...]:
    """Return the stream of a part of what a stream is for."""
    return (*((stream,) if isinstance(stream, int) else stream), part)


def named(name: str) -> tuple[int, int]:
    """Return the two numbers of a stream that belongs to a name."""
    digest = hashlib.sha256(name.encode()).digest()
    return int.from_bytes(digest[:4], "big"), int.from_bytes(digest[4:8], "big")


def seed_for(seed: int, *purpose: str) -> int:
    """Return the seed of what has none of its own.

    Args:
        seed: The network's.
        *purpose: What it is for, such as `"projection", "PN_to_LN", "weight"`.
    """
    low, high = derive(seed, (SEED, *named("\0".join(purpose))))
    return (int(high) << 32 | int(low)) >> 1


def seeded(thing: Thing, seed: int, *purpose: str) -> Thing:
    """Return a connector or a distribution with a seed, made for its purpose if it has none.

    Args:
        thing: A description; one that is not random stays as it is. What has a `together`, the
            names of what is drawn jointly, gets the seed that the others of them get.
        seed: As for `seed_for`.
        *purpose: As for `seed_for`.
    """
    if getattr(thing, "seed", 0) is not None:
        return thing
    together = getattr(thing, "together", ())
    if together:  # one draw for all of them, whichever this is and whatever it is for
        purpose = (*purpose[:-1], "joint", *together)
    return replace(thing, seed=seed_for(seed, *purpose))  # pyright: ignore[reportArgumentType]


def reseeded(thing: Thing, *purpose: str) -> Thing:
    """Return a description that has a seed with another one, made from it for a purpose."""
    seed: int = thing.seed  # pyright: ignore[reportAttributeAccessIssue]
    return replace(thing, seed=seed_for(seed, *purpose))  # pyright: ignore[reportArgumentType]


def uniform(seed: int, stream: Stream, counter: Counter) -> NDArray[np.float64]:
    """Return numbers in (0, 1), with 52 random bits, keyed by seed, stream and counter.

    Args:
        seed: From 0 to 2**64 - 1.
        stream: See `derive`.
        counter: Two arrays of numbers below 2**32, of shapes that broadcast.
    """
    return uniform_of(derive(seed, stream), counter)


def uniform_of(key: Key, counter: Counter) -> NDArray[np.float64]:
    """Return the numbers of `uniform` for a key of `derive`."""
    numbers = np.empty(np.broadcast_shapes(np.shape(counter[0]), np.shape(counter[1])))
    for part, high, low in _words(key, counter, numbers.shape):
        bits = (high.astype(np.uint64) << np.uint64(20)) | (low >> np.uint32(12))
        numbers[part] = (bits.astype(np.float64) + 0.5) * 2.0**-52
    return numbers


def below(bound: Numbers, key: Key, counter: Counter) -> NDArray[np.int64]:
    """Return whole numbers from 0 to below `bound`, keyed by a key of `derive` and the counter.

    They are the integer part of bound*x/2**64 for a random word x of 64 bits, so no number's
    probability is off by more than bound/2**64.

    Args:
        bound: One number or an array of the counter's shape, from 1 to 2**32 - 1.
        key: Of `derive`.
        counter: Two arrays of numbers below 2**32, of shapes that broadcast.
    """
    numbers = np.empty(np.broadcast_shapes(np.shape(counter[0]), np.shape(counter[1])), np.int64)
    bounds = np.broadcast_to(np.asarray(bound, np.uint64), numbers.shape)
    for part, high, low in _words(key, counter, numbers.shape):
        carry = (low * bounds[part]) >> np.uint64(32)
        numbers[part] = (high * bounds[part] + carry) >> np.uint64(32)
    return numbers


def _words(
    key: Key, counter: Counter, shape: tuple[int, ...]
) -> Iterator[tuple[slice | tuple[()], Words, Words]]:
    """Iterate over blocks of the words: where each belongs, and its two arrays."""
    if not shape:
        yield (), *threefry(key, counter)
        return
    wide = tuple(np.broadcast_to(np.asarray(word), shape) for word in counter)
    width = max(int(np.prod(shape[1:])), 1)
    step = max(_BLOCK // width, 1)
    for start in range(0, shape[0], step):
        part = slice(start, start + step)
        yield part, *threefry(key, (wide[0][part], wide[1][part]))
