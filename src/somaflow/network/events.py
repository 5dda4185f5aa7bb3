"""Events of cells beside their spikes: conditions with names, read from what a user gives."""

from collections.abc import Mapping
from typing import NamedTuple

from somaflow.equations.equations import Assignment, Equations
from somaflow.equations.expression import Node
from somaflow.equations.statements import IN_A_CELL
from somaflow.errors import NetworkError, WrongTypeError
from somaflow.given import shown

TAKEN = ("spikes", "rate")  # what else is asked for by such a name

Given = dict[str, str | tuple[str, str]]  # a condition, or a condition and a reset, by name


class Event(NamedTuple):
    """An event of the cells of a population.

    Attributes:
        name: Its name.
        condition: When it happens.
        resets: What it does to the cell, at the end of the step.
    """

    name: str
    condition: Node
    resets: tuple[Assignment, ...]


def checked_events(name: str, given: object) -> Given:
    """Return what `events=` of a population was given, as it is held.

    Args:
        name: Of the population.
        given: A dict of conditions, or of pairs of a condition and a reset.

    Raises:
        WrongTypeError: It is something else.
        NetworkError: A name cannot be one.
    """
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise WrongTypeError(
            f"events of {name!r} is a dict such as {{'burst': 'v > -40*mV'}}, not {shown(given)}."
        )
    held: Given = {}
    for key, value in given.items():
        if not isinstance(key, str) or not key.isidentifier():
            raise NetworkError(f"{shown(key)} cannot name an event: use letters, digits and _.")
        both = (value,) if isinstance(value, str) else value
        several = isinstance(both, (tuple, list)) and len(both) in (1, 2)
        if not several or not all(isinstance(text, str) for text in both):
            raise WrongTypeError(
                f"the event {key!r} of {name!r} is a condition such as 'v > -40*mV', or a "
                f"condition and a reset: ('v > -40*mV', 'w += 1*nA'), not {shown(value)}."
            )
        held[key] = (both[0], both[1]) if len(both) == 2 else both[0]
    return held


def read_events(
    name: str, equations: Equations, given: Given, read: frozenset[str] = frozenset()
) -> tuple[Event, ...]:
    """Read the events of a population.

    Args:
        name: Of the population.
        equations: Those of its cells.
        given: Of `checked_events`.
        read: Those of its inputs that are variables of other cells.

    Raises:
        NetworkError: An event has the name of something else, or looks at an input.
        EquationError, UnitError, UnknownNameError: A slip in a text.
    """
    events = []
    for key, value in given.items():
        if key in TAKEN or key in {*equations.dimensions(), *equations.inputs}:
            raise NetworkError(
                f"an event of {name!r} cannot be called {key!r}: it means something else there."
            )
        condition, reset = (value, None) if isinstance(value, str) else value
        node = equations.condition(condition, known=IN_A_CELL)
        resets = () if reset is None else equations.assignments(reset, known=IN_A_CELL)
        for tree in (node, *(assignment.expression for assignment in resets)):
            if inputs := equations.depends(tree) & set(equations.inputs) - read:
                raise NetworkError(
                    f"the event {key!r} of {name!r} may use states, parameters and the time t, "
                    f"not {', '.join(sorted(inputs))}."
                )
        events.append(Event(key, node, resets))
    return tuple(events)
