"""The errors a user can meet. Each says what is wrong, where, and what would be right.

Every class is also the builtin kind that a Python programmer would catch.
"""

import difflib
from collections.abc import Iterable
from typing import Any

_LONGEST = 200  # letters of a name that may be misspelt


class SomaflowError(Exception):
    """The root of all errors that somaflow raises on purpose."""


class EquationError(SomaflowError, ValueError):
    """An equation cannot be read: a syntax slip, a cycle, a call that is not allowed.

    Args:
        message: What is wrong and what would be right.
        line: The user's line, or None where there is none to show.
        column: Zero-based column of the caret in `line`.
        number: One-based number of the line in the user's text.
    """

    def __init__(
        self, message: str, line: str | None = None, column: int = 0, number: int | None = None
    ) -> None:
        super().__init__(message if line is None else point(message, line, column, number))


class UnitError(EquationError):
    """A quantity has the wrong unit, in an equation or as the value of a parameter."""


class UnknownNameError(EquationError, NameError):
    """A name in an equation is neither defined, nor a parameter, nor a unit."""


class MissingValueError(SomaflowError, ValueError):
    """A state has no initial value or a parameter has none."""


class TraceError(SomaflowError, TypeError):
    """A Python function cannot be traced into an expression tree."""


class MechanismError(SomaflowError, ValueError):
    """A mechanism file breaks the rules of the catalogue."""


class UnknownMechanismError(SomaflowError, AttributeError):
    """The catalogue has no mechanism of that name."""


class NetworkError(SomaflowError, ValueError):
    """The description of a network does not fit together."""


class WrongTypeError(SomaflowError, TypeError):
    """An argument is of a kind that cannot be used here."""


class RunError(SomaflowError, ValueError):
    """A run was asked for that cannot be done: its dt, duration, solver or initial values."""


class NonFiniteState(SomaflowError, ArithmeticError):  # noqa: N818 - a state, in the user's words
    """A state became infinite or not-a-number during a run."""


class StoreError(SomaflowError, OSError):
    """Results cannot be written to, or read from, the place that was named."""


class SomaflowWarning(UserWarning):
    """Something is ignored, or may not be what was meant; a run goes on all the same."""


class Interrupted(KeyboardInterrupt):
    """A run was asked to stop, by Ctrl-C or by SIGTERM, and did so at the end of a chunk.

    It is no `SomaflowError`: what goes on after an error must not go on after this.

    Args:
        message: Where it stopped, and how to go on.
        path: The store of the run, or None.
        time: Biological time that was reached, in ms.
        signal: Number of the signal.
    """

    def __init__(self, message: str, path: str | None, time: float, signal: int) -> None:
        super().__init__(message)
        self.path, self.time, self.signal = path, time, signal


def point(message: str, line: str, column: int, number: int | None = None) -> str:
    """Return a message with the user's line below it, and a caret under one of its columns."""
    label = f"  line {number}: " if number is not None else "  "
    return f"{message}\n{label}{line}\n{' ' * (len(label) + column)}^"


def nearest(name: Any, known: Iterable[str], also: Iterable[str] = ()) -> str:
    """Return a `did you mean` clause for a misspelt name, or the names there are.

    Args:
        name: What the user wrote.
        known: What could have been meant.
        also: What could have been meant too, but is too common to be listed.

    Returns:
        A clause that begins with a space, or an empty string where nothing is known.
    """
    names = sorted(set(known))
    spelt = isinstance(name, str) and len(name) <= _LONGEST
    for choices in (names, sorted(set(also))) if spelt else ():
        if close := difflib.get_close_matches(name, choices, n=1, cutoff=0.5):
            return f" Did you mean {close[0]!r}?"
    if not names:
        return ""
    shown = ", ".join(names[:12]) + (", ..." if len(names) > 12 else "")
    return f" Known: {shown}."
