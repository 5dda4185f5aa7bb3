"""The past: what synapses with a delay read of presynaptic cells at all times.

A ring holds, of each of the last steps, what a variable was at each node of the solver: a delay is
a whole number of steps, so a synapse reads it at the nodes at which it was kept. What is kept at
the end of a step is what was there before the jump, and at the start of the next what was there
after it; so no interpolation goes over a reset, or over the kink that a delay hands on.

A step is written at its end and read in later steps; there is one slot more than the longest delay
has steps, so that a step writes in another one than it reads.
"""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from somaflow.compiler.coupling import AnyCoupling
from somaflow.compiler.general import GeneralCoupling, by_itself
from somaflow.compiler.layout import padded
from somaflow.compiler.single import GeneralConstants
from somaflow.compiler.states import Context, States, Tensors, Tick
from somaflow.network.delayed import read_between_spikes
from somaflow.network.population import Population
from somaflow.numerics.device import held, put
from somaflow.numerics.types import Tensor
from somaflow.simulation.system import Array


class Past:
    """What is read late, and by whom.

    Args:
        couplings: All groups.
        populations: Of the network.
        nodes: Fractions of a step at which synapses read.

    Attributes:
        late: The groups that read something late, each with its place.
        readers: What each group reads late, by its key: the ring of each variable.
        rings: Of each ring the population and the variable.
        lengths: How many steps each ring holds.
    """

    unseen = ("lengths", "sizes")

    def __init__(
        self,
        couplings: Sequence[AnyCoupling],
        populations: Sequence[Population],
        nodes: tuple[float, ...],
    ) -> None:
        self.nodes = nodes
        self.late: list[tuple[int, AnyCoupling]] = []
        self.readers: dict[str, dict[str, str]] = {}
        self.rings: dict[str, tuple[int, str]] = {}
        self.lengths: dict[str, int] = {}
        self.sizes = [population.size for population in populations]
        for c, coupling in enumerate(couplings):
            group = coupling.group
            if group.counted is not None or group.delay == 0 or group.form.waits:
                continue
            longest = coupling.longest if by_itself(coupling) else group.delay or 0
            variables = read_between_spikes(group.members[0].projection)
            for variable in variables:
                ring = ring_of(populations[group.source].name, variable, nodes)
                self.readers.setdefault(group.key, {})[variable] = ring
                self.rings[ring] = group.source, variable
                self.lengths[ring] = max(self.lengths.get(ring, 0), longest + 1)
            self.late += [(c, coupling)] if variables else []

    def empty(self, batch: tuple[int, ...], dtype: np.dtype) -> dict[str, Array]:
        """Return rings of zeros, `[n_steps, n_nodes, ..., n_cells]`."""
        return {
            ring: np.zeros(
                (length, len(self.nodes), *batch, padded(self.sizes[self.rings[ring][0]])), dtype
            )
            for ring, length in self.lengths.items()
        }

    def of_cells(self, rings: Tensors) -> dict[str, Array]:
        """Return rings as a final state has them, without padding."""
        return {
            ring: np.asarray(values)[..., : self.sizes[self.rings[ring][0]]]
            for ring, values in rings.items()
        }

    def passed(self, states: Sequence[Sequence[States]]) -> Tensors:
        """Return what a step leaves in each ring, given the states at each node."""
        return {
            ring: tf.stack([node[source][variable] for node in states])
            for ring, (source, variable) in self.rings.items()
        }

    def kept(self, rings: Tensors, context: Context) -> Tensors:
        """Return the rings with what a step leaves in them."""
        return {
            ring: put(values, _slot(context.tick.step, values), context.passed[ring])
            for ring, values in rings.items()
        }

    def read(
        self, rings: Tensors, tick: Tick, constants: Sequence[object]
    ) -> dict[str, list[States]]:
        """Return what each group reads at each node of a step, by its key.

        Args:
            rings: What is kept.
            tick: The step. Its nodes are those of the rings, or others where somebody only looks.
            constants: What each coupling has prepared.
        """
        nodes = [max(k for k, known in enumerate(self.nodes) if known <= c) for c in tick.nodes]
        found: dict[str, list[States]] = {}
        for c, coupling in self.late:
            parts: list[States] = [{} for _ in nodes]
            for variable, ring in self.readers[coupling.group.key].items():
                if by_itself(coupling):
                    name = coupling.group.key, f"{variable}_pre"
                    values = _of_synapses(coupling, rings[ring], tick, constants[c])
                else:
                    name, values = variable, _of_cells(coupling.group.delay, rings[ring], tick)
                for part, node in zip(parts, nodes, strict=True):
                    part[name] = values[node]
            # Computed once, before the step writes: XLA would copy the ring otherwise.
            found[coupling.group.key] = held(parts)
        return found

    def given(
        self,
        coupling: AnyCoupling,
        numbers: object,
        states: Sequence[States],
        context: Context,
        node: int,
    ) -> States:
        """Return the states of presynaptic cells as the synapses of a group read them at a node.

        Args:
            coupling: The group.
            numbers: What it has prepared.
            states: The states of each population at the node.
            context: Of the step.
            node: The number of the node; -1 for the start.
        """
        now = states[coupling.group.source]
        if coupling.group.key not in self.readers:
            return now
        late = context.past[coupling.group.key][max(node, 0)]
        if not (by_itself(coupling) and coupling.wiring.varied):
            return now | late
        assert isinstance(numbers, GeneralConstants)
        waits, cells = numbers.arrays["delay"] > 0, numbers.arrays["pre"]
        for variable in self.readers[coupling.group.key]:
            name = coupling.group.key, f"{variable}_pre"
            here = tf.gather(now[variable], cells, axis=-1)
            late = late | {name: tf.where(waits, late[name], here)}
        return now | late


def ring_of(population: str, variable: str, nodes: tuple[float, ...]) -> str:
    """Return the name of a ring in a final state."""
    return f"past {population} {variable} at {' '.join(f'{c:.6g}' for c in nodes)}"


def prefix_of(ring: str) -> str:
    """Return a ring's name without its nodes."""
    return ring.rpartition(" at ")[0]


def _of_cells(delay: int | None, ring: Tensor, tick: Tick) -> Tensor:
    """Return what a variable was a delay ago, `[n_nodes, ..., n_cells]`."""
    # A slice at a place that an argument gives would be compiled anew for each chunk.
    return tf.gather(ring, _slot(tick.step - (delay or 0), ring))


def _of_synapses(coupling: GeneralCoupling, ring: Tensor, tick: Tick, numbers: object) -> Tensor:
    """Return the same for each synapse after its own delay, `[n_nodes, ..., n_synapses]`."""
    assert isinstance(numbers, GeneralConstants)
    cells = numbers.arrays["pre"]
    delay = tf.constant(coupling.group.delay or 0, tick.step.dtype)
    if coupling.wiring.varied:
        delay = tf.cast(numbers.arrays["delay"], tick.step.dtype)
    _, n_nodes, *batch, n_cells = ring.shape
    rows = n_nodes * int(np.prod(batch))
    places = _slot(tick.step - delay, ring) * rows + tf.range(rows)[:, None]
    values = tf.gather(tf.reshape(ring, [-1]), places * n_cells + cells)
    return tf.reshape(values, [n_nodes, *batch, cells.shape[0]])


def _slot(step: Tensor, ring: Tensor) -> Tensor:
    return tf.cast(tf.math.floormod(step, ring.shape[0]), tf.int32)
