"""How the somaflow peers run a network and what they take from it."""

import argparse
import time
from contextlib import AbstractContextManager
from types import SimpleNamespace
from typing import Any
from unittest import mock

import numpy as np
from harness import peer

import somaflow as sf
from somaflow.running import execution
from somaflow.units import ms

CLOCK = SimpleNamespace(perf_counter=time.process_time)


def by_processor() -> AbstractContextManager[object]:
    """Have runs count the processor's time; the wall's depends on what else the machine does."""
    return mock.patch.object(execution, "time", CLOCK)


def wired(problem: peer.Problem, chosen: np.ndarray, first: int = 0) -> sf.FromList:
    """Return the connector of some synapses of a problem file.

    Args:
        problem: With `pre` and `post`.
        chosen: Which synapses, bool of shape [n_synapses].
        first: The cell that the presynaptic side begins with.
    """
    return sf.FromList(np.stack([problem["pre"][chosen] - first, problem["post"][chosen]], axis=1))


def simulate(
    network: sf.Network, cells: sf.Population, options: argparse.Namespace, **settings: Any
) -> tuple[sf.Solution, np.ndarray]:
    """Run with spikes recorded.

    Returns:
        The run, and the number of spikes of each cell, [n].
    """
    with by_processor():
        run = sf.simulate(
            network,
            options.duration * ms,
            solver=sf.ExponentialEuler(),
            dtype=options.dtype,
            record=[cells.spikes],
            **settings,
        )
    return run, np.asarray(run[f"{cells.name}.spikes"].counts())


def answer(
    options: argparse.Namespace, problem: peer.Problem, run: sf.Solution, counts: Any, **more: Any
) -> None:
    """Print what a run took and did, how long it compiled, and `more`."""
    told = run.statistics
    more["compile_seconds"] = told["compile_seconds"]
    peer.answer("somaflow", options, problem, told["run_seconds"], counts, **more)
