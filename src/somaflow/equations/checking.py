"""The check of units of a system of equations."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager

from somaflow import units
from somaflow.equations.algebras import PURE, UnitAlgebra, describe
from somaflow.equations.drawing import Setting
from somaflow.equations.expression import Node, evaluate, names
from somaflow.equations.inference import advice, wanted_units
from somaflow.equations.statements import Variable, are_maps
from somaflow.errors import UnitError
from somaflow.units import Dimensions

Table = Mapping[str, Dimensions]
# An expression, and the dimensions that it must have, or None for any.
Side = tuple[Node, Dimensions | None]


def check(
    states: Mapping[str, Variable],
    definitions: Mapping[str, Variable],
    table: Table,
    parameters: Mapping[str, Setting],
    pure: bool,
) -> None:
    """Check the unit of every right-hand side.

    Args:
        states: The states.
        definitions: The definitions.
        table: Dimensions of every name.
        parameters: The parameters.
        pure: Whether time is a pure number.

    Raises:
        UnitError: One does not fit; it names the unit that is expected and the one found, and that
            of parameters given as plain numbers, where the equations fix it.
    """
    with advising(parameters, table, lambda: sides(states, definitions, pure)):
        for variable in (*definitions.values(), *states.values()):
            dimensions = evaluate(
                variable.expression, UnitAlgebra(table, variable.line, variable.number)
            )
            wanted = _wanted(variable, states, pure)
            if dimensions == wanted:
                continue
            is_state = variable.name in states
            has_rate = is_state and not variable.is_map
            what = f"d{variable.name}/dt" if has_rate else variable.name
            hint = (
                " Divide by a time constant."
                if has_rate and dimensions == table[variable.name]
                else ""
            )
            raise UnitError(
                f"the right-hand side is {describe(dimensions)}, but {what} must be "
                f"{describe(wanted)}.{hint}",
                variable.line,
                variable.expression.column,
                variable.number,
            )


def is_pure(
    states: Mapping[str, Variable], definitions: Mapping[str, Variable], declared: Iterable[str]
) -> bool:
    """Tell whether no unit occurs at all, so that time is a pure number where states change.

    Not of maps.

    Args:
        states: The states.
        definitions: The definitions.
        declared: The units of inputs and parameters.
    """
    both = (*states.values(), *definitions.values())
    return (
        bool(states)
        and not are_maps(states)
        and all(units.dimensions(unit) == PURE for unit in (*(v.unit for v in both), *declared))
        and (not any(names(variable.expression) & units.NAMES.keys() for variable in both))
    )


def sides(
    states: Mapping[str, Variable], definitions: Mapping[str, Variable], pure: bool
) -> list[Side]:
    """Return every right-hand side with the dimensions that it must have."""
    both = (*definitions.values(), *states.values())
    return [(variable.expression, _wanted(variable, states, pure)) for variable in both]


def _wanted(variable: Variable, states: Mapping[str, Variable], pure: bool) -> Dimensions:
    derivative = variable.name in states and not pure and not variable.is_map
    return units.dimensions(f"{variable.unit}/ms" if derivative else variable.unit)


@contextmanager
def advising(
    parameters: Mapping[str, Setting], table: Table, checked: Callable[[], list[Side]]
) -> Iterator[None]:
    """Say which unit parameters that are plain numbers must have, where units do not fit.

    Args:
        parameters: The parameters.
        table: Dimensions of every name.
        checked: Returns all that fixes units.

    Raises:
        UnitError: The one that is raised within, with that advice above it.
    """
    try:
        yield
    except UnitError as error:
        plain = [name for name, held in parameters.items() if held.unit == "1"]
        wanted = wanted_units(table, plain, checked())
        if not wanted:
            raise
        raise UnitError(f"{advice(parameters, wanted)}\n{error}") from None
