"""Connectors whose pairs a user names: in a list, or as the entries of a sparse matrix."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, TypedDict, TypeVar

import numpy as np
from numpy.typing import NDArray

from somaflow import given
from somaflow.description import Description
from somaflow.errors import MissingValueError, NetworkError, WrongTypeError
from somaflow.given import flag, shown
from somaflow.network.distances import Distances
from somaflow.network.fields import Field
from somaflow.network.recorder import refuse_times
from somaflow.network.wiring import Indices, Pairs, Rows, check_rows, expand

Array = TypeVar("Array", bound=NDArray[np.generic])


def _frozen(array: Array) -> Array:
    array.flags.writeable = False
    return array


@dataclass(frozen=True, eq=False)
class FromList(Description):
    """The pairs that a list names.

    Args:
        pairs: `[(pre, post), ...]`, indices into the two sides; array of shape [n_synapses, 2].
            Weights and delays given as an array of shape [n_synapses] follow the order of this
            list.
        multapses: Whether a pair may occur more than once, each time as a synapse of its own.

    Raises:
        WrongTypeError: It is no list of pairs of whole numbers.
        NetworkError: It names a pair twice, without `multapses`.
    """

    pairs: Field[NDArray[np.int64]]
    multapses: bool = False
    _order: Indices = field(init=False, repr=False)

    def __post_init__(self) -> None:
        pairs: object = self.pairs
        if not isinstance(pairs, (np.ndarray, Iterable)) or isinstance(pairs, (str, dict)):
            raise WrongTypeError(f"FromList takes [(pre, post), ...], not {shown(pairs)}.")
        refuse_times(pairs)
        array = given.array(pairs if isinstance(pairs, (np.ndarray, list)) else given.listed(pairs))
        if array is not None and array.size == 0:
            array = np.zeros((0, 2), np.int64)
        if array is None:
            raise WrongTypeError(f"FromList takes [(pre, post), ...], not {shown(pairs)}.")
        if array.ndim != 2 or array.shape[1] != 2 or array.dtype.kind not in "iu":
            raise WrongTypeError(
                f"FromList takes pairs of integers, shape [n, 2], not {array.dtype} of shape "
                f"{array.shape}; of an array for each side they are np.column_stack([pre, post])."
            )
        array = array.astype(np.int64)
        object.__setattr__(self, "pairs", _frozen(array))
        # The order by post and then pre, in which ranges are built.
        order = np.lexsort((array[:, 0], array[:, 1]))
        ordered = array[order]
        twice = np.all(ordered[1:] == ordered[:-1], axis=1)
        flag(self.multapses, "multapses")
        for pair in ordered[1:][twice][:1] if not self.multapses else ():
            raise NetworkError(
                f"FromList names the pair {tuple(pair.tolist())} twice; with multapses=True each "
                "is a synapse of its own."
            )
        object.__setattr__(self, "_order", _frozen(order))

    def fits(self, n_pre: int, n_post: int, n_both: int) -> None:
        """Refuse sides that lack a cell of the list.

        Raises:
            NetworkError: An index lies outside.
        """
        for side, size, name in ((0, n_pre, "presynaptic"), (1, n_post, "postsynaptic")):
            bad = (self.pairs[:, side] < 0) | (self.pairs[:, side] >= size)
            if bad.any():
                pair = tuple(self.pairs[bad][0].tolist())
                raise NetworkError(
                    f"FromList has the pair {pair}, but the {name} side has {size} cells "
                    f"(0 to {size - 1})."
                )

    def expected(self, n_pre: int, n_post: int) -> float:
        """Return the number of synapses."""
        return float(len(self.pairs))

    def order(self, rows: Rows) -> Indices:
        """Return the places in the list of the synapses of a range, by post and then pre."""
        ends = np.searchsorted(self.pairs[:, 1], rows, sorter=self._order)
        return self._order[ends[0] : ends[1]]

    def connect(
        self,
        pre: Indices,
        post: Indices,
        same: bool,
        rows: Rows | None = None,
        distance: Distances | None = None,
    ) -> Pairs:
        """Return the presynaptic and the postsynaptic position of each synapse.

        They are in the order of the list, where no range is asked for.

        Raises:
            NetworkError: An index outside a population.
        """
        self.fits(len(pre), len(post), 0)
        chosen = slice(None) if rows is None else self.order(check_rows(rows, len(post)))
        pairs = self.pairs[chosen].astype(np.int32)
        return pairs[:, 0].copy(), pairs[:, 1].copy()

    def __repr__(self) -> str:
        return f"FromList({len(self.pairs)} pairs)"


def repeats(pre: Indices, post: Indices) -> Indices:
    """Return of each synapse how many of its pair come before it; those of a pair are in a row."""
    place = np.arange(len(pre))
    fresh = np.ones(len(pre), np.bool_)
    fresh[1:] = (pre[1:] != pre[:-1]) | (post[1:] != post[:-1])
    return place - np.maximum.accumulate(np.where(fresh, place, 0))


class SparseEntries(TypedDict):
    """The entries of a sparse matrix, by post and then pre.

    Attributes:
        shape: How many presynaptic and postsynaptic cells there are.
        ends: Where the entries of each postsynaptic cell begin, and at last their number; int64,
            shape [n_post + 1].
        pre: The presynaptic cell of each entry; int32, shape [n_synapses].
        values: The value of each entry, or None for a pattern; shape [n_synapses].
    """

    shape: tuple[int, int]
    ends: NDArray[np.int64]
    pre: NDArray[np.int32]
    values: NDArray[np.float32] | NDArray[np.float64] | None


@dataclass(frozen=True, eq=False)
class FromSparse(Description):
    """The pairs that a sparse matrix of SciPy has entries for.

    Args:
        matrix: A sparse matrix or array of shape [n_pre, n_post]. Its entries, those of value 0
            included, are the synapses, each pair once. Their values are the weights, in the unit
            in which the synapse declares its weight, where the projection gets no `weight`; a
            matrix of booleans is a pattern alone.

    Raises:
        WrongTypeError: It is no sparse matrix of numbers.
        NetworkError: It has an entry twice.
        MissingValueError: A value is not finite.
    """

    matrix: Field[SparseEntries]

    def __post_init__(self) -> None:
        matrix: object = self.matrix
        if type(matrix) is not dict:  # a matrix by keys of SciPy is a dict too
            object.__setattr__(self, "matrix", _entries(matrix))
        elif set(matrix) != SparseEntries.__required_keys__:
            raise WrongTypeError(f"FromSparse takes a sparse matrix of SciPy, not {shown(matrix)}.")

    @property
    def values(self) -> NDArray[np.float32] | NDArray[np.float64] | None:
        """The entries by post and then pre, or None for a pattern; shape [n_synapses]."""
        return self.matrix["values"]

    def fits(self, n_pre: int, n_post: int, n_both: int) -> None:
        """Refuse sides of other sizes than the matrix.

        Raises:
            NetworkError: The sizes differ.
        """
        shape = self.matrix["shape"]
        if tuple(shape) != (n_pre, n_post):
            raise NetworkError(
                f"the matrix of FromSparse has shape [{shape[0]}, {shape[1]}], but there are "
                f"{n_pre} presynaptic and {n_post} postsynaptic cells."
            )

    def expected(self, n_pre: int, n_post: int) -> float:
        """Return the number of synapses."""
        return float(len(self.matrix["pre"]))

    def order(self, rows: Rows) -> slice:
        """Return the places of a range's synapses among all, which are by post and then pre."""
        ends = self.matrix["ends"]
        return slice(int(ends[rows[0]]), int(ends[rows[1]]))

    def connect(
        self,
        pre: Indices,
        post: Indices,
        same: bool,
        rows: Rows | None = None,
        distance: Distances | None = None,
    ) -> Pairs:
        """Return the presynaptic and the postsynaptic position of each synapse.

        Raises:
            NetworkError: The matrix has another shape.
        """
        self.fits(len(pre), len(post), 0)
        start, stop = check_rows(rows, len(post))
        counts = np.diff(self.matrix["ends"][start : stop + 1])
        return expand(counts, self.matrix["pre"][self.order((start, stop))], start)

    def __repr__(self) -> str:
        n_pre, n_post = self.matrix["shape"]
        return f"FromSparse({n_pre} x {n_post}, {len(self.matrix['pre'])} synapses)"


def _entries(matrix: Any) -> SparseEntries:  # of SciPy, which need not be installed
    """Return a sparse matrix as arrays, by post and then pre."""
    if not callable(getattr(matrix, "tocoo", None)) or isinstance(matrix, type):
        raise WrongTypeError(
            f"FromSparse takes a sparse matrix of SciPy, of shape [n_pre, n_post], not "
            f"{type(matrix).__name__}; pairs go to FromList."
        )
    entries = matrix.tocoo()
    if len(entries.shape) != 2 or entries.data.dtype.kind not in "biuf":
        raise WrongTypeError(
            f"FromSparse takes a matrix of two axes and real numbers, not {entries.data.dtype} of "
            f"shape {entries.shape}."
        )
    n_pre, n_post = (int(size) for size in entries.shape)
    key = entries.col.astype(np.int64) * max(n_pre, 1) + entries.row
    values = entries.data
    if np.any(key[1:] <= key[:-1]):
        order = np.argsort(key, kind="stable")
        key, values = key[order], values[order]
        for twice in key[1:][key[1:] == key[:-1]][:1]:
            pair = int(twice % n_pre), int(twice // n_pre)
            raise NetworkError(
                f"the matrix of FromSparse has the entry {pair} twice; sum_duplicates() adds them."
            )
    weights = None
    if values.dtype.kind != "b":
        # Single precision stays, since it is half the memory of a large network.
        single = values.dtype == np.float32
        weights = _frozen(values.astype(np.float32 if single else np.float64))
        for bad in key[~np.isfinite(weights)][:1]:
            pair = int(bad % n_pre), int(bad // n_pre)
            raise MissingValueError(f"the entry {pair} of FromSparse is not a finite number.")
    ends = np.searchsorted(key, np.arange(n_post + 1) * max(n_pre, 1))
    key %= max(n_pre, 1)
    return {
        "shape": (n_pre, n_post),
        "ends": _frozen(ends.astype(np.int64)),
        "pre": _frozen(key.astype(np.int32)),
        "values": weights,
    }
