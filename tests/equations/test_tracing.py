from collections import namedtuple
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

import somaflow as sf
from somaflow.equations.affine import not_affine_components
from somaflow.equations.expression import parse
from somaflow.equations.tracing import component_names, trace_components, trace_derivatives
from somaflow.errors import TraceError

Point = namedtuple("Point", "x y")


def lorenz(t: Any, y: Any, p: Any) -> Any:
    return {
        "x": p["s"] * (y["y"] - y["x"]),
        "y": y["x"] * (p["r"] - y["z"]) - y["y"],
        "z": y["x"] * y["y"] - p["b"] * y["z"],
    }


def test_a_dict_with_arguments() -> None:
    y, args = {"z": 1.0, "y": 1.0, "x": np.ones(3)}, {"s": 10.0, "r": 28.0, "b": 8 / 3}
    found = trace_components(lorenz, y, args)
    assert component_names(y) == ["x", "y", "z"]
    right = ["args.s*(y - x)", "x*(args.r - z) - y", "x*y - args.b*z"]
    assert found == [parse(text) for text in right]
    assert not_affine_components(found, component_names(y)) == {}


def test_a_single_component() -> None:
    found = trace_components(lambda t, y: -y * y + sf.math.sin(t), 1.0)
    assert found == [parse("-y*y + sin(t)")]
    assert component_names(np.ones(3)) == ["y"]
    assert list(not_affine_components(found, ["y"])) == ["y"]
    found = trace_components(lambda t, y, k: -k * y, 1.0, 3.0)
    assert found == [parse("-args*y")]


def test_nests() -> None:
    y = {"b": [1.0, (2.0, 3.0)], "a": Point(4.0, {"q": 5.0})}

    def f(t: Any, y: Any) -> Any:
        (first, (second, third)), point = y["b"], y["a"]
        return {
            "a": Point(point.y["q"], {"q": point.x}),
            "b": [second, (third, np.float64(2) * first)],
        }

    assert component_names(y) == ["a.0", "a.1.q", "b.0", "b.1.0", "b.1.1"]
    found = trace_components(f, y)
    assert [getattr(tree, "name", None) for tree in found] == [
        "a.1.q", "a.0", "b.1.0", "b.1.1", None,
    ]  # fmt: skip


def test_a_derivative_may_be_a_number() -> None:
    assert trace_components(lambda t, y: [1.0, -2], [0.0, 0.0]) == [parse("1"), parse("-2")]


def _calls_tf(t: Any, y: Any) -> Any:
    return {"x": tf.sin(y["x"])}


def _multiplies_a_tensor(t: Any, y: Any) -> Any:
    return {"x": tf.constant(2.0) * y["x"]}


def _calls_numpy(t: Any, y: Any) -> Any:
    return {"x": np.exp(y["x"])}


def _takes_an_element(t: Any, y: Any) -> Any:
    return {"x": y["x"][0]}


def _branches(t: Any, y: Any) -> Any:
    return {"x": 1 if y["x"] > 0 else 0}


def _an_array(t: Any, y: Any) -> Any:
    return {"x": y["x"] * np.ones(3)}


def _returns_an_array(t: Any, y: Any) -> Any:
    return {"x": np.ones(3)}


def _reads_what_is_not_there(t: Any, y: Any) -> Any:
    return {"x": y["z"]}


def _too_many(t: Any, y: Any, p: Any) -> Any:
    return {"x": p}


@pytest.mark.parametrize(
    "f",
    [
        _calls_tf,
        _multiplies_a_tensor,
        _calls_numpy,
        _takes_an_element,
        _branches,
        _an_array,
        _returns_an_array,
        _reads_what_is_not_there,
        _too_many,
    ],
)
def test_what_cannot_be_traced_says_what_to_write(f: Callable[..., Any]) -> None:
    with pytest.raises(TraceError, match=r"Python operators and sf\.math, or as text") as caught:
        trace_components(f, {"x": 1.0})
    assert f.__name__ in str(caught.value)
    assert "an exponential method needs to see the equations" in str(caught.value)
    assert caught.value.__cause__ is not None


@pytest.mark.parametrize("value", [{"z": 1.0}, {}, [1.0], 1.0, {"x": 1.0, "y": 1.0}, None])
def test_another_structure(value: Any) -> None:
    with pytest.raises(TraceError, match="a derivative for each of x, in the structure"):
        trace_components(lambda t, y: value, {"x": 1.0})
    with pytest.raises(TraceError, match="each of 0, 1"):
        trace_components(lambda t, y: value, [1.0, 1.0])


@pytest.mark.parametrize(
    ("y", "args"),
    [({"t": 1.0}, None), ({"args": {"s": 1.0}}, {"s": 1.0}), ({"a": {"b": 1}, "a.b": 1}, None)],
)
def test_names_that_stand_for_two_things(y: Any, args: Any) -> None:
    with pytest.raises(TraceError, match="one name for each part"):
        trace_components(lambda t, y, *p: y, y, args)


def test_derivatives_by_name() -> None:
    found = trace_derivatives(lambda t, y, p: {"v": p["k"] * t, "u": -y["v"]}, ["u", "v"], ["k"])
    assert list(found.items()) == [("u", parse("-v")), ("v", parse("k*t"))]
