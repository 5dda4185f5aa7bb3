"""The API reference: it has every public name once, and is built without a warning."""

import importlib
import inspect
import re
import subprocess
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pint
import pytest

import somaflow as sf
from somaflow import units

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs/api").glob("*.md"))
BLOCK = re.compile(r"^```\{eval-rst\}\n(.*?)^```", re.MULTILINE | re.DOTALL)
# Parts that a user writes: not in `sf`, since nobody calls them.
OWN_PARTS = ("somaflow.storage.sinks", "somaflow.solvers.base")


def documented() -> Iterator[str]:
    """Every name in a list of an entry each, with its module."""
    for page in PAGES:
        for block in BLOCK.findall(page.read_text(encoding="utf-8")):
            module = ""
            for line in block.splitlines():
                if line.startswith(".. currentmodule::"):
                    module = line.split()[-1]
                elif line.startswith(".. automodule::"):
                    yield line.split()[-1].replace("somaflow.equations.math", "somaflow.math")
                elif found := re.fullmatch(r"(?:\.\. py:data::| {3,}) *([\w.]*\w)", line):
                    yield f"{module}.{found[1]}"


def public() -> Iterator[str]:
    for name in sf.__all__:
        yield f"somaflow.{name}"
        if isinstance(module := getattr(sf, name), types.ModuleType):
            yield from (f"somaflow.{name}.{own}" for own in module.__all__)


def test_every_public_name_is_in_the_reference_once() -> None:
    found = [name for name in documented() if not name.startswith(OWN_PARTS)]
    assert sorted(found) == sorted(public())


def test_the_parts_that_a_user_may_write_are_in_the_reference() -> None:
    names = [name for name in documented() if name.startswith(OWN_PARTS)]
    assert {name.rpartition(".")[2] for name in names} > {"Sink", "Solver", "Column", "Problem"}
    for name in names:
        module, _, own = name.rpartition(".")
        assert inspect.isclass(getattr(importlib.import_module(module), own))


def test_the_lists_of_public_names_leave_nothing_out() -> None:
    quantities = {n for n in units.__all__ if isinstance(getattr(units, n), pint.Unit)}
    assert quantities == set(units.NAMES)
    assert set(sf.errors.__all__) == own(sf.errors, inspect.isclass)
    assert set(sf.math.__all__) == own(sf.math, inspect.isfunction) - {"register"}


def own(module: types.ModuleType, kind: Callable[[Any], bool]) -> set[str]:
    """Return what a module defines itself of one kind."""
    items = vars(module).items()
    return {
        name
        for name, found in items
        if kind(found) and found.__module__ == module.__name__ and not name.startswith("_")
    }


def test_every_public_name_says_what_it_is() -> None:
    for name in public():
        if name.startswith("somaflow.units.") or name == "somaflow.models.MODELS":
            continue  # objects of pint, and a table
        found: Any = sf
        for part in name.split(".")[1:]:
            found = getattr(found, part)
        assert inspect.getdoc(found), name


@pytest.mark.slow
def test_the_site_is_built_without_a_warning(tmp_path: Path) -> None:
    for package in ("sphinx", "myst_parser", "furo"):
        pytest.importorskip(package)
    options = ["--fail-on-warning", "--keep-going", "--quiet", "-d", str(tmp_path / "read")]
    command = [sys.executable, "-m", "sphinx", *options, "-c", "docs", ".", str(tmp_path / "site")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    pages = tmp_path / "site/docs/api/generated"
    cells = (pages / "somaflow.Population.html").read_text(encoding="utf-8")
    assert "Cells that share their equations" in cells
    assert 'href="somaflow.Neuron.html#somaflow.Neuron"' in cells
    # Code that begins with a point, and a name with `sf.`.
    assert ">.run<" in (pages / "somaflow.ZarrSink.html").read_text(encoding="utf-8")
    run = (pages / "somaflow.simulate.html").read_text(encoding="utf-8")
    assert re.search(r'href="somaflow\.Progress\.html[^>]*><code[^>]*>(<[^>]*>)*sf\.Progress<', run)
    first = (tmp_path / "site/docs/index.html").read_text(encoding="utf-8")
    assert 'href="../README.html"' in first
    assert 'href="howto/long-runs.html"' in first
