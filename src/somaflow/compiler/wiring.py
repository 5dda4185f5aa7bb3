"""Wiring: the synapses of a group as arrays, in the form that the cost table finds cheapest."""

import hashlib
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from somaflow.errors import NetworkError
from somaflow.network.choice import Choice
from somaflow.network.groups import Drawn
from somaflow.network.projection import Projection
from somaflow.network.random import threefry
from somaflow.network.synaptic import varied_delays
from somaflow.numerics.delivery import (
    Indices,
    Lists,
    Part,
    Value,
    deliver,
    deliver_later,
    deliver_values,
    is_one,
    out_lists,
)
from somaflow.numerics.places import Places
from somaflow.numerics.sums import dense, gathered, weighted_sum
from somaflow.numerics.types import Tensor
from somaflow.units import Parameter


class Member(NamedTuple):
    """A projection in a group.

    Attributes:
        projection: The projection.
        start: Where the columns of its postsynaptic population begin.
        first: Of a population that is a range of another one the number of its first cell there,
            by which synapses name it.
    """

    projection: Projection
    start: int
    first: int = 0


def parts(members: list[Member], synapses: Drawn, dt: float, dtype: np.dtype) -> Iterator[Part]:
    """Yield the synapses of some projections, a range of postsynaptic cells at a time."""
    for (projection, start, first), drawn in zip(members, synapses, strict=True):
        for connections in drawn:
            weight = connections.coherent
            if is_one(weight):  # and stays one
                weight = np.broadcast_to(weight[:1].astype(dtype), weight.shape)
            columns = {"weight": weight.astype(dtype, copy=False)}
            if varied_delays(projection):
                columns["delay"] = np.rint(connections.delay / dt).astype(np.int32)
            yield Part(connections.pre, connections.post + np.int32(start - first), columns)


def one_weight(projection: Projection) -> float | None:
    """Return the weight of all synapses of a projection; None where theirs may differ."""
    if projection.weight_name is None:
        return 1.0
    weight = projection.weight
    if isinstance(weight, Parameter) and not weight.value.ndim:
        return float(weight.value)
    return None


class Wiring:
    """The static synapses of a group.

    Where each projection has one weight for all its synapses, a matrix counts the synapses of each
    pair, and the sums are multiplied by the weight: runs that differ in it share the matrix.

    Args:
        members: The projections.
        synapses: Those of each.
        chosen: How they are summed.
        n_pre: Number of presynaptic cells, padding included.
        width: Number of postsynaptic cells, padding included.
        dt: The step in ms.
        dtype: NumPy type of the run.
        counts: Whether a matrix is to count synapses; None where that follows from the members,
            which are all there are.

    Attributes:
        choice: How they are summed.
        arrays: The arrays that it takes.
        scaled: Whether sums over counts are multiplied by `arrays["scale"]`, `[width]`.
        latest: The longest delay in steps where delays differ between synapses, else None.
    """

    unseen = ("arrays",)

    def __init__(
        self,
        members: list[Member],
        synapses: Drawn,
        chosen: Choice,
        n_pre: int,
        width: int,
        dt: float,
        dtype: np.dtype,
        counts: bool | None = None,
    ) -> None:
        self.n_pre, self.width, self.single = n_pre, width, False
        weights = [one_weight(member.projection) for member in members]
        counts = None not in weights if counts is None else counts
        self.scaled = chosen.form != "loop" and counts
        self.latest: int | None = None
        later = any(varied_delays(member.projection) for member in members)

        def given() -> Iterator[Part]:
            return parts(members, synapses, dt, dtype)

        if chosen.form == "loop":
            dtypes = {"weight": dtype} | ({"delay": np.int32} if later else {})
            self._hold(out_lists(given, n_pre, width, dtypes))
        else:
            every = list(given())
            pre = np.concatenate([p.pre for p in every])
            post = np.concatenate([p.post for p in every])
            weight = np.concatenate([p.columns["weight"] for p in every])
            if not _ordered(pre, post):
                order = np.lexsort((pre, post))
                pre, post, weight = pre[order], post[order], weight[order]
            fill = dense if chosen.form == "dense" else gathered
            if self.scaled:
                weight = np.ones_like(weight)
            self.arrays = fill(pre, post, weight, n_pre, width)
            if self.scaled:
                begin = [member.start for member in members]
                columns = np.diff([*begin, width])
                self.arrays["scale"] = np.repeat(np.array(weights, dtype), columns)
        if later:
            self.latest = int(self.arrays["delay"].max(initial=0))
        self.choice = chosen._replace(bytes=sum(a.nbytes for a in self.arrays.values()))

    def _hold(self, lists: Lists) -> None:
        self.single = lists.single
        self.arrays = {"first": lists.first, "other": lists.other, **lists.columns}

    def sum(self, arrays: dict[str, Tensor], x: Tensor) -> Tensor:
        """Return sum over j of weight[j, i]*x[..., j], `[..., width]`."""
        if self.choice.form == "loop":
            return deliver(arrays, self.single, self.width, x)
        return weighted_sum(arrays["weight"], arrays.get("sources"), x, arrays.get("scale"))

    def sum_values(
        self, arrays: dict[str, Tensor], sending: Places, value: Value, height: int
    ) -> Tensor:
        """Return sum over j of weight[j, i]*value(j), `[height, width]`, for a loop's arrays."""
        return deliver_values(
            arrays, self.single, self.width, sending, value, height, arrays["weight"].dtype
        )

    def later(
        self, arrays: dict[str, Tensor], sending: Places, value: Value, now: Tensor, ring: Tensor
    ) -> Tensor:
        """Add the same to what arrives after the delay of each synapse."""
        return deliver_later(arrays, self.single, self.width, sending, value, now, ring)


def checksum(*arrays: NDArray[Any]) -> str:
    """Return a text that differs where some arrays do."""
    digest = hashlib.blake2b(digest_size=8)
    for array in arrays:
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def pairs_of(lists: Lists, width: int) -> tuple[Indices, Indices, Indices]:
    """Return the cells of the synapses in some lists, and where each stands among all columns.

    Args:
        lists: The synapses of each presynaptic cell.
        width: Number of postsynaptic cells; what is not below it is padding.
    """
    flat = lists.other.ravel()
    places = np.flatnonzero(flat < width)
    blocks = np.diff(lists.first)
    owner = np.repeat(np.repeat(np.arange(len(blocks)), blocks), lists.other.shape[1])
    return owner[places], flat[places], places


def tally(pre: Indices, post: Indices, *values: NDArray[np.floating]) -> str:
    """Return a text that differs where synapses do, whatever their order; those of parts add up.

    Args:
        pre: The presynaptic cell of each synapse.
        post: Its postsynaptic cell.
        *values: Numbers of each synapse.
    """
    low, high = threefry((0, 0), (pre, post))
    for column in values:
        bits = np.ascontiguousarray(column, np.float64).view(np.uint64)
        words = bits.astype(np.uint32), (bits >> np.uint64(32)).astype(np.uint32)
        low, high = threefry((1, 0), (low ^ words[0], high ^ words[1]))
    mixed = (high.astype(np.uint64) << np.uint64(32)) | low
    return f"{int(mixed.sum(dtype=np.uint64)):016x}"


def tallied(texts: Iterable[str]) -> str:
    """Return the tally of synapses from those of parts; of none the empty text."""
    known = [text for text in texts if text]
    return f"{sum(int(text, 16) for text in known) % 2**64:016x}" if known else ""


def _ordered(pre: Indices, post: Indices) -> bool:
    """Tell whether synapses stand by postsynaptic and then presynaptic cell."""
    later = post[1:] > post[:-1]
    return bool(np.all(later | (post[1:] == post[:-1]) & (pre[1:] >= pre[:-1])))


def delay_steps(projection: Projection, dt: float) -> int | None:
    """Return the delay of a projection in steps, or None if its synapses differ.

    Raises:
        NetworkError: It is no whole number of steps.
    """
    delay = projection.one_delay
    if delay is None:
        return None
    steps = round(delay / dt)
    if abs(steps * dt - delay) > 1e-9 * max(delay, dt):
        low, high = int(delay / dt) * dt, (int(delay / dt) + 1) * dt
        short = f"shorter than a step of {dt:g} ms" if delay < dt else "no whole number of steps"
        raise NetworkError(
            f"the delay of projection {projection.name!r} is {delay:g} ms, which is {short}; "
            f"give {low:g} or {high:g} ms, or another dt."
        )
    return steps
