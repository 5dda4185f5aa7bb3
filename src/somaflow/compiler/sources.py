"""Spike sources: when cells without a membrane spike in each step."""

import numpy as np
import tensorflow as tf

from somaflow.compiler.columns import Columns, course_of, width_of
from somaflow.compiler.layout import padded
from somaflow.compiler.states import DriveConstants, DriveContext, Tensors, Tick
from somaflow.errors import NetworkError
from somaflow.network.network import Network
from somaflow.network.population import Population
from somaflow.network.sources import SpikeSourceArray, SpikeSourcePoisson
from somaflow.network.waveforms import Course, rounding
from somaflow.numerics.device import materialize
from somaflow.numerics.random import Key, uniforms_of
from somaflow.numerics.types import Tensor
from somaflow.simulation.system import Array
from somaflow.units import factor

# Of rate*dt, which is the probability of a spike in a step: beyond, trains are far more regular
# than those of a Poisson process.
_MOST = 0.5


class Sources:
    """The spike sources of a network.

    Args:
        network: The network.
        dt: The step in ms.
        duration: Time at the end of the run in ms.
        dtype: NumPy type of the run.
        steps: The table of what holds for a whole step.

    Attributes:
        places: Index of each population of sources.
        names: Its name.

    Raises:
        NetworkError: A rate is too high for the step, or a cell has two spikes in one.
    """

    def __init__(
        self, network: Network, dt: float, duration: float, dtype: np.dtype, steps: Columns
    ) -> None:
        self.of: dict[int, _Poisson | _Listed] = {}
        for k, population in enumerate(network.populations):
            match population.source:
                case SpikeSourcePoisson():
                    self.of[k] = _Poisson(population, dt, dtype, steps)
                case SpikeSourceArray():
                    self.of[k] = _Listed(population, dt, duration, dtype, steps)
        self.places = tuple(self.of)
        self.names = tuple(network.populations[k].name for k in self.places)

    def parameters(self) -> list[dict[str, Array]]:
        """Return of each population of sources what the compiled functions take as arguments."""
        return [source.parameters() for source in self.of.values()]

    def since(self, k: int, tick: Tick, context: DriveContext, prepared: DriveConstants) -> Tensor:
        """Return the time from each spike to the step's end, `[padded size]`; 0 for no spike."""
        place = self.places.index(k)
        values, key = prepared.parameters.sources[place], prepared.source_keys[place]
        return materialize(self.of[k].since(tick, context.given, values, key))


class _Poisson:
    """Spikes at random."""

    unseen = ("rate",)

    def __init__(self, population: Population, dt: float, dtype: np.dtype, steps: Columns) -> None:
        source = population.source
        assert isinstance(source, SpikeSourcePoisson)
        self.rate, self.dt, self.dtype = source.rate, dt, dtype
        self.size, self.width = population.size, padded(population.size)
        self.cells = population.first, population.first + self.width
        if source.highest * dt > _MOST:
            raise NetworkError(
                f"a cell of {population.name!r} spikes at most once a step: a rate of "
                f"{source.highest / factor('Hz'):g} Hz is too high for a dt of {dt:g} ms; take "
                f"dt below {_MOST / source.highest:.3g} ms, or more cells at a lower rate, or a "
                "sf.PoissonInput, which counts its spikes."
            )
        self.columns = None
        if isinstance(self.rate, Course):
            course = course_of(self.rate, np.arange(self.size), self.size, dt)

            def at_middle(times: Array, middle: Array) -> Array:
                return course(middle, middle)

            self.columns = steps.add(width_of(self.rate, self.size), at_middle)

    def parameters(self) -> dict[str, Array]:
        # No cell that only fills the block spikes.
        values = np.zeros(self.width)
        rate = self.rate.amplitude if isinstance(self.rate, Course) else self.rate
        values[: self.size] = rate.value * self.dt
        return {"probability": values}

    def since(self, tick: Tick, given: Tensor, values: Tensors, key: Key) -> Tensor:
        probability = values["probability"]
        if self.columns is not None:
            probability = probability * given[self.columns]
        drawn, place = uniforms_of(key, tick.step, tf.range(*self.cells), self.dtype)
        return tf.where(drawn < probability, self.dt * place, tf.zeros_like(place))


class _Listed:
    """Spikes at given times: the spikes of each step stand in a few columns, or all cells do."""

    unseen = ("step", "cells", "since_end")

    def __init__(
        self, population: Population, dt: float, duration: float, dtype: np.dtype, steps: Columns
    ) -> None:
        self.dtype, self.width = dtype, padded(population.size)
        source = population.source
        assert isinstance(source, SpikeSourceArray)
        times, cells = source.spikes(population.size)
        step, since_end = _steps(times, dt)
        last = round(duration / dt)
        kept = np.flatnonzero(step < last)
        order = kept[np.lexsort((cells[kept], step[kept]))]
        self.step, self.cells, self.since_end = step[order], cells[order], since_end[order]
        twice = (np.diff(self.step) == 0) & (np.diff(self.cells) == 0)
        for n in np.flatnonzero(twice)[:1]:
            both = " and ".join(f"{time:.10g}" for time in sorted(times[order[n : n + 2]]))
            raise NetworkError(
                f"cell {self.cells[n]} of {population.name!r} has two spikes in one step of "
                f"{dt:g} ms, at {both} ms; take a smaller dt, or leave one out."
            )
        self.dt = dt
        # Of all times, also of those behind the run's end, and a power of 2: so that few other
        # times or durations ask for another list. Not bincount, whose table is as long as the run.
        most = int(np.unique(step, return_counts=True)[1].max(initial=0))
        most = 1 << (most - 1).bit_length() if most else 0
        # A spike in a list costs about as much as eight cells in a row.
        self.listed = most if 8 * most < self.width else None
        self.columns = steps.add(2 * most if self.listed is not None else self.width, self._fill)

    def parameters(self) -> dict[str, Array]:
        return {}

    def _fill(self, times: Array, middle: Array) -> Array:
        step = np.rint(middle / self.dt - 0.5).astype(np.int64)
        begin, end = np.searchsorted(self.step, (step[0], step[-1] + 1))
        row = self.step[begin:end] - step[0]
        cells, since = self.cells[begin:end], self.since_end[begin:end]
        if self.listed is None:
            table = np.zeros((len(step), self.width))
            table[row, cells] = since
            return table
        table = np.zeros((len(step), 2, self.listed))
        table[:, 0] = self.width  # beyond the last cell
        nth = np.arange(len(row)) - np.searchsorted(row, row)
        table[row, 0, nth], table[row, 1, nth] = cells, since
        return table.reshape(len(step), 2 * self.listed)

    def since(self, tick: Tick, given: Tensor, values: Tensors, key: Key) -> Tensor:
        row = given[self.columns]
        if self.listed is None:
            return row
        if not self.listed:
            return tf.zeros([self.width], self.dtype)
        cells, since = tf.cast(row[: self.listed], tf.int32), row[self.listed :]
        whole = tf.zeros([self.width + 1], self.dtype)
        return tf.tensor_scatter_nd_update(whole, cells[:, None], since)[: self.width]


def count_before(source: SpikeSourceArray, dt: float, begin: int) -> int:
    """Return how many of the times that are given lie before a step.

    Args:
        source: The source.
        dt: The step in ms.
        begin: Number of the step.
    """
    return int((_steps(source.times.value, dt)[0] < begin).sum())


def _steps(times: Array, dt: float) -> tuple[Array, Array]:
    """Return the step of each time, and the time from it to the step's end.

    A step holds the times from its start on, up to where the next one starts: so does a part of a
    run, and no spike belongs to two of them or to none.
    """
    place = times / dt
    border = np.rint(place)
    on_border = np.abs(place - border) <= rounding(place)
    step = np.where(on_border, border, np.floor(place))
    since = np.where(on_border, dt, (step + 1) * dt - times)
    return step.astype(np.int64), np.minimum(since, dt)
