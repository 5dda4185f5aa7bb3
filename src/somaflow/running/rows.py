"""Rows: several runs of one structure in one compiled program."""

import time
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from hashlib import blake2b
from itertools import count

import numpy as np
import tensorflow as tf

from somaflow.compiler import rows as abreast
from somaflow.compiler.reading import signature
from somaflow.errors import SomaflowError
from somaflow.running.execution import Run
from somaflow.running.job import Job
from somaflow.running.preparing import Prepared, compile_job, prepare, schedule_of
from somaflow.running.room import CPU, Room, room_here
from somaflow.running.side_by_side import Result, by_itself, side_by_side
from somaflow.running.uncoupled import members_of
from somaflow.simulation import chunks
from somaflow.simulation.chunks import Chunk
from somaflow.simulation.crossings import Crossings
from somaflow.simulation.loop import build
from somaflow.simulation.replay import finite
from somaflow.simulation.system import Carry
from somaflow.solvers.stages import nodes_of
from somaflow.storage.sinks import MemorySink

_STEPS = 10_000  # of which what is given is looked at at once
# Two rows and more have the same bits. One by itself is compiled as a run alone is, which may take
# another of two products into its sum (docs/design/sweeps.md).
_LEAST = 2
_COPIES = 8  # of the state, with what a method makes of it


def rows_of(job: Job, room: Room = CPU) -> int:
    """Return how many runs like this one are best computed in one program.

    Args:
        job: One of them.
        room: How much the program may hold.
    """
    return members_of(job, room) or _rows_of(prepare(job), room)


def _rows_of(run: Prepared, room: Room) -> int:
    compiled = run.compiled
    weights = abreast.weight_bytes(compiled.system)
    if compiled.alone or weights > room.weights:
        return 1
    flow = sum(block.nbytes for block in compiled.system.initial.flow)
    fit = min(room.state // max(_COPIES * flow + weights, 1), room.rows)
    if fit < _LEAST:
        return 1
    # Whether runs are rows depends on no recording, nor on how much memory is free: their bits may.
    recorded = sum(column.bytes for column in run.columns)
    fit = max(min(fit, room.recorded // max(recorded, 1)), _LEAST)
    return 1 << (fit.bit_length() - 1)


def run_together(jobs: Sequence[Job], rows: int) -> list[Result]:
    """Run several jobs, those that can be as rows of one program.

    A run has the same bits whichever others are beside it, and however many.

    Args:
        jobs: The runs; they share duration, step, method and dtype.
        rows: How many are computed in one program; where there are fewer, it is filled up, so that
            nothing is compiled anew. Where the runs are of several kinds, each kind has as many
            rows as a power of 2 that holds its runs: filled up, it would be computed in vain.

    Returns:
        Of each its recordings, in memory; or why it has none, where it failed.
    """
    room = room_here()
    results = side_by_side(jobs, rows)
    alike: dict[object, list[tuple[int, Prepared]]] = {}
    for place, job in enumerate(jobs):
        if place in results:
            continue
        try:
            prepared = prepare(job)
        except SomaflowError as error:
            results[place] = error
            continue
        if _rows_of(prepared, room) == 1:
            results[place] = by_itself(prepared)
        else:
            alike.setdefault(_kind(prepared), []).append((place, prepared))
    for members in alike.values():
        few = 1 << (len(members) - 1).bit_length()
        count = max(min(rows, few) if len(alike) > 1 else rows, _LEAST)
        for first in range(0, len(members), count):
            places, chosen = zip(*members[first : first + count], strict=True)
            results.update(zip(places, _abreast(chosen, count), strict=True))
    return [results[place] for place in range(len(jobs))]


def _kind(prepared: Prepared) -> tuple[object, ...]:
    """Return what runs have in common that are computed side by side.

    That is all that is no row of an array: their structure, what they share, and what is known of
    each step beforehand, such as the course of a stimulus.
    """
    job, system = prepared.job, prepared.compiled.system
    digest = blake2b(digest_size=16)
    for step in range(job.begin, job.begin + job.n_steps + 1, _STEPS):
        steps = np.arange(step, min(step + _STEPS, job.begin + job.n_steps + 1), dtype=np.int64)
        for table in system.inputs(steps, nodes_of(job.solver), job.dt):
            digest.update(np.ascontiguousarray(table).tobytes())
    run = job.n_steps, job.begin, job.dt, job.dtype, signature(job.solver)
    alike = prepared.compiled.structure, abreast.likeness(system)
    return *run, *alike, digest.hexdigest()


def _abreast(runs: Sequence[Prepared], rows: int) -> list[Result]:
    """Run jobs of one kind as rows of one program, the last one in all rows that are left."""
    first, job, begin = runs[0], runs[0].job, time.perf_counter()
    every = [run.compiled.system for run in runs]
    every += [every[-1]] * (rows - len(every))
    system = abreast.stacked(compile_job(job, rows=rows).system, every)
    schedule = schedule_of(job, system, first.columns, rows)
    key = "rows", rows, first.compiled.structure, signature(job.solver)
    advance = build(system, job.solver, job.dt, schedule, tf.as_dtype(job.dtype), key)
    carry = Carry(*tf.nest.map_structure(tf.constant, tuple(system.initial)))
    advance(carry, 0, 0, 0, False)
    started = time.perf_counter()
    members = [Run(run, MemorySink(), None) for run in runs]
    for member in members:
        member.open()
    broken: set[int] = set()
    for chunk in chunks.run(
        system, advance, schedule, carry, job.n_steps, job.dt, job.begin, watch=lambda _: True
    ):
        carry = chunk.carry
        if not finite(carry):
            states = (_own(carry, first, place) for place in range(len(runs)))
            broken |= {place for place, state in enumerate(states) if not finite(state)}
        for place, part in zip(range(len(runs)), _parts(chunk), strict=False):
            if place not in broken:
                members[place].take(part)
        if len(broken) == len(runs):
            break
    seconds = started - begin, time.perf_counter() - started
    results: list[Result] = []
    for place, (run, member) in enumerate(zip(runs, members, strict=True)):
        if place in broken:  # alone it says where, when and why
            results.append(by_itself(run))
            continue
        member.compiled = advance.fresh
        member.seconds = {
            "compile_seconds": seconds[0] / len(runs),
            "run_seconds": seconds[1] / len(runs),
        }
        results.append(member.solution(_own(carry, first, place)))
    return results


def _own(carry: Carry, run: Prepared, place: int) -> Carry:
    """Return the state of one of the rows, in the shapes of a run alone."""
    own = abreast.row(carry, run.compiled.system.initial, place)
    return Carry(*tf.nest.map_structure(tf.constant, tuple(own)))


def _parts(chunk: Chunk):
    """Yield of each row what a chunk leaves of it."""
    samples, found = chunk.samples, None
    if samples.crossings is not None:
        found = _by_row(samples.crossings())
    for place in count():
        observed = {key: values[:, place] for key, values in samples.observed.items()}
        own = None if found is None else cache(lambda found=found, place=place: found(place))
        yield replace(chunk, samples=samples._replace(observed=observed, crossings=own))


def _by_row(crossings: Crossings):
    """Return what gives the crossings of a row."""
    rows, *places = crossings.places
    order = np.argsort(rows, kind="stable")
    borders = np.searchsorted(rows[order], np.arange(crossings.shape[0] + 1))

    def of(place: int) -> Crossings:
        mine = order[borders[place] : borders[place + 1]]
        return Crossings(
            crossings.shape[1:],
            crossings.steps[mine],
            tuple(axis[mine] for axis in places),
            crossings.since[mine],
            crossings.kept[mine],
        )

    return of
