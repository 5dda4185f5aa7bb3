"""Spike sources: cells without a membrane, whose spikes are drawn or given.

One of them is the model of a population, which can then be presynaptic in projections.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from somaflow import units
from somaflow.description import Description
from somaflow.equations.drawing import Distribution
from somaflow.equations.equations import Equations
from somaflow.equations.expression import names, parse
from somaflow.errors import EquationError, NetworkError, UnitError, WrongTypeError
from somaflow.network.fields import Field, default
from somaflow.network.random import PARAMETER, named, seeded
from somaflow.network.recorder import check_cells
from somaflow.network.waveforms import Course, per_cell
from somaflow.units import Parameter

Rate = Course | Parameter | Distribution
# Equations are never empty; those of cells that have none say nothing.
NO_EQUATIONS = Equations("nothing = 0 : 1", {}, {})


@dataclass(frozen=True, eq=False)
class SpikeSourcePoisson(Description):
    """Cells that spike at random, each by itself, at a rate that may change over time.

    In each step a cell spikes at most once, with probability rate*dt, at a place within the step
    that is drawn evenly. So the mean rate is `rate` at any dt, and the variance of a count is that
    of a Poisson process times 1 - rate*dt (0.1 % less at 10 Hz and dt = 0.1 ms, a tenth at 1 kHz).
    A run refuses rate*dt above 0.5; `PoissonInput` has no such bound. The numbers come from the
    run's seed and the population's name.

    Args:
        rate: In Hz: one number, one for each cell, or a distribution; or a `Step`, `Ramp`,
            `SaturatingPulse` or `Waveform` in Hz, of which each step takes the value at its
            middle, or the mean where it begins, ends or jumps within the step.

    Raises:
        UnitError: It is no rate.
        NetworkError: It is negative somewhere.
    """

    rate: Field[Rate]

    def __post_init__(self) -> None:
        object.__setattr__(self, "rate", checked_rate(self.rate, "SpikeSourcePoisson"))

    def of(self, name: str, size: int) -> "SpikeSourcePoisson":
        """Return the source with the rates of a population drawn.

        Args:
            name: The population.
            size: How many cells it has.

        Raises:
            NetworkError: There are rates for another number of cells, or a negative one is drawn.
        """
        rate = self.rate
        if isinstance(rate, Distribution):
            cells = np.arange(size), np.zeros((), np.int64)
            rate = seeded(rate, 0, "population", name, "rate")
            return replace(self, rate=rate.draw(cells, (PARAMETER, *named("rate"))))
        check_rates(rate, name, size)
        return self

    def seeded(self, name: str, seed: int) -> "SpikeSourcePoisson":
        """Return the source as a network of this seed draws its rates."""
        rate = seeded(self.rate, seed, "population", name, "rate")
        return self if rate is self.rate else replace(self, rate=rate)

    @property
    def highest(self) -> float:
        """The highest rate of any cell at any time, in 1/ms."""
        return highest_rate(self.rate)


def checked_rate(rate: object, kind: str) -> Rate:
    """Return a rate: a course, a distribution, or one number or one for each cell.

    Args:
        rate: What was given.
        kind: Of what it is the rate.

    Raises:
        UnitError: It is no rate.
        NetworkError: It is negative somewhere.
    """
    what = "waveform" if isinstance(rate, Course) else "distribution of rates"
    if isinstance(rate, Course | Distribution):
        if units.dimensions(rate.unit) != units.dimensions("Hz"):
            raise UnitError(f"the rate of a {kind} is in {rate.unit}; give a {what} in Hz.")
        lowest = rate.extremes[0] if isinstance(rate, Course) else 0.0
    else:
        if isinstance(rate, str) and _is_expression(rate):
            raise WrongTypeError(
                f"the rate of a {kind} is a number or a waveform, not the expression {rate!r}. "
                "Cells whose rate is one are a population without dx/dt: sf.Population(name, n, "
                f"sf.Equations.parse('rate = {rate} : Hz', ...), threshold='rand() < rate*dt'), "
                "where links= says what is read of other cells."
            )
        rate = per_cell(rate, "Hz", "rate", kind)
        lowest = float(rate.value.min(initial=0))
    if lowest < 0:
        raise NetworkError(
            f"the rate of a {kind} is {lowest / units.factor('Hz'):g} Hz somewhere; give at least "
            "0 Hz."
        )
    return rate


def _is_expression(text: str) -> bool:
    """Tell whether a text names anything but units."""
    try:
        return bool(names(parse(text)) - units.NAMES.keys())
    except EquationError:
        return False


def check_rates(rate: Rate, name: str, size: int) -> None:
    """Refuse rates that are given for another number of cells.

    Args:
        rate: Of `checked_rate`, and no distribution.
        name: Whose rates they are.
        size: How many cells there are.

    Raises:
        NetworkError: There are others.
    """
    for count in rate.sizes if isinstance(rate, Course) else rate.value.shape:
        if count != size:
            raise NetworkError(f"{name!r} has {count} rates for {size} cells.")


def highest_rate(rate: Rate) -> float:
    """Return the highest rate of any cell at any time, in 1/ms."""
    return rate.extremes[1] if isinstance(rate, Course) else float(rate.value.max(initial=0))


@dataclass(frozen=True, eq=False)
class SpikeSourceArray(Description):
    """Cells that spike at given times.

    A time on the border of two steps belongs to the step that begins there, and so to the run, or
    the part of a run, that begins there: of the times from its start on, up to its end, each run
    has all. Times after that have no effect, and a run warns of times before its start.

    Args:
        times: The time of each spike in ms, shape [n_spikes], in any order.
        cells: The cell of each spike, whole numbers of shape [n_spikes]; as in `run["PN.spikes"]`,
            whose `times` and `cells` can be given here. Default: all cells have all spikes.

    Raises:
        NetworkError: A time is negative, or there are not as many cells as times.
        UnitError, WrongTypeError: They are no times, or no cells.
    """

    times: Field[Parameter]
    cells: Field[NDArray[np.int64] | None] = default(None)

    def __post_init__(self) -> None:
        times: object = self.times
        if isinstance(times, (list, tuple)) and any(map(_is_several, times)):
            raise WrongTypeError(
                "the times of a SpikeSourceArray are one list; give cells=[...], the cell of each."
            )
        moments = units.parameter(times, "ms", "times", "SpikeSourceArray")
        if moments.value.ndim != 1:
            raise NetworkError(
                f"the times of a SpikeSourceArray have shape [n_spikes], not {moments.value.shape}."
            )
        if (moments.value < 0).any():
            raise NetworkError(
                f"a spike of a SpikeSourceArray is at {moments.value.min():g} ms; a run begins at "
                "0."
            )
        object.__setattr__(self, "times", moments)
        if self.cells is None:
            return
        cells = check_cells(self.cells)
        if len(cells) != len(moments.value):
            raise NetworkError(
                f"a SpikeSourceArray has {len(moments.value)} times and {len(cells)} cells; give "
                "the cell of each spike."
            )
        object.__setattr__(self, "cells", cells)

    def of(self, name: str, size: int) -> "SpikeSourceArray":
        """Return the source, checked for a population.

        Args:
            name: The population.
            size: How many cells it has.

        Raises:
            NetworkError: A spike belongs to a cell that it has not.
        """
        if self.cells is not None:
            for bad in self.cells[(self.cells < 0) | (self.cells >= size)][:1]:
                raise NetworkError(
                    f"a spike of {name!r} belongs to cell {bad}: there are {size} "
                    f"(0 to {size - 1})."
                )
        return self

    def seeded(self, name: str, seed: int) -> "SpikeSourceArray":
        """Return the source, in which nothing is random."""
        return self

    def spikes(self, size: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Return the time in ms and the cell of each spike of so many cells."""
        if self.cells is not None:
            return self.times.value, self.cells
        times = self.times.value
        return np.repeat(times, size), np.tile(np.arange(size), len(times))


def _is_several(times: object) -> bool:
    """Return whether an entry of a list of times is no single one."""
    return isinstance(times, (list, tuple)) or bool(getattr(times, "ndim", 0))


Source = SpikeSourcePoisson | SpikeSourceArray
