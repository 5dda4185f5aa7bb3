"""Lowering of equations: trees become tensor operations.

What depends on parameters alone is taken out and computed once a chunk; a division by such a value
becomes a multiplication.
"""

from collections.abc import Callable, Mapping
from typing import Any

import tensorflow as tf

from somaflow import units
from somaflow.equations import math
from somaflow.equations.algebras import NUMPY_FUNCTIONS, OPERATORS, literal
from somaflow.equations.equations import Equations
from somaflow.equations.expression import (
    Binary,
    Call,
    Name,
    Negative,
    Node,
    Number,
    evaluate,
    names,
    render,
)
from somaflow.errors import EquationError
from somaflow.numerics.functions import FUNCTIONS, inverse_exprel, power

math.register(lambda value: isinstance(value, tf.Tensor), FUNCTIONS)


def unit_factor(name: str) -> float:
    """Return the factor of a unit that equations may name.

    Raises:
        EquationError: It is no such unit: a variable without a value here.
    """
    if name not in units.NAMES:
        raise EquationError(f"{name!r} has no value here.")
    return units.factor(name)


class TensorAlgebra:
    """Evaluates trees to tensors; numbers stay Python numbers as long as they can.

    Args:
        lookup: Gives the value of a name that is not a unit.
        calls: Functions that only this place can answer, such as `pulse`.
    """

    def __init__(
        self, lookup: Callable[[str], Any], calls: Mapping[str, Callable[..., Any]] | None = None
    ) -> None:
        self.lookup, self.calls = lookup, {**FUNCTIONS, **(calls or {})}

    def number(self, node: Number) -> float:
        return node.value

    def name(self, node: Name) -> Any:
        return self.lookup(node.name)

    def negative(self, node: Negative, operand: Any) -> Any:
        return -operand

    def binary(self, node: Binary, left: Any, right: Any) -> Any:
        if node.operator == "**":
            exponent = literal(node.right)
            if isinstance(left, tf.Tensor) and exponent is not None:
                return power(left, exponent)
            if not isinstance(left, tf.Tensor) and isinstance(right, tf.Tensor):
                left = tf.constant(left, right.dtype)
            return tf.pow(left, right) if isinstance(left, tf.Tensor) else left**right
        # Units are factors of 1 nearly everywhere; they must not cost a multiplication.
        if node.operator in "*/" and isinstance(right, float) and right == 1.0:
            return left
        if node.operator == "*" and isinstance(left, float) and left == 1.0:
            return right
        return OPERATORS[node.operator](left, right)

    def call(self, node: Call, arguments: tuple[Any, ...]) -> Any:
        if not any(isinstance(argument, tf.Tensor) for argument in arguments):
            if node.function == "where":
                return arguments[1] if arguments[0] else arguments[2]
            if node.function != "pulse":
                return float(NUMPY_FUNCTIONS[node.function](*arguments))
        return self.calls[node.function](*arguments)


class Lowered:
    """Equations whose static parts are told from those that change within a step.

    Args:
        equations: The equations.
        dynamic: Names of inputs that change; states and `t` always do.
        keep: Expressions beyond the equations' own that will be evaluated, such as thresholds.
    """

    def __init__(
        self, equations: Equations, dynamic: frozenset[str], keep: tuple[Node, ...] = ()
    ) -> None:
        self.equations = equations
        changing = {*equations.states, *dynamic, "t"}
        self._static: dict[str, Node] = {}
        self._slots: dict[str, str] = {}
        self._definitions: dict[str, Node] = {}
        for name, definition in equations.definitions.items():
            node = definition.expression
            if names(node) & changing or _calls_pulse(node):
                changing.add(name)
                self._definitions[name] = self._split(node, changing)
            else:
                self._static[name] = node
        self._changing = changing
        self._derivatives = {
            name: self._split(state.expression, changing)
            for name, state in equations.states.items()
        }
        self._kept = {render(node): self._split(node, changing) for node in keep}

    def _is_static(self, node: Node, changing: set[str]) -> bool:
        return not names(node) & changing and not _calls_pulse(node)

    def _slot(self, node: Node) -> Node:
        if not names(node) - set(units.NAMES) or isinstance(node, Name):
            return node
        text = render(node)
        if text not in self._slots:
            self._slots[text] = f"$ {text}"
            self._static[self._slots[text]] = node
        return Name(self._slots[text])

    def _split(self, node: Node, changing: set[str]) -> Node:
        if self._is_static(node, changing):
            return self._slot(node)
        match node:
            case Negative():
                return Negative(self._split(node.operand, changing))
            case Call():
                return Call(node.function, tuple(self._split(a, changing) for a in node.arguments))
            case Binary(operator="/", right=right) if self._is_static(right, changing):
                if names(right) - set(units.NAMES):
                    inverse = self._slot(Binary("/", Number(1.0), right))
                    return Binary("*", self._split(node.left, changing), inverse)
            case Binary(operator="/", right=Call(function="exprel", arguments=(x,))):
                rate = Call("inverse_exprel", (self._split(x, changing),))
                return Binary("*", self._split(node.left, changing), rate)
        if isinstance(node, Binary):
            left, right = self._split(node.left, changing), self._split(node.right, changing)
            return Binary(node.operator, left, right)
        return node

    def prepare(self, parameters: Mapping[str, tf.Tensor]) -> dict[str, Any]:
        """Compute everything that depends on parameters alone, as tensors by name."""
        table: dict[str, Any] = dict(parameters)

        def lookup(name: str) -> Any:
            return table[name] if name in table else unit_factor(name)

        algebra = TensorAlgebra(lookup)
        for name, node in self._static.items():
            table[name] = evaluate(node, algebra)
        return table

    def scope(
        self,
        prepared: Mapping[str, Any],
        values: Mapping[str, Any],
        calls: Mapping[str, Callable[..., Any]] | None = None,
    ) -> Callable[[Node], Any]:
        """Return a function that evaluates trees, each definition at most once.

        Args:
            prepared: What `prepare` returned.
            values: States and inputs.
            calls: Functions that only this place can answer, such as `pulse`.
        """
        table: dict[str, Any] = {**prepared, **values}

        def lookup(name: str) -> Any:
            if name not in table:
                if name in self._definitions:
                    table[name] = evaluate(self._definitions[name], algebra)
                else:
                    return unit_factor(name)
            return table[name]

        algebra = TensorAlgebra(lookup, {"inverse_exprel": inverse_exprel, **(calls or {})})

        def value(node: Node) -> Any:
            return evaluate(self._kept.get(render(node), node), algebra)

        return value

    def derivative(self, state: str) -> Node:
        """Return the split tree of a state's derivative."""
        return self._derivatives[state]


def _calls_pulse(node: Node) -> bool:
    return "pulse(" in render(node)
