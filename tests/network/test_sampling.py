import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from somaflow.network import sampling
from somaflow.network.random import derive
from somaflow.network.sampling import (
    bernoulli,
    binomial,
    blocks,
    choose,
    choose_again,
    hypergeometric,
    share,
)

KEY = derive(3, (0, 0))


@given(st.lists(st.integers(0, 9), max_size=30), st.integers(1, 20))
def test_blocks_cover_all_rows_once(costs: list[int], most: int) -> None:
    parts = list(blocks(np.array(costs, np.int64), most))
    assert [k for part in parts for k in range(part.start, part.stop)] == list(range(len(costs)))
    for part in parts:
        assert part.stop == part.start + 1 or sum(costs[part]) <= most


@pytest.mark.parametrize(
    ("size", "first", "total"),
    [(10, 5, 4), (10, 1, 10), (10, 9, 0), (200, 10, 60), (10**4, 5000, 137), (10**10, 10**9, 50)],
)
def test_hypergeometric_is_the_inverse_of_its_distribution(
    size: int, first: int, total: int
) -> None:
    ones = np.ones(2000, np.int64)
    odd = 2 * np.arange(2000) + 1
    found = hypergeometric(odd / 4000, ones * size, ones * first, ones * total)
    # In whole numbers: how many partial sums of the ways to choose lie at or below u of them all.
    ways = [math.comb(first, x) * math.comb(size - first, total - x) for x in range(total + 1)]
    sums = list(itertools.accumulate(ways))
    wanted = [sum(part * 4000 <= sums[-1] * int(k) for part in sums) for k in odd]
    np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize(
    ("size", "first", "total"),
    [(10, 5, 4), (10, 0, 7), (10, 10, 7), (10, 3, 0), (3, 1, 500), (10**10, 10**9, 50)],
)
def test_binomial_is_the_inverse_of_its_distribution(size: int, first: int, total: int) -> None:
    ones = np.ones(2000, np.int64)
    odd = 2 * np.arange(2000) + 1
    found = binomial(odd / 4000, ones * size, ones * first, ones * total)
    # In whole numbers, as above: of size**total choices those with x among the first.
    rest = size - first
    ways = [math.comb(total, x) * first**x * rest ** (total - x) for x in range(total + 1)]
    sums = list(itertools.accumulate(ways))
    wanted = [
        np.searchsorted([s * 4000 > sums[-1] * int(k) for s in sums], True) for k in odd[::40]
    ]
    np.testing.assert_array_equal(found[::40], wanted)


def test_hypergeometric_of_a_large_network() -> None:
    size, first, total = 10**10, 5 * 10**9, 10**8
    u = np.array([0.001, 0.25, 0.5, 0.75, 0.999])
    ones = np.ones(5, np.int64)
    found = hypergeometric(u, ones * size, ones * first, ones * total)
    deviation = np.sqrt(total * 0.25 * (1 - total / size))
    np.testing.assert_allclose((found - total / 2) / deviation, stats.norm.ppf(u), atol=1e-3)


def test_hypergeometric_does_not_depend_on_its_neighbours() -> None:
    rng = np.random.default_rng(1)
    size = rng.integers(2, 10**6, 200)
    first, total = (rng.integers(0, size) for _ in range(2))
    u = rng.random(200)
    alone = [hypergeometric(u[k : k + 1], *(a[k : k + 1] for a in (size, first, total)))[0]
             for k in range(200)]  # fmt: skip
    np.testing.assert_array_equal(hypergeometric(u, size, first, total), alone)


@given(st.integers(0, 400), st.integers(1, 40), st.integers(0, 40), st.integers(0, 40))
def test_shares_add_up_and_any_range_is_that_of_the_whole(
    total: int, rows: int, start: int, stop: int
) -> None:
    widths = np.where(np.arange(rows) % 3 == 0, 9, 10)
    ends = np.concatenate([[0], np.cumsum(widths)])
    total = min(total, int(ends[-1]))
    whole = share(KEY, total, ends, (0, rows))
    assert whole.sum() == total
    assert np.all((whole >= 0) & (whole <= widths))
    start, stop = sorted((min(start, rows), min(stop, rows)))
    np.testing.assert_array_equal(share(KEY, total, ends, (start, stop)), whole[start:stop])


@given(st.integers(0, 4000), st.integers(1, 40), st.integers(0, 40), st.integers(0, 40), st.data())
def test_shares_with_repetition_add_up_and_any_range_is_that_of_the_whole(
    total: int, rows: int, start: int, stop: int, data: st.DataObject
) -> None:
    widths = np.array(data.draw(st.lists(st.integers(0, 9), min_size=rows, max_size=rows)))
    ends = np.concatenate([[0], np.cumsum(widths)])
    total *= int(ends[-1] > 0)
    whole = share(KEY, total, ends, (0, rows), again=True)
    assert whole.sum() == total
    assert np.all((whole >= 0) & ((whole == 0) | (widths > 0)))
    start, stop = sorted((min(start, rows), min(stop, rows)))
    part = share(KEY, total, ends, (start, stop), again=True)
    np.testing.assert_array_equal(part, whole[start:stop])


def test_columns_that_may_repeat_are_each_as_probable_and_keyed_by_the_row() -> None:
    counts, widths = np.arange(300) % 40, 20 + 20 * (np.arange(300) % 3)
    columns = choose_again(KEY, np.arange(300), counts, widths)
    row = np.repeat(np.arange(300), counts)
    assert np.all((columns >= 0) & (columns < widths[row]))
    assert np.all(np.diff(row * 100 + columns) >= 0)
    bins = np.bincount(columns * 20 // widths[row], minlength=20)
    assert np.sum((bins - len(row) / 20) ** 2) / (len(row) / 20) < 43.8
    part = slice(70, 95)
    alone = choose_again(KEY, np.arange(300)[part], counts[part], widths[part])
    np.testing.assert_array_equal(alone, columns[(row >= 70) & (row < 95)])


@given(st.integers(1, 30), st.data())
def test_chosen_columns_differ_and_are_as_many_as_asked(width: int, data: st.DataObject) -> None:
    counts = np.array(data.draw(st.lists(st.integers(0, width), max_size=20)), np.int64)
    rows, widths = np.arange(len(counts)), np.full(len(counts), width)
    columns = choose(KEY, rows, counts, widths)
    assert np.all((columns >= 0) & (columns < width))
    row = np.repeat(rows, counts)
    assert np.all(np.diff(row * width + columns) > 0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sampling, "BLOCK", 5)
        np.testing.assert_array_equal(choose(KEY, rows, counts, widths), columns)


@pytest.mark.parametrize("p", [1e-12, 1e-5, 0.01, 0.5, 1 - 1e-12, 1.0])
def test_gaps_are_counted_in_the_table_and_a_logarithm_only_guesses(p: float) -> None:
    longest = 1 << 12
    survival = np.cumprod(np.r_[1.0, np.full(longest, 1 - p)])
    u = np.concatenate([np.random.default_rng(2).random(20_000), survival[1:]])
    u = u[(u > 0) & (u < 1)]
    wanted = (u[:, None] < survival[None, 1:]).sum(axis=1) if p > 0.1 else None
    scale = 1 / np.log1p(-p) if p < 1 else 0.0
    found = sampling._gaps(u, survival, scale)
    if wanted is None:
        wanted = longest - np.searchsorted(survival[:0:-1], u, side="right")
    np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("p", [1e-5, 0.003, 0.4])
def test_long_gaps_in_parts_are_the_same_distribution(
    p: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sampling, "_LONGEST", 7)
    counts, columns = bernoulli(KEY, np.arange(300), 5_000, p)
    mean = 300 * 5_000 * p
    assert abs(len(columns) - mean) < 4 * np.sqrt(mean)
    assert counts.sum() == len(columns)
    row = np.repeat(np.arange(300), counts)
    assert np.all(np.diff(row * 5_000 + columns) > 0)
    if p > 0.001:
        bins = np.bincount(columns * 20 // 5_000, minlength=20)
        assert np.sum((bins - mean / 20) ** 2) / (mean / 20 * (1 - p)) < 43.8


def test_a_long_row_goes_on_where_its_first_numbers_end() -> None:
    # So few numbers at a time that every row needs many rounds.
    counts, columns = bernoulli(KEY, np.arange(50), 100, 0.5)
    wide_counts, wide = bernoulli(KEY, np.arange(50), 10_000, 0.5)
    row = np.repeat(np.arange(50), wide_counts)
    inside = wide < 100
    np.testing.assert_array_equal(wide[inside], columns)
    np.testing.assert_array_equal(np.bincount(row[inside], minlength=50), counts)
