"""Initial values, which may be expressions of parameters, definitions and each other."""

from collections import deque
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from somaflow import units
from somaflow.equations.algebras import NumberAlgebra, Numbers
from somaflow.equations.expression import Node, evaluate, names, render
from somaflow.equations.statements import Variable
from somaflow.errors import MissingValueError, point

Arrays = dict[str, NDArray[np.float64]]


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
        Everything that is known then.

    Raises:
        MissingValueError: Some wait for each other.
    """
    table = dict(known)
    nodes = dict(waiting)
    trees = {**nodes, **{key: definition.expression for key, definition in definitions.items()}}
    lacking = {key: names(node) - set(units.NAMES) - table.keys() for key, node in trees.items()}
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
