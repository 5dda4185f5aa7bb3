"""The spikes of groups of cells that compete, and how often they fire over time."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from somaflow.plotting.raster import INK, raster
from somaflow.plotting.rasters import spikes_of, two_times
from somaflow.storage.solution import Solution

_COLORS = (INK, "#c1502e", "#4a7c59", "#8d6a9f")
_BIN, _WINDOW = 5.0, 50.0  # ms between the points of a rate, and over which it is a mean


def competition(
    run: Solution,
    populations: Sequence[str],
    *,
    title: str = "",
    window: tuple[float, float] | None = None,
    shaded: tuple[float, float] | None = None,
) -> Figure:
    """Draw the spikes of some populations one below the other, and their rates over time below.

    A rate is the mean over the cells, and over 50 ms around a time.

    Args:
        run: A run with the recording `NAME.spikes` of each of them.
        populations: Their names, from top to bottom.
        title: Written on top.
        window: Start and stop in ms of the part that is drawn, so that of a long run nothing else
            is read; None draws all of it.
        shaded: Start and stop in ms of what is marked behind the rates, such as a stimulus.

    Returns:
        The figure; `figure.savefig(path)` writes it.

    Raises:
        WrongTypeError: `run` is not the result of `sf.simulate`, or the names are none.
        UnknownNameError: A recording is missing.
        RunError: The window stops before it starts.
    """
    names, trains = spikes_of("competition", run, populations, title, window)
    marked = None if shaded is None else two_times(shaded, "shaded")
    figure = Figure(figsize=(8, 2.2 + len(names)), layout="constrained", facecolor="white")
    figure.suptitle(title, fontsize=12, fontweight="bold", color=INK)
    axes = figure.subplots(len(names) + 1, height_ratios=[1] * len(names) + [1.6])
    below = axes[-1]
    if marked is not None:
        below.axvspan(*marked, color="0.92", linewidth=0)
    for row, (name, train) in enumerate(zip(names, trains, strict=True)):
        color = _COLORS[row % len(_COLORS)]
        raster(train, axes[row], color=color)
        axes[row].set(ylabel=name, xlabel="")
        if train.chosen is not None and len(train.chosen):
            # A part of a population keeps the numbers of its cells.
            axes[row].set_ylim(train.chosen.min() - 1, train.chosen.max() + 1)
        axes[row].tick_params(labelbottom=False, labelsize=8)
        axes[row].yaxis.set_major_locator(MaxNLocator(nbins=2, integer=True))
        bins = max(1, round(train.duration / _BIN))
        edges = train.start + _BIN * np.arange(bins + 1)
        counts = np.histogram(train.times, edges)[0]
        each = np.ones(round(_WINDOW / _BIN) + 1)
        # Near the ends there are fewer bins to take the mean of.
        summed, of = (np.convolve(x, each) for x in (counts, np.ones(len(counts))))
        rate = (summed / of)[len(each) // 2 :][: len(counts)] / train.size / (_BIN / 1000)
        below.plot(edges[:-1] + _BIN / 2, rate, color=color, label=name)
    below.set(
        xlabel="time (ms)",
        ylabel="rate (Hz)",
        xlim=(trains[0].start, trains[0].start + trains[0].duration),
        ylim=(0, None),
    )
    below.legend(frameon=False, fontsize=8)
    below.tick_params(labelsize=8)
    for ax in axes:
        ax.spines[["top", "right"]].set_visible(False)
    return figure
