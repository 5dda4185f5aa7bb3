"""Probe: how long an exchange takes."""

import statistics
import time

from somaflow.workers.exchange import Message, Part

_ROUNDS, _FIRST = 1000, 50  # exchanges that are timed, and those before


def latencies(rank: int, size: int) -> Part[dict[int, float]]:
    """Return for a message of 1 and of 100 kB the median seconds that an exchange takes.

    Args:
        rank: The number of this worker.
        size: How many there are.
    """
    found = {}
    for count in (1_000, 100_000):
        taken, message, heard = [], Message(bytes([rank % 256]) * count), []
        for _ in range(_FIRST + _ROUNDS):
            begun = time.perf_counter()
            heard = yield message
            taken.append(time.perf_counter() - begun)
        if [len(data) for data in heard] != [count] * size or heard[rank] != message.data:
            raise RuntimeError(f"worker {rank} heard other bytes than were said")
        found[count] = statistics.median(taken[_FIRST:])
    return found
