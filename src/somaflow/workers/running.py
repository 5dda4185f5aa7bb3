"""Running: a run on several workers, from what was asked for to its results.

The first worker reads and writes the disk, and tells the others what they need.
"""

import pickle
from collections.abc import Sequence
from dataclasses import dataclass, replace

from somaflow.errors import RunError
from somaflow.network.shares import Bounds
from somaflow.planning.sizes import Known, room_for, shortage, sizes_of
from somaflow.running.execution import Run
from somaflow.running.job import Job
from somaflow.running.progress import Display, Progress, shown
from somaflow.storage.claim import claimed
from somaflow.storage.sinks import Resumable, Sink
from somaflow.storage.solution import Solution
from somaflow.workers.exchange import Message, Part
from somaflow.workers.sharing import Ready, bounds_of, computed, share


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


def refuse(job: Job) -> None:
    """Refuse what several workers cannot run.

    Raises:
        RunError: With what it is.
    """
    reason = ""
    if job.between is not None:
        reason = "a function between steps (between=) sees the state of the whole network"
    elif job.until is not None:
        reason = "a condition at which it ends (until=) is of the whole network"
    if reason:
        raise RunError(f"{reason}, which no one of several workers has; leave workers out.")


def first(errand: Errand, count: int) -> Part[Solution]:
    """Begin a run as the first of some workers."""
    job, sink = errand.job, errand.sink
    bounds = bounds_of(job, count) if errand.bounds is None else errand.bounds
    yield Message(pickle.dumps((job, bounds, None, 0)))
    ready = yield from share(job, 0, bounds)
    assert ready.whole is not None
    _refuse_size(ready, sink)
    if not isinstance(sink, Resumable):
        return (yield from _run(ready, sink, errand.progress))
    sink.check(ready.whole.columns)
    with claimed(sink.beside):
        sink.check(ready.whole.columns)  # somebody may have made a run there meanwhile
        return (yield from _run(ready, sink, errand.progress))


def other(k: int) -> Part[None]:
    """Do what the first worker says, as another one."""
    heard = yield Message(b"")
    job, bounds, kept, done = pickle.loads(heard[0])
    ready = yield from share(job, k, bounds, kept)
    yield from computed(ready, None, lambda _: None, done)


def _run(ready: Ready, sink: Sink, progress: Display) -> Part[Solution]:
    assert ready.whole is not None
    run = Run(ready.whole, sink, None)
    run.open()
    begin = Progress(0.0, ready.mine.job.duration, 0.0, 0.0, None, 0)
    with run.watched(), shown(progress, begin) as show:
        final = yield from computed(ready, run, show)
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
