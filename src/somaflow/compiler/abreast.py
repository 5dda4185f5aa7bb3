"""Abreast: groups of one kind whose sums stand side by side, computed as one group.

Projections with the same kinetics that leave different populations, or with different fixed delays,
are groups of their own: in a run's state, in messages and in explanations. But what their spikes do
is the same, so it is traced once: presynaptic cells stand behind one another, each group's by
themselves, and postsynaptic columns likewise. Each column is still added to by the cells of its own
group alone, in their order, so no sum has other bits.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from somaflow.compiler.coupling import AnyCoupling, Group, Route
from somaflow.compiler.jumping import JumpingCoupling, JumpingState
from somaflow.compiler.ring import of_length, slots_of
from somaflow.compiler.wiring import Member, Wiring
from somaflow.network.groups import kinetics
from somaflow.numerics.delivery import Part, out_lists
from somaflow.numerics.sums import block_sums
from somaflow.numerics.types import Tensor

# Synapses of groups that are joined. With more, a step costs more than what stands before the
# first, and each group then is asked by itself whether there is anything to do.
_MOST = 1_000_000
# Likewise weights of matrices, which are summed whole where any cell has spiked.
_MOST_WEIGHTS = 1 << 17


class AbreastWiring(Wiring):
    """The synapses of several groups.

    Args:
        parts: Those of each group, all in the form of the first.
        width: Of matrices, the postsynaptic columns of each projection.
        dtype: NumPy type of the run.
    """

    def __init__(self, parts: Sequence[Wiring], width: int, dtype: np.dtype) -> None:
        self.n_pre, self.single = sum(part.n_pre for part in parts), False
        self.width = sum(part.width for part in parts)
        self.scaled = any(part.scaled for part in parts)
        delays = [part.latest for part in parts if part.latest is not None]
        self.latest = max(delays, default=None)
        form = parts[0].choice.form
        if form == "loop":
            dtypes = {"weight": dtype} | ({"delay": np.int32} if delays else {})
            single = all(part.single for part in parts)
            lists = out_lists(lambda: _synapses(parts), self.n_pre, self.width, dtypes, single)
            self._hold(lists)
        else:
            matrices = np.concatenate([part.arrays["weight"] for part in parts], axis=1)
            counts = [part.width // width for part in parts]
            self.arrays = {
                "weight": matrices.reshape(len(matrices), -1, width),
                "block": np.repeat(np.arange(len(parts), dtype=np.int32), counts),
            }
            if self.scaled:
                ones = [np.ones(part.width, dtype) for part in parts]
                scales = [p.arrays.get("scale", one) for p, one in zip(parts, ones, strict=True)]
                self.arrays["scale"] = np.concatenate(scales)
        self.choice = parts[0].choice._replace(
            bytes=sum(array.nbytes for array in self.arrays.values()),
            synapses=sum(part.choice.synapses for part in parts),
        )

    def sum(self, arrays: dict[str, Tensor], x: Tensor) -> Tensor:
        """Return sum over j of weight[j, i]*x[..., j], `[..., width]`."""
        if self.choice.form == "loop":
            return super().sum(arrays, x)
        return block_sums(arrays["weight"], arrays["block"], x, arrays.get("scale"))


def _synapses(parts: Sequence[Wiring]) -> Iterator[Part]:
    cells, columns = 0, 0
    for part in parts:
        lists = {**part.arrays}
        first, other = lists.pop("first"), lists.pop("other")
        place = np.flatnonzero(other < part.width)
        owner = np.repeat(np.arange(part.n_pre), np.diff(first))
        pre, post = owner[place // other.shape[1]], other.ravel()[place]
        kept = {name: column.ravel()[place] for name, column in lists.items()}
        yield Part(pre + cells, post + np.int32(columns), kept)
        cells, columns = cells + part.n_pre, columns + part.width


def abreast(
    couplings: Sequence[AnyCoupling], dt: float, dtype: np.dtype
) -> tuple[list[AnyCoupling], list[tuple[AnyCoupling, ...]]]:
    """Join groups of one kind.

    Args:
        couplings: Of all groups.
        dt: The step in ms.
        dtype: NumPy type of the run.

    Returns:
        The couplings that are computed, each in the place of its first group; and of each the
        couplings that it was made of.
    """
    kinds: dict[object, list[Any]] = {}
    for coupling in couplings:
        kind = _KINDS[type(coupling)](coupling) if type(coupling) in _KINDS else None
        kinds.setdefault(kind or coupling.group.key, []).append(coupling)
    computed, made_of = [], []
    for parts in kinds.values():
        if len(parts) > 1 and _is_small(parts):
            computed.append(_joined(parts, dt, dtype))
            made_of.append(tuple(parts))
        else:
            computed += parts
            made_of += [(part,) for part in parts]
    return computed, made_of


def _kind(coupling: JumpingCoupling) -> tuple[object, ...] | None:
    """Return what couplings must have in common to be joined; None where one stays by itself."""
    if coupling.ports or coupling.form.pre_states:
        return None
    group, form = coupling.group, coupling.wiring.choice.form
    reads = any(name.endswith("_pre") for name in group.lowered.equations.inputs)
    if form == "loop":  # of about one length, or short lists would be as long as long ones
        length = coupling.wiring.arrays["other"].shape[1].bit_length()
        shape = int(coupling.wiring.single), length
    else:
        widths = {route.columns.stop - route.columns.start for route in group.routes}
        shape = coupling.wiring.n_pre, *widths
    if reads or form == "gathered" or len(shape) > 2:
        return None
    latest = coupling.wiring.latest  # alike, or short rings would be as long as long ones
    longest = None if latest is None else latest.bit_length()
    alike = longest, form, shape, group.heard
    return kinetics(group.members[0].projection, coupling.form), *alike


# Of couplings that can be joined, what says which of them are.
_KINDS: dict[type, Callable[[Any], tuple[object, ...] | None]] = {JumpingCoupling: _kind}


def _is_small(parts: Sequence[JumpingCoupling]) -> bool:
    synapses = sum(part.wiring.choice.synapses for part in parts)
    matrices = [p.wiring.arrays["weight"] for p in parts if p.wiring.choice.form == "dense"]
    return synapses <= _MOST and sum(matrix.size for matrix in matrices) <= _MOST_WEIGHTS


def _joined(parts: Sequence[JumpingCoupling], dt: float, dtype: np.dtype) -> JumpingCoupling:
    members: list[Member] = []
    routes: list[Route] = []
    begin = 0
    for part in parts:
        for member, route in zip(part.group.members, part.group.routes, strict=True):
            columns = slice(begin + route.columns.start, begin + route.columns.stop)
            members.append(Member(member.projection, columns.start))
            routes.append(replace(route, columns=columns))
        begin += part.wiring.width
    group: Group = replace(parts[0].group, members=members, routes=routes)
    width = routes[0].columns.stop - routes[0].columns.start
    wiring = AbreastWiring([part.wiring for part in parts], width, dtype)
    coupling = JumpingCoupling(group, wiring, dtype)
    first = members[0].projection.equations.parameters
    coupling.check({name: p.value.astype(dtype) for name, p in first.items()}, dt)
    return coupling


def together(
    events: Mapping[str, object], made_of: Sequence[tuple[AnyCoupling, ...]], step: int
) -> dict[str, object]:
    """Return what is kept of groups, by their keys, with the groups that are joined as one.

    Args:
        events: What is kept. Rings of groups that are joined become as long as the longest.
        made_of: Of each coupling that is computed those that it was made of.
        step: Steps made before.
    """
    events = dict(events)
    for parts in made_of:
        if len(parts) > 1:
            states = [events.pop(part.group.key) for part in parts]
            events[parts[0].group.key] = _concatenated(states, step)  # pyright: ignore
    return events


def apart(
    events: Mapping[str, object], made_of: Sequence[tuple[AnyCoupling, ...]], step: int
) -> dict[str, object]:
    """Return what is kept of each group by itself: the other way of `together`."""
    events = dict(events)
    for parts in made_of:
        if len(parts) > 1:
            whole: JumpingState = events.pop(parts[0].group.key)  # pyright: ignore
            for part, state in zip(parts, _split(whole, parts, step), strict=True):
                events[part.group.key] = state
    return events


def _concatenated(states: Sequence[JumpingState], step: int) -> JumpingState:
    sums = {
        name: np.concatenate([np.asarray(state.sums[name]) for state in states], axis=-1)
        for name in states[0].sums
    }
    if isinstance(states[0].late, tuple):
        return JumpingState(sums, {})
    widths = [next(iter(state.sums.values())).shape[-1] for state in states]
    slots = [slots_of(state.late, width) for state, width in zip(states, widths, strict=True)]
    longest = max(map(len, slots))
    slots = [of_length(slot, longest, step) for slot in slots]
    ring = np.concatenate([*(slot[:, :-1] for slot in slots), slots[0][:, -1:]], axis=1)
    return JumpingState(sums, {}, ring.reshape(-1, ring.shape[-1]))


def _split(whole: JumpingState, parts: Sequence[AnyCoupling], step: int) -> Iterator[JumpingState]:
    end, width = 0, sum(part.wiring.width for part in parts)
    for part in parts:
        begin, end = end, end + part.wiring.width
        sums = {name: np.asarray(total)[..., begin:end] for name, total in whole.sums.items()}
        late = ()
        if part.wiring.latest is not None:
            slots = slots_of(np.asarray(whole.late), width)
            ring = np.concatenate([slots[:, begin:end], slots[:, -1:]], axis=1)
            ring = of_length(ring, part.wiring.latest + 2, step)
            late = ring.reshape(-1, ring.shape[-1])
        yield JumpingState(sums, {}, late)
