"""STDP at a million synapses beside Brian2: see README.md."""

from pathlib import Path

from harness import kept, peer, rounds
from stdp import problem

F64, F32 = "somaflow float64", "somaflow float32"
BRIAN2 = "Brian2"
PEERS = [
    rounds.Peer(F64, "stdp.somaflow_peer"),
    rounds.Peer(F32, "stdp.somaflow_peer", ("--dtype", "float32")),
    rounds.Peer(BRIAN2, "stdp.brian2_peer", (), "brian2"),
    rounds.Peer("Brian2, traces of cells", "stdp.brian2_peer", ("--traces", "cell"), "brian2"),
]
TARGETS = {"at most 1.5 times Brian2's time": (BRIAN2, F64, 1 / 1.5)}
COLUMNS = [
    rounds.column("us/step", "us_per_step"),
    rounds.column("ns/event", "ns_per_event", 2),
    rounds.column("pre Hz", "rate_pre", 2, rounds.mean),
    rounds.column("post Hz", "rate_post", 2, rounds.mean),
]


def main() -> None:
    """Measure, and print a table."""
    parser = rounds.parser(__doc__, PEERS, 1000.0)
    parser.add_argument("--rounds", type=int, default=5, help="each with trains of its own")
    parser.add_argument("--side", type=int, default=problem.SIDE, help="cells on each side")
    options = parser.parse_args()
    arguments: list[tuple[str | Path, ...]] = []
    for seed in range(1, options.rounds + 1):
        file = rounds.PROBLEMS / f"stdp_{seed}.npz"
        peer.save(file, problem.make(options.side, seed))
        arguments.append((file, "--duration", str(options.duration)))
    peers = rounds.chosen(PEERS, options.only)
    results = rounds.measure(peers, arguments, core=options.core)
    kept.keep("stdp", {f"STDP, {options.side**2:,} synapses": results})
    title = f"pair STDP, {options.side**2:,} synapses, dt 0.1 ms, {options.duration:g} ms"
    rounds.table(title, results, COLUMNS, {"/float64": F64, "/float32": F32})
    print(*rounds.targets(results, TARGETS), sep="\n")
    labels = [one.label for one in PEERS]
    print(*rounds.apart(results, labels, ["rate_pre", "rate_post"], 0.05), sep="\n")


if __name__ == "__main__":
    main()
