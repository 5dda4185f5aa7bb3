"""The runs of the lab: one for each setting of its sliders, computed by one sweep.

All members have one structure and one wiring, and differ in numbers alone, so a sweep computes many
of them in one program; recordings need nothing that it does not give.
"""

# Annotations stay text: to evaluate them would load what `somaflow --help` must not wait for.
from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

import somaflow as sf
from somaflow.analysis import Spectrum, field_potential, power_spectrum
from somaflow.lab.lobe import SEED, Cells, driven, lobe

if TYPE_CHECKING:
    import xarray as xr

    from somaflow.storage.solution import SpikeTrains

Floats = NDArray[np.float64]

DURATION = 600.0  # ms
DT = 0.01  # ms, the step that the model is meant for
EVERY = 0.2  # ms between samples of a trace; a spike is some ten of them wide
_FIELD_EVERY = 1.0  # ms, as of `field_potential`
_TRACES, _FIELD = "shown.v", "field"


@dataclass(frozen=True)
class Axis:
    """What a slider sets.

    Attributes:
        name: The argument of `lobe`.
        values: What it can be, ascending.
    """

    name: str
    values: tuple[float, ...]


GRID = (
    Axis("strength", (0.0, 0.5, 1.0, 1.5, 2.0)),
    Axis("picrotoxin", (0.0, 0.6, 0.9, 1.0)),  # little happens before the last tenth
    Axis("second", (0.0, 0.5, 1.0)),
)


@dataclass(frozen=True, eq=False)
class Run:
    """What is shown of one run.

    Attributes:
        at: Its place on each axis of the grid.
        spikes: By the name of the population.
        traces: Voltages of the cells shown in mV, shape [n_cells, n_samples].
        field: The field potential, the mean voltage of the PNs, in mV, each ms.
        spectrum: Of the field while the odour is on.
        rates: By the name of the population, mean rate while the odour is on, in Hz.
    """

    at: tuple[int, ...]
    spikes: dict[str, SpikeTrains]
    traces: Floats
    field: Floats
    spectrum: Spectrum
    rates: dict[str, float]


@dataclass(frozen=True, eq=False)
class Lab:
    """What a page is made of.

    Attributes:
        grid: The axes.
        runs: One for each point of the grid.
        shown: The cells whose voltage is shown: population, cell and what drives it.
        driven: As of `lobe.driven`.
        sizes: Number of cells by the name of the population.
        odour: Onset and offset in ms.
        duration: Of each run in ms.
        every: ms between samples of a trace.
        told: Versions and settings of the sweep.
    """

    grid: tuple[Axis, ...]
    runs: tuple[Run, ...]
    shown: tuple[tuple[str, int, str], ...]
    driven: dict[tuple[str, str], Cells]
    sizes: dict[str, int]
    odour: tuple[float, float]
    duration: float
    every: float
    told: dict[str, str]


def computed(
    grid: tuple[Axis, ...] = GRID,
    duration: float = DURATION,
    pool: int | None = None,
    progress: bool = True,
) -> Lab:
    """Return the runs of the lab.

    Args:
        grid: The axes.
        duration: Biological time of each run in ms.
        pool: Processes; None for one on each core.
        progress: Whether a bar is shown.

    Raises:
        RunError: A run failed.
        Interrupted: It was asked to stop.
    """
    model = lobe(1.0, 0.0, 0.0)
    cells = driven(model)
    shown = _shown(cells, model.pn.size)

    def record(member: sf.models.AntennalLobe) -> list[sf.Recorder]:
        ms, pn, ln = sf.units.ms, member.pn, member.ln
        own = {"PN": pn, "LN": ln}
        traces = [
            own[name][[cell]]["v"].every(EVERY * ms).as_(f"{name}{cell}.{_TRACES}")
            for name, cell, _ in shown
        ]
        return [pn.spikes, ln.spikes, pn["v"].mean().every(_FIELD_EVERY * ms).as_(_FIELD), *traces]

    found = sf.sweep(
        lobe,
        {axis.name: list(axis.values) for axis in grid},
        duration * sf.units.ms,
        dt=DT * sf.units.ms,
        solver=sf.RK4(),
        seed=SEED,
        record=record,
        pool=pool,
        progress=progress,
    )
    failures = [str(text) for text in found["failure"].values.ravel() if text]
    if failures:
        raise sf.errors.RunError(f"{len(failures)} runs of the lab failed: {failures[0]}")
    odour = (model.odour[0], min(model.odour[1], duration))
    sizes = {"PN": model.pn.size, "LN": model.ln.size}
    return Lab(
        grid=grid,
        runs=tuple(_runs(found, grid, shown, sizes, odour)),
        shown=shown,
        driven=cells,
        sizes=sizes,
        odour=odour,
        duration=duration,
        every=EVERY,
        told={
            "version": str(found.attrs["versions"]["somaflow"]),
            "tensorflow": str(found.attrs["versions"]["tensorflow"]),
            "solver": str(found.attrs["solver"]),
            "dt": f"{DT:g}",
        },
    )


def _shown(cells: dict[tuple[str, str], Cells], size: int) -> tuple[tuple[str, int, str], ...]:
    """Return one PN for each way to be driven, the first of its kind, and one LN."""
    a, b = (set(cells[odour, "PN"].tolist()) for odour in "AB")
    kinds = {"A": a - b, "A+B": a & b, "B": b - a, "neither": set(range(size)) - a - b}
    first = [("PN", min(kind), name) for name, kind in kinds.items()]
    only = set(cells["A", "LN"].tolist()) - set(cells["B", "LN"].tolist())
    return (*first, ("LN", min(only), "A"))


def _runs(
    found: xr.Dataset,
    grid: tuple[Axis, ...],
    shown: tuple[tuple[str, int, str], ...],
    sizes: dict[str, int],
    odour: tuple[float, float],
) -> Iterator[Run]:
    for at in product(*(range(len(axis.values)) for axis in grid)):
        values = {axis.name: axis.values[k] for axis, k in zip(grid, at, strict=True)}
        member = found.sel(values)
        field = np.asarray(member[_FIELD].values, np.float64)
        traces = [member[f"{name}{cell}.{_TRACES}"].values.ravel() for name, cell, _ in shown]
        spikes = {name: sf.spikes_of(found, name, values) for name in sizes}
        during = field_potential(field, _FIELD_EVERY, odour[0])
        yield Run(
            at=at,
            spikes=spikes,
            traces=np.stack(traces),
            field=field,
            spectrum=power_spectrum(during if len(during) > 1 else field),
            rates={name: _rate(spikes[name], sizes[name], odour) for name in sizes},
        )


def _rate(spikes: SpikeTrains, size: int, odour: tuple[float, float]) -> float:
    span = odour[1] - odour[0]
    inside = np.count_nonzero((spikes.times >= odour[0]) & (spikes.times < odour[1]))
    return 1000.0 * inside / (size * span) if span > 0 else 0.0
