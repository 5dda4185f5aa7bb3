"""The state within a step that a solver has made."""

from collections.abc import Sequence

import tensorflow as tf

from somaflow.simulation.flow import polynomial
from somaflow.simulation.system import Blocks
from somaflow.solvers.base import Step
from somaflow.solvers.runge_kutta import linear


def states_within(
    y: Blocks, end: Step[Blocks], order: float, nodes: Sequence[float]
) -> list[Blocks]:
    """Return the state at some fractions of a step, before anything jumps.

    Between both ends of it that is the straight line for a method of order 2 or below, which loses
    nothing by it, and the method's own dense output for others.

    Args:
        y: The state at the start.
        end: What the solver has made of it.
        order: The solver's.
        nodes: The fractions, from 0 to 1.
    """
    inner = any(0 < c < 1 for c in nodes)
    powers = (linear(y, end.y) if order <= 2 else end.dense)() if inner else ()

    def at(c: float) -> Blocks:
        if c in (0, 1):
            return end.y if c else y

        def leaf(*coefficients: tf.Tensor) -> tf.Tensor:
            return polynomial(coefficients, tf.constant(c, coefficients[0].dtype))

        return tf.nest.map_structure(leaf, *powers)

    return [at(c) for c in nodes]
