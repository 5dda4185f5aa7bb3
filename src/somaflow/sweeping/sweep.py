"""The facade of sweeps: `sweep`, `resume_sweep`, and `spikes_of` for one member's spike trains.

Arguments are checked before TensorFlow is loaded, which takes seconds.
"""

# Annotations stay text: `Solver` would load TensorFlow.
from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Executor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pint
import xarray as xr

from somaflow import given, units
from somaflow.elsewhere import checked
from somaflow.errors import (
    RunError,
    StoreError,
    UnitError,
    UnknownNameError,
    WrongTypeError,
    nearest,
)
from somaflow.given import is_among, is_whole, shown
from somaflow.network.recorder import Recorder, uncalled
from somaflow.quiet import late
from somaflow.running.progress import check_progress
from somaflow.settings import Duration, float_type, method, positive
from somaflow.simulation.clock import whole_steps
from somaflow.storage.folder import beside
from somaflow.storage.ownership import sweep_of
from somaflow.storage.solution import SpikeTrains
from somaflow.sweeping.members import Members
from somaflow.sweeping.place import place_of
from somaflow.sweeping.reductions import Reduce
from somaflow.sweeping.space import Vary, read_space
from somaflow.units import ms

if TYPE_CHECKING:
    from somaflow.solvers.base import Solver
    from somaflow.sweeping import again, execution, task
else:
    again, execution, task = map(
        late, (f"somaflow.sweeping.{name}" for name in ("again", "execution", "task"))
    )

_SPIKES = ".spikes"
_MOST = 10_000_000  # members: what is known of each stays in memory
_NEAR = 1e-9  # relative; a value that was computed in another way is the same axis value


def asked(
    model: object,
    vary: Vary,
    duration: Duration,
    dt: Duration,
    solver: Solver | None,
    dtype: str,
    seed: int,
    trials: int | None,
    record: Iterable[Recorder] | Recorder | Callable[[Any], object],
    initial: Mapping[str, Mapping[str, object]] | None,
    reduce: Reduce | None,
    batch: int | None,
    pool: Executor | int | None,
    sink: str | Path | None,
    progress: bool | Callable[[Any], None],
) -> execution.Request:
    """Return a sweep that was asked for, checked as far as that needs no TensorFlow.

    The arguments are those of `sweep`.

    Raises:
        SomaflowError: As `sweep`.
    """
    check_progress(progress, "sf.SweepProgress")
    step = positive(dt, "dt")
    whole_steps(positive(duration, "duration"), step, "duration")
    chosen, floats = method(solver), float_type(dtype)
    if batch is not None and (not is_whole(batch) or batch < 1):
        raise RunError(f"batch is a number of members, 1 or more, not {shown(batch)}.")
    _check_pool(pool)
    path = place_of(sink)
    function = callable(record) and not isinstance(record, type) and given.takes_one(record)
    recorders = record if function else _recorders(record)
    space = read_space(vary, trials)
    if (count := math.prod(space.shape)) > _MOST:
        raise RunError(
            f"a sweep has at most {_MOST:,} members, and this one has {shown(count)}; sweep parts "
            "of it, each to a sink of its own."
        )
    members = Members(model, space, recorders, initial, seed)
    common = task.Settings(duration, dt, chosen, floats, reduce)
    kept = again.to_json(model, space, recorders, initial, seed, common, batch)
    return execution.Request(members, common, batch, pool, path, kept, progress)


@checked
def sweep(
    model: object,
    vary: Vary,
    duration: Duration,
    *,
    dt: Duration = 0.01 * ms,
    solver: Solver | None = None,
    dtype: str = "float64",
    seed: int = 0,
    trials: int | None = None,
    record: Iterable[Recorder] | Recorder | Callable[[Any], object] = (),
    initial: Mapping[str, Mapping[str, object]] | None = None,
    reduce: Reduce | None = None,
    batch: int | None = None,
    pool: Executor | int | None = None,
    sink: str | Path | None = None,
    progress: bool | Callable[[Any], None] = True,
) -> xr.Dataset:
    """Simulate a model many times, with other parameters, inputs, wirings or seeds.

    Each member has the same bits, however many others are computed beside it, wherever, and in
    whatever order. They are those of `sf.simulate`, but for the last digit of leaky integrators
    under RK4 (docs/howto/sweeps.md).

    A sweep with a `sink` keeps each member on the disk as it ends. Stopped at any moment, it goes
    on when it is called again with the same arguments; members that failed are then run again.
    When all are finished the call returns the result, and computes nothing. A sweep that has begun
    cannot be made longer, by more trials or values: it is another one then.

    Args:
        model: A network; something that has one as `network`, and maybe initial values as
            `initial`; or a function that returns one of these, whose arguments can vary.
        vary: What varies, and its values. A dict is a grid, each value with each other one:
            `{"PN.g_na": [90, 100]*mS/cm**2, ("LN_to_PN", "weight"): [...], "seed": range(20)}`.
            A list of dicts is a list of points; a pandas DataFrame, or a pair of names and an array
            of shape [n_points, n_names], is a table of them. Names are those of the parts of the
            network and of what they have, or arguments of the function; `"seed"` is that of the
            run.
        duration: Biological time of each member; a whole number of steps.
        dt: The step.
        solver: A fixed-step method; default `RK4()`.
        dtype: `"float64"` or `"float32"`.
        seed: Of all that is drawn during a run, where `"seed"` does not vary.
        trials: How many runs each point has, with seeds of their own; trial 0 has `seed`. None for
            one, without an axis.
        record: Recorders, or a function that returns them of the network; default the spikes of all
            populations.
        initial: Initial values in place of the models' own, as for `sf.simulate`.
        reduce: What is made of each member, and kept in place of its recordings: `"rate"`,
            `"count"`, `"cv"`, `"lfp_peak"`, several of these, or a function that is given the
            `sf.Solution` of a member and returns a number, an array, a dataset or a dict of them.
            Whether a sweep that goes on has the same function is told by its code and the numbers
            in its closure and defaults; what it calls is not looked at.
        batch: How many members are rows of one program; None for as many as are best.
        pool: Where members are computed: None for a process on each core, or this process where it
            has a GPU; a number of processes; or any `concurrent.futures.Executor`, which is left
            open.
        sink: The path of the result, a new folder, which xarray opens as a Zarr store; None for
            memory. Beside it, in a folder of the same name and `.run`, lie finished members and the
            log.
        progress: True for a bar in a terminal or a notebook and plain lines in a log, False for
            silence, or a function, which is given a `sf.SweepProgress` as members end.

    Returns:
        A dataset whose first dimensions are what varies, in its order, then `trial`; of a list of
        points or a table it is `point`. Of each recording, such as `PN.v`, an array of shape
        [axes..., n_samples, n_cells] with its unit. Of spikes `PN.spikes.count` [axes...], and the
        spikes of all members one after another, `PN.spikes.times` (ms) and `PN.spikes.cells`, of
        which `sf.spikes_of` returns those of one. `failure` [axes...] says why a member failed, and
        is empty where it did not; numbers of one that failed are NaN, and whole numbers become
        float64 beside them. With a sink, numbers are read when they are asked for.

    Raises:
        UnknownNameError: There is nothing of a name that varies.
        UnitError: Values are in a unit that does not fit.
        RunError: A dt, duration or value that cannot be, a member that cannot be built (the message
            has its coordinates), a pool that is shut, or more memory needed than is free.
        NetworkError: A synapse of a form that cannot be computed.
        WrongTypeError: An argument is of a kind that cannot be used.
        StoreError: The sink is of another sweep or of something else, or cannot be written, or its
            disk is too small or full. Finished members stay.
        Interrupted: A signal asked to stop. It is a `KeyboardInterrupt`. Finished members stay.

    Warns:
        SomaflowWarning: Members failed.

    Example:
        ::

            cells = sf.Population("cells", 10, sf.load("lif"))
            clamp = sf.Stimulus(cells, sf.Step(0.3 * nA), name="clamp")
            rates = sf.sweep(
                sf.Network(cells, clamp),
                {"clamp.amplitude": [0.2, 0.4, 0.6] * nA},
                200 * ms,
                reduce="rate",
            )
            rates["cells.rate"]  # Hz, along `clamp.amplitude`
    """
    return execution.execute(
        asked(
            *(model, vary, duration, dt, solver, dtype, seed, trials, record, initial, reduce),
            *(batch, pool, sink, progress),
        )
    )


@checked
def resume_sweep(
    path: str | Path,
    *,
    pool: Executor | int | None = None,
    progress: bool | Callable[[Any], None] = True,
) -> xr.Dataset:
    """Go on with a sweep that stopped, without the script that began it.

    What was swept is read from the folder beside the result. That is possible where the model is a
    network, values are numbers or quantities, `reduce` and `solver` are of this library, and
    `record` is no function; else `sf.sweep` is called again as it was.

    Args:
        path: The result, as `sf.sweep(sink=...)` was given it.
        pool: Where members are computed, as for `sf.sweep`.
        progress: As for `sf.sweep`.

    Returns:
        As `sf.sweep`.

    Raises:
        StoreError: There is no sweep there, or something of it was not kept; the message says what.
        RunError, Interrupted: As `sf.sweep`.
    """
    check_progress(progress, "sf.SweepProgress")
    _check_pool(pool)
    sink = place_of(path)
    told = None if sink is None else sweep_of(beside(sink))
    if told is None:
        raise StoreError(f"there is no sweep at {path}: nothing beside it tells of one.")
    arguments = again.from_json(told["request"], str(path))
    return sweep(**arguments, pool=pool, sink=path, progress=progress)


def spikes_of(result: xr.Dataset, key: str, at: Mapping[str, object] | None = None) -> SpikeTrains:
    """Return the spike trains of one member of a sweep; of a store no others are read.

    Args:
        result: What `sf.sweep` returned, or what xarray opened; it may be a part of that, chosen by
            `sel` or `isel`.
        key: The recording, `"PN.spikes"`, or the population, `"PN"`.
        at: The member, by its value on each axis: `{"LN_to_PN.g": 0.2, "seed": 3}`; a quantity, or
            a number in the axis' unit. What `point` has is a number from 0 on. An axis of one value
            may be left out.

    Returns:
        Its spikes, as `sf.simulate(...)["PN.spikes"]`. Those of a member that failed are none.

    Raises:
        UnknownNameError: No such spikes were recorded, or there is no such axis.
        RunError: No member is there, or an axis is missing.
        WrongTypeError: The result is no dataset.
    """
    if not isinstance(result, xr.Dataset):
        raise WrongTypeError(f"spikes_of takes what sf.sweep returned, not {shown(result)}.")
    if not isinstance(key, str):
        raise WrongTypeError(f"key is a text such as 'PN', not {shown(key)}.")
    known = [
        name.removesuffix(".count")
        for name in map(str, result.variables)
        if name.endswith(".count") and f"{name.removesuffix('count')}first" in result.variables
    ]
    name = f"{key}{_SPIKES}" if is_among(f"{key}{_SPIKES}", known) else key
    if not is_among(name, known):
        hint = nearest(key, known) or " This result has no spikes."
        raise UnknownNameError(f"the spikes {shown(key)} were not kept.{hint}")
    counts = result[f"{name}.count"]
    place = _place(counts, {} if at is None else at)
    first, count = (float(result[f"{name}.{part}"].isel(place)) for part in ("first", "count"))
    first, count = int(first), 0 if math.isnan(count) else int(count)  # NaN where it failed
    rows = {f"{name}.spike": slice(first, first + count)}
    times, cells = (result[f"{name}.{part}"].isel(rows) for part in ("times", "cells"))
    if f"{name}.cell" not in result.variables:  # a function chose what is kept
        raise UnknownNameError(f"which cells {name!r} was recorded of was not kept with it.")
    recorded = np.asarray(result[f"{name}.cell"].values, np.int64)
    chosen = None if np.array_equal(recorded, np.arange(len(recorded))) else recorded
    kept = {
        str(part).removeprefix(f"{name}."): (part_values.values, part_values.attrs["units"])
        for part, part_values in result.isel(rows).data_vars.items()
        if part_values.dims == (f"{name}.spike",) and part not in (times.name, cells.name)
    }
    batch = tuple(counts.attrs.get("batch", ()))
    told = result.attrs
    span = float(told["duration_ms"])
    return SpikeTrains(
        np.asarray(times.values),
        np.asarray(cells.values),
        *(len(recorded), span, chosen, batch, float(told["start_ms"]), kept),
    )


def _place(counts: xr.DataArray, at: Mapping[str, object]) -> dict[str, int]:
    """Return the index on each axis of a member."""
    axes = [str(axis) for axis in counts.dims]
    if not isinstance(at, Mapping):
        raise WrongTypeError(f"at is a dict such as {{'seed': 3}}, not {shown(at)}.")
    names = {_named(key): value for key, value in at.items()}
    for name in names:
        if name not in axes:
            raise UnknownNameError(f"the sweep has no axis {shown(name)}.{nearest(name, axes)}")
    place = {}
    for axis in axes:
        if axis in names:
            place[axis] = _along(counts, axis, names[axis])
        elif counts.sizes[axis] == 1:
            place[axis] = 0
        else:
            raise RunError(f"which member is meant? Give at={{{axis!r}: ...}} too.")
    return place


def _named(key: object) -> object:
    return ".".join(map(str, key)) if isinstance(key, tuple) else key


def _along(counts: xr.DataArray, axis: str, value: object) -> int:
    """Return where on an axis a value is."""
    size = counts.sizes[axis]
    if axis not in counts.coords:
        if is_whole(value) and 0 <= int(value) < size:  # type: ignore[call-overload]
            return int(value)  # type: ignore[call-overload]
        raise RunError(f"{axis} is a number from 0 to {size - 1}, not {shown(value)}.")
    labels = counts.coords[axis]
    unit = labels.attrs.get("units", "1")
    if isinstance(value, pint.Quantity):
        value = _in_unit(value, unit, axis)
    values = labels.values
    if values.dtype.kind in "iuf" and given.is_number(value):
        found = np.flatnonzero(np.isclose(values, float(value), _NEAR, 0.0))  # type: ignore
    elif isinstance(value, (str, bool)):
        found = np.flatnonzero([one == value for one in values.tolist()])
    else:
        found = np.zeros(0)
    if not len(found):
        some = ", ".join(f"{one:.10g}" if isinstance(one, float) else str(one)
                         for one in values[:8].tolist())  # fmt: skip
        more = ", ..." if size > 8 else ""
        raise RunError(f"{shown(value)} is no value of {axis!r}: it has {some}{more} ({unit}).")
    return int(found[0])


def _in_unit(value: pint.Quantity, unit: str, axis: str) -> float:
    try:
        return float(value.to(units.parse_unit(unit)).magnitude)
    except (pint.DimensionalityError, TypeError) as error:
        raise UnitError(f"{axis!r} is in {unit}, and {shown(value)} is not.") from error


def _recorders(record: object) -> list[Recorder]:
    """Return recorders.

    Raises:
        WrongTypeError: Something is none.
    """
    several = [record] if isinstance(record, Recorder) else given.listed(record)
    for one in [record] if several is None else several:
        if not isinstance(one, Recorder):
            raise WrongTypeError(
                "record takes recorders such as pn.spikes or pn['v'], or a function that returns "
                f"them of the network, not {uncalled(one) or shown(one)}."
            )
    return several or []


def _check_pool(pool: object) -> None:
    """Refuse what is no pool.

    Raises:
        WrongTypeError, RunError: So it is.
    """
    if pool is None or isinstance(pool, Executor):
        return
    if not is_whole(pool):
        hint = " Write pool=client.get_executor()." if given.has(pool, "get_executor") else ""
        raise WrongTypeError(
            "pool is a number of processes or a concurrent.futures.Executor, not "
            f"{shown(pool)}.{hint}"
        )
    if pool < 1:  # type: ignore[operator]
        raise RunError(f"pool is {pool}; a sweep needs at least one process.")
