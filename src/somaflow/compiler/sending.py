"""Sending: in a share, what the spikes that were heard of put under way where delays differ.

One process puts what a spike delivers into a ring in the spike's step. A share does so at the start
of the next chunk, once it has heard the spikes of all cells, step by step and in the order of all
cells: by the same functions, and before anything of it arrives, since no delay is shorter than a
chunk.
"""

from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from somaflow.compiler.coupling import Spikes
from somaflow.compiler.history import at_step
from somaflow.compiler.share import Histories, put
from somaflow.compiler.states import EventState, Parameters, Tensors, Tick
from somaflow.compiler.tables import Tables
from somaflow.numerics.device import following
from somaflow.numerics.types import Tensor
from somaflow.simulation.system import Array, Carry, Heard

_SUMS = ("sum", "sums")  # parts of what a group keeps that change in each step

Resting = dict[str, dict[str, Any]]  # by group and part


class Receiving:
    """What a share does with the spikes that it has heard of.

    Args:
        tables: Of its network.
        histories: The last spikes of each sender of which more is elsewhere.
    """

    unseen = ("histories",)

    def __init__(self, tables: Tables, histories: Mapping[str, Array]) -> None:
        self.tables, self.histories = tables, histories
        self.places = Histories({key: past.shape for key, past in histories.items()})
        self.spikes = {key.partition(" ")[2]: key for key in histories}

    def split(self, carry: Carry) -> tuple[Carry, Resting]:
        """Return a state without what changes only where spikes are heard of, and that."""
        resting, groups = {}, dict(carry.event.groups)
        for _, coupling in self.tables.heard:
            key = coupling.group.key
            state: Any = groups[key]
            parts = {name: getattr(state, name) for name in state._fields if name not in _SUMS}
            resting[key] = parts
            groups[key] = state._replace(**dict.fromkeys(parts, ()))
        return carry._replace(event=carry.event._replace(groups=groups)), resting

    def joined(self, carry: Carry, resting: Resting) -> Carry:
        """Return the whole state again: the other way of `split`."""
        groups = dict(carry.event.groups)
        for key, parts in resting.items():
            state: Any = groups[key]
            groups[key] = state._replace(**parts)
        return carry._replace(event=carry.event._replace(groups=groups))

    def received(
        self, carry: Carry, parameters: Parameters, heard: Heard, step: Tensor
    ) -> tuple[Carry, Parameters]:
        """Return the state and the parameters of a chunk with what was heard.

        Args:
            carry: The state.
            parameters: The arguments of the compiled functions.
            heard: What was heard.
            step: The number of steps made before.
        """
        parameters = parameters._replace(seen=heard.seen)
        if not self.places.size:
            return carry, parameters
        parameters = parameters._replace(heard=put(self.places, heard))
        if self.tables.heard:
            carry = carry._replace(event=self._under_way(carry.event, parameters, heard, step))
        return carry, parameters

    def _under_way(
        self, event: EventState, parameters: Parameters, heard: Heard, step: Tensor
    ) -> EventState:
        """Return the event state with what spikes send that were heard of."""
        tables, past = self.tables, dict(parameters.heard)
        sent = {c: [self.spikes[name] for name in tables.senders(c)] for c, _ in tables.heard}
        constants = {c: _prepared(tables, c, parameters) for c in sent}
        # None of them reads variables of presynaptic cells.
        cells = [{} for _ in tables.populations]

        def one(step: Tensor, groups: dict[str, Tensors]) -> tuple[Tensor, dict[str, Tensors]]:
            after = {}
            for c, coupling in tables.heard:
                key, tick = coupling.group.key, Tick(step, tables.dt, coupling.group.nodes)
                since = tf.concat([at_step(past[name], step, None) for name in sent[c]], axis=-1)
                spikes = Spikes(since, None, cells, cells)
                after[key] = coupling.sent(groups[key], spikes, tick, constants[c])
            return following(step, tf.nest.flatten(after)), after

        couplings = {coupling.group.key: coupling for _, coupling in tables.heard}
        kept = {key: event.groups[key] for key in couplings}

        def emptied(step: Tensor, groups: dict[str, Any]) -> tuple[Tensor, dict[str, Any]]:
            return step + 1, {key: c.emptied(groups[key], step) for key, c in couplings.items()}

        # All first: no spike of these steps arrives in one of them. A loop that did both would copy
        # the whole rings.
        for loop in (emptied, one):
            _, kept = tf.while_loop(lambda at, _: at < step, loop, (heard.first, kept))
        return event._replace(groups={**event.groups, **kept})


def _prepared(tables: Tables, c: int, parameters: Parameters) -> object:
    """Return what a coupling has for a chunk."""
    coupling = tables.couplings[c]
    table = parameters.synapses[coupling.group.routes[0].projection]
    return coupling.prepare(parameters.sums[c], table, tables.dt, coupling.group.nodes)
