from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import somaflow as sf
from somaflow.errors import NetworkError, WrongTypeError
from somaflow.network import connectors
from somaflow.network.wiring import Indices

sizes = st.integers(0, 30)
probabilities = st.sampled_from([0.0, 0.1, 0.5, 1.0])
seeds = st.integers(0, 2**63 - 1)


def joined(connector: Any, n_pre: int, n_post: int, same: bool = False) -> tuple[Indices, Indices]:
    return connector.connect(np.arange(n_pre), np.arange(n_post), same)


def check(pre: Indices, post: Indices, n_pre: int, n_post: int) -> None:
    assert pre.dtype == post.dtype == np.int32
    assert pre.shape == post.shape
    assert np.all((pre >= 0) & (pre < n_pre) & (post >= 0) & (post < n_post))
    place = post.astype(np.int64) * max(n_pre, 1) + pre
    assert np.all(np.diff(place) > 0)  # ordered by (post, pre), and none twice


@given(sizes, sizes, st.booleans(), st.booleans())
def test_all_to_all(n_pre: int, n_post: int, self_connections: bool, same: bool) -> None:
    pre, post = joined(sf.AllToAll(self_connections), n_pre, n_post, same)
    check(pre, post, n_pre, n_post)
    left_out = min(n_pre, n_post) if same and not self_connections else 0
    assert len(pre) == n_pre * n_post - left_out
    assert not left_out or np.all(pre != post)


@given(sizes)
def test_one_to_one(n: int) -> None:
    pre, post = joined(sf.OneToOne(), n, n)
    check(pre, post, n, n)
    assert np.array_equal(pre, np.arange(n))
    assert np.array_equal(post, np.arange(n))


def test_one_to_one_wants_equal_sizes() -> None:
    with pytest.raises(NetworkError, match="not 3 cells to 4"):
        joined(sf.OneToOne(), 3, 4)


@given(sizes, sizes, probabilities, seeds, st.booleans(), st.booleans())
def test_fixed_probability(
    n_pre: int, n_post: int, p: float, seed: int, self_connections: bool, same: bool
) -> None:
    pre, post = joined(sf.FixedProbability(p, seed, self_connections), n_pre, n_post, same)
    check(pre, post, n_pre, n_post)
    if same and not self_connections:
        assert np.all(pre != post)
    elif p in (0, 1):
        assert len(pre) == p * n_pre * n_post


@given(sizes, sizes, seeds, st.integers(1, 100), st.booleans())
def test_the_rows_do_not_depend_on_the_block(
    n_pre: int, n_post: int, seed: int, block: int, same: bool
) -> None:
    connector = sf.FixedProbability(0.3, seed, self_connections=False)
    whole = joined(connector, n_pre, n_post, same)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(connectors, "BLOCK", block)
        parts = joined(connector, n_pre, n_post, same)
    assert np.array_equal(whole, parts)


@given(sizes, sizes, seeds)
def test_more_cells_do_not_change_the_wiring_of_others(n_pre: int, n_post: int, seed: int) -> None:
    pre, post = joined(sf.FixedProbability(0.3, seed), n_pre, n_post)
    larger = joined(sf.FixedProbability(0.3, seed), n_pre + 3, n_post + 4)
    inside = (larger[0] < n_pre) & (larger[1] < n_post)
    assert np.array_equal(larger[0][inside], pre)
    assert np.array_equal(larger[1][inside], post)


def test_the_share_of_pairs_is_the_probability() -> None:
    n, p = 400, 0.2
    pre, _ = joined(sf.FixedProbability(p, seed=11), n, n)
    assert abs(len(pre) - p * n * n) < 4 * np.sqrt(p * (1 - p)) * n


@pytest.mark.parametrize("connector", [sf.AllToAll(False), sf.FixedProbability(1.0, 3, False)])
def test_a_cell_that_both_sides_have_is_not_joined_to_itself(connector: Any) -> None:
    pre_cells, post_cells = np.array([4, 0, 2]), np.array([2, 3, 4])
    pre, post = connector.connect(pre_cells, post_cells, True)
    check(pre, post, 3, 3)
    pairs = set(zip(pre_cells[pre].tolist(), post_cells[post].tolist(), strict=True))
    assert pairs == {(i, j) for i in (4, 0, 2) for j in (2, 3, 4) if i != j}


def test_from_list_keeps_its_order() -> None:
    pre, post = joined(sf.FromList([(2, 0), (0, 1), (1, 0)]), 3, 2)
    assert pre.tolist() == [2, 0, 1]
    assert post.tolist() == [0, 1, 0]


def test_an_empty_list_joins_nothing() -> None:
    assert [len(side) for side in joined(sf.FromList([]), 3, 2)] == [0, 0]


@pytest.mark.parametrize(
    ("pairs", "words"),
    [
        ([(0, 0), (3, 1)], r"the pair \(3, 1\), but the presynaptic side has 3 cells \(0 to 2\)"),
        ([(0, 2)], r"the pair \(0, 2\), but the postsynaptic side has 2 cells"),
        ([(-1, 0)], r"the pair \(-1, 0\)"),
        ([(1, 0), (0, 1), (1, 0)], r"names the pair \(1, 0\) twice"),
    ],
)
def test_a_list_that_does_not_fit(pairs: Any, words: str) -> None:
    with pytest.raises(NetworkError, match=words):
        joined(sf.FromList(pairs), 3, 2)


@pytest.mark.parametrize(
    "pairs", ["01", {0: 1}, [(0, 1, 2)], [0, 1], [(0.5, 1)], [(0, 1), (2,)], 3, [("a", "b")]]
)
def test_what_is_no_list_of_pairs(pairs: Any) -> None:
    with pytest.raises(WrongTypeError, match="FromList takes"):
        sf.FromList(pairs)


def test_pairs_come_from_any_iterable() -> None:
    assert sf.FromList(zip(range(3), range(3), strict=True)) == sf.FromList(
        [(0, 0), (1, 1), (2, 2)]
    )


@pytest.mark.parametrize("p", [-0.1, 1.1, float("nan"), float("inf")])
def test_a_probability_lies_between_0_and_1(p: float) -> None:
    with pytest.raises(NetworkError, match="from 0 to 1"):
        sf.FixedProbability(p)


@pytest.mark.parametrize("p", ["0.5", None, True, object(), 1j, np.complex128(1)])
def test_a_probability_is_a_number(p: Any) -> None:
    with pytest.raises(WrongTypeError, match="from 0 to 1"):
        sf.FixedProbability(p)
