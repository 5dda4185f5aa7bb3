"""Serve: the entry of a worker process that `launch` has started.

It loads nothing heavy by itself before all workers have come up; what it is to do loads what it
needs.
"""

import contextlib
import faulthandler
import os
import pickle
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from somaflow.errors import RunError
from somaflow.quiet import loaded
from somaflow.running import pickles
from somaflow.storage.folder import replace_file
from somaflow.workers.carrying import carried, here, told
from somaflow.workers.exchange import Part
from somaflow.workers.mpi import joined

# Files of a job: the search path of modules, what makes a part, who started it and how it is to be
# done; of each worker its process, that it has come up, how it failed, and that it is done; and the
# result.
PATH, PAYLOAD, TERMS = "path", "payload", "terms"
PROCESS, READY, FAILURE, DONE, RESULT = "process-", "ready-", "failure-", "done-", "result"
_LOOK = 1.0  # seconds between looks at whether the parent is there

Make = Callable[[int, int], Part[Any]]  # a part, of a worker's number and of how many there are


def main(place: str) -> None:
    """Carry one worker's part of a job, and leave its result, or why there is none, in a file.

    Args:
        place: The folder of the job.
    """
    for stream in (sys.stdout, sys.stderr):  # whole lines, so that those of workers do not mix
        stream.reconfigure(line_buffering=True, write_through=False)  # pyright: ignore[reportAttributeAccessIssue]
    faulthandler.enable(all_threads=False)  # a crash in compiled code says where it was
    folder = Path(place)
    parent, count, start, patience = pickle.loads((folder / TERMS).read_bytes())
    replace_file(folder / f"{PROCESS}{here()[0]}", str(os.getpid()).encode())
    threading.Thread(target=_watch, args=(parent,), daemon=True).start()
    rank, size = joined(2 * start)  # sooner the parent says who is missing
    replace_file(folder / f"{READY}{rank}", b"")

    def tell(error: BaseException, number: int, of: int) -> None:
        try:
            replace_file(folder / f"{FAILURE}{number}", pickles.failure(error))
        except OSError:  # the disk is full, say
            told(error, number, of)

    carried(_part(folder, rank, size, count), patience, tell)
    replace_file(folder / f"{DONE}{rank}", b"")


def _part(folder: Path, rank: int, size: int, count: int) -> Part[None]:
    """Compute a part from where it is made to where its result is written.

    Raises:
        RunError: The workers do not know of one another.
    """
    if size != count:
        raise RunError(
            f"{count} workers were started, and MPI tells each of {size}: the launcher and the "
            "library are of two MPIs; `somaflow doctor mpi` shows both."
        )
    make: Make = loaded(pickle.loads, (folder / PAYLOAD).read_bytes())
    result = yield from make(rank, size)
    if rank == 0:
        _leave(folder / RESULT, result)


def _leave(path: Path, result: object) -> None:
    """Write a result, which may be too large to be held twice; whole or not at all.

    Raises:
        OSError: It cannot be written.
        UnsendableError: It cannot be pickled.
    """
    partial = path.with_name(f"partial-{path.name}")
    try:
        with partial.open("wb") as file:
            pickle.dump(result, file, pickle.HIGHEST_PROTOCOL)
    except OSError:
        raise
    except Exception as error:
        words = f"a result cannot be sent back: {type(error).__name__}: {error}"
        raise pickles.UnsendableError(words) from error
    os.replace(partial, path)


def _watch(parent: int) -> None:
    """End when the process that started the job has; then nobody waits for a result."""
    while True:
        with contextlib.suppress(PermissionError):
            try:
                os.kill(parent, 0)
            except ProcessLookupError:
                os._exit(1)
        time.sleep(_LOOK)
