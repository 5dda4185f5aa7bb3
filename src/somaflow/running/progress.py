"""How far a run is: a bar in a terminal or a notebook, plain lines in a log."""

import importlib.util
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import rich.progress
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress import BarColumn, SpinnerColumn, TextColumn
from rich.text import Text

from somaflow import given
from somaflow.errors import WrongTypeError

try:
    import resource
except ImportError:  # Windows
    resource = None

DELAY = 0.5  # s that a run takes before its bar is shown
BETWEEN_LINES = 10.0  # s
_STATM = Path("/proc/self/statm")
_MIB = 1 << 20


@dataclass(frozen=True)
class Progress:
    """How far a run is.

    Attributes:
        done: Biological time since the run's start in ms, that of earlier processes included.
        total: Biological time of the whole run in ms.
        begun: Biological time in ms at which this process began: 0, or where it resumed.
        seconds: Of computing in this process, the compile left out.
        spikes: Recorded so far; None where no spikes are recorded.
        memory: Resident bytes of this process; 0 where that is not known.
    """

    done: float
    total: float
    begun: float
    seconds: float
    spikes: int | None
    memory: int

    @property
    def real_time_factor(self) -> float | None:
        """Seconds of computing for each biological second; None before anything is computed."""
        computed = self.done - self.begun
        return self.seconds / (computed / 1000) if computed > 0 else None

    @property
    def seconds_left(self) -> float | None:
        """Seconds of computing that are left at this speed; None before anything is computed."""
        factor = self.real_time_factor
        return None if factor is None else max(0.0, self.total - self.done) / 1000 * factor

    def sentence(self) -> str:
        """Return all of it as one line of text."""
        return ", ".join(filter(None, (self._where(), *self._parts())))

    def two_lines(self) -> tuple[str, str]:
        """Return the same for a place that is narrow: how far and how long, then the rest."""
        speed, left, *others = self._parts()
        first, second = (self._where(), left), (speed, *others)
        return ", ".join(filter(None, first)), ", ".join(filter(None, second))

    def _where(self) -> str:
        return f"{self.done:,.10g} of {self.total:,.10g} ms"

    def _parts(self) -> tuple[str, str, str, str]:
        """Return speed, time left, spikes and memory in words; empty where not known."""
        factor, left = self.real_time_factor, self.seconds_left
        spikes = "spike" if self.spikes == 1 else "spikes"
        return (
            "" if factor is None else against_real_time(factor),
            "" if left is None or self.done >= self.total else f"{span(left)} left",
            "" if self.spikes is None else f"{self.spikes:,} {spikes}",
            f"{self.memory / _MIB:,.0f} MiB" if self.memory else "",
        )


class Told(Protocol):
    """What can be shown of something that takes long: a run, or a sweep of many."""

    @property
    def done(self) -> float:
        """How much is done."""
        ...

    @property
    def total(self) -> float:
        """How much there is to do."""
        ...

    def sentence(self) -> str:
        """Return all of it as one line of text."""
        ...

    def two_lines(self) -> tuple[str, str]:
        """Return the same for a place that is narrow: how far and how long, then the rest."""
        ...


# True for a bar or lines, False for silence, or what is called after each chunk.
Display = bool | Callable[[Progress], None]


def against_real_time(ratio: float) -> str:
    """Say how fast a run is.

    Args:
        ratio: Seconds of computing for each biological second.
    """
    if ratio <= 0:
        return "faster than real time"
    if ratio < 1:
        return f"{1 / ratio:.3g} times faster than real time"
    return f"{ratio:.3g} times slower than real time"


def span(seconds: float) -> str:
    """Return a length of time in words, such as `12 s`, `3 min 20 s` or `2 h 5 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    if whole < 86_400:
        return f"{whole // 3600} h {whole % 3600 // 60} min"
    return f"{whole // 86_400} d {whole % 86_400 // 3600} h"


def resident_bytes() -> int:
    """Return the memory of this process in bytes.

    What is resident now where the system tells it (Linux); else the most that ever was; 0 where
    neither is known.
    """
    try:
        pages = int(_STATM.read_text(encoding="ascii").split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        if resource is None:
            return 0
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most if sys.platform == "darwin" else most * 1024  # KiB elsewhere


def check_progress(progress: object, kind: str = "sf.Progress") -> None:
    """Refuse what cannot show progress.

    Args:
        progress: What was given.
        kind: What a function would be given.

    Raises:
        WrongTypeError: It is neither True nor False nor a function.
    """
    if isinstance(progress, bool):
        return
    if isinstance(progress, type) or not callable(progress) or not given.takes_one(progress):
        raise WrongTypeError(
            f"progress is True, False, or a function that is given a {kind}, not "
            f"{given.shown(progress)}."
        )


def shown(
    progress: bool | Callable[[Any], None], first: Told, word: str = "compiling"
) -> AbstractContextManager[Callable[[Any], None]]:
    """Return what shows progress while a block runs.

    Args:
        progress: True for a bar where standard error is a terminal or in a notebook, and for a
            plain line every 10 s elsewhere; False for nothing; or a function, which is called as
            it is. A bar comes after 0.5 s, a first line after 10 s: of a shorter run nothing is
            shown.
        first: How far it is as the block begins.
        word: What it does then.

    Returns:
        A context that gives the function to call as it gets on.

    Raises:
        WrongTypeError: `progress` is none of these.
    """
    check_progress(progress)
    if not isinstance(progress, bool):
        return nullcontext(progress)
    if not progress or sys.stderr is None:
        return nullcontext(_silent)
    console = Console(stderr=True)
    if draws(console):
        return bar(console, first, word)
    return nullcontext(_Lines())


def draws(console: Console) -> bool:
    """Return whether a console can redraw a bar."""
    if console.is_jupyter:  # where Rich draws by ipywidgets
        return importlib.util.find_spec("ipywidgets") is not None
    # Rich takes a log for a terminal where FORCE_COLOR is set; a bar there would be a mess.
    return console.is_interactive and console.file.isatty()


@contextmanager
def bar(
    console: Console, first: Told, word: str, delay: float = DELAY
) -> Iterator[Callable[[Told], None]]:
    """Show a bar while the block runs.

    Args:
        console: Where.
        first: How far it is as the block begins.
        word: What it does then.
        delay: Seconds before it is shown.
    """
    picture = Picture(first, word)
    last: Told | None = None
    live = Live(picture, console=console, refresh_per_second=5, redirect_stdout=False)
    # A compile calls nobody, so a timer and not the first chunk brings the bar up.
    lock, ended = threading.Lock(), False

    def start() -> None:
        with lock:
            if not ended:
                live.start(refresh=True)

    def take(progress: Told) -> None:
        nonlocal last
        last = progress
        picture.take(progress)

    timer = threading.Timer(delay, start)
    timer.daemon = True
    timer.start()
    try:
        yield take
    except BaseException:
        live.transient = True  # a bar that stopped would only distract from the error
        raise
    finally:
        timer.cancel()
        with lock:
            ended = True
        if last is not None and not live.transient:
            live.update(Text(last.sentence(), style="dim"))
        live.stop()


class Picture:
    """A bar and what is said beside it: two lines, for a terminal of 80 columns.

    Args:
        progress: How far it is.
        word: What it does.
    """

    def __init__(self, progress: Told, word: str) -> None:
        self._bar = rich.progress.Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(24),
            TextColumn("{task.fields[place]}"),
        )
        self._task = self._bar.add_task(word, total=progress.total, place="")
        self.take(progress, word)

    def take(self, progress: Told, word: str = "running") -> None:
        """Show from now on how far it is, and what it does."""
        place, self._rest = progress.two_lines()
        self._bar.update(self._task, description=word, completed=progress.done, place=place)

    def __rich__(self) -> RenderableType:
        return Group(self._bar, Text(f"  {self._rest}", style="dim"))


class _Lines:
    """Plain lines on standard error, a while apart."""

    def __init__(self) -> None:
        self._latest = time.monotonic()
        self._any = False

    def __call__(self, progress: Told) -> None:
        last = self._any and progress.done >= progress.total
        if last or time.monotonic() - self._latest >= BETWEEN_LINES:
            print(progress.sentence(), file=sys.stderr, flush=True)
            self._latest, self._any = time.monotonic(), True


def _silent(progress: Told) -> None:
    pass
