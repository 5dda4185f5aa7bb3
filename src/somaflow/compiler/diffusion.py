"""Diffusion of a network: what the white noise of its populations does in each step."""

from collections.abc import Callable

import tensorflow as tf

from somaflow.compiler.lower import Scope
from somaflow.compiler.states import Constants, Context, Parameters, States
from somaflow.compiler.step import FlowState, NetworkDynamics
from somaflow.network.stimuli import MEMBRANE
from somaflow.numerics.device import cast, in_each_row, spread
from somaflow.numerics.rows import stacked
from somaflow.numerics.types import Tensor
from somaflow.simulation.system import Carry

RowOf = Callable[[int, str, Tensor], Tensor]  # of a population, a state and its values


class Diffusion:
    """The functions of a system that know of noise, around those of a network that do not.

    Args:
        dynamics: The functions of the network.
    """

    def __init__(self, dynamics: NetworkDynamics) -> None:
        self.dynamics, self.noises = dynamics, dynamics.tables.noises
        self.driven = any(noise.driven for noise in self.noises)

    def prepare(self, parameters: Parameters, dt: float, nodes: tuple[float, ...]) -> Constants:
        """Compute once a chunk what does not change within it."""
        words = tuple(tf.unstack(parameters.drives.seed))
        keys = [noise.keys((words[0], words[1])) for noise in self.noises]
        return self.dynamics.prepare(parameters, dt, nodes)._replace(noise=keys)

    def arrive(self, carry: Carry, step: Tensor, given: Tensor, constants: Constants) -> Context:
        """Compute what holds for all nodes of a step, the increments of the noise among it."""
        context = self.dynamics.arrive(carry, step, given, constants)
        pairs = zip(self.noises, constants.noise, strict=True)
        return context._replace(increments=[noise.drawn(step, keys) for noise, keys in pairs])

    def increments(self, flow: FlowState, context: Context) -> FlowState:
        """Return what the diffusion of every block is multiplied by in a step.

        That is the increment of the noise of a state with one noise; 1 for one with several, whose
        diffusion is the sum of their factors times their increments.

        Args:
            flow: The flow state at the step's start.
            context: What `arrive` returned.
        """
        states = self.dynamics.states(flow)

        def of(k: int, state: str, row: Tensor) -> Tensor:
            used = (*self.noises[k].factors.get(state, ()),)
            if len(used) > 1:
                return tf.ones_like(row)
            return in_each_row(context.increments[k][used[0]], row) if used else tf.zeros_like(row)

        return self._blocks(flow, states, of)

    def field(
        self,
        node: int,
        t: object,
        flow: FlowState,
        drive: Tensor,
        context: Context,
        constants: Constants,
    ) -> FlowState:
        """Return the diffusion of every block; 0 for what is held or clamped.

        What cells get from each other is constant under differentiation.
        """
        dynamics = self.dynamics
        states = dynamics.states_at_node(flow, drive, context, constants, local=True)
        scopes = self._scopes(node, states, drive, context, constants)
        clamps = dynamics.drives.clamps

        def of(k: int, state: str, row: Tensor) -> Tensor:
            factors = self.noises[k].factors.get(state, {})
            value = tf.zeros_like(row)
            for rank, (name, tree) in enumerate(factors.items()):
                factor = spread(cast(scopes[k](tree), row.dtype), row.shape)
                if len(factors) > 1:
                    factor = factor * in_each_row(context.increments[k][name], row)
                value = factor if rank == 0 else value + factor
            if state == MEMBRANE:
                value = clamps.still(k, value, context.drives, constants.drives)
            return dynamics.spiking[k].stopped((state,), [value], context.waiting)[0]

        return self._blocks(flow, states, of)

    def _blocks(self, flow: FlowState, states: list[States], of: RowOf) -> FlowState:
        """Return blocks of a row for each state of each population; 0 for single synapses."""
        blocks = []
        for k, layout in enumerate(self.dynamics.layouts):
            if layout.states:
                blocks.append(stacked([of(k, name, states[k][name]) for name in layout.states]))
        return (*blocks, *map(tf.zeros_like, flow[len(blocks) :]))

    def _scopes(
        self,
        node: int,
        states: list[States],
        drive: Tensor,
        context: Context,
        constants: Constants,
    ) -> list[Scope]:
        """Return what evaluates factors; sums over synapses only where one depends on them."""
        dynamics = self.dynamics
        if self.driven:
            sums = dynamics.sums(states, context, node, constants)
            sums = tf.nest.map_structure(tf.stop_gradient, sums)
            return dynamics.scopes(states, sums, drive, context, constants)
        time = dynamics.drives.time(drive)
        return [dynamics.scope(k, own, time, constants) for k, own in enumerate(states)]
