"""COBAHH with a delay in somaflow: exponential Euler, any number of workers with one thread each.

With `--inside` the parts of the first worker's boundary are timed, in that worker, by functions
that are put around those of the library; its seconds are then no result.
"""

from functools import partial
from typing import Any

import numpy as np
from cobahh import somaflow_peer as cobahh
from harness import peer, somaflow_run
from workers.inside import Inside

import somaflow as sf
from somaflow.units import ms, mV, uS


def build(problem: peer.Problem) -> tuple[sf.Network, sf.Population]:
    """Build the network of a problem file."""
    cells = sf.Population("cells", problem["n"], cobahh.cell(), threshold="v > -20*mV")
    split, delay = problem["n_exc"], problem["delay"] * ms
    exciting = problem["pre"] < split
    excite, inhibit = cobahh.synapses()
    wired = partial(somaflow_run.wired, problem)
    given: dict[str, Any] = {"delay": delay, "name": "excite", "weight": 0.006 * uS}
    one = sf.Projection(cells[:split], cells, excite, wired(exciting), **given)
    given |= {"name": "inhibit", "weight": 0.067 * uS}
    other = sf.Projection(cells[split:], cells, inhibit, wired(~exciting, split), **given)
    return sf.Network(cells, one, other), cells


def main() -> None:
    """Run the problem."""
    parser = peer.parser(__doc__)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--inside", action="store_true")
    options = parser.parse_args()
    problem = peer.load(options.problem)
    network, cells = build(problem)
    start = {"v": problem["v"] * mV, **dict.fromkeys("mhn", np.zeros(problem["n"]))}
    if options.inside:
        from somaflow.workers import team  # noqa: PLC0415 - for this alone

        packed = team.packed
        team.packed = lambda start, advice: packed(Inside(start), advice)
    run = sf.simulate(
        network,
        options.duration * ms,
        dt=problem["dt"] * ms,
        solver=sf.ExponentialEuler(),
        dtype=options.dtype,
        record=[cells.spikes],
        initial={"cells": start},
        workers=options.workers,
        progress=False,
    )
    counts = np.asarray(run["cells.spikes"].counts())
    told = run.statistics.get("boundary", {})
    more = {f"{key}_us": value * 1e6 for key, value in told.items() if key != "boundaries"}
    if more:
        more["exchange_us"] = sum(more[f"{key}_us"] for key in ("pack", "gather", "unpack"))
        more["boundaries"] = told["boundaries"]
    somaflow_run.answer(options, problem, run, counts, **more)


if __name__ == "__main__":
    main()
