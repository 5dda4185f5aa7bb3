"""Checks of a user's functions: each is traced once over the state before anything is compiled."""

import random
from collections.abc import Iterator, Mapping

import numpy as np
import tensorflow as tf

from somaflow.compiler.event import Event
from somaflow.compiler.ode import Function, OdeModel
from somaflow.compiler.reading import changed, objects, signature
from somaflow.errors import RunError
from somaflow.given import check_depth, shown
from somaflow.numerics.device import is_tensor, recording, watched
from somaflow.numerics.types import Nest, Tensor

_ZERO = tf.UnconnectedGradients.ZERO
_PYTHON = {"PyFunc", "EagerPyFunc", "PyFuncStateless"}
_ACTING = {"Print", "PrintV2", "RngReadAndSkip", "RngSkip", "Multinomial"}
_PREFIXES = ("Random", "Assign", "ResourceScatter", "StatefulStandard", "StatefulUniform")


def check_field(
    model: OdeModel, function: Function, name: str, dtype: tf.DType, rowwise: bool
) -> int:
    """Trace a right-hand side over the state, and return how many operations it has.

    Args:
        model: The model.
        function: `(t, y, parameters) -> nest`.
        name: What the user calls it.
        dtype: Of the run.
        rowwise: Whether every problem has a time of its own.

    Raises:
        RunError: It returns another structure, shape or dtype than the state, acts beyond its
            result, couples problems of a batch, or cannot be traced.
    """
    slope, graph = _trace(model, function, name, dtype, rowwise, model.functions)
    _check_nest(model, slope, name, dtype)
    if model.blocks.columns > 1 and model.equations is None:
        _check_rows(model, function, name, dtype, rowwise)
    return sum(1 for _ in _operations(graph))


def check_change(
    model: OdeModel, function: Function, name: str, user: object, dtype: tf.DType
) -> None:
    """Trace the change at an event over the state.

    Raises:
        RunError: It returns another structure, shape or dtype than the state, acts beyond its
            result, or cannot be traced.
    """
    after, _ = _trace(model, function, name, dtype, True, (user,))
    _check_nest(model, after, name, dtype)


def check_scalar(
    model: OdeModel, function: Function, name: str, user: object, dtype: tf.DType
) -> None:
    """Trace a condition over the state.

    Raises:
        RunError: It returns something else than one real number for each problem, acts beyond its
            result, or cannot be traced.
    """
    value, _ = _trace(model, function, name, dtype, True, (user,))
    wanted = "one number" + (
        f" for each problem, {model.blocks.batch}" if model.blocks.batch else ""
    )
    if tf.nest.is_nested(value) or value is None or isinstance(value, str):
        raise RunError(f"{name} returned {_shown(value)}; it must be {wanted}, such as y['x'].")
    tensor = _tensor(value, name, "", dtype)
    if tensor.dtype == tf.bool:
        raise RunError(
            f"{name} returned a truth value; it must be a number whose sign changes at the event, "
            "such as y['x'] - 1 in place of y['x'] > 1."
        )
    if tensor.dtype != dtype and not isinstance(value, (int, float)):
        raise RunError(f"{name} returned {tensor.dtype.name}; it must be {wanted}.")
    shape = tuple(tensor.shape)
    if shape and shape != model.blocks.batch:
        raise RunError(f"{name} returned shape {shape}; it must be {wanted}.")


def plain_numbers(times: Mapping[str, object]) -> dict[str, object]:
    """Return times, or lists of them, without tensors.

    Raises:
        RunError: A gradient tape watches one: it would find no derivative.
    """

    def plain(name: str, value: object) -> object:
        if isinstance(value, (list, tuple)):
            return [plain(name, part) for part in value]
        if not is_tensor(value):
            return value
        if watched(value):
            what = f"{name}.numpy()" if name in ("at", "jumps") else f"float({name})"
            raise RunError(
                f"{name} is watched by a tf.GradientTape, but a solve has derivatives by y0 and "
                f"args only. Write {what}. The state's derivative by a sample's time is f there; "
                "for one by the length of a solve, solve dy/ds = T*f(T*s, y) from s = 0 to 1 with "
                "T in args."
            )
        return tf.convert_to_tensor(value).numpy()

    for name, value in times.items():
        check_depth(value, name)
    return {name: plain(name, value) for name, value in times.items()}


def refuse_watched_references(model: OdeModel, events: Mapping[str, Event]) -> None:
    """Refuse functions that refer to a tensor that a gradient tape watches.

    To a compiled function what it refers to is a constant; the tape would find no derivative.

    Raises:
        RunError: So it is.
    """
    if not recording():
        return
    users = [("f" if k == 0 else "noise", user) for k, user in enumerate(model.functions)]
    for name, event in events.items():
        users += [(f"event {name!r}", event.condition), (f"event {name!r}", event.change)]
    for user, function in users:
        for name, value in objects(signature(function)):
            if isinstance(value, tf.Tensor) and watched(value):
                raise RunError(
                    f"{user} refers to {name!r}, which a tf.GradientTape watches. What it refers "
                    "to is a constant without a derivative: pass it in args= and take it from "
                    "there."
                )


# ---------------------------------------------------------------------- tracing


def spec(model: OdeModel, dtype: tf.DType, rowwise: bool) -> tuple[tf.TensorSpec, Nest, Nest]:
    """Return the types of `(t, y, parameters)`."""

    def like(nest: Nest, of: tf.DType | None) -> Nest:
        return tf.nest.map_structure(lambda x: tf.TensorSpec(np.shape(x), of or x.dtype), nest)

    shape = [model.blocks.columns] if rowwise else []
    return tf.TensorSpec(shape, dtype), like(model.state, dtype), like(model.parameters, None)


def _trace(
    model: OdeModel,
    function: Function,
    name: str,
    dtype: tf.DType,
    rowwise: bool,
    users: tuple[object, ...],
) -> tuple[Nest, tf.Graph]:
    """Return what a function returns, as symbolic tensors, and the graph."""
    results = []

    def traced(t: Tensor, y: Nest, parameters: Nest) -> None:
        results.append(function(model.blocks.time(t), y, parameters))

    before = (signature(*users), *_generators())
    try:
        concrete = tf.function(traced, autograph=False).get_concrete_function(
            *spec(model, dtype, rowwise)
        )
    except RunError:
        raise
    except Exception as error:
        raise RunError(_why(name, error)) from error
    what = changed(before[0], signature(*users))
    if what is not None:
        raise RunError(
            f"{name} changes {what!r} while it computes. It is called once, when it is compiled, "
            "so such a change would not happen at every step. Return the result only; what "
            "is to be recorded comes with every= or at=, and noise goes into noise=."
        )
    if before[1:] != _generators():
        raise RunError(
            f"{name} draws random numbers from Python or NumPy. It is called once, when it is "
            "compiled, so they would be the same at every step. Noise goes into noise=."
        )
    _check_operations(name, concrete.graph)
    return results[0], concrete.graph


def _generators() -> tuple[object, object]:
    """Return where the global random generators of Python and NumPy stand."""
    state = np.random.get_state(legacy=False)
    return random.getstate(), (state["state"]["key"].tobytes(), state["state"]["pos"])


def _operations(graph: tf.Graph) -> Iterator[str]:
    """Yield the kinds of all operations, those of functions within included."""
    definition = graph.as_graph_def()
    for body in (definition.node, *(inner.node_def for inner in definition.library.function)):
        yield from (node.op for node in body)


def _check_operations(name: str, graph: tf.Graph) -> None:
    for kind in _operations(graph):
        if kind in _PYTHON:
            raise RunError(
                f"{name} calls Python or NumPy code through TensorFlow ({kind}), which cannot be "
                "compiled: use Python operators, sf.math or tf."
            )
        if kind in _ACTING or kind.startswith(_PREFIXES):
            raise RunError(
                f"{name} contains the operation {kind}, which acts beyond its result; "
                "a right-hand side only computes a derivative. Noise goes into noise=, what is "
                "to be recorded comes with every= or at=."
            )
    handles = {id(outer) for outer, _ in graph.captures if outer.dtype == tf.resource}
    if handles:
        known = [v.name for v in graph.variables if id(v.handle) in handles]
        raise RunError(
            f"{name} refers to the tf.Variable {(known or ['of a tf object'])[0]!r}. What it "
            "refers to is a constant without a derivative; pass the variable in args= and take "
            "it from there."
        )


def _why(name: str, error: Exception) -> str:
    text = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    if isinstance(error, NotImplementedError) and "numpy" in text.lower():
        return (
            f"{name} calls NumPy on the state or the time: use Python operators, sf.math "
            f"(sf.math.exp, sf.math.sin, ...) or tf. ({text})"
        )
    if isinstance(error, tf.errors.OperatorNotAllowedInGraphError):
        if "terating over" in str(error):
            return (
                f"{name} takes a tensor apart, as by `x, v = y` or `for`: write x, v = "
                "tf.unstack(y), or give y0 as a dict or a tuple of its parts."
            )
        return (
            f"{name} decides by `if`, `and` or `for` on a state, which has no value when {name} is "
            "compiled: write sf.math.where(condition, a, b), sf.math.maximum(a, b), ..."
        )
    if "should not modify its Python input" in text:
        return (
            f"{name} changes the state or the args that it was given; put new values into a new "
            "dict or list."
        )
    if isinstance(error, (TypeError, AttributeError)) and "Symbolic" in text:
        return (
            f"{name} needs the number in a state or the time (by float(), math.sin, .numpy(), "
            f"range(), ...), which has none when {name} is compiled: use Python operators, sf.math "
            f"or tf. ({text})"
        )
    return f"{name} failed: {type(error).__name__}: {text}"


# ---------------------------------------------------------------------- results


def _shown(value: Nest) -> str:
    """Return the structure of a nest, or its value where it is none."""
    if tf.nest.is_nested(value):
        return shown(tf.nest.map_structure(lambda _: "...", value))
    return "one value" if hasattr(value, "dtype") else shown(value)


def _tensor(value: Tensor, name: str, leaf: str, dtype: tf.DType) -> Tensor:
    place = f" for {leaf!r}" if leaf else ""
    if hasattr(value, "magnitude"):
        raise RunError(
            f"{name} returned {shown(value)}{place}, with a unit; inside functions all numbers are "
            "plain, in ms, mV, uA, cm, mM. Take the unit out, or write equations as text."
        )
    try:
        return tf.convert_to_tensor(value, dtype_hint=dtype)
    except (TypeError, ValueError) as error:
        raise RunError(f"{name} returned {shown(value)}{place}; it must be a number.") from error


def _structure(state: Nest, nest: Nest) -> str:
    """Return how a nest would be written in the structure of the state, where that is clear."""
    kinds = {list: "a list", tuple: "a tuple"}
    ours, theirs = kinds.get(type(state)), kinds.get(type(nest))
    if not tf.nest.is_nested(state) and theirs:
        return (
            f" y0 is one array of shape {np.asarray(state).shape}: return tf.stack([...]), or give "
            f"y0 as {theirs} of numbers."
        )
    if ours and theirs and ours != theirs:
        return f" y0 is {ours}: return {ours}."
    if ours and not tf.nest.is_nested(nest) and hasattr(nest, "shape"):
        return f" y0 is {ours}: return {ours}, or give y0 as one array, np.array(y0)."
    return ""


def _check_nest(model: OdeModel, nest: Nest, name: str, dtype: tf.DType) -> None:
    names = list(model.blocks.names)
    check_depth(nest, f"what {name} returned")
    try:
        tf.nest.assert_same_structure(model.state, nest)
    except (TypeError, ValueError) as error:
        raise RunError(
            f"{name} must return a value for each part of the state, {names}, in the same "
            f"structure; it returned {_shown(nest)}.{_structure(model.state, nest)}"
        ) from error
    flat = zip(names, tf.nest.flatten(model.state), tf.nest.flatten(nest), strict=True)
    for leaf, state, value in flat:
        if value is None or isinstance(value, str):
            raise RunError(f"{name} returned {shown(value)} for {leaf!r}; it must be a number.")
        tensor = _tensor(value, name, leaf, dtype)
        if tensor.dtype != dtype and not isinstance(value, (int, float)):
            raise RunError(
                f"{name} returned {tensor.dtype.name} for {leaf!r}, whose state is "
                f"{tf.as_dtype(dtype).name}."
            )
        shape = tuple(np.shape(state))
        # One number for all problems of a batch, or a constant written as a number, is meant so.
        alone = len(shape) == len(model.blocks.batch)
        spreads = alone or isinstance(value, (int, float)) or model.equations is not None
        if tuple(tensor.shape) != shape and not (spreads and tensor.shape.rank == 0):
            raise RunError(
                f"{name} returned shape {tuple(tensor.shape)} for {leaf!r}, whose state has shape "
                f"{shape}."
            )


def _check_rows(
    model: OdeModel, function: Function, name: str, dtype: tf.DType, rowwise: bool
) -> None:
    """Refuse a function by which one problem of a batch acts on another, as its derivative tells.

    The problems are divided twice into two groups, even against odd and first against last; at the
    initial state no group's derivative may depend on the other group.
    """
    columns = model.blocks.columns
    index = np.arange(columns)
    groups = [index % 2 == 0, index % 2 == 1, index < columns // 2, index >= columns // 2]
    over = model.on_block(function)

    def derivatives(t: Tensor, y: Tensor, parameters: Nest) -> list[Tensor]:
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(y)
            slope = over(t, y, parameters)
        bars = [tf.ones_like(y) * tf.constant(group, y.dtype) for group in groups]
        return [tape.gradient(slope, y, bar, unconnected_gradients=_ZERO) for bar in bars]

    state = tf.nest.map_structure(lambda x: tf.convert_to_tensor(x, dtype), model.state)
    parameters = tf.nest.map_structure(tf.convert_to_tensor, model.parameters)
    time = tf.zeros([columns] if rowwise else [], dtype)
    try:
        traced = tf.function(derivatives, autograph=False)
        slopes = traced(time, model.blocks.pack(state), parameters)
    except (LookupError, tf.errors.OpError):  # an operation without a derivative, or off the CPU
        return
    for group, bar in zip(groups, slopes, strict=True):
        other = bar.numpy()[:, ~group]
        bad = np.argwhere((other != 0) & np.isfinite(other))
        if len(bad):
            row = model.blocks.component(bad[0][0])
            problem = int(index[~group][bad[0][1]])
            raise RunError(
                f"{name} lets problems of the batch act on each other: {row!r} of problem "
                f"{problem} changes the derivatives of others. They would not share their steps: "
                "take that axis into the problem by a smaller batch=, such as batch=0."
            )
