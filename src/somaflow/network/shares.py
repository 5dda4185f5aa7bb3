"""Shares: the cells of a network that each of several workers computes, as a network by itself.

Populations that meet within a step are whole in one share: those that a graded synapse or a gap
junction joins, one that reads variables of another, and those whose spikes may act without a
delay. All others are cut into ranges of cells, and spikes alone go from one share to another. Where
one share had nearly all cells so, most of the former are cut too, and tell each other within the
step what they read of each other.
"""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from somaflow.equations.expression import Node
from somaflow.network.network import Network
from somaflow.network.poisson import PoissonInput
from somaflow.network.population import Population, PopulationView
from somaflow.network.sources import SpikeSourceArray, SpikeSourcePoisson
from somaflow.network.stimuli import Stimulus, VoltageClamp, labels
from somaflow.network.waveforms import Waveform
from somaflow.units import Parameter, ms

# Ranges begin at whole blocks, as the compiler fills a share's last one with copies of a cell.
BLOCK = 16

Bounds = Mapping[str, tuple[int, int]]  # of each population its first cell and the one behind
Numbers = Mapping[str, Mapping[str, NDArray[np.float64]]]  # of cells, by population and name


def shares(network: Network, count: int, sets: Sequence[Sequence[str]]) -> list[Bounds]:
    """Return the cells of each of some shares, each with about as many as the others.

    Args:
        network: The network.
        count: How many shares.
        sets: Populations that are whole in one share, by what holds them together.
    """
    sizes = {p.name: p.size for p in network.populations}
    weights = {p.name: 1 + len(p.equations.states) for p in network.populations}
    bounds: list[dict[str, tuple[int, int]]] = [{} for _ in range(count)]
    load = np.zeros(count)
    for names in sorted(sets, key=lambda s: -sum(sizes[n] * weights[n] for n in s)):
        chosen = int(np.argmin(load))
        for name in names:
            bounds[chosen][name] = 0, sizes[name]
            load[chosen] += sizes[name] * weights[name]
    held = {name for names in sets for name in names}
    free = [name for name in sizes if name not in held]
    left = sum(sizes[name] * weights[name] for name in free)
    # How much each may still take until all have the same.
    level = np.sort(load)
    filled = [level[k] * (k + 1) - level[: k + 1].sum() for k in range(count)]
    k = max(i for i in range(count) if filled[i] <= left)
    height = (left + level[: k + 1].sum()) / (k + 1)
    room = np.maximum(height - load, 0)
    ends = np.concatenate([[0], np.cumsum(room)]) / max(room.sum(), 1e-300)
    for name in free:
        cuts = np.rint(ends * sizes[name] / BLOCK).astype(int) * BLOCK
        cuts = np.minimum(cuts, sizes[name])
        cuts[-1] = sizes[name]
        for own, begin, end in zip(bounds, cuts[:-1], cuts[1:], strict=True):
            if end > begin:
                own[name] = int(begin), int(end)
    return [dict(own) for own in bounds]


# ---------------------------------------------------------------------- one as a network


class Local(NamedTuple):
    """The cells of a share as a network by itself.

    Attributes:
        network: Its populations, stimuli, voltage clamps and Poisson inputs; no projections. A
            population of which it has no cell is one silent source.
        initial: The states with which the cells begin.
    """

    network: Network
    initial: Numbers


def local(network: Network, own: Bounds, initial: Numbers) -> Local:
    """Return the cells of a share as a network by itself.

    Args:
        network: The whole.
        own: The cells.
        initial: Of the whole the states with which its cells begin, by population.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the whole has told of itself
        cells = {p.name: _cells(p, own.get(p.name)) for p in network.populations}
        parts = [*cells.values()]
        for population in network.populations:
            if population.name not in own:
                parts += [_silent(f"{population.name}.{e.name}") for e in population.happenings]
        pairs = zip(network.stimuli, labels(network.stimuli), strict=True)
        parts += [_stimulus(part, cells, own, label) for part, label in pairs]
        parts += [_clamp(part, cells, own) for part in network.clamps]
        parts += [_input(part, cells, own) for part in network.inputs]
        alone = Network(*(part for part in parts if part is not None))
    begins = {name: _taken(initial.get(name, {}), own[name]) for name in own}
    return Local(alone, begins)


def _taken(
    values: Mapping[str, NDArray[np.float64]], bounds: tuple[int, int]
) -> dict[str, NDArray[np.float64]]:
    return {name: _range(value, bounds) for name, value in values.items()}


def _range(value: NDArray[np.float64], bounds: tuple[int, int]) -> NDArray[np.float64]:
    """Return the values of a range of cells; one number, or one for all, stays."""
    if value.ndim == 0 or value.shape[-1] == 1:
        return value
    return value[..., slice(*bounds)]


def _silent(name: str) -> Population:
    population = Population("silent", 1, SpikeSourceArray([] * ms, cells=[]))
    object.__setattr__(population, "name", name)
    return population


def _cells(population: Population, bounds: tuple[int, int] | None) -> Population:
    """Return a range of the cells of a population, which know their numbers in the whole."""
    if bounds is None:
        return _silent(population.name)
    first, size = bounds[0], bounds[1] - bounds[0]
    if (first, size) == (0, population.size):
        return population
    if population.source is not None:
        own = replace(population, size=size, model=_source(population.source, bounds))
    else:
        equations = population.equations
        values = {
            name: Parameter(_range(p.value, bounds), p.unit)
            for name, p in equations.parameters.items()
        }
        values |= {
            name: Parameter(_range(p.value, bounds), p.unit)
            for name, p in equations.initial.items()
            if isinstance(p, Parameter)
        }
        period: object = population.refractory
        timed = population.firing.refractory
        if not isinstance(timed, Node) and timed.value.ndim:
            period = Parameter(_range(timed.value, bounds), timed.unit)
        own = replace(
            population, size=size, model=equations(**values), refractory=period, positions=None
        )
    object.__setattr__(own, "first", first)
    return own


def _source(
    source: SpikeSourcePoisson | SpikeSourceArray, bounds: tuple[int, int]
) -> SpikeSourcePoisson | SpikeSourceArray:
    if isinstance(source, SpikeSourcePoisson):
        return replace(source, rate=_of_cells(source.rate, np.arange(*bounds)))
    if source.cells is None:
        return source
    mine = (source.cells >= bounds[0]) & (source.cells < bounds[1])
    times = Parameter(source.times.value[mine], source.times.unit)
    return SpikeSourceArray(times, cells=source.cells[mine] - bounds[0])


def _of_cells(thing: object, places: NDArray[np.int64]) -> Any:
    """Return a waveform, or numbers, of some of the cells for which it is given."""
    if isinstance(thing, Parameter):
        value = thing.value
        return Parameter(value[..., places], thing.unit) if value.ndim else thing
    if isinstance(thing, Waveform):
        samples = thing.samples
        if samples.value.ndim < 2:
            return thing
        return replace(thing, samples=Parameter(samples.value[:, places], samples.unit))
    if not is_dataclass(thing) or isinstance(thing, type):
        return thing
    own = {
        f.name: _of_cells(getattr(thing, f.name), places)
        for f in fields(thing)
        if f.init and isinstance(getattr(thing, f.name), Parameter)
    }
    return replace(thing, **own)


def _view(
    view: PopulationView, cells: Mapping[str, Population], own: Bounds
) -> tuple[PopulationView | None, NDArray[np.int64]]:
    """Return the cells of a view that are here, perhaps none, and their places in it.

    Where there is no cell of its population it is None. Where there are, what reaches none of them
    is there too: the terms of a sum are then the same everywhere.
    """
    name = view.population.name
    if name not in own:
        return None, np.zeros(0, np.int64)
    begin, end = own[name]
    places = np.flatnonzero((view.cells >= begin) & (view.cells < end))
    return PopulationView(cells[name], view.cells[places] - begin), places


def _stimulus(
    part: Stimulus, cells: Mapping[str, Population], own: Bounds, label: str
) -> Stimulus | None:
    view, places = _view(part.target, cells, own)
    if view is None:
        return None
    waveform = _of_cells(part.waveform, places)
    stimulus = replace(part, target=view, waveform=waveform)
    # Its random numbers follow from what it is called in the whole.
    object.__setattr__(stimulus, "name", label)
    return stimulus


def _clamp(part: VoltageClamp, cells: Mapping[str, Population], own: Bounds) -> VoltageClamp | None:
    view, places = _view(part.cells, cells, own)
    if view is None:
        return None
    return replace(part, cells=view, voltage=_of_cells(part.voltage, places))


def _input(part: PoissonInput, cells: Mapping[str, Population], own: Bounds) -> PoissonInput | None:
    view, places = _view(part.post, cells, own)
    if view is None:
        return None
    several = isinstance(part.n, np.ndarray)
    if not len(places):  # it has a cell, and no spike
        one = np.zeros(1, np.int64)
        rate, weight = (_of_cells(thing, one) for thing in (part.rate, part.weight))
        return replace(
            part, post=PopulationView(view.population, one), n=0, rate=rate, weight=weight
        )
    return replace(
        part,
        post=view,
        rate=_of_cells(part.rate, places),
        n=part.n[places] if several else part.n,  # pyright: ignore
        weight=_of_cells(part.weight, places),
    )
