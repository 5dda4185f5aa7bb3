"""Events of `solve`: conditions on the state, found where they happen."""

from collections.abc import Mapping

import tensorflow as tf

from somaflow.compiler.checks import check_change, check_scalar
from somaflow.compiler.event import DIRECTIONS, Event
from somaflow.compiler.lower import Lowered
from somaflow.compiler.ode import Function, OdeModel, Values, check_call
from somaflow.compiler.timing import fitted
from somaflow.equations.equations import Equations
from somaflow.equations.expression import Binary, Call, Node
from somaflow.errors import RunError, WrongTypeError
from somaflow.given import shown
from somaflow.numerics.types import Nest, Tensor
from somaflow.simulation.flow import Condition


def named(events: object) -> dict[str, Event]:
    """Return the events of a solve by name.

    Raises:
        WrongTypeError: They are not `sf.Event`s by name.
    """
    if events is None:
        return {}
    if not isinstance(events, Mapping) or not all(isinstance(e, Event) for e in events.values()):
        raise WrongTypeError(
            f"events is a dict such as {{'bounce': sf.Event(lambda t, y: y['x'])}}, not "
            f"{shown(events)}."
        )
    return {str(name): event for name, event in events.items()}


def lower(
    events: Mapping[str, Event], model: OdeModel, args: Nest, dtype: tf.DType
) -> tuple[Condition, ...]:
    """Check the events of a solve and turn them into functions over blocks.

    Raises:
        WrongTypeError: A part of one is of another kind.
        RunError: One of them cannot be evaluated on the state.
    """
    return tuple(_condition(name, event, model, args, dtype) for name, event in events.items())


def _condition(name: str, event: Event, model: OdeModel, args: Nest, dtype: tf.DType) -> Condition:
    direction, what = DIRECTIONS[event.direction], f"event {name!r}: the condition"
    if isinstance(event.condition, str):
        margin, direction = _text_margin(name, event, model, dtype)
    else:
        margin = _function(event.condition, args, what, model)
    check_scalar(model, margin, what, event.condition, dtype)
    if not isinstance(event.condition, str):
        margin, _ = fitted(model, margin, dtype, True)
    change, what = None, f"event {name!r}: the change"
    if isinstance(event.change, str):
        change = _text_change(name, event.change, model, dtype)
    elif event.change is not None:
        change = _function(event.change, args, what, model)
    if change is not None:
        check_change(model, change, what, event.change, dtype)
        if not isinstance(event.change, str):
            change, _ = fitted(model, change, dtype, True)
    return Condition(
        name,
        model.scalar_on_block(margin),
        direction,
        bool(event.terminal),
        None if change is None else model.on_block(change),
    )


def _function(function: Function, args: Nest, name: str, model: OdeModel) -> Function:
    check_call(function, args, name)

    def over(t: Tensor, y: Nest, parameters: Nest) -> Nest:
        if args is None:
            return function(t, y)
        if model.equations is not None and isinstance(parameters, Mapping):
            parameters = {name: parameters[name] for name in model.equations.parameters}
        return function(t, y, parameters)

    return over


def _equations(name: str, model: OdeModel) -> Equations:
    if model.equations is None:
        raise WrongTypeError(
            f"event {name!r} is a text, which goes with equations; a function f needs functions."
        )
    return model.equations


def _text_margin(name: str, event: Event, model: OdeModel, dtype: tf.DType) -> tuple[Function, int]:
    equations = _equations(name, model)
    if event.direction != "both":
        raise RunError(
            f"event {name!r}: the text {event.condition!r} has a direction already; "
            "leave direction= out."
        )
    above = _margin(equations.condition(str(event.condition)))
    lowered = Lowered(equations, frozenset(), (above,), dtype == tf.float32)

    def margin(t: Tensor, y: Values, parameters: Values) -> Tensor:
        return lowered.scope(lowered.prepare(parameters), {**y, "t": t})(above)

    return margin, 1


def _margin(node: Node) -> Node:
    """Return as one tree what is above 0 where a condition holds."""
    match node:
        case Binary(operator="and"):
            return Call("minimum", (_margin(node.left), _margin(node.right)))
        case Binary(operator="or"):
            return Call("maximum", (_margin(node.left), _margin(node.right)))
        case Binary(operator=">" | ">="):
            return Binary("-", node.left, node.right)
        case Binary():
            return Binary("-", node.right, node.left)
    raise TypeError(f"not a condition: {node!r}")


def _text_change(name: str, text: str, model: OdeModel, dtype: tf.DType) -> Function:
    equations = _equations(name, model)
    assignments = equations.assignments(text)
    keep = tuple(a.expression for a in assignments)
    lowered = Lowered(equations, frozenset(), keep, dtype == tf.float32)

    def change(t: Tensor, y: Values, parameters: Values) -> Values:
        values = dict(y)
        for assignment in assignments:
            value = lowered.scope(lowered.prepare(parameters), {**values, "t": t})
            values[assignment.name] = value(assignment.expression)
        return values

    return change
