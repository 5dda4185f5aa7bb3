"""Stopping: whether the condition of a run holds at the end of a step."""

from typing import TYPE_CHECKING

import tensorflow as tf

from somaflow.compiler.lower import TensorAlgebra, unit_factor
from somaflow.compiler.recordings import Frame
from somaflow.compiler.states import Constants
from somaflow.equations.expression import Name, evaluate
from somaflow.errors import RunError
from somaflow.network.ending import Ending, Reduced
from somaflow.network.recorder import SPIKES
from somaflow.numerics.types import Tensor
from somaflow.simulation.system import Carry, Inputs

if TYPE_CHECKING:
    from somaflow.compiler.step import NetworkDynamics

_REDUCE = {
    "any": tf.reduce_any,
    "all": tf.reduce_all,
    "mean": tf.reduce_mean,
    "sum": tf.reduce_sum,
    "max": tf.reduce_max,
    "min": tf.reduce_min,
}


class Stopping:
    """The condition of `until=` as a function of tensors.

    Args:
        dynamics: The functions of the network.
        ending: The condition.

    Raises:
        RunError: The run has a batch.
    """

    def __init__(self, dynamics: "NetworkDynamics", ending: Ending) -> None:
        if dynamics.tables.batch:
            raise RunError(
                "until= ends a run at one step, and this one is a batch, whose rows would end at "
                "different ones: run them one by one, or leave until out."
            )
        self._dynamics, self._ending = dynamics, ending

    def holds(
        self, carry: Carry, since: Tensor, step: Tensor, drive: Inputs, constants: Constants
    ) -> Tensor:
        """Tell whether it holds, as a bool scalar.

        Args:
            carry: The state at a step's end.
            since: The crossings of the step.
            step: Steps made before that moment.
            drive: The inputs there.
            constants: What is computed once a chunk.
        """
        frame = Frame(self._dynamics, carry, step, drive, constants)
        # In float64, so that a time is told from its neighbours in a run of float32 too.
        known = {"t": tf.cast(step, tf.float64) * self._dynamics.dt}
        for name, part in self._ending.parts.items():
            known[name] = self._number(part, frame, since, known["t"])

        def lookup(name: str) -> Tensor:
            return known[name] if name in known else unit_factor(name)

        return tf.convert_to_tensor(evaluate(self._ending.condition, TensorAlgebra(lookup)))

    def _number(self, part: Reduced, frame: Frame, since: Tensor, time: Tensor) -> Tensor:
        """Return one number of the cells of a population, float64."""
        k = self._dynamics.tables.place[part.population]
        layouts, own = self._dynamics.layouts, self._dynamics.populations[k].equations
        layout = layouts[k]

        def lookup(name: str) -> Tensor:
            if name == "t":
                return time
            place = self._dynamics.tables.place.get(f"{part.population}.{name}")
            if place is None and name == SPIKES and SPIKES not in own.dimensions():
                place = k
            if place is not None:
                start = layouts[place].start
                return tf.cast(since[start : start + layout.padded] > 0, tf.float64)
            value = frame.scopes[k](Name(name))
            return tf.cast(value, tf.float64) if tf.is_tensor(value) else value

        value = evaluate(part.node, TensorAlgebra(lookup))
        if not tf.is_tensor(value):
            value = tf.constant(value)
        cells = tf.broadcast_to(value, (layout.padded,))[: layout.size]
        return tf.cast(_REDUCE[part.function](cells), tf.float64)
