"""Drives: what comes to a network from outside: stimuli, clamps, sources and Poisson inputs."""

from collections.abc import Sequence
from typing import Generic, TypeVar

import numpy as np
import tensorflow as tf
from numpy.typing import DTypeLike

from somaflow.compiler.clamps import Clamps
from somaflow.compiler.columns import Columns, course_of, spread, width_of
from somaflow.compiler.poisson import Counts
from somaflow.compiler.sources import Sources
from somaflow.compiler.states import (
    DriveConstants,
    DriveContext,
    DriveParameters,
    States,
    Tensors,
    Tick,
)
from somaflow.description import fingerprint
from somaflow.network.network import Network
from somaflow.network.noise import OrnsteinUhlenbeck, WhiteNoise
from somaflow.network.random import named
from somaflow.network.stimuli import MEMBRANE, Stimulus, labels
from somaflow.network.waveforms import Course, Waveform, share
from somaflow.numerics.device import materialize
from somaflow.numerics.random import Key, derive, normal_of
from somaflow.numerics.types import Tensor
from somaflow.simulation.system import Array, Inputs

NoiseT = TypeVar("NoiseT", WhiteNoise, OrnsteinUhlenbeck)

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

    Raises:
        NetworkError: A rate is too high for the step, or a cell has two spikes in one.
    """

    unseen = ("seed", "_noise_names")

    def __init__(
        self, network: Network, dt: float, duration: float, dtype: DTypeLike, seed: int = 0
    ) -> None:
        self.dt, self.seed = dt, seed
        self.dtype: np.dtype = np.dtype(dtype)
        # What holds at each node of a step, and what holds for a whole step.
        self.nodes, self.steps = Columns(), Columns()
        place = {p.name: k for k, p in enumerate(network.populations)}
        self._noise_names: dict[str, str] = {}
        self.stimuli = [
            _stimulus(self, place, stimulus, label)
            for stimulus, label in zip(network.stimuli, labels(network.stimuli), strict=True)
        ]
        self.clamps = Clamps(network, self.nodes, self.steps)
        self.sources = Sources(network, dt, duration, self.dtype, self.steps)
        self.counts = [Counts(given, dt, self.dtype, self.steps) for given in network.inputs]

    def noise_key(self, stimulus: Stimulus) -> str:
        """Return what a noise is called in the compiled functions: its number, not its values.

        In a run's final state it has a name, which it has in other networks too. That tells the
        cells and the kind of noise and, behind the last space, the noise.
        """
        cells, waveform = stimulus.target, stimulus.waveform
        kind = f"{type(waveform).__name__} of {cells.population.name}"
        name = f"{kind} {fingerprint(cells.cells)[:8]} {fingerprint(waveform)[:8]}"
        same = sum(other.startswith(name) for other in self._noise_names.values())
        name += f"-{same}" if same else ""
        key = f"noise {len(self._noise_names)}"
        self._noise_names[key] = name
        return key

    def named(self, event: Tensors) -> Tensors:
        """Return the event state of noise by the names that it has in a final state."""
        return {name: event[key] for key, name in self._noise_names.items()}

    def numbered(self, event: Tensors) -> Tensors:
        """Return the event state of noise as the compiled functions have it, from its names."""
        return {key: event[name] for key, name in self._noise_names.items()}

    def parameters(self) -> DriveParameters:
        """Return what the compiled functions take as arguments; a run's seed is among it."""
        words = [self.seed & 0xFFFFFFFF, self.seed >> 32]
        return DriveParameters(
            np.array(words, np.uint32),
            [self._cast(stimulus.parameters()) for stimulus in self.stimuli],
            [self._cast(values) for values in self.clamps.parameters()],
            [self._cast(values) for values in self.sources.parameters()],
            [counts.parameters() for counts in self.counts],
        )

    def _cast(self, values: dict[str, Array]) -> dict[str, Array]:
        return {name: np.asarray(value, self.dtype) for name, value in values.items()}

    def prepare(self, parameters: DriveParameters) -> DriveConstants:
        """Compute once a chunk what does not change within it: the keys of random numbers."""
        low, high = tf.unstack(parameters.seed)
        return DriveConstants(
            parameters,
            [derive((low, high), (NOISE, *named(s.label))) for s in self.stimuli],
            [derive((low, high), (POISSON, *named(name))) for name in self.sources.names],
            [derive((low, high), (INPUT, *named(c.name))) for c in self.counts],
        )

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
        return self.named(
            {
                stimulus.key: np.full(stimulus.width, stimulus.rest, self.dtype)
                for stimulus in self.stimuli
                if isinstance(stimulus, _Noise)
            }
        )

    def arrive(
        self, event: Tensors, tick: Tick, given: Tensor, prepared: DriveConstants
    ) -> DriveContext:
        """Return what the step needs beside its nodes: noise, and what holds for all of it."""
        drawn = {}
        for stimulus, values, key in zip(
            self.stimuli, prepared.parameters.stimuli, prepared.noise_keys, strict=True
        ):
            if isinstance(stimulus, (_White, _Ornstein)):
                drawn[stimulus.key] = stimulus.drawn(event, tick, values, key, self.dtype)
        return DriveContext(given, drawn)

    def currents(
        self,
        states: Sequence[States],
        drive: Tensor,
        context: DriveContext,
        prepared: DriveConstants,
    ) -> list[tuple[int, Tensor]]:
        """Return the inward current into each population that a stimulus drives."""
        return [
            (stimulus.target, stimulus.current(states, drive, context, values))
            for stimulus, values in zip(self.stimuli, prepared.parameters.stimuli, strict=True)
        ]

    def counted(
        self, number: int, tick: Tick, context: DriveContext, prepared: DriveConstants
    ) -> Tensor:
        """Return how many spikes of a Poisson input reach each cell of its population in a step."""
        values, key = prepared.parameters.counts[number], prepared.count_keys[number]
        return materialize(self.counts[number].drawn(tick, context.given, values, key))

    def leave(self, event: Tensors, context: DriveContext) -> Tensors:
        """Return the event state at the step's end."""
        return {key: context.noise[key] for key in event}


# ------------------------------------------------------------------------------ stimuli


class _Known:
    """A stimulus whose course is known beforehand."""

    unseen = ("stimulus", "waveform")

    def __init__(
        self, drives: Drives, target: int, stimulus: Stimulus, label: str, waveform: Course
    ) -> None:
        self.target, self.stimulus, self.label = target, stimulus, label
        self.waveform, cells = waveform, stimulus.target.cells
        self.size = stimulus.target.population.size
        # Samples hold through a step, so one number a step does for all its nodes.
        self.held = isinstance(waveform, Waveform)
        table = drives.steps if self.held else drives.nodes
        fill = course_of(waveform, cells, self.size, drives.dt)
        self.columns = table.add(width_of(waveform, self.size), fill)

    def parameters(self) -> dict[str, Array]:
        amplitude = self.waveform.amplitude.value
        return {"amplitude": spread(amplitude, self.stimulus.target.cells, self.size)}

    def current(
        self, states: Sequence[States], drive: Tensor, context: DriveContext, values: Tensors
    ) -> Tensor:
        row = context.given if self.held else drive
        return values["amplitude"] * row[self.columns]


class _Noise(Generic[NoiseT]):
    """What all noise has: a window, and a width."""

    unseen = ("stimulus", "cells", "waveform")
    rest: float  # its state before it begins

    def __init__(
        self, drives: Drives, target: int, stimulus: Stimulus, label: str, waveform: NoiseT
    ) -> None:
        self.target, self.stimulus, self.label = target, stimulus, label
        self.dt, self.key = drives.dt, drives.noise_key(stimulus)
        self.cells, self.size = stimulus.target.cells, stimulus.target.population.size
        self.waveform = waveform
        self.width = len(spread(0.0, self.cells, self.size))

        def fill(times: Array, middle: Array) -> Array:
            return share(self.waveform, middle, self.dt)[..., None]

        # The part of each step in which it acts.
        self.window = drives.steps.add(1, fill)

    def standard(self, tick: Tick, key: Key, dtype: np.dtype) -> Tensor:
        """Return a standard normal number for each cell."""
        return normal_of(key, tick.step, tf.range(self.width), dtype)

    def spread(self, value: Array | float, rest: float = 0.0) -> Array:
        return spread(value, self.cells, self.size, rest)


class _White(_Noise[WhiteNoise]):
    """White noise: a number of its own in each step."""

    rest = 0.0

    def parameters(self) -> dict[str, Array]:
        sd = self.waveform.sd.value / np.sqrt(self.dt)
        return {"mean": self.spread(self.waveform.mean.value), "sd": self.spread(sd)}

    def drawn(
        self, event: Tensors, tick: Tick, values: Tensors, key: Key, dtype: np.dtype
    ) -> Tensor:
        return self.standard(tick, key, dtype)

    def current(
        self, states: Sequence[States], drive: Tensor, context: DriveContext, values: Tensors
    ) -> Tensor:
        part, drawn = context.given[self.window], context.noise[self.key]
        # Over a part of a step, the variance of the integral is that part of a step's.
        return values["mean"] * part + values["sd"] * drawn * tf.sqrt(part)


class _Ornstein(_Noise[OrnsteinUhlenbeck]):
    """An Ornstein-Uhlenbeck process; its state has mean 0 and variance 1."""

    rest = np.nan

    def parameters(self) -> dict[str, Array]:
        form = self.waveform
        steps = np.broadcast_to(self.dt / form.tau.value, self.cells.shape)
        found = {
            "mean": self.spread(form.mean.value),
            "sd": self.spread(form.sd.value),
            "kept": self.spread(np.exp(-steps)),
            "new": self.spread(np.sqrt(-np.expm1(-2 * steps))),
        }
        if form.reversal is not None:
            found["reversal"] = self.spread(form.reversal.value)
        return found

    def drawn(
        self, event: Tensors, tick: Tick, values: Tensors, key: Key, dtype: np.dtype
    ) -> Tensor:
        z = self.standard(tick, key, dtype)
        last = event[self.key]
        # The first number is stationary by itself.
        return tf.where(tf.math.is_nan(last), z, values["kept"] * last + values["new"] * z)

    def current(
        self, states: Sequence[States], drive: Tensor, context: DriveContext, values: Tensors
    ) -> Tensor:
        found = values["mean"] + values["sd"] * context.noise[self.key]
        found = found * context.given[self.window]
        if "reversal" not in values:
            return found
        return tf.nn.relu(found) * (values["reversal"] - states[self.target][MEMBRANE])


def _stimulus(
    drives: Drives, place: dict[str, int], stimulus: Stimulus, label: str
) -> _Known | _White | _Ornstein:
    target = place[stimulus.target.population.name]
    match stimulus.waveform:
        case WhiteNoise() as noise:
            return _White(drives, target, stimulus, label, noise)
        case OrnsteinUhlenbeck() as noise:
            return _Ornstein(drives, target, stimulus, label, noise)
        case course:
            return _Known(drives, target, stimulus, label, course)
