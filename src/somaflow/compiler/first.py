"""First values: the states with which the cells of a population begin."""

from collections.abc import Mapping

import numpy as np

from somaflow.equations.drawing import held
from somaflow.equations.statements import CELL
from somaflow.errors import RunError, UnitError, nearest
from somaflow.given import is_among, shown
from somaflow.network.distributions import Uniform, drawn_of
from somaflow.network.population import Population
from somaflow.simulation.system import Array


def first_values(
    population: Population, given: Mapping[str, object], seed: int
) -> dict[str, Array]:
    """Return the states with which a run begins, each one number or one for each cell.

    Args:
        population: The cells.
        given: Values in place of the equations' own, by state.
        seed: The network's, of what has none of its own.

    Raises:
        RunError: A value for an unknown state, or of the wrong shape or unit.
        MissingValueError: A state has no value, or one that is not finite.
    """
    equations, values = population.equations, {}
    for name, value in given.items():
        if not is_among(name, equations.states):
            raise RunError(
                f"initial[{population.name!r}] names {shown(name)}, which is not a state."
                f"{nearest(name, equations.states)}"
            )
        try:
            known = held(value, equations.unit(name), name, population.name)
            number = drawn_of(known, population.name, population.size, name, seed)
        except UnitError as error:
            raise RunError(f"initial: {error}") from None
        if number.value.ndim and number.value.shape[-1] not in (1, population.size):
            raise RunError(
                f"initial[{population.name!r}][{name!r}] has shape {number.value.shape}; give "
                f"one number, or one for each of the {population.size} cells."
            )
        values[name] = number.value

    def draw(name: str) -> Array:
        if name == CELL:
            return np.arange(population.size, dtype=np.float64)
        uniform = Uniform(0.0, 1.0)
        return drawn_of(uniform, population.name, population.size, name, seed).value

    return equations.initial_values(values, population.name, draw)
