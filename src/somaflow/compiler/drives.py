"""Drives: what comes to a network from outside: stimuli, voltage clamps and spike sources."""

from typing import Any

import numpy as np
import tensorflow as tf

from somaflow.compiler.clamps import Clamps
from somaflow.compiler.columns import Columns, course_of, spread, width_of
from somaflow.compiler.coupling import Moment
from somaflow.compiler.sources import Sources
from somaflow.network.network import Network
from somaflow.network.noise import OrnsteinUhlenbeck, WhiteNoise
from somaflow.network.stimuli import MEMBRANE
from somaflow.network.waveforms import Waveform, within
from somaflow.numerics.random import derive, normal_of
from somaflow.simulation.system import Array, Inputs

Tensor = Any  # a tf.Tensor: TensorFlow's own type stubs refuse ordinary indexing

# Streams of a run's random numbers, before the place of a population or of a stimulus.
POISSON, NOISE, CONDITION = 1, 2, 3


class Drives:
    """The stimuli, voltage clamps and spike sources of a network.

    Args:
        network: The network.
        dt: The step in ms.
        duration: Length of the run in ms.
        dtype: NumPy type of the run.
        seed: The run's seed.

    Raises:
        NetworkError: A rate is too high for the step, or a cell has two spikes in one.
    """

    def __init__(
        self, network: Network, dt: float, duration: float, dtype: Any, seed: int = 0
    ) -> None:
        self.dt, self.dtype, self.seed = dt, np.dtype(dtype), seed
        # What holds at each node of a step, and what holds for a whole step.
        self.nodes, self.steps = Columns(), Columns()
        place = {p.name: k for k, p in enumerate(network.populations)}
        self.stimuli = [_stimulus(self, place, s, n) for n, s in enumerate(network.stimuli)]
        self.clamps = Clamps(network, self.nodes, self.steps)
        self.sources = Sources(network, dt, duration, self.dtype, self.steps)

    def parameters(self) -> dict[str, Any]:
        """Return what the compiled functions take as arguments; a run's seed is among it."""
        words = [self.seed & 0xFFFFFFFF, self.seed >> 32]
        return {
            "seed": np.array(words, np.uint32),
            "stimuli": [self._cast(stimulus.parameters()) for stimulus in self.stimuli],
            "clamps": [self._cast(values) for values in self.clamps.parameters()],
            "sources": [self._cast(values) for values in self.sources.parameters()],
        }

    def _cast(self, values: dict[str, Array]) -> dict[str, Array]:
        return {name: np.asarray(value, self.dtype) for name, value in values.items()}

    def prepare(self, parameters: Any) -> dict[str, Any]:
        """Compute once a chunk what does not change within it: the keys of random numbers."""
        low, high = tf.unstack(parameters["seed"])
        return {
            **parameters,
            "noise keys": [derive((low, high), (NOISE, s.number)) for s in self.stimuli],
            "source keys": [derive((low, high), (POISSON, k)) for k in self.sources.places],
        }

    def inputs(self, steps: Array, nodes: tuple[float, ...], dt: float) -> Inputs:
        """Return what is known of steps; of each node the last number is the time itself."""
        middle = (steps + 0.5) * dt
        times = (steps[:, None] + np.array(nodes)) * dt
        courses = self.nodes.filled(times, np.broadcast_to(middle[:, None], times.shape))
        at_nodes = np.concatenate([courses, times[..., None]], axis=-1)
        return Inputs(at_nodes, self.steps.filled((steps + 1) * dt, middle))

    def initial(self, batch: tuple[int, ...]) -> dict[str, Any]:
        """Return the event state of noise, its last number: the same for all rows of a batch.

        White noise forgets it at once, but as a state it is computed once a step; XLA would repeat
        it in each kernel that reads it.
        """
        return {
            stimulus.key: np.zeros(stimulus.width, self.dtype)
            for stimulus in self.stimuli
            if isinstance(stimulus, _Noise)
        }

    def arrive(self, event: Any, moment: Moment, given: Tensor, prepared: Any) -> dict[str, Any]:
        """Return what the step needs beside its nodes: noise, and what holds for all of it."""
        own = prepared["stimuli"]
        drawn = {}
        for stimulus, values, key in zip(
            self.stimuli, own["stimuli"], own["noise keys"], strict=True
        ):
            if isinstance(stimulus, (_White, _Process)):
                drawn[stimulus.key] = stimulus.drawn(event, moment, values, key, self.dtype)
        return {"given": given, "drawn": drawn}

    def currents(
        self, states: list[dict[str, Tensor]], drive: Tensor, context: Any, prepared: Any
    ) -> list[tuple[int, Tensor]]:
        """Return the inward current into each population that a stimulus drives."""
        return [
            (stimulus.target, stimulus.current(states, drive, context, values))
            for stimulus, values in zip(self.stimuli, prepared["stimuli"]["stimuli"], strict=True)
        ]

    def leave(self, event: Any, context: Any, moment: Moment) -> dict[str, Any]:
        """Return the event state at the step's end."""
        return {key: context["drawn"][key] for key in event}


# ------------------------------------------------------------------------------ stimuli


class _Given:
    """A stimulus whose course is known beforehand."""

    def __init__(self, drives: Drives, target: int, stimulus: Any, number: int) -> None:
        self.target, self.stimulus, self.number = target, stimulus, number
        waveform, cells = stimulus.waveform, stimulus.target.cells
        self.size = stimulus.target.population.size
        # Samples hold through a step, so one number a step does for all its nodes.
        self.held = isinstance(waveform, Waveform)
        table = drives.steps if self.held else drives.nodes
        fill = course_of(waveform, cells, self.size)
        self.columns = table.add(width_of(waveform, self.size), fill)

    def parameters(self) -> dict[str, Array]:
        amplitude = self.stimulus.waveform.amplitude.value
        return {"amplitude": spread(amplitude, self.stimulus.target.cells, self.size)}

    def current(self, states: Any, drive: Tensor, context: Any, values: Any) -> Tensor:
        row = context["given"] if self.held else drive
        return values["amplitude"] * row[self.columns]


class _Noise:
    """What all noise has: a window, and a width."""

    def __init__(self, drives: Drives, target: int, stimulus: Any, number: int) -> None:
        self.target, self.stimulus, self.number = target, stimulus, number
        self.dt, self.key = drives.dt, f"noise {number}"
        self.cells, self.size = stimulus.target.cells, stimulus.target.population.size
        self.waveform = stimulus.waveform
        self.width = len(spread(0.0, self.cells, self.size))

        def fill(times: Array, middle: Array) -> Array:
            return within(self.waveform, middle)[..., None].astype(np.float64)

        self.window = drives.steps.add(1, fill)

    def standard(self, moment: Moment, key: Any, dtype: Any) -> Tensor:
        """Return a standard normal number for each cell."""
        return normal_of(key, moment.step, tf.range(self.width), dtype)

    def spread(self, value: Any, rest: float = 0.0) -> Array:
        return spread(value, self.cells, self.size, rest)


class _White(_Noise):
    """White noise: a number of its own in each step."""

    def parameters(self) -> dict[str, Array]:
        sd = self.waveform.sd.value / np.sqrt(self.dt)
        return {"mean": self.spread(self.waveform.mean.value), "sd": self.spread(sd)}

    def drawn(self, event: Any, moment: Moment, values: Any, key: Any, dtype: Any) -> Tensor:
        return self.standard(moment, key, dtype)

    def current(self, states: Any, drive: Tensor, context: Any, values: Any) -> Tensor:
        found = values["mean"] + values["sd"] * context["drawn"][self.key]
        return found * context["given"][self.window]


class _Process(_Noise):
    """An Ornstein-Uhlenbeck process; its state has mean 0 and variance 1."""

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

    def drawn(self, event: Any, moment: Moment, values: Any, key: Any, dtype: Any) -> Tensor:
        z = self.standard(moment, key, dtype)
        later = values["kept"] * event[self.key] + values["new"] * z
        # The first number is stationary by itself.
        return tf.where(moment.step > 0, later, z)

    def current(self, states: Any, drive: Tensor, context: Any, values: Any) -> Tensor:
        found = values["mean"] + values["sd"] * context["drawn"][self.key]
        found = found * context["given"][self.window]
        if "reversal" not in values:
            return found
        return tf.nn.relu(found) * (values["reversal"] - states[self.target][MEMBRANE])


def _stimulus(drives: Drives, place: dict[str, int], stimulus: Any, number: int) -> Any:
    match stimulus.waveform:
        case WhiteNoise():
            kind: Any = _White
        case OrnsteinUhlenbeck():
            kind = _Process
        case _:
            kind = _Given
    return kind(drives, place[stimulus.target.population.name], stimulus, number)
