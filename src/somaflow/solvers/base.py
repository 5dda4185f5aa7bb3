"""What a solver is.

A solver advances a state by one step. It is given a problem, from which it takes what it needs: a
vector field always; derivatives of the vector field within each cell for exponential and implicit
methods (`derivatives.py`); a diffusion for stochastic ones.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, NamedTuple, Protocol, TypeVar

import tensorflow as tf

from somaflow.numerics.types import Nest, Tensor
from somaflow.solvers.pattern import Pattern

# A nest of blocks `[n_components, ...]`: columns are cells or rows of a batch.
State = TypeVar("State")
Time = Tensor | float  # a number where steps are fixed


@dataclass(frozen=True)
class Problem(Generic[State]):
    """What a solver may ask about the system.

    Attributes:
        f: The vector field: `f(t, y)` has the structure, shapes and dtype of `y`.
        local: The same values as `f`, with what comes from other columns held constant under
            differentiation; None where columns do not depend on each other.
        diffusion: `g(t, y)` of dy = f dt + g dW, in the structure of `y`, each component with a
            Wiener process of its own; None for an ordinary differential equation. For
            Euler-Maruyama and the stochastic Heun method components may share a process, and one
            with several has the sum of their factors times their increments, for a dW of 1.
        long: Whether `f` is so long that a method with many stages should hold it once, in a loop
            over its stages, for the sake of the time to compile. Time is a tensor then.
        pattern: Which derivatives by `y` can be other than zero, of `diffusion` for a stochastic
            method and of `f` for others; None where any can.
    """

    f: Callable[[Time, State], State]
    local: Callable[[Time, State], State] | None = None
    diffusion: Callable[[Time, State], State] | None = None
    long: bool = False
    pattern: Pattern | None = None


class Step(NamedTuple, Generic[State]):
    """One step's outcome.

    Attributes:
        y: The state at its end.
        error: An estimate of the local error in the structure of `y`, or None.
        dense: `dense()` returns states c_0, c_1, ... such that c_0 + c_1*s + c_2*s**2 + ... is
            the solution at t + s*dt, for s from 0 to 1; at s = 1 it is `y`. A function, so that
            what nobody asks for is not computed.
        memory: What the solver hands to its next step, a nest. What belongs to columns has the
            structure of `y`: in a network it begins anew, by `init`, for each cell whose state
            jumped (docs/howto/write-a-solver.md).
    """

    y: State
    error: State | None
    dense: Callable[[], tuple[State, ...]]
    memory: Nest


class Solver(Protocol):
    """A method that advances a state by one step.

    Attributes:
        name: As it is written in a paper.
        order: The global order of accuracy; the strong order for a stochastic method.
        nodes: The fractions of a step at which the vector field is evaluated, from 0 to 1,
            ascending, each once. Inputs that are known beforehand are computed at these and nowhere
            else; a time within a step means the node that it is (`stages.Stages`).
        error_order: The order to which the error estimate is asymptotically right, so that the
            estimate shrinks as dt**(error_order + 1); None for a method without an estimate.
        stiff: Whether large steps on stiff equations stay stable.
        calculus: `"Ito"` or `"Stratonovich"` for a stochastic method, else None.
    """

    @property
    def name(self) -> str: ...

    @property
    def order(self) -> float: ...

    @property
    def nodes(self) -> tuple[float, ...]: ...

    @property
    def error_order(self) -> int | None: ...

    @property
    def stiff(self) -> bool: ...

    @property
    def calculus(self) -> str | None: ...

    def init(self, problem: Problem[State], t: Time, y: State) -> Nest:
        """Return what the first step is handed as its memory; () for a method without one."""
        ...

    def step(
        self,
        problem: Problem[State],
        t: Time,
        dt: Time,
        y: State,
        memory: Nest,
        noise: State | None = None,
    ) -> Step[State]:
        """Advance the state by one step.

        Args:
            problem: What may be asked about the system.
            t: The time at the step's beginning.
            dt: The length of the step.
            y: The state at its beginning.
            memory: What the step before has left.
            noise: Increments of the Wiener processes, in the structure of `y`; None for a method
                that is not stochastic.
        """
        ...


def combine(y: State, dt: Time, weights: tuple[float, ...], slopes: Sequence[State]) -> State:
    """Return y + dt * (sum of weights times slopes), leaf by leaf, skipping zero weights."""
    terms = [(w, k) for w, k in zip(weights, slopes, strict=True) if w]

    def leaf(value: Tensor, *ks: Tensor) -> Tensor:
        total = (dt * terms[0][0]) * ks[0]
        for (weight, _), k in zip(terms[1:], ks[1:], strict=True):
            total = total + (dt * weight) * k
        return value + total

    return tf.nest.map_structure(leaf, y, *(k for _, k in terms)) if terms else y
