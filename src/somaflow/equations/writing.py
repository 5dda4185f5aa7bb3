"""Statements written from trees, which are kept beside their text so that none is read again."""

import keyword
import re
import unicodedata
from collections.abc import Iterable, Mapping

from somaflow import units
from somaflow.equations.expression import Call, Node, names, render, typeset, walk
from somaflow.equations.statements import NAME, Assignment, Variable, are_maps
from somaflow.notation import DEEPEST, LONGEST

_LEAF = 3  # what Python's tree of a name may have below ours


class Draft:
    """Equations in the making: lines of text, and the trees that they were written from.

    What `parse` might refuse, or read as another tree, is left to it: then the tree is not kept.

    Attributes:
        lines: The statements.
        trees: The right-hand side of states and definitions, with the columns of their line.
        starts: The initial values that are expressions, with the columns of their text.
    """

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.trees: dict[str, Node] = {}
        self.starts: dict[str, Node] = {}

    @property
    def text(self) -> str:
        """The lines as one text."""
        return "\n".join(self.lines)

    def declare(self, name: str, unit: str) -> None:
        """Write an input."""
        self.lines.append(f"{name} : {unit}")

    def define(self, name: str, expression: Node, unit: str) -> None:
        """Write a definition."""
        self._write(name, f"{name} = ", expression, unit)

    def derive(self, name: str, derivative: Node, unit: str) -> None:
        """Write the derivative of a state; the unit is that of the state."""
        self._write(name, f"d{name}/dt = ", derivative, unit)

    def start(self, name: str, value: Node) -> str:
        """Keep the initial value of a state, and return it as text."""
        text, tree = typeset(value)
        if _is_readable(text, tree):
            self.starts[name] = tree
        return text

    def _write(self, name: str, head: str, expression: Node, unit: str) -> None:
        text, tree = typeset(expression, len(head))
        self.lines.append(f"{head}{text} : {unit}")
        if _is_name(name) and _is_readable(text, tree):
            self.trees[name] = tree


def _is_readable(text: str, tree: Node) -> bool:
    """Tell whether `parse` is sure to read a text as the tree that it was written from."""
    # An expression of few parts is not nested too deeply either.
    parts = sum(3 if isinstance(item, Call) else 1 for item in walk(tree))
    return parts + _LEAF <= DEEPEST and len(text) <= LONGEST and all(map(_is_name, names(tree)))


def _is_name(name: str) -> bool:
    """Tell whether Python reads a text as a name, and as no other one."""
    parts = name.split(".")
    plain = re.fullmatch(NAME, name) and unicodedata.normalize("NFKC", name) == name
    return bool(plain) and all(p.isidentifier() and not keyword.iskeyword(p) for p in parts)


def canonical(
    inputs: Mapping[str, str],
    definitions: Mapping[str, Variable],
    states: Mapping[str, Variable],
    events: Mapping[str, Iterable[Assignment]],
) -> str:
    """Return equations as text that is one for equal equations, however they were written.

    Args:
        inputs: Unit of each input.
        definitions: The definitions.
        states: The states.
        events: What happens at each event, such as `spike`.
    """
    lines = [f"{key} : {units.canonical_text(unit)}" for key, unit in inputs.items()]
    of_states = "{}[n+1] = " if are_maps(states) else "d{}/dt = "
    for heads, variables in (("{} = ", definitions), (of_states, states)):
        for variable in variables.values():
            text, unit = render(variable.expression), units.canonical_text(variable.unit)
            lines.append(f"{heads.format(variable.name)}{text} : {unit}")
    for event, assigned in events.items():
        lines += [f"on {event}: {a.name} = {render(a.expression)}" for a in assigned]
    return "\n".join(lines)
