"""Programs: what was compiled, kept by all on which it depends, the least used dropped first."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from threading import RLock
from typing import Any

# TensorFlow frees nothing that it compiled, so what is dropped costs no less; but a process that
# makes other models all the time must not keep the keys and graphs of all of them.
_MOST = 48
_kept: OrderedDict[Hashable, Any] = OrderedDict()
_lock = RLock()


def kept(key: Hashable, make: Callable[[], Any]) -> tuple[Any, bool]:
    """Return what was compiled under a key, and whether that was now.

    Args:
        key: All on which it depends, comparable by ==.
        make: Compiles it; what it returns should hold nothing but that.
    """
    with _lock:
        if key in _kept:
            _kept.move_to_end(key)
            return _kept[key], False
    made = make()
    with _lock:
        _kept[key] = made
        while len(_kept) > _MOST:
            _kept.popitem(last=False)
    return made, True


def forget(key: Hashable) -> None:
    """Forget one of them."""
    with _lock:
        _kept.pop(key, None)


def clear() -> None:
    """Forget all of it."""
    with _lock:
        _kept.clear()


def count() -> int:
    """Return how many are kept."""
    return len(_kept)
