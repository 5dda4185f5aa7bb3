"""Copying: the notebooks of the course, out of what is installed into a folder."""

import os
from pathlib import Path

from somaflow.errors import RunError, StoreError
from somaflow.storage.folder import probe, replace_file, writing

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
        RunError: This installation has no notebooks.
        StoreError: The folder cannot be written to, or one of them is there already, with other
            content: it may hold a student's answers.
    """
    if place.exists() and not place.is_dir():
        raise StoreError(f"{place} is a file; the notebooks are copied to a folder.")
    sources = notebooks()
    targets = [place / source.name for source in sources]
    pairs = list(zip(sources, targets, strict=True))
    kept = [t.name for s, t in pairs if os.path.lexists(t) and not _is_copy(s, t)]
    if kept:
        raise StoreError(
            f"{place} has {', '.join(kept)} already, with other content, perhaps your answers; "
            "choose another folder. Nothing was copied."
        )
    with writing(place):
        place.mkdir(parents=True, exist_ok=True)
    probe(place, place)
    for source, target in pairs:
        with writing(target):
            replace_file(target, source.read_bytes())
    return targets


def _is_copy(source: Path, target: Path) -> bool:
    return target.is_file() and target.read_bytes() == source.read_bytes()
