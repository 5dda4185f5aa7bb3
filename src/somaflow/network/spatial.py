"""A connector that looks at the distance between the two cells."""

from dataclasses import dataclass, field

import numpy as np

from somaflow import units
from somaflow.description import Description
from somaflow.equations.expression import Node, render
from somaflow.errors import NetworkError
from somaflow.given import flag
from somaflow.network.distances import Distances, Values, probability_of_distance, values_at
from somaflow.network.fields import Field, default
from somaflow.network.random import WIRING, below, check_own_seed, derive, uniform_of
from somaflow.network.wiring import (
    Indices,
    Pairs,
    Rows,
    by_row,
    check_rows,
    joined,
    nothing,
)
from somaflow.units import Parameter

_SAMPLE = 1 << 14  # pairs from which the number of synapses is estimated


@dataclass(frozen=True, eq=False)
class DistanceDependent(Description):
    """Each pair is joined with a probability that depends on its distance, independently.

    Distances are Euclidean, between the positions of the populations. No pair occurs twice.

    Args:
        probability: An expression of the distance `d`, such as
            `"0.4*exp(-d**2/(2*(150*um)**2))"`, from 0 to 1 wherever there are cells.
        seed: The wiring depends on it alone. Default: a seed of its own, from the network's seed
            and the projection's name.
        radius: A distance beyond which no pair is joined, so that no time is spent there.
        self_connections: Whether a cell may reach itself.

    Raises:
        UnitError: The probability is no pure number, or the radius no length.
        EquationError, UnknownNameError: A slip in the expression.
    """

    probability: str
    seed: int | None = None
    radius: Field[Parameter | None] = default(None)
    self_connections: bool = True
    _node: Node = field(init=False, repr=False)

    def __post_init__(self) -> None:
        node = probability_of_distance(self.probability)
        object.__setattr__(self, "probability", render(node))
        object.__setattr__(self, "_node", node)
        object.__setattr__(self, "seed", check_own_seed(self.seed))
        flag(self.self_connections, "self_connections")
        if self.radius is not None:
            radius = units.parameter(self.radius, None, "radius", "DistanceDependent")
            radius = units.parameter(radius, "um", "radius", "DistanceDependent")
            if radius.value.ndim or radius.value < 0:
                raise NetworkError(f"the radius is {radius}; give one length of at least 0 um.")
            object.__setattr__(self, "radius", radius)

    def fits(self, n_pre: int, n_post: int, n_both: int) -> None:
        """Accept any sizes."""

    def _probabilities(self, apart: Values) -> Values:
        chances = values_at(self._node, apart, "the probability")
        for bad in np.flatnonzero((chances < 0) | (chances > 1))[:1]:
            raise NetworkError(
                f"the probability {self.probability!r} is {chances[bad]:.6g} at d = "
                f"{apart[bad] / 1e-4:g} um; it must be from 0 to 1, such as minimum(1, ...)."
            )
        return chances

    def expected(self, n_pre: int, n_post: int, distance: Distances | None = None) -> float:
        """Return about the mean number of synapses, from some pairs; all pairs without distances.

        Raises:
            NetworkError: The probability is not from 0 to 1.
        """
        pairs = float(n_pre) * n_post
        if distance is None or not pairs:
            return pairs
        place, key = np.arange(_SAMPLE), derive(self.seed, (WIRING, 1))
        pre, post = below(n_pre, key, (place, 0)), below(n_post, key, (place, 1))
        apart = distance.between(pre, post)
        inside = apart <= (np.inf if self.radius is None else float(self.radius.value))
        return pairs * float(self._probabilities(apart[inside]).sum()) / len(place)

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
            NetworkError: There are no distances, or the probability is not from 0 to 1.
        """
        rows = check_rows(rows, len(post))
        if distance is None:
            raise NetworkError("DistanceDependent needs positions of both populations.")
        key = derive(self.seed, (WIRING, 0))
        radius = np.inf if self.radius is None else float(self.radius.value)
        parts = [nothing()]
        for near_pre, near_post, apart in distance.near(rows, radius):
            u = uniform_of(key, (post[near_post], pre[near_pre]))
            keep = u < self._probabilities(apart)
            if same and not self.self_connections:
                keep &= post[near_post] != pre[near_pre]
            parts.append(by_row(near_pre[keep], near_post[keep], len(pre)))
        return joined(parts)
