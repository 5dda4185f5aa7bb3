"""Pairs that are joined both ways, as gap junctions within a population are."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from somaflow.description import Description
from somaflow.errors import NetworkError, WrongTypeError
from somaflow.given import shown
from somaflow.network.distances import Distances
from somaflow.network.lists import FromList
from somaflow.network.random import check_own_seed
from somaflow.network.wiring import Indices, Pairs, Rows, by_row, check_rows

_TAKES = ("AllToAll", "FixedProbability", "FromList")


@dataclass(frozen=True, eq=False)
class Mutual(Description):
    """The pairs of another connector, each both ways; no cell reaches itself.

    Both sides are the same cells in the same order. Each range is taken out of all pairs, so it
    takes memory for the whole.

    Args:
        of: `FromList`, which names each pair once, in either order; `FixedProbability`, with the
            probability that two cells are joined; or `AllToAll`.
        seed: Of the other connector; default the one that it has.

    Raises:
        WrongTypeError: It is none of these.
    """

    of: Any
    seed: int | None = None

    def __post_init__(self) -> None:
        if type(self.of).__name__ not in _TAKES:
            raise WrongTypeError(f"Mutual takes {', '.join(_TAKES)}, not {shown(self.of)}.")
        if isinstance(self.of, FromList) and self.of.multapses:
            raise WrongTypeError(
                "Mutual joins each pair once, and multapses=True is for synapses that have the "
                "same pair; leave it out."
            )
        object.__setattr__(self, "seed", check_own_seed(self.seed))
        seed = getattr(self.of, "seed", 0)
        if self.seed is not None and hasattr(self.of, "seed") and self.seed != seed:
            object.__setattr__(self, "of", replace(self.of, seed=self.seed))
        else:
            object.__setattr__(self, "seed", seed)

    def fits(self, n_pre: int, n_post: int, n_both: int) -> None:
        """Refuse sides of different cells.

        Raises:
            NetworkError: A cell is on one side alone.
        """
        if not n_pre == n_post == n_both:
            raise NetworkError(
                f"Mutual joins cells of one side, and {n_pre} presynaptic and {n_post} "
                f"postsynaptic cells have {n_both} in common; between two populations one "
                "projection of gap junctions conducts both ways by itself."
            )
        self.of.fits(n_pre, n_post, n_both)

    def expected(self, n_pre: int, n_post: int) -> float:
        """Return how many synapses there will be on average, at most."""
        factor = 2.0 if isinstance(self.of, FromList) else 1.0
        return factor * self.of.expected(n_pre, n_post)

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
            NetworkError: The sides are not the same cells in the same order.
        """
        if not (same and np.array_equal(pre, post)):
            raise NetworkError("Mutual joins the same cells, in the same order on both sides.")
        start, stop = check_rows(rows, len(post))
        first, second = self.of.connect(pre, post, same, (0, len(post)), distance)
        if isinstance(self.of, FromList):
            first, second = np.minimum(first, second), np.maximum(first, second)
        keys = np.unique((second.astype(np.int64) * len(pre) + first)[first < second])
        low, high = keys % max(len(pre), 1), keys // max(len(pre), 1)
        sources, targets = np.concatenate([low, high]), np.concatenate([high, low])
        inside = (targets >= start) & (targets < stop)
        return by_row(sources[inside], targets[inside], len(pre))

    def __repr__(self) -> str:
        return f"Mutual({self.of!r})"
