"""Weights and delays as expressions of the pair of cells that a synapse joins."""

from dataclasses import dataclass, field

import numpy as np
import pint
from numpy.typing import NDArray

from somaflow import units
from somaflow.description import Description
from somaflow.equations.algebras import NumberAlgebra, describe
from somaflow.equations.drawing import Distribution
from somaflow.equations.expression import Node, evaluate, names, render
from somaflow.errors import NetworkError, UnitError
from somaflow.network.distances import Distances, function_of
from somaflow.network.wiring import Indices
from somaflow.units import Dimensions, Parameter

_AXES = "xyz"
_MOST_PAIRS = 20_000_000  # that are looked through for the lowest value: about a second
_COUNTS = {"i": "1", "j": "1", "N_pre": "1", "N_post": "1"}
_PLACES = {f"{axis}_{side}": "um" for axis in _AXES for side in ("pre", "post")}
_KNOWN = {"d": "um", **_COUNTS, **_PLACES}
_MEANING = (
    "the distance d, the indices i and j of the presynaptic and the postsynaptic cell, their "
    "numbers N_pre and N_post, the positions x_pre to z_post"
)


def is_expression(text: str) -> bool:
    """Tell whether a text is more than a number and its unit, such as `0.1 nS`."""
    head, _, tail = text.strip().partition(" ")
    try:
        float(head)
    except ValueError:
        return True
    return not tail.strip()[:1].isalnum()


@dataclass(frozen=True, eq=False)
class OfPair(Description):
    """Values that an expression gives for each pair of cells.

    Args:
        text: An expression of `d`, the distance; `i` and `j`, the indices of the presynaptic and
            the postsynaptic cell in their sides; `N_pre` and `N_post`, the sizes of the sides; and
            `x_pre`, `y_pre`, `z_pre`, `x_post`, `y_post`, `z_post`, the positions. An example is
            `"0.1*nS*exp(-d/(100*um))"`.

    Raises:
        EquationError, UnitError, UnknownNameError: As for equations.
    """

    text: str
    _node: Node = field(init=False, repr=False)
    _dimensions: Dimensions = field(init=False, repr=False)

    def __post_init__(self) -> None:
        node, dimensions = function_of(self.text, "an expression of a pair", _KNOWN, _MEANING)
        object.__setattr__(self, "text", render(node))
        object.__setattr__(self, "_node", node)
        object.__setattr__(self, "_dimensions", dimensions)

    @property
    def unit(self) -> str:
        """A unit of the values, of the size in which they were written."""
        return units.named(self._dimensions)

    @property
    def used(self) -> set[str]:
        """What it uses of a pair."""
        return {*names(self._node)} & set(_KNOWN)

    def constant(self) -> NDArray[np.float64]:
        """Return the one value of an expression that uses nothing of a pair, coherent."""
        nothing = np.zeros(1, np.int64)
        return self.at(nothing, nothing, (1, 1), None)[0]

    @property
    def needs_positions(self) -> bool:
        """Whether it looks at where cells are."""
        return bool(self.used - set(_COUNTS))

    def require(self, unit: str, what: str) -> None:
        """Check the unit of the values.

        Raises:
            UnitError: They have another than `unit`.
        """
        if self._dimensions != units.dimensions(unit):
            raise UnitError(
                f"{what} is in {unit}, but {self.text!r} is {describe(self._dimensions)}."
            )

    def require_axes(self, axes: tuple[int, int], what: str) -> None:
        """Check that the positions have the axes that are used.

        Args:
            axes: How many the presynaptic and the postsynaptic positions have.
            what: What the values are, for messages.

        Raises:
            NetworkError: One has not.
        """
        for side, count in zip(("pre", "post"), axes, strict=True):
            for axis in _AXES[count:]:
                if f"{axis}_{side}" in self.used:
                    raise NetworkError(
                        f"{what} uses {axis}_{side}, but the {side}synaptic positions have "
                        f"{count} {'axis' if count == 1 else 'axes'}: "
                        f"{', '.join(_AXES[:count])}."
                    )

    def at(
        self, pre: Indices, post: Indices, sizes: tuple[int, int], apart: Distances | None
    ) -> NDArray[np.float64]:
        """Return the value for each pair in the coherent system.

        Args:
            pre: Indices of the presynaptic cells in their side, shape [n].
            post: Those of the postsynaptic cells.
            sizes: How many cells the two sides have.
            apart: Where they are; not needed for expressions of indices.

        Raises:
            NetworkError: One is not finite.
        """
        sides = {"pre": pre, "post": post}
        table: dict[str, NDArray[np.float64] | float] = {
            "N_pre": float(sizes[0]),
            "N_post": float(sizes[1]),
        }
        for name in self.used - set(table):
            if name in ("i", "j"):
                table[name] = sides["pre" if name == "i" else "post"].astype(np.float64)
            elif apart is not None and name == "d":
                table[name] = apart.between(pre, post)
            elif apart is not None:
                side = name[2:]
                table[name] = getattr(apart, side)[sides[side], _AXES.index(name[0])]
        with np.errstate(all="ignore"):
            values = np.asarray(evaluate(self._node, NumberAlgebra(table)), np.float64)
        values = np.broadcast_to(values, pre.shape)
        for bad in np.flatnonzero(~np.isfinite(values))[:1]:
            raise NetworkError(
                f"{self.text!r} is not finite for i = {int(pre[bad])}, j = {int(post[bad])}."
            )
        return values

    def lowest(self, sizes: tuple[int, int], apart: Distances | None) -> float:
        """Return a number in the coherent system that no value is below; none for too many pairs.

        Args:
            sizes: How many cells the two sides have.
            apart: As for `at`.
        """
        if sizes[0] * sizes[1] > _MOST_PAIRS:
            return -np.inf
        pre = np.arange(sizes[0])
        try:
            rows = (self.at(pre, np.full_like(pre, j), sizes, apart) for j in range(sizes[1]))
            return float(min((row.min(initial=np.inf) for row in rows), default=np.inf))
        except NetworkError:  # of a pair that no synapse may join
            return -np.inf

    def __str__(self) -> str:
        return repr(self.text)


def written_unit(value: object) -> str | None:
    """Return the unit in which a value was written, or None where it has none of its own."""
    if isinstance(value, pint.Quantity):
        return units.unit_text(value.units)
    if isinstance(value, str):
        return OfPair(value).unit if is_expression(value) else value.split(maxsplit=1)[1]
    return value.unit if isinstance(value, (Parameter, Distribution)) else None
