"""Endings: the condition at which a run stops, read from the text of `until=`."""

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from somaflow import units
from somaflow.equations import noise
from somaflow.equations.algebras import PURE, UnitAlgebra
from somaflow.equations.expression import (
    FUNCTIONS,
    Name,
    Node,
    evaluate,
    is_condition,
    parse,
    walk,
)
from somaflow.equations.statements import check_names
from somaflow.errors import EquationError, UnknownNameError, WrongTypeError, nearest
from somaflow.given import shown
from somaflow.network.network import Network
from somaflow.network.population import Population
from somaflow.network.recorder import SPIKES
from somaflow.units import Dimensions

OF_CONDITIONS = ("any", "all")
OF_NUMBERS = ("mean", "sum", "max", "min")
_BEGIN = re.compile(rf"(?<![\w.])({'|'.join((*OF_CONDITIONS, *OF_NUMBERS))})\s*\(")
_VARIABLE = re.compile(r"(?<![\w.])([^\W\d]\w*)(\s*\.\s*)(?=[^\W\d])")
_BARE = re.compile(r"(?<![\w.])([^\W\d]\w*)(?!\w|\s*[.(])")
_WORDS = {"and", "or", "not", "if", "else", "pi", "t"}
_ADVICE = (
    "A variable has a value for each cell: say any(PN.v > 0*mV), all(PN.v > 0*mV), or compare its "
    "mean(), sum(), max() or min()."
)


class Reduced(NamedTuple):
    """One number of the cells of a population.

    Attributes:
        function: `any` or `all` of a condition; `mean`, `sum`, `max` or `min` of a value.
        population: Name of the population.
        node: The condition or the value, as a tree of the variables of a cell.
    """

    function: str
    population: str
    node: Node


class Ending(NamedTuple):
    """When a run stops.

    Attributes:
        condition: A tree of the names of `parts` and the time `t`; those of conditions are 1 or 0.
        parts: The numbers that it compares.
    """

    condition: Node
    parts: dict[str, Reduced]


def read_ending(network: Network, text: object) -> Ending:
    """Read the text of `until=`.

    Args:
        network: The network of the run.
        text: Such as `"any(PN.v > 0*mV) or mean(LN.w) > 2*nA"`.

    Raises:
        WrongTypeError: It is no text.
        EquationError, UnitError, UnknownNameError: A slip in it.
    """
    if not isinstance(text, str):
        raise WrongTypeError(f"until is a text such as 'any(PN.v > 0*mV)', not {shown(text)}.")
    if "\n" in text:
        raise EquationError("until is one condition, in one line.", text.split("\n")[0])
    outer, parts, table = text, dict[str, Reduced](), dict[str, Dimensions]()
    for function, begin, end in _calls(text):
        inner = text[text.index("(", begin) + 1 : end - 1]
        part, dimensions = _read_part(network, text, function, inner, end - 1 - len(inner))
        # As long as what it stands for, so that messages point to where the text has it.
        name = f"{function}{len(parts)}"
        stands = f"({name}>0)" if function in OF_CONDITIONS else name
        outer = outer[:begin] + stands.ljust(end - begin) + outer[end:]
        parts[name], table[name] = part, dimensions
    condition = parse(outer, text)
    for item in walk(condition):
        if isinstance(item, Name) and "." in item.name:
            raise EquationError(f"{item.name} is not one number. {_ADVICE}", text, item.column)
    table["t"] = units.dimensions("ms")
    check_names(condition, table.keys(), frozenset(), text)
    if not is_condition(condition):
        raise EquationError(f"until is a condition. {_ADVICE}", text)
    evaluate(condition, UnitAlgebra(table, text))
    return Ending(condition, parts)


def _calls(text: str) -> Iterator[tuple[str, int, int]]:
    """Iterate over the calls of reductions: which, and where each begins and ends."""
    place = 0
    while match := _BEGIN.search(text, place):
        depth, place = 1, match.end()
        while depth:
            if place == len(text):
                raise EquationError("this parenthesis is not closed.", text, match.end() - 1)
            depth += {"(": 1, ")": -1}.get(text[place], 0)
            place += 1
        yield match[1], match.start(), place


def _read_part(
    network: Network, text: str, function: str, inner: str, start: int
) -> tuple[Reduced, Dimensions]:
    """Read what stands in a call.

    Args:
        network: The network.
        text: The whole text, for messages.
        function: Which call.
        inner: What stands in it.
        start: The column at which that begins.
    """
    if match := _BEGIN.search(inner):
        raise EquationError(f"{match[1]} stands within {function}.", text, start + match.start())
    population = _population(network, text, function, inner, start)
    table = seen_by(population)
    for match in _BARE.finditer(inner):
        word = match[1]
        if word in table and word not in {*_WORDS, *units.NAMES, *FUNCTIONS}:
            raise EquationError(
                f"{word!r} of which population? Write {population.name}.{word}.",
                text,
                start + match.start(),
            )
    # Blanks take the place of the population, so that columns stay.
    bare = _VARIABLE.sub(lambda match: " " * len(match[0]), inner)
    node = parse(bare, text, start)
    check_names(node, table.keys(), frozenset(), text)
    noise.refuse(node, population.equations.definitions, "until", text)
    if is_condition(node) != (function in OF_CONDITIONS):
        kind = "a condition" if function in OF_CONDITIONS else "a value, and no condition"
        raise EquationError(f"{function}() is of {kind}. {_ADVICE}", text, start)
    dimensions = evaluate(node, UnitAlgebra(table, text))
    return Reduced(function, population.name, node), dimensions


def _population(network: Network, text: str, function: str, inner: str, start: int) -> Population:
    """Return the population whose variables an expression is of."""
    known = {population.name: population for population in network.populations}
    found: str | None = None
    for match in _VARIABLE.finditer(inner):
        name, column = match[1], start + match.start()
        if name not in known:
            raise UnknownNameError(
                f"the network has no population {name!r}.{nearest(name, known)}", text, column
            )
        if found not in (None, name):
            raise EquationError(
                f"{function}() is over the cells of one population, not of {found!r} and "
                f"{name!r}; join two by and, or.",
                text,
                column,
            )
        found = name
    if found is None:
        first = next(iter(known))
        raise EquationError(
            f"{function}() names no population: write the variables of cells as {first}.v.",
            text,
            start,
        )
    return known[found]


def seen_by(population: Population) -> Mapping[str, Dimensions]:
    """Return the dimensions of what `until=` can see of a cell; what happens to it is 1 or 0."""
    table = dict(population.equations.dimensions())
    if population.spiking:
        table.setdefault(SPIKES, PURE)
    return table | {event.name: PURE for event in population.happenings}
