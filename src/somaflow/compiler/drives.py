"""Drives: what comes to a network from outside: stimuli, clamps, sources and Poisson inputs."""

from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf
from numpy.typing import DTypeLike

from somaflow.compiler.clamps import Clamps
from somaflow.compiler.columns import Columns
from somaflow.compiler.poisson import Counts, Draws
from somaflow.compiler.sources import Sources
from somaflow.compiler.states import (
    DriveConstants,
    DriveContext,
    DriveParameters,
    Later,
    States,
    Tensors,
    Tick,
)
from somaflow.compiler.stimuli import (
    KnownTable,
    NoiseTable,
    OrnsteinTable,
    WhiteTable,
    side_by_side,
)
from somaflow.description import fingerprint
from somaflow.network.network import Network
from somaflow.network.noise import OrnsteinUhlenbeck, WhiteNoise
from somaflow.network.random import named
from somaflow.network.stimuli import Stimulus, labels
from somaflow.numerics.random import Key, derive
from somaflow.numerics.types import Tensor
from somaflow.simulation.system import Array, Inputs

_NOISES = (WhiteNoise, OrnsteinUhlenbeck)
# Streams of a run's random numbers, before the name of a population, a stimulus or an input.
POISSON, NOISE, INPUT, CONDITION = 1, 2, 3, 4


class Drives:
    """The stimuli, voltage clamps, spike sources and Poisson inputs of a network.

    Args:
        network: The network.
        dt: The step in ms.
        duration: Length of the run in ms.
        dtype: NumPy type of the run.
        seed: The run's seed.
        called: What each noise is called in a final state, by the label of its stimulus; None for
            what its network calls it.

    Raises:
        NetworkError: A rate is too high for the step, or a cell has two spikes in one.
    """

    unseen = ("seed", "_noises")

    def __init__(
        self,
        network: Network,
        dt: float,
        duration: float,
        dtype: DTypeLike,
        seed: int = 0,
        called: Mapping[str, str] | None = None,
    ) -> None:
        self.dt, self.seed = dt, seed
        self.dtype: np.dtype = np.dtype(dtype)
        # What holds at each node of a step, and what holds for a whole step.
        self.nodes, self.steps = Columns(), Columns()
        place = {p.name: k for k, p in enumerate(network.populations)}
        labelled = labels(network.stimuli)
        noises = [n for n, s in enumerate(network.stimuli) if isinstance(s.waveform, _NOISES)]
        known = noise_names(network) if called is None else called
        names = [known[labelled[n]] for n in noises]
        found: dict[int, tuple[NoiseTable, Stimulus]] = {}
        self.tables: list[KnownTable | NoiseTable] = []
        for members in side_by_side(network.stimuli):
            stimuli = [network.stimuli[n] for n in members]
            target = place[stimuli[0].target.population.name]
            if members[0] not in noises:
                self.tables.append(KnownTable(target, stimuli, self.nodes, self.steps, dt))
                continue
            white = isinstance(stimuli[0].waveform, WhiteNoise)
            kind = WhiteTable if white else OrnsteinTable
            numbers = [noises.index(n) for n in members]
            table = kind(target, stimuli, numbers, self.steps, dt)
            self.tables.append(table)
            found |= {n: (table, s) for n, s in zip(numbers, stimuli, strict=True)}
        self._noise_labels = [labelled[n] for n in noises]
        self._noises = {name: found[n] for n, name in enumerate(names)}
        self.clamps = Clamps(network, self.nodes, self.steps)
        self.sources = Sources(network, dt, duration, self.dtype, self.steps)
        self.counts = [Counts(given, dt, self.dtype, self.steps) for given in network.inputs]
        joined = [n for n, counts in enumerate(self.counts) if counts.joins]
        alone = [[n] for n, counts in enumerate(self.counts) if not counts.joins]
        # The Poisson inputs that are drawn at once, by their numbers.
        self._together = [joined, *alone] if joined else alone
        self.draws = [Draws([self.counts[n] for n in each]) for each in self._together]

    def named(self, event: Tensors) -> dict[str, Array]:
        """Return the event state of each noise by the name that it has in a final state."""
        states = {key: np.asarray(state) for key, state in event.items()}
        return {
            name: states[table.key][table.places_of(stimulus)]
            for name, (table, stimulus) in self._noises.items()
        }

    def numbered(self, event: Mapping[str, Array]) -> dict[str, Array]:
        """Return the event state of noise as the compiled functions have it, from its names."""
        states: dict[str, Array] = {}
        for name, (table, stimulus) in self._noises.items():
            empty = np.full(table.width, table.rest, self.dtype)
            states.setdefault(table.key, empty)[table.places_of(stimulus)] = event[name]
        return states

    def parameters(self) -> DriveParameters:
        """Return what the compiled functions take as arguments; a run's seed is among it."""
        words = [self.seed & 0xFFFFFFFF, self.seed >> 32]
        return DriveParameters(
            np.array(words, np.uint32),
            [self._cast(table.parameters()) for table in self.tables],
            [self._cast(values) for values in self.clamps.parameters()],
            [self._cast(values) for values in self.sources.parameters()],
            [counts.parameters() for counts in self.counts],
        )

    def _cast(self, values: dict[str, Array]) -> dict[str, Array]:
        """Return numbers in the run's type, and which column is whose as it is."""
        return {
            name: value if value.dtype.kind == "i" else np.asarray(value, self.dtype)
            for name, value in values.items()
        }

    def prepare(self, parameters: DriveParameters) -> DriveConstants:
        """Compute once a chunk what does not change within it: the keys of random numbers."""
        keys = self._keys(parameters)
        noises = {
            table.key: table.key_of(keys, values)
            for table, values in zip(self.tables, parameters.stimuli, strict=True)
            if isinstance(table, NoiseTable)
        }
        rest = list(zip(*map(tf.unstack, keys), strict=True))[len(self._noise_labels) :]
        sources, inputs = rest[: len(self.sources.names)], rest[len(self.sources.names) :]
        draws = [
            draw.prepare([parameters.counts[n] for n in each], [inputs[n] for n in each])
            for draw, each in zip(self.draws, self._together, strict=True)
        ]
        return DriveConstants(parameters, noises, sources, draws)

    def _keys(self, parameters: DriveParameters) -> Key:
        """Return the keys of all that is drawn, derived at once: noises, sources, inputs."""
        low, high = tf.unstack(parameters.seed)
        named_streams = [
            *((NOISE, *named(label)) for label in self._noise_labels),
            *((POISSON, *named(name)) for name in self.sources.names),
            *((INPUT, *named(counts.name)) for counts in self.counts),
        ]
        if not named_streams:
            return low[None][:0], high[None][:0]
        words = np.array(named_streams, np.uint32)
        # Of networks side by side each has a seed of its own, `[n_networks, 1]`.
        words = words.reshape(*words.shape, *[1] * low.shape.rank)
        return derive((low, high), tuple(map(tf.constant, np.moveaxis(words, 1, 0))))

    def inputs(self, steps: Array, nodes: tuple[float, ...], dt: float) -> Inputs:
        """Return what is known of steps; of each node the last number is the time itself.

        In float32 the one before is what rounding takes from that time.
        """
        middle = (steps + 0.5) * dt
        times = (steps[:, None] + np.array(nodes)) * dt
        courses = self.nodes.filled(times, np.broadcast_to(middle[:, None], times.shape))
        rest = [] if self.dtype == np.float64 else [times - times.astype(self.dtype)]
        at_nodes = np.concatenate([courses, *(t[..., None] for t in (*rest, times))], axis=-1)
        return Inputs(at_nodes, self.steps.filled((steps + 1) * dt, middle))

    def time(self, drive: Tensor) -> Tensor:
        """Return the time of a node in float64, whatever the run's dtype."""
        if self.dtype == np.float64:
            return drive[-1]
        return tf.cast(drive[-1], tf.float64) + tf.cast(drive[-2], tf.float64)

    def initial(self) -> Tensors:
        """Return the event state of noise, its last number: the same for all rows of a batch.

        NaN is the number of a process that has not begun.

        White noise forgets it at once, but as a state it is computed once a step; XLA would repeat
        it in each kernel that reads it.
        """
        return {
            name: np.full(len(stimulus.target), table.rest, self.dtype)
            for name, (table, stimulus) in self._noises.items()
        }

    def arrive(
        self, event: Tensors, tick: Tick, given: Tensor, prepared: DriveConstants
    ) -> DriveContext:
        """Return what the step needs beside its nodes: noise, and what holds for all of it."""
        drawn, noise = self._noise(event, tick, prepared)
        noise = {key: noise[key] for key in prepared.noise_keys}
        counts: dict[int, Tensor] = {}
        for draw, each, constants in zip(self.draws, self._together, prepared.draws, strict=True):
            counts |= zip(each, draw.drawn(tick, given, constants), strict=True)
        return DriveContext(given, drawn, noise, counts)

    def look(
        self, event: Tensors, tick: Tick, given: Tensor, prepared: DriveConstants
    ) -> DriveContext:
        """Return it for somebody who only looks: noise when it is asked for, and no spikes."""
        return DriveContext(given, *self._noise(event, tick, prepared), {})

    def _noise(self, event: Tensors, tick: Tick, prepared: DriveConstants) -> tuple[Later, Later]:
        """Return the new states of noises, and what has been drawn for each cell."""
        tables = {
            table.key: (table, values)
            for table, values in zip(self.tables, prepared.parameters.stimuli, strict=True)
            if isinstance(table, NoiseTable)
        }

        def draw(key: str) -> Tensor:
            table, values = tables[key]
            return table.drawn(event[key], tick, values, prepared.noise_keys[key], self.dtype)

        def place(key: str) -> Tensor:
            table, values = tables[key]
            return table.placed(drawn[key], values)

        drawn = Later(draw)
        return drawn, Later(place)

    def currents(
        self,
        states: Sequence[States],
        drive: Tensor,
        context: DriveContext,
        prepared: DriveConstants,
    ) -> list[tuple[int, str, Tensor]]:
        """Return what stimuli add: to which population, to which input of it, and how much."""
        return [
            (table.target, table.into, table.current(states, drive, context, values))
            for table, values in zip(self.tables, prepared.parameters.stimuli, strict=True)
        ]

    def leave(self, event: Tensors, context: DriveContext) -> Tensors:
        """Return the event state at the step's end."""
        return {key: context.drawn[key] for key in event}


def noise_names(network: Network) -> dict[str, str]:
    """Return what each noise of a network is called in a final state, by its stimulus's label."""
    pairs = zip(network.stimuli, labels(network.stimuli), strict=True)
    noises = [(s, label) for s, label in pairs if isinstance(s.waveform, _NOISES)]
    names = _names([stimulus for stimulus, _ in noises])
    return {label: name for (_, label), name in zip(noises, names, strict=True)}


def _names(noises: Sequence[Stimulus]) -> list[str]:
    """Return what each noise of a network is called in a run's final state.

    It has that name in other networks too. It tells the cells and the kind of noise and, behind the
    last space, the noise.
    """
    names: list[str] = []
    for stimulus in noises:
        cells, waveform = stimulus.target, stimulus.waveform
        kind = f"{type(waveform).__name__} of {cells.population.name}"
        name = f"{kind} {fingerprint(cells.cells)[:8]} {fingerprint(waveform)[:8]}"
        same = sum(other.startswith(name) for other in names)
        names.append(f"{name}-{same}" if same else name)
    return names
