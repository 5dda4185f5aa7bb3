"""Jobs: a run as it was asked for, and its form on disk."""

import hashlib
import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from somaflow import description
from somaflow.compiler.continuing import check_start
from somaflow.compiler.final import FinalState
from somaflow.compiler.sources import count_before
from somaflow.errors import RunError, SomaflowWarning, StoreError, WrongTypeError
from somaflow.given import is_among, is_number, is_whole, shown
from somaflow.network.network import Network
from somaflow.network.random import check_seed
from somaflow.network.recorder import Recorder
from somaflow.network.sources import SpikeSourceArray
from somaflow.running.writers import common_stride, read_recorders
from somaflow.settings import float_type, method, positive
from somaflow.simulation.clock import whole_steps
from somaflow.solvers import catalogue
from somaflow.solvers.base import Solver
from somaflow.solvers.runge_kutta import RK4
from somaflow.solvers.stages import check_nodes
from somaflow.storage.sinks import REQUIRED, Measurable, MemorySink, Resumable, Sink
from somaflow.storage.store import ZarrSink

FORMAT = 1


@dataclass(frozen=True)
class Job:
    """A run as it was asked for, checked.

    Attributes:
        network: What to simulate.
        recorders: What to record.
        initial: Values in place of the models' own, or the state to go on from.
        begin: Steps made before the run.
        n_steps: Its length.
        dt: The step in ms.
        solver: The method.
        dtype: `"float64"` or `"float32"`.
        seed: Of all that is drawn.
        every: Biological time between checkpoints in steps, or None.
    """

    network: Network
    recorders: tuple[Recorder, ...]
    initial: Mapping[str, Mapping[str, Any]] | FinalState
    begin: int
    n_steps: int
    dt: float
    solver: Solver
    dtype: str
    seed: int
    every: int | None = None

    @property
    def stride(self) -> int:
        """Steps after which the state is looked at."""
        return common_stride(self.recorders, self.dt)

    @property
    def duration(self) -> float:
        """Biological time in ms."""
        return self.n_steps * self.dt


def to_json(job: Job, meta: dict[str, Any]) -> dict[str, Any]:
    """Return what `from_json` reads.

    Args:
        job: The job. Of a state that it goes on from only the step is kept.
        meta: What its results tell of it.
    """
    return {
        "format": FORMAT,
        "record": description.to_json(job.recorders),
        "begin": job.begin,
        "steps": job.n_steps,
        "every": job.every,
        "meta": meta,
    }


def digests(told: dict[str, Any]) -> dict[str, str]:
    """Return a checksum of each thing that stays as it is however often a run goes on.

    Args:
        told: What `to_json` returned, or what was read of it.
    """
    stays = {name: value for name, value in told.items() if name not in ("steps", "every", "meta")}
    stays |= {k: v for k, v in told["meta"].items() if k not in ("duration_ms", "not_exact")}
    return {
        name: hashlib.sha256(json.dumps(value).encode()).hexdigest()
        for name, value in stays.items()
    }


def from_json(told: Any, place: str, solver: Any = None) -> Job:
    """Return the job of a run that is to go on; the state to go on from is not in it.

    Args:
        told: What `to_json` returned.
        place: Where it was found.
        solver: Its method, if it is not of this library.

    Raises:
        StoreError: It is of another format, or damaged, or its method is not of this library and
            not given.
        RunError, WrongTypeError: The method that is given is another one, or none.
    """
    try:
        if told["format"] != FORMAT:
            raise StoreError(
                f"{place} has format {told['format']!r}; this version reads format {FORMAT}."
            )
        meta = told["meta"]
        counts = told["steps"], 1 if told["every"] is None else told["every"]
        if not all(is_whole(count) and count > 0 for count in counts):
            raise TypeError(f"steps is {told['steps']!r} and every is {told['every']!r}")
        if not is_number(meta["dt_ms"]) or meta["dt_ms"] <= 0:
            raise TypeError(f"dt_ms is {shown(meta['dt_ms'])}")
        if not all(map(is_whole, (told["begin"], meta["seed"]))):
            raise TypeError(f"begin is {shown(told['begin'])} and seed is {shown(meta['seed'])}")
        float_type(meta["dtype"])
        return Job(
            network=description.from_json(meta["description"])["network"],
            recorders=description.from_json(told["record"]),
            initial={},
            begin=told["begin"],
            n_steps=told["steps"],
            dt=meta["dt_ms"],
            solver=_kept_method(meta["solver"], place, solver),
            dtype=meta["dtype"],
            seed=meta["seed"],
            every=told["every"],
        )
    except (KeyError, TypeError) as error:
        raise StoreError(f"{place} is not what this version writes ({error}).") from error


# ---------------------------------------------------------------------------------- checks


def read_job(
    network: Any,
    duration: Any,
    *,
    dt: Any,
    solver: Any,
    dtype: Any,
    seed: Any,
    record: Any,
    initial: Any,
    checkpoint: Any,
) -> Job:
    """Return a run as it was asked for, each argument checked.

    Args, Raises: As for `simulate`.
    """
    if not isinstance(network, Network):
        raise WrongTypeError(f"simulate takes a sf.Network, not {shown(network)}.")
    step = positive(dt, "dt")
    n_steps = whole_steps(positive(duration, "duration"), step, "duration")
    chosen = _clocked(solver)
    float_type(dtype)
    recorders = read_recorders(network, record, step)
    every = None
    if checkpoint is not None:
        every = whole_steps(positive(checkpoint, "checkpoint"), step, "checkpoint")
    begin = _begin(initial, step)
    _warn_of_past(network, step, begin)
    return Job(
        network=network,
        recorders=recorders,
        initial={} if initial is None else initial,
        begin=begin,
        n_steps=n_steps,
        dt=step,
        solver=chosen,
        dtype=dtype,
        seed=check_seed(seed),
        every=every,
    )


def read_sink(sink: Any) -> Sink:
    """Return where recordings go.

    Raises:
        WrongTypeError: It is no sink.
    """
    if sink is None:
        return MemorySink()
    if isinstance(sink, (str, Path)):
        return ZarrSink(sink)
    wanted: dict[type, tuple[str, ...]] = {Sink: REQUIRED}
    if isinstance(sink, type) or not any(hasattr(sink, name) for name in REQUIRED):
        raise WrongTypeError(
            f"sink is a path, a sf.ZarrSink, or None for memory, not {shown(sink)}."
        )
    for kind in (Resumable, Measurable):
        if isinstance(sink, kind):
            wanted[kind] = tuple(kind.__annotations__)
    for kind, names in wanted.items():
        if missing := [name for name in names if getattr(sink, name, None) is None]:
            raise WrongTypeError(
                f"{shown(sink)} is no {kind.__name__}, for it has no {' and no '.join(missing)}. "
                f"somaflow.storage.sinks.{kind.__name__} says what {', '.join(names)} are."
            )
    return sink


def check_checkpoints(job: Job, sink: Sink) -> None:
    """Refuse checkpoints that could not be kept.

    Raises:
        RunError: There is no store beside which they could lie.
    """
    if job.every is None:
        return
    if not isinstance(sink, Resumable):
        raise RunError(
            "checkpoints lie beside a store, and this run has none: give sink='run.zarr', or "
            "leave checkpoint out."
        )


def _kept_method(name: Any, place: str, given: Any) -> Solver:
    """Return the method of a stored run.

    Raises:
        StoreError, RunError, WrongTypeError: As `from_json`.
    """
    known = catalogue.kept()
    if given is not None:
        chosen = _clocked(given)
        if chosen.name != name:
            raise RunError(f"{place} is of a run with {shown(name)}, and solver is {chosen.name}.")
        return chosen
    if not is_among(name, known):
        raise StoreError(
            f"{place} is of a run with {name}, a method of your own; give it: "
            "sf.resume(path, solver=...)."
        )
    return known[name].make()


def _begin(initial: Any, dt: float) -> int:
    """Return how many steps were made before this run."""
    if isinstance(initial, FinalState):
        return check_start(initial, dt)
    if initial is not None and not isinstance(initial, Mapping):
        raise WrongTypeError(
            f"initial is a dict such as {{'PN': {{'v': ...}}}}, or run.final, not {shown(initial)}."
        )
    return 0


def _warn_of_past(network: Network, dt: float, begin: int) -> None:
    """Warn the caller of `simulate` or `plan` of spikes that are given for a time that is over."""
    for population in network.populations:
        source = population.source
        if isinstance(source, SpikeSourceArray) and (past := count_before(source, dt, begin)):
            warnings.warn(
                f"{past} of {len(source.times.value)} spike times of {population.name!r} are "
                f"before {begin * dt:g} ms, where this part of the run begins, and have no effect.",
                SomaflowWarning,
                stacklevel=4,
            )


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
    check_nodes(chosen)
    known = catalogue.kept().get(chosen.name)
    if known is not None and known.make() != chosen:
        raise RunError(
            f"solver is a method of your own, and {chosen.name!r} is the name of "
            f"sf.{known.name}(); a store tells methods by their names: give it another one."
        )
    return chosen
