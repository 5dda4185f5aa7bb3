"""Terms: a right-hand side at one cell, each part of it with its value."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

import numpy as np

from somaflow import units
from somaflow.equations.algebras import (
    NUMPY_FUNCTIONS,
    OPERATORS,
    UnitAlgebra,
)
from somaflow.equations.equations import Equations
from somaflow.equations.expression import (
    Binary,
    Call,
    Name,
    Negative,
    Node,
    Number,
    evaluate,
    render,
)
from somaflow.units import Dimensions

_LONGEST = 90  # characters of an expression in a message


@dataclass(frozen=True)
class Term:
    """A part of an expression.

    Attributes:
        node: The part.
        value: Its value in the coherent system.
        parts: What it is made of; of the name of a definition, what defines it.
    """

    node: Node
    value: np.floating
    parts: tuple["Term", ...] = ()

    @property
    def finite(self) -> bool:
        """Whether its value is."""
        return bool(np.isfinite(self.value))

    @property
    def chosen(self) -> tuple["Term", ...]:
        """The parts on which its value depends: of `where`, only the branch that is taken."""
        if isinstance(self.node, Call) and self.node.function == "where":
            return (self.parts[1] if self.parts[0].value else self.parts[2],)
        return self.parts


class CellEquations:
    """One cell's equations, with the values of its names.

    Args:
        equations: The equations.
        values: States, inputs, parameters and `t` in the coherent system.
        kind: NumPy type in which to compute, as the run does.
        pulse: What `pulse` gives.
    """

    def __init__(
        self,
        equations: Equations,
        values: Mapping[str, float],
        kind: type[np.floating],
        pulse: float = 0.0,
    ) -> None:
        self.equations, self.values, self.pulse = equations, dict(values), pulse
        self.kind = kind
        self._definitions: dict[str, Term] = {}

    def in_float64(self) -> "CellEquations":
        """Return the same, computed in float64."""
        return CellEquations(self.equations, self.values, np.float64, self.pulse)

    def derivative(self, state: str) -> Term:
        """Return the derivative of a state."""
        return self.term(self.equations.states[state].expression)

    def term(self, node: Node) -> Term:
        """Return an expression with the values of all its parts."""
        match node:
            case Number():
                return Term(node, self.kind(node.value))
            case Name():
                return self._name(node)
            case Negative():
                part = self.term(node.operand)
                return Term(node, -part.value, (part,))
            case Binary():
                left, right = self.term(node.left), self.term(node.right)
                value = OPERATORS[node.operator](left.value, right.value)
                return Term(node, self.kind(value), (left, right))
            case Call(function="pulse"):
                return Term(node, self.kind(self.pulse))
            case Call():
                parts = tuple(self.term(argument) for argument in node.arguments)
                value = NUMPY_FUNCTIONS[node.function](*(part.value for part in parts))
                return Term(node, self.kind(value), parts)
        raise TypeError(f"not a node: {node!r}")

    def _name(self, node: Name) -> Term:
        name = node.name
        if name in self.values:
            return Term(node, self.kind(self.values[name]))
        if name not in self.equations.definitions:
            return Term(node, self.kind(units.factor(name)))
        if name not in self._definitions:
            self._definitions[name] = self.term(self.equations.definitions[name].expression)
        definition = self._definitions[name]
        return Term(node, definition.value, (definition,))

    # ------------------------------------------------------------------ in words

    def show(self, node: Node, value: float | np.floating) -> str:
        """Write `expression = value unit`."""
        return f"{text_of(node)} = {self.measure(node, value)}"

    def measure(self, node: Node, value: float | np.floating) -> str:
        """Write a value with the unit of an expression: that of a name is the declared one."""
        if isinstance(node, Name) and node.name != "t" and node.name not in units.NAMES:
            unit = self.equations.unit(node.name)
        else:
            unit = units.named(self._dimensions(node))
        return measure(value, unit)

    def _dimensions(self, node: Node) -> Dimensions:
        return evaluate(node, UnitAlgebra(self.equations.dimensions(), render(node)))

    def operands(self, term: Term) -> list[str]:
        """Write what a term is made of, without its literal numbers."""
        texts = {
            text_of(part.node): self.show(part.node, part.value)
            for part in term.parts
            if self._tells(part.node)
        }
        return list(texts.values())

    def _tells(self, node: Node) -> bool:
        return not isinstance(node, Number) and not (
            isinstance(node, Name) and node.name in units.NAMES and node.name not in self.values
        )


def origin(term: Term, inside: str | None = None) -> tuple[Term, str | None]:
    """Find where a value that is not finite came from.

    Args:
        term: A term that is not finite.
        inside: The definition in which it stands.

    Returns:
        The first term below it that is not finite while its parts are, and the definition in which
        that one stands.
    """
    for part in term.chosen:
        if not part.finite:
            if isinstance(term.node, Name):
                inside = term.node.name
            return origin(part, inside)
    return term, inside


def summands(cell: CellEquations, node: Node) -> list[Term]:
    """Return the terms whose sum an expression is; factors of a sum go to each of its terms."""
    match node:
        case Negative():
            return [cell.term(Negative(item.node)) for item in summands(cell, node.operand)]
        case Binary(operator="+" | "-"):
            right = summands(cell, node.right)
            if node.operator == "-":
                right = [cell.term(Negative(item.node)) for item in right]
            return summands(cell, node.left) + right
        case Binary(operator="*" | "/"):
            left = summands(cell, node.left)
            if len(left) > 1:
                return [cell.term(Binary(node.operator, s.node, node.right)) for s in left]
            right = summands(cell, node.right) if node.operator == "*" else []
            if len(right) > 1:
                return [cell.term(Binary("*", node.left, item.node)) for item in right]
    return [cell.term(node)]


def text_of(node: Node) -> str:
    """Write an expression; a long one is cut in the middle."""
    text = render(node)
    if len(text) <= _LONGEST:
        return text
    half = _LONGEST // 2 - 2
    return f"{text[:half]} ... {text[-half:]}"


def measure(value: float | np.floating, unit: str) -> str:
    """Write a value of the coherent system in a unit, such as `41.3 mV`."""
    number = f"{float(value) / units.factor(unit):.6g}"
    if number.endswith("inf") and np.isfinite(value):  # in uA it is a number, in nA it is none
        number = f"{Decimal(float(value)) / Decimal(units.factor(unit)):.6g}"
    return number if unit == "1" else f"{number} {unit}"
