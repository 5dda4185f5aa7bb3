"""The tables of the work-precision benchmark, in Markdown."""

import itertools
import math
import statistics
from collections.abc import Iterable, Sequence
from typing import Any

import cases

Found = dict[str, Any]

NAMES = {
    "lorenz": "Lorenz",
    "hodgkin_huxley": "squid axon",
    "stiff_cell": "cell with the slip in I_A",
    "robertson": "Robertson",
}
LEVEL = 1e-5


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table; the first column is text, the others are numbers."""
    rule = ["---", *["---:"] * (len(head) - 1)]
    return "\n".join("| " + " | ".join(row) + " |" for row in (head, rule, *rows))


def number(value: float | None, digits: int = 3) -> str:
    """Return a number in a few digits, or a dash."""
    return "-" if value is None or not math.isfinite(value) else f"{value:.{digits}g}"


def median(found: Found) -> float:
    """Return the median of the rounds' seconds, or infinity for a point that failed."""
    times = [value for value in found["seconds"] if value is not None]
    return statistics.median(times) if times else math.inf


def ratio(theirs: Found, ours: Found) -> float | None:
    """Return the median over rounds of their time divided by ours."""
    both = zip(theirs["seconds"], ours["seconds"], strict=False)
    found = [a / b for a, b in both if a is not None and b is not None]
    return statistics.median(found) if found else None


def _at(points: list[Found], point: cases.Point) -> Found | None:
    for found in points:
        if all(found[key] == value for key, value in vars(point).items()):
            return found
    return None


def targets(points: list[Found]) -> str:
    """Return how each target was met."""
    rows = []
    for target in cases.TARGETS:
        ours, theirs = _at(points, target.ours), _at(points, target.theirs)
        if ours is None or theirs is None:
            continue
        reached = ratio(theirs, ours)
        verdict = "-" if reached is None else "yes" if reached >= target.least else "no"
        rows.append(
            (
                f"{target.ours.label} against {theirs['library']} {theirs['label']}, "
                f"{theirs['setting']}",
                number(median(ours) * 1e3),
                number(median(theirs) * 1e3),
                number(reached),
                number(target.least),
                verdict,
            )
        )
    head = ("Lorenz, 10,000 rows", "somaflow ms", "other ms", "times as fast", "wanted", "met")
    return table(head, rows)


def rows(points: list[Found], name: str) -> str:
    """Return the times and errors over many rows of a problem."""
    chosen = [found for found in points if found["rows"] > 1 and found["problem"] == name]
    first = next((found for found in chosen if found["library"] == "somaflow"), None)
    body = [
        (
            f"{found['library']} {found['label']}, {found['setting']}",
            number(median(found) * 1e3),
            number(ratio(found, first) if first else None),
            number(found.get("error"), 2),
            number(found.get("compile_seconds"), 2),
        )
        for found in chosen
    ]
    head = (f"{NAMES[name]}, 10,000 rows", "ms", "/ first", "error", "compile s")
    return table(head, body)


def time_to(points: list[Found], level: float) -> str:
    """Return the ms that a method takes to reach an error, on the line through its measurements."""
    if level <= 0 or not points:
        return "-"
    line = sorted(
        (math.log(found["error"]), math.log(median(found)))
        for found in points
        if found.get("error") and math.isfinite(median(found))
    )
    if not line:
        return "-"
    wanted = math.log(level)
    if line[0][0] > wanted:
        return "-"  # never so exact
    if line[-1][0] <= wanted:  # always more exact
        return f"< {math.exp(min(seconds for _, seconds in line)) * 1e3:.2g}"
    for (low, fast), (high, slow) in itertools.pairwise(line):
        if low <= wanted < high:
            part = (wanted - low) / (high - low)
            return f"{math.exp(fast + part * (slow - fast)) * 1e3:.2g}"
    return "-"


def single(points: list[Found]) -> str:
    """Return how long each method takes to the same error, for one row of each problem."""
    body = []
    for library, methods in cases.METHODS.items():
        for method in methods:
            mine = [
                found
                for found in points
                if (found["library"], found["method"], found["rows"]) == (library, method, 1)
            ]
            if mine:
                times = [
                    time_to([found for found in mine if found["problem"] == name], LEVEL)
                    for name in cases.SINGLES
                ]
                body.append((f"{library} {method}", *times))
    names = [NAMES[name] for name in cases.SINGLES]
    return table((f"ms to an error of {LEVEL:g}, one row", *names), body)


def tutorial(curve: list[Found]) -> str:
    """Return the tutorial's benchmark."""
    body = []
    for found in curve:
        seconds = found["seconds"]
        for keep in ("all", "last"):
            ours, theirs = seconds.get(f"somaflow_{keep}"), seconds.get(f"numpy_{keep}")
            if ours is None or theirs is None:
                continue
            ratios = [a / b for a, b in zip(theirs, ours, strict=True)]
            body.append(
                (
                    f"{found['rhs']}, {found['dtype']}, keeps {keep}, threads {found['threads']}",
                    f"{found['size']:,}",
                    number(statistics.median(ours) * 1e3),
                    number(statistics.median(theirs) * 1e3),
                    number(statistics.median(ratios)),
                    number(statistics.median(seconds["xla_alone"]) * 1e3),
                    number(statistics.median(seconds["numpy_alone"]) * 1e3),
                )
            )
    head = (
        "500 steps of RK4",
        "equations",
        "somaflow ms",
        "NumPy ms",
        "times as fast",
        "f alone, XLA",
        "f alone, NumPy",
    )
    return table(head, body)


def text(results: Found) -> str:
    """Return all tables of what was measured."""
    points, parts = results["points"], []
    if any(found["rows"] > 1 for found in points):
        parts.append(targets(points))
    for name in cases.SINGLES:
        if any(found["rows"] > 1 and found["problem"] == name for found in points):
            parts.append(rows(points, name))
    if any(found["rows"] == 1 for found in points):
        parts.append(single(points))
    if results["tutorial"]:
        parts.append(tutorial(results["tutorial"]))
    if "hundred_lines_seconds" in results:
        seconds = results["hundred_lines_seconds"]
        parts.append(f"A right-hand side of 100 lines under RK4 compiles in {seconds:.1f} s.")
    parts.append("With " + ", ".join(f"{k} {v}" for k, v in results["machine"].items()) + ".")
    return "\n\n".join(parts)
