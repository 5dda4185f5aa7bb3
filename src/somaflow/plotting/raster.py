"""Spike rasters."""

from matplotlib.axes import Axes
from matplotlib.colors import to_rgba_array
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from matplotlib.typing import ColorType

from somaflow.errors import WrongTypeError
from somaflow.given import shown
from somaflow.storage.solution import SpikeTrains

INK = "#1d3557"


def raster(spikes: SpikeTrains, ax: Axes | None = None, *, color: ColorType = INK) -> Axes:
    """Draw one mark for each spike: time from left to right, cells from bottom to top.

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
        to_rgba_array(color)
    except Exception as error:  # matplotlib's are of many kinds
        raise WrongTypeError(f"color is a colour of matplotlib, not {shown(color)}.") from error
    ax.vlines(
        spikes.times,
        spikes.cells - 0.5,
        spikes.cells + 0.5,
        colors=color,
        linewidths=1.7,
    )
    ax.set(
        xlim=(spikes.start, spikes.start + spikes.duration),
        ylim=(-1, spikes.size),
        xlabel="time (ms)",
        ylabel="cell",
    )
    ax.yaxis.set_major_locator(MaxNLocator(nbins="auto", integer=True))
    return ax
