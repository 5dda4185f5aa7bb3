"""Starts: the initial values that members of a sweep are given, checked."""

from collections.abc import Mapping
from typing import Any

from somaflow.equations.drawing import Setting, held
from somaflow.errors import RunError, WrongTypeError, nearest
from somaflow.given import is_among, shown
from somaflow.network.network import Network

Initial = Mapping[str, Mapping[str, object]]


def checked_initial(initial: object) -> Initial:
    """Return initial values, if they are a dict of dicts.

    Raises:
        WrongTypeError: They are none.
    """
    initial = {} if initial is None else initial
    if not isinstance(initial, Mapping) or not all(
        isinstance(values, Mapping) for values in initial.values()
    ):
        raise WrongTypeError(
            f"initial is a dict such as {{'PN': {{'v': ...}}}}, not {shown(initial)}."
        )
    return initial


def population_of(network: Network, name: object) -> Any:
    """Return the population that initial values are of.

    Raises:
        RunError: There is none of that name.
    """
    known = {population.name: population for population in network.populations}
    if not is_among(name, known):
        raise RunError(f"initial names {shown(name)}.{nearest(name, known)}")
    return known[name]


def start_of(population: Any, state: str, value: object) -> Setting:
    """Return an initial value, checked as a run checks it, but for the one axis it may have."""
    states = population.equations.states
    if state not in states:
        raise RunError(
            f"initial[{population.name!r}] names {shown(state)}, which is not a state."
            f"{nearest(state, states)}"
        )
    start = held(value, states[state].unit, state, population.name)
    shape = start.value.shape if hasattr(start, "value") else ()
    if shape not in ((), (population.size,)):
        raise RunError(
            f"the initial value {state!r} of {population.name!r} has shape {shape}; give one "
            f"number, or one for each of the {population.size} cells."
        )
    return start
