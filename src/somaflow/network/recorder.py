"""Recorders: what to keep of a run, how often, and of which cells."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from somaflow import units
from somaflow.description import Description
from somaflow.errors import NetworkError, WrongTypeError


def check_cells(cells: Any) -> NDArray[np.int64]:
    """Return indices of cells as an array that nobody can change.

    Raises:
        WrongTypeError: They are not a list of whole numbers.
    """
    try:
        array = np.array(cells)
    except ValueError:
        array = np.array(None)
    if array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
        raise WrongTypeError(f"cells are given as a list of indices, not {cells!r}.")
    array = array.astype(np.int64)
    array.flags.writeable = False
    return array


@dataclass(frozen=True, eq=False)
class Recorder(Description):
    """One recording. Usually made as `pn["v"].every(1*ms)`, `pn["v"].mean()` or `pn.spikes`.

    Attributes:
        population: Name of the population.
        variable: A state or a definition of its equations, or `"spikes"`.
        cells: Indices of the cells, or None for all.
        interval: Time between samples in ms, or None for every step.
        reduction: None, or `"mean"` over the cells.
    """

    population: str
    variable: str
    cells: NDArray[np.int64] | None = None
    interval: float | None = None
    reduction: str | None = None

    def __post_init__(self) -> None:
        for text in (self.population, self.variable):
            if not isinstance(text, str):
                raise WrongTypeError(f"a recorder names a population and a variable, not {text!r}.")
        if self.reduction not in (None, "mean"):
            raise NetworkError(f"the reduction is 'mean' or None, not {self.reduction!r}.")
        if self.interval is not None:
            interval = units.scalar(self.interval, "ms", "every", positive=True)
            object.__setattr__(self, "interval", interval)
        if self.cells is not None and self.variable == "spikes":
            raise NetworkError(
                "spikes are recorded of a whole population; record them and choose cells from the "
                "result, by run[key].cells."
            )
        if self.cells is not None:
            object.__setattr__(self, "cells", check_cells(self.cells))

    @property
    def key(self) -> str:
        """The name in the results, such as `PN.v` or `LN.v.mean`."""
        tail = f".{self.reduction}" if self.reduction else ""
        return f"{self.population}.{self.variable}{tail}"

    def every(self, interval: Any) -> "Recorder":
        """Return the recorder with a sample at each multiple of an interval.

        Args:
            interval: A time; a whole number of steps of the run.

        Raises:
            UnitError: It is not a time.
            MissingValueError: It is not greater than 0.
            NetworkError: Spikes, which have times of their own, are not sampled.
        """
        if self.variable == "spikes":
            raise NetworkError("spikes have times of their own; record them without every().")
        return replace(self, interval=units.scalar(interval, "ms", "every", positive=True))

    def mean(self) -> "Recorder":
        """Return the recorder of the average over its cells.

        Raises:
            NetworkError: Spikes have no mean.
        """
        if self.variable == "spikes":
            raise NetworkError("spikes have no mean; take rates() of the result.")
        return replace(self, reduction="mean")
