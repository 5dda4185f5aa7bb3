"""The README: its Python blocks run in order, in one namespace, and its commands are there."""

import re
from pathlib import Path

import matplotlib.pyplot as plt
import pytest

README = Path(__file__).parents[2] / "README.md"
FENCE = re.compile(r"^```python[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)


def blocks() -> list[tuple[int, str]]:
    """Line number and code of each block."""
    text = README.read_text(encoding="utf-8")
    return [(text[: m.start(1)].count("\n"), m[1]) for m in FENCE.finditer(text)]


@pytest.mark.slow
def test_the_blocks_run_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, object] = {"__name__": "readme"}
    found = blocks()
    assert found
    try:
        for line, code in found:
            # Blank lines put tracebacks on the README's own lines.
            exec(compile("\n" * line + code, str(README), "exec"), namespace)
    finally:
        plt.close("all")


def test_every_block_is_python() -> None:
    for line, code in blocks():
        compile("\n" * line + code, str(README), "exec")


@pytest.mark.parametrize("command", ["make demo", "somaflow run antennal-lobe"])
def test_both_commands_are_named(command: str) -> None:
    assert command in README.read_text(encoding="utf-8")
