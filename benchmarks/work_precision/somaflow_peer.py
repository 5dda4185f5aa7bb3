"""somaflow: `sf.solve`, the rows along the first axis with `batch=1`.

Measured is the whole call, its checks and the labelled solution included; `run_seconds` is what it
says itself of the compiled part.
"""

from functools import cache
from typing import Any

import numpy as np
import peer
import problems

import somaflow as sf


@cache
def field(name: str) -> Any:
    """Return the right-hand side; the same function each time, so that it is compiled once."""
    chosen = problems.PROBLEMS[name].field

    def f(t: Any, y: Any, args: Any) -> Any:
        return chosen(t, y, args, sf.math)

    return f


def prepare(job: peer.Job) -> peer.Solve:
    """Return what solves the job."""
    problem = problems.PROBLEMS[job["problem"]]
    y0, parameters = problems.many(job["problem"], job["rows"])
    settings: dict[str, Any] = {
        "t1": problem.t1,
        "at": [problem.t1],
        "solver": getattr(sf, job["method"])(),
        "args": parameters,
        "dtype": job.get("dtype", "float64"),
        "batch": 0 if job["rows"] == 1 else 1,
    }
    if job.get("dt"):
        settings["dt"] = job["dt"]
    else:
        settings |= {"rtol": job["rtol"], "atol": job["rtol"] * problem.atol}
    f = field(job["problem"])

    def solve() -> tuple[np.ndarray, dict[str, Any]]:
        found = sf.solve(f, y0, **settings)
        final = np.stack([np.atleast_1d(found[name].values[-1]) for name in y0])
        counted = found.statistics
        steps = np.max(counted["accepted"]) + np.max(counted["rejected"])
        inside = counted.get("run_seconds", counted.get("seconds"))
        return final, {"steps": int(steps), "run_seconds": inside}

    return solve


if __name__ == "__main__":
    peer.main(prepare)
