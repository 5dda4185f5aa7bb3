"""Tables of a network: groups of synapses, layouts, parameters, inputs and the initial state."""

from collections.abc import Mapping
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
from somaflow.network.population import Population
from somaflow.numerics.sums import plan
from somaflow.simulation.clock import whole_steps
from somaflow.simulation.system import Array, Carry, Row


class Tables:
    """What a network's pure functions close over.

    Attributes:
        populations: In the order of the network; `place` gives each name's index.
        lowered: Their equations, static parts told from changing ones.
        refractory: Refractory period of each in steps.
        groups: Projections that share presynaptic states.
        layouts: Rows of each population's packed block.
        stimuli: Population and columns in the table of inputs of each stimulus.
        batch: Leading axes of state and parameters; set by `initial`.
        n_synapses: Number of synapses; set by `parameters`.
    """

    def __init__(
        self,
        network: Network,
        dt: float,
        dtype: Any,
        initial: Mapping[str, Mapping[str, Any]],
    ) -> None:
        self.network, self.dt, self.dtype = network, dt, np.dtype(dtype)
        self.given = initial
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
        self.batch: tuple[int, ...] = ()

    # ------------------------------------------------------------------ tables

    def _lower(self, population: Population) -> Lowered:
        if population.equations.noises:
            reason = synapses.no_noise(population.equations)
            raise NetworkError(f"population {population.name!r}: {reason}")
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
        made = plan(
            np.concatenate(pre),
            np.concatenate(post),
            np.concatenate(weight),
            padded(self.populations[group.source].size),
            width,
        )
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
        try:
            self.batch = np.broadcast_shapes(*leading)
        except ValueError as error:
            raise RunError(
                f"leading axes of parameters and initial values do not fit each other: {leading}."
            ) from error
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

    def rows(self) -> tuple[Row, ...]:
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

    def count_states(self) -> int:
        """Return how many differential equations are solved, gates of synapses included."""
        states = sum(p.size * len(p.equations.states) for p in self.populations)
        for group in self.groups:
            states += self.populations[group.source].size if group.kind != "jumping" else 0
            if group.kind != "graded":
                states += sum(self.populations[route.target].size for route in group.routes)
        return states


def check_rest(group: Group, parameters: dict[str, Array]) -> None:
    """Refuse a closed form that does not rest at 0.

    Raises:
        NetworkError: d state/dt is not 0 at 0 between spikes.
    """
    if group.kind == "graded":
        return
    table = {name: tf.constant(value) for name, value in parameters.items()}
    prepared = group.lowered.prepare(table)
    a, b = group.parts.rate
    off = float(synapses.evaluate_between_pulses(a, prepared))
    if not (np.isfinite(off) and off < 0):
        raise NetworkError(
            f"synapse {group.key!r}: between spikes {group.state} must decay, but its rate is "
            f"{off:g} per ms; are the time constants greater than 0?"
        )
    rest = synapses.evaluate_between_pulses(b, prepared)
    if abs(float(rest)) > 0 or group.initial != 0:
        raise NetworkError(
            f"synapse {group.key!r}: between spikes {group.state} must decay to 0 and start "
            f"there; found d{group.state}/dt = {float(rest):g} at 0 and a start of "
            f"{group.initial:g}."
        )
