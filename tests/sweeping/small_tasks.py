"""Tasks of no time for tests of pools: functions that other processes can import, no TensorFlow."""

import ctypes
import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Small:
    """What a schedule sees of a task; each member is a function of no arguments."""

    numbers: tuple[int, ...]
    members: tuple[Any, ...]


@dataclass(frozen=True)
class Done:
    """What a schedule sees of an outcome."""

    number: int
    data: Any
    failure: str = ""


@dataclass(frozen=True)
class Call:
    """A function with its arguments."""

    function: Callable[..., Any]
    arguments: tuple[Any, ...] = ()

    def __call__(self) -> Any:
        return self.function(*self.arguments)


def work(task: Small) -> list[Done]:
    """Call each member."""
    return [Done(n, member()) for n, member in zip(task.numbers, task.members, strict=True)]


def square(x: float) -> float:
    return x * x


def process(_: object = None) -> int:
    return os.getpid()


def kill(number: int = signal.SIGKILL) -> None:
    os.kill(os.getpid(), number)


def kill_first(folder: Path, times: int = 1) -> int:
    """Die the first few times, then return how often it had."""
    count = len(list(folder.iterdir()))
    if count < times:
        (folder / str(count)).touch()
        kill()
    return count


def crash() -> None:
    ctypes.string_at(0)


def leave(status: int) -> None:
    os._exit(status)


def nap(seconds: float, mark: Path | None = None) -> float:
    if mark is not None:
        mark.write_text(str(os.getpid()))
    time.sleep(seconds)
    return seconds


def spin(mark: Path) -> None:
    """Compute for ever."""
    mark.write_text(str(os.getpid()))
    while True:
        pass


def talk() -> str:
    """Print by every way there is."""
    print("printed")
    os.write(1, b"written\n")
    os.system("echo echoed")
    return input() if os.read(0, 1) else "nothing to read"


def say(text: str) -> None:
    print(text)


def big(size: int) -> bytes:
    return bytes(size)


def fail(text: str) -> None:
    raise ValueError(text)


class NotPickledError(Exception):
    """An exception that can be written but not read: it forgets an argument."""

    def __init__(self, first: int, second: int) -> None:
        super().__init__(f"{first} and {second}")


def fail_oddly() -> None:
    raise NotPickledError(1, 2)


def no_result() -> Any:
    return threading.Lock()


def ask_to_exit() -> None:
    raise SystemExit(3)


def starve() -> None:
    raise MemoryError("no more")


def variable(name: str) -> str | None:
    return os.environ.get(name)


def modules() -> list[str]:
    import sys

    return sorted({name.partition(".")[0] for name in sys.modules})
