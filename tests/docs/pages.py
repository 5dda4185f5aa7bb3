"""Running the pages that have code: their Python blocks in order, in one namespace."""

import re
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"
FENCE = re.compile(r"^```python[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)


def run(page: Path) -> dict[str, object]:
    """Run a page and return what it defines, block k's last `sol` under `k`."""
    text = page.read_text(encoding="utf-8")
    namespace: dict[str, object] = {"__name__": "page"}
    for k, match in enumerate(FENCE.finditer(text)):
        # Blank lines put tracebacks on the page's own lines.
        lines = "\n" * text[: match.start(1)].count("\n")
        exec(compile(lines + match[1], str(page), "exec"), namespace)
        namespace[str(k)] = namespace.get("sol")
    return namespace
