"""A million plastic synapses: 1,000 Poisson sources at 10 Hz, all to 1,000 cells at 10 Hz.

    python -m stdp.problem FILE

Every postsynaptic cell is an integrate-and-fire cell that a Poisson source of its own makes fire: a
spike of that source lifts the voltage above threshold. The plastic synapses are too weak to make it
fire, so that the rates do not depend on the weights. The rule is that of Song, Miller and Abbott
(2000): pairs of spikes, all with all, weights between 0 and w_max. The trains are each simulator's
own, and their rates are printed.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from harness import peer

SIDE = 1000
RATE = 10.0  # Hz
DT = 0.1  # ms
# mV, ms; w_max is in units of the leak conductance.
VALUES = {
    "E_L": -65.0,
    "tau": 20.0,
    "tau_g": 5.0,
    "tau_plus": 20.0,
    "tau_minus": 20.0,
    "A_plus": 0.005,
    "A_minus": 0.00525,
    "w_max": 1.5e-4,
    "push": 30.0,
}


def make(side: int, seed: int) -> peer.Problem:
    """Return the problem: `n_side` cells on each side, and the seed of the trains."""
    return {"n": 2 * side, "n_side": side, "dt": DT, "seed": seed}


def answer(
    name: str,
    options: Any,
    problem: peer.Problem,
    seconds: float,
    counts: Sequence[Any],
    **more: Any,
) -> None:
    """Print what a run took, with the rates of both sides and the time for each event.

    An event is a spike, of either side, at one of its synapses.

    Args:
        name: The simulator.
        options: The command line.
        problem: The problem file.
        seconds: Of the run alone.
        counts: Spikes of each presynaptic and of each postsynaptic cell.
        **more: Further numbers to print.
    """
    pre, post = (np.asarray(part) for part in counts)
    scale = 1e3 / options.duration
    events = int(pre.sum() + post.sum()) * problem["n_side"]
    found = {
        "rate_pre": float(pre.mean() * scale),
        "rate_post": float(post.mean() * scale),
        "events": events,
        "ns_per_event": seconds / max(events, 1) * 1e9,
    }
    both = np.concatenate([pre, post])
    peer.answer(name, options, problem, seconds, both, **found, **more)


def main() -> None:
    """Write a problem file."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--side", type=int, default=SIDE)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    peer.save(options.file, make(options.side, options.seed))


if __name__ == "__main__":
    main()
