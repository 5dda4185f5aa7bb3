"""Keeps the chatter of libraries from the user's terminal."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TypeVar

_S = TypeVar("_S")
_T = TypeVar("_T")

_STANDARD_ERROR = 2
_LEVEL, _QUIET = "TF_CPP_MIN_LOG_LEVEL", "2"  # of TensorFlow's log: from 2 on errors alone


class _Late(ModuleType):
    """A module that is loaded when something in it is first asked for."""

    def __getattr__(self, name: str) -> object:
        return getattr(loaded(import_module, self.__name__), name)


def late(name: str) -> ModuleType:
    """Return what stands for a module that loads TensorFlow, until something in it is needed.

    Args:
        name: Such as `somaflow.run`.
    """
    return _Late(name)


def loaded(load: Callable[[_S], _T], name: _S) -> _T:
    """Return what a name stands for; if that loads TensorFlow, without the lines that it writes.

    A user's own choice of the level stands, and so does a TensorFlow that is loaded already.

    Args:
        load: What loads it.
        name: The name, or whatever else `load` makes it of.
    """
    # What was set here goes on to child processes, and is the user's choice no more than here.
    chosen = os.environ.get(_LEVEL)
    if "tensorflow" in sys.modules or chosen not in (None, _QUIET):
        return load(name)
    os.environ[_LEVEL] = _QUIET
    try:
        with quiet():
            value = load(name)
            tensorflow = sys.modules.get("tensorflow")
            # Where there is no GPU, TensorFlow tells as an error that it has looked for one.
            if tensorflow is not None and not list(Path("/dev").glob("nvidia*")):
                tensorflow.config.list_physical_devices()
            return value
    finally:
        if "tensorflow" not in sys.modules and chosen is None:
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
