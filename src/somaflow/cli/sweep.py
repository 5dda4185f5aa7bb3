"""`somaflow sweep`: simulate a model many times, and write one store and one figure of all."""

# Annotations stay text: to evaluate sf.models.Model would load what `--help` must not wait for.
from __future__ import annotations

import functools
import inspect
import json
import os
import shutil
import time
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.table import Table

import somaflow as sf
from somaflow.cli import varying
from somaflow.cli.outcome import is_own_figure, write_figure
from somaflow.cli.place import command, find
from somaflow.cli.request import SHORT, entry, recorders
from somaflow.cli.run import as_notes, load
from somaflow.numerics.memory import in_words
from somaflow.quiet import late
from somaflow.running.cores import physical_cores
from somaflow.running.progress import span
from somaflow.simulation.clock import whole_steps
from somaflow.solvers import catalogue
from somaflow.storage.claim import claimed
from somaflow.storage.folder import Folder, beside, writing
from somaflow.storage.ownership import clear_beside_sweep, clear_store, sweep_of

if TYPE_CHECKING:
    import xarray as xr
    from rich.console import Console

    from somaflow.sweeping import execution
    from somaflow.sweeping import forecast as expected
    from somaflow.sweeping import sweep as facade
else:
    execution, expected, facade = map(
        late, (f"somaflow.sweeping.{name}" for name in ("execution", "forecast", "sweep"))
    )

_FORMAT = 1
_COMMAND = "command"
_DRAWN = 4  # variables at most in the figure that a sweep draws of itself


@dataclass(frozen=True)
class Sweep:
    """A sweep that was asked for on the command line.

    Attributes:
        model: A name of `sf.models.MODELS`.
        vary: What varies, as `varying.read` takes it.
        trials: How many runs each point has; None for one.
        parameters: A parameter set, or None for the model's first.
        duration: Biological time of each member in ms.
        dt: The step in ms.
        solver: A name of `catalogue.in_networks()`.
        dtype: `float64` or `float32`.
        seed: As of `Request`, where it does not vary.
        scale: As of `Request`.
        coherence: As of `Request`.
        reduce: What is kept of each member; None for its recordings.
        batch: How many members are rows of one program; None for what is best.
    """

    model: str
    vary: tuple[str, ...]
    trials: int | None
    parameters: str | None
    duration: float
    dt: float
    solver: str
    dtype: str
    seed: int
    scale: float | None
    coherence: float | None
    reduce: tuple[str, ...] | None
    batch: int | None

    def to_json(self) -> dict[str, Any]:
        """Return what is kept beside the result, so that it can go on."""
        return {"format": _FORMAT, **json.loads(json.dumps(asdict(self)))}

    @staticmethod
    def from_json(told: dict[str, Any], place: str) -> Sweep:
        """Return a sweep that was kept.

        Raises:
            StoreError: It is of another version, or damaged.
        """
        names = {field.name for field in fields(Sweep)}
        if told.get("format") != _FORMAT or told.keys() != {*names, "format"}:
            raise sf.errors.StoreError(
                f"{place} was begun by another version of somaflow, or what it tells is damaged."
            )
        kept = {name: told[name] for name in names}
        for name in ("vary", "reduce"):
            kept[name] = None if kept[name] is None else tuple(kept[name])
        return Sweep(**kept)


@dataclass(frozen=True)
class Way:
    """How a sweep is run.

    Attributes:
        out: The folder for results.
        processes: How many; None for one on each core.
        overwrite: Whether a sweep that is there may be replaced.
        quiet: Whether nothing is told on the way.
    """

    out: Path
    processes: int | None
    overwrite: bool
    quiet: bool


@dataclass(frozen=True)
class SweepReport:
    """What a sweep leaves.

    Attributes:
        numbers: The table, plain values for JSON.
        title: What was run.
        provenance: Where its parameters come from; empty where that is not known.
        store: Where the result is.
        figure: The picture, or None.
    """

    numbers: dict[str, Any]
    title: str
    provenance: str
    store: str
    figure: Path | None


def table(numbers: dict[str, Any]) -> Table:
    """Return what a sweep leaves as it is printed on a terminal."""
    grid = Table(show_header=False)
    grid.add_column(style="dim")
    grid.add_column(justify="right")
    grid.add_row("members", f"{numbers['members']:,}")
    grid.add_row("failed", f"{numbers['failed']:,}")
    for axis, count in numbers["axes"].items():
        grid.add_row(f"values of {axis}", f"{count:,}")
    grid.add_row("time", span(numbers["seconds"]))
    for name, found in numbers["ranges"].items():
        unit = "" if found["unit"] == "1" else f" {found['unit']}"
        grid.add_row(
            f"{name}, {found['window']}" if "window" in found else name,
            " to ".join(f"{end:g}" for end in found["ends"]) + unit if found["ends"] else "none",
        )
    return grid


def default_reduce(model: str) -> tuple[str, ...]:
    """Return what is kept of each member of a model, where nothing else is asked for."""
    known = entry(model)
    return ("rate", "lfp_peak") if known.build is sf.models.antennal_lobe else ("rate",)


def store_of(sweep: Sweep, way: Way) -> Path:
    """Return where the result goes."""
    return way.out / f"{sweep.model}-sweep.zarr"


def execute(sweep: Sweep, way: Way, console: Console) -> SweepReport:
    """Run a sweep, or go on with it, and draw its figure.

    Args:
        sweep: What was asked for.
        way: How it is run.
        console: Where things are told.

    Raises:
        SomaflowError: As `sf.sweep`.
        Interrupted: It was asked to stop.
    """
    store = store_of(sweep, way)
    figure = store.with_suffix(".png")
    if os.path.lexists(figure) and not is_own_figure(figure):
        raise sf.errors.StoreError(
            f"{figure} is not a figure that somaflow has drawn, so it is not replaced; move it, "
            "or choose another folder with --out."
        )
    request = asked(sweep, way, console)
    if way.overwrite:
        _clear(store)
    begin = time.perf_counter()
    with as_notes(console):
        result = execution.execute(request)
    model = _model(sweep)
    return _report(result, store, model.title, model.provenance, begin)


def plan(sweep: Sweep, way: Way, console: Console) -> dict[str, Any]:
    """Return what a sweep would need, and run nothing but a calibration of its first members.

    Bytes are the most that is expected: members that are rows of one program take less.

    Args:
        sweep: What was asked for.
        way: How it would be run.
        console: Where is said what takes long.

    Raises:
        SomaflowError: As `execute`.
    """
    request = asked(sweep, way, console)
    settings = request.settings
    request.members.check(settings)
    first, count = request.members.member(0), len(request.members)
    one = sf.plan(
        *(first.network, settings.duration),
        dt=settings.dt,
        solver=settings.solver,
        dtype=settings.dtype,
        seed=first.seed,
        record=first.record,
        initial=first.initial,
    )
    alone = execution.computes_here(request)
    processes = 1 if alone else min(way.processes or physical_cores(), count)
    seconds = compiling = None
    if one.run_seconds is None or one.compile_seconds is None:
        rows = execution.rows_for(request, execution.job(first, settings), processes)
    else:
        rows, compiling, seconds = expected.forecast(
            request, processes, one.compile_seconds, one.run_seconds
        )
    each = 8 * len(first.record) if sweep.reduce else one.recordings_in_memory
    # What is finished lies beside the result until that is whole.
    disk, free = 2 * count * each, shutil.disk_usage(_there(way.out)).free
    memory = one.memory * rows * processes
    fits = disk <= free and (one.free_memory is None or memory <= one.free_memory)
    return {
        "members": count,
        "axes": dict(zip(request.members.space.dims, request.members.space.shape, strict=True)),
        "processes": processes,
        "rows": rows,
        "compile_seconds": compiling,
        "run_seconds": seconds,
        "memory": memory,
        "free_memory": one.free_memory,
        "disk": disk,
        "free_disk": free,
        "fits": fits,
    }


def in_lines(needed: dict[str, Any]) -> str:
    """Return a plan as it is printed."""
    axes = " x ".join(f"{count} {name}" for name, count in needed["axes"].items())
    rows = [
        ("members", f"{needed['members']:,} ({axes})"),
        ("processes", f"{needed['processes']:,}, each of {needed['rows']:,} rows at a time"),
        ("memory", f"up to {in_words(needed['memory'])}{_of(needed['free_memory'])}"),
        ("disk", f"up to {in_words(needed['disk'])}{_of(needed['free_disk'])}"),
    ]
    if needed["run_seconds"] is not None:
        compiling = f"{span(needed['compile_seconds'])} of compiling in each process"
        rows.append(("time", f"about {span(needed['run_seconds'])}, and {compiling}"))
    lines = [f"{name:<12} {value}" for name, value in rows]
    return "\n".join([*lines, "It fits." if needed["fits"] else "It does not fit."])


def _of(free: int | None) -> str:
    return "" if free is None else f" of {in_words(free)} free"


def _there(path: Path) -> Path:
    return next(place for place in (path, *path.absolute().parents) if place.exists())


def resume(place: str, way: Way, console: Console) -> SweepReport:
    """Go on with a sweep that stopped.

    Args:
        place: Its store, or the folder that holds it.
        way: How it is run; its folder is that of the store.
        console: Where things are told.

    Raises:
        StoreError: There is no sweep, or it cannot go on from the command line.
        SomaflowError: As `sf.sweep`.
    """
    store = find(place)
    told = sweep_of(beside(store))
    if told is None:
        raise sf.errors.StoreError(
            f"{store} is a single run, not a sweep; go on with: {command('resume', store)}"
        )
    kept: Any = told["request"]
    if isinstance(kept, dict) and isinstance(kept.get(_COMMAND), dict):
        sweep = Sweep.from_json(kept[_COMMAND], store)
        return execute(sweep, replace(way, out=Path(store).parent), console)
    load(console, way.quiet)
    begin = time.perf_counter()
    with as_notes(console):
        result = sf.resume_sweep(store, pool=way.processes, progress=not way.quiet)
    return _report(result, Path(store), store, "", begin)


def asked(sweep: Sweep, way: Way, console: Console) -> execution.Request:
    """Return the sweep as `sf.sweep` would be asked for it, checked.

    Args:
        sweep: What was asked for.
        way: How it is run.
        console: Where is said what takes long.

    Raises:
        SomaflowError: As `sf.sweep`.
    """
    whole_steps(sweep.duration, sweep.dt, "duration")
    vary: Any = varying.read(sweep.vary)
    if not vary and sweep.trials is None:
        raise sf.errors.RunError(
            f"nothing varies; say what does, such as --vary seed=1:5, where {varying.GRAMMAR}."
        )
    model = _model(sweep)
    load(console, way.quiet)
    ms = sf.units.ms
    build = functools.partial(entry(sweep.model).build, **_options(sweep))
    arguments = inspect.signature(build).parameters
    record = recorders if sweep.reduce is None else measured
    request = facade.asked(
        model=build if any(name in arguments for name in vary) else model,
        vary=vary,
        duration=sweep.duration * ms,
        dt=sweep.dt * ms,
        solver=catalogue.in_networks()[sweep.solver].make(),
        dtype=sweep.dtype,
        seed=sweep.seed,
        trials=sweep.trials,
        record=record,
        initial=None,
        reduce=None if sweep.reduce is None else list(sweep.reduce),
        batch=sweep.batch,
        pool=way.processes,
        sink=store_of(sweep, way),
        progress=not way.quiet,
    )
    return replace(request, again={**request.again, _COMMAND: sweep.to_json()})


def measured(model: sf.models.Model) -> list[sf.Recorder]:
    """Return what reductions need of a model: its spikes, and the field potential if it has one."""
    kept = [recorder for recorder in recorders(model) if recorder.of_spikes]
    if isinstance(model, sf.models.AntennalLobe):
        kept.append(model.pn["v"].mean().every(SHORT * sf.units.ms))
    return kept


def _options(sweep: Sweep) -> dict[str, Any]:
    known = entry(sweep.model)
    options: dict[str, Any] = {"scale": sweep.scale, "coherence": sweep.coherence}
    given = {name: value for name, value in options.items() if value is not None}
    for name in given:
        if name not in known.takes:
            raise sf.errors.NetworkError(f"the model {sweep.model!r} takes no --{name}.")
    own = {"parameters": sweep.parameters or known.parameter_sets[0], "seed": sweep.seed}
    return own | given


def _model(sweep: Sweep) -> sf.models.Model:
    return entry(sweep.model).build(**_options(sweep))


def _clear(store: Path) -> None:
    """Remove a sweep that is there, and nothing else."""
    folder = beside(store)
    if folder.exists():
        with claimed(folder), writing(folder):
            clear_beside_sweep(folder)
    if store.exists():
        with writing(store):
            clear_store(Folder(store))


def _report(
    result: xr.Dataset, store: Path, title: str, provenance: str, begin: float
) -> SweepReport:
    """Draw a sweep and return what it leaves."""
    axes = result["failure"].dims
    numbers = {
        "members": int(result["failure"].size),
        "failed": int((result["failure"] != "").sum()),
        "axes": {str(axis): int(result.sizes[axis]) for axis in axes},
        "seconds": round(time.perf_counter() - begin, 3),
        "ranges": {},
    }
    drawn = [
        str(name)
        for name in sorted(map(str, result.data_vars))
        if result[name].dtype.kind in "iuf"
        and result[name].dims == axes
        and name != "seed"
        and not (name.endswith(".spikes.first") and f"{name[:-5]}count" in result)  # a place
    ]
    for name in drawn:
        values = result[name]
        known = bool(values.notnull().any())
        ends = [float(f"{float(end):.6g}") for end in (values.min(), values.max())] if known else []
        window = {"window": values.attrs["window"]} if "window" in values.attrs else {}
        unit = values.attrs.get("units", "1")
        numbers["ranges"][name] = {"unit": unit, "ends": ends, **window}
    figure = None
    if drawn:
        path = store.with_suffix(".png")
        try:
            picture = sf.plotting.sweep(result, drawn[:_DRAWN], title=title)
        except sf.errors.WrongTypeError:  # more axes than a figure has
            return SweepReport(numbers, title, provenance, str(store), None)
        figure = write_figure(picture, path, True, store)
    return SweepReport(numbers, title, provenance, str(store), figure)
