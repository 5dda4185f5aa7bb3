"""Keeps the chatter of libraries from the user's terminal."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_STANDARD_ERROR = 2


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
    sys.stderr.flush()
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, _STANDARD_ERROR)
        yield
    finally:
        os.dup2(kept, _STANDARD_ERROR)
        os.close(nowhere)
        os.close(kept)
