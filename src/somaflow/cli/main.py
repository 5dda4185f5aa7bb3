"""The entry point: reads the command line, and says errors in plain words."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from somaflow.cli import describe, run
from somaflow.cli.durations import milliseconds
from somaflow.cli.report import table
from somaflow.errors import SomaflowError

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


class Solver(StrEnum):
    """The methods that can be chosen."""

    RK4 = "rk4"
    EULER = "euler"


class Dtype(StrEnum):
    """The precisions that can be chosen."""

    FLOAT64 = "float64"
    FLOAT32 = "float32"


@contextmanager
def _plain_errors() -> Iterator[None]:
    """Say an error in its own words and end with exit code 2."""
    try:
        yield
    except SomaflowError as error:
        message = Text.assemble(("error: ", "bold red"), str(error))
        Console(stderr=True).print(message, soft_wrap=True)
        raise typer.Exit(2) from None


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
    duration: Annotated[str, typer.Option(help="Biological time.")] = "1s",
    dt: Annotated[str, typer.Option(help="The step.")] = "0.01ms",
    solver: Annotated[Solver, typer.Option(help="The method.")] = Solver.RK4,
    dtype: Annotated[Dtype, typer.Option(help="The precision.")] = Dtype.FLOAT64,
    seed: Annotated[int, typer.Option(help="Keys every random choice.")] = 1,
    out: Annotated[Path, typer.Option(help="Folder for results.")] = Path("somaflow-out"),
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace results there.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the table as one JSON object.")
    ] = False,
) -> None:
    """Run a model; write its recordings (Zarr) and a figure (PNG)."""
    errors = Console(stderr=True)
    with _plain_errors():
        request = run.Request(
            model=model,
            parameters=parameters,
            duration=milliseconds(duration, "--duration"),
            dt=milliseconds(dt, "--dt"),
            solver=solver.value,
            dtype=dtype.value,
            seed=seed,
            out=out,
            overwrite=overwrite,
        )
        result = run.execute(request, errors)
    if as_json:
        typer.echo(json.dumps(result.numbers))
        return
    console = Console(highlight=False)
    console.print(Text(result.title, style="bold"))
    console.print(table(result.numbers))
    console.print(Text(result.provenance, style="dim"))
    console.print()
    for what, path in (("figure", request.figure), ("results", request.store)):
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
        shown = describe.mechanisms() if name is None else describe.mechanism(name)
    describe.show(Console(), shown)
