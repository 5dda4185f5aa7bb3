"""Many runs beside one after another, and beside Brian2: see README.md.

run.py sweeps lobes | surface | chaos, each with its own options.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence

from antennal_lobe import problem as lobe_problem
from harness import kept, peer, rounds
from sweeps import lobes, surface

# ----------------------------------------------------------------------------------------- lobes

LOOP = "somaflow, one after another"
BOTH = "somaflow, 2 processes"
ROWS = (1, 8, 32, 256)
OURS, THEIRS = "sweeps.somaflow_lobes", "sweeps.brian2_lobes"
TUNED, F64 = ("--flags", "tuned"), ("--dtype", "float64")


def of_rows(rows: int) -> str:
    """Return what a sweep on one core is called."""
    return f"somaflow, 1 process, {rows} row{'s' * (rows > 1)}"


ONE_CORE = [
    rounds.Peer(LOOP, OURS, ("--way", "loop")),
    *(rounds.Peer(of_rows(rows), OURS, ("--rows", str(rows))) for rows in ROWS),
]
TWO_CORES = [
    rounds.Peer(BOTH, OURS, ("--processes", "2")),
    rounds.Peer("Brian2, pool of 2", THEIRS, (), "brian2"),
    rounds.Peer("Brian2, pool of 2, alias checks raised", THEIRS, TUNED, "brian2"),
    rounds.Peer(
        "Brian2, pool of 2, alias checks raised, float64", THEIRS, (*TUNED, *F64), "brian2"
    ),
]
LOBES = [*ONE_CORE, *TWO_CORES]
COUNTS = [
    rounds.column("seconds", "seconds", 2),
    rounds.column("ms/member", "ms_a_member", 1),
    rounds.column("PN spikes", "pn_spikes", 0),
    rounds.column("LN spikes", "ln_spikes", 0),
    rounds.column("first, s", "compile_seconds", 1),
    rounds.column("tasks", "tasks", 0),
    rounds.column("compiled", "compiled", 0),
    rounds.column("rows", "rows", 0),
]


def run_lobes(options: argparse.Namespace) -> None:
    """Measure the lobes, and print a table."""
    file = rounds.PROBLEMS / f"sweeps_lobe_{options.duration:g}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    drawn = lobe_problem.new_problem(1, options.duration)
    file.write_text(json.dumps(drawn), encoding="utf-8")
    members = ["--members", str(options.members)]
    results = _measure(LOBES, options, [str(file), *members])
    case = f"{options.members} antennal lobes, {options.duration:g} ms, RK4, float32"
    kept.keep("sweeps", {case: results})
    rounds.table(case, results, COUNTS, {"/loop": LOOP, "/sweep": BOTH})
    goals = {"two processes, at least 2.5 times one after another": (LOOP, BOTH, 2.5)}
    for one in TWO_CORES[1:]:
        goals[f"at least 4.5 times {one.label}"] = (one.label, BOTH, 4.5)
    print("", *rounds.targets(results, goals), sep="\n")
    # Brian2 holds sums over synapses constant within a step, so a spike may be there or not.
    labels = [one.label for one in LOBES]
    print(*rounds.apart(results, labels, ["pn_spikes", "ln_spikes"], 0.02), sep="\n")


# --------------------------------------------------------------------------------------- surface

METHODS = {"exponential Euler": "exponential_euler", "RK4": "rk4"}
SWEEP, POINTS = "sf.sweep", "loop over sf.simulate"
SURFACE = [
    rounds.Peer(f"{way}, {title}", "sweeps.somaflow_surface", ("--way", short, "--method", name))
    for title, name in METHODS.items()
    for way, short in ((SWEEP, "sweep"), (POINTS, "loop"))
] + [
    rounds.Peer(
        f"Brian2, {title}{said}", "sweeps.brian2_surface", ("--method", name, *flags), "brian2"
    )
    for title, name in METHODS.items()
    for said, flags in (("", ()), (", alias checks raised", TUNED))
]
RATES = [
    rounds.column("seconds", "seconds", 2),
    rounds.column("Hz", "rate", 2),
    rounds.column("points", "points", 0),
    rounds.column("first, s", "compile_seconds", 1),
    rounds.column("tasks", "tasks", 0),
    rounds.column("compiled", "compiled", 0),
    rounds.column("rows", "rows", 0),
]


def run_surface(options: argparse.Namespace) -> None:
    """Measure the surface, and print a table."""
    file = rounds.PROBLEMS / f"sweeps_surface_{options.points}.npz"
    peer.save(file, surface.make(options.points))
    asked = ["--duration", str(options.duration), "--dtype", options.dtype]
    results = _measure(SURFACE, options, [str(file), *asked])
    case = f"f-I surface, {options.points:,} points, {options.duration:g} ms, {options.dtype}"
    kept.keep("sweeps", {case: results})
    against = {f"/sweep, {title}": f"{SWEEP}, {title}" for title in METHODS}
    rounds.table(case, results, RATES, against)
    print("\nloops ran 20 points at most; their seconds are carried forward to all of them")
    goals = {}
    for title in METHODS:
        ours = f"{SWEEP}, {title}"
        goals[f"{title}: at least 20 times the loop"] = (f"{POINTS}, {title}", ours, 20.0)
        for one in SURFACE:
            if one.label.startswith(f"Brian2, {title}"):
                goals[f"at least 5 times {one.label}"] = (one.label, ours, 5.0)
    print("", *rounds.targets(results, goals), sep="\n")
    labels = [one.label for one in SURFACE if not one.label.startswith(POINTS)]
    print(*rounds.apart(results, labels, ["rate"], 0.02), sep="\n")


def _measure(
    every: Sequence[rounds.Peer], options: argparse.Namespace, asked: Sequence[str]
) -> rounds.Results:
    """Run peers round by round: those of one process on one core, the others where they like."""
    chosen = [one for one in rounds.chosen(every, options.only) if one.command is not None]
    results: rounds.Results = {one.label: [] for one in chosen}
    for number in range(options.rounds):
        for one in chosen:
            core = None if one in TWO_CORES or one.label.startswith(SWEEP) else options.core
            try:
                found = rounds.run(one, *asked, core=core)
                said = f"{found['seconds']:.2f} s"
            except RuntimeError as error:
                found, said = None, f"left out: {error}"
            results[one.label].append(found)
            print(f"round {number + 1}, {one.label}: {said}", file=sys.stderr, flush=True)
    return results


# ------------------------------------------------------------------------------------------ main


def main() -> None:
    """Run one of the three."""
    which, rest = sys.argv[1:2], sys.argv[2:]
    choice = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    choice.add_argument("which", choices=("lobes", "surface", "chaos"))
    which = choice.parse_args(which).which
    if which == "chaos":
        command = [sys.executable, "-m", "sweeps.chaos", *rest]
        sys.exit(subprocess.run(command, check=False, cwd=rounds.BENCHMARKS).returncode)
    every, duration = (LOBES, 200.0) if which == "lobes" else (SURFACE, 1000.0)
    parser = rounds.parser(__doc__, every, duration)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="a few members, to see that it works")
    if which == "lobes":
        parser.add_argument("--members", type=int, default=lobes.MEMBERS)
    else:
        parser.add_argument("--points", type=int, default=surface.POINTS)
        parser.add_argument("--dtype", choices=("float64", "float32"), default="float32")
    options = parser.parse_args(rest)
    if options.quick:
        options.rounds, options.duration = 1, 120.0 if which == "lobes" else 50.0
        options.members = options.points = 16
    (run_lobes if which == "lobes" else run_surface)(options)


if __name__ == "__main__":
    main()
