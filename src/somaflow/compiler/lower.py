"""Lowering of equations: trees become tensor operations.

What depends on parameters alone is taken out and computed once a chunk; a division by such a value
becomes a multiplication. In a run of float32, what depends on time and parameters alone is computed
in float64 and rounded last: the phase of a sine after 1e6 ms has no digits in float32.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
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
from somaflow.equations.needs import in_need
from somaflow.errors import EquationError
from somaflow.numerics.constants import number
from somaflow.numerics.functions import FUNCTIONS, inverse_exprel, power
from somaflow.numerics.types import Tensor

math.register(lambda value: isinstance(value, tf.Tensor), FUNCTIONS)

Scope = Callable[[Node], Tensor]  # evaluates trees

# Functions that may grow as their arguments do.
_PASSING = {"minimum", "maximum", "abs", "where", "clip", "floor", "ceil"}


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
        single: Whether the run is one of float32, in which times are float64. What is computed from
            a time is float64 too, until a function has made a bounded number of it.
    """

    def __init__(
        self,
        lookup: Callable[[str], Tensor],
        calls: Mapping[str, Callable[..., Tensor]] | None = None,
        single: bool = False,
    ) -> None:
        self.lookup, self.calls = lookup, {**FUNCTIONS, **(calls or {})}
        self.single = single

    def number(self, node: Number) -> float:
        return node.value

    def name(self, node: Name) -> Tensor:
        return self.lookup(node.name)

    def negative(self, node: Negative, operand: Tensor) -> Tensor:
        return -operand

    def binary(self, node: Binary, left: Tensor, right: Tensor) -> Tensor:
        if self.single:
            left, right = _alike((left, right))
        if (
            isinstance(left, float)
            and isinstance(right, float)
            and node.operator in ("/", "%", "**")
        ):
            with np.errstate(all="ignore"):  # 1/0 is inf, as in tensors, not Python's exception
                return float(OPERATORS[node.operator](np.float64(left), right))
        if node.operator == "**":
            exponent = literal(node.right)
            if isinstance(left, tf.Tensor) and exponent is not None:
                return power(left, exponent)
            if not isinstance(left, tf.Tensor) and isinstance(right, tf.Tensor):
                left = tf.constant(left, right.dtype)
            if isinstance(left, tf.Tensor):
                return tf.pow(left, right)
            return OPERATORS["**"](left, right)
        # Units are factors of 1 nearly everywhere; they must not cost a multiplication.
        if node.operator in "*/" and isinstance(right, float) and right == 1.0:
            return left
        if node.operator == "*" and isinstance(left, float) and left == 1.0:
            return right
        if isinstance(left, float) and isinstance(right, tf.Tensor):
            left = number(left, right.dtype)
        elif isinstance(right, float) and isinstance(left, tf.Tensor):
            right = number(right, left.dtype)
        return OPERATORS[node.operator](left, right)

    def call(self, node: Call, arguments: tuple[Tensor, ...]) -> Tensor:
        if not any(isinstance(argument, tf.Tensor) for argument in arguments):
            if node.function == "where":
                return arguments[1] if arguments[0] else arguments[2]
            if node.function != "pulse":
                with np.errstate(all="ignore"):
                    return float(NUMPY_FUNCTIONS[node.function](*arguments))
        if not self.single:
            return self.calls[node.function](*arguments)
        passing = node.function in _PASSING and _has_double(arguments)
        value = self.calls[node.function](*_alike(arguments))
        return value if passing or not _has_double([value]) else tf.cast(value, tf.float32)


# What was told apart of equations: a network may be lowered again and again with other numbers.
_MOST_KNOWN = 128
_known: dict[tuple[object, ...], tuple[tuple[Node, ...], dict[str, Any]]] = {}


class Lowered:
    """Equations whose static parts are told from those that change within a step.

    Args:
        equations: The equations.
        dynamic: Names of inputs that change; states and `t` always do.
        keep: Expressions beyond the equations' own that will be evaluated, such as thresholds.
        single: Whether the run is one of float32.
    """

    def __init__(
        self,
        equations: Equations,
        dynamic: frozenset[str],
        keep: tuple[Node, ...] = (),
        single: bool = False,
    ) -> None:
        self.equations, self._single = equations, single
        variables = (*equations.states.items(), *equations.definitions.items())
        trees = tuple(variable.expression for _, variable in variables)
        # Equations that differ in numbers alone share their trees.
        key = (
            *((name, id(variable.expression)) for name, variable in variables),
            *(len(equations.states), dynamic, single, tuple(map(render, keep))),
        )
        if key in _known:
            _, known = _known[key]
            vars(self).update({name: table.copy() for name, table in known.items()})
            return
        before = {*vars(self)}
        self._tell_apart(dynamic, keep)
        if len(_known) >= _MOST_KNOWN:
            _known.clear()
        # With the trees, so that no other one comes to have the number of one of them.
        made = {name: table.copy() for name, table in vars(self).items() if name not in before}
        _known[key] = trees, made

    def _tell_apart(self, dynamic: frozenset[str], keep: tuple[Node, ...]) -> None:
        """Set all that follows from the trees alone, each thing a table."""
        equations, single = self.equations, self._single
        changing = {*equations.states, *dynamic, "t"}
        # What changes with time alone, and what with more than that.
        self._times, self._beyond = {"t"} if single else set[str](), {*equations.states, *dynamic}
        self._growing: set[str] = set()
        for name, definition in equations.definitions.items() if single else ():
            if self._grows(definition.expression):
                self._growing.add(name)
        self._timed: dict[str, Node] = {}
        self._static: dict[str, Node] = {}
        self._slots: dict[str, str] = {}
        self._definitions: dict[str, Node] = {}
        for name, definition in equations.definitions.items():
            node = definition.expression
            if names(node) & changing or _calls_pulse(node):
                changing.add(name)
                self._definitions[name] = self._split(self._apart(node, changing), changing)
                (self._times if self._is_timed(node) else self._beyond).add(name)
            else:
                self._static[name] = node
        self._derivatives = {
            name: self._split(self._apart(state.expression, changing), changing)
            for name, state in equations.states.items()
        }
        self._extras = {
            render(node): self._split(self._apart(node, changing), changing) for node in keep
        }
        self._changing = changing

    def _is_static(self, node: Node, changing: set[str]) -> bool:
        return not names(node) & changing and not _calls_pulse(node)

    def _is_timed(self, node: Node) -> bool:
        """Tell whether a tree changes with time alone, in a run of float32."""
        used = names(node)
        return bool(used & self._times) and not used & self._beyond and not _calls_pulse(node)

    def _apart(self, node: Node, changing: set[str]) -> Node:
        """Return a tree with names for what changes with time alone."""
        if not self._single:
            return node
        if self._is_timed(node):
            name = f"t: {render(node)}"
            self._timed[name] = node
            changing.add(name)
            return Name(name)
        match node:
            case Negative():
                return Negative(self._apart(node.operand, changing))
            case Call():
                arguments = tuple(self._apart(a, changing) for a in node.arguments)
                return Call(node.function, arguments)
            case Binary():
                parts = self._apart(node.left, changing), self._apart(node.right, changing)
                return Binary(node.operator, *parts)
        return node

    def _grows(self, node: Node) -> bool:
        """Tell whether what changes with time alone may grow as time does."""
        match node:
            case Name(name=name) if name in self.equations.definitions:
                return name in self._growing
            case Name():
                return node.name == "t"
            case Negative():
                return self._grows(node.operand)
            case Call():
                return node.function in _PASSING and any(map(self._grows, node.arguments))
            case Binary(operator="%"):
                return self._grows(node.right)
            case Binary():
                return self._grows(node.left) or self._grows(node.right)
        return False

    def exact(self, values: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return what `prepare` takes beside the parameters: those that time is mixed with.

        Args:
            values: Parameters in float64.
        """
        used = set().union(*(self.equations.depends(node) for node in self._timed.values()))
        return {f"exact {name}": value for name, value in values.items() if name in used}

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

    def prepare(self, parameters: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Compute everything that depends on parameters alone, as tensors by name.

        Args:
            parameters: By name, and what `exact` returned.
        """
        table: dict[str, Tensor] = dict(parameters)

        def lookup(name: str) -> Tensor:
            return table[name] if name in table else unit_factor(name)

        algebra = TensorAlgebra(lookup)
        for name, node in self._static.items():
            table[name] = evaluate(node, algebra)
        return table

    def scope(
        self,
        prepared: Mapping[str, Tensor],
        values: Mapping[str, Tensor],
        calls: Mapping[str, Callable[..., Tensor]] | None = None,
    ) -> Scope:
        """Return a function that evaluates trees, each definition at most once.

        Args:
            prepared: What `prepare` returned.
            values: States and inputs, and the time `t`, which is float64 also in a run of float32.
            calls: Functions that only this place can answer, such as `pulse`.
        """
        table: dict[str, Tensor] = {**prepared, **values}
        at_time = self._at_time(table) if self._single else None

        def lookup(name: str) -> Tensor:
            if name not in table:
                if name in self._timed:
                    assert at_time is not None
                    table[name] = at_time(self._timed[name])
                elif name in self._definitions:
                    for other in in_need(name, self._definitions, table):
                        table[other] = evaluate(self._definitions[other], algebra)
                else:
                    return unit_factor(name)
            return table[name]

        functions = {"inverse_exprel": inverse_exprel, **(calls or {})}
        algebra = TensorAlgebra(lookup, functions, self._single)

        def value(node: Node) -> Tensor:
            tree = self._extras.get(render(node))
            number = evaluate(self._apart(node, set()) if tree is None else tree, algebra)
            return tf.cast(number, tf.float32) if self._single and _has_double([number]) else number

        return value

    def _at_time(self, values: Mapping[str, Tensor]) -> Scope:
        """Return what evaluates trees that change with time alone, in float64.

        What may grow with time stays in float64, and is mixed with states there.
        """
        table: dict[str, Tensor] = {}
        trees = {key: v.expression for key, v in self.equations.definitions.items()}

        def lookup(name: str) -> Tensor:
            if name not in table:
                if name in self.equations.definitions:
                    for other in in_need(name, trees, table):
                        table[other] = evaluate(trees[other], algebra)
                elif name in values:
                    exact = values.get(f"exact {name}", values[name])
                    table[name] = tf.cast(exact, tf.float64)
                else:
                    return unit_factor(name)
            return table[name]

        algebra = TensorAlgebra(lookup)

        def value(node: Node) -> Tensor:
            number = evaluate(node, algebra)
            stays = self._grows(node) or not _has_double([number])
            return number if stays else tf.cast(number, tf.float32)

        return value

    def derivative(self, state: str) -> Node:
        """Return the split tree of a state's derivative."""
        return self._derivatives[state]


def _has_double(values: Iterable[Tensor]) -> bool:
    return any(isinstance(item, tf.Tensor) and item.dtype == tf.float64 for item in values)


def _alike(values: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Return values such that floats are float64 where one of them is."""
    if not _has_double(values):
        return values
    return tuple(
        tf.cast(item, tf.float64)
        if isinstance(item, tf.Tensor) and item.dtype.is_floating
        else item
        for item in values
    )


def _calls_pulse(node: Node) -> bool:
    return "pulse(" in render(node)
