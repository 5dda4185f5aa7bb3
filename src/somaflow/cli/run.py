"""`somaflow run`: build a model, simulate it, and write its results and its figure."""

# Annotations stay text: to evaluate sf.Plan would load what `--help` must not wait for.
from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.text import Text

import somaflow as sf
from somaflow.cli.outcome import Report, is_own_figure, of_model
from somaflow.cli.place import command
from somaflow.cli.request import Request, arguments
from somaflow.quiet import quiet
from somaflow.simulation.clock import whole_steps
from somaflow.storage.checkpoint import names as checkpoints
from somaflow.storage.folder import REQUEST, beside


def execute(request: Request, console: Console) -> Report:
    """Run a model and write its results.

    Args:
        request: What was asked for.
        console: Where is said what takes long.

    Returns:
        The numbers of the table, and what they belong to.

    Raises:
        UnknownNameError: There is no such model or parameter set.
        NetworkError: A scale that cannot be.
        RunError: A dt, duration or interval that cannot be.
        StoreError: The folder holds another run, or cannot be written.
        NonFiniteState: The step is too large. What was computed before stays.
        Interrupted: The run was asked to stop.
    """
    check(request)
    model = request.build()
    _refuse(request)
    load(console, request.quiet)
    settings, before = arguments(request, model), _kept(request)
    try:
        with as_notes(console):
            run = sf.simulate(**settings, progress=not request.quiet)
    except BaseException as error:
        if _kept(request) != before:  # a run has begun, maybe in a worker
            # What is there now is this run; a figure of an earlier one would lie beside it.
            if is_own_figure(request.figure):
                request.figure.unlink()
            if isinstance(error, sf.errors.NonFiniteState):
                error.add_note(f"What was computed before is in {request.store}.")
        raise
    return of_model(run, model, request.store)


def plan(request: Request, console: Console) -> sf.Plan:
    """Return what a run would need, and run nothing.

    Args:
        request: What was asked for.
        console: Where is said what takes long.

    Raises:
        SomaflowError: As `execute`.
    """
    check(request)
    model = request.build()
    load(console, request.quiet)
    return sf.plan(**arguments(request, model))


def check(request: Request) -> None:
    """Refuse times that are no whole numbers of steps, before anything heavy is loaded.

    Raises:
        RunError: So they are.
    """
    whole_steps(request.duration, request.dt, "duration")
    if request.checkpoint is not None:
        whole_steps(request.checkpoint, request.dt, "checkpoint")


def load(console: Console, silent: bool) -> None:
    """Load TensorFlow, which takes seconds and writes of missing processors.

    Args:
        console: Where that is said.
        silent: Whether it is not.
    """
    if not silent:
        console.print("loading TensorFlow", style="dim")
    with quiet():
        getattr(sf, "RK4")  # noqa: B009 - a method loads it, on first use


@contextmanager
def as_notes(console: Console) -> Iterator[None]:
    """Say warnings as plain lines, such as of a damaged checkpoint that was passed over.

    Args:
        console: Where.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("always", UserWarning)
        warnings.showwarning = lambda message, *_, **__: console.print(
            Text(f"note: {message}"), soft_wrap=True
        )
        yield


def _kept(request: Request) -> tuple[int, int] | None:
    """Return which file tells what was asked for beside the store; each run writes its own."""
    path = beside(request.store).local(REQUEST)
    if path is None or not path.exists():
        return None
    told = path.stat()
    return told.st_ino, told.st_mtime_ns


def _refuse(request: Request) -> None:
    """Refuse a folder that holds another run, before anything heavy is loaded."""
    parent = next(path for path in (request.out, *request.out.absolute().parents) if path.exists())
    if not parent.is_dir():
        raise sf.errors.StoreError(f"{request.out} cannot be made: {parent} is not a folder.")
    if request.overwrite:
        if os.path.lexists(request.figure) and not is_own_figure(request.figure):
            raise sf.errors.StoreError(
                f"{request.figure} is not a figure of this version of somaflow, so it is not "
                "replaced; move it, or choose another folder with --out."
            )
        return
    for path in (request.store, request.figure):
        if path.exists():
            goes_on = ""
            if checkpoints(beside(request.store)):
                goes_on = f"go on with it by `{command('resume', request.store)}`, "
            raise sf.errors.StoreError(
                f"{path} is there already: {request.out} holds another run. You can {goes_on}"
                "choose another folder with --out, or replace that run with --overwrite."
            )
