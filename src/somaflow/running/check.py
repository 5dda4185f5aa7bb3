"""The facade that looks whether a stored run is what was written: `check`."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from somaflow.errors import SomaflowError, StoreError
from somaflow.given import flag
from somaflow.running.arguments import Changes
from somaflow.running.logbook import Logbook
from somaflow.running.stopped import Stopped, find
from somaflow.solvers.base import Solver
from somaflow.storage import checkpoint
from somaflow.storage.checkpoint import Checkpoint
from somaflow.storage.claim import claimed
from somaflow.storage.damage import FOREIGN
from somaflow.storage.folder import writing
from somaflow.storage.ownership import sweep_of
from somaflow.storage.store import Damage, ZarrSink


@dataclass(frozen=True)
class Check:
    """What was found of a stored run.

    Attributes:
        path: The store.
        damage: A sentence for each thing that is not what was written.
        mended: A sentence for each thing that was repaired.
        advice: What to do; empty where nothing is to be done.
    """

    path: str
    damage: tuple[str, ...]
    mended: tuple[str, ...]
    advice: str

    @property
    def sound(self) -> bool:
        """Whether all is what was written."""
        return not self.damage

    def __str__(self) -> str:
        head = f"{self.path}: whole" if self.sound else f"{self.path}: {len(self.damage)} damaged"
        advice = (self.advice,) if self.advice else ()
        return "\n".join((head, *(f"- {line}" for line in self.damage), *self.mended, *advice))


def check(path: str | Path, *, repair: bool = False, solver: Solver | None = None) -> Check:
    """Look at every byte of a stored run in a local folder: run.json, checkpoints, arrays.

    Each chunk is compared with its own checksum and with the one that the newest checkpoint holds,
    so that a chunk of another run is found too. Nothing is computed.

    Args:
        path: The store.
        repair: Whether to mend what can be mended: metadata, times and labels follow from what the
            run is, and damaged samples can be computed again from a checkpoint before them.
            Damaged checkpoints are then removed, and those behind damaged samples too.
        solver: The method of the run, if it is one of your own.

    Raises:
        StoreError: There is no run, somebody is writing it, nothing says what it is, or its method
            is not of this library and not given.
        WrongTypeError: The path is none, or `repair` is not True or False.
    """
    flag(repair, "repair")
    sink = ZarrSink(path)
    if isinstance(sink.path, str):
        raise StoreError(
            f"{path} is an address, and check looks at local folders; fetch the store and the "
            "folder beside it, or read it: Zarr's own checksums are looked at then."
        )
    if sweep_of(sink.beside) is not None:
        raise StoreError(
            f"{path} is of a sweep, and check looks at runs of sf.simulate. Zarr's own checksums "
            "are looked at when it is read; sf.sweep called again says what is missing."
        )
    look = _look(sink, solver)  # before anything is written: there must be a run
    if not repair:
        return look.outcome
    with claimed(sink.beside):
        look = _look(sink, solver)
        mended = _removed(sink, look.damage, look.whole)
        if mended is None:
            return look.outcome
        look = _look(sink, solver)
        mendable = look.damage and all(item.mendable for item in look.damage)
        if mendable and _is_over(sink, look.whole, solver):
            _written_again(sink, solver)
            look = _look(sink, solver)
            mended.append("metadata, times and labels were written again.")
    return replace(look.outcome, mended=tuple(mended))


def _is_over(sink: ZarrSink, whole: dict[str, Checkpoint], solver: Solver | None) -> bool:
    """Return whether a checkpoint is left of the whole run."""
    stopped = find(sink, Changes(solver=solver))
    return bool(whole) and stopped.ended


def _written_again(sink: ZarrSink, solver: Solver | None) -> None:
    """Write what follows from the run, and what the last checkpoint holds."""
    stopped = find(sink, Changes(solver=solver))
    prepared = stopped.build()
    sink.reopen(prepared.columns, prepared.header, stopped.cursors)
    sink.close()


class _Look(NamedTuple):
    """What one look at a stored run has shown.

    Attributes:
        outcome: What a user is told of it.
        damage: What in the store is not what was written.
        whole: The checkpoints that are whole, by name.
    """

    outcome: Check
    damage: list[Damage]
    whole: dict[str, Checkpoint]


def _look(sink: ZarrSink, solver: Solver | None) -> _Look:
    """Look at a stored run; nothing is written."""
    whole, wrong = _checkpoints(sink)
    if not whole:
        reason = "; ".join(wrong) or "there is none"
        raise StoreError(f"{sink.beside}: no checkpoint is whole ({reason}); run it again.")
    stopped = find(sink, Changes(solver=solver))
    prepared = stopped.build()
    damage = []
    ended = stopped.ended
    if stopped.checkpoint.step:
        damage = sink.damage(prepared.columns, prepared.header, stopped.cursors, ended=ended)
    advice = _advice(sink, stopped, damage, whole) if damage else ""
    if Logbook(sink.beside).is_finished() and not ended:
        wrong.append(f"the run was over, and its checkpoints after {stopped.time:g} ms are gone")
        advice = advice or f"sf.resume({str(sink.path)!r}) computes the rest again."
    outcome = Check(str(sink.path), (*wrong, *map(str, damage)), (), advice)
    return _Look(outcome, damage, whole)


def _checkpoints(sink: ZarrSink) -> tuple[dict[str, Checkpoint], list[str]]:
    whole, wrong = {}, []
    for name in checkpoint.names(sink.beside):
        try:
            whole[name] = checkpoint.read(sink.beside, name)
        except SomaflowError as error:
            wrong.append(str(error))
    return whole, wrong


def _before(damage: list[Damage], whole: dict[str, Checkpoint]) -> list[str]:
    """Return the names of the checkpoints that count on no damaged samples, the newest last."""
    lost = [item for item in damage if item.rows[1] and not item.mendable]
    return [
        name
        for name, snapshot in whole.items()
        if not snapshot.step
        or all(int(snapshot.arrays[f"sink/{item.array}/rows"]) <= item.rows[0] for item in lost)
    ]


def _advice(
    sink: ZarrSink, stopped: Stopped, damage: list[Damage], whole: dict[str, Checkpoint]
) -> str:
    if any(item.wrong.startswith(FOREIGN) for item in damage):
        return "Put the store and the folder beside it together that belong to one run."
    if any(item.chunk is None and not item.mendable for item in damage):
        return "What stands in the way there was not written by the run; move it, and check again."
    names, dt = _before(damage, whole), stopped.job.dt
    if not names:
        return "No checkpoint lies before the damage; what is not named is whole. Run it again."
    step = whole[names[-1]].step
    again = f"sf.resume({str(sink.path)!r})"
    if step == stopped.checkpoint.step:
        return f"{again} mends this."
    return (
        f"With repair=True (--repair) the checkpoints after {step * dt:g} ms are removed; "
        f"{again} then computes the rest again."
    )


def _removed(
    sink: ZarrSink, damage: list[Damage], whole: dict[str, Checkpoint]
) -> list[str] | None:
    """Remove checkpoints that are damaged, or lie behind damaged samples.

    Returns:
        What was done; None where the damage cannot be mended.
    """
    names = _before(damage, whole)
    if not names or any(item.chunk is None and not item.mendable for item in damage):
        return None
    sentences = []
    for name in checkpoint.names(sink.beside):
        if name not in whole or name > names[-1]:
            with writing(sink.beside):
                sink.beside.remove(name)
            sentences.append(f"{name} was removed.")
    return sentences
