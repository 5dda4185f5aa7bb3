"""White noise: the names `xi` and `xi_...` in the derivatives of states.

A noisy derivative is drift + factor*xi + ..., with a factor for each of its noises. One name is one
noise, whichever states it drives; noises of different names are independent.
"""

from collections.abc import Mapping
from dataclasses import replace

from somaflow.equations.affine import affine_in, check_size
from somaflow.equations.expression import Name, Node, dependencies, is_noise, names, walk
from somaflow.equations.statements import Variable
from somaflow.errors import EquationError

Parts = tuple[Node, dict[str, Node]]  # the drift, and the factor of each noise


def find(
    states: Mapping[str, Variable], definitions: Mapping[str, Variable]
) -> dict[str, tuple[str, ...]]:
    """Return the noises of each state that has any.

    Args:
        states: The states.
        definitions: The definitions, each after those that it needs.

    Raises:
        EquationError: A noise that enters nonlinearly, or drives no state.
    """
    of_state: dict[str, tuple[str, ...]] = {}
    trees = {key: definition.expression for key, definition in definitions.items()}
    noisy = _noisy(trees)
    for state, variable in states.items():
        used = names(variable.expression)
        if noisy & used or any(map(is_noise, used)):
            if variable.is_map:
                refuse(variable.expression, definitions, "a map", variable.line, variable.number)
            of_state[state] = tuple(_noises(variable.expression, trees))
            parts(variable, definitions, of_state[state])
    driving = listed(of_state)
    for definition in definitions.values():
        for noise, column in _noises(definition.expression, {}).items():
            if noise not in driving:
                raise EquationError(
                    f"the noise {noise} drives no state: a white noise stands in a derivative "
                    "dx/dt, or in a definition that a derivative uses.",
                    definition.line,
                    column,
                    definition.number,
                )
    return of_state


def listed(noises: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    """Return all noises of equations, each once, from those of each state."""
    return tuple(dict.fromkeys(noise for of_one in noises.values() for noise in of_one))


def shared(noises: Mapping[str, tuple[str, ...]]) -> str | None:
    """Return what keeps noises from being one of its own for each state, in words, or None."""
    owner: dict[str, str] = {}
    for state, of_one in noises.items():
        if len(of_one) > 1:
            return f"d{state}/dt has the noises {' and '.join(of_one)}"
        for noise in of_one:
            if noise in owner:
                return f"the noise {noise} drives {owner[noise]} and {state}"
            owner[noise] = state
    return None


def parts(
    variable: Variable, definitions: Mapping[str, Variable], noises: tuple[str, ...]
) -> Parts:
    """Return the trees of a derivative drift + factor*noise + ...

    Definitions are written out where they depend on a noise.

    Raises:
        EquationError: A noise enters nonlinearly.
    """
    trees = {key: definition.expression for key, definition in definitions.items()}
    rest, factors = variable, dict[str, Node]()
    for noise in noises:

        def message(part: str, noise: str = noise) -> str:
            return (
                f"{part} is not linear in the white noise {noise}. A noise is a factor of a term, "
                f"as in sigma*sqrt(2/tau)*{noise}."
            )

        factors[noise], drift = affine_in(noise, rest, definitions, message=message)
        rest = replace(rest, expression=drift)
        if len(noises) == 1:
            break
        for part in (drift, factors[noise]):
            check_size(part, {}, f"d{variable.name}/dt")
        for other in _noises(factors[noise], trees):
            raise EquationError(
                f"the white noises {noise} and {other} are multiplied; the product of two noises "
                "has no meaning.",
                variable.line,
                _noises(variable.expression, trees)[other],
                variable.number,
            )
    return rest.expression, factors


def refuse(
    node: Node,
    definitions: Mapping[str, Variable],
    what: str,
    line: str | None,
    number: int | None = None,
) -> None:
    """Refuse noise outside of derivatives.

    Args:
        node: A tree.
        definitions: The definitions.
        what: What the tree is, for the message.
        line: The user's line.
        number: Its number.

    Raises:
        EquationError: The tree depends on a noise.
    """
    trees = {key: definition.expression for key, definition in definitions.items()}
    for noise, column in _noises(node, trees).items():
        raise EquationError(
            f"{what} cannot depend on the white noise {noise}, which has no value at one time; "
            "it drives a state by its derivative.",
            line,
            column,
            number,
        )


def _noisy(trees: Mapping[str, Node]) -> set[str]:
    """Return the definitions that depend on a noise; each stands after those that it needs."""
    noisy: set[str] = set()
    for key, tree in trees.items():
        used = names(tree)
        if used & noisy or any(map(is_noise, used)):
            noisy.add(key)
    return noisy


def _noises(node: Node, trees: Mapping[str, Node]) -> dict[str, int]:
    """Return the noises that a tree depends on, and the column of the name that brings each.

    Args:
        node: The tree.
        trees: Those of the definitions.
    """
    columns: dict[str, int] = {}
    if not any(map(is_noise, dependencies(node, trees))):
        return columns
    for item in walk(node):
        if isinstance(item, Name):
            for name in sorted(filter(is_noise, dependencies(item, trees))):
                columns.setdefault(name, item.column)
    return columns
