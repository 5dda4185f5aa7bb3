"""Poisson inputs: how many spikes reach each cell in a step, and what they do there."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from somaflow.compiler.columns import Columns, course_of, spread, width_of
from somaflow.compiler.coupling import Effect, Group, Spikes
from somaflow.compiler.jumping import (
    JumpingConstants,
    JumpingCoupling,
    JumpingState,
)
from somaflow.compiler.layout import padded
from somaflow.compiler.states import DrawConstants, Tensors, Tick
from somaflow.compiler.sums import JumpingContext
from somaflow.network.choice import Choice
from somaflow.network.poisson import PoissonInput
from somaflow.network.waveforms import Course
from somaflow.numerics.device import cast, materialize
from somaflow.numerics.poisson import LARGE, poisson_of
from somaflow.numerics.random import Key
from somaflow.numerics.types import Tensor
from somaflow.simulation.system import Array

COUNTS = "counts"  # how the sums of a Poisson input are computed


class Counts:
    """The numbers of spikes of one Poisson input.

    Args:
        given: The input.
        dt: The step in ms.
        dtype: NumPy type of the run.
        steps: The table of what holds for a whole step.
    """

    unseen = ("given", "cells", "whole")

    def __init__(self, given: PoissonInput, dt: float, dtype: np.dtype, steps: Columns) -> None:
        self.name, self.given, self.dt, self.dtype = str(given.name), given, dt, dtype
        self.cells, owner = given.post.cells, given.post.population
        self.size, self.first = owner.size, owner.first
        self.whole = np.array_equal(self.cells, np.arange(self.size))
        self.shared, self.width = given.shared, padded(len(self.cells))
        # Rounding, of a course in float32 too, is far below a thousandth.
        self.large = 1.001 * given.highest * dt >= LARGE
        self.columns = None
        if isinstance(given.rate, Course):
            chosen = np.arange(len(self.cells))
            course = course_of(given.rate, chosen, len(chosen), dt)

            def at_middle(times: Array, middle: Array) -> Array:
                return course(middle, middle)

            self.columns = steps.add(width_of(given.rate, len(chosen)), at_middle)

    def parameters(self) -> dict[str, Array]:
        """Return what the compiled functions take as arguments: the mean, in float64."""
        rate = self.given.rate
        values = (rate.amplitude if isinstance(rate, Course) else rate).value
        mean = np.asarray(values * self.given.n * self.dt, np.float64)
        count = len(self.cells)
        arrays = {"mean": mean if mean.ndim == 0 else spread(mean, np.arange(count), count)}
        if not self.whole and not self.shared:
            # A number belongs to its cell, whatever else is in the view.
            drawn = np.zeros(padded(count), np.int32)
            drawn[:count] = self.first + self.cells
            places = np.full(padded(self.size), padded(count), np.int32)
            places[self.cells] = np.arange(count)
            arrays |= {"drawn": drawn, "places": places}
        return arrays

    @property
    def joins(self) -> bool:
        """Whether its numbers may be drawn at once with those of others."""
        return self.columns is None and not self.shared and not self.large

    def index(self, values: Tensors) -> Tensor:
        """Return which numbers are drawn: those of the cells, or one for all."""
        if self.shared:
            return tf.zeros([1], tf.int32)
        return values.get("drawn", tf.range(self.first, self.first + self.width))

    def placed(self, counts: Tensor, values: Tensors) -> Tensor:
        """Return the numbers of all cells of the population; of others than its own, any."""
        counts = tf.cast(counts, self.dtype)
        if "places" in values:
            padding = [[0, 0]] * (counts.shape.rank - 1) + [[0, 1]]
            counts = tf.gather(tf.pad(counts, padding), values["places"], axis=-1)
        return counts


class Draws:
    """Poisson inputs whose numbers are drawn at once: one by itself, or all that may be joined.

    A draw is a loop and some hundred operations, which compile for more than a second.

    Args:
        members: The inputs.
    """

    def __init__(self, members: Sequence[Counts]) -> None:
        self.members = tuple(members)

    def prepare(self, parameters: list[Tensors], keys: list[Key]) -> DrawConstants:
        """Put together what the numbers of all members need.

        Args:
            parameters: Of each member.
            keys: Of each member.
        """
        if len(self.members) == 1:
            member, values = self.members[0], parameters[0]
            return DrawConstants(keys[0], member.index(values), values["mean"], [values])
        widths = [member.width for member in self.members]
        pairs = list(zip(self.members, parameters, strict=True))
        lead = keys[0][0].shape[:-1]  # of networks side by side, each with a seed of its own
        words = [
            [
                tf.broadcast_to(word, [*lead, width])
                for width, word in zip(widths, side, strict=True)
            ]
            for side in zip(*keys, strict=True)
        ]
        low, high = (tf.concat(side, -1) for side in words)
        index = tf.concat([member.index(values) for member, values in pairs], 0)
        means = [tf.broadcast_to(v["mean"], [*lead, member.width]) for member, v in pairs]
        return DrawConstants((low, high), index, tf.concat(means, -1), parameters)

    def drawn(self, tick: Tick, given: Tensor, prepared: DrawConstants) -> list[Tensor]:
        """Return the number of spikes of each cell of each member's population.

        Args:
            tick: The step.
            given: What is known of the step.
            prepared: What `prepare` returned.
        """
        first, mean = self.members[0], prepared.mean
        if first.columns is not None:
            mean = mean * tf.cast(given[first.columns], tf.float64)
        most = np.inf if first.large else 0.0
        numbers = poisson_of(prepared.key, tick.step, prepared.index, mean, most)
        parts = [numbers]
        if len(self.members) > 1:
            widths = [member.width for member in self.members]
            parts = tf.split(materialize(numbers), widths, axis=-1)
        return [
            materialize(member.placed(part, values))
            for member, part, values in zip(self.members, parts, prepared.values, strict=True)
        ]


class Weights(NamedTuple):
    """The weights of a Poisson input: one for each cell, no synapse anywhere.

    Attributes:
        arrays: `weight`, of all cells of the population; 0 for those that have none.
        width: How many that are, padding included.
        choice: What is told of it.
        latest: There are no delays.
    """

    unseen = ("arrays",)

    arrays: dict[str, Array]
    width: int
    choice: Choice
    latest: None = None

    @classmethod
    def of(cls, given: PoissonInput, dtype: np.dtype) -> "Weights":
        """Return the weights of an input in the type of a run."""
        size, value = given.post.population.size, 1.0
        if given.weight is not None:
            value = given.weight.value
        weight = spread(value, given.post.cells, size).astype(dtype)
        return cls({"weight": weight}, len(weight), Choice(COUNTS, {}, weight.nbytes, 0))


class PoissonCoupling(JumpingCoupling):
    """A Poisson input: sums of jumps, as of a projection, whose spikes are counted.

    Args:
        group: Its group.
        weights: Its weights.
        dtype: NumPy type of the run.
    """

    def __init__(self, group: Group, weights: Weights, dtype: np.dtype) -> None:
        super().__init__(group, weights, dtype)  # pyright: ignore[reportArgumentType]

    def prepare(
        self, arrays: Tensors, table: Tensors, dt: float, nodes: tuple[float, ...]
    ) -> JumpingConstants:
        """Evaluate the coefficients, and what one spike adds to each cell."""
        prepared = super().prepare(arrays, table, dt, nodes)
        value = self.group.lowered.scope(prepared.table, {})
        jumps = {
            name: cast(value(node), self.dtype) * arrays["weight"]
            for name, node in (self.form.amplitudes or {}).items()
        }
        return prepared._replace(jumps=jumps)

    def emit(
        self,
        event: JumpingState,
        context: JumpingContext,
        spikes: Spikes,
        tick: Tick,
        prepared: JumpingConstants,
    ) -> Effect[JumpingState, Tensors] | None:
        """Add what the counted spikes of a step add, at its end."""
        counts, jumps = spikes.pre, prepared.jumps
        added = {name: jump * counts for name, jump in jumps.items()}
        ends = context.end

        # Within a branch, where what is added and what it is added to are stored already: elsewhere
        # the product and the sum may be contracted or not, and rows of a batch differ from a run
        # alone.
        def grown() -> tuple[Tensors, Tensors]:
            sums = {s: end + added[s] if s in added else end for s, end in ends.items()}
            return sums, {name: added[name] for name in self.ports}

        def still() -> tuple[Tensors, Tensors]:
            return dict(ends), {name: tf.zeros_like(added[name]) for name in self.ports}

        sums, moved = tf.cond(tf.reduce_any(counts > 0), grown, still)
        return Effect(JumpingState(sums, {}), None, {}, moved)
