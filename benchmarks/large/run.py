"""100,000 cells and 1e8 synapses: see README.md."""

from harness import kept, rounds
from large import problem

PEERS = [
    rounds.Peer(
        f"{degrees}, {dtype}", "large.somaflow_peer", ("--degrees", degrees, "--dtype", dtype)
    )
    for degrees in ("constant", "lognormal")
    for dtype in ("float32", "float64")
]
BYTES = {"float32": 10.0, "float64": 14.0}
PEAK_GIB, BUILD_SECONDS = 12.0, 180.0
COLUMNS = [
    rounds.column("synapses", "synapses", 0),
    rounds.column("build s", "build_seconds"),
    rounds.column("run s", "seconds"),
    rounds.column("Hz", "rate", 2),
    rounds.column("ns/delivered", "ns_per_delivered", 2),
    rounds.column("peak GiB", "peak_gib", 2),
    rounds.column("bytes/synapse", "bytes_per_synapse", 2),
    rounds.column("at the peak", "peak_bytes_per_synapse", 2),
]


def main() -> None:
    """Build, run, and print a table."""
    parser = rounds.parser(__doc__, PEERS, 100.0)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--cells", type=int, default=problem.CELLS)
    parser.add_argument("--in-degree", type=int, default=problem.IN_DEGREE)
    options = parser.parse_args()
    arguments = ["--cells", options.cells, "--in-degree", options.in_degree]
    arguments = [str(part) for part in [*arguments, "--duration", options.duration]]
    peers = rounds.chosen(PEERS, options.only)
    results = rounds.measure(peers, [arguments] * options.rounds, core=options.core)
    kept.keep("large", results)
    title = f"{options.cells:,} integrate-and-fire cells, {options.duration:g} ms, dt 0.1 ms"
    rounds.table(title, results, COLUMNS, {})
    for label, found in results.items():
        limits = {
            "bytes_per_synapse": BYTES[label.rpartition(" ")[2]],
            "peak_gib": PEAK_GIB,
            "build_seconds": BUILD_SECONDS,
        }
        for key, limit in limits.items():
            value = rounds.median(found, key)
            verdict = "met   " if value <= limit else "MISSED"
            print(f"{verdict} {label}, {key}: {value:.2f}, limit {limit:g}")


if __name__ == "__main__":
    main()
