"""CUBA and COBA beside Brian2 and NEST: see README.md."""

from pathlib import Path

from harness import peer, rounds
from if_networks import problem

F64, F32 = "somaflow float64", "somaflow float32"
BRIAN2 = "Brian2"
TUNED = ("--flags", "tuned")
PEERS = [
    rounds.Peer(F64, "if_networks.somaflow_peer"),
    rounds.Peer(F32, "if_networks.somaflow_peer", ("--dtype", "float32")),
    rounds.Peer(BRIAN2, "if_networks.brian2_peer", (), "brian2"),
    rounds.Peer("Brian2, alias checks raised", "if_networks.brian2_peer", TUNED, "brian2"),
    rounds.Peer("NEST", "if_networks.nest_peer", (), "nest-simulator"),
]
TARGETS = {"at most 1.5 times Brian2's time": (BRIAN2, F64, 1 / 1.5)}
COLUMNS = [
    rounds.column("us/step", "us_per_step"),
    rounds.column("ns/delivered", "ns_per_delivered"),
    rounds.column("Hz", "rate", 2, rounds.mean),
]


def main() -> None:
    """Measure, and print a table for each network."""
    parser = rounds.parser(__doc__, PEERS, 1000.0)
    parser.add_argument("--models", nargs="+", choices=problem.MODELS, default=problem.MODELS)
    parser.add_argument("--wirings", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=1, help="of each wiring")
    options = parser.parse_args()
    peers, kept = rounds.chosen(PEERS, options.only), {}
    for model in options.models:
        arguments: list[tuple[str | Path, ...]] = []
        for seed in range(1, options.wirings + 1):
            file = rounds.RESULTS / f"{model}_{seed}.npz"
            peer.save(file, problem.make(model, seed))
            arguments += [(file, "--duration", str(options.duration))] * options.rounds
        kept[model] = rounds.measure(peers, arguments, core=options.core)
    rounds.keep("if_networks", kept)
    for model, results in kept.items():
        title = (
            f"{model.upper()}, 4,000 cells, 2 %, dt 0.1 ms, {options.duration:g} ms, "
            f"{options.wirings} wirings"
        )
        rounds.table(title, results, COLUMNS, {"/float64": F64, "/float32": F32})
        print(*rounds.targets(results, TARGETS), sep="\n")
        clocked = [one.label for one in PEERS if one.label != "NEST"]
        print(*rounds.apart(results, clocked, ["rate"], 0.05), sep="\n")


if __name__ == "__main__":
    main()
