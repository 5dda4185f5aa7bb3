"""Graded synapses: their states are rows of the presynaptic block, which the solver integrates."""

from collections.abc import Callable
from typing import NamedTuple, TypeGuard

import numpy as np
import tensorflow as tf

from somaflow.compiler.coupling import (
    AnyCoupling,
    Effect,
    Group,
    Location,
    Route,
    Spikes,
    multiplied,
    ports,
)
from somaflow.compiler.moved import Moved
from somaflow.compiler.single import GeneralConstants
from somaflow.compiler.states import States, Tensors, Tick
from somaflow.compiler.wiring import Wiring
from somaflow.equations.affine import chord_in
from somaflow.equations.expression import Node, render
from somaflow.network.graded import Graded
from somaflow.numerics.device import cast
from somaflow.numerics.functions import exprel
from somaflow.numerics.types import Tensor
from somaflow.simulation.system import Array


class GradedState(NamedTuple):
    """What graded synapses with transmitter pulses keep from step to step.

    Attributes:
        remaining: How much longer the pulse of each presynaptic cell lasts, in ms.
    """

    remaining: Tensor


class GradedConstants(NamedTuple):
    """What graded synapses have for a chunk.

    Attributes:
        arrays: Of the wiring.
        table: Numbers of the equations, by name.
        fixed: Sums that nothing changes, by the place of their term.
        duration: Length of a transmitter pulse in ms; None where there are none.
        moved: What is needed where spikes move states; None where they do not.
    """

    arrays: Tensors
    table: Tensors
    fixed: dict[int, Tensor]
    duration: Tensor | None
    moved: GeneralConstants | None


class GradedContext(NamedTuple):
    """The transmitter pulses of a step.

    Attributes:
        covered: The part of the step that each cell's pulse covers.
        remaining: How much longer it lasts at the step's end, in ms.
    """

    covered: Tensor
    remaining: Tensor


class GradedCoupling:
    """A group of graded synapses.

    A transmitter pulse is seen by the solver as the part of each step that it covers, so that the
    integral of the transmitter is right; the part in the spike's own step is added at its end.

    Args:
        group: The group.
        wiring: Its synapses.
        dtype: NumPy type of the run.
    """

    wired, began, places, each, follows, flowing, ordered = "", "", (), False, True, (), None

    def __init__(self, group: Group, wiring: Wiring, dtype: np.dtype) -> None:
        self.group, self.wiring, self.dtype = group, wiring, dtype
        form = group.form
        assert isinstance(form, Graded)
        self.form = form
        several = len(form.rows) > 1
        self.names = {s: f"{group.key} {s}" if several else group.key for s in form.rows}
        # Where no presynaptic cell is here, others have them.
        rows = form.rows if group.here != 0 else ()
        self.rows = {self.names[state]: group.initial[state] for state in rows}
        equations = group.lowered.equations
        self.rates = {
            state: chord_in(state, equations.states[state].expression, equations.definitions)[0]
            for state in form.rows
        }
        self.moved = None
        if form.on_spike:
            # What is told from share to share is summed once it is told.
            n_cells = wiring.n_pre if group.here is None else group.here
            width = wiring.width if group.here is None else n_cells
            self.moved = Moved(group, form, n_cells, width, dtype)

    def check(self, parameters: dict[str, Array], dt: float) -> None:
        """Refuse numbers without a closed form where one is needed.

        Raises:
            NetworkError: There are such.
        """
        if self.moved is not None:
            self.moved.check(parameters, dt)

    def initial(self, batch: tuple[int, ...]) -> GradedState | None:
        """Return how much longer each cell's pulse lasts, if there are pulses."""
        if self.form.duration is None or self.group.here == 0:
            return None
        n_cells = self.wiring.n_pre if self.group.here is None else self.group.here
        return GradedState(np.zeros((*batch, n_cells), self.dtype))

    def prepare(
        self, arrays: Tensors, table: Tensors, dt: float, nodes: tuple[float, ...]
    ) -> GradedConstants:
        """Evaluate what depends on parameters alone, and sums that nothing changes."""
        lowered = self.group.lowered
        numbers = lowered.prepare(table)
        value = lowered.scope(numbers, {})
        fixed = {}
        for k, (pre, _) in enumerate(self.form.terms):
            if not self._changes(pre):
                factor = cast(value(pre), self.dtype) * tf.ones([self.wiring.n_pre], self.dtype)
                fixed[k] = self.wiring.sum(arrays, factor)
        duration = None
        if self.form.duration is not None:
            duration = cast(value(self.form.duration), self.dtype)
        moved = None if self.moved is None else self.moved.prepare(arrays, numbers)
        return GradedConstants(arrays, numbers, fixed, duration, moved)

    def _changes(self, pre: Node) -> bool:
        equations = self.group.lowered.equations
        return bool(equations.depends(pre) & {*equations.states, *equations.inputs})

    def arrive(
        self, event: GradedState | None, tick: Tick, prepared: GradedConstants
    ) -> GradedContext | None:
        """Return the part of the step that each cell's pulse covers."""
        if event is None:
            return None
        covered = tf.minimum(event.remaining, tick.dt) / tick.dt
        return GradedContext(covered, tf.maximum(event.remaining - tick.dt, 0))

    def _scope(
        self, states: States, pulse: Tensor, prepared: GradedConstants
    ) -> Callable[[Node], Tensor]:
        lowered = self.group.lowered
        values = ports(lowered, states, "_pre")
        values |= {state: states[row] for state, row in self.names.items()}
        return lowered.scope(prepared.table, values, {"pulse": lambda _: pulse})

    def sums(
        self, states: States, context: GradedContext | None, node: int, prepared: GradedConstants
    ) -> list[Tensor]:
        """Return the sum of each term over the synapses of each postsynaptic cell."""
        return self.summed(self.shown(states, prepared), prepared)

    @property
    def texts(self) -> dict[str, Node]:
        """What presynaptic cells give that changes within a step, by its text."""
        return {render(pre): pre for pre, _ in self.form.terms if self._changes(pre)}

    def shown(self, states: States, prepared: GradedConstants) -> Tensors:
        """Return what presynaptic cells give, by its text."""
        value = self._scope(states, 0.0, prepared)
        like = next(iter(states.values()))
        return {
            text: tf.broadcast_to(cast(value(pre), like.dtype), like.shape)
            for text, pre in self.texts.items()
        }

    def summed(self, shown: Tensors, prepared: GradedConstants) -> list[Tensor]:
        """Return the sum of each term, given what all presynaptic cells give."""
        sums = {text: self.wiring.sum(prepared.arrays, x) for text, x in shown.items()}
        terms = enumerate(pre for pre, _ in self.form.terms)
        return [prepared.fixed[k] if k in prepared.fixed else sums[render(pre)] for k, pre in terms]

    def current(
        self,
        route: Route,
        owner: States,
        sums: list[Tensor],
        table: Tensors,
        of: tuple[Node, ...] | None = None,
    ) -> Tensor | None:
        """Return the outward current of a route."""
        return multiplied(route, owner, sums, table, of)

    def slopes(
        self, states: States, context: GradedContext | None, prepared: GradedConstants
    ) -> States:
        """Return the derivative of each row."""
        covered = 0.0 if context is None else context.covered
        value = self._scope(states, covered, prepared)
        derivative = self.group.lowered.derivative
        return {row: value(derivative(state)) for state, row in self.names.items()}

    def emit(
        self,
        event: GradedState | None,
        context: GradedContext | None,
        spikes: Spikes,
        tick: Tick,
        prepared: GradedConstants,
    ) -> Effect[GradedState | None, list[Tensor]] | None:
        """Begin the pulses of the cells whose spikes arrive, or move states, at the crossing."""
        since, duration = spikes.pre, prepared.duration
        if self.moved is not None:

            def total(part: Tensor) -> Tensor:
                return self.wiring.sum(prepared.arrays, part)

            rows, charge = self.moved_by(spikes, tick, prepared, total)
            return Effect(event, charge, rows, {})
        if context is None or duration is None:
            return None
        hit = since > 0
        states = spikes.states[self.group.source]
        derivative = self.group.lowered.derivative
        left = tf.maximum(duration - since, 0)
        remaining = tf.where(hit, left, context.remaining)
        within = tf.minimum(since, duration)
        new = self._scope(states, 1.0, prepared)
        old = self._scope(states, context.covered, prepared)
        rows = {}
        for state, row in self.names.items():
            # The pulse adds d, with dd/dt = rate*d + more, to what the flow has found without it.
            more = new(derivative(state)) - old(derivative(state))
            grown = within * exprel(tf.minimum(within * new(self.rates[state]), 0)) * more
            rows[row] = states[row] + tf.where(hit, grown, tf.zeros_like(since))
        return Effect(GradedState(remaining), None, rows, {})

    def moved_by(
        self,
        spikes: Spikes,
        tick: Tick,
        prepared: GradedConstants,
        total: Callable[[Tensor], Tensor],
    ) -> tuple[States, list[Tensor]]:
        """Return rows that spikes have moved, and what they have changed in each term's integral.

        Args:
            spikes: They.
            tick: The step.
            prepared: What `prepare` returned.
            total: What is made of the change of each term, of presynaptic cells.
        """
        assert self.moved is not None and prepared.moved is not None
        source, numbers = self.group.source, prepared.moved
        old, new = spikes.earlier[source], spikes.states[source]
        ends, charge = self.moved.by(spikes.pre, old, new, self.names, tick, numbers, total)
        return {self.names[state]: value for state, value in ends.items()}, charge

    def charged(
        self, rows: States, changes: list[Tensor], prepared: GradedConstants
    ) -> Effect[None, list[Tensor]]:
        """Return what spikes have done, given the change in each term of all presynaptic cells."""
        some = tf.reduce_any(tf.stack(changes) != 0)
        charge = [self.wiring.sum(prepared.arrays, change) for change in changes]
        return Effect(None, charge, rows, {}, some=some)

    def variable(self, name: str, route: Route) -> Location[GradedState | None]:
        """Return what reads a state, which each presynaptic cell has once."""
        return Location("pre", lambda _, states: states[self.names[name]])


def follows_cells(coupling: AnyCoupling) -> TypeGuard[GradedCoupling]:
    """Tell whether sums follow the presynaptic cells' block; then a coupling has what this has."""
    return coupling.follows and not coupling.each
