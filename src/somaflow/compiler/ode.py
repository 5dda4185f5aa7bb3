"""From equations or a Python function to a flow, for `solve`."""

import inspect
from collections import Counter
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass

import numpy as np
import tensorflow as tf
from numpy.typing import DTypeLike

from somaflow import given, units
from somaflow.compiler import noise as white
from somaflow.compiler.blocks import Blocks, spread
from somaflow.compiler.lower import Lowered
from somaflow.compiler.reading import signature
from somaflow.equations.affine import ZERO, not_affine, not_affine_components
from somaflow.equations.equations import Equations
from somaflow.equations.expression import Node, parse
from somaflow.equations.statements import are_maps
from somaflow.equations.tracing import component_names, trace_components
from somaflow.errors import MissingValueError, RunError, WrongTypeError, nearest
from somaflow.given import check_depth, is_among, shown
from somaflow.numerics.device import cast, is_tensor
from somaflow.numerics.types import Nest, Tensor
from somaflow.simulation.system import Array

_PARTS = "numbers are real: give real and imaginary part apart."
_TIMES = ("t", "time")  # what the time is called
_SHOWN = 6  # numbers of a state in a message

Function = Callable[..., Nest]  # `(t, y, parameters)`, or without them a user's own
BlockFunction = Callable[[Tensor, Tensor, Nest], Tensor]
Values = Mapping[str, Tensor]


@dataclass(frozen=True)
class OdeModel:
    """A system of differential equations over a user's nest.

    Attributes:
        blocks: The layout of its state.
        units: Unit of each leaf, in the order of the leaves.
        state: The initial state: a nest of NumPy arrays or tensors.
        parameters: Nest of NumPy arrays or tensors, in the coherent system.
        field: `(t, y, parameters) -> dy/dt`, nests.
        diffusions: The factor of each leaf's noise, and of its second one, ... likewise.
        sources: int32 `[len(diffusions), n_leaves]`, where in as many streams of noise each is;
            None where every component has one noise, its own.
        functions: The user's functions.
        key: What a compiled form of it depends on besides shapes, comparable by ==.
        equations: The text, or None for a function.
    """

    blocks: Blocks
    units: tuple[str, ...]
    state: Nest
    parameters: Nest
    field: Function
    diffusions: tuple[Function, ...]
    sources: Array | None
    functions: tuple[Function, ...]
    key: Hashable
    equations: Equations | None

    def on_block(self, function: Function) -> BlockFunction:
        """Turn a function over nests into one over blocks."""
        blocks = self.blocks

        def over(t: Tensor, y: Tensor, parameters: Nest) -> Tensor:
            nest = function(blocks.time(t), blocks.unpack(y), parameters)
            return blocks.pack(spread(tf.nest.flatten(nest), blocks, y.dtype))

        return over

    def shown(self, column: Array) -> str:
        """Return a column of a block as text, such as `x = 1, v = -65 mV`, shortened if long."""
        units_of = [
            u for u, size in zip(self.units, self.blocks.sizes, strict=True) for _ in range(size)
        ]
        parts = [
            f"{self.blocks.component(row)} = {float(value) / units.factor(unit):.6g}"
            + ("" if unit == "1" else f" {unit}")
            for row, (value, unit) in enumerate(zip(column[:_SHOWN], units_of, strict=False))
        ]
        return ", ".join(parts) + (", ..." if len(column) > _SHOWN else "")

    def scalar_on_block(self, function: Callable[..., Tensor]) -> BlockFunction:
        """Turn a condition over nests into one over blocks, a number for each column."""
        blocks = self.blocks

        def over(t: Tensor, y: Tensor, parameters: Nest) -> Tensor:
            value = function(blocks.time(t), blocks.unpack(y), parameters)
            value = tf.convert_to_tensor(value, y.dtype)
            return tf.reshape(tf.broadcast_to(value, blocks.batch), [blocks.columns])

        return over


def model(
    f: object, y0: Nest, args: Nest, noise: object, batch: int | None, dtype: DTypeLike
) -> OdeModel:
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
    kind = np.dtype(dtype)
    if isinstance(f, Equations):
        if are_maps(f.states):
            raise RunError(
                f"{next(iter(f.states))}[n+1] = ... is a map, which sf.solve does not make; give "
                "it to a sf.Population, and run that by sf.simulate."
            )
        if noise is not None:
            raise RunError(
                "noise= goes with a function; in equations write it into the line, such as "
                "dx/dt = -x/tau + sigma*xi : 1."
            )
        return _from_equations(f, y0, args, batch, kind)
    if callable(f):
        if y0 is None:
            raise RunError("solve needs an initial state y0 for a function.")
        return _from_function(f, y0, args, noise, batch or 0, kind)
    raise WrongTypeError(f"solve takes a function f(t, y) or sf.Equations, not {shown(f)}.")


def refuse_not_affine(model: OdeModel, f: Function, args: Nest, solver: str) -> None:
    """Refuse an exponential method for a variable whose derivative is not affine in itself.

    Raises:
        RunError: Such a variable; the message names it.
    """
    if model.equations is not None:
        reasons = not_affine(model.equations)
    else:
        names = component_names(model.state)
        reasons = not_affine_components(trace_components(f, model.state, args), names)
    for name, reason in reasons.items():
        raise RunError(
            f"{solver} needs dx/dt = a*x + b, a and b without x, for every variable, and {name!r} "
            f"is not of that form: {reason} Use sf.RK4() or sf.Rosenbrock()."
        )


def real(value: object, name: str, dtype: np.dtype) -> Tensor:
    """Return a part of the state as a float tensor, if it is one, or as a NumPy array.

    Raises:
        WrongTypeError: It is not of real numbers.
        MissingValueError: It is not finite.
    """
    if is_tensor(value):
        tensor = tf.convert_to_tensor(value)
        if not tensor.dtype.is_floating:
            advice = _REAL if tensor.dtype.is_complex else _WHOLE
            raise WrongTypeError(f"y0 {name!r} is of {tensor.dtype.name}; {advice}")
        return _finite(tf.cast(tensor, dtype), f"{name!r} of y0")
    if not isinstance(value, units.Quantity):
        array = given.array(value)
        if array is None:
            raise WrongTypeError(f"y0 {name!r} is {shown(value)}, which is no array.")
        kind = array.dtype.kind
        if kind in "iub":
            raise WrongTypeError(f"y0 {name!r} is {shown(value)}, of whole numbers; {_WHOLE}")
        if kind == "c":
            raise WrongTypeError(f"y0 {name!r} is {shown(value)}; {_REAL}")
    return units.parameter(value, None, name, "y0").value.astype(dtype)


_REAL = "a state is real: integrate real and imaginary part, each as a state of its own."
_WHOLE = "a state changes continuously: write 1.0, or array.astype(float)."


def _finite(tensor: Tensor, name: str) -> Tensor:
    """Return a tensor, if all its numbers are finite."""
    if not np.isfinite(tensor.numpy()).all():
        bad = np.argwhere(~np.isfinite(tensor.numpy()))[0]
        at = f" at index {bad.tolist()}" if len(bad) else ""
        raise MissingValueError(
            f"{name} is {tensor.numpy()[tuple(bad)]}{at}; it must be a finite number."
        )
    return tensor


def _unit(value: object, name: str) -> str:
    if is_tensor(value) or isinstance(value, (float, np.ndarray)):
        return "1"
    return units.parameter(value, None, name).unit


# ---------------------------------------------------------------------- text


def _from_equations(
    equations: Equations, y0: object, args: object, batch: int | None, dtype: np.dtype
) -> OdeModel:
    if equations.inputs or equations.on_spike or equations.uses_pulse or equations.rules:
        raise RunError(
            "equations with inputs, spikes or rules at intervals belong in a network, not in solve."
        )
    equations, tensors = _overridden(equations, args)
    named, traced = {}, {}
    if y0 is not None and not isinstance(y0, Mapping):
        raise WrongTypeError(f"y0 of equations is a dict such as {{'v': -65*mV}}, not {shown(y0)}.")
    for name, value in dict(y0 or {}).items():
        if not is_among(name, equations.states):
            raise RunError(f"y0 names {shown(name)}; the states are {sorted(equations.states)}.")
        if is_tensor(value):
            scale = units.factor(equations.unit(name))
            traced[name] = _number(value, f"{name!r} of y0", dtype) * scale
            named[name] = traced[name].numpy().astype(np.float64)
        else:
            named[name] = units.parameter(value, equations.unit(name), name).value
    values = equations.initial_values(named, "the equations")
    parameters = {
        name: tf.cast(tensors[name], dtype) if name in tensors else p.value.astype(dtype)
        for name, p in equations.parameters.items()
    }
    arrays = [np.shape(v) for v in (*values.values(), *parameters.values())]
    try:
        shape = np.broadcast_shapes(*arrays)
    except ValueError as error:
        raise RunError(f"y0 and parameters have shapes that do not fit: {arrays}.") from error
    if batch not in (None, len(shape)):
        raise RunError(
            f"batch is {batch}, but each of the {len(shape)} axes of equations numbers problems; "
            "leave it out."
        )
    if traced or tensors:
        traced |= _initial(equations, named, traced, values, parameters, dtype)
    state = {
        name: tf.broadcast_to(traced[name], shape)
        if name in traced
        else np.broadcast_to(v, shape).astype(dtype)
        for name, v in values.items()
    }
    drift, factors = white.apart(equations)
    keep = tuple(tree for of_one in factors.values() for tree in of_one.values())
    lowered = Lowered(drift, frozenset(), keep, dtype == np.float32)
    exact = {name: tensors.get(name, p.value) for name, p in equations.parameters.items()}
    parameters |= lowered.exact(exact)

    def over(trees: Mapping[str, Node]) -> Function:
        def function(t: Tensor, y: Values, parameters: Values) -> Values:
            value = lowered.scope(lowered.prepare(parameters), {**y, "t": t})
            return {n: cast(value(trees.get(n, ZERO)), y[n].dtype) for n in y}

        return function

    blocks = Blocks.of(state, len(shape))
    several = range(max(map(len, factors.values()), default=0))
    ranked = [{n: [*f.values()][k] for n, f in factors.items() if k < len(f)} for k in several]
    return OdeModel(
        blocks=blocks,
        units=tuple(equations.unit(name) for name in component_names(state)),
        state=state,
        parameters=parameters,
        field=over({n: lowered.derivative(n) for n in equations.states}),
        diffusions=tuple(map(over, ranked)),
        sources=white.sources(equations.noises, blocks.names),
        functions=(),
        key=("equations", equations.text, tuple(sorted(parameters))),
        equations=equations,
    )


def _initial(
    equations: Equations,
    given: Mapping[str, Array],
    traced: Values,
    values: Mapping[str, Array],
    parameters: Values,
    dtype: np.dtype,
) -> Values:
    """Return initial values that are expressions as tensors, with derivatives."""
    waiting = {
        name: parse(text)
        for name, text in equations.initial.items()
        if isinstance(text, str) and name not in given
    }
    lowered = Lowered(equations, frozenset(), keep=tuple(waiting.values()))
    state: dict[str, Tensor] = {n: tf.convert_to_tensor(v, dtype) for n, v in values.items()}
    state |= traced
    for _ in waiting:  # each may be an expression of others
        value = lowered.scope(lowered.prepare(parameters), {**state, "t": tf.zeros((), dtype)})
        state |= {name: cast(value(node), dtype) for name, node in waiting.items()}
    return {name: state[name] for name in waiting}


def _number(value: Tensor, name: str, dtype: np.dtype | tf.DType) -> Tensor:
    """Return a tensor of real numbers in the run's dtype."""
    tensor = tf.convert_to_tensor(value)
    if not (tensor.dtype.is_floating or tensor.dtype.is_integer):
        raise WrongTypeError(f"{name} is of {tensor.dtype.name}; it must be of real numbers.")
    return _finite(tf.cast(tensor, dtype), name)


def _overridden(equations: Equations, args: object) -> tuple[Equations, dict[str, Tensor]]:
    """Return equations with other parameters, and those that are tensors, in float64."""
    if args is None:
        return equations, {}
    if not isinstance(args, Mapping):
        raise WrongTypeError(f"args of equations is a dict of parameters, not {shown(args)}.")
    numbers, tensors = {}, {}
    for name, value in args.items():
        if not is_among(name, equations.parameters):
            raise RunError(
                f"args names {shown(name)}, which is not a parameter."
                f"{nearest(name, equations.parameters)}"
            )
        if is_tensor(value):
            unit = equations.parameters[name].unit
            tensors[name] = _number(value, f"{name!r} of args", tf.float64) * units.factor(unit)
            numbers[name] = tensors[name].numpy() / units.factor(unit) * units.parse_unit(unit)
        else:
            numbers[name] = value
    return equations(**numbers), tensors


# ---------------------------------------------------------------------- functions


def _from_function(
    f: Function, y0: Nest, args: Nest, noise: object, batch: int, dtype: np.dtype
) -> OdeModel:
    names, flat = _parts(y0, "y")
    leaves = [real(value, n, dtype) for n, value in zip(names, flat, strict=True)]
    for name, leaf in zip(names, leaves, strict=True):
        if 0 in np.shape(leaf):
            raise RunError(f"y0 {name!r} is empty: its shape is {tuple(np.shape(leaf))}.")
    state = tf.nest.pack_sequence_as(y0, leaves)
    parameters = ()
    if args is not None:
        numbers = [_argument(v, n, dtype) for n, v in zip(*_parts(args, "args"), strict=True)]
        parameters = tf.nest.pack_sequence_as(args, numbers)
    check_call(f, args, "f")
    if noise is not None:
        if not callable(noise):
            raise WrongTypeError(f"noise is a function g(t, y), not {shown(noise)}.")
        check_call(noise, args, "noise")

    def taking(function: Function) -> Function:
        def over(t: Tensor, y: Nest, parameters: Nest) -> Nest:
            return function(t, y) if args is None else function(t, y, parameters)

        return over

    blocks = Blocks.of(state, batch)
    return OdeModel(
        blocks=blocks,
        units=tuple(_unit(value, name) for name, value in zip(names, flat, strict=True)),
        state=state,
        parameters=parameters,
        field=taking(f),
        diffusions=() if noise is None else (taking(noise),),
        sources=None,
        functions=(f,) if noise is None else (f, noise),
        key=signature(f, noise),
        equations=None,
    )


def _parts(nest: Nest, root: str) -> tuple[list[str], list[object]]:
    """Return the names and the values of the parts of y0 or args."""
    what = "y0" if root == "y" else root
    check_depth(nest, what)
    try:
        names, flat = component_names(nest, root), tf.nest.flatten(nest)
    except TypeError as error:
        raise RunError(f"{what}: the keys of a dict must be all texts, or all numbers.") from error
    if not flat and root == "y":
        raise RunError("y0 is empty.")
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice or len(names) != len(flat):
        raise RunError(f"{what}: two parts are called {(twice or names)[0]!r}; rename one.")
    return names, flat


def _argument(value: object, name: str, dtype: np.dtype) -> Tensor:
    """Return an argument: real numbers in the run's dtype, whole ones as they are."""
    if is_tensor(value):
        tensor = tf.convert_to_tensor(value)
        if tensor.dtype.is_complex:
            raise WrongTypeError(f"{name} is of {tensor.dtype.name}; {_PARTS}")
        return _finite(tf.cast(tensor, dtype), name) if tensor.dtype.is_floating else tensor
    if isinstance(value, np.ndarray) and value.dtype.kind in "iub":
        return value
    if isinstance(value, (complex, np.ndarray, np.generic)) and np.iscomplexobj(value):
        raise WrongTypeError(f"{name} is {shown(value)}; {_PARTS}")
    return units.parameter(value, None, name).value.astype(dtype)


def check_call(f: Callable[..., object], args: object, name: str) -> None:
    """Refuse a function that cannot be called as `(t, y)` or `(t, y, args)`, time first.

    Raises:
        RunError: So it is.
    """
    try:
        call = inspect.signature(f)
    except (TypeError, ValueError):
        return
    names = list(call.parameters)
    if len(names) > 1 and names[1] in _TIMES and names[0] not in _TIMES:
        rest = "".join(f", {other}" for other in names[2:])
        raise RunError(
            f"{name} takes its arguments as ({', '.join(names)}); the time comes first here: write "
            f"it as ({names[1]}, {names[0]}{rest})."
        )
    try:
        call.bind(*[None] * (2 if args is None else 3))
    except TypeError as error:
        if args is not None and len(call.parameters) == 2:
            raise RunError(f"args were given, but {name} takes only (t, y).") from error
        wanted = f"{name}(t, y)" if args is None else f"{name}(t, y, args)"
        raise RunError(f"{name}{call} cannot be called as {wanted}: {error}.") from error
