"""Alongside: the values of a cell that are kept with each of its spikes."""

from collections.abc import Iterable

from somaflow.errors import NetworkError, UnknownNameError
from somaflow.network.population import Population
from somaflow.network.recorder import Recorder


def check_alongside(population: Population, names: Iterable[str]) -> None:
    """Refuse names that are not states, or definitions that follow from states.

    Args:
        population: Whose spikes are recorded.
        names: Of `Recorder.with_`.

    Raises:
        UnknownNameError: There is no such variable, or it does not change.
        NetworkError: It depends on an input or a noise.
    """
    equations = population.equations
    for name in names:
        if name in equations.parameters:
            raise UnknownNameError(
                f"{name!r} of {population.name!r} is a parameter, which does not change with "
                "spikes; with_() takes states and definitions."
            )
        population[name]
        definition = equations.definitions.get(name)
        inputs = {name} if definition is None else equations.depends(definition.expression)
        if inputs := inputs & set(equations.inputs):
            raise NetworkError(
                f"{name!r} of {population.name!r} is, or follows from, the input "
                f"{min(inputs)}, which is not known at a spike; with_() takes states, and "
                "definitions that follow from states."
            )


def kept_with(recorders: Iterable[Recorder], source: str) -> tuple[str, ...]:
    """Return all that is kept with the spikes or events of a source, each once.

    Args:
        recorders: Those of a run.
        source: As `Recorder.source`.
    """
    wanted = [recorder for recorder in recorders if recorder.of_spikes]
    names = (name for recorder in wanted if recorder.source == source for name in recorder.kept)
    return tuple(dict.fromkeys(names))
