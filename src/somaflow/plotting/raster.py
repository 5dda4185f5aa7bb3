"""Spike rasters."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from matplotlib.typing import ColorType
from numpy.typing import NDArray

from somaflow.errors import WrongTypeError
from somaflow.given import shown
from somaflow.storage.solution import SpikeTrains

INK = "#1d3557"
_WIDTH = 1.7  # of a mark, in points
_FINEST = _WIDTH / 4  # marks less apart than this, in points, cannot be told apart
_MANY = 20_000


def raster(spikes: SpikeTrains, ax: Axes | None = None, *, color: ColorType = INK) -> Axes:
    """Draw one mark for each spike: time from left to right, cells from bottom to top.

    Of more than 20,000 spikes, those which lie within a quarter of a mark's width of another get no
    mark, at the size that the axes have now; the figure says how many marks there are.

    Args:
        spikes: The spikes, such as `run["PN.spikes"]`.
        ax: Where to draw; None makes a new figure, which `ax.figure.savefig(path)` writes.
        color: Colour of the marks.

    Returns:
        The axes, with time in ms.

    Raises:
        WrongTypeError: The spikes are not `SpikeTrains`, or `ax` is not matplotlib axes.
    """
    if not isinstance(spikes, SpikeTrains):
        raise WrongTypeError(
            f"raster takes the spikes of a run, such as run['PN.spikes'], not {shown(spikes)}."
        )
    if ax is None:
        ax = Figure(figsize=(8, 3.2), layout="constrained").add_subplot()
    if not isinstance(ax, Axes):
        raise WrongTypeError(f"ax is matplotlib axes or None, not {shown(ax)}.")
    try:
        to_rgba(color)
    except Exception as error:  # matplotlib's are of many kinds
        raise WrongTypeError(f"color is a colour of matplotlib, not {shown(color)}.") from error
    window = (spikes.start, spikes.start + spikes.duration, -1.0, float(spikes.size))
    times, cells, height = _thinned(spikes, ax, window)
    # One path, broken between marks: a path for each takes 20 us each.
    nowhere = np.full(len(times), np.nan)
    x = np.stack([times, times, nowhere], axis=1).ravel()
    y = np.stack([cells - height / 2, cells + height / 2, nowhere], axis=1).ravel()
    ax.plot(x, y, color=color, linewidth=_WIDTH, solid_capstyle="butt")
    if len(times) < len(spikes.times):
        said = f"{len(spikes.times):,} spikes as {len(times):,} marks"
        ax.set_title(said, loc="right", fontsize=7, color=color, pad=2)
    ax.set(
        xlim=window[:2],
        ylim=window[2:],
        xlabel="time (ms)",
        ylabel="cell",
    )
    ax.yaxis.set_major_locator(MaxNLocator(nbins="auto", integer=True))
    return ax


def _thinned(
    spikes: SpikeTrains, ax: Axes, window: tuple[float, float, float, float]
) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """Return times and cells of the spikes to mark, and the height of a mark in cells."""
    times, cells = np.asarray(spikes.times, float), np.asarray(spikes.cells, float)
    if len(times) <= _MANY:
        return times, cells, 1.0
    box = ax.get_window_extent()
    points = 72 / ax.figure.dpi
    columns, rows = (max(1, int(length * points / _FINEST)) for length in (box.width, box.height))
    left, right, bottom, top = window
    rows = min(rows, spikes.size + 1)
    column = np.minimum(((times - left) / (right - left) * columns).astype(int), columns - 1)
    row = (spikes.cells.astype(np.int64) + 1) * rows // (spikes.size + 1)
    marked = np.full(columns * rows, -1)
    marked[row * columns + column] = np.arange(len(times))  # one of each place, whichever
    marked = marked[marked >= 0]
    return times[marked], cells[marked], max(1.0, (top - bottom) / rows)
