"""The facade of networks: `simulate`, and `resume` for a run that stopped."""

import json
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from somaflow import given
from somaflow.compiler.final import FinalState
from somaflow.errors import RunError
from somaflow.network.network import Network
from somaflow.network.recorder import Recorder
from somaflow.planning.plan import refuse
from somaflow.running.execution import execute, finished, prepare
from somaflow.running.job import (
    check_checkpoints,
    read_job,
    read_sink,
    to_json,
)
from somaflow.running.logbook import Logbook, made_with
from somaflow.running.progress import Progress, check_progress
from somaflow.running.stopped import Stopped, find
from somaflow.solvers.base import Solver
from somaflow.storage.claim import claimed
from somaflow.storage.folder import JOB, writing
from somaflow.storage.ownership import tidy_beside
from somaflow.storage.sinks import Resumable, Sink
from somaflow.storage.solution import Solution
from somaflow.storage.store import ZarrSink
from somaflow.units import ms


def simulate(
    network: Network,
    duration: Any,
    *,
    dt: Any = 0.01 * ms,
    solver: Solver | None = None,
    dtype: str = "float64",
    seed: int = 0,
    record: Iterable[Recorder] | Recorder = (),
    initial: Mapping[str, Mapping[str, Any]] | FinalState | None = None,
    sink: Sink | str | Path | None = None,
    checkpoint: Any = None,
    progress: bool | Callable[[Progress], None] = True,
) -> Solution:
    """Simulate a network.

    Ctrl-C and SIGTERM end a run at its next chunk, with a checkpoint if its sink is a store; a
    second one acts at once.

    Args:
        network: What to simulate.
        duration: Biological time; a whole number of steps.
        dt: The step.
        solver: A fixed-step method; default `RK4()`.
        dtype: `"float64"` or `"float32"`.
        seed: Of all that is drawn during the run: noise, Poisson spikes. Kept with the results.
        record: Recorders, such as `[pn.spikes, pn["v"].every(1*ms)]`.
        initial: Initial values in place of the models' own: `{"PN": {"v": ...}}`, one number,
            one for each cell, or a distribution. Or `run.final` of another run, to go on from
            where it ended, time and noise included. The network may have changed meanwhile in
            parameters, weights and inputs (not weights that spikes change: those go on), and may
            have other populations, projections and stimuli: what has its name goes on, what is
            new begins, and what is gone vanishes. dt may be another.
        sink: Where recordings go: None for memory, the path of a new Zarr store, an address that
            fsspec knows, or an object with the methods of `somaflow.storage.sinks.Sink`.
        checkpoint: Biological time from one checkpoint to the next, a whole number of steps;
            rounded up to whole recording intervals. A store has one at the run's beginning and
            one at its end in any case.
        progress: True for a bar in a terminal or a notebook and plain lines in a log, False for
            silence, or a function that is given a `sf.Progress` after each chunk.

    Returns:
        The recordings, labelled, with all that is needed to repeat the run.

    Raises:
        RunError: A dt, duration, recording interval or initial value that cannot be, or more memory
            needed than is free; the message says what would fit.
        NetworkError: A synapse of a form that cannot be computed.
        StoreError: The sink cannot take the recordings. What was written before stays readable.
        NonFiniteState: A state became infinite or not a number.
        Interrupted: A signal asked the run to stop. It is a `KeyboardInterrupt`.
    """
    target = read_sink(sink)
    check_progress(progress)
    job = read_job(
        network,
        duration,
        dt=dt,
        solver=solver,
        dtype=dtype,
        seed=seed,
        record=record,
        initial=initial,
        checkpoint=checkpoint,
    )
    check_checkpoints(job, target)
    prepared = prepare(job)
    if not isinstance(target, Resumable):
        refuse(prepared, target)
        return execute(prepared, target, progress)
    target.check(prepared.columns)
    refuse(prepared, target)
    with claimed(target.beside):
        target.check(prepared.columns)  # somebody may have made a run there meanwhile
        return execute(prepared, target, progress)


def resume(
    path: str | Path | Resumable,
    duration: Any = None,
    *,
    checkpoint: Any = None,
    solver: Solver | None = None,
    exact: bool = True,
    progress: bool | Callable[[Progress], None] = True,
) -> Solution:
    """Go on with a run that was stopped or killed, or make one longer.

    The store is then the one that a run without the stop would have written: on a local disk byte
    for byte, at an address array for array. Of a run that is finished nothing is written.

    Args:
        path: The store; or the sink of your own that the run was given, if it can be resumed.
        duration: Biological time of the whole run, from its start; default as it was asked for.
        checkpoint: Biological time from one checkpoint to the next; default as it was asked for.
        solver: The method of the run, if it is one of your own: a store holds its name alone.
        exact: Whether to refuse where another version of somaflow, TensorFlow, NumPy or Zarr, or
            another type of processor, might give other last digits. False goes on, and the store
            says so.
        progress: As for `simulate`.

    Returns:
        The recordings of the whole run.

    Raises:
        StoreError: There is no run there, somebody else is writing it, none of its checkpoints is
            whole, they are of another network, format or dtype, the store is not what they tell,
            or its method is not of this library and not given.
        RunError: The run is longer already, is of another method, or would not be exact.
        NonFiniteState, Interrupted: As for `simulate`.
    """
    check_progress(progress)
    sink = path if isinstance(path, Resumable) else ZarrSink(path)
    given.flag(exact, "exact")
    asked = duration, checkpoint, solver
    over = _over(sink, *asked)
    if over is not None:
        return over
    with claimed(sink.beside):
        return _go_on(find(sink, *asked), exact, progress)


# ------------------------------------------------------------------------------- resuming


def _over(sink: Resumable, duration: Any, every: Any, solver: Any) -> Solution | None:
    """Return a run of which nothing is left to do; None where something is, or may be.

    Raises:
        StoreError, RunError: As `resume`.
    """
    found = find(sink, duration, every, solver)
    if found.checkpoint.step != found.job.n_steps or not Logbook(sink.beside).is_finished():
        return None
    prepared = found.build()
    if not sink.is_complete(prepared.columns, prepared.header, found.cursors):
        return None
    return finished(prepared, sink, found.checkpoint)


def _go_on(found: Stopped, exact: bool, progress: Any) -> Solution:
    """Compute the rest of a run.

    Raises:
        StoreError, RunError: As `resume`.
    """
    sink, job, step = found.sink, found.job, found.checkpoint.step
    log = Logbook(sink.beside)
    for sentence in found.damaged:
        text = f"{sentence}; the one at {found.time:g} ms is used."
        with writing(log.folder):
            log.line(text)
        warnings.warn(text, stacklevel=3)
    meta = _marked(found, exact)
    prepared = replace(found.build(), meta=meta)
    refuse(prepared, sink, step)
    told = json.dumps(to_json(job, prepared.meta)).encode()
    with writing(log.folder):
        log.line(f"resumed at {found.time:g} ms, until {job.duration:g} ms")
        tidy_beside(log.folder)
        if told != log.folder.read(JOB):
            log.folder.write(JOB, told)
    if step:
        sink.reopen(prepared.columns, prepared.header, found.cursors)
    else:
        sink.create(prepared.columns, prepared.header)
    return execute(prepared, sink, progress, found.checkpoint)


def _marked(found: Stopped, exact: bool) -> dict[str, Any]:
    """Return what a store says of a run, and of parts that may differ in their last digits.

    Raises:
        RunError: Exactness is asked for and cannot be promised.
    """
    was, now, meta = found.checkpoint.header["made_with"], made_with(), found.meta
    differ = [name for name in now if was.get(name) != now[name]]
    # What was made after the checkpoint is made again.
    parts = [part for part in meta.get("not_exact", []) if part["from_ms"] < found.time]
    meta = {name: value for name, value in meta.items() if name != "not_exact"}
    if not differ:
        return meta | ({"not_exact": parts} if parts else {})
    if exact:
        listed = "; ".join(f"{name} was {was.get(name)} and is {now[name]}" for name in differ)
        raise RunError(
            f"this run would not go on exactly as it began: {listed}. Go on where it began, or "
            "accept other last digits with exact=False (--not-exact); the store then says so."
        )
    part = {
        "from_ms": found.time,
        "was": {name: was.get(name) for name in differ},
        "now": {name: now[name] for name in differ},
    }
    return meta | {"not_exact": [*parts, part]}
