"""The errors a user can meet. Each says what is wrong, where, and what would be right.

Every class is also the builtin kind that a Python programmer would catch.
"""

import difflib
import sys
import warnings
from collections.abc import Iterable

__all__ = [
    "EquationError",
    "Interrupted",
    "MechanismError",
    "MissingValueError",
    "NetworkError",
    "NonFiniteState",
    "RunError",
    "SomaflowError",
    "SomaflowWarning",
    "StoreError",
    "TraceError",
    "UnitError",
    "UnknownMechanismError",
    "UnknownNameError",
    "WrongTypeError",
]

# Input may be of any length, but what is said of it is read by people. To look for what is near to
# a name takes a time that grows with the square of its length.
_LONGEST_LINE, _AROUND = 200, 80  # characters that are shown, and those around a caret
_LONGEST_NAME = 60
_LONGEST_MESSAGE = 4000
_MOST_NAMES = 1000


class SomaflowError(Exception):
    """The root of all errors that somaflow raises on purpose.

    Args:
        *args: The message; of one that quotes a text of any length, the ends are kept.
    """

    def __init__(self, *args: object) -> None:
        super().__init__(*(_ends(item) if isinstance(item, str) else item for item in args))


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


def warn(text: str) -> None:
    """Warn whoever called the package, however many of its own calls lie between.

    Args:
        text: What is ignored or doubtful, and what would be right.
    """
    level, frame = 1, sys._getframe()
    while frame is not None and frame.f_globals.get("__name__", "").split(".")[0] == "somaflow":
        level, frame = level + 1, frame.f_back
    warnings.warn(text, SomaflowWarning, stacklevel=level)


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

    def __reduce__(self) -> tuple[object, ...]:  # a worker sends it to who has started it
        return type(self), (str(self), self.path, self.time, self.signal)


def _ends(message: str) -> str:
    if len(message) <= _LONGEST_MESSAGE:
        return message
    half = _LONGEST_MESSAGE // 2
    left_out = len(message) - 2 * half
    return f"{message[:half]} ... ({left_out:,} characters) ... {message[-half:]}"


def point(message: str, line: str, column: int, number: int | None = None) -> str:
    """Return a message with the user's line below it, and a caret under one of its columns."""
    label = f"  line {number}: " if number is not None else "  "
    if len(line) > _LONGEST_LINE:
        start = max(column - _AROUND, 0)
        before, after = "..." if start else "", "..." if len(line) > column + _AROUND else ""
        line = f"{before}{line[start : column + _AROUND]}{after}"
        column += len(before) - start
    return f"{message}\n{label}{line}\n{' ' * (len(label) + column)}^"


def nearest(name: object, known: Iterable[str], also: Iterable[str] = ()) -> str:
    """Return a `did you mean` clause for a misspelt name, or the names there are.

    Args:
        name: What the user wrote.
        known: What could have been meant.
        also: What could have been meant too, but is too common to be listed.

    Returns:
        A clause that begins with a space, or an empty string where nothing is known.
    """
    names = sorted(set(known))
    spelt = name if isinstance(name, str) and len(name) <= _LONGEST_NAME else ""
    for choices in (names, sorted(set(also))) if spelt else ():
        short = [choice for choice in choices if len(choice) <= _LONGEST_NAME][:_MOST_NAMES]
        if close := difflib.get_close_matches(spelt, short, n=1, cutoff=0.5):
            return f" Did you mean {close[0]!r}?"
    if not names:
        return ""
    some = [item if len(item) <= _LONGEST_NAME else f"{item[:40]}..." for item in names[:12]]
    return f" Known: {', '.join(some)}{', ...' if len(names) > 12 else ''}."


def quoted(text: str) -> str:
    """Return a text between quotes, or the beginning of a long one."""
    if len(text) <= _LONGEST_LINE:
        return repr(text)
    return f"{text[:_LONGEST_NAME]!r}... (of {len(text):,} characters)"
