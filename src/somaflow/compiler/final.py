"""Final states: all that a run needs to go on where another one ended."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from somaflow.errors import RunError, UnknownNameError, nearest
from somaflow.simulation.system import Array


@dataclass(frozen=True)
class FinalState:
    """The whole state at the end of a run; `sf.simulate(..., initial=run.final)` goes on from it.

    Cells, synapses, spikes that are still under way and the count of steps are all in it, so two
    runs, the second with `initial=` the final state of the first, give the bits of one long run.

    Attributes:
        steps: Steps made since time 0.
        dt: The step in ms.
        states: Value of each state of each population: `states["PN"]["v"]`, in the coherent
            system, shape `[..., n_cells]`.
        events: What synapses, delays and noise keep, by name.
        choices: How the sums of each group of projections are computed; kept, so that the order
            of additions stays.
    """

    steps: int
    dt: float
    states: dict[str, dict[str, Array]]
    events: dict[str, Array]
    choices: dict[str, str]

    @property
    def time(self) -> float:
        """Biological time in ms."""
        return self.steps * self.dt

    def __getitem__(self, population: str) -> dict[str, Array]:
        """Return the states of a population.

        Raises:
            UnknownNameError: There is none of that name.
        """
        if population not in self.states:
            known = nearest(str(population), self.states)
            raise UnknownNameError(f"the final state has no population {population!r}.{known}")
        return self.states[population]

    def __repr__(self) -> str:
        return f"FinalState({', '.join(self.states)} at {self.time:g} ms)"


def flattened(tree: Any, path: str = "") -> dict[str, Array]:
    """Return the arrays of nested dicts by path."""
    if not isinstance(tree, Mapping):
        return {path: np.asarray(tree)}
    found: dict[str, Array] = {}
    for key, value in tree.items():
        found |= flattened(value, f"{path}/{key}" if path else str(key))
    return found


def restored(tree: Any, given: Mapping[str, Array], path: str = "") -> Any:
    """Return nested dicts of the same structure with the arrays that are given by path.

    Raises:
        RunError: Something is missing, or has another shape or type.
    """
    if isinstance(tree, Mapping):
        return {
            key: restored(value, given, f"{path}/{key}" if path else str(key))
            for key, value in tree.items()
        }
    if path not in given:
        raise RunError(
            f"the state that is given has no {path!r}, which this network needs: projections and "
            "stimuli of both must be the same but for parameters, weights and inputs. What is to "
            "begin later belongs in the first network too, with a start or an amplitude of 0."
        )
    value = given[path]
    if value.shape != np.shape(tree) or value.dtype != np.asarray(tree).dtype:
        raise RunError(
            f"{path!r} is {value.dtype} {list(value.shape)} in the state that is given, but "
            f"{np.asarray(tree).dtype} {list(np.shape(tree))} in this run: sizes, connections, "
            "delays and dtype of both must be the same."
        )
    return value
