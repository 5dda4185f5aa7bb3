"""A worker process: reads calls from a pipe, and writes what comes of them to another.

It loads nothing heavy by itself; a call loads what it needs.
"""

import contextlib
import faulthandler
import os
import pickle
import signal
import sys
import threading
import time
from queue import SimpleQueue
from typing import BinaryIO

from somaflow.quiet import loaded
from somaflow.running import pickles

_LOOK = 1.0  # seconds between looks at whether the parent is there


def main() -> None:
    """Answer calls until the parent closes the pipe or ends."""
    # Ctrl-C is the parent's to act on. It blocked the signal until now, so that none came before.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "pthread_sigmask"):  # not on Windows
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    calls, replies = _pipes()
    faulthandler.enable(all_threads=False)  # a crash in compiled code says where it was
    inbox: SimpleQueue[bytes] = SimpleQueue()
    threading.Thread(target=_listen, args=(calls, inbox), daemon=True).start()
    threading.Thread(target=_watch, args=(os.getppid(),), daemon=True).start()
    while True:
        reply = answer(inbox.get())
        _end_of_call()
        pickles.write(replies, reply)
        del reply  # it may be large, and the next call may be long in coming


def _pipes() -> tuple[BinaryIO, BinaryIO]:
    """Return the pipes; what a user reads and prints is sent elsewhere."""
    calls, replies = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nowhere, 0)
    os.close(nowhere)
    os.dup2(2, 1)
    sys.stdout.reconfigure(line_buffering=True)  # pyright: ignore[reportAttributeAccessIssue]
    return calls, replies


def _listen(calls: BinaryIO, inbox: SimpleQueue[bytes]) -> None:
    """Take calls; when there can be no more, end, in the middle of a call too."""
    while (data := pickles.read(calls)) is not None:
        inbox.put(data)
    os._exit(0)


def _watch(parent: int) -> None:
    """End when the parent has; a fork of it may hold the pipe open."""
    while os.getppid() == parent:
        time.sleep(_LOOK)
    os._exit(0)


def _end_of_call() -> None:
    """Send out what was printed, before the result."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):  # a user may have put anything there
            stream.flush()
    with contextlib.suppress(OSError):
        os.write(2, pickles.END_OF_CALL)


def answer(data: bytes) -> bytes:
    """Return what comes of a call: whether it was done, its result or error, and a traceback.

    Args:
        data: A function and its arguments, pickled.
    """
    try:
        function, arguments, keywords = loaded(pickle.loads, data)
    except BaseException as error:
        words = f"a worker process cannot read its task: {type(error).__name__}: {error}"
        return pickles.failure(pickles.UnsendableError(words), error)
    del data
    try:
        result = function(*arguments, **keywords)
    except BaseException as error:  # also SystemExit: a call that exits fails, the worker goes on
        return pickles.failure(error)
    try:
        return pickle.dumps((True, result, ""), pickle.HIGHEST_PROTOCOL)
    except BaseException as error:
        words = f"a result cannot be sent back: {type(error).__name__}: {error}"
        return pickles.failure(pickles.UnsendableError(words), error)
