"""States of presynaptic cells that their spikes move, in steps in which they do.

The states are rows of the presynaptic population's block, which the solver integrates as if there
were no spike. What a spike makes of them is what it makes of a general synapse, for each
presynaptic cell once: those that are linear between spikes are exact, the others of second order
(`walk`).
"""

from collections.abc import Callable, Mapping

import numpy as np
import tensorflow as tf

from somaflow.compiler.coupling import Group, ports
from somaflow.compiler.linear import Linear
from somaflow.compiler.single import GeneralConstants
from somaflow.compiler.states import States, Tensors, Tick
from somaflow.compiler.sums import check_sums, coefficients
from somaflow.compiler.walk import Walk, Way
from somaflow.equations.equations import Assignment
from somaflow.equations.expression import Node
from somaflow.network.graded import Graded
from somaflow.numerics.device import cast
from somaflow.numerics.types import Tensor
from somaflow.simulation.system import Array


class Moved:
    """The states of a group's presynaptic cells, to be taken through their spikes.

    Args:
        group: The group.
        form: Its form.
        size: Number of presynaptic cells, padding included.
        width: Number of postsynaptic cells, padding included.
        dtype: NumPy type of the run.
    """

    on_post_spike: tuple[Assignment, ...] = ()
    added: dict[str, tuple[Node | None, ...]] = {}  # noqa: RUF012 - never changed
    replaced: tuple[str, ...] = ()

    def __init__(self, group: Group, form: Graded, size: int, width: int, dtype: np.dtype) -> None:
        self.group, self.form, self.dtype = group, form, dtype
        self.size, self.width = size, width
        self.linear = Linear(group.lowered.equations, form.closed)
        self.on_spike = form.on_spike
        self.flowing = tuple(state for state in form.rows if state not in form.closed)

    def check(self, parameters: dict[str, Array], dt: float) -> None:
        """Refuse what has no closed form, and set how far the closed forms have to reach.

        Raises:
            NetworkError: A rate is not finite, or 0.
        """
        check_sums(self.group, self.linear, parameters, dt, rest=False)

    def prepare(self, arrays: Tensors, numbers: Tensors) -> GeneralConstants:
        """Evaluate the coefficients of the closed forms."""
        values = coefficients(self.group, self.linear, numbers, self.dtype)
        return GeneralConstants(arrays, numbers, values, {}, None, None)

    def drawn(self, step: Tensor, prepared: GeneralConstants) -> Tensors:
        """Return nothing: what is drawn is drawn for each synapse."""
        return {}

    def derivatives(
        self, values: Tensors, pulse: Tensor, prepared: GeneralConstants
    ) -> list[Tensor]:
        """Return the derivative of each state without a closed form."""
        lowered = self.group.lowered
        value = lowered.scope(prepared.table, values)
        return [cast(value(lowered.derivative(state)), self.dtype) for state in self.flowing]

    def by(
        self,
        since: Tensor,
        old: States,
        new: States,
        names: Mapping[str, str],
        tick: Tick,
        prepared: GeneralConstants,
        total: Callable[[Tensor], Tensor],
    ) -> tuple[Tensors, list[Tensor]]:
        """Take the states through the spikes of a step.

        Args:
            since: Time from each cell's spike to the step's end, 0 where there is none.
            old: The states of the presynaptic population at the step's start.
            new: The same at its end, without the spikes.
            names: The row of each state.
            tick: The step.
            prepared: What `prepare` returned.
            total: Sums numbers of presynaptic cells over the synapses of each postsynaptic cell.

        Returns:
            The states at the end, by name; and for each term of the current the integral over the
            step of what the spikes have changed in the factor of the presynaptic cell, summed.
        """

        def part(states: States, of: tuple[str, ...]) -> Tensors:
            return {state: states[names[state]] for state in of}

        lowered, closed = self.group.lowered, self.form.closed
        way = Way(
            part(old, closed),
            part(old, self.flowing),
            part(new, self.flowing),
            ports(lowered, old, "_pre"),
            ports(lowered, new, "_pre"),
            None,
        )
        walk = Walk(self, way, since, None, tick, prepared)
        still = part(new, (*closed, *self.flowing))

        def moved() -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
            ends = walk.ends(part(new, closed), part(new, self.flowing), ())
            gained = tuple(map(total, self._gained(walk, prepared)))
            return (*ends.closed, *ends.flowing), gained

        def quiet() -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
            nothing = tf.zeros([*since.shape[:-1], self.width], self.dtype)
            return tuple(still.values()), (nothing,) * len(self.form.terms)

        ends, gained = tf.cond(tf.reduce_any(since > 0), moved, quiet)
        return dict(zip(still, ends, strict=True)), list(gained)

    def _gained(self, walk: Walk, prepared: GeneralConstants) -> list[Tensor]:
        totals = [tf.zeros(walk.shape, self.dtype) for _ in self.form.terms]
        for weight, (there, _), (without, _) in walk.gains().points:
            values = [self.group.lowered.scope(prepared.table, x) for x in (there, without)]
            for k, (pre, _) in enumerate(self.form.terms):
                first, second = (cast(value(pre), self.dtype) for value in values)
                totals[k] += weight * (first - second)
        return totals
