"""Plan one of the networks, run it, and print both as JSON.

python -m plan.one NAME
"""

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import tensorflow as tf
from plan.cases import CASES

import somaflow as sf
from somaflow.running import execution

# Delay lines among the names of what events change, and what each synapse has by itself.
LINES, OWN = ("late", "late end"), "own"


def total(folder: Path) -> int:
    """Return the bytes of all files in a folder."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def found(run: sf.Solution, path: Path) -> dict[str, Any]:
    """Return what a run took and left.

    Args:
        run: The run.
        path: Its store.
    """
    final = run.final
    assert final is not None
    delays = own = 0
    state = sum(a.nbytes for states in final.states.values() for a in states.values())
    for name, array in final.events.items():
        if name.startswith("spikes ") or name.split("/")[-1] in LINES:
            delays += array.nbytes
        elif f"/{OWN}/" in name:
            own += array.nbytes
        else:
            state += array.nbytes
    kept = sorted(path.with_name(f"{path.name}.run").glob("checkpoint-*"))
    spikes = [key for key in run if key.endswith(".spikes")]
    return {
        "state": state,
        "delays": delays,
        "own": own,
        "store": total(path),
        "checkpoint": kept[-1].stat().st_size,
        "spikes": sum(len(run[key].times) for key in spikes),
        "compile_seconds": run.statistics["compile_seconds"],
        "run_seconds": run.statistics["run_seconds"],
    }


def main() -> None:
    """Plan, run and print."""
    asked = CASES[sys.argv[1]]()
    tables: list[int] = []
    build = execution.build

    def watched(system: Any, *rest: Any) -> Any:
        # Of its tables of synapses a run hands nothing out.
        tables.append(sum(a.nbytes for a in tf.nest.flatten(system.parameters["sums"])))
        return build(system, *rest)

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.zarr"
        begin = time.perf_counter()
        plan = sf.plan(**asked, sink=path)
        seconds = time.perf_counter() - begin
        print(plan, file=sys.stderr)
        execution.build = watched
        run = sf.simulate(**asked, sink=path, progress=False)
        measured = found(run, path)
    measured["synapses"] = measured.pop("own") + tables[-1]
    told = {"plan": json.loads(plan.to_json()), "run": measured, "plan_seconds": seconds}
    print(json.dumps(told))


if __name__ == "__main__":
    main()
