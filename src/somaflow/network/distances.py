"""Positions of cells, distances between them, and functions of these."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from somaflow import units
from somaflow.equations import dialects
from somaflow.equations.algebras import PURE, NumberAlgebra, UnitAlgebra, describe
from somaflow.equations.expression import Name, Node, evaluate, parse, render, walk
from somaflow.equations.statements import refuse_condition
from somaflow.errors import EquationError, NetworkError, UnitError, UnknownNameError, nearest
from somaflow.given import shown
from somaflow.network.wiring import Indices
from somaflow.units import Dimensions, Parameter

Values = NDArray[np.float64]
_BLOCK = 1 << 18  # pairs looked at together


def checked_positions(positions: object, size: int, name: str) -> Parameter:
    """Return positions as a table of shape [size, 1 to 3].

    Args:
        positions: Array with a unit of length, of shape [size] or [size, 1 to 3].
        size: How many cells there are.
        name: The population's name, for messages.

    Raises:
        UnitError: They are no lengths.
        NetworkError: They have another shape.
    """
    places = units.parameter(positions, None, "positions", name)
    if units.dimensions(places.unit) != units.dimensions("um"):
        raise UnitError(
            f"the positions of {name!r} are in {places.unit}; give lengths, such as positions*um."
        )
    table = places.value[:, None] if places.value.ndim == 1 else places.value
    if table.ndim != 2 or len(table) != size or table.shape[1] not in (1, 2, 3):
        raise NetworkError(
            f"the positions of {name!r} have shape {list(places.value.shape)}; give [{size}], or "
            f"[{size}, 1], [{size}, 2] or [{size}, 3]."
        )
    return Parameter(table, places.unit)


@dataclass(frozen=True)
class Distances:
    """The Euclidean distances between the cells of two sides.

    Attributes:
        pre: Positions of the presynaptic cells in cm, shape [n_pre, n_axes].
        post: Those of the postsynaptic cells, shape [n_post, n_axes].
    """

    pre: Values
    post: Values

    def between(self, pre: Indices, post: Indices) -> Values:
        """Return the distance in cm of each pair of positions in the two sides, shape [n]."""
        distance = np.empty(len(pre))
        for start in range(0, len(pre), _BLOCK):
            part = slice(start, start + _BLOCK)
            apart = self.pre[pre[part]] - self.post[post[part]]
            distance[part] = np.sqrt(np.sum(apart * apart, axis=1))
        return distance

    def near(
        self, rows: tuple[int, int], radius: float
    ) -> Iterator[tuple[Indices, Indices, Values]]:
        """Iterate over the pairs that are at most `radius` apart, in blocks of rows.

        Yields:
            Presynaptic and postsynaptic positions and distances, unordered within a block.
        """
        widest = np.ptp(self.pre, axis=0) if len(self.pre) else np.zeros(self.pre.shape[1])
        axis = int(np.argmax(widest))
        order = np.argsort(self.pre[:, axis], kind="stable")
        sorted_axis = self.pre[order, axis]
        centre = self.post[rows[0] : rows[1], axis]
        # A hair more than the radius, as the difference of two coordinates is rounded.
        slack = radius * (1 + 1e-12) + 1e-12 * np.abs(centre)
        first = np.searchsorted(sorted_axis, centre - slack, side="left")
        count = np.searchsorted(sorted_axis, centre + slack, side="right") - first
        ends = np.cumsum(count)
        start = 0
        while start < len(count):
            before = ends[start - 1] if start else 0
            stop = max(int(np.searchsorted(ends, before + _BLOCK, side="right")), start + 1)
            part = slice(start, stop)
            row = np.repeat(np.arange(start, stop), count[part])
            skipped = np.repeat(ends[part] - count[part] - before, count[part])
            pre = order[first[row] + np.arange(len(row)) - skipped]
            post = row + rows[0]
            apart = self.between(pre, post)
            close = apart <= radius
            yield pre[close], post[close], apart[close]
            start = stop


def function_of(
    text: str, what: str, known: dict[str, str], meaning: str
) -> tuple[Node, Dimensions]:
    """Read an expression of what is known of a pair of cells.

    Args:
        text: The expression.
        what: What it gives, for messages.
        known: Unit of each name that it may use.
        meaning: Those names in words, for messages.

    Returns:
        Its tree and its dimensions.

    Raises:
        EquationError, UnitError, UnknownNameError, WrongTypeError: As for equations.
    """
    node = parse(text)
    refuse_condition(node, text)
    for item in walk(node):
        if isinstance(item, Name) and item.name not in {*known, *units.NAMES}:
            raise UnknownNameError(
                f"{what} may use {meaning} and units, not {shown(item.name)}."
                f"{dialects.drawn(item.name) or nearest(item.name, known, units.NAMES)}",
                text,
                item.column,
            )
        if getattr(item, "function", None) == "pulse":
            raise EquationError(f"{what} cannot call pulse.", text, item.column)
    table = {name: units.dimensions(unit) for name, unit in known.items()}
    return node, evaluate(node, UnitAlgebra(table, text))


def values_at(node: Node, distance: Values, what: str) -> Values:
    """Return an expression's value in the coherent system at distances in cm.

    Raises:
        NetworkError: It is not finite somewhere.
    """
    with np.errstate(all="ignore"):
        values = np.asarray(evaluate(node, NumberAlgebra({"d": distance})), np.float64)
    values = np.broadcast_to(values, distance.shape)
    for bad in distance[~np.isfinite(values)][:1]:
        raise NetworkError(f"{what} {render(node)!r} is not finite at d = {bad / 1e-4:g} um.")
    return values


def probability_of_distance(text: str) -> Node:
    """Read a probability as an expression of the distance.

    Raises:
        UnitError: It is not a pure number.
        EquationError, UnknownNameError, WrongTypeError: As for equations.
    """
    node, dimensions = function_of(text, "a probability", {"d": "um"}, "the distance d")
    if dimensions != PURE:
        raise UnitError(
            f"a probability is a pure number, but this is {describe(dimensions)}.", text
        )
    return node
