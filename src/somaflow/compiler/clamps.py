"""Voltage clamps: cells whose membrane potential follows a command."""

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from somaflow.compiler.columns import Columns, course_of, spread, width_of
from somaflow.compiler.states import DriveConstants, DriveContext, States
from somaflow.network.network import Network
from somaflow.network.stimuli import MEMBRANE, VoltageClamp
from somaflow.network.waveforms import within
from somaflow.numerics.types import Tensor
from somaflow.simulation.system import Array


class _Clamp(NamedTuple):
    """A clamp's population, and its columns in the two tables."""

    unseen = ("clamp",)

    clamp: VoltageClamp
    target: int
    nodes: slice
    window: slice
    end: slice


class Clamps:
    """The voltage clamps of a network.

    Args:
        network: The network.
        nodes: The table of what holds at each node of a step.
        steps: The table of what holds for a whole step.
    """

    def __init__(self, network: Network, nodes: Columns, steps: Columns) -> None:
        place = {p.name: k for k, p in enumerate(network.populations)}
        self.clamps = [
            self._placed(clamp, place[clamp.cells.population.name], nodes, steps)
            for clamp in network.clamps
        ]

    @staticmethod
    def _placed(clamp: VoltageClamp, target: int, nodes: Columns, steps: Columns) -> _Clamp:
        size = clamp.cells.population.size
        width, fill = (
            width_of(clamp.voltage, size),
            # A membrane is at one voltage or at the other: no mean of two commands.
            course_of(clamp.voltage, clamp.cells.cells, size, dt=None),
        )

        def window(times: Array, middle: Array) -> Array:
            return within(clamp, middle)[..., None].astype(np.float64)

        return _Clamp(
            clamp, target, nodes.add(width, fill), steps.add(1, window), steps.add(width, fill)
        )

    def parameters(self) -> list[dict[str, Array]]:
        """Return of each clamp the amplitude of its command, and which cells it holds."""
        numbers = []
        for clamp, *_ in self.clamps:
            cells, size = clamp.cells.cells, clamp.cells.population.size
            amplitude = spread(clamp.voltage.amplitude.value, cells, size)
            numbers.append({"amplitude": amplitude, "held": spread(1.0, cells, size)})
        return numbers

    def at_node(
        self, states: list[States], drive: Tensor, context: DriveContext, prepared: DriveConstants
    ) -> list[States]:
        """Return the states at a node of a step, with the command for what is clamped."""
        return self._held(states, [drive[c.nodes] for c in self.clamps], context, prepared)

    def at_end(
        self, states: list[States], context: DriveContext, prepared: DriveConstants
    ) -> list[States]:
        """Return the same at the step's end."""
        given = context.given
        return self._held(states, [given[c.end] for c in self.clamps], context, prepared)

    def still(
        self, k: int, slope: Tensor, context: DriveContext, prepared: DriveConstants
    ) -> Tensor:
        """Return the derivative of the membrane potentials of a population, 0 where clamped."""
        for clamp, values in zip(self.clamps, prepared.parameters.clamps, strict=True):
            if clamp.target == k:
                mask = values["held"] * context.given[clamp.window] > 0
                slope = tf.where(mask, tf.zeros_like(slope), slope)
        return slope

    def _held(
        self,
        states: list[States],
        courses: list[Tensor],
        context: DriveContext,
        prepared: DriveConstants,
    ) -> list[States]:
        clamped = list(states)
        for clamp, course, values in zip(
            self.clamps, courses, prepared.parameters.clamps, strict=True
        ):
            cells = clamped[clamp.target]
            mask = values["held"] * context.given[clamp.window] > 0
            v = tf.where(mask, values["amplitude"] * course, cells[MEMBRANE])
            clamped[clamp.target] = {**cells, MEMBRANE: v}
        return clamped
