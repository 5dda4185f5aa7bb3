"""`somaflow watch`: follow a run or a sweep from another process, by what it tells of itself."""

import dataclasses
import os
import platform
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from somaflow.cli.place import command, find
from somaflow.errors import StoreError
from somaflow.given import is_number, is_whole, parsed
from somaflow.running.progress import Picture, Progress, draws, span
from somaflow.storage.claim import is_claimed
from somaflow.storage.folder import PROGRESS, Folder, beside
from somaflow.sweeping.progress import KIND, SweepProgress

_RUNNING, FINISHED = "running", "finished"
_NOTHING = "nothing is computed yet"
_EVERY = 1.0  # s
_BETWEEN_LINES = 10.0  # s
_SILENT = 60.0  # s without a sign after which this is said
_RESUME, _SWEEP = "resume", "sweep --resume"  # commands that go on with a run, and with a sweep


@dataclass(frozen=True)
class Sight:
    """What a run or a sweep tells of itself.

    Attributes:
        state: `running`, `finished`, `interrupted` or `failed`.
        sentence: How it ended.
        host: The computer it runs on.
        pid: Its process there.
        updated: When it told this, in seconds since 1970.
        progress: How far it is; None before it knows.
        claimed: Whether its store was claimed just before it was asked.
        again: The command that goes on with it; empty where none does.
    """

    state: str
    sentence: str
    host: str
    pid: int
    updated: float
    progress: Progress | SweepProgress | None
    claimed: bool = True
    again: str = _RESUME


def look(folder: Folder) -> Sight | None:
    """Return what a run tells of itself now; None where it has told nothing yet.

    Args:
        folder: The folder beside its store.

    Raises:
        StoreError: It tells something that this version does not understand.
    """
    claimed = is_claimed(folder)  # before: a run says that it is finished, and then lets go
    try:
        data = folder.read(PROGRESS)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StoreError(
            f"{folder}/{PROGRESS} cannot be read: {error.strerror or error}."
        ) from error
    try:
        return _sight(parsed(data), claimed)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StoreError(f"{folder}/{PROGRESS} is damaged, or of another version.") from error


def _sight(record: dict[str, Any], claimed: bool) -> Sight:
    fields, pid, updated = record["progress"], record["pid"], record["updated"]
    of_sweep = record.get("kind") == KIND
    kind = SweepProgress if of_sweep else Progress
    # A later version may tell more.
    names = {field.name for field in dataclasses.fields(kind)}
    known = None if fields is None else {k: v for k, v in fields.items() if k in names}
    numbers = [updated, *(v for k, v in (known or {}).items() if v is not None or k != "spikes")]
    if not all(map(is_number, numbers)) or not is_whole(pid) or not 0 < pid < 2**31:
        raise ValueError("something in it is no number")
    again = _RESUME
    if of_sweep:
        again = _SWEEP if record["again"] else ""
    return Sight(
        state=str(record["state"]),
        sentence=str(record["sentence"]),
        host=str(record["host"]),
        pid=pid,
        updated=float(updated),
        progress=None if known is None else kind(**known),
        claimed=claimed,
        again=again,
    )


def gone(sight: Sight) -> bool:
    """Return whether a run that says it is running is not: its disk was full, or it was killed."""
    if sight.state == _RUNNING and not sight.claimed:
        return True
    if sight.state != _RUNNING or sight.host != platform.node() or os.name != "posix":
        return False
    try:
        os.kill(sight.pid, 0)
    except ProcessLookupError:
        return True
    except OSError:  # it is somebody else's
        return False
    return _ended_but_listed(sight.pid)


def _ended_but_listed(pid: int) -> bool:
    """Return whether a process is a zombie, whose parent has not asked yet how it ended."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        return text.rpartition(")")[2].split()[0] == "Z"
    except (OSError, IndexError):
        return False


def line(sight: Sight | None, store: str, now: float) -> str:
    """Return all that can be said of a run in one line.

    Args:
        sight: What it told last.
        store: Its store, for the command that goes on with it.
        now: Seconds since 1970.
    """
    if sight is None:
        return _NOTHING
    how_far = [] if sight.progress is None else [sight.progress.sentence()]
    if gone(sight):
        again = command(sight.again, store) if sight.again else "sf.sweep(...) called as before"
        lost = f"process {sight.pid} has left it; go on with: {again}"
        return "; ".join([*how_far, lost])
    if sight.state == _RUNNING:
        return "; ".join([*how_far, *_age(sight, now)]) or _NOTHING
    if sight.state == FINISHED or not sight.sentence:
        return ": ".join([sight.state, *how_far])
    return f"{sight.state}: {sight.sentence}"


def _age(sight: Sight, now: float) -> list[str]:
    age = now - sight.updated
    if age < _SILENT:
        return []
    where = "" if sight.host == platform.node() else f" from {sight.host}"
    return [f"the last sign{where} was {span(age)} ago"]


def follow(
    place: str,
    console: Console,
    once: bool = False,
    clock: Callable[[], float] = time.time,
    sleep: Callable[[float], None] = time.sleep,
) -> int:
    """Show how far a run or a sweep is until it ends.

    Args:
        place: Its store, or the folder that holds it.
        console: Where; a terminal gets a bar, anything else a line at most every 10 s.
        once: Print one line and return.
        clock: Seconds since 1970.
        sleep: Waits for some seconds.

    Returns:
        The exit code: 0 if the run is finished (or, with `once`, goes on), else 1.

    Raises:
        StoreError: There is no run.
    """
    store = find(place)
    folder = beside(store)
    sight = look(folder)
    with ExitStack() as stack:
        show = _lines(console, store)
        if not once and _goes_on(sight) and draws(console):
            show = stack.enter_context(_Bar(console, store))
        while not once and _goes_on(sight):
            show(sight, clock())
            sleep(_EVERY)
            sight = look(folder)
    console.print(Text(line(sight, store, clock())), soft_wrap=True)
    well = sight is None or sight.state == FINISHED or (once and _goes_on(sight))
    return 0 if well else 1


def _goes_on(sight: Sight | None) -> bool:
    return sight is None or (sight.state == _RUNNING and not gone(sight))


def _lines(console: Console, store: str) -> Callable[[Sight | None, float], None]:
    """Return what prints a line where something changed, at most every 10 s."""
    printed, latest = "", -_BETWEEN_LINES

    def show(sight: Sight | None, now: float) -> None:
        nonlocal printed, latest
        text = line(sight, store, now)
        if text != printed and now - latest >= _BETWEEN_LINES:
            console.print(Text(text), soft_wrap=True)
            printed, latest = text, now

    return show


class _Bar:
    """A bar that is there while a run goes on."""

    def __init__(self, console: Console, store: str) -> None:
        self._store = store
        self._picture: Picture | None = None
        self._picture_now: RenderableType = ""
        self._live = Live(get_renderable=lambda: self._picture_now, console=console, transient=True)

    def __enter__(self) -> Callable[[Sight | None, float], None]:
        self._live.start()
        return self._show

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def _show(self, sight: Sight | None, now: float) -> None:
        if sight is None or sight.progress is None:
            self._picture_now = Group(Text(line(sight, self._store, now)))
            return
        old = Text("".join(f"  {words}" for words in _age(sight, now)), style="yellow")
        if self._picture is None:
            self._picture = Picture(sight.progress, sight.state)
        self._picture.take(sight.progress, sight.state)
        self._picture_now = Group(self._picture, old) if old else self._picture
