"""The arguments of `sf.simulate` and `sf.plan`, checked before TensorFlow is loaded."""

# Annotations stay text: `Solver` would load TensorFlow.
from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from somaflow.compiler.final import FinalState
from somaflow.errors import RunError, UnknownNameError, WrongTypeError, nearest
from somaflow.given import listed, shown
from somaflow.network.alongside import check_alongside
from somaflow.network.ending import read_ending
from somaflow.network.junctions import both_ways
from somaflow.network.network import Network
from somaflow.network.random import check_seed
from somaflow.network.recorder import Recorder, uncalled
from somaflow.running.between import Between, read_between
from somaflow.settings import Duration, float_type, method, positive
from somaflow.simulation.clock import whole_steps
from somaflow.storage.sinks import (
    REQUIRED,
    Measurable,
    MemorySink,
    Resumable,
    Sink,
    takes_values,
)
from somaflow.storage.store import ZarrSink

if TYPE_CHECKING:
    from somaflow.solvers.base import Solver

_DEFAULT_STRIDE = 100


class RunArguments(NamedTuple):
    """What a run was asked to be, checked as far as that needs no TensorFlow.

    Attributes:
        network: What to simulate.
        recorders: What to record.
        initial: Values in place of the models' own, or the state to go on from.
        n_steps: Its length.
        dt: The step in ms.
        solver: The method, or None.
        dtype: `"float64"` or `"float32"`.
        seed: Of all that is drawn.
        every: Biological time between checkpoints in steps, or None.
        sink: Where recordings go.
        between: The function that is called at intervals, or None.
        until: The condition at which it stops before its length, as text, or None.
    """

    network: Network
    recorders: tuple[Recorder, ...]
    initial: Mapping[str, Mapping[str, object]] | FinalState
    n_steps: int
    dt: float
    solver: Solver | None
    dtype: str
    seed: int
    every: int | None
    sink: Sink
    between: Between | None = None
    until: str | None = None


class Changes(NamedTuple):
    """What a run that goes on is to be other than it was asked for; None leaves it.

    Attributes:
        duration: Biological time of the whole run.
        checkpoint: Biological time between checkpoints.
        solver: The method, if it is not of this library.
        between: The function that the run calls at intervals, which is not stored.
    """

    duration: Duration | None = None
    checkpoint: Duration | None = None
    solver: Solver | None = None
    between: Between | None = None


def read(
    network: Network,
    duration: Duration,
    dt: Duration,
    solver: Solver | None,
    dtype: str,
    seed: int,
    record: Iterable[Recorder] | Recorder,
    initial: Mapping[str, Mapping[str, object]] | FinalState | None,
    sink: Sink | str | Path | None,
    checkpoint: Duration | None,
    between: Between | None = None,
    until: str | None = None,
) -> RunArguments:
    """Return the arguments of a run, each checked.

    Args, Raises: As for `simulate`.
    """
    target = read_sink(sink)
    if not isinstance(network, Network):
        raise WrongTypeError(f"simulate takes a sf.Network, not {shown(network)}.")
    step = positive(dt, "dt")
    n_steps = whole_steps(positive(duration, "duration"), step, "duration")
    chosen, floats = method(solver), float_type(dtype)
    recorders = read_recorders(network, record, step)
    if any(recorder.kept for recorder in recorders) and not takes_values(target):
        raise RunError(
            f"{shown(target)} takes the times and cells of spikes, and nothing that is kept with "
            "them: give its method spikes a fourth argument `values`, or leave with_() out."
        )
    every = None
    if checkpoint is not None:
        every = whole_steps(positive(checkpoint, "checkpoint"), step, "checkpoint")
    if initial is not None and not isinstance(initial, (Mapping, FinalState)):
        raise WrongTypeError(
            f"initial is a dict such as {{'PN': {{'v': ...}}}}, or run.final, not {shown(initial)}."
        )
    if every is not None and not isinstance(target, Resumable):
        raise RunError(
            "checkpoints lie beside a store, and this run has none: give sink='run.zarr', or "
            "leave checkpoint out."
        )
    start = {} if initial is None else initial
    number, called = check_seed(seed), read_between(between)
    if called is not None:
        whole_steps(called.interval, step, "the interval of between")
    if until is not None:
        read_ending(network, until)
    return RunArguments(
        network,
        recorders,
        start,
        n_steps,
        step,
        chosen,
        floats,
        number,
        every,
        target,
        between=called,
        until=until,
    )


def read_sink(sink: Sink | str | Path | None) -> Sink:
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


def read_recorders(network: Network, record: object, dt: float) -> tuple[Recorder, ...]:
    """Return the recorders of a run.

    Args:
        network: The network.
        record: A recorder, or several.
        dt: The step in ms.

    Raises:
        WrongTypeError: Something is no recorder.
        UnknownNameError, NetworkError: The network has no such variable, or no such cells.
        RunError: Two recordings have one name, or an interval is no whole number of steps.
    """
    several = [record] if isinstance(record, Recorder) else listed(record)
    if several is None:
        raise WrongTypeError(f"record is a list of recorders, not {shown(record)}.")
    recorders = tuple(several)
    for recorder in recorders:
        if not isinstance(recorder, Recorder):
            raise WrongTypeError(
                f"record takes recorders such as pn.spikes, pn['v'] or pn.rate(1*ms), not "
                f"{uncalled(recorder) or shown(recorder)}."
            )
        _check_recorder(network, recorder)
        steps_between(recorder, dt)
    keys = [recorder.key for recorder in recorders]
    for key in keys:
        if keys.count(key) > 1:
            raise RunError(
                f"two recordings are called {key!r}; give one of them a name of its own, such as "
                f".as_({key + '.other'!r})."
            )
    return recorders


def _check_recorder(network: Network, recorder: Recorder) -> None:
    name = recorder.variable
    if recorder.of_projection:
        owners = {str(p.name): p for p in both_ways(network.projections)}
        if recorder.owner not in owners:
            known = nearest(recorder.owner, owners)
            raise UnknownNameError(f"the network has no projection {recorder.owner!r}.{known}")
        owner = owners[recorder.owner]
        owner[name]
    else:
        owner = network.population(recorder.owner)
        if recorder.of_spikes:
            _ = owner.event(name) if recorder.of_event else owner.spikes  # say what is missing
            check_alongside(owner, recorder.kept)
        else:
            owner[name]
        if recorder.cells is not None:
            owner[recorder.cells]


def steps_between(recorder: Recorder, dt: float) -> int:
    """Return how many steps lie between two samples of a recorder.

    Raises:
        RunError: No whole number.
    """
    if recorder.interval is None:
        return 1
    return whole_steps(recorder.interval, dt, f"the recording interval of {recorder.key!r}")


def common_stride(recorders: tuple[Recorder, ...], dt: float) -> int:
    """Return the number of steps after which the state is looked at."""
    strides = [steps_between(r, dt) for r in recorders if not r.of_spikes]
    return math.gcd(*strides) if strides else _DEFAULT_STRIDE
