"""`sf.math`: functions that work over every value type.

Written once in a user's function, `sf.math.exp(x)` gives a number for a NumPy array, a tree for a
symbol, and a tensor for a tensor (registered by the compiler).
"""

from collections.abc import Callable, Mapping
from typing import Any

import pint

from somaflow.equations.algebras import NUMPY_FUNCTIONS, Symbol, as_node
from somaflow.equations.expression import Call
from somaflow.errors import WrongTypeError
from somaflow.given import array, shown

__all__ = [
    "exp",
    "expm1",
    "exprel",
    "log",
    "log1p",
    "log10",
    "sin",
    "cos",
    "arctan",
    "arctan2",
    "sinh",
    "cosh",
    "tanh",
    "sigmoid",
    "sqrt",
    "absolute",
    "sign",
    "floor",
    "ceil",
    "clip",
    "minimum",
    "maximum",
    "where",
]

Functions = Mapping[str, Callable[..., Any]]
_tables: list[tuple[Callable[[object], bool], Functions]] = []


def register(applies: Callable[[object], bool], table: Functions) -> None:
    """Add a value type: a test for its values, and its functions by name."""
    _tables.append((applies, table))


def _apply(name: str, *arguments: object) -> Any:
    if any(isinstance(argument, Symbol) for argument in arguments):
        return Symbol(Call(name, tuple(as_node(argument) for argument in arguments)))
    for applies, table in _tables:
        if any(applies(argument) for argument in arguments):
            return table[name](*arguments)
    for argument in arguments:
        if isinstance(argument, pint.Quantity) or not _is_numeric(argument):
            raise WrongTypeError(
                f"sf.math.{name} takes numbers, arrays and the arguments of a traced function, "
                f"not {shown(argument)}."
            )
    return NUMPY_FUNCTIONS[name](*arguments)


def _is_numeric(argument: object) -> bool:
    numbers = array(argument)
    return numbers is not None and numbers.dtype.kind in "biuf"


def exp(x: object) -> Any:
    """Return e to the power x."""
    return _apply("exp", x)


def expm1(x: object) -> Any:
    """Return exp(x) - 1, exact for small x."""
    return _apply("expm1", x)


def exprel(x: object) -> Any:
    """Return (exp(x) - 1)/x, finite at 0; a rate a*x/(exp(x) - 1) is a/exprel(x)."""
    return _apply("exprel", x)


def log(x: object) -> Any:
    """Return the natural logarithm."""
    return _apply("log", x)


def log1p(x: object) -> Any:
    """Return log(1 + x), exact for small x."""
    return _apply("log1p", x)


def log10(x: object) -> Any:
    """Return the decimal logarithm."""
    return _apply("log10", x)


def sin(x: object) -> Any:
    """Return the sine."""
    return _apply("sin", x)


def cos(x: object) -> Any:
    """Return the cosine."""
    return _apply("cos", x)


def arctan(x: object) -> Any:
    """Return the angle between -pi/2 and pi/2 whose tangent is x."""
    return _apply("arctan", x)


def arctan2(y: object, x: object) -> Any:
    """Return the angle of the point (x, y), between -pi and pi."""
    return _apply("arctan2", y, x)


def sinh(x: object) -> Any:
    """Return the hyperbolic sine."""
    return _apply("sinh", x)


def cosh(x: object) -> Any:
    """Return the hyperbolic cosine."""
    return _apply("cosh", x)


def tanh(x: object) -> Any:
    """Return the hyperbolic tangent."""
    return _apply("tanh", x)


def sigmoid(x: object) -> Any:
    """Return 1/(1 + exp(-x))."""
    return _apply("sigmoid", x)


def sqrt(x: object) -> Any:
    """Return the square root."""
    return _apply("sqrt", x)


def absolute(x: object) -> Any:
    """Return the absolute value; in text it is written `abs`."""
    return _apply("abs", x)


def sign(x: object) -> Any:
    """Return -1, 0 or 1."""
    return _apply("sign", x)


def floor(x: object) -> Any:
    """Return the largest whole number that is not above x."""
    return _apply("floor", x)


def ceil(x: object) -> Any:
    """Return the smallest whole number that is not below x."""
    return _apply("ceil", x)


def clip(x: object, low: object, high: object) -> Any:
    """Return x, or the bound beyond which it is."""
    return _apply("clip", x, low, high)


def minimum(a: object, b: object) -> Any:
    """Return the smaller of two."""
    return _apply("minimum", a, b)


def maximum(a: object, b: object) -> Any:
    """Return the larger of two."""
    return _apply("maximum", a, b)


def where(condition: object, a: object, b: object) -> Any:
    """Return `a` where the condition holds, else `b`."""
    return _apply("where", condition, a, b)
