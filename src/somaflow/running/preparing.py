"""Preparing: a run that was checked, and all that is built for it before it computes."""

import math
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from somaflow.compiler.build import Compiled, compile_network
from somaflow.compiler.final import FinalState
from somaflow.network.ending import read_ending
from somaflow.notation import Json
from somaflow.numerics.device import begin_computing, choose_threads
from somaflow.running.account import meta_of
from somaflow.running.job import Job
from somaflow.running.writers import columns_of, ends_early
from somaflow.simulation import chunks
from somaflow.simulation.crossings import weight
from somaflow.simulation.loop import Schedule
from somaflow.simulation.system import System
from somaflow.solvers.stages import nodes_of
from somaflow.storage.sinks import Column


@dataclass(frozen=True)
class Prepared:
    """A job with all that has to be built for it.

    Attributes:
        job: The job.
        compiled: The network as pure functions.
        columns: What will be stored.
        schedule: Sizes of the compiled loop.
        meta: All that is needed to repeat the run.
        statistics: Sizes.
    """

    job: Job
    compiled: Compiled
    columns: tuple[Column, ...]
    schedule: Schedule
    meta: dict[str, Json]
    statistics: dict[str, Json]

    @property
    def header(self) -> dict[str, Json]:
        """What the store tells of the run."""
        return {**self.meta, "statistics": self.statistics}


def prepare(job: Job, at: FinalState | None = None) -> Prepared:
    """Build the network and all that follows from it.

    Args:
        job: The job.
        at: A state within the run, to go on from.

    Raises:
        NetworkError: A synapse of a form that cannot be computed.
        RunError: An initial value that cannot be.
    """
    begin_computing()
    choose_threads(sum(p.size * len(p.equations.states) for p in job.network.populations))
    return prepared_of(job, compile_job(job, at))


def prepared_of(job: Job, compiled: Compiled, schedule: Schedule | None = None) -> Prepared:
    """Return a job with what follows from its compiled network.

    Args:
        job: The job.
        compiled: Its network.
        schedule: Sizes of the compiled loop; None for those that fit.
    """
    network = job.network
    columns = columns_of(
        network,
        compiled.views,
        compiled.batch,
        job.recorders,
        job.dt,
        job.n_steps,
        job.dtype,
        job.begin,
    )
    meta = meta_of(job, {key: choice.form for key, choice in compiled.choices.items()})
    statistics = {
        "cells": sum(p.size for p in network.populations),
        "equations": compiled.n_states * int(np.prod(compiled.batch, initial=1)),
        "synapses": compiled.n_synapses,
        "steps": job.n_steps,
        "samples_end_ms": ends_early(columns, job.duration),
    }
    schedule = schedule_of(job, compiled.system, columns) if schedule is None else schedule
    return Prepared(job, compiled, columns, schedule, meta, statistics)


def compile_job(job: Job, at: FinalState | None = None, rows: int | None = None) -> Compiled:
    """Lower the network of a job.

    Args:
        job: The job.
        at: A state within the run, to go on from.
        rows: For how many jobs like this one the functions are to be; None for this alone.
    """
    return compile_network(
        job.network,
        job.dt,
        (job.begin + job.n_steps) * job.dt,
        tf.as_dtype(job.dtype).as_numpy_dtype,
        job.initial if at is None else at,
        job.recorders,
        job.seed,
        job.begin,
        job.solver,
        None if job.until is None else read_ending(job.network, job.until),
        job.between is not None,
        rows,
    )


def schedule_of(job: Job, system: System, columns: tuple[Column, ...], rows: int = 1) -> Schedule:
    """Return the sizes of the compiled loop of a job, or of so many jobs side by side."""
    sources = weight(system.crossings or (0,), system.alongside)
    sampled = sum(math.prod(column.shape or ()) for column in columns if column.shape is not None)
    given = chunks.given(system, nodes_of(job.solver), job.dt)
    carried = sum(np.size(leaf) for leaf in tf.nest.flatten(system.initial))
    numbers = max(sources, given, -(-sampled * rows // job.stride))
    return chunks.plan(job.stride, numbers, carried, job.pause)
