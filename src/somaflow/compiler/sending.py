"""Sending: in a share, what the spikes that were heard of put under way where delays differ.

One process puts what a spike delivers into a ring in the spike's step. A share does so between two
chunks, once it has heard the spikes of all cells, step by step and in the order of all cells: by
the same functions, and before anything of it arrives, since no delay is shorter than a chunk.
"""

import tensorflow as tf

from somaflow.compiler.coupling import Spikes
from somaflow.compiler.history import at_step
from somaflow.compiler.share import received
from somaflow.compiler.states import EventState, Parameters, Tensors, Tick
from somaflow.compiler.tables import Tables
from somaflow.numerics.device import following
from somaflow.numerics.types import Tensor


def under_way(
    tables: Tables, event: EventState, parameters: Parameters, step: Tensor
) -> EventState:
    """Return the event state with what spikes send that were heard of.

    Args:
        tables: Of the network.
        event: The state, with the last spikes of all cells where they are kept.
        parameters: The arguments of the compiled functions.
        step: The number of steps made before: what was heard of other steps is under way already.
    """
    if not tables.heard:
        return event
    sent = {c: [f"spikes {name}" for name in tables.senders(c)] for c, _ in tables.heard}
    keys = [key for names in sent.values() for key in names]
    spikes = {key: _last(tables, key, event, parameters) for key in keys}
    first, last = tf.unstack(parameters.heard[keys[0]].steps)
    first = tf.where(last == step, first, last)
    constants = {c: _prepared(tables, c, parameters) for c in sent}
    # None of them reads variables of presynaptic cells.
    cells = [{} for _ in tables.populations]

    def one(step: Tensor, groups: dict[str, Tensors]) -> tuple[Tensor, dict[str, Tensors]]:
        after = {}
        for c, coupling in tables.heard:
            key, tick = coupling.group.key, Tick(step, tables.dt, coupling.group.nodes)
            since = tf.concat([at_step(spikes[name], step, None) for name in sent[c]], axis=-1)
            heard = Spikes(since, None, cells, cells)
            after[key] = coupling.sent(groups[key], heard, tick, constants[c])
        return following(step, tf.nest.flatten(after)), after

    kept = {coupling.group.key: event.groups[coupling.group.key] for _, coupling in tables.heard}
    _, kept = tf.while_loop(lambda step, _: step < last, one, (first, kept))
    return event._replace(groups={**event.groups, **kept})


def _last(tables: Tables, key: str, event: EventState, parameters: Parameters) -> Tensor:
    """Return the spikes of all cells of a population in the last steps."""
    if key in event.spikes:
        return event.spikes[key]
    share = tables.share
    assert share is not None
    none = tf.zeros([share.span, share.width(key.removeprefix("spikes "))], tables.dtype)
    return received(none, parameters.heard[key])


def _prepared(tables: Tables, c: int, parameters: Parameters) -> object:
    """Return what a coupling has for a chunk."""
    coupling = tables.couplings[c]
    table = parameters.synapses[coupling.group.routes[0].projection]
    return coupling.prepare(parameters.sums[c], table, tables.dt, coupling.group.nodes)
