"""Stopped: what is left of a run on the disk, checked against itself."""

from dataclasses import dataclass, replace
from typing import Any

from somaflow.difference import diff
from somaflow.errors import RunError, StoreError
from somaflow.given import parsed
from somaflow.running.arguments import Changes
from somaflow.running.job import Job, digests, from_json
from somaflow.running.preparing import Prepared, prepare
from somaflow.running.snapshots import part_of, state_of
from somaflow.settings import positive
from somaflow.simulation.clock import whole_steps
from somaflow.simulation.system import Array
from somaflow.storage.checkpoint import Checkpoint, newest
from somaflow.storage.folder import JOB
from somaflow.storage.ownership import sweep_of
from somaflow.storage.sinks import Resumable


@dataclass(frozen=True)
class Stopped:
    """A run that is to go on.

    Attributes:
        sink: Its store.
        job: The run.
        meta: What its results tell of it.
        checkpoint: The newest that is whole.
        damaged: Why each newer one was passed over.
    """

    sink: Resumable
    job: Job
    meta: dict[str, Any]
    checkpoint: Checkpoint
    damaged: list[str]

    @property
    def time(self) -> float:
        """Biological time of the checkpoint in ms."""
        return self.checkpoint.step * self.job.dt

    @property
    def ended(self) -> bool:
        """Whether nothing of the run is left to compute."""
        return self.checkpoint.ended or self.checkpoint.step == self.job.n_steps

    @property
    def cursors(self) -> dict[str, Array]:
        """How far the store is."""
        return part_of(self.checkpoint.arrays, "sink")

    def build(self) -> Prepared:
        """Build the run with the state of the checkpoint."""
        job = self.job
        prepared = prepare(job, state_of(self.checkpoint, job.begin, job.dt))
        return replace(prepared, meta=self.meta)


def find(sink: Resumable, changes: Changes) -> Stopped:
    """Read what is left of a run.

    Args:
        sink: Its store.
        changes: What is to be other than it was asked for.

    Raises:
        StoreError, RunError: As `resume`.
    """
    told = _told(sink)
    job = from_json(told, f"{sink.beside}/{JOB}", changes.solver, changes.between)
    duration, every = changes.duration, changes.checkpoint
    if duration is not None:
        steps = whole_steps(positive(duration, "duration"), job.dt, "duration")
        job = replace(job, n_steps=steps)
    if every is not None:
        job = replace(job, every=whole_steps(positive(every, "checkpoint"), job.dt, "checkpoint"))
    snapshot, damaged = newest(sink.beside)
    if snapshot.step > job.n_steps:
        raise RunError(
            f"the run at {sink.path} is at {snapshot.step * job.dt:g} ms already; give at least "
            f"that duration, not {job.duration:g} ms."
        )
    if snapshot.ended and duration is not None:
        raise RunError(
            f"the run at {sink.path} stopped at {snapshot.step * job.dt:g} ms, where {job.until}, "
            "and is over; to go on from there, begin a run with initial=run.final."
        )
    _check_same(snapshot, told, job)
    return Stopped(sink, job, told["meta"] | {"duration_ms": job.duration}, snapshot, damaged)


def _told(sink: Resumable) -> dict[str, Any]:
    try:
        return parsed(sink.beside.read(JOB))
    except FileNotFoundError:
        if sweep_of(sink.beside) is not None:
            raise StoreError(
                f"{sink.path} is of a sweep, not of one run; go on with it by sf.resume_sweep."
            ) from None
        raise StoreError(
            f"there is no run to resume at {sink.path}: {sink.beside}/{JOB} is missing. A run "
            "keeps it beside its store; move both together."
        ) from None
    except (OSError, ValueError) as error:
        raise StoreError(f"{sink.beside}/{JOB} cannot be read ({error}).") from error


def _check_same(snapshot: Checkpoint, told: dict[str, Any], job: Job) -> None:
    """Refuse a checkpoint of another run.

    Raises:
        StoreError: With what differs.
    """
    header, meta = snapshot.header, told["meta"]
    if header["fingerprint"] != meta.get("fingerprint"):
        lines = diff(header["leaves"], job.network, here="in the checkpoint", there="in the run")
        reasons = "; ".join(lines) or "the initial values differ"
        raise StoreError(f"the checkpoint is of another network: {reasons}.")
    pairs = {
        "dtype": (header["dtype"], job.dtype),
        "dt in ms": (header["dt_ms"], job.dt),
        "recordings": (header["record"], [recorder.key for recorder in job.recorders]),
    }
    for name, (there, here) in pairs.items():
        if there != here:
            raise StoreError(
                f"the checkpoint is of another run: its {name} is {there}, and here it is {here}."
            )
    here, there = digests(told), header["run"]
    if differ := sorted(k for k in here.keys() | there.keys() if here.get(k) != there.get(k)):
        lines = diff(header["leaves"], job.network, here="in the checkpoint", there="in the run")
        raise StoreError(
            f"{JOB} is not what the checkpoint was made with: "
            f"{'; '.join([*lines, *(f'{name} changed' for name in differ)])}. Put back what was "
            "there; to try something else, begin a run with initial=run.final."
        )
