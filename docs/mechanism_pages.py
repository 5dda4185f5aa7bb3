"""The pages of the catalogue: one for each mechanism, from its file, with its checks computed."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import somaflow as sf
from somaflow.mechanisms.catalogue import KINDS, checks


def write(folder: Path) -> None:
    """Write a page for each mechanism of the catalogue, and one that leads to them.

    Args:
        folder: Where to; pages that are there already are replaced.
    """
    folder.mkdir(exist_ok=True)
    for page in folder.glob("*.md"):
        page.unlink()
    parts = [
        "# Mechanisms",
        "What the catalogue has, each as its own file says it: `sf.load(NAME)` in Python, "
        "`somaflow mechanisms NAME` on the command line.",
    ]
    for kind in KINDS.values():
        names = list(sf.catalogue(kind))
        rows = [(f"[{name}]({name}.md)", sf.load(name).title) for name in names]
        parts += [f"## {kind.capitalize()}", _table(("name", "what it is"), rows)]
        parts.append("```{toctree}\n:hidden:\n\n" + "\n".join(names) + "\n```")
        for name in names:
            (folder / f"{name}.md").write_text(_page(name), encoding="utf-8")
    (folder / "index.md").write_text("\n\n".join(parts) + "\n", encoding="utf-8")


def _page(name: str) -> str:
    entry = sf.load(name)
    equations = entry.equations
    parts = [f"# {name}", f"{entry.title} ({entry.kind})", "## Equations"]
    parts.append(f"```text\n{equations.source.strip()}\n```")
    for title, values in (
        ("Inputs", equations.inputs),
        ("Parameters", equations.parameters),
        ("Initial values", equations.initial),
        ("Details", entry.details),
    ):
        if values:
            parts += [f"## {title}", _table(("name", "value"), _pairs(values))]
    parts += ["## Source", entry.reference]
    rows = [
        (c["name"], f"{c['expected']:.6g}", f"{c['found']:.6g}", c["source"]) for c in checks(name)
    ]
    if rows:
        parts += ["## Checks", _table(("of", "expected", "computed", "source of the number"), rows)]
    return "\n\n".join(parts) + "\n"


def _pairs(values: Mapping[str, object]) -> list[tuple[str, str]]:
    return [
        (f"`{key}`", ", ".join(map(str, value)) if isinstance(value, tuple) else str(value))
        for key, value in values.items()
    ]


def _table(heads: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [heads, ("---",) * len(heads), *rows]
    cells = ([str(c).replace("|", r"\|").replace("\n", " ") for c in line] for line in lines)
    return "\n".join(f"| {' | '.join(line)} |" for line in cells)
