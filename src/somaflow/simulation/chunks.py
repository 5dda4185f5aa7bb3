"""A run as an iterator of chunks, each checked before anybody sees it."""

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from somaflow.simulation.loop import Advance, Samples, Schedule
from somaflow.simulation.replay import diagnose, finite
from somaflow.simulation.system import Carry, System

_CHUNK_NUMBERS = 4_000_000  # numbers in the crossing buffer of one chunk: 16 MB
_CHUNK_STEPS = 10_000


class Pause(NamedTuple):
    """What is done between chunks.

    Attributes:
        every: Steps from one pause to the next.
        act: `(carry, step) -> carry`, the state from which the run goes on; `step` of them are made
            in this run.
    """

    every: int
    act: Callable[[Carry, int], Carry]


@dataclass(frozen=True)
class Chunk:
    """Some steps of a run.

    Attributes:
        start: Steps made before this run.
        step: Steps made in this run before this chunk.
        steps: Steps made in it; the last ones of the run where `samples.ended`.
        first_row: Number of the chunk's first sample among all samples.
        samples: What it leaves.
        carry: The state at its end, after a pause.
    """

    start: int
    step: int
    steps: int
    first_row: int
    samples: Samples
    carry: Carry


def given(system: System, nodes: tuple[float, ...], dt: float) -> int:
    """Return how many numbers a step is given that are known beforehand.

    Args:
        system: The model.
        nodes: The method's, as parts of a step.
        dt: The step.
    """
    tables = system.inputs(np.arange(2, dtype=np.int64), nodes, dt)
    return sum(table[0].size for table in tables)


def plan(
    stride: int, numbers_per_step: int, carried: int = 0, longest: int | None = None
) -> Schedule:
    """Choose chunk sizes from the sizes of the model alone.

    Each chunk is given a state and leaves one, so one with long rings of delays is given for more
    steps: as many as leave as many numbers as there are in it.

    Args:
        stride: Steps from a sample to the next.
        numbers_per_step: Numbers that every step leaves or is given, whichever are more.
        carried: Numbers of the state.
        longest: Steps that are made at once at most, where the run pauses.
    """
    numbers = max(_CHUNK_NUMBERS, carried)
    most = max(1, min(_CHUNK_STEPS, numbers // max(numbers_per_step, 1)))
    if longest is not None:
        # One of few lengths, so that not every interval is compiled anew.
        samples = -(-longest // stride)
        most = min(most, stride << (samples - 1).bit_length())
    rows = max(1, most // stride)
    return Schedule(stride=stride, rows=rows, steps=min(rows * stride, most))


def run(
    system: System,
    advance: Advance,
    schedule: Schedule,
    carry: Carry,
    n_steps: int,
    dt: float,
    start: int = 0,
    done: int = 0,
    border: int | None = None,
    pause: Pause | None = None,
    watch: Callable[[Carry], bool] = finite,
) -> Generator[Chunk, Carry | None]:
    """Iterate over the chunks of a run, which goes on from the state that is sent, if one is.

    Samples are taken at whole multiples of the stride from the run's start, wherever chunks begin.

    Args:
        system: The model.
        advance: The compiled loop.
        schedule: Its sizes.
        carry: The state at its start.
        n_steps: Length of the run.
        dt: The step in ms.
        start: Steps made before it.
        done: Steps of it that are made already; `carry` is the state after them.
        border: Steps between borders at which a chunk must end, a multiple of the stride.
        pause: What is done between chunks at intervals, once what a chunk leaves is known.
        watch: Tells of the state at each chunk's end whether the run may go on.

    Raises:
        NonFiniteState: A state is infinite or not a number, or `watch` says so. The chunk in which
            it happened is not given out; the message names the first bad cell and its time.
    """
    step, stride = done, schedule.stride
    while step < n_steps:
        steps = min(schedule.steps, n_steps - step)
        if step % stride:  # between samples, where a run that is extended had ended
            steps = min(steps, stride - step % stride)
        if border is not None:
            steps = min(steps, border - step % border)
        if pause is not None:
            steps = min(steps, pause.every - (start + step) % pause.every)
        lead = step == 0
        row = 0 if lead else step // stride + 1
        rows = -(-steps // stride) + lead
        after, samples = advance(carry, start + step, steps, rows, lead)
        steps = samples.steps
        if not watch(after):
            raise diagnose(system, advance, schedule, carry, start + step, steps, dt)
        # A chunk that ends between two samples has looked at its end too.
        whole = (step + steps) // stride - step // stride + lead
        observed = {key: values[:whole] for key, values in samples.observed.items()}
        if pause is not None and (start + step + steps) % pause.every == 0:
            after = pause.act(after, step + steps)
        known = samples._replace(observed=observed)
        changed = yield Chunk(start, step, steps, row, known, after)
        after = after if changed is None else changed
        if samples.ended:
            return
        carry, step = after, step + steps
