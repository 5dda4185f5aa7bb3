"""Hearing: the spikes that a share says and hears, and what it has recorded for the first one."""

import pickle
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from somaflow.compiler.build import Compiled
from somaflow.compiler.layout import padded
from somaflow.compiler.recordings import View
from somaflow.compiler.share import Histories
from somaflow.network.network import Network
from somaflow.network.senders import with_happenings
from somaflow.network.shares import Bounds
from somaflow.running.job import Job
from somaflow.simulation.chunks import Chunk
from somaflow.simulation.crossings import Crossings
from somaflow.simulation.interval import Interval, Told
from somaflow.simulation.loop import Samples
from somaflow.simulation.system import Array, Carry, Source
from somaflow.workers.recording import Own

# Steps, and recorded numbers of one worker, after which the first worker stores what there is.
_STEPS, _NUMBERS = 10_000, 4_000_000


class Layout(NamedTuple):
    """The cells of all populations and events in a row, as one process has them.

    Attributes:
        sources: Each with its place.
        width: How many numbers there are, padding included.
    """

    sources: dict[str, Source]
    width: int

    @classmethod
    def of(cls, network: Network) -> "Layout":
        populations, _ = with_happenings(network.populations)
        sources, start = {}, 0
        for population in populations:
            sources[population.name] = Source(population.name, start, population.size)
            start += padded(population.size)
        return cls(sources, start)


@dataclass
class Mine:
    """A share that is ready to run.

    Attributes:
        job: The run of the whole.
        k: Which worker has it.
        bounds: The cells of each.
        compiled: The share as pure functions.
        records: What it records.
        span: Steps from one exchange to the next.
        alongside: How many values go with a spike.
        staged: Whether cells are told something within a step.
    """

    job: Job
    k: int
    bounds: Sequence[Bounds]
    compiled: Compiled
    records: list[Own]
    span: int
    alongside: int
    staged: bool = False


class Hearing:
    """What a share says of its spikes, and what it hears.

    Args:
        mine: The share.
        advance: Its compiled loop, which is given what was heard.
        step: Steps made before the run and in it.

    Attributes:
        spikes: Those of all shares in the last chunk: the step, the place among all sources, the
            time to the step's end and what is kept, float64 `[3 + n_values, n_spikes]`.
    """

    def __init__(self, mine: Mine, advance: Interval, step: int) -> None:
        self.mine, self.advance, self.layout = mine, advance, Layout.of(mine.job.network)
        system, own = mine.compiled.system, mine.bounds[mine.k]
        self.kind = tf.as_dtype(mine.job.dtype).as_numpy_dtype
        self.spikes = np.zeros((3 + mine.alongside, 0))
        # Of each place among the crossings of the share that among those of the whole.
        self.places = np.full(system.crossings[-1] if system.crossings else 0, -1)
        for source in system.sources:
            owner = source.name.partition(".")[0]
            if owner in own:
                begin, end = own[owner]
                there = self.layout.sources[source.name].start + np.arange(begin, end)
                self.places[source.start : source.start + end - begin] = there
        self._waiting(step)

    def _waiting(self, step: int) -> None:
        """Note where the spikes of each cell stand, and those that synapses wait for now."""
        found = _histories(self.mine)
        self.histories = Histories({key: past.shape for key, past in found.items()})
        # Of each cell: where its spike in the first slot stands, how far the next slot is from
        # there, and how many there are; none where no synapse waits for it.
        self.where = np.zeros((3, self.layout.width), np.int64)
        recent = [np.zeros((3, 0))]
        for key, (slots, width) in self.histories.shapes.items():
            source = self.layout.sources[key.partition(" ")[2]]
            here = slice(source.start, source.start + source.size)
            self.where[0, here] = self.histories.begin[key] + np.arange(source.size)
            self.where[1, here], self.where[2, here] = width, slots
            slot, cells = np.nonzero(found[key][:, : source.size])
            since, last = found[key][slot, cells], step - 1
            known = [last - (last - slot) % slots, source.start + cells, since]
            recent.append(np.array(known, np.float64))
        # Of each spike that a synapse waits for: the step at which its slot is another's, and where
        # it stands; and the time to its step's end.
        self.slots, self.since = np.zeros((2, 0), np.int64), np.zeros(0, self.kind)
        self._tell(np.concatenate(recent, axis=1), step, step)

    def said(self, chunk: Chunk) -> bytes:
        """Return the spikes of a chunk for the others."""
        found = chunk.samples.crossings
        spikes = np.zeros((3 + self.mine.alongside, 0))
        if found is not None:
            crossings = found()
            places = self.places[crossings.places[-1]]
            here = np.flatnonzero(places >= 0)
            spikes = np.zeros((3 + self.mine.alongside, len(here)))
            spikes[0] = crossings.steps[here]
            spikes[1], spikes[2] = places[here], crossings.since[here]
            spikes[3 : 3 + crossings.kept.shape[1]] = crossings.kept[here].T
        return spikes.tobytes()

    def hear(self, chunk: Chunk, heard: Sequence[bytes]) -> None:
        """Take what all have said of a chunk."""
        height = 3 + self.mine.alongside
        parts = [np.frombuffer(data, offset=1).reshape(height, -1) for data in heard]
        self.spikes = np.concatenate(parts, axis=1)
        first = chunk.start + chunk.step
        new = self.spikes[:3].copy()
        new[0] += first
        self._tell(new, first, first + chunk.steps)

    def _tell(self, new: Array, first: int, last: int) -> None:
        """Give the compiled loop what was heard.

        Args:
            new: Spikes that were not known: the step, the place and the time of each.
            first: The first step of the interval of which they are.
            last: The step behind its last.
        """
        steps, cells = new[:2].astype(np.int64)
        begin, width, slots = self.where[:, cells]
        told = np.stack([steps + slots, begin + steps % np.maximum(slots, 1) * width])
        self.slots = np.concatenate([self.slots, told], axis=1)
        self.since = np.concatenate([self.since, new[2].astype(self.kind)])
        # Spikes that no synapse waits for any more have lost their slot.
        (left,) = np.nonzero(self.slots[0] >= last)
        self.slots, self.since = self.slots[:, left], self.since[left]
        self.advance.heard = Told(self.slots[1], self.since, first, last)

    def settled(self, carry: Carry) -> Carry:
        """Return the state at the end of a chunk, with what was heard of it."""
        places, since, _, last = self.advance.heard
        carry, _ = self.advance(carry, last, 0, 0, False)  # with what spikes have put under way
        carry, flat = self.advance.opened(carry), np.zeros(self.histories.size, self.kind)
        flat[places] = since
        shapes = self.histories.shapes.items()
        ends = ((key, self.histories.begin[key], shape) for key, shape in shapes)
        past = {key: flat[at : at + n * width].reshape(n, width) for key, at, (n, width) in ends}
        return _with(carry, past)


def _histories(mine: Mine) -> Mapping[str, Array]:
    elsewhere = mine.compiled.system.elsewhere
    return {} if elsewhere is None else elsewhere.histories


def begun(mine: Mine) -> Carry:
    """Return the state with which a share begins."""
    return _with(mine.compiled.system.initial, _histories(mine))


def _with(carry: Carry, past: Mapping[str, Array]) -> Carry:
    """Return the state of a share with the last spikes of senders that are not whole in it."""
    event = carry.event
    kept = {key: spikes for key, spikes in past.items() if key.startswith("spikes ")}
    return carry._replace(event=event._replace(spikes={**event.spikes, **kept}))


class Gathered:
    """What a share has recorded since the first worker stored last.

    Args:
        mine: The share.
        looks: Of each share by key where its numbers stand in those of the whole, and what it
            looks at; none of a worker that is not the first.
        views: What each recorder of the whole looks at.
    """

    def __init__(
        self, mine: Mine, looks: Sequence[Mapping[str, Any]], views: Mapping[str, View]
    ) -> None:
        self.mine, self.layout = mine, Layout.of(mine.job.network)
        self.looks, self.views = looks, views
        self.forget()

    def take(self, chunk: Chunk, spikes: Array) -> None:
        """Keep what a chunk leaves, without its state and what holds its table of crossings."""
        samples = chunk.samples._replace(crossings=None)
        self.chunks.append(replace(chunk, carry=None, samples=samples))
        self.steps += chunk.steps
        self.numbers += sum(values.size for values in chunk.samples.observed.values())
        if self.mine.k == 0:
            spikes[0] += chunk.step - self.chunks[0].step
            self.spikes.append(spikes)

    def is_full(self) -> bool:
        """Tell whether there is so much that the first worker had better store it."""
        return self.numbers >= _NUMBERS or self.steps >= _STEPS

    def given(self) -> dict[str, Array]:
        """Return what is recorded of states, for the first worker."""
        keys = self.chunks[0].samples.observed
        return {
            key: np.concatenate([chunk.samples.observed[key] for chunk in self.chunks])
            for key in keys
        }

    def put(self, whole: dict[str, Array], k: int, key: str, values: Array) -> None:
        """Put numbers of a share among those of the whole."""
        places, _ = self.looks[k][key]
        if places is None:
            whole[key] = values
            return
        shape = (*values.shape[:-1], len(self.views[key].places))
        whole.setdefault(key, np.zeros(shape, values.dtype))[..., places] = values

    def merged(self, told: Sequence[bytes]) -> Chunk:
        """Return what all have recorded, as one process would have."""
        parts = [pickle.loads(data) for data in told]
        first, steps = self.chunks[0], self.steps
        observed: dict[str, Array] = {}
        for k, part in enumerate(parts):
            for key, values in part.items():
                self.put(observed, k, key, values)
        spikes = np.concatenate(self.spikes, axis=1)
        spikes = spikes[:, np.lexsort((spikes[1], spikes[0]))]

        def crossings() -> Crossings:
            return Crossings(
                (self.layout.width,),
                spikes[0].astype(np.int64),
                (spikes[1].astype(np.int64),),
                spikes[2].astype(np.float32),  # as one process keeps them
                spikes[3:].T,
            )

        samples = Samples(observed, steps, crossings)
        return Chunk(first.start, first.step, steps, first.first_row, samples, first.carry)

    def forget(self) -> None:
        """Begin anew."""
        self.chunks: list[Chunk] = []
        self.spikes: list[Array] = []
        self.steps = self.numbers = 0
