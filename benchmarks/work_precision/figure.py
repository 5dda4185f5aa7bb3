"""The two pictures of the work-precision benchmark.

By hand: `python figure.py` draws both again from `.bench/work_precision.json`.
"""

import json
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib as mpl
import report

mpl.use("Agg")

import matplotlib.pyplot as plt
from matplotlib.axes import Axes

ROOT = Path(__file__).parent.parent.parent

# Libraries by colour (a palette for the colour-blind), methods by marker.
COLOURS = {
    "somaflow": "#0072B2",
    "diffrax": "#E69F00",
    "torchdiffeq": "#009E73",
    "SciPy": "#999999",
}
MARKERS = {
    "Euler": "1",
    "Midpoint": "2",
    "Heun": "3",
    "RK4": "o",
    "RK4 (tableau)": "8",
    "rk4": "o",
    "ThreeEighths": "4",
    "BogackiShampine": "v",
    "DormandPrince": "s",
    "Dopri5": "s",
    "dopri5": "s",
    "RK45": "s",
    "Tsitouras": "^",
    "Tsit5": "^",
    "DOP853": "P",
    "ExponentialEuler": "+",
    "ExponentialMidpoint": "x",
    "ImplicitEuler": "|",
    "Rosenbrock": "D",
    "Kvaerno3": "<",
    "Kvaerno5": ">",
    "LSODA": "*",
    "Radau": "d",
    "BDF": "h",
}
PANELS = (
    ("lorenz", 1),
    ("hodgkin_huxley", 1),
    ("stiff_cell", 1),
    ("robertson", 1),
    ("lorenz", 10_000),
    ("hodgkin_huxley", 10_000),
)


def _panel(axes: Axes, points: list[dict[str, Any]], handles: dict[str, Any]) -> None:
    lines: dict[tuple[str, str, str], list[tuple[float, float]]] = {}
    for found in points:
        seconds, error = report.median(found), found.get("error")
        # Where the error is as large as the state there is no solution to speak of.
        if error and error < 1.0 and seconds < float("inf"):
            key = (found["library"], found["method"], found["layout"])
            lines.setdefault(key, []).append((seconds * 1e3, error))
    for (library, method, layout), line in lines.items():
        shown = f"{library} {method}" + (", one step for all" if layout == "shared" else "")
        (handles[shown],) = axes.loglog(
            *zip(*sorted(line), strict=True),
            color=COLOURS[library],
            marker=MARKERS[method],
            markersize=7 if MARKERS[method] in "1234+x|" else 5,
            markerfacecolor="none" if layout == "shared" else None,
            linewidth=1.3 if library == "somaflow" else 0.8,
            zorder=3 if library == "somaflow" else 2,
        )
    axes.grid(True, linewidth=0.3)


def work_precision(points: list[dict[str, Any]], path: Path) -> None:
    """Draw error against time, a panel for each problem."""
    figure, grid = plt.subplots(2, 3, figsize=(13, 7.6), layout="constrained")
    handles: dict[str, Any] = {}
    for axes, (name, rows) in zip(grid.flat, PANELS, strict=True):
        chosen = [found for found in points if (found["problem"], found["rows"]) == (name, rows)]
        axes.set_visible(bool(chosen))
        _panel(axes, chosen, handles)
        axes.set_title(f"{report.NAMES[name]}, {rows:,} row{'s' if rows > 1 else ''}", fontsize=10)
    for axes in grid[:, 0]:
        axes.set_ylabel("error at the end")
    for axes in grid[-1]:
        axes.set_xlabel("time of a solve (ms), compile apart")
    order = list(COLOURS)
    shown = sorted(handles, key=lambda text: order.index(text.split()[0]))
    figure.legend([handles[name] for name in shown], shown, loc="outside right", fontsize=8)
    figure.savefig(path, dpi=80)
    plt.close(figure)


def tutorial(curve: list[dict[str, Any]], path: Path) -> None:
    """Draw the time of the tutorial's benchmark against the number of equations."""
    figure, grid = plt.subplots(1, 2, figsize=(11, 4.6), sharey=True, layout="constrained")
    titles = {"sine": "x' = sin(x t)", "mixed": "ten mixed operations"}
    styles = {"float64": "-", "float32": "--"}
    for axes, (rhs, title) in zip(grid, titles.items(), strict=True):
        for dtype, style in styles.items():
            chosen = [f for f in curve if (f["rhs"], f["dtype"]) == (rhs, dtype)]
            plain = [found for found in chosen if found["threads"] != "2"]
            two = [found for found in chosen if found["threads"] == "2"]
            draw = _line(axes, plain, dtype, style)
            draw("numpy_all", "NumPy", color=COLOURS["SciPy"], marker="s")
            draw("somaflow_all", "somaflow", color=COLOURS["somaflow"], marker="o")
            draw("somaflow_last", "somaflow, last state only", color="#56B4E9", marker=".")
            draw("xla_alone", "evaluations alone, XLA", color="#D55E00", linewidth=0.8)
            draw = _line(axes, two, dtype, style)
            draw("somaflow_last", "last state, two threads", color="#CC79A7", marker="*")
        axes.set(title=title, xlabel="equations", xscale="log", yscale="log")
        axes.grid(True, linewidth=0.3)
    grid[0].set_ylabel("time of 500 steps of RK4 (ms)")
    grid[0].legend(fontsize=7)
    figure.savefig(path, dpi=80)
    plt.close(figure)


def _line(axes: Axes, curve: list[dict[str, Any]], dtype: str, style: str) -> Callable[..., None]:
    def draw(program: str, label: str, **kwargs: Any) -> None:
        held = [found for found in curve if program in found["seconds"]]
        sizes = [found["size"] for found in held]
        times = [statistics.median(found["seconds"][program]) * 1e3 for found in held]
        if held:
            name = f"{label}, {dtype}"
            axes.plot(sizes, times, label=name, linestyle=style, markersize=4, **kwargs)

    return draw


def main() -> None:
    """Draw both from the last results."""
    results = json.loads((ROOT / ".bench" / "work_precision.json").read_text())
    images = ROOT / "docs" / "images"
    work_precision(results["points"], images / "work-precision.png")
    tutorial(results["tutorial"], images / "tutorial-benchmark.png")


if __name__ == "__main__":
    main()
