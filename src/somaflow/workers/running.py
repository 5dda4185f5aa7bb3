"""Running: a run on several workers, from what was asked for to its results.

The first worker reads and writes the disk, and tells the others what they need.
"""

import pickle
from collections.abc import Sequence
from dataclasses import dataclass, replace

from somaflow.errors import RunError, warn
from somaflow.network.shares import Bounds
from somaflow.planning.sizes import Known, room_for, shortage, sizes_of
from somaflow.run import finished_one, marked, reopen, tell_of_damage
from somaflow.running.arguments import Changes
from somaflow.running.execution import Run
from somaflow.running.job import Job
from somaflow.running.preparing import Prepared
from somaflow.running.progress import Display, Progress, shown
from somaflow.running.snapshots import part_of, state_of
from somaflow.running.stopped import find
from somaflow.storage.checkpoint import Checkpoint
from somaflow.storage.claim import claimed
from somaflow.storage.sinks import Resumable, Sink
from somaflow.storage.solution import Solution
from somaflow.workers.carrying import here
from somaflow.workers.dividing import bounds_of, division_of
from somaflow.workers.exchange import Message, Part
from somaflow.workers.sharing import Ready, computed, share


@dataclass(frozen=True)
class Errand:
    """What the first worker is asked to do.

    Attributes:
        job: The run.
        sink: Where its recordings go.
        progress: As for `sf.simulate`.
        bounds: The cells of each worker; None to choose them.
    """

    job: Job
    sink: Sink
    progress: Display
    bounds: Sequence[Bounds] | None = None


@dataclass(frozen=True)
class Rest:
    """A run that the first worker is asked to go on with.

    Attributes:
        sink: Its store.
        changes: What is to be other than it was asked for.
        exact: Whether to refuse where the last digits might be others.
        progress: As for `sf.simulate`.
    """

    sink: Resumable
    changes: Changes
    exact: bool
    progress: Display


def refuse(job: Job, progress: Display) -> None:
    """Refuse what several workers cannot run.

    Args:
        job: The run.
        progress: As for `sf.simulate`.

    Raises:
        RunError: With what it is.
    """
    reason = ""
    if job.between is not None:
        reason = "a function between steps (between=) sees the state of the whole network"
    elif job.until is not None:
        reason = "a condition at which a run ends (until=) is of the whole network"
    elif callable(progress):
        reason = "a function for progress= is of this process; give True or False"
    if reason:
        raise RunError(f"several workers cannot compute this run: {reason}.")


def warn_of_little(job: Job, count: int) -> None:
    """Warn, in the first process alone, where several workers have little to share.

    Args:
        job: The run.
        count: How many workers.
    """
    if here()[0] == 0 and (doubt := division_of(job, count).doubt()):
        warn(doubt)


def first(errand: Errand, count: int) -> Part[Solution]:
    """Begin a run as the first of some workers."""
    job, sink = errand.job, errand.sink
    bounds = bounds_of(job, count) if errand.bounds is None else errand.bounds
    yield Message(pickle.dumps((job, bounds, None, 0)))
    ready = yield from share(job, 0, bounds)
    assert ready.whole is not None
    _refuse_size(ready, sink)
    if not isinstance(sink, Resumable):
        return (yield from _run(ready, ready.whole, sink, errand.progress))
    sink.check(ready.whole.columns)
    with claimed(sink.beside):
        sink.check(ready.whole.columns)  # somebody may have made a run there meanwhile
        return (yield from _run(ready, ready.whole, sink, errand.progress))


def again(errand: Rest, count: int) -> Part[Solution]:
    """Go on with a run as the first of some workers, however many it had before."""
    sink = errand.sink
    whole = finished_one(sink, errand.changes)
    if whole is not None:
        yield Message(pickle.dumps(None))
        return whole
    with claimed(sink.beside):
        stopped = find(sink, errand.changes)
        refuse(stopped.job, errand.progress)
        tell_of_damage(stopped)
        meta, snapshot = marked(stopped, errand.exact), stopped.checkpoint
        state = state_of(snapshot, stopped.job.begin, stopped.job.dt)
        job = replace(stopped.job, initial=state)
        bounds, kept = bounds_of(job, count), part_of(snapshot.arrays, "kept")
        yield Message(pickle.dumps((job, bounds, kept, snapshot.step)))
        ready = yield from share(job, 0, bounds, kept)
        assert ready.whole is not None
        prepared = replace(ready.whole, job=stopped.job, meta=meta)
        _refuse_size(ready, sink)
        reopen(stopped, prepared)
        return (yield from _run(ready, prepared, sink, errand.progress, snapshot))


def other(k: int) -> Part[None]:
    """Do what the first worker says, as another one."""
    heard = yield Message(b"")
    told = pickle.loads(heard[0])
    if told is None:  # nothing is left to do
        return
    job, bounds, kept, done = told
    ready = yield from share(job, k, bounds, kept)
    yield from computed(ready, None, lambda _: None, done)


def _run(
    ready: Ready,
    prepared: Prepared,
    sink: Sink,
    progress: Display,
    resumed: Checkpoint | None = None,
) -> Part[Solution]:
    run = Run(prepared, sink, resumed)
    if resumed is None:
        run.open()
    done = run.done * prepared.job.dt
    begin = Progress(done, prepared.job.duration, done, 0.0, None, 0)
    with run.watched(), shown(progress, begin) as show:
        final = yield from computed(ready, run, show, run.done)
    return run.solution(final)


def _refuse_size(ready: Ready, sink: Sink) -> None:
    """Refuse a run whose recordings, with the first share, do not fit.

    Raises:
        RunError: So it is.
    """
    assert ready.whole is not None
    own = replace(ready.whole, compiled=ready.mine.compiled)
    sizes, room = sizes_of(own, sink, Known()), room_for(own, sink)
    if lacks := shortage(sizes, room, sink):
        raise RunError(f"{lacks}.")
