"""A sweep on one page: a line, a heat map or small multiples, by the number of its axes."""

import math
from collections.abc import Hashable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from somaflow.errors import UnknownNameError, WrongTypeError, nearest
from somaflow.given import is_among, listed, shown
from somaflow.plotting.raster import INK

Floats = NDArray[np.float64]

_REPEATS = ("trial", "seed")  # axes over which a mean is taken
_FAILURE, _SEED = "failure", "seed"
_POINT = "point"  # the axis of a list of points, whose numbers mean nothing
_BAD = "#c1502e"
_TEXT, _FAINT = "#3a3f47", "#9aa0a8"
_MISSING = "0.92"
_HATCHED: Any = {"facecolor": "white", "edgecolor": _BAD, "hatch": "////", "linewidth": 0}
_MOST_VARIABLES, _MOST_PANELS = 8, 12
_ACROSS = 4  # panels side by side
_MOST_LABELS, _LONGEST_ROW = 16, 36  # ticks, and characters of all of them in a row


class _Scale(NamedTuple):
    """What is along one side of a panel.

    Attributes:
        name: Of the axis.
        unit: Of its values, as it is written; empty where they have none.
        places: Where they are, ascending.
        order: Which of them stands at each place.
        texts: What is written there; None for numbers.
        logarithmic: Whether the places have equal ratios.
    """

    name: str
    unit: str
    places: Floats
    order: NDArray[np.int64]
    texts: list[str] | None
    logarithmic: bool

    @property
    def label(self) -> str:
        return f"{self.name} ({self.unit})" if self.unit else self.name

    @property
    def whole(self) -> bool:
        """Whether the places are numbers of something: points, seeds, wirings."""
        none = self.unit or self.logarithmic
        return not none and np.array_equal(self.places, np.round(self.places))

    def edges(self) -> Floats:
        """Return where the cells of a heat map meet, one more than there are places."""
        at = np.log(self.places) if self.logarithmic else self.places
        if len(at) == 1:
            return at + np.array([-0.5, 0.5])
        middle = (at[1:] + at[:-1]) / 2
        edges = np.concatenate([[2 * at[0] - middle[0]], middle, [2 * at[-1] - middle[-1]]])
        return np.exp(edges) if self.logarithmic else edges


class _Values(NamedTuple):
    """A variable of a sweep, and what became of its members.

    Attributes:
        name: Of the variable.
        unit: As it is written, with the part of the run it is of; empty where it has none.
        mean: Over the repeats, [n] or more axes.
        deviation: The standard deviation over them, same shape; NaN where there are fewer than two.
        lost: Whether all members of a point failed, same shape.
        damaged: Whether some of them did, and not all, same shape.
    """

    name: str
    unit: str
    mean: Floats
    deviation: Floats
    lost: NDArray[np.bool_]
    damaged: NDArray[np.bool_]

    @property
    def label(self) -> str:
        return f"{self.name} ({self.unit})" if self.unit else self.name


def sweep(
    result: xr.Dataset, variable: str | Sequence[str] | None = None, *, title: str = ""
) -> Figure:
    """Draw what a sweep found over its axes.

    Over one axis it is a line, over two a heat map, over three a heat map for each value of the
    last one. Of the axes `trial` and `seed` a mean is taken, where another axis is left, and the
    band around a line is the standard deviation. Points whose members failed are marked: a cross
    where some did, and hatched, where all did, in a heat map.

    Args:
        result: The result of `sf.sweep`, or part of it: `result.sel(...)`.
        variable: What is drawn, such as `"PN.rate"`, or several of them; None for all that have one
            number for each member.
        title: Written on top.

    Returns:
        The figure; `figure.savefig(path)` writes it.

    Raises:
        WrongTypeError: `result` is no dataset, or a variable has too many axes, or none.
        UnknownNameError: There is no such variable.
    """
    if not isinstance(result, xr.Dataset):
        raise WrongTypeError(f"sweep takes the result of sf.sweep, not {shown(result)}.")
    if not isinstance(title, str):
        raise WrongTypeError(f"title is a text, not {shown(title)}.")
    names = _chosen(result, variable)
    dims = _axes_of(result, names)
    kept = [dim for dim in dims if dim not in _REPEATS] or dims[:1]
    over = [dim for dim in dims if dim not in kept]
    if len(kept) > 3:
        raise WrongTypeError(
            f"the result has {len(kept)} axes, {_listed(kept)}, and a figure shows three; choose "
            f"values of the others first, such as result.isel({{{kept[-1]!r}: 0}})."
        )
    scales = [_scale(result, dim) for dim in kept]
    if len(scales) == 3 and len(scales[2].places) > _MOST_PANELS:
        raise WrongTypeError(
            f"the third axis, {scales[2].name!r}, has {len(scales[2].places)} values, and a figure "
            f"has room for {_MOST_PANELS} heat maps; choose some with result.isel(...)."
        )
    values = [_values(result, name, kept, over, scales) for name in names]
    figure = _lines(values, scales[0]) if len(scales) == 1 else _maps(values, scales)
    figure.suptitle(title, fontsize=12, fontweight="bold", color=INK)
    _explain(figure, values, " x ".join(f"{result.sizes[d]} {d}s" for d in over), len(scales) == 1)
    return figure


# --------------------------------------------------------------------- what is drawn, and over what


def _chosen(result: xr.Dataset, variable: object) -> list[str]:
    """Return the names of the variables to draw.

    Raises:
        WrongTypeError: They are no names, or too many.
        UnknownNameError: There is no such variable.
    """
    numbers = [str(k) for k, v in result.data_vars.items() if v.dtype.kind in "biuf" and k != _SEED]
    if variable is None:
        axes = result[_FAILURE].dims if _FAILURE in result else None
        names = [k for k in sorted(numbers) if axes is None or set(result[k].dims) <= set(axes)]
        if not names:
            raise WrongTypeError(
                "the result has no variable with one number for each member; make one by "
                "sf.sweep(..., reduce='rate'), or choose of the recordings."
            )
    else:
        names = [variable] if isinstance(variable, str) else listed(variable)
        if not names or not all(isinstance(name, str) for name in names):
            raise WrongTypeError(
                f"variable is a name such as 'PN.rate', or several, not {shown(variable)}."
            )
    for name in names:
        if not is_among(name, numbers):
            raise UnknownNameError(
                f"the result has no numbers {shown(name)}.{nearest(name, numbers)}"
            )
    if len(names) > _MOST_VARIABLES:
        raise WrongTypeError(
            f"the result has {len(names)} variables, and a figure has room for {_MOST_VARIABLES}; "
            f"name some of them, such as variable={names[:2]!r}."
        )
    return names


def _axes_of(result: xr.Dataset, names: list[str]) -> list[Hashable]:
    """Return the sweep's axes that are there.

    Raises:
        WrongTypeError: A variable has others, or there are none.
    """
    axes = list(result[_FAILURE].dims if _FAILURE in result else result[names[0]].dims)
    for name in names:
        if own := [dim for dim in result[name].dims if dim not in axes]:
            raise WrongTypeError(
                f"{name!r} has the axes {_listed(own)} beside those of the sweep; take one value "
                f"for each member first, such as result.isel({{{own[0]!r}: -1}})."
            )
    if not axes:
        raise WrongTypeError("the result is of one member; there is no axis to draw it over.")
    return axes


def _scale(result: xr.Dataset, dim: Hashable) -> _Scale:
    labels = [c for c in result.coords.values() if c.dims == (dim,)]
    others = [c for c in labels if c.name != _POINT]
    own = others[0] if len(others) == 1 else next((c for c in labels if c.name == dim), None)
    if own is None:  # points that differ in several things
        count = result.sizes[dim]
        return _Scale(str(dim), "", np.arange(count, dtype=float), np.arange(count), None, False)
    name, unit, values = str(own.name), _written(own.attrs.get("units", "1")), own.to_numpy()
    distinct = values.dtype.kind in "iuf" and len(np.unique(values)) == len(values)
    if not distinct or not np.all(np.isfinite(values)):
        places, texts = np.arange(len(values)), [str(value) for value in values]
        return _Scale(name, unit, places.astype(float), places, texts, False)
    order = np.argsort(values, kind="stable")
    places = values[order].astype(np.float64)
    return _Scale(name, unit, places, order, None, _has_equal_ratios(places))


def _has_equal_ratios(places: Floats) -> bool:
    if len(places) < 3 or places[0] <= 0 or np.allclose(np.diff(places, 2), 0):
        return False
    return np.allclose(np.diff(np.log(places), 2), 0)


def _values(
    result: xr.Dataset,
    name: str,
    kept: list[Hashable],
    over: list[Hashable],
    scales: list[_Scale],
) -> _Values:
    failure = result[_FAILURE] if _FAILURE in result else xr.full_like(result[name], "", "U1")
    failed, array = xr.broadcast(failure != "", result[name])
    places = np.ix_(*(scale.order for scale in scales))
    shape = [*(result.sizes[dim] for dim in kept), -1]
    bad, each = (x.transpose(*kept, *over).values.reshape(shape)[places] for x in (failed, array))
    each = np.where(bad, np.nan, each)
    there = np.isfinite(each)
    count = there.sum(-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.where(there, each, 0).sum(-1) / count
        squares = np.where(there, (each - mean[..., None]) ** 2, 0).sum(-1)
        deviation = np.where(count > 1, np.sqrt(squares / (count - 1)), np.nan)
    lost, some = np.asarray(bad.all(-1)), np.asarray(bad.any(-1))
    told = result[name].attrs
    unit = ", ".join(filter(None, (_written(told.get("units", "1")), told.get("window"))))
    return _Values(name, unit, mean, deviation, lost, some & ~lost)


def _written(unit: object) -> str:
    """Return a unit as it is written in a figure: `mS/cm²`."""
    text = str(unit).replace("**2", "²").replace("**3", "³")
    return "" if text == "1" else text


def _listed(names: list[Hashable]) -> str:
    return ", ".join(repr(name) for name in names)


# --------------------------------------------------------------------------------------- drawing


def _lines(values: list[_Values], scale: _Scale) -> Figure:
    figure = _figure(6.5, 1.2 + 1.9 * len(values))
    rows = figure.subplots(len(values), sharex=True, squeeze=False)[:, 0]
    for ax, value in zip(rows, values, strict=True):
        numbers = scale.texts is None
        line = {
            "linewidth": 1.2 if numbers and scale.name != _POINT else 0,
            "marker": "o",
            "markersize": 4,
        }
        if numbers:
            low, high = value.mean - value.deviation, value.mean + value.deviation
            ax.fill_between(scale.places, low, high, color=INK, alpha=0.18, linewidth=0)
            ax.plot(scale.places, value.mean, color=INK, **line)
        else:
            ax.errorbar(scale.places, value.mean, value.deviation, color=INK, elinewidth=1, **line)
        marked = scale.places[value.lost | value.damaged]
        if len(marked):
            low = np.full(len(marked), 0.04)
            ax.plot(
                *(marked, low, "x"), color=_BAD, transform=ax.get_xaxis_transform(), clip_on=False
            )
        ax.set_ylabel(value.label)
        _say_if_empty(ax, value)
        _dress(ax)
    _along(rows[-1], scale)
    figure.align_ylabels(rows)
    return figure


def _maps(values: list[_Values], scales: list[_Scale]) -> Figure:
    panels = len(scales[2].places) if len(scales) == 3 else 1
    if panels == 1:
        groups = [values[k : k + _ACROSS] for k in range(0, len(values), _ACROSS)]
        across, down = len(groups[0]), len(groups)
    else:
        across = min(panels, _ACROSS)
        down = len(values) * math.ceil(panels / across)
    width = 4.0 if across == 1 else 3.2
    figure = _figure(0.6 + width * across, 0.9 + 2.7 * down)
    grid = figure.subplots(down, across, squeeze=False)
    every = grid.reshape(len(values) if panels > 1 else 1, -1)
    for row, value in enumerate(values):
        own = list(every[row] if panels > 1 else every[0, row : row + 1])
        _map(figure, own[:panels], value, scales)
        for ax in own[panels:]:
            ax.set_axis_off()
    if panels == 1:
        for ax in every[0, len(values) :]:
            ax.set_axis_off()
    return figure


def _map(figure: Figure, panels: list[Axes], value: _Values, scales: list[_Scale]) -> None:
    """Draw the heat maps of one variable, all with the same colours."""
    known = value.mean[np.isfinite(value.mean)]
    limits = (float(known.min()), float(known.max())) if len(known) else (0.0, 1.0)
    edges = [scale.edges() for scale in scales[:2]]
    mesh: Any = None
    for k, ax in enumerate(panels):
        part = ... if value.mean.ndim == 2 else (slice(None), slice(None), k)
        ax.set_facecolor(_MISSING)
        mesh = ax.pcolormesh(
            *edges, value.mean[part].T, vmin=limits[0], vmax=limits[1], rasterized=True
        )
        for x, y in np.argwhere(value.lost[part]):
            (left, right), (low, high) = edges[0][x : x + 2].tolist(), edges[1][y : y + 2].tolist()
            ax.add_patch(Rectangle((left, low), right - left, high - low, **_HATCHED))
        some = np.argwhere(value.damaged[part])
        at = [scale.places[some[:, axis]] for axis, scale in enumerate(scales[:2])]
        ax.plot(*at, "x", color=_BAD, markersize=5)
        if len(scales) == 3:
            text = scales[2].texts[k] if scales[2].texts else f"{scales[2].places[k]:.6g}"
            name = f"{scales[2].name} = {text} {scales[2].unit}".rstrip()
            ax.set_title(name, fontsize=9, color=_TEXT)
        _along(ax, scales[0])
        _along(ax, scales[1], upright=True)
        _say_if_empty(ax, value)
        _dress(ax)
    if len(known):
        bar = figure.colorbar(mesh, ax=panels, label=value.label)
        bar.outline.set_visible(False)  # pyright: ignore
        bar.ax.tick_params(labelsize=8, color=_FAINT, labelcolor=_TEXT)
        bar.ax.yaxis.label.set(size=9, color=_TEXT)
    else:
        panels[0].set_title(value.label, fontsize=9, color=_TEXT)


def _along(ax: Axes, scale: _Scale, upright: bool = False) -> None:
    """Label one side of a panel."""
    axis = ax.yaxis if upright else ax.xaxis
    axis.set_label_text(scale.label)
    if scale.logarithmic:
        (ax.set_yscale if upright else ax.set_xscale)("log")
    if scale.texts is None:
        if scale.whole:
            axis.set_major_locator(MaxNLocator(integer=True))
        return
    step = math.ceil(len(scale.texts) / _MOST_LABELS)
    texts = scale.texts[::step]
    slanted = not upright and sum(map(len, texts)) > _LONGEST_ROW
    turned = {"rotation": 30, "ha": "right", "rotation_mode": "anchor"} if slanted else {}
    if not upright:
        ax.margins(x=0.5 / len(scale.texts))
    axis.set_ticks(scale.places[::step].tolist(), texts, **turned)


def _say_if_empty(ax: Axes, value: _Values) -> None:
    if not np.any(np.isfinite(value.mean)):
        ax.text(
            0.5, 0.5, "no value", ha="center", va="center", color=_FAINT, transform=ax.transAxes
        )


def _explain(figure: Figure, values: list[_Values], repeats: str, lines: bool) -> None:
    """Say below what the marks are, and over what means are taken."""
    handles = list(_legend(values, lines))
    if repeats:
        band = "; the band is one standard deviation" if lines else ""
        figure.supxlabel(f"mean over {repeats}{band}", fontsize=8, color=_FAINT)
    if handles:
        figure.legend(
            handles=handles,
            loc="outside upper right",
            frameon=False,
            fontsize=8,
            ncols=len(handles),
        )


def _legend(values: list[_Values], lines: bool) -> Iterator[Any]:
    lost, some = (any(np.any(v.lost) for v in values), any(np.any(v.damaged) for v in values))
    cross = {"color": _BAD, "marker": "x", "linewidth": 0}
    if lines and (some or lost):
        yield Line2D([], [], label="members failed", **cross)
        return
    if some:
        yield Line2D([], [], label="some members failed", **cross)
    if lost:
        yield Patch(label="failed", **_HATCHED)
    if not lines and any(np.any(np.isnan(v.mean) & ~v.lost) for v in values):
        yield Patch(label="no value", color=_MISSING)


def _figure(width: float, height: float) -> Figure:
    return Figure(figsize=(width, height), layout="constrained", facecolor="white")


def _dress(ax: Axes) -> None:
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set_color(_FAINT)
    ax.tick_params(labelsize=8, color=_FAINT, labelcolor=_TEXT)
    ax.xaxis.label.set(size=9, color=_TEXT)
    ax.yaxis.label.set(size=9, color=_TEXT)
