"""The entry point: reads the command line, and says errors in plain words."""

import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from importlib.metadata import version
from pathlib import Path
from shlex import quote
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from somaflow.cli import check, describe, doctor, resume, run, sweep, watch
from somaflow.cli.durations import milliseconds
from somaflow.cli.outcome import Report
from somaflow.cli.place import command
from somaflow.cli.report import table
from somaflow.cli.request import Request, entry
from somaflow.errors import Interrupted, SomaflowError
from somaflow.lab import written
from somaflow.solvers import catalogue
from somaflow.tutorials import copied

app = typer.Typer(
    help="Simulate biological neural networks, as easy to write as their equations.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

# TensorFlow writes of processors and compilers to standard error while it works. What goes wrong
# in a run comes as an exception. A user's own choice stands.
_QUIET = {"TF_CPP_MIN_LOG_LEVEL": "3"}


def _method(text: str) -> str:
    """Return the name of a method that a network takes."""
    if text not in catalogue.in_networks():
        names = ", ".join(catalogue.in_networks())
        raise typer.BadParameter(f"{text!r} is not one of {names}.")
    return text


class Dtype(StrEnum):
    """The precisions that can be chosen."""

    FLOAT64 = "float64"
    FLOAT32 = "float32"


_Method = typer.Option(
    help="The method.",
    parser=_method,
    metavar=f"[{'|'.join(catalogue.in_networks())}]",
    show_default="the model's own",
)
_Place = Annotated[str, typer.Argument(metavar="DIR", help="The folder of a run, or its store.")]
_Workers = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Processes, each with a share of the cells; they need MPI (`somaflow doctor mpi`).",
        show_default="as many as a launcher has started, else one",
    ),
]
_Quiet = Annotated[bool, typer.Option("--quiet", help="Tell nothing on the way.")]
_Json = Annotated[bool, typer.Option("--json", help="Print the table as one JSON object.")]


@contextmanager
def _plain_errors(of_sweep: bool = False) -> Iterator[None]:
    """Say an error in its own words and end with exit code 2; of a signal, with 128 and its own."""
    console = Console(stderr=True)
    try:
        yield
    except Interrupted as stop:
        message, again = f"stopped at {stop.time:,.10g} ms by {_name(stop.signal)}", "resume"
        if of_sweep:
            message, again = str(stop).partition(";")[0], "sweep --resume"
        if stop.path is not None:
            message += f"; go on with: {command(again, stop.path)}"
        console.print(Text(message), soft_wrap=True)
        raise typer.Exit(128 + stop.signal) from None
    except SomaflowError as error:
        notes = getattr(error, "__notes__", [])
        message = Text.assemble(("error: ", "bold red"), "\n".join([str(error), *notes]))
        console.print(message, soft_wrap=True)
        raise typer.Exit(2) from None


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"somaflow {version('somaflow')}")
        raise typer.Exit


@app.callback()
def main(
    _: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    """Prepare what every command needs."""
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)


@app.command("run")
def run_model(
    model: Annotated[str, typer.Argument(help="A model; `somaflow models` lists them.")],
    *,
    parameters: Annotated[
        str | None, typer.Option(help="A parameter set of the model.", show_default="the first")
    ] = None,
    scale: Annotated[
        float | None,
        typer.Option(help="The share of the cells, such as 0.1.", show_default="all"),
    ] = None,
    coherence: Annotated[
        float | None,
        typer.Option(
            help="Model decision: how much of the motion goes towards A, in percent, -100 to 100.",
            show_default="the model's own",
        ),
    ] = None,
    duration: Annotated[
        str | None, typer.Option(help="Biological time.", show_default="the model's own")
    ] = None,
    dt: Annotated[
        str | None, typer.Option(help="The step.", show_default="the model's own")
    ] = None,
    solver: Annotated[str | None, _Method] = None,
    dtype: Annotated[Dtype, typer.Option(help="The precision.")] = Dtype.FLOAT64,
    seed: Annotated[int, typer.Option(help="Keys every random choice.")] = 1,
    checkpoint: Annotated[
        str | None,
        typer.Option(help="Biological time between checkpoints.", show_default="at the ends"),
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for results.")] = Path("somaflow-out"),
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace results there.")] = False,
    workers: _Workers = None,
    plan: Annotated[
        bool,
        typer.Option(
            "--plan",
            help="Print what it would need, and run nothing; exit code 1 if it does not fit.",
        ),
    ] = False,
    silent: _Quiet = False,
    as_json: _Json = False,
) -> None:
    """Run a model; write its recordings (Zarr) and a figure (PNG)."""
    errors = Console(stderr=True)
    with _plain_errors():
        own = entry(model)
        request = Request(
            model=model,
            parameters=parameters,
            duration=milliseconds(own.duration if duration is None else duration, "--duration"),
            dt=milliseconds(own.dt if dt is None else dt, "--dt"),
            solver=solver or own.solver,
            dtype=dtype.value,
            seed=seed,
            scale=scale,
            coherence=coherence,
            out=out,
            overwrite=overwrite,
            checkpoint=None if checkpoint is None else milliseconds(checkpoint, "--checkpoint"),
            quiet=silent,
            workers=workers,
        )
        if plan:
            needed = run.plan(request, errors)
            typer.echo(needed.to_json() if as_json else str(needed))
            raise typer.Exit(0 if needed.fits else 1)
        report = run.execute(request, errors)
    _tell(report, as_json)


@app.command("sweep", epilog="Quote what holds a >, which the shell would take for itself.")
def sweep_model(
    model: Annotated[
        str | None, typer.Argument(help="A model; `somaflow models` lists them.")
    ] = None,
    *,
    vary: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUES",
            # Letters between colons would be drawn as an emoji.
            help="What varies, once for each axis. VALUES are FIRST:LAST:COUNT UNIT "
            "('LN->PN.g=0:0.6:13 mS/cm2'); FIRST:LAST, whole numbers (seed=1:5); or a list "
            "('PN.na.g=80,100 mS/cm2', seed=1,4). NAME is a part of the network and what it has, "
            "or seed, parameters, scale, coherence.",
        ),
    ] = None,
    resumed: Annotated[
        str | None,
        typer.Option("--resume", metavar="DIR", help="Go on with the sweep there; no MODEL."),
    ] = None,
    trials: Annotated[
        int | None, typer.Option(help="Runs of each point, with seeds of their own.")
    ] = None,
    reduce: Annotated[
        str | None,
        typer.Option(
            help="What is kept of each member: rate, count, cv, lfp_peak, or several: rate,cv.",
            show_default="rate, and lfp_peak of a model with a field potential",
        ),
    ] = None,
    record: Annotated[
        bool, typer.Option("--record", help="Keep the recordings of each member instead.")
    ] = False,
    parameters: Annotated[
        str | None, typer.Option(help="A parameter set of the model.", show_default="the first")
    ] = None,
    scale: Annotated[
        float | None, typer.Option(help="The share of the cells.", show_default="all")
    ] = None,
    coherence: Annotated[
        float | None,
        typer.Option(help="Model decision: as of `run`.", show_default="the model's own"),
    ] = None,
    duration: Annotated[
        str | None,
        typer.Option(help="Biological time of each member.", show_default="the model's own"),
    ] = None,
    dt: Annotated[
        str | None, typer.Option(help="The step.", show_default="the model's own")
    ] = None,
    solver: Annotated[str | None, _Method] = None,
    dtype: Annotated[Dtype, typer.Option(help="The precision.")] = Dtype.FLOAT64,
    seed: Annotated[int, typer.Option(help="Keys every random choice, where it is fixed.")] = 1,
    batch: Annotated[
        int | None,
        typer.Option(help="Members that are rows of one program.", show_default="what is best"),
    ] = None,
    processes: Annotated[
        int | None, typer.Option(help="Processes.", show_default="one for each core")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for results.")] = Path("somaflow-out"),
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a sweep there.")] = False,
    plan: Annotated[
        bool,
        typer.Option(
            "--plan",
            help="Print what it would need, and run nothing; exit code 1 if it does not fit.",
        ),
    ] = False,
    silent: _Quiet = False,
    as_json: _Json = False,
) -> None:
    """Simulate a model many times; write one result (Zarr) and a figure (PNG).

    Called again it goes on where it stopped. The exit code is 1 if members failed.
    """
    errors = Console(stderr=True)
    with _plain_errors(of_sweep=True):
        if (model is None) == (resumed is None):
            raise typer.BadParameter("give a MODEL, or --resume DIR.")
        way = sweep.Way(out, processes, overwrite, silent)
        if model is None:
            report = sweep.resume(str(resumed), way, errors)
        else:
            own = entry(model)
            if record and reduce is not None:
                raise typer.BadParameter("--record keeps recordings, in place of --reduce.")
            names = sweep.default_reduce(model) if reduce is None else tuple(reduce.split(","))
            asked = sweep.Sweep(
                model=model,
                vary=tuple(vary or ()),
                trials=trials,
                parameters=parameters,
                duration=milliseconds(own.duration if duration is None else duration, "--duration"),
                dt=milliseconds(own.dt if dt is None else dt, "--dt"),
                solver=solver or own.solver,
                dtype=dtype.value,
                seed=seed,
                scale=scale,
                coherence=coherence,
                reduce=None if record else names,
                batch=batch,
            )
            if plan:
                needed = sweep.plan(asked, way, errors)
                typer.echo(json.dumps(needed) if as_json else sweep.in_lines(needed))
                raise typer.Exit(0 if needed["fits"] else 1)
            report = sweep.execute(asked, way, errors)
    _tell(report, as_json)
    raise typer.Exit(1 if report.numbers["failed"] else 0)


@app.command("resume")
def resume_run(
    place: _Place,
    *,
    duration: Annotated[
        str | None,
        typer.Option(help="Biological time of the whole run.", show_default="as asked for"),
    ] = None,
    checkpoint: Annotated[
        str | None,
        typer.Option(help="Biological time between checkpoints.", show_default="as asked for"),
    ] = None,
    not_exact: Annotated[
        bool,
        typer.Option(
            "--not-exact",
            help="Go on though somaflow, TensorFlow or the processor is another; "
            "the results then say so.",
        ),
    ] = False,
    workers: _Workers = None,
    silent: _Quiet = False,
    as_json: _Json = False,
) -> None:
    """Go on with a run that stopped, or make a finished one longer."""
    with _plain_errors():
        whole = None if duration is None else milliseconds(duration, "--duration")
        every = None if checkpoint is None else milliseconds(checkpoint, "--checkpoint")
        errors = Console(stderr=True)
        report = resume.execute(place, whole, every, not not_exact, silent, errors, workers)
    _tell(report, as_json)


@app.command("check")
def check_run(
    place: _Place,
    *,
    repair: Annotated[
        bool,
        typer.Option("--repair", help="Mend what can be mended; then `resume` computes the rest."),
    ] = False,
) -> None:
    """Look whether every byte of a run is what was written; exit code 1 if not."""
    with _plain_errors():
        result = check.execute(place, repair, Console(stderr=True))
    typer.echo(str(result))
    raise typer.Exit(0 if result.sound else 1)


@app.command("watch")
def watch_run(
    place: _Place,
    *,
    once: Annotated[bool, typer.Option("--once", help="Print one line and end.")] = False,
) -> None:
    """Follow a run from another process until it ends; exit code 1 if it did not finish."""
    with _plain_errors():
        try:
            code = watch.follow(place, Console(highlight=False), once)
        except KeyboardInterrupt:  # of the watcher; the run goes on
            code = 128 + signal.SIGINT
    raise typer.Exit(code)


class Part(StrEnum):
    """What `doctor` looks at."""

    MPI = "mpi"


@app.command("doctor")
def look_at(
    part: Annotated[Part, typer.Argument(help="What to look at: mpi, by which workers exchange.")],
) -> None:
    """Look whether what somaflow does not bring itself is there and works; exit code 1 if not."""
    assert part is Part.MPI
    with _plain_errors():
        works = doctor.mpi(Console(highlight=False))
    raise typer.Exit(0 if works else 1)


@app.command("tutorials")
def copy_tutorials(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="Where to; it is made where it is missing.")
    ] = Path("somaflow-tutorials"),
) -> None:
    """Copy the notebooks of the course to a folder, and say how to open them."""
    with _plain_errors():
        copies = copied(folder)
    typer.echo("\n".join(map(str, copies)))
    typer.echo(f"\nOpen them with: pip install jupyterlab && jupyter lab {quote(str(folder))}")


@app.command("lab")
def make_lab(
    static: Annotated[Path, typer.Option(metavar="DIR", help="The folder for the page.")],
) -> None:
    """Compute runs of the antennal lobe; write one page with sliders over them, for a lecture."""
    with _plain_errors(of_sweep=True):
        page = written(static)
    typer.echo(f"{page}  {page.stat().st_size / 1e6:.1f} MB")


def _tell(report: Report | sweep.SweepReport, as_json: bool) -> None:
    """Print what a run or a sweep leaves."""
    if as_json:
        typer.echo(json.dumps(report.numbers))
        return
    console = Console(highlight=False)
    console.print(Text(report.title, style="bold"))
    console.print(
        table(report.numbers) if isinstance(report, Report) else sweep.table(report.numbers)
    )
    if report.provenance:
        console.print(Text(report.provenance, style="dim"))
    console.print()
    for what, path in (("figure", report.figure), ("results", report.store)):
        if path is not None:
            console.print(Text(f"{what:<8} {path}"), soft_wrap=True)


@app.command()
def models() -> None:
    """List the models that can be run."""
    describe.show(Console(), describe.models())


@app.command()
def mechanisms(
    name: Annotated[str | None, typer.Argument(help="A mechanism to show in full.")] = None,
) -> None:
    """List the catalogue of channels, synapses, pools and neurons, or show one mechanism."""
    with _plain_errors():
        page = describe.mechanisms() if name is None else describe.mechanism(name)
    describe.show(Console(), page)
