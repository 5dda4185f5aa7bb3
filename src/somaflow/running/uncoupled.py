"""Uncoupled: the cells of several runs side by side, as the cells of one run.

Where no cell meets another, a run of B networks of n cells each is a run of one network of B*n
cells, of which each has parameters, initial values and stimuli of its own. Every number that may
differ is given for each cell, also where all are equal, so that what is compiled for a run depends
on no other run.
"""

import warnings
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from somaflow.compiler.final import FinalState
from somaflow.compiler.first import first_values
from somaflow.description import encode
from somaflow.equations.expression import RAND, Node, names
from somaflow.equations.statements import CELL
from somaflow.errors import SomaflowError
from somaflow.network.firing import NO_TIME
from somaflow.network.network import Network
from somaflow.network.population import Population, PopulationView
from somaflow.network.recorder import Recorder
from somaflow.network.stimuli import Stimulus
from somaflow.network.waveforms import Course, Ramp, SaturatingPulse, Step, Waveform
from somaflow.running.arguments import steps_between
from somaflow.running.job import Job
from somaflow.running.room import Room
from somaflow.simulation.clock import whole_steps
from somaflow.simulation.system import Array
from somaflow.solvers.exponential import ExponentialEuler, ExponentialMidpoint
from somaflow.solvers.map import Map
from somaflow.solvers.runge_kutta import ExplicitRungeKutta
from somaflow.units import Parameter

# Methods that compute each cell by itself. Others iterate until all cells have arrived.
_METHODS = (ExplicitRungeKutta, ExponentialEuler, ExponentialMidpoint, Map)


class _Cells(NamedTuple):
    """The numbers of a population's cells, each an array of shape [n_cells].

    Attributes:
        parameters: By name.
        initial: The states with which they begin.
        refractory: How long they are refractory, in ms.
    """

    parameters: dict[str, Array]
    initial: dict[str, Array]
    refractory: Array


class _Drive(NamedTuple):
    """The numbers of a stimulus.

    Attributes:
        amplitude: Of each cell that it drives; None where the course has all of it.
        course: What tells its course from others.
    """

    amplitude: Array | None
    course: Hashable


class Laid(NamedTuple):
    """A run whose cells can lie beside those of others.

    Attributes:
        job: The run.
        kind: What runs share that can lie side by side.
        cells: The numbers of each population.
        drives: The numbers of each stimulus.
    """

    job: Job
    kind: Hashable
    cells: tuple[_Cells, ...]
    drives: tuple[_Drive, ...]


def lay(job: Job) -> Laid | None:
    """Return a run with its numbers; None where its cells cannot lie beside those of others.

    Args:
        job: The run.

    Raises:
        RunError, MissingValueError: An initial value or a refractory period that cannot be, as
            where it runs alone.
    """
    network = job.network
    if not _is_plain(job) or not all(map(_is_alone, network.populations)):
        return None
    if not all(_is_simple(s.waveform) for s in network.stimuli):
        return None
    sizes = {p.name: p.size for p in network.populations}
    if not all(_is_of_cells(r, sizes) for r in job.recorders):
        return None
    cells = tuple(_cells_of(p, job) for p in network.populations)
    if any(own is None for own in cells):
        return None
    text, arrays = encode(job.recorders)
    kind = (
        tuple(map(_kind_of_cells, network.populations)),
        tuple(map(_kind_of_stimulus, network.stimuli)),
        (text, *(array.tobytes() for array in arrays)),
        (job.n_steps, job.dt, job.dtype, job.solver.name),
    )
    own = tuple(c for c in cells if c is not None)
    return Laid(job, kind, own, tuple(map(_drive_of, network.stimuli)))


def members_of(job: Job, room: Room) -> int | None:
    """Return how many runs like one are best laid side by side; None where they cannot be.

    Args:
        job: The run.
        room: For how many cells there is room, and for how much of what they record.
    """
    try:
        if lay(job) is None:
            return None
    except SomaflowError:  # which it raises where it is run, and others like it need not
        return None
    sizes = {p.name: p.size for p in job.network.populations}
    numbers = 0
    for recorder in job.recorders:
        if not recorder.of_spikes or recorder.over_time is not None:
            width = sizes[recorder.owner] if recorder.cells is None else len(recorder.cells)
            numbers += width * (job.n_steps // steps_between(recorder, job.dt) + 1)
    most = room.recorded // (8 * max(numbers, 1))
    return max(1, min(room.cells // sum(sizes.values()), most))


# ------------------------------------------------------------------------- what can be


def _is_plain(job: Job) -> bool:
    """Tell whether a run begins at 0, goes through, and has nothing that joins or draws cells."""
    network, initial = job.network, job.initial
    if job.begin or job.until is not None or job.between is not None or job.every is not None:
        return False
    if network.projections or network.inputs or network.clamps or network.links:
        return False
    names = {p.name for p in network.populations}
    if isinstance(initial, FinalState) or not names.issuperset(initial):
        return False
    plain = all(isinstance(values, Mapping) for values in initial.values())
    return plain and type(job.solver) in _METHODS


def _is_alone(population: Population) -> bool:
    """Tell whether cells depend on their own numbers alone: on no chance and no place."""
    equations = population.equations
    if population.source is not None or equations.noises or equations.rules:
        return False
    happenings = (population.firing, *population.happenings)
    trees = [a.expression for thing in happenings for a in thing.resets]
    trees += [thing.condition for thing in happenings if thing.condition is not None]
    if isinstance(population.firing.refractory, Node):
        trees.append(population.firing.refractory)
    free = {RAND, CELL} - equations.dimensions().keys()
    return not any(names(tree) & free for tree in trees)


def _is_simple(waveform: object) -> bool:
    """Tell whether a stimulus has one course for all of its cells, but for its amplitude."""
    if isinstance(waveform, (Ramp, Waveform)):
        return not waveform.sizes
    return isinstance(waveform, (Step, SaturatingPulse))


def _is_of_cells(recorder: Recorder, sizes: Mapping[str, int]) -> bool:
    """Tell whether a recording can be made of what is recorded of each cell."""
    if recorder.reduction is None or recorder.of_spikes:
        return True
    size = sizes[recorder.owner] if recorder.cells is None else len(recorder.cells)
    return recorder.reduction in ("mean", "sum") and size == 1


# --------------------------------------------------------------------------- numbers


def _cells_of(population: Population, job: Job) -> _Cells | None:
    """Return the numbers of a population's cells; None where they have a batch axis.

    Raises:
        RunError, MissingValueError: As `lay`.
    """
    name, firing = population.name, population.firing
    first = first_values(population, job.initial.get(name, {}), job.network.seed)  # pyright: ignore
    parameters = {key: p.value for key, p in population.equations.parameters.items()}
    if any(np.ndim(value) > 1 for value in (*parameters.values(), *first.values())):
        return None
    shape = (population.size,)
    timed = isinstance(firing.refractory, Parameter)  # else for as long as a condition holds
    period = firing.refractory if isinstance(firing.refractory, Parameter) else NO_TIME
    if timed and not period.value.ndim and firing.waits:
        what = f"the refractory period of {name!r}"
        whole_steps(float(period.value), job.dt, what)
    return _Cells(
        {key: np.broadcast_to(value, shape) for key, value in parameters.items()},
        {key: np.broadcast_to(value, shape) for key, value in first.items()},
        np.broadcast_to(period.value, shape),
    )


def _drive_of(stimulus: Stimulus) -> _Drive:
    waveform, shape = stimulus.waveform, stimulus.target.cells.shape
    match waveform:
        case Step(amplitude=a, start=start, stop=stop):
            return _Drive(np.broadcast_to(a.value, shape), (start, stop))
        case SaturatingPulse(amplitude=a, on=on, off=off, rise=rise, decay=decay):
            return _Drive(np.broadcast_to(a.value, shape), (on, off, rise, decay))
    text, arrays = encode(waveform)
    return _Drive(None, (text, *(array.tobytes() for array in arrays)))


def _kind_of_cells(population: Population) -> Hashable:
    equations, firing = population.equations, population.firing
    period = population.refractory
    return (
        (population.name, population.size, equations.text),
        tuple((name, p.unit) for name, p in equations.parameters.items()),
        (population.threshold, population.reset, tuple(population.events.items()), firing.held),
        period if isinstance(period, str) and isinstance(firing.refractory, Node) else firing.waits,
    )


def _kind_of_stimulus(stimulus: Stimulus) -> Hashable:
    target, waveform = stimulus.target, stimulus.waveform
    place = target.population.name, stimulus.into, target.cells.tobytes()
    return *place, type(waveform), waveform.unit


# ------------------------------------------------------------------------ one network


def wide(members: Sequence[Laid]) -> Job:
    """Return the run of the cells of several runs side by side.

    Args:
        members: The runs, all of one kind. Cell c of n of member m is cell m*n + c.
    """
    job = members[0].job
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # each network has told of itself
        populations = {
            p.name: _population(p, [member.cells[k] for member in members])
            for k, p in enumerate(job.network.populations)
        }
        stimuli = [
            variant
            for k, s in enumerate(job.network.stimuli)
            for variant in _variants(k, populations[s.target.population.name], members)
        ]
        network = Network(*populations.values(), *stimuli)
    sizes = {p.name: p.size for p in job.network.populations}
    recorders = tuple(
        _recorder(r, f"r{k}", sizes[r.owner], len(members)) for k, r in enumerate(job.recorders)
    )
    return replace(job, network=network, recorders=recorders, initial={}, seed=0)


def _population(like: Population, cells: Sequence[_Cells]) -> Population:
    equations = like.equations

    def joined(arrays: Iterable[Array], unit: str) -> Parameter:
        return Parameter(np.concatenate(list(arrays)), unit)

    values = {
        name: joined((own.parameters[name] for own in cells), parameter.unit)
        for name, parameter in equations.parameters.items()
    }
    values |= {
        name: joined((own.initial[name] for own in cells), equations.unit(name))
        for name in equations.states
    }
    period = like.refractory
    if not isinstance(like.firing.refractory, Node):
        waits = like.firing.waits
        period = joined((own.refractory for own in cells), "ms") if waits else NO_TIME
    return replace(
        like,
        size=len(cells) * like.size,
        model=equations(**values),
        refractory=period,
        positions=None,
    )


def _variants(k: int, population: Population, members: Sequence[Laid]) -> list[Stimulus]:
    """Return the stimuli that a stimulus of the members is, one for each course that it has.

    Two at least, and as many as a power of 2, so that few programs are compiled; and each cell
    picks its course by a number, also where there is one for all.
    """
    size = population.size // len(members)
    groups: dict[Hashable, list[int]] = {}
    for m, member in enumerate(members):
        groups.setdefault(member.drives[k].course, []).append(m)
    stimuli = []
    for places in groups.values():
        like = members[places[0]].job.network.stimuli[k]
        waveform, amplitude = like.waveform, [members[m].drives[k].amplitude for m in places]
        known = [a for a in amplitude if a is not None]
        if known:
            waveform = _scaled(waveform, np.concatenate(known))
        cells = _beside(like.target.cells, size, np.array(places))
        stimuli.append(Stimulus(PopulationView(population, cells), waveform, into=like.into))
    last, nobody = stimuli[-1], PopulationView(population, np.zeros(0, np.int64))
    idle = last.waveform
    if isinstance(idle, (Step, SaturatingPulse)):
        idle = _scaled(idle, np.zeros(()))
    count = max(2, 1 << (len(stimuli) - 1).bit_length())
    return stimuli + [Stimulus(nobody, idle, into=last.into)] * (count - len(stimuli))


def _scaled(waveform: object, amplitude: Array) -> Course:
    assert isinstance(waveform, (Step, SaturatingPulse))
    return replace(waveform, amplitude=Parameter(amplitude, waveform.unit))


def _recorder(recorder: Recorder, name: str, size: int, count: int) -> Recorder:
    cells = recorder.cells
    if cells is not None:
        cells = _beside(cells, size, np.arange(count))
    return replace(recorder, cells=cells, reduction=None, time_first=False, name=name)


def _beside(cells: Array, size: int, places: Array) -> Array:
    """Return the places of cells of several members among the cells of all.

    Args:
        cells: The cells within a member.
        size: How many cells a member has.
        places: The members.
    """
    return (places[:, None] * size + cells).ravel()
