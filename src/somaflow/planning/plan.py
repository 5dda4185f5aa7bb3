"""Plans: what a run would need, from the sizes of its arrays and a short calibration."""

import json
import tempfile
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from somaflow.errors import Interrupted, RunError, StoreError
from somaflow.network.ties import Division
from somaflow.notation import Json
from somaflow.numerics.memory import in_words
from somaflow.planning.sizes import Known, Sizes, remedies, room_for, shortage, sizes_of
from somaflow.planning.stored import Measured, measure, spikes_at_end
from somaflow.running.execution import execute
from somaflow.running.job import Job, to_json
from somaflow.running.preparing import Prepared, prepare
from somaflow.running.progress import Progress, span
from somaflow.running.writers import ends_early
from somaflow.storage.sinks import Column, Measurable, MemorySink, Resumable, Sink
from somaflow.storage.store import ZarrSink

_SECONDS = 2.0  # of calibration
_ROOM = "more room there, or a shorter duration"
_BYTES = 256_000_000  # the most that it records, where writing is what takes the time


@dataclass(frozen=True)
class Plan:
    """What a run would need.

    Bytes of arrays are counted; of the rest is said what a calibration of about two seconds showed,
    continued to the run's end. It is the run itself where that is so short.

    Attributes:
        state: Bytes of what cells, synaptic sums, traces and noise carry from step to step.
        synapses: Bytes of the tables of synapses, and of what belongs to each synapse by itself.
        delays: Bytes of spikes under way.
        recordings_in_memory: Bytes of recordings in memory: all of them, or with a store what
            waits to fill its chunks, at most.
        buffers: Bytes of the chunks under way, at most.
        working: Bytes of parameters, and of copies while the run computes and when the largest of
            the recordings in memory is read.
        recordings_on_disk: Bytes of the store, as far as known compressed; 0 without a store.
        before_compression: Bytes of the same recordings as they are.
        description: Bytes of what else lies beside the store: all that the run is.
        checkpoint: Bytes of a checkpoint, of which a store has two, at most: how many of the
            recordings wait for a chunk of the store to be full, and go with it, changes.
        chunk_steps: Steps of a chunk.
        chunk_ms: The same in biological ms.
        compile_seconds: None where a calibration would not fit either.
        run_seconds: Of computing, the compile left out; None likewise.
        spikes: Recorded; None likewise, or where none are recorded.
        free_memory: Bytes that are free for the run; None where that is not known.
        free_disk: The same of the disk; None too where the run writes none, or to an address.
        fits: Whether there is room for it.
        shortage: What is too large, in words; empty where it fits.
        remedies: What would make it fit; empty where it fits.
        calibrated_ms: Biological time of the calibration; the whole run where that is short.
        samples_end_ms: Time of the last sample of each recording that ends before the run, since
            the run's length is no multiple of its interval.
        division: How several workers share the run; None for one process. All other numbers are
            those of one process.
    """

    state: int
    synapses: int
    delays: int
    recordings_in_memory: int
    buffers: int
    working: int
    recordings_on_disk: int
    before_compression: int
    description: int
    checkpoint: int
    chunk_steps: int
    chunk_ms: float
    compile_seconds: float | None
    run_seconds: float | None
    spikes: int | None
    free_memory: int | None
    free_disk: int | None
    fits: bool
    shortage: str
    remedies: tuple[str, ...]
    calibrated_ms: float
    samples_end_ms: dict[str, float]
    division: Division | None = None

    @property
    def memory(self) -> int:
        """Bytes of memory in all, beside what Python and TensorFlow take themselves."""
        parts = self.state, self.synapses, self.delays, self.buffers, self.working
        return sum(parts) + self.recordings_in_memory

    @property
    def disk(self) -> int:
        """Bytes on the disk in all: the store, its description, and two checkpoints."""
        return self.recordings_on_disk + self.description + 2 * self.checkpoint

    def to_json(self) -> str:
        """Return all of it as JSON: bytes, ms and seconds."""
        return json.dumps({**asdict(self), "memory": self.memory, "disk": self.disk}, indent=1)

    def __str__(self) -> str:
        lines = [f"{name:<25} {value}" for name, value in self._rows()]
        if self.division is not None:
            count = len(self.division.cells)
            lines += [f"With {count} workers (all above is of one process):"]
            lines += [str(self.division), *filter(None, [self.division.doubt()])]
        if self.fits:
            return "\n".join([*lines, "It fits."])
        return "\n".join([*lines, f"It does not fit: {self.shortage}.", *self._advice()])

    def _advice(self) -> list[str]:
        return [f"  {remedy}" for remedy in self.remedies]

    def _rows(self) -> list[tuple[str, str]]:
        chunk = f"{self.chunk_steps:,} steps, {self.chunk_ms:,.6g} ms"
        rows = [
            ("state", in_words(self.state)),
            ("synapses", in_words(self.synapses)),
            ("delay lines", in_words(self.delays)),
            ("recordings in memory", in_words(self.recordings_in_memory)),
            ("chunks under way", in_words(self.buffers)),
            ("parameters and copies", in_words(self.working)),
            ("memory in all", in_words(self.memory) + _of(self.free_memory)),
        ]
        if self.recordings_on_disk:
            raw = f"{in_words(self.before_compression)} before compression"
            rows += [
                ("recordings on disk", f"{in_words(self.recordings_on_disk)} ({raw})"),
                ("description beside them", in_words(self.description)),
                ("a checkpoint, at most", in_words(self.checkpoint)),
                ("disk in all", in_words(self.disk) + _of(self.free_disk)),
            ]
        rows.append(("chunk", chunk))
        if self.compile_seconds is not None and self.run_seconds is not None:
            rows.append(("compile", _seconds(self.compile_seconds)))
            rows.append(("run", _seconds(self.run_seconds)))
        if self.spikes is not None:
            rows.append(("spikes recorded", f"{self.spikes:,}"))
        for key, last in self.samples_end_ms.items():
            rows.append((f"last sample of {key}", f"at {last:,.10g} ms, before the run's end"))
        return rows


def estimate(job: Job, target: Sink, division: Division | None = None) -> Plan:
    """Return what a run would need.

    Args:
        job: The run.
        target: Where its recordings would go.
        division: How several workers would share it.

    Raises:
        NetworkError, RunError, StoreError, NonFiniteState, Interrupted: As `sf.plan`.
    """
    prepared = prepare(job)
    known = Known(description=_description(prepared, target))
    room, sizes = room_for(prepared, target), sizes_of(prepared, target, known)
    forecast = None
    if room.memory is None or sizes.fixed <= room.memory:
        forecast = _calibrate(prepared, target)
        known = forecast.known(
            sizes_of(prepared, target, replace(known, spikes=forecast.spikes or 0))
        )
        sizes = sizes_of(prepared, target, known)
    steps = min(prepared.schedule.steps, job.n_steps)
    if job.every is not None:  # a chunk ends at a checkpoint too
        steps = min(steps, -(-job.every // job.stride) * job.stride)
    return Plan(
        state=sizes.state,
        synapses=sizes.synapses,
        delays=sizes.delays,
        recordings_in_memory=sizes.recordings,
        buffers=sizes.buffers,
        working=sizes.working + sizes.joined,
        recordings_on_disk=forecast.stored if forecast is not None else sizes.stored,
        before_compression=round(sizes.stored / known.packed),
        description=sizes.beside,
        checkpoint=forecast.checkpoint if forecast is not None else sizes.checkpoint,
        chunk_steps=steps,
        chunk_ms=steps * job.dt,
        compile_seconds=None if forecast is None else forecast.compile_seconds,
        run_seconds=None if forecast is None else forecast.run_seconds,
        spikes=None if forecast is None else forecast.spikes,
        free_memory=room.memory,
        free_disk=room.disk,
        fits=room.holds(sizes),
        shortage=shortage(sizes, room, target),
        remedies=remedies(prepared, target, room, known),
        calibrated_ms=0.0 if forecast is None else forecast.steps * job.dt,
        samples_end_ms=ends_early(prepared.columns, job.duration),
        division=division,
    )


def _of(free: int | None) -> str:
    return "" if free is None else f" ({in_words(free)} free)"


def _seconds(seconds: float) -> str:
    return f"{seconds:.2g} s" if seconds < 10 else span(seconds)


# -------------------------------------------------------------------------------- refusal


def refuse(prepared: Prepared, sink: Sink, step: int = 0) -> None:
    """Refuse a run that cannot fit, before anything of it is written.

    Where a disk would be too small for recordings as they are, the beginning of the run says how
    well they can be compressed: a calibration of about two seconds, or what is in the store.

    Args:
        prepared: The run.
        sink: Where its recordings go.
        step: Steps whose recordings are in the store already.

    Raises:
        RunError: Memory is too small.
        StoreError: The disk is too small.
    """
    known = Known(description=_description(prepared, sink))
    sizes, room = sizes_of(prepared, sink, known), room_for(prepared, sink)
    if room.lacks_memory(sizes):
        advice = (_ROOM,) if step else remedies(prepared, sink, room, known)
        raise RunError(_refusal(shortage(sizes, room, sink), advice))
    if not room.lacks_disk(sizes):
        return
    if step and isinstance(sink, Measurable):
        left = 1 - step / prepared.job.n_steps
        packed = min(1.0, sink.taken() / max(sizes.stored * (1 - left), 1))
        sizes = replace(sizes, stored=round(sizes.stored * left * packed), beside=0, checkpoints=1)
    else:
        with suppress(StoreError):  # without room for the beginning there is none for the rest
            forecast = _calibrate(prepared, sink)
            known = forecast.known(
                sizes_of(prepared, sink, replace(known, spikes=forecast.spikes or 0))
            )
        sizes = sizes_of(prepared, sink, known)
    if room.lacks_disk(sizes):
        # What a run records is fixed once it has begun.
        advice = (_ROOM,) if step else remedies(prepared, sink, room, known)
        raise StoreError(_refusal(shortage(sizes, room, sink), advice))


def _refusal(reason: str, advice: tuple[str, ...]) -> str:
    return f"{reason}. What would fit: {'; or '.join(advice)}."


# ---------------------------------------------------------------------------- calibration


@dataclass(frozen=True)
class _Forecast:
    """What a calibration says of the whole run.

    Attributes:
        steps: Steps that were made.
        compile_seconds: Of the compile.
        run_seconds: Of computing.
        spikes: That are recorded; None where none are.
        stored: Bytes of the store.
        checkpoint: Bytes of a checkpoint, at most.
    """

    steps: int
    compile_seconds: float
    run_seconds: float
    spikes: int | None
    stored: int
    checkpoint: int

    def known(self, sizes: Sizes) -> Known:
        """Return what the sizes of the run can be computed with.

        Args:
            sizes: Those before compression, with these spikes.
        """
        packed = self.stored / sizes.stored if sizes.stored else 1.0
        return Known(self.spikes or 0, packed, sizes.beside)


class _Enough(Exception):  # noqa: N818 - not a fault
    """The calibration has run long enough."""


class _Watch:
    """Notes how fast a run is, and ends it.

    Attributes:
        marks: Biological ms and seconds of computing after each chunk.
        begun: When computing began.
    """

    def __init__(self, row_bytes: float) -> None:
        self.marks: list[tuple[float, float]] = []
        self.begun = 0.0
        self._row_bytes = row_bytes  # recorded in a biological ms

    def __call__(self, progress: Progress) -> None:
        if not self.marks:
            self.begun = time.perf_counter() - progress.seconds
        self.marks.append((progress.done, progress.seconds))
        several = len(self.marks) > 1 or progress.seconds > _SECONDS
        much = progress.seconds > _SECONDS or progress.done * self._row_bytes > _BYTES
        if several and much and progress.done < progress.total:
            raise _Enough

    def seconds(self, total: float) -> float:
        """Return how long the whole run takes.

        The first chunks are left out of the speed: they wait for no writer yet.

        Args:
            total: Its biological ms.
        """
        done, seconds = self.marks[-1]
        skip = min(4, len(self.marks) // 2)
        begin, before = self.marks[skip - 1] if skip else (0.0, 0.0)
        return seconds + (total - done) * (seconds - before) / (done - begin)


class _Timed(ZarrSink):
    """A store that knows when it was made: from then to the first step is the compile."""

    made = 0.0

    def create(self, columns: tuple[Column, ...], header: dict[str, Json]) -> None:
        super().create(columns, header)
        self.made = time.perf_counter()


def _description(prepared: Prepared, sink: Sink) -> int:
    """Return the bytes that tell beside a store what the run is."""
    if not isinstance(sink, Resumable):
        return 0
    return len(json.dumps(to_json(prepared.job, prepared.meta)))


def _calibrate(prepared: Prepared, target: Sink) -> _Forecast:
    """Run the beginning of a run in a temporary folder, of which nothing stays.

    Args:
        prepared: The run.
        target: Where its recordings would go.
    """
    with tempfile.TemporaryDirectory(prefix="somaflow-plan-") as folder:
        return _begun(prepared, Path(folder) if isinstance(target, Resumable) else None)


def _in_full(prepared: Prepared) -> Prepared:
    """Return a run without the condition at which it would stop before its length."""
    system = replace(prepared.compiled.system, until=None)
    return replace(prepared, compiled=replace(prepared.compiled, system=system))


def _begun(prepared: Prepared, folder: Path | None) -> _Forecast:
    """Run the beginning of a run.

    Args:
        prepared: The run.
        folder: Where its store goes; None for a run in memory.
    """
    prepared = _in_full(prepared)
    job, begin = prepared.job, time.perf_counter()
    watch = _Watch(sum(column.bytes for column in prepared.columns) / job.duration)
    sink = MemorySink() if folder is None else _Timed(folder / "a.zarr")
    try:
        execute(prepared, sink, watch)
    except _Enough:
        pass
    except Interrupted as error:
        raise Interrupted("stopped before the run began", None, 0.0, error.signal) from None
    steps = round(watch.marks[-1][0] / job.dt)
    spikes = [column for column in prepared.columns if column.shape is None]
    counted = sum(spikes_at_end(sink, column, prepared, steps) for column in spikes)
    stored = Measured(0, 0)
    if isinstance(sink, _Timed):
        begin, stored = sink.made, measure(sink, prepared, steps)
    return _Forecast(
        steps=steps,
        compile_seconds=watch.begun - begin,
        run_seconds=watch.seconds(job.duration),
        spikes=counted if spikes else None,
        stored=stored.store,
        checkpoint=stored.checkpoint,
    )
