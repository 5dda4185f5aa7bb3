"""The files of mechanisms: read as TOML, bounded before anything is done with them."""

import tomllib
from pathlib import Path
from typing import Any

from somaflow.errors import MechanismError

Toml = dict[str, Any]  # texts, numbers, lists, and tables of these
_LARGEST = 60_000  # bytes; those of the catalogue have some 2,000
# The reader of TOML takes a time that grows with the square of the number of parts of a key, and
# reads the parts of a table's name again for each key in it. A key stands in one line.
_MOST_DOTS = 100


def read(path: Path) -> Toml:
    """Return what a file of a mechanism says.

    Raises:
        MechanismError: There is no such file, or it cannot be read.
    """
    try:
        with open(path, "rb") as file:
            content = file.read(_LARGEST + 1)
        if len(content) > _LARGEST:
            raise MechanismError(
                f"{path} is too large: a mechanism has at most {_LARGEST:,} bytes."
            )
        text = content.decode("utf-8")
        for number, line in enumerate(text.splitlines(), 1):
            if line.count(".") > _MOST_DOTS:
                raise MechanismError(
                    f"{path} has more than {_MOST_DOTS} dots in line {number}; write several lines."
                )
        return tomllib.loads(text)
    except RecursionError as error:
        raise MechanismError(f"cannot read {path}: it is nested too deeply.") from error
    except (OSError, ValueError) as error:
        if isinstance(error, MechanismError):
            raise
        raise MechanismError(f"cannot read {path}: {error}") from error
