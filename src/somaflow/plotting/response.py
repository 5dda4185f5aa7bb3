"""The response of an antennal lobe on one page."""

from typing import Protocol

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from somaflow.errors import WrongTypeError
from somaflow.given import has, is_number, listed, shown
from somaflow.plotting.raster import INK, raster
from somaflow.storage.solution import Solution, SpikeTrains

_LOCAL = "#c1502e"
_ODOUR = "#f5eddc"
_TEXT = "#3a3f47"
_FAINT = "#9aa0a8"
_TRACES = 3
_HIGHEST = 80.0  # Hz
_VOLTAGES = (-95.0, 62.0)  # mV
_HEIGHTS = (1.15, 3.0, 0.62, 0.62, 0.62, 1.25)


class PowerSpectrum(Protocol):
    """What is drawn of a spectrum; `sf.analysis.Spectrum` is one."""

    @property
    def frequencies(self) -> NDArray[np.float64]:
        """In Hz."""
        ...

    @property
    def density(self) -> NDArray[np.float64]:
        """In mV**2/Hz."""
        ...

    @property
    def peak(self) -> float | None:
        """In Hz, or None."""
        ...


def response(
    run: Solution,
    spectrum: PowerSpectrum | None = None,
    *,
    odour: tuple[float, float] | None = None,
    title: str = "",
    pn: str = "PN",
    ln: str = "LN",
    window: tuple[float, float] | None = None,
) -> Figure:
    """Draw spikes of both populations, three voltages, the field potential and its spectrum.

    Args:
        run: A run with the recordings `PN.spikes`, `LN.spikes`, `PN.v` and `PN.v.mean`.
        spectrum: Spectrum of the field potential (the mean PN voltage); None where the run is
            too short for one.
        odour: Onset and offset of the odour in ms, shaded.
        title: Written on top.
        pn: Name of the projection neurons.
        ln: Name of the local neurons.
        window: Start and stop in ms of the part that is drawn, so that of a long run nothing else
            is read; None draws all of it.

    Returns:
        The figure; `figure.savefig(path)` writes it.

    Raises:
        WrongTypeError: `run` is not the result of `sf.simulate`.
        UnknownNameError: A recording is missing.
        RunError: The window stops before it starts.
    """
    if not isinstance(run, Solution):
        raise WrongTypeError(f"response takes the result of sf.simulate, not {shown(run)}.")
    part = (None, None) if window is None else _pair(window, "window")
    odour = None if odour is None else _pair(odour, "odour")
    for name, text in (("title", title), ("pn", pn), ("ln", ln)):
        if not isinstance(text, str):
            raise WrongTypeError(f"{name} is a text, not {shown(text)}.")
    parts = () if spectrum is None else ("frequencies", "density", "peak")
    if isinstance(spectrum, type) or not all(has(spectrum, name) for name in parts):
        raise WrongTypeError(f"spectrum is a sf.analysis.Spectrum or None, not {shown(spectrum)}.")
    trains = {name: run.read(f"{name}.spikes", *part) for name in (ln, pn)}
    voltages, potential = run.read(f"{pn}.v", *part), run.read(f"{pn}.v.mean", *part)
    start, stop = trains[pn].start, trains[pn].start + trains[pn].duration
    figure = Figure(figsize=(10, 8.2), layout="constrained", facecolor="white")
    figure.get_layout_engine().set(hspace=0.02, wspace=0.03)  # pyright: ignore
    figure.suptitle(title, fontsize=12, fontweight="bold", color=INK)
    grid = figure.add_gridspec(6, 2, width_ratios=(3, 1), height_ratios=_HEIGHTS)
    timed = []
    for row, (name, color) in enumerate(((ln, _LOCAL), (pn, INK))):
        ax = figure.add_subplot(grid[row, 0])
        raster(trains[name], ax, color=color)
        ax.set(ylabel=f"{name} cell", xlabel="")
        bars = figure.add_subplot(grid[row, 1], sharey=ax)
        _counts(bars, trains[name], color)
        if row == 0:
            bars.set_title("spikes of each cell", fontsize=9, color=_TEXT, pad=3)
        timed.append(ax)
    times = np.asarray(voltages.time)
    for row, cell in enumerate(_chosen(trains[pn]), start=2):
        ax = figure.add_subplot(grid[row, 0])
        _voltage(ax, times, np.asarray(voltages[:, cell]), f"{pn} {cell}")
        timed.append(ax)
    timed[3 if len(timed) > 3 else 2].set_ylabel("membrane\npotential (mV)")
    field = figure.add_subplot(grid[5, 0])
    field.plot(np.asarray(potential.time), np.asarray(potential), color=INK, linewidth=0.9)
    whole = "" if window is None else f", of a run of {run.duration:,.10g} ms"
    field.set(ylabel=f"LFP: mean\n{pn} voltage (mV)", xlabel=f"time (ms){whole}")
    timed.append(field)
    for ax in timed:
        _dress(ax)
        ax.set(xlim=(start, stop))
        ax.tick_params(labelbottom=ax is field)
        if odour is not None:
            ax.axvspan(*odour, color=_ODOUR, zorder=0, linewidth=0)
    if odour is not None and odour[0] < stop and odour[1] > start:
        middle = (max(odour[0], start) + min(odour[1], stop)) / 2
        place = (middle - start) / (stop - start)
        timed[0].set_title("odour", x=place, fontsize=9, color="#a08440", pad=3)
    _spectrum(figure.add_subplot(grid[2:, 1]), spectrum)
    figure.align_ylabels(timed)
    return figure


def _pair(value: object, name: str) -> tuple[float, float]:
    """Return two times in ms.

    Raises:
        WrongTypeError: They are none.
    """
    parts = listed(value)
    if parts is None or len(parts) != 2 or not all(map(is_number, parts)):
        raise WrongTypeError(f"{name} is two times in ms, (start, stop), not {shown(value)}.")
    return float(parts[0]), float(parts[1])


def _counts(bars: Axes, spikes: SpikeTrains, color: str) -> None:
    """Draw how often each cell of a population fired, beside its raster."""
    bars.barh(np.arange(spikes.size), spikes.counts(), height=0.8, color=color, linewidth=0)
    _dress(bars)
    bars.tick_params(labelleft=False)
    bars.xaxis.set_major_locator(MaxNLocator(nbins=4, integer=True))
    bars.set_xlim(0, max(1.0, 1.08 * float(spikes.counts().max(initial=0))))


def _chosen(spikes: SpikeTrains) -> list[int]:
    """Return the cells whose voltage is drawn: the most, the median and the least active one."""
    counts = spikes.counts()
    order = np.argsort(-counts, kind="stable")
    active = max(int(np.count_nonzero(counts)), min(_TRACES, spikes.size))
    places = np.linspace(0, active - 1, min(_TRACES, spikes.size)).round().astype(int)
    return [int(cell) for cell in order[places]]


def _voltage(
    ax: Axes, times: NDArray[np.float64], voltage: NDArray[np.float64], label: str
) -> None:
    ax.plot(times, voltage, color=INK, linewidth=0.8)
    ax.set(ylim=_VOLTAGES, yticks=(-80, 0, 40))
    ax.text(0.008, 0.8, label, transform=ax.transAxes, fontsize=8, color=_TEXT)


def _spectrum(ax: Axes, spectrum: PowerSpectrum | None) -> None:
    _dress(ax)
    ax.set(xlim=(0, _HIGHEST), xlabel="frequency (Hz)", ylabel="LFP power density (mV²/Hz)")
    if spectrum is None:
        ax.set(yticks=())
        ax.text(
            0.5, 0.5, "too short\nfor a spectrum", ha="center", color=_FAINT, transform=ax.transAxes
        )
        return
    inside = spectrum.frequencies <= _HIGHEST
    frequencies, density = spectrum.frequencies[inside], spectrum.density[inside]
    ax.fill_between(frequencies, density, color=INK, alpha=0.18, linewidth=0)
    ax.plot(frequencies, density, color=INK, linewidth=1.2)
    top = float(density.max(initial=0.0))
    ax.set_ylim(0, 1.12 * top if top > 0 else 1.0)
    if spectrum.peak is not None:
        height = float(np.interp(spectrum.peak, frequencies, density))
        ax.plot(spectrum.peak, height, "o", color=_LOCAL, markersize=5)
        ax.annotate(
            f"{spectrum.peak:.1f} Hz",
            (spectrum.peak, height),
            xytext=(8, -3),
            textcoords="offset points",
            color=_LOCAL,
            fontsize=10,
            fontweight="bold",
        )


def _dress(ax: Axes) -> None:
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set_color(_FAINT)
    ax.tick_params(labelsize=8, color=_FAINT, labelcolor=_TEXT)
    ax.xaxis.label.set(size=9, color=_TEXT)
    ax.yaxis.label.set(size=9, color=_TEXT)
