"""Patterns: few products give the whole matrix, and neighbours stand close."""

from collections.abc import Callable

import numpy as np
import pytest

from somaflow.solvers.pattern import Pattern

RNG = np.random.default_rng(8)


def band(n: int, lower: int, upper: int) -> np.ndarray:
    offset = np.arange(n) - np.arange(n)[:, None]
    return (offset >= -lower) & (offset <= upper)


def ring(n: int) -> np.ndarray:
    return band(n, 1, 1) | np.eye(n, k=n - 1, dtype=bool) | np.eye(n, k=1 - n, dtype=bool)


def grid(rows: int, columns: int) -> np.ndarray:
    return np.kron(np.eye(rows, dtype=bool), band(columns, 1, 1)) | np.kron(
        band(rows, 1, 1), np.eye(columns, dtype=bool)
    )


def species(mask: np.ndarray) -> np.ndarray:
    """A second variable at each place, numbered after all of the first."""
    one = np.eye(len(mask), dtype=bool)
    return np.block([[mask, one], [one, one]])


def shuffled(mask: np.ndarray) -> np.ndarray:
    mixed = RNG.permutation(len(mask))
    return mask[mixed][:, mixed]


def arrow(n: int) -> np.ndarray:
    mask = np.eye(n, dtype=bool)
    mask[0] = mask[:, 0] = True
    return mask


# Mask, and the most that lie below and above the diagonal; None for a matrix without a band.
CASES: dict[str, tuple[np.ndarray, int | None]] = {
    "diagonal": (np.eye(30, dtype=bool), 1),
    "band": (band(40, 2, 1), 2),
    "ring": (ring(50), 2),
    "nothing on the diagonal": (ring(50) & ~np.eye(50, dtype=bool), 2),
    "shuffled band": (shuffled(band(60, 1, 1)), 1),
    "grid": (grid(9, 14), 9),
    "two variables": (species(band(40, 1, 1)), 3),
    "two variables on a grid": (species(grid(8, 8)), 18),
    "parts without links": (shuffled(np.kron(np.eye(8, dtype=bool), band(6, 1, 1))), 1),
    "arrow": (arrow(30), None),
    "full": (np.ones((40, 40), bool), None),
    "wide band": (band(200, 20, 20), 20),
}


def pattern(mask: np.ndarray) -> Pattern:
    rows, columns = np.nonzero(mask)
    return Pattern(len(mask), rows.astype(np.int32), columns.astype(np.int32))


@pytest.mark.parametrize("case", CASES)
def test_the_products_hold_the_matrix(case: str) -> None:
    mask, reach = CASES[case]
    found, n = pattern(mask), len(mask)
    assert found.banded == (reach is not None)
    if reach is not None:
        assert max(found.reach) <= reach
    matrix = np.where(mask, RNG.normal(size=mask.shape), 0.0)
    groups = np.arange(found.products)[:, None] == found.colours
    held = np.append((groups @ matrix).ravel(), 0.0)[found.places]
    whole = matrix[found.order][:, found.order] if found.banded else matrix
    lower = found.reach[0]
    for row in range(n):
        for column in range(n):
            place = column - row + lower if found.banded else column
            if 0 <= place < held.shape[1]:
                assert held[row, place] == whole[row, column]
            else:
                assert whole[row, column] == 0
    products = np.append((groups @ matrix).ravel(), 0.0)
    np.testing.assert_array_equal(products[found.diagonal], matrix.diagonal())


@pytest.mark.parametrize(
    ("mask", "products"),
    [
        (np.eye(50, dtype=bool), 1),
        (band(50, 1, 1), 3),
        (band(300, 20, 20), 41),
        (grid(20, 20), 9),
        (np.ones((40, 40), bool), 40),
    ],
    ids=["diagonal", "band", "wide band", "grid", "full"],
)
def test_few_products_are_enough(mask: np.ndarray, products: int) -> None:
    assert pattern(mask).products <= products


@pytest.mark.parametrize("make", [lambda: band(40, 1, 1), lambda: grid(8, 6)])
def test_the_order_that_is_given_stands_where_it_is_the_best(
    make: Callable[[], np.ndarray],
) -> None:
    np.testing.assert_array_equal(pattern(make()).order, np.arange(len(make())))
