"""The parameter files of the models, and the names by which one asks for them."""

import tomllib
from collections.abc import Collection
from pathlib import Path
from typing import Any

from somaflow.errors import UnknownNameError, nearest
from somaflow.given import is_among, shown

_FOLDER = Path(__file__).parent / "parameters"


def read(name: str) -> dict[str, Any]:
    """Return the contents of a parameter file, which are ours."""
    return tomllib.loads((_FOLDER / f"{name}.toml").read_text(encoding="utf-8"))


def require_known(name: object, known: Collection[str], what: str) -> None:
    """Refuse a name that a model does not know.

    Args:
        name: What was given.
        known: The names.
        what: Who has no such thing, and what it would be, for the message.

    Raises:
        UnknownNameError: So it is.
    """
    if not is_among(name, known):
        raise UnknownNameError(f"{what} {shown(name)}.{nearest(name, known)}")
