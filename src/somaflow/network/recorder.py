"""Recorders: what to keep of a run, how often, and of which cells or synapses."""

import inspect
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from somaflow import given, units
from somaflow.description import Description
from somaflow.errors import NetworkError, WrongTypeError
from somaflow.given import is_among, shown
from somaflow.network.fields import Field, default
from somaflow.units import Parameter

OVER_CELLS = ("mean", "sum", "histogram")
OVER_TIME = ("mean", "max", "min")
SPIKES = "spikes"


def refuse_times(indices: object) -> None:
    """Refuse indices that have a unit.

    Raises:
        WrongTypeError: They have.
    """
    if given.has_unit(indices):
        raise WrongTypeError(
            f"cells are indices, without a unit, and not times: {shown(indices)}. Where there are "
            "both, the times come first: sf.SpikeSourceArray(times, cells=[...])."
        )


def uncalled(value: object) -> str | None:
    """Say how a method that makes a recorder is called, or None where a value is none."""
    if not inspect.ismethod(value):
        return None
    argument = {"rate": "1*ms", "every": "1*ms", "event": "'burst'"}.get(value.__name__, "")
    if value.__name__ == "rate" and isinstance(value.__self__, Recorder):
        argument = ""
    return f"the method {value.__name__}: call it, .{value.__name__}({argument})"


def check_cells(cells: object) -> NDArray[np.int64]:
    """Return indices of cells as an array that nobody can change.

    Raises:
        WrongTypeError: They are not a list of whole numbers.
    """
    refuse_times(cells)
    array = given.array(cells)
    if array is None or array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
        raise WrongTypeError(f"cells are given as a list of indices, not {shown(cells)}.")
    array = array.astype(np.int64)
    array.flags.writeable = False
    return array


def check_name(name: object) -> None:
    """Check the name of a recording, which is the name of arrays in a store too.

    Raises:
        WrongTypeError: It is no text.
        NetworkError: It cannot be a name there.
    """
    if not isinstance(name, str):
        raise WrongTypeError(f"the name of a recording is a text, not {shown(name)}.")
    # Zarr keeps names that begin with "__" and the name of its own file for itself.
    if not name[:1].isalnum() or not name.isprintable() or "/" in name or name == "zarr.json":
        raise NetworkError(
            f"{name!r} cannot be the name of a recording: it begins with a letter or a digit, has "
            "no '/' and no line break, and is not zarr.json."
        )


def check_edges(edges: object) -> Parameter:
    """Return the edges of bins, ascending, with their unit; `"1"` where they have none.

    Raises:
        WrongTypeError, MissingValueError: They are no numbers.
        NetworkError: They are fewer than two, or do not ascend.
    """
    borders = units.parameter(edges, None, "edges", "a histogram")
    if borders.value.ndim != 1 or len(borders.value) < 2:
        raise NetworkError(
            f"edges of a histogram have shape {list(borders.value.shape)}; give at least two, such "
            "as np.linspace(-80, 20, 11)*mV."
        )
    for bad in np.flatnonzero(np.diff(borders.value) <= 0)[:1]:
        numbers = borders.declared
        raise NetworkError(
            f"edges of a histogram must ascend, but {numbers[bad + 1]:g} follows {numbers[bad]:g}."
        )
    return borders


def _names(given: object) -> tuple[str, ...]:
    """Return names of variables.

    Raises:
        WrongTypeError: They are something else.
    """
    if not isinstance(given, (tuple, list)) or not all(isinstance(name, str) for name in given):
        raise WrongTypeError(
            f"what is kept with spikes are names of variables, such as ('w', 'vt'), not "
            f"{shown(given)}."
        )
    return tuple(given)


@dataclass(frozen=True, eq=False)
class Recorder(Description):
    """One recording. Usually made as `pn["v"].every(1*ms)`, `pn["v"].mean()` or `pn.spikes`.

    A recording may be reduced over cells (`mean()`, `sum()`, `histogram(edges)`) and over time
    (`every(1*ms, "max")`), each once. The reductions are made in the order in which they were asked
    for: `pn["v"].mean().every(1*ms, "max")` is the maximum of the population's mean voltage, and
    `pn["v"].every(1*ms, "max").mean()` the mean of the cells' maxima. The key tells the two apart.

    The key tells neither the interval nor the cells. Of two recordings with one key, `as_` gives
    one a name of its own: `pn[:10]["v"].as_("PN.v of the first")`.

    Attributes:
        owner: Name of the population, or of the projection.
        variable: A state, a definition or the input current of a population's equations, or
            `"spikes"`; a state of a projection's synapses, or `"I"`, the current that they let out
            of each postsynaptic cell.
        cells: Indices of the cells, or None for all. Of a projection: places among its synapses in
            the order of `connections()`, or among the cells of its side that the variable
            belongs to.
        interval: Time between samples in ms, or None for every step.
        reduction: None, or `"mean"`, `"sum"` or `"histogram"` over the cells; of counted spikes
            `"mean"`, `"sum"` or `"rate"`.
        over_time: None for the value at each sample, or `"mean"`, `"max"` or `"min"` of the values
            at the steps since the sample before; of spikes `"count"`.
        time_first: Whether it is reduced over time before it is reduced over cells.
        edges: Of a histogram: the edges of its bins.
        of_projection: Whether the owner is a projection.
        name: What it is called in the results; None for the name that its parts make.
        of_event: Whether the variable is the name of an event, which is recorded as spikes are.
        kept: Variables whose values are kept with each spike.
    """

    owner: str
    variable: str
    cells: NDArray[np.int64] | None = None
    interval: float | None = None
    reduction: str | None = None
    over_time: str | None = None
    time_first: bool = False
    edges: Field[Parameter | None] = default(None)
    of_projection: bool = False
    name: str | None = None
    of_event: bool = False
    kept: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        setter = object.__setattr__
        for text in (self.owner, self.variable):
            if not isinstance(text, str):
                raise WrongTypeError(
                    f"a recorder names a population or projection and a variable, not "
                    f"{shown(text)}."
                )
        for flag in (self.time_first, self.of_projection, self.of_event):
            if not isinstance(flag, bool):
                raise WrongTypeError(f"a recorder takes True or False here, not {shown(flag)}.")
        if self.interval is not None:
            setter(self, "interval", units.scalar(self.interval, "ms", "every", positive=True))
        if self.cells is not None:
            setter(self, "cells", check_cells(self.cells))
        setter(self, "kept", _names(self.kept))
        if self.name is not None:
            check_name(self.name)
        self._check_reductions()

    @property
    def of_spikes(self) -> bool:
        """Whether it is of the spikes, or other events, of a population, or of their counts."""
        return (self.variable == SPIKES or self.of_event) and not self.of_projection

    @property
    def source(self) -> str:
        """Of spikes the name of their population; of events that name and their own."""
        return f"{self.owner}.{self.variable}" if self.of_event else self.owner

    def _check_reductions(self) -> None:
        over_cells = (*OVER_CELLS[:2], "rate") if self.of_spikes else OVER_CELLS
        over_time = ("count",) if self.of_spikes else OVER_TIME
        pairs = (self.reduction, over_cells), (self.over_time, over_time)
        for asked, known in pairs:
            if asked is not None and not is_among(asked, known):
                choices = ", ".join(repr(name) for name in known)
                what = "spikes" if self.of_spikes else repr(self.variable)
                raise NetworkError(f"{what} can be reduced by {choices}, not by {shown(asked)}.")
        if self.over_time is not None and self.interval is None:
            raise NetworkError(
                f"{self.over_time!r} over time needs an interval: every(1*ms, {self.over_time!r})."
            )
        if self.of_spikes and self.over_time is None and (self.interval or self.reduction):
            raise NetworkError(
                "spikes have times of their own; count them with every(10*ms) first, or take "
                "rates() of the result."
            )
        if self.kept and (not self.of_spikes or self.over_time is not None):
            raise NetworkError(
                f"values are kept with each spike, as by pn.spikes.with_('v'), and {self.variable} "
                "here has no times of its own."
            )
        if (self.edges is not None) != (self.reduction == "histogram"):
            raise NetworkError("a histogram, and nothing else, has edges: histogram(edges).")
        if self.edges is not None:
            object.__setattr__(self, "edges", check_edges(self.edges))
        if self.reduction is not None and self.cells is not None and not len(self.cells):
            raise NetworkError(f"the {self.reduction} of {self.variable!r} is over no cells.")

    @property
    def key(self) -> str:
        """The name in the results: that which `as_` gave, or one that its parts make.

        The latter tells what was done, in order: `PN.v`, `PN.v.mean`, `PN.v.max_over_time`,
        `PN.v.mean.max_over_time`, `PN.v.max_over_time.mean`; `PN.spikes`, `PN.spikes.count`,
        `PN.spikes.count.sum`, `PN.rate`.
        """
        if self.name is not None:
            return self.name
        if self.reduction == "rate":
            return f"{self.source}.rate"
        time = f"{self.over_time}_over_time" if self.over_time else None
        if self.of_spikes:
            parts = [self.over_time, self.reduction]
        else:
            parts = [time, self.reduction] if self.time_first else [self.reduction, time]
        return ".".join([self.owner, self.variable, *(part for part in parts if part)])

    def with_(self, *names: str) -> "Recorder":
        """Return the recorder of spikes that keeps values of the cell with each of them.

        They are those at the end of the step in which the cell spikes, before its reset: what a
        synapse would read there. `run["PN.spikes"]["w"]` has them, in the order of the times.

        Args:
            names: States, or definitions that follow from states.

        Raises:
            WrongTypeError: One is no text, or there is none.
            NetworkError: It is not of spikes or other events, or of counted ones.
        """
        if not _names(names):
            raise WrongTypeError("with_ takes names of variables, such as with_('w', 'vt').")
        for bad in sorted({"times", "cells"} & set(names)):
            raise NetworkError(f"{bad!r} is kept with every spike, and cannot name a value.")
        return replace(self, kept=tuple(dict.fromkeys((*self.kept, *names))))

    def as_(self, name: str) -> "Recorder":
        """Return the recorder under another name: its key in the results and in a store.

        Args:
            name: Begins with a letter or a digit, and has no "/".

        Raises:
            WrongTypeError: It is no text.
            NetworkError: It cannot be a name.
        """
        check_name(name)
        return replace(self, name=name)

    def every(self, interval: object, reduction: str | None = None) -> "Recorder":
        """Return the recorder with a sample at each multiple of an interval.

        Sample 0 is the initial value. Spikes are counted: sample k holds the spikes of the steps
        in ((k-1)*interval, k*interval], and sample 0 none.

        Args:
            interval: A time; a whole number of steps of the run.
            reduction: None for the value at the sample; or `"mean"`, `"max"` or `"min"` of the
                values at the ends of the steps in ((k-1)*interval, k*interval].

        Raises:
            UnitError: It is not a time.
            MissingValueError: It is not greater than 0.
            NetworkError: An unknown reduction, or a second one.
        """
        interval = units.scalar(interval, "ms", "every", positive=True)
        if self.over_time is not None:
            raise NetworkError(f"{self.key!r} is reduced over time already; call every() once.")
        if reduction is not None and not isinstance(reduction, str):
            raise NetworkError(
                f"a reduction over time is a text such as 'max', not {shown(reduction)}."
            )
        if self.of_spikes and reduction is None:
            reduction = "count"
        return replace(self, interval=interval, over_time=reduction)

    def _over_cells(self, reduction: str, edges: Parameter | None = None) -> "Recorder":
        if self.reduction is not None:
            raise NetworkError(
                f"{self.key!r} is reduced over cells already; record it once for each reduction."
            )
        first = self.over_time is not None
        return replace(self, reduction=reduction, edges=edges, time_first=first)

    def mean(self) -> "Recorder":
        """Return the recorder of the average over its cells or synapses.

        Raises:
            NetworkError: It is reduced already, or of spikes that are not counted.
        """
        return self._over_cells("mean")

    def sum(self) -> "Recorder":
        """Return the recorder of the sum over its cells or synapses.

        Raises:
            NetworkError: It is reduced already, or of spikes that are not counted.
        """
        return self._over_cells("sum")

    def histogram(self, edges: object) -> "Recorder":
        """Return the recorder of how many cells or synapses are in each bin.

        Bin k holds edges[k] <= x < edges[k+1], and the last one its upper edge too; what is
        outside of all is not counted.

        Args:
            edges: Of the bins, ascending: a quantity of shape [n_bins + 1], or plain numbers, which
                mean the unit of the variable.

        Raises:
            NetworkError: It is reduced already, the edges do not ascend, or it is of spikes.
        """
        if edges is None:
            raise NetworkError("a histogram needs the edges of its bins.")
        return self._over_cells("histogram", check_edges(edges))

    def rate(self) -> "Recorder":
        """Return the recorder of the population rate in Hz, of counted spikes.

        Raises:
            NetworkError: It is not of counted spikes, or reduced already.
        """
        return self._over_cells("rate")

    def __getitem__(self, places: object) -> "Recorder":
        """Return the recorder of some of its cells or synapses, by their places among them.

        Args:
            places: A list of indices, one index, or a slice with an end.

        Raises:
            WrongTypeError: It is none of these.
            NetworkError: It is reduced over them already, or there is no such place.
        """
        if self.reduction is not None:
            raise NetworkError(f"{self.key!r} is reduced over cells; choose cells before that.")
        if isinstance(places, slice):
            refuse_times(places.start)
            refuse_times(places.stop)
            places = self._sliced(places)
        chosen = check_cells([places] if isinstance(places, (int, np.integer)) else places)
        if self.cells is not None:
            for bad in chosen[(chosen < 0) | (chosen >= len(self.cells))][:1]:
                raise NetworkError(f"{self.key!r} has {len(self.cells)} cells, and no cell {bad}.")
            chosen = self.cells[chosen]
        return replace(self, cells=chosen)

    def _sliced(self, places: slice) -> NDArray[np.int64]:
        if self.cells is not None:
            return np.arange(len(self.cells))[places]
        numbers = (places.start or 0, places.stop, 1 if places.step is None else places.step)
        whole = all(isinstance(n, (int, np.integer)) and n >= 0 for n in numbers)
        if not whole or numbers[2] == 0:
            raise WrongTypeError(
                f"a slice of {self.key!r} has an end, such as [:10], since its length is known "
                f"only when the network is built; not {shown(places)}."
            )
        return np.arange(*numbers)
