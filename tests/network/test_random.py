import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from somaflow.network.random import below, derive, named, threefry, uniform

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


@given(st.integers(0, 2**63 - 1), st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1))
def test_streams_of_a_seed_share_no_key(seed: int, one: int, other: int) -> None:
    keys = [tuple(int(word) for word in derive(seed, stream)) for stream in (one, other)]
    assert (keys[0] == keys[1]) == (one == other)


def test_large_seeds_share_no_key_with_streams_of_small_ones() -> None:
    # A seed of more than 32 bits once had the key of a small seed's stream.
    keys = {
        tuple(int(word) for word in derive(seed, stream))
        for seed in (5, 5 + 2**32, 5 + 2 * 2**32, 5 + 3 * 2**32)
        for stream in (0, 1, 2, 3, (0, 0), (0, 1), (1, 0), ())
    }
    assert len(keys) == 32


def test_the_key_is_threefry_of_the_stream_under_the_seed() -> None:
    seed = 0x0370734413198A2E
    found = derive(seed, 0x243F6A88)
    wanted = threefry((0x13198A2E, 0x03707344), (0x243F6A88, 0))
    assert [int(w) for w in found] == [int(w) for w in wanted]
    assert [int(w) for w in derive(seed)] == [0x13198A2E, 0x03707344]
    again = threefry(found, (7, 0))
    assert [int(w) for w in derive(seed, (0x243F6A88, 7))] == [int(w) for w in again]


def test_a_number_known_for_ever() -> None:
    assert uniform(7, 3, (11, 13)) == 0.5181681448824583
    assert named("tau") == (737998412, 950974234)


@pytest.mark.parametrize("bound", [1, 2, 7, 100_000, 2**32 - 1])
def test_whole_numbers_are_the_leading_part_of_64_bits(bound: int) -> None:
    key, counter = derive(3, 1), (np.arange(50)[:, None], np.arange(40))
    high, low = (words.astype(object) for words in threefry(key, counter))
    wanted = ((high * 2**32 + low) * bound) >> 64
    np.testing.assert_array_equal(below(bound, key, counter), wanted.astype(np.int64))


def test_whole_numbers_may_have_a_bound_each() -> None:
    bounds = np.arange(1, 41)
    found = below(bounds, derive(3, 1), (np.arange(50)[:, None], np.arange(40)))
    assert np.all((found >= 0) & (found < bounds))
    assert np.all(found.max(axis=0)[1:20] == bounds[1:20] - 1)


def test_blocks_do_not_matter() -> None:
    whole = uniform(1, 0, (np.arange(500)[:, None], np.arange(300)))
    assert np.array_equal(whole[123], uniform(1, 0, (123, np.arange(300))))
    assert np.array_equal(whole[:, 7], uniform(1, 0, (np.arange(500), 7)))
    assert uniform(1, 0, (np.zeros((0, 3)), 1)).shape == (0, 3)
