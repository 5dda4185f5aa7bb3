"""SciPy's `solve_ivp`, a row at a time, over plain Python floats.

Plain floats and `math.exp` make a right-hand side of a few states about ten times as fast as NumPy
scalars. Of many rows the sampled ones are solved, and the time is multiplied up.
"""

from typing import Any

import numpy as np
import peer
import problems
from scipy.integrate import solve_ivp


def prepare(job: peer.Job) -> peer.Solve:
    """Return what solves the job's rows."""
    name, rows = job["problem"], job["rows"]
    problem = problems.PROBLEMS[name]
    y0, parameters = problems.many(name, rows)
    sampled = min(rows, job.get("sampled", problems.SAMPLED))
    starts = [np.array(list(problems.row(y0, k).values())) for k in range(sampled)]
    constants = [problems.row(parameters, k) for k in range(sampled)]
    f = problems.over_floats(name)
    settings: dict[str, Any] = {
        "method": job["method"],
        "rtol": job["rtol"],
        "atol": job["rtol"] * problem.atol,
        "t_eval": [problem.t1],
    }

    def solve() -> tuple[np.ndarray, dict[str, Any]]:
        found = [
            solve_ivp(f, (0.0, problem.t1), start, args=(p,), **settings)
            for start, p in zip(starts, constants, strict=True)
        ]
        final = np.stack([solution.y[:, -1] for solution in found], axis=1)
        evaluations = sum(solution.nfev for solution in found) // sampled
        return final, {"evaluations": evaluations, "factor": rows / sampled}

    return solve


if __name__ == "__main__":
    peer.main(prepare, compiles=False)
