"""The progress bar of a run, with biological time and the real-time factor."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

from somaflow.cli.report import against_real_time


class Bar:
    """What `sf.simulate(..., progress=...)` calls."""

    def __init__(self, progress: Progress, total: float) -> None:
        self._progress = progress
        self._task = progress.add_task(
            "compiling", total=total, time=f"0 of {total:g} ms", speed=""
        )

    def __call__(self, done: float, total: float, seconds: float) -> None:
        """Show how far a run is.

        Args:
            done: Biological time in ms.
            total: Length of the run in ms.
            seconds: Computing so far.
        """
        self._progress.update(
            self._task,
            completed=done,
            description="running",
            time=f"{done:g} of {total:g} ms",
            speed=against_real_time(float(f"{seconds / (done / 1000):.3g}")),
        )


@contextmanager
def bar(console: Console, total: float) -> Iterator[Bar]:
    """Show a progress bar while the block runs.

    Args:
        console: Where; standard error, so that standard output stays clean.
        total: Biological time in ms.
    """
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description:<9}"),
        BarColumn(),
        TextColumn("{task.fields[time]}"),
        TextColumn("[dim]{task.fields[speed]}"),
    )
    with Progress(*columns, console=console) as progress:
        try:
            yield Bar(progress, total)
        except BaseException:
            progress.live.transient = True  # a bar that stopped would only distract from the error
            raise
