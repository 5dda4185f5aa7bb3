"""Solution: labelled arrays and spike trains, and all that is needed to repeat the run."""

import math
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import xarray as xr

from somaflow.errors import RunError, UnknownNameError, nearest
from somaflow.given import is_among, is_whole, shown
from somaflow.numerics.types import Tensor
from somaflow.settings import Duration
from somaflow.simulation.system import Array
from somaflow.storage.sinks import EVERY, Column, Sink
from somaflow.units import scalar

_NEAR = 1e-9  # ms; times are k*dt, whose last digit may fall below a round number


class SpikeTrains:
    """The spikes of a population, or of some of its cells.

    Attributes:
        times: Time of each spike in ms, ascending, float64 of shape [n_spikes].
        cells: Which cell of the population it was, int64 of shape [n_spikes].
        size: Number of cells that were recorded.
        duration: Length of the run in ms.
        chosen: Which cells were recorded, int64 [n_cells]; None for all.
        problems: Which problem of a batch it was, int64 of shape [n_spikes, n_batch_axes]; None
            without a batch.
        batch: Sizes of the batch axes.
        start: When the run began, in ms.
        kept: What was kept with each spike, by `with_`: values [n_spikes] and their unit, by name.
    """

    def __init__(
        self,
        times: Array,
        cells: Array,
        size: int,
        duration: float,
        chosen: Array | None = None,
        batch: tuple[int, ...] = (),
        start: float = 0.0,
        kept: Mapping[str, tuple[Array, str]] = MappingProxyType({}),
    ) -> None:
        self.start, self.kept = start, dict(kept)
        self.times, self.size, self.duration = times, size, duration
        self.chosen, self.batch = chosen, batch
        self.cells = cells[:, -1] if batch else cells
        self.problems = cells[:, :-1] if batch else None

    def __len__(self) -> int:
        return len(self.times)

    def __getitem__(self, name: str) -> xr.DataArray:
        """Return the values of a variable that were kept with the spikes, with their unit.

        They are labelled with the `time` and the `cell` of each spike.

        Raises:
            UnknownNameError: They were not kept.
        """
        if not is_among(name, self.kept):
            hint = nearest(name, self.kept) or " Record them: pn.spikes.with_('v')."
            raise UnknownNameError(f"{shown(name)} was not kept with the spikes.{hint}")
        values, unit = self.kept[name]
        labels = {"time": ("spike", self.times), "cell": ("spike", self.cells)}
        return xr.DataArray(values, labels, ("spike",), name, {"units": unit})

    def _places(self) -> Array:
        """Return the place of each spike's cell among those recorded."""
        if self.chosen is None:
            return self.cells
        order = np.argsort(self.chosen)
        return order[np.searchsorted(self.chosen, self.cells, sorter=order)]

    def counts(self) -> Array:
        """Return the number of spikes of each recorded cell, int64 of shape [..., n_cells]."""
        places = self._places()
        if self.problems is None:
            return np.bincount(places, minlength=self.size)
        shape = (*self.batch, self.size)
        flat = np.ravel_multi_index((*self.problems.T, places), shape)
        return np.bincount(flat, minlength=math.prod(shape)).reshape(shape)

    def rates(self) -> Array:
        """Return the mean rate of each cell over the run in Hz, float64 of shape [..., n_cells]."""
        return self.counts() * (1000.0 / self.duration)

    def problem(self, *index: int) -> "SpikeTrains":
        """Return the spikes of one problem of a batch.

        Args:
            index: Its index along each batch axis.

        Raises:
            RunError: There is no such problem.
        """
        fits = len(index) == len(self.batch) and all(map(is_whole, index))
        if not fits or any(not 0 <= k < n for k, n in zip(index, self.batch, strict=True)):
            raise RunError(
                f"problem {shown(index)} is not in the batch, whose axes are {list(self.batch)}."
            )
        if self.problems is None:
            return self
        mine = (self.problems == np.array(index)).all(axis=1)
        return SpikeTrains(
            self.times[mine],
            self.cells[mine],
            self.size,
            self.duration,
            self.chosen,
            (),
            self.start,
            {name: (values[mine], unit) for name, (values, unit) in self.kept.items()},
        )

    def trains(self) -> list[Array]:
        """Return the spike times of each cell in ms, a list of arrays.

        Raises:
            RunError: There is a batch.
        """
        if self.batch:
            raise RunError("spikes of a batch: choose one of it first, such as .problem(0).")
        places = self._places()
        order = np.argsort(places, kind="stable")
        return np.split(self.times[order], np.cumsum(self.counts())[:-1])

    def _annotations(self) -> list[dict[str, Array]]:
        """Return what was kept with the spikes of each cell, as `trains` returns their times."""
        order, ends = np.argsort(self._places(), kind="stable"), np.cumsum(self.counts())[:-1]
        split = {n: np.split(values[order], ends) for n, (values, _) in self.kept.items()}
        return [{n: parts[k] for n, parts in split.items()} for k in range(self.size)]

    def to_neo(self) -> list[Any]:
        """Return one `neo.SpikeTrain` a cell, for Elephant and NWB.

        Raises:
            ImportError: The package neo is not installed (`pip install somaflow[neo]`).
        """
        try:
            import neo  # noqa: PLC0415 - optional
        except ImportError as error:
            raise ImportError("to_neo needs the package neo: pip install somaflow[neo]") from error
        make: Any = neo.SpikeTrain
        cells = np.arange(self.size) if self.chosen is None else self.chosen
        return [
            make(
                train,
                units="ms",
                t_start=self.start,
                t_stop=self.start + self.duration,
                cell=int(cell),
                array_annotations=kept,
            )
            for cell, train, kept in zip(cells, self.trains(), self._annotations(), strict=True)
        ]

    def __repr__(self) -> str:
        return f"SpikeTrains({len(self)} spikes of {self.size} cells in {self.duration:g} ms)"


class Occurrences:
    """Where an event happened.

    Attributes:
        t: Time of each, a tensor [n_events]; differentiable.
        y: The state at each, before any change, a nest of tensors with the events along the
            first axis; differentiable.
        problems: Index of the problem of each in the batch, int64 [n_events, n_batch_axes]; None
            without a batch.
    """

    def __init__(self, t: Tensor, y: Any, problems: Array | None) -> None:
        self.t, self.y, self.problems = t, y, problems

    @property
    def times(self) -> Array:
        """Time of each, float64 [n_events]."""
        return np.asarray(self.t)

    def __len__(self) -> int:
        return len(self.times)

    def __repr__(self) -> str:
        return f"Occurrences({len(self)} at {np.array2string(self.times, threshold=6)})"


class Solution:
    """The results of a run.

    `solution["PN.v"]` is a labelled array with dimensions `time` and `cell`; `["PN.spikes"]` are
    `SpikeTrains`. Where samples end before the run, since its length is no multiple of their
    interval, `solution["PN.v"].attrs["ends"]` says so.

    Attributes:
        meta: Versions, seed, dt, solver, dtype and what the run was of; of `solve` the equations
            if they were text, and never y0, args or a function.
        statistics: Numbers of steps, cells and synapses; seconds of compiling and of running;
            `samples_end_ms`, the last sample of each recording that ends before the run. Of
            `solve`: steps accepted and rejected, evaluations of f in them (not for
            `ImplicitEuler`, whose iteration sets it), the smallest step; arrays for a batch.
        status: How the run ended, a sentence.
        y: Of `solve`: the state in the structure of `y0`, tensors with the samples along the first
            axis, differentiable; else None.
        events: Of `solve`: an `Occurrences` for each event, by name.
        final: Of `simulate`: the whole state at the end, for `initial=` of a run that goes on.
    """

    def __init__(
        self,
        columns: tuple[Column, ...],
        sink: Sink,
        duration: float,
        meta: dict[str, Any] | Callable[[], dict[str, Any]],
        statistics: dict[str, Any],
        status: str = "complete",
        y: object = None,
        events: dict[str, Occurrences] | None = None,
        final: Any = None,
    ) -> None:
        self.final = final
        self._columns = {column.key: column for column in columns}
        self._sink, self.duration = sink, duration
        self._meta, self.statistics = meta, statistics
        self.status, self._y, self.events = status, y, events or {}

    @property
    def y(self) -> Any:
        """Of `solve`: the state in the structure of `y0`, tensors; else None."""
        if callable(self._y):
            self._y = self._y()
        return self._y

    @property
    def meta(self) -> dict[str, Any]:
        """What the run was of, and made with; written out when it is asked for."""
        if callable(self._meta):
            self._meta = self._meta()
        return self._meta

    def __getstate__(self) -> dict[str, Any]:
        return vars(self) | {"_meta": self.meta}  # what would write it out may have no pickle

    def keys(self) -> list[str]:
        """Return what was recorded."""
        return list(self._columns)

    def __contains__(self, key: object) -> bool:
        return is_among(key, self._columns)

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __getitem__(self, key: str) -> Any:
        """Return one recording.

        Raises:
            UnknownNameError: It was not recorded.
        """
        return self.read(key)

    def read(self, key: str, start: Duration | None = None, stop: Duration | None = None) -> Any:
        """Return one recording, or part of it; of a store no other samples are read.

        Args:
            key: What was recorded, such as `"PN.v"`.
            start: First time to return, in ms if it is a pure number; None from the beginning.
            stop: The time to stop before; None to the end.

        Returns:
            As `solution[key]`.

        Raises:
            UnknownNameError: It was not recorded.
            RunError: No part of the run lies between the two.
            WrongTypeError, UnitError: A time is none.
        """
        if not is_among(key, self._columns):
            raise UnknownNameError(f"{shown(key)} was not recorded.{nearest(key, self._columns)}")
        column = self._columns[key]
        begin, end = self._part(column, start, stop)
        # Without a stop, what is at the very end belongs to it.
        edges = (None if start is None else begin, None if stop is None else end)
        if column.shape is not None:
            return self._labelled(column, "", _rows(column, *edges))
        cells = np.array(column.cells or (), np.int64)
        chosen = None if np.array_equal(cells, np.arange(len(cells))) else cells
        times, places = self._sink.read_spikes(key)
        inside = EVERY if edges == (None, None) else _between(times, *edges)
        kept = {
            part.name: (self._sink.read(f"{key}.{part.name}")[inside], part.unit)
            for part in column.alongside
        }
        return SpikeTrains(
            *(times[inside], places[inside], len(cells), end - begin),
            *(chosen, column.batch, begin, kept),
        )

    def _part(
        self, column: Column, start: Duration | None, stop: Duration | None
    ) -> tuple[float, float]:
        """Return the times between which a recording is asked for, as far as it goes."""
        unit = self._time_unit
        begin, end = column.start, column.start + self.duration
        if column.times is not None and len(column.times):
            # The last time is within, even where it is the only one.
            begin, end = float(np.min(column.times)), np.nextafter(np.max(column.times), np.inf)
        first = begin if start is None else max(begin, scalar(start, unit, "start"))
        last = end if stop is None else min(end, scalar(stop, unit, "stop"))
        if last <= first:
            raise RunError(
                f"there is nothing from start = {shown(start)} to stop = {shown(stop)}: the run "
                f"goes from {begin:g} to {end:g} {unit}."
            )
        return first, last

    def _labelled(self, column: Column, prefix: str, rows: slice = EVERY) -> xr.DataArray:
        # A sink of a user's own need not know of parts.
        values = self._sink.read(column.key, *([] if rows == EVERY else [rows]))
        time = f"{prefix}time"
        coordinates: dict[str, object] = {
            time: (
                time,
                column.start + (np.arange(len(values)) + (rows.start or 0)) * column.interval
                if column.times is None
                else column.times[rows],
                {"units": self._time_unit},
            )
        }
        if column.cells is not None:
            coordinates[f"{prefix}cell"] = np.array(column.cells, np.int64)
        for c in column.coordinates:
            label = (f"{prefix}{c.axis}", c.values, {"units": c.unit})
            coordinates[f"{prefix}{c.name}"] = label
        return xr.DataArray(
            values,
            dims=(time, *(f"{prefix}{axis}" for axis in column.axes)),
            coords=coordinates,
            name=column.key,
            attrs={"units": column.unit} | self._end(column, rows),
        )

    def _end(self, column: Column, rows: slice) -> dict[str, str]:
        """Return where samples end that do so before the run."""
        end = column.start + self.duration
        if rows.stop is not None or not column.ends_before(end):
            return {}
        left = f"{end - column.last:.6g} {self._time_unit}"
        return {"ends": f"at {column.last:.10g} {self._time_unit}, {left} before the run's end"}

    @property
    def _time_unit(self) -> str:
        # Only `solve` has another one, and has it written out.
        return "ms" if callable(self._meta) else self._meta.get("time_unit", "ms")

    @property
    def time(self) -> Array:
        """Times of the samples, in ms unless `solve` was given pure numbers."""
        times = {
            (column.rows, column.interval, id(column.times))
            for column in self._columns.values()
            if column.shape is not None
        }
        if len(times) != 1:
            raise UnknownNameError("the recordings have different times; use run[key].time.")
        key = next(key for key, column in self._columns.items() if column.shape is not None)
        return np.asarray(self[key].time)

    def to_xarray(self) -> xr.Dataset:
        """Return everything as one dataset, laid out as in a Zarr store.

        Each recording has dimensions of its own, such as `PN.v.time` and `PN.v.cell`; spikes are
        two arrays, `PN.spikes.times` and `PN.spikes.cells`; of a batch, the latter has for each
        spike its indices along the batch axes and its cell.
        """
        return self.arrays().assign_attrs(self.meta)

    def arrays(self) -> xr.Dataset:
        """Return the dataset of `to_xarray` without what it tells of the run."""
        arrays: dict[str, object] = {}
        for key, column in self._columns.items():
            if column.shape is not None:
                arrays[key] = self._labelled(column, f"{key}.")
                continue
            times, cells = self._sink.read_spikes(key)
            arrays[f"{key}.times"] = (f"{key}.times.spike", times, {"units": "ms"})
            axes = (f"{key}.cells.spike", *(["index"] if column.batch else ()))
            arrays[f"{key}.cells"] = (axes, cells, {"units": "1"})
            for part in column.alongside:
                name, unit = f"{key}.{part.name}", {"units": part.unit}
                arrays[name] = (f"{name}.spike", self._sink.read(name), unit)
        return xr.Dataset(arrays)

    def __repr__(self) -> str:
        unit = "" if self._time_unit == "1" else f" {self._time_unit}"
        names = [
            f"{key} to {column.last:.10g}{unit}"
            if column.ends_before(column.start + self.duration)
            else key
            for key, column in self._columns.items()
        ]
        return f"Solution({', '.join(names)}; {self.duration:g}{unit})"


def _rows(column: Column, begin: float | None, end: float | None) -> slice:
    """Return which samples lie between two times, the second one left out."""
    if begin is None and end is None:
        return EVERY
    if column.times is not None:  # which descend where a solve goes backwards
        low, high = -np.inf if begin is None else begin, np.inf if end is None else end
        inside = np.flatnonzero((column.times >= low) & (column.times < high))
        return slice(int(inside[0]), int(inside[-1]) + 1) if len(inside) else slice(0, 0)
    edges = [
        None if t is None else math.ceil((t - column.start) / column.interval - _NEAR)
        for t in (begin, end)
    ]
    return slice(*edges)


def _between(times: Array, begin: float | None, end: float | None) -> slice:
    """Return where times that ascend lie between two."""
    first = 0 if begin is None else int(np.searchsorted(times, begin - _NEAR))
    return slice(first, len(times) if end is None else int(np.searchsorted(times, end - _NEAR)))
