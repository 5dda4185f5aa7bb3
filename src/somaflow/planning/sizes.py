"""Sizes: the memory and the disk that a run takes, computed before it begins, and what is too much.

What is computed is what arrays measure. How many copies of them there are while a run computes was
measured as the growth of the process, with networks of 60 to 190 MB of each kind.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import tensorflow as tf

from somaflow.compiler.coupling import RINGS
from somaflow.compiler.final import flattened
from somaflow.network.groups import expected_bytes
from somaflow.network.senders import with_happenings
from somaflow.numerics import memory
from somaflow.numerics.memory import in_words
from somaflow.running.preparing import Prepared
from somaflow.simulation import chunks
from somaflow.simulation.crossings import keeping
from somaflow.solvers.stages import nodes_of
from somaflow.storage.sinks import Column, Measurable, Needs, Resumable, Sink
from somaflow.storage.store import ZarrSink

# How often a run holds each: in our tables, as TensorFlow's argument, and while XLA computes.
_SYNAPSES, _CARRIED, _STATE, _CHUNK = 2, 4, 8, 6
_OWN = "own"


@dataclass(frozen=True)
class Sizes:
    """Bytes that a run takes.

    Attributes:
        state: What cells, synaptic sums, traces and recordings over time carry from step to step.
        synapses: Tables of synapses, and what belongs to each synapse by itself.
        delays: Spikes under way.
        recordings: Recordings that are held in memory.
        buffers: What the chunks under way hold.
        working: Parameters, and copies while it runs.
        joined: The largest recording in memory once more: to read it is to join its chunks.
        stored: Recordings in a store.
        beside: What lies beside the store and is no checkpoint.
        checkpoint: One checkpoint.
        checkpoints: How many the run adds to the disk.
    """

    state: int
    synapses: int
    delays: int
    recordings: int
    buffers: int
    working: int
    joined: int
    stored: int
    beside: int
    checkpoint: int
    checkpoints: int = 3  # two are kept, and the next is written before the oldest goes

    @property
    def memory(self) -> int:
        """All that is in memory."""
        return self.fixed + self.recordings + self.joined

    @property
    def fixed(self) -> int:
        """What is in memory but for recordings."""
        return self.state + self.synapses + self.delays + self.buffers + self.working

    @property
    def disk(self) -> int:
        """The most that is on the disk."""
        return self.stored + self.beside + self.checkpoints * self.checkpoint


@dataclass(frozen=True)
class Known:
    """What is known of a run beside the shapes of its arrays.

    Attributes:
        spikes: How many will be recorded.
        packed: Bytes of its store for each byte of recordings: how well they are compressed.
        description: Bytes of its description, which lies beside the store.
    """

    spikes: int = 0
    packed: float = 1.0
    description: int = 0


NOTHING = Known()


@dataclass(frozen=True)
class Room:
    """Bytes that are free for a run, each None where it is not known or not needed.

    Attributes:
        memory: Of memory.
        disk: Where the store is.
    """

    memory: int | None
    disk: int | None

    def holds(self, sizes: Sizes) -> bool:
        """Return whether there is room for all of a run."""
        return not self.lacks_memory(sizes) and not self.lacks_disk(sizes)

    def lacks_memory(self, sizes: Sizes) -> bool:
        """Return whether memory is too small."""
        return self.memory is not None and sizes.memory > self.memory

    def lacks_disk(self, sizes: Sizes) -> bool:
        """Return whether the disk is too small."""
        return self.disk is not None and sizes.disk > self.disk


def sizes_of(prepared: Prepared, sink: Sink, known: Known = NOTHING, narrow: bool = False) -> Sizes:
    """Return what a run takes.

    Args:
        prepared: The run.
        sink: Where its recordings go. What a sink of the user's own holds is not known.
        known: What else is known of it.
        narrow: Whether to say it for float32 in place of float64.
    """
    system, job = prepared.compiled.system, prepared.job
    event, flow = system.initial.event, _bytes(system.initial.flow, narrow)
    named = flattened(event.named())
    senders, _ = with_happenings(job.network.populations)
    late = {f"spikes {sender.name}" for sender in senders}
    late |= {path for path in named if path.rpartition("/")[2] in RINGS} | {*event.past}
    late = {path: value for path, value in named.items() if path in late}
    own = {path: value for path, value in named.items() if path.split("/")[-2:-1] == [_OWN]}
    delays, owned = _bytes(late, narrow), _bytes(own, narrow)
    carried = _bytes(event, narrow) + _bytes(system.initial.kept, narrow)
    wired = _bytes(system.parameters.sums, narrow)
    parameters = _bytes(system.parameters, narrow) - wired
    chunk = _chunk_bytes(prepared, narrow)
    working = (_SYNAPSES - 1) * wired + (_CARRIED - 1) * carried + (_STATE - 1) * flow
    columns = tuple(_narrowed(column) if narrow else column for column in prepared.columns)
    measured = isinstance(sink, Measurable)
    needs = sink.needs(columns, known.spikes) if measured else Needs(0, 0, 0)
    resumable = isinstance(sink, Resumable)
    return Sizes(
        state=flow + carried - delays - owned,
        synapses=wired + owned,
        delays=delays,
        recordings=needs.memory,
        buffers=_CHUNK * chunk,
        working=working + 2 * parameters,
        joined=needs.joined,
        stored=round(needs.disk * known.packed),
        beside=known.description if resumable else 0,
        checkpoint=flow + carried + needs.memory if resumable else 0,
    )


def room_for(prepared: Prepared, sink: Sink) -> Room:
    """Return what is free for a run, what is built of it already included.

    Args:
        prepared: The run.
        sink: Where its recordings go.
    """
    system, free = prepared.compiled.system, memory.available_bytes()
    if free is not None:
        free += _bytes(system.parameters) + _bytes(system.initial.flow)
    return Room(free, sink.free() if isinstance(sink, Measurable) else None)


def shortage(sizes: Sizes, room: Room, sink: Sink) -> str:
    """Return in words what is too large; empty where everything fits.

    Args:
        sizes: What the run takes.
        room: What is free.
        sink: Where its recordings go.
    """
    if room.memory is not None and room.lacks_memory(sizes):
        parts = {
            "recordings": sizes.recordings,
            "synapses": sizes.synapses,
            "state": sizes.state,
            "delay lines": sizes.delays,
            "chunks under way": sizes.buffers,
            "parameters and copies": sizes.working,
        }
        largest = max(parts, key=lambda name: parts[name])
        again = f" (the largest twice while it is read: {in_words(sizes.joined)} more)"
        return (
            f"the run needs {in_words(sizes.memory)} of memory, {in_words(parts[largest])} of it "
            f"for {largest}{again if largest == 'recordings' and sizes.joined else ''}, but "
            f"{memory.free_in_words(room.memory)}"
        )
    if room.disk is not None and room.lacks_disk(sizes):
        return (
            f"{getattr(sink, 'path', '')} needs {in_words(sizes.disk)} of disk, "
            f"{in_words(sizes.stored)} of it for recordings, but {in_words(room.disk)} are free "
            "there"
        )
    return ""


# ------------------------------------------------------------------------------- remedies


def remedies(prepared: Prepared, sink: Sink, room: Room, known: Known = NOTHING) -> tuple[str, ...]:
    """Return what would make a run fit, in words with both numbers; nothing where it fits.

    Args:
        prepared: The run.
        sink: Where its recordings go.
        room: What is free.
        known: What is known of it.
    """
    sizes = sizes_of(prepared, sink, known)
    if room.holds(sizes):
        return ()
    advice = list(_less_often(prepared, sink, room, known))
    if isinstance(sink, Measurable) and sink.in_memory and room.lacks_memory(sizes):
        other = ZarrSink(path := "run.zarr")
        free = replace(room, disk=other.free())
        stored = sizes_of(prepared, other, known)
        if free.holds(stored):
            advice.append(f"give sink='{path}': {_instead(stored.memory, sizes.memory)} of memory")
    narrow = sizes_of(prepared, sink, known, narrow=True)
    fixed = room.memory is not None and sizes.fixed > room.memory
    if prepared.job.dtype == "float64" and (fixed or not advice) and room.holds(narrow):
        lacking = room.lacks_memory(sizes)
        pair = (narrow.memory, sizes.memory) if lacking else (narrow.disk, sizes.disk)
        advice.append(f"use dtype='float32': {_instead(*pair)}")
    if not advice and fixed and prepared.job.network.projections:
        item = np.dtype(prepared.job.dtype).itemsize
        shares = {str(p.name): expected_bytes([p], item) for p in prepared.job.network.projections}
        name = max(shares, key=lambda name: shares[name])
        advice.append(f"fewer synapses (projection {name!r} has most: {in_words(shares[name])})")
    if not advice:
        rest = "a larger machine" if room.lacks_memory(sizes) else "a larger disk"
        advice.append(f"{rest}, fewer cells in the recordings, or a shorter run")
    return tuple(advice)


def _less_often(
    prepared: Prepared, sink: Sink, room: Room, known: Known
) -> tuple[str, ...]:  # one remedy, of several recordings if one is not enough
    """Return the shortest interval with which it fits, for as few recordings as possible.

    Chunks are taken to be as long as they are, so what is said to fit does.
    """
    dt, n_steps = prepared.job.dt, prepared.job.n_steps
    largest = [column for column in prepared.columns if column.shape is not None]
    largest.sort(key=lambda column: column.bytes, reverse=True)
    for count in range(1, len(largest) + 1):
        for steps in _intervals(dt, n_steps):
            interval, rows = steps * dt, n_steps // steps + 1
            fewer = {
                column.key: replace(column, interval=interval, rows=rows)
                for column in largest[:count]
                if rows < column.rows
            }
            columns = tuple(fewer.get(column.key, column) for column in prepared.columns)
            changed = replace(prepared, columns=columns)
            if fewer and room.holds(sizes_of(changed, sink, known)):
                told = [
                    f"record {old.key} every {interval:g} ms instead of {_interval(old, dt)}: "
                    + _instead(fewer[old.key].bytes * known.packed, old.bytes * known.packed)
                    for old in prepared.columns
                    if old.key in fewer
                ]
                return (", and ".join(told),)
    return ()


def _intervals(dt: float, n_steps: int) -> list[int]:
    """Return 1, 2 and 5 times powers of ten, in ms where these are whole steps, as steps."""
    nice = [float(f"{m}e{k}") for k in range(-6, 10) for m in (1, 2, 5)]
    whole = [t / dt for t in nice if abs(t / dt - round(t / dt)) < 1e-6] or nice
    return [round(steps) for steps in whole if 2 <= round(steps) <= n_steps]


def _interval(column: Column, dt: float) -> str:
    every_step = abs(column.interval - dt) < 1e-9
    return "every step" if every_step else f"every {column.interval:g} ms"


def _instead(new: float, old: float) -> str:
    return f"{in_words(new)} instead of {in_words(old)}"


# ------------------------------------------------------------------------------- details


def _bytes(tree: object, narrow: bool = False) -> int:
    return sum(_sizes(tree, narrow))


def _sizes(tree: object, narrow: bool) -> Iterator[int]:
    for leaf in tf.nest.flatten(tree):
        array = np.asarray(leaf)
        yield array.nbytes // 2 if narrow and array.dtype == np.float64 else array.nbytes


def _narrowed(column: Column) -> Column:
    return replace(column, dtype="float32") if column.dtype == "float64" else column


def _chunk_bytes(prepared: Prepared, narrow: bool) -> int:
    """Return what one chunk leaves and is given."""
    system, job, schedule = prepared.compiled.system, prepared.job, prepared.schedule
    item = 4 if narrow else np.dtype(job.dtype).itemsize
    seen = sum(
        int(np.prod(column.shape, initial=1))
        for recorder, column in zip(job.recorders, prepared.columns, strict=True)
        if column.shape is not None and not recorder.of_spikes
    )
    kept = system.alongside, tf.as_dtype(job.dtype)
    crossings = keeping(system.crossings or (0,), schedule.steps, *kept).bytes
    numbers = chunks.given(system, nodes_of(job.solver), job.dt)
    return crossings + item * (schedule.steps * numbers + (schedule.rows + 1) * seen)
