"""Squid axons under constant currents: how many, and which current each gets.

    python -m hh_cells.problem FILE --cells 10000

Hodgkin and Huxley's (1952) axon in the convention of rest at -65 mV; cell k of n gets k/(n - 1)
times 20 uA/cm2, from t = 0. All start at -65 mV with the gates at rest.
"""

import argparse
from pathlib import Path

import numpy as np
from harness import peer

DT = 0.025  # ms, the default of NEURON and of Jaxley
STRONGEST = 20.0  # uA/cm2


def make(cells: int) -> peer.Problem:
    """Return the problem: `I` in uA/cm2 of shape [cells], and `v` and the gates at the start."""
    v = -65.0
    # alpha/(alpha + beta) of the 1952 rates at -65 mV.
    gates = {"m": 0.0529324852572, "h": 0.596120753508, "n_gate": 0.317676914061}
    current = np.linspace(0.0, STRONGEST, cells) if cells > 1 else np.array([STRONGEST / 2])
    return {"n": cells, "dt": DT, "v": v, "I": current, **gates}


def main() -> None:
    """Write a problem file."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--cells", type=int, default=10_000)
    options = parser.parse_args()
    peer.save(options.file, make(options.cells))


if __name__ == "__main__":
    main()
