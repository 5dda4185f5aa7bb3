"""Cells of several populations as one side of a projection."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from somaflow.description import Description
from somaflow.errors import NetworkError, WrongTypeError
from somaflow.given import shown


class Joinable:
    """What can be joined with `+`: a population, a view, or what is joined already."""

    def __add__(self, other: object) -> "Joined":
        """Return the cells of both, those of `other` behind.

        Raises:
            WrongTypeError: It has no cells.
            NetworkError: A cell is in both.
        """
        if not isinstance(other, Joinable):
            raise WrongTypeError(
                f"to a population or view another one is added, not {shown(other)}."
            )
        return Joined((*_views(self), *_views(other)))


@dataclass(frozen=True, eq=False)
class Joined(Joinable, Description):
    """Cells of several populations, one behind the other, as `pn + ln` gives them.

    A projection may start from and end on them.

    Attributes:
        views: Some cells of each population, in the order of their numbers.
    """

    views: tuple[Any, ...]

    def __post_init__(self) -> None:
        views = self.views
        if not isinstance(views, tuple) or not all(isinstance(view, Joinable) for view in views):
            raise WrongTypeError(f"Joined takes views such as pn[:30], not {shown(views)}.")
        object.__setattr__(self, "views", tuple(part for view in views for part in _views(view)))
        for k, view in enumerate(self.views):
            for other in self.views[:k]:
                if other.population is view.population:
                    for cell in np.intersect1d(other.cells, view.cells)[:1]:
                        raise NetworkError(
                            f"cell {cell} of {view.population.name!r} is joined with itself: it is "
                            "on both sides of a +."
                        )

    def __len__(self) -> int:
        return sum(len(view) for view in self.views)

    def __repr__(self) -> str:
        return " + ".join(f"{view.population.name}[{len(view)} cells]" for view in self.views)


def _views(cells: Any) -> tuple[Any, ...]:
    return cells.views if isinstance(cells, Joined) else (cells[:],)
