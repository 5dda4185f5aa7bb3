"""The course: every cell runs on a fresh kernel, every solution is right, wrong answers are not."""

import os
import re
from pathlib import Path

import jupytext
import nbformat
import pytest
from nbclient import NotebookClient
from sessions import FOLDER, SESSIONS, exercises, read, with_answers
from wrong_answers import WRONG

from somaflow.tutorials.checking import checks_of

NAMES = [path.stem for path in SESSIONS]
_SAID = re.compile(r"^(\d\.\d): (no answer yet|right|not yet)", re.M)


@pytest.mark.slow(seconds=60)
@pytest.mark.parametrize("path", SESSIONS, ids=NAMES)
def test_every_cell_runs_and_every_check_tells_right_from_wrong(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MPLBACKEND", "module://matplotlib_inline.backend_inline")
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "3")
    notebook, expected = with_answers(read(path), WRONG)
    client = NotebookClient(
        notebook, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    )
    client.execute(env=dict(os.environ))
    outputs = [o for cell in notebook.cells if cell.cell_type == "code" for o in cell.outputs]
    said = _SAID.findall("".join(o.text for o in outputs if o.output_type == "stream"))
    assert said == expected


@pytest.mark.parametrize("path", SESSIONS, ids=NAMES)
def test_each_exercise_has_a_hint_a_solution_a_check_and_a_wrong_answer(path: Path) -> None:
    found = exercises(read(path))
    session = path.name[0]
    assert [one.number for one in found] == [f"{session}.{k + 1}" for k in range(len(found))]
    assert 4 <= len(found) <= 6
    assert list(checks_of(session)) == [one.number for one in found]
    for one in found:
        assert set(one.folded) == {"Hint", "Solution"} and one.solution and one.check, one.number
        assert len(WRONG[one.number]) >= 2, one.number


@pytest.mark.parametrize("path", SESSIONS, ids=NAMES)
def test_a_session_says_what_it_takes_and_describes_its_figures(path: Path) -> None:
    text = path.read_text()
    for heading in ("## What you will be able to do", "## Before you begin", "## Where this leads"):
        assert heading in text
    for cell in read(path).cells:
        if cell.cell_type == "code" and "plt.show()" in cell.source:
            assert cell.metadata.get("mystnb", {}).get("image", {}).get("alt"), cell.source


@pytest.mark.parametrize("path", SESSIONS, ids=NAMES)
def test_the_notebook_beside_a_session_is_the_same_session(path: Path) -> None:
    there = nbformat.read(path.with_suffix(".ipynb"), 4)
    made = read(path)
    cells = [[(c.cell_type, c.source) for c in notebook.cells] for notebook in (there, made)]
    assert cells[0] == cells[1], "make notebooks"
    assert all(not c.get("outputs") for c in there.cells), "notebooks are kept without outputs"


def test_all_sessions_install_from_one_address() -> None:
    address = (FOLDER / "address.txt").read_text().strip()
    first = {next(c.source for c in read(path).cells if c.cell_type == "code") for path in SESSIONS}
    assert len(first) == 1 and f'"{address}"' in first.pop()


def test_there_are_seven_sessions() -> None:
    assert [path.name[0] for path in SESSIONS] == list("1234567")
    assert jupytext.__version__


def test_what_a_session_recommends_is_on_the_reading_list() -> None:
    doi = re.compile(r"\[doi:(10\.[^\]]+)\]")
    listed = set(doi.findall((FOLDER / "reading.md").read_text()))
    told = {one for path in SESSIONS for one in doi.findall(path.read_text())}
    assert len(told) >= 15 and told <= listed
