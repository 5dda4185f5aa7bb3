"""Cost against size, 4,000 to 64,000 COBAHH cells: see README.md."""

import sys

from cobahh_sizes import problem
from harness import kept, peer, rounds

PEERS = [
    rounds.Peer("somaflow float64", "cobahh_sizes.somaflow_peer"),
    rounds.Peer("somaflow float32", "cobahh_sizes.somaflow_peer", ("--dtype", "float32")),
]
LIMIT = 1.3
KEYS = {
    "time per cell and step": "ns_per_cell_step",
    "time per delivered spike": "ns_per_delivered",
}


def main() -> None:
    """Measure, and print a table."""
    parser = rounds.parser(__doc__, PEERS, 1000.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--sizes", type=int, nargs="+", default=list(problem.SIZES))
    options = parser.parse_args()
    peers = rounds.chosen(PEERS, options.only)
    results: rounds.Results = {}
    # Sizes take turns within a round, as peers do elsewhere.
    for number in range(options.rounds):
        for cells in options.sizes:
            file = rounds.PROBLEMS / f"cobahh_{cells}.npz"
            peer.save(file, problem.make(cells, 1))
            # The work is about the same at every size, but for at least 100 ms.
            duration = max(options.duration * options.sizes[0] / cells, 100.0)
            found = rounds.measure(peers, [(file, "--duration", duration)], options.core)
            for label, items in found.items():
                results.setdefault(f"{label}, {cells:,} cells", []).extend(items)
        print(f"round {number + 1} of {options.rounds}", file=sys.stderr)
    kept.keep("cobahh_sizes", results)
    columns = [
        rounds.column("ns/cell/step", "ns_per_cell_step", 2),
        rounds.column("ns/delivered", "ns_per_delivered", 2),
        rounds.column("Hz", "rate", 2, rounds.mean),
    ]
    rounds.table("COBAHH with 80 synapses a cell, dt 0.1 ms", results, columns, {})
    for label in options.only:
        first = results.get(f"{label}, {options.sizes[0]:,} cells", [])
        last = results.get(f"{label}, {options.sizes[-1]:,} cells", [])
        for said, key in KEYS.items():
            found = rounds.ratio(last, first, key)
            verdict = "met   " if 1 / LIMIT <= found <= LIMIT else "MISSED"
            print(f"{verdict} {label}, {said} within {LIMIT}: {found:.2f}")


if __name__ == "__main__":
    main()
