"""Execution: a run that was checked, from its description to its results."""

import math
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from somaflow.compiler.build import Compiled, compile_network
from somaflow.compiler.final import FinalState, flattened, restored
from somaflow.compiler.reading import signature
from somaflow.difference import leaves
from somaflow.errors import Interrupted, StoreError
from somaflow.network.ending import read_ending
from somaflow.notation import Json
from somaflow.numerics.device import begin_computing, choose_threads
from somaflow.running.account import counted, meta_of
from somaflow.running.background import Background
from somaflow.running.between import Calls, Memory
from somaflow.running.job import Job, digests, to_json
from somaflow.running.logbook import FINISHED, Logbook, made_with
from somaflow.running.progress import Display, Progress, resident_bytes, shown
from somaflow.running.signals import stoppable
from somaflow.running.snapshots import part_of
from somaflow.running.writers import Writer, columns_of, ends_early, shortened, writers
from somaflow.simulation import chunks
from somaflow.simulation.crossings import weight
from somaflow.simulation.loop import Schedule, build
from somaflow.simulation.replay import finite
from somaflow.simulation.system import Carry
from somaflow.solvers.stages import nodes_of
from somaflow.storage import checkpoint
from somaflow.storage.checkpoint import Checkpoint
from somaflow.storage.folder import writing
from somaflow.storage.ownership import clear_beside
from somaflow.storage.sinks import Column, Measurable, Resumable, Sink
from somaflow.storage.solution import Solution


@dataclass(frozen=True)
class Prepared:
    """A job with all that has to be built for it.

    Attributes:
        job: The job.
        compiled: The network as pure functions.
        columns: What will be stored.
        schedule: Sizes of the compiled loop.
        meta: All that is needed to repeat the run.
        statistics: Sizes.
    """

    job: Job
    compiled: Compiled
    columns: tuple[Column, ...]
    schedule: Schedule
    meta: dict[str, Json]
    statistics: dict[str, Json]

    @property
    def header(self) -> dict[str, Json]:
        """What the store tells of the run."""
        return {**self.meta, "statistics": self.statistics}


def prepare(job: Job, at: FinalState | None = None) -> Prepared:
    """Build the network and all that follows from it.

    Args:
        job: The job.
        at: A state within the run, to go on from.

    Raises:
        NetworkError: A synapse of a form that cannot be computed.
        RunError: An initial value that cannot be.
    """
    begin_computing()
    network = job.network
    choose_threads(sum(p.size * len(p.equations.states) for p in network.populations))
    compiled = compile_network(
        network,
        job.dt,
        (job.begin + job.n_steps) * job.dt,
        tf.as_dtype(job.dtype).as_numpy_dtype,
        job.initial if at is None else at,
        job.recorders,
        job.seed,
        job.begin,
        job.solver,
        None if job.until is None else read_ending(network, job.until),
        job.between is not None,
    )
    columns = columns_of(
        network, compiled, job.recorders, job.dt, job.n_steps, job.dtype, job.begin
    )
    meta = meta_of(job, {key: choice.form for key, choice in compiled.choices.items()})
    statistics = {
        "cells": sum(p.size for p in network.populations),
        "equations": compiled.n_states * int(np.prod(compiled.batch, initial=1)),
        "synapses": compiled.n_synapses,
        "steps": job.n_steps,
        "samples_end_ms": ends_early(columns, job.duration),
    }
    sources = weight(compiled.system.crossings or (0,), compiled.system.alongside)
    sampled = sum(math.prod(column.shape or ()) for column in columns if column.shape is not None)
    given = chunks.given(compiled.system, nodes_of(job.solver), job.dt)
    stride = job.stride
    carried = sum(np.size(leaf) for leaf in tf.nest.flatten(compiled.system.initial))
    numbers = max(sources, given, -(-sampled // stride))
    schedule = chunks.plan(stride, numbers, carried, job.pause)
    return Prepared(job, compiled, columns, schedule, meta, statistics)


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
    run = _Run(prepared, sink, resumed)
    if resumed is None:
        run.open()
    done = run.done * prepared.job.dt
    with run.watched(), shown(progress, prepared.job.duration, done) as show:
        carry = run.go(show, watch)
    return run.solution(carry)


def finished(prepared: Prepared, sink: Sink, snapshot: Checkpoint) -> Solution:
    """Return what a run left that is over: nothing is computed or written.

    Args:
        prepared: The run, built with the state of its last checkpoint.
        sink: Where its recordings are.
        snapshot: That checkpoint.
    """
    return _Run(prepared, sink, snapshot).solution(prepared.compiled.system.initial)


class _Run:
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
                carry = Carry(*tf.nest.map_structure(np.asarray, tuple(self.initial)))
                checkpoint.save(self.log.folder, self._checkpoint(carry, 0, self.calls.kept()))
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

    def _write(self, chunk: chunks.Chunk) -> None:
        for write in self.writers:
            write(chunk)

    def _note(self, progress: Progress) -> None:
        assert self.log is not None
        with writing(self.log.folder):
            self.log.note(progress)

    def _save(self, carry: Carry, step: int, memory: Memory) -> None:
        assert self.log is not None and self.store is not None
        self.store.flush()
        with writing(self.log.folder):
            checkpoint.save(self.log.folder, self._checkpoint(carry, step, memory))
            self.log.line(f"checkpoint at {step * self.job.dt:g} ms")

    def _checkpoint(self, carry: Carry, step: int, memory: Memory) -> Checkpoint:
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
