"""Connectors: which presynaptic cell reaches which postsynaptic cell.

A connector is told the cells of both sides, and whether they belong to one population. It gives two
arrays of positions in them, ordered by postsynaptic and then by presynaptic position (those of
`FromList` in the order of the list). Random ones are keyed by (seed, post, pre), so every pair is
decided by itself.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from somaflow.description import Description
from somaflow.errors import NetworkError, WrongTypeError
from somaflow.network.distributions import check_seed
from somaflow.network.random import uniform

Indices = NDArray[np.int64]
_BLOCK = 1 << 22  # pairs decided at a time, so that memory stays bounded


def _check_flag(value: Any, name: str) -> None:
    if not isinstance(value, bool):
        raise WrongTypeError(f"{name} is True or False, not {value!r}.")


@dataclass(frozen=True, eq=False)
class AllToAll(Description):
    """Every cell reaches every cell.

    Args:
        self_connections: Whether a cell reaches itself, where a population projects to itself.
    """

    self_connections: bool = True

    def __post_init__(self) -> None:
        _check_flag(self.self_connections, "self_connections")

    def connect(self, pre: Indices, post: Indices, same: bool) -> tuple[Indices, Indices]:
        """Return the presynaptic and the postsynaptic position of each synapse."""
        columns = np.tile(np.arange(len(pre)), len(post))
        rows = np.repeat(np.arange(len(post)), len(pre))
        if same and not self.self_connections:
            keep = pre[columns] != post[rows]
            return columns[keep], rows[keep]
        return columns, rows


@dataclass(frozen=True, eq=False)
class OneToOne(Description):
    """Cell k reaches cell k; both sides have the same size."""

    def connect(self, pre: Indices, post: Indices, same: bool) -> tuple[Indices, Indices]:
        """Return the presynaptic and the postsynaptic position of each synapse.

        Raises:
            NetworkError: The sizes differ.
        """
        if len(pre) != len(post):
            raise NetworkError(f"OneToOne joins equal sizes, not {len(pre)} cells to {len(post)}.")
        return np.arange(len(pre)), np.arange(len(pre))


@dataclass(frozen=True, eq=False)
class FixedProbability(Description):
    """Each pair is joined with probability `p`, independently.

    Args:
        p: The probability, from 0 to 1.
        seed: The wiring depends on it alone.
        self_connections: Whether a cell may reach itself.
    """

    p: float
    seed: int = 0
    self_connections: bool = True

    def __post_init__(self) -> None:
        numeric = (int, float, np.integer, np.floating)
        if isinstance(self.p, bool) or not isinstance(self.p, numeric):
            raise WrongTypeError(f"a probability is a number from 0 to 1, not {self.p!r}.")
        if not 0 <= self.p <= 1:
            raise NetworkError(f"a probability is a number from 0 to 1, not {self.p!r}.")
        object.__setattr__(self, "p", float(self.p))
        object.__setattr__(self, "seed", check_seed(self.seed))
        _check_flag(self.self_connections, "self_connections")

    def connect(self, pre: Indices, post: Indices, same: bool) -> tuple[Indices, Indices]:
        """Return the presynaptic and the postsynaptic position of each synapse."""
        height = max(1, _BLOCK // max(len(pre), 1))
        pre_parts, post_parts = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
        columns = np.arange(len(pre))
        for start in range(0, len(post), height):
            rows = np.arange(start, min(start + height, len(post)))
            joined = uniform(self.seed, 0, (rows[:, None], columns[None, :])) < self.p
            if same and not self.self_connections:
                joined &= post[rows][:, None] != pre[None, :]
            found_rows, found_columns = np.nonzero(joined)
            post_parts.append(rows[found_rows])
            pre_parts.append(found_columns)
        return np.concatenate(pre_parts), np.concatenate(post_parts)


@dataclass(frozen=True, eq=False)
class FromList(Description):
    """The pairs that a list names.

    Args:
        pairs: `[(pre, post), ...]`, indices into the two sides; array of shape [n_synapses, 2].
            Weights given as an array follow the order of this list.
    """

    pairs: Any

    def __post_init__(self) -> None:
        pairs = self.pairs
        if not isinstance(pairs, (np.ndarray, Iterable)) or isinstance(pairs, (str, dict)):
            raise WrongTypeError(f"FromList takes [(pre, post), ...], not {pairs!r}.")
        try:
            array = np.array(pairs if isinstance(pairs, np.ndarray) else list(pairs))
        except (TypeError, ValueError) as error:
            raise WrongTypeError(f"FromList takes [(pre, post), ...]: {error}.") from error
        if array.size == 0:
            array = np.zeros((0, 2), np.int64)
        if array.ndim != 2 or array.shape[1] != 2 or array.dtype.kind not in "iu":
            raise WrongTypeError(
                f"FromList takes pairs of integers, shape [n, 2], not {array.dtype} of shape "
                f"{array.shape}."
            )
        array = array.astype(np.int64)
        array.flags.writeable = False
        object.__setattr__(self, "pairs", array)

    def connect(self, pre: Indices, post: Indices, same: bool) -> tuple[Indices, Indices]:
        """Return the presynaptic and the postsynaptic position of each synapse, in list order.

        Raises:
            NetworkError: An index outside a population, or a pair named twice.
        """
        sides = ((0, len(pre), "presynaptic"), (1, len(post), "postsynaptic"))
        for side, size, name in sides:
            bad = (self.pairs[:, side] < 0) | (self.pairs[:, side] >= size)
            if bad.any():
                pair = tuple(self.pairs[bad][0].tolist())
                raise NetworkError(
                    f"FromList has the pair {pair}, but the {name} side has {size} cells "
                    f"(0 to {size - 1})."
                )
        unique, counts = np.unique(self.pairs, axis=0, return_counts=True)
        if (counts > 1).any():
            pair = tuple(unique[counts > 1][0].tolist())
            raise NetworkError(f"FromList names the pair {pair} twice.")
        return self.pairs[:, 0], self.pairs[:, 1]


Connector = AllToAll | OneToOne | FixedProbability | FromList
