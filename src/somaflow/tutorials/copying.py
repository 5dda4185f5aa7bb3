"""Copying: the notebooks of the course, out of what is installed into a folder."""

import shutil
from pathlib import Path

from somaflow.errors import RunError

_INSTALLED = Path(__file__).parent / "notebooks"
_CHECKOUT = Path(__file__).parents[3] / "docs" / "tutorials"


def notebooks() -> list[Path]:
    """Return the notebooks of the course, in its order.

    Raises:
        RunError: This installation has none.
    """
    for folder in (_INSTALLED, _CHECKOUT):
        if found := sorted(folder.glob("[1-9]-*.ipynb")):
            return found
    raise RunError(f"there are no notebooks in {_INSTALLED}; install somaflow from a wheel.")


def copied(place: Path) -> list[Path]:
    """Copy the notebooks to a folder, which is made where it is missing.

    Args:
        place: The folder.

    Returns:
        The copies.

    Raises:
        RunError: One of them is there already, with other content: it may hold a student's answers.
    """
    sources = notebooks()
    targets = [place / source.name for source in sources]
    pairs = list(zip(sources, targets, strict=True))
    kept = [t.name for s, t in pairs if t.exists() and t.read_bytes() != s.read_bytes()]
    if kept:
        raise RunError(
            f"{place} has {', '.join(kept)} already, with other content, perhaps your answers; "
            "choose another folder. Nothing was copied."
        )
    place.mkdir(parents=True, exist_ok=True)
    for source, target in pairs:
        shutil.copyfile(source, target)
    return targets
