"""Statements: the lines of a text of equations, read into tables before anything is checked."""

import re
import unicodedata
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from somaflow import units
from somaflow.equations import dialects
from somaflow.equations.drawing import Setting
from somaflow.equations.expression import (
    CONSTANTS,
    FUNCTIONS,
    NO_VALUE,
    RAND,
    SUMS,
    Call,
    Name,
    Node,
    is_condition,
    is_noise,
    names,
    parse,
    walk,
)
from somaflow.errors import EquationError, UnitError, UnknownNameError, nearest

# Beyond these a text takes long to read, and is refused.
_LONGEST_TEXT, _MOST_STATEMENTS = 100_000, 3_000
_SHOWN = 12  # names of a circle
CELL = "i"  # the number of a cell, where no variable has this name
# Names that have a value where there are steps: the step, and what is drawn in each; where a cell
# is meant, which; and where it begins.
STEPPED = frozenset({"dt", RAND})
IN_A_CELL = STEPPED | {CELL}
AT_THE_START = frozenset({RAND, CELL})
NAME = r"[^\W\d]\w*(?:\.[^\W\d]\w*)?"
_DERIVATIVE = re.compile(rf"\s*d({NAME})\s*/\s*dt\s*=(?!=)(.*)$")
_MAP = re.compile(rf"\s*({NAME})\s*\[\s*n\s*\+\s*1\s*\]\s*=(?!=)(.*)$")
_NOW = re.compile(rf"(?<!\w)({NAME})\s*\[\s*n\s*\]")  # of a map; a long word is searched once
_DEFINITION = re.compile(rf"\s*({NAME})\s*=(?!=)(.*)$")
_INPUT = re.compile(rf"\s*({NAME})\s*:(\s*\S.*)$")
# Where a statement goes on in the next line: what it ends with, or what that one begins with.
_UNFINISHED = re.compile(r"(\\|[-+*/%=,<>(]|\b(and|or|not|if|else))$")
_FOLLOWING = re.compile(r"\s*([-+*/%):]|(and|or|if|else)\b)")
_ON_SPIKE = re.compile(r"\s*on\s+(?:(post)\s+)?spike\s*:(.*)$")
_EVERY = re.compile(r"\s*every\s+([^\s=:][^=:]*):(.*)$")
ASSIGNMENT = re.compile(rf"\s*({NAME})\s*(=|\+=|-=|\*=|/=)(?!=)(.*)$")


@dataclass(frozen=True)
class Variable:
    """One line of equations: a state's derivative, or a definition.

    Attributes:
        name: What it defines.
        expression: The right-hand side.
        unit: The unit of the variable itself (not of its derivative).
        line: The user's line.
        number: Its number in the text.
        is_map: Whether the right-hand side is what a state becomes, and no derivative.
    """

    name: str
    expression: Node
    unit: str
    line: str = field(compare=False)
    number: int = field(compare=False)
    is_map: bool = False


@dataclass(frozen=True)
class Assignment:
    """What happens at a spike or a reset: `name = expression`; `+=` is written out."""

    name: str
    expression: Node


class OnSpike(NamedTuple):
    """A statement `on spike:` or `on post spike:`."""

    line: str
    number: int
    start: int  # the column behind the colon
    post: bool


class Every(NamedTuple):
    """A statement `every 10*ms:`."""

    line: str
    number: int
    interval: str
    columns: tuple[int, int]  # where the interval begins, and what is behind the colon


@dataclass(frozen=True)
class Statements:
    """The statements of a text, by kind and in the order of the text.

    Attributes:
        states: The derivative of each state; of a map, what it becomes.
        definitions: The definitions.
        inputs: Unit of each input.
        spikes: What happens at spikes.
        rules: What is done at intervals.
    """

    states: dict[str, Variable] = field(default_factory=dict)
    definitions: dict[str, Variable] = field(default_factory=dict)
    inputs: dict[str, str] = field(default_factory=dict)
    spikes: list[OnSpike] = field(default_factory=list)
    rules: list[Every] = field(default_factory=list)

    @property
    def count(self) -> int:
        """How many there are."""
        events = len(self.spikes) + len(self.rules)
        return len(self.states) + len(self.definitions) + len(self.inputs) + events


def name_of(match: re.Match[str]) -> str:
    """Return the name on the left, in the form that Python gives to names on the right."""
    return unicodedata.normalize("NFKC", match[1])


def state_names(text: str) -> set[str]:
    """Return the names that a text has derivatives of, or maps."""
    lines = text.splitlines()
    return {name_of(m) for line in lines if (m := _DERIVATIVE.match(line) or _MAP.match(line))}


def check_free(
    name: str, line: str | None = None, column: int = 0, number: int | None = None
) -> None:
    """Refuse a name that means something already.

    Raises:
        EquationError: It is that of time, a function, a unit or white noise.
    """
    kinds = {"time": {"t"}, "a function": {*FUNCTIONS, "rand"}, "a unit": units.NAMES}
    kinds["white noise"] = {name} if is_noise(name) else set()
    kinds |= {f"the number {value:.6g}": {key} for key, value in CONSTANTS.items()}
    for kind, taken in kinds.items():
        if name in taken:
            hint = f"Leave {name}= out." if name in CONSTANTS else "Choose another."
            message = f"the name {name!r} is taken: it is {kind}. {hint}"
            raise EquationError(message, line, column, number)


def check_names(
    node: Node,
    own: AbstractSet[str],
    known: AbstractSet[str],
    line: str | None,
    number: int | None = None,
) -> None:
    """Refuse names in a tree that mean nothing, or two things.

    Args:
        node: The tree.
        own: The names that the equations define or declare.
        known: Those of the names `dt`, `rand()` and `i` that have a value where it stands.
        line: The user's line.
        number: Its number.

    Raises:
        UnknownNameError: Nothing defines a name.
        EquationError: `dt` or `rand()` has no value, or is one of the equations too.
    """
    for item in walk(node):
        if isinstance(item, Call) and item.function in SUMS - known:
            message = (
                f"{item.function}() has a value in the rules of a synapse alone, such as "
                "'every 350*ms: w *= 78.4/sum_post(w)'. Elsewhere, the current I of a synapse is "
                "summed over the synapses of a cell by itself."
            )
            raise EquationError(message, line, item.column, number)
        if not isinstance(item, Name) or is_noise(item.name):
            continue
        name, kind = item.name, EquationError
        if name in own and name in known and name != CELL:
            message = f"{name!r} is the step here, and in the equations too; rename it there."
        elif name in own or name in known or name == "t" or name in units.NAMES:
            continue
        elif name in STEPPED:
            hint = " In an equation white noise is called xi." if name == RAND else ""
            also = ", in initial values" if name == RAND else ""
            message = (
                f"{name!r} is known in the threshold, the reset and the refractory condition of a "
                f"population{also}, in what spikes do and in what is done at intervals, and "
                f"nowhere else.{hint}"
            )
        else:
            kind = UnknownNameError
            advice = dialects.name(name) or (
                f"{nearest(name, own, units.NAMES)} A parameter is given by name: {name}=..."
            )
            message = f"{name!r} is not defined.{advice}"
        raise kind(message, line, item.column, number)


def read(
    text: str, parameters: Mapping[str, Setting], trees: Mapping[str, Node] | None = None
) -> Statements:
    """Read a text of equations.

    Args:
        text: One statement a line; see `Equations`.
        parameters: The parameters, whose names are taken.
        trees: Right-hand sides that are known as trees, by name, with the columns of their line.

    Raises:
        EquationError: A line that is no statement, a name that is taken, a syntax slip.
        UnitError: A text that names no unit.
    """
    for name in parameters:
        check_free(name)
    if len(text) > _LONGEST_TEXT:
        raise EquationError(
            f"this text of equations has {len(text):,} characters, and at most "
            f"{_LONGEST_TEXT:,} are read."
        )
    tables = Statements()
    for number, line in _lines(text):
        if tables.count >= _MOST_STATEMENTS:
            raise EquationError(
                f"there are more than {_MOST_STATEMENTS:,} statements, which are too many for one "
                "text of equations. What differs from cell to cell is a parameter with an array.",
                line,
                0,
                number,
            )
        if said := dialects.statement(line):
            raise EquationError(said, line, len(line) - len(line.lstrip()), number)
        if match := _ON_SPIKE.match(line):
            tables.spikes.append(OnSpike(line, number, match.start(2), bool(match[1])))
            continue
        if match := _EVERY.match(line):
            tables.rules.append(Every(line, number, match[1], (match.start(1), match.start(2))))
            continue
        plain = _NOW.sub(lambda m: m[1].ljust(len(m[0])), line)  # what is shown is as written
        match = _DERIVATIVE.match(plain) or _MAP.match(plain)
        table = tables.states if match else tables.definitions
        match = match or _DEFINITION.match(plain)
        declared = None if match else _INPUT.match(line)
        if match:
            _check_name(match, parameters, tables, line, number)
            made = _variable(match, line, number, trees or {})
            if table is tables.states:
                made = replace(made, is_map=bool(_MAP.match(plain)))
                _check_alike(made, table)
            table[made.name] = made
        elif declared:
            _check_name(declared, parameters, tables, line, number, declared=True)
            tables.inputs[name_of(declared)] = _unit(declared[2], line, number)
        else:
            raise EquationError(
                "this is not a statement. Write 'dx/dt = ... : unit', 'x[n+1] = ... : unit', "
                "'name = ... : unit', 'name : unit', 'on spike: name += ...', 'on post spike: "
                "name += ...' or 'every 10*ms: name = ...'.",
                line,
                len(line) - len(line.lstrip()),
                number,
            )
    return tables


def _check_alike(variable: Variable, states: Mapping[str, Variable]) -> None:
    """Refuse a state that is a map beside one that has a derivative.

    Raises:
        EquationError: There is one.
    """
    for other in states.values():
        if other.is_map != variable.is_map:
            one, two = (variable, other) if variable.is_map else (other, variable)
            raise EquationError(
                f"{one.name!r} is a map and {two.name!r} has a derivative: the states of one text "
                "are all maps, or none is.",
                variable.line,
                len(variable.line) - len(variable.line.lstrip()),
                variable.number,
            )


def are_maps(states: Mapping[str, Variable]) -> bool:
    """Tell whether states are maps, which a step makes once; equations have such states or none."""
    return any(variable.is_map for variable in states.values())


def _lines(text: str) -> list[tuple[int, str]]:
    """Return each statement as one line, without comments, with the number of its first line."""
    lines: list[tuple[int, str]] = []
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.split("#")[0].rstrip()
        if not line.strip():
            continue
        if lines and (_goes_on(lines[-1][1]) or _FOLLOWING.match(line)):
            first, before = lines[-1]
            lines[-1] = first, f"{before.removesuffix(chr(92)).rstrip()} {line.strip()}"
        else:
            lines.append((number, line))
    return lines


def _goes_on(line: str) -> bool:
    """Tell whether a statement goes on: it ends with an operator, or in brackets without a unit."""
    event = _ON_SPIKE.match(line) or _EVERY.match(line)
    body = event[2] if event else line
    open_still = body.count("(") > body.count(")") and ":" not in body
    return open_still or bool(_UNFINISHED.search(line))


def _check_name(
    match: re.Match[str],
    parameters: Mapping[str, Setting],
    tables: Statements,
    line: str,
    number: int,
    declared: bool = False,
) -> None:
    name, column = name_of(match), match.start(1)
    if name in parameters:
        raise EquationError(
            f"{name!r} is a parameter (given as {parameters[name]}); "
            + (
                "it has the unit of its value, so leave this line out."
                if declared
                else "equations cannot assign to it. Rename one of the two."
            ),
            line,
            column,
            number,
        )
    check_free(name, line, column, number)
    if any(name in table for table in (tables.states, tables.definitions, tables.inputs)):
        raise EquationError(f"{name!r} is defined twice.", line, column, number)


def _variable(match: re.Match[str], line: str, number: int, trees: Mapping[str, Node]) -> Variable:
    text, colon, unit = match[2].rpartition(":")
    if not colon:
        raise EquationError(
            f"the unit is missing: end the line with ': mV', or ': 1' for a pure number "
            f"({match[1]!r}).",
            line,
            len(line),
            number,
        )
    unit, name = _unit(unit, line, number), name_of(match)
    node = trees.get(name) or parse(text, line, match.start(2), number)
    refuse_condition(node, line, number)
    return Variable(name, node, unit, line, number)


def _unit(text: str, line: str, number: int) -> str:
    try:
        units.parse_unit(text.strip())
    except UnitError as error:
        column = len(line) - len(text.lstrip())
        raise UnitError(dialects.flag(text, line) or str(error), line, column, number) from None
    return text.strip()


def refuse_condition(node: Node, line: str | None, number: int | None = None) -> None:
    """Refuse a comparison where a number is wanted.

    Raises:
        EquationError: The tree is a comparison.
    """
    if is_condition(node):
        raise EquationError(
            NO_VALUE,
            line,
            node.column,
            number,
        )


def in_order(definitions: dict[str, Variable]) -> dict[str, Variable]:
    """Return the definitions, each after those that it needs.

    Raises:
        EquationError: Some need each other.
    """
    needs = {
        name: sorted(names(variable.expression) & definitions.keys(), reverse=True)
        for name, variable in definitions.items()
    }
    ordered: dict[str, Variable] = {}
    for first in definitions:
        path: dict[str, None] = {}  # from the first to the one that is looked at
        waiting = [first]
        while waiting:
            name = waiting[-1]
            if name in ordered:
                waiting.pop()
            elif name not in path:
                path[name] = None
                waiting += [other for other in needs[name] if other not in ordered]
                for other in needs[name]:
                    if other in path:
                        raise _circle(definitions[other], [*path])
            else:
                ordered[name] = definitions[waiting.pop()]
                del path[name]
    return ordered


def _circle(variable: Variable, path: list[str]) -> EquationError:
    circle = [*path[path.index(variable.name) :], variable.name]
    if len(circle) > _SHOWN:
        circle[_SHOWN // 2 : -_SHOWN // 2] = ["..."]
    hint = ""
    if len(circle) == 2:
        hint = f" A map, which is made once a step, is written '{circle[0]}[n+1] = ...'."
    return EquationError(
        f"these definitions need each other: {' -> '.join(circle)}.{hint}",
        variable.line,
        len(variable.line) - len(variable.line.lstrip()),
        variable.number,
    )


def split_assignments(
    text: str, line: str, offset: int, number: int | None
) -> Iterator[tuple[re.Match[str], int]]:
    """Yield the match of each assignment of a text, and the column where its part begins.

    Raises:
        EquationError: A part is no assignment.
    """
    position = 0
    for part in text.split(";"):
        start, position = offset + position, position + len(part) + 1
        if not part.strip():
            continue
        match = ASSIGNMENT.match(part)
        if not match:
            raise EquationError(
                "an assignment has the form 'v = -65*mV' or 'w += b'.",
                line,
                start + len(part) - len(part.lstrip()),
                number,
            )
        yield match, start
