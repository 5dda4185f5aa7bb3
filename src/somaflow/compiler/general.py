"""General synapses: each synapse has all its states for itself, as its equations say.

States with closed forms are kept with the events. The others are a block of the flow state, which
the solver integrates with the cells at its own nodes; so between spikes they have its order. What
spikes do to them within a step is second order, as spike times are (`walk`).
"""

from collections.abc import Callable, Sequence
from typing import TypeGuard

import numpy as np
import tensorflow as tf

from somaflow.compiler.coupling import (
    AnyCoupling,
    Effect,
    Group,
    Location,
    Route,
    Spikes,
)
from somaflow.compiler.each import Each
from somaflow.compiler.history import of_cells
from somaflow.compiler.linear import Linear
from somaflow.compiler.single import (
    GeneralCharge,
    GeneralConstants,
    GeneralContext,
    GeneralState,
    GeneralSums,
)
from somaflow.compiler.states import Coefficients, States, Tensors, Tick, fractions
from somaflow.compiler.walk import Walk, Way
from somaflow.equations.affine import ONE, AffineAlgebra
from somaflow.equations.equations import Assignment
from somaflow.equations.expression import Name, Node, Number, evaluate, renamed
from somaflow.errors import EquationError, NetworkError
from somaflow.network.general import General
from somaflow.network.random import named
from somaflow.numerics.device import cast, materialize
from somaflow.numerics.random import Key, derive, fraction_of
from somaflow.numerics.types import Tensor
from somaflow.simulation.system import Array

_DRIFT = ""  # in place of a state: what grows from nothing
RELEASE = 5  # stream of `rand()` in what spikes do; drives.py has the numbers before


class GeneralCoupling:
    """One projection of general synapses.

    Args:
        group: The group, of one projection.
        each: Its synapses.
        dt: The step in ms.
        dtype: NumPy type of the run.
    """

    rows: dict[str, float] = {}  # noqa: RUF012 - never changed
    each, follows, places, ordered = True, True, (), None
    unseen = ("wired", "began", "longest")

    def __init__(self, group: Group, each: Each, dt: float, dtype: np.dtype) -> None:
        self.group, self.wiring, self.dtype = group, each, dtype
        form = group.form
        assert isinstance(form, General)
        self.form, self.name = form, group.routes[0].projection
        self.wired, self.longest, self.size = each.wired, each.longest, each.size
        self.began = each.began
        self.flowing = tuple((group.key, state) for state in form.flowing)
        equations = group.lowered.equations
        self.linear = Linear(equations, form.closed)
        self.constant = {s for s in form.closed if self.linear.parts.constant(s)}

        def stepped(assignments: tuple[Assignment, ...]) -> tuple[Assignment, ...]:
            def change(name: Name) -> Node:
                return Number(dt) if name.name == "dt" else name

            return tuple(Assignment(a.name, renamed(a.expression, change)) for a in assignments)

        self.on_spike, self.on_post_spike = map(stepped, (form.on_spike, form.on_post_spike))
        self.added, self.replaced = self._split()

    def _split(self) -> tuple[dict[str, tuple[Node | None, ...]], tuple[str, ...]]:
        """Tell variables of the cell that spikes only add to from those that they assign to.

        Returns:
            What each assignment adds, None for one to a state of the synapse, by the name of the
            variable; and the variables that are assigned to otherwise.
        """
        states = self.group.lowered.equations.states
        added: dict[str, tuple[Node | None, ...]] = {}
        replaced = []
        for name in dict.fromkeys(a.name for a in self.on_spike if a.name not in states):
            parts: list[Node | None] = []
            for assignment in self.on_spike:
                if assignment.name != name:
                    parts.append(None)
                    continue
                try:
                    slope, rest = evaluate(assignment.expression, AffineAlgebra(name))
                except EquationError:
                    slope = rest = None
                if slope != ONE:
                    replaced.append(name)
                    break
                parts.append(rest)
            else:
                added[name] = tuple(parts)
        return added, tuple(replaced)

    def check(self, parameters: dict[str, Array], dt: float) -> None:
        """Refuse numbers without a closed form, and set how far the closed forms have to reach.

        Raises:
            NetworkError: A rate is not finite, or a definition of numbers alone.
        """
        prepared = self.group.lowered.prepare({n: tf.constant(v) for n, v in parameters.items()})
        for name in self.group.lowered.equations.definitions:
            if name in prepared and not np.all(np.isfinite(np.asarray(prepared[name]))):
                raise NetworkError(f"{self.group.place}: {name} is not finite for some synapse.")
        values = self._coefficients(prepared)
        numbers = [(state, value, True) for (state, _), value in values.matrix.items()]
        numbers += [(state, value, False) for state, value in values.offsets.items()]
        for state, value, is_rate in numbers:
            zero = self.linear.diagonal and is_rate and state in values.offsets
            if not np.all(np.isfinite(value)) or (zero and np.any(np.equal(value, 0))):
                raise NetworkError(
                    f"{self.group.place}: d{state}/dt has a rate that is not finite, or 0; are "
                    "the time constants greater than 0 and finite?"
                )
        self.linear.reach(values, dt)

    def _coefficients(self, table: Tensors) -> Coefficients:
        value = self.group.lowered.scope(table, {})
        return self.linear.values(lambda node: cast(value(node), self.dtype))

    def keys(self, seed_words: Sequence[Tensor]) -> Key | None:
        """Return the keys of what is drawn, `[n_calls, 1]`; None where nothing is."""
        if not self.form.draws:
            return None
        numbers = np.array([*self.form.draws.values()], np.uint32)[:, None]
        low, high = seed_words
        return derive((low, high), (RELEASE, *named(self.name), numbers))

    def drawn(self, step: Tensor, prepared: GeneralConstants) -> Tensors:
        """Return what is drawn in a step: for each call a number for each synapse, `[size]`."""
        if prepared.keys is None:
            return {}
        numbers = fraction_of(prepared.keys, step, tf.range(self.wiring.size), self.dtype)
        return dict(zip(self.form.draws, tf.unstack(materialize(numbers)), strict=True))

    # ----------------------------------------------------------------------- a step

    def initial(self, batch: tuple[int, ...]) -> GeneralState:
        """Return the states at step 0; `flow` holds those that the solver integrates."""
        start, shape = self.wiring.start, (*batch, self.wiring.size)

        def of(states: tuple[str, ...]) -> Tensors:
            return {s: np.broadcast_to(start[s], shape).astype(self.dtype) for s in states}

        remaining = () if self.form.duration is None else np.zeros(shape, self.dtype)
        return GeneralState(of(self.form.closed), of(self.form.flowing), remaining)

    def prepare(
        self, arrays: Tensors, table: Tensors, dt: float, nodes: tuple[float, ...]
    ) -> GeneralConstants:
        """Evaluate the coefficients, and the way of closed states to each node."""
        numbers = self.group.lowered.prepare(table)
        values = self._coefficients(numbers)
        like = tf.zeros([self.wiring.size], self.dtype)
        moving = [s for s in self.linear.states if s not in self.constant]
        ways: dict[str, dict[str, list[Tensor]]] = {row: {} for row in moving}
        homogeneous = values.homogeneous
        for column in self.linear.states if moving else ():
            unit = {s: like + float(s == column) for s in self.linear.states}
            moved = [self.linear.advance(homogeneous, unit, c * dt) for c in fractions(nodes)]
            for row in moving:
                if self.linear.parts.reaches(column, row):
                    ways[row][column] = [part[row] for part in moved]
        if values.offsets:
            nothing = dict.fromkeys(self.linear.states, like)
            moved = [self.linear.advance(values, nothing, c * dt) for c in fractions(nodes)]
            for row in moving:
                ways[row][_DRIFT] = [part[row] for part in moved]
        duration = None
        if self.form.duration is not None:
            value = self.group.lowered.scope(numbers, {})
            duration = like + cast(value(self.form.duration), self.dtype)
        return GeneralConstants(arrays, numbers, values, ways, duration, None)

    def arrive(self, event: GeneralState, tick: Tick, prepared: GeneralConstants) -> GeneralContext:
        """Return the closed states at each node, and the part of the step that pulses cover."""
        start = event.own
        places = {0.0: start}
        for k, c in enumerate(tick.fractions):
            states = dict(start)
            for state, ways in prepared.ways.items():
                terms = [
                    way[k] if column == _DRIFT else way[k] * start[column]
                    for column, way in ways.items()
                ]
                states[state] = materialize(sum(terms[1:], terms[0]))
            places[c] = states
        covered, remaining = None, ()
        if self.form.duration is not None:
            covered = tf.minimum(event.remaining, tick.dt) / tick.dt
            remaining = tf.maximum(event.remaining - tick.dt, 0)
        nodes = [*(places[c] for c in tick.nodes), start]
        return GeneralContext(nodes, places[1.0], covered, remaining)

    def _pre(self, states: States, arrays: Tensors) -> Tensors:
        return self._gathered(states, "_pre", arrays["pre"])

    def _flowing(self, states: States) -> Tensors:
        """Return the states that the solver integrates, by name."""
        return {key[1]: states[key] for key in self.flowing}

    def _gathered(self, states: States, side: str, cells: Tensor) -> Tensors:
        """Return the inputs of each synapse that its cells on a side give, or gave earlier."""

        def of(name: str) -> Tensor:
            earlier = states.get((self.group.key, name))
            if earlier is not None:
                return earlier
            return tf.gather(states[name.removesuffix(side)], cells, axis=-1)

        names = self.group.lowered.equations.inputs
        return {name: of(name) for name in names if name.endswith(side)}

    def given(self, source: States, target: States, arrays: Tensors) -> Tensors:
        """Return what each synapse reads of its cells, and its states that the solver integrates.

        Args:
            source: The states of the presynaptic population, among which the latter are.
            target: Those of the postsynaptic one.
            arrays: The arrays of the synapses.
        """
        post = self._gathered(target, "_post", arrays["post"])
        return self._pre(source, arrays) | post | self._flowing(source)

    def sums(
        self, states: States, context: GeneralContext, node: int, prepared: GeneralConstants
    ) -> GeneralSums | GeneralCharge:
        """Return what the synapses have at a node of the step, but for what the target gives."""
        values = self._pre(states, prepared.arrays) | context.nodes[node]
        values |= self._flowing(states)
        pulse = tf.zeros([], self.dtype) if context.covered is None else context.covered
        return GeneralSums(values, pulse, prepared.arrays)

    def current(
        self,
        route: Route,
        owner: States,
        sums: GeneralSums | GeneralCharge,
        table: Tensors,
        of: tuple[Node, ...] | None = None,
    ) -> Tensor | None:
        """Return the outward current of all synapses of each cell, or what they let out later."""
        if not route.post:
            return None
        node, arrays = (route.post if of is None else of)[0], sums.arrays
        post = self._gathered(owner, "_post", arrays["post"])

        def flowed(values: Tensors, pulse: Tensor) -> Tensor:
            value = self.group.lowered.scope(table, {**values, **post}, {"pulse": lambda _: pulse})
            like = tf.zeros([self.wiring.size], self.dtype)
            return cast(value(node), self.dtype) + like

        if isinstance(sums, GeneralSums):
            return self.wiring.sum(arrays, flowed(sums.values, sums.pulse))
        total = None
        for weight, there, without in sums.gains().points:
            part = weight * (flowed(*there) - flowed(*without))
            total = part if total is None else total + part
        return self.wiring.sum(arrays, total)

    def slopes(self, states: States, context: GeneralContext, prepared: GeneralConstants) -> States:
        """Return nothing: no state is a row of the presynaptic population's block."""
        return {}

    def flow(
        self, own: States, owner: States, sums: GeneralSums, prepared: GeneralConstants
    ) -> Tensor:
        """Return the derivative of the block of states that the solver integrates.

        Args:
            own: The states of the source, among which those of the block are.
            owner: The states of the postsynaptic cells.
            sums: What `sums` returned.
            prepared: What `prepare` returned.
        """
        post = self._gathered(owner, "_post", prepared.arrays["post"])
        values = {**sums.values, **self._flowing(own), **post}
        return tf.stack(self.derivatives(values, sums.pulse, prepared))

    def derivatives(
        self, values: Tensors, pulse: Tensor, prepared: GeneralConstants
    ) -> list[Tensor]:
        """Return the derivative of each state that the solver integrates, `[..., size]`."""
        lowered = self.group.lowered
        value = lowered.scope(prepared.table, values, {"pulse": lambda _: pulse})
        slopes = []
        for state in self.form.flowing:
            slope = cast(value(lowered.derivative(state)), self.dtype)
            slopes.append(tf.broadcast_to(slope, values[state].shape))
        return slopes

    # ----------------------------------------------------------------------- spikes

    def arriving(
        self,
        sent: Tensor,
        history: Tensor | None,
        step: Tensor,
        begun: Tensor | None,
        arrays: Tensors,
    ) -> Tensor:
        """Return the presynaptic spikes that arrive at each synapse in a step, `[..., size]`.

        Args:
            sent: The spikes of the population that arrive in this step, or with delays that differ
                those of this step.
            history: Its last spikes, `[n_steps, ..., n_cells]`; None where delays do not differ.
            step: The number of steps made before.
            begun: The step from which on spikes arrive, or None.
            arrays: The arrays of the synapses.
        """
        now = tf.gather(sent, arrays["pre"], axis=-1)
        if not self.wiring.varied or history is None:
            return now
        delay = tf.cast(arrays["delay"], step.dtype)
        arriving = of_cells(history, step - delay, arrays["pre"], begun)
        return tf.where(delay > 0, arriving, now)

    def emit(
        self,
        event: GeneralState,
        context: GeneralContext,
        spikes: Spikes,
        tick: Tick,
        prepared: GeneralConstants,
    ) -> Effect[GeneralState, GeneralSums | GeneralCharge] | None:
        """Do what the spikes of both sides do, in the order of time."""
        source, target = self.group.source, self.group.routes[0].target
        pre = spikes.pre if self.form.waits else None
        post = spikes.post if self.on_post_spike else None
        masks = [since > 0 for since in (pre, post) if since is not None]
        old, new = spikes.earlier[source], spikes.states[source]
        end, flow = dict(context.end), self._flowing(new)
        if not masks:
            return Effect(GeneralState(end, {}, context.remaining), None, {}, {})
        arrays = prepared.arrays

        def cells(of: list[States]) -> Tensors:
            given = self._gathered(of[target], "_post", arrays["post"])
            return self._pre(of[source], arrays) | given

        way = Way(
            event.own,
            self._flowing(old),
            flow,
            cells(spikes.earlier),
            cells(spikes.states),
            context.covered,
        )
        walk = Walk(self, way, pre, post, tick, prepared)
        hit = tf.reduce_any(masks[0])
        for mask in masks[1:]:
            hit = hit | tf.reduce_any(mask)

        def spiked() -> tuple[Tensor, ...]:
            ends = walk.ends(end, flow, context.remaining)
            added = tuple(self.wiring.sum(arrays, size) for size in ends.sizes)
            return ends.closed, ends.flowing, ends.remaining, added

        def quiet() -> tuple[Tensor, ...]:
            shape = [*walk.shape[:-1], self.wiring.width]
            nothing = tuple(tf.zeros(shape, self.dtype) for _ in self.added)
            closed = tuple(end[s] for s in self.form.closed)
            return closed, tuple(flow.values()), context.remaining, nothing

        closed, flowing, remaining, added = tf.cond(hit, spiked, quiet)
        state = GeneralState(dict(zip(self.form.closed, closed, strict=True)), {}, remaining)
        rows: States = dict(zip(self.flowing, flowing, strict=True))
        charge = None if self.form.current is None else GeneralCharge(walk.gains, arrays)
        moves = self._moves(walk, hit) if self.replaced else None
        return Effect(state, charge, rows, dict(zip(self.added, added, strict=True)), moves)

    def _moves(self, walk: Walk, hit: Tensor) -> Callable[[States], Tensors]:
        """Return what makes the assignments to variables of cells, synapse after synapse."""

        def moved(states: States) -> Tensors:
            names = {name: name.removesuffix("_post") for name in self.replaced}
            start = tuple(states[state] for state in names.values())

            def some() -> tuple[Tensor, ...]:
                return walk.replaced(start)

            values = tf.cond(hit, some, lambda: start)
            return dict(zip(names.values(), values, strict=True))

        return moved

    def variable(self, name: str, route: Route) -> Location[GeneralState]:
        """Return where a state of each synapse is found."""
        places = np.arange(self.wiring.count)
        if name in self.form.closed:
            return Location("synapse", lambda event, _: event.own[name], places)
        return Location("synapse", lambda _, states: states[self.group.key, name], places)


def by_itself(coupling: AnyCoupling) -> TypeGuard[GeneralCoupling]:
    """Tell whether a coupling computes each synapse by itself; then it has what this one has."""
    return coupling.each
