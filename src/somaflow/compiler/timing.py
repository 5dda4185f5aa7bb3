"""Time in a solve of float32: it is float64, and so has to be what a function makes of it.

After 1e5 time units the numbers of float32 lie 0.008 apart, which is no time at all for cos(t).
"""

from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf

from somaflow import units
from somaflow.compiler.checks import spec
from somaflow.compiler.ode import Function, OdeModel
from somaflow.errors import warn
from somaflow.numerics.types import Nest, Tensor

if TYPE_CHECKING:
    from somaflow.compiler.tables import Tables

_COARSE, _COARSE_STATE = 1e-3, 0.1  # of a step


def fitted(
    model: OdeModel, function: Function, dtype: tf.DType, rowwise: bool
) -> tuple[Function, bool]:
    """Return a user's function such that it takes times of float64, and whether it rounds them.

    In float32 a function that looks at the time is computed in float64 and its result is rounded,
    unless it mixes numbers of its own with the state, which are float32: it gets a rounded time.

    Args:
        model: The model.
        function: `(t, y, parameters) -> nest`, which was checked.
        dtype: Of the run.
        rowwise: Whether every problem has a time of its own.
    """
    if dtype == tf.float64:
        return function, False
    time, state, parameters = spec(model, dtype, rowwise)
    shape = model.blocks.time(tf.zeros(time.shape, dtype)).shape  # as functions get it
    types = (tf.TensorSpec(shape, dtype), state, parameters)
    traced = tf.function(function, autograph=False).get_concrete_function(*types)
    looks = bool(traced.graph.inputs[0].consumers())
    wide = looks and _computes(function, [_cast(t, tf.float32, tf.float64) for t in types])

    def over(t: Tensor, y: Nest, parameters: Nest) -> Nest:
        if not wide:
            return function(tf.cast(t, dtype), y, parameters)
        wider = (_cast(part, tf.float32, tf.float64) for part in (t, y, parameters))
        return _cast(function(*wider), tf.float64, tf.float32)

    return over, looks and not wide


def warn_of_rounding(t0: float, t1: float, step: float) -> None:
    """Warn where a rounded time is too coarse for the steps of a solve.

    Args:
        t0: Start.
        t1: End.
        step: A step of it.
    """
    far = max(abs(t0), abs(t1))
    apart = float(np.spacing(np.float32(far)))
    if apart > _COARSE * step:
        warn(
            f"f sees a time that is rounded to float32, whose numbers near {far:g} lie {apart:.2g} "
            f"apart, while steps are about {step:.2g}. It mixes numbers of its own with the state, "
            "so it cannot be computed in float64: take them from args=, write Python numbers, "
            "count time from the start, or use dtype='float64'.",
        )


def _computes(function: Function, types: list[Nest]) -> bool:
    """Tell whether a function can be computed with arguments of these types, in float64."""
    try:
        traced = tf.function(function, autograph=False).get_concrete_function(*types)
    except Exception:  # whatever a user's function raises
        return False
    floats = [item.dtype for item in traced.outputs if item.dtype.is_floating]
    return all(kind == tf.float64 for kind in floats)


def _cast(nest: Nest, old: tf.DType, new: tf.DType) -> Nest:
    """Return a nest with tensors, or types, of one dtype in another."""

    def leaf(item: object) -> object:
        if isinstance(item, tf.TensorSpec):
            return tf.TensorSpec(item.shape, new) if item.dtype == old else item
        return tf.cast(item, new) if isinstance(item, tf.Tensor) and item.dtype == old else item

    return tf.nest.map_structure(leaf, nest)


def warn_of_coarse_times(tables: "Tables") -> None:
    """Warn of states of a network that hold times which the run's dtype cannot tell apart.

    Args:
        tables: The network's `tables.Tables`.
    """
    apart = float(np.spacing(tables.dtype.type(tables.duration)))
    if apart < _COARSE_STATE * tables.dt:
        return
    for population in tables.populations:
        equations = population.equations
        nodes = [variable.expression for variable in equations.states.values()]
        resets = (population.firing.resets, *(event.resets for event in population.happenings))
        nodes += [assignment.expression for some in resets for assignment in some]
        if not any("t" in equations.depends(node) for node in nodes):
            continue
        for name in equations.states:
            if units.dimensions(equations.unit(name)) == units.dimensions("ms"):
                warn(
                    f"the state {name!r} of {population.name!r} is a time, and its equations "
                    f"use t: in {tables.dtype} times near {tables.duration:g} ms lie {apart:.2g} "
                    f"ms apart, and the step is {tables.dt:g} ms. Use dtype='float64'.",
                )
