from typing import Any

import numpy as np
import pytest
from scipy import sparse

import somaflow as sf
from somaflow.errors import MissingValueError, NetworkError, SomaflowError, WrongTypeError

DENSE = np.array([[0, 2.0, 0, 1.5], [3.0, 0, 0, 0], [0, 0, 0, -4.0]])
CELLS = np.arange(3), np.arange(4)


@pytest.mark.parametrize("form", ["csr", "csc", "coo", "lil", "dok", "bsr"])
def test_every_form_of_a_matrix_gives_one_connector(form: str) -> None:
    made = sf.FromSparse(getattr(sparse, f"{form}_array")(DENSE))
    assert made == sf.FromSparse(sparse.csr_matrix(DENSE))
    pre, post = made.connect(*CELLS, False)
    assert list(zip(pre.tolist(), post.tolist(), strict=True)) == [(1, 0), (0, 1), (0, 3), (2, 3)]
    assert made.values is not None
    assert made.values.tolist() == [3, 2, 1.5, -4]


def test_an_entry_of_value_0_is_a_synapse() -> None:
    matrix = sparse.coo_array(([0.0, 1.0], ([0, 1], [1, 2])), (3, 4))
    assert len(sf.FromSparse(matrix).connect(*CELLS, False)[0]) == 2


def test_booleans_are_a_pattern_and_single_precision_stays() -> None:
    assert sf.FromSparse(sparse.csr_array(DENSE != 0)).values is None
    assert sf.FromSparse(sparse.csr_array(DENSE.astype(np.float32))).values.dtype == np.float32
    assert sf.FromSparse(sparse.csr_array(DENSE.astype(np.int16))).values.dtype == np.float64


def test_the_matrix_may_change_afterwards() -> None:
    matrix = sparse.csc_array(DENSE)
    made = sf.FromSparse(matrix)
    matrix.data[:] = 9
    matrix.indices[:] = 0
    assert made == sf.FromSparse(sparse.csr_array(DENSE))
    with pytest.raises(ValueError, match="read-only"):
        made.values[0] = 1


def test_a_matrix_without_entries_joins_nothing() -> None:
    assert len(sf.FromSparse(sparse.csr_array((3, 4))).connect(*CELLS, False)[0]) == 0
    empty = sf.FromSparse(sparse.csr_array((0, 4)))
    assert len(empty.connect(np.arange(0), np.arange(4), False)[0]) == 0


@pytest.mark.parametrize(
    ("matrix", "kind", "words"),
    [
        (DENSE, WrongTypeError, "sparse matrix of SciPy.*not ndarray; pairs go to FromList"),
        (sparse.csr_array, WrongTypeError, "takes a sparse matrix"),
        ({"a": 1}, WrongTypeError, "takes a sparse matrix"),
        (sparse.csr_array(DENSE * 1j), WrongTypeError, "not complex128"),
        (
            sparse.coo_array(([1.0, 1.0], ([2, 2], [1, 1])), (3, 4)),
            NetworkError,
            r"has the entry \(2, 1\) twice",
        ),
        (
            sparse.coo_array(([1.0, np.nan], ([2, 1], [1, 2])), (3, 4)),
            MissingValueError,
            r"the entry \(1, 2\) of FromSparse is not a finite number",
        ),
    ],
)
def test_what_is_no_matrix_of_synapses(matrix: Any, kind: type[SomaflowError], words: str) -> None:
    with pytest.raises(kind, match=words):
        sf.FromSparse(matrix)


def test_the_matrix_has_the_size_of_the_populations() -> None:
    with pytest.raises(NetworkError, match=r"shape \[3, 4\], but there are 4 presynaptic and 3"):
        sf.FromSparse(sparse.csr_array(DENSE)).connect(np.arange(4), np.arange(3), False)


def test_the_order_of_a_list_is_known_for_each_range() -> None:
    pairs = sf.FromList([(2, 1), (0, 0), (1, 1), (0, 3)])
    assert pairs.order((0, 4)).tolist() == [1, 2, 0, 3]
    assert pairs.order((1, 2)).tolist() == [2, 0]
    assert pairs.order((2, 3)).tolist() == []
