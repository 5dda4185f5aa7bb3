"""Exchange: what a worker gives out where it needs the others, and a process that is all of them.

A worker's part of a run is a generator. It yields a message and is sent those of all workers,
in their order; whoever carries them, MPI or `in_turn`, carries bytes and knows no more. All workers
yield as many messages, of one kind each time.
"""

from collections.abc import Generator, Sequence
from typing import NamedTuple, TypeVar

Result = TypeVar("Result")


class Message(NamedTuple):
    """What a worker says.

    Attributes:
        data: The bytes.
        to_all: Whether all hear it, or the first worker alone, in whose place others are sent an
            empty list.
    """

    data: bytes
    to_all: bool = True


Part = Generator[Message, Sequence[bytes], Result]  # of a run


def in_turn(parts: Sequence[Part[Result]]) -> list[Result]:
    """Compute all parts in this process, one after another between two exchanges.

    Args:
        parts: One for each worker, in their order.

    Returns:
        What each returns.

    Raises:
        RuntimeError: Some end while others want to say something.
    """
    results: dict[int, Result] = {}
    said: dict[int, Message] = {}
    heard: dict[int, Sequence[bytes] | None] = dict.fromkeys(range(len(parts)))
    while len(results) < len(parts):
        for k, part in enumerate(parts):
            try:
                said[k] = part.send(heard[k])  # pyright: ignore[reportArgumentType]
            except StopIteration as end:
                results[k] = end.value
        if results:
            break
        every = [said[k].data for k in range(len(parts))]
        kinds = {said[k].to_all for k in range(len(parts))}
        if len(kinds) > 1:
            raise RuntimeError("some workers speak to all, and some to the first alone")
        to_all = kinds.pop()
        heard = {k: every if to_all or k == 0 else [] for k in range(len(parts))}
    if len(results) < len(parts):
        raise RuntimeError(f"{len(results)} of {len(parts)} workers have ended before the others")
    return [results[k] for k in range(len(parts))]
