"""`somaflow check`: look whether a stored run is what was written."""

# Annotations stay text: to evaluate sf.Check would load what `--help` must not wait for.
from __future__ import annotations

from rich.console import Console

import somaflow as sf
from somaflow.cli.place import find
from somaflow.cli.run import load


def execute(place: str, repair: bool, console: Console) -> sf.Check:
    """Look at a stored run.

    Args:
        place: Its store, or the folder that holds it.
        repair: Whether to mend what can be mended.
        console: Where is said what takes long.

    Raises:
        StoreError: There is no run, or nothing tells what it is.
    """
    store = find(place)
    load(console, silent=False)
    return sf.check(store, repair=repair)
