"""The table that ends a run: on a terminal, or as JSON."""

from collections.abc import Mapping
from typing import Any

from rich.table import Table


def summary(
    statistics: Mapping[str, Any],
    meta: Mapping[str, Any],
    spikes: Mapping[str, int],
    peak: float | None,
) -> dict[str, Any]:
    """Return the numbers of the table.

    Args:
        statistics: Of the solution.
        meta: Of the solution.
        spikes: Number of spikes of each population.
        peak: Frequency of the LFP's peak in Hz, or None.

    Returns:
        Plain values for JSON. `times_slower_than_real_time` is below 1 where a run is faster.
    """
    seconds = statistics["run_seconds"]
    return {
        "cells": statistics["cells"],
        "equations": statistics["equations"],
        "synapses": statistics["synapses"],
        "steps": statistics["steps"],
        "solver": meta["solver"],
        "dtype": meta["dtype"],
        "compile_seconds": round(statistics["compile_seconds"], 3),
        "run_seconds": round(seconds, 3),
        "times_slower_than_real_time": float(f"{seconds / (meta['duration_ms'] / 1000):.3g}"),
        "spikes": dict(spikes),
        "lfp_peak_hz": None if peak is None else round(peak, 2),
    }


def table(numbers: Mapping[str, Any]) -> Table:
    """Return the table as it is printed on a terminal."""
    shown = Table(show_header=False)
    shown.add_column(style="dim")
    shown.add_column(justify="right")
    for key in ("cells", "equations", "synapses", "steps"):
        shown.add_row(key, f"{numbers[key]:,}")
    shown.add_row("solver", numbers["solver"])
    shown.add_row("dtype", numbers["dtype"])
    shown.add_row("compile", f"{numbers['compile_seconds']:.2f} s")
    shown.add_row("run", f"{numbers['run_seconds']:.2f} s")
    shown.add_row("speed", against_real_time(numbers["times_slower_than_real_time"]))
    for name, count in numbers["spikes"].items():
        shown.add_row(f"spikes of {name}", f"{count:,}")
    peak = numbers["lfp_peak_hz"]
    shown.add_row("LFP peak", "none" if peak is None else f"{peak:.1f} Hz")
    return shown


def against_real_time(ratio: float) -> str:
    """Say how fast a run is.

    Args:
        ratio: Seconds of computing for each biological second.
    """
    if ratio <= 0:
        return "faster than real time"
    if ratio < 1:
        return f"{1 / ratio:.3g} times faster than real time"
    return f"{ratio:.3g} times slower than real time"
