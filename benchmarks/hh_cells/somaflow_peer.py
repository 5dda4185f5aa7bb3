"""Squid axons in somaflow: exponential Euler, one thread, spikes recorded, finite check on."""

from harness import peer, somaflow_run

import somaflow as sf
from somaflow.units import cm, ms, mV, uA


def main() -> None:
    """Run the problem."""
    options = peer.parser(__doc__).parse_args()
    problem = peer.load(options.problem)
    cells = sf.Population("cells", problem["n"], sf.load("hodgkin_huxley_1952"))
    duration = options.duration * ms
    clamp = sf.CurrentClamp(cells, problem["I"] * uA / cm**2, start=0 * ms, stop=duration)
    run, counts = somaflow_run.simulate(
        sf.Network(cells, clamp),
        cells,
        options,
        dt=problem["dt"] * ms,
        initial={
            "cells": {
                "v": problem["v"] * mV,
                "m": problem["m"],
                "h": problem["h"],
                "n": problem["n_gate"],
            }
        },
    )
    somaflow_run.answer(options, problem, run, counts)


if __name__ == "__main__":
    main()
