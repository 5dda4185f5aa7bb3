"""Poisson numbers against the Poisson distribution, within what 4 standard errors allow."""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from somaflow.numerics.poisson import poisson_of
from somaflow.numerics.random import derive

KEY = derive((12, 34), (3, 5))
N, STEPS = 20_000, 10


@pytest.fixture(scope="module")
def draw() -> Any:
    def numbers(step: tf.Tensor, mean: tf.Tensor) -> tf.Tensor:
        return poisson_of(KEY, step, tf.range(N), mean, np.inf)

    made = tf.function(numbers, jit_compile=True, autograph=False)

    def drawn(step: int, mean: Any) -> np.ndarray:
        mean = tf.constant(np.broadcast_to(mean, N), tf.float64)
        return made(tf.constant(step, tf.int64), mean).numpy()

    return drawn


@pytest.mark.parametrize("mean", [0.01, 0.5, 3.0, 30.0, 255.0, 257.0, 500.0, 1e4, 1e7])
def test_numbers_have_the_poisson_distribution(mean: float, draw: Any) -> None:
    x = np.concatenate([draw(step, mean) for step in range(STEPS)])
    assert np.array_equal(x, np.floor(x))
    assert x.min() >= 0
    assert x.mean() == pytest.approx(mean, abs=4 * np.sqrt(mean / x.size))
    # The fourth central moment is mean + 3*mean**2.
    assert x.var() == pytest.approx(mean, abs=4 * np.sqrt((mean + 2 * mean**2) / x.size))
    law = stats.poisson(mean)
    edges = np.unique(law.ppf(np.linspace(0, 1, 42)[1:-1]))
    share = np.diff(law.cdf(edges), prepend=0.0, append=1.0)
    wanted = x.size * share
    counted = np.bincount(np.searchsorted(edges, x), minlength=len(share))
    chi = ((counted - wanted) ** 2 / wanted).sum()
    assert stats.chi2(len(edges)).sf(chi) > 1e-4


def test_each_number_has_its_own_mean_and_depends_on_its_index_alone(draw: Any) -> None:
    means = np.array([0.0, 0.2, 20.0, 400.0, 3e4])
    mixed = draw(7, np.resize(means, N))
    for k, mean in enumerate(means):
        part = mixed[k :: len(means)]
        assert np.array_equal(part, draw(7, mean)[k :: len(means)])
        assert part.mean() == pytest.approx(mean, abs=4 * np.sqrt(mean / part.size))
    assert not np.array_equal(mixed, draw(8, np.resize(means, N)))


def test_numbers_of_other_steps_and_indices_are_unrelated(draw: Any) -> None:
    x = np.stack([draw(step, 5.0) for step in range(STEPS)]) - 5
    for a, b in ((x[1:], x[:-1]), (x[:, 1:], x[:, :-1])):
        assert abs(np.mean(a * b)) < 4 * 5 / np.sqrt(a.size)


def test_what_only_large_means_need_changes_no_small_number(draw: Any) -> None:
    few = poisson_of(KEY, 3, tf.range(N), tf.constant(2.0, tf.float64), 2.0)
    assert np.array_equal(few, draw(3, 2.0))
