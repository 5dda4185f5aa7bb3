"""Value types over which an expression can be evaluated, without TensorFlow.

`UnitAlgebra` gives the unit check, `NumberAlgebra` numbers by NumPy, and `Symbol` traces a Python
function into a tree. `affine.AffineAlgebra` gives the form a*y + b.
"""

import operator
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

import numpy as np
import pint
from numpy.typing import ArrayLike, NDArray

from somaflow import units
from somaflow.equations.expression import (
    FUNCTIONS,
    Binary,
    Call,
    Name,
    Negative,
    Node,
    Number,
    evaluate,
    is_condition,
    names,
    render,
    walk,
)
from somaflow.errors import TraceError, UnitError
from somaflow.notation import LARGEST_POWER
from somaflow.units import Dimensions

PURE = units.dimensions("1")
Numbers = float | NDArray[np.float64]  # and booleans, where a condition is a part
NOISE = units.dimensions("1/ms**0.5")  # of white noise: its integral over time grows as sqrt(t)


def describe(dimensions: Dimensions) -> str:
    """Name dimensions by a unit of the size that the user wrote."""
    if dimensions.plain:
        return "a pure number"
    if dimensions == NOISE:
        return "1/ms**0.5 (that of white noise)"
    return units.named(dimensions)


class UnitAlgebra:
    """Evaluates dimensions, and fails at the place where they do not fit.

    Args:
        table: Dimension of every name that is not a unit.
        line: The user's line, for the caret.
        number: Its number.
    """

    def __init__(
        self, table: Mapping[str, Dimensions], line: str, number: int | None = None
    ) -> None:
        self.table, self.line, self.number_ = table, line, number

    def fail(self, message: str, node: Node) -> NoReturn:
        raise UnitError(message, self.line, node.column, self.number_)

    def number(self, node: Number) -> Dimensions:
        return PURE

    def name(self, node: Name) -> Dimensions:
        if node.name in self.table:
            return self.table[node.name]
        return units.dimensions(node.name)

    def negative(self, node: Negative, operand: Dimensions) -> Dimensions:
        return operand

    def binary(self, node: Binary, left: Dimensions, right: Dimensions) -> Dimensions:
        match node.operator:
            case "*":
                return left * right
            case "/":
                return left / right
            case "**":
                return self.power(node, left, right)
        if left != right:
            verb = {"+": "added to", "-": "and"}.get(node.operator, "compared with")
            second = " are subtracted" if node.operator == "-" else ""
            message = f"{describe(left)} {verb} {describe(right)}{second}."
            for side, own, other in ((node.left, left, right), (node.right, right, left)):
                if own == PURE and literal(side) is not None:
                    message += f" Write {render(side)}*{units.named(other)}."
            self.fail(message, node.right)
        return PURE if is_condition(node) else left

    def power(self, node: Binary, base: Dimensions, exponent: Dimensions) -> Dimensions:
        if exponent != PURE:
            self.fail(f"an exponent must be a pure number, not {describe(exponent)}.", node.right)
        if base == PURE:
            return PURE
        value = literal(node.right)
        if value is None:
            self.fail(
                f"the exponent of {describe(base)} must be a literal number, so that the unit "
                "of the result is known.",
                node.right,
            )
        result = base**value
        if not max(map(abs, result.powers.values())) <= LARGEST_POWER:
            self.fail(
                f"the exponent {value:.6g} of {describe(base)} is too large: the powers of a unit "
                f"are at most {LARGEST_POWER}.",
                node.right,
            )
        return result

    def call(self, node: Call, arguments: tuple[Dimensions, ...]) -> Dimensions:
        rule = FUNCTIONS[node.function][1]
        if rule == "root":
            return arguments[0] ** 0.5
        if rule in ("same", "ratio", "choose"):
            first, rest = (arguments[1], 2) if rule == "choose" else (arguments[0], 1)
            for k, other in enumerate(arguments[rest:], rest):
                if other != first:
                    message = f"{node.function} of {describe(first)} and {describe(other)}."
                    self.fail(message, node.arguments[k])
            if rule == "choose" and not is_condition(node.arguments[0]):
                self.fail("where() needs a comparison first, such as v > -50*mV.", node)
            return PURE if rule == "ratio" else first
        wanted = PURE if rule == "pure" else units.dimensions("ms")
        if arguments[0] != wanted:
            hint = "divide by a scale first" if wanted == PURE else "give a duration"
            message = f"{node.function} of {describe(arguments[0])}: {hint}."
            self.fail(message, node.arguments[0])
        return PURE


def literal(node: Node) -> float | None:
    """Return the value of a tree of literal numbers, or None where there is none, as of 1/0."""
    if names(node) or any(isinstance(item, Call) for item in walk(node)):
        return None
    with np.errstate(all="ignore"):
        value = float(evaluate(node, NumberAlgebra({})))
    return value if np.isfinite(value) else None


def exprel(x: ArrayLike) -> NDArray[np.float64]:
    """Return (exp(x) - 1)/x, which is 1 at x = 0, for a NumPy array.

    Near 0 it is 1/B(x), B being the generating function of the Bernoulli numbers (Abramowitz
    and Stegun 1964, 23.1.1), cut after x**10: below 1e-16 for |x| < 1/4.
    """
    x = np.asarray(x, dtype=np.float64)
    near = np.abs(x) < 0.25
    far = np.where(near, 1.0, x)
    close = np.where(near, x, 0.0)  # and no division by zero at x = 2
    square = close * close
    series = 1 / 1209600 - square / 47900160
    for coefficient in (1 / 30240, 1 / 720, 1 / 12):
        series = coefficient - square * series
    return np.where(near, 1 / (1 - close / 2 + square * series), np.expm1(far) / far)


NUMPY_FUNCTIONS: dict[str, Callable[..., Numbers]] = {
    "exp": np.exp,
    "expm1": np.expm1,
    "exprel": exprel,
    "log": np.log,
    "log1p": np.log1p,
    "log10": np.log10,
    "sin": np.sin,
    "cos": np.cos,
    "arctan": np.arctan,
    "arctan2": np.arctan2,
    "sinh": np.sinh,
    "cosh": np.cosh,
    "tanh": np.tanh,
    "sigmoid": lambda x: 0.5 * (1 + np.tanh(0.5 * np.asarray(x))),
    "sqrt": np.sqrt,
    "abs": np.abs,
    "sign": np.sign,
    "floor": np.floor,
    "ceil": np.ceil,
    "clip": lambda x, low, high: np.minimum(np.maximum(x, low), high),
    "minimum": np.minimum,
    "maximum": np.maximum,
    "where": np.where,
    "pulse": lambda duration: 0.0,  # at rest, between spikes
}


class NumberAlgebra:
    """Evaluates magnitudes in the coherent system, with NumPy."""

    def __init__(self, table: Mapping[str, Numbers]) -> None:
        self.table = table

    def number(self, node: Number) -> Numbers:
        return np.float64(node.value)  # 1/0 is inf here, not Python's exception

    def name(self, node: Name) -> Numbers:
        if node.name in self.table:
            return self.table[node.name]
        return units.factor(node.name)

    def negative(self, node: Negative, operand: Numbers) -> Numbers:
        return -operand

    def binary(self, node: Binary, left: Numbers, right: Numbers) -> Numbers:
        return OPERATORS[node.operator](left, right)

    def call(self, node: Call, arguments: tuple[Numbers, ...]) -> Numbers:
        return NUMPY_FUNCTIONS[node.function](*arguments)


# Over every type of values that Python's operators are defined for, tensors among them.
OPERATORS: dict[str, Callable[..., Any]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "%": operator.mod,
    "**": operator.pow,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "and": operator.and_,
    "or": operator.or_,
}


class Symbol:
    """A value that records what is done with it: the tracing of Python functions."""

    __array_ufunc__ = None  # a NumPy array on the left must not take the operation over

    def __init__(self, node: Node) -> None:
        self.node = node

    def _combine(self, operator: str, other: object, reflected: bool = False) -> "Symbol":
        parts = (self.node, as_node(other))
        return Symbol(Binary(operator, *(reversed(parts) if reflected else parts)))

    def __add__(self, other: object) -> "Symbol":
        return self._combine("+", other)

    def __radd__(self, other: object) -> "Symbol":
        return self._combine("+", other, True)

    def __sub__(self, other: object) -> "Symbol":
        return self._combine("-", other)

    def __rsub__(self, other: object) -> "Symbol":
        return self._combine("-", other, True)

    def __mul__(self, other: object) -> "Symbol":
        return self._combine("*", other)

    def __rmul__(self, other: object) -> "Symbol":
        return self._combine("*", other, True)

    def __truediv__(self, other: object) -> "Symbol":
        return self._combine("/", other)

    def __rtruediv__(self, other: object) -> "Symbol":
        return self._combine("/", other, True)

    def __mod__(self, other: object) -> "Symbol":
        return self._combine("%", other)

    def __rmod__(self, other: object) -> "Symbol":
        return self._combine("%", other, True)

    def __pow__(self, other: object) -> "Symbol":
        return self._combine("**", other)

    def __rpow__(self, other: object) -> "Symbol":
        return self._combine("**", other, True)

    def __neg__(self) -> "Symbol":
        return Symbol(Negative(self.node))

    def __abs__(self) -> "Symbol":
        return Symbol(Call("abs", (self.node,)))

    def __eq__(self, other: object) -> NoReturn:
        raise TraceError(
            "a function that is traced cannot compare a state by == or !=: use < <= > >= inside "
            "sf.math.where(condition, a, b)."
        )

    __hash__ = None  # pyright: ignore[reportAssignmentType]

    def __lt__(self, other: object) -> "Symbol":
        return self._combine("<", other)

    def __le__(self, other: object) -> "Symbol":
        return self._combine("<=", other)

    def __gt__(self, other: object) -> "Symbol":
        return self._combine(">", other)

    def __ge__(self, other: object) -> "Symbol":
        return self._combine(">=", other)

    def __bool__(self) -> bool:
        raise TraceError(
            "a function that is traced cannot branch with `if` or `and` on a state: "
            "write sf.math.where(condition, a, b)."
        )

    def __getattr__(self, name: str) -> NoReturn:
        raise AttributeError(name)

    def __float__(self) -> NoReturn:
        raise TraceError(
            "a function that is traced cannot turn a state into a Python or NumPy number: "
            "use Python operators and the functions of sf.math."
        )


def as_node(value: object) -> Node:
    """Return the tree of a symbol, a number or a pint quantity.

    Raises:
        TraceError: The value has no tree (an array or a tensor, for example).
    """
    if isinstance(value, Symbol):
        return value.node
    if isinstance(value, (int, float, np.floating, np.integer)) and not isinstance(value, bool):
        number = float(value)
        if not np.isfinite(number):
            raise TraceError(f"{number} cannot stand in an equation; numbers are finite.")
        return Negative(Number(-number)) if np.signbit(number) else Number(number)
    if isinstance(value, pint.Quantity) and np.ndim(value.magnitude) == 0:
        text = units.unit_text(value.units)
        known = {units.unit_text(unit): name for name, unit in units.NAMES.items()}
        if text in known:
            return Binary("*", as_node(float(value.magnitude)), Name(known[text]))
    raise TraceError(
        f"a {type(value).__name__} cannot be traced into an equation; use Python operators on "
        "the arguments, numbers, and the functions of sf.math."
    )
