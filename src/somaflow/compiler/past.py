"""The past: spikes that are kept until one fixed delay has passed."""

import tensorflow as tf

from somaflow.compiler.coupling import Group
from somaflow.compiler.states import Tensors
from somaflow.compiler.tables import Tables
from somaflow.numerics.device import held, put
from somaflow.numerics.types import Tensor


class Past:
    """The spikes of the last steps, of populations whose spikes arrive after fixed delays.

    Args:
        tables: The tables of the network.
    """

    def __init__(self, tables: Tables) -> None:
        names = [f"spikes {population.name}" for population in tables.populations]
        self.kept = {k: (names[k], steps) for k, steps in enumerate(tables.delays) if steps}
        self.late = {c: one.group for c, one in enumerate(tables.couplings) if one.group.delay}

    def passed(
        self, since: list[Tensor], past: Tensors, step: Tensor, begun: Tensors
    ) -> tuple[dict[int, Tensor], Tensors]:
        """Take out what arrives in a step, and put in what is sent.

        All is read before anything is written, behind one barrier: XLA would copy the whole past in
        each step if something might read it once this step's spikes are in it.

        Args:
            since: The spikes of this step, of each population.
            past: Those of the last steps, as in `EventState.spikes`.
            step: Number of the step.
            begun: The step from which on spikes arrive, by group.

        Returns:
            What arrives, by the number of the coupling, and the past with this step.
        """
        if not self.kept:
            return {}, {}
        late = {c: self._arriving(group, past, step, begun) for c, group in self.late.items()}
        late, sent = held((late, {k: since[k] for k in self.kept}))
        past = {
            name: put(past[name], tf.cast(tf.math.floormod(step, steps), tf.int32), sent[k])
            for k, (name, steps) in self.kept.items()
        }
        return late, past

    def _arriving(self, group: Group, past: Tensors, step: Tensor, begun: Tensors) -> Tensor:
        name, steps = self.kept[group.source]
        sent = step - (group.delay or 0)
        # A slice at a place that an argument gives would be compiled anew for each chunk.
        arriving = tf.gather(past[name], tf.cast(tf.math.floormod(sent, steps), tf.int32))
        first = begun.get(group.key)
        return arriving if first is None else tf.where(sent >= first, arriving, 0)
