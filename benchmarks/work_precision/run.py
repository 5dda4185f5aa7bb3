"""Measure error against time, beside SciPy, diffrax and torchdiffeq: see README.md.

JAX and PyTorch are installed in an environment of their own (`.bench/ode`). Every peer is a process
that stays alive and keeps what it compiled; they are called in turn, round by round, so that a
machine whose speed drifts slows all of them alike. What is compared are ratios within a round.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any

import cases
import figure
import problems
import report

HERE = Path(__file__).parent
BENCH = HERE.parent.parent / ".bench"
IMAGES = HERE.parent.parent / "docs" / "images"
PEERS = ["jax", "diffrax==0.7.2", "torchdiffeq==0.2.5", "torch==2.13.0"]
SCRIPTS = {
    "somaflow": "somaflow_peer.py",
    "diffrax": "diffrax_peer.py",
    "torchdiffeq": "torchdiffeq_peer.py",
    "SciPy": "scipy_peer.py",
}
QUIET = {"TF_CPP_MIN_LOG_LEVEL": "3"}


def prepare() -> Path:
    """Install the peers; return their Python."""
    BENCH.mkdir(exist_ok=True)
    python = BENCH / "ode" / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(BENCH / "ode")], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "-q", *PEERS], check=True)
    return python


class Servers:
    """The peers' processes, and the points that they have measured."""

    def __init__(self, python: Path) -> None:
        self._processes: dict[str, subprocess.Popen[str]] = {}
        self._logs = {name: (BENCH / f"ode_{name.lower()}.log").open("w") for name in SCRIPTS}
        for library, script in SCRIPTS.items():
            own = library in ("somaflow", "SciPy")
            self._processes[library] = subprocess.Popen(
                [sys.executable if own else str(python), str(HERE / script), "--serve"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._logs[library],
                text=True,
                env=os.environ | QUIET,
            )

    def __enter__(self) -> "Servers":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for process in self._processes.values():
            assert process.stdin is not None
            process.stdin.close()
            process.wait()
        for log in self._logs.values():
            log.close()

    def ask(self, library: str, job: dict[str, Any]) -> dict[str, Any]:
        """Return a peer's answer to a job."""
        process = self._processes[library]
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(json.dumps(job) + "\n")
        process.stdin.flush()
        line = process.stdout.readline()
        if not line:
            sys.exit(f"{library}'s process ended: see {self._logs[library].name}")
        return json.loads(line)


def measure(
    servers: Servers, points: Iterable[cases.Point], references: problems.References, rounds: int
) -> list[dict[str, Any]]:
    """Return what was found at each point, with the seconds of every round."""
    found: dict[cases.Point, dict[str, Any]] = {}
    wanted = list(points)
    for number in range(rounds):
        for point in wanted:
            if found.get(point, {}).get("failed"):
                continue
            reference = references.of(point.problem, point.rows)
            answer = servers.ask(point.library, point.job(reference, repeats=5, budget=0.1))
            if "failed" in answer:
                print(f"{point.library} {point.label} {point.setting}: {answer}", file=sys.stderr)
            one = found.setdefault(point, {"seconds": []})
            one["seconds"].append(answer.pop("seconds", None))
            one |= answer
        print(f"{wanted[0].problem}: round {number + 1} of {rounds}", file=sys.stderr)
    return [
        vars(point) | {"label": point.label, "setting": point.setting} | one
        for point, one in found.items()
    ]


def tutorial(quick: bool) -> list[dict[str, Any]]:
    """Return the tutorial's curve: with the threads that somaflow chooses, and its end with two."""
    narrow = ["--dtypes", "float64", "--fields", "sine"] if quick else []
    runs = {
        "": ["--sizes", "1", "100000"] if quick else [],
        "2": ["--sizes", "100000"] if quick else ["--sizes", "10000", "100000"],
    }
    found = []
    for threads, settings in runs.items():
        done = subprocess.run(
            [
                *(sys.executable, str(HERE / "tutorial.py"), *settings, *narrow),
                *("--keep", "all", "last", "columns", "--rounds", "2" if quick else "3"),
            ],
            check=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=os.environ | QUIET | ({"TF_NUM_INTRAOP_THREADS": threads} if threads else {}),
        )
        found += [json.loads(line) for line in done.stdout.splitlines()]
        print(f"tutorial, threads: {threads or 'somaflow chooses'}", file=sys.stderr)
    return found


def hundred_lines() -> float:
    """Return the seconds that a fresh process takes to trace and compile 100 lines under RK4."""
    job = {"problem": "hundred_lines", "rows": 1, "method": "RK4", "dt": 0.01}
    command = [sys.executable, str(HERE / SCRIPTS["somaflow"]), json.dumps(job)]
    found = []
    for _ in range(3):
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        found.append(json.loads(done.stdout.splitlines()[-1])["compile_seconds"])
    return statistics.median(found)


def machine(python: Path) -> dict[str, str]:
    """Return what the numbers were measured with."""
    ask = "import importlib.metadata as m, sys; print(*(m.version(n) for n in sys.argv[1:]))"
    found = {"machine": platform.machine(), "python": platform.python_version()}
    for at, names in (
        (sys.executable, ("somaflow", "tensorflow", "numpy", "scipy")),
        (str(python), ("jax", "diffrax", "torch", "torchdiffeq")),
    ):
        done = subprocess.run(
            [at, "-c", ask, *names], check=True, stdout=subprocess.PIPE, text=True
        )
        found |= dict(zip(names, done.stdout.split(), strict=True))
    return found


def main() -> None:
    """Measure, print tables, and with `--docs` draw the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="the targets only")
    parser.add_argument("--docs", action="store_true", help="draw the figures of the docs")
    parser.add_argument("--rounds", type=int, default=5, help="of 10,000 rows; 3 elsewhere at most")
    parser.add_argument(
        "--only",
        nargs="+",
        choices=("rows", "single", "tutorial", "compile"),
        default=["rows", "single", "tutorial", "compile"],
    )
    parser.add_argument("--problems", nargs="+", choices=cases.SINGLES, default=list(cases.SINGLES))
    options = parser.parse_args()
    python = prepare()
    few = min(3, options.rounds)
    results: dict[str, Any] = {"machine": machine(python), "points": [], "tutorial": []}
    references = problems.References()
    with Servers(python) as servers:
        if "rows" in options.only:
            results["points"] += measure(servers, cases.LORENZ, references, options.rounds)
            if not options.quick:
                results["points"] += measure(servers, cases.CELLS, references, few)
        if "single" in options.only and not options.quick:
            for name in options.problems:
                results["points"] += measure(servers, cases.single(name), references, few)
    if "compile" in options.only:
        results["hundred_lines_seconds"] = hundred_lines()
    if "tutorial" in options.only:
        results["tutorial"] = tutorial(options.quick)
    (BENCH / "work_precision.json").write_text(json.dumps(results, indent=1))
    print(report.text(results))
    if options.docs:
        IMAGES.mkdir(parents=True, exist_ok=True)
        figure.work_precision(results["points"], IMAGES / "work-precision.png")
        figure.tutorial(results["tutorial"], IMAGES / "tutorial-benchmark.png")


if __name__ == "__main__":
    main()
