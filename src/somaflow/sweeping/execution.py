"""Execution: a sweep that was checked, from its members to its result."""

import hashlib
import inspect
import math
import signal
import sys
from collections.abc import Callable, Generator, Iterator, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import CodeType
from typing import Any, cast

import numpy as np
import pint
import xarray as xr

from somaflow import settings
from somaflow.errors import Interrupted, RunError, StoreError, warn
from somaflow.notation import Json
from somaflow.numerics.device import has_gpu
from somaflow.numerics.memory import available_bytes, in_words
from somaflow.running.job import Job
from somaflow.running.preparing import Prepared, prepare
from somaflow.running.room import CPU, room_here
from somaflow.running.rows import rows_of
from somaflow.running.signals import stoppable
from somaflow.simulation.system import Array
from somaflow.storage.folder import failed
from somaflow.sweeping.again import COMMAND, MISSING
from somaflow.sweeping.members import SEED, Members
from somaflow.sweeping.parts import FAILURE, InMemory, Kept
from somaflow.sweeping.place import TOLD, Place, fingerprint, opened
from somaflow.sweeping.processes import Processes
from somaflow.sweeping.progress import Tell, told
from somaflow.sweeping.reductions import check_reduce
from somaflow.sweeping.result import Layout, in_memory, layout_of
from somaflow.sweeping.schedule import Event, check_pool, run
from somaflow.sweeping.task import Outcome, Settings, Task, job
from somaflow.sweeping.values import in_words as values_in_words

# Of what else a result is made of, its bits can depend on these.
_VERSIONS = ("somaflow", "tensorflow", "numpy")
_SHOWN = 5
_FIXED = (int, float, complex, str, bytes, tuple, pint.Quantity)


@dataclass(frozen=True)
class Request:
    """A sweep as it was asked for, checked as far as that needs no TensorFlow.

    Attributes:
        members: Its members.
        settings: What they share.
        batch: How many are rows of one program; None for what is best.
        pool: Where they are computed: an executor, a number of processes, or None.
        path: Where the result goes; None for memory.
        again: What is needed to go on with it without the script that began it.
        progress: True, False, or a function.
    """

    members: Members
    settings: Settings
    batch: int | None
    pool: Executor | int | None
    path: Path | None
    again: Mapping[str, Json]
    progress: bool | Callable[[Any], None]


def execute(request: Request) -> xr.Dataset:
    """Compute what is left of a sweep, and return its result.

    Raises:
        RunError, StoreError, Interrupted: As `sf.sweep`.
    """
    members = request.members
    if isinstance(request.pool, Executor):
        check_pool(request.pool)
    first = members.member(0)
    check_reduce(request.settings.reduce, first.record, first.network)
    members.check(request.settings)
    if request.path is None:
        kept = InMemory(_taken(members))
        sweep = _Sweep(request, kept)
        with sweep.telling() as tell:
            sweep.compute(tell)
        return _warned(in_memory(sweep.layout(), kept), members)
    place = Place(request.path)
    with place.claimed():
        ours = told_of(members, request.settings)
        place.check(ours)
        more = {"versions": _versions(), "request": request.again}
        if place.told is None:
            place.begin(ours, more)
        parts = place.parts(ours, _taken(members))
        sweep = _Sweep(request, parts, place, ours)
        if place.failed() == 0:
            place.tidy(whole=True)
            sweep.say(f"complete: all {len(members):,} members are finished; nothing to do")
            with sweep.telling(len(members)):  # a call before may have said less
                pass
        else:
            if parts.entries:
                sweep.check_versions()
                sweep.say(sweep.found())
            else:
                place.begin(ours, more)  # whichever versions an earlier call was of
            for text in parts.damaged:
                sweep.say(f"{text}; what was in it is computed again")
            with sweep.telling() as tell:
                sweep.compute(tell)
                place.finish(sweep.layout(), parts)
            sweep.say_end()
    return _warned(opened(request.path), members)


def rows_for(request: Request, first: Job, processes: int | None) -> int:
    """Return how many members are rows of one program, the same however often it is called.

    Args:
        request: The sweep.
        first: Its first member.
        processes: Where it is computed; None where that is not known.
    """
    count = len(request.members)
    if request.batch is not None:
        return min(request.batch, count)
    if processes is None:
        return rows_of(first, CPU)  # where memory had room for all, one task would have all
    return min(rows_of(first, room_here()), math.ceil(count / processes))


def computes_here(request: Request) -> bool:
    """Tell whether this process computes all members by itself.

    It does where it has a GPU, unless another pool is asked for. The rows of a program keep all of
    a GPU busy. TensorFlow takes a GPU's memory for the first process that computes, which is this
    one: it has built the first member, and maybe run others before. Nothing is left for a worker.
    """
    return request.pool is None and has_gpu()


class _Sweep:
    """One call of a sweep.

    Args:
        request: What was asked for.
        kept: The members that are finished.
        place: Where they are; None in memory.
        ours: What the sweep is.
    """

    def __init__(
        self,
        request: Request,
        kept: Kept,
        place: Place | None = None,
        ours: Mapping[str, str] | None = None,
    ) -> None:
        self.request, self.kept, self.place, self.ours = request, kept, place, ours
        self.members, self.settings = request.members, request.settings
        self.pending = [m for m in range(len(self.members)) if not self._is_finished(m)]
        self._first: Prepared | None = None

    def _is_finished(self, number: int) -> bool:
        entry = self.kept.entries.get(number)
        return entry is not None and not entry.failure

    def _is_known(self, number: int) -> bool:
        return number in self.kept.entries

    # --------------------------------------------------------------------- what is there

    def say(self, text: str) -> None:
        """Tell the user, unless asked not to, and the log."""
        if self.place is not None:
            self.place.line(text)
            text = f"{self.place.path}: {text}"
        if self.request.progress is True:
            print(text, file=sys.stderr, flush=True)

    def _counted(self) -> tuple[int, int]:
        """Return how many members are finished, and how many have failed."""
        bad = sum(bool(entry.failure) for entry in self.kept.entries.values())
        return len(self.kept.entries) - bad, bad

    def found(self) -> str:
        """Return in words what earlier calls have left."""
        good, bad = self._counted()
        text = f"{good:,} of {len(self.members):,} members are finished"
        return f"{text}; {bad:,} failed and are run again" if bad else text

    def say_end(self) -> None:
        """Tell the log how it ended."""
        assert self.place is not None
        good, bad = self._counted()
        self.place.line(f"{good:,} of {len(self.members):,} members are finished, {bad:,} failed")

    def check_versions(self) -> None:
        """Refuse to mix members of different versions.

        Raises:
            StoreError: So it would be.
        """
        assert self.place is not None
        there: Mapping[str, Any] = (self.place.told or {}).get("versions", {})
        words = [
            f"{name} {there.get(name)} there and {version} here"
            for name, version in _versions().items()
            if there.get(name) != version
        ]
        if words:
            raise StoreError(
                f"{self.place.path} was begun with other versions ({'; '.join(words)}), which may "
                "give other last digits. Go on with those, or choose another path."
            )

    # --------------------------------------------------------------------------- compute

    @property
    def first(self) -> Prepared:
        """The first member, built."""
        if self._first is None:
            self._first = prepare(job(self.members.member(0), self.settings))
        return self._first

    def telling(self, begun: int | None = None) -> AbstractContextManager[Tell]:
        """Return what shows and tells how far it is while a block computes.

        Args:
            begun: How many members are finished; None for those that are kept one by one.
        """
        again = self.request.again
        return told(
            self.request.progress,
            len(self.members),
            self._counted()[0] if begun is None else begun,
            None if self.place is None else self.place.note,
            MISSING not in again or COMMAND in again,
        )

    def compute(self, tell: Tell) -> None:
        """Compute all that is not finished, and keep it as it ends.

        Args:
            tell: Is told how far it is.

        Raises:
            RunError: Memory is too small, or the pool is shut.
            StoreError: The disk is too small, or full.
            Interrupted: Ctrl-C.
        """
        if not self.pending:
            return
        self._check_room()
        reduce = self.settings.reduce
        asked: list[int] = []
        with stoppable(asked.append), self._executor() as executor:
            found = run(self._tasks(executor), executor, stop=lambda: bool(asked))
            events = cast("Generator[Event]", found)
            with closing(events):  # before the pool: else that would finish what is running
                for event in events:
                    if event.outcomes:
                        self._keep([outcome.reduced(reduce) for outcome in event.outcomes])
                    if event.lost and self.place is not None:
                        self.place.line(f"computed again: {event.lost}")
                    tell(event.done, event.failed, event.running)
        if asked and not all(map(self._is_known, self.pending)):
            raise self._interrupted(asked[0])

    def _keep(self, outcomes: list[Outcome]) -> None:
        try:
            self.kept.add(outcomes)
        except OSError as error:
            if self.place is None or isinstance(error, StoreError):
                raise
            good, _ = self._counted()
            why = str(failed(self.place.folder, error)).partition(" What was")[0]
            text = (
                f"{why} {good:,} of {len(self.members):,} members are finished and kept; once "
                "it can be written again, sf.sweep called as before goes on with the others."
            )
            self.place.line(text)
            raise StoreError(text) from error

    def _interrupted(self, number: int) -> Interrupted:
        good, _ = self._counted()
        name, count = signal.Signals(number).name, len(self.members)
        text = f"stopped by {name} with {good:,} of {count:,} members finished"
        if self.place is None:
            text += "; what is in memory is lost (sink='sweep.zarr' would have kept it)."
            return Interrupted(text, None, 0.0, number)
        self.place.line(text)
        text += "; sf.sweep called as before goes on with the others."
        return Interrupted(text, str(self.place.path), 0.0, number)

    def _executor(self) -> AbstractContextManager[Executor]:
        """Return where members are computed; a pool of the user's own is left open."""
        pool = self.request.pool
        if isinstance(pool, Executor):
            return nullcontext(pool)
        return ThreadPoolExecutor(1) if computes_here(self.request) else Processes(pool)

    def _tasks(self, executor: Executor) -> Iterator[Task]:
        """Iterate over what is to be computed: a task for each process, where members are few."""
        processes = _processes(executor)
        rows, left = rows_for(self.request, self.first.job, processes), len(self.pending)
        size = rows if processes is None else min(rows, math.ceil(left / processes))
        shared = self.settings.sent()
        for k in range(0, left, size):
            numbers = tuple(self.pending[k : k + size])
            yield Task(numbers, self.members.several(numbers), shared, rows)

    # ------------------------------------------------------------------------------ room

    def _check_room(self) -> None:
        """Refuse what cannot fit, before anything is computed; how many spikes is not known.

        Raises:
            RunError: Memory is too small.
            StoreError: The disk is too small.
        """
        if self.settings.reduce is not None:
            return
        each = sum(column.bytes + 8 * column.rows for column in self.first.columns)
        count, left = len(self.members), len(self.pending)
        advice = "Record less often or fewer cells, or give reduce= what you need of each member."
        if self.place is None:
            needed, free = count * each * 2, available_bytes()
            if free is not None and needed > free:
                raise RunError(
                    f"the recordings of {count:,} members need {in_words(needed)} of memory, of "
                    f"which {in_words(free)} are free. Give sink='sweep.zarr', which reads what is "
                    f"asked for. Or: {advice}"
                )
            return
        needed, free = (left + count) * each, self.place.free()
        if needed > free:
            raise StoreError(
                f"{self.place.path} needs {in_words(needed)} of disk before compression, "
                f"{in_words(count * each)} of it for the result and {in_words(left * each)} for "
                f"members that are still to finish, but {in_words(free)} are free there. {advice}"
            )

    # ---------------------------------------------------------------------------- result

    def layout(self) -> Layout:
        """Return the arrays of the result."""
        columns = self.first.columns if self.settings.reduce is None else ()
        cells = {
            column.key: np.array(column.cells or (), np.int64)
            for column in columns
            if column.shape is None
        }
        attributes = {name: value for name, value in self.first.meta.items() if name != "seed"}
        if self.ours is not None:
            attributes[TOLD] = fingerprint(self.ours)
        space = self.members.space
        return layout_of(space, self.kept, attributes, cells, _seeds(self.members))


def _processes(executor: Executor) -> int | None:
    """Return how many things an executor computes at a time; None where it does not tell."""
    count = getattr(executor, "_max_workers", None)
    return count if isinstance(count, int) and count > 0 else None


def _taken(members: Members) -> set[str]:
    """Return the names that belong to the sweep itself."""
    space = members.space
    return {FAILURE, *space.dims, *(label.name for label in space.coordinates)}


def _seeds(members: Members) -> tuple[str, Array] | None:
    """Return the name and the values of the seeds, where trials have their own."""
    if members.space.trials is None:
        return None
    return ("run_seed" if SEED in _taken(members) else SEED), members.seeds


def told_of(members: Members, common: Settings) -> dict[str, str]:
    """Return all that the results depend on, in parts that can be told."""
    told = members.fingerprint(common)
    text = _text_of(common.reduce) if callable(common.reduce) else ""
    return told | {"text of reduce": hashlib.sha256(text.encode()).hexdigest()}


def _text_of(function: Any) -> str:
    """Return what a function computes, and the values that it holds; not what it calls."""
    if isinstance(function, partial):
        return _text_of(function.func) + values_in_words(
            [*function.args, *function.keywords.items()]
        )
    if not inspect.isfunction(function):
        return ""
    values = {**inspect.getclosurevars(function).nonlocals, **(function.__kwdefaults__ or {})}
    values |= {str(k): value for k, value in enumerate(function.__defaults__ or ())}
    # What can change, such as a list, may be what it counts in: another at each call.
    fixed = [(name, v) for name, v in sorted(values.items()) if isinstance(v, _FIXED)]
    return _code_of(function.__code__) + values_in_words(fixed)


def _code_of(part: object) -> str:
    """Return what Python made of a text, which tells two functions on one line apart."""
    if isinstance(part, CodeType):
        return f"{part.co_code.hex()} {part.co_names} {list(map(_code_of, part.co_consts))}"
    # In another process the members of a set may have another order.
    return str(sorted(map(repr, part))) if isinstance(part, frozenset) else repr(part)


def _versions() -> dict[str, str]:
    versions = settings.versions()
    return {name: versions[name] for name in _VERSIONS}


def _warned(result: xr.Dataset, members: Members) -> xr.Dataset:
    """Warn of members that failed."""
    reasons = result[FAILURE].values.reshape(-1)
    bad = np.flatnonzero(reasons != "")
    if len(bad):
        lines = [
            f"\n  {members.space.label(int(m))}: {str(reasons[m]).partition(chr(10))[0]}"
            for m in bad[:_SHOWN]
        ]
        more = f"\n  and {len(bad) - _SHOWN:,} more" if len(bad) > _SHOWN else ""
        warn(
            f"{len(bad):,} of {len(members):,} members failed; result['{FAILURE}'] says why:"
            f"{''.join(lines)}{more}"
        )
    return result
