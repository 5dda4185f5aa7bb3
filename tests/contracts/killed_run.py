"""A run to be killed: `python killed_run.py STORE ENDS_AT [N BEFORE|WITHIN|AFTER]`.

Begins the run, or goes on with it, to `ENDS_AT` ms, and prints `running` when its first chunk is
made and `done` at its end. With a number it kills itself at its N-th write of a file: before it,
when half of it is written, or after it.
"""

import os
import signal
import sys
from pathlib import Path
from typing import Any

import numpy as np
import zarr.storage._local as local

import somaflow as sf
from somaflow.simulation import chunks
from somaflow.storage import checkpoint, folder, store
from somaflow.units import ms, nA

store.CHUNK_BYTES = 1 << 15
chunks._CHUNK_STEPS = 1000


def network() -> tuple[sf.Network, list[sf.Recorder]]:
    """Cells that reach each other after a while, in noise."""
    cells = sf.Population("lif", 600, sf.load("lif"), refractory=1 * ms)
    synapse = sf.load("exponential_current")
    made = sf.Network(
        cells,
        sf.Projection(cells, cells, synapse, sf.FixedProbability(0.02, seed=1), 0.05 * nA, 2 * ms),
        sf.CurrentClamp(cells, np.linspace(1.4, 2.5, 600) * nA),
        sf.Stimulus(cells, sf.OrnsteinUhlenbeck(0 * nA, sd=0.2 * nA, tau=3 * ms)),
    )
    record = [
        cells[::10].spikes,
        cells[::30]["v"].every(1 * ms),
        cells["v"].mean().every(0.5 * ms, "max"),
        cells.rate(10 * ms),
    ]
    return made, record


class Killer:
    """Kills its process at a write.

    Args:
        number: Which one, from 1.
        moment: `BEFORE`, `WITHIN` or `AFTER`.
    """

    def __init__(self, number: int, moment: str) -> None:
        self.left, self.moment = number, moment
        zarr_put, write_all, append = local._put, folder.Folder.write_all, folder.Folder.append

        def put(path: Path, value: Any, exclusive: bool = False) -> Any:
            half = path.with_suffix(".0123abcd.partial")
            return self.meet(lambda: zarr_put(path, value, exclusive), half, value.to_bytes())

        def write(to: folder.Folder, files: dict[str, bytes]) -> None:
            name, data = next(iter(files.items()), ("nothing", b""))
            half = Path(str(to)) / f"{name}.partial"
            self.meet(lambda: write_all(to, files), half, data)

        def add(to: folder.Folder, name: str, text: str) -> None:
            path = Path(str(to)) / name
            old = path.read_bytes() if path.exists() else b""
            self.meet(lambda: append(to, name, text), path, old + text.encode(), len(old))

        local._put = put
        folder.Folder.write_all = write
        folder.Folder.append = add

    def meet(self, act: Any, path: Path, data: bytes, least: int = 0) -> Any:
        self.left -= 1
        if self.left == 0 and self.moment == "WITHIN":
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data[: max(least, len(data) // 2)])
        if self.left == 0 and self.moment != "AFTER":
            os.kill(os.getpid(), signal.SIGKILL)
        made = act()
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return made


def main() -> None:
    path, end = sys.argv[1], float(sys.argv[2]) * ms
    if len(sys.argv) > 3:
        Killer(int(sys.argv[3]), sys.argv[4])
    told: list[str] = []

    def show(progress: sf.Progress) -> None:
        if not told:
            told.append("running")
            print("running", flush=True)

    if checkpoint.names(folder.beside(path)):
        run = sf.resume(path, end, progress=show)
    else:
        made, record = network()
        sink = sf.ZarrSink(path, overwrite=True)
        run = sf.simulate(
            made, end, dt=0.1 * ms, record=record, sink=sink, seed=2, checkpoint=2000 * ms,
            progress=show,
        )  # fmt: skip
    print("done", round(run.statistics["run_seconds"], 2), len(run["lif.spikes"]), flush=True)


if __name__ == "__main__":
    main()
