"""From a network to a system of pure functions."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from somaflow import units
from somaflow.compiler import synapses
from somaflow.compiler.layout import Layout, pad, padded
from somaflow.compiler.lower import Lowered
from somaflow.compiler.synapses import Group, Route
from somaflow.errors import NetworkError, RunError, UnitError, nearest
from somaflow.network.network import Network
from somaflow.network.neuron import CURRENT_INPUT
from somaflow.network.population import Population
from somaflow.network.recorder import Recorder
from somaflow.numerics.sums import plan, weighted_sum
from somaflow.simulation.clock import whole_steps
from somaflow.simulation.system import Array, Carry, Jump, Row, Source, System


@dataclass(frozen=True)
class Compiled:
    """A network as a system, with what the results' labels and the summary need.

    Attributes:
        system: Pure functions.
        n_states: Differential equations that are solved, gates of synapses included.
        n_synapses: Synapses.
        batch: Leading axes of state and parameters.
    """

    system: System
    n_states: int
    n_synapses: int
    batch: tuple[int, ...]


def compile_network(
    network: Network,
    dt: float,
    dtype: Any,
    initial: Mapping[str, Mapping[str, Any]],
    recorders: tuple[Recorder, ...],
) -> Compiled:
    """Lower a network.

    Args:
        network: The description.
        dt: The step in ms.
        dtype: NumPy dtype of the run.
        initial: Values in place of the network's own: population, then state.
        recorders: What to observe.

    Raises:
        NetworkError: A synapse is of a form that cannot be computed.
        RunError: Initial values that do not fit.
    """
    return _Builder(network, dt, dtype, initial, recorders).build()


class _Builder:
    """Holds the tables that the functions of a system close over."""

    def __init__(
        self,
        network: Network,
        dt: float,
        dtype: Any,
        initial: Mapping[str, Mapping[str, Any]],
        recorders: tuple[Recorder, ...],
    ) -> None:
        self.network, self.dt, self.dtype = network, dt, np.dtype(dtype)
        self.given = initial
        self.recorders = tuple(r for r in recorders if r.variable != "spikes")
        self.populations = network.populations
        self.place = {p.name: k for k, p in enumerate(self.populations)}
        self.lowered = [self._lower(p) for p in self.populations]
        self.refractory = [
            whole_steps(float(p.refractory.value), dt, f"the refractory period of {p.name!r}")
            if p.refractory.value > 0
            else 0
            for p in self.populations
        ]
        self.groups = self._group_projections()
        self.layouts = self._lay_out()
        self.stimuli = [self._stimulus_place(k) for k in range(len(network.stimuli))]
        self.n_synapses = 0

    # ------------------------------------------------------------------ tables

    def _lower(self, population: Population) -> Lowered:
        keep = [] if population.condition is None else [population.condition]
        keep += [assignment.expression for assignment in population.resets]
        return Lowered(population.equations, frozenset(population.equations.inputs), tuple(keep))

    def _group_projections(self) -> list[Group]:
        groups: dict[str, Group] = {}
        for projection in self.network.projections:
            parts = synapses.take_apart(projection)
            source = self.place[projection.pre.population.name]
            equations = projection.synapse.equations
            key = synapses.group_key(projection, source, parts)
            if key not in groups:
                values = equations.initial_values({}, projection.synapse.name)
                groups[key] = Group(
                    key=f"{projection.synapse.name} of {projection.pre.population.name} "
                    f"({len(groups)})",
                    kind=parts.kind,
                    state=parts.state,
                    source=source,
                    initial=float(np.asarray(values[parts.state])),
                    parts=parts,
                    lowered=Lowered(equations, frozenset(equations.inputs)),
                )
            group = groups[key]
            target = self.place[projection.post.population.name]
            begin = group.routes[-1].columns.stop if group.routes else 0
            columns = slice(begin, begin + padded(self.populations[target].size))
            keep = Lowered(equations, frozenset(equations.inputs), (parts.post,))
            group.projections.append(projection)
            group.routes.append(Route(str(projection.name), target, columns, parts.post, keep))
        return list(groups.values())

    def _lay_out(self) -> list[Layout]:
        layouts, start = [], 0
        for k, population in enumerate(self.populations):
            gates = [g.key for g in self.groups if g.kind == "graded" and g.source == k]
            states = (*population.equations.states, *gates)
            layouts.append(Layout(population.name, population.size, start, states))
            start += padded(population.size)
        return layouts

    def _stimulus_place(self, k: int) -> tuple[int, slice]:
        """Return a stimulus' population and its columns in the table of inputs."""
        begin = 0
        for stimulus in self.network.stimuli[:k]:
            begin += self._channels(stimulus)
        stimulus = self.network.stimuli[k]
        target = self.place[stimulus.target.population.name]
        return target, slice(begin, begin + self._channels(stimulus))

    def _channels(self, stimulus: Any) -> int:
        samples = getattr(stimulus.waveform, "samples", None)
        if samples is None or samples.value.ndim == 1:
            return 1
        return padded(stimulus.target.population.size)

    # -------------------------------------------------------------- parameters

    def parameters(self) -> dict[str, Any]:
        """Return every parameter, padded, as arrays of the run's dtype."""

        def values(equations: Any, size: int) -> dict[str, Array]:
            return {
                name: pad(p.value, size).astype(self.dtype)
                for name, p in equations.parameters.items()
            }

        return {
            "cells": [values(p.equations, p.size) for p in self.populations],
            "synapses": {
                str(p.name): values(p.synapse.equations, 1) for p in self.network.projections
            },
            "sums": [self._sum(group) for group in self.groups],
            "stimuli": [self._amplitude(stimulus) for stimulus in self.network.stimuli],
        }

    def _sum(self, group: Group) -> dict[str, Any]:
        pre, post, weight = [], [], []
        for projection, route in zip(group.projections, group.routes, strict=True):
            made = projection.connections()
            pre.append(made.pre)
            post.append(made.post + route.columns.start)
            weight.append(made.weight)
            self.n_synapses += len(made.pre)
        width = group.routes[-1].columns.stop
        arrays = (np.concatenate(part) for part in (pre, post, weight))
        made = plan(*arrays, padded(self.populations[group.source].size), width)
        weights = {"weights": made.weights.astype(self.dtype)}
        return weights if made.sources is None else weights | {"sources": made.sources}

    def _amplitude(self, stimulus: Any) -> Array:
        """Return a stimulus' amplitude for every cell of its population, 0 where it does not go."""
        owner = stimulus.target.population
        whole = np.zeros(padded(owner.size))
        whole[stimulus.target.cells] = stimulus.waveform.amplitude.value
        return whole.astype(self.dtype)

    def inputs(self, steps: Array, nodes: tuple[float, ...], dt: float) -> Array:
        """Return the course of each stimulus at each node of each step, then the time itself."""
        times = (steps[:, None] + np.array(nodes)) * dt
        middle = np.broadcast_to((steps[:, None] + 0.5) * dt, times.shape)
        columns = []
        for stimulus in self.network.stimuli:
            course = np.asarray(stimulus.waveform.shape(times, middle), np.float64)
            if course.ndim == 2:
                columns.append(course[..., None])
                continue
            spread = np.zeros((*times.shape, padded(stimulus.target.population.size)))
            spread[..., stimulus.target.cells] = course
            columns.append(spread)
        return np.concatenate([*columns, times[..., None]], axis=-1)

    # ------------------------------------------------------------ initial state

    def initial(self) -> Carry:
        """Return the state at step 0.

        Raises:
            RunError: An initial value for an unknown state, or of the wrong shape or unit.
        """
        for name, values in self.given.items():
            if name not in self.place:
                raise RunError(f"initial names {name!r}.{nearest(str(name), self.place)}")
            if not isinstance(values, Mapping):
                raise RunError(f"initial[{name!r}] is a dict of states, not {values!r}.")
        per_cell = [self._initial_cells(k) for k in range(len(self.populations))]
        leading = [np.shape(v)[:-1] for cells in per_cell for v in cells.values() if np.ndim(v)]
        leading += [
            p.value.shape[:-1]
            for population in self.populations
            for p in population.equations.parameters.values()
            if p.value.ndim
        ]
        self.batch = np.broadcast_shapes(*leading)
        blocks = []
        for layout, cells in zip(self.layouts, per_cell, strict=True):
            gates = {g.key: np.full((), g.initial) for g in self.groups if g.kind == "graded"}
            rows = [{**cells, **gates}[state] for state in layout.states]
            shape = (*self.batch, layout.size)
            block = np.stack([pad(np.broadcast_to(row, shape), layout.size) for row in rows])
            blocks.append(block.astype(self.dtype))
        return Carry(tuple(blocks), self._initial_events())

    def _initial_cells(self, k: int) -> dict[str, Any]:
        population = self.populations[k]
        equations = population.equations
        given = {}
        for name, value in self.given.get(population.name, {}).items():
            if name not in equations.states:
                raise RunError(
                    f"initial[{population.name!r}] names {name!r}, which is not a state."
                    f"{nearest(str(name), equations.states)}"
                )
            try:
                held = units.parameter(value, equations.unit(name), name, population.name)
            except UnitError as error:
                raise RunError(f"initial: {error}") from None
            if held.value.ndim and held.value.shape[-1] not in (1, population.size):
                raise RunError(
                    f"initial[{population.name!r}][{name!r}] has shape {held.value.shape}; give "
                    f"one number, or one for each of the {population.size} cells."
                )
            given[name] = held.value
        return equations.initial_values(given, population.name)

    def _initial_events(self) -> dict[str, Any]:
        event: dict[str, Any] = {}
        for group in self.groups:
            if group.kind == "graded":
                continue
            width = group.routes[-1].columns.stop
            source = padded(self.populations[group.source].size)
            open_ = np.zeros((*self.batch, width), self.dtype)
            event[group.key] = {"sum": open_}
            if group.kind == "pulsed":
                gate = np.full((*self.batch, source), group.initial, self.dtype)
                event[group.key] |= {"gate": gate, "remaining": np.zeros_like(gate)}
                # Steps until no pulse can last any more: what a step costs follows the spikes.
                event[group.key]["busy"] = np.zeros((), np.int32)
        for k, population in enumerate(self.populations):
            if self.refractory[k]:
                shape = (*self.batch, padded(population.size))
                event[f"refractory {population.name}"] = np.zeros(shape, np.int32)
        return event

    # ---------------------------------------------------------------- functions

    def prepare(self, parameters: Any, dt: float, nodes: tuple[float, ...]) -> dict[str, Any]:
        """Compute once a chunk what does not change within it."""
        cells = [
            lowered.prepare(values)
            for lowered, values in zip(self.lowered, parameters["cells"], strict=True)
        ]
        routes = {
            route.projection: route.lowered.prepare(parameters["synapses"][route.projection])
            for group in self.groups
            for route in group.routes
        }
        sums, rates, decays = [], [], []
        for group, arrays in zip(self.groups, parameters["sums"], strict=True):
            sums.append((arrays["weights"], arrays.get("sources")))
            table = routes[group.routes[0].projection]
            if group.kind == "graded":
                rates.append(
                    group.lowered.prepare(parameters["synapses"][group.routes[0].projection])
                )
                decays.append([])
                continue
            found = synapses.pulse_rates(group.parts, table)
            later = tf.stack([tf.exp(found["off"] * (c * dt)) for c in self._fractions(nodes)])
            spread = [1] * (len(self.batch) + 2 - later.shape.rank)
            decays.append(tf.reshape(later, [*later.shape, *spread]))
            if group.kind == "pulsed":
                steps = tf.math.ceil(tf.reduce_max(found["duration"]) / dt)
                found["busy"] = tf.cast(steps, tf.int32) + 1
            rates.append(found)
        return {
            "cells": cells,
            "routes": routes,
            "sums": sums,
            "rates": rates,
            "decays": decays,
            "stimuli": parameters["stimuli"],
            "nodes": nodes,
        }

    @staticmethod
    def _fractions(nodes: tuple[float, ...]) -> tuple[float, ...]:
        """Return the parts of a step after its start at which conductances are needed."""
        return tuple(sorted({*nodes, 1.0} - {0.0}))

    def arrive(self, carry: Carry, prepared: Any) -> dict[str, Any]:
        """Compute what events have opened, at each node and at the step's end; who is refractory."""
        context: dict[str, Any] = {}
        for k, group in enumerate(self.groups):
            if group.kind != "graded":
                context[group.key] = self._arrive(k, carry.event[group.key], prepared)
        for population, steps in zip(self.populations, self.refractory, strict=True):
            if steps:
                key = f"refractory {population.name}"
                context[key] = carry.event[key]
        return context

    def _arrive(self, k: int, event: dict[str, Any], prepared: Any) -> dict[str, Any]:
        decays, nodes = prepared["decays"][k], prepared["nodes"]
        fractions = self._fractions(nodes)

        def at_nodes(opened: Any) -> dict[str, Any]:
            places = {0.0: event["sum"], **dict(zip(fractions, opened, strict=True))}
            return {"sums": [places[c] for c in nodes], "end": places[1.0]}

        if self.groups[k].kind == "jumping":
            return at_nodes(tf.unstack(decays * event["sum"][None]))
        rates, sums = prepared["rates"][k], prepared["sums"][k]
        gate, remaining = event["gate"], event["remaining"]

        # Outside pulses a conductance only decays. Within them it gains what the gates gain over
        # decay: zero for a cell outside a pulse, so that leaving the sum out where all terms are
        # zero changes no bit.
        def pulsing() -> Any:
            opened = list(tf.unstack(decays * event["sum"][None]))
            for place, (c, decay) in enumerate(zip(fractions, tf.unstack(decays), strict=True)):
                later = synapses.after(gate, remaining, c * self.dt, rates)
                later = tf.where(remaining > 0, later, gate * decay)
                opened[place] += weighted_sum(*sums, later - gate * decay)
            return (*opened, later, tf.maximum(remaining - self.dt, 0))

        def silent() -> Any:
            opened = tf.unstack(decays * event["sum"][None])
            return (*opened, gate * decays[-1], remaining)

        *opened, end, left = tf.cond(event["busy"] > 0, pulsing, silent)
        return at_nodes(opened) | {"gate": end, "remaining": left}

    def _states(self, flow: tuple[Any, ...]) -> list[dict[str, Any]]:
        return [layout.unpack(b) for layout, b in zip(self.layouts, flow, strict=True)]

    def _currents(
        self, states: list[dict[str, Any]], sums: list[Any], drive: Any, prepared: Any
    ) -> list[Any]:
        """Return the input current of each population: stimuli minus synaptic currents."""
        totals: list[Any] = [None] * len(self.populations)

        def add(target: int, term: Any) -> None:
            totals[target] = term if totals[target] is None else totals[target] + term

        for k, (target, columns) in enumerate(self.stimuli):
            add(target, prepared["stimuli"][k] * drive[columns])
        for group, total in zip(self.groups, sums, strict=True):
            for route in group.routes:
                owner = states[route.target]
                values = {
                    name: owner[name.removesuffix("_post")]
                    for name in route.lowered.equations.inputs
                    if name.endswith("_post")
                }
                value = route.lowered.scope(prepared["routes"][route.projection], values)
                add(route.target, -(total[..., route.columns] * value(route.post)))
        return totals

    def _sums(self, states: list[dict[str, Any]], context: Any, node: int, prepared: Any) -> list:
        sums = []
        for k, group in enumerate(self.groups):
            if group.kind == "graded":
                gate = states[group.source][group.key]
                sums.append(weighted_sum(*prepared["sums"][k], gate))
            else:
                sums.append(context[group.key]["sums"][node])
        return sums

    def _scopes(self, flow: Any, sums: list[Any], drive: Any, prepared: Any) -> list[Any]:
        states = self._states(flow)
        currents = self._currents(states, sums, drive, prepared)
        scopes = []
        for k, lowered in enumerate(self.lowered):
            values = dict(states[k])
            first = next(iter(values.values()))
            values |= {name: tf.zeros_like(first) for name in lowered.equations.inputs}
            if currents[k] is not None:
                values[CURRENT_INPUT] = currents[k]
            scopes.append(lowered.scope(prepared["cells"][k], values | {"t": drive[-1]}))
        return scopes

    def vector_field(
        self, node: int, t: Any, flow: Any, drive: Any, context: Any, prepared: Any
    ) -> tuple[Any, ...]:
        """Return the derivative of every block."""
        states = self._states(flow)
        sums = self._sums(states, context, node, prepared)
        scopes = self._scopes(flow, sums, drive, prepared)
        slopes = []
        for k, (layout, value) in enumerate(zip(self.layouts, scopes, strict=True)):
            like = states[k][layout.states[0]]
            rows = [value(self.lowered[k].derivative(s)) for s in self._own(k)]
            for group in self.groups:
                if group.kind == "graded" and group.source == k:
                    rows.append(self._gate_slope(group, states[k], prepared))
            rows = [tf.broadcast_to(tf.cast(row, like.dtype), like.shape) for row in rows]
            slopes.append(tf.stack(self._hold(k, rows, context)))
        return tuple(slopes)

    def _own(self, k: int) -> tuple[str, ...]:
        return tuple(self.populations[k].equations.states)

    def _gate_slope(self, group: Group, states: dict[str, Any], prepared: Any) -> Any:
        values = {
            name: states[name.removesuffix("_pre")]
            for name in group.lowered.equations.inputs
            if name.endswith("_pre")
        }
        values[group.state] = states[group.key]
        table = prepared["rates"][self.groups.index(group)]
        return group.lowered.scope(table, values)(group.lowered.derivative(group.state))

    def _hold(self, k: int, rows: list[Any], context: Any) -> list[Any]:
        """Keep reset variables where they are during the refractory period."""
        if not self.refractory[k]:
            return rows
        held = {assignment.name for assignment in self.populations[k].resets}
        waiting = context[f"refractory {self.populations[k].name}"] > 0
        return [
            tf.where(waiting, tf.zeros_like(row), row) if state in held else row
            for state, row in zip(self.layouts[k].states, rows, strict=True)
        ]

    def jump(self, before: Carry, flow: Any, context: Any, prepared: Any) -> Jump:
        """Find crossings, reset the cells that spiked, and start what their spikes start."""
        old, new = self._states(before.flow), self._states(flow)
        event, blocks, since = {}, list(flow), []
        for k, population in enumerate(self.populations):
            layout = self.layouts[k]
            crossed = self._crossings(k, old[k], new[k], prepared)
            if self.refractory[k]:
                key = f"refractory {population.name}"
                waiting = before.event[key]
                crossed = tf.where(waiting > 0, tf.zeros_like(crossed), crossed)
                again = tf.fill(waiting.shape, self.refractory[k])
                event[key] = tf.where(crossed > 0, again, tf.maximum(waiting - 1, 0))
            if population.resets:
                blocks[k] = self._reset(k, layout, new[k], crossed > 0, prepared)
            since.append(crossed)
        for k, group in enumerate(self.groups):
            if group.kind != "graded":
                event[group.key] = self._emit(k, since[group.source], before, context, prepared)
        return Jump(tuple(blocks), event, tf.concat(since, axis=-1))

    def _crossings(self, k: int, old: dict, new: dict, prepared: Any) -> Any:
        """Return the time from each upward crossing to the step's end, linearly interpolated."""
        condition = self.populations[k].condition
        like = new[self.layouts[k].states[0]]
        if condition is None:
            return tf.zeros_like(like)
        lowered = self.lowered[k]
        sign = 1.0 if condition.operator in (">", ">=") else -1.0  # pyright: ignore
        margins = []
        for states in (old, new):
            value = lowered.scope(prepared["cells"][k], states)
            left, right = condition.left, condition.right  # pyright: ignore
            margin = sign * (value(left) - value(right))
            margins.append(tf.broadcast_to(margin, like.shape))
        start, end = margins
        crossed = (start <= 0) & (end > 0)
        rise = tf.where(crossed, end - start, tf.ones_like(end))
        return tf.where(crossed, self.dt * (end / rise), tf.zeros_like(end))

    def _reset(self, k: int, layout: Layout, states: dict, hit: Any, prepared: Any) -> Any:
        values = dict(states)
        for assignment in self.populations[k].resets:
            scope = self.lowered[k].scope(prepared["cells"][k], values)
            fresh = tf.cast(scope(assignment.expression), self.dtype)
            values[assignment.name] = tf.where(hit, fresh, values[assignment.name])
        return tf.stack([values[state] for state in layout.states])

    def _emit(self, k: int, since: Any, before: Carry, context: Any, prepared: Any) -> Any:
        """Return a group's event state after this step's spikes, from the crossing itself."""
        group, rates, sums = self.groups[k], prepared["rates"][k], prepared["sums"][k]
        own = context[group.key]
        hit = since > 0
        if group.kind == "jumping":

            def jumped() -> Any:
                gain = tf.where(hit, tf.exp(rates["off"] * since), tf.zeros_like(since))
                return own["end"] + weighted_sum(*sums, gain)

            return {"sum": tf.cond(tf.reduce_any(hit), jumped, lambda: own["end"])}
        gate, remaining = before.event[group.key]["gate"], before.event[group.key]["remaining"]

        busy = before.event[group.key]["busy"]

        def pulsed() -> Any:
            crossing = synapses.after(gate, remaining, self.dt - since, rates)
            whole = tf.zeros_like(since) + rates["duration"]
            opened = synapses.after(crossing, whole, since, rates)
            gain = tf.where(hit, opened - own["gate"], tf.zeros_like(gate))
            left = tf.where(hit, tf.maximum(whole - since, 0), own["remaining"])
            return own["end"] + weighted_sum(*sums, gain), own["gate"] + gain, left, rates["busy"]

        def quiet() -> Any:
            return own["end"], own["gate"], own["remaining"], tf.maximum(busy - 1, 0)

        total, opened, left, busy = tf.cond(tf.reduce_any(hit), pulsed, quiet)
        return {"sum": total, "gate": opened, "remaining": left, "busy": busy}

    def observe(self, carry: Carry, drive: Any, prepared: Any) -> dict[str, Any]:
        """Return what the recorders ask for."""
        if not self.recorders:
            return {}
        states = self._states(carry.flow)
        context = {
            key: {"sums": [value["sum"]]}
            for key, value in carry.event.items()
            if isinstance(value, dict)
        }
        sums = self._sums(states, context, 0, prepared)
        scopes = self._scopes(carry.flow, sums, drive, prepared)
        seen = {}
        for recorder in self.recorders:
            k = self.place[recorder.population]
            layout = self.layouts[k]
            equations = self.populations[k].equations
            if recorder.variable in equations.states:
                value = states[k][recorder.variable]
            else:
                value = scopes[k](equations.definitions[recorder.variable].expression)
            value = tf.broadcast_to(tf.cast(value, self.dtype), states[k][layout.states[0]].shape)
            value = value[..., : layout.size]
            if recorder.cells is not None:
                value = tf.gather(value, tf.constant(recorder.cells), axis=-1)
            seen[recorder.key] = tf.reduce_mean(value, -1) if recorder.reduction else value
        return seen

    # -------------------------------------------------------------------- whole

    def _rows(self) -> tuple[Row, ...]:
        rows = []
        for k, layout in enumerate(self.layouts):
            for r, state in enumerate(layout.states):
                rows.append(
                    Row(
                        f"{layout.name}.{state}",
                        lambda flow, k=k, r=r, n=layout.size: np.asarray(flow[k])[r][..., :n],
                    )
                )
        return tuple(rows)

    def build(self) -> Compiled:
        """Return the system."""
        initial = self.initial()
        parameters = self.parameters()
        for group in self.groups:
            _check_rest(group, parameters["synapses"][group.routes[0].projection])
        sources = tuple(
            Source(layout.name, layout.start, layout.size)
            for layout, p in zip(self.layouts, self.populations, strict=True)
            if p.threshold is not None
        )
        width = sum(layout.padded for layout in self.layouts)
        system = System(
            initial=initial,
            parameters=parameters,
            inputs=self.inputs,
            prepare=self.prepare,
            arrive=self.arrive,
            vector_field=self.vector_field,
            jump=self.jump,
            observe=self.observe,
            rows=self._rows(),
            sources=sources,
            crossings=(*self.batch, width),
        )
        states = sum(p.size * len(p.equations.states) for p in self.populations)
        for group in self.groups:
            cells = self.populations[group.source].size
            states += cells if group.kind != "jumping" else 0
            if group.kind != "graded":
                states += sum(self.populations[route.target].size for route in group.routes)
        return Compiled(system, states, self.n_synapses, self.batch)


def _check_rest(group: Group, parameters: dict[str, Array]) -> None:
    """Refuse a closed form that does not rest at 0.

    Raises:
        NetworkError: d state/dt is not 0 at 0 between spikes.
    """
    if group.kind == "graded":
        return
    table = {name: tf.constant(value) for name, value in parameters.items()}
    prepared = group.lowered.prepare(table)
    _, b = group.parts.rate
    rest = synapses.evaluate_between_pulses(b, prepared)
    if abs(float(rest)) > 0 or group.initial != 0:
        raise NetworkError(
            f"synapse {group.key!r}: between spikes {group.state} must decay to 0 and start "
            f"there; found d{group.state}/dt = {float(rest):g} at 0 and a start of "
            f"{group.initial:g}."
        )
