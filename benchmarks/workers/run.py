"""One network on two workers, beside one and Brian2 with two OpenMP threads: see README.md."""

import sys

from harness import kept, peer, rounds
from workers import problem

ONE, TWO, INSIDE = "somaflow, 1 worker", "somaflow, 2 workers", "somaflow, inside"
BRIAN2, RAISED = "Brian2, 2 threads", "Brian2, 2 threads, alias checks raised"
OURS, THEIRS = "workers.somaflow_peer", "workers.brian2_peer"
PEERS = [
    rounds.Peer(ONE, OURS),
    rounds.Peer(TWO, OURS, ("--workers", "2")),
    rounds.Peer(BRIAN2, THEIRS, ("--threads", "2"), "brian2"),
    rounds.Peer(
        RAISED, THEIRS, ("--threads", "2", "--rates", "guard", "--flags", "tuned"), "brian2"
    ),
    rounds.Peer(INSIDE, OURS, ("--workers", "2", "--inside")),
]
FASTER = {4000: 1.35, 16_000: 1.65, 64_000: 1.75}
EXCHANGE_US, BOUNDARY_US = 100.0, 350.0
COLUMNS = [
    rounds.column("seconds", "seconds", 2),
    rounds.column("us/step", "us_per_step"),
    rounds.column("Hz", "rate", 2, rounds.mean),
    rounds.column("call, us", "call_us"),
    rounds.column("pack, us", "pack_us"),
    rounds.column("gather, us", "gather_us"),
    rounds.column("unpack, us", "unpack_us"),
]


def main() -> None:
    """Measure, and print a table for each size."""
    parser = rounds.parser(__doc__, PEERS, 1000.0)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--sizes", type=int, nargs="+", default=list(problem.SIZES))
    parser.add_argument("--quick", action="store_true", help="a short look, to see that it works")
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.sizes, options.duration = 1, [4000], 100.0
    for n in options.sizes:
        file = rounds.PROBLEMS / f"workers_{n}.npz"
        peer.save(file, problem.make(n, 1))
        wanted = [
            one
            for one in rounds.chosen(PEERS, options.only)
            if n == problem.SIZES[0] or one.label in (ONE, TWO, INSIDE)
        ]
        given = [(file, "--duration", str(options.duration))] * options.rounds
        results = rounds.measure(wanted, given, core=None)
        case = f"COBAHH, 1 ms delay, {n:,} cells, {options.duration:g} ms"
        if not options.quick:
            kept.keep("workers", {case: results})
        rounds.table(case, results, COLUMNS, {"/1 worker": ONE, "/2 workers": TWO})
        goals = {}
        if n in FASTER:
            goals[f"two workers at least {FASTER[n]} times one"] = (ONE, TWO, FASTER[n])
        goals["two workers at least 2.7 times Brian2 with two threads"] = (BRIAN2, TWO, 2.7)
        print(*rounds.targets(results, goals), sep="\n")
        if INSIDE in results:
            found = rounds.median(results[INSIDE], "exchange_us")
            said = "met   " if found <= EXCHANGE_US else "MISSED"
            print(f"{said} pack, gather and unpack under {EXCHANGE_US:g} us: {found:.0f} us")
        labels = [one for one in (ONE, TWO, BRIAN2, RAISED) if one in results]
        print(*rounds.apart(results, labels, ["rate"], 0.05), sep="\n")
        one, two = ([item["spikes"] for item in results.get(x, []) if item] for x in (ONE, TWO))
        if one and two and {*one} != {*two}:
            sys.exit(f"two workers had {two} spikes, and one {one}")


if __name__ == "__main__":
    main()
