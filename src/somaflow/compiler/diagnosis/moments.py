"""Moments: a network evaluated outside its compiled loop, at one step and one cell."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from types import EllipsisType

import numpy as np
import tensorflow as tf

from somaflow.compiler.diagnosis.terms import CellEquations
from somaflow.compiler.graded import GradedConstants, GradedContext, follows_cells
from somaflow.compiler.lower import Scope
from somaflow.compiler.states import Constants, States
from somaflow.compiler.step import FlowState, NetworkDynamics
from somaflow.equations.equations import Equations
from somaflow.equations.expression import Name
from somaflow.numerics.types import Tensor
from somaflow.simulation.system import Array, Carry, Inputs

# Where a step is looked at, as fractions of it: the nodes of the classical Runge-Kutta method.
NODES = (0.0, 0.5, 1.0)

Index = tuple[int, ...]


@dataclass(frozen=True)
class FlowRow:
    """A row of a population's block.

    Attributes:
        population: Index of the population.
        block: Index of its block in the flow state.
        row: Index in the block.
        state: Its name in the block.
        name: Such as `PN.v`, for messages.
        gate: The coupling to which it belongs, and the state's name in the synapse; None where it
            is a state of the population's own equations.
    """

    population: int
    block: int
    row: int
    state: str
    name: str
    gate: tuple[int, str] | None

    def equations(self, dynamics: NetworkDynamics) -> tuple[Equations, str]:
        """Return the equations to which it belongs, and its name there."""
        if self.gate is None:
            return dynamics.lowered[self.population].equations, self.state
        coupling, state = self.gate
        return dynamics.couplings[coupling].group.lowered.equations, state


def rows_of(dynamics: NetworkDynamics) -> Iterator[FlowRow]:
    """Iterate over all rows of the flow state."""
    layouts = [(k, layout) for k, layout in enumerate(dynamics.layouts) if layout.states]
    gates = {
        row: (c, state)
        for c, coupling in enumerate(dynamics.couplings)
        if follows_cells(coupling)
        for state, row in coupling.names.items()
    }
    for block, (k, layout) in enumerate(layouts):
        names = dynamics.populations[k].equations.states
        for r, state in enumerate(layout.states):
            gate = None if state in names else gates[state]
            yield FlowRow(k, block, r, state, f"{layout.name}.{state}", gate)


class Moment:
    """One step of a network.

    Args:
        dynamics: The functions of the network.
        constants: What they computed from the parameters, with `NODES`.
        carry: The state at the step's start.
        step: Number of steps made before.
        dt: The step in ms.
    """

    def __init__(
        self, dynamics: NetworkDynamics, constants: Constants, carry: Carry, step: int, dt: float
    ) -> None:
        self.dynamics, self.constants, self.carry, self.step = dynamics, constants, carry, step
        given = dynamics.drives.inputs(np.array([step], np.int64), NODES, dt)
        dtype = dynamics.tables.dtype
        self.drive = Inputs(*(tf.constant(table[0], dtype) for table in given))
        now = tf.constant(step, tf.int64)
        self.context = dynamics.arrive(carry, now, self.drive.steps, constants)


class Stage:
    """A state that is looked at within a step.

    Args:
        moment: The step.
        node: Where in it: index in `NODES`.
        flow: The flow state.
    """

    def __init__(self, moment: Moment, node: int, flow: FlowState) -> None:
        self.moment, self.node, self.flow = moment, node, flow
        self.dynamics, self.constants = moment.dynamics, moment.constants
        self.drive, self.context = moment.drive.nodes[node], moment.context

    @cached_property
    def slopes(self) -> FlowState:
        """The derivative of every block."""
        return self.dynamics.vector_field(
            self.node, None, self.flow, self.drive, self.context, self.constants
        )

    @cached_property
    def states(self) -> list[States]:
        """The states of each population by name."""
        return self.dynamics.states_at_node(self.flow, self.drive, self.context, self.constants)

    @cached_property
    def sums(self) -> list[object]:
        """The sums of each coupling."""
        return self.dynamics.sums(self.states, self.context, self.node, self.constants)

    @cached_property
    def scopes(self) -> list[Scope]:
        """What evaluates the equations of each population."""
        return self.dynamics.scopes(
            self.states, self.sums, self.drive, self.context, self.constants
        )

    def cell(self, row: FlowRow, index: Index) -> CellEquations:
        """Return the equations of a row at one cell.

        Args:
            row: The row.
            index: Place in the batch and the cell.
        """
        k, kind = row.population, self.dynamics.tables.dtype.type
        equations, _ = row.equations(self.dynamics)
        time = {"t": float(self.dynamics.drives.time(self.drive))}
        if row.gate is not None:
            return self._gate(row, index, time)
        scope, table = self.scopes[k], self.constants.cells[k]
        values = {name: self.at(k, self.states[k][name], index) for name in equations.states}
        values |= {name: self.at(k, scope(Name(name)), index) for name in equations.inputs}
        values |= {name: self.at(k, table[name], index) for name in equations.parameters}
        return CellEquations(equations, values | time, kind)

    def _gate(self, row: FlowRow, index: Index, time: dict[str, float]) -> CellEquations:
        assert row.gate is not None
        k, c = row.population, row.gate[0]
        coupling, numbers = self.dynamics.couplings[c], self.constants.sums[c]
        past, equations = self.dynamics.tables.past, coupling.group.lowered.equations
        states = past.given(coupling, numbers, self.states, self.context, self.node)
        pulses = self.context.groups[coupling.group.key]
        # No others have gates of presynaptic cells.
        assert follows_cells(coupling) and isinstance(numbers, GradedConstants)
        values = {state: self.at(k, states[name], index) for state, name in coupling.names.items()}
        for name in equations.inputs:
            if name.endswith("_pre"):
                values[name] = self.at(k, states[name.removesuffix("_pre")], index)
        values |= {name: self.at(k, numbers.table[name], index) for name in equations.parameters}
        pulse = self.at(k, pulses.covered, index) if isinstance(pulses, GradedContext) else 0.0
        return CellEquations(equations, values | time, self.dynamics.tables.dtype.type, pulse)

    def at(self, k: int, value: Tensor, index: Index) -> float:
        """Return what a value is at a cell of a population."""
        shape = (*self.dynamics.tables.batch, self.dynamics.layouts[k].padded)
        return float(np.broadcast_to(np.asarray(value), shape)[index])

    def inward(self, k: int, index: Index) -> list[tuple[str, float, str]]:
        """Return what makes up the inputs of a cell: who, how much, and of which input."""
        drives, parts = self.dynamics.drives, []
        currents = drives.currents(
            self.states, self.drive, self.context.drives, self.constants.drives
        )
        for (target, into, current), table in zip(currents, drives.tables, strict=True):
            stimulus = table.of_cell(index[-1]) if target == k else None
            if stimulus is not None:
                kind = type(stimulus.waveform)
                parts.append((f"the stimulus sf.{kind.__name__}", self.at(k, current, index), into))
        for coupling, sums in zip(self.dynamics.couplings, self.sums, strict=True):
            for route in coupling.group.routes:
                if route.target == k and route.into is not None:
                    table = self.constants.routes[route.projection]
                    outward = coupling.current(route, self.states[k], sums, table)
                    if outward is not None:
                        name = f"the {coupling.group.kind} {route.projection!r}"
                        parts.append((name, -self.at(k, outward, index), route.into))
        return parts


def moved(flow: FlowState, slopes: FlowState, time: float) -> FlowState:
    """Return a flow state after some time along its slopes."""
    return tuple(y + time * slope for y, slope in zip(flow, slopes, strict=True))


def nudged(
    stage: Stage, row: FlowRow, index: Index | EllipsisType, part: float
) -> tuple[FlowState, Array]:
    """Return the flow state with a row of it changed a little, and by how much.

    Args:
        stage: Where it is.
        row: Which row.
        index: Which cell, or `...` for all of them.
        part: By how much of the number.
    """
    blocks = list(stage.flow)
    block: Array = np.array(blocks[row.block])
    was = block[row.row][index].copy()
    block[row.row][index] += part * np.maximum(np.abs(was), 1e-2)
    blocks[row.block] = tf.constant(block)
    return tuple(blocks), block[row.row][index] - was
