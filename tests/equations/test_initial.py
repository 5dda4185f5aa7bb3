import pytest

from somaflow.equations.equations import Equations
from somaflow.equations.expression import Name, parse
from somaflow.equations.initial import resolve
from somaflow.errors import MissingValueError


def test_expressions_wait_for_each_other_and_for_definitions() -> None:
    definitions = Equations.parse("d = 2*a + p : 1\na : 1", p=1.0).definitions
    found = resolve({"x": parse("y + 1"), "y": Name("d")}, {"p": 1.0, "a": 5.0}, definitions, "PN")
    assert (found["y"], found["x"]) == (11, 12)


def test_those_that_wait_for_ever() -> None:
    with pytest.raises(MissingValueError, match=r"'x' of PN is y, which needs .* \['y'\]"):
        resolve({"x": Name("y"), "y": Name("x")}, {}, {}, "PN")
