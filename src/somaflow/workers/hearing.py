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
from somaflow.compiler.share import Heard, heard_of
from somaflow.network.network import Network
from somaflow.network.senders import with_happenings
from somaflow.network.shares import Bounds
from somaflow.running.job import Job
from somaflow.simulation.chunks import Chunk
from somaflow.simulation.crossings import Crossings
from somaflow.simulation.loop import Advance, Samples
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


def room_of(network: Network, span: int) -> int:
    """Return of how many spikes of a sender a compiled function hears at once."""
    largest = max(p.size for p in network.populations)
    return largest + largest * span // 32


class Hearing:
    """What a share says of its spikes, and what it hears.

    Args:
        mine: The share.

    Attributes:
        spikes: Those of all shares in the last chunk: the step, the place among all sources, the
            time to the step's end and what is kept, float64 `[3 + n_values, n_spikes]`.
    """

    def __init__(self, mine: Mine) -> None:
        self.mine, self.layout = mine, Layout.of(mine.job.network)
        system, own = mine.compiled.system, mine.bounds[mine.k]
        self.receive, self.heard = system.receive, _tensors(system.parameters.heard)
        self.slots = {key: len(history) for key, history in system.initial.event.spikes.items()}
        self.kind = tf.as_dtype(mine.job.dtype).as_numpy_dtype
        self.room = room_of(mine.job.network, mine.span)
        self.spikes = np.zeros((3 + mine.alongside, 0))
        # Of each place among the crossings of the share that among those of the whole.
        self.places = np.full(system.crossings[-1] if system.crossings else 0, -1)
        for source in system.sources:
            owner = source.name.partition(".")[0]
            if owner in own:
                begin, end = own[owner]
                there = self.layout.sources[source.name].start + np.arange(begin, end)
                self.places[source.start : source.start + end - begin] = there

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

    def hear(self, chunk: Chunk, heard: Sequence[bytes], advance: Advance) -> Carry:
        """Take what all have said of a chunk; return the state to go on from."""
        height = 3 + self.mine.alongside
        parts = [np.frombuffer(data[1:]).reshape(height, -1) for data in heard]
        spikes = np.concatenate(parts, axis=1)
        self.spikes = spikes[:, np.lexsort((spikes[1], spikes[0]))]
        told, carry = self._told(chunk, self.room), chunk.carry
        if told is None:  # more than there is room for: the compiled function hears of nothing
            self.heard = _tensors(self._told(chunk, self.spikes.shape[1]))
            carry = self.settled(carry)
            told = self.mine.compiled.system.parameters.heard
        self.heard = _tensors(told)
        advance.parameters = advance.parameters._replace(heard=self.heard)
        return carry

    def settled(self, carry: Carry) -> Carry:
        """Return the state at the end of a chunk with what was heard of it."""
        assert self.receive is not None
        return self.receive(carry, self.mine.compiled.system.parameters._replace(heard=self.heard))

    def _told(self, chunk: Chunk, room: int) -> dict[str, Heard] | None:
        """Return what is heard of each history; None where there is no room."""
        first = chunk.start + chunk.step
        steps, places = first + self.spikes[0].astype(np.int64), self.spikes[1].astype(np.int64)
        found = {}
        for key, slots in self.slots.items():
            source = self.layout.sources[key.removeprefix("spikes ")]
            begin = source.start
            one = np.flatnonzero((places >= begin) & (places < begin + source.size))
            # Spikes that no synapse waits for any more have lost their slot.
            one = one[steps[one] >= first + chunk.steps - slots]
            if len(one) > room:
                return None
            since = self.spikes[2, one].astype(self.kind)
            cells = places[one] - begin
            ends = first, first + chunk.steps
            found[key] = heard_of(steps[one], cells, since, ends, slots, room)
        return found


def _tensors(heard: object) -> Any:
    return tf.nest.map_structure(tf.constant, heard)


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
            moved = spikes.copy()
            moved[0] += chunk.step - self.chunks[0].step
            self.spikes.append(moved)

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
