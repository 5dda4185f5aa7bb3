"""Expressions: a user's text becomes a small tree of our own, by way of Python's `ast`.

Only the node kinds and functions listed here exist, so a tree can be evaluated over any value
type (see `algebras`) and a text can never run code.
"""

import ast
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache, reduce
from typing import Protocol, TypeVar

from somaflow.equations import dialects
from somaflow.errors import EquationError, UnknownNameError, WrongTypeError, quoted
from somaflow.given import shown
from somaflow.notation import UnreadableError, tree

# name -> (number of arguments, how it treats units; see algebras.UnitAlgebra.call)
FUNCTIONS: dict[str, tuple[int, str]] = {
    "exp": (1, "pure"),
    "expm1": (1, "pure"),
    "exprel": (1, "pure"),
    "log": (1, "pure"),
    "log1p": (1, "pure"),
    "log10": (1, "pure"),
    "sin": (1, "pure"),
    "cos": (1, "pure"),
    "arctan": (1, "pure"),
    "arctan2": (2, "ratio"),
    "sinh": (1, "pure"),
    "cosh": (1, "pure"),
    "tanh": (1, "pure"),
    "sigmoid": (1, "pure"),
    "sqrt": (1, "root"),
    "abs": (1, "same"),
    "sign": (1, "ratio"),
    "floor": (1, "pure"),
    "ceil": (1, "pure"),
    "clip": (3, "same"),
    "minimum": (2, "same"),
    "maximum": (2, "same"),
    "where": (3, "choose"),
    # 1 while less than the given time has passed since the last presynaptic spike, else 0.
    "pulse": (1, "duration"),
    # Over the synapses of one cell on either side; SUMS has these.
    "sum_pre": (1, "same"),
    "sum_post": (1, "same"),
}
SUMS = frozenset({"sum_pre", "sum_post"})
KNOWN = ", ".join(FUNCTIONS)
NO_VALUE = "a comparison has no value here: write int(condition), or a if condition else b."
CONSTANTS = {"pi": math.pi}  # numbers wherever they stand
RAND = "rand()"  # the name of what it draws: without an argument, it is a value and no function
_BINARY = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.Mod: "%", ast.Pow: "**"}
_COMPARE = {ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">="}
_JOIN = {ast.And: "and", ast.Or: "or"}
_OPPOSITE = {"<": ">=", "<=": ">", ">": "<=", ">=": "<", "and": "or", "or": "and"}
_RANK = {"or": -1, "and": 0, "<": 1, "<=": 1, ">": 1, ">=": 1}
_RANK |= {"+": 2, "-": 2, "*": 3, "/": 3, "%": 3, "neg": 4, "**": 5}


@dataclass(frozen=True, slots=True)
class Node:
    """Base of the tree. `column` is where the text has it; it plays no part in equality."""

    column: int = field(default=0, compare=False, kw_only=True)
    # What `names` has found: trees never change, and are asked again and again.
    _names: frozenset[str] | None = field(default=None, init=False, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Number(Node):
    """A literal number."""

    value: float


@dataclass(frozen=True, slots=True)
class Name(Node):
    """A variable, a parameter, a unit, a noise or the time `t`; `na.m` is one name."""

    name: str


@dataclass(frozen=True, slots=True)
class Negative(Node):
    """Minus an expression."""

    operand: Node


@dataclass(frozen=True, slots=True)
class Binary(Node):
    """Arithmetic (`+ - * / % **`) or a comparison (`< <= > >=`) of two expressions.

    Or two conditions that are joined by `and` or `or`.
    """

    operator: str
    left: Node
    right: Node


@dataclass(frozen=True, slots=True)
class Call(Node):
    """A call of one of `FUNCTIONS`."""

    function: str
    arguments: tuple[Node, ...]


Value = TypeVar("Value")


class Algebra(Protocol[Value]):
    """What a value type must offer so that a tree can be evaluated over it."""

    def number(self, node: Number) -> Value: ...

    def name(self, node: Name) -> Value: ...

    def negative(self, node: Negative, operand: Value) -> Value: ...

    def binary(self, node: Binary, left: Value, right: Value) -> Value: ...

    def call(self, node: Call, arguments: tuple[Value, ...]) -> Value: ...


def evaluate(node: Node, algebra: Algebra[Value]) -> Value:
    """Evaluate a tree over a value type."""
    match node:
        case Number():
            return algebra.number(node)
        case Name():
            return algebra.name(node)
        case Negative():
            return algebra.negative(node, evaluate(node.operand, algebra))
        case Binary():
            left, right = evaluate(node.left, algebra), evaluate(node.right, algebra)
            return algebra.binary(node, left, right)
        case Call():
            return algebra.call(node, tuple(evaluate(a, algebra) for a in node.arguments))
    raise TypeError(f"not a node: {node!r}")


def children(node: Node) -> tuple[Node, ...]:
    """Return the direct parts of a node."""
    match node:
        case Negative():
            return (node.operand,)
        case Binary():
            return (node.left, node.right)
        case Call():
            return node.arguments
    return ()


def walk(node: Node) -> Iterator[Node]:
    """Iterate over a node and everything below it."""
    waiting = [node]
    while waiting:
        item = waiting.pop()
        yield item
        waiting.extend(reversed(children(item)))


def is_condition(node: Node) -> bool:
    """Tell whether a tree is a comparison, or comparisons joined by `and` and `or`."""
    return isinstance(node, Binary) and node.operator in _OPPOSITE


def comparisons(node: Node) -> Iterator[Binary]:
    """Iterate over the comparisons of a condition."""
    if isinstance(node, Binary) and node.operator in _JOIN.values():
        yield from (*comparisons(node.left), *comparisons(node.right))
    elif isinstance(node, Binary):
        yield node


def opposite(node: Node) -> Node:
    """Return the condition that holds where another one does not; none has a `not` in it."""
    if not isinstance(node, Binary):
        raise TypeError(f"not a condition: {node!r}")
    parts = node.left, node.right
    if node.operator in _JOIN.values():
        parts = opposite(node.left), opposite(node.right)
    return Binary(_OPPOSITE[node.operator], *parts, column=node.column)


def names(node: Node) -> frozenset[str]:
    """Return all names in a tree."""
    if node._names is None:
        found = frozenset(item.name for item in walk(node) if isinstance(item, Name))
        object.__setattr__(node, "_names", found)
        return found
    return node._names


def is_noise(name: str) -> bool:
    """Tell whether a name is that of white noise: `xi` or `xi_...`, in a mechanism `na.xi_m`."""
    return name.rpartition(".")[2].partition("_")[0] == "xi"


def dependencies(node: Node, definitions: Mapping[str, Node]) -> set[str]:
    """Return all names that a tree depends on, through definitions."""
    reached: set[str] = set()
    waiting = [node]
    while waiting:
        for name in names(waiting.pop()) - reached:
            reached.add(name)
            if name in definitions:
                waiting.append(definitions[name])
    return reached


def substitute(node: Node, replacements: Mapping[str, Node]) -> Node:
    """Return the tree with names replaced by trees."""
    return renamed(node, lambda name: replacements.get(name.name, name))


def renamed(node: Node, change: Callable[[Name], Node]) -> Node:
    """Return the tree with each name, from left to right, replaced by what it is changed to."""
    match node:
        case Name():
            return change(node)
        case Negative():
            return Negative(renamed(node.operand, change), column=node.column)
        case Binary():
            parts = renamed(node.left, change), renamed(node.right, change)
            return Binary(node.operator, *parts, column=node.column)
        case Call():
            arguments = tuple(renamed(a, change) for a in node.arguments)
            return Call(node.function, arguments, column=node.column)
    return node


def render(node: Node) -> str:
    """Write a tree as text that `parse` reads back to an equal tree."""
    return typeset(node)[0]


def typeset(node: Node, column: int = 0) -> tuple[str, Node]:
    """Write a tree as `render` does, and return it with the columns that it has there.

    Args:
        node: The tree.
        column: Where its text begins in a line.
    """
    return _typeset(node, column, False)


def _typeset(node: Node, column: int, enclosed: bool) -> tuple[str, Node]:
    column += enclosed
    match node:
        case Number():
            text, moved = repr(node.value).removesuffix(".0"), Number(node.value, column=column)
        case Name():
            text, moved = node.name, Name(node.name, column=column)
        case Call():
            text, arguments = f"{node.function}(", []
            for argument in node.arguments:
                text += ", " if arguments else ""
                part, own = _typeset(argument, column + len(text), False)
                text += part
                arguments.append(own)
            text, moved = f"{text})", Call(node.function, tuple(arguments), column=column)
        case Negative():
            part, operand = _typeset(node.operand, column + 1, _rank(node.operand) < 4)
            text, moved = f"-{part}", Negative(operand, column=column)
        case Binary():
            own, first, second = _rank(node), _rank(node.left), _rank(node.right)
            # Python's ** groups to the right and binds tighter than a minus on its left.
            power = node.operator == "**"
            text, left = _typeset(node.left, column, first <= own if power else first < own)
            text += node.operator if power else f" {node.operator} "
            closed = second < 4 if power else second <= own
            part, right = _typeset(node.right, column + len(text), closed)
            text, moved = text + part, Binary(node.operator, left, right, column=column)
        case _:
            raise TypeError(f"not a node: {node!r}")
    return f"({text})" if enclosed else text, moved


def _rank(node: Node) -> int:
    """Return how tightly a tree binds as text."""
    if isinstance(node, Binary):
        return _RANK[node.operator]
    return _RANK["neg"] if isinstance(node, Negative) else 6


def parse(text: str, line: str | None = None, offset: int = 0, number: int | None = None) -> Node:
    """Read an expression.

    Args:
        text: The expression, in Python's notation.
        line: The whole line it stands in, for messages; default the expression itself.
        offset: The column at which `text` begins in `line`.
        number: The line's number in the user's text.

    Raises:
        EquationError: A syntax slip, or something that is not allowed in equations.
        UnknownNameError: A call of a function that does not exist here.
        WrongTypeError: The expression is no text.
    """
    if not isinstance(text, str):
        raise WrongTypeError(f"an expression is a text such as 'v > -50*mV', not {shown(text)}.")
    return _parsed(text, text if line is None else line, offset, number)


@lru_cache(maxsize=1024)
def _parsed(text: str, line: str, offset: int, number: int | None) -> Node:
    return _Translator(text, line, offset, number).read()


class _Translator:
    """Turns Python's tree of a text into one of ours; its arguments are those of `parse`."""

    def __init__(self, text: str, line: str, offset: int, number: int | None) -> None:
        self.text, self.line, self.number = text.strip(), line, number
        self.offset = offset + len(text) - len(text.lstrip())
        # Python counts columns in bytes; a caret stands below characters.
        self.characters: list[int] | None = None
        if not self.text.isascii():
            self.characters = [
                k for k, one in enumerate(self.text) for _ in one.encode(errors="replace")
            ]

    def read(self) -> Node:
        try:
            python = tree(self.text)
        except UnreadableError as error:
            raise EquationError(
                f"this is not an expression: {error}. {dialects.slip(self.text)}",
                self.line,
                self.offset + error.column,
                self.number,
            ) from None
        return self.convert(python, condition=True)

    def place(self, item: ast.AST) -> int:
        column = getattr(item, "col_offset", 0)
        return self.offset + (column if self.characters is None else self.characters[column])

    def error(
        self, message: str, item: ast.AST, kind: type[EquationError] = EquationError
    ) -> EquationError:
        return kind(message, self.line, self.place(item), self.number)

    def convert(self, item: ast.AST, condition: bool = False) -> Node:
        column = self.place(item)
        match item:
            case ast.Constant(value=int() | float() as value) if not isinstance(value, bool):
                return Number(self.finite(value, item), column=column)
            case ast.Name(id=name) if name in CONSTANTS:
                return Number(CONSTANTS[name], column=column)
            case ast.Name(id=name):
                return Name(name, column=column)
            case ast.Attribute(value=ast.Name(id=owner), attr=name):
                return Name(f"{owner}.{name}", column=column)
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return Negative(self.convert(operand), column=column)
            case ast.UnaryOp(op=ast.UAdd(), operand=operand):
                return self.convert(operand)
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY:
                parts = self.convert(left), self.convert(right)
                return Binary(_BINARY[type(op)], *parts, column=column)
            case ast.IfExp(test=test, body=first, orelse=second):
                parts = self.joined(test), self.convert(first), self.convert(second)
                return Call("where", parts, column=column)
            case ast.Call(func=ast.Name(id="int"), args=[argument], keywords=[]):
                parts = self.joined(argument), Number(1.0), Number(0.0)
                return Call("where", parts, column=column)
            case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]):
                return self.call(name, arguments, item, column)
            case ast.Compare(ops=[op]) if type(op) not in _COMPARE:
                pass
            case ast.BoolOp() | ast.UnaryOp(op=ast.Not()) | ast.Compare(ops=[_]) if not condition:
                raise self.error(NO_VALUE, item)
            case ast.Compare(left=left, ops=[op], comparators=[right]):
                parts = self.convert(left), self.convert(right)
                return Binary(_COMPARE[type(op)], *parts, column=column)
            case ast.BoolOp(op=op, values=values):
                return reduce(
                    lambda left, right: Binary(_JOIN[type(op)], left, right, column=column),
                    [self.joined(value) for value in values],
                )
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return opposite(self.joined(operand))
        raise self.error(
            f"{self.written(item)} is not allowed in an equation. "
            + (
                dialects.syntax(item, FUNCTIONS)
                or "Allowed are numbers, names, + - * / % **, comparisons by < <= > >=, which and, "
                f"or, not may join, a if condition else b, and calls of {KNOWN}."
            ),
            item,
        )

    def joined(self, item: ast.AST) -> Node:
        node = self.convert(item, condition=True)
        if is_condition(node):
            return node
        message = f"a condition is a comparison such as v > -50*mV; {self.written(item)} is none."
        raise self.error(f"{message} {dialects.syntax(item, FUNCTIONS)}".rstrip(), item)

    def written(self, item: ast.AST) -> str:
        try:
            return quoted(ast.unparse(item))
        except RecursionError:  # which takes more frames than it takes to read
            return quoted(ast.get_source_segment(self.text, item) or self.text)

    def finite(self, value: float, item: ast.AST) -> float:
        try:
            if (result := float(value)) < float("inf"):
                return result
        except OverflowError:
            pass
        raise self.error("this number is too large.", item)

    def call(self, name: str, arguments: list[ast.expr], item: ast.AST, column: int) -> Node:
        if f"{name}()" == RAND:
            if arguments:
                raise self.error("rand takes no argument: rand() is between 0 and 1.", item)
            return Name(RAND, column=column)
        if name not in FUNCTIONS:
            said = dialects.call(name, arguments) or f" The functions are {KNOWN}."
            raise self.error(f"a call of {name!r} is not allowed.{said}", item, UnknownNameError)
        count = FUNCTIONS[name][0]
        if len(arguments) != count:
            raise self.error(f"{name} takes {count} argument(s), not {len(arguments)}.", item)
        # The first argument of where is a condition.
        parts = (self.convert(a, name == "where" and not k) for k, a in enumerate(arguments))
        return Call(name, tuple(parts), column=column)
