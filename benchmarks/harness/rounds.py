"""Rounds: peers in turn, each in a process of its own on one core, and medians of ratios.

A machine whose speed drifts slows all peers of a round alike, so what is compared are the ratios
within a round.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness import environments

BENCHMARKS = Path(__file__).parents[1]
PROBLEMS = environments.BENCH / "problems"
# One thread for everybody, whatever the library calls it.
ONE_THREAD = {
    "TF_NUM_INTRAOP_THREADS": "1",
    "TF_NUM_INTEROP_THREADS": "1",
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
}

Found = dict[str, Any]
Results = dict[str, list[Found | None]]


@dataclass(frozen=True)
class Peer:
    """A simulator with its settings.

    Attributes:
        label: How it is called in tables.
        module: Its script, such as `cobahh.brian2_peer`.
        options: Its own part of the command line.
        package: What its environment must have; None for the one that runs the benchmark.
        program: A compiled program that is run in place of the script.
    """

    label: str
    module: str
    options: tuple[str, ...] = ()
    package: str | None = None
    program: Path | None = None

    @property
    def command(self) -> list[str] | None:
        """What is run; None where its package cannot be installed."""
        if self.program is not None:
            return [str(self.program)]
        python = sys.executable if self.package is None else environments.python(self.package)
        return None if python is None else [str(python), "-m", self.module]


def run(peer: Peer, *arguments: str | Path, core: int | None = None) -> Found:
    """Run a peer once and return the JSON object that it prints last.

    Args:
        peer: Which.
        *arguments: Common to all peers, such as the problem file.
        core: The processor to stay on; None leaves the choice to the system.

    Raises:
        RuntimeError: It failed; the text is the last line that it said.
    """
    if peer.command is None:
        raise RuntimeError(f"{peer.package} is not installed")
    pinned = {} if core is None else {"preexec_fn": lambda: os.sched_setaffinity(0, {core})}
    done = subprocess.run(
        [*peer.command, *map(str, arguments), *peer.options],
        check=False,
        capture_output=True,
        text=True,
        cwd=BENCHMARKS,
        env=os.environ | ONE_THREAD,
        **pinned,
    )
    if done.returncode or not done.stdout.strip():
        said = done.stderr.strip().splitlines() or ["it printed nothing"]
        raise RuntimeError(said[-1])
    return json.loads(done.stdout.strip().splitlines()[-1])


def measure(
    peers: Sequence[Peer], rounds: Iterable[Sequence[str | Path]], core: int | None
) -> Results:
    """Run every peer in every round.

    Args:
        peers: Those without their package are left out; so is one that fails, from then on.
        rounds: The arguments common to all peers of a round.
        core: The processor to stay on.

    Returns:
        For each peer what it found, by round.
    """
    wanted = {peer.label: peer for peer in peers if peer.command is not None}
    results: Results = {label: [] for label in wanted}
    for number, arguments in enumerate(rounds):
        for label, peer in wanted.items():
            if None in results[label]:
                results[label].append(None)
                continue
            try:
                found = run(peer, *arguments, core=core)
                said = f"{found['us_per_step']:.1f} us a step, {found.get('rate', 0):.2f} Hz"
            except RuntimeError as error:
                found, said = None, f"left out: {error}"
            results[label].append(found)
            print(f"round {number + 1}, {label}: {said}", file=sys.stderr, flush=True)
    return results


def median(found: Sequence[Found | None], key: str) -> float:
    """Return the median over rounds of one number; NaN where there is none."""
    values = [item[key] for item in found if item is not None and key in item]
    return statistics.median(values) if values else float("nan")


def mean(found: Sequence[Found | None], key: str) -> float:
    """Return the mean over rounds of one number; NaN where there is none."""
    values = [item[key] for item in found if item is not None and key in item]
    return statistics.fmean(values) if values else float("nan")


def ratio(above: Sequence[Found | None], below: Sequence[Found | None], key: str) -> float:
    """Return the median over rounds of a number of one peer divided by that of another."""
    pairs = [
        a[key] / b[key]
        for a, b in zip(above, below, strict=True)
        if a is not None and b is not None and b.get(key)
    ]
    return statistics.median(pairs) if pairs else float("nan")


Column = tuple[str, int, Callable[[Sequence[Found | None]], str]]


def column(title: str, key: str, digits: int = 1, of: Callable[..., float] = median) -> Column:
    """Return a column of a table: its title, its width, and what stands in it."""
    width = max(len(title), 9) + 2
    return title, width, lambda found: f"{of(found, key):.{digits}f}"


def table(
    title: str,
    results: Results,
    columns: Sequence[Column],
    against: Mapping[str, str],
    key: str = "seconds",
) -> None:
    """Print a table, a line for each peer.

    Args:
        title: Printed above.
        results: As `measure` gives them.
        columns: What to print of each peer.
        against: Peers by the title of a column: the median over rounds of `key` divided by theirs.
        key: What the ratios are of.
    """
    chosen = list(columns)
    for name, label in against.items():
        if label in results:
            below = results[label]
            chosen.append(
                (name, len(name) + 2, lambda found, below=below: f"{ratio(found, below, key):.2f}")
            )
    print(f"\n{title}")
    print(" " * 34 + "".join(f"{name:>{width}s}" for name, width, _ in chosen))
    for label, found in results.items():
        print(f"{label:34s}" + "".join(f"{show(found):>{width}s}" for _, width, show in chosen))


def apart(
    results: Results, labels: Sequence[str], keys: Sequence[str], tolerance: float
) -> list[str]:
    """Return a line for each mean that differs from that of the first peer by more than allowed.

    Args:
        results: As `measure` gives them.
        labels: The peers that should agree; those left out of the results are passed over.
        keys: What is compared, such as `rate`.
        tolerance: Relative, such as 0.05.
    """
    first, *others = [label for label in labels if label in results] or [""]
    lines = []
    for label in others:
        for key in keys:
            one, other = mean(results[first], key), mean(results[label], key)
            if not abs(other - one) <= tolerance * abs(one):
                lines.append(f"APART  {key} of {label}: {other:.2f}, of {first}: {one:.2f}")
    return lines


def parser(doc: str | None, peers: Sequence[Peer], duration: float) -> argparse.ArgumentParser:
    """Return the command line of a benchmark.

    Args:
        doc: The benchmark's own words; the first line is shown.
        peers: Who can be chosen by `--only`.
        duration: The default of `--duration`, in biological ms.
    """
    made = argparse.ArgumentParser(description=(doc or "").splitlines()[0])
    made.add_argument("--duration", type=float, default=duration, help="biological ms")
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    made.add_argument(
        "--core", type=int, default=cores[0] if cores else None, help="the processor to stay on"
    )
    labels = [peer.label for peer in peers]
    made.add_argument(
        "--only", nargs="+", choices=labels, default=labels, metavar="PEER", help=", ".join(labels)
    )
    return made


def chosen(peers: Sequence[Peer], labels: Sequence[str]) -> list[Peer]:
    """Return the peers of some labels."""
    return [peer for peer in peers if peer.label in labels]


def targets(
    results: Results, limits: Mapping[str, tuple[str, str, float]], key: str = "seconds"
) -> list[str]:
    """Return a line for each target, and whether it is met.

    Args:
        results: As `measure` gives them.
        limits: By what is said: (peer, our peer, least ratio of theirs to ours).
        key: What the ratios are of.
    """
    lines = []
    for said, (theirs, ours, least) in limits.items():
        if theirs in results and ours in results:
            found = ratio(results[theirs], results[ours], key)
            lines.append(f"{'met   ' if found >= least else 'MISSED'} {said}: {found:.2f}")
    return lines
