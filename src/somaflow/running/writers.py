"""Recording: from recorders to columns of results, and from chunks to what is stored in them."""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple, Protocol

import numpy as np

from somaflow import units
from somaflow.compiler.recordings import View, edges_of
from somaflow.errors import RunError
from somaflow.network.alongside import kept_with
from somaflow.network.network import Network
from somaflow.network.recorder import Recorder
from somaflow.running.arguments import steps_between
from somaflow.simulation.chunks import Chunk
from somaflow.simulation.crossings import Crossings
from somaflow.simulation.system import Array, Source, System
from somaflow.storage.sinks import Alongside, Column, Coordinate, Sink


class Writer(Protocol):
    """Takes a recording out of each chunk, in order of time, and stores it.

    Attributes:
        spikes: How many were found so far; None where none are looked for.
    """

    @property
    def spikes(self) -> int | None: ...

    def __call__(self, chunk: Chunk) -> None: ...

    def state(self) -> dict[str, Array]:
        """Return what it keeps from chunk to chunk."""
        ...

    def restore(self, state: dict[str, Array]) -> None:
        """Go on from what `state` returned."""
        ...


def check_edges(network: Network, recorders: tuple[Recorder, ...]) -> None:
    """Refuse edges of a histogram that cannot be those of its variable.

    Raises:
        UnitError: They are in another unit.
    """
    for recorder in recorders:
        if recorder.edges is not None:
            owner = network.population(recorder.owner)
            edges_of(recorder, owner.equations.unit(recorder.variable))


# -------------------------------------------------------------------------- columns


class _Sampling(NamedTuple):
    """When a recording is sampled.

    Attributes:
        interval: Time between samples in ms.
        rows: How many samples there will be.
        start: Time of the first one in ms.
    """

    interval: float
    rows: int
    start: float


def columns_of(
    network: Network,
    views: Mapping[str, View],
    batch: tuple[int, ...],
    recorders: tuple[Recorder, ...],
    dt: float,
    n_steps: int,
    dtype: str,
    start: int = 0,
) -> tuple[Column, ...]:
    """Return the columns of a run's results, one for each recorder.

    Raises:
        RunError: A run that goes on begins within an interval of a recording over time, or two
            recordings would have arrays of one name.
    """
    columns = []
    for recorder in recorders:
        every = steps_between(recorder, dt)
        if recorder.over_time is not None and start % every:
            raise RunError(
                f"{recorder.key!r} is taken over intervals of {every * dt:g} ms, but the run "
                f"begins at {start * dt:g} ms, within one; end the run before at a multiple of it."
            )
        times = _Sampling(every * dt, n_steps // every + 1, start * dt)
        if recorder.of_spikes:
            columns.append(_spike_column(network, batch, recorder, times, dtype))
        else:
            columns.append(_state_column(views[recorder.key], batch, recorder, times, dtype))
    _check_names(columns)
    return tuple(columns)


def shortened(
    recorders: tuple[Recorder, ...], columns: tuple[Column, ...], n_steps: int, dt: float
) -> tuple[Column, ...]:
    """Return the columns of a run that has ended after so many steps."""
    return tuple(
        column
        if column.shape is None
        else replace(column, rows=n_steps // steps_between(recorder, dt) + 1)
        for recorder, column in zip(recorders, columns, strict=True)
    )


def _check_names(columns: list[Column]) -> None:
    owners: dict[str, str] = {}
    for column in columns:
        for name in column.arrays:
            other = owners.setdefault(name, column.key)
            if other != column.key:
                raise RunError(
                    f"the recordings {other!r} and {column.key!r} would both have an array "
                    f"{name!r}; give one of them another name, such as .as_('other')."
                )


def ends_early(columns: tuple[Column, ...], duration: float) -> dict[str, float]:
    """Return the time in ms of the last sample of each recording that ends before its run.

    Args:
        columns: The recordings.
        duration: Length of the run in ms.
    """
    return {c.key: c.last for c in columns if c.ends_before(c.start + duration)}


def _batch_axes(batch: tuple[int, ...]) -> tuple[str, ...]:
    return tuple(f"batch_{k}" for k in range(len(batch)))


def _spike_column(
    network: Network, batch: tuple[int, ...], recorder: Recorder, times: _Sampling, dtype: str
) -> Column:
    chosen = recorder.cells
    cells = range(network.population(recorder.owner).size) if chosen is None else chosen.tolist()
    key = recorder.key
    if recorder.over_time is None:
        unit = network.population(recorder.owner).equations.unit
        return Column(
            key=key,
            unit="ms",
            shape=None,
            axes=(),
            cells=tuple(cells),
            interval=0.0,
            rows=0,
            dtype="float64",
            batch=batch,
            start=times.start,
            alongside=tuple(Alongside(name, unit(name), dtype) for name in recorder.kept),
        )
    whole = recorder.reduction is None
    return Column(
        key=key,
        unit="Hz" if recorder.reduction == "rate" else "1",
        shape=(*batch, len(cells)) if whole else batch,
        axes=(*_batch_axes(batch), "cell") if whole else _batch_axes(batch),
        cells=tuple(cells) if whole else None,
        dtype="float64" if recorder.reduction in ("mean", "rate") else "int64",
        batch=batch,
        **times._asdict(),
    )


def _state_column(
    view: View, batch: tuple[int, ...], recorder: Recorder, times: _Sampling, dtype: str
) -> Column:
    unit, shape, axes = view.unit, batch, _batch_axes(batch)
    cells, coordinates = None, ()
    if recorder.reduction == "histogram":
        edges = edges_of(recorder, view.unit) / units.factor(view.unit)
        sides = {"low": edges[:-1], "high": edges[1:]}
        coordinates = tuple(Coordinate(n, "bin", v, view.unit) for n, v in sides.items())
        unit, shape, axes = "1", (*shape, len(edges) - 1), (*axes, "bin")
        averaged = recorder.over_time == "mean" and not recorder.time_first
        dtype = dtype if averaged else "int64"
    elif recorder.reduction is None:
        shape, axes = (*shape, len(view.places)), (*axes, view.axis)
        if view.axis == "cell":
            cells = tuple(view.labels["cell"].tolist())
        else:
            coordinates = tuple(Coordinate(n, view.axis, v) for n, v in view.labels.items())
    return Column(
        key=recorder.key,
        unit=unit,
        shape=shape,
        axes=axes,
        cells=cells,
        dtype=dtype,
        coordinates=coordinates,
        **times._asdict(),
    )


# -------------------------------------------------------------------------- writers


def writers(
    recorders: tuple[Recorder, ...],
    columns: tuple[Column, ...],
    system: System,
    sink: Sink,
    stride: int,
    dt: float,
) -> list[Writer]:
    """Return what takes the recordings out of each chunk, in order of time, and stores them."""
    sources = {source.name: source for source in system.sources}
    takers: list[Writer] = []
    for recorder, column in zip(recorders, columns, strict=True):
        if not recorder.of_spikes:
            takers.append(_Samples(column, sink, steps_between(recorder, dt) // stride))
        elif recorder.over_time is None:
            kept = kept_with(recorders, recorder.source)
            places = [kept.index(name) for name in recorder.kept]
            takers.append(_Spikes(recorder, column, sources[recorder.source], sink, dt, places))
        else:
            takers.append(_Counts(recorder, column, sources[recorder.source], sink, dt))
    return takers


class _Samples:
    """Writes what was observed, one of `every` rows of a chunk."""

    def __init__(self, column: Column, sink: Sink, every: int) -> None:
        self.column, self.sink, self.every = column, sink, every
        self.spikes = None

    def state(self) -> dict[str, Array]:
        return {}

    def restore(self, state: dict[str, Array]) -> None:
        pass

    def __call__(self, chunk: Chunk) -> None:
        column = self.column
        skip = -chunk.first_row % self.every
        first = (chunk.first_row + skip) // self.every
        kept = chunk.samples.observed[column.key][skip :: self.every]
        kept = kept[: max(0, column.rows - first)]
        scale = units.factor(column.unit)
        if scale != 1.0:  # inside, numbers are in the coherent system; results are as declared
            kept = kept / scale
        if len(kept):
            self.sink.rows(column.key, first, kept.astype(column.dtype, copy=False))


def _crossed(
    recorder: Recorder, source: Source, crossings: Crossings
) -> tuple[Array, tuple[Array, ...], Array]:
    """Return which crossings of a chunk are recorded, and the step and place of each.

    The place is its batch indices and the place of its cell among those that are recorded.
    """
    *problems, cells = crossings.places
    place = np.full(crossings.shape[-1], -1)  # of each source among those that are recorded
    chosen = np.arange(source.size) if recorder.cells is None else recorder.cells
    place[source.start + chosen] = np.arange(len(chosen))
    cells = place[cells]
    mine = np.flatnonzero(cells >= 0)
    places = tuple(axis[mine] for axis in (*problems, cells))
    return crossings.steps[mine], places, mine


class _Spikes:
    """Writes the time and the cell of each spike, and what is kept with it."""

    def __init__(
        self,
        recorder: Recorder,
        column: Column,
        source: Source,
        sink: Sink,
        dt: float,
        kept: list[int],
    ) -> None:
        self.recorder, self.column, self.source = recorder, column, source
        self.sink, self.dt, self.kept = sink, dt, kept
        self.spikes = 0

    def state(self) -> dict[str, Array]:
        return {"spikes": np.array(self.spikes)}

    def restore(self, state: dict[str, Array]) -> None:
        self.spikes = int(state["spikes"])

    def __call__(self, chunk: Chunk) -> None:
        if chunk.samples.crossings is None:
            return
        crossings = chunk.samples.crossings()
        steps, (*problems, cells), mine = _crossed(self.recorder, self.source, crossings)
        since = crossings.since[mine]
        step = chunk.start + chunk.step + steps
        begin, end = step * self.dt, (step + 1) * self.dt
        # A whole step ago, rounded to float32, is at its beginning; nothing lies before that.
        inside = np.maximum(end - since.astype(np.float64), begin)
        times = np.where(since >= np.float32(self.dt), begin, inside)
        cells = cells if self.recorder.cells is None else self.recorder.cells[cells]
        order = ordered(times, steps, (*problems, cells), self.recorder.cells is None)
        places = np.stack([*problems, cells], axis=-1).astype(np.int64)[order]
        self.spikes += len(times)
        given = self.column.key, times[order], places if problems else places[:, 0]
        values = {}
        for kept, place in zip(self.column.alongside, self.kept, strict=True):
            own = crossings.kept[mine, place][order] / units.factor(kept.unit)
            values[kept.name] = own.astype(kept.dtype)
        self.sink.spikes(*given, *([values] if values else []))


def ordered(times: Array, steps: Array, places: tuple[Array, ...], ascending: bool) -> Array:
    """Return the order of spikes by time and then by place.

    Args:
        times: Of each spike; those of a step follow on those of the steps before.
        steps: The step of each, ascending.
        places: Batch indices and cell of each.
        ascending: Whether places ascend within a step.
    """
    order = np.argsort(times, kind="stable")
    tied = np.flatnonzero(np.diff(times[order]) == 0)
    if not len(tied) or (ascending and np.all(steps[order[tied]] == steps[order[tied + 1]])):
        return order
    # This takes five times as long.
    return np.lexsort((*reversed(places), times))


class _Counts:
    """Counts spikes in intervals, which may begin in one chunk and end in another."""

    def __init__(
        self, recorder: Recorder, column: Column, source: Source, sink: Sink, dt: float
    ) -> None:
        self.recorder, self.column, self.source, self.sink = recorder, column, source, sink
        self.steps = steps_between(recorder, dt)
        size = source.size if recorder.cells is None else len(recorder.cells)
        self.shape = (*column.batch, size)
        self.begun = np.zeros(self.shape, np.int64)
        self.spikes = None

    def state(self) -> dict[str, Array]:
        return {"begun": self.begun}

    def restore(self, state: dict[str, Array]) -> None:
        self.begun = state["begun"]

    def __call__(self, chunk: Chunk) -> None:
        first, end = chunk.step // self.steps, chunk.step + chunk.steps
        counts = self._counted(chunk, first, -(-end // self.steps) - first)
        counts[0] += self.begun
        complete = end // self.steps - first
        self.begun = counts[complete] if complete < len(counts) else np.zeros_like(self.begun)
        counts = counts[:complete]
        if chunk.step == 0:
            counts = np.concatenate([np.zeros_like(counts, shape=(1, *self.shape)), counts])
        else:
            first += 1
        if len(counts):
            rows = over_cells(counts, self.recorder, self.column)
            self.sink.rows(self.column.key, first, rows)

    def _counted(self, chunk: Chunk, first: int, intervals: int) -> Array:
        width = math.prod(self.shape)
        if chunk.samples.crossings is None:
            return np.zeros((intervals, *self.shape), np.int64)
        steps, places, _ = _crossed(self.recorder, self.source, chunk.samples.crossings())
        flat = np.ravel_multi_index(places, self.shape) if width else np.zeros(0, np.int64)
        flat = flat + width * ((chunk.step + steps) // self.steps - first)
        counts = np.bincount(flat, minlength=intervals * width)
        return counts.reshape(intervals, *self.shape)


def over_cells(counts: Array, recorder: Recorder, column: Column) -> Array:
    """Return counts of spikes as they are stored.

    Args:
        counts: Of each interval and cell, `[..., n_cells]`.
        recorder: What was asked for.
        column: How it is stored.
    """
    match recorder.reduction:
        case "sum":
            counts = counts.sum(-1)
        case "mean":
            counts = counts.mean(-1)
        case "rate":
            counts = counts.mean(-1) * (1000.0 / column.interval)
    return counts.astype(column.dtype, copy=False)
