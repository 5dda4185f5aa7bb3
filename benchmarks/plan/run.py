"""What plans say of five networks, against what their runs took: see README.md."""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from harness import kept
from plan.cases import CASES

# What is compared: in the plan, in the run, and by how much they may differ.
BYTES = {
    "state": ("state", "state"),
    "synapses": ("synapses", "synapses"),
    "delay lines": ("delays", "delays"),
    "store": ("recordings_on_disk", "store"),
}
SECONDS = {"run": ("run_seconds", "run_seconds")}
MOST = {"checkpoint": ("checkpoint", "checkpoint")}  # planned as the most that it can be
TOLD = {"compile": ("compile_seconds", "compile_seconds"), "spikes": ("spikes", "spikes")}
WITHIN_BYTES, WITHIN_SECONDS = 0.1, 0.3


def measure(name: str) -> dict[str, Any]:
    """Plan and run one network in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "plan.one", name],
        check=False,
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[1],
    )
    if done.returncode:
        raise RuntimeError(done.stderr)
    return json.loads(done.stdout.strip().splitlines()[-1])


def off(found: dict[str, Any], keys: tuple[str, str]) -> float:
    """Return how far the plan is from the run, relative to the run; 0 where both are 0."""
    planned, measured = found["plan"][keys[0]], found["run"][keys[1]]
    return 0.0 if planned == measured else planned / max(measured, 1e-9) - 1


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--only", nargs="+", choices=list(CASES), default=list(CASES))
    options = parser.parse_args()
    results: dict[str, list[dict[str, Any]]] = {name: [] for name in options.only}
    for _ in range(options.rounds):
        for name in options.only:
            results[name].append(measure(name))
            report(name, results[name][-1])
    kept.keep("plan", results)
    every = [found for rows in results.values() for found in rows]
    for said, pairs, most in (
        ("bytes within 10 %", BYTES, WITHIN_BYTES),
        ("run time within 30 %", SECONDS, WITHIN_SECONDS),
    ):
        worst = max(abs(off(found, keys)) for found in every for keys in pairs.values())
        print(f"{'met   ' if worst <= most else 'MISSED'} {said}: at most {100 * worst:.1f} % off")
    most = max(found["run"]["checkpoint"] - found["plan"]["checkpoint"] for found in every)
    print(f"{'met   ' if most <= 0 else 'MISSED'} no checkpoint larger than planned")


def report(name: str, found: dict[str, Any]) -> None:
    """Print what a plan said and what its run took."""
    part = found["plan"]["calibrated_ms"]
    print(f"\n{name}: planned in {found['plan_seconds']:.1f} s, from {part:g} ms")
    print(f"{'':14s}{'plan':>16s}{'run':>16s}{'off':>9s}")
    for title, keys in {**BYTES, **MOST, **SECONDS, **TOLD}.items():
        planned, measured = found["plan"][keys[0]], found["run"][keys[1]]
        shown = [f"{x:,.2f}" if isinstance(x, float) else f"{x:,}" for x in (planned, measured)]
        print(f"{title:14s}{shown[0]:>16s}{shown[1]:>16s}{100 * off(found, keys):>+8.1f}%")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
