"""What recording costs: the lobe of the demo, its spikes alone, with V, and as it is shown.

    benchmarks/run.py recording [--rounds 5] [--steps 1000000]

Each round runs all variants in turn, each into a new Zarr store; the order is reversed from round
to round. Compared are times within a round, the compile left out and the last write included.
"""

import argparse
import shutil
import statistics
import tempfile
from pathlib import Path
from typing import Any

from harness import kept

import somaflow as sf
from somaflow.units import ms

DT = 0.01
CHECKPOINT = 200


def variants(model: sf.models.AntennalLobe) -> dict[str, dict[str, Any]]:
    """Return what each variant asks for beside the network."""
    pn, ln = model.pn, model.ln
    spikes = [pn.spikes, ln.spikes]
    voltages = [population["v"].every(1 * ms) for population in (pn, ln)]
    shown = [
        pn["v"].every(1 * ms),
        pn["v"].mean().every(0.1 * ms),
        ln["v"].mean().every(0.1 * ms),
    ]
    return {
        "spikes alone": {"record": spikes},
        "V of all cells, every 1 ms": {"record": [*spikes, *voltages]},
        "as the demo": {"record": [*spikes, *shown]},
        "as the demo, a checkpoint every 200 ms": {
            "record": [*spikes, *shown],
            "checkpoint": CHECKPOINT * ms,
        },
    }


def main() -> None:
    """Run, print and keep the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=1_000_000)
    arguments = parser.parse_args()
    model = sf.models.antennal_lobe()
    wanted = variants(model)
    times: dict[str, list[float]] = {name: [] for name in wanted}
    sizes: dict[str, int] = {}
    for k in range(arguments.rounds):
        for name in list(wanted)[:: 1 if k % 2 == 0 else -1]:
            folder = Path(tempfile.mkdtemp())
            run = sf.simulate(
                model.network,
                arguments.steps * DT * ms,
                dt=DT * ms,
                initial=model.initial,
                seed=1,
                sink=folder / "a.zarr",
                progress=False,
                **wanted[name],
            )
            times[name].append(run.statistics["run_seconds"])
            files = [file for file in (folder / "a.zarr").rglob("*") if file.is_file()]
            sizes[name] = sum(file.stat().st_size for file in files)
            shutil.rmtree(folder)
    first = times["spikes alone"]
    report = {}
    print(f"{'':<42}{'us/step':>9}{'ratio':>8}{'MB':>8}")
    for name, found in times.items():
        ratio = statistics.median(a / b for a, b in zip(found, first, strict=True))
        per_step = statistics.median(found) / arguments.steps * 1e6
        print(f"{name:<42}{per_step:>9.2f}{ratio:>8.3f}{sizes[name] / 1e6:>8.2f}")
        report[name] = {"seconds": found, "ratio": ratio, "bytes": sizes[name]}
    kept.keep("recording", report)


if __name__ == "__main__":
    main()
