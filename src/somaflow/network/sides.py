"""The two sides of a projection, as connectors and weights see them."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from somaflow.errors import NetworkError, WrongTypeError
from somaflow.given import shown
from somaflow.network.distances import Distances
from somaflow.network.joined import Joinable, Joined
from somaflow.network.population import Population, PopulationView, as_view
from somaflow.network.wiring import MOST_CELLS


class Side(NamedTuple):
    """One side.

    Attributes:
        cells: Its cells, as they are numbered among all that they are counted with, int64 [n].
        size: How many these are.
        positions: Where its cells are, [n, axes]; None where that is not known.
        begins: The populations to which they belong, and the number of the first cell of each.
    """

    cells: NDArray[np.int64]
    size: int
    positions: NDArray[np.float64] | None
    begins: tuple[tuple[Population, int], ...]

    @property
    def owners(self) -> list[Population]:
        """The populations."""
        return [population for population, _ in self.begins]

    def of(self, population: Population, begin: int) -> tuple[PopulationView, NDArray[np.int64]]:
        """Return the cells of a population, and where each cell of it stands among them."""
        own = self.cells[(self.cells >= begin) & (self.cells < begin + population.size)] - begin
        place = np.full(population.size, -1)
        place[own] = np.arange(len(own))
        return PopulationView(population, own), place


class Sides(NamedTuple):
    """Both.

    Attributes:
        pre: Presynaptic cells.
        post: Postsynaptic cells.
        same: Whether one number is one cell on both sides.
    """

    pre: Side
    post: Side
    same: bool

    def axes(self, place: str, what: str, alike: bool = True) -> tuple[int, int]:
        """Return how many axes the positions of each side have.

        Args:
            place: What has the sides, for messages.
            what: What needs the positions.
            alike: Whether both have to have as many.

        Raises:
            NetworkError: A population has no positions, or there is no one number.
        """
        tables: list[list[tuple[str, int]]] = []
        for side in self[:2]:
            tables.append([])
            for owner in side.owners:
                if owner.positions is None:
                    raise NetworkError(
                        f"{place}: {what} needs the positions of population {owner.name!r}; give "
                        "sf.Population(..., positions=...)."
                    )
                tables[-1].append((owner.name, owner.positions.value.shape[1]))
        for some in [[*tables[0], *tables[1]]] if alike else tables:
            first, n = some[0]
            for other, m in some[1:]:
                if n != m:
                    raise NetworkError(
                        f"{place}: the positions of {first!r} have {n} axes, those of {other!r} "
                        f"{m}; distances need as many."
                    )
        return tables[0][0][1], tables[1][0][1]

    @property
    def apart(self) -> Distances:
        """How far cells are from each other; their positions are known."""
        assert self.pre.positions is not None and self.post.positions is not None
        return Distances(self.pre.positions, self.post.positions)


def as_side(cells: object, role: str) -> PopulationView | Joined:
    """Return a population, a view, or several of them joined, as what a projection has.

    Raises:
        WrongTypeError: It is none of these.
    """
    if isinstance(cells, (list, tuple)) and cells and all(isinstance(c, Joinable) for c in cells):
        raise WrongTypeError(f"{role} is {shown(cells)}; joined populations are written pn + ln.")
    return cells if isinstance(cells, Joined) else as_view(cells, role)


def sides_of(pre: PopulationView | Joined, post: PopulationView | Joined) -> Sides:
    """Return the sides of a projection.

    Where a population is on both, cells are numbered through the populations of both, in the order
    in which they come first; else through those of their own side.

    Raises:
        NetworkError: There are too many cells.
    """
    owners = [[view.population for view in views_of(side)] for side in (pre, post)]
    same = any(a is b for a in owners[0] for b in owners[1])
    both = [*owners[0], *owners[1]]
    tables = [_begins(both)] * 2 if same else [_begins(side) for side in owners]
    first, second = (_side(views_of(s), t) for s, t in zip((pre, post), tables, strict=True))
    return Sides(first, second, same)


def _begins(populations: list[Population]) -> tuple[dict[int, int], int]:
    """Return the number of the first cell of each population, by its id, and how many there are."""
    begins, size = dict[int, int](), 0
    for population in populations:
        if id(population) not in begins:
            begins[id(population)] = size
            size += population.size
    if size > MOST_CELLS:
        raise NetworkError(f"{size:,} cells are joined; there may be {MOST_CELLS:,}.")
    return begins, size


def views_of(side: PopulationView | Joined) -> tuple[PopulationView, ...]:
    """Return the views that a side is made of."""
    return side.views if isinstance(side, Joined) else (side,)


def _side(views: tuple[PopulationView, ...], table: tuple[dict[int, int], int]) -> Side:
    begins, size = table
    cells = [view.cells + begins[id(view.population)] for view in views]
    tables = [(view.population.positions, view.cells) for view in views]
    known = [positions.value[some] for positions, some in tables if positions is not None]
    placed = len(known) == len(views) and len({part.shape[1] for part in known}) == 1
    owners = {id(view.population): view.population for view in views}
    return Side(
        np.concatenate(cells),
        size,
        np.concatenate(known) if placed else None,
        tuple((owner, begins[key]) for key, owner in owners.items()),
    )


def moved_to(
    side: PopulationView | Joined, populations: Mapping[int, Population]
) -> PopulationView | Joined:
    """Return the same cells of other populations, which are found by the id of the old ones."""
    views = [PopulationView(populations[id(v.population)], v.cells) for v in views_of(side)]
    return Joined(tuple(views)) if isinstance(side, Joined) else views[0]
