"""Initial values, which may be expressions of parameters, definitions and each other."""

from collections import deque
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet

import numpy as np
from numpy.typing import NDArray

from somaflow import units
from somaflow.equations.algebras import NumberAlgebra, Numbers
from somaflow.equations.expression import (
    RAND,
    Name,
    Node,
    dependencies,
    evaluate,
    names,
    renamed,
    render,
)
from somaflow.equations.statements import CELL, Variable
from somaflow.errors import MissingValueError, point

Arrays = dict[str, NDArray[np.float64]]
Draw = Callable[[str], Numbers]


def of_cells(
    waiting: Mapping[str, Node],
    free: AbstractSet[str],
    known: dict[str, Numbers],
    where: str,
    draw: Draw | None,
) -> dict[str, Node]:
    """Return expressions in which each call of `rand()` has a name, and add its value to `known`.

    Args:
        waiting: Expressions by state.
        free: `rand()` and `i`, without what is a variable.
        known: What they may use; the number of a cell is added too.
        where: What the equations belong to, for messages.
        draw: As for `Equations.initial_values`.

    Raises:
        MissingValueError: There are no cells.
    """
    changed = {}
    for key, node in waiting.items():
        needed = names(node) & free
        if needed and draw is None:
            raise MissingValueError(
                f"the initial value of {key!r} of {where} is {render(node)}, and "
                f"{min(needed)} has a value for the cells of a sf.Population alone; give a number "
                "or an array."
            )
        if draw is not None and CELL in needed:
            known[CELL] = draw(CELL)
        if draw is not None and RAND in needed:
            changed[key], drawn = _numbered(key, node)
            known |= {name: draw(name) for name in drawn}
        else:
            changed[key] = node
    return changed


def _numbered(key: str, node: Node) -> tuple[Node, list[str]]:
    """Return a tree in which each call of `rand()` has a name of its own, and these names."""
    drawn: list[str] = []

    def change(name: Name) -> Node:
        if name.name != RAND:
            return name
        drawn.append(f"{key}: {len(drawn)}")
        return Name(drawn[-1])

    return renamed(node, change), drawn


def resolve(
    waiting: Mapping[str, Node],
    known: Mapping[str, Numbers],
    definitions: Mapping[str, Variable],
    where: str,
) -> dict[str, Numbers]:
    """Evaluate expressions until none waits for another.

    Args:
        waiting: Expressions by state.
        known: What they may use, in the coherent system.
        definitions: What they may use too, each after those that it needs.
        where: What the equations belong to, for messages.

    Returns:
        Everything that is known then, and of definitions those that are needed.

    Raises:
        MissingValueError: Some wait for each other.
    """
    table = dict(known)
    nodes = dict(waiting)
    written = {key: definition.expression for key, definition in definitions.items()}
    needed = set[str]().union(*(dependencies(node, written) for node in nodes.values()))
    trees = {**nodes, **{key: node for key, node in written.items() if key in needed}}
    lacking = {
        key: {*names(node)} - units.NAMES.keys() - table.keys() for key, node in trees.items()
    }
    users: dict[str, list[str]] = {}
    for key, others in lacking.items():
        for other in others:
            users.setdefault(other, []).append(key)
    ready = deque(key for key, others in lacking.items() if not others)
    with np.errstate(all="ignore"):  # whoever asks refuses what is not finite
        while ready:
            key = ready.popleft()
            table[key] = evaluate(trees[key], NumberAlgebra(table))
            nodes.pop(key, None)
            for user in users.pop(key, ()):
                lacking[user].discard(key)
                if not lacking[user]:
                    ready.append(user)
    for key, node in nodes.items():
        raise MissingValueError(
            f"the initial value of {key!r} of {where} is {render(node)}, which needs the "
            f"initial value of {sorted(names(node) - set(table) - set(units.NAMES))}."
        )
    return table


def finite(values: Mapping[str, Numbers], where: str) -> Arrays:
    """Return the initial values as arrays, of which none may be infinite or NaN.

    Raises:
        MissingValueError: One is.
    """
    for key, value in values.items():
        if not np.all(np.isfinite(value)):
            raise MissingValueError(f"the initial value of {key!r} of {where} is not finite.")
    return {key: np.asarray(value, np.float64) for key, value in values.items()}


def lacking(state: Variable, where: str) -> MissingValueError:
    """Return the error for a state without an initial value."""
    message = (
        f"state {state.name!r} of {where} has no initial value. Give {state.name}=... in "
        f"{state.unit} to Equations.parse, or initial={{{where!r}: {{{state.name!r}: ...}}}} "
        "to simulate."
    )
    column = len(state.line) - len(state.line.lstrip()) + 1
    return MissingValueError(point(message, state.line, column, state.number))
