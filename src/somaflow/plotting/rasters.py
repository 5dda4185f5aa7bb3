"""The spikes of several populations on one page."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from somaflow.errors import WrongTypeError
from somaflow.given import is_number, listed, shown
from somaflow.plotting.raster import INK, raster
from somaflow.storage.solution import Solution, SpikeTrains

_COLORS = (INK, "#c1502e")
_LOWEST = 0.35  # of the height of the largest population


def spikes_of(
    kind: str, run: Any, populations: Any, title: Any, window: Any
) -> tuple[list[str], list[SpikeTrains]]:
    """Return names of populations and their spikes within a window.

    Args:
        kind: What the figure is called, for messages.
        run: As for `rasters`, and so are the others.
        populations: Their names.
        title: A text.
        window: Start and stop in ms, or None.

    Raises:
        SomaflowError: As `rasters`.
    """
    if not isinstance(run, Solution):
        raise WrongTypeError(f"{kind} takes the result of sf.simulate, not {shown(run)}.")
    names = None if isinstance(populations, str) else listed(populations)
    if not names or not all(isinstance(name, str) for name in names):
        raise WrongTypeError(
            f"populations are names such as ['PN', 'LN'], not {shown(populations)}."
        )
    if not isinstance(title, str):
        raise WrongTypeError(f"title is a text, not {shown(title)}.")
    start, stop = (None, None) if window is None else two_times(window, "window")
    return names, [run.read(f"{name}.spikes", start, stop) for name in names]


def two_times(value: Any, what: str) -> tuple[float, float]:
    """Return two times in ms.

    Raises:
        WrongTypeError: They are none.
    """
    part = listed(value)
    if part is None or len(part) != 2 or not all(map(is_number, part)):
        raise WrongTypeError(f"{what} is two times in ms, (start, stop), not {shown(value)}.")
    return part[0], part[1]


def rasters(
    run: Solution,
    populations: Sequence[str],
    *,
    title: str = "",
    window: tuple[float, float] | None = None,
) -> Figure:
    """Draw the spikes of populations one below the other, and how often their cells fire.

    Args:
        run: A run with the recording `NAME.spikes` of each of them.
        populations: Their names, from top to bottom; two colours take turns.
        title: Written on top.
        window: Start and stop in ms of the part that is drawn and counted, so that of a long run
            nothing else is read; None draws all of it.

    Returns:
        The figure; `figure.savefig(path)` writes it.

    Raises:
        WrongTypeError: `run` is not the result of `sf.simulate`, or the names are none.
        UnknownNameError: A recording is missing.
        RunError: The window stops before it starts.
    """
    names, trains = spikes_of("rasters", run, populations, title, window)
    most = max(train.size for train in trains)
    heights = [max(train.size / most, _LOWEST) for train in trains]
    figure = Figure(figsize=(10, 1.2 + 0.9 * len(names)), layout="constrained", facecolor="white")
    figure.suptitle(title, fontsize=12, fontweight="bold", color=INK)
    grid = figure.add_gridspec(len(names), 2, width_ratios=(4, 1), height_ratios=heights)
    rates = [train.counts() / (train.duration / 1000) for train in trains]
    edges = np.linspace(0, max(1.0, *(float(each.max()) for each in rates)), 31).tolist()
    for row, (name, train) in enumerate(zip(names, trains, strict=True)):
        color = _COLORS[row % 2]
        ax = figure.add_subplot(grid[row, 0])
        raster(train, ax, color=color)
        last = row == len(names) - 1
        ax.set(ylabel=name, xlabel="time (ms)" if last else "")
        ax.tick_params(labelbottom=last, labelsize=8)
        ax.yaxis.set_major_locator(MaxNLocator(nbins=2, integer=True))
        bars = figure.add_subplot(grid[row, 1])
        bars.hist(rates[row], bins=edges, color=color)
        bars.set(yticks=(), xlabel="rate of a cell (Hz)" if last else "")
        bars.tick_params(labelbottom=last, labelsize=8)
        mean = f"{rates[row].mean():.2f} Hz"
        bars.text(0.97, 0.9, mean, ha="right", va="top", transform=bars.transAxes)
        for side in (ax, bars):
            side.spines[["top", "right"]].set_visible(False)
    return figure
