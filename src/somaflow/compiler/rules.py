"""Rules at intervals: what is done to cells and synapses behind all else in a step."""

from collections.abc import Callable

import tensorflow as tf

from somaflow.compiler.drives import CONDITION
from somaflow.compiler.followers import Follower, Scope, StepEnd, Text
from somaflow.compiler.general import GeneralCoupling
from somaflow.compiler.jump import NetworkJump
from somaflow.compiler.plastic import PlasticCoupling
from somaflow.compiler.ruled import GeneralSynapses, PlasticSynapses
from somaflow.compiler.states import Constants, Context, States, Tensors
from somaflow.compiler.step import FlowState, NetworkDynamics
from somaflow.equations.statements import CELL
from somaflow.numerics.device import following
from somaflow.numerics.rows import stacked
from somaflow.numerics.types import Tensor
from somaflow.simulation.system import Array, Carry, Jump

# What follows the rules of each form; no other form has any.
_KINDS: dict[type, Callable[..., Follower]] = {
    PlasticCoupling: PlasticSynapses,
    GeneralCoupling: GeneralSynapses,
}


class Rules:
    """What is done at intervals, closed over the functions of a network.

    Args:
        dynamics: They.

    Attributes:
        jump: What comes before in a step.
        followers: Populations with rules, then projections with rules, as the network has them.
    """

    def __init__(self, dynamics: NetworkDynamics) -> None:
        self.jump = NetworkJump(dynamics)
        self.followers: list[Follower] = [
            Cells(dynamics, k)
            for k, population in enumerate(dynamics.populations)
            if population.equations.rules
        ]
        self.followers += [
            _KINDS[type(coupling)](dynamics, c, coupling)
            for c, coupling in enumerate(dynamics.couplings)
            if coupling.group.lowered.equations.rules
        ]

    def parameters(self) -> list[dict[str, Array]]:
        """Return what each text needs, as arguments of the compiled functions."""
        return [{"steps": f.text.steps, **f.arrays} for f in self.followers]

    def at_end(
        self, before: Carry, flow: FlowState, context: Context, constants: Constants
    ) -> Jump:
        """Do all that is done at a step's end, and then what is due by its interval."""
        jump = self.jump.at_end(before, flow, context, constants)
        moment = StepEnd(jump.flow, jump.event, context, constants, {})
        made = tf.cast(context.tick.step, tf.int64) + 1
        for follower, arrays in zip(self.followers, constants.rules, strict=True):
            for rule in range(len(follower.text.rules)):
                moment = moment._replace(arrays=arrays)
                due = tf.equal(made % arrays["steps"][rule], 0)
                parts = _where_due(due, follower.taken(moment), _once(follower, rule, moment))
                moment = follower.put(moment, parts)
        return jump._replace(flow=moment.flow, event=moment.event)


def _once(follower: Follower, rule: int, moment: StepEnd) -> Callable[[Tensors], Tensors]:
    return lambda parts: follower.followed(rule, parts, moment)


def _where_due(due: Tensor, parts: Tensors, once: Callable[[Tensors], Tensors]) -> Tensors:
    """Return parts after a rule that is followed once, or not at all.

    A loop keeps what it does not change where it is. A branch of a condition returns a copy, which
    would be one of all synapses in each step.
    """
    times = tf.cast(due, tf.int32)

    def follow(k: Tensor, parts: Tensors) -> tuple[Tensor, Tensors]:
        after = once(parts)
        return following(k, [*after.values()]), after

    return tf.while_loop(lambda k, _: k < times, follow, (tf.constant(0), parts))[1]


class Cells:
    """The rules of a population.

    Args:
        dynamics: The functions of the network.
        k: The population's place.
    """

    def __init__(self, dynamics: NetworkDynamics, k: int) -> None:
        population = dynamics.populations[k]
        self._whole, self._k = dynamics, k
        self._block = sum(bool(layout.states) for layout in dynamics.layouts[:k])
        self.text = Text(
            population.equations,
            population.name,
            f"population {population.name!r}",
            CONDITION,
            dynamics.dt,
            dynamics.tables.dtype,
        )
        self.arrays: dict[str, Array] = {}

    def taken(self, moment: StepEnd) -> Tensors:
        """Return the block of the cells."""
        return {"": moment.flow[self._block]}

    def put(self, moment: StepEnd, parts: Tensors) -> StepEnd:
        """Return the moment with another block of the cells."""
        return moment.with_block(self._block, parts[""])

    def followed(self, rule: int, parts: Tensors, moment: StepEnd) -> Tensors:
        """Return the block after a rule; a clamped membrane stays at its command."""
        k, drives, context = self._k, self._whole.drives, moment.context
        layout = self._whole.layouts[k]
        index = tf.range(layout.padded)
        known = self.text.drawn(rule, moment.seed, context.tick.step, index)
        if self.text.counted:
            known[CELL] = tf.cast(index, self.text.dtype)

        def scope(values: Tensors) -> Scope:
            return self._whole.scope(k, {**values}, moment.time, moment.constants)

        own = self.text.followed(rule, layout.unpack(parts[""]), known, scope)
        states: list[States] = self._whole.states(moment.flow)
        states[k] = {**own}
        states = drives.clamps.at_end(states, context.drives, moment.constants.drives)
        return {"": stacked([states[k][state] for state in layout.states])}
