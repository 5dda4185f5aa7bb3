"""Flow: a system of differential equations without a clock, as `solve` knows it.

Its state is one block `[n, R]`: n components, R columns that do not depend on each other, such as
the rows of a batch. Time inside begins at 0 and grows; backwards in time the slope is turned round.
"""

from collections.abc import Callable
from dataclasses import dataclass

import tensorflow as tf

from somaflow.numerics.types import Nest, Tensor
from somaflow.simulation.system import Array
from somaflow.solvers.base import Problem
from somaflow.solvers.pattern import Pattern

# How a column stands.
RUNNING, DONE, STOPPED, UNDERFLOW, PILED, BROKEN, SPENT = range(7)


@dataclass(frozen=True)
class Condition:
    """A scalar of the state whose zero is an event.

    Attributes:
        name: What it is called.
        margin: `(t, y, parameters) -> [R]`.
        direction: 1 for upward crossings of zero, -1 for downward ones, 0 for both.
        terminal: Whether the solve ends there.
        change: `(t, y, parameters) -> y` just after, or None.
    """

    name: str
    margin: Callable[[Tensor, Tensor, Nest], Tensor]
    direction: int
    terminal: bool
    change: Callable[[Tensor, Tensor, Nest], Tensor] | None


@dataclass(frozen=True)
class Flow:
    """A system of differential equations.

    Attributes:
        field: `(t, y, parameters) -> dy/dt`, blocks `[n, R]`.
        diffusions: The factor of each component's white noise, and of its second one, ... likewise.
        sources: int32 `[len(diffusions), n]`, which rows of as many blocks of independent noise
            they are; None where every component has one noise, its own.
        conditions: Its events.
        long: As in `Problem`.
        rounds: Whether the field takes the time in float32 alone.
        pattern: As in `Problem`.
    """

    field: Callable[[Tensor, Tensor, Nest], Tensor]
    diffusions: tuple[Callable[[Tensor, Tensor, Nest], Tensor], ...] = ()
    sources: Array | None = None
    conditions: tuple[Condition, ...] = ()
    long: bool = False
    rounds: bool = False
    pattern: Pattern | None = None

    def problem(
        self,
        parameters: Nest,
        begin: Tensor,
        sign: float,
        within: tuple[Tensor, Tensor] | None = None,
        increments: tuple[Tensor, ...] = (),
    ) -> Problem[Tensor]:
        """Return what a solver sees: time from 0, growing.

        Where components have several noises, its diffusion is the sum of their factors times their
        increments, and the increment that it is to be multiplied by is 1.

        Args:
            parameters: Nest of tensors.
            begin: The user's time at 0, float64.
            sign: -1 for a solve backwards in time.
            within: The earliest and the latest time of the user's that the field is asked for,
                float64; None for no bounds.
            increments: Those of the noise in this step, a block for each of `diffusions`.
        """

        def f(s: Tensor, y: Tensor) -> Tensor:
            slope = self.field(inside(outer_time(begin, sign, s), within), y, parameters)
            return slope if sign > 0 else -slope

        def g(s: Tensor, y: Tensor) -> Tensor:
            t = outer_time(begin, sign, s)
            factors = [factor(t, y, parameters) for factor in self.diffusions]
            if len(factors) == 1:
                return factors[0]
            return tf.add_n([b * dw for b, dw in zip(factors, increments, strict=True)])

        known = len(self.diffusions) == 1 or increments
        return Problem(f, None, g if known else None, self.long, self.pattern)


def outer_time(begin: Tensor, sign: float, s: Tensor) -> Tensor:
    """Return the user's time, float64 whatever the dtype of `s`."""
    s = tf.cast(s, tf.float64)
    return begin + s if sign > 0 else begin - s


def inside(t: Tensor, within: tuple[Tensor, Tensor] | None) -> Tensor:
    """Return a time moved between two bounds; its derivative stays 1, which methods ask for."""
    if within is None:
        return t
    return t + tf.stop_gradient(tf.clip_by_value(t, *within) - t)


def polynomial(coefficients: tuple[Tensor, ...], theta: Tensor) -> Tensor:
    """Return c_0 + c_1*theta + c_2*theta**2 + ..., by Horner's rule."""
    total = coefficients[-1]
    for c in reversed(coefficients[:-1]):
        total = total * theta + c
    return total


def slope_of(coefficients: tuple[Tensor, ...], theta: Tensor) -> Tensor:
    """Return c_1 + 2*c_2*theta + ..., the derivative of `polynomial` by theta."""
    return polynomial(tuple(float(d) * c for d, c in enumerate(coefficients) if d), theta)
