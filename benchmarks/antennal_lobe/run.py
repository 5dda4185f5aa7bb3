"""The antennal lobe beside C++, Brian2 and the way of the tutorial it comes from.

    python benchmarks/run.py [--rounds 5] [--duration 400]

The C++ loops are compiled with g++. Every peer solves the same problem file.
"""

import shutil
import statistics
import subprocess
import sys
from pathlib import Path

from harness import environments, kept, rounds

HERE = Path(__file__).parent
F64, F32 = "somaflow", "somaflow float32"
# Guarded rates in the C++ loop, as in every other peer: without the guard float32 can meet 0/0.
COMPILE = ["g++", "-std=c++17", "-O3", "-march=native", "-ffast-math", "-DGUARD"]
PROGRAMS = {"C++, equations as written": "lobe", "C++, rewritten by hand": "lobe_tuned"}
BRIAN2, SCAN = ("--repeats", "2"), ("--steps", "1000", "--repeats", "2")
THREE = ("--repeats", "3")


def peers(tail: str, options: tuple[str, ...]) -> list[rounds.Peer]:
    """Return all peers in one type of numbers; `tail` ends their labels."""
    written = [
        rounds.Peer(label + tail, "", (*THREE, *options), None, environments.BENCH / program)
        for label, program in PROGRAMS.items()
    ]
    brian2, tuned = (*BRIAN2, *options), ("--flags", "tuned")
    return [
        rounds.Peer(f"somaflow{tail}", "antennal_lobe.somaflow_peer", (*THREE, *options)),
        *written,
        rounds.Peer(f"Brian2{tail}", "antennal_lobe.brian2_peer", brian2, "brian2"),
        rounds.Peer(
            f"Brian2, alias checks raised{tail}",
            "antennal_lobe.brian2_peer",
            (*brian2, *tuned),
            "brian2",
        ),
        rounds.Peer(
            f"tf.scan, one state a synapse{tail}", "antennal_lobe.scan_peer", (*SCAN, *options)
        ),
    ]


PEERS = [*peers("", ()), *peers(" float32", ("--dtype", "float32"))]
COLUMNS = [
    rounds.column("us/step", "us_per_step", 2),
    rounds.column("PN spikes", "pn_spikes", 0),
    rounds.column("LN spikes", "ln_spikes", 0),
]


def main() -> None:
    """Measure, and print a table."""
    parser = rounds.parser(__doc__, PEERS, 400.0)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    if shutil.which("g++") is None:
        sys.exit("this benchmark compiles a C++ loop: install g++.")
    environments.BENCH.mkdir(exist_ok=True)
    for name in PROGRAMS.values():
        made = ["-o", str(environments.BENCH / name), str(HERE / f"{name}.cpp")]
        subprocess.run([*COMPILE, *made], check=True)
    problem = rounds.PROBLEMS / "antennal_lobe.json"
    problem.parent.mkdir(parents=True, exist_ok=True)
    drawn = ["new", str(problem), "--duration", str(options.duration)]
    subprocess.run([sys.executable, str(HERE / "problem.py"), *drawn], check=True)
    every = rounds.chosen(PEERS, options.only)
    results = rounds.measure(every, [[problem]] * options.rounds, core=options.core)
    kept.keep("antennal_lobe", {"antennal lobe, 120 cells, RK4": results})
    title = f"antennal lobe, 120 cells, RK4, dt 0.01 ms, {options.rounds} rounds"
    against = {"/float64": F64, "/float32": F32}
    rounds.table(title, results, COLUMNS, against, "us_per_step")
    if F64 in results and F32 in results:
        gain = rounds.ratio(results[F64], results[F32], "us_per_step")
        print(f"\nfloat32 is {gain:.2f} times as fast as float64 in somaflow")
        print(f"somaflow's compile: {rounds.median(results[F64], 'compile_seconds'):.1f} s")
    one = rounds.Peer("", "antennal_lobe.somaflow_peer", ("--first",))
    first = [rounds.run(one, problem)["first_result_seconds"] for _ in range(3)]
    print(f"first result of a 1 ms run, imports included: {statistics.median(first):.1f} s")


if __name__ == "__main__":
    main()
