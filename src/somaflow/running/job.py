"""Jobs: a run as it was asked for, and its form on disk."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from somaflow import description
from somaflow.compiler.continuing import check_start
from somaflow.compiler.final import FinalState
from somaflow.compiler.noise import refuse_shared
from somaflow.compiler.sources import count_before
from somaflow.equations.noise import listed
from somaflow.equations.statements import are_maps
from somaflow.errors import RunError, StoreError, warn
from somaflow.given import is_among, is_number, is_whole, shown
from somaflow.network.network import Network
from somaflow.network.recorder import Recorder
from somaflow.network.sources import SpikeSourceArray
from somaflow.notation import Json
from somaflow.running.arguments import RunArguments, common_stride
from somaflow.running.between import Between, agreed
from somaflow.running.writers import check_edges
from somaflow.settings import float_type, method
from somaflow.simulation.clock import whole_steps
from somaflow.solvers import catalogue
from somaflow.solvers.base import Solver
from somaflow.solvers.map import Map
from somaflow.solvers.runge_kutta import RK4
from somaflow.solvers.stages import check_nodes

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
        between: The function that is called at intervals, or None.
        until: The condition at which it stops before its length, as text, or None.
    """

    network: Network
    recorders: tuple[Recorder, ...]
    initial: Mapping[str, Mapping[str, object]] | FinalState
    begin: int
    n_steps: int
    dt: float
    solver: Solver
    dtype: str
    seed: int
    every: int | None = None
    until: str | None = None
    between: Between | None = None

    @property
    def pause(self) -> int | None:
        """Steps from one call of the function between steps to the next, or None."""
        if self.between is None:
            return None
        return whole_steps(self.between.interval, self.dt, "the interval of between")

    @property
    def stride(self) -> int:
        """Steps after which the state is looked at."""
        return common_stride(self.recorders, self.dt)

    @property
    def duration(self) -> float:
        """Biological time in ms."""
        return self.n_steps * self.dt


def to_json(job: Job, meta: dict[str, Json]) -> dict[str, Json]:
    """Return what `from_json` reads.

    Args:
        job: The job. Of a state that it goes on from only the step is kept.
        meta: What its results tell of it.
    """
    between: dict[str, Json] = {}
    if job.between is not None:
        between["between_ms"] = job.between.interval
    return between | {
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


def from_json(
    told: Mapping[str, Any],
    place: str,
    solver: Solver | None = None,
    between: Between | None = None,
) -> Job:
    """Return the job of a run that is to go on; the state to go on from is not in it.

    Args:
        told: What `to_json` returned.
        place: Where it was found.
        solver: Its method, if it is not of this library.
        between: The function that it calls between steps, if it has one.

    Raises:
        StoreError: It is of another format, or damaged, or its method is not of this library and
            not given.
        RunError, WrongTypeError: The method that is given is another one, or none; or it has a
            function between steps and none is given.
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
        network = description.from_json(meta["description"])["network"]
        return Job(
            network=network,
            recorders=description.from_json(told["record"]),
            initial={},
            begin=told["begin"],
            n_steps=told["steps"],
            dt=meta["dt_ms"],
            solver=_kept_method(meta["solver"], place, solver, network),
            dtype=meta["dtype"],
            seed=meta["seed"],
            every=told["every"],
            between=agreed(between, told.get("between_ms"), place),
            until=meta.get("until"),
        )
    except (KeyError, TypeError) as error:
        raise StoreError(f"{place} is not what this version writes ({error}).") from error


# ---------------------------------------------------------------------------------- checks


def job_of(arguments: RunArguments) -> Job:
    """Return a run as it was asked for, with what only TensorFlow's part can check.

    Raises:
        RunError: The method cannot run a network, or the state to go on from is of no step of it.
        UnitError: The edges of a histogram are in another unit than its variable.
    """
    network, initial = arguments.network, arguments.initial
    solver = _clocked(arguments.solver, network)
    check_edges(network, arguments.recorders)
    begin = check_start(initial, arguments.dt) if isinstance(initial, FinalState) else 0
    _warn_of_past(network, arguments.dt, begin)
    return Job(
        network=network,
        recorders=arguments.recorders,
        initial=initial,
        begin=begin,
        n_steps=arguments.n_steps,
        dt=arguments.dt,
        solver=solver,
        dtype=arguments.dtype,
        seed=arguments.seed,
        every=arguments.every,
        between=arguments.between,
        until=arguments.until,
    )


def _kept_method(name: object, place: str, given: Solver | None, network: Network) -> Solver:
    """Return the method of a stored run.

    Raises:
        StoreError, RunError, WrongTypeError: As `from_json`.
    """
    known = catalogue.kept()
    if given is not None:
        chosen = _clocked(method(given), network)
        if chosen.name != name:
            raise RunError(f"{place} is of a run with {shown(name)}, and solver is {chosen.name}.")
        return chosen
    if not is_among(name, known):
        raise StoreError(
            f"{place} is of a run with {name}, a method of your own; give it: "
            "sf.resume(path, solver=...)."
        )
    return known[name].make()


def _warn_of_past(network: Network, dt: float, begin: int) -> None:
    """Warn the caller of `simulate` or `plan` of spikes that are given for a time that is over."""
    for population in network.populations:
        source = population.source
        if isinstance(source, SpikeSourceArray) and (past := count_before(source, dt, begin)):
            warn(
                f"{past} of {len(source.times.value)} spike times of {population.name!r} are "
                f"before {begin * dt:g} ms, where this part of the run begins, and have no effect.",
            )


def _of_maps(network: Network, solver: Solver | None) -> Solver | None:
    """Return the method of a network of maps, which may be left out; None of one of equations.

    Raises:
        RunError: Only some populations are maps, or the method is for others.
    """
    cells = [p for p in network.populations if p.source is None and p.equations.states]
    maps = [p.name for p in cells if are_maps(p.equations.states)]
    others = [p.name for p in cells if p.name not in maps]
    if not maps:
        if isinstance(solver, Map):
            raise RunError(
                "sf.Map() is for maps, x[n+1] = ..., and no population of this network is one; "
                "give another solver, such as sf.RK4()."
            )
        return None
    if others:
        raise RunError(
            f"the equations of {maps[0]!r} are a map, x[n+1] = ..., and those of {others[0]!r} are "
            "differential equations; the populations of one network are all maps, or none is."
        )
    if solver is not None and not isinstance(solver, Map):
        raise RunError(
            f"the equations of {maps[0]!r} are a map, x[n+1] = ..., which {solver.name} does not "
            "make; leave solver out, or give sf.Map(). A step is one iteration."
        )
    return Map()


def _clocked(solver: Solver | None, network: Network) -> Solver:
    """Return a method that a network can be run with."""
    chosen = _of_maps(network, solver) or solver or RK4()
    noisy = [p for p in network.populations if p.equations.noises]
    told = any(p.equations.noises for p in network.projections)  # by what compiles them
    if chosen.calculus is not None and not noisy and not told:
        raise RunError(
            f"{chosen.name} is for stochastic equations, and the equations of this network have no "
            "noise xi: use sf.RK4() or sf.ExponentialEuler(). Noise that is a stimulus goes with "
            "these."
        )
    if chosen.calculus is None and noisy:
        noises = ", ".join(listed(noisy[0].equations.noises))
        raise RunError(
            f"the equations of population {noisy[0].name!r} have white noise ({noises}), which "
            f"{chosen.name} does not integrate. Give solver=sf.EulerMaruyama() for Ito, or "
            "solver=sf.StochasticHeun() for Stratonovich."
        )
    for population in noisy:
        refuse_shared(chosen, population.equations.noises, f"population {population.name!r}")
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
