"""From equations or a Python function to a system without events, for `solve`."""

import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from somaflow import units
from somaflow.compiler.lower import Lowered
from somaflow.equations.equations import Equations
from somaflow.errors import RunError, WrongTypeError
from somaflow.simulation.system import Carry, Jump, Row, System


class Leaf(NamedTuple):
    """One part of a state.

    Attributes:
        name: Its place in the nest, such as `x` or `a.b`.
        unit: Its unit.
        shape: Its shape.
    """

    name: str
    unit: str
    shape: tuple[int, ...]


def system(f: Any, y0: Any, args: Any, t0: float, dtype: Any) -> tuple[System, list[Leaf]]:
    """Build the system of `solve`.

    Args:
        f: Equations or a function.
        y0: Initial state.
        args: Passed to a function.
        t0: Time of step 0.
        dtype: NumPy dtype of the run.

    Raises:
        RunError: The derivative has another structure or shape than the state.
        WrongTypeError: `f` is neither, or the state is not numeric.
    """
    if isinstance(f, Equations):
        field, state, parameters, unit = _from_equations(f, y0, dtype)
    elif callable(f):
        if y0 is None:
            raise RunError("solve needs an initial state y0 for a function.")
        field, state, parameters, unit = _from_function(f, y0, args, dtype)
    else:
        raise WrongTypeError(f"solve takes a function f(t, y) or sf.Equations, not {f!r}.")
    names = _names(state)
    leaves = [
        Leaf(name, unit.get(name, "1"), leaf.shape)
        for name, leaf in zip(names, tf.nest.flatten(state), strict=True)
    ]
    _check(field, state, parameters, names, dtype)

    def vector_field(node: int, t: Any, flow: Any, drive: Any, context: Any, prepared: Any) -> Any:
        slope = field(t + t0, flow, prepared)
        return tf.nest.map_structure(
            lambda d, y: tf.broadcast_to(tf.convert_to_tensor(d, dtype_hint=y.dtype), y.shape),
            slope,
            flow,
        )

    rows = tuple(
        Row(name, lambda flow, k=k: np.asarray(tf.nest.flatten(flow)[k]))
        for k, name in enumerate(names)
    )
    made = System(
        initial=Carry(state, ()),
        parameters=parameters,
        inputs=lambda steps, nodes, dt: np.zeros((len(steps), len(nodes), 1)),
        prepare=lambda parameters, dt, nodes: parameters,
        arrive=lambda carry, prepared: None,
        vector_field=vector_field,
        jump=lambda before, flow, context, prepared: Jump(flow, before.event, None),
        observe=lambda carry, drive, prepared: dict(
            zip(names, tf.nest.flatten(carry.flow), strict=True)
        ),
        rows=rows,
        sources=(),
        crossings=None,
    )
    return made, leaves


def _from_equations(equations: Equations, y0: Any, dtype: Any) -> tuple[Any, ...]:
    if equations.inputs or equations.on_spike or equations.uses_pulse:
        raise RunError("equations with inputs or spikes belong in a network, not in solve.")
    given = {}
    for name, value in dict(y0 or {}).items():
        if name not in equations.states:
            raise RunError(f"y0 names {name!r}; the states are {sorted(equations.states)}.")
        given[name] = units.parameter(value, equations.unit(name), name).value
    values = equations.initial_values(given, "the equations")
    shape = np.broadcast_shapes(*(np.shape(v) for v in values.values()))
    state = {name: np.broadcast_to(v, shape).astype(dtype) for name, v in values.items()}
    parameters = {name: p.value.astype(dtype) for name, p in equations.parameters.items()}
    lowered = Lowered(equations, frozenset())

    def field(t: Any, y: dict[str, Any], parameters: Any) -> dict[str, Any]:
        value = lowered.scope(lowered.prepare(parameters), {**y, "t": t})
        return {
            name: tf.cast(value(lowered.derivative(name)), y[name].dtype)
            for name in equations.states
        }

    unit = {name: equations.unit(name) for name in equations.states}
    return field, state, parameters, unit


def _from_function(f: Callable[..., Any], y0: Any, args: Any, dtype: Any) -> tuple[Any, ...]:
    def leaf(value: Any) -> Any:
        held = units.parameter(value, None, "y0").value
        return held.astype(dtype)

    unit = {}
    flat = tf.nest.flatten(y0)
    for name, value in zip(_names(y0), flat, strict=True):
        unit[name] = units.parameter(value, None, name).unit
    state = tf.nest.map_structure(leaf, y0)
    parameters = () if args is None else tf.nest.map_structure(leaf, args)
    try:
        signature = inspect.signature(f)
    except (TypeError, ValueError):
        signature = None
    if signature is not None:
        if args is not None and len(signature.parameters) < 3:
            raise RunError("args were given, but the function takes only (t, y).")
        try:
            signature.bind(*[None] * (2 if args is None else 3))
        except TypeError as error:
            call = "f(t, y)" if args is None else "f(t, y, args)"
            raise RunError(f"f{signature} cannot be called as {call}: {error}.") from error

    def field(t: Any, y: Any, parameters: Any) -> Any:
        return f(t, y) if args is None else f(t, y, parameters)

    return field, state, parameters, unit


def _names(nest: Any) -> list[str]:
    if not tf.nest.is_nested(nest):
        return ["y"]
    found: list[str] = []

    def visit(item: Any, path: tuple[str, ...]) -> None:
        if isinstance(item, dict):
            for key in sorted(item):
                visit(item[key], (*path, str(key)))
        elif isinstance(item, (tuple, list)):
            for k, value in enumerate(item):
                visit(value, (*path, str(k)))
        else:
            found.append(".".join(path))

    visit(nest, ())
    return found


def _check(field: Any, state: Any, parameters: Any, names: list[str], dtype: Any) -> None:
    """Evaluate the vector field once, before anything is compiled."""
    y = tf.nest.map_structure(tf.constant, state)
    slope = field(tf.constant(0.0, dtype), y, tf.nest.map_structure(tf.constant, parameters))
    try:
        tf.nest.assert_same_structure(y, slope)
    except (TypeError, ValueError) as error:
        raise RunError(
            f"f must return a derivative for each part of the state, {names}, in the same "
            f"structure; it returned {tf.nest.map_structure(lambda x: '.', slope)}."
        ) from error
    for name, a, b in zip(names, tf.nest.flatten(y), tf.nest.flatten(slope), strict=True):
        found = tf.convert_to_tensor(b, dtype_hint=a.dtype)
        if found.dtype != a.dtype:
            raise RunError(
                f"f returned {found.dtype.name} for {name!r}, whose state is {a.dtype.name}."
            )
        if not found.shape.is_compatible_with(a.shape) and found.shape.rank:
            raise RunError(
                f"f returned shape {tuple(found.shape)} for {name!r}, whose state has shape "
                f"{tuple(a.shape)}."
            )
