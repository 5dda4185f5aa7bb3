"""Squid axons without synapses beside Brian2, BrainPy, Jaxley and CoreNEURON: see README.md."""

import math
from pathlib import Path
from typing import Any

from harness import kept, peer, rounds
from hh_cells import problem

F64, F32 = "somaflow float64", "somaflow float32"
SIZES = (100, 1_000, 10_000, 100_000)
SAME = 10_000
FLOAT32 = ("--dtype", "float32")
DOCUMENTED = ("--way", "documented")
PEERS = [
    rounds.Peer(F64, "hh_cells.somaflow_peer"),
    rounds.Peer(F32, "hh_cells.somaflow_peer", FLOAT32),
    rounds.Peer("Brian2", "hh_cells.brian2_peer", ("--rates", "exprel"), "brian2"),
    rounds.Peer(
        "Brian2, alias checks raised", "hh_cells.brian2_peer", ("--flags", "tuned"), "brian2"
    ),
    rounds.Peer("BrainPy", "hh_cells.brainpy_peer", (), "brainpy"),
    rounds.Peer("BrainPy float32", "hh_cells.brainpy_peer", FLOAT32, "brainpy"),
    rounds.Peer("BrainPy, its runner", "hh_cells.brainpy_peer", DOCUMENTED, "brainpy"),
    rounds.Peer(
        "BrainPy, its runner, float32", "hh_cells.brainpy_peer", (*DOCUMENTED, *FLOAT32), "brainpy"
    ),
    rounds.Peer("Jaxley", "hh_cells.jaxley_peer", (), "jaxley"),
    rounds.Peer("Jaxley float32", "hh_cells.jaxley_peer", FLOAT32, "jaxley"),
    rounds.Peer("Jaxley, integrate", "hh_cells.jaxley_peer", DOCUMENTED, "jaxley"),
    rounds.Peer(
        "Jaxley, integrate, float32", "hh_cells.jaxley_peer", (*DOCUMENTED, *FLOAT32), "jaxley"
    ),
    rounds.Peer("CoreNEURON", "hh_cells.coreneuron_peer", (), "neuron"),
]
TARGETS = {
    "at least 1.8 times Brian2": ("Brian2", F64, 1.8),
    "at least 2 times BrainPy": ("BrainPy", F64, 2.0),
    "at least 1.5 times Jaxley": ("Jaxley", F64, 1.5),
    "at least 2.5 times CoreNEURON": ("CoreNEURON", F64, 2.5),
    "float32: at least 2 times Jaxley": ("Jaxley float32", F32, 2.0),
    "float32: at least 2.5 times BrainPy": ("BrainPy float32", F32, 2.5),
}
KEY = "ns_per_cell_step"
COLUMNS = [rounds.column("ns/cell/step", KEY, 2), rounds.column("Hz", "rate", 2, rounds.mean)]


def files(sizes: list[int]) -> dict[int, Path]:
    """Write the problem files; return their paths by the number of cells."""
    paths = {cells: rounds.PROBLEMS / f"hh_cells_{cells}.npz" for cells in sizes}
    for cells, path in paths.items():
        peer.save(path, problem.make(cells))
    return paths


def best(results: dict[int, rounds.Results]) -> rounds.Results:
    """Return the results of each peer at the size where it is fastest."""
    found: rounds.Results = {}
    for label in next(iter(results.values())):
        medians = {cells: rounds.median(of[label], KEY) for cells, of in results.items()}
        finite = {cells: value for cells, value in medians.items() if not math.isnan(value)}
        if finite:
            cells = min(finite, key=finite.__getitem__)
            found[label] = [
                None if x is None else x | {"cells": cells} for x in results[cells][label]
            ]
    return found


def main() -> None:
    """Measure, and print a table for each size and one of the best sizes."""
    parser = rounds.parser(__doc__, PEERS, 100.0)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES))
    options = parser.parse_args()
    peers = rounds.chosen(PEERS, options.only)
    results: dict[int, rounds.Results] = {}
    for cells, path in files(options.sizes).items():
        # As many cell steps at every size, but no run shorter than 5 ms or longer than 10 s.
        duration = min(max(options.duration * SAME / cells, 5.0), 10_000.0)
        repeated: list[tuple[Any, ...]] = [(path, "--duration", duration)] * options.rounds
        results[cells] = rounds.measure(peers, repeated, core=options.core)
    kept.keep("hh_cells", {f"{cells:,} squid axons": of for cells, of in results.items()})
    against = {"/float64": F64, "/float32": F32}
    for cells, of in results.items():
        rounds.table(f"{cells:,} squid axons, dt 0.025 ms", of, COLUMNS, against, KEY)
    shown = [*COLUMNS, rounds.column("cells", "cells", 0)]
    rounds.table("each at its best size", best(results), shown, against, KEY)
    for title, of in (("at 10,000 cells", results.get(SAME)), ("at best sizes", best(results))):
        if of:
            print(f"\n{title}", *rounds.targets(of, TARGETS, KEY), sep="\n")
    labels = [one.label for one in PEERS]
    for of in results.values():
        print(*rounds.apart(of, labels, ["rate"], 0.02), sep="\n")


if __name__ == "__main__":
    main()
