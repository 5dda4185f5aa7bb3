"""Plastic synapses: each has variables of its own, which change at spikes on either side.

What a spike does is evaluated for the synapses of the cell that spiked, and for no other. Traces
are read at the moment of the spike, spikes of the same step that came before it included. Within a
step, what presynaptic spikes do to a synapse is done before what postsynaptic spikes do.
"""

import hashlib
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.compiler.tf2xla.python import xla

from somaflow.compiler.coupling import (
    Group,
    Moment,
    Outcome,
    Route,
    Spikes,
    States,
    Variable,
    ports,
)
from somaflow.compiler.jumping import (
    Traces,
    check_sums,
    coefficients,
    finished,
    opened,
    summed_current,
    ways,
)
from somaflow.compiler.linear import Linear
from somaflow.compiler.wiring import Wiring
from somaflow.equations.expression import Node
from somaflow.errors import NetworkError
from somaflow.network.jumping import increment
from somaflow.network.plastic import Plastic
from somaflow.numerics.delivery import Lists, for_each, in_lists, over_blocks
from somaflow.numerics.device import cast
from somaflow.numerics.types import Tensor


class PlasticCoupling:
    """One projection of plastic synapses.

    Args:
        group: The group, of one projection.
        wiring: Its synapses, as a loop.
        dtype: NumPy type of the run.
    """

    rows: dict[str, float] = {}  # noqa: RUF012 - never changed
    places, each, follows, flowing = (), False, False, ()
    unseen = ("projection", "wired", "back")

    def __init__(self, group: Group, wiring: Wiring, dtype: Any) -> None:
        self.group, self.wiring, self.dtype = group, wiring, dtype
        form = group.form
        assert isinstance(form, Plastic)
        self.form = form
        self.projection = group.members[0].projection
        self.linear = Linear(group.lowered.equations, form.sums)
        self.before = Traces(group, form.before, form.on_spike, "_pre")
        self.after = Traces(group, form.after, form.on_post_spike, "_post")
        known = {*form.sums, *form.own, *form.before, *form.after}
        self.ports = tuple(dict.fromkeys(a.name for a in form.on_spike if a.name not in known))
        self.height = 2 * len(form.sums) + len(self.ports)
        self.weight = self.projection.weight_name
        arrays = wiring.arrays
        digest = hashlib.blake2b(arrays["first"].tobytes(), digest_size=8)
        digest.update(arrays["other"].tobytes())
        self.wired = digest.hexdigest()
        self.width = arrays["other"].shape[1]
        self.size = arrays["other"].size
        self.back: Lists | None = None
        self.back_single = False
        if form.on_post_spike:
            out = Lists(arrays["first"], arrays["other"], {}, wiring.choice.synapses, wiring.single)
            self.back = in_lists(out, wiring.n_pre, wiring.width)
            self.back_single = self.back.single
            wiring.arrays |= {
                "in first": self.back.first,
                "in other": self.back.other,
                "in place": self.back.columns["place"],
            }

    def check(self, parameters: dict[str, Any], dt: float) -> None:
        """Refuse what has no closed form.

        Raises:
            NetworkError: As for `check_sums`.
        """
        check_sums(self.group, self.linear, parameters, dt)
        for traces in (self.before, self.after):
            check_sums(self.group, traces.linear, parameters, dt, rest=False)

    def initial(self, batch: tuple[int, ...]) -> Any:
        """Return sums of 0, and the initial values of traces and of synapses.

        Raises:
            NetworkError: There is a batch, for which plastic synapses are not made.
        """
        if batch:
            raise NetworkError(
                f"{self.group.place}: what a spike does is computed for each synapse by itself, "
                "and such synapses take no batch axes: parameters and initial values of this "
                "network have one value a cell at most."
            )
        start = self.group.initial

        def full(names: Any, size: int) -> dict[str, np.ndarray]:
            return {s: np.full((size,), start[s], self.dtype) for s in names}

        own = full(self.form.own, self.size + 1)
        if self.weight in own:
            own[self.weight] = np.append(self.wiring.arrays["weight"], 0).astype(self.dtype)
        return {
            "sums": full(self.form.sums, self.wiring.width),
            "before": full(self.form.before, self.wiring.n_pre),
            "after": full(self.form.after, self.wiring.width),
            "own": own,
        }

    def prepare(self, arrays: Any, table: Any, dt: float, nodes: tuple[float, ...]) -> Any:
        """Evaluate the coefficients, and the way of the sums to each node."""
        prepared = self.group.lowered.prepare(table)
        return {
            "arrays": arrays,
            "table": prepared,
            "before": coefficients(self.group, self.before.linear, prepared, self.dtype),
            "after": coefficients(self.group, self.after.linear, prepared, self.dtype),
        } | ways(self.group, self.linear, prepared, self.dtype, dt, nodes)

    def arrive(self, event: Any, moment: Moment, prepared: Any) -> Any:
        """Return the sums at each node and at the end."""
        return opened(self.linear, event["sums"], moment, prepared)

    def sums(self, states: States, context: Any, node: int, prepared: Any) -> Any:
        """Return the sums over the synapses of each postsynaptic cell, by state."""
        return context["sums"][node]

    def current(
        self, route: Route, owner: States, sums: Any, table: Any, of: tuple[Node, ...] | None = None
    ) -> Tensor | None:
        """Return the outward current of a route."""
        return summed_current(route, owner, sums, table, of)

    def slopes(self, states: States, context: Any, prepared: Any) -> dict[str, Tensor]:
        """Return nothing: no solver integrates these states."""
        return {}

    def emit(
        self, event: Any, context: Any, spikes: Spikes, moment: Moment, prepared: Any
    ) -> Outcome | None:
        """Do what the spikes of both sides do."""
        dt, table, own = moment.dt, prepared["table"], event["own"]
        owners = spikes.states[self.group.source], spikes.states[self.group.routes[0].target]
        sides = []
        pairs = ((self.before, "before", spikes.before), (self.after, "after", spikes.after))
        for owner, (traces, key, since) in zip(owners, pairs, strict=True):
            if since is None:  # nothing reads the postsynaptic spikes
                sides.append(None)
                continue
            sides.append(self._side(traces, prepared[key], event[key], since, dt, owner, table))
        before, after = sides
        # No conditions around these: each branch would copy the variables of all synapses.
        own, total = self._presynaptic(own, before, after, owners, dt, prepared)
        if after is not None and self.form.on_post_spike:
            own = self._postsynaptic(own, before, after, owners, dt, prepared)
        made = {
            "before": before["end"],
            "after": {} if after is None else after["end"],
            "own": own,
        }
        found = tf.unstack(tf.transpose(total)[:, :-1])[: self.height]
        ends = [context["end"][s] for s in self.form.sums]
        sums = [end + part for end, part in zip(ends, found, strict=False)]
        return finished(self.linear, self.ports, [*sums, *found[len(ends) :]], made)

    @staticmethod
    def _side(
        traces: Traces, values: Any, z: States, since: Tensor, dt: float, owner: States, table: Any
    ) -> dict[str, Any]:
        """Return what the synapses may ask of the traces of one side."""
        seen, now = traces.spike(values, z, since, dt, owner, table)
        calm = traces.later(values, z, dt)
        grown = traces.linear.advance(values, now, since) if now else {}
        end = {s: tf.where(since > 0, grown[s], calm[s]) for s in traces.states}

        def at(cells: Any, ago: Any) -> dict[str, Tensor]:
            """Return the traces of some cells some time before the step's end."""
            if not traces.states:
                return {}
            own = tf.gather(since, cells)
            start = {s: tf.gather(z[s], cells) for s in traces.states}
            jumped = {s: tf.gather(now[s], cells) for s in traces.states}
            early = traces.linear.advance(values, start, dt - ago)
            late = traces.linear.advance(values, jumped, tf.maximum(own - ago, 0))
            return {s: tf.where((own > 0) & (own > ago), late[s], early[s]) for s in traces.states}

        return {"seen": seen, "end": end, "at": at, "since": since}

    def _presynaptic(
        self,
        own: dict[str, Tensor],
        before: Any,
        after: Any,
        owners: Any,
        dt: float,
        prepared: Any,
    ) -> tuple[dict[str, Tensor], Tensor]:
        form, arrays, dtype = self.form, prepared["arrays"], tf.as_dtype(self.dtype)
        lowered = self.group.lowered
        pre, post = (ports(lowered, o, s) for o, s in zip(owners, ("_pre", "_post"), strict=True))

        def cell(j: Tensor, state: Any) -> Any:
            since = before["since"][j]
            fixed = {name: value[j] for name, value in pre.items()}
            snapshots = [{s: v[j] for s, v in then.items()} for then in before["seen"]]

            def block(b: Tensor, state: Any) -> Any:
                own, total = state
                target = arrays["other"][b]
                cells = tf.minimum(target, self.wiring.width - 1)
                values = fixed | {name: tf.gather(v, cells) for name, v in post.items()}
                if after is not None:
                    values |= after["at"](cells, since)
                start = b * self.width
                values |= {s: sliced(v, start, self.width) for s, v in own.items()}
                if self.weight is not None and self.weight not in own:
                    values[self.weight] = arrays["weight"][b]
                jumps, added = {}, {}
                for assignment, then in zip(form.on_spike, snapshots, strict=True):
                    name = assignment.name
                    if name in form.before:
                        continue
                    value = lowered.scope(prepared["table"], {**values, **then})
                    if name in own:
                        fresh = spread(value(assignment.expression), target, dtype)
                        own = {**own, name: stored(own[name], fresh, start)}
                        # Read back from where it was written: if what follows needed the old
                        # values too, XLA would copy all of them.
                        places = start + tf.range(self.width)
                        values[name] = tf.gather(own[name], places)
                        continue
                    size = value(increment(assignment, self.group.place))
                    sent = jumps if name in form.sums else added
                    sent[name] = sent.get(name, 0.0) + spread(size, target, dtype)
                nothing = tf.zeros(target.shape, dtype)
                columns = []
                if form.sums:
                    given = jumps or {form.sums[0]: nothing}
                    both = self.linear.swept(prepared["sums"], given, since)
                    columns = [part[s] for part in both for s in form.sums]
                columns += [added.get(name, nothing) for name in self.ports]
                if columns:
                    total = tf.tensor_scatter_nd_add(
                        total, target[:, None], tf.stack(columns, axis=-1)
                    )
                return own, total

            return over_blocks(arrays["first"], self.wiring.single, j, block, state)

        total = tf.zeros([self.wiring.width + 1, max(self.height, 1)], dtype)
        return for_each(before["since"] > 0, cell, (own, total))

    def _postsynaptic(
        self,
        own: dict[str, Tensor],
        before: Any,
        after: Any,
        owners: Any,
        dt: float,
        prepared: Any,
    ) -> dict[str, Tensor]:
        form, arrays, dtype = self.form, prepared["arrays"], tf.as_dtype(self.dtype)
        lowered = self.group.lowered
        pre, post = (ports(lowered, o, s) for o, s in zip(owners, ("_pre", "_post"), strict=True))

        def cell(i: Tensor, own: Any) -> Any:
            since = after["since"][i]
            fixed = {name: value[i] for name, value in post.items()}
            snapshots = [{s: v[i] for s, v in then.items()} for then in after["seen"]]

            def block(b: Tensor, own: Any) -> Any:
                place = arrays["in place"][b]
                cells = tf.minimum(arrays["in other"][b], self.wiring.n_pre - 1)
                values = fixed | {name: tf.gather(v, cells) for name, v in pre.items()}
                values |= before["at"](cells, since)
                values |= {s: tf.gather(v, place) for s, v in own.items()}
                if self.weight is not None and self.weight not in own:
                    flat = tf.reshape(arrays["weight"], [-1])
                    values[self.weight] = tf.gather(flat, tf.minimum(place, self.size - 1))
                changed = set()
                for assignment, then in zip(form.on_post_spike, snapshots, strict=True):
                    if assignment.name in own:
                        value = lowered.scope(prepared["table"], {**values, **then})
                        fresh = spread(value(assignment.expression), place, dtype)
                        values[assignment.name] = fresh
                        changed.add(assignment.name)
                return {
                    s: tf.tensor_scatter_nd_update(v, place[:, None], values[s])
                    if s in changed
                    else v
                    for s, v in own.items()
                }

            return over_blocks(arrays["in first"], self.back_single, i, block, own)

        return for_each(after["since"] > 0, cell, own)

    def variable(self, name: str, route: Route) -> Variable:
        """Return where a variable of each synapse, a trace of either side or a sum is found."""
        form = self.form
        if name in form.own:
            places = self.by_connection()(np.arange(self.size + 1))
            return Variable("synapse", lambda event, _: event["own"][name], places)
        if name in form.before:
            return Variable("pre", lambda event, _: event["before"][name])
        part = "after" if name in form.after else "sums"
        return Variable("post", lambda event, _: event[part][name][..., route.columns])

    def by_connection(self) -> Callable[[np.ndarray], np.ndarray]:
        """Return what puts a variable of the synapses into the order of `connections()`."""
        arrays = self.wiring.arrays
        flat = arrays["other"].ravel()
        places = np.flatnonzero(flat < self.wiring.width)
        n_pre = self.wiring.n_pre
        blocks = np.ones(n_pre, np.int64) if self.wiring.single else np.diff(arrays["first"])
        owner = np.repeat(np.repeat(np.arange(n_pre), blocks), self.width)
        order = places[np.lexsort((owner[places], flat[places]))]
        return lambda values: values[..., order]


def spread(value: Any, like: Tensor, dtype: tf.DType) -> Tensor:
    """Return a value as a vector of the length of another."""
    return tf.broadcast_to(cast(value, dtype), like.shape)


def sliced(flat: Tensor, start: Tensor, size: int) -> Tensor:
    """Return `size` elements from `start` on."""
    return tf.slice(flat, start[None], [size])


def stored(flat: Tensor, values: Tensor, start: Tensor) -> Tensor:
    """Return a vector with the elements from `start` on replaced."""
    if tf.executing_eagerly():
        places = start + tf.range(values.shape[0])
        return tf.tensor_scatter_nd_update(flat, places[:, None], values)
    return xla.dynamic_update_slice(flat, values, start[None])
