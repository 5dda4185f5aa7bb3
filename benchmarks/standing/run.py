"""One table of all benchmarks that have peers, from what they left: see README.md."""

import argparse
import math
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from harness import environments, kept, rounds

BENCHMARKS = ("antennal_lobe", "if_networks", "cobahh", "hh_cells", "stdp")
DOCS = Path(__file__).parents[2] / "docs" / "benchmarks.md"
BEGIN, END = "<!-- begin: run.py standing --docs -->", "<!-- end -->"
OURS, DTYPES, KEY = "somaflow", ("float64", "float32"), "us_per_step"
APART = 0.05  # relative; rates that differ by more are told


class Line(NamedTuple):
    """A line of the table.

    Attributes:
        case: What was run, and in which type of numbers.
        ours: Microseconds of processor time a step, the median over rounds.
        peers: By peer the median over rounds of its time divided by ours, in its best form.
        forms: By peer the label of that form.
        apart: What is to be said of peers whose mean rate is another.
        rounds: How many.
        date: When.
        machine: Where.
    """

    case: str
    ours: float
    peers: dict[str, float]
    forms: dict[str, str]
    apart: list[str]
    rounds: int
    date: str
    machine: str


def dtype_of(label: str) -> str:
    """Return the type of numbers of a peer, which is float64 where its label does not say it."""
    return DTYPES[1] if DTYPES[1] in label else DTYPES[0]


def simulator(label: str) -> str:
    """Return the peer of a label without what its label says of its form."""
    for dtype in DTYPES:
        label = label.removesuffix(f" {dtype}")
    return label.partition(",")[0]


def lines(left: Mapping[str, kept.Kept]) -> list[Line]:
    """Return the lines of a benchmark, two for each case."""
    made = []
    for case, (date, machine, results) in left.items():
        for dtype in DTYPES:
            mine = [x for x in results if simulator(x) == OURS and dtype_of(x) == dtype]
            if not mine or math.isnan(ours := rounds.median(results[mine[0]], KEY)):
                continue
            peers: dict[str, float] = {}
            forms: dict[str, str] = {}
            for label, found in results.items():
                name, ratio = simulator(label), rounds.ratio(found, results[mine[0]], KEY)
                fits = name != OURS and dtype_of(label) in (dtype, DTYPES[0])
                if fits and ratio < peers.get(name, math.inf):
                    peers[name], forms[name] = ratio, label
            count = sum(found is not None for found in results[mine[0]])
            said = _apart(results, mine[0], forms)
            made.append(Line(f"{case}, {dtype}", ours, peers, forms, said, count, date, machine))
    return made


def table(made: list[Line], missing: list[str]) -> str:
    """Return the table, and below it where it was measured and what has to be known of it.

    Args:
        made: The lines.
        missing: Benchmarks that were not run.
    """
    names = list(dict.fromkeys(name for line in made for name in line.peers))
    head = ["case", "somaflow, µs a step", *names, "rounds", "date"]
    rows = [head, ["---"] * len(head)]
    for line in made:
        ratios = [_shown(line.peers.get(name)) for name in names]
        rows.append([line.case, _digits(line.ours), *ratios, str(line.rounds), line.date])
    text = ["| " + " | ".join(row) + " |" for row in rows]
    best = [
        f"- {line.case}: {'; '.join(special)}"
        for line in made
        if (special := [form for name, form in line.forms.items() if form != name])
    ]
    apart = [f"- {line.case}: {said}" for line in made for said in line.apart]
    machines = [f"- {machine}" for machine in dict.fromkeys(line.machine for line in made)]
    absent = ", ".join(missing) or "none"
    pins = ", ".join(wanted[0].replace("==", " ") for _, wanted in environments.PACKAGES.values())
    return "\n".join(
        [
            *text,
            "",
            "Measured on:",
            "",
            *machines,
            "",
            f"Versions that are installed: {pins}. Not measured yet: {absent}.",
            "",
            "Mean rates that are more than 5 % apart, so that the work was not the same:",
            "",
            *(apart or ["- none"]),
            "",
            "The form in which a peer was at its best, where it is a special one:",
            "",
            *best,
        ]
    )


def _apart(results: rounds.Results, mine: str, forms: dict[str, str]) -> list[str]:
    """Return what is to be said of peers that spike at another rate in the mean over rounds."""
    rate = rounds.mean(results[mine], "rate")
    others = {name: rounds.mean(results[label], "rate") for name, label in forms.items()}
    return [
        f"{name} at {_digits(other)} Hz, somaflow at {_digits(rate)} Hz"
        for name, other in others.items()
        if abs(other - rate) > APART * rate
    ]


def _shown(ratio: float | None) -> str:
    if ratio is None:
        return ""
    return f"**{_digits(ratio)}**" if ratio < 1 else _digits(ratio)


def _digits(number: float) -> str:
    """Return a number to three digits."""
    return f"{number:,.0f}" if number >= 100 else f"{number:#.3g}"


def main() -> None:
    """Print the table, and with `--docs` write it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--run", action="store_true", help="run first what was not measured")
    parser.add_argument("--docs", action="store_true", help=f"write {DOCS.name}")
    options = parser.parse_args()
    made: list[Line] = []
    missing: list[str] = []
    for name in BENCHMARKS:
        if options.run and not kept.kept(name):
            subprocess.run([sys.executable, "-m", f"{name}.run"], check=True)
        left = kept.kept(name)
        if not left:
            missing.append(name)
        else:
            made += lines(left)
    if not made:
        sys.exit("nothing was measured yet: run a benchmark, or --run.")
    text = table(made, missing)
    print(text)
    if options.docs:
        before, _, rest = DOCS.read_text(encoding="utf-8").partition(BEGIN)
        after = rest.partition(END)[2]
        DOCS.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
