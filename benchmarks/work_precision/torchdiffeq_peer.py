"""torchdiffeq: the rows in one state tensor, as its documentation does it.

Its `rk4` is the rule of three eighths, order 4 with the same four stages. Adaptive methods take one
step for all rows, with the error's norm over all of them, so a single difficult row hides among
easy ones: compare errors as well as times. Nothing is compiled.
"""

from typing import Any

import numpy as np
import peer
import problems
import torch
import torchdiffeq

DTYPES = {"float64": torch.float64, "float32": torch.float32}


def prepare(job: peer.Job) -> peer.Solve:
    """Return what solves the job."""
    problem = problems.PROBLEMS[job["problem"]]
    dtype = DTYPES[job.get("dtype", "float64")]
    y0, given = problems.many(job["problem"], job["rows"])
    names = tuple(y0)
    start = torch.stack([torch.as_tensor(value, dtype=dtype) for value in y0.values()])
    parameters = {
        key: torch.as_tensor(value, dtype=dtype) if np.ndim(value) else value
        for key, value in given.items()
    }
    span = torch.tensor([0.0, problem.t1], dtype=torch.float64)
    settings: dict[str, Any] = {"method": job["method"]}
    if job.get("dt"):
        settings["options"] = {"step_size": job["dt"]}
    else:
        settings |= {"rtol": job["rtol"], "atol": job["rtol"] * problem.atol}
    count = [0]

    def f(t: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        count[0] += 1
        slope = problem.field(t, dict(zip(names, y.unbind(0), strict=True)), parameters, torch)
        return torch.stack([slope[name] for name in names])

    def solve() -> tuple[np.ndarray, dict[str, Any]]:
        count[0] = 0
        with torch.no_grad():
            final = torchdiffeq.odeint(f, start, span, **settings)[-1]
        return final.numpy().reshape(len(names), -1), {"evaluations": count[0]}

    return solve


if __name__ == "__main__":
    # Over 10,000 rows a second thread gained nothing on an idle machine, and on a busy one its
    # waiting in a loop cost tenfold.
    torch.set_num_threads(1)
    peer.main(prepare, compiles=False)
