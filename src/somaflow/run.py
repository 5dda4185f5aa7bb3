"""The facade of networks: `simulate`."""

import math
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from somaflow.compiler.build import compile_network
from somaflow.compiler.final import FinalState
from somaflow.equations.drawing import held
from somaflow.errors import RunError, WrongTypeError
from somaflow.network.distributions import check_seed
from somaflow.network.network import Network
from somaflow.network.recorder import Recorder
from somaflow.numerics.device import choose_threads
from somaflow.recording import Writer, columns_of, common_stride, read_recorders, writers
from somaflow.settings import float_type, method, positive
from somaflow.settings import meta as kept
from somaflow.simulation import chunks
from somaflow.simulation.clock import whole_steps
from somaflow.simulation.loop import build
from somaflow.simulation.sinks import MemorySink, Sink, ZarrSink
from somaflow.simulation.solution import Solution
from somaflow.simulation.system import Carry
from somaflow.solvers.base import Solver
from somaflow.solvers.runge_kutta import RK4
from somaflow.units import ms

Progress = Callable[[float, float, float], None]


def simulate(
    network: Network,
    duration: Any,
    *,
    dt: Any = 0.01 * ms,
    solver: Solver | None = None,
    dtype: str = "float64",
    seed: int = 0,
    record: Iterable[Recorder] | Recorder = (),
    initial: Mapping[str, Mapping[str, Any]] | FinalState | None = None,
    sink: Sink | str | Path | None = None,
    progress: Progress | None = None,
) -> Solution:
    """Simulate a network.

    Args:
        network: What to simulate.
        duration: Biological time; a whole number of steps.
        dt: The step.
        solver: A fixed-step method; default `RK4()`.
        dtype: `"float64"` or `"float32"`.
        seed: Of all that is drawn during the run: noise, Poisson spikes. Kept with the results.
        record: Recorders, such as `[pn.spikes, pn["v"].every(1*ms)]`.
        initial: Initial values in place of the models' own: `{"PN": {"v": ...}}`, one number,
            one for each cell, or a distribution. Or `run.final` of another run, to go on from
            where it ended, time and noise included; parameters, weights and inputs of the
            network may have changed meanwhile (not weights that spikes change: those go on).
        sink: Where recordings go: None for memory, or the path of a new Zarr store.
        progress: Called after each chunk with (biological ms done, ms in all, seconds of
            computing since the compile).

    Returns:
        The recordings, labelled, with all that is needed to repeat the run.

    Raises:
        RunError: A dt, duration, recording interval or initial value that cannot be.
        NetworkError: A synapse of a form that cannot be computed.
        StoreError: The sink cannot take the recordings. What was written before stays readable.
        NonFiniteState: A state became infinite or not a number.
    """
    if not isinstance(network, Network):
        raise WrongTypeError(f"simulate takes a sf.Network, not {network!r}.")
    step = positive(dt, "dt")
    n_steps = whole_steps(positive(duration, "duration"), step, "duration")
    chosen, floats = _clocked(solver), float_type(dtype)
    recorders = read_recorders(network, record, step)
    stride = common_stride(recorders, step, n_steps)
    seed = check_seed(seed)
    target = _sink(sink)
    _check_progress(progress)
    begin = _begin(initial, step)
    choose_threads(sum(p.size * len(p.equations.states) for p in network.populations))
    compiled = compile_network(
        network,
        step,
        (begin + n_steps) * step,
        floats.as_numpy_dtype,
        initial or {},
        recorders,
        seed,
    )
    columns = columns_of(network, compiled, recorders, step, n_steps, dtype, begin)
    meta = kept(
        {"network": network, "initial": _held(initial or {}, network)},
        {
            "start_ms": begin * step,
            "duration_ms": n_steps * step,
            "dt_ms": step,
            "seed": seed,
            "dtype": dtype,
            "sums": {key: choice.form for key, choice in compiled.choices.items()},
        },
        chosen,
    )
    statistics = {
        "cells": sum(p.size for p in network.populations),
        "equations": compiled.n_states * int(np.prod(compiled.batch, initial=1)),
        "synapses": compiled.n_synapses,
        "steps": n_steps,
    }
    target.open(columns, meta)
    width = int(np.prod(compiled.system.crossings or (0,)))
    sampled = sum(math.prod(column.shape or ()) for column in columns if column.shape is not None)
    schedule = chunks.plan(n_steps, stride, max(width, -(-sampled // stride)))
    store = writers(recorders, columns, compiled.system, target, stride, step)
    try:
        found, carry = _execute(
            compiled.system, chosen, step, begin, n_steps, schedule, floats, store, progress
        )
        statistics |= found
    finally:
        target.close({"statistics": statistics})
    final = compiled.final(carry, begin + n_steps)
    return Solution(columns, target, n_steps * step, meta, statistics, final=final)


def _execute(
    system: Any,
    solver: Solver,
    dt: float,
    start: int,
    n_steps: int,
    schedule: chunks.Schedule,
    floats: tf.DType,
    store: list[Writer],
    progress: Progress | None,
) -> tuple[dict[str, Any], Carry]:
    """Compile, run every chunk, and hand what it leaves to the writers."""
    begin = time.perf_counter()
    advance = build(system, solver, dt, schedule, floats)
    carry = Carry(*tf.nest.map_structure(tf.constant, tuple(system.initial)))
    advance(carry, 0, 0, 0, False)
    started = time.perf_counter()
    for chunk in chunks.run(system, advance, schedule, carry, n_steps, dt, start):
        carry = chunk.carry
        for write in store:
            write(chunk)
        if progress is not None:
            done = (chunk.step + chunk.steps) * dt
            progress(done, n_steps * dt, time.perf_counter() - started)
    seconds = {"compile_seconds": started - begin, "run_seconds": time.perf_counter() - started}
    return seconds, carry


# ---------------------------------------------------------------------- checks


def _sink(sink: Any) -> Sink:
    if sink is None:
        return MemorySink()
    if isinstance(sink, (str, Path)):
        return ZarrSink(sink)
    if not all(hasattr(sink, name) for name in ("open", "rows", "spikes", "close")):
        raise WrongTypeError(f"sink is a path, a sf.ZarrSink, or None for memory, not {sink!r}.")
    return sink


def _check_progress(progress: Any) -> None:
    if progress is not None and not callable(progress):
        raise WrongTypeError(f"progress is a function of (done, total, seconds), not {progress!r}.")


def _begin(initial: Any, dt: float) -> int:
    """Return how many steps were made before this run."""
    if isinstance(initial, FinalState):
        if not math.isclose(initial.dt, dt, rel_tol=1e-12):
            raise RunError(
                f"the state that is given is of a run with dt = {initial.dt:g} ms; go on with the "
                f"same dt, not {dt:g} ms: delays and refractory periods are counted in steps."
            )
        return initial.steps
    if not isinstance(initial or {}, Mapping):
        raise WrongTypeError(
            f"initial is a dict such as {{'PN': {{'v': ...}}}}, or run.final, not {initial!r}."
        )
    return 0


def _held(initial: Mapping[str, Any] | FinalState, network: Network) -> dict[str, dict[str, Any]]:
    """Return initial values as a description; of another run's end only its names."""
    if isinstance(initial, FinalState):
        return {name: {} for name in initial.states}
    return {
        name: {
            state: held(value, network.population(name).equations.unit(state), state)
            for state, value in values.items()
        }
        for name, values in initial.items()
    }


def _clocked(solver: Any) -> Solver:
    """Return a method that a network can be run with."""
    chosen = method(solver, RK4())
    if chosen.calculus is not None:
        raise RunError(
            f"{chosen.name} is for stochastic equations, and a network takes noise as a stimulus: "
            "use sf.RK4() or sf.ExponentialEuler() here, or sf.solve for equations with noise."
        )
    if chosen.error_order is not None and not chosen.stiff:
        raise RunError(
            f"{chosen.name} chooses its own steps, and a network runs by a clock, so that spikes "
            "and synapses of all cells meet at whole steps. Use sf.RK4(), or "
            "sf.ExponentialEuler() or sf.ExponentialMidpoint() at large dt."
        )
    return chosen
