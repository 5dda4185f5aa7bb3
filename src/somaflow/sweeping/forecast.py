"""Forecast: how long a sweep would take, from the first of its tasks, cut short."""

import math
import pickle
import time
from dataclasses import replace
from typing import NamedTuple

from somaflow.running.preparing import prepare
from somaflow.settings import positive
from somaflow.simulation.clock import whole_steps
from somaflow.sweeping.execution import Request, rows_for
from somaflow.sweeping.task import Task, compute, job
from somaflow.units import ms

_SHORT, _LONG, _LEAST = 50, 10, 100  # parts of the duration that are computed, and steps at least


class Forecast(NamedTuple):
    """What the first task says of a sweep.

    Attributes:
        rows: How many members are computed in one program.
        compile_seconds: In each process.
        run_seconds: Of the whole sweep, the compile left out.
    """

    rows: int
    compile_seconds: float
    run_seconds: float


def forecast(
    request: Request, processes: int, compile_seconds: float, run_seconds: float
) -> Forecast:
    """Return how long a sweep would take.

    Members that are computed one by one take what a run alone does, and what it takes to prepare
    it. Of others a whole task is computed twice, for a fiftieth and for a tenth of their duration,
    and the rest is as fast as what lies between. What the parent does itself, making the members,
    counts too.

    Args:
        request: The sweep.
        processes: Where it would be computed.
        compile_seconds: Of the first member alone.
        run_seconds: Likewise.
    """
    members, settings = request.members, request.settings
    count, begin = len(members), time.perf_counter()
    first = job(members.member(0), settings)
    rows = rows_for(request, first, processes)
    if rows == 1:
        prepare(first)
        each = time.perf_counter() - begin + run_seconds
        return Forecast(1, compile_seconds, math.ceil(count / processes) * each)
    numbers = tuple(range(min(rows, math.ceil(count / processes))))
    begin = time.perf_counter()
    task = Task(numbers, members.several(numbers), settings, rows)
    making = (time.perf_counter() - begin) * count / len(numbers)
    dt = positive(settings.dt, "dt")
    steps = whole_steps(positive(settings.duration, "duration"), dt, "duration")
    short, long = (min(steps, max(_LEAST, steps // part)) for part in (_SHORT, _LONG))
    compiling, before = _timed(task, short * dt)
    _, after = _timed(task, long * dt) if long > short else (0.0, before)
    speed = (after - before) / (long - short) if long > short else 0.0
    each = after + max(speed, 0.0) * (steps - long)
    tasks = math.ceil(count / len(numbers))
    return Forecast(rows, compiling, math.ceil(tasks / processes) * each + making / processes)


def _timed(task: Task, duration: float) -> tuple[float, float]:
    """Return how long a task takes to compile, and to compute, for so many ms."""
    settings = replace(task.settings, duration=duration * ms)
    sent, seconds = pickle.dumps(replace(task, settings=settings)), []
    while True:
        begin = time.perf_counter()
        outcomes = compute(pickle.loads(sent))  # as a worker reads it
        seconds.append(time.perf_counter() - begin)
        if len(seconds) > 1 or not any(outcome.compiled for outcome in outcomes):
            return max(seconds[0] - seconds[-1], 0.0), seconds[-1]
