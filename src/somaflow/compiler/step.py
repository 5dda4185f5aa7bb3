"""One step of a network as pure functions of tensors: arrive, flow, threshold, reset, emit."""

import math
from collections.abc import Sequence
from functools import partial

import tensorflow as tf

from somaflow.compiler.arrivals import Arrivals
from somaflow.compiler.coupling import with_definitions
from somaflow.compiler.graded import GradedConstants, follows_cells
from somaflow.compiler.lower import Scope
from somaflow.compiler.recordings import Frame, Recordings
from somaflow.compiler.single import GeneralConstants, GeneralSums
from somaflow.compiler.states import (
    Constants,
    Context,
    Later,
    Parameters,
    States,
    Tensors,
    Tick,
    by_name,
)
from somaflow.compiler.tables import Tables
from somaflow.compiler.told import Told
from somaflow.network.alongside import kept_with
from somaflow.network.recorder import Recorder
from somaflow.network.stimuli import MEMBRANE
from somaflow.numerics.device import cast, in_each_row, spread
from somaflow.numerics.rows import rows_of, stacked
from somaflow.numerics.types import Tensor
from somaflow.simulation.stops import Label
from somaflow.simulation.system import Carry, Inputs

FlowState = tuple[Tensor, ...]  # blocks of populations with states, then of single synapses


class NetworkDynamics:
    """The functions of a system, closed over the tables of a network.

    Args:
        tables: The tables.
        recorders: What to observe.
        start: Steps made before the run.
        reach: dt times the rate at which synapses may pull at a cell.
        behind: Whether refractory cells are put back at the step's end, and not held in it.
    """

    def __init__(
        self,
        tables: Tables,
        recorders: tuple[Recorder, ...],
        start: int = 0,
        reach: float = math.inf,
        behind: bool = False,
    ) -> None:
        self.tables = tables
        self.populations, self.layouts = tables.populations, tables.layouts
        self.couplings, self.lowered = tables.couplings, tables.lowered
        self.spiking, self.dt, self.owners = tables.spiking, tables.dt, tables.owners
        self.drives = tables.drives
        self.recordings = Recordings(tables, recorders, start)
        self.alongside = [kept_with(recorders, p.name) for p in tables.populations]
        self.struck, self.reach, self.behind = tables.struck, reach, behind
        self.arrivals = Arrivals(tables)

    def prepare(self, parameters: Parameters, dt: float, nodes: tuple[float, ...]) -> Constants:
        """Compute once a chunk what does not change within it."""
        pairs = zip(self.lowered, parameters.cells, strict=True)
        cells = [lowered.prepare(values) for lowered, values in pairs]
        routes = {
            route.projection: route.lowered.prepare(parameters.synapses[route.projection])
            for coupling in self.couplings
            for route in coupling.group.routes
        }
        sums: list[object] = [
            coupling.prepare(
                arrays, parameters.synapses[coupling.group.routes[0].projection], dt, nodes
            )
            for coupling, arrays in zip(self.couplings, parameters.sums, strict=True)
        ]
        seed_words = tf.unstack(parameters.drives.seed)
        for c, coupling in self.tables.each:
            numbers = sums[c]
            assert isinstance(numbers, GeneralConstants)
            sums[c] = numbers._replace(keys=coupling.keys(seed_words))
        return Constants(
            cells,
            routes,
            sums,
            self.drives.prepare(parameters.drives),
            [spiking.keys(seed_words) for spiking in self.spiking],
            parameters.refractory,
            parameters.begun,
            parameters.recordings,
            parameters.links,
            nodes,
            rules=parameters.rules,
            heard=parameters.heard,
            seen=parameters.seen,
        )

    def _told(self, vectors: tuple[Tensor, ...]) -> Told | None:
        share = self.tables.share
        alone = share is None or not share.staged
        return None if alone else Told(vectors, tf.as_dtype(self.tables.dtype))

    def arrive(self, carry: Carry, step: Tensor, given: Tensor, constants: Constants) -> Context:
        """Compute what events have opened at each node and at the end, and who is refractory."""
        tick, event = Tick(step, self.dt, constants.nodes), carry.event
        drives = self.drives.arrive(event.noise, tick, given, constants.drives)
        groups = {
            coupling.group.key: coupling.arrive(event.groups.get(coupling.group.key), tick, numbers)
            for coupling, numbers in zip(self.couplings, constants.sums, strict=True)
        }
        pairs = zip(self.spiking, constants.draws, strict=True)
        draws = [spiking.drawn(step, keys) for spiking, keys in pairs]
        times = tuple(tf.cast(step + end, tf.float64) * self.dt for end in (0, 1))
        past = self.tables.past.read(event.past, tick, constants.sums)
        told = self._told(constants.seen.step)
        context = Context(tick, drives, groups, draws, {}, times, past, {}, told=told)
        for k, spiking in enumerate(self.spiking):
            if spiking.waits:

                def now(k: int = k) -> Scope:
                    states = self.linked(self.states(carry.flow), context.times[0], constants)
                    return self.between(k, states[k], 0, context, constants)

                context.waiting[spiking.key] = spiking.waiting(event.refractory[spiking.key], now)
        return context

    def look(self, carry: Carry, step: Tensor, given: Tensor, constants: Constants) -> Context:
        """Return what somebody sees who only looks: each part when it is asked for.

        What only the step's end needs is not among it: what is drawn for spikes, who is refractory.
        """
        tick, event = Tick(step, self.dt, constants.nodes), carry.event
        drives = self.drives.look(event.noise, tick, given, constants.drives)
        of = {
            coupling.group.key: (coupling, numbers)
            for coupling, numbers in zip(self.couplings, constants.sums, strict=True)
        }

        def arrived(key: str) -> object:
            coupling, numbers = of[key]
            return coupling.arrive(event.groups.get(key), tick, numbers)

        times = tuple(tf.cast(step + end, tf.float64) * self.dt for end in (0, 1))
        past = self.tables.past.read(event.past, tick, constants.sums)
        told = self._told(constants.seen.look)
        return Context(tick, drives, Later(arrived), [], {}, times, past, {}, told=told)

    def between(
        self, k: int, states: States, end: int, context: Context, constants: Constants
    ) -> Scope:
        """Return what evaluates trees of a population at the step's start (`end` 0) or end (1).

        Those of events are of the states of their cells.
        """
        values, owner = states | context.draws[k], self.owners[k]
        return self.scope(owner, values, context.times[end], constants)

    def scope(self, k: int, states: States, time: Tensor, constants: Constants) -> Scope:
        """Return what evaluates trees of a population that need no input."""
        return self.lowered[k].scope(constants.cells[k], by_name(states) | {"t": time})

    def states(self, flow: FlowState) -> list[States]:
        """Return the states of each population by name; those without have no block.

        States of single synapses that the solver integrates are among those of the presynaptic
        population, by the group and their name.
        """
        blocks = iter(flow)
        states: list[States] = [
            {**layout.unpack(next(blocks))} if layout.states else {} for layout in self.layouts
        ]
        for _, coupling in self.tables.flowing:
            rows = rows_of(next(blocks))
            states[coupling.group.source] |= dict(zip(coupling.flowing, rows, strict=True))
        return states

    def states_at_node(
        self,
        flow: FlowState,
        drive: Tensor,
        context: Context,
        constants: Constants,
        local: bool = False,
    ) -> list[States]:
        """Return the states at a node of the step, clamped membranes at their command.

        With them are the variables of other cells that cells read, and the definitions that
        synapses do; where it is `local`, the former are held under differentiation.
        """
        clamps, states = self.drives.clamps, self.states(flow)
        states = clamps.at_node(states, drive, context.drives, constants.drives)
        time = self.drives.time(drive)
        return self.seen(self.linked(states, time, constants, local), time, constants)

    def linked(
        self, states: list[States], time: Tensor, constants: Constants, local: bool = False
    ) -> list[States]:
        """Return the states with the variables of other cells that the cells read."""
        scope = partial(self.scope, time=time, constants=constants)
        return self.tables.links.read(states, self.tables.shape, scope, constants.links, local)

    def seen(self, states: list[States], time: Tensor, constants: Constants) -> list[States]:
        """Return the states with the definitions that synapses of the cells read."""
        states = [*states]
        for k, names in self.tables.seen.items():
            scope = self.scope(k, states[k], time, constants)
            like = tf.TensorSpec(self.tables.shape(k), self.tables.dtype)
            states[k] = with_definitions(states[k], names, scope, like)
        return states

    def _currents(
        self,
        states: list[States],
        sums: list[object],
        drive: Tensor,
        context: Context,
        constants: Constants,
    ) -> list[Tensors]:
        """Return the inputs of each population that are driven: stimuli minus synaptic currents."""
        totals: list[Tensors] = [{} for _ in self.populations]

        def add(target: int, into: str, term: Tensor) -> None:
            known = totals[target]
            known[into] = known[into] + term if into in known else term

        stimuli = self.drives.currents(states, drive, context.drives, constants.drives)
        for target, into, current in stimuli:
            add(target, into, in_each_row(current, next(iter(states[target].values()), None)))
        for c, route in self.tables.routes:
            if route.into is None:
                continue
            table = constants.routes[route.projection]
            outward = self.couplings[c].current(route, states[route.target], sums[c], table)
            if outward is not None:
                add(route.target, route.into, -outward)
        return totals

    def sums(
        self, states: list[States], context: Context, node: int, constants: Constants
    ) -> list[object]:
        """Return the sums of each coupling at a node; -1 is the start itself."""
        pairs = list(zip(self.couplings, constants.sums, strict=True))
        given = [
            self.tables.past.given(coupling, numbers, states, context, node)
            for coupling, numbers in pairs
        ]
        told, share = None, self.tables.share
        if context.told is not None and share is not None and share.shows:
            told = self._shown(given, context.told, constants)
        sums = []
        for (coupling, numbers), own in zip(pairs, given, strict=True):
            key = coupling.group.key
            if told is not None and coupling.group.here is not None and follows_cells(coupling):
                assert isinstance(numbers, GradedConstants)
                sums.append(coupling.summed(told.get(key, {}), numbers))
            else:
                sums.append(coupling.sums(own, context.groups[key], node, numbers))
        return sums

    def _shown(self, given: list[States], told: Told, constants: Constants) -> dict[str, Tensors]:
        """Return what all presynaptic cells give to synapses, by group and text."""
        own: dict[Label, Tensor] = {}
        wanted: dict[Label, int] = {}
        for coupling, numbers, states in zip(self.couplings, constants.sums, given, strict=True):
            group = coupling.group
            if group.here is None or not follows_cells(coupling):
                continue
            assert isinstance(numbers, GradedConstants)
            sender = self.populations[group.source].name
            shown = coupling.shown(states, numbers) if group.here else {}
            own |= {(sender, group.key, text): x for text, x in shown.items()}
            names = ((sender, group.key, text) for text in coupling.texts)
            wanted |= dict.fromkeys(names, coupling.wiring.n_pre)
        by_group: dict[str, Tensors] = {}
        for (_, key, text), x in told.of_all(own, wanted).items():
            by_group.setdefault(key, {})[text] = x
        return by_group

    def passed(
        self,
        within: Sequence[FlowState],
        drives: Tensor,
        context: Context,
        constants: Constants,
    ) -> Context:
        """Return the context with what synapses will read of a step, later, at its nodes."""
        states = [
            self.states_at_node(flow, drives[node], context, constants)
            for node, flow in enumerate(within)
        ]
        return context._replace(passed=self.tables.past.passed(states))

    def scopes(
        self,
        states: list[States],
        sums: list[object],
        drive: Tensor,
        context: Context,
        constants: Constants,
    ) -> list[Scope]:
        """Return what evaluates the equations of each population."""
        currents = self._currents(states, sums, drive, context, constants)
        scopes, time = [], self.drives.time(drive)
        for k, lowered in enumerate(self.lowered):
            values = by_name(states[k])
            first = next(iter(values.values()), None)
            nothing = tf.zeros([], self.tables.dtype) if first is None else tf.zeros_like(first)
            values = dict.fromkeys(lowered.equations.inputs, nothing) | values
            scopes.append(lowered.scope(constants.cells[k], values | currents[k] | {"t": time}))
        return scopes

    def vector_field(
        self,
        node: int,
        t: object,
        flow: FlowState,
        drive: Tensor,
        context: Context,
        constants: Constants,
    ) -> FlowState:
        """Return the derivative of every block."""
        return self._slopes(node, flow, drive, context, constants)

    def guarded_field(
        self,
        node: int,
        t: object,
        flow: FlowState,
        drive: Tensor,
        context: Context,
        constants: Constants,
    ) -> FlowState:
        """Return the same, not a number at the step's start where synapses pull too strongly.

        An explicit method would go on with finite nonsense; this ends the run, at no kernel's cost.
        """
        return self._slopes(node, flow, drive, context, constants, guarded=node == 0)

    def pull(
        self, k: int, states: list[States], sums: list[object], drive: Tensor, constants: Constants
    ) -> Tensors:
        """Return the rate at which synapses move states to where their current vanishes."""
        rates: Tensors = {}
        for into in self.arrivals.pushes[k]:
            parts = [
                (self.couplings[c], r, sums[c])
                for c, r in self.tables.routes
                if r.target == k and r.into == into
            ]
            values = states[k] | {"t": self.drives.time(drive)}
            slopes = self.arrivals.slopes(k, into, values, constants)
            rate, _ = self.arrivals.rate(
                k, parts, states[k], slopes, constants, lambda k, s, change: change
            )
            for state in slopes if rate is not None else ():
                rates[state] = rates[state] + rate if state in rates else rate
        return rates

    def local(
        self,
        node: int,
        t: object,
        flow: FlowState,
        drive: Tensor,
        context: Context,
        constants: Constants,
    ) -> FlowState:
        """Return the same, with what cells get from each other held under differentiation."""
        return self._slopes(node, flow, drive, context, constants, local=True)

    def _slopes(
        self,
        node: int,
        flow: FlowState,
        drive: Tensor,
        context: Context,
        constants: Constants,
        guarded: bool = False,
        local: bool = False,
    ) -> FlowState:
        states = self.states_at_node(flow, drive, context, constants, local)
        sums = self.sums(states, context, node, constants)
        if local:
            sums = tf.nest.map_structure(tf.stop_gradient, sums)
        scopes = self.scopes(states, sums, drive, context, constants)
        slopes = []
        for k, (layout, value) in enumerate(zip(self.layouts, scopes, strict=True)):
            if not layout.states:
                continue
            like = states[k][layout.states[0]]
            names = self.populations[k].equations.states
            slope = {s: value(self.lowered[k].derivative(s)) for s in names}
            rates = self.pull(k, states, sums, drive, constants) if guarded else {}
            for state, rate in rates.items():
                row = spread(cast(slope[state], like.dtype), like.shape)
                strong = rate * self.dt < -self.reach
                slope[state] = tf.where(strong, tf.constant(math.nan, like.dtype), row)
            if MEMBRANE in slope:
                v = slope[MEMBRANE]
                slope[MEMBRANE] = self.drives.clamps.still(k, v, context.drives, constants.drives)
            for coupling, numbers in zip(self.couplings, constants.sums, strict=True):
                if coupling.group.source == k:
                    given = self.tables.past.given(coupling, numbers, states, context, node)
                    slope |= coupling.slopes(given, context.groups[coupling.group.key], numbers)
            rows = [spread(cast(slope[s], like.dtype), like.shape) for s in layout.states]
            if not self.behind:
                rows = self.spiking[k].stopped(layout.states, rows, context.waiting)
            slopes.append(stacked(rows))
        for c, coupling in self.tables.flowing:
            group = coupling.group
            owner = states[group.routes[0].target]
            if local:
                owner = {key: tf.stop_gradient(value) for key, value in owner.items()}
            numbers, total = constants.sums[c], sums[c]
            assert isinstance(numbers, GeneralConstants) and isinstance(total, GeneralSums)
            slopes.append(coupling.flow(states[group.source], owner, total, numbers))
        return tuple(slopes)

    def observe(self, carry: Carry, step: Tensor, drive: Inputs, constants: Constants) -> Tensors:
        """Return what the recorders ask for."""
        frame, share = Frame(self, carry, step, drive, constants), self.tables.share
        if share is not None and share.staged and share.looks:
            _ = frame.sums  # in all shares, whoever looks at them: all are told at one point
        return self.recordings.observe(frame)

    def follow(self, carry: Carry, step: Tensor, drive: Inputs, constants: Constants) -> Tensors:
        """Return what the recorders keep after a step."""
        return self.recordings.follow(Frame(self, carry, step, drive, constants))
