"""From a network to a system of pure functions."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from somaflow.compiler.step import Dynamics
from somaflow.compiler.tables import Tables, check_rest
from somaflow.network.network import Network
from somaflow.network.recorder import Recorder
from somaflow.simulation.system import Source, System


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
    tables = Tables(network, dt, dtype, initial)
    start = tables.initial()
    parameters = tables.parameters()
    for group in tables.groups:
        check_rest(group, parameters["synapses"][group.routes[0].projection])
    dynamics = Dynamics(tables, recorders)
    sources = tuple(
        Source(layout.name, layout.start, layout.size)
        for layout, p in zip(tables.layouts, tables.populations, strict=True)
        if p.threshold is not None
    )
    width = sum(layout.padded for layout in tables.layouts)
    system = System(
        initial=start,
        parameters=parameters,
        inputs=tables.inputs,
        prepare=dynamics.prepare,
        arrive=dynamics.arrive,
        vector_field=dynamics.vector_field,
        jump=dynamics.jump,
        observe=dynamics.observe,
        rows=tables.rows(),
        sources=sources,
        crossings=(*tables.batch, width),
        local=dynamics.local if any(g.kind == "graded" for g in tables.groups) else None,
    )
    return Compiled(system, tables.count_states(), tables.n_synapses, tables.batch)
