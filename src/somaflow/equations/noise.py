"""White noise: the names `xi` and `xi_...` in the derivatives of states.

Noise is diagonal: a noise drives one state, and a state has one noise. So a noisy derivative is
drift + diffusion*xi, and the increments of different states are independent.
"""

from collections.abc import Mapping

from somaflow.equations.affine import Form, affine_in
from somaflow.equations.expression import Name, Node, dependencies, is_noise, names, walk
from somaflow.equations.statements import Variable
from somaflow.errors import EquationError


def find(states: Mapping[str, Variable], definitions: Mapping[str, Variable]) -> dict[str, str]:
    """Return the noise of each state that has one.

    Args:
        states: The states.
        definitions: The definitions, each after those that it needs.

    Raises:
        EquationError: A noise that enters nonlinearly, drives two states or none, or shares its
            state with another.
    """
    of_state: dict[str, str] = {}
    driven: dict[str, str] = {}  # the state of each noise
    trees = {key: definition.expression for key, definition in definitions.items()}
    noisy = _noisy(trees)
    for state, variable in states.items():
        if not noisy & names(variable.expression) and not any(
            map(is_noise, names(variable.expression))
        ):
            continue
        used = _noises(variable.expression, trees)
        noise = next(iter(used))
        if len(used) > 1:
            first, second = list(used)[:2]
            raise EquationError(
                f"d{state}/dt has the noises {first} and {second}, but a state has at most one. "
                f"Independent terms a*{first} + b*{second} are one noise: "
                f"sqrt(a**2 + b**2)*{first}.",
                variable.line,
                used[second],
                variable.number,
            )
        if noise in driven:
            other = driven[noise]
            raise EquationError(
                f"the noise {noise} drives {other} already, and each state has its own: write "
                f"xi_{state.replace('.', '_')} here.",
                variable.line,
                used[noise],
                variable.number,
            )
        parts(variable, definitions, noise)
        of_state[state] = noise
        driven[noise] = state
    for definition in definitions.values():
        for noise, column in _noises(definition.expression, {}).items():
            if noise not in driven:
                raise EquationError(
                    f"the noise {noise} drives no state: a white noise stands in a derivative "
                    "dx/dt, or in a definition that a derivative uses.",
                    definition.line,
                    column,
                    definition.number,
                )
    return of_state


def parts(variable: Variable, definitions: Mapping[str, Variable], noise: str) -> Form:
    """Return the trees (drift, diffusion) of a derivative drift + diffusion*noise.

    Definitions are written out where they depend on the noise.

    Raises:
        EquationError: The noise enters nonlinearly.
    """

    def message(part: str) -> str:
        return (
            f"{part} is not linear in the white noise {noise}. A noise is a factor of a term, as "
            f"in sigma*sqrt(2/tau)*{noise}."
        )

    diffusion, drift = affine_in(noise, variable, definitions, message=message)
    return drift, diffusion


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
