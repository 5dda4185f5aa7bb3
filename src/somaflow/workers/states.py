"""States: that of a whole network from those of its shares, and the other way.

The state of a whole has no trace of how it was computed: runs go on from it with any number of
workers.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from somaflow.compiler.continuing import taken_over
from somaflow.compiler.coupling import RINGS
from somaflow.compiler.drives import noise_names
from somaflow.compiler.final import FinalState, KeptGroup
from somaflow.compiler.layout import padded
from somaflow.compiler.poisson import COUNTS
from somaflow.compiler.ring import of_length, slots_of
from somaflow.compiler.wiring import tallied
from somaflow.network.forms import take_apart
from somaflow.network.groups import Grouping
from somaflow.network.junctions import both_ways
from somaflow.network.network import Network
from somaflow.network.senders import with_happenings
from somaflow.network.shares import Bounds
from somaflow.network.stimuli import labels
from somaflow.simulation.system import Array

_POST = ("sum", "sums", "post")  # parts of what a group keeps, by postsynaptic cells
_NOISE = "stimuli/"
_CELLS = ("refractory", "above")  # what populations keep, with padding


def merged(
    whole: Network,
    parts: Sequence[FinalState],
    bounds: Sequence[Bounds],
    groupings: Sequence[Grouping],
) -> FinalState:
    """Return the state of a whole network.

    Args:
        whole: The network.
        parts: The state of each share.
        bounds: The cells of each.
        groupings: The groups of the whole's projections.
    """
    groups = {key: group for part in parts for key, group in part.groups.items()}
    groups |= {g.key: _whole_group(g, parts) for g in groupings}
    groups |= {key: _whole_input(group, whole) for key, group in groups.items() if _counts(group)}
    told = _Whole(whole, bounds, groups)
    states: dict[str, dict[str, Array]] = {}
    for population in whole.populations:
        name = population.name
        known = [
            p.states[name]
            for p, own in zip(parts, bounds, strict=True)
            if name in own and name in p.states
        ]
        if known:
            states[name] = {s: np.concatenate([k[s] for k in known], axis=-1) for s in known[0]}
    paths = dict.fromkeys(path for part in parts for path in part.events)
    events = {path: _joined(path, parts, told) for path in paths}
    return replace(
        parts[0], states=states, events=events, sizes=told.sizes, groups=groups, network=whole
    )


def _joined(path: str, parts: Sequence[FinalState], told: "_Whole") -> Array:
    """Return an array of the whole from those of its shares."""
    known = [(k, part.events[path]) for k, part in enumerate(parts) if path in part.events]
    first = known[0][1]
    kind, _, name = path.partition("/")
    if kind == "stimuli":
        cells = told.noises[name].cells
        values = np.zeros((*first.shape[:-1], len(cells)), first.dtype)
        for k, array in known:
            begin, end = told.own(k, told.noises[name].population.name)
            values[..., (cells >= begin) & (cells < end)] = array
        return values
    kind, _, name = path.partition(" ")
    if kind in _CELLS and name in told.sizes:
        return told.joined(known, name)
    if kind == "spikes" and name in told.sizes:
        # A share keeps as many steps as its own synapses wait for; the longest has all.
        longest = max((array for _, array in known), key=len)
        return _filled(longest[..., : told.sizes[name]], told.sizes[name])
    key, part = told.group_of(path)
    if not key or not told.groups[key].members:
        return first
    if (owner := told.shown_by(key)) is not None:
        return told.joined(known, owner)
    if part == "own" and len(known) > 1:
        return np.concatenate([array for _, array in known], axis=-1)
    if part in RINGS:
        return _joined_rings(key, parts, known, told)
    if part not in _POST:
        return first
    columns = told.groups[key].members.values()
    values = np.zeros((*first.shape[:-1], told.groups[key].width), first.dtype)
    for k, array in known:
        for projection, (target, here, _) in parts[k].groups[key].members.items():
            start = told.groups[key].members[projection][1]
            begin, end = told.own(k, target)
            values[..., start + begin : start + end] = array[..., here : here + end - begin]
    for target, start, end in columns if part == "post" else ():  # copies of cells spike too
        size = told.sizes[target]
        values[..., start + size : end] = values[..., start + size - 1 : start + size]
    return values


def _joined_rings(
    key: str, parts: Sequence[FinalState], known: Sequence[tuple[int, Array]], told: "_Whole"
) -> Array:
    """Return a ring of the whole, as long as the longest, from those of its shares."""
    rings = [(k, slots_of(array, parts[k].groups[key].width)) for k, array in known]
    length, _, height = max((ring for _, ring in rings), key=len).shape
    whole = told.groups[key]
    values = np.zeros((length, whole.width + 1, height), rings[0][1].dtype)
    for k, ring in rings:
        slots = of_length(ring, length, parts[k].steps)
        for projection, (target, here, _) in parts[k].groups[key].members.items():
            start = whole.members[projection][1]
            begin, end = told.own(k, target)
            values[:, start + begin : start + end] = slots[:, here : here + end - begin]
    return values.reshape(-1, height)


def taken(
    final: FinalState,
    whole: Network,
    k: int,
    bounds: Sequence[Bounds],
    synapses: Mapping[str, tuple[int, int]],
) -> FinalState:
    """Return of the state of a whole what a share goes on from: the other way of `merged`.

    Args:
        final: The state of the whole.
        whole: The network that goes on from it.
        k: Which share.
        bounds: The cells of each.
        synapses: The range of its synapses among those of each projection.
    """
    own, told = bounds[k], _Whole(whole, bounds, final.groups)
    final = replace(final, events=_with_noises(final.events, told))
    sizes = {name: 1 for name in told.sizes}  # a silent source in the place of a population
    sizes |= {n: e - b for n in told.sizes for b, e in [told.own(k, n)] if e > b}
    groups = {key: _own_group(key, group, told, k) for key, group in final.groups.items()}
    groups = {key: group for key, group in groups.items() if group.members}
    ranges = {name: slice(*told.own(k, name)) for name in final.states}
    states = {
        name: {s: v[..., ranges[name]] for s, v in values.items()}
        for name, values in final.states.items()
        if name in own
    }
    before = {
        name: {s: v[..., ranges[name]] for s, v in values.items()}
        for name, values in final.before.items()
        if name in own
    }
    edits = {
        name: {s: v[..., slice(*synapses[name])] for s, v in values.items()}
        for name, values in final.edits.items()
        if name in synapses and synapses[name][1] > synapses[name][0]
    }
    events = {}
    for path, array in final.events.items():
        part = _part(path, array, k, told, groups, synapses)
        if part is not None:
            events[path] = part
    known = {name: size for name, size in sizes.items() if name in final.sizes}
    return replace(
        final,
        states=states,
        events=events,
        sizes=known,
        groups=groups,
        network=None,
        edits=edits,
        before=before,
    )


def _with_noises(events: Mapping[str, Array], told: "_Whole") -> dict[str, Array]:
    """Return what is kept, of each noise under the name that it has in the network that goes on."""
    known = {name: array for name, array in events.items() if name.startswith(_NOISE)}
    rest = {name: array for name, array in events.items() if name not in known}
    return rest | taken_over([f"{_NOISE}{name}" for name in told.noises], known)


def _own_group(key: str, group: KeptGroup, told: "_Whole", k: int) -> KeptGroup:
    """Return what is told of a group in a share: its columns are those of its cells there."""
    members, begin = {}, 0
    ranges = {
        name: told.own(k, target) if target in told.sizes else (0, 0)
        for name, (target, *_) in group.members.items()
    }
    owner = told.shown_by(key)
    every = owner is not None and any(e > b for b, e in (told.own(k, owner), *ranges.values()))
    for name, (target, *_) in group.members.items():
        first, last = ranges[name]
        if last > first or every:  # of a population that is not here one silent cell is
            end = begin + padded(max(last - first, 1))
            members[name] = target, begin, end
            begin = end
    # Which synapses there are is checked of the whole.
    wired, began = (None if text else text for text in (group.wired, group.began))
    return replace(group, members=members, wired=wired, began=began)


def _part(
    path: str,
    array: Array,
    k: int,
    told: "_Whole",
    groups: Mapping[str, KeptGroup],
    synapses: Mapping[str, tuple[int, int]],
) -> Array | None:
    """Return of an array of the whole what a share has; None where it has nothing."""
    kind, _, name = path.partition("/")
    if kind == "stimuli":
        if name not in told.noises:
            return None
        begin, end = told.own(k, told.noises[name].population.name)
        cells = told.noises[name].cells
        mine = array[..., (cells >= begin) & (cells < end)]
        return mine if mine.shape[-1] else None
    kind, _, name = path.partition(" ")
    if kind in _CELLS and name in told.sizes:
        return told.taken(array, k, name)
    key, part = told.group_of(path)
    if not key:
        return array
    if key not in groups:
        return None
    if (owner := told.shown_by(key)) is not None:
        return told.taken(array, k, owner)
    old, new = told.groups[key], groups[key]
    if part == "own" and old.wired:
        (name,) = old.members
        return array[..., slice(*synapses.get(name, (0, None)))]
    if part in RINGS:
        slots = slots_of(array, old.width)
        values = np.zeros((len(slots), new.width + 1, slots.shape[-1]), array.dtype)
        for name, (target, start, _) in new.members.items():
            first, last = told.own(k, target)
            there = old.members[name][1]
            here = slice(start, start + last - first)
            values[:, here] = slots[:, there + first : there + last]
        return values.reshape(-1, slots.shape[-1])
    if part not in _POST:
        return array
    values = np.zeros((*array.shape[:-1], new.width), array.dtype)
    for name, (target, start, end) in new.members.items():
        first, last = told.own(k, target)
        there = old.members[name][1]
        size = last - first
        values[..., start : start + size] = array[..., there + first : there + last]
        if part == "post":
            values[..., start + size : end] = values[..., start + size - 1 : start + size]
    return values


def _whole_group(grouping: Grouping, parts: Sequence[FinalState]) -> KeptGroup:
    known = [part.groups[grouping.key] for part in parts if grouping.key in part.groups]
    learns = grouping.form.learns and len(known) > 1
    return replace(
        known[0],
        members={name: (target, *ends) for name, target, ends in _columns(grouping)},
        wired=tallied(k.wired or "" for k in known) if learns else known[0].wired,
        began=tallied(k.began or "" for k in known) if learns else known[0].began,
    )


def _counts(group: KeptGroup) -> bool:
    return group.sums == COUNTS


def _whole_input(group: KeptGroup, whole: Network) -> KeptGroup:
    """Return what is told of a Poisson input in the whole."""
    members = {
        name: (target, 0, padded(whole.population(target).size))
        for name, (target, *_) in group.members.items()
    }
    return replace(group, members=members)


def _columns(grouping: Grouping) -> Iterator[tuple[str, str, tuple[int, int]]]:
    """Yield the name, the target and the columns of each projection of a group of a whole."""
    begin = 0
    for projection in grouping.projections:
        target = projection.post.population
        end = begin + padded(target.size)
        yield str(projection.name), target.name, (begin, end)
        begin = end


def _filled(values: Array, size: int) -> Array:
    """Return values of all cells with those that fill the last block: copies of the last cell."""
    room = [(0, 0)] * (values.ndim - 1) + [(0, padded(size) - values.shape[-1])]
    return np.pad(values, room, mode="edge")


class _Whole:
    """What is known of the whole and its shares while a state is put together or taken apart."""

    def __init__(
        self, whole: Network, bounds: Sequence[Bounds], groups: Mapping[str, KeptGroup]
    ) -> None:
        self.network, self.bounds, self.groups = whole, bounds, groups
        populations, owners = with_happenings(whole.populations)
        self.sizes = {p.name: p.size for p in populations}
        self.owner = {p.name: populations[k].name for p, k in zip(populations, owners, strict=True)}
        pairs = zip(whole.stimuli, labels(whole.stimuli), strict=True)
        called = noise_names(whole)
        every = both_ways(whole.projections)
        self.shown = {str(p.name) for p in every if take_apart(p).shown}
        self.noises = {called[label]: s.target for s, label in pairs if label in called}

    def own(self, k: int, name: str) -> tuple[int, int]:
        """Return the range of the cells of a population, or of its events, in a share."""
        return self.bounds[k].get(self.owner[name], (0, 0))

    def joined(self, known: Sequence[tuple[int, Array]], name: str) -> Array:
        """Return of all cells of a population what its shares have of their own, padded."""
        ends = [(array, self.own(k, name)) for k, array in known]
        own = [array[..., : end - begin] for array, (begin, end) in ends if end > begin]
        return _filled(np.concatenate(own, axis=-1), self.sizes[name])

    def taken(self, array: Array, k: int, name: str) -> Array | None:
        """Return of what all cells of a population have that of a share's; None for no cell."""
        begin, end = self.own(k, name)
        return _filled(array[..., begin:end], end - begin) if end > begin else None

    def shown_by(self, key: str) -> str | None:
        """Return who has what a group keeps: its presynaptic cells; None where others have too."""
        name = next(iter(self.groups[key].members), None)
        if name not in self.shown:
            return None
        return self.groups[key].source

    def group_of(self, path: str) -> tuple[str, str]:
        """Return the group that keeps an array, and the part of what it keeps; "" for none."""
        keys = [key for key in self.groups if path.startswith(f"{key}/")]
        key = max(keys, key=len, default="")
        return key, path.removeprefix(f"{key}/").partition("/")[0] if key else ""
