"""Sessions of the course: their cells, and their exercises with solutions."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jupytext
import nbformat

FOLDER = Path(__file__).parents[2] / "docs" / "tutorials"
SESSIONS = sorted(FOLDER.glob("[1-9]-*.md"))
_EXERCISE = re.compile(r"^### Exercise (\d\.\d)\b", re.M)
_FOLDED = re.compile(r"<details><summary>(Hint|Solution)</summary>\n\n(.*?)\n\n</details>", re.S)
_CODE = re.compile(r"```python\n(.*?)\n```", re.S)


@dataclass
class Exercise:
    """An exercise: its number, how the solution reads, its folded texts, and its check."""

    number: str
    folded: dict[str, str]
    check: str

    @property
    def solution(self) -> str:
        """The code of its solution."""
        return "\n\n".join(_CODE.findall(self.folded.get("Solution", "")))


def read(path: Path) -> Any:
    """Return a session as a notebook."""
    return jupytext.read(path)


def exercises(notebook: Any) -> list[Exercise]:
    """Return the exercises of a session, in its order."""
    found: list[Exercise] = []
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            for number in _EXERCISE.findall(cell.source):
                found.append(Exercise(number, {}, ""))
            if found and not found[-1].check:
                found[-1].folded |= dict(_FOLDED.findall(cell.source))
        elif found and cell.source.lstrip().startswith(f'check("{found[-1].number}"'):
            found[-1].check = cell.source
    return found


def with_answers(notebook: Any, wrong: dict[str, list[str]]) -> tuple[Any, list[tuple[str, str]]]:
    """Return a notebook in which each exercise is answered, and what its checks are to say.

    Behind each check of what a student begins with stand the solution and the check again, and one
    check for each wrong answer.

    Args:
        notebook: The session.
        wrong: Code of wrong answers of each exercise, each an expression.

    Returns:
        The notebook, and of each of its checks, in order, the exercise and what it says first.
    """
    known = {one.check: one for one in exercises(notebook)}
    cells, expected = [], []
    for cell in notebook.cells:
        cells.append(cell)
        if cell.cell_type != "code" or cell.source not in known:
            continue
        one = known[cell.source]
        expected.append((one.number, "no answer yet"))
        sources = [one.solution, one.check]
        expected.append((one.number, "right"))
        for answer in wrong.get(one.number, []):
            sources.append(f'check("{one.number}", {answer})')
            expected.append((one.number, "not yet"))
        cells += [nbformat.v4.new_code_cell(source) for source in sources]
    answered = nbformat.v4.new_notebook(cells=cells, metadata=notebook.metadata)
    return answered, expected
