"""What a finished run leaves: its table and its figure."""

# Annotations stay text: to evaluate sf.Solution would load what `--help` must not wait for.
from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import somaflow as sf
from somaflow.cli.report import Numbers, summary
from somaflow.cli.request import SHORT

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_WHOLE = 2000.0  # ms; a run up to this long is drawn from its start to its end
_BEFORE, _AFTER = 500.0, 1000.0  # ms that are drawn around the odour of a longer one
_MOST = 10_000.0  # ms
_DECIDED = 200.0  # ms at the end of the motion in which a decision is read
_SHOWN = 500.0  # ms at the end of a run of a microcircuit that are drawn
_MARK = "somaflow"  # in a figure, so that no picture of anybody else is replaced
_HEAD = 1000  # bytes of a figure within which the mark stands


@dataclass(frozen=True)
class Report:
    """What a run leaves.

    Attributes:
        numbers: The table.
        title: What was run.
        provenance: Where its parameters come from; empty where that is not known.
        store: Where the recordings are.
        figure: The picture, or None.
    """

    numbers: Numbers
    title: str
    provenance: str
    store: str
    figure: Path | None


def of_model(run: sf.Solution, model: sf.models.Model, store: Path, begun: float = 0.0) -> Report:
    """Draw the figure of a model's run beside its store, and return all that it leaves.

    Args:
        run: The run.
        model: The model.
        store: Where the recordings are.
        begun: Biological time in ms at which this process began.

    Raises:
        StoreError: The figure cannot be written.
    """
    path = store.with_suffix(".png")
    foreign = os.path.lexists(path) and not is_own_figure(path)
    if foreign and begun < run.duration:
        raise sf.errors.StoreError(
            f"{path} is not a figure that a run has drawn, so it is not replaced; move it, and "
            f"`somaflow resume` draws one. The results are in {store}."
        )
    numbers = summary(run.statistics, run.meta, run.duration - begun)
    if isinstance(model, sf.models.CorticalMicrocircuit):
        numbers["rates_hz"] = _rates(run, model)
        figure = None if foreign else _rasters(run, model)
    elif isinstance(model, sf.models.Decision):
        numbers["rates_hz"] = _rates(run, model)
        numbers["decision_hz"] = _decision(run, model)
        figure = None if foreign else _competition(run, model)
    else:
        spectrum = _spectrum(run, model)
        peak = None if spectrum is None else spectrum.peak
        numbers["lfp_peak_hz"] = None if peak is None else round(peak, 2)
        figure = None if foreign else _response(run, model, spectrum)
    drawn = None if figure is None else write_figure(figure, path, begun < run.duration, store)
    return Report(numbers, model.title, model.provenance, str(store), drawn)


def write_figure(figure: Figure, path: Path, needed: bool, store: Path) -> Path | None:
    """Write a figure, and return where it is, if it is there.

    Args:
        figure: The figure.
        path: Where to.
        needed: Whether it is an error that it cannot be written.
        store: The results that it is of.

    Raises:
        StoreError: It cannot be written.
    """
    try:
        figure.savefig(path, dpi=150, metadata={"Software": _MARK})
    except OSError as error:
        if needed:
            raise sf.errors.StoreError(
                f"the figure {path} cannot be written: {error.strerror or error}. "
                f"The results are in {store}."
            ) from error
        return path if path.exists() else None  # nothing was computed, the place is only read
    return path


def _response(
    run: sf.Solution, model: sf.models.AntennalLobe, spectrum: sf.analysis.Spectrum | None
) -> Figure:
    return sf.plotting.response(
        run,
        spectrum,
        odour=model.odour,
        title=model.title,
        window=window(run.duration, model.odour),
    )


def _rasters(run: sf.Solution, model: sf.models.CorticalMicrocircuit) -> Figure:
    names = [population.name for population in model.network.populations]
    start = max(0.0, run.duration - _SHOWN)
    return sf.plotting.rasters(run, names, title=model.title, window=(start, run.duration))


def _competition(run: sf.Solution, model: sf.models.Decision) -> Figure:
    return sf.plotting.competition(
        run,
        list(model.groups),
        title=model.title,
        window=(0.0, min(run.duration, _MOST)),
        shaded=model.motion,
    )


def _decision(run: sf.Solution, model: sf.models.Decision) -> dict[str, float] | None:
    """Return the rates of the groups while the motion ends; None if the run ends before that."""
    stop = model.motion[1]
    if run.duration < stop:
        return None
    trains = {name: run.read(f"{name}.spikes", stop - _DECIDED, stop) for name in model.groups}
    return {name: float(f"{train.rates().mean():.4g}") for name, train in trains.items()}


def _rates(
    run: sf.Solution, model: sf.models.CorticalMicrocircuit | sf.models.Decision
) -> dict[str, float]:
    sizes = {population.name: population.size for population in model.network.populations}
    counts = run.statistics["spikes"]
    return {
        name: float(f"{counts[name] / size / (run.duration / 1000):.4g}")
        for name, size in sizes.items()
    }


def is_own_figure(path: Path) -> bool:
    """Return whether there is a figure that a run has drawn."""
    try:
        if path.is_symlink():
            return False
        with path.open("rb") as file:
            head = file.read(_HEAD)
    except OSError:
        return False
    return head.startswith(b"\x89PNG") and f"Software\0{_MARK}".encode() in head


def of_any(run: sf.Solution, store: str, begun: float = 0.0) -> Report:
    """Return what a run leaves of which no model is known: a table without a figure.

    Args:
        run: The run.
        store: Where the recordings are.
        begun: Biological time in ms at which this process began.
    """
    numbers = summary(run.statistics, run.meta, run.duration - begun)
    return Report(numbers, store, "", store, None)


def window(duration: float, odour: tuple[float, float]) -> tuple[float, float] | None:
    """Return the part of a run that is drawn, so that a figure costs the same for any length.

    Args:
        duration: Of the run in ms.
        odour: Onset and offset of the odour in ms.

    Returns:
        Start and stop in ms, at most 10 s apart; None for all of a run of up to 2 s.
    """
    if duration <= _WHOLE:
        return None
    start = math.floor(max(0.0, min(odour[0] - _BEFORE, duration - _WHOLE)))
    stop = min(duration, start + _MOST, max(odour[1] + _AFTER, start + _WHOLE))
    return float(start), stop


def _spectrum(run: sf.Solution, model: sf.models.AntennalLobe) -> sf.analysis.Spectrum | None:
    """Return the spectrum of the field potential while the odour is on, if there is enough."""
    onset, offset = model.odour
    first = math.floor(onset)  # a whole ms, at which the field potential has a sample
    if first >= run.duration:
        return None
    mean = run.read(f"{model.pn.name}.v.mean", first, offset)
    potential = sf.analysis.field_potential(mean, SHORT, onset - first, offset - first)
    return sf.analysis.power_spectrum(potential) if len(potential) > 1 else None
