"""Parts of runs that add numbers, where worker processes can import them."""

import os
import resource
import signal
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from somaflow.errors import NonFiniteState
from somaflow.running.signals import stoppable
from somaflow.workers.exchange import Message, Part


def adding(rank: int, size: int, rounds: int = 3) -> Part[list[list[int]]]:
    """Say numbers of several lengths, and return the sums of what all said, at the first worker."""
    sums = []
    for k in range(rounds):
        own = bytes([rank + 1]) * (rank * k)
        heard = yield Message(own)
        assert heard[rank] == own
        sums.append([sum(data) for data in heard])
    heard = yield Message(str(rank).encode() * rank, to_all=False)
    assert heard == ([str(k).encode() * k for k in range(size)] if rank == 0 else [])
    return sums


def sums(size: int, rounds: int = 3) -> list[list[int]]:
    """What the parts return: worker r says r + 1, r*k times."""
    return [[(r + 1) * r * k for r in range(size)] for k in range(rounds)]


def then(what: Callable[[], object], who: int, rank: int, size: int) -> Part[list[list[int]]]:
    """Do something in one worker, between two exchanges."""
    yield Message(b"before")
    if rank == who:
        what()
    return (yield from adding(rank, size))


def fail() -> None:
    raise NonFiniteState("PN.v[17] at t = 8.12 ms")


def itself(number: int) -> None:
    os.kill(os.getpid(), number)
    time.sleep(60)  # until the signal is seen


def said(words: str) -> None:
    print(words, flush=True)


kill = partial(itself, signal.SIGKILL)
stop = partial(itself, signal.SIGSTOP)
leave = partial(os._exit, 3)


def unsendable(rank: int, size: int) -> Part[object]:
    """Return what cannot be pickled."""
    yield Message(b"")
    return (k for k in ())


def too_large(rank: int, size: int) -> Part[bytes]:
    """Return more than this process may write to a file."""
    yield Message(b"")
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, resource.RLIM_INFINITY))
    return bytes(200_000)


def noted(folder: str, make: Callable[..., Part[object]], rank: int, size: int) -> Part[object]:
    """Leave the number of this process as the name of a file."""
    Path(folder, str(os.getpid())).touch()
    return (yield from make(rank, size))


def until_asked(parent: int, number: int, rank: int, size: int) -> Part[list[int]]:
    """Exchange until a signal has come to all, which the first worker causes."""
    asked: list[int] = []
    with stoppable(asked.append):
        yield Message(b"")  # all are ready for it
        if rank == 0:
            os.kill(parent, number)
        heard: Sequence[bytes] = [b""]
        while not all(heard):
            time.sleep(0.01)
            heard = yield Message(bytes(asked))
    return [data[0] for data in heard]


def deaf(parent: int, number: int, rank: int, size: int) -> Part[None]:
    """Ignore a signal, and go on."""
    signal.signal(number, signal.SIG_IGN)
    yield Message(b"")
    if rank == 0:
        os.kill(parent, number)
    while True:
        time.sleep(0.01)
        yield Message(b"")
