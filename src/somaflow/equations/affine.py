"""Affine forms: an expression as a*y + b, where neither a nor b contains y.

Exponential methods and the closed forms of synapses stand on them.
"""

from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Protocol

from somaflow.equations.algebras import literal
from somaflow.equations.expression import (
    Binary,
    Call,
    Name,
    Negative,
    Node,
    Number,
    children,
    dependencies,
    evaluate,
    names,
    renamed,
    render,
)
from somaflow.equations.needs import in_need
from somaflow.equations.statements import Variable
from somaflow.errors import EquationError, UnknownNameError, nearest
from somaflow.notation import DEEPEST

ZERO, ONE = Number(0.0), Number(1.0)
Form = tuple[Node, Node]  # (a, b) of a*y + b
_LONGEST = 80
_MOST_PARTS = 20_000  # of a tree in which definitions are written out


class Dynamics(Protocol):
    """What an affine form needs to know of `Equations`, which stand above this module."""

    @property
    def states(self) -> Mapping[str, Variable]: ...

    @property
    def definitions(self) -> Mapping[str, Variable]: ...

    @property
    def noises(self) -> Mapping[str, tuple[str, ...]]: ...


class AffineAlgebra:
    """Evaluates pairs (a, b) of trees that mean a*y + b, y being one name.

    Args:
        name: The name y.
        forms: The forms of other names that depend on y.
        message: Makes the error's text from the part that is not affine, as text.
        variable: Where the expression stands, for the caret.

    Raises:
        EquationError: The expression is not affine in the name; the message says where.
    """

    def __init__(
        self,
        name: str,
        forms: Mapping[str, Form] | None = None,
        message: Callable[[str], str] | None = None,
        variable: Variable | None = None,
    ) -> None:
        self.name_, self.variable = name, variable
        self.forms: dict[str, Form] = {name: (ONE, ZERO), **(forms or {})}
        self.message = message or (lambda part: f"{part} is not affine in {name}.")

    def fail(self, node: Node) -> Form:
        """Raise an error for a part that is not affine; never return."""
        part = render(node)
        message = self.message(part if len(part) <= _LONGEST else f"{part[:_LONGEST]}...")
        if self.variable is None:
            raise EquationError(message)
        raise EquationError(message, self.variable.line, node.column, self.variable.number)

    def number(self, node: Number) -> Form:
        return ZERO, node

    def name(self, node: Name) -> Form:
        return self.forms.get(node.name, (ZERO, node))

    def negative(self, node: Negative, operand: Form) -> Form:
        a, b = operand
        return _sign(a), _sign(b)

    def binary(self, node: Binary, left: Form, right: Form) -> Form:
        (a, b), (c, d) = left, right
        if a == ZERO and c == ZERO:
            return ZERO, _plain(node.operator, b, d)
        match node.operator:
            case "+" | "-":
                return _plain(node.operator, a, c), _plain(node.operator, b, d)
            case "*" if c == ZERO:
                return _plain("*", a, d), _plain("*", b, d)
            case "*" if a == ZERO:
                return _plain("*", b, c), _plain("*", b, d)
            case "/" if c == ZERO:
                return _plain("/", a, d), _plain("/", b, d)
            case "**" if literal(node.right) == 1:
                return left
        return self.fail(node)

    def call(self, node: Call, arguments: tuple[Form, ...]) -> Form:
        slopes, offsets = zip(*arguments, strict=True)
        rest = Call(node.function, offsets)
        if all(slope == ZERO for slope in slopes):
            return ZERO, rest
        if node.function != "where" or slopes[0] != ZERO:
            return self.fail(node)
        slope = Call("where", (offsets[0], *slopes[1:]))
        return slope, ZERO if offsets[1:] == (ZERO, ZERO) else rest


class ChordAlgebra(AffineAlgebra):
    """Evaluates pairs (a, b) with a*y + b equal to the expression at the present y.

    What is affine in y has the form of `AffineAlgebra`. Any other factor of it, such as the block
    of NMDA receptors, is taken at the present y: G*B(y)*(y - E) is G*B times y, less G*B*E. A part
    that has no affine factor is in b.

    Attributes:
        exact: Whether nothing was taken at the present y so far.
    """

    exact = True

    def fail(self, node: Node) -> Form:
        self.exact = False
        return ZERO, node

    def binary(self, node: Binary, left: Form, right: Form) -> Form:
        if node.operator in "*/" and left[0] != ZERO and right[0] != ZERO:
            self.exact = False
            right = (ZERO, node.right)
        return super().binary(node, left, right)


def chord_in(name: str, node: Node, definitions: Mapping[str, Variable]) -> tuple[Node, bool]:
    """Return the a of an expression as a*name + b at the present value, and whether it is exact.

    Args:
        name: The name.
        node: The expression.
        definitions: The definitions, each after those that it needs.
    """
    algebra = ChordAlgebra(name)
    trees = {key: definition.expression for key, definition in definitions.items()}
    needed = dependencies(node, trees)
    for key, definition in definitions.items():
        if key in needed and names(definition.expression) & {*algebra.forms}:
            form = evaluate(definition.expression, algebra)
            if form[0] != ZERO:
                algebra.forms[key] = form
    slope = evaluate(node, algebra)[0]
    check_size(slope, {}, f"the slope in {name}")
    return slope, algebra.exact


def _sign(node: Node) -> Node:
    return node if node == ZERO else Negative(node)


def _plain(operator: str, left: Node, right: Node) -> Node:
    """Build a tree, leaving out the zeros and ones that the affine algebra makes."""
    match operator:
        case "+" | "-" if right == ZERO:
            return left
        case "+" if left == ZERO:
            return right
        case "-" if left == ZERO:
            return Negative(right)
        case "*" if ZERO in (left, right):
            return ZERO
        case "/" if left == ZERO:
            return ZERO
        case "*" if left == ONE:
            return right
        case "*" | "/" if right == ONE:
            return left
    return Binary(operator, left, right)


def affine_in(
    name: str,
    variable: Variable,
    definitions: Mapping[str, Variable],
    forms: Mapping[str, Form] | None = None,
    message: Callable[[str], str] | None = None,
) -> Form:
    """Return the trees (a, b) of a right-hand side as a*name + b.

    Definitions are written out where they depend on the name, or on a name that has a form, and
    stay names elsewhere. A form is worked out once for each definition, however often it is used.

    Args:
        name: A state, an input or a noise.
        variable: Whose right-hand side is meant.
        definitions: The definitions, each after those that it needs.
        forms: The forms of other names that depend on `name`, such as inputs.
        message: As for `AffineAlgebra`.

    Raises:
        EquationError: It is not affine; with the user's line, which may be a definition's.
    """
    trees = {key: definition.expression for key, definition in definitions.items()}
    needed = dependencies(variable.expression, trees)
    known = dict(forms or {})
    for key, definition in definitions.items():
        if key in needed and names(definition.expression) & {name, *known}:
            algebra = AffineAlgebra(name, known, message, definition)
            known[key] = evaluate(definition.expression, algebra)
    return evaluate(variable.expression, AffineAlgebra(name, known, message, variable))


def affine_parts(equations: Dynamics, state: str, inputs: Mapping[str, Form] | None = None) -> Form:
    """Return the trees (a, b) of dstate/dt = a*state + b.

    Where the derivative has white noise, they are those of its drift.

    Args:
        equations: The equations.
        state: One of their states.
        inputs: The forms, in this state, of inputs that depend on it.

    Raises:
        EquationError: The derivative is not affine in the state itself.
        UnknownNameError: There is no such state.
    """
    if state not in equations.states:
        raise UnknownNameError(f"there is no state {state!r}.{nearest(state, equations.states)}")
    noises = equations.noises.values()
    silent = {noise: (ZERO, ZERO) for of_one in noises for noise in of_one}
    forms = {**silent, **(inputs or {})}
    return affine_in(state, equations.states[state], equations.definitions, forms, _because(state))


def not_affine(equations: Dynamics) -> dict[str, str]:
    """Return each state whose derivative is not affine in the state itself, and why.

    The reason is one sentence, followed by the user's line and a caret.
    """
    reasons = {}
    for state in equations.states:
        try:
            affine_parts(equations, state)
        except EquationError as error:
            reasons[state] = str(error)
    return reasons


def not_affine_components(trees: Sequence[Node], components: Sequence[str]) -> dict[str, str]:
    """Return each component whose derivative is not affine in the component itself, and why.

    Args:
        trees: The derivative of each component, as `trace_components` returns them.
        components: The name of each.
    """
    reasons = {}
    for name, tree in zip(components, trees, strict=True):
        try:
            evaluate(tree, AffineAlgebra(name, message=_because(name)))
        except EquationError as error:
            reasons[name] = str(error)
    return reasons


def _because(state: str) -> Callable[[str], str]:
    return lambda part: f"d{state}/dt is not affine in {state}, because of {part}."


def inlined(node: Node, definitions: Mapping[str, Variable], keep: AbstractSet[str]) -> Node:
    """Write out the definitions in a tree.

    Args:
        node: The tree.
        definitions: The definitions, each after those that it needs.
        keep: Those that stay names.

    Raises:
        EquationError: The tree becomes too large, as where each of many definitions names the
            one before it twice.
    """
    trees = {key: value.expression for key, value in definitions.items() if key not in keep}
    written: dict[str, Node] = {}
    sizes: dict[int, tuple[int, int]] = {}

    def change(item: Name) -> Node:
        return written.get(item.name, item)

    for name in names(node):
        if name in trees and name not in written:
            for key in in_need(name, trees, written):
                written[key] = renamed(trees[key], change)
                check_size(written[key], sizes, key)
    whole = renamed(node, change)
    check_size(whole, sizes, "an expression")
    return whole


def check_size(node: Node, known: dict[int, tuple[int, int]], what: str) -> None:
    """Refuse a tree that is too large or too deep to be worked with when it is written out.

    Args:
        node: The tree, whose parts may be shared.
        known: Size and depth of parts by their `id`, which is added to; the parts must stay alive.
        what: What it is, for the message.

    Raises:
        EquationError: It is.
    """
    waiting = [node]
    while waiting:
        item = waiting[-1]
        parts = children(item)
        if todo := [part for part in parts if id(part) not in known]:
            waiting += todo
            continue
        waiting.pop()
        size = 1 + sum(known[id(part)][0] for part in parts)
        step = 3 if isinstance(item, Call) else 1
        depth = step + max((known[id(part)][1] for part in parts), default=0)
        known[id(item)] = size, depth
    size, depth = known[id(node)]
    if size > _MOST_PARTS or depth > DEEPEST:
        how = f"{size:,} parts" if size > _MOST_PARTS else "too many parts within each other"
        raise EquationError(
            f"{what} has {how} when the definitions that it needs are written out, and at most "
            f"{_MOST_PARTS:,} parts, {DEEPEST} deep, can be worked with. Shorten the chain of "
            "definitions, or make one of them a state or a parameter."
        )
