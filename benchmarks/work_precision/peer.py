"""How a peer is asked and answers: one JSON job in, one JSON line out.

By hand a peer takes one job as its argument. For the benchmark it stays alive (`--serve`) and reads
a job a line, so that the benchmark can call the peers in turn while each keeps what it compiled.

A job names the `problem`, how many `rows`, the `method`, and `dt`, or `rtol`; `reference` holds the
converged final states of the sampled rows, `repeats` and `budget` (seconds) how often to measure.
The answer has `seconds` (the median), `error`, what the method counted, and on the first call for a
job `compile_seconds`: what the first call took above the median.
"""

import json
import math
import os
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import problems

CORES = 2

Job = dict[str, Any]
# Solves, and returns the final states [n_states, n_rows] and what it counted.
Solve = Callable[[], tuple[np.ndarray, dict[str, Any]]]
Prepare = Callable[[Job], Solve]

_KEYS = ("problem", "rows", "method", "dt", "rtol", "dtype", "layout")


def measure(solve: Solve, job: Job) -> dict[str, Any]:
    """Return the median of several solves, at most `repeats`, and within `budget` if one does."""
    times, counted, final = [], {}, np.empty(0)
    for _ in range(job.get("repeats", 3)):
        begin = time.perf_counter()
        final, counted = solve()
        times.append(time.perf_counter() - begin)
        if sum(times) > job.get("budget", math.inf):
            break
    found: dict[str, Any] = {"seconds": statistics.median(times), "runs": len(times)}
    # SciPy solves a few of the rows; what it took for them stands for all.
    found["seconds"] *= counted.pop("factor", 1)
    if job.get("reference"):
        found["error"] = problems.error(job["problem"], final, job["reference"])
    return found | counted


def answer(prepare: Prepare, job: Job, known: dict[str, Solve], compiles: bool) -> dict[str, Any]:
    """Return the answer to one job; a failure is an answer too."""
    key = json.dumps([job.get(name) for name in _KEYS])
    first = None
    try:
        if key not in known:
            begin = time.perf_counter()
            solve = prepare(job)
            if compiles:
                solve()
            first = time.perf_counter() - begin
            known[key] = solve
        found = measure(known[key], job)
    except Exception as error:  # the other jobs go on
        return {"failed": f"{type(error).__name__}: {error}".splitlines()[0][:200]}
    if first is not None and compiles:
        found["compile_seconds"] = max(0.0, first - found["seconds"])
    # JSON has no NaN: a solve that blew up has no error.
    if not math.isfinite(found.get("error", 0.0)):
        found["error"] = None
    return found


def main(prepare: Prepare, compiles: bool = True) -> None:
    """Answer the job of the command line, or with `--serve` one job a line until the input ends.

    Args:
        prepare: Makes what solves a job.
        compiles: Whether a first call has to warm it up.
    """
    limit_cores()
    known: dict[str, Solve] = {}
    if sys.argv[1:2] != ["--serve"]:
        print(json.dumps(answer(prepare, json.loads(sys.argv[1]), known, compiles)))
        return
    for line in sys.stdin:
        print(json.dumps(answer(prepare, json.loads(line), known, compiles)), flush=True)


def limit_cores() -> None:
    """Keep this process on two cores, so that a larger machine compares the same."""
    available = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, available[:CORES])
