"""From a network to a system of pure functions."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from somaflow.compiler.diagnosis.doctor import Doctor
from somaflow.compiler.diffusion import Diffusion
from somaflow.compiler.earlier import begun
from somaflow.compiler.final import FinalState
from somaflow.compiler.lifted import risen
from somaflow.compiler.maps import MapDoctor, check_maps
from somaflow.compiler.moment import Moments
from somaflow.compiler.reach import check_gaps, decay_reach
from somaflow.compiler.recordings import View
from somaflow.compiler.rows import refusal
from somaflow.compiler.rules import Rules
from somaflow.compiler.sending import Receiving
from somaflow.compiler.share import Share
from somaflow.compiler.step import NetworkDynamics
from somaflow.compiler.stopping import Stopping
from somaflow.compiler.tables import Tables
from somaflow.description import Description
from somaflow.equations.expression import Node
from somaflow.network.choice import Choice
from somaflow.network.ending import Ending
from somaflow.network.network import Network
from somaflow.network.recorder import Recorder
from somaflow.numerics.structure import structure
from somaflow.simulation.system import Carry, Source, System
from somaflow.solvers.base import Solver
from somaflow.solvers.exponential import ExponentialEuler
from somaflow.solvers.map import Map
from somaflow.units import Parameter

# Methods that look at a cell at the step's start alone, and at each of its states by itself: what a
# refractory period holds may be put back afterwards. To stop its slope makes the rate of decay, and
# with it the exponential, one of each cell where all cells may share one.
_AT_START = (ExponentialEuler, Map)


@dataclass(frozen=True)
class Compiled:
    """A network as a system, with what the results' labels and the summary need.

    Attributes:
        system: Pure functions.
        n_states: Differential equations that are solved, gates of synapses included.
        n_synapses: Synapses.
        batch: Leading axes of state and parameters.
        views: What each recorder looks at, by its key; not of spikes.
        choices: How the sums of each group of projections are computed.
        final: `(carry, steps) -> FinalState`.
        moments: The state between two steps, by names.
        alone: Why networks of this structure cannot be rows of one program; empty where they can.
    """

    system: System
    n_states: int
    n_synapses: int
    batch: tuple[int, ...]
    views: dict[str, View]
    choices: dict[str, Choice]
    final: Callable[[Carry, int], FinalState]
    moments: Moments
    alone: str = ""

    @cached_property
    def structure(self) -> str:
        """What the functions of the system depend on beside their arguments, as a text.

        Read when a loop is to be compiled, which plans, checks and finished runs are not.
        """
        rules = {Description: _without_numbers, Parameter: lambda parameter: parameter.unit}
        return structure(_functions(self.system), rules, lasting=Node)


def compile_network(
    network: Network,
    dt: float,
    duration: float,
    dtype: DTypeLike,
    initial: Mapping[str, Mapping[str, object]] | FinalState,
    recorders: tuple[Recorder, ...],
    seed: int = 0,
    begin: int = 0,
    solver: Solver | None = None,
    ending: Ending | None = None,
    between: bool = False,
    rows: int | None = None,
    share: Share | None = None,
) -> Compiled:
    """Lower a network.

    Args:
        network: The description.
        dt: The step in ms.
        duration: Biological time at the end of the run in ms.
        dtype: NumPy dtype of the run.
        initial: Values in place of the network's own: population, then state; or the state at
            which another run ended.
        recorders: What to observe.
        seed: Of all that is drawn in the run.
        begin: Steps made before the run.
        solver: The method, whose limits are then minded; None for no limits.
        ending: The condition at which the run stops, or None.
        between: Whether a function may change the state between steps.
        rows: For how many networks of one structure, this being one of them, the functions are to
            be; their state and parameters are put together by `rows.stacked`. None for this alone.
        share: The share of a whole that the network has the cells of; None of a whole.

    Raises:
        NetworkError: A synapse is of a form that cannot be computed, or gap junctions are too
            strong for the step.
        RunError: Initial values that do not fit.
    """
    tables = Tables(network, dt, duration, dtype, initial, seed, solver, between, rows, share)
    start = tables.initial()
    coupled = any(route.chords for c in tables.couplings for route in c.group.routes)
    maps = check_maps(tables)
    limited = coupled and not maps
    reach = decay_reach(solver) if solver is not None and limited else math.inf
    behind = type(solver) in _AT_START
    dynamics = NetworkDynamics(tables, recorders, begin, reach, behind)
    recordings = dynamics.recordings
    start = start._replace(kept=recordings.initial())
    rules = Rules(dynamics)
    parameters = tables.parameters(recordings.parameters())._replace(rules=rules.parameters())
    start = begun(dynamics, parameters, start, begin)
    if isinstance(initial, FinalState) and initial.before:
        start = risen(dynamics, parameters, start, initial, begin)
    if solver is not None and not maps:
        check_gaps(dynamics, parameters, start.flow, solver, dt)
    sources = tuple(
        Source(layout.name, layout.start, layout.size)
        for layout, p in zip(tables.layouts, tables.populations, strict=True)
        if p.spiking
    )
    senders = [name for c, _ in tables.heard for name in tables.senders(c)]
    spikes = start.event.spikes
    histories = {} if share is None else share.histories(spikes, senders, tables.dtype)
    own = {key: past for key, past in spikes.items() if key not in histories}
    start = start._replace(event=start.event._replace(spikes=own))
    noisy = any(population.equations.noises for population in tables.populations)
    diffusion = Diffusion(dynamics) if noisy else None
    around = diffusion or dynamics
    width = sum(layout.padded for layout in tables.layouts)
    local = network.links or any(coupling.follows for coupling in tables.couplings)
    local = local or (share is not None and share.staged)
    system = System(
        initial=start,
        parameters=parameters,
        inputs=tables.drives.inputs,
        prepare=around.prepare,
        arrive=around.arrive,
        vector_field=dynamics.vector_field if reach == math.inf else dynamics.guarded_field,
        jump=rules.at_end if rules.followers else rules.jump.at_end,
        observe=dynamics.observe,
        follow=dynamics.follow if recordings.followed else None,
        doctor=MapDoctor(tables) if maps else Doctor(dynamics, parameters),
        rows=tables.rows(),
        sources=sources,
        crossings=(*tables.batch, width),
        alongside=max(map(len, dynamics.alongside)),
        local=dynamics.local if local else None,
        diffusion=None if diffusion is None else diffusion.field,
        increments=None if diffusion is None else diffusion.increments,
        passed=dynamics.passed if tables.past.readers else None,
        elsewhere=None if share is None else Receiving(tables, histories),
        until=None if ending is None else Stopping(dynamics, ending).holds,
    )
    return Compiled(
        system,
        tables.count_states(),
        tables.n_synapses,
        tables.batch,
        recordings.views,
        {coupling.group.key: coupling.wiring.choice for coupling in tables.apart},
        tables.final,
        Moments(tables),
        refusal(tables, system, recorders, solver),
    )


def _functions(system: System) -> tuple[object, ...]:
    """Return all that is compiled of a system."""
    return (
        *(system.prepare, system.arrive, system.vector_field, system.local),
        *(system.jump, system.observe, system.follow, system.crossings),
        *(system.diffusion, system.increments, system.passed, system.until, system.elsewhere),
    )


def _without_numbers(thing: Any) -> dict[str, object]:
    """Return the fields of a description that compiled functions may read: all but numbers."""

    def without(value: object) -> object:
        if isinstance(value, dict):
            return {key: without(item) for key, item in value.items()}
        if isinstance(value, (tuple, list)):
            return [without(item) for item in value]
        number = value is None or isinstance(value, (int, float, np.ndarray, np.generic))
        return "a number or none" if number and not isinstance(value, bool) else value

    return {f.name: without(getattr(thing, f.name)) for f in fields(thing) if f.init}
