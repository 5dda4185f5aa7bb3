"""The facade of networks: `simulate`, `resume` for a run that stopped, and `plan`.

Arguments are checked before TensorFlow is loaded, which takes seconds.
"""

# Annotations stay text: `Solver` and `Plan` would load TensorFlow.
from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from somaflow import given
from somaflow.compiler.final import FinalState
from somaflow.elsewhere import checked
from somaflow.network.network import Network
from somaflow.network.recorder import Recorder
from somaflow.quiet import late
from somaflow.running.arguments import Changes, read
from somaflow.running.between import Between, read_between
from somaflow.running.progress import Progress, check_progress
from somaflow.settings import Duration, method
from somaflow.storage.sinks import Resumable, Sink
from somaflow.storage.solution import Solution
from somaflow.storage.store import ZarrSink
from somaflow.units import ms
from somaflow.workers.asked import number_of

if TYPE_CHECKING:
    from somaflow import run
    from somaflow.planning import plan as planning
    from somaflow.planning.plan import Plan
    from somaflow.running import job
    from somaflow.solvers.base import Solver
    from somaflow.workers import running as sharing
    from somaflow.workers import team
else:
    run, planning, job, team, sharing = map(
        late,
        (
            "somaflow.run",
            "somaflow.planning.plan",
            "somaflow.running.job",
            "somaflow.workers.team",
            "somaflow.workers.running",
        ),
    )


@checked
def simulate(
    network: Network,
    duration: Duration,
    *,
    dt: Duration = 0.01 * ms,
    solver: Solver | None = None,
    dtype: str = "float64",
    seed: int = 0,
    record: Iterable[Recorder] | Recorder = (),
    initial: Mapping[str, Mapping[str, object]] | FinalState | None = None,
    sink: Sink | str | Path | None = None,
    checkpoint: Duration | None = None,
    between: Between | None = None,
    until: str | None = None,
    workers: int | None = None,
    progress: bool | Callable[[Progress], None] = True,
) -> Solution:
    """Simulate a network.

    Ctrl-C and SIGTERM end a run at its next chunk, with a checkpoint if its sink is a store; a
    second one acts at once.

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
            where it ended, time and noise included. The network may have changed meanwhile in
            parameters, weights and inputs (not weights that spikes change: those go on), and may
            have other populations, projections and stimuli: what has its name goes on, what is
            new begins, and what is gone vanishes. dt may be another.
        sink: Where recordings go: None for memory, the path of a new Zarr store, an address that
            fsspec knows, or an object with the methods of `somaflow.storage.sinks.Sink`.
        checkpoint: Biological time from one checkpoint to the next, a whole number of steps;
            rounded up to whole recording intervals. A store has one at the run's beginning and
            one at its end in any case.
        between: A Python function that is called at intervals, reads the state and may change it:
            `sf.Between(2.5*ms, function)`.
        until: A condition such as `"any(PN.v > 0*mV)"`: the run ends with the first step at whose
            end it holds, and `duration` is the longest that it may be; `run.status` says which it
            was. Of the variables of a population it takes `any()` or `all()` of a condition, or
            compares `mean()`, `sum()`, `max()` or `min()` of a value; `PN.spikes` is 1 where a cell
            spiked in the step. With `and`, `or`, `not` and the time `t`. Not for a batch.
        workers: How many processes compute the run, each a share of the cells, to the bits of one
            process; they need MPI (`pip install 'somaflow[mpi]'`). Default: as many as a launcher
            such as mpiexec has started, of which the first goes on with the script; else this
            process alone. Not with `between`, `until`, a batch or a sink of your own. Where one
            worker would have nearly all cells, a warning says why.
        progress: True for a bar in a terminal or a notebook and plain lines in a log, False for
            silence, or a function that is given a `sf.Progress` after each chunk.

    Returns:
        The recordings, labelled, with all that is needed to repeat the run.

    Raises:
        RunError: A dt, duration, recording interval or initial value that cannot be, or more memory
            needed than is free; the message says what would fit.
        NetworkError: A synapse of a form that cannot be computed.
        StoreError: The sink cannot take the recordings. What was written before stays readable.
        NonFiniteState: A state became infinite or not a number.
        Interrupted: A signal asked the run to stop. It is a `KeyboardInterrupt`.
    """
    check_progress(progress)
    arguments = read(
        network,
        duration,
        dt,
        solver,
        dtype,
        seed,
        record,
        initial,
        sink,
        checkpoint,
        between=between,
        until=until,
    )
    asked = job.job_of(arguments)
    if (count := number_of(workers)) == 1:
        return run.begin(asked, arguments.sink, progress)
    sharing.refuse(asked, progress)
    sharing.warn_of_little(asked, count)
    return team.run(sharing.Errand(asked, arguments.sink, progress), count)


@checked
def resume(
    path: str | Path | Resumable,
    duration: Duration | None = None,
    *,
    checkpoint: Duration | None = None,
    solver: Solver | None = None,
    between: Between | None = None,
    exact: bool = True,
    workers: int | None = None,
    progress: bool | Callable[[Progress], None] = True,
) -> Solution:
    """Go on with a run that was stopped or killed, or make one longer.

    The store is then the one that a run without the stop would have written: on a local disk byte
    for byte, at an address array for array. Of a run that is finished nothing is written.

    Args:
        path: The store; or the sink of your own that the run was given, if it can be resumed.
        duration: Biological time of the whole run, from its start; default as it was asked for.
        checkpoint: Biological time from one checkpoint to the next; default as it was asked for.
        solver: The method of the run, if it is one of your own: a store holds its name alone.
        between: The function that the run calls at intervals, if it has one, as it was given to
            `simulate`: a store does not hold it. Its memory comes from the checkpoint.
        exact: Whether to refuse where another version of somaflow, TensorFlow, NumPy or Zarr, or
            another type of processor, might give other last digits. False goes on, and the store
            says so.
        workers: As for `simulate`; any number, whatever the run had before.
        progress: As for `simulate`.

    Returns:
        The recordings of the whole run.

    Raises:
        StoreError: There is no run there, somebody else is writing it, none of its checkpoints is
            whole, they are of another network, format or dtype, the store is not what they tell,
            or its method is not of this library and not given.
        RunError: The run is longer already, is of another method, or would not be exact.
        NonFiniteState, Interrupted: As for `simulate`.
    """
    check_progress(progress)
    sink = path if isinstance(path, Resumable) else ZarrSink(path)
    given.flag(exact, "exact")
    changes = Changes(duration, checkpoint, method(solver), read_between(between))
    if (count := number_of(workers)) == 1:
        return run.go_on(sink, changes, exact, progress)
    return team.run(sharing.Rest(sink, changes, exact, progress), count)


@checked
def plan(
    network: Network,
    duration: Duration,
    *,
    dt: Duration = 0.01 * ms,
    solver: Solver | None = None,
    dtype: str = "float64",
    seed: int = 0,
    record: Iterable[Recorder] | Recorder = (),
    initial: Mapping[str, Mapping[str, object]] | FinalState | None = None,
    sink: Sink | str | Path | None = None,
    checkpoint: Duration | None = None,
    until: str | None = None,
    workers: int | None = None,
) -> Plan:
    """Say what a run would need: memory, disk and time.

    The network is built and compiled, and its first chunks are run for about two seconds (one
    chunk at least) with recordings in a temporary folder, of which nothing stays. The place of the
    results is not written to.

    The arguments are those of `simulate`; a run with `until` is planned in its whole length. With
    several workers the plan says how they share the cells and how often they exchange spikes; none
    are started, and memory, disk and time are those of one process. What
    a sink of your own would hold is counted if it says that
    (`somaflow.storage.sinks.Measurable`); nothing is written to it.

    Returns:
        The plan; `print(plan)` shows it as a table.

    Raises:
        RunError, NetworkError, WrongTypeError: As `simulate`, but for what does not fit: that is
            in the plan.
        StoreError: The temporary folder cannot be written to.
        NonFiniteState: A state became infinite or not a number.
        Interrupted: A signal asked to stop.
    """
    arguments = read(
        network, duration, dt, solver, dtype, seed, record, initial, sink, checkpoint, None, until
    )
    asked = job.job_of(arguments)
    if (count := number_of(workers)) == 1:
        return planning.estimate(asked, arguments.sink)
    sharing.refuse(asked, progress=True)
    return planning.estimate(asked, arguments.sink, sharing.division_of(asked, count))
