"""Events: what a text says happens at spikes, and what it says is done at intervals."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from somaflow import units
from somaflow.equations import noise
from somaflow.equations.algebras import NumberAlgebra, UnitAlgebra, describe
from somaflow.equations.drawing import Setting
from somaflow.equations.expression import SUMS, Node, evaluate, names, parse, render
from somaflow.equations.statements import (
    IN_A_CELL,
    STEPPED,
    Assignment,
    Every,
    Statements,
    check_names,
    refuse_condition,
)
from somaflow.errors import EquationError, UnitError

_KNOWN = IN_A_CELL | SUMS
_NEAR = 1e-6  # of an interval, by which a time that is a multiple of it may differ


@dataclass(frozen=True)
class Rule:
    """What is done at intervals: `every 10*ms: w *= 0.99`.

    Attributes:
        interval: The time between, a tree of numbers and parameters.
        assignments: What is done, in order.
    """

    interval: Node
    assignments: tuple[Assignment, ...]


def read_spikes(
    lines: Statements, read: Callable[..., tuple[Assignment, ...]], post: bool
) -> tuple[Assignment, ...]:
    """Return what happens at the spikes of one side.

    Args:
        lines: The statements of a text.
        read: Reads assignments, as `Equations.assignments`.
        post: Whether the spikes are those of the postsynaptic cell.

    Raises:
        EquationError, UnitError, UnknownNameError: As for equations.
    """
    ports = frozenset(name for name in lines.inputs if name.endswith("_post"))
    return tuple(
        item
        for spike in lines.spikes
        if spike.post == post
        for item in read(
            spike.line[spike.start :], spike.line, spike.start, spike.number, ports, STEPPED
        )
    )


def read_rules(lines: Statements, equations: Any) -> tuple[Rule, ...]:
    """Return what is done at intervals; lines of one interval that follow each other are one rule.

    Args:
        lines: The statements of a text.
        equations: The equations that are being made of it.

    Raises:
        EquationError, UnitError, UnknownNameError: As for equations.
    """
    rules: list[Rule] = []
    for line in lines.rules:
        interval = _interval(line, equations)
        start = line.columns[1]
        items = equations.assignments(
            line.line[start:], line.line, start, line.number, frozenset(), _KNOWN
        )
        if not items:
            raise EquationError(
                "nothing is done here: write 'every 10*ms: w *= 0.99'.",
                line.line,
                start,
                line.number,
            )
        if rules and rules[-1].interval == interval:
            items = (*rules.pop().assignments, *items)
        rules.append(Rule(interval, items))
    return tuple(rules)


def _interval(line: Every, equations: Any) -> Node:
    place = line.line, line.number
    node = parse(line.interval, line.line, line.columns[0], line.number)
    refuse_condition(node, *place)
    known = frozenset(equations.parameters)
    if changing := names(node) - known - units.NAMES.keys():
        name = min(changing)
        if name in equations.dimensions():
            raise EquationError(
                f"{name!r} changes, and an interval is a number: of literal numbers, units and "
                "parameters, such as 10*ms.",
                line.line,
                line.columns[0],
                line.number,
            )
    check_names(node, known, frozenset(), *place)
    noise.refuse(node, equations.definitions, "an interval", *place)
    table = equations.dimensions()
    found = evaluate(node, UnitAlgebra(table, *place))
    if found != table["t"]:
        raise UnitError(
            f"an interval is a time such as 10*ms, not {describe(found)}.",
            line.line,
            line.columns[0],
            line.number,
        )
    return node


def interval_of(rule: Rule, parameters: dict[str, Setting], where: str) -> float:
    """Return the time between in ms.

    Args:
        rule: The rule.
        parameters: Those of its equations.
        where: What has it, for messages.

    Raises:
        EquationError: It is no one number greater than 0.
    """
    table = {
        name: getattr(parameters[name], "value", None)
        for name in names(rule.interval) & {*parameters}
    }
    text = render(rule.interval)
    for name, value in table.items():
        if value is None or np.ndim(value):
            raise EquationError(
                f"{where}: the interval of 'every {text}:' is one number, and {name!r} is not."
            )
    value = float(evaluate(rule.interval, NumberAlgebra(table)))  # pyright: ignore
    if not (np.isfinite(value) and value > 0):
        raise EquationError(
            f"{where}: the interval of 'every {text}:' is {value:g} ms; it is greater than 0."
        )
    return value


def falls_on(rule: Rule, parameters: dict[str, Setting], time: float) -> bool:
    """Tell whether a rule is followed at a time in ms."""
    count = time / interval_of(rule, parameters, "")
    return round(count) > 0 and abs(count - round(count)) < _NEAR


def written(rules: Iterable[Rule]) -> list[str]:
    """Return rules as lines of a text, one an assignment."""
    return [
        f"every {render(rule.interval)}: {item.name} = {render(item.expression)}"
        for rule in rules
        for item in rule.assignments
    ]
