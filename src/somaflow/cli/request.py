"""What was asked for on the command line, and how it is kept beside the results."""

# Annotations stay text: to evaluate sf.models.Model would load what `--help` must not wait for.
from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

import somaflow as sf
from somaflow.given import parsed
from somaflow.solvers import catalogue
from somaflow.storage.folder import REQUEST, Folder

if TYPE_CHECKING:
    from somaflow.settings import Duration
    from somaflow.solvers.base import Solver

SHORT, LONG = 0.1, 1.0  # ms between samples
_FORMAT = 1


@dataclass(frozen=True)
class Request:
    """What was asked for on the command line.

    Attributes:
        model: A name of `sf.models.MODELS`.
        parameters: A parameter set, or None for the model's first.
        duration: Biological time in ms.
        dt: The step in ms.
        solver: A name of `catalogue.in_networks()`.
        dtype: `float64` or `float32`.
        seed: Of the wiring, the drive, the initial values and the run.
        scale: The share of the model's cells; None for all.
        coherence: Of the motion that the model sees, in percent; None for the model's own.
        out: The folder for results.
        overwrite: Whether results that are there may be replaced.
        checkpoint: Biological time from a checkpoint to the next in ms; None for those at the
            start and the end alone.
        quiet: Whether nothing is told on the way.
        workers: How many processes compute the run; None for as many as a launcher has started.
    """

    model: str
    parameters: str | None
    duration: float
    dt: float
    solver: str
    dtype: str
    seed: int
    out: Path
    scale: float | None = None
    coherence: float | None = None
    overwrite: bool = False
    checkpoint: float | None = None
    quiet: bool = False
    workers: int | None = None

    @property
    def store(self) -> Path:
        """The Zarr store."""
        return self.out / f"{self.model}.zarr"

    @property
    def figure(self) -> Path:
        """The picture."""
        return self.out / f"{self.model}.png"

    def build(self) -> sf.models.Model:
        """Return the model.

        Raises:
            SomaflowError: As `build`.
        """
        options = {"scale": self.scale, "coherence": self.coherence}
        return build(self.model, self.parameters, self.seed, **options)

    def text(self) -> bytes:
        """Return what is kept beside the results, so that their figure can be drawn again."""
        record = {
            "format": _FORMAT,
            "model": self.model,
            "parameters": self.parameters,
            "duration_ms": self.duration,
            "dt_ms": self.dt,
            "solver": self.solver,
            "dtype": self.dtype,
            "seed": self.seed,
            "scale": self.scale,
            "coherence": self.coherence,
            "checkpoint_ms": self.checkpoint,
        }
        return (json.dumps(record, indent=2) + "\n").encode()


def entry(model: str) -> sf.models.ModelEntry:
    """Return what the list of models says of one.

    Raises:
        UnknownNameError: There is no such model.
    """
    if model not in sf.models.MODELS:
        raise sf.errors.UnknownNameError(
            f"there is no model {model!r}.{sf.errors.nearest(model, sf.models.MODELS)}"
        )
    return sf.models.MODELS[model]


def build(
    model: str, parameters: str | None, seed: int, **options: float | None
) -> sf.models.Model:
    """Build a model by its name.

    Args:
        model: Its name.
        parameters: A parameter set; None for its first.
        seed: Keys every random choice.
        options: What only some models take, such as `scale`; None where it was not asked for.

    Raises:
        UnknownNameError: There is no such model or parameter set.
        WrongTypeError: The seed is not a whole number from 0 on.
        NetworkError: The model does not take an option, or not so.
    """
    known = entry(model)
    given = {name: value for name, value in options.items() if value is not None}
    for name in given:
        if name not in known.takes:
            can = [other for other, entry in sf.models.MODELS.items() if name in entry.takes]
            raise sf.errors.NetworkError(
                f"the model {model!r} takes no --{name}; of the models {' and '.join(can)} "
                f"{'does' if len(can) == 1 else 'do'}."
            )
    return known.build(parameters or known.parameter_sets[0], seed, **given)


def kept_model(folder: Folder) -> sf.models.Model | None:
    """Return the model of a run that the command line began; None of any other run.

    Args:
        folder: The folder beside the results.

    Raises:
        UnknownNameError: This version of somaflow has no such model.
        StoreError: What was kept cannot be read.
    """
    try:
        record = parsed(folder.read(REQUEST))
        if record["format"] != _FORMAT:
            raise sf.errors.StoreError(
                f"{folder}/{REQUEST} has format {record['format']!r}; this version reads {_FORMAT}."
            )
        options = {name: record.get(name) for name in ("scale", "coherence")}
        return build(record["model"], record["parameters"], record["seed"], **options)
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        if isinstance(error, sf.errors.SomaflowError):
            raise
        raise sf.errors.StoreError(f"{folder}/{REQUEST} is damaged; remove it to go on.") from error


class Arguments(TypedDict):
    """What `sf.simulate` and `sf.plan` are called with; times are quantities."""

    network: sf.Network
    duration: Duration
    dt: Duration
    solver: Solver
    dtype: str
    seed: int
    initial: dict[str, dict[str, object]]
    record: list[sf.Recorder]
    sink: sf.ZarrSink
    checkpoint: Duration | None
    workers: int | None


def arguments(request: Request, model: sf.models.Model) -> Arguments:
    """Return what `sf.simulate` and `sf.plan` are called with."""
    ms = sf.units.ms
    sink = sf.ZarrSink(request.store, overwrite=request.overwrite)
    sink.notes[REQUEST] = request.text()
    return {
        "network": model.network,
        "duration": request.duration * ms,
        "dt": request.dt * ms,
        "solver": catalogue.in_networks()[request.solver].make(),
        "dtype": request.dtype,
        "seed": request.seed,
        "initial": model.initial,
        "record": recorders(model),
        "sink": sink,
        "checkpoint": None if request.checkpoint is None else request.checkpoint * ms,
        "workers": request.workers,
    }


def recorders(model: sf.models.Model) -> list[sf.Recorder]:
    """Return what is recorded of a model: all spikes, and what its figure needs."""
    spikes = [population.spikes for population in model.network.populations]
    if isinstance(model, sf.models.CorticalMicrocircuit):
        return spikes
    if isinstance(model, sf.models.Decision):
        groups = model.groups.items()
        return [*spikes, *(cells.spikes.as_(f"{name}.spikes") for name, cells in groups)]
    pn, ln, ms = model.pn, model.ln, sf.units.ms
    return [
        *spikes,
        pn["v"].every(LONG * ms),
        pn["v"].mean().every(SHORT * ms),
        ln["v"].mean().every(SHORT * ms),
    ]
