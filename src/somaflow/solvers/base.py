"""What a solver is.

A solver advances a state by one step. It is given a problem, from which it asks what it needs: a
vector field always, and later perhaps an affine form, a Jacobian or a diffusion.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import tensorflow as tf

State = Any  # any nest of tensors
Time = Any  # a tensor, or a Python number where steps are fixed


@dataclass(frozen=True)
class Problem:
    """What a solver may ask about the system.

    Attributes:
        f: The vector field: `f(t, y)` has the structure, shapes and dtype of `y`.
    """

    f: Callable[[Time, State], State]


class Step(NamedTuple):
    """One step's outcome.

    Attributes:
        y: The state at its end.
        error: An estimate of the local error, or None.
        dense: What interpolates within the step, or None.
        memory: What the solver hands to its next step.
    """

    y: State
    error: State | None
    dense: Any
    memory: Any


class Solver(Protocol):
    """A method that advances a state by one step.

    Attributes:
        name: As it is written in a paper.
        order: The global order of accuracy.
        nodes: The fractions of a step at which the vector field is evaluated, ascending, each
            once. Inputs that are known beforehand are computed at these and nowhere else.
    """

    @property
    def name(self) -> str: ...

    @property
    def order(self) -> int: ...

    @property
    def nodes(self) -> tuple[float, ...]: ...

    def init(self, problem: Problem, t: Time, y: State) -> Any: ...

    def step(
        self, problem: Problem, t: Time, dt: Time, y: State, memory: Any, noise: Any = None
    ) -> Step: ...


def combine(y: State, dt: Time, weights: tuple[float, ...], slopes: list[State]) -> State:
    """Return y + dt * (sum of weights times slopes), leaf by leaf, skipping zero weights."""
    terms = [(w, k) for w, k in zip(weights, slopes, strict=True) if w]

    def leaf(value: tf.Tensor, *ks: tf.Tensor) -> tf.Tensor:
        total = (dt * terms[0][0]) * ks[0]
        for (weight, _), k in zip(terms[1:], ks[1:], strict=True):
            total = total + (dt * weight) * k
        return value + total

    return tf.nest.map_structure(leaf, y, *(k for _, k in terms)) if terms else y
