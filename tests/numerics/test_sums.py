"""Sums over synapses: one order of additions, whatever the form, the split and the batch."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pytest
import tensorflow as tf

from somaflow.numerics.sums import block_sums, dense, gathered, weighted_sum

RUN = 16
BLOCK = 16


class Sum(NamedTuple):
    weights: np.ndarray
    sources: np.ndarray | None


def synapses(n_pre: int, n_post: int, p: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Random synapses as (pre, post, weight), ordered by (post, pre)."""
    rng = np.random.default_rng(n_pre + n_post)
    post, pre = np.nonzero(rng.random((n_post, n_pre)) < p)
    return pre, post, rng.normal(size=len(pre))


def tree(terms: list[np.ndarray]) -> np.ndarray:
    """The documented order: runs of 16 terms one after another, then the runs' sums likewise."""
    while True:
        if len(terms) <= RUN:
            total = terms[0]
            for term in terms[1:]:
                total = total + term
            return total
        runs = -(-len(terms) // RUN)
        terms = terms + [np.zeros_like(terms[0])] * (runs * RUN - len(terms))
        terms = [tree(terms[k * RUN : (k + 1) * RUN]) for k in range(runs)]


def by_loop(made: Sum, x: np.ndarray) -> np.ndarray:
    if made.sources is None:
        return tree([row * x[..., k, None] for k, row in enumerate(made.weights)])
    return tree(
        [row * x[..., cells] for row, cells in zip(made.weights, made.sources, strict=True)]
    )


@tf.function(jit_compile=True)
def compiled(weights: tf.Tensor, sources: tf.Tensor | None, x: tf.Tensor) -> tf.Tensor:
    return weighted_sum(weights, sources, x)


def summed(made: Sum, x: np.ndarray, columns: slice = slice(None)) -> np.ndarray:
    sources = None if made.sources is None else tf.constant(made.sources[:, columns])
    return compiled(tf.constant(made.weights[:, columns]), sources, tf.constant(x)).numpy()


def plan(form: str, n_pre: int, n_post: int, p: float) -> Sum:
    fill = dense if form == "dense" else gathered
    arrays = fill(*synapses(n_pre, n_post, p), n_pre, n_post)
    return Sum(arrays["weight"], arrays.get("sources"))


FORMS = {
    "dense": plan("dense", 48, 64, 0.6),
    "dense, one run": plan("dense", 16, 48, 0.7),
    "dense, three levels": plan("dense", 272, 32, 0.5),
    "gather": plan("gathered", 1600, 64, 0.05),
    "gather, one run": plan("gathered", 1600, 48, 0.003),
}


@pytest.fixture(params=FORMS.values(), ids=FORMS.keys())
def form(request: pytest.FixtureRequest) -> Sum:
    return request.param


def inputs(made: Sum, *batch: int) -> np.ndarray:
    n_pre = 1600 if made.sources is not None else len(made.weights)
    return np.random.default_rng(5).normal(size=(*batch, n_pre))


def test_the_forms_are_what_their_names_say() -> None:
    for name, made in FORMS.items():
        assert (made.sources is None) == name.startswith("dense")
        assert (len(made.weights) <= RUN) == name.endswith("one run")


def test_a_sum_equals_a_loop_in_the_same_order(form: Sum) -> None:
    x = inputs(form)
    wanted, size = by_loop(form, x), by_loop(Sum(abs(form.weights), form.sources), abs(x))
    # A fused multiplication and addition rounds once where NumPy rounds twice.
    assert np.all(np.abs(summed(form, x) - wanted) <= 1e-15 * size)


@pytest.mark.parametrize("form", ["dense", "gathered"])
@pytest.mark.parametrize(("n_pre", "p"), [(48, 0.6), (1600, 0.05)])
def test_a_sum_is_that_of_the_synapses(form: str, n_pre: int, p: float) -> None:
    pre, post, weight = synapses(n_pre, 64, p)
    x = np.random.default_rng(6).normal(size=n_pre)
    plain = np.zeros(64)
    np.add.at(plain, post, weight * x[pre])
    np.testing.assert_allclose(summed(plan(form, n_pre, 64, p), x), plain, atol=1e-13)


def test_blocks_of_the_postsynaptic_cells_give_the_same_bits(form: Sum) -> None:
    x = inputs(form)
    whole = summed(form, x)
    width = form.weights.shape[1]
    parts = [summed(form, x, slice(k, k + BLOCK)) for k in range(0, width, BLOCK)]
    assert np.concatenate(parts).tobytes() == whole.tobytes()


@pytest.mark.parametrize("batch", [(1,), (3,), (2, 3)])
def test_a_row_of_a_batch_has_the_bits_of_a_sum_alone(form: Sum, batch: tuple[int, ...]) -> None:
    x = inputs(form, *batch)
    found = summed(form, x)
    for row in np.ndindex(*batch):
        assert found[row].tobytes() == summed(form, x[row]).tobytes()


def test_float32_sums_keep_their_dtype(form: Sum) -> None:
    narrow = Sum(form.weights.astype(np.float32), form.sources)
    x = inputs(form).astype(np.float32)
    found = summed(narrow, x)
    assert found.dtype == np.float32
    size = by_loop(Sum(abs(form.weights), form.sources), abs(x))
    assert np.all(np.abs(found - by_loop(form, x)) <= 1e-6 * size)


NONE = (np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))
THREE = (np.array([3, 40, 7]), np.array([0, 0, 2]), np.array([1.0, 2.0, 3.0]))


def test_a_matrix_is_zero_where_there_is_no_synapse() -> None:
    made = dense(*THREE, 64, 16)["weight"]
    assert made.shape == (64, 16)
    assert (made[3, 0], made[40, 0], made[7, 2]) == (1.0, 2.0, 3.0)
    assert np.count_nonzero(made) == 3


def test_lists_fill_missing_terms_with_weight_zero() -> None:
    made = gathered(*THREE, 64, 16)
    assert made["weight"].shape == made["sources"].shape == (2, 16)
    assert made["weight"][:, 0].tolist() == [1.0, 2.0]
    assert made["weight"][:, 2].tolist() == [3.0, 0.0]
    assert made["sources"][:, 0].tolist() == [3, 40]
    assert made["sources"].dtype == np.int32
    assert not made["weight"][:, 3:].any()


@pytest.mark.parametrize("fill", [dense, gathered])
def test_sums_over_no_synapse_are_zero(fill: Callable) -> None:
    made = fill(*NONE, 32, 16)
    found = summed(Sum(made["weight"], made.get("sources")), np.ones(32))
    assert found.shape == (16,)
    assert not found.any()


@pytest.mark.parametrize("fill", [dense, gathered])
def test_the_weights_keep_their_dtype(fill: Callable) -> None:
    pre, post, weight = THREE
    assert fill(pre, post, weight.astype(np.float32), 64, 16)["weight"].dtype == np.float32


@pytest.mark.parametrize("n_pre", [16, 48])
def test_matrices_side_by_side_give_the_sums_of_each(n_pre: int) -> None:
    """The second part of the presynaptic cells has two matrices, the first and the third one."""
    rng = np.random.default_rng(n_pre)
    block, n_post = np.array([0, 1, 1, 2], np.int32), 16
    weights = rng.normal(size=(n_pre, len(block), n_post))
    x = rng.normal(size=(2, 3, 3 * n_pre))
    whole = tf.function(block_sums, jit_compile=True)(weights, block, x).numpy()
    assert whole.shape == (2, 3, len(block) * n_post)
    for k, part in enumerate(block):
        own = Sum(np.ascontiguousarray(weights[:, k]), None)
        mine = summed(own, np.ascontiguousarray(x[..., part * n_pre : (part + 1) * n_pre]))
        np.testing.assert_array_equal(whole[..., k * n_post : (k + 1) * n_post], mine)
