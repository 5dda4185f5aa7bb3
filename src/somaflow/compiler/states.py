"""What the functions of a network hand to each other: arguments, constants, context and events.

What differs from one form of synapse to another is `object` here: each coupling has types of its
own, and gets back what it gave.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from somaflow.compiler.told import Told
from somaflow.numerics.random import Key
from somaflow.numerics.types import Tensor
from somaflow.simulation.system import Seen

Tensors = dict[str, Tensor]  # by name
StateKey = str | tuple[str, str]  # a state's name; of single synapses the group and the name
States = dict[StateKey, Tensor]  # the states of one population
Matrix = dict[tuple[str, str], Tensor]  # by row and column


class Later(dict[str, Any]):
    """Values by name, each computed when it is first asked for.

    Args:
        make: Computes the value of a name.
    """

    def __init__(self, make: Callable[[str], Any]) -> None:
        super().__init__()
        self._make = make

    def __missing__(self, name: str) -> Any:
        self[name] = value = self._make(name)
        return value


def by_name(states: States) -> Tensors:
    """Return the states of a population that have a name, without those of single synapses."""
    return {key: value for key, value in states.items() if isinstance(key, str)}


class Coefficients(NamedTuple):
    """Numbers of dz/dt = A z + b for some states z; what is not among them is 0.

    Attributes:
        matrix: A, per ms.
        offsets: b, by state.
    """

    matrix: Matrix
    offsets: Tensors

    @property
    def homogeneous(self) -> "Coefficients":
        """The same with b = 0."""
        return Coefficients(self.matrix, {})


class Tick(NamedTuple):
    """What may be known of a step of the clock.

    Attributes:
        step: The number of steps made before, int32 or int64 scalar.
        dt: The step in ms.
        nodes: Fractions of the step at which the solver asks for currents.
    """

    step: Tensor
    dt: float
    nodes: tuple[float, ...]

    @property
    def fractions(self) -> tuple[float, ...]:
        """The parts of a step after its start at which closed forms are needed."""
        return fractions(self.nodes)


def fractions(nodes: tuple[float, ...]) -> tuple[float, ...]:
    """Return the parts of a step after its start at which closed forms are needed."""
    return tuple(sorted({*nodes, 1.0} - {0.0}))


# ---------------------------------------------------------------------------- arguments


class DriveParameters(NamedTuple):
    """What comes from outside, as arguments of the compiled functions.

    Attributes:
        seed: The lower and the upper 32 bits of the run's seed, uint32 `[2]`.
        stimuli: Numbers of each table of stimuli, by name.
        clamps: Of each voltage clamp.
        sources: Of each population of spike sources.
        counts: Of each Poisson input.
    """

    seed: Tensor
    stimuli: list[Tensors]
    clamps: list[Tensors]
    sources: list[Tensors]
    counts: list[Tensors]


class RecordingParameters(NamedTuple):
    """What recorders need, by their keys.

    Attributes:
        places: Which numbers of an axis are recorded, int32; none where they are its beginning.
        edges: The edges of histograms.
        start: The steps made before the run, int64.
    """

    places: Tensors
    edges: Tensors
    start: Tensor


class Parameters(NamedTuple):
    """The arguments of the compiled functions: numbers of the network, of its drives and recorders.

    Attributes:
        cells: Parameters of each population, padded.
        synapses: Of each projection and Poisson input, by its name.
        sums: The arrays of each coupling's synapses.
        drives: What comes from outside.
        refractory: Refractory period in steps, int32, by the name of the event state.
        begun: The step from which on spikes arrive, by group.
        recordings: What recorders need.
        links: Which cells are read, int32, by link.
        rules: What each text with rules at intervals needs.
        heard: Of a share of a network the last spikes of senders that are not whole here, once
            they have come.
        seen: Of a share that is told something within a step: what it is told.
    """

    cells: list[Tensors]
    synapses: dict[str, Tensors]
    sums: list[Tensors]
    drives: DriveParameters
    refractory: Tensors
    begun: Tensors
    recordings: RecordingParameters
    links: Tensors
    rules: Sequence[Tensors] = ()
    heard: Tensors | tuple[()] = ()
    seen: Seen = Seen()


# ------------------------------------------------------------------- constants of a chunk


class DrawConstants(NamedTuple):
    """What inputs whose numbers are drawn at once have for a chunk.

    Attributes:
        key: Of random numbers, of each number where there are several inputs.
        index: Which numbers are drawn.
        mean: Their means, float64, but for a course.
        values: The parameters of each input.
    """

    key: Key
    index: Tensor
    mean: Tensor
    values: list[Tensors]


class DriveConstants(NamedTuple):
    """What comes from outside, as it is for a chunk.

    Attributes:
        parameters: The arguments.
        noise_keys: Keys of the random numbers of each table of noises, by its key.
        source_keys: Of each population of spike sources.
        draws: Of Poisson inputs, what those have whose numbers are drawn at once.
    """

    parameters: DriveParameters
    noise_keys: dict[str, Key]
    source_keys: list[Key]
    draws: list[DrawConstants]


class Constants(NamedTuple):
    """What does not change within a chunk; `NetworkDynamics.prepare` computes it.

    Attributes:
        cells: Numbers of each population's equations, by name.
        routes: Of the synapses of each projection and Poisson input.
        sums: What each coupling has prepared.
        drives: What comes from outside.
        draws: Keys of what each population's thresholds and resets draw; None where nothing is.
        refractory: As in `Parameters`.
        begun: Likewise.
        recordings: Likewise.
        links: Likewise.
        nodes: Fractions of the step at which the solver asks for currents.
        noise: Keys of the white noises of each population.
        rules: As in `Parameters`.
        heard: Likewise.
        seen: Likewise.
    """

    cells: list[Tensors]
    routes: dict[str, Tensors]
    sums: list[object]
    drives: DriveConstants
    draws: list[Key | None]
    refractory: Tensors
    begun: Tensors
    recordings: RecordingParameters
    links: Tensors
    nodes: tuple[float, ...]
    noise: Sequence[list[Key]] = ()
    rules: Sequence[Tensors] = ()
    heard: Tensors | tuple[()] = ()
    seen: Seen = Seen()


# -------------------------------------------------------------------- context of a step


class DriveContext(NamedTuple):
    """What comes from outside in a step.

    Attributes:
        given: What is known of it beforehand: the step's row of `Inputs.steps`.
        drawn: The new states of noises, by the key of their table.
        noise: What has been drawn for each cell of the population, likewise.
        counts: How many spikes of each Poisson input, by its number, reach each cell.
    """

    given: Tensor
    drawn: Tensors
    noise: Tensors
    counts: dict[int, Tensor]


class Context(NamedTuple):
    """What holds for all nodes of a step; `NetworkDynamics.arrive` computes it.

    Attributes:
        tick: Which step it is.
        drives: What comes from outside.
        groups: What events have opened, by group: what the coupling's `arrive` returned.
        draws: What each population's thresholds and resets draw, by the name of the call.
        waiting: Above 0 where a cell is refractory, by the name of the event state.
        times: The time at the step's start and at its end, in float64.
        past: What synapses with a delay read at each node, by group (`Past.read`).
        passed: What they will read of this step, by ring (`Past.passed`); empty within the step.
        increments: Those of the white noise of each population, by the name of the noise.
        told: What tells a share of cells of others; None where nothing does.
    """

    tick: Tick
    drives: DriveContext
    groups: dict[str, object]
    draws: list[Tensors]
    waiting: Tensors
    times: tuple[Tensor, Tensor]
    past: Mapping[str, Sequence[States]]
    passed: Tensors
    increments: Sequence[Tensors] = ()
    told: Told | None = None


# ------------------------------------------------------------------------------ events


class EventState(NamedTuple):
    """What only events and the clock change.

    Attributes:
        noise: The last number of each noise for each of its cells, by its name in a final state and
            of noises that share a table, by its key, in the compiled functions.
        groups: What synapses keep, by group; only of groups that keep something.
        refractory: For how many steps each cell is refractory, or whether it is; by
            `refractory NAME` of a population.
        above: Whether spikes have left each cell above its threshold, by `above NAME`.
        spikes: The last spikes, `[n_steps, ..., n_cells]`, by `spikes NAME`.
        past: What synapses read with a delay, `[n_steps, n_nodes, ..., n_cells]`, by ring.
    """

    noise: Tensors
    groups: dict[str, NamedTuple]
    refractory: Tensors
    above: Tensors
    spikes: Tensors
    past: Tensors

    def named(self) -> dict[str, object]:
        """Return the parts by the names that they have in a final state."""
        return {
            "stimuli": self.noise,
            **self.groups,
            **self.refractory,
            **self.above,
            **self.spikes,
            **self.past,
        }
