"""Inputs: what drives cells from outside, by name, and the voltage that each of them drives."""

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from somaflow import units
from somaflow.errors import NetworkError, UnknownNameError, WrongTypeError, nearest
from somaflow.given import shown
from somaflow.network.neuron import CURRENT_INPUT

if TYPE_CHECKING:
    from somaflow.network.population import Population

MEMBRANE = "v"  # what is called so is the membrane potential


def inputs_of(population: "Population") -> dict[str, str]:
    """Return what can be driven of a population, with its units: all inputs that are no links."""
    if population.source is not None:
        return {}
    inputs = population.equations.inputs
    return {name: unit for name, unit in inputs.items() if name not in population.links}


def chosen_input(owner: str, inputs: Mapping[str, str], into: object, what: str) -> str:
    """Return which input of a population something drives.

    Args:
        owner: The population.
        inputs: Its inputs, with their units.
        into: What the user said; None for the only one.
        what: What drives it, for messages.

    Raises:
        NetworkError: There is none, or there are several and it was not said which one.
        UnknownNameError: There is no such input.
        WrongTypeError: It is no name.
    """
    if into is not None and not isinstance(into, str):
        raise WrongTypeError(f"into of {what} is the name of an input, not {shown(into)}.")
    if not inputs:
        raise NetworkError(
            f"{owner!r} has no input for {what}: add the line '{CURRENT_INPUT} : nA' to its "
            f"equations and use {CURRENT_INPUT} in dv/dt."
        )
    if into is None and len(inputs) > 1:
        names = ", ".join(repr(name) for name in inputs)
        raise NetworkError(
            f"{owner!r} has the inputs {names}; say which of them {what} drives, as in "
            f"into={next(iter(inputs))!r}."
        )
    if into is not None and into not in inputs:
        raise UnknownNameError(
            f"{owner!r} has no input {into!r} for {what}; it has {', '.join(map(repr, inputs))}."
            f"{nearest(into, inputs)}"
        )
    return next(iter(inputs)) if into is None else into


def membrane(population: "Population", into: str, unit: str = "mV") -> str:
    """Return which state of some cells is the voltage for what drives an input of theirs.

    It is `v` where they have one and a single input. Of others it is the only state of its unit
    whose derivative has the input; and `v` where there is none or several of these.

    Args:
        population: The cells.
        into: The input.
        unit: Of the voltage.
    """
    equations = population.equations
    if MEMBRANE in equations.states and len(inputs_of(population)) == 1:
        return MEMBRANE
    driven = [
        name
        for name, state in equations.states.items()
        if units.dimensions(state.unit) == units.dimensions(unit)
        and into in equations.depends(state.expression)
    ]
    return driven[0] if len(driven) == 1 else MEMBRANE


def undriven(populations: Sequence["Population"], driven: Collection[tuple[str, str]]) -> str:
    """Tell of inputs that are 0 since nothing drives them, and that are no currents.

    Args:
        populations: Those of a network.
        driven: The population and the input of each thing that drives one.

    Returns:
        A sentence; empty where there are none.
    """
    currents = {units.dimensions(unit) for unit in ("nA", "uA/cm**2")}
    for population in populations:
        inputs = inputs_of(population)
        idle = [
            name
            for name, unit in inputs.items()
            if (population.name, name) not in driven
            and name != CURRENT_INPUT
            and units.dimensions(unit) not in currents
        ]
        if idle:
            return (
                f"nothing drives the input {idle[0]!r} of {population.name!r}, so it is 0. If it "
                f"is a constant, leave the line '{idle[0]} : {inputs[idle[0]]}' out and give "
                f"{idle[0]}=... to Equations.parse; a variable of other cells is a link: "
                f"links={{{idle[0]!r}: other['x']}}."
            )
    return ""
