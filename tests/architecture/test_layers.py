"""The house plan of DESIGN.md, held by reading the imports."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "somaflow"
FILES = {path.relative_to(SOURCE).as_posix(): path for path in sorted(SOURCE.rglob("*.py"))}

# What describes a network without computing anything.
DESCRIPTION = (
    "errors",
    "notation",
    "given",
    "units",
    "description",
    "difference",
    "equations",
    "mechanisms",
    "network",
)

# Imported where they are used, because they are optional or slow to load.
ON_USE = {"fsspec", "matplotlib", "mpi4py", "neo", "scipy", "xarray"}
MOST_LINES = 450


def layer(name: str) -> str:
    return name.split("/", maxsplit=1)[0].removesuffix(".py")


def imported(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Every module that is imported, and the line. `from somaflow import units` names units."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"a relative import in line {node.lineno}"
            if node.module == "somaflow":
                yield from ((f"somaflow.{alias.name}", node.lineno) for alias in node.names)
            else:
                yield node.module or "", node.lineno


@pytest.mark.parametrize("name", [name for name in FILES if layer(name) in DESCRIPTION])
def test_the_first_column_never_imports_tensorflow(name: str) -> None:
    for module, line in imported(ast.parse(FILES[name].read_text())):
        assert module.split(".")[0] not in ("tensorflow", "keras"), f"{name}:{line}"


@pytest.mark.parametrize("name", FILES)
def test_imports_stand_at_the_top(name: str) -> None:
    for function in ast.walk(ast.parse(FILES[name].read_text())):
        if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            for module, line in imported(function):
                assert module.split(".")[0] in ON_USE, f"{name}:{line} imports {module}"


@pytest.mark.parametrize("name", FILES)
def test_a_file_holds_one_idea(name: str) -> None:
    lines = len(FILES[name].read_text().splitlines())
    assert lines <= MOST_LINES, f"{name} has {lines} lines; it holds two ideas"


FORMS = {"Graded", "Pulsed", "Jumping", "Plastic", "General"}
COUPLINGS = {f"{form}Coupling" for form in FORMS}


@pytest.mark.parametrize("name", FILES)
def test_nobody_asks_which_form_a_synapse_has(name: str) -> None:
    own = name.rsplit("/", maxsplit=1)[-1].removesuffix(".py").capitalize()
    for node in ast.walk(ast.parse(FILES[name].read_text())):
        asks = isinstance(node, ast.Call) and getattr(node.func, "id", "") == "isinstance"
        if asks or isinstance(node, ast.MatchClass):
            found = {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}
            assert not found & ((FORMS | COUPLINGS) - {own}), f"{name}:{node.lineno}"


def test_the_readers_see_what_they_look_for() -> None:
    text = "import a.b\ndef f():\n    from somaflow import units, errors\n    from c import d\n"
    found = set(imported(ast.parse(text)))
    assert found == {("a.b", 1), ("somaflow.units", 3), ("somaflow.errors", 3), ("c", 4)}


def test_the_layers_hold() -> None:
    command = [Path(sys.executable).parent / "lint-imports", "--no-cache"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "5 kept, 0 broken" in done.stdout


def test_every_room_is_told_of() -> None:
    rooms = {path.parent.name for path in SOURCE.glob("*/__init__.py")}
    rooms |= {path.stem for path in SOURCE.glob("*.py")} - {"__init__"}
    for place in (ROOT / "CONTRIBUTING.md", SOURCE / "__init__.py"):
        told = set(re.findall(r"`([a-z]+)`", place.read_text()))
        assert rooms <= told, f"{place}: {sorted(rooms - told)}"
