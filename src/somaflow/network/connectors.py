"""Connectors: which presynaptic cell reaches which postsynaptic cell.

Each has one method, `connect(pre, post, same, rows=None, distance=None)`. It is told the cells of
both sides as indices into their populations, and whether that is one population. It gives two
int32 arrays, the presynaptic and the postsynaptic position of each synapse, ordered by
postsynaptic and then by presynaptic position (those of `FromList` in the order of the list, where
no range is asked for). `rows=(start, stop)` builds the synapses of that range of postsynaptic
positions alone, in memory that grows with what is built; they are those of the whole, to the bit.

No pair occurs twice, but where `multapses` says so (NEST's word, and there the default;
`with_replacement` in PyNN). What is random depends on the connector's own
seed and on the cells alone; a projection gives a seed to a connector that has none.
`expected(n_pre, n_post)` is how many synapses there will be on average, where a cell may reach
itself; `fits(n_pre, n_post, n_both)` refuses sizes that cannot be joined.
"""

from dataclasses import dataclass

import numpy as np

from somaflow.description import Description
from somaflow.errors import NetworkError, WrongTypeError
from somaflow.given import flag, shown
from somaflow.network.distances import Distances
from somaflow.network.lists import FromList, FromSparse
from somaflow.network.mutual import Mutual
from somaflow.network.random import WIRING, check_own_seed, derive
from somaflow.network.sampling import (
    BLOCK,
    Integers,
    bernoulli,
    blocks,
    choose,
    choose_again,
    share,
)
from somaflow.network.spatial import DistanceDependent
from somaflow.network.wiring import (
    Indices,
    Pairs,
    Rows,
    by_row,
    check_count,
    check_rows,
    expand,
    joined,
    own_positions,
)

_ROWS, _SPLIT = 0, 1  # streams within that of the wiring


def _without_self(columns: Indices, itself: Indices, counts: Integers) -> Indices:
    """Return columns drawn from all but one's own as columns of all."""
    itself = np.repeat(itself, counts)
    return columns + ((itself >= 0) & (columns >= itself))


def _itself(pre: Indices, post: Indices, left_out: bool) -> Indices:
    """Return the column that each row must leave out: that of the cell itself, -1 for none."""
    return own_positions(pre, post) if left_out else np.full(len(post), -1)


@dataclass(frozen=True, eq=False)
class AllToAll(Description):
    """Every cell reaches every cell.

    Args:
        self_connections: Whether a cell reaches itself, where a population projects to itself.
    """

    self_connections: bool = True

    def __post_init__(self) -> None:
        flag(self.self_connections, "self_connections")

    def fits(self, n_pre: int, n_post: int, n_both: int) -> None:
        """Accept any sizes."""

    def expected(self, n_pre: int, n_post: int) -> float:
        """Return the number of synapses."""
        return float(n_pre) * n_post

    def connect(
        self,
        pre: Indices,
        post: Indices,
        same: bool,
        rows: Rows | None = None,
        distance: Distances | None = None,
    ) -> Pairs:
        """Return the presynaptic and the postsynaptic position of each synapse."""
        start, stop = check_rows(rows, len(post))
        itself = _itself(pre, post[start:stop], same and not self.self_connections)
        widths = len(pre) - (itself >= 0)
        columns = np.tile(np.arange(len(pre), dtype=np.int32), stop - start)
        if np.any(itself >= 0):
            columns = columns[columns != np.repeat(itself, len(pre))]
        return expand(widths, columns, start)


@dataclass(frozen=True, eq=False)
class OneToOne(Description):
    """Cell k reaches cell k; both sides have the same size."""

    def fits(self, n_pre: int, n_post: int, n_both: int) -> None:
        """Refuse sides of two sizes.

        Raises:
            NetworkError: The sizes differ.
        """
        if n_pre != n_post:
            raise NetworkError(f"OneToOne joins equal sizes, not {n_pre} cells to {n_post}.")

    def expected(self, n_pre: int, n_post: int) -> float:
        """Return the number of synapses."""
        return float(min(n_pre, n_post))

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
            NetworkError: The sizes differ.
        """
        self.fits(len(pre), len(post), 0)
        place = np.arange(*check_rows(rows, len(post)), dtype=np.int32)
        return place, place.copy()


@dataclass(frozen=True, eq=False)
class FixedProbability(Description):
    """Each pair is joined with probability `p`, independently.

    Args:
        p: The probability, from 0 to 1.
        seed: The wiring depends on it alone. Default: a seed of its own, from the network's seed
            and the projection's name.
        self_connections: Whether a cell may reach itself.
    """

    p: float
    seed: int | None = None
    self_connections: bool = True

    def __post_init__(self) -> None:
        numeric = (int, float, np.integer, np.floating)
        if isinstance(self.p, bool) or not isinstance(self.p, numeric):
            raise WrongTypeError(f"a probability is a number from 0 to 1, not {shown(self.p)}.")
        if not 0 <= self.p <= 1:
            raise NetworkError(f"a probability is a number from 0 to 1, not {shown(self.p)}.")
        object.__setattr__(self, "p", float(self.p))
        object.__setattr__(self, "seed", check_own_seed(self.seed))
        flag(self.self_connections, "self_connections")

    def fits(self, n_pre: int, n_post: int, n_both: int) -> None:
        """Accept any sizes."""

    def expected(self, n_pre: int, n_post: int) -> float:
        """Return the mean number of synapses."""
        return self.p * n_pre * n_post

    def connect(
        self,
        pre: Indices,
        post: Indices,
        same: bool,
        rows: Rows | None = None,
        distance: Distances | None = None,
    ) -> Pairs:
        """Return the presynaptic and the postsynaptic position of each synapse."""
        start, stop = check_rows(rows, len(post))
        itself = _itself(pre, post[start:stop], same and not self.self_connections)
        key = derive(self.seed, (WIRING, _ROWS))
        costs = np.full(stop - start, int(len(pre) * self.p) + 8)
        parts: list[tuple[Integers, Indices]] = [(np.zeros(0, np.int64), np.zeros(0, np.int32))]
        for block in blocks(costs, BLOCK):
            cells = post[start:stop][block]
            counts, columns = bernoulli(key, cells, len(pre), self.p)
            if np.any(itself[block] >= 0):
                row = np.repeat(np.arange(len(cells)), counts)
                keep = columns != itself[block][row]
                columns, counts = columns[keep], np.bincount(row[keep], minlength=len(cells))
            parts.append((counts, columns.astype(np.int32)))
        counts, columns = (np.concatenate(side) for side in zip(*parts, strict=True))
        return expand(counts, columns, start)


def _check(connector: "_Counted", what: str) -> None:
    object.__setattr__(connector, "n", check_count(connector.n, what))
    object.__setattr__(connector, "seed", check_own_seed(connector.seed))
    flag(connector.self_connections, "self_connections")
    flag(connector.multapses, "multapses")


def _drawn(
    connector: "_Counted", rows: Integers, counts: Integers, itself: Indices, width: int
) -> Indices:
    """Return the columns that rows draw, each of its own count and without one's own column."""
    key = derive(connector.seed, (WIRING, _ROWS))
    draw = choose_again if connector.multapses else choose
    columns = draw(key, rows, counts, width - (itself >= 0))
    return _without_self(columns, itself, counts) if np.any(itself >= 0) else columns


@dataclass(frozen=True, eq=False)
class FixedInDegree(Description):
    """Every postsynaptic cell is reached by `n` presynaptic cells, different ones or any.

    All sets of `n` cells are equally probable; with `multapses` each of the `n` is any cell,
    whatever the others are.

    Args:
        n: How many synapses each postsynaptic cell has.
        seed: The wiring depends on it alone. Default: a seed of its own, from the network's seed
            and the projection's name.
        self_connections: Whether a cell may reach itself.
        multapses: Whether a pair may be drawn more than once, each time as a synapse of its own.
    """

    n: int
    seed: int | None = None
    self_connections: bool = True
    multapses: bool = False

    def __post_init__(self) -> None:
        _check(self, "the in-degree")

    def fits(self, n_pre: int, n_post: int, n_both: int) -> None:
        """Refuse too few presynaptic cells.

        Raises:
            NetworkError: There are fewer than `n`; with `multapses` none.
        """
        _check_enough(self, n_pre, n_both, ("in-degree", "presynaptic"))

    def expected(self, n_pre: int, n_post: int) -> float:
        """Return the number of synapses."""
        return float(self.n) * n_post

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
            NetworkError: There are too few presynaptic cells.
        """
        start, stop = check_rows(rows, len(post))
        itself = _itself(pre, post, same and not self.self_connections)
        self.fits(len(pre), len(post), int(np.sum(itself >= 0)))
        counts = np.full(stop - start, self.n)
        parts = [np.zeros(0, np.int32)]
        for block in blocks(counts + 1, BLOCK):
            cells, left_out = post[start:stop][block], itself[start:stop][block]
            columns = _drawn(self, cells, counts[block], left_out, len(pre))
            parts.append(columns.astype(np.int32))
        return expand(counts, np.concatenate(parts), start)


@dataclass(frozen=True, eq=False)
class FixedOutDegree(Description):
    """Every presynaptic cell reaches `n` postsynaptic cells, different ones or any.

    All sets of `n` cells are equally probable; with `multapses` each of the `n` is any cell,
    whatever the others are. A range of
    postsynaptic cells takes the time of the whole, but only its own memory.

    Args:
        n: How many synapses each presynaptic cell has.
        seed: The wiring depends on it alone. Default: a seed of its own, from the network's seed
            and the projection's name.
        self_connections: Whether a cell may reach itself.
        multapses: Whether a pair may be drawn more than once, each time as a synapse of its own.
    """

    n: int
    seed: int | None = None
    self_connections: bool = True
    multapses: bool = False

    def __post_init__(self) -> None:
        _check(self, "the out-degree")

    def fits(self, n_pre: int, n_post: int, n_both: int) -> None:
        """Refuse too few postsynaptic cells.

        Raises:
            NetworkError: There are fewer than `n`; with `multapses` none.
        """
        _check_enough(self, n_post, n_both, ("out-degree", "postsynaptic"))

    def expected(self, n_pre: int, n_post: int) -> float:
        """Return the number of synapses."""
        return float(self.n) * n_pre

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
            NetworkError: There are too few postsynaptic cells.
        """
        start, stop = check_rows(rows, len(post))
        itself = _itself(post, pre, same and not self.self_connections)
        self.fits(len(pre), len(post), int(np.sum(itself >= 0)))
        parts = []
        for block in blocks(np.full(len(pre), self.n + 1), BLOCK):
            counts = np.full(block.stop - block.start, self.n)
            targets = _drawn(self, pre[block], counts, itself[block], len(post))
            inside = (targets >= start) & (targets < stop)
            sources = np.repeat(np.arange(block.start, block.stop, dtype=np.int32), self.n)
            parts.append((sources[inside], targets[inside].astype(np.int32)))
        return by_row(*joined(parts), len(pre))


def _check_enough(
    connector: "FixedInDegree | FixedOutDegree", width: int, n_both: int, names: tuple[str, str]
) -> None:
    others = width - (n_both > 0 and not connector.self_connections)
    if connector.n > others and not (connector.multapses and others):
        itself = " other than itself" if others < width else ""
        hint = "; with multapses=True a pair may have several synapses" if others else ""
        raise NetworkError(
            f"an {names[0]} of {connector.n} needs as many {names[1]} cells{itself}, but there "
            f"are {others}{hint}."
        )


@dataclass(frozen=True, eq=False)
class FixedTotal(Description):
    """There are `n` synapses in all, between different pairs of cells or between any.

    All sets of `n` pairs are equally probable; with `multapses` each synapse is of any pair,
    whatever the others are. A range of postsynaptic cells takes time that grows with its own
    synapses.

    Args:
        n: How many synapses there are.
        seed: The wiring depends on it alone. Default: a seed of its own, from the network's seed
            and the projection's name.
        self_connections: Whether a cell may reach itself.
        multapses: Whether a pair may be drawn more than once, each time as a synapse of its own.
    """

    n: int
    seed: int | None = None
    self_connections: bool = True
    multapses: bool = False

    def __post_init__(self) -> None:
        _check(self, "the total of synapses")

    def fits(self, n_pre: int, n_post: int, n_both: int) -> None:
        """Refuse too few pairs.

        Raises:
            NetworkError: There are fewer than `n`; with `multapses` none.
        """
        pairs = n_pre * n_post - (0 if self.self_connections else n_both)
        if self.n > pairs and not (self.multapses and pairs):
            hint = "; with multapses=True a pair may have several synapses" if pairs else ""
            raise NetworkError(
                f"FixedTotal is to make {self.n} synapses, but {n_pre} and {n_post} cells have "
                f"{pairs} pairs{hint}."
            )

    def expected(self, n_pre: int, n_post: int) -> float:
        """Return the number of synapses."""
        return float(self.n)

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
            NetworkError: There are fewer than `n` pairs.
        """
        start, stop = check_rows(rows, len(post))
        itself = _itself(pre, post, same and not self.self_connections)
        self.fits(len(pre), len(post), int(np.sum(itself >= 0)))
        ends = np.concatenate([[0], np.cumsum(len(pre) - (itself >= 0))])
        key, rows = derive(self.seed, (WIRING, _SPLIT)), (start, stop)
        counts = share(key, self.n, ends, rows, self.multapses)
        parts = [np.zeros(0, np.int32)]
        for block in blocks(counts + 1, BLOCK):
            places, left_out = np.arange(start, stop)[block], itself[start:stop][block]
            columns = _drawn(self, places, counts[block], left_out, len(pre))
            parts.append(columns.astype(np.int32))
        return expand(counts, np.concatenate(parts), start)


_Counted = FixedInDegree | FixedOutDegree | FixedTotal
Connector = (
    AllToAll
    | OneToOne
    | FixedProbability
    | FixedTotal
    | FixedInDegree
    | FixedOutDegree
    | FromList
    | FromSparse
    | DistanceDependent
    | Mutual
)
