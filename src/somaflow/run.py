"""Runs of networks: begun, and gone on with."""

import json
from dataclasses import replace

from somaflow.errors import RunError, warn
from somaflow.notation import Json
from somaflow.planning.plan import refuse
from somaflow.running.arguments import Changes
from somaflow.running.execution import execute, finished
from somaflow.running.job import Job, to_json
from somaflow.running.logbook import Logbook, made_with
from somaflow.running.preparing import Prepared, prepare
from somaflow.running.progress import Display
from somaflow.running.stopped import Stopped, find
from somaflow.storage.claim import claimed
from somaflow.storage.folder import JOB, writing
from somaflow.storage.ownership import tidy_beside
from somaflow.storage.sinks import Resumable, Sink
from somaflow.storage.solution import Solution


def begin(job: Job, sink: Sink, progress: Display) -> Solution:
    """Run a network from its beginning.

    Args:
        job: The run.
        sink: Where its recordings go.
        progress: As for `sf.simulate`.

    Raises:
        RunError, NetworkError, StoreError, NonFiniteState, Interrupted: As `sf.simulate`.
    """
    prepared = prepare(job)
    if not isinstance(sink, Resumable):
        refuse(prepared, sink)
        return execute(prepared, sink, progress)
    sink.check(prepared.columns)
    refuse(prepared, sink)
    with claimed(sink.beside):
        sink.check(prepared.columns)  # somebody may have made a run there meanwhile
        return execute(prepared, sink, progress)


def go_on(sink: Resumable, changes: Changes, exact: bool, progress: Display) -> Solution:
    """Go on with a run.

    Args:
        sink: What it has written to.
        changes: What is to be other than it was asked for.
        exact: Whether to refuse where the last digits might be others.
        progress: As for `sf.resume`.

    Raises:
        StoreError, RunError, NonFiniteState, Interrupted: As `sf.resume`.
    """
    whole = finished_one(sink, changes)
    if whole is not None:
        return whole
    with claimed(sink.beside):
        return _rest(find(sink, changes), exact, progress)


def finished_one(sink: Resumable, changes: Changes) -> Solution | None:
    """Return a run of which nothing is left to do; None where something is, or may be.

    Raises:
        StoreError, RunError: As `sf.resume`.
    """
    stopped = find(sink, changes)
    if not stopped.ended or not Logbook(sink.beside).is_finished():
        return None
    prepared = stopped.build()
    if not sink.is_complete(prepared.columns, prepared.header, stopped.cursors):
        return None
    return finished(prepared, sink, stopped.checkpoint)


def _rest(stopped: Stopped, exact: bool, progress: Display) -> Solution:
    """Compute the rest of a run.

    Raises:
        StoreError, RunError: As `sf.resume`.
    """
    tell_of_damage(stopped)
    prepared = replace(stopped.build(), meta=marked(stopped, exact))
    refuse(prepared, stopped.sink, stopped.checkpoint.step)
    reopen(stopped, prepared)
    return execute(prepared, stopped.sink, progress, stopped.checkpoint)


def tell_of_damage(stopped: Stopped) -> None:
    """Warn of checkpoints that are not whole.

    Raises:
        StoreError: The log cannot be written.
    """
    log = Logbook(stopped.sink.beside)
    for sentence in stopped.damaged:
        text = f"{sentence}; the one at {stopped.time:g} ms is used."
        with writing(log.folder):
            log.line(text)
        warn(
            text,
        )


def reopen(stopped: Stopped, prepared: Prepared) -> None:
    """Open the store of a run that goes on.

    Args:
        stopped: What is left of it.
        prepared: What is built for it.

    Raises:
        StoreError: It cannot be written.
    """
    sink, job = stopped.sink, stopped.job
    log = Logbook(sink.beside)
    told = json.dumps(to_json(job, prepared.meta)).encode()
    with writing(log.folder):
        log.line(f"resumed at {stopped.time:g} ms, until {job.duration:g} ms")
        tidy_beside(log.folder)
        if told != log.folder.read(JOB):
            log.folder.write(JOB, told)
    if stopped.checkpoint.step:
        sink.reopen(prepared.columns, prepared.header, stopped.cursors)
    else:
        sink.create(prepared.columns, prepared.header)


def marked(stopped: Stopped, exact: bool) -> dict[str, Json]:
    """Return what a store says of a run, and of parts that may differ in their last digits.

    Raises:
        RunError: Exactness is asked for and cannot be promised.
    """
    was, now, meta = stopped.checkpoint.header["made_with"], made_with(), stopped.meta
    differ = [name for name in now if was.get(name) != now[name]]
    # What was made after the checkpoint is made again.
    parts = [part for part in meta.get("not_exact", []) if part["from_ms"] < stopped.time]
    rest: dict[str, Json] = {name: value for name, value in meta.items() if name != "not_exact"}
    if not differ:
        return {**rest, "not_exact": parts} if parts else rest
    if exact:
        changes = "; ".join(f"{name} was {was.get(name)} and is {now[name]}" for name in differ)
        raise RunError(
            f"this run would not go on exactly as it began: {changes}. Go on where it began, or "
            "accept other last digits with exact=False (--not-exact); the store then says so."
        )
    part: Json = {
        "from_ms": stopped.time,
        "was": {name: was.get(name) for name in differ},
        "now": {name: now[name] for name in differ},
    }
    return {**rest, "not_exact": [*parts, part]}
