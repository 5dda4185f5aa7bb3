"""Share: the part of a network that one of several workers compiles, and what it hears of others.

A share has states of its own cells alone, and synapses that reach these. Of every population whose
spikes go from share to share it is given the last spikes of all cells, its own among them, with
each compiled call, so that a share does with its own spikes what it does with those of others, in
the order of all cells.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from somaflow.compiler.layout import padded
from somaflow.compiler.wiring import one_weight
from somaflow.network import groups
from somaflow.network.choice import Degrees
from somaflow.network.connections import Connections
from somaflow.network.forms import take_apart
from somaflow.network.groups import Drawn, Grouping
from somaflow.network.network import Network
from somaflow.network.population import PopulationView
from somaflow.network.projection import Projection
from somaflow.network.senders import name_of_sender, with_happenings
from somaflow.network.shares import Bounds
from somaflow.numerics.device import stored
from somaflow.numerics.types import Tensor
from somaflow.simulation.system import Array, Heard


@dataclass(frozen=True)
class Share:
    """What a worker knows of the whole of which it has a part.

    Args:
        whole: The whole network.
        every: The groups of its projections.
        own: The cells that are computed here.
        span: Steps from one exchange to the next.
        synapses: Those that reach own cells, of each group by its key, as `drawn` makes them.
        degrees: Of each group how many synapses reach cells in the whole.
        staged: The groups whose cells are told each other's states, or spikes, within a step.
        looks: Whether somebody, here or elsewhere, looks at currents between steps.
    """

    unseen = ("synapses", "degrees")

    whole: Network
    every: Sequence[Grouping]
    own: Bounds
    span: int
    synapses: Mapping[str, Drawn]
    degrees: Mapping[str, Degrees]
    staged: frozenset[str] = frozenset()
    looks: bool = False

    def has_some(self, sender: str) -> bool:
        """Tell whether some cells of a population, or their events, are here."""
        return sender.partition(".")[0] in self.own

    @property
    def told(self) -> list[str]:
        """The senders whose spikes are told within a step, in one order everywhere."""
        every = (g for g in self.every if g.key in self.staged and not g.form.shown)
        return sorted({name_of_sender(g.projections[0]) for g in every})

    @property
    def shows(self) -> bool:
        """Whether cells are told, at each look at the right-hand side, what others show."""
        return any(g.key in self.staged and g.form.shown for g in self.every)

    @property
    def moves(self) -> bool:
        """Whether spikes move gates of presynaptic cells of which others are told."""
        return any(g.key in self.staged and g.form.shown and g.form.acts for g in self.every)

    def padded_cells(self, sender: str) -> Array:
        """Return the cells of a population that are here, and copies of the last as padding."""
        begin, end = self.own[sender.partition(".")[0]]
        return np.minimum(begin + np.arange(padded(end - begin)), end - 1).astype(np.int32)

    def has_all(self, sender: str) -> bool:
        """Tell whether all cells of a population, or all its events, are here."""
        owner = sender.partition(".")[0]
        return self.own.get(owner) == (0, self.whole.population(owner).size)

    def width(self, sender: str) -> int:
        """Return the number of cells of a sender in the whole, padding included."""
        return padded(sizes(self.whole)[sender])

    def histories(
        self, spikes: Mapping[str, Array], senders: Iterable[str], dtype: np.dtype
    ) -> dict[str, Array]:
        """Return the last spikes of populations of which more cells are elsewhere.

        Args:
            spikes: Those that are part of the state, by `spikes NAME`.
            senders: Populations whose spikes are put under way once they are heard of; where the
                state has none of them, those of the last interval are `sent NAME`.
            dtype: NumPy type of the run.
        """
        found = {
            key: past for key, past in spikes.items() if not self.has_all(key.partition(" ")[2])
        }
        for name in senders:
            if f"spikes {name}" not in found:
                found[f"sent {name}"] = np.zeros((self.span, self.width(name)), dtype)
        return found

    def cells(self, view: PopulationView) -> Array:
        """Return the cells of a view that are here, as the whole counts them."""
        begin, end = self.own.get(view.population.name, (0, 0))
        return view.cells[(view.cells >= begin) & (view.cells < end)]

    def pairs(self, key: str, projection: Projection) -> Connections:
        """Return the synapses of a projection that are here, in the order of `connections()`.

        Args:
            key: The group of the projection.
            projection: The projection.
        """
        group = next(g for g in self.groupings() if g.key == key)
        place = group.projections.index(projection)
        parts = self.synapses[key][place]
        pre, post, weight, delay = (
            np.concatenate([getattr(part, name) for part in parts])
            for name in ("pre", "post", "coherent", "delay")
        )
        return Connections(pre, post, weight, delay, parts[0].shape, parts[0].unit)

    def counts(self, key: str) -> bool:
        """Tell whether each projection of a group has one weight, also those of other shares."""
        group = next(g for g in self.every if g.key == key)
        return all(one_weight(projection) is not None for projection in group.projections)

    def reached(self) -> set[str]:
        """Return the populations on whose cells arriving spikes act, here or elsewhere."""
        found = {
            projection.post.population.name
            for group in self.every
            for projection, form in zip(group.projections, group.forms, strict=True)
            if form.acts
        }
        return found | {p.post.population.name for p in self.whole.inputs if take_apart(p).acts}

    def groupings(self) -> list[Grouping]:
        """Return the groups of projections that reach own cells."""
        return own_groupings(self.every, self.own)


def sizes(whole: Network) -> dict[str, int]:
    """Return how many cells each population and each of its events has."""
    populations, _ = with_happenings(whole.populations)
    return {p.name: p.size for p in populations}


def own_groupings(every: Sequence[Grouping], own: Bounds) -> list[Grouping]:
    """Return the groups of projections onto populations of which a share has cells.

    Each has its key of the whole.

    Args:
        every: The groups of the whole.
        own: The cells of the share.
    """
    found = []
    for grouping in every:
        pairs = zip(grouping.projections, grouping.forms, strict=True)
        # Also where no cell that it reaches is here: what a cell gets is the same sum everywhere.
        mine = [(p, form) for p, form in pairs if p.post.population.name in own]
        if grouping.form.shown and (mine or grouping.projections[0].pre.population.name in own):
            # What its presynaptic cells have and show is here, whoever gets it.
            mine = list(zip(grouping.projections, grouping.forms, strict=True))
        if mine:
            projections, forms = map(list, zip(*mine, strict=True))
            found.append(Grouping(grouping.key, grouping.form, projections, forms))
    return found


def drawn(projections: Sequence[Projection], own: Bounds) -> Drawn:
    """Draw the synapses of projections that reach own cells."""
    return [list(_drawn(p, own.get(p.post.population.name, (0, 0)))) for p in projections]


def _drawn(projection: Projection, bounds: tuple[int, int]) -> Iterator[Connections]:
    begin, end = bounds
    cells = projection.post.cells
    places = np.flatnonzero((cells >= begin) & (cells < end))
    if not len(places):
        yield _within(projection.connections((0, 1)), (0, 0))
        return
    first, last = int(places[0]), int(places[-1]) + 1
    whole = len(places) == last - first
    for rows in groups.ranges(projection):
        start, stop = max(rows[0], first), min(rows[1], last)
        if start < stop:
            part = projection.connections((start, stop))
            yield part if whole else _within(part, bounds)


def _within(part: Connections, bounds: tuple[int, int]) -> Connections:
    mine = np.flatnonzero((part.post >= bounds[0]) & (part.post < bounds[1]))
    return Connections(
        part.pre[mine],
        part.post[mine],
        part.coherent[mine],
        part.delay[mine],
        part.shape,
        part.unit,
        {name: values[mine] for name, values in part.own.items()},
    )


def most_and_all(synapses: Drawn) -> tuple[int, int]:
    """Return how many synapses reach one cell at most, and how many there are."""
    parts = [part for of_one in synapses for part in of_one if len(part)]
    most = max((int(np.bincount(p.post - p.post.min()).max()) for p in parts), default=0)
    return most, sum(map(len, parts))


class Histories:
    """Where spikes stand among the histories of some senders, one after another and flat.

    Args:
        shapes: Of each, `[n_steps, n_cells]`.
    """

    def __init__(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        self.shapes = {key: (int(slots), int(width)) for key, (slots, width) in shapes.items()}
        ends = np.cumsum([0, *(slots * width for slots, width in self.shapes.values())])
        self.begin = dict(zip(self.shapes, map(int, ends[:-1]), strict=True))
        self.size = int(ends[-1])


def put(histories: Histories, heard: Heard) -> dict[str, Tensor]:
    """Return the histories with what was heard of."""

    def one(k: Tensor, flat: Tensor) -> tuple[Tensor, Tensor]:
        since = tf.gather(heard.since, k)
        return k + 1, stored(flat, since[None], tf.gather(heard.places, k))

    start = tf.constant(0), tf.zeros([histories.size], heard.since.dtype)
    _, flat = tf.while_loop(lambda k, _: k < heard.count, one, start)
    parts = tf.split(flat, [slots * width for slots, width in histories.shapes.values()])
    pairs = zip(histories.shapes.items(), parts, strict=True)
    return {key: tf.reshape(part, shape) for (key, shape), part in pairs}
