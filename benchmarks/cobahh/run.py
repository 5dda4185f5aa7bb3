"""COBAHH beside Brian2 and NEST: see README.md."""

from collections.abc import Iterator
from pathlib import Path

from cobahh import problem
from harness import kept, peer, rounds

F64, F32 = "somaflow float64", "somaflow float32"
BRIAN2, NEST = "Brian2", "NEST"
PEERS = [
    rounds.Peer(F64, "cobahh.somaflow_peer"),
    rounds.Peer(F32, "cobahh.somaflow_peer", ("--dtype", "float32")),
    rounds.Peer(BRIAN2, "cobahh.brian2_peer", ("--rates", "exprel"), "brian2"),
    rounds.Peer("Brian2, quotients", "cobahh.brian2_peer", ("--rates", "quotient"), "brian2"),
    rounds.Peer(
        "Brian2, alias checks raised",
        "cobahh.brian2_peer",
        ("--rates", "guard", "--flags", "tuned"),
        "brian2",
    ),
    rounds.Peer(
        "Brian2, raised, float32",
        "cobahh.brian2_peer",
        ("--rates", "guard", "--flags", "tuned", "--dtype", "float32"),
        "brian2",
    ),
    rounds.Peer(NEST, "cobahh.nest_peer", (), "nest-simulator"),
]
TARGETS = {
    "float64 at least 3 times Brian2's speed": (BRIAN2, F64, 3.0),
    "float32 at least 6 times Brian2's speed": (BRIAN2, F32, 6.0),
    "float64 at least 12 times NEST's speed": (NEST, F64, 12.0),
}
COLUMNS = [
    rounds.column("us/step", "us_per_step"),
    rounds.column("ns/delivered", "ns_per_delivered"),
    rounds.column("Hz", "rate", 2, rounds.mean),
    rounds.column("exc. Hz", "rate_exc", 2, rounds.mean),
    rounds.column("inh. Hz", "rate_inh", 2, rounds.mean),
]


def main() -> None:
    """Measure, and print a table."""
    parser = rounds.parser(__doc__, PEERS, 2000.0)
    parser.add_argument("--wirings", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=1, help="of each wiring")
    options = parser.parse_args()

    def arguments() -> Iterator[tuple[str | Path, ...]]:
        for seed in range(1, options.wirings + 1):
            file = rounds.PROBLEMS / f"cobahh_{seed}.npz"
            peer.save(file, problem.make(seed))
            for _ in range(options.rounds):
                yield file, "--duration", str(options.duration)

    results = rounds.measure(
        rounds.chosen(PEERS, options.only), list(arguments()), core=options.core
    )
    kept.keep("cobahh", {f"COBAHH, {problem.N:,} cells": results})
    title = (
        f"COBAHH, 4,000 cells, 2 %, dt 0.1 ms, {options.duration:g} ms, {options.wirings} wirings: "
        "medians, and mean rates"
    )
    rounds.table(title, results, COLUMNS, {"/float64": F64, "/float32": F32})
    print(*rounds.targets(results, TARGETS), sep="\n")
    clocked = [one.label for one in PEERS if one.label != NEST]
    print(*rounds.apart(results, clocked, ["rate"], 0.05), sep="\n")


if __name__ == "__main__":
    main()
