"""Thresholds and refractory periods as functions of tensors: who spikes in a step, and when."""

from collections.abc import Callable, Mapping, Sequence
from itertools import count

import numpy as np
import tensorflow as tf

from somaflow.compiler.drives import CONDITION
from somaflow.compiler.layout import pad, padded
from somaflow.compiler.lower import Scope
from somaflow.compiler.states import States
from somaflow.equations.equations import Assignment
from somaflow.equations.expression import (
    RAND,
    Binary,
    Name,
    Node,
    Number,
    comparisons,
    names,
    renamed,
)
from somaflow.equations.statements import CELL, are_maps
from somaflow.network.population import Population
from somaflow.network.random import named
from somaflow.numerics.constants import number
from somaflow.numerics.device import cast, materialize
from somaflow.numerics.random import Key, derive, fraction_of
from somaflow.numerics.types import Tensor
from somaflow.simulation.clock import whole_steps
from somaflow.simulation.system import Array

# The least time from a spike to its step's end. It must not be 0, which means no spike, nor one of
# the denormal numbers, which XLA takes for 0.
LEAST = 1e-30
# The first number of the calls of rand() in each text, so that one keeps its numbers whatever the
# others say.
_THRESHOLD, _RESET, _REFRACTORY = 0, 1 << 16, 2 << 16


class Spiking:
    """The threshold, reset and refractory period of one population, for steps of one length.

    Args:
        population: The population.
        owner: That whose variables they are of: the same, but of events.
        dt: The step in ms.
        dtype: NumPy type of the run.

    Attributes:
        condition: The threshold; `dt` is a number, and each `rand()` has a name of its own. None
            where the cells have none.
        resets: The reset, likewise.
        held: The states that a refractory period holds.
        waits: Whether cells are refractory at all.
        key: Name of the event state: for how many steps each cell is refractory, or whether it is.
        steps: The refractory period in steps, int32, one number or `[padded size]`; None where
            there is none, or a condition.
    """

    unseen = ("steps",)  # an argument of what is compiled

    def __init__(
        self, population: Population, owner: Population, dt: float, dtype: np.dtype
    ) -> None:
        firing = population.firing
        self.dt, self.dtype, self.name = dt, dtype, population.name
        self.width, self.first = padded(population.size), population.first
        self._leaps = are_maps(owner.equations.states)  # with nothing between two steps
        self._calls: dict[str, int] = {}  # number of each call of rand(), by its own name
        self._counted = False  # whether the number of the cell is asked for
        self._own = frozenset(owner.equations.dimensions())
        bind, bind_reset, bind_waiting = map(self._binding, (_THRESHOLD, _RESET, _REFRACTORY))
        self.condition = None if firing.condition is None else bind(firing.condition)
        self.resets = tuple(Assignment(a.name, bind_reset(a.expression)) for a in firing.resets)
        self.held, self.waits = frozenset(firing.held), firing.waits
        self.key = f"refractory {population.name}"
        self.steps: Array | None = None
        self._while: Node | None = None
        period = firing.refractory
        if isinstance(period, Node):
            self._while = bind_waiting(period)
        elif period.value.ndim:
            whole = np.rint(period.value / dt)
            self.steps = pad(whole, population.size).astype(np.int32)
        elif self.waits:
            what = f"the refractory period of {population.name!r}"
            self.steps = np.asarray(whole_steps(float(period.value), dt, what), np.int32)

    def _binding(self, first: int) -> Callable[[Node], Node]:
        numbers = count(first)

        def change(name: Name) -> Node:
            if name.name == "dt":
                return Number(self.dt)
            self._counted |= name.name == CELL and CELL not in self._own
            if name.name != RAND:
                return name
            number = next(numbers)
            alone = f"{RAND} {number}"
            self._calls[alone] = number
            return Name(alone)

        return lambda node: renamed(node, change)

    @property
    def draws(self) -> frozenset[str]:
        """Names of what is drawn in each step, and of the number of the cell."""
        return frozenset([*self._calls, *[CELL] * self._counted])

    @property
    def nodes(self) -> tuple[Node, ...]:
        """All trees that are evaluated."""
        trees = [] if self._while is None else [self._while]
        trees += [assignment.expression for assignment in self.resets]
        leaves = () if self.condition is None else comparisons(self.condition)
        return (*trees, *map(_above, leaves))

    def keys(self, seed_words: tuple[Tensor, Tensor]) -> Key | None:
        """Return the keys of what is drawn, `[n_calls, 1]`; None where nothing is."""
        if not self._calls:
            return None
        numbers = np.array([*self._calls.values()], np.uint32)
        # Of networks side by side each has a seed of its own, `[n_networks, 1]`.
        numbers = numbers.reshape(-1, *[1] * max(1, seed_words[0].shape.rank))
        return derive(seed_words, (CONDITION, *named(self.name), numbers))

    def drawn(self, step: Tensor, keys: Key | None) -> dict[str, Tensor]:
        """Return what is drawn in a step: for each call a number for each cell, `[padded size]`.

        With them is the number of the cell, where it is asked for.
        """
        if keys is None and not self._counted:
            return {}
        cells = tf.range(self.first, self.first + self.width)
        known = {CELL: tf.cast(cells, self.dtype)} if self._counted else {}
        if keys is None:
            return known
        numbers = materialize(fraction_of(keys, step, cells, self.dtype))
        return known | dict(zip(self._calls, tf.unstack(numbers), strict=True))

    # ---------------------------------------------------------------- refractory cells

    def stopped(
        self, names: Sequence[str], slopes: list[Tensor], waiting: Mapping[str, Tensor]
    ) -> list[Tensor]:
        """Return the slopes of states, 0 where a refractory period holds them."""
        if not (self.waits and self.held):
            return slopes
        holds = waiting[self.key] > number(0, tf.int32)
        return [
            tf.where(holds, number(0.0, slope.dtype), slope) if name in self.held else slope
            for name, slope in zip(names, slopes, strict=True)
        ]

    def ready(self, crossed: Tensor, waiting: Mapping[str, Tensor]) -> Tensor:
        """Return the crossings of cells that are not refractory, 0 for the others."""
        if not self.waits:
            return crossed
        holds = waiting[self.key] > number(0, tf.int32)
        return tf.where(holds, number(0.0, crossed.dtype), crossed)

    def put_back(self, old: States, new: States, waiting: Mapping[str, Tensor]) -> States:
        """Return the states that refractory periods hold: those of a step's start where they do."""
        if not self.waits:
            return {}
        holds = waiting[self.key] > 0
        return {name: tf.where(holds, old[name], new[name]) for name in sorted(self.held)}

    # ---------------------------------------------------------------- thresholds

    def since(self, start: Scope, end: Scope) -> tuple[Tensor, Tensor]:
        """Return whether the threshold held at a step's start, and since when it holds at its end.

        Args:
            start: Evaluates trees at the start.
            end: The same at the end.

        Returns:
            Where the condition held at the start, bool; and the time from where it became true, by
            linear interpolation, to the step's end: dt where it held all the time, 0 where it does
            not hold at the end.
        """
        return self._since(self.condition, start, end)

    def _since(self, node: Node | None, start: Scope, end: Scope) -> tuple[Tensor, Tensor]:
        node = _condition(node)
        if node.operator in ("and", "or"):
            began, first = self._since(node.left, start, end)
            also, second = self._since(node.right, start, end)
            if node.operator == "and":
                return began & also, tf.minimum(first, second)
            return began | also, tf.maximum(first, second)
        after, held = self._margin(node, end), self._holds(node, start)
        holds, zero = _holding(node, after), number(0.0, after.dtype)
        if self._leaps or _is_drawn(node):  # there is no moment from which it holds
            return held, tf.where(holds, number(LEAST, after.dtype), zero)
        before = self._margin(node, start)
        reached = holds & ~held & (before <= zero)
        dt, least = (number(value, after.dtype) for value in (self.dt, LEAST))
        rise = tf.where(reached, after - before, number(1.0, after.dtype))
        within = tf.where(reached, tf.maximum(dt * (after / rise), least), zero)
        return held, tf.where(holds & held, dt, within)

    def holds(self, value: Scope) -> Tensor:
        """Return where the threshold holds between two steps, bool; nothing is drawn there."""
        return self._holds(self.condition, value)

    def _holds(self, node: Node | None, value: Scope) -> Tensor:
        node = _condition(node)
        if node.operator in ("and", "or"):
            left, right = self._holds(node.left, value), self._holds(node.right, value)
            return left & right if node.operator == "and" else left | right
        if _is_drawn(node):
            return tf.constant(False)
        return _holding(node, self._margin(node, value))

    def _margin(self, node: Binary, value: Scope) -> Tensor:
        """Return by how much a comparison holds; below 0 where it does not."""
        return cast(value(_above(node)), self.dtype)

    # ------------------------------------------------------- refractory periods

    def waiting(self, event: Tensor, value: Callable[[], Scope]) -> Tensor:
        """Return what is above 0 where a cell is refractory in a step.

        Args:
            event: The event state at the step's start.
            value: Gives what evaluates trees there.
        """
        if self._while is None:
            return event
        return tf.where(value()(self._while), event, tf.zeros_like(event))

    def left(self, waiting: Tensor, spiked: Tensor, steps: Tensor | None) -> Tensor:
        """Return the event state at a step's end.

        Args:
            waiting: What `waiting` returned.
            spiked: Where a cell has spiked.
            steps: `steps` as a tensor, or None.
        """
        nothing, one = number(0, tf.int32), number(1, tf.int32)
        later = waiting if self._while is not None else tf.maximum(waiting - one, nothing)
        return tf.where(spiked, one if steps is None else steps, later)


def _condition(node: Node | None) -> Binary:
    """Return a condition as what it is: a comparison, or two conditions that are joined."""
    if not isinstance(node, Binary):
        raise TypeError(f"not a condition: {node!r}")
    return node


def _above(node: Binary) -> Node:
    """Return by how much a comparison holds, as one tree.

    In float32 a difference of times is then one of exact times, and not of their roundings.
    """
    if node.operator in (">", ">="):
        return Binary("-", node.left, node.right)
    return Binary("-", node.right, node.left)


def _is_drawn(node: Node) -> bool:
    return any(name.startswith(RAND) for name in names(node))


def _holding(node: Binary, margin: Tensor) -> Tensor:
    # A cell that has run away to infinity has not spiked: a reset would hide it.
    zero, most = number(0.0, margin.dtype), number(np.inf, margin.dtype)
    return (margin > zero if node.operator in (">", "<") else margin >= zero) & (margin < most)
