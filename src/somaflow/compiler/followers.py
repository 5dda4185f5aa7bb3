"""Rules of one text in numbers: how far apart they are, what they draw, and what they sum."""

from collections.abc import Callable, Mapping
from itertools import count
from typing import Any, NamedTuple, Protocol

import numpy as np
import tensorflow as tf

from somaflow.compiler.states import Constants, Context, EventState, Tensors
from somaflow.compiler.step import FlowState
from somaflow.equations.equations import Equations
from somaflow.equations.events import interval_of
from somaflow.equations.expression import (
    RAND,
    SUMS,
    Binary,
    Call,
    Name,
    Negative,
    Node,
    Number,
    names,
    render,
)
from somaflow.equations.statements import CELL
from somaflow.network.random import named
from somaflow.numerics.device import cast, materialize, spread
from somaflow.numerics.random import derive, fraction_of
from somaflow.numerics.types import Tensor
from somaflow.simulation.clock import whole_steps
from somaflow.simulation.system import Array

Scope = Callable[[Node], Tensor]
_FIRST = 3 << 16  # of the calls of rand(), behind those of the other texts of a population


class Sum(NamedTuple):
    """A sum over the synapses of each cell on a side.

    Attributes:
        name: What stands in its place.
        function: `sum_pre` or `sum_post`.
        argument: What is summed.
    """

    name: str
    function: str
    argument: Node


class Change(NamedTuple):
    """An assignment.

    Attributes:
        name: The state.
        expression: Its new value, with names in place of sums and of what is drawn.
        sums: Those sums, each after those that it needs.
    """

    name: str
    expression: Node
    sums: tuple[Sum, ...]


class Text:
    """The rules of one text.

    Args:
        equations: The text.
        name: Of the population or projection.
        place: The same in messages.
        stream: The stream of random numbers.
        dt: The step in ms.
        dtype: NumPy type of the run.

    Attributes:
        rules: What each does, in order.
        steps: The interval of each in steps, int64.
        functions: Which sums occur.
        reads: All names that the rules depend on.
        counted: Whether the number of the cell is asked for.
    """

    unseen = ("steps",)

    def __init__(
        self,
        equations: Equations,
        name: str,
        place: str,
        stream: int,
        dt: float,
        dtype: np.dtype,
    ) -> None:
        self.name, self.stream, self.dt, self.dtype = name, stream, dt, dtype
        self.draws: dict[str, int] = {}
        self._numbers = count(_FIRST)
        steps = []
        for rule in equations.rules:
            interval = interval_of(rule, equations.parameters, place)
            what = f"the interval of 'every {render(rule.interval)}:' of {place}"
            steps.append(whole_steps(interval, dt, what))
        self.steps = np.array(steps, np.int64)
        self.rules = tuple(
            tuple(self._change(item.name, item.expression) for item in rule.assignments)
            for rule in equations.rules
        )
        trees = [item.expression for rule in equations.rules for item in rule.assignments]
        self.reads = frozenset[str]().union(*map(equations.depends, trees))
        self.functions = frozenset(
            part.function for rule in self.rules for change in rule for part in change.sums
        )
        self.changed = tuple(dict.fromkeys(c.name for rule in self.rules for c in rule))
        self.counted = CELL in self.reads and CELL not in equations.dimensions()

    def _change(self, name: str, expression: Node) -> Change:
        sums: list[Sum] = []

        def bound(node: Node) -> Node:
            match node:
                case Name(name="dt"):
                    return Number(self.dt)
                case Name(name=key) if key == RAND:
                    number = next(self._numbers)
                    self.draws[f"{RAND} {number}"] = number
                    return Name(f"{RAND} {number}")
                case Negative():
                    return Negative(bound(node.operand))
                case Binary():
                    return Binary(node.operator, bound(node.left), bound(node.right))
                case Call():
                    arguments = tuple(map(bound, node.arguments))
                    if node.function not in SUMS:
                        return Call(node.function, arguments)
                    sums.append(Sum(f"{node.function} {len(sums)}", node.function, *arguments))
                    return Name(sums[-1].name)
            return node

        return Change(name, bound(expression), tuple(sums))

    def drawn(self, rule: int, seed: Tensor, step: Tensor, index: Tensor) -> Tensors:
        """Return what a rule draws in a step, by name.

        Args:
            rule: Which.
            seed: The lower and the upper 32 bits of the run's seed.
            step: The number of steps made before.
            index: The number of each cell or synapse.
        """
        trees = [change.expression for change in self.rules[rule]]
        trees += [part.argument for change in self.rules[rule] for part in change.sums]
        used = set[str]().union(*map(names, trees))
        calls = {key: number for key, number in self.draws.items() if key in used}
        if not calls:
            return {}
        numbers = np.array([*calls.values()], np.uint32)[:, None]
        low, high = tf.unstack(seed)
        keys = derive((low, high), (self.stream, *named(self.name), numbers))
        drawn = fraction_of(keys, step, index, self.dtype)
        return dict(zip(calls, tf.unstack(materialize(drawn)), strict=True))

    def followed(
        self,
        rule: int,
        states: Tensors,
        known: Mapping[str, Tensor],
        scope: Callable[[Tensors], Scope],
        total: Callable[[str, Tensor], Tensor] | None = None,
    ) -> Tensors:
        """Return states after a rule.

        Args:
            rule: Which.
            states: The states before, of which it may change some.
            known: What else it reads.
            scope: Returns what evaluates trees, given values by name.
            total: Returns a sum over synapses, `(function, values)`, for each synapse.
        """
        states = {**states}
        for change in self.rules[rule]:
            values = {**known, **states}
            like = states[change.name]
            for part in change.sums:
                assert total is not None  # cells have no sums
                one = spread(cast(scope(values)(part.argument), like.dtype), like.shape)
                values[part.name] = total(part.function, one)
            fresh = cast(scope(values)(change.expression), like.dtype)
            states[change.name] = spread(fresh, like.shape)
        return states


class StepEnd(NamedTuple):
    """Where rules are followed: the end of a step, when all else is done.

    Attributes:
        flow: The flow state.
        event: The event state.
        context: What holds for the step.
        constants: What holds for the chunk.
        arrays: What the text needs, as `Follower.arrays` has it.
    """

    flow: FlowState
    event: EventState
    context: Context
    constants: Constants
    arrays: Tensors

    @property
    def time(self) -> Tensor:
        """The time in ms, float64."""
        return self.context.times[1]

    @property
    def seed(self) -> Tensor:
        """The lower and the upper 32 bits of the run's seed."""
        return self.constants.drives.parameters.seed

    def with_block(self, place: int, block: Tensor) -> "StepEnd":
        """Return the moment with another block of the flow state."""
        flow = tuple(block if k == place else old for k, old in enumerate(self.flow))
        return self._replace(flow=flow)

    def with_own(self, group: str, states: Tensors) -> "StepEnd":
        """Return the moment with other states of single synapses, of those it has."""
        kept: Any = self.event.groups[group]
        groups = {**self.event.groups, group: kept._replace(own={**kept.own, **states})}
        return self._replace(event=self.event._replace(groups=groups))


class Follower(Protocol):
    """What follows the rules of one text.

    Attributes:
        text: They.
        arrays: What it needs beside the network's own arrays.
    """

    text: Text
    arrays: dict[str, Array]

    def taken(self, moment: StepEnd) -> Tensors:
        """Return what the rules may change, by name."""
        ...

    def put(self, moment: StepEnd, parts: Tensors) -> StepEnd:
        """Return the moment with other parts."""
        ...

    def followed(self, rule: int, parts: Tensors, moment: StepEnd) -> Tensors:
        """Return the parts after a rule."""
        ...
