"""Solution: labelled arrays and spike trains, and all that is needed to repeat the run."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import xarray as xr

from somaflow.errors import UnknownNameError, nearest
from somaflow.simulation.sinks import Column, Sink
from somaflow.simulation.system import Array


class SpikeTrains:
    """The spikes of a population.

    Attributes:
        times: Time of each spike in ms, ascending, float64 of shape [n_spikes].
        cells: Which cell it was, int64 of shape [n_spikes].
        size: Number of cells.
        duration: Length of the run in ms.
    """

    def __init__(self, times: Array, cells: Array, size: int, duration: float) -> None:
        self.times, self.cells, self.size, self.duration = times, cells, size, duration

    def __len__(self) -> int:
        return len(self.times)

    def counts(self) -> Array:
        """Return the number of spikes of each cell, int64 of shape [n_cells]."""
        return np.bincount(self.cells, minlength=self.size)

    def rates(self) -> Array:
        """Return the mean rate of each cell over the run in Hz, float64 of shape [n_cells]."""
        return self.counts() * (1000.0 / self.duration)

    def trains(self) -> list[Array]:
        """Return the spike times of each cell in ms, a list of arrays."""
        order = np.argsort(self.cells, kind="stable")
        return np.split(self.times[order], np.cumsum(self.counts())[:-1])

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
        return [
            make(train, units="ms", t_start=0.0, t_stop=self.duration, cell=cell)
            for cell, train in enumerate(self.trains())
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

    def __init__(self, t: Any, y: Any, problems: Array | None) -> None:
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
    `SpikeTrains`.

    Attributes:
        meta: Versions, seed, dt, solver, dtype and what the run was of; of `solve` the equations
            if they were text, and never y0, args or a function.
        statistics: Numbers of steps, cells and synapses; seconds of compiling and of running. Of
            `solve`: steps accepted and rejected, evaluations of f in them (not for
            `ImplicitEuler`, whose iteration sets it), the smallest step; arrays for a batch.
        status: How the run ended, a sentence.
        y: Of `solve`: the state in the structure of `y0`, tensors with the samples along the first
            axis, differentiable; else None.
        events: Of `solve`: an `Occurrences` for each event, by name.
    """

    def __init__(
        self,
        columns: tuple[Column, ...],
        sink: Sink,
        duration: float,
        meta: dict[str, Any],
        statistics: dict[str, Any],
        status: str = "complete",
        y: Any = None,
        events: dict[str, Occurrences] | None = None,
    ) -> None:
        self._columns = {column.key: column for column in columns}
        self._sink, self.duration = sink, duration
        self.meta, self.statistics = meta, statistics
        self.status, self._y, self.events = status, y, events or {}

    @property
    def y(self) -> Any:
        """Of `solve`: the state in the structure of `y0`, tensors; else None."""
        if callable(self._y):
            self._y = self._y()
        return self._y

    def keys(self) -> list[str]:
        """Return what was recorded."""
        return list(self._columns)

    def __contains__(self, key: object) -> bool:
        return key in self._columns

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __getitem__(self, key: str) -> Any:
        """Return one recording.

        Raises:
            UnknownNameError: It was not recorded.
        """
        if key not in self._columns:
            raise UnknownNameError(f"{key!r} was not recorded.{nearest(str(key), self._columns)}")
        column = self._columns[key]
        if column.shape is None:
            size = len(column.cells or ())
            return SpikeTrains(*self._sink.read_spikes(key), size, self.duration)
        return self._labelled(column, "")

    def _labelled(self, column: Column, prefix: str) -> xr.DataArray:
        values = self._sink.read(column.key)
        time = f"{prefix}time"
        coordinates: dict[str, Any] = {
            time: (
                time,
                np.arange(len(values)) * column.interval if column.times is None else column.times,
                {"units": self._time_unit},
            )
        }
        if column.cells is not None:
            coordinates[f"{prefix}cell"] = np.array(column.cells, np.int64)
        return xr.DataArray(
            values,
            dims=(time, *(f"{prefix}{axis}" for axis in column.axes)),
            coords=coordinates,
            name=column.key,
            attrs={"units": column.unit},
        )

    @property
    def _time_unit(self) -> str:
        return self.meta.get("time_unit", "ms")

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
        two arrays, `PN.spikes.times` and `PN.spikes.cells`.
        """
        arrays: dict[str, Any] = {}
        for key, column in self._columns.items():
            if column.shape is not None:
                arrays[key] = self._labelled(column, f"{key}.")
                continue
            times, cells = self._sink.read_spikes(key)
            arrays[f"{key}.times"] = (f"{key}.times.spike", times, {"units": "ms"})
            arrays[f"{key}.cells"] = (f"{key}.cells.spike", cells, {"units": "1"})
        return xr.Dataset(arrays, attrs=self.meta)

    def __repr__(self) -> str:
        unit = "" if self._time_unit == "1" else f" {self._time_unit}"
        return f"Solution({', '.join(self._columns)}; {self.duration:g}{unit})"
