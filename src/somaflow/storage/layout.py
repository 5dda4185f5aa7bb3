"""Layout: what a recording is in a store: its arrays, their shapes, chunks and attributes."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
import zarr
from zarr.abc.buffer import Buffer
from zarr.codecs import Crc32cCodec, ZstdCodec

from somaflow.given import parsed
from somaflow.notation import Json
from somaflow.simulation.system import Array
from somaflow.storage.folder import METADATA
from somaflow.storage.sinks import Column

# The last four bytes of a chunk are a checksum of those before, which Zarr itself looks at.
CODECS = (ZstdCodec(level=1), Crc32cCodec())
# A chunk of nothing but the fill value has a file too, so that a missing one is noticed.
WHOLE = {"array.write_empty_chunks": True}


@dataclass(frozen=True)
class ArrayLayout:
    """An array of a store.

    Attributes:
        name: Its name.
        shape: Its shape when it is made.
        chunks: The shape of a chunk.
        dtype: NumPy name of its numbers.
        dimensions: Names of its axes.
        attributes: Its attributes.
        rows: Its length at the run's end, where it has that from the beginning; None where its
            length follows from what happens.
        values: What is in it, where that is known from the beginning.
        known: `(begin, end) -> rows`, where they follow from their place; None elsewhere.
    """

    name: str
    shape: tuple[int, ...]
    chunks: tuple[int, ...]
    dtype: str
    dimensions: tuple[str, ...]
    attributes: Mapping[str, Json]
    rows: int | None = None
    values: Array | None = None
    known: Callable[[int, int], Array] | None = None

    def create(self, group: zarr.Group) -> zarr.Array:
        """Make the array in a group."""
        with zarr.config.set(WHOLE):
            return group.create_array(
                self.name,
                shape=self.shape,
                chunks=self.chunks,
                dtype=self.dtype,
                # What an interrupted run has not written.
                fill_value=float("nan") if np.dtype(self.dtype).kind == "f" else -1,
                compressors=CODECS,
                dimension_names=self.dimensions,
                attributes=dict(self.attributes),
            )

    def agrees(self, text: bytes) -> bool:
        """Return whether this is what a store tells of the array, but for its length."""
        stored: dict[str, Buffer] = {}
        self.create(zarr.create_group(stored, zarr_format=3))
        wanted = parsed(stored[f"{self.name}/{METADATA}"].to_bytes())
        try:
            told = parsed(text)
            length = told["shape"][0]
            told["shape"][0] = wanted["shape"][0]
        except (ValueError, KeyError, TypeError, IndexError):
            return False
        # As texts, for to Python 0 equals False.
        same = json.dumps(told, sort_keys=True) == json.dumps(wanted, sort_keys=True)
        return isinstance(length, int) and length >= 0 and same


def array_in(group: zarr.Group, name: str) -> zarr.Array:
    """Return an array of a store.

    Raises:
        KeyError: There is none of that name.
    """
    array = group[name]
    if not isinstance(array, zarr.Array):
        raise KeyError(name)
    return array


def _times(start: float, interval: float, begin: int, end: int) -> Array:
    """Return the times of some rows; a function that a worker can send with its results."""
    return start + np.arange(begin, end) * interval


def layouts_of(column: Column, chunk_bytes: int) -> Iterator[ArrayLayout]:
    """Iterate over the arrays of a recording; those that grow come first.

    Args:
        column: The recording.
        chunk_bytes: Size of a chunk, uncompressed, at most; at least one row.
    """
    key = column.key

    def growing(
        name: str,
        shape: tuple[int, ...],
        dtype: str,
        dimensions: tuple[str, ...],
        attributes: dict[str, Json],
    ) -> ArrayLayout:
        width = max(1, int(np.prod(shape, initial=1)) * np.dtype(dtype).itemsize)
        chunks = (max(1, chunk_bytes // width), *(max(1, n) for n in shape))
        rows = None if column.shape is None else column.rows
        whole = rows or 0, *shape
        return ArrayLayout(name, whole, chunks, dtype, dimensions, attributes, rows=rows)

    if column.shape is None:
        more = ("index",) if column.place else ()
        # A dimension each: whatever write fails, no two lengths can contradict.
        for part, dtype, unit, shape, axes in (
            ("times", "float64", "ms", (), ()),
            ("cells", "int64", "1", column.place, more),
            *((part.name, part.dtype, part.unit, (), ()) for part in column.alongside),
        ):
            dimensions = (f"{key}.{part}.spike", *axes)
            yield growing(f"{key}.{part}", shape, dtype, dimensions, {"units": unit})
        return
    attributes: dict[str, Json] = {"units": column.unit}
    others = [f"{key}.{c.name}" for c in column.coordinates if c.name != c.axis]
    if others and not any(character.isspace() for character in key):
        attributes["coordinates"] = " ".join(others)  # as in the CF conventions
    time = f"{key}.time"
    dimensions = (time, *(f"{key}.{axis}" for axis in column.axes))
    yield growing(key, column.shape, column.dtype, dimensions, attributes)
    yield ArrayLayout(
        time,
        (column.rows,),
        (max(1, chunk_bytes // 8),),
        "float64",
        (time,),
        {"units": "ms"},
        rows=column.rows,
        known=partial(_times, column.start, column.interval),
    )
    labels = [(c.name, c.axis, np.asarray(c.values), {"units": c.unit}) for c in column.coordinates]
    if column.cells is not None:
        labels.insert(0, ("cell", "cell", np.array(column.cells, np.int64), {}))
    for name, axis, values, units in labels:
        shape, dtype = values.shape, str(values.dtype)
        chunks = tuple(max(1, n) for n in shape)
        yield ArrayLayout(
            f"{key}.{name}", shape, chunks, dtype, (f"{key}.{axis}",), units, values=values
        )
