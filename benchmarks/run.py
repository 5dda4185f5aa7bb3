"""Run a benchmark against its peers: `run.py NAME`, with its own options; `make bench`.

    run.py cobahh --wirings 2
    run.py work_precision --quick
    run.py standing

Without a name this is the antennal lobe; `run.py NAME --help` tells the options of each. Peers are
installed into `.bench`, and results are left in `.bench/results`, from which `standing` makes one
table. The peers of a benchmark solve the same problem file and run in turn, round by round, so that
a machine whose speed drifts slows all of them alike: what is compared are ratios within a round.
"""

import argparse
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).parent
# Those in folders of their own: run as a script, or as a module, which finds `harness`.
SCRIPTS = ("work_precision",)
MODULES = (
    "antennal_lobe",
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
    "sweeps",
    "workers",
    "standing",
)


def main() -> None:
    """Run one benchmark in a process of its own."""
    name, rest = sys.argv[1:2], sys.argv[2:]
    if not name or (name[0].startswith("-") and name[0] not in ("-h", "--help")):
        name, rest = ["antennal_lobe"], sys.argv[1:]
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("benchmark", choices=(*SCRIPTS, *MODULES))
    name = parser.parse_args(name).benchmark
    which = [str(FOLDER / name / "run.py")] if name in SCRIPTS else ["-m", f"{name}.run"]
    command = [sys.executable, *which, *rest]
    where = FOLDER if name in MODULES else None
    sys.exit(subprocess.run(command, check=False, cwd=where).returncode)


if __name__ == "__main__":
    main()
