"""Populations of cells, and views of some of them."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar, overload

import numpy as np
from numpy.typing import NDArray

from somaflow import given
from somaflow.description import Description
from somaflow.equations.drawing import Distribution, held
from somaflow.equations.equations import Equations
from somaflow.equations.expression import Name
from somaflow.equations.noise import listed
from somaflow.errors import NetworkError, UnknownNameError, WrongTypeError, nearest
from somaflow.given import is_among, shown
from somaflow.mechanisms.catalogue import Mechanism
from somaflow.network.attributes import Described, fixed
from somaflow.network.distances import checked_positions
from somaflow.network.distributions import drawn, seeded_values
from somaflow.network.events import Event, Given, checked_events, read_events
from somaflow.network.fields import Field, default
from somaflow.network.firing import Firing, is_condition_text, read_firing
from somaflow.network.intervals import check_cell_rules
from somaflow.network.joined import Joinable
from somaflow.network.links import checked_links
from somaflow.network.neuron import Neuron
from somaflow.network.random import seeded
from somaflow.network.recorder import Recorder, check_cells, refuse_times
from somaflow.network.sources import NO_EQUATIONS, Source
from somaflow.network.wiring import MOST_CELLS
from somaflow.units import Parameter

Places = (
    slice | int | np.integer | Sequence[int | np.integer] | NDArray[np.integer] | NDArray[np.bool_]
)


def check_name(name: object, kind: str) -> str:
    """Return a name that can stand in results and in Python.

    Raises:
        WrongTypeError, NetworkError: It is not a text, or not an identifier.
    """
    if not isinstance(name, str):
        raise WrongTypeError(f"the name of a {kind} is a text, not {shown(name)}.")
    if not name.isidentifier():
        raise NetworkError(f"{name!r} cannot name a {kind}: use letters, digits and _.")
    return name


@fixed
@dataclass(frozen=True, eq=False)
class Population(Joinable, Described, Description):
    """Cells that share their equations.

    Args:
        name: An identifier, unique in a network.
        size: How many cells.
        model: A `Neuron`, a neuron of the catalogue, or `Equations`; or a spike source, such as
            `SpikeSourcePoisson`, which takes no threshold, reset or refractory period. A parameter
            may be an array of shape [size], and a parameter or an initial value a distribution
            such as `sf.Normal(20*ms, 2*ms)`, which is drawn once for each cell. What has no seed
            is drawn as in a network of seed 0; another network has its own at
            `network.population(name)`.
        threshold: A condition such as `"v > -50*mV"`, of states, parameters, the time `t`, the
            step `dt` and `rand()`, with `and`, `or` and `not`. A cell with a reset spikes whenever
            it holds, at most once a step; one without at its upward crossing. Default: what the
            catalogue says, or none.
        reset: Assignments at a spike, such as `"v = -65*mV"`, made at the end of the step.
        refractory: For how long after the step of a spike no other spike is counted and the states
            of `hold` stay where they are: a time; one for each cell, as an array or a distribution,
            taken to the nearest step; or a condition such as `"v > -40*mV"`, as long as it holds.
        positions: Where the cells are, with a unit of length: shape [size], or [size, 1 to 3].
            Default: nowhere; connectors, weights and delays that look at distances need them.
        hold: Names of the states that a refractory period holds, such as `("v",)`; `()` for none.
            Default: those that the threshold compares and the reset sets to a value.
        shared_noise: Names of white noises of the equations, such as `("xi_common",)`, of which all
            cells have the same one. Default: each cell has its own.
        events: Further conditions by name, such as `{"burst": "v > -40*mV"}`, or pairs of a
            condition and a reset, `{"burst": ("v > -40*mV", "w += 1*nA")}`. With a reset an event
            happens in each step in which its condition holds, without one at its upward crossing;
            no refractory period holds it. `pop.event("burst")` records it, and
            `sf.Projection(..., on="burst")` carries it.
        links: By a name that the equations declare, as `H : mV`, what it stands for: a variable of
            other cells, `{"H": other["h"]}`, of one of them for all, `other[[0]]["h"]`, or their
            `other["h"].mean()` or `.sum()`. Of the population itself, or of one that is made later,
            `sf.Recorder("its name", "h")`. A link has its value at each moment, without a delay.

    Raises:
        NetworkError: A bad name or size, or a parameter or positions of the wrong shape; or a
            refractory period where it is not clear which states it holds.
        EquationError, UnitError, UnknownNameError: A slip in the threshold or the reset.
    """

    has_identity: ClassVar[bool] = True
    name: str
    size: int
    model: Equations | Neuron | Mechanism | Source
    threshold: str | None = None
    reset: str | None = None
    refractory: Field[Parameter | Distribution | str] = default(None)
    positions: Field[Parameter | None] = default(None)
    hold: Field[tuple[str, ...] | None] = default(None)
    shared_noise: tuple[str, ...] = ()
    events: Field[Given] = default(None)
    links: Field[dict[str, Recorder]] = default(None)
    # Of cells that are a range of those of another population the number of the first among them.
    first: int = field(init=False, repr=False, default=0)
    _equations: Equations = field(init=False, repr=False)
    _source: Source | None = field(init=False, repr=False)
    _firing: Firing = field(init=False, repr=False)
    _happenings: tuple[Event, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        setter = object.__setattr__
        check_name(self.name, "population")
        if isinstance(self.size, bool) or not isinstance(self.size, (int, np.integer)):
            raise WrongTypeError(
                f"the size of {self.name!r} is a whole number, not {shown(self.size)}."
            )
        if not 1 <= self.size <= MOST_CELLS:
            raise NetworkError(
                f"population {self.name!r} needs 1 to {MOST_CELLS:,} cells, not {shown(self.size)}."
            )
        setter(self, "size", int(self.size))
        model = self.model
        if isinstance(model, Mechanism) and model.kind != "neuron":
            raise WrongTypeError(f"{model.name!r} is a {model.kind}; put it into a sf.Neuron.")
        if not isinstance(model, (Equations, Neuron, Mechanism, Source)):
            raise WrongTypeError(
                f"the model of {self.name!r} is a sf.Neuron, a neuron of the catalogue, "
                f"sf.Equations or a spike source, not {shown(model)}. A function goes through "
                "Equations.from_function; one that calls tf can only be run by sf.solve."
            )
        details = model.details if isinstance(model, Mechanism) else {}
        for key in ("threshold", "reset"):
            if getattr(self, key) is None:
                setter(self, key, details.get(key))
            elif not isinstance(getattr(self, key), str):
                raise WrongTypeError(
                    f"the {key} of {self.name!r} is a text, not {shown(getattr(self, key))}."
                )
        period: object = self.refractory
        period = details.get("refractory", 0) if period is None else period
        if not is_condition_text(period):
            period = held(period, "ms", "refractory", self.name)
        setter(self, "refractory", period)
        if isinstance(self.hold, list):
            setter(self, "hold", tuple(self.hold))
        if self.positions is not None:
            setter(self, "positions", checked_positions(self.positions, self.size, self.name))
        setter(self, "events", checked_events(self.name, self.events))
        if isinstance(model, Source):
            self._set_source(model)
            return
        equations = model if isinstance(model, Equations) else model.equations
        setter(self, "_source", None)
        setter(self, "_equations", drawn(equations, self.name, self.size))
        links: object = self.links
        setter(self, "links", checked_links(self.name, equations, {} if links is None else links))
        self._check_equations()
        setter(self, "shared_noise", self._checked_noise())
        spikes = (self.threshold, self.reset, self.refractory, self.hold)
        read = frozenset(self.links)
        setter(self, "_firing", read_firing(self.name, self.size, self.equations, *spikes, read))
        setter(self, "_happenings", read_events(self.name, self.equations, self.events, read))

    def _set_source(self, source: Source) -> None:
        for key in ("threshold", "reset", "refractory", "hold", "events"):
            value = getattr(self, key)
            zero = isinstance(value, Parameter) and not np.any(value.value)
            if value is not None and value != {} and not zero:
                raise NetworkError(
                    f"{self.name!r} is made of spike sources, which take no {key}; leave it out."
                )
        for key in ("shared_noise", "links"):
            if getattr(self, key):
                raise NetworkError(f"{self.name!r} is made of spike sources, which have no {key}.")
        object.__setattr__(self, "links", {})
        object.__setattr__(self, "_source", source.of(self.name, self.size))
        object.__setattr__(self, "_equations", NO_EQUATIONS)
        object.__setattr__(self, "_firing", Firing())
        object.__setattr__(self, "_happenings", ())

    def _check_equations(self) -> None:
        equations = self.equations
        if equations.pure_time:
            raise NetworkError(
                f"the equations of {self.name!r} have no unit of time. In a network time is in "
                "ms: divide each right-hand side by a time constant, such as 1*ms."
            )
        if equations.on_spike or equations.uses_pulse:
            raise NetworkError(
                f"'on spike' and pulse() belong to synapses; give {self.name!r} a threshold "
                "and a reset instead."
            )
        check_cell_rules(self.name, equations)
        for key, value in (*equations.parameters.items(), *equations.initial.items()):
            shape = value.value.shape if isinstance(value, Parameter) else ()
            if shape and shape[-1] not in (1, self.size):
                raise NetworkError(
                    f"{key!r} of {self.name!r} has shape {shape}; give one number, or one for "
                    f"each of the {self.size} cells."
                )

    def _checked_noise(self) -> tuple[str, ...]:
        given, known = self.shared_noise, listed(self.equations.noises)
        if not isinstance(given, (tuple, list)) or not all(isinstance(n, str) for n in given):
            raise WrongTypeError(
                f"shared_noise of {self.name!r} is a tuple of names such as ('xi_common',), not "
                f"{shown(given)}."
            )
        for name in given:
            if name not in known:
                raise UnknownNameError(
                    f"the equations of {self.name!r} have no noise {name!r}.{nearest(name, known)}"
                )
            if given.count(name) > 1:
                raise NetworkError(f"shared_noise of {self.name!r} names {name!r} twice.")
        return tuple(given)

    def seeded(self, seed: int) -> "Population":
        """Return the population as a network of this seed draws it: itself where nothing changes.

        Args:
            seed: The network's. At 0 nothing changes.
        """
        model = self.model
        if not seed:
            return self
        if isinstance(model, Source):
            source = model.seeded(self.name, seed)
            return self if source is model else replace(self, model=source)
        model = model.equations if isinstance(model, Neuron) else model
        equations = model if isinstance(model, Equations) else model.equations
        before = {**equations.parameters, **equations.initial}
        values = seeded_values(equations, self.name, seed)
        period = seeded(self.refractory, seed, "population", self.name, "refractory")
        same = all(value is before[name] for name, value in values.items())
        if same and period is self.refractory:
            return self
        return replace(self, model=self.model if same else model(**values), refractory=period)

    @property
    def equations(self) -> Equations:
        """The equations of a cell, with what is drawn for each; a source has no states."""
        return self._equations

    @property
    def source(self) -> Source | None:
        """The spike source, with what is drawn for each cell; None where cells have equations."""
        return self._source

    @property
    def spiking(self) -> bool:
        """Whether the cells have spikes."""
        return self.threshold is not None or self.source is not None

    @property
    def firing(self) -> Firing:
        """The threshold, the reset and the refractory period, read."""
        return self._firing

    @property
    def happenings(self) -> tuple[Event, ...]:
        """The events, read, in the order given."""
        return self._happenings

    @property
    def spikes(self) -> Recorder:
        """The recorder of this population's spikes; `pop.spikes.every(10*ms)` counts them.

        Raises:
            NetworkError: The population has no threshold, so that it never spikes.
        """
        if not self.spiking:
            raise NetworkError(f"{self.name!r} has no threshold, so it has no spikes.")
        return Recorder(self.name, "spikes")

    def event(self, name: str) -> Recorder:
        """Return the recorder of the events of a name, as `spikes` is of spikes.

        Raises:
            UnknownNameError: The population has no such event.
        """
        if not is_among(name, self.events):
            known = nearest(name, self.events) or " Give sf.Population(..., events={name: ...})."
            raise UnknownNameError(f"{self.name!r} has no event {shown(name)}.{known}")
        return Recorder(self.name, name, of_event=True)

    def rate(self, interval: object) -> Recorder:
        """Return the recorder of the mean rate of the cells in Hz, in one interval after another.

        Args:
            interval: Length of an interval: a time, a whole number of steps of the run.

        Raises:
            NetworkError: The population has no threshold.
            UnitError, MissingValueError: It is no time, or not greater than 0.
        """
        return self.spikes.every(interval).rate()

    def __len__(self) -> int:
        return self.size

    @overload
    def __getitem__(self, key: str) -> Recorder: ...

    @overload
    def __getitem__(self, key: Places) -> "PopulationView": ...

    def __getitem__(self, key: str | Places) -> "Recorder | PopulationView":
        """Return `pop["v"]`, the recorder of a variable, or `pop[:30]`, a view of cells."""
        whole = PopulationView(self, np.arange(self.size))
        return whole[key]

    def __repr__(self) -> str:
        return f"Population({self.name!r}, {self.size})"


@fixed
@dataclass(frozen=True, eq=False)
class PopulationView(Joinable, Described, Description):
    """Some cells of a population, in the order they were asked for.

    Attributes:
        population: The whole.
        cells: Indices into it, int64 of shape [n].
    """

    population: Population
    cells: NDArray[np.int64]

    def __post_init__(self) -> None:
        if not isinstance(self.population, Population):
            raise WrongTypeError(f"a view is of a Population, not of {shown(self.population)}.")
        object.__setattr__(self, "cells", check_cells(self.cells))
        owner = self.population
        for bad in self.cells[(self.cells < 0) | (self.cells >= owner.size)][:1]:
            raise NetworkError(
                f"{owner.name!r} has no cell {bad}: there are {owner.size} (0 to {owner.size - 1})."
            )
        unique, counts = np.unique(self.cells, return_counts=True)
        for bad in unique[counts > 1][:1]:
            raise NetworkError(f"a view of {owner.name!r} names cell {bad} twice.")

    @property
    def spikes(self) -> Recorder:
        """The recorder of the spikes of these cells.

        Raises:
            NetworkError: The population has no threshold, so that it never spikes.
        """
        whole = self.population.spikes
        return whole if self._is_whole else whole[self.cells]

    def event(self, name: str) -> Recorder:
        """Return the recorder of the events of a name of these cells, as `Population.event`."""
        whole = self.population.event(name)
        return whole if self._is_whole else whole[self.cells]

    def rate(self, interval: object) -> Recorder:
        """Return the recorder of the mean rate of these cells, as `Population.rate`."""
        return self.spikes.every(interval).rate()

    @property
    def _is_whole(self) -> bool:
        return np.array_equal(self.cells, np.arange(self.population.size))

    def __len__(self) -> int:
        return len(self.cells)

    @overload
    def __getitem__(self, key: str) -> Recorder: ...

    @overload
    def __getitem__(self, key: Places) -> "PopulationView": ...

    def __getitem__(self, key: str | Places) -> "Recorder | PopulationView":
        """Return the recorder of a variable, or a view of fewer cells.

        Raises:
            UnknownNameError: There is no such variable.
            NetworkError: An index is outside the view, or named twice.
        """
        owner = self.population
        if isinstance(key, str):
            equations = owner.equations
            known = {*equations.states, *equations.definitions, *equations.inputs}
            if owner.source is not None:
                raise UnknownNameError(
                    f"{owner.name!r} has no variable {key!r}: it is made of spike sources, of "
                    f"which only the spikes can be recorded, by {owner.name}.spikes."
                )
            if key not in known:
                raise UnknownNameError(
                    f"{owner.name!r} has no variable {key!r}.{nearest(key, known)}"
                )
            loud = equations.depends(Name(key)) & {*listed(equations.noises)}
            if key in equations.definitions and loud:
                raise NetworkError(
                    f"{key!r} of {owner.name!r} depends on the white noise {min(loud)}, which has "
                    "no value at one time; record a state that it drives."
                )
            return Recorder(owner.name, key, None if self._is_whole else self.cells)
        for part in (key.start, key.stop) if isinstance(key, slice) else (key,):
            refuse_times(part)
        places = key if isinstance(key, slice) else np.atleast_1d(np.asarray(given.array(key)))
        try:
            cells = self.cells[places]
        except (IndexError, TypeError, ValueError) as error:
            raise NetworkError(
                f"{owner.name!r}[{shown(key)}] is not possible: there are {len(self)} cells "
                f"(0 to {len(self) - 1})."
            ) from error
        return PopulationView(owner, cells)


def as_view(cells: object, role: str) -> PopulationView:
    """Return a population or a view as a view.

    Raises:
        WrongTypeError: It is neither.
    """
    if isinstance(cells, Population):
        return PopulationView(cells, np.arange(cells.size))
    if isinstance(cells, PopulationView):
        return cells
    raise WrongTypeError(f"{role} is a Population or a view such as pn[:30], not {shown(cells)}.")
