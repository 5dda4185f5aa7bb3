"""`somaflow resume`: go on with a run that stopped, or make a finished one longer."""

from pathlib import Path

from rich.console import Console

import somaflow as sf
from somaflow.cli.outcome import Report, of_any, of_model
from somaflow.cli.place import command, find
from somaflow.cli.request import kept_model
from somaflow.cli.run import as_notes, load
from somaflow.cli.watch import FINISHED, Sight, look
from somaflow.storage.folder import Folder, beside
from somaflow.storage.ownership import sweep_of


def execute(
    place: str,
    duration: float | None,
    checkpoint: float | None,
    exact: bool,
    silent: bool,
    console: Console,
    workers: int | None = None,
) -> Report:
    """Go on with a run.

    Args:
        place: Its store, or the folder that holds it.
        duration: Biological time of the whole run in ms; None for what was asked for at first.
        checkpoint: Biological time between checkpoints in ms; None likewise.
        exact: Whether another version or processor is refused.
        silent: Whether nothing is told on the way.
        console: Where things are told.
        workers: How many processes compute it; None for as many as a launcher has started.

    Returns:
        The numbers of the table, and what they belong to.

    Raises:
        StoreError: There is no run, or no checkpoint of it that can be used.
        RunError: A duration that cannot be.
        NonFiniteState: The step is too large. What was computed before stays.
        Interrupted: The run was asked to stop.
    """
    store = find(place)
    folder = beside(store)
    if sweep_of(folder) is not None:
        raise sf.errors.StoreError(
            f"{store} is a sweep; go on with: {command('sweep --resume', store)}"
        )
    model = kept_model(folder)
    load(console, silent)
    last = _told(folder)
    if last is not None and last.state == FINISHED and last.progress is not None and not silent:
        total = last.progress.total
        if duration in (None, total):
            console.print(f"nothing is left to do: all {total:,.10g} ms are computed")
    ms = sf.units.ms
    whole = None if duration is None else duration * ms
    every = None if checkpoint is None else checkpoint * ms
    try:
        with as_notes(console):
            run = sf.resume(
                store,
                whole,
                checkpoint=every,
                exact=exact,
                workers=workers,
                progress=not silent,
            )
    except sf.errors.NonFiniteState as error:
        error.add_note(f"What was computed before is in {store}.")
        raise
    now = _told(folder)
    begun = 0.0 if now is None or now.progress is None else now.progress.begun
    if not run.statistics["run_seconds"]:  # nothing was left to compute
        begun = run.duration
    return of_any(run, store, begun) if model is None else of_model(run, model, Path(store), begun)


def _told(folder: Folder) -> Sight | None:
    """Return what a run told of itself last; if that is damaged, the run can go on all the same."""
    try:
        return look(folder)
    except sf.errors.StoreError:
        return None
