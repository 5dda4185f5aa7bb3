"""What the peers' scripts share: command line, problem file, and the one line of JSON they print.

Runs in every peer's environment, so it needs NumPy alone. A problem file is an npz with `n`, the
number of cells; `dt`, the step in ms; where there are synapses `pre` and `post`, int32 of shape
[n_synapses], or `out_degree`, [n]; `n_exc`, how many of the cells, from the first on, excite; and
initial values, [n].
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

Problem = dict[str, Any]


def parser(doc: str | None) -> argparse.ArgumentParser:
    """Return the command line of a peer: a problem file, `--dtype` and `--duration`."""
    made = argparse.ArgumentParser(description=(doc or "").splitlines()[0])
    made.add_argument("problem", type=Path, help="npz file, made by problem.py")
    made.add_argument("--dtype", choices=("float64", "float32"), default="float64")
    made.add_argument("--duration", type=float, default=100.0, help="biological ms")
    return made


def save(path: Path, problem: Problem) -> None:
    """Write a problem file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **problem)


def load(path: Path) -> Problem:
    """Return a problem: arrays, and Python numbers in place of arrays without axes."""
    with np.load(path) as file:
        return {key: file[key] if file[key].ndim else file[key].item() for key in file.files}


def random_pairs(rng: np.random.Generator, n: int, p: float) -> tuple[np.ndarray, np.ndarray]:
    """Return `pre` and `post` of a random wiring, each pair with probability `p`, ordered by pre.

    A cell may reach itself, as in the simulators' own scripts of these networks.
    """
    degrees = rng.binomial(n, p, size=n)
    targets = [np.sort(rng.choice(n, size=degree, replace=False)) for degree in degrees]
    pre = np.repeat(np.arange(n, dtype=np.int32), degrees)
    return pre, np.concatenate(targets).astype(np.int32)


def irregularity(times: np.ndarray, cells: np.ndarray) -> float:
    """Return the mean over cells of the coefficient of variation of the intervals between spikes.

    Args:
        times: Of the spikes, in ms, [n_spikes].
        cells: Whose they are, [n_spikes]; a cell with fewer than three spikes is left out.
    """
    order = np.lexsort((times, cells))
    gaps, same = np.diff(times[order]), np.diff(cells[order]) == 0
    owner = cells[order][1:][same]
    number = np.bincount(owner)
    first, second = (np.bincount(owner, gaps[same] ** power) for power in (1, 2))
    some = number >= 2
    mean = first[some] / number[some]
    spread = np.sqrt(np.maximum(second[some] / number[some] - mean**2, 0))
    return float(np.mean(spread / mean)) if some.any() else float("nan")


def answer(
    peer: str,
    options: argparse.Namespace,
    problem: Problem,
    seconds: float,
    counts: Any,
    **more: Any,
) -> None:
    """Print what a run took and did.

    Args:
        peer: The simulator.
        options: The command line.
        problem: The problem file.
        seconds: Of the run alone: no compiling, no building of synapses.
        counts: Spikes of each cell, [n].
        **more: Further numbers to print.
    """
    steps = round(options.duration / problem["dt"])
    counts = np.asarray(counts)
    found: dict[str, Any] = {
        "peer": peer,
        "dtype": options.dtype,
        "seconds": seconds,
        "steps": steps,
        "us_per_step": seconds / steps * 1e6,
        "ns_per_cell_step": seconds / steps / problem["n"] * 1e9,
        "spikes": int(counts.sum()),
        "rate": float(counts.mean() / options.duration * 1e3),
    }
    if "n_exc" in problem:
        split = problem["n_exc"]
        found["rate_exc"] = float(counts[:split].mean() / options.duration * 1e3)
        found["rate_inh"] = float(counts[split:].mean() / options.duration * 1e3)
    degrees = problem.get("out_degree")
    if "pre" in problem:
        degrees = np.bincount(problem["pre"], minlength=problem["n"])
    if degrees is not None:
        delivered = int(counts @ degrees)
        found["delivered"] = delivered
        found["ns_per_delivered"] = seconds / max(delivered, 1) * 1e9
    print(json.dumps(found | more), flush=True)
