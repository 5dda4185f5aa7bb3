"""Threefry in tensor operations: published answers, and the bits of its NumPy twin."""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from somaflow.network import random as wiring
from somaflow.numerics.random import (
    NOISE,
    derive,
    fraction_of,
    normal,
    threefry,
    uniforms_of,
)

# The file kat_vectors of Random123 1.14: key, counter and answer of threefry2x32 with 20 rounds.
KNOWN = [
    ((0, 0), (0, 0), (0x6B200159, 0x99BA4EFE)),
    ((0xFFFFFFFF, 0xFFFFFFFF), (0xFFFFFFFF, 0xFFFFFFFF), (0x1CB996FC, 0xBB002BE7)),
    ((0x13198A2E, 0x03707344), (0x243F6A88, 0x85A308D3), (0xC4923A9C, 0x483DF7A0)),
]


def compiled(function: Any) -> Any:
    return tf.function(function, jit_compile=True, autograph=False)


def words(*values: Any) -> tuple[Any, ...]:
    return tuple(tf.constant(np.asarray(value, np.uint32)) for value in values)


@pytest.mark.parametrize("run", [threefry, compiled(threefry)], ids=["eager", "jit"])
def test_known_answers(run: Any) -> None:
    for key, counter, answer in KNOWN:
        found = run(words(*key), words(*counter))
        assert tuple(int(word) for word in found) == answer
    assert tuple(int(word) for word in threefry(*KNOWN[2][:2])) == KNOWN[2][2]


@pytest.mark.parametrize("run", [threefry, compiled(threefry)], ids=["eager", "jit"])
def test_the_numpy_twin_has_the_same_bits(run: Any) -> None:
    rng = np.random.default_rng(3)
    for _ in range(5):
        key = tuple(rng.integers(0, 2**32, 2, dtype=np.uint32))
        counter = rng.integers(0, 2**32, (40, 1), np.uint32), rng.integers(0, 2**32, 30, np.uint32)
        for ours, theirs in zip(
            run(words(*key), words(*counter)), wiring.threefry(key, counter), strict=True
        ):
            np.testing.assert_array_equal(ours, theirs)


def draw(steps: Any, index: Any, seed: int = 11, stream: int = 0, dtype: str = "float64") -> Any:
    return normal((seed & 0xFFFFFFFF, seed >> 32), stream, steps, index, dtype)


def test_moments_and_independence() -> None:
    x = draw(tf.range(1000, dtype=tf.int64)[:, None], tf.range(1000)).numpy()
    n = x.size**0.5
    assert abs(x.mean()) < 4 / n
    assert abs(x.var() - 1) < 4 * 2**0.5 / n
    assert abs((x**3).mean()) < 4 * 15**0.5 / n
    assert abs((x**4).mean() - 3) < 4 * 96**0.5 / n
    assert abs((x[1:] * x[:-1]).mean()) < 4 / n  # steps
    assert abs((x[:, 1:] * x[:, :-1]).mean()) < 4 / n  # neighbours
    within = [np.mean(np.abs(x) < z) for z in (0.5, 1.0, 2.0, 3.0)]
    np.testing.assert_allclose(within, [0.382925, 0.682689, 0.954500, 0.997300], atol=2 / n)


def test_numbers_depend_on_their_own_step_and_index_alone() -> None:
    steps, index = tf.range(7, dtype=tf.int64), tf.range(33)
    whole = draw(steps[:, None], index).numpy()
    np.testing.assert_allclose(compiled(draw)(steps[:, None], index), whole, rtol=1e-13, atol=1e-15)
    np.testing.assert_array_equal(draw(steps[2:4, None], index[5:9]), whole[2:4, 5:9])
    assert float(draw(6, 32)) == whole[6, 32]
    late = 2**32 - 1
    assert float(draw(tf.constant(late, tf.int64), 0)) == float(draw(late, 0))


def test_seeds_and_streams_have_numbers_of_their_own() -> None:
    index = tf.range(100)
    drawn = [
        draw(0, index),
        draw(1, index),
        draw(0, index, seed=12),
        draw(0, index, seed=11 + 2**40),
        draw(0, index, stream=1),
    ]
    assert len(np.unique(np.concatenate(drawn))) == 500


def test_noise_is_a_stream_of_its_own_in_the_generator_of_the_wiring() -> None:
    seed, index = 5 + 2**40, np.arange(200, dtype=np.uint32)
    for stream in (9, (2, 7)):
        numbers = (stream,) if isinstance(stream, int) else stream
        key = wiring.derive(seed, (NOISE, *numbers))
        words = (seed & 0xFFFFFFFF, seed >> 32)
        assert tuple(int(word) for word in derive(words, stream)) == tuple(map(int, key))
        marked = wiring.threefry(key, (np.uint32(3), index))
        radius = np.sqrt(-2 * np.log((marked[0] + 0.5) * 2.0**-32))
        wanted = radius * np.cos(2 * np.pi * (marked[1] + 0.5) * 2.0**-32)
        found = normal(words, stream, 3, tf.range(200), "float64")
        np.testing.assert_allclose(found, wanted, rtol=1e-12, atol=1e-14)
    assert wiring.INITIAL < NOISE  # what wiring begins its streams with stays below


def test_uniform_numbers_lie_in_their_interval_and_are_independent() -> None:
    key = derive((3, 0), 1)
    first, second = uniforms_of(key, tf.range(500)[:, None], tf.range(1000), "float64")
    for u in (first.numpy(), second.numpy()):
        assert 0 < u.min() < 1e-4
        assert 1 - 1e-4 < u.max() < 1
        assert abs(u.mean() - 0.5) < 4 / np.sqrt(12 * u.size)
    product = (first - 0.5) * (second - 0.5)
    assert abs(product.numpy().mean()) < 4 / 12 / np.sqrt(500_000)
    single = uniforms_of(key, 0, tf.range(1000), "float32")
    np.testing.assert_allclose(single[0], first[0], atol=1e-7)
    assert float(tf.reduce_min(single[0])) > 0


def test_float32_is_the_same_noise_rounded() -> None:
    steps, index = tf.range(100)[:, None], tf.range(1000)
    single = draw(steps, index, dtype="float32")
    assert single.dtype == tf.float32
    np.testing.assert_allclose(single, draw(steps, index), atol=1e-3)
    assert np.isfinite(single).all()


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_fractions_are_below_1_and_as_often_below_p_as_p_says(dtype: str) -> None:
    key = derive((5, 0), (1, 2))
    x = fraction_of(key, tf.range(1000, dtype=tf.int64)[:, None], tf.range(1000), dtype).numpy()
    assert x.dtype == dtype
    assert 0 <= x.min() < 1e-5
    assert 1 - 1e-5 < x.max() < 1
    for p in (1e-4, 0.01, 0.5):
        assert abs((x < p).mean() - p) < 4 * (p * (1 - p) / x.size) ** 0.5
    words = wiring.threefry(tuple(np.asarray(word) for word in key), (np.arange(3), np.arange(3)))
    wanted = words[0] * 2.0**-32 + words[1] * 2.0**-64
    found = fraction_of(key, tf.range(3), tf.range(3), "float64").numpy()
    np.testing.assert_array_equal(found, wanted)


def test_a_fraction_is_never_1(monkeypatch: pytest.MonkeyPatch) -> None:
    most = tf.constant(0xFFFFFFFF, tf.uint32)
    monkeypatch.setattr("somaflow.numerics.random.threefry", lambda key, counter: (most, most))
    for dtype in ("float64", "float32"):
        assert fraction_of((most, most), 0, 0, dtype).numpy() < 1


def test_an_array_of_streams_makes_the_keys_of_each() -> None:
    numbers = np.array([4, 7], np.uint32)
    found = derive((5, 0), (1, numbers))
    for k, number in enumerate(numbers):
        assert [int(word[k]) for word in found] == [
            int(w) for w in derive((5, 0), (1, int(number)))
        ]
