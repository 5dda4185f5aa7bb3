"""The notation of texts from outside, by way of Python's `ast`: bounded before anything is read.

Expressions and units come from files and command lines too, so a text must not take long to read,
whatever is in it. Both go through `tree`, which refuses what is too long or too deep. Nothing here
computes with numbers, whose powers may be too large for any machine.
"""

import ast
import re
from collections.abc import Callable, Mapping, Sequence

from pint.util import string_preprocessor

LONGEST = 20_000  # characters of an expression
LONGEST_UNIT = 200
LARGEST_POWER = 100  # of a unit
# What reads a tree takes a frame of Python's stack for an operator, and three for a call. Python
# has 1000, of which whoever calls needs some.
DEEPEST = 500
_CALL = 3
# What a text in JSON says, or will say.
Json = Mapping[str, "Json"] | Sequence["Json"] | str | int | float | None
_WORD = re.compile(r"(?<![\w.])[^\W\d]\w*")


class UnreadableError(ValueError):
    """A text is not in the notation. Those who know where it stands say so in an error of ours.

    Args:
        message: What is wrong with it, without a full stop.
        column: Where, zero-based.
    """

    def __init__(self, message: str, column: int = 0) -> None:
        super().__init__(message)
        self.column = column


def tree(text: str, longest: int = LONGEST) -> ast.expr:
    """Return Python's tree of an expression.

    Args:
        text: The expression.
        longest: How many characters it may have.

    Raises:
        UnreadableError: It is none, or is too long, or nested too deeply.
    """
    if len(text) > longest:
        raise UnreadableError(f"it has {len(text):,} characters, and at most {longest:,} are read")
    try:
        found = ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        column = max((getattr(error, "offset", None) or 1) - 1, 0)
        message = getattr(error, "msg", None) or str(error) or "it is nested too deeply"
        raise UnreadableError(message, min(column, len(text))) from None
    waiting: list[tuple[ast.AST, int]] = [(found, 0)]
    while waiting:
        item, depth = waiting.pop()
        if depth > DEEPEST:
            raise UnreadableError(
                f"it is nested too deeply, or has more than {DEEPEST} operators in a row; split it "
                "into definitions"
            )
        # `a and b and c` is one node here, and becomes one in another.
        depth += _CALL if isinstance(item, ast.Call) else len(getattr(item, "values", "1"))
        waiting += [(child, depth) for child in ast.iter_child_nodes(item)]
    return found


def unit_powers(text: str, before: tuple[Callable[[str], str], ...] = ()) -> dict[str, float]:
    """Return the power of each name in a unit: products, quotients and powers of names.

    Args:
        text: Such as `mS/cm**2`, or as people write it: `mS cm^-2`, `mS per square cm`.
        before: What prepares a text further.

    Raises:
        UnreadableError: It is no unit, or has a power that is too large.
    """
    if len(text) > LONGEST_UNIT:
        raise UnreadableError(
            f"it has {len(text):,} characters, and at most {LONGEST_UNIT} are read"
        )
    for prepare in (*before, string_preprocessor):
        text = prepare(text)
    text = text.replace("\u22c5", "*").replace("\u00b7", "*")
    # Numbers stand for the names, as Python has other names: `in` is none, and `µ` is `μ`.
    words: list[str] = []

    def number(match: re.Match[str]) -> str:
        words.append(match[0])
        return f"_{len(words) - 1}"

    powers: dict[str, float] = {}
    _collect(tree(_WORD.sub(number, text.strip())), 1, powers)
    found: dict[str, float] = {}
    for place, power in powers.items():
        name = words[int(place.removeprefix("_"))]
        found[name] = found.get(name, 0) + power
    for name, power in found.items():
        if not abs(power) <= LARGEST_POWER:
            raise UnreadableError(
                f"the power of {name} is {power:.6g}, and the largest is {LARGEST_POWER}"
            )
    return {name: power for name, power in found.items() if power}


def _collect(item: ast.expr, power: float, found: dict[str, float]) -> None:
    """Add the powers of a part of a unit, which stands under a power itself."""
    match item:
        case ast.Name(id=name):
            found[name] = found.get(name, 0) + power
        case ast.Constant(value=value) if type(value) in (int, float) and value == 1:
            pass
        case ast.BinOp(left=left, op=ast.Mult(), right=right):
            _collect(left, power, found)
            _collect(right, power, found)
        case ast.BinOp(left=left, op=ast.Div(), right=right):
            _collect(left, power, found)
            _collect(right, -power, found)
        case ast.BinOp(left=left, op=ast.Pow(), right=right):
            _collect(left, power * _exponent(right), found)
        case ast.UnaryOp(op=ast.UAdd(), operand=operand):
            _collect(operand, power, found)
        case _:
            raise UnreadableError("a unit is a product of powers of names", item.col_offset)


def _exponent(item: ast.expr) -> float:
    """Return the number that a name is raised to: 2, -2, 0.5 or 1/2."""
    match item:
        case ast.Constant(value=int() | float() as value):
            if not abs(value) <= LARGEST_POWER:
                raise UnreadableError(
                    f"an exponent is above {LARGEST_POWER}, the largest", item.col_offset
                )
            return value
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_exponent(operand)
        case ast.UnaryOp(op=ast.UAdd(), operand=operand):
            return _exponent(operand)
        case ast.BinOp(left=left, op=ast.Div(), right=right) if divisor := _exponent(right):
            return _exponent(left) / divisor
    raise UnreadableError("an exponent in a unit is one number", item.col_offset)
