"""Signals: Ctrl-C and SIGTERM as a wish to stop, which is granted where nothing is lost by it."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def stoppable(ask: Callable[[int], object]) -> Iterator[None]:
    """Turn the first Ctrl-C or SIGTERM into a wish; the second one acts at once, as it would have.

    In another thread than the main one signals are left alone, which Python gives to that one.

    Args:
        ask: Called with the number of the signal.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    both = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    # None is a handler that Python could not put back; what a shell told us to ignore, we do.
    old = {n: handler for n, handler in both.items() if handler not in (None, signal.SIG_IGN)}

    def wish(number: int, frame: FrameType | None) -> None:
        ask(number)
        for known, handler in old.items():
            signal.signal(known, handler)

    try:
        for number in old:
            signal.signal(number, wish)
        yield
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
