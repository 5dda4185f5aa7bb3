"""Side by side: several runs of uncoupled cells, computed as the cells of one run."""

from collections.abc import Hashable, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np

from somaflow.compiler.final import FinalState
from somaflow.compiler.layout import padded
from somaflow.errors import SomaflowError
from somaflow.network.recorder import Recorder
from somaflow.running.account import counted, meta_of
from somaflow.running.execution import execute
from somaflow.running.job import Job
from somaflow.running.preparing import Prepared, prepare
from somaflow.running.uncoupled import Laid, lay, wide
from somaflow.running.writers import over_cells
from somaflow.simulation.replay import finite
from somaflow.simulation.system import Array, Carry
from somaflow.storage.sinks import Column, MemorySink
from somaflow.storage.solution import Solution

_BLOCK = 256  # samples that are turned at once, so that what is read stays in the cache

Result = Solution | SomaflowError


def side_by_side(jobs: Sequence[Job], rows: int) -> dict[int, Result]:
    """Run the cells of several runs side by side, of those where no cell meets another.

    Args:
        jobs: The runs; they share duration, step, method and dtype.
        rows: How many are laid side by side. Where there are fewer, copies of the last one fill the
            rest, so that nothing is compiled anew.

    Returns:
        Of each that can lie beside others, by its place, what it has recorded, in memory; or why it
        has none. One whose state becomes infinite or not a number takes no other with it; it is
        run alone to find out why.
    """
    results: dict[int, Result] = {}
    kinds: dict[Hashable, list[tuple[int, Laid]]] = {}
    for place, job in enumerate(jobs):
        try:
            laid = lay(job)
        except SomaflowError as error:
            results[place] = error
            continue
        if laid is not None:
            kinds.setdefault(laid.kind, []).append((place, laid))
    for alike in kinds.values():
        for begin in range(0, len(alike), rows):
            places, members = zip(*alike[begin : begin + rows], strict=True)
            results |= zip(places, _together(members, rows), strict=True)
    return results


def _together(members: Sequence[Laid], rows: int) -> list[Result]:
    """Run members of one kind, not more than `rows`."""
    first, count = members[0].job, rows
    try:
        alone = prepare(first)
        prepared = prepare(wide([*members, *[members[-1]] * (count - len(members))]))
    except SomaflowError:  # each is to say for itself what is wrong with it
        return [by_itself(member.job) for member in members]
    watch = _Watch(count, [p.size for p in first.network.populations if p.equations.states])
    whole = execute(prepared, MemorySink(), False, watch=watch)
    split = _Split(alone, prepared, whole, count, len(members))
    return [
        by_itself(member.job) if lost else split.solution(member.job, m)
        for m, (member, lost) in enumerate(zip(members, watch.lost, strict=False))
    ]


def by_itself(run: Job | Prepared) -> Result:
    """Return what a run leaves in memory that is computed alone, or why it failed."""
    try:
        prepared = prepare(run) if isinstance(run, Job) else run
        return execute(prepared, MemorySink(), False)
    except SomaflowError as error:
        return error


class _Watch:
    """Notes the members whose state is not finite, and lets the others go on.

    Args:
        count: How many members there are.
        sizes: The number of cells of each block of the flow state, in a member.

    Attributes:
        lost: Of each member whether its state was not finite.
    """

    def __init__(self, count: int, sizes: Sequence[int]) -> None:
        self.lost: Array = np.zeros(count, np.bool_)
        self._sizes = sizes

    def __call__(self, carry: Carry) -> bool:
        if not finite(carry):
            count = len(self.lost)
            for block, size in zip(carry.flow, self._sizes, strict=True):
                cells = np.nonzero(~np.isfinite(np.asarray(block)))[-1]
                self.lost[cells[cells < count * size] // size] = True
        return True


class _Spikes(NamedTuple):
    """Spikes of all members, in the order of members, of each in order of time.

    Attributes:
        times: Of each.
        cells: The cell of each, within its member.
        values: What is kept with each, by name.
        borders: Where those of each member begin, and the end.
    """

    times: Array
    cells: Array
    values: dict[str, Array]
    borders: Array


class _Split:
    """Takes what each member has recorded out of what all have.

    Args:
        alone: The first member, as it is prepared to run alone.
        prepared: The run of all.
        whole: What that left.
        count: How many members there are.
        wanted: How many of them are asked for, the first ones.
    """

    def __init__(
        self, alone: Prepared, prepared: Prepared, whole: Solution, count: int, wanted: int
    ) -> None:
        self.alone, self.whole, self.count, self.wanted = alone, whole, count, wanted
        self.sizes = {p.name: p.size for p in alone.job.network.populations}
        triples = zip(alone.job.recorders, alone.columns, prepared.columns, strict=True)
        self.samples: dict[str, Array] = {}
        self.spikes: dict[str, _Spikes] = {}
        for recorder, column, source in triples:
            if column.shape is None:
                self.spikes[column.key] = self._spikes(source, self.sizes[recorder.owner])
            else:
                self.samples[column.key] = self._samples(recorder, column, source)

    def _samples(self, recorder: Recorder, column: Column, source: Column) -> Array:
        """Return the samples of a recording of each member, `[n_members, n_samples, ...]`."""
        values = self.whole[source.key].values
        width = values.shape[1] // self.count
        parts = values[:, : self.wanted * width].reshape(len(values), self.wanted, width)
        turned = np.empty((self.wanted, len(values), width), values.dtype)
        for begin in range(0, len(values), _BLOCK):
            block = slice(begin, begin + _BLOCK)
            turned[:, block] = np.moveaxis(parts[block], 0, 1)
        if recorder.of_spikes:
            return over_cells(turned, recorder, column)
        return turned if recorder.reduction is None else turned[..., 0]

    def _spikes(self, source: Column, size: int) -> _Spikes:
        trains = self.whole[source.key]
        members = trains.cells // size
        order = np.argsort(members, kind="stable")
        borders = np.searchsorted(members[order], np.arange(self.count + 1))
        values = {name: numbers[order] for name, (numbers, _) in trains.kept.items()}
        return _Spikes(trains.times[order], trains.cells[order] % size, values, borders)

    def solution(self, job: Job, m: int) -> Solution:
        """Return what a member has recorded, as if it had run alone."""
        columns = self.alone.columns
        samples = [self.samples[c.key][m] for c in columns if c.shape is not None]
        sink = MemorySink.holding(columns, samples)
        counts: dict[str, int] = {}
        for column in columns:
            if column.shape is None:
                spikes = self.spikes[column.key]
                mine = slice(spikes.borders[m], spikes.borders[m + 1])
                values = {name: numbers[mine] for name, numbers in spikes.values.items()}
                given = column.key, spikes.times[mine], spikes.cells[mine]
                sink.spikes(*given, *([values] if values else []))
                counts[column.key] = len(given[1])
        statistics = self.alone.statistics | {
            "compile_seconds": self.whole.statistics["compile_seconds"] / self.wanted,
            "run_seconds": self.whole.statistics["run_seconds"] / self.wanted,
            "compiled": self.whole.statistics["compiled"],
            "spikes": counted(counts),
        }
        meta = partial(meta_of, job, self.alone.meta["sums"])  # a sweep asks for none
        final = self._final(job, m)
        return Solution(columns, sink, self.whole.duration, meta, statistics, final=final)

    def _final(self, job: Job, m: int) -> FinalState:
        """Return the state at a member's end."""
        whole: FinalState = self.whole.final

        def mine(values: Array, size: int) -> Array:
            return values[..., m * size : (m + 1) * size]

        sizes = {name: size // self.count for name, size in whole.sizes.items()}
        states = {
            name: {state: mine(values, sizes[name]) for state, values in known.items()}
            for name, known in whole.states.items()
        }
        events = {}
        for key, values in whole.events.items():
            own = mine(values, sizes[key.partition(" ")[2]])  # such as "refractory PN"
            events[key] = np.pad(own, [(0, padded(len(own)) - len(own))])
        return FinalState(whole.steps, whole.dt, states, events, sizes, {}, job.network)
