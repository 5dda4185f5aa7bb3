"""A run as an iterator of chunks, each checked before anybody sees it."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from somaflow.errors import NonFiniteState
from somaflow.simulation.loop import Advance, Samples, Schedule
from somaflow.simulation.system import Carry, System

_CHUNK_NUMBERS = 4_000_000  # numbers in the crossing buffer of one chunk: 32 MB in float64
_CHUNK_STEPS = 10_000


@dataclass(frozen=True)
class Chunk:
    """Some steps of a run.

    Attributes:
        start: Steps made before this run.
        step: Steps made in this run before this chunk.
        steps: Steps made in it.
        first_row: Number of the chunk's first sample among all samples.
        samples: What it leaves.
        carry: The state at its end.
    """

    start: int
    step: int
    steps: int
    first_row: int
    samples: Samples
    carry: Carry


def plan(n_steps: int, stride: int, numbers_per_step: int) -> Schedule:
    """Choose chunk sizes from the sizes of the model alone.

    Args:
        n_steps: Length of the run.
        stride: Steps from a sample to the next.
        numbers_per_step: Numbers that every step leaves.
    """
    most = max(1, min(_CHUNK_STEPS, _CHUNK_NUMBERS // max(numbers_per_step, 1)))
    rows = max(1, min(most, n_steps) // stride)
    return Schedule(stride=stride, rows=rows)


def run(
    system: System,
    advance: Advance,
    schedule: Schedule,
    carry: Carry,
    n_steps: int,
    dt: float,
    start: int = 0,
) -> Iterator[Chunk]:
    """Iterate over the chunks of a run.

    Args:
        system: The model.
        advance: The compiled loop.
        schedule: Its sizes.
        carry: The state at its start.
        n_steps: Length of the run.
        dt: The step in ms.
        start: Steps made before it.

    Raises:
        NonFiniteState: A state is infinite or not a number. The chunk in which it happened is not
            given out; the message names the first bad cell and its time.
    """
    step, row = 0, 0
    while step < n_steps:
        steps = min(schedule.steps, n_steps - step)
        lead = step == 0
        rows = -(-steps // schedule.stride) + lead
        after, samples = advance(carry, start + step, steps, rows, lead)
        if not _finite(after):
            raise _diagnose(system, advance, schedule, carry, start + step, steps, dt)
        yield Chunk(start, step, steps, row, samples, after)
        carry, step, row = after, step + steps, row + rows


def _finite(carry: Carry) -> bool:
    leaves = [leaf for leaf in tf.nest.flatten((carry.flow, carry.event)) if leaf.dtype.is_floating]
    return all(bool(np.isfinite(np.asarray(memoryview(leaf))).all()) for leaf in leaves)


def _diagnose(
    system: System,
    advance: Advance,
    schedule: Schedule,
    carry: Carry,
    step: int,
    steps: int,
    dt: float,
) -> NonFiniteState:
    """Find the first bad step by bisection: a state that is not finite stays so."""
    good, bad, last = 0, steps, carry
    while bad - good > 1:
        middle = (good + bad) // 2
        after, _ = advance(carry, step, middle, -(-middle // schedule.stride), False)
        if _finite(after):
            good, last = middle, after
        else:
            bad = middle
    after, _ = advance(carry, step, bad, -(-bad // schedule.stride), False)
    before, flow = (tf.nest.map_structure(lambda x: x.numpy(), c.flow) for c in (last, after))
    for row in system.rows:
        wrong = np.argwhere(~np.isfinite(row.pick(flow)))
        if len(wrong):
            place = tuple(int(k) for k in wrong[0])
            value, was = row.pick(flow)[place], row.pick(before)[place]
            index = f"[{', '.join(map(str, place))}]" if place else ""
            return NonFiniteState(
                f"{row.name}{index} is {value} at t = {(step + bad) * dt:g} ms "
                f"(one step before it was {was:.6g}). Is dt = {dt:g} ms too large?"
            )
    return NonFiniteState(f"the state is not finite at t = {(step + bad) * dt:g} ms.")
