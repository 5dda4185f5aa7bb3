"""Room: how much one program may hold, which on a processor its cache says, on a GPU memory."""

from dataclasses import dataclass

from somaflow.numerics.device import has_gpu
from somaflow.numerics.memory import available_bytes


@dataclass(frozen=True)
class Room:
    """What one program may hold of the runs that are computed in it.

    Attributes:
        cells: Cells of runs side by side.
        recorded: Bytes of what the runs record.
        state: Bytes of the states of rows, eight times for what a method makes of them, and of
            their weights.
        weights: Bytes of weights that a run may have to be a row.
        rows: Rows.
    """

    cells: int
    recorded: int
    state: int
    weights: int
    rows: int


# More cells gain little (docs/design/sweeps.md), and fewer leave work for other processes. What a
# step of all rows goes through several times should stay in the second-level cache. Weights that a
# run alone has in its first-level cache several runs have not: with 28 kB a step of a row took 0.8
# of that of a run alone, and putting rows together cost more than that won.
CPU = Room(cells=1024, recorded=256 << 20, state=1 << 19, weights=1 << 14, rows=64)

# By numbers alone, as none was at hand: half of the memory of a small GPU, which is enough to keep
# all of a large one busy. A cell of 20 states, eight times, has 1.3 kB.
_GPU = 2 << 30
_GPU_CELLS = _GPU // 1300
# Recordings lie in this machine's memory, in some copies: of the program, of each run, of the
# result.
_COPIES = 8


def room_here() -> Room:
    """Return how much one program may hold in this process."""
    if not has_gpu():
        return CPU
    free = available_bytes()
    recorded = CPU.recorded if free is None else free // _COPIES
    return Room(cells=_GPU_CELLS, recorded=recorded, state=_GPU, weights=_GPU, rows=_GPU)
