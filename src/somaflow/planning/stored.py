"""What the beginning of a run left in its store, and how much the whole run will leave.

The rest of a run is taken to be like the end of its beginning: its spikes like those of the later
half, and how well it is compressed like the last quarter. Much of what a network does first, such
as the response to an odour, it does not do again. Cells that come to rest are compressed better and
better; where the last quarter is smaller than the one before, the rest is by as much again.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import zarr

from somaflow.running.preparing import Prepared
from somaflow.running.snapshots import part_of
from somaflow.storage import checkpoint
from somaflow.storage.layout import array_in
from somaflow.storage.sinks import Column, Sink
from somaflow.storage.store import ZarrSink

_MORE = 2  # times the spikes that are expected: what is said to be the most must hold
_ENTRY = 550  # bytes of names and headers that two more arrays take in a checkpoint


@dataclass(frozen=True)
class Measured:
    """Bytes on the disk.

    Attributes:
        store: Of all files of the store at the run's end.
        checkpoint: Of a checkpoint, at most: with recordings that fill no chunk of the store yet.
    """

    store: int
    checkpoint: int


def spikes_at_end(sink: Sink, column: Column, prepared: Prepared, steps: int) -> int:
    """Return how many spikes a column will have.

    Args:
        sink: Where those of the beginning are.
        column: The column.
        prepared: The run.
        steps: Steps of the beginning.
    """
    job = prepared.job
    times = sink.read_spikes(column.key)[0]
    late = np.count_nonzero(times > (job.begin + steps / 2) * job.dt)
    return len(times) + round(late / (steps / 2) * (job.n_steps - steps))


def measure(sink: ZarrSink, prepared: Prepared, steps: int) -> Measured:
    """Return what a run will leave, given what its beginning left.

    Args:
        sink: The store of its beginning, in a local folder, closed. Beside it is written.
        prepared: The run.
        steps: Steps of the beginning. If they are the whole run, the store is exact.
    """
    assert isinstance(sink.path, Path)
    total = sink.taken()
    size = len(sink.beside.read(checkpoint.names(sink.beside)[-1]))
    newest, _ = checkpoint.newest(sink.beside)
    waiting = part_of(newest.arrays, "sink")
    size -= sum(array.nbytes for path, array in waiting.items() if path.endswith("/tail"))
    group = zarr.open_group(sink.path, mode="r")
    for column in prepared.columns:
        rows, names = column.rows, (column.key, f"{column.key}.time")
        if column.shape is None:
            rows = spikes_at_end(sink, column, prepared, steps)
            names = f"{column.key}.times", f"{column.key}.cells"
        for name in names:
            array = array_in(group, name)
            if missing := rows - array.shape[0]:
                total += round(missing * _row_bytes(array, sink.path, name))
            width = int(np.prod(array.shape[1:], initial=1)) * array.dtype.itemsize
            guessed = column.shape is None and steps < prepared.job.n_steps
            most = rows * _MORE if guessed else rows
            size += min(most, array.chunks[0]) * width + (0 if waiting else _ENTRY)
    return Measured(total, size)


def _row_bytes(array: zarr.Array, path: Path, name: str) -> float:
    """Return the bytes on the disk of a row that is to come."""
    rows = array.shape[0]
    before, late = (
        _part_bytes(array, path, name, k * rows // 4, (k + 1) * rows // 4) for k in (2, 3)
    )
    return late * min(1.0, max(0.5, late / before)) if before else late


def _part_bytes(array: zarr.Array, path: Path, name: str, begin: int, end: int) -> float:
    """Return the bytes on the disk of each of some rows."""
    chunk = array.chunks[0]
    whole = range(-(-begin // chunk), end // chunk)
    if whole:
        files = [path / name / "c" / str(k) for k in whole]
        return sum(_total(file) for file in files) / (len(whole) * chunk)
    if begin == end:
        return 0.0
    probe = path.parent / "probe.zarr"
    copy = zarr.create_array(
        probe,
        shape=(end - begin, *array.shape[1:]),
        chunks=array.chunks,
        dtype=array.dtype,
        compressors=array.compressors,
        fill_value=array.fill_value,
        overwrite=True,
    )
    copy[:] = array[begin:end]
    return _total(probe / "c") / (end - begin)


def _total(place: Path) -> int:
    """Return the bytes of a file, or of all files in a folder; 0 if there is none."""
    if place.is_file():
        return place.stat().st_size
    return sum(file.stat().st_size for file in place.rglob("*") if file.is_file())
