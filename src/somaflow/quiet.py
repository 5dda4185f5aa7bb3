"""Keeps the chatter of libraries from the user's terminal."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_STANDARD_ERROR = 2
_LEVEL, _QUIET = "TF_CPP_MIN_LOG_LEVEL", "2"  # of TensorFlow's log: from 2 on errors alone


def loaded(load: Any, name: str) -> Any:
    """Return what a name stands for; if that loads TensorFlow, without the lines that it writes.

    A user's own choice of the level stands, and so does a TensorFlow that is loaded already.

    Args:
        load: What loads it.
        name: The name.
    """
    # What was set here goes on to child processes, and is the user's choice no more than here.
    kept = os.environ.get(_LEVEL)
    if "tensorflow" in sys.modules or kept not in (None, _QUIET):
        return load(name)
    os.environ[_LEVEL] = _QUIET
    try:
        with quiet():
            found = load(name)
            tensorflow = sys.modules.get("tensorflow")
            # Where there is no GPU, TensorFlow tells as an error that it has looked for one.
            if tensorflow is not None and not list(Path("/dev").glob("nvidia*")):
                tensorflow.config.list_physical_devices()
            return found
    finally:
        if "tensorflow" not in sys.modules and kept is None:
            del os.environ[_LEVEL]


@contextmanager
def quiet() -> Iterator[None]:
    """Send what is written straight to the process's standard error nowhere.

    TensorFlow reports missing GPU drivers while it loads, before any setting of its log can act.
    An error that matters comes as an exception, which passes through.
    """
    try:
        kept = os.dup(_STANDARD_ERROR)
    except OSError:  # there is no standard error, so there is nothing to keep quiet
        yield
        return
    if sys.stderr is not None:
        sys.stderr.flush()
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, _STANDARD_ERROR)
        yield
    finally:
        os.dup2(kept, _STANDARD_ERROR)
        os.close(nowhere)
        os.close(kept)
