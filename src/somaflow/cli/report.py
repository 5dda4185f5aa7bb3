"""The table that ends a run: on a terminal, or as JSON."""

from collections.abc import Mapping
from typing import Any, NotRequired, TypedDict

from rich.table import Table

from somaflow.running.progress import against_real_time


class Numbers(TypedDict):
    """The numbers of the table, plain values for JSON.

    Attributes:
        cells: How many there are.
        equations: Of all cells and synapses.
        synapses: How many there are.
        steps: Of the whole run.
        solver: The method.
        dtype: The precision.
        compile_seconds: Of this process.
        run_seconds: Of this process.
        times_slower_than_real_time: Below 1 where a run is faster; None where nothing was left to
            compute.
        spikes: How many, by recording.
        samples_end_ms: The last sample of each recording that ends before the run.
        lfp_peak_hz: None where there is none; missing of a model without a field potential.
        decision_hz: Rates of the groups of a network that decides, while the motion ends; None of
            a run that ends before.
        rates_hz: Mean rate of each population over the whole run, where a model is known by them.
    """

    cells: int
    equations: int
    synapses: int
    steps: int
    solver: str
    dtype: str
    compile_seconds: float
    run_seconds: float
    times_slower_than_real_time: float | None
    spikes: dict[str, int]
    samples_end_ms: dict[str, float]
    lfp_peak_hz: NotRequired[float | None]
    rates_hz: NotRequired[dict[str, float]]
    decision_hz: NotRequired[dict[str, float] | None]


def summary(
    statistics: Mapping[str, Any],
    meta: Mapping[str, Any],
    computed: float,
) -> Numbers:
    """Return the numbers of the table.

    Args:
        statistics: Of the solution.
        meta: Of the solution.
        computed: Biological time in ms that was computed in this process.
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
            float(f"{seconds / (computed / 1000):.3g}") if computed > 0 else None
        ),
        "spikes": dict(statistics["spikes"]),
        "samples_end_ms": dict(statistics["samples_end_ms"]),
    }


def table(numbers: Numbers) -> Table:
    """Return the table as it is printed on a terminal."""
    grid = Table(show_header=False)
    grid.add_column(style="dim")
    grid.add_column(justify="right")
    for key in ("cells", "equations", "synapses", "steps"):
        grid.add_row(key, f"{numbers[key]:,}")
    grid.add_row("solver", numbers["solver"])
    grid.add_row("dtype", numbers["dtype"])
    grid.add_row("compile", f"{numbers['compile_seconds']:.2f} s")
    grid.add_row("run", f"{numbers['run_seconds']:.2f} s")
    if numbers["times_slower_than_real_time"] is not None:
        grid.add_row("speed", against_real_time(numbers["times_slower_than_real_time"]))
    for name, count in numbers["spikes"].items():
        grid.add_row(f"spikes of {name}", f"{count:,}")
    for name, last in numbers["samples_end_ms"].items():
        grid.add_row(f"last sample of {name}", f"at {last:,.10g} ms")
    for name, rate in numbers.get("rates_hz", {}).items():
        grid.add_row(f"rate of {name}", f"{rate:.2f} Hz")
    for name, rate in (numbers.get("decision_hz") or {}).items():
        grid.add_row(f"rate of {name} as the motion ends", f"{rate:.2f} Hz")
    if "lfp_peak_hz" in numbers:
        peak = numbers["lfp_peak_hz"]
        grid.add_row("LFP peak", "none" if peak is None else f"{peak:.1f} Hz")
    return grid
