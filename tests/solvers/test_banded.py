"""Elimination in a band, against NumPy's solution of the full system."""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from somaflow.numerics.device import compiled as compiled_by_xla
from somaflow.solvers.banded import Banded
from somaflow.solvers.pattern import Pattern

RNG = np.random.default_rng(3)


def system(n: int, lower: int, upper: int, columns: int, mixed: bool) -> Any:
    """A pattern, its matrices [R, n, n], and where their entries are."""
    offset = np.arange(n) - np.arange(n)[:, None]
    mask = (offset >= -lower) & (offset <= upper)
    matrices = RNG.normal(size=(columns, n, n)) + 3 * np.eye(n)
    # Without exchange of rows these would divide by zero.
    matrices[:, 1::3, 1::3] = 0
    matrices = matrices * mask
    order = RNG.permutation(n) if mixed else np.arange(n)
    rows, cols = np.nonzero(mask[order][:, order])
    found = Pattern(n, rows.astype(np.int32), cols.astype(np.int32))
    return found, matrices[:, order][:, :, order], (rows, cols)


def held(pattern: Pattern, matrices: np.ndarray) -> np.ndarray:
    """The matrices in band storage, [n, width, R]."""
    n, (lower, upper) = pattern.n, pattern.reach
    found = np.zeros((n, lower + upper + 1, len(matrices)))
    inside = matrices[:, pattern.order][:, :, pattern.order]
    for row in range(n):
        for column in range(max(0, row - lower), min(n, row + upper + 1)):
            found[row, column - row + lower] = inside[:, row, column]
    return found


def solved(rows: Any, block: Any, pattern: Pattern) -> Any:
    with tf.GradientTape() as tape:
        tape.watch([rows, block])
        x = Banded(pattern, rows).factorised().solve(block)
        loss = tf.reduce_sum(x * x)
    return x, [tf.convert_to_tensor(bar) for bar in tape.gradient(loss, [rows, block])]


@pytest.mark.parametrize(
    ("shape", "mixed", "compiled"),
    [
        ((12, 2, 1, 2), False, False),
        ((8, 1, 1, 1), False, True),
        ((30, 2, 1, 3), False, True),
        ((30, 1, 3, 2), True, True),
    ],
    ids=["eager", "tridiagonal", "wide", "mixed"],
)
def test_solution_and_gradient(shape: Any, mixed: bool, compiled: bool) -> None:
    pattern, matrices, _ = system(*shape, mixed)
    block = RNG.normal(size=(shape[0], shape[3]))

    def run(rows: Any, block: Any) -> Any:
        return solved(rows, block, pattern)

    call: Any = compiled_by_xla(run) if compiled else run
    rows = held(pattern, matrices)
    x, (by_rows, by_block) = call(tf.constant(rows), tf.constant(block))
    wanted = np.linalg.solve(matrices, block.T[..., None])[..., 0]
    np.testing.assert_allclose(x, wanted.T, rtol=1e-9, atol=1e-11)
    bars = np.linalg.solve(matrices.transpose(0, 2, 1), 2 * wanted[..., None])[..., 0]
    np.testing.assert_allclose(by_block, bars.T, rtol=1e-8, atol=1e-9)
    inside = held(pattern, -bars[:, :, None] * wanted[:, None])
    there = held(pattern, np.ones_like(matrices)) != 0
    np.testing.assert_allclose(by_rows.numpy()[there], inside[there], rtol=1e-8, atol=1e-8)


def test_in_float32() -> None:
    pattern, matrices, _ = system(30, 1, 1, 2, False)
    block = RNG.normal(size=(30, 2))
    rows = tf.constant(held(pattern, matrices), tf.float32)
    x = Banded(pattern, rows).factorised().solve(tf.constant(block, tf.float32))
    assert x.dtype == tf.float32
    wanted = np.linalg.solve(matrices, block.T[..., None])[..., 0].T
    np.testing.assert_allclose(x, wanted, atol=1e-3 * np.abs(wanted).max())


def test_identity_minus() -> None:
    pattern, matrices, _ = system(12, 2, 1, 2, False)
    factor = np.array([0.2, 0.7])
    found = Banded(pattern, tf.constant(held(pattern, matrices))).identity_minus(factor)
    wanted = np.eye(12) - factor[:, None, None] * matrices
    np.testing.assert_allclose(found.rows, held(pattern, wanted), rtol=1e-15)


def test_a_singular_matrix_gives_no_number() -> None:
    pattern, matrices, _ = system(8, 1, 1, 2, False)
    matrices[1, 3] = 0
    rows = tf.constant(held(pattern, matrices))
    x = Banded(pattern, rows).factorised().solve(tf.ones([8, 2], tf.float64)).numpy()
    assert np.isfinite(x[:, 0]).all()
    assert not np.isfinite(x[:, 1]).any()
