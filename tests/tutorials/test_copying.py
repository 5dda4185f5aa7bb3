"""`somaflow tutorials`: from a checkout, and from a wheel in an empty environment."""

import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest
from sessions import FOLDER, SESSIONS
from typer.testing import CliRunner

from somaflow.cli.main import app
from somaflow.errors import StoreError
from somaflow.tutorials import copied

ROOT = FOLDER.parents[1]

_EXECUTE = """
import sys, nbformat
from nbclient import NotebookClient
notebook = nbformat.read(sys.argv[1], 4)
NotebookClient(notebook, kernel_name="python3", timeout=900).execute()
print(len(notebook.cells))
"""


def test_the_command_copies_all_sessions_and_says_how_to_open_them(tmp_path: Path) -> None:
    place = tmp_path / "my course"
    result = CliRunner().invoke(app, ["tutorials", str(place)])
    assert result.exit_code == 0
    assert "jupyter lab" in result.output and f"'{place}'" in result.output
    names = {path.with_suffix(".ipynb").name for path in SESSIONS}
    assert {path.name for path in place.iterdir()} == names
    copied(place)  # what is the same is no matter


def test_answers_that_are_there_are_kept(tmp_path: Path) -> None:
    own = tmp_path / SESSIONS[2].with_suffix(".ipynb").name
    own.write_text("my answers")
    with pytest.raises(StoreError, match=f"{own.name} already"):
        copied(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [own.name]
    assert own.read_text() == "my answers"


@pytest.mark.parametrize("kind", ["a dangling link", "a folder"])
def test_what_is_in_the_place_of_a_session_is_not_written_through(
    tmp_path: Path, kind: str
) -> None:
    own, elsewhere = tmp_path / SESSIONS[0].with_suffix(".ipynb").name, tmp_path / "elsewhere"
    own.mkdir() if kind == "a folder" else own.symlink_to(elsewhere)
    with pytest.raises(StoreError, match="already"):
        copied(tmp_path)
    assert not elsewhere.exists() and [path.name for path in tmp_path.iterdir()] == [own.name]


@pytest.mark.parametrize("below", ["", "deeper"])
def test_a_place_that_is_no_folder_is_said_plainly(tmp_path: Path, below: str) -> None:
    place = tmp_path / "file"
    place.write_text("mine")
    result = CliRunner().invoke(app, ["tutorials", str(place / below)])
    assert result.exit_code == 2 and "file" in result.output
    assert place.read_text() == "mine"


@pytest.mark.slow(seconds=180)
def test_an_empty_environment_installs_a_wheel_and_runs_the_first_session(tmp_path: Path) -> None:
    def run(*command: object, **more: str) -> str:
        environment = {
            k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")
        }
        made = subprocess.run(
            list(map(str, command)),
            cwd=tmp_path,
            env=environment | {"MPLBACKEND": "", "TF_CPP_MIN_LOG_LEVEL": "3"} | more,
            capture_output=True,
            text=True,
            check=False,
        )
        assert made.returncode == 0, made.stdout + made.stderr
        return made.stdout

    quiet = ("-m", "pip", "--disable-pip-version-check", "--quiet")
    run(sys.executable, *quiet, "wheel", "--no-deps", "--wheel-dir", tmp_path, ROOT)
    (wheel,) = tmp_path.glob("somaflow-*.whl")
    with zipfile.ZipFile(wheel) as held:
        names = {name for name in held.namelist() if "/tutorials/notebooks/" in name}
    assert {Path(n).name for n in names} == {p.with_suffix(".ipynb").name for p in SESSIONS}
    bare = tmp_path / "bare"
    venv.create(bare, with_pip=True)
    python = bare / "bin" / "python"
    run(python, *quiet, "install", "ipykernel", "nbclient", "nbformat")
    # The first cell is all that installs somaflow, as on a hosted notebook.
    notebook = SESSIONS[0].with_suffix(".ipynb")
    run(python, "-c", _EXECUTE, notebook, SOMAFLOW_ADDRESS=str(wheel))
    run(bare / "bin" / "somaflow", "tutorials", "copies")
    assert len(list((tmp_path / "copies").glob("*.ipynb"))) == len(SESSIONS)
