"""`somaflow models` and `somaflow mechanisms`: what there is."""

from collections.abc import Mapping

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

import somaflow as sf
from somaflow.mechanisms.catalogue import KINDS, checks


def models() -> RenderableType:
    """Return the list of models."""
    grid = Table(box=None, pad_edge=False, header_style="dim")
    for heading in ("model", "what it is", "parameters"):
        grid.add_column(heading)
    for name, entry in sf.models.MODELS.items():
        grid.add_row(Text(name, style="bold"), entry.description, "\n".join(entry.parameter_sets))
    return Group(grid, "", Text("Run one with: somaflow run NAME", style="dim"))


def mechanisms() -> RenderableType:
    """Return the list of the catalogue, by kind."""
    parts: list[RenderableType] = []
    for folder in KINDS.values():
        grid = Table(box=None, pad_edge=False, show_header=False)
        grid.add_column(min_width=32, no_wrap=True)
        grid.add_column()
        for name in sf.catalogue(folder):
            grid.add_row(Text(name, style="bold"), sf.load(name).title)
        parts += [Text(folder, style="dim"), grid, ""]
    return Group(*parts, Text("More of one with: somaflow mechanisms NAME", style="dim"))


def mechanism(name: str) -> RenderableType:
    """Return all that a mechanism's file says.

    Args:
        name: A name of the catalogue.

    Raises:
        UnknownMechanismError: The catalogue has no such name.
    """
    if name.endswith(".toml"):
        raise sf.errors.UnknownMechanismError(
            f"{name!r} is a file; `somaflow mechanisms` shows the catalogue by name."
        )
    entry = sf.load(name)
    equations = entry.equations
    parts: list[RenderableType] = [
        Text.assemble((entry.name, "bold"), f"  ({entry.kind})"),
        Text(entry.title),
        *_section("equations", Text(equations.source.strip())),
    ]
    if equations.inputs:
        parts += _section("inputs", _pairs(equations.inputs))
    parts += _section("parameters", _pairs(equations.parameters))
    if equations.initial:
        parts += _section("initial values", _pairs(equations.initial))
    if entry.details:
        parts += _section("details", _pairs(entry.details))
    parts += _section("source", Text(entry.reference))
    parts += _section("checks", _checks(entry.name))
    return Group(*parts)


def show(console: Console, what: RenderableType) -> None:
    """Print without cutting words or colouring numbers."""
    console.print(what, highlight=False)


def _section(title: str, body: RenderableType) -> list[RenderableType]:
    return [Text(), Text(title, style="dim"), Padding(body, (0, 0, 0, 2))]


def _pairs(values: Mapping[str, object]) -> Table:
    grid = Table(box=None, pad_edge=False, show_header=False)
    grid.add_column(no_wrap=True)
    grid.add_column()
    for key, value in values.items():
        text = ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
        grid.add_row(key, Text(text))
    return grid


def _checks(name: str) -> Table:
    grid = Table(box=None, pad_edge=False, header_style="dim")
    for heading in ("of", "expected", "computed", "", "source"):
        grid.add_column(heading)
    for check in checks(name):
        scale = max(abs(check["expected"]), 1e-300)
        good = abs(check["found"] - check["expected"]) <= check["tolerance"] * scale or (
            check["expected"] == 0 and abs(check["found"]) <= check["tolerance"]
        )
        grid.add_row(
            check["name"],
            f"{check['expected']:.6g}",
            f"{check['found']:.6g}",
            Text("agrees", style="green") if good else Text("DIFFERS", style="bold red"),
            Text(check["source"]),
        )
    return grid
