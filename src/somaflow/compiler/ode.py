"""From equations or a Python function to a flow, for `solve`."""

import inspect
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from somaflow import units
from somaflow.compiler.blocks import Blocks, spread
from somaflow.compiler.lower import Lowered
from somaflow.compiler.reading import changed, signature
from somaflow.equations.affine import not_affine, not_affine_components
from somaflow.equations.equations import Equations
from somaflow.equations.tracing import component_names, trace_components
from somaflow.errors import RunError, WrongTypeError, nearest

Tensor = Any  # a tf.Tensor: TensorFlow's own type stubs refuse ordinary indexing
Function = Callable[..., Any]


@dataclass(frozen=True)
class Model:
    """A system of differential equations over a user's nest.

    Attributes:
        blocks: The layout of its state.
        units: Unit of each leaf, in the order of the leaves.
        state: The initial state: a nest of NumPy arrays or tensors.
        parameters: Nest of NumPy arrays or tensors, in the coherent system.
        field: `(t, y, parameters) -> dy/dt`, nests.
        diffusion: The factor of each leaf's noise likewise, or None.
        functions: The user's functions.
        key: What a compiled form of it depends on besides shapes, comparable by ==.
        equations: The text, or None for a function.
    """

    blocks: Blocks
    units: tuple[str, ...]
    state: Any
    parameters: Any
    field: Function
    diffusion: Function | None
    functions: tuple[Function, ...]
    key: Hashable
    equations: Equations | None

    def on_block(self, function: Function) -> Function:
        """Turn a function over nests into one over blocks."""
        blocks = self.blocks

        def over(t: Tensor, y: Tensor, parameters: Any) -> Tensor:
            found = function(blocks.time(t), blocks.unpack(y), parameters)
            return blocks.pack(spread(tf.nest.flatten(found), blocks, y.dtype))

        return over

    def scalar_on_block(self, function: Function) -> Function:
        """Turn a condition over nests into one over blocks, a number for each column."""
        blocks = self.blocks

        def over(t: Tensor, y: Tensor, parameters: Any) -> Tensor:
            value = function(blocks.time(t), blocks.unpack(y), parameters)
            value = tf.convert_to_tensor(value, y.dtype)
            return tf.reshape(tf.broadcast_to(value, blocks.batch), [blocks.columns])

        return over


def model(f: Any, y0: Any, args: Any, noise: Any, batch: int | None, dtype: Any) -> Model:
    """Build the model of `solve`.

    Args:
        f: Equations or a function.
        y0: Initial state.
        args: Passed to a function; parameters of equations by name.
        noise: Function of the diffusion, or None.
        batch: Number of leading axes that number independent problems.
        dtype: NumPy dtype of the run.

    Raises:
        RunError: The derivative has another structure or shape than the state.
        WrongTypeError: `f` is neither, or the state is not of real numbers.
    """
    if isinstance(f, Equations):
        if noise is not None:
            raise RunError(
                "noise= goes with a function; in equations write it into the line, such as "
                "dx/dt = -x/tau + sigma*xi : 1."
            )
        return _from_equations(f, y0, args, dtype)
    if callable(f):
        if y0 is None:
            raise RunError("solve needs an initial state y0 for a function.")
        return _from_function(f, y0, args, noise, batch or 0, dtype)
    raise WrongTypeError(f"solve takes a function f(t, y) or sf.Equations, not {f!r}.")


def refuse_not_affine(made: Model, f: Any, args: Any, solver: str) -> None:
    """Refuse an exponential method for a variable whose derivative is not affine in itself.

    Raises:
        RunError: Such a variable; the message names it.
    """
    if made.equations is not None:
        found = not_affine(made.equations)
    else:
        names = component_names(made.state)
        found = not_affine_components(trace_components(f, made.state, args), names)
    for name, reason in found.items():
        raise RunError(
            f"{solver} needs dx/dt = a*x + b, a and b without x, for every variable, and {name!r} "
            f"is not of that form: {reason} Use sf.RK4() or sf.Rosenbrock()."
        )


def real(value: Any, name: str, dtype: Any) -> Any:
    """Return a leaf as a float tensor, if it is one, or as a NumPy array in the coherent system.

    Raises:
        WrongTypeError: It is not of real numbers.
    """
    if isinstance(value, (tf.Tensor, tf.Variable)):
        if not value.dtype.is_floating:
            raise WrongTypeError(f"{name} is of {value.dtype.name}; {_WHOLE}")
        return tf.cast(tf.convert_to_tensor(value), dtype)
    magnitude = value.magnitude if isinstance(value, units.Quantity) else value
    if np.asarray(magnitude).dtype.kind in "iub":
        raise WrongTypeError(f"{name} is {value!r}, of whole numbers; {_WHOLE}")
    return units.parameter(value, None, name).value.astype(dtype)


_WHOLE = "a state changes continuously: write 1.0, or array.astype(float)."


def _unit(value: Any, name: str) -> str:
    if isinstance(value, (tf.Tensor, tf.Variable)):
        return "1"
    return units.parameter(value, None, name).unit


# ---------------------------------------------------------------------- text


def _from_equations(equations: Equations, y0: Any, args: Any, dtype: Any) -> Model:
    if equations.inputs or equations.on_spike or equations.uses_pulse:
        raise RunError("equations with inputs or spikes belong in a network, not in solve.")
    equations, tensors = _overridden(equations, args, dtype)
    given, traced = {}, {}
    if not isinstance(y0 or {}, Mapping):
        raise WrongTypeError(f"y0 of equations is a dict such as {{'v': -65*mV}}, not {y0!r}.")
    for name, value in dict(y0 or {}).items():
        if name not in equations.states:
            raise RunError(f"y0 names {name!r}; the states are {sorted(equations.states)}.")
        if isinstance(value, (tf.Tensor, tf.Variable)):
            scale = units.factor(equations.unit(name))
            traced[name] = tf.cast(tf.convert_to_tensor(value), dtype) * scale
            given[name] = traced[name].numpy().astype(np.float64)
        else:
            given[name] = units.parameter(value, equations.unit(name), name).value
    values = equations.initial_values(given, "the equations")
    parameters = {
        name: tensors.get(name, p.value.astype(dtype)) for name, p in equations.parameters.items()
    }
    arrays = [np.shape(v) for v in (*values.values(), *parameters.values())]
    try:
        shape = np.broadcast_shapes(*arrays)
    except ValueError as error:
        raise RunError(f"y0 and parameters have shapes that do not fit: {arrays}.") from error
    state = {
        name: tf.broadcast_to(traced[name], shape)
        if name in traced
        else np.broadcast_to(v, shape).astype(dtype)
        for name, v in values.items()
    }
    parts = {name: equations.drift_and_diffusion(name) for name in equations.states}
    keep = tuple(tree for both in parts.values() for tree in both) if equations.noises else ()
    lowered = Lowered(equations, frozenset(equations.noises.values()), keep=keep)

    def over(place: int) -> Function:
        def function(t: Any, y: dict[str, Any], parameters: Any) -> dict[str, Any]:
            value = lowered.scope(lowered.prepare(parameters), {**y, "t": t})
            trees = {n: parts[n][place] if equations.noises else lowered.derivative(n) for n in y}
            return {n: tf.cast(value(trees[n]), y[n].dtype) for n in y}

        return function

    return Model(
        blocks=Blocks.of(state, len(shape)),
        units=tuple(equations.unit(name) for name in component_names(state)),
        state=state,
        parameters=parameters,
        field=over(0),
        diffusion=over(1) if equations.noises else None,
        functions=(),
        key=("equations", equations.text, tuple(sorted(parameters))),
        equations=equations,
    )


def _overridden(equations: Equations, args: Any, dtype: Any) -> tuple[Equations, dict[str, Any]]:
    """Return equations with other parameters, and those parameters that are tensors."""
    if args is None:
        return equations, {}
    if not isinstance(args, Mapping):
        raise WrongTypeError(f"args of equations is a dict of parameters, not {args!r}.")
    numbers, tensors = {}, {}
    for name, value in args.items():
        if name not in equations.parameters:
            raise RunError(
                f"args names {name!r}, which is not a parameter."
                f"{nearest(str(name), equations.parameters)}"
            )
        if isinstance(value, (tf.Tensor, tf.Variable)):
            unit = equations.parameters[name].unit
            tensors[name] = tf.cast(tf.convert_to_tensor(value), dtype) * units.factor(unit)
            numbers[name] = tensors[name].numpy() / units.factor(unit) * units.parse_unit(unit)
        else:
            numbers[name] = value
    return equations(**numbers), tensors


# ---------------------------------------------------------------------- functions


def _from_function(f: Function, y0: Any, args: Any, noise: Any, batch: int, dtype: Any) -> Model:
    names = component_names(y0)
    flat = tf.nest.flatten(y0)
    if not flat:
        raise RunError("y0 is empty.")
    leaves = [real(value, f"y0 {n!r}", dtype) for n, value in zip(names, flat, strict=True)]
    state = tf.nest.pack_sequence_as(y0, leaves)
    parameters = ()
    if args is not None:
        given = zip(component_names(args, "args"), tf.nest.flatten(args), strict=True)
        held = [_argument(value, name, dtype) for name, value in given]
        parameters = tf.nest.pack_sequence_as(args, held)
    check_call(f, args, "f")
    if noise is not None:
        if not callable(noise):
            raise WrongTypeError(f"noise is a function g(t, y), not {noise!r}.")
        check_call(noise, args, "noise")

    def taking(function: Function) -> Function:
        def over(t: Any, y: Any, parameters: Any) -> Any:
            return function(t, y) if args is None else function(t, y, parameters)

        return over

    blocks = Blocks.of(state, batch)
    return Model(
        blocks=blocks,
        units=tuple(_unit(value, name) for name, value in zip(names, flat, strict=True)),
        state=state,
        parameters=parameters,
        field=taking(f),
        diffusion=None if noise is None else taking(noise),
        functions=(f,) if noise is None else (f, noise),
        key=signature(f, noise),
        equations=None,
    )


def _argument(value: Any, name: str, dtype: Any) -> Any:
    """Return an argument: real numbers in the run's dtype, whole ones as they are."""
    if isinstance(value, (tf.Tensor, tf.Variable)):
        tensor = tf.convert_to_tensor(value)
        return tf.cast(tensor, dtype) if tensor.dtype.is_floating else tensor
    if isinstance(value, np.ndarray) and value.dtype.kind in "iub":
        return value
    return units.parameter(value, None, name).value.astype(dtype)


def check_call(f: Function, args: Any, name: str) -> None:
    """Refuse a function that cannot be called as `(t, y)` or `(t, y, args)`.

    Raises:
        RunError: So it is.
    """
    try:
        found = inspect.signature(f)
    except (TypeError, ValueError):
        return
    if args is not None and len(found.parameters) < 3:
        raise RunError(f"args were given, but {name} takes only (t, y).")
    try:
        found.bind(*[None] * (2 if args is None else 3))
    except TypeError as error:
        call = f"{name}(t, y)" if args is None else f"{name}(t, y, args)"
        raise RunError(f"{name}{found} cannot be called as {call}: {error}.") from error


_STATEFUL = {"PyFunc", "EagerPyFunc", "PyFuncStateless", "PrintV2", "AssignVariableOp"}


def check(made: Model, function: Function, name: str, dtype: Any, rowwise: bool) -> None:
    """Trace a function over the state once, before anything is compiled.

    Args:
        made: The model.
        function: `(t, y, parameters) -> nest`.
        name: What the user calls it.
        dtype: Of the run.
        rowwise: Whether every problem has a time of its own.

    Raises:
        RunError: It returns another structure, shape or dtype than the state, or cannot be traced.
    """
    blocks, found = made.blocks, []
    shape = [blocks.columns] if rowwise else []

    def traced(t: Any, y: Any, parameters: Any) -> None:
        found.append(function(blocks.time(t), y, parameters))

    spec = [tf.TensorSpec(shape, dtype)]
    spec.append(tf.nest.map_structure(lambda x: tf.TensorSpec(np.shape(x), dtype), made.state))
    spec.append(
        tf.nest.map_structure(lambda x: tf.TensorSpec(np.shape(x), x.dtype), made.parameters)
    )
    try:
        graph = tf.function(traced, autograph=False).get_concrete_function(*spec).graph
    except RunError:
        raise
    except Exception as error:
        raise RunError(_why(name, error)) from error
    for operation in graph.get_operations():
        if operation.type in _STATEFUL or operation.type.startswith("Random"):
            raise RunError(
                f"{name} contains the operation {operation.type}, which acts beyond its result; "
                "a right-hand side only computes a derivative. Noise goes into noise=, what is "
                "to be recorded comes with every= or at=."
            )
    if made.equations is None:
        _check_pure(name, made)
    _check_result(made, found[0], name, dtype)


def _check_pure(name: str, made: Model) -> None:
    f, noise = (*made.functions, None)[:2]
    what = changed(made.key, signature(f, noise))  # pyright: ignore[reportArgumentType]
    if what is not None:
        raise RunError(
            f"{name} changes {what!r} while it computes. It is called once, when it is compiled, "
            "so such a change would not happen at every step. Return the derivative only; what "
            "is to be recorded comes with every= or at=."
        )


def _why(name: str, error: Exception) -> str:
    text = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    if isinstance(error, NotImplementedError) and "numpy" in text.lower():
        return (
            f"{name} calls NumPy on the state or the time: use Python operators, sf.math "
            f"(sf.math.exp, sf.math.sin, ...) or tf. ({text})"
        )
    if isinstance(error, tf.errors.OperatorNotAllowedInGraphError):
        return (
            f"{name} decides by `if`, `and` or `for` on a state, which has no value when {name} is "
            "compiled: write sf.math.where(condition, a, b)."
        )
    return f"{name} failed: {type(error).__name__}: {text}"


def _check_result(made: Model, slope: Any, name: str, dtype: Any) -> None:
    names = list(made.blocks.names)
    try:
        tf.nest.assert_same_structure(made.state, slope)
    except (TypeError, ValueError) as error:
        found = tf.nest.map_structure(lambda x: ".", slope)
        raise RunError(
            f"{name} must return a value for each part of the state, {names}, in the same "
            f"structure; it returned {found}."
        ) from error
    flat = zip(names, tf.nest.flatten(made.state), tf.nest.flatten(slope), strict=True)
    for leaf, state, value in flat:
        if value is None or isinstance(value, str):
            raise RunError(f"{name} returned {value!r} for {leaf!r}; it must be a derivative.")
        tensor = tf.convert_to_tensor(value, dtype_hint=dtype)
        if tensor.dtype != dtype and not isinstance(value, (int, float)):
            raise RunError(
                f"{name} returned {tensor.dtype.name} for {leaf!r}, whose state is "
                f"{tf.as_dtype(dtype).name}."
            )
        shape = tuple(np.shape(state))
        if tensor.shape.rank and tuple(tensor.shape) != shape:
            raise RunError(
                f"{name} returned shape {tuple(tensor.shape)} for {leaf!r}, whose state has shape "
                f"{shape}."
            )
