"""Run the benchmarks against their peers: `make bench`.

Without a name this is the antennal lobe. `run.py NAME` runs the benchmark of that folder, with its
own options (`run.py cobahh --wirings 2`, `run.py work_precision --quick`).

The lobe's peers are installed in an environment of their own (`.bench/venv`), the C++ loops are
compiled with g++. Every peer solves the same problem file; they run in turn, round by round, so
that a machine whose speed drifts slows all of them alike. What is compared are ratios within a
round, and what is printed is their median, with the medians of the times beside them.
"""

import argparse
import json
import shutil
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent / "antennal_lobe"
BENCH = Path(__file__).parent.parent / ".bench"
PEERS = ["brian2==2.9.0", "numpy<2.4", "setuptools"]
# Those in folders of their own: run as a script, or as a module, which finds `harness`.
SCRIPTS = ("work_precision",)
MODULES = (
    "costs",
    "cobahh",
    "hh_cells",
    "if_networks",
    "scaling",
    "large",
    "stdp",
    "recording",
    "plan",
    "cobahh_sizes",
)
# Guarded rates in the C++ loop, as in every other peer: without the guard float32 can meet 0/0.
COMPILE = ["g++", "-std=c++17", "-O3", "-march=native", "-ffast-math", "-DGUARD"]


def run(*command: str | Path) -> dict[str, Any]:
    """Run a peer and return the JSON object that it prints last."""
    done = subprocess.run(
        [str(part) for part in command], check=True, capture_output=True, text=True
    )
    return json.loads(done.stdout.strip().splitlines()[-1])


def prepare() -> Path:
    """Install the peers and compile the loops; return the Python of the peers."""
    BENCH.mkdir(exist_ok=True)
    python = BENCH / "venv" / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(BENCH / "venv")], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "-q", *PEERS], check=True)
    for name in ("lobe", "lobe_tuned"):
        subprocess.run([*COMPILE, "-o", str(BENCH / name), str(HERE / f"{name}.cpp")], check=True)
    return python


def commands(python: Path, problem: Path, dtype: str) -> dict[str, list[str | Path]]:
    """Return what to run for each peer."""
    tail = [problem, "--dtype", dtype]
    return {
        "somaflow": [sys.executable, HERE / "somaflow_peer.py", *tail, "--repeats", "3"],
        "C++, equations as written": [BENCH / "lobe", *tail, "--repeats", "3"],
        "C++, rewritten by hand": [BENCH / "lobe_tuned", *tail, "--repeats", "3"],
        "Brian2 standalone": [python, HERE / "brian2_peer.py", *tail, "--repeats", "2"],
        "Brian2, alias checks raised": [
            python,
            HERE / "brian2_peer.py",
            *tail,
            "--repeats",
            "2",
            "--flags",
            "tuned",
        ],
        "tf.scan, one state a synapse": [
            sys.executable,
            HERE / "scan_peer.py",
            *tail,
            "--steps",
            "1000",
            "--repeats",
            "2",
        ],
    }


def main() -> None:
    """Measure, and print a table."""
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    if name in SCRIPTS or name in MODULES:
        folder = Path(__file__).parent
        which = [str(folder / name / "run.py")] if name in SCRIPTS else ["-m", f"{name}.run"]
        command = [sys.executable, *which, *sys.argv[2:]]
        where = folder if name in MODULES else None
        sys.exit(subprocess.run(command, check=False, cwd=where).returncode)
    parser = argparse.ArgumentParser(description=__doc__)
    names = ("antennal_lobe", *SCRIPTS, *MODULES)
    parser.add_argument("benchmark", nargs="?", choices=names, default="antennal_lobe")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--duration", type=float, default=400.0, help="biological ms")
    options = parser.parse_args()
    if shutil.which("g++") is None:
        sys.exit("make bench compiles a C++ loop: install g++.")
    python = prepare()
    problem = BENCH / "problem.json"
    subprocess.run(
        [sys.executable, HERE / "problem.py", "new", problem, "--duration", str(options.duration)],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    results: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for number in range(options.rounds):
        for dtype in ("float64", "float32"):
            for name, command in commands(python, problem, dtype).items():
                found = run(*command)
                results.setdefault(dtype, {}).setdefault(name, []).append(found)
                print(
                    f"round {number + 1} {dtype} {name}: {found['us_per_step']:.2f} us a step",
                    file=sys.stderr,
                )
    report(results)
    first = [
        run(sys.executable, HERE / "somaflow_peer.py", problem, "--first")["first_result_seconds"]
        for _ in range(3)
    ]
    print(f"\nfirst result of a 1 ms run, imports included: {statistics.median(first):.1f} s")
    (BENCH / "results.json").write_text(json.dumps(results, indent=1))


def report(results: dict[str, dict[str, list[dict[str, Any]]]]) -> None:
    """Print medians, and the median over rounds of each peer's time divided by somaflow's."""
    for dtype, peers in results.items():
        ours = [found["us_per_step"] for found in peers["somaflow"]]
        print(f"\nantennal lobe, 120 cells, RK4, dt 0.01 ms, {dtype}, {len(ours)} rounds")
        print(f"{'':32s}{'us/step':>9s}{'/somaflow':>11s}{'PN spikes':>11s}{'LN spikes':>11s}")
        for name, found in peers.items():
            times = [item["us_per_step"] for item in found]
            ratio = statistics.median(a / b for a, b in zip(times, ours, strict=True))
            spikes = "".join(f"{found[0].get(key, ''):>11}" for key in ("pn_spikes", "ln_spikes"))
            print(f"{name:32s}{statistics.median(times):9.2f}{ratio:11.2f}{spikes}")
    both = zip(results["float64"]["somaflow"], results["float32"]["somaflow"], strict=True)
    gain = statistics.median(a["us_per_step"] / b["us_per_step"] for a, b in both)
    compiled = [found["compile_seconds"] for found in results["float64"]["somaflow"]]
    print(f"\nfloat32 is {gain:.2f} times as fast as float64 in somaflow")
    print(f"somaflow's compile: {statistics.median(compiled):.1f} s")


if __name__ == "__main__":
    main()
