"""The table that ends a run: on a terminal, or as JSON."""

from collections.abc import Mapping
from typing import Any

from rich.table import Table

from somaflow.running.progress import against_real_time


def summary(
    statistics: Mapping[str, Any],
    meta: Mapping[str, Any],
    peak: float | None,
    made: float,
) -> dict[str, Any]:
    """Return the numbers of the table.

    Args:
        statistics: Of the solution.
        meta: Of the solution.
        peak: Frequency of the LFP's peak in Hz, or None.
        made: Biological time in ms that was computed in this process.

    Returns:
        Plain values for JSON. `times_slower_than_real_time` is below 1 where a run is faster, and
        None where nothing was left to compute.
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
        "times_slower_than_real_time": (
            float(f"{seconds / (made / 1000):.3g}") if made > 0 else None
        ),
        "spikes": dict(statistics["spikes"]),
        "samples_end_ms": dict(statistics["samples_end_ms"]),
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
    if numbers["times_slower_than_real_time"] is not None:
        shown.add_row("speed", against_real_time(numbers["times_slower_than_real_time"]))
    for name, count in numbers["spikes"].items():
        shown.add_row(f"spikes of {name}", f"{count:,}")
    for name, last in numbers["samples_end_ms"].items():
        shown.add_row(f"last sample of {name}", f"at {last:,.10g} ms")
    peak = numbers["lfp_peak_hz"]
    shown.add_row("LFP peak", "none" if peak is None else f"{peak:.1f} Hz")
    return shown
