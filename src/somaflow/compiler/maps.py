"""Maps: what a network of maps cannot have, and what is said when one ceases to be finite."""

import numpy as np

from somaflow.compiler.tables import Tables
from somaflow.equations.statements import are_maps
from somaflow.errors import NetworkError
from somaflow.simulation.replay import Failure
from somaflow.simulation.system import numbered


def check_maps(tables: Tables) -> bool:
    """Tell whether the populations of a network are maps, and refuse synapses that flow.

    Raises:
        NetworkError: A synapse of maps has states that a solver would integrate.
    """
    if not any(are_maps(population.equations.states) for population in tables.populations):
        return False
    for coupling in tables.couplings:
        if coupling.rows or coupling.flowing:
            states = ", ".join(coupling.group.lowered.equations.states)
            raise NetworkError(
                f"{coupling.group.place} has states ({states}) with derivatives that follow a "
                "cell, and its cells are maps, between whose iterations nothing flows. Make the "
                "state one of the presynaptic cell, g[n+1] = ..., and read it as g_pre."
            )
    return True


class MapDoctor:
    """Says which cell of a map is not finite any more.

    Args:
        tables: Of the network.
    """

    def __init__(self, tables: Tables) -> None:
        self.tables = tables

    def __call__(self, failure: Failure) -> str:
        """Return what has happened in a step."""
        before, after = (tuple(map(np.asarray, c.flow)) for c in (failure.before, failure.after))
        for row in self.tables.rows():
            for place in np.argwhere(~np.isfinite(row.pick(after)))[:1]:
                index = tuple(int(k) for k in place)
                return (
                    f"{row.name}{numbered(index, row.first)} is {row.pick(after)[index]} at "
                    f"t = {(failure.step + 1) * failure.dt:g} ms, after {failure.step + 1:,} "
                    f"iterations of its map; one before it was {row.pick(before)[index]:.6g}. Are "
                    "its parameters and its start where the map stays bounded?"
                )
        return "what synapses keep is not finite any more; are their numbers as they should be?"
