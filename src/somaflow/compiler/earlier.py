"""Earlier: what was before the first step of a run, where synapses read it with a delay."""

import numpy as np
import tensorflow as tf

from somaflow.compiler.continuing import Continuing
from somaflow.compiler.layout import pad
from somaflow.compiler.past import prefix_of
from somaflow.compiler.states import Parameters
from somaflow.compiler.step import NetworkDynamics
from somaflow.errors import RunError
from somaflow.numerics.types import Tensor
from somaflow.simulation.system import Array, Carry


def begun(dynamics: NetworkDynamics, parameters: Parameters, start: Carry, step: int) -> Carry:
    """Return the state at the start of a run with what was before it.

    A run that goes on has what was there; else each variable was what it is at the start.

    Args:
        dynamics: The functions of the network.
        parameters: Their parameters, as arrays.
        start: The state, with empty rings.
        step: Steps made before.

    Raises:
        RunError: A run goes on from one that kept less, or kept it at other times.
    """
    rings = start.event.past
    if not rings:
        return start
    before, past = dynamics.tables.before, dynamics.tables.past
    known = {} if before is None else {key: _known(before, key, rings[key]) for key in rings}
    now: dict[str, Tensor] = {}
    if any(known.get(key) is None for key in rings):
        now = past.passed([_states(dynamics, parameters, start, step)])
    filled = {}
    for key, ring in rings.items():
        found = known.get(key)
        if found is None:
            found = np.broadcast_to(np.asarray(now[key]), ring.shape)
        filled[key] = np.array(found, ring.dtype)
    return start._replace(event=start.event._replace(past=filled))


def _states(dynamics: NetworkDynamics, parameters: Parameters, start: Carry, step: int):
    """Return the states of each population at the start, with what synapses read of them."""
    tables, node = dynamics.tables, (0.0,)
    given, carry = tf.nest.map_structure(tf.constant, (parameters, start))
    constants = dynamics.prepare(given, tables.dt, node)
    drive = tables.drives.inputs(np.array([step], np.int64), node, tables.dt)
    nodes, steps = (tf.constant(table[0], tables.dtype) for table in drive)
    context = dynamics.arrive(carry, tf.constant(step, tf.int64), steps, constants)
    return dynamics.states_at_node(carry.flow, nodes[0], context, constants)


def _known(before: Continuing, key: str, ring: Array) -> Array | None:
    """Return what the end of another run tells of a ring, each step in its slot; None for nothing.

    Raises:
        RunError: It tells too little, or of other times.
    """
    events, clocks = before.final.events, before.clocks
    found = events.get(key)
    alike = [other for other in events if prefix_of(other) == prefix_of(key)]
    if not alike:
        return None
    what = prefix_of(key).removeprefix("past ")
    if found is None or not clocks.same:
        raise RunError(
            f"synapses read {what} with a delay, and the state that is given tells it at the "
            f"steps of dt = {clocks.old:g} ms and the nodes of its method; go on with that dt and "
            "that method."
        )
    steps = len(ring) - 1
    if len(found) - 1 < steps:
        raise RunError(
            f"synapses read {what} up to {steps * clocks.dt:g} ms late, and the state that is "
            f"given tells the last {(len(found) - 1) * clocks.dt:g} ms of it; keep the delay, or a "
            "shorter one."
        )
    last = clocks.now - 1 - np.arange(steps)
    filled = np.array(ring)
    filled[last % len(ring)] = pad(found[last % len(found)], found.shape[-1])
    return filled
