"""The page: the runs of the lab and what draws them, in one file that needs nothing else."""

import json
import os
from dataclasses import asdict
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from somaflow.errors import StoreError
from somaflow.lab.lobe import SECOND_SEED, SEED
from somaflow.lab.packing import Scale, packed_spikes
from somaflow.lab.runs import DT, Lab, Run, computed
from somaflow.storage.folder import probe, replace_file, writing

NAME = "antennal-lobe.html"
MARK = '<meta name="generator" content="somaflow lab">'
_HEAD = 1000  # characters of a page among which the mark stands
_HIGHEST = 100.0  # Hz, of the spectra


def written(folder: Path) -> Path:
    """Compute the runs of the lab and write its page to a folder, which is made if it is missing.

    Args:
        folder: The folder.

    Returns:
        The page.

    Raises:
        StoreError: It cannot be written, or another file stands in its place; nothing was computed.
        RunError: A run failed.
        Interrupted: It was asked to stop.
    """
    page = place_in(folder)
    text = html(computed())
    _check_own(page)  # another may have come while the runs were computed
    with writing(page):
        replace_file(page, text.encode())
    return page


def place_in(folder: Path) -> Path:
    """Return where the page goes, after a look whether it can be written there.

    Raises:
        StoreError: It cannot.
    """
    page = folder / NAME
    if folder.exists() and not folder.is_dir():
        raise StoreError(f"{folder} is a file; --static takes a folder, in which {NAME} is made.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"{page} cannot be written: {error.strerror or error}.") from error
    probe(folder, page)
    _check_own(page)
    return page


def _check_own(page: Path) -> None:
    if os.path.lexists(page) and not _is_own(page):
        raise StoreError(
            f"{page} is not a page that somaflow has made, so it is not replaced; move it, or "
            "choose another folder."
        )


def html(lab: Lab) -> str:
    """Return the page as text."""
    template = resources.files("somaflow.lab").joinpath("template.html").read_text("utf-8")
    settings = {**lab.told, "seed": str(SEED), "second": str(SECOND_SEED), "runs": len(lab.runs)}
    for name, value in settings.items():
        template = template.replace(f"[[{name}]]", str(value))
    # The text of a script ends where "</" stands, whatever is quoted.
    data = json.dumps(contents(lab), separators=(",", ":"), allow_nan=False).replace("</", "<\\/")
    return template.replace("[[data]]", data)


def contents(lab: Lab) -> dict[str, Any]:
    """Return what the page holds, as values for JSON."""
    frequencies = lab.runs[0].spectrum.frequencies
    kept = frequencies <= _HIGHEST
    voltages = [_spread([run.traces[k] for run in lab.runs]) for k in range(len(lab.shown))]
    scales = {
        "field": _spread([run.field for run in lab.runs]),
        "spectrum": _spread([run.spectrum.density[kept] for run in lab.runs]),
    }
    return {
        "axes": [{"name": axis.name, "values": axis.values} for axis in lab.grid],
        "duration": lab.duration,
        "dt": DT,
        "every": lab.every,
        "odour": lab.odour,
        "sizes": lab.sizes,
        "shown": [
            {"population": name, "cell": cell, "drive": drive, "scale": asdict(scale)}
            for (name, cell, drive), scale in zip(lab.shown, voltages, strict=True)
        ],
        "driven": {"".join(key): cells.tolist() for key, cells in lab.driven.items()},
        "frequency": float(frequencies[1]),
        "scales": {name: asdict(scale) for name, scale in scales.items()},
        "points": [_point(run, voltages, scales, int(kept.sum())) for run in lab.runs],
    }


def _point(
    run: Run, voltages: list[Scale], scales: dict[str, Scale], frequencies: int
) -> dict[str, Any]:
    peak = run.spectrum.peak
    height = None
    if peak is not None:
        height = float(np.interp(peak, run.spectrum.frequencies, run.spectrum.density))
    return {
        "at": run.at,
        "spikes": {
            name: packed_spikes(spikes.times, spikes.cells, DT)
            for name, spikes in run.spikes.items()
        },
        "traces": [scale.packed(trace) for scale, trace in zip(voltages, run.traces, strict=True)],
        "field": scales["field"].packed(run.field),
        "spectrum": scales["spectrum"].packed(run.spectrum.density[:frequencies]),
        "rates": {name: round(rate, 3) for name, rate in run.rates.items()},
        "peak": None if peak is None else round(peak, 2),
        "height": None if height is None else round(height, 4),
        "share": round(run.spectrum.rho, 3),
    }


def _spread(arrays: list[np.ndarray]) -> Scale:
    return Scale.of(min(float(a.min()) for a in arrays), max(float(a.max()) for a in arrays))


def _is_own(page: Path) -> bool:
    if page.is_symlink() or not page.is_file():
        return False
    with writing(page), page.open(encoding="utf-8", errors="replace") as file:
        return MARK in file.read(_HEAD)
