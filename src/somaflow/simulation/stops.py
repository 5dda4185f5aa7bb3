"""Stops: a step up to where it needs to be told something of elsewhere.

What is compiled here computes what a step shows at a point, from the state at its start and from
what has been told at the points before. Behind barriers as in a loop, so its bits are those there.
"""

import tensorflow as tf

from somaflow.numerics.device import materialize
from somaflow.numerics.types import Nest, Tensor
from somaflow.simulation.loop import pack, stepper
from somaflow.simulation.system import Carry, Inputs, System
from somaflow.solvers.base import Solver
from somaflow.solvers.stages import Stages

Label = tuple[str, ...]  # who shows something, and what
# How many numbers of each name are shown at a point, and are to be told; None where there is none.
Found = tuple[dict[Label, int], dict[Label, int]] | None


class Untold(Exception):  # noqa: N818 - no error
    """A trace has come to a point of which nothing is told.

    Attributes:
        shown: What is shown there.
        own: How many numbers of it belong to each name, in their order.
        wanted: How many numbers of each name, in this order, are to be told.
    """

    def __init__(self, shown: Tensor, own: dict[Label, int], wanted: dict[Label, int]) -> None:
        super().__init__("nothing is told of this point")
        self.shown, self.own, self.wanted = shown, own, wanted


class Point:
    """A point at which something is shown, as a function to be compiled.

    Args:
        system: The model.
        solver: A fixed-step method.
        dt: The step.
        dtype: The type of the run.
        look: Whether it is where somebody looks at a state, and no point of a step.

    Attributes:
        found: How many numbers of each name are shown here, and are to be told, as `Untold` has
            them; known once it is traced. None where there is no such point.
    """

    def __init__(
        self, system: System, solver: Solver, dt: float, dtype: tf.DType, look: bool
    ) -> None:
        self.system, self.dt, self.dtype = system, dt, dtype
        self.stages = Stages(solver, dt)
        self.step = None if look else stepper(system, solver, dt, self.stages)
        self.found: Found = None

    def __call__(
        self,
        carry: Carry,
        parameters: Nest,
        drive: Inputs,
        first: Tensor,
        start: Tensor,
    ) -> Tensor:
        """Return what is shown, given what a chunk of one step is given; nothing where nothing is.

        Args:
            carry: The state.
            parameters: Those of the model.
            drive: The inputs.
            first: Steps made before.
            start: The time.
        """
        system = self.system
        prepared = system.prepare(parameters, self.dt, self.stages.nodes)
        prepared = tf.nest.map_structure(_stored, prepared)
        unpack = pack(prepared, self.dtype)
        flow, event = tf.nest.map_structure(materialize, (carry.flow, carry.event))
        carry = carry._replace(flow=flow, event=event)
        try:
            if self.step is None:
                at = Inputs(materialize(drive.nodes[0, 0]), materialize(drive.steps[0]))
                system.observe(carry, first, at, unpack())
            else:
                at = Inputs(materialize(drive.nodes[0]), materialize(drive.steps[0]))
                self.step(carry, first, at, materialize(start), unpack())
        except Untold as untold:
            self.found = untold.own, untold.wanted
            return untold.shown
        return tf.zeros([0], self.dtype)


def _stored(leaf: object) -> object:
    """Return what a loop is given from outside of it, which no kernel in it computes again."""
    return materialize(leaf) if isinstance(leaf, tf.Tensor) else leaf
