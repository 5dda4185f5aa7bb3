import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from somaflow.network.random import threefry, uniform

# Random123 1.14, tests/kat_vectors: threefry2x32, 20 rounds.
KNOWN = [
    ((0, 0), (0, 0), (0x6B200159, 0x99BA4EFE)),
    ((0xFFFFFFFF,) * 2, (0xFFFFFFFF,) * 2, (0x1CB996FC, 0xBB002BE7)),
    ((0x13198A2E, 0x03707344), (0x243F6A88, 0x85A308D3), (0xC4923A9C, 0x483DF7A0)),
]


@pytest.mark.parametrize(("key", "counter", "answer"), KNOWN)
def test_known_answers(key: tuple, counter: tuple, answer: tuple) -> None:
    found = threefry(key, counter)
    assert tuple(int(word) for word in found) == answer
    arrays = threefry(key, tuple(np.full((2, 3), word, np.uint32) for word in counter))
    for array, word in zip(arrays, answer, strict=True):
        assert array.dtype == np.uint32
        assert np.array_equal(array, np.full((2, 3), word, np.uint32))


@given(st.integers(0, 2**63 - 1), st.integers(0, 7), st.integers(0, 2**31), st.integers(0, 2**31))
def test_a_number_depends_on_its_own_counter_alone(seed: int, stream: int, a: int, b: int) -> None:
    alone = uniform(seed, stream, (a, b))
    rows, columns = np.arange(a, a + 3)[:, None], np.arange(b, b + 2)
    block = uniform(seed, stream, (rows, columns))
    assert block.shape == (3, 2)
    assert block[0, 0] == alone
    assert 0 < alone < 1


def test_seeds_and_streams_give_other_numbers() -> None:
    counter = (np.arange(100), 0)
    first = uniform(1, 0, counter)
    for seed, stream in ((2, 0), (1, 1), (1 + 2**32, 0), (1 + 2**62, 0)):
        assert not np.any(uniform(seed, stream, counter) == first)


def test_numbers_are_spread_evenly() -> None:
    numbers = uniform(5, 0, (np.arange(300)[:, None], np.arange(300)))
    counts = np.histogram(numbers, bins=20, range=(0, 1))[0]
    expected = numbers.size / 20
    # Chi squared of 19 degrees of freedom is below 43.8 with probability 0.999.
    assert np.sum((counts - expected) ** 2 / expected) < 43.8
