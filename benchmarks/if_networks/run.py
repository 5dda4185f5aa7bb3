"""CUBA, COBA and Brunel's network beside Brian2 and NEST: see README.md."""

from pathlib import Path

from harness import kept, peer, rounds
from if_networks import problem

F64, F32 = "somaflow float64", "somaflow float32"
BRIAN2 = "Brian2"
TUNED = ("--flags", "tuned")
NEST = "NEST"
PEERS = [
    rounds.Peer(F64, "if_networks.somaflow_peer"),
    rounds.Peer(F32, "if_networks.somaflow_peer", ("--dtype", "float32")),
    rounds.Peer(BRIAN2, "if_networks.brian2_peer", (), "brian2"),
    rounds.Peer("Brian2, alias checks raised", "if_networks.brian2_peer", TUNED, "brian2"),
    rounds.Peer(NEST, "if_networks.nest_peer", (), "nest-simulator"),
]
# Of `brunel` alone; another way to draw what comes from outside.
DRAWN = rounds.Peer(
    "Brian2, poisson()", "if_networks.brian2_peer", ("--input", "poisson"), "brian2"
)
MODELS = list(problem.MODELS)
TARGETS = {"at most 1.5 times Brian2's time": (BRIAN2, F64, 1 / 1.5)}
FASTER = {"faster than NEST": (NEST, F64, 1.0)}
COLUMNS = [
    rounds.column("us/step", "us_per_step"),
    rounds.column("ns/delivered", "ns_per_delivered"),
    rounds.column("Hz", "rate", 2, rounds.mean),
    rounds.column("CV", "cv", 3, rounds.mean),
]


def main() -> None:
    """Measure, and print a table for each network."""
    parser = rounds.parser(__doc__, [*PEERS, DRAWN], 1000.0)
    parser.add_argument("--models", nargs="+", choices=MODELS, default=MODELS)
    parser.add_argument("--wirings", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=1, help="of each wiring")
    options = parser.parse_args()
    found = {}
    for model in options.models:
        every = [*PEERS, DRAWN] if model == "brunel" else PEERS
        arguments: list[tuple[str | Path, ...]] = []
        for seed in range(1, options.wirings + 1):
            file = rounds.PROBLEMS / f"{model}_{seed}.npz"
            peer.save(file, problem.make(model, seed))
            arguments += [(file, "--duration", str(options.duration))] * options.rounds
        found[model] = rounds.measure(
            rounds.chosen(every, options.only), arguments, core=options.core
        )
    cases = {f"{model}, {problem.MODELS[model]['n']:,} cells": of for model, of in found.items()}
    kept.keep("if_networks", cases)
    for model, results in found.items():
        constants = problem.MODELS[model]
        title = (
            f"{model}, {constants['n']:,} cells, dt {problem.DT} ms, {options.duration:g} ms, "
            f"{options.wirings} wirings"
        )
        rounds.table(title, results, COLUMNS, {"/float64": F64, "/float32": F32})
        brunel = model == "brunel"
        print(*rounds.targets(results, {**TARGETS, **FASTER} if brunel else TARGETS), sep="\n")
        # NEST has a least delay, which CUBA and COBA have not.
        clocked = [label for label in results if brunel or label != NEST]
        keys, tolerance = (["rate", "cv"], 0.03) if brunel else (["rate"], 0.05)
        print(*rounds.apart(results, clocked, keys, tolerance), sep="\n")


if __name__ == "__main__":
    main()
