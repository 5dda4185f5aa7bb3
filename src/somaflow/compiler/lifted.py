"""Lifted: cells that something between two steps may take above a threshold without a reset.

Such a cell spikes as it crosses. Where only the solver moves it, its crossing is seen within a
step; else it has to be known whether it was above before.
"""

from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf

from somaflow.compiler.coupling import AnyCoupling
from somaflow.compiler.final import FinalState
from somaflow.compiler.layout import pad
from somaflow.compiler.spiking import Spiking
from somaflow.compiler.states import Parameters, States
from somaflow.network.population import Population
from somaflow.simulation.system import Carry

if TYPE_CHECKING:
    from somaflow.compiler.step import NetworkDynamics


def lifted(
    populations: Sequence[Population],
    owners: Sequence[int],
    spiking: Sequence[Spiking],
    couplings: Iterable[AnyCoupling],
    edited: Iterable[str],
    reached: Collection[str] = (),
) -> tuple[set[int], list[bool]]:
    """Return which cells a reset changes, and which may be lifted where their crossing matters.

    Args:
        populations: Those of a network, and their events.
        owners: The place of the population whose cells each is of.
        spiking: The threshold, reset and refractory period of each.
        couplings: What spikes do.
        edited: Names of populations whose states are changed between two steps.
        reached: Names of populations that spikes reach in other shares of a whole.

    Returns:
        The places of the populations that a reset changes; and for each whether it has a threshold
        without a reset and may be lifted.
    """
    struck = {
        route.target
        for coupling in couplings
        for route in coupling.group.routes
        if coupling.group.form.acts
    }
    struck |= {k for k, p in enumerate(populations) if p.name in reached}
    shaken = {owner for owner, one in zip(owners, spiking, strict=True) if one.resets}
    struck |= shaken | {k for k, owner in enumerate(owners) if k != owner}
    names = set(edited)
    struck |= {k for k, p in enumerate(populations) if p.equations.rules or p.name in names}
    return shaken, [
        k in struck and one.condition is not None and not one.resets
        for k, one in enumerate(spiking)
    ]


def risen(
    dynamics: "NetworkDynamics", parameters: Parameters, start: Carry, final: FinalState, step: int
) -> Carry:
    """Return the state at the start of a run that goes on from an edited one.

    Which cells were above their threshold before the edit is found from what they were, where the
    run before had no need to keep it.

    Args:
        dynamics: The functions of the network.
        parameters: Their parameters, as arrays.
        start: The state.
        final: That from which the run goes on.
        step: Steps made before.
    """
    above, tables = dict(start.event.above), dynamics.tables
    names = {k: f"above {population.name}" for k, population in enumerate(tables.populations)}
    unknown = [
        k
        for k, key in names.items()
        if tables.struck[k]
        and key not in final.events
        and tables.populations[tables.owners[k]].name in final.before
    ]
    if not unknown:
        return start
    given = tf.nest.map_structure(tf.constant, parameters)
    constants = dynamics.prepare(given, tables.dt, (0.0,))
    time = tf.constant(step * tables.dt, tf.float64)
    for k in unknown:
        owner = tables.populations[tables.owners[k]]
        states: States = {
            name: tf.constant(pad(values, owner.size).astype(tables.dtype))
            for name, values in final.before[owner.name].items()
        }
        value = dynamics.scope(tables.owners[k], states, time, constants)
        held = np.asarray(dynamics.spiking[k].holds(value))
        above[names[k]] = np.broadcast_to(held, np.shape(above[names[k]])).copy()
    return start._replace(event=start.event._replace(above=above))
