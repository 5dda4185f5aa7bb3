"""Recording: what each share records of a whole, and where that stands among all recordings."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from somaflow.compiler.recordings import Frame, View
from somaflow.network.forms import take_apart
from somaflow.network.network import Network
from somaflow.network.recorder import Recorder
from somaflow.network.shares import Bounds
from somaflow.network.ties import shown_states
from somaflow.numerics.types import Tensor
from somaflow.simulation.system import Array

Offsets = Mapping[str, int]  # how many synapses of each projection the shares before have


class Own(NamedTuple):
    """A recording of a share.

    Attributes:
        recorder: The recorder.
        places: Where its numbers stand along the last axis of the whole's; None where there is no
            such axis, or one share has all.
    """

    recorder: Recorder
    places: Array | None


def axis_of(network: Network, recorder: Recorder) -> str:
    """Return who has a variable of a projection once: `pre`, `post` or `synapse`."""
    projection = network.projection(recorder.owner)
    form, name = take_apart(projection), recorder.variable
    if name in getattr(form, "own", ()):
        return "synapse"
    if name in getattr(form, "pre_states", ()) or name == getattr(form, "state", None):
        return "pre"
    return "post"


def own_recorders(
    network: Network,
    recorders: Sequence[Recorder],
    bounds: Sequence[Bounds],
    k: int,
    whole: frozenset[str],
    offsets: Offsets,
    counts: Offsets,
) -> list[Own]:
    """Return what a share records of states; of spikes what is kept with them.

    Args:
        network: The whole.
        recorders: What is recorded of it.
        bounds: The cells of each share.
        k: Which share.
        whole: The projections whose synapses are all in one share.
        offsets: How many synapses of each projection the shares before this one have.
        counts: How many this one has.
    """
    found = []
    own = bounds[k]
    for recorder in recorders:
        if recorder.of_spikes:
            if recorder.kept and recorder.owner in own:
                found.append(Own(replace(recorder, cells=None), None))
            continue
        if not recorder.of_projection:
            size = network.population(recorder.owner).size
            places = _within(recorder, np.arange(size), own.get(recorder.owner, (0, 0)))
            found += _of_cells(recorder, places, own)
            continue
        projection = network.projection(recorder.owner)
        target = projection.post.population.name
        side, shown = projection.post, recorder.variable in shown_states(projection)
        if recorder.owner not in whole and shown:
            side = projection.pre
            target = side.population.name
        if recorder.owner in whole or recorder.reduction is not None:
            found += [Own(recorder, None)] if target in own else []
            continue
        axis = "post" if shown else axis_of(network, recorder)
        if axis == "pre":
            first = next(
                i for i, b in enumerate(bounds) if _reaches(projection.post.cells, b.get(target))
            )
            found += [Own(recorder, None)] if k == first else []
        elif axis == "post":
            cells = side.cells
            asked = np.arange(len(cells)) if recorder.cells is None else recorder.cells
            begin, end = own.get(target, (0, 0))
            mine = np.flatnonzero((cells[asked] >= begin) & (cells[asked] < end))
            if len(mine):
                local = np.flatnonzero((cells >= begin) & (cells < end))
                chosen = np.searchsorted(local, asked[mine])
                found.append(Own(replace(recorder, cells=chosen), mine))
        else:
            begin, count = offsets[recorder.owner], counts[recorder.owner]
            if recorder.cells is None:
                found += [Own(recorder, np.arange(begin, begin + count))] if count else []
                continue
            mine = np.flatnonzero((recorder.cells >= begin) & (recorder.cells < begin + count))
            if len(mine):
                found.append(Own(replace(recorder, cells=recorder.cells[mine] - begin), mine))
    return found


def _reaches(cells: Array, bounds: tuple[int, int] | None) -> bool:
    begin, end = bounds or (0, 0)
    return bool(np.any((cells >= begin) & (cells < end)))


def _within(recorder: Recorder, every: Array, bounds: tuple[int, int]) -> Array:
    """Return the places among those recorded of cells in a range."""
    cells = every if recorder.cells is None else recorder.cells
    return np.flatnonzero((cells >= bounds[0]) & (cells < bounds[1]))


def _of_cells(recorder: Recorder, places: Array, own: Bounds) -> list[Own]:
    if recorder.owner not in own:
        return []
    if recorder.reduction is not None:  # its population is whole in one share
        return [Own(recorder, None)]
    if not len(places):
        return []
    begin, end = own[recorder.owner]
    if recorder.cells is None:
        return [Own(recorder, np.arange(begin, end))]
    return [Own(replace(recorder, cells=recorder.cells[places] - begin), places)]


def whole_views(
    network: Network,
    recorders: Sequence[Recorder],
    parts: Sequence[Mapping[str, tuple[Array | None, View]]],
) -> dict[str, View]:
    """Return what each recorder looks at in the whole; what reads it is left out.

    Args:
        network: The whole.
        recorders: What is recorded of it.
        parts: Of each share by key where its numbers stand, and what it looks at.
    """
    views: dict[str, View] = {}
    for recorder in recorders:
        if recorder.of_spikes:
            continue
        known = [part[recorder.key] for part in parts if recorder.key in part]
        if recorder.of_projection:
            views[recorder.key] = _joined(recorder, known)
            continue
        population = network.population(recorder.owner)
        cells = np.arange(population.size) if recorder.cells is None else recorder.cells
        unit = population.equations.unit(recorder.variable)
        views[recorder.key] = View(nothing, None, cells, "cell", {"cell": cells}, unit)
    return views


def _joined(recorder: Recorder, known: Sequence[tuple[Array | None, View]]) -> View:
    places, first = known[0]
    if places is None:
        return first
    width = sum(len(place) for place, _ in known if place is not None)
    labels = {name: np.zeros(width, values.dtype) for name, values in first.labels.items()}
    for place, view in known:
        for name, values in view.labels.items():
            labels[name][place] = values
    if "synapse" in labels:  # by its number in the whole
        labels["synapse"] = np.arange(width) if recorder.cells is None else recorder.cells
    return View(nothing, None, np.arange(width), first.axis, labels, first.unit)


def nothing(frame: Frame) -> Tensor:
    """Read nothing: what a view of a whole has in place of what reads a share's."""
    raise AssertionError("a whole is recorded by its shares")
