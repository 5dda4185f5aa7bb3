"""One step of a network as pure functions of tensors: arrive, flow, threshold, reset, emit."""

from typing import Any

import tensorflow as tf

from somaflow.compiler import synapses
from somaflow.compiler.layout import Layout
from somaflow.compiler.synapses import Group, Route
from somaflow.compiler.tables import Tables
from somaflow.network.neuron import CURRENT_INPUT
from somaflow.network.recorder import Recorder
from somaflow.numerics.sums import weighted_sum
from somaflow.simulation.system import Carry, Jump


class Dynamics:
    """The functions of a system, closed over the tables of a network.

    Args:
        tables: The tables.
        recorders: What to observe.
    """

    def __init__(self, tables: Tables, recorders: tuple[Recorder, ...]) -> None:
        self.tables = tables
        self.recorders = tuple(r for r in recorders if r.variable != "spikes")
        self.populations, self.layouts = tables.populations, tables.layouts
        self.groups, self.lowered = tables.groups, tables.lowered
        self.refractory, self.dt = tables.refractory, tables.dt

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
            spread = [1] * (len(self.tables.batch) + 2 - later.shape.rank)
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
        """Compute what events have opened at each node and at the end, and who is refractory."""
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
        rates = prepared["rates"][k]
        gate, remaining = event["gate"], event["remaining"]

        # Outside pulses a conductance only decays. Within them it gains what the gates gain over
        # decay: zero for a cell outside a pulse, so that leaving the sum out where all terms are
        # zero changes no bit.
        def pulsing() -> Any:
            opened = list(tf.unstack(decays * event["sum"][None]))
            later = gate
            for place, (c, decay) in enumerate(zip(fractions, tf.unstack(decays), strict=True)):
                later = synapses.after(gate, remaining, c * self.dt, rates)
                # Selected, not subtracted to zero: a product and a difference may be contracted,
                # and leave a rounding residue where 0 is meant.
                gain = tf.where(remaining > 0, later - gate * decay, tf.zeros_like(gate))
                later = tf.where(remaining > 0, later, gate * decay)
                opened[place] += self._sum(k, gain, prepared)
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

        for k, (target, columns) in enumerate(self.tables.stimuli):
            add(target, prepared["stimuli"][k] * drive[columns])
        for group, total in zip(self.groups, sums, strict=True):
            for route in group.routes:
                add(route.target, self._synaptic(route, states, total, prepared))
        return totals

    @staticmethod
    def _synaptic(route: Route, states: list[dict[str, Any]], total: Any, prepared: Any) -> Any:
        """Return the inward current of a route, given the sum over its synapses."""
        owner = states[route.target]
        values = {
            name: owner[name.removesuffix("_post")]
            for name in route.lowered.equations.inputs
            if name.endswith("_post")
        }
        value = route.lowered.scope(prepared["routes"][route.projection], values)
        return -(total[..., route.columns] * value(route.post))

    @staticmethod
    def _sum(k: int, x: Any, prepared: Any) -> Any:
        weights, sources = prepared["sums"][k]
        return weighted_sum(weights, sources, x)

    def _sums(self, states: list[dict[str, Any]], context: Any, node: int, prepared: Any) -> list:
        sums = []
        for k, group in enumerate(self.groups):
            if group.kind == "graded":
                gate = states[group.source][group.key]
                sums.append(self._sum(k, gate, prepared))
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
        sums = self._sums(self._states(flow), context, node, prepared)
        return self._slopes(flow, sums, drive, context, prepared)

    def local(
        self, node: int, t: Any, flow: Any, drive: Any, context: Any, prepared: Any
    ) -> tuple[Any, ...]:
        """Return the same, with what cells get from each other held under differentiation."""
        sums = self._sums(self._states(flow), context, node, prepared)
        held = [tf.stop_gradient(total) for total in sums]
        return self._slopes(flow, held, drive, context, prepared)

    def _slopes(
        self, flow: Any, sums: list[Any], drive: Any, context: Any, prepared: Any
    ) -> tuple[Any, ...]:
        states = self._states(flow)
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
                spiked = since[group.source]
                event[group.key], charge = self._emit(k, spiked, before, context, prepared)
                blocks = self._charged(k, spiked, blocks, charge, event, prepared)
        return Jump(tuple(blocks), event, tf.concat(since, axis=-1))

    def _charged(
        self, k: int, spiked: Any, blocks: list[Any], charge: Any, event: Any, prepared: Any
    ) -> list[Any]:
        """Add to the postsynaptic states what a group's spikes have moved within this step.

        The flow of the step did not know of the crossing. What it missed is the integral of the
        new conductance from the crossing to the step's end; without it, spikes that follow a
        pulse closely would be late by a first-order error.
        """
        targets = sorted({route.target for route in self.groups[k].routes})

        def moved() -> Any:
            states = self._states(tuple(blocks))
            found = []
            for target in targets:
                routes = [r for r in self.groups[k].routes if r.target == target]
                current = sum(self._synaptic(r, states, charge, prepared) for r in routes)
                rows = self._pushed(target, states[target], current, event, prepared)
                found.append(tf.stack(rows))
            return tuple(found)

        def still() -> Any:
            return tuple(blocks[target] for target in targets)

        changed = tf.cond(tf.reduce_any(spiked > 0), moved, still)
        made = list(blocks)
        for target, block in zip(targets, changed, strict=True):
            made[target] = block
        return made

    def _pushed(
        self, k: int, states: dict[str, Any], charge: Any, event: Any, prepared: Any
    ) -> list[Any]:
        """Return the rows after a charge through the current input, which enters linearly."""
        rows = []
        lowered = self.lowered[k]
        for state in self.layouts[k].states:
            row = states[state]
            own = lowered.equations.states.get(state)
            if own is not None and CURRENT_INPUT in lowered.equations.depends(own.expression):
                slopes = []
                for current in (tf.ones_like(row), tf.zeros_like(row)):
                    values = {name: tf.zeros_like(row) for name in lowered.equations.inputs}
                    values |= {**states, CURRENT_INPUT: current, "t": tf.zeros_like(row)}
                    slopes.append(
                        lowered.scope(prepared["cells"][k], values)(lowered.derivative(state))
                    )
                row = row + (slopes[0] - slopes[1]) * charge
            rows.append(row)
        changes = [
            new - states[state] for state, new in zip(self.layouts[k].states, rows, strict=True)
        ]
        held = self._hold(k, changes, event)
        return [states[s] + change for s, change in zip(self.layouts[k].states, held, strict=True)]

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
            fresh = tf.cast(scope(assignment.expression), self.tables.dtype)
            values[assignment.name] = tf.where(hit, fresh, values[assignment.name])
        return tf.stack([values[state] for state in layout.states])

    def _emit(self, k: int, since: Any, before: Carry, context: Any, prepared: Any) -> Any:
        """Return a group's event state after this step's spikes, from the crossing itself.

        With it, the integral over time of what has opened since the crossings, for each cell.
        """
        group, rates = self.groups[k], prepared["rates"][k]
        own = context[group.key]
        hit = since > 0
        if group.kind == "jumping":

            def jumped() -> Any:
                gain = tf.where(hit, tf.exp(rates["off"] * since), tf.zeros_like(since))
                # By the trapezoidal rule: it opened by 1 at the crossing, by `gain` at the end.
                area = tf.where(hit, since * (1 + gain) / 2, tf.zeros_like(since))
                total = own["end"] + self._sum(k, gain, prepared)
                return total, self._sum(k, area, prepared)

            def waiting() -> Any:
                return own["end"], tf.zeros_like(own["end"])

            total, charge = tf.cond(tf.reduce_any(hit), jumped, waiting)
            return {"sum": total}, charge
        gate, remaining = before.event[group.key]["gate"], before.event[group.key]["remaining"]

        busy = before.event[group.key]["busy"]

        def pulsed() -> Any:
            crossing = synapses.after(gate, remaining, self.dt - since, rates)
            whole = tf.zeros_like(since) + rates["duration"]
            opened = synapses.after(crossing, whole, since, rates)
            gain = tf.where(hit, opened - own["gate"], tf.zeros_like(gate))
            left = tf.where(hit, tf.maximum(whole - since, 0), own["remaining"])
            return (
                own["end"] + self._sum(k, gain, prepared),
                own["gate"] + gain,
                left,
                rates["busy"],
                # By the trapezoidal rule: nothing had opened at the crossing, `gain` at the end.
                self._sum(k, gain * since / 2, prepared),
            )

        def quiet() -> Any:
            later = tf.maximum(busy - 1, 0)
            return own["end"], own["gate"], own["remaining"], later, tf.zeros_like(own["end"])

        total, opened, left, busy, charge = tf.cond(tf.reduce_any(hit), pulsed, quiet)
        return {"sum": total, "gate": opened, "remaining": left, "busy": busy}, charge

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
            k = self.tables.place[recorder.population]
            layout = self.layouts[k]
            equations = self.populations[k].equations
            if recorder.variable in equations.states:
                value = states[k][recorder.variable]
            else:
                value = scopes[k](equations.definitions[recorder.variable].expression)
            value = tf.broadcast_to(
                tf.cast(value, self.tables.dtype), states[k][layout.states[0]].shape
            )
            value = value[..., : layout.size]
            if recorder.cells is not None:
                value = tf.gather(value, tf.constant(recorder.cells), axis=-1)
            seen[recorder.key] = tf.reduce_mean(value, -1) if recorder.reduction else value
        return seen
