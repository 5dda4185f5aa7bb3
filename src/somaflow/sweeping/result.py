"""The result of a sweep: one labelled dataset, made of finished members in their order.

It is made in the order of the members and with chunks that follow from sizes alone, so its bytes do
not depend on where, when or beside which others a member was computed. At no time is more than one
member read, and of each array no more than a chunk waits.
"""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
import zarr

from somaflow.notation import Json
from somaflow.simulation.system import Array
from somaflow.storage.folder import settle
from somaflow.storage.layout import CODECS, WHOLE
from somaflow.storage.ownership import ARRAYS
from somaflow.sweeping.parts import FAILURE, Kept, Spec, differing
from somaflow.sweeping.space import Space

CHUNK_BYTES = 1 << 20
_TEXT = "string"


@dataclass(frozen=True)
class Variable:
    """An array of the result.

    Attributes:
        name: Its name.
        axes: Sizes of the sweep's axes it has; empty where all members share it.
        dims: Names of all its axes.
        own: Shape of the part of one member.
        dtype: NumPy text of its type; `string` for texts.
        missing: What stands where a member failed.
        attributes: Its attributes.
        values: What is in it, where that is known without reading members.
        coordinate: Whether it labels others.
    """

    name: str
    axes: tuple[int, ...]
    dims: tuple[str, ...]
    own: tuple[int, ...]
    dtype: str
    missing: Any
    attributes: Mapping[str, Any]
    values: Array | None = None
    coordinate: bool = False

    @property
    def shape(self) -> tuple[int, ...]:
        """Its whole shape."""
        return (*self.axes, *self.own)

    @property
    def memory_type(self) -> Any:
        """NumPy type of its numbers in memory."""
        return object if self.dtype == _TEXT else np.dtype(self.dtype)

    @property
    def chunks(self) -> tuple[int, ...]:
        """Shape of a chunk: whole members that follow each other, or a part of one."""
        item = 16 if self.dtype == _TEXT else np.dtype(self.dtype).itemsize
        block = max(1, math.prod(self.own) * item)
        room, axes = CHUNK_BYTES // block, []
        for size in reversed(self.axes):
            axes.append(min(size, max(1, room)))
            room = room // axes[-1] if axes[-1] == size else 1
        own = [max(1, n) for n in self.own]
        if own and block > CHUNK_BYTES:
            own[0] = max(1, CHUNK_BYTES // max(1, block // own[0]))
        return (*(max(1, n) for n in reversed(axes)), *own)


@dataclass(frozen=True)
class Layout:
    """The arrays of a result.

    Attributes:
        shape: Sizes of the sweep's axes.
        known: Arrays that are known without reading members.
        each: Arrays with a part of each member.
        flat: Arrays with the spikes of all members, one after another.
        failures: Why members failed, by number.
        attributes: What the result tells of the sweep.
    """

    shape: tuple[int, ...]
    known: tuple[Variable, ...]
    each: tuple[Variable, ...]
    flat: tuple[Variable, ...]
    failures: dict[int, str]
    attributes: Mapping[str, Json]

    @property
    def variables(self) -> tuple[Variable, ...]:
        """All arrays."""
        return (*self.known, *self.each, *self.flat)

    def members(self) -> Iterator[tuple[int, tuple[int, ...]]]:
        """Iterate over the members that did not fail: number and place."""
        for number, place in enumerate(np.ndindex(*self.shape)):
            if number not in self.failures:
                yield number, place


def layout_of(
    space: Space,
    kept: Kept,
    attributes: Mapping[str, Json],
    cells: Mapping[str, Array],
    seeds: tuple[str, Array] | None = None,
) -> Layout:
    """Return the arrays of a result.

    Members that do not fit to the first one that did not fail have failed too.

    Args:
        space: What varies.
        kept: All members.
        attributes: What the result tells of the sweep.
        cells: Which cells were recorded, by recordings of spikes.
        seeds: The name of the seeds that members have, and one for each, where trials have own.
    """
    failures: dict[int, str] = {}
    first: int | None = None
    types: dict[str, np.dtype] = {}
    counts: dict[str, Array] = {}
    for number in range(len(space)):
        entry = kept.entries[number]
        if entry.failure:
            failures[number] = entry.failure
            continue
        if first is None:
            first = number
        elif wrong := differing(kept.entries[first], entry):
            failures[number] = f"its result does not fit to that of {space.label(first)}: {wrong}"
            continue
        for spec in entry.specs:
            types[spec.name] = _common(types.get(spec.name), spec)
            if spec.ragged:
                key = _recording(spec)
                counts.setdefault(key, np.zeros(len(space), np.int64))[number] = spec.shape[0]
    specs = () if first is None else kept.entries[first].specs
    known = [*_of_space(space), _failure(space, failures)]
    if seeds is not None:
        known.append(_of_values(seeds[0], space.dims, seeds[1], {"units": "1"}))
    for key, values in counts.items():
        known += _counted(key, values, space, cells.get(key), list(failures))
    each, flat = [], []
    for spec in specs:
        if spec.digest:
            known.append(_shared(spec, kept.read(first)[spec.name] if first is not None else None))
        elif spec.ragged:
            flat.append(_flat(spec, types[spec.name], int(counts[_recording(spec)].sum())))
        else:
            each.append(_each(spec, types[spec.name], space, bool(failures)))
    return Layout(space.shape, tuple(known), tuple(each), tuple(flat), failures, attributes)


# ------------------------------------------------------------------------------ in memory


def in_memory(layout: Layout, kept: Kept) -> xr.Dataset:
    """Return the result with all of its numbers.

    Args:
        layout: Its arrays.
        kept: All members.
    """
    arrays: dict[str, Array] = {}
    for variable in layout.each:
        arrays[variable.name] = np.full(variable.shape, variable.missing, variable.memory_type)
    pieces: dict[str, list[Array]] = {variable.name: [] for variable in layout.flat}
    for number, place in layout.members():
        values = kept.read(number)
        for variable in layout.each:
            arrays[variable.name][place] = values[variable.name]
        for name, found in pieces.items():
            found.append(values[name])
    for variable in layout.flat:
        empty = np.zeros((0, *variable.own[1:]), variable.memory_type)
        joined = np.concatenate([empty, *pieces[variable.name]])
        arrays[variable.name] = joined.astype(variable.memory_type, copy=False)
    arrays |= {variable.name: _filled(variable) for variable in layout.known}
    made = {v.name: xr.Variable(v.dims, arrays[v.name], dict(v.attributes))
            for v in layout.variables}  # fmt: skip
    labels = {v.name for v in layout.variables if v.coordinate}
    return xr.Dataset(
        {name: variable for name, variable in made.items() if name not in labels},
        {name: variable for name, variable in made.items() if name in labels},
        dict(layout.attributes),
    )


# ------------------------------------------------------------------------------ on the disk


def write(path: Path, layout: Layout, kept: Kept) -> None:
    """Write the result to a new folder, and wait until it is on the disk.

    Args:
        path: The folder.
        layout: Its arrays.
        kept: All members.

    Raises:
        OSError: It cannot be written.
    """
    names = sorted(variable.name for variable in layout.variables)
    told: dict[str, Any] = json.loads(json.dumps(dict(layout.attributes)))
    group = zarr.create_group(path, attributes=told | {ARRAYS: names}, zarr_format=3)
    labels = [variable for variable in layout.variables if variable.coordinate]
    arrays = {v.name: _created(group, v, labels) for v in layout.variables}
    for variable in layout.known:
        arrays[variable.name][...] = _filled(variable)
    blocks = [_Blocks(variable, arrays[variable.name]) for variable in layout.each]
    flats = [_Flat(variable, arrays[variable.name]) for variable in layout.flat]
    held: dict[str, Array] = {}
    for number, place in enumerate(np.ndindex(*layout.shape)):
        failed = number in layout.failures
        held = {} if failed else kept.read(number)
        for block in blocks:
            block.put(place, None if failed else held[block.variable.name])
        for flat in [] if failed else flats:
            flat.add(held[flat.variable.name])
    for part in (*blocks, *flats):
        part.flush()
    for found in (*path.rglob("*"), path):
        settle(found)


@dataclass
class _Blocks:
    """Writes an array with a part of each member: chunks of members that follow each other."""

    variable: Variable
    array: zarr.Array
    _key: tuple[int, ...] = (-1,)
    _buffer: Array = field(default_factory=lambda: np.zeros(0))

    def put(self, place: tuple[int, ...], values: Array | None) -> None:
        """Take the next member; None where it failed."""
        axes, variable = len(self.variable.axes), self.variable
        chunks = variable.chunks[:axes]
        key = tuple(i // n for i, n in zip(place, chunks, strict=True))
        if key != self._key:
            self.flush()
            self._key = key
            ends = (min(n, size - k * n) for k, n, size in zip(key, chunks, variable.axes,
                                                                strict=True))  # fmt: skip
            shape = (*ends, *variable.own)
            self._buffer = np.full(shape, variable.missing, variable.memory_type)
        if values is not None:
            self._buffer[tuple(i % n for i, n in zip(place, chunks, strict=True))] = values

    def flush(self) -> None:
        """Write what waits."""
        if self._key == (-1,):
            return
        axes = len(self.variable.axes)
        starts = (k * n for k, n in zip(self._key, self.variable.chunks[:axes], strict=True))
        sizes = self._buffer.shape[:axes]
        where = tuple(slice(k, k + n) for k, n in zip(starts, sizes, strict=True))
        self.array[(*where, ...)] = self._buffer


@dataclass
class _Flat:
    """Writes an array with the spikes of all members."""

    variable: Variable
    array: zarr.Array
    _done: int = 0
    _waiting: list[Array] = field(default_factory=list)
    _rows: int = 0

    def add(self, values: Array) -> None:
        """Take the spikes of the next member."""
        self._waiting.append(values)
        self._rows += len(values)
        chunk = self.variable.chunks[0]
        if self._rows >= chunk:
            whole = np.concatenate(self._waiting)
            end = len(whole) // chunk * chunk
            self._write(whole[:end])
            self._waiting = [whole[end:].copy()]
            self._rows = len(whole) - end

    def flush(self) -> None:
        """Write what waits."""
        if self._rows:
            self._write(np.concatenate(self._waiting))

    def _write(self, values: Array) -> None:
        self.array[self._done : self._done + len(values)] = values
        self._done += len(values)


def _created(group: zarr.Group, variable: Variable, labels: list[Variable]) -> zarr.Array:
    """Make an array in a store; it tells which coordinates label its axes, as CF has it."""
    attributes = dict(variable.attributes)
    others = [
        label.name
        for label in labels
        if label.name not in label.dims and set(label.dims) <= set(variable.dims)
    ]
    if not variable.coordinate and others and not any(map(str.isspace, "".join(others))):
        attributes["coordinates"] = " ".join(others)
    with zarr.config.set(WHOLE):
        return group.create_array(
            variable.name,
            shape=variable.shape,
            chunks=variable.chunks,
            dtype=variable.dtype,
            fill_value=variable.missing,
            compressors=CODECS,
            dimension_names=variable.dims,
            attributes=attributes,
        )


# ---------------------------------------------------------------------------------- details


def _filled(variable: Variable) -> Array:
    assert variable.values is not None
    return np.asarray(variable.values, variable.memory_type).reshape(variable.shape)


def _recording(spec: Spec) -> str:
    """Return the recording that an array of spikes belongs to: `PN.spikes` of `PN.spikes.times`."""
    return spec.name.rpartition(".")[0] or spec.name


def _common(before: np.dtype | None, spec: Spec) -> np.dtype:
    """Return a type that holds what was there before and this too."""
    own = np.dtype(spec.dtype)
    return own if before is None else np.promote_types(before, own)


def _each(spec: Spec, own: np.dtype, space: Space, failures: bool) -> Variable:
    """Return the array with a part of each member; a number of one that failed is NaN."""
    if own.kind == "U":
        dtype, missing = _TEXT, ""
    else:
        # No whole number and no truth value says that it is missing.
        own = np.dtype(np.float64) if failures and own.kind in "biu" else own
        dtype, missing = own.name, own.type(np.nan if own.kind in "fc" else 0)
    told = json.loads(spec.attributes)
    dims = *space.dims, *spec.dims
    return Variable(spec.name, space.shape, dims, spec.shape, dtype, missing, told)


def _flat(spec: Spec, own: np.dtype, total: int) -> Variable:
    """Return the array with the spikes of all members."""
    key = _recording(spec)
    # `cells` of a batch have a place along each of its axes.
    dims = f"{key}.spike", *(f"{spec.name}.{axis}" for axis in spec.dims[1:])
    dtype = _TEXT if own.kind == "U" else own.name
    missing = "" if own.kind == "U" else own.type(np.nan if own.kind in "fc" else 0)
    told = json.loads(spec.attributes)
    return Variable(spec.name, (), dims, (total, *spec.shape[1:]), dtype, missing, told)


def _shared(spec: Spec, values: Array | None) -> Variable:
    assert values is not None
    return _of_values(spec.name, spec.dims, values, json.loads(spec.attributes))


def _counted(
    key: str, counts: Array, space: Space, cells: Array | None, failed: list[int]
) -> Iterator[Variable]:
    """Iterate over what tells where the spikes of a member are."""
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]]).astype(np.int64)
    if failed:  # 0 would be taken for a member that was silent
        counts = counts.astype(np.float64)
        counts[failed] = np.nan
    for name, values, meaning in (
        ("count", counts, "spikes of the member"),
        ("first", starts, "place of its first spike among those of all members"),
    ):
        told, own = {"units": "1", "long_name": meaning}, values.dtype
        axes, missing = (space.shape, space.dims), own.type(np.nan if own.kind == "f" else 0)
        yield Variable(f"{key}.{name}", *axes, (), own.name, missing, told, values)
    if cells is not None:
        yield _of_values(f"{key}.cell", (f"{key}.cell",), cells, {})


def _of_space(space: Space) -> Iterator[Variable]:
    """Iterate over what labels the sweep's axes."""
    for label in space.coordinates:
        told = {"units": label.unit} if label.unit else {}
        yield _of_values(label.name, label.dims, label.values, told)


def _failure(space: Space, failures: Mapping[int, str]) -> Variable:
    values = np.full(len(space), "", object)
    for number, reason in failures.items():
        values[number] = reason
    told = {"long_name": "why the member failed; empty where it did not"}
    return Variable(FAILURE, space.shape, space.dims, (), _TEXT, "", told, values)


def _of_values(
    name: str, dims: tuple[str, ...], values: Array, attributes: Mapping[str, Any]
) -> Variable:
    """Return a coordinate with its values."""
    text = values.dtype.kind in "OUT"
    dtype, missing = (_TEXT, "") if text else (values.dtype.name, values.dtype.type(0))
    return Variable(name, (), dims, values.shape, dtype, missing, attributes, values, True)
