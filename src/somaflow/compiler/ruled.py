"""Synapses with rules at intervals, each with variables of its own."""

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from somaflow.compiler.coupling import ports
from somaflow.compiler.followers import Scope, StepEnd, Text
from somaflow.compiler.general import RELEASE, GeneralCoupling
from somaflow.compiler.plastic import PlasticConstants, PlasticCoupling, PlasticState
from somaflow.compiler.single import GeneralConstants, GeneralState
from somaflow.compiler.states import Tensors
from somaflow.compiler.step import NetworkDynamics
from somaflow.network.synaptic import place_of
from somaflow.numerics.sums import gathered, weighted_sum
from somaflow.numerics.types import Tensor
from somaflow.simulation.system import Array


class GeneralSynapses:
    """The rules of synapses that are computed each by itself.

    Args:
        dynamics: The functions of the network.
        c: The coupling's place.
        coupling: It.
    """

    def __init__(self, dynamics: NetworkDynamics, c: int, coupling: GeneralCoupling) -> None:
        self._whole, self._c, self._coupling = dynamics, c, coupling
        self.text = _text(dynamics, coupling)
        blocks = sum(bool(layout.states) for layout in dynamics.layouts)
        flowing = [place for place, _ in dynamics.tables.flowing]
        self._block = blocks + flowing.index(c) if c in flowing else None
        each = coupling.wiring
        self.arrays = _summed(
            self.text, np.arange(each.count), each.arrays["pre"], each.arrays["post"]
        )

    def taken(self, moment: StepEnd) -> Tensors:
        """Return the states that the rules change; those that the solver integrates as a block."""
        kept, form = moment.event.groups[self._coupling.group.key], self._coupling.form
        assert isinstance(kept, GeneralState)
        parts = {name: kept.own[name] for name in self.text.changed if name in form.closed}
        if self._block is not None and set(self.text.changed) & {*form.flowing}:
            parts[""] = moment.flow[self._block]
        return parts

    def put(self, moment: StepEnd, parts: Tensors) -> StepEnd:
        """Return the moment with other states of the synapses."""
        own = {name: part for name, part in parts.items() if name}
        if "" in parts and self._block is not None:
            moment = moment.with_block(self._block, parts[""])
        return moment.with_own(self._coupling.group.key, own)

    def followed(self, rule: int, parts: Tensors, moment: StepEnd) -> Tensors:
        """Return the states after a rule."""
        coupling, each = self._coupling, self._coupling.wiring
        moment = self.put(moment, parts)
        numbers, kept = moment.constants.sums[self._c], moment.event.groups[coupling.group.key]
        assert isinstance(numbers, GeneralConstants) and isinstance(kept, GeneralState)
        source, target = coupling.group.source, coupling.group.routes[0].target
        cells = self._whole.states(moment.flow)
        cells = self._whole.seen(cells, moment.time, moment.constants)
        given = coupling.given(cells[source], cells[target], numbers.arrays)
        step = moment.context.tick.step
        known = self.text.drawn(rule, moment.seed, step, tf.range(each.size))
        known["t"] = moment.time

        def total(function: str, values: Tensor) -> Tensor:
            return _total(function, values, moment.arrays, numbers.arrays)

        def scope(values: Tensors) -> Scope:
            return coupling.group.lowered.scope(numbers.table, values)

        own = self.text.followed(rule, given | kept.own, known, scope, total)
        after = {name: own[name] for name in parts if name}
        if "" in parts:
            after[""] = tf.stack([own[name] for name in coupling.form.flowing])
        return after


class PlasticSynapses:
    """The rules of plastic synapses, whose variables lie in the order of their wiring.

    Args:
        dynamics: The functions of the network.
        c: The coupling's place.
        coupling: It.
    """

    def __init__(self, dynamics: NetworkDynamics, c: int, coupling: PlasticCoupling) -> None:
        self._whole, self._c, self._coupling = dynamics, c, coupling
        self.text = _text(dynamics, coupling)
        wiring, n_pre = coupling.wiring, coupling.wiring.n_pre
        owner = np.repeat(np.arange(n_pre), np.diff(wiring.arrays["first"]))
        # The variables have one place more than the lists, which is of no synapse.
        pre = np.append(np.repeat(owner, coupling.width), 0).astype(np.int32)
        post = np.append(wiring.arrays["other"].ravel(), wiring.width).astype(np.int32)
        order = coupling.ordered
        self.arrays: dict[str, Array] = {"pre": pre, "post": post}
        self.arrays |= _summed(self.text, order, pre, post)
        if self.text.draws:
            rank = np.zeros(len(pre), np.int32)
            rank[order] = np.arange(len(order))
            self.arrays["rank"] = rank

    def taken(self, moment: StepEnd) -> Tensors:
        """Return the variables that the rules change."""
        kept = moment.event.groups[self._coupling.group.key]
        assert isinstance(kept, PlasticState)
        return {name: kept.own[name] for name in self.text.changed}

    def put(self, moment: StepEnd, parts: Tensors) -> StepEnd:
        """Return the moment with other variables of the synapses."""
        return moment.with_own(self._coupling.group.key, parts)

    def followed(self, rule: int, parts: Tensors, moment: StepEnd) -> Tensors:
        """Return the variables after a rule; what is of no synapse stays as it is."""
        coupling, arrays = self._coupling, moment.arrays
        group, width = coupling.group, coupling.wiring.width
        numbers, kept = moment.constants.sums[self._c], moment.event.groups[group.key]
        assert isinstance(numbers, PlasticConstants) and isinstance(kept, PlasticState)
        target = tf.minimum(arrays["post"], width - 1)
        cells = self._whole.states(moment.flow)
        cells = self._whole.seen(cells, moment.time, moment.constants)
        pre = ports(group.lowered, cells[group.source], "_pre") | kept.pre
        post = ports(group.lowered, cells[group.routes[0].target], "_post") | kept.post
        known = {k: tf.gather(v, arrays["pre"]) for k, v in pre.items() if k in self.text.reads}
        known |= {k: tf.gather(v, target) for k, v in post.items() if k in self.text.reads}
        if coupling.weight is not None and coupling.weight not in kept.own:
            weights = tf.reshape(numbers.arrays["weight"], [-1])
            known[coupling.weight] = tf.concat([weights, weights[-1:]], axis=0)
        if self.text.draws:
            step = moment.context.tick.step
            known |= self.text.drawn(rule, moment.seed, step, arrays["rank"])
        known["t"] = moment.time

        def total(function: str, values: Tensor) -> Tensor:
            return _total(function, values, arrays, {"pre": arrays["pre"], "post": target})

        def scope(values: Tensors) -> Scope:
            return group.lowered.scope(numbers.table, values)

        own = self.text.followed(rule, kept.own | parts, known, scope, total)
        real = arrays["post"] < width
        return {name: tf.where(real, own[name], part) for name, part in parts.items()}


def _text(dynamics: NetworkDynamics, coupling: GeneralCoupling | PlasticCoupling) -> Text:
    projection = coupling.group.members[0].projection
    return Text(
        projection.equations,
        str(projection.name),
        place_of(projection),
        RELEASE,
        dynamics.dt,
        dynamics.tables.dtype,
    )


def _summed(
    text: Text, order: NDArray[np.int64], pre: NDArray[np.int32], post: NDArray[np.int32]
) -> dict[str, Array]:
    """Return which synapses each cell sums, on the sides where rules have sums.

    Args:
        text: The rules.
        order: The place of each synapse, in the order of `connections()`.
        pre: The presynaptic cell of each place.
        post: The postsynaptic cell.
    """
    arrays: dict[str, Array] = {}
    for side, cells in (("pre", pre), ("post", post)):
        if f"sum_{side}" not in text.functions:
            continue
        places = order[np.argsort(cells[order], kind="stable")]
        count = int(cells.max(initial=0)) + 1
        lists = gathered(places, cells[places], np.ones(len(places), text.dtype), 0, count)
        arrays |= {f"{side} {key}": value for key, value in lists.items()}
    return arrays


def _total(function: str, values: Tensor, lists: Tensors, cells: Tensors) -> Tensor:
    """Return for each synapse the sum over those of the same cell on a side."""
    side = function.removeprefix("sum_")
    sums = weighted_sum(lists[f"{side} weight"], lists[f"{side} sources"], values)
    return tf.gather(sums, tf.minimum(cells[side], sums.shape[-1] - 1), axis=-1)
