"""Links in numbers: what the equations of cells read of other cells, at any moment."""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from somaflow.compiler.layout import pad
from somaflow.compiler.lower import Scope
from somaflow.compiler.spiking import Spiking
from somaflow.compiler.states import States, Tensors
from somaflow.equations.expression import Name
from somaflow.network.links import Link
from somaflow.network.population import Population
from somaflow.numerics.device import cast, materialize, spread
from somaflow.numerics.sums import total
from somaflow.numerics.types import Tensor
from somaflow.simulation.system import Array


class Reading(NamedTuple):
    """One link.

    Attributes:
        target: Index of the population that reads.
        name: The name in its equations.
        source: Index of the population that is read.
        variable: A state, a link or a definition there.
        key: The name of the cells that are read among the arguments.
        n_cells: How many these are.
        whole: Whether they are all cells of the population, in their order.
        each: Whether there is one for each cell that reads.
        reduction: What is made of all of them: `mean`, `sum` or None.
    """

    target: int
    name: str
    source: int
    variable: str
    key: str
    n_cells: int
    whole: bool
    each: bool
    reduction: str | None


class Links:
    """The links of a network.

    Args:
        links: They, each after those that it needs.
        populations: The populations of the network.
        dtype: NumPy type of the run.

    Attributes:
        arrays: Which cells are read, int32, by the key of the link; of those links that do not
            read whole populations.
    """

    unseen = ("arrays", "_populations")

    def __init__(
        self, links: Sequence[Link], populations: Sequence[Population], dtype: np.dtype
    ) -> None:
        self._populations, self._dtype = populations, dtype
        self.arrays: dict[str, Array] = {}
        place = {population.name: k for k, population in enumerate(populations)}
        self._all: list[Reading] = []
        for target, name, read in links:
            k, source = place[target], populations[place[read.owner]]
            every = np.arange(source.size)
            cells = every if read.cells is None else read.cells
            each = read.reduction is None and len(cells) == populations[k].size
            reading = Reading(
                *(k, name, place[read.owner], read.variable, f"{target}.{name}", len(cells)),
                *(np.array_equal(cells, every), each, read.reduction),
            )
            if not reading.whole:
                self.arrays[reading.key] = (pad(cells, len(cells)) if each else cells).astype(
                    np.int32
                )
            self._all.append(reading)

    def lifting(self, spiking: Sequence[Spiking]) -> Iterator[int]:
        """Yield the populations that links may lift above a threshold without a reset.

        What a link reads may jump at the end of a step, as states do that spikes act on.
        """
        for k, (population, own) in enumerate(zip(self._populations, spiking, strict=True)):
            read = set() if own.condition is None else population.equations.depends(own.condition)
            if not own.resets and read & population.links.keys():
                yield k

    def read(
        self,
        states: list[States],
        shape: Callable[[int], tuple[int, ...]],
        scope: Callable[[int, States], Scope],
        cells: Tensors,
        local: bool = False,
    ) -> list[States]:
        """Return the states of all populations with what they read.

        Args:
            states: The states at a moment.
            shape: Returns the shape of a variable of a population, padding included.
            scope: Returns what evaluates trees of a population, given its states.
            cells: `arrays` as tensors.
            local: Whether what is read is constant under differentiation.
        """
        states = [*states]
        for link in self._all:
            value = self._value(link, states[link.source], shape(link.source), scope, cells)
            if local:
                value = tf.stop_gradient(value)
            states[link.target] = states[link.target] | {
                link.name: spread(value, shape(link.target))
            }
        return states

    def _value(
        self,
        link: Reading,
        owner: States,
        shape: tuple[int, ...],
        scope: Callable[[int, States], Scope],
        cells: Tensors,
    ) -> Tensor:
        value = owner.get(link.variable)
        if value is None:
            number = cast(scope(link.source, owner)(Name(link.variable)), self._dtype)
            # Stored: a product in it might be contracted with a sum of whoever reads it, or not.
            value = materialize(spread(number, shape))
        if link.whole and link.each:
            return value
        if link.whole:
            value = value[..., : link.n_cells]
        else:
            value = tf.gather(value, cells[link.key], axis=-1)
        if link.reduction is not None:
            value = total(value)
        if link.reduction == "mean":
            value = value / tf.constant(link.n_cells, value.dtype)
        return materialize(value)
