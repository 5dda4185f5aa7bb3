"""Team: gives a run to workers, whether they are to be started or a launcher has started them.

Where a launcher has started several processes of one script, the first goes through it. The others
go with it up to its first run, and from there on do what the first one says, until it ends.
"""

import atexit
import math
import sys
from dataclasses import dataclass
from typing import NoReturn

from somaflow.errors import RunError
from somaflow.given import shown
from somaflow.running.pickles import packed
from somaflow.running.signals import stoppable
from somaflow.storage.sinks import MemorySink, Sink
from somaflow.storage.solution import Solution
from somaflow.storage.store import ZarrSink
from somaflow.workers.carrying import carried, here
from somaflow.workers.exchange import Message, Part
from somaflow.workers.launch import launch
from somaflow.workers.running import Errand, Rest, again, first, other

_RUN, _OVER = b"run", b"over"


@dataclass(frozen=True)
class Start:
    """What makes the part of each worker.

    Attributes:
        errand: What the first one is asked to do.
    """

    errand: Errand | Rest

    def __call__(self, k: int, count: int) -> Part[Solution | None]:
        """Return the part of a worker."""
        if k:
            return _patient(other(k))
        errand = self.errand
        return first(errand, count) if isinstance(errand, Errand) else again(errand, count)


def run(errand: Errand | Rest, count: int) -> Solution:
    """Compute a run with several workers.

    Args:
        errand: What is to be done.
        count: How many.

    Raises:
        RunError: The sink is one that cannot be sent to another process.
        SomaflowError: As for `sf.simulate` and `sf.resume`.
    """
    k, started = here()
    if started == 1:
        _check_sink(errand.sink)
        return launch(count, packed(Start(errand), "Leave workers out."))
    if k:
        _follow(k)
    _lead()
    carried(_said(_RUN))
    solution = carried(Start(errand)(0, count))
    assert solution is not None
    return solution


def _check_sink(sink: Sink) -> None:
    if not isinstance(sink, (MemorySink, ZarrSink)):
        raise RunError(
            f"with workers, recordings go to memory or to a store, and not to {shown(sink)}, which "
            "is of this process alone; give sink=None or a path."
        )


def _patient(part: Part[None]) -> Part[None]:
    """Go on after Ctrl-C or SIGTERM: the first worker has it too, and stops all at one step."""
    with stoppable(lambda _: None):
        yield from part


def _said(word: bytes) -> Part[bytes]:
    """Say a word to all, or hear it from the first worker."""
    heard = yield Message(word)
    return heard[0]


def _lead() -> None:
    """Have the others end when this process does."""
    if not _Led.led:
        _Led.led = True
        atexit.register(lambda: carried(_said(_OVER)))


class _Led:
    """Whether the others follow this process."""

    led = False


def _follow(k: int) -> NoReturn:
    """Do what the first worker says until it ends; then end too."""
    while carried(_said(b""), math.inf) == _RUN:
        carried(_patient(other(k)))
    sys.exit(0)
