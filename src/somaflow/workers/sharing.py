"""Sharing: a worker's part of a run, from the cells that it has to what the first worker stores."""

import pickle
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from somaflow.compiler.build import Compiled, compile_network
from somaflow.compiler.final import FinalState
from somaflow.compiler.first import first_values
from somaflow.compiler.reading import signature
from somaflow.compiler.recordings import View
from somaflow.compiler.share import Share, drawn, most_and_all, own_groupings
from somaflow.errors import RunError, SomaflowError
from somaflow.network import groups
from somaflow.network.alongside import kept_with
from somaflow.network.choice import Choice, Degrees
from somaflow.network.forms import take_apart
from somaflow.network.groups import Grouping
from somaflow.network.shares import Bounds, local
from somaflow.network.ties import (
    currents_of,
    goes_by_spikes,
)
from somaflow.numerics.device import begin_computing, choose_gpu, choose_threads, device_of
from somaflow.running.execution import Run
from somaflow.running.job import Job
from somaflow.running.preparing import Prepared, prepared_of
from somaflow.running.progress import Progress
from somaflow.simulation import chunks
from somaflow.simulation.chunks import Chunk
from somaflow.simulation.interval import Interval
from somaflow.simulation.loop import Schedule
from somaflow.simulation.system import Array, Carry
from somaflow.workers.carrying import local_rank
from somaflow.workers.checks import check_places, check_same, check_synapses
from somaflow.workers.dividing import STEPS, interval_of, shortest_drawn
from somaflow.workers.exchange import Message, Part
from somaflow.workers.hearing import Gathered, Hearing, Layout, Mine, begun
from somaflow.workers.recording import Own, nothing, own_recorders, whole_views
from somaflow.workers.stages import staged_of, stages_of
from somaflow.workers.states import merged, taken

_GOES_ON, _FULL, _STOPS, _FAILED = b"0", b"1", b"2", b"3"
_SHOWN = 0.05  # s from one look at how far it is to the next


def groupings_of(job: Job) -> list[Grouping]:
    """Return the groups of a run's projections."""
    known = job.initial.group_of if isinstance(job.initial, FinalState) else None
    return groups.group(job.network.projections, known)


def prepared(job: Job, k: int, bounds: Sequence[Bounds]) -> Part[Mine]:
    """Compile a share.

    Args:
        job: The run of the whole.
        k: Which worker has it.
        bounds: The cells of each.
    """
    network, own = job.network, bounds[k]
    every = groupings_of(job)
    groupings = own_groupings(every, own)
    synapses = {g.key: drawn(g.projections, own) for g in groupings}
    counts = {
        str(p.name): sum(map(len, parts))
        for g in groupings
        for p, parts in zip(g.projections, synapses[g.key], strict=True)
    }
    found = {key: most_and_all(made) for key, made in synapses.items()}
    least = min(
        (shortest_drawn(g.projections, synapses[g.key], job.dt) for g in groupings), default=STEPS
    )
    told = found, counts, least
    heard = [pickle.loads(data) for data in (yield Message(pickle.dumps(told)))]
    degrees = {
        g.key: Degrees(
            sum(p.post.population.size for p in g.projections),
            max(told[0].get(g.key, (0, 0))[0] for told in heard),
            sum(told[0].get(g.key, (0, 0))[1] for told in heard),
        )
        for g in every
    }
    offsets = {
        str(p.name): sum(told[1].get(str(p.name), 0) for told in heard[:k])
        for p in network.projections
    }
    counts = {str(p.name): counts.get(str(p.name), 0) for p in network.projections}
    staged = staged_of(job, bounds)
    whole = frozenset(str(p.name) for p in network.projections if not goes_by_spikes(p, job.dt))
    whole -= staged
    for recorder in job.recorders:
        check_places(recorder, network, whole, heard)
    records = own_recorders(network, job.recorders, bounds, k, whole, offsets, counts)
    span = interval_of(job, staged, min(least for *_, least in heard))
    if not span:
        raise RunError(
            "several workers cannot compute this run: a delay that was drawn is half a step of "
            f"{job.dt:g} ms or less, and acts at once; give the delays a bound that is higher."
        )
    initial: Mapping[str, Mapping[str, object]] | FinalState
    final = job.initial
    if isinstance(final, FinalState):
        check_same(final, network)
        ends = {name: (offsets[name], offsets[name] + counts[name]) for name in counts}
        alone, initial = local(network, own, {}), taken(final, network, k, bounds, ends)
    else:
        alone = local(network, own, _first(job))
        initial = alone.initial
    told = {g.key for g in every if any(str(p.name) in staged for p in g.projections)}
    looks = any(currents_of(network, recorder) is not None for recorder in job.recorders)
    share = Share(network, every, own, span, synapses, degrees, frozenset(told), looks)
    compiled = compile_network(
        alone.network,
        job.dt,
        (job.begin + job.n_steps) * job.dt,
        tf.as_dtype(job.dtype).as_numpy_dtype,
        initial,
        tuple(record.recorder for record in records),
        job.seed,
        job.begin,
        job.solver,
        share=share,
    )
    most = max((len(kept_with(job.recorders, n)) for n in Layout.of(network).sources), default=0)
    return Mine(job, k, bounds, compiled, records, span, most, bool(told))


def _first(job: Job) -> dict[str, dict[str, Array]]:
    """Return the states with which the cells of the whole begin."""
    network, given = job.network, job.initial
    assert not isinstance(given, FinalState)
    return {
        p.name: {
            name: np.asarray(value)
            for name, value in first_values(p, given.get(p.name, {}), network.seed).items()
        }
        for p in network.populations
        if p.source is None
    }


def share(
    job: Job, k: int, bounds: Sequence[Bounds], kept: Mapping[str, Array] | None = None
) -> "Part[Ready]":
    """Make a worker's share ready to run.

    Args:
        job: The run of the whole; what it goes on from is the whole's too.
        k: Which worker it is.
        bounds: The cells of each.
        kept: What recordings over time keep of the whole, where it goes on within a run.
    """
    begin_computing()
    choose_threads(0)
    choose_gpu(local_rank())
    mine = yield from prepared(job, k, bounds)
    reason = ""
    if mine.compiled.batch:
        reason = "its parameters or initial values have batch axes; sf.sweep uses all cores"
    elif mine.compiled.system.initial.memory:
        reason = f"{job.solver.name} remembers steps that were made before, of all cells at once"
    if reason:
        raise RunError(f"several workers cannot compute this run: {reason}.")
    looks = {r.recorder.key: (r.places, _told(mine.compiled, r)) for r in mine.records}
    heard = yield Message(pickle.dumps((mine.compiled.choices, looks)), to_all=False)
    told = [pickle.loads(data) for data in heard]
    views = whole_views(job.network, job.recorders, [seen for _, seen in told]) if told else {}
    gathered = Gathered(mine, [seen for _, seen in told], views)
    if kept is not None:
        system = mine.compiled.system
        own = {
            record.recorder.key: _own_of(kept[record.recorder.key], record.places)
            for record in mine.records
            if record.recorder.key in kept
        }
        initial = system.initial._replace(kept=own)
        mine.compiled = replace(mine.compiled, system=replace(system, initial=initial))
    start = yield from _state(mine, begun(mine), job.begin, gathered)
    if k:
        return Ready(mine, gathered, None)
    if isinstance(job.initial, FinalState):
        check_synapses(job.initial, merged(job.network, start.parts, bounds, groupings_of(job)))
    choices = {key: choice for known, _ in told for key, choice in known.items()}
    return Ready(mine, gathered, _whole(mine, choices, views, start))


def _own_of(values: Array, places: Array | None) -> Array:
    return values if places is None else values[..., places]


class Ready(NamedTuple):
    """A share that is ready to run.

    Attributes:
        mine: The share.
        gathered: What it records.
        whole: What results of the whole are stored of; None of another worker than the first.
    """

    mine: Mine
    gathered: Gathered
    whole: Prepared | None


class States(NamedTuple):
    """The states of all shares.

    Attributes:
        parts: They.
        kept: What recordings over time keep, of the whole.
    """

    parts: list[FinalState]
    kept: dict[str, Array]


def _state(mine: Mine, carry: Carry, steps: int, gathered: Gathered) -> Part[States]:
    """Return the states of all shares at a time; none of them where this is not the first."""
    own = replace(mine.compiled.final(carry, steps), network=None)
    kept = {key: np.asarray(values) for key, values in carry.kept.items()}
    heard = yield Message(pickle.dumps((own, kept)), to_all=False)
    told = [pickle.loads(data) for data in heard]
    whole: dict[str, Array] = {}
    for k, (_, values) in enumerate(told):
        for key, array in values.items():
            gathered.put(whole, k, key, array)
    return States([state for state, _ in told], whole)


def _told(compiled: Compiled, record: Own) -> View | None:
    """Return what a recorder looks at, without the function that reads it."""
    view = compiled.views.get(record.recorder.key)
    if view is None:
        return None
    return View(nothing, view.width, view.places, view.axis, view.labels, view.unit)


def _whole(
    mine: Mine, choices: dict[str, Choice], views: dict[str, View], start: States
) -> Prepared:
    """Return what the first worker stores results of.

    Args:
        mine: Its own share.
        choices: How the sums of each group are computed.
        views: What is recorded of the whole.
        start: The states with which shares begin.
    """
    job, compiled, bounds = mine.job, mine.compiled, mine.bounds
    every = groupings_of(job)
    order = [g.key for g in every] + [key for key in choices if key not in {g.key for g in every}]
    choices = {key: choices[key] for key in order}
    layout = Layout.of(job.network)
    system = replace(
        compiled.system,
        initial=start,
        sources=tuple(layout.sources.values()),
        crossings=(layout.width,),
    )

    def final(states: Any, steps: int) -> FinalState:
        return replace(merged(job.network, states.parts, bounds, every), steps=steps)

    counts = [(choices[g.key].synapses, g) for g in every]
    sizes = {p.name: p.size for p in job.network.populations}
    states = sum(p.size * len(p.equations.states) for p in job.network.populations)
    for synapses, grouping in counts:
        n_post = sum(p.post.population.size for p in grouping.projections)
        n_pre = sizes[grouping.projections[0].pre.population.name]
        states += grouping.form.count(n_pre, n_post, synapses)
    for given in job.network.inputs:
        states += take_apart(given).count(given.post.population.size, given.post.population.size, 0)
    synapses = sum(number for number, _ in counts)
    compiled = replace(
        compiled,
        system=system,
        views=views,
        choices=choices,
        final=final,
        n_states=states,
        n_synapses=synapses,
    )
    return prepared_of(job, compiled, Schedule(job.stride, 1, mine.span))


def _schedule(mine: Mine) -> Schedule:
    stride, span = mine.job.stride, mine.span
    return Schedule(stride, -(-span // stride) + 1, span)


def _interval(mine: Mine) -> Interval:
    """Return the compiled loop of a share."""
    job, dtype = mine.job, tf.as_dtype(mine.job.dtype)
    key = "share", mine.compiled.structure, signature(job.solver)
    parts = mine.compiled.system, job.solver, job.dt, _schedule(mine), dtype, key
    return Interval(*parts, device_of(local_rank()), job.begin + job.n_steps)


def computed(
    ready: Ready, run: Run | None, show: Callable[[Progress], None], done: int = 0
) -> Part[Any]:
    """Compute a share to the end of the run.

    Args:
        ready: The share.
        run: What stores the whole; None of a worker that is not the first.
        show: Shows how far it is.
        done: Steps of the run that are made already.

    Returns:
        The states of all shares at the end; of another worker than the first none of them.
    """
    mine, gathered, _ = ready
    job = mine.job
    failed: list[SomaflowError] = []
    begin = time.perf_counter()
    advance = _interval(mine)
    hears = Hearing(mine, advance, job.begin + done)
    carry = advance.begun()
    stages = yield from stages_of(mine, advance, carry)
    advance(carry, 0, 0, 0, False)
    started = told = time.perf_counter()
    border = None if job.every is None else -(-job.every // job.stride) * job.stride
    parts = mine.compiled.system, advance, _schedule(mine), carry
    steps = chunks.run(*parts, job.n_steps, job.dt, job.begin, done, border)
    yield from stages.told(carry, done)
    chunk = _next(steps, failed)
    while chunk is not None or failed:
        said = hears.said(chunk) if chunk is not None else pickle.dumps(failed[0])
        stops = run is not None and run.stop is not None
        flag = _FULL if gathered.is_full() else _GOES_ON
        flag = _FAILED if chunk is None else _STOPS if stops else flag
        heard = yield Message(flag + said)
        for data in heard:
            if data[:1] == _FAILED:
                if gathered.steps:  # all that was computed before is kept
                    yield from _stored(gathered, run)
                raise pickle.loads(data[1:])
        assert chunk is not None
        hears.hear(chunk, heard)
        gathered.take((yield from stages.seen(chunk)), hears.spikes)
        done = chunk.step + chunk.steps
        stopped = any(data[:1] == _STOPS for data in heard)
        full = any(data[:1] == _FULL for data in heard)
        at_border = border is not None and done % border == 0
        over = done == job.n_steps
        if over or stopped or at_border or full:
            yield from _stored(gathered, run)
        state = None
        if over or stopped or at_border:
            settled = hears.settled(chunk.carry)
            state = yield from _state(mine, settled, job.begin + done, gathered)
        if run is not None:
            run.compiled = advance.fresh
            run.seconds["compile_seconds"] = started - begin
            now = time.perf_counter()
            # To look at the memory in each of many short chunks would take as long as to say them.
            if state is not None or now - told > _SHOWN:
                told = now
                run.keep(state, now - started, show)
        if over or stopped:
            return state
        yield from stages.told(chunk.carry, done)
        chunk = _next(steps, failed)
    return None if run is None else run.initial  # of a run that is over


def _stored(gathered: Gathered, run: Run | None) -> Part[None]:
    """Have the first worker store what all have recorded."""
    told = yield Message(pickle.dumps(gathered.given()), to_all=False)
    if run is not None:
        run.take(gathered.merged(told))
    gathered.forget()


def _next(steps: Generator[Chunk, Carry | None], failed: list[SomaflowError]) -> Chunk | None:
    """Return the next chunk; None where it failed, and why is put into a list, or there is none."""
    try:
        return next(steps)
    except StopIteration:
        return None
    except SomaflowError as error:
        failed.append(error)
        return None
