"""How far a sweep is: shown as a run's progress is, and told beside its result for others."""

import os
import platform
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

from somaflow.notation import Json
from somaflow.running.progress import shown, span

KIND = "sweep"  # in what is told, so that nobody takes it for a run
_BETWEEN = 1.0  # s from one note to the next

# Is told, as members end, how many have ended well since it was made, how many have failed, and how
# many are running.
Tell = Callable[[int, int, int], None]


@dataclass(frozen=True)
class SweepProgress:
    """How far a sweep is.

    Attributes:
        finished: Members that have ended well, those of earlier calls included.
        failed: Members that have failed in this call.
        running: Members that are being computed, or are next to be.
        total: Members of the whole sweep.
        begun: Members that were finished when this call began.
        seconds: Since then.
    """

    finished: int
    failed: int
    running: int
    total: int
    begun: int
    seconds: float

    @property
    def done(self) -> int:
        """Members that are over, those that failed too."""
        return self.finished + self.failed

    @property
    def seconds_left(self) -> float | None:
        """Seconds that are left at this speed; None before a member has ended."""
        ended = self.done - self.begun
        return self.seconds / ended * (self.total - self.done) if ended > 0 else None

    def sentence(self) -> str:
        """Return all of it as one line of text."""
        return ", ".join(filter(None, (self._where(), *self._parts(), self._left())))

    def two_lines(self) -> tuple[str, str]:
        """Return the same for a place that is narrow: how far and how long, then the rest."""
        return ", ".join(filter(None, (self._where(), self._left()))), ", ".join(self._parts())

    def _where(self) -> str:
        return f"{self.done:,} of {self.total:,} members"

    def _parts(self) -> list[str]:
        running = [f"{self.running:,} running"] if self.running else []
        return [*running, *([f"{self.failed:,} failed"] if self.failed else [])]

    def _left(self) -> str:
        left = self.seconds_left
        return "" if left is None or self.done >= self.total else f"{span(left)} left"


@contextmanager
def told(
    progress: bool | Callable[[Any], None],
    total: int,
    begun: int,
    note: Callable[[Mapping[str, Json]], None] | None = None,
    again: bool = False,
) -> Iterator[Tell]:
    """Show and tell how far a sweep is while a block computes what is left of it.

    Args:
        progress: True for a bar in a terminal or a notebook, or a line every 10 s in a log; False
            for silence; or a function, which is called as it is.
        total: How many members there are.
        begun: How many of them are finished already.
        note: Writes for others what they can follow it by, at most once a second; None for nobody.
        again: Whether the command line can go on with it.

    Returns:
        A context that gives the function to call as members end.

    Raises:
        WrongTypeError: `progress` is none of these.
    """
    start, latest = time.monotonic(), -_BETWEEN
    now = SweepProgress(begun, 0, 0, total, begun, 0.0)

    def write(state: str, sentence: str = "") -> None:
        nonlocal latest
        latest = time.monotonic()
        if note is not None:
            note(_record(now, state, sentence, again))

    with shown(progress, now, "starting") as show:

        def tell(done: int, failed: int, running: int) -> None:
            nonlocal now
            seconds = time.monotonic() - start
            now = SweepProgress(begun + done, failed, running, total, begun, seconds)
            show(now)
            if time.monotonic() - latest >= _BETWEEN:
                write("running")

        write("running")
        try:
            yield tell
        except BaseException as error:
            stopped = isinstance(error, KeyboardInterrupt)
            write("interrupted" if stopped else "failed", str(error))
            raise
        write("finished", "complete")


def _record(now: SweepProgress, state: str, sentence: str, again: bool) -> dict[str, Json]:
    return {
        "kind": KIND,
        "state": state,
        "sentence": sentence,
        "host": platform.node(),
        "pid": os.getpid(),
        "updated": time.time(),
        "progress": asdict(now),
        "again": again,
    }
