"""Sharing: a worker's part of a run, as a function that stops wherever it needs the others.

It gives out an array, and goes on with the arrays of all workers in their order. So whoever carries
them, MPI or one process that goes through all shares in turn, carries arrays and knows no more.
"""

from collections.abc import Generator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from somaflow.compiler.build import Compiled, compile_network
from somaflow.compiler.first import first_values
from somaflow.compiler.reading import signature
from somaflow.compiler.share import Share, drawn, heard_of, most_and_all, own_groupings, sizes
from somaflow.network import groups
from somaflow.network.choice import Degrees
from somaflow.network.ending import read_ending
from somaflow.network.recorder import Recorder
from somaflow.network.shares import Bounds, local
from somaflow.running.job import Job
from somaflow.simulation import chunks
from somaflow.simulation.loop import Advance, build
from somaflow.simulation.system import Array, Carry

Exchange = Generator[Array, Sequence[Array], Any]


def share_of(job: Job, own: Bounds) -> Generator[Array, Sequence[Array], tuple[Job, Compiled]]:
    whole = job.network
    groupings = own_groupings(whole, own)
    synapses = {g.key: drawn(g.projections, own) for g in groupings}
    every = groups.group(whole.projections)
    found = np.zeros((len(every), 2), np.int64)
    for k, grouping in enumerate(every):
        if grouping.key in synapses:
            found[k] = most_and_all(synapses[grouping.key])
    counts = np.stack((yield found))
    degrees = {
        g.key: Degrees(
            sum(p.post.population.size for p in g.projections),
            int(counts[:, k, 0].max()),
            int(counts[:, k, 1].sum()),
        )
        for k, g in enumerate(every)
    }
    initial = {
        p.name: {
            k: np.asarray(v)
            for k, v in first_values(p, job.initial.get(p.name, {}), whole.seed).items()
        }
        for p in whole.populations
        if p.source is None
    }
    alone = local(whole, own, initial)
    recorders = tuple(r for r in job.recorders if r.owner in own)
    share = Share(whole, own, 4096, synapses, degrees)
    mine = replace(job, network=alone.network, initial=alone.initial, recorders=recorders)
    compiled = compile_network(
        mine.network,
        job.dt,
        (job.begin + job.n_steps) * job.dt,
        tf.as_dtype(job.dtype).as_numpy_dtype,
        mine.initial,
        recorders,
        job.seed,
        job.begin,
        job.solver,
        share=share,
    )
    return mine, compiled


def intervals(job: Job) -> int:
    """Return in how many steps no spike that is sent arrives elsewhere."""
    delays = [p.one_delay for p in job.network.projections if p.one_delay]
    return min([round(d / job.dt) for d in delays], default=1000)


def run(job: Job, own: Bounds) -> Exchange:
    mine, compiled = yield from share_of(job, own)
    system, dt = compiled.system, job.dt
    span = intervals(job)
    senders = sizes(job.network)
    numbers = {name: k for k, name in enumerate(senders)}
    schedule = chunks.plan(job.stride, 1, 0, span)
    schedule = replace(schedule, rows=span // job.stride + 1, steps=span)
    dtype = tf.as_dtype(job.dtype)
    advance = build(system, job.solver, dt, schedule, dtype, (compiled.structure, signature(job.solver)))
    carry = Carry(*tf.nest.map_structure(tf.constant, tuple(system.initial)))
    histories = {k: len(v) for k, v in system.initial.event.spikes.items()}
    starts = [(s.start, s.start + s.size, numbers[s.name], own.get(s.name.partition(".")[0], (0, 0))[0]) for s in system.sources]
    spikes = []
    parameters = system.parameters
    advance(carry, 0, 0, 0, False)
    for chunk in chunks.run(system, advance, schedule, carry, job.n_steps, dt, job.begin):
        step, steps, samples = chunk.step, chunk.steps, chunk.samples
        found = samples.crossings()
        where = found.places[0]
        parts = []
        for begin, end, number, first in starts:
            m = np.flatnonzero((where >= begin) & (where < end))
            parts.append(
                np.stack(
                    [
                        found.steps[m].astype(np.float64) + step,
                        np.full(len(m), number, np.float64),
                        where[m] - begin + first,
                        found.since[m].astype(np.float64),
                    ]
                )
            )
        mine_spikes = np.concatenate(parts, axis=1) if parts else np.zeros((4, 0))
        every = yield mine_spikes
        every = np.concatenate(every, axis=1)
        spikes.append(every)
        heard = {}
        for key, slots in histories.items():
            m = every[1] == numbers[key.removeprefix("spikes ")]
            heard[key] = heard_of(
                every[0, m].astype(np.int64),
                every[2, m].astype(np.int64),
                every[3, m].astype(dtype.as_numpy_dtype),
                step,
                step + steps,
                slots,
                4096,
            )
        parameters = parameters._replace(heard=heard)
        advance.tell(tf.nest.map_structure(tf.constant, parameters))
    return np.concatenate(spikes, axis=1), compiled, carry


def lockstep(runs):
    """Run shares in turn in one process."""
    runs = list(runs)
    results = [None] * len(runs)
    sent = [next(r) for r in runs]
    while True:
        told, done = [], 0
        for k, r in enumerate(runs):
            try:
                told.append(r.send(sent))
            except StopIteration as stop:
                results[k] = stop.value
                done += 1
        if done:
            assert done == len(runs)
            return results
        sent = told
