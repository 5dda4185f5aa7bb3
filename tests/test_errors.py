import inspect

import pytest

from somaflow import errors
from somaflow.errors import EquationError, SomaflowError, nearest

KINDS = [
    kind
    for _, kind in inspect.getmembers(errors, inspect.isclass)
    if issubclass(kind, SomaflowError) and kind is not SomaflowError
]


@pytest.mark.parametrize("kind", KINDS)
def test_every_error_is_ours_and_a_builtin_kind(kind: type[SomaflowError]) -> None:
    builtin = [base for base in kind.__mro__ if base.__module__ == "builtins"]
    assert set(builtin) - {Exception, BaseException, object}


def test_the_caret_stands_below_the_column() -> None:
    message = str(EquationError("wrong", "dv/dt = x : mV", 8, 12))
    head, line, caret = message.splitlines()
    assert head == "wrong"
    assert line == "  line 12: dv/dt = x : mV"
    assert line[caret.index("^")] == "x"


def test_without_a_line_there_is_no_caret() -> None:
    assert str(EquationError("wrong")) == "wrong"


def test_nearest_proposes_the_closest_name() -> None:
    assert nearest("taau", ["tau", "v"]) == " Did you mean 'tau'?"


def test_nearest_takes_the_second_list_only_where_the_first_has_nothing() -> None:
    assert nearest("mss", ["q"], ["ms"]) == " Did you mean 'ms'?"
    assert nearest("mss", ["mssa"], ["ms"]) == " Did you mean 'mssa'?"


def test_nearest_lists_what_there_is_where_nothing_is_close() -> None:
    assert nearest("xyz", ["b", "a"]) == " Known: a, b."
    assert nearest("xyz", []) == ""
    assert nearest("xyz", [f"n{k:02}" for k in range(20)]).endswith("n11, ....")
