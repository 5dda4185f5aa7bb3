"""`somaflow run`: build a model, simulate it, and write its results and its figure."""

# Annotations stay text: to evaluate sf.Solution would load what `--help` must not wait for.
from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

import somaflow as sf
from somaflow.cli.progress import bar
from somaflow.cli.quiet import quiet
from somaflow.cli.report import summary

_SHORT, _LONG = 0.1, 1.0  # ms between samples
_SOLVERS = {"rk4": "RK4", "euler": "Euler"}


@dataclass(frozen=True)
class Request:
    """What was asked for on the command line.

    Attributes:
        model: A name of `sf.models.MODELS`.
        parameters: A parameter set, or None for the model's first.
        duration: Biological time in ms.
        dt: The step in ms.
        solver: `rk4` or `euler`.
        dtype: `float64` or `float32`.
        seed: Of the wiring, the drive, the initial values and the run.
        out: The folder for results.
        overwrite: Whether results that are there may be replaced.
    """

    model: str
    parameters: str | None
    duration: float
    dt: float
    solver: str
    dtype: str
    seed: int
    out: Path
    overwrite: bool

    @property
    def store(self) -> Path:
        """The Zarr store."""
        return self.out / f"{self.model}.zarr"

    @property
    def figure(self) -> Path:
        """The picture."""
        return self.out / f"{self.model}.png"


@dataclass(frozen=True)
class Result:
    """What a run leaves.

    Attributes:
        numbers: The table.
        title: What was run.
        provenance: Where its parameters come from.
    """

    numbers: dict[str, Any]
    title: str
    provenance: str


def execute(request: Request, console: Console) -> Result:
    """Run a model and write its results.

    Args:
        request: What was asked for.
        console: Where progress is shown.

    Returns:
        The numbers of the table, and what they belong to.

    Raises:
        UnknownNameError: There is no such model or parameter set.
        RunError: A dt or duration that cannot be.
        StoreError: The folder holds another run, or cannot be written.
        NonFiniteState: The step is too large. Nothing of that run is left.
    """
    if request.model not in sf.models.MODELS:
        raise sf.errors.UnknownNameError(
            f"there is no model {request.model!r}."
            f"{sf.errors.nearest(request.model, sf.models.MODELS)}"
        )
    entry = sf.models.MODELS[request.model]
    model = entry.build(request.parameters or entry.parameter_sets[0], request.seed)
    _refuse(request)
    made = _missing_folders(request.out)
    console.print("loading TensorFlow", style="dim")
    with quiet():
        simulate = sf.simulate
    try:
        with bar(console, request.duration) as progress:
            run = simulate(**_arguments(request, model), progress=progress)
    except sf.errors.NonFiniteState:
        # It cannot come before the store was made by this run. A figure of an earlier run would
        # now stand beside nothing.
        shutil.rmtree(request.store, ignore_errors=True)
        request.figure.unlink(missing_ok=True)
        _remove_empty(made)
        raise
    spectrum = _spectrum(run, model)
    figure = sf.plotting.response(run, spectrum, odour=model.odour, title=model.title)
    try:
        figure.savefig(request.figure, dpi=150)
    except OSError as error:
        raise sf.errors.StoreError(
            f"the figure {request.figure} cannot be written: {error.strerror or error}. "
            f"The results are in {request.store}."
        ) from error
    spikes = {name: len(run[f"{name}.spikes"]) for name in (model.pn.name, model.ln.name)}
    peak = None if spectrum is None else spectrum.peak
    numbers = summary(run.statistics, run.meta, spikes, peak)
    return Result(numbers, model.title, model.provenance)


def _arguments(request: Request, model: sf.models.Model) -> dict[str, Any]:
    """Return what `sf.simulate` is called with."""
    pn, ln, ms = model.pn, model.ln, sf.units.ms
    return {
        "network": model.network,
        "duration": request.duration * ms,
        "dt": request.dt * ms,
        "solver": getattr(sf, _SOLVERS[request.solver])(),
        "dtype": request.dtype,
        "seed": request.seed,
        "initial": model.initial,
        "record": [
            pn.spikes,
            ln.spikes,
            pn["v"].every(_LONG * ms),
            pn["v"].mean().every(_SHORT * ms),
            ln["v"].mean().every(_SHORT * ms),
        ],
        "sink": sf.ZarrSink(request.store, overwrite=request.overwrite),
    }


def _spectrum(run: sf.Solution, model: sf.models.Model) -> sf.analysis.Spectrum | None:
    """Return the spectrum of the field potential while the odour is on, if there is enough."""
    mean = run[f"{model.pn.name}.v.mean"]
    potential = sf.analysis.field_potential(mean, _SHORT, *model.odour)
    return sf.analysis.power_spectrum(potential) if len(potential) > 1 else None


def _refuse(request: Request) -> None:
    """Refuse a folder with another run at once, before anything heavy is loaded."""
    if request.overwrite:
        return
    for path in (request.store, request.figure):
        if path.exists():
            raise sf.errors.StoreError(
                f"{path} is there already: {request.out} holds another run. Choose another "
                "folder with --out, or replace that run with --overwrite."
            )


def _missing_folders(folder: Path) -> list[Path]:
    """Return a folder and its parents as far as they do not exist, the innermost first."""
    return [path for path in (folder, *folder.parents) if not path.exists()]


def _remove_empty(folders: list[Path]) -> None:
    for folder in folders:
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
