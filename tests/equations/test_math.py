from typing import Any

import numpy as np
import pytest

import somaflow as sf
from somaflow.equations import math
from somaflow.equations.algebras import Symbol, as_node
from somaflow.equations.expression import FUNCTIONS, SUMS, Call, Name
from somaflow.errors import WrongTypeError
from somaflow.units import mV

PYTHON_NAMES = {"abs": "absolute"}
# These only mean something in a synapse.
NAMES = [name for name in FUNCTIONS if name not in {"pulse", *SUMS}]


@pytest.mark.parametrize("name", NAMES)
def test_every_function_of_the_text_is_one_of_sf_math(name: str) -> None:
    function = getattr(sf.math, PYTHON_NAMES.get(name, name))
    arguments = [Symbol(Name(f"x{k}")) for k in range(FUNCTIONS[name][0])]
    expected = Call(name, tuple(a.node for a in arguments))
    assert as_node(function(*arguments)) == expected


VALUES = {
    "exp": ([1.0], np.e), "expm1": ([0.0], 0), "exprel": ([0.0], 1), "log": ([1.0], 0),
    "sin": ([0.0], 0), "cos": ([0.0], 1), "tanh": ([0.0], 0), "sigmoid": ([0.0], 0.5),
    "sqrt": ([4.0], 2), "abs": ([-1.0], 1), "minimum": ([1.0, 2.0], 1),
    "log1p": ([0.0], 0), "log10": ([100.0], 2), "arctan": ([0.0], 0), "arctan2": ([0.0, 1.0], 0),
    "sinh": ([0.0], 0), "cosh": ([0.0], 1), "sign": ([-3.0], -1), "floor": ([-1.5], -2),
    "ceil": ([1.2], 2), "clip": ([3.0, 0.0, 2.0], 2),
    "maximum": ([1.0, 2.0], 2), "where": ([True, 1.0, 2.0], 1),
}  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_numbers_and_arrays_give_numbers_and_arrays(name: str) -> None:
    function = getattr(sf.math, PYTHON_NAMES.get(name, name))
    arguments, value = VALUES[name]
    assert function(*arguments) == value
    assert np.array_equal(function(*[np.array([a, a]) for a in arguments]), [value, value])


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("wrong", [object(), None, "x", 3 * mV])
def test_what_is_no_number_is_refused(name: str, wrong: Any) -> None:
    function = getattr(sf.math, PYTHON_NAMES.get(name, name))
    for k in range(FUNCTIONS[name][0]):
        arguments = list(VALUES[name][0])
        arguments[k] = wrong
        with pytest.raises(WrongTypeError, match=f"sf.math.{name} takes numbers"):
            function(*arguments)


def test_a_value_type_can_be_added(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(math, "_tables", [])

    class Mine:
        pass

    math.register(lambda value: isinstance(value, Mine), {"exp": lambda x: ("exp", x)})
    mine = Mine()
    assert sf.math.exp(mine) == ("exp", mine)
