"""Initial values, which may be expressions of parameters, definitions and each other."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from somaflow import units
from somaflow.equations.algebras import NumberAlgebra
from somaflow.equations.expression import evaluate, names, parse, render
from somaflow.equations.statements import Variable
from somaflow.errors import MissingValueError


def resolve(
    waiting: Mapping[str, str],
    known: Mapping[str, Any],
    definitions: Mapping[str, Variable],
    where: str,
) -> dict[str, Any]:
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
    nodes = {key: parse(value) for key, value in waiting.items()}
    with np.errstate(all="ignore"):  # whoever asks refuses what is not finite
        for _ in range(len(nodes) + 1):
            for key, definition in definitions.items():
                if names(definition.expression) - set(units.NAMES) <= set(table):
                    table[key] = evaluate(definition.expression, NumberAlgebra(table))
            for key, node in list(nodes.items()):
                if names(node) - set(units.NAMES) <= set(table):
                    table[key] = evaluate(nodes.pop(key), NumberAlgebra(table))
    for key, node in nodes.items():
        raise MissingValueError(
            f"the initial value of {key!r} of {where} is {render(node)}, which needs the "
            f"initial value of {sorted(names(node) - set(table) - set(units.NAMES))}."
        )
    return table
