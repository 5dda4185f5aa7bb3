"""The sweep that `chaos` disturbs: `python -m sweeps.swept STORE --members 1000`.

Begins it, or goes on with it. Members are short runs of noisy cells, which differ in their seed:
were anything of a member to depend on where or when it is computed, its recordings would tell.
"""

import argparse
import errno
from pathlib import Path
from typing import Any

import numpy as np
from zarr.storage import LocalStore

import somaflow as sf
from somaflow import Processes
from somaflow.storage.folder import Folder
from somaflow.units import ms, nA


def described() -> tuple[sf.Network, list[sf.Recorder]]:
    """Return noisy cells that reach each other, and what is recorded of them."""
    cells = sf.Population("cells", 20, sf.load("lif"), refractory=1 * ms)
    synapse = sf.load("exponential_current")
    network = sf.Network(
        cells,
        sf.Projection(cells, cells, synapse, sf.FixedProbability(0.2, seed=1), 0.05 * nA, 2 * ms),
        sf.CurrentClamp(cells, np.linspace(1.4, 2.5, 20) * nA),
        sf.Stimulus(cells, sf.OrnsteinUhlenbeck(0 * nA, sd=0.2 * nA, tau=3 * ms)),
    )
    return network, [cells.spikes, cells["v"].mean().every(1 * ms)]


def fill_after(writes: int) -> None:
    """Imitate a disk that has no room from some write on."""
    left = [writes]
    plain_set, plain_write = LocalStore.set, Folder.write_all

    def meet() -> None:
        left[0] -= 1
        if left[0] <= 0:
            raise OSError(errno.ENOSPC, "No space left on device")

    async def put(to: LocalStore, key: str, value: Any) -> None:
        meet()
        await plain_set(to, key, value)

    def write(to: Folder, files: dict[str, bytes]) -> None:
        meet()
        plain_write(to, files)

    LocalStore.set, Folder.write_all = put, write  # type: ignore[method-assign]


def main() -> None:
    """Begin the sweep, or go on with it, and print how many members failed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("store", type=Path)
    parser.add_argument("--members", type=int, default=1_000)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--full-after", type=int, default=0, help="writes; 0 means never")
    options = parser.parse_args()
    if options.full_after:
        fill_after(options.full_after)
    network, record = described()
    with Processes(options.workers) as pool:
        found = sf.sweep(
            network,
            {"seed": range(options.members)},
            200 * ms,
            dt=0.1 * ms,
            record=record,
            batch=options.batch,
            pool=pool,
            sink=options.store,
            progress=False,
        )
    print("failed", int((found["failure"] != "").sum()), flush=True)


if __name__ == "__main__":
    main()
