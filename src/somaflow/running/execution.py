"""Execution: a run that was checked, from its description to its results."""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import tensorflow as tf

from somaflow.compiler.final import flattened, restored
from somaflow.compiler.reading import signature
from somaflow.difference import leaves
from somaflow.errors import Interrupted, StoreError
from somaflow.running.account import counted
from somaflow.running.background import Background
from somaflow.running.between import Calls, Memory
from somaflow.running.job import digests, to_json
from somaflow.running.logbook import FINISHED, Logbook, made_with
from somaflow.running.preparing import Prepared
from somaflow.running.progress import Display, Progress, resident_bytes, shown
from somaflow.running.signals import stoppable
from somaflow.running.snapshots import part_of
from somaflow.running.writers import Writer, ends_early, shortened, writers
from somaflow.simulation import chunks
from somaflow.simulation.loop import build
from somaflow.simulation.replay import finite
from somaflow.simulation.system import Carry
from somaflow.storage import checkpoint
from somaflow.storage.checkpoint import Checkpoint
from somaflow.storage.folder import writing
from somaflow.storage.ownership import clear_beside
from somaflow.storage.sinks import Measurable, Resumable, Sink
from somaflow.storage.solution import Solution


def execute(
    prepared: Prepared,
    sink: Sink,
    progress: Display,
    resumed: Checkpoint | None = None,
    watch: Callable[[Carry], bool] = finite,
) -> Solution:
    """Run what was prepared.

    Args:
        prepared: The run.
        sink: Where recordings go.
        progress: True, False or a function.
        resumed: Where it goes on from; the sink is opened already.
        watch: Tells of the state at each chunk's end whether the run may go on.

    Raises:
        StoreError: The sink cannot take the recordings. What was written before stays readable.
        NonFiniteState: A state became infinite or not a number.
        Interrupted: A signal asked the run to stop.
    """
    run = Run(prepared, sink, resumed)
    if resumed is None:
        run.open()
    done = run.done * prepared.job.dt
    first = Progress(done, prepared.job.duration, done, 0.0, None, 0)
    with run.watched(), shown(progress, first) as show:
        carry = run.go(show, watch)
    return run.solution(carry)


def finished(prepared: Prepared, sink: Sink, snapshot: Checkpoint) -> Solution:
    """Return what a run left that is over: nothing is computed or written.

    Args:
        prepared: The run, built with the state of its last checkpoint.
        sink: Where its recordings are.
        snapshot: That checkpoint.
    """
    return Run(prepared, sink, snapshot).solution(prepared.compiled.system.initial)


class Run:
    """One run in this process."""

    def __init__(self, prepared: Prepared, sink: Sink, resumed: Checkpoint | None) -> None:
        self.prepared, self.sink, self.job = prepared, sink, prepared.job
        self.system = prepared.compiled.system
        self.done = self.begun = 0 if resumed is None else resumed.step
        self.ended = resumed is not None and resumed.ended
        job = self.job
        self.writers: list[Writer] = writers(
            job.recorders, prepared.columns, self.system, sink, job.stride, job.dt
        )
        self.initial = self.system.initial
        if resumed is not None:
            kept_state = restored(self.initial.kept, part_of(resumed.arrays, "kept"))
            self.initial = self.initial._replace(kept=kept_state)
            for column, write in zip(prepared.columns, self.writers, strict=True):
                write.restore(part_of(resumed.arrays, f"writers/{column.key}"))
        memory = None if resumed is None else part_of(resumed.arrays, "between")
        self.calls = Calls(job.between, prepared.compiled.moments, job.begin, memory)
        self.store = sink if isinstance(sink, Resumable) else None
        self.log = Logbook(self.store.beside) if self.store is not None else None
        self.leaves = leaves(job.network) if self.log is not None else {}
        self.told = to_json(job, prepared.meta) if self.log is not None else {}
        self.digests = digests(self.told) if self.log is not None else {}
        self.stop: int | None = None
        self.compiled = False
        self.seconds = {"compile_seconds": 0.0, "run_seconds": 0.0}

    # ------------------------------------------------------------------- begin and end

    def open(self) -> None:
        """Make the sink ready; what is needed to resume is on the disk before anything else is."""
        prepared = self.prepared
        if self.log is None or self.store is None:
            self.sink.open(prepared.columns, prepared.header)
            return
        with writing(self.log.folder):
            clear_beside(self.log.folder)
        self.store.clear()
        try:
            with writing(self.log.folder):
                self.log.begin(self.told)
                start = self._checkpoint(self.initial, 0, self.calls.kept())
                checkpoint.save(self.log.folder, start)
            self.store.create(prepared.columns, prepared.header)
        except StoreError as error:
            self._tell("failed", str(error))
            raise self._with_hint(error) from error

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Keep the log, close the sink whatever happens, and say how to go on."""
        try:
            with stoppable(self._ask):
                try:
                    yield
                finally:
                    self.sink.close()
        except StoreError as error:
            self._tell("failed", str(error))
            raise self._with_hint(error) from error
        except BaseException as error:
            state = "interrupted" if isinstance(error, KeyboardInterrupt) else "failed"
            self._tell(state, str(error) or type(error).__name__)
            raise
        self._tell(FINISHED, self._status)

    @property
    def _status(self) -> str:
        """How the run ended, a sentence."""
        if not self.ended:
            return "complete"
        return f"stopped at {self.done * self.job.dt:,.10g} ms, where {self.job.until}"

    def _with_hint(self, error: StoreError) -> StoreError:
        if self.log is None or self.store is None or not checkpoint.names(self.log.folder):
            return error
        newest = checkpoint.step_of(checkpoint.names(self.log.folder)[-1])
        call, *commands = self.store.resumed_by
        again = call + "".join(f", or {command}," for command in commands)
        return StoreError(
            f"{error} Once it can be written again, {again} goes on from "
            f"{newest * self.job.dt:g} ms."
        )

    def _tell(self, state: str, sentence: str) -> None:
        if self.log is not None:
            self.log.end(state, sentence, self._progress())

    # --------------------------------------------------------------------------- signals

    def _ask(self, number: int) -> None:
        """Have the run stop at the next chunk's end."""
        self.stop = number

    def _interrupted(self) -> Interrupted:
        assert self.stop is not None
        name, time_ms = signal.Signals(self.stop).name, self.done * self.job.dt
        path = getattr(self.sink, "path", None)
        message = f"stopped at {time_ms:,.10g} of {self.job.duration:,.10g} ms by {name}"
        if isinstance(self.sink, Measurable) and self.sink.in_memory:
            message += "; what was recorded in memory is lost (sink='run.zarr' would have kept it)."
        elif self.store is None:
            message += "; the sink has what was recorded until then."
        else:
            message += f"; go on with {', or: '.join(self.store.resumed_by)}"
        return Interrupted(message, None if path is None else str(path), time_ms, self.stop)

    # ------------------------------------------------------------------------------ work

    def go(self, show: Callable[[Progress], None], watch: Callable[[Carry], bool]) -> Carry:
        """Compute every chunk that is left, while what the last one left is being written."""
        job, schedule = self.job, self.prepared.schedule
        carry = Carry(*tf.nest.map_structure(tf.constant, tuple(self.initial)))
        if self.done >= job.n_steps or self.ended:
            return carry
        if self.log is not None:
            self._note(self._progress())
        begin = time.perf_counter()
        dtype = tf.as_dtype(job.dtype)
        key = self.prepared.compiled.structure, signature(job.solver)
        advance = build(self.system, job.solver, job.dt, schedule, dtype, key)
        advance(carry, 0, 0, 0, False)
        self.compiled = advance.fresh
        self.started = time.perf_counter()
        self.seconds["compile_seconds"] = self.started - begin
        with Background() as background:
            for chunk in chunks.run(
                self.system,
                advance,
                schedule,
                carry,
                job.n_steps,
                job.dt,
                job.begin,
                self.done,
                self._border(),
                None if job.pause is None else chunks.Pause(job.pause, self.calls),
                watch,
            ):
                carry, self.done = chunk.carry, chunk.step + chunk.steps
                self.ended = chunk.samples.ended
                background.submit(self._write, chunk)
                asked = self.stop is not None
                if self.log is not None and (asked or self._is_border()):
                    background.submit(self._save, carry, self.done, self.calls.kept())
                if self.done == job.n_steps or self.ended:
                    background.finish()  # so that the last word on progress counts all spikes
                self.seconds["run_seconds"] = time.perf_counter() - self.started
                if self.log is not None and self.log.is_due():
                    background.submit(self._note, self._progress())
                show(self._progress())
                if asked and self.done < job.n_steps and not self.ended:
                    background.finish()
                    raise self._interrupted()
        return carry

    def solution(self, carry: Carry) -> Solution:
        """Return the whole run."""
        prepared, job = self.prepared, self.job
        pairs = zip(prepared.columns, self.writers, strict=True)
        spikes = {c.key: write.spikes for c, write in pairs if write.spikes is not None}
        told = {"compiled": self.compiled, "spikes": counted(spikes)}
        statistics = prepared.statistics | self.seconds | told
        columns, duration = prepared.columns, self.done * job.dt
        if self.ended:
            columns = shortened(job.recorders, columns, self.done, job.dt)
            early = ends_early(columns, duration)
            statistics |= {"steps": self.done, "samples_end_ms": early}
        final = prepared.compiled.final(carry, job.begin + self.done)
        return Solution(
            columns, self.sink, duration, prepared.meta, statistics, self._status, final=final
        )

    def _border(self) -> int | None:
        """Return the steps between checkpoints: whole samples, which stay where they are."""
        every, stride = self.job.every, self.job.stride
        return None if every is None else -(-every // stride) * stride

    def _is_border(self) -> bool:
        border = self._border()
        over = self.done == self.job.n_steps or self.ended
        return over or (border is not None and self.done % border == 0)

    def take(self, chunk: chunks.Chunk) -> None:
        """Write what a chunk that was computed elsewhere leaves of this run."""
        self.done = chunk.step + chunk.steps
        self._write(chunk)

    def keep(self, carry: Any | None, seconds: float, show: Callable[[Progress], None]) -> None:
        """Keep and show how far a run is whose chunks are computed elsewhere.

        Args:
            carry: The state, as `final` of what is prepared takes it, where there is to be a
                checkpoint.
            seconds: How long it has run.
            show: Shows progress.

        Raises:
            StoreError: The checkpoint cannot be written.
            Interrupted: The run was asked to stop, and there is a checkpoint.
        """
        self.seconds["run_seconds"] = seconds
        if self.log is not None and carry is not None:
            self._save(carry, self.done, self.calls.kept())
        if self.log is not None and self.log.is_due():
            self._note(self._progress())
        show(self._progress())
        if self.stop is not None and carry is not None and self.done < self.job.n_steps:
            raise self._interrupted()

    def _write(self, chunk: chunks.Chunk) -> None:
        for write in self.writers:
            write(chunk)

    def _note(self, progress: Progress) -> None:
        assert self.log is not None
        with writing(self.log.folder):
            self.log.note(progress)

    def _save(self, carry: Any, step: int, memory: Memory) -> None:
        assert self.log is not None and self.store is not None
        self.store.flush()
        with writing(self.log.folder):
            checkpoint.save(self.log.folder, self._checkpoint(carry, step, memory))
            self.log.line(f"checkpoint at {step * self.job.dt:g} ms")

    def _checkpoint(self, carry: Any, step: int, memory: Memory) -> Checkpoint:
        job, prepared = self.job, self.prepared
        final = prepared.compiled.final(carry, job.begin + step)
        arrays = {
            f"states/{name}/{state}": value
            for name, states in final.states.items()
            for state, value in states.items()
        }
        arrays |= {f"events/{name}": value for name, value in final.events.items()}
        arrays |= {f"between/{name}": value for name, value in memory.items()}
        arrays |= {f"kept/{name}": value for name, value in flattened(carry.kept).items() if name}
        if step and self.store is not None:
            arrays |= {f"sink/{name}": value for name, value in self.store.cursors().items()}
        for column, write in zip(prepared.columns, self.writers, strict=True):
            arrays |= {f"writers/{column.key}/{k}": v for k, v in write.state().items()}
        header = {
            "fingerprint": prepared.meta["fingerprint"],
            "run": self.digests,
            "leaves": self.leaves,
            "dtype": job.dtype,
            "dt_ms": job.dt,
            "record": [column.key for column in prepared.columns],
            "populations": list(final.states),
            "sizes": final.sizes,
            "groups": {key: group.to_json() for key, group in final.groups.items()},
            "made_with": made_with(),
            "ended": self.ended,
        }
        return Checkpoint(step, header, arrays)

    def _progress(self) -> Progress:
        spikes = [write.spikes for write in self.writers if write.spikes is not None]
        return Progress(
            done=self.done * self.job.dt,
            total=self.job.duration,
            begun=self.begun * self.job.dt,
            seconds=self.seconds["run_seconds"],
            spikes=sum(spikes) if spikes else None,
            memory=resident_bytes(),
        )
