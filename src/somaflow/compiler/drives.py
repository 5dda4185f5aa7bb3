"""Drives: what comes to a network from outside: stimuli, clamps, sources and Poisson inputs."""

from typing import Any

import numpy as np
import tensorflow as tf

from somaflow.compiler.clamps import Clamps
from somaflow.compiler.columns import Columns, course_of, spread, width_of
from somaflow.compiler.coupling import Moment
from somaflow.compiler.poisson import Counts
from somaflow.compiler.sources import Sources
from somaflow.description import fingerprint
from somaflow.network.network import Network
from somaflow.network.noise import OrnsteinUhlenbeck, WhiteNoise
from somaflow.network.random import named
from somaflow.network.stimuli import MEMBRANE, Stimulus, labels
from somaflow.network.waveforms import Waveform, share
from somaflow.numerics.device import materialize
from somaflow.numerics.random import derive, normal_of
from somaflow.numerics.types import Tensor
from somaflow.simulation.system import Array, Inputs

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
        self, network: Network, dt: float, duration: float, dtype: Any, seed: int = 0
    ) -> None:
        self.dt, self.dtype, self.seed = dt, np.dtype(dtype), seed
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

    def named(self, event: dict[str, Any]) -> dict[str, Any]:
        """Return the event state of noise by the names that it has in a final state."""
        return {name: event[key] for key, name in self._noise_names.items()}

    def numbered(self, event: dict[str, Any]) -> dict[str, Any]:
        """Return the event state of noise as the compiled functions have it, from its names."""
        return {key: event[name] for key, name in self._noise_names.items()}

    def parameters(self) -> dict[str, Any]:
        """Return what the compiled functions take as arguments; a run's seed is among it."""
        words = [self.seed & 0xFFFFFFFF, self.seed >> 32]
        return {
            "seed": np.array(words, np.uint32),
            "stimuli": [self._cast(stimulus.parameters()) for stimulus in self.stimuli],
            "clamps": [self._cast(values) for values in self.clamps.parameters()],
            "sources": [self._cast(values) for values in self.sources.parameters()],
            "counts": [counts.parameters() for counts in self.counts],
        }

    def _cast(self, values: dict[str, Array]) -> dict[str, Array]:
        return {name: np.asarray(value, self.dtype) for name, value in values.items()}

    def prepare(self, parameters: Any) -> dict[str, Any]:
        """Compute once a chunk what does not change within it: the keys of random numbers."""
        low, high = tf.unstack(parameters["seed"])
        return {
            **parameters,
            "noise keys": [derive((low, high), (NOISE, *named(s.label))) for s in self.stimuli],
            "source keys": [
                derive((low, high), (POISSON, *named(name))) for name in self.sources.names
            ],
            "count keys": [derive((low, high), (INPUT, *named(c.name))) for c in self.counts],
        }

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

    def initial(self, batch: tuple[int, ...]) -> dict[str, Any]:
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

    def counted(self, number: int, moment: Moment, context: Any, prepared: Any) -> Tensor:
        """Return how many spikes of a Poisson input reach each cell of its population in a step."""
        own = prepared["stimuli"]
        values, key = own["counts"][number], own["count keys"][number]
        return materialize(self.counts[number].drawn(moment, context["given"], values, key))

    def leave(self, event: Any, context: Any, moment: Moment) -> dict[str, Any]:
        """Return the event state at the step's end."""
        return {key: context["drawn"][key] for key in event}


# ------------------------------------------------------------------------------ stimuli


class _Given:
    """A stimulus whose course is known beforehand."""

    unseen = ("stimulus",)

    def __init__(self, drives: Drives, target: int, stimulus: Any, label: str) -> None:
        self.target, self.stimulus, self.label = target, stimulus, label
        waveform, cells = stimulus.waveform, stimulus.target.cells
        self.size = stimulus.target.population.size
        # Samples hold through a step, so one number a step does for all its nodes.
        self.held = isinstance(waveform, Waveform)
        table = drives.steps if self.held else drives.nodes
        fill = course_of(waveform, cells, self.size, drives.dt)
        self.columns = table.add(width_of(waveform, self.size), fill)

    def parameters(self) -> dict[str, Array]:
        amplitude = self.stimulus.waveform.amplitude.value
        return {"amplitude": spread(amplitude, self.stimulus.target.cells, self.size)}

    def current(self, states: Any, drive: Tensor, context: Any, values: Any) -> Tensor:
        row = context["given"] if self.held else drive
        return values["amplitude"] * row[self.columns]


class _Noise:
    """What all noise has: a window, and a width."""

    unseen = ("stimulus", "cells", "waveform")
    rest: float  # its state before it begins

    def __init__(self, drives: Drives, target: int, stimulus: Any, label: str) -> None:
        self.target, self.stimulus, self.label = target, stimulus, label
        self.dt, self.key = drives.dt, drives.noise_key(stimulus)
        self.cells, self.size = stimulus.target.cells, stimulus.target.population.size
        self.waveform = stimulus.waveform
        self.width = len(spread(0.0, self.cells, self.size))

        def fill(times: Array, middle: Array) -> Array:
            return share(self.waveform, middle, self.dt)[..., None]

        # The part of each step in which it acts.
        self.window = drives.steps.add(1, fill)

    def standard(self, moment: Moment, key: Any, dtype: Any) -> Tensor:
        """Return a standard normal number for each cell."""
        return normal_of(key, moment.step, tf.range(self.width), dtype)

    def spread(self, value: Any, rest: float = 0.0) -> Array:
        return spread(value, self.cells, self.size, rest)


class _White(_Noise):
    """White noise: a number of its own in each step."""

    rest = 0.0

    def parameters(self) -> dict[str, Array]:
        sd = self.waveform.sd.value / np.sqrt(self.dt)
        return {"mean": self.spread(self.waveform.mean.value), "sd": self.spread(sd)}

    def drawn(self, event: Any, moment: Moment, values: Any, key: Any, dtype: Any) -> Tensor:
        return self.standard(moment, key, dtype)

    def current(self, states: Any, drive: Tensor, context: Any, values: Any) -> Tensor:
        part, drawn = context["given"][self.window], context["drawn"][self.key]
        # Over a part of a step, the variance of the integral is that part of a step's.
        return values["mean"] * part + values["sd"] * drawn * tf.sqrt(part)


class _Process(_Noise):
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

    def drawn(self, event: Any, moment: Moment, values: Any, key: Any, dtype: Any) -> Tensor:
        z = self.standard(moment, key, dtype)
        last = event[self.key]
        # The first number is stationary by itself.
        return tf.where(tf.math.is_nan(last), z, values["kept"] * last + values["new"] * z)

    def current(self, states: Any, drive: Tensor, context: Any, values: Any) -> Tensor:
        found = values["mean"] + values["sd"] * context["drawn"][self.key]
        found = found * context["given"][self.window]
        if "reversal" not in values:
            return found
        return tf.nn.relu(found) * (values["reversal"] - states[self.target][MEMBRANE])


def _stimulus(drives: Drives, place: dict[str, int], stimulus: Any, label: str) -> Any:
    match stimulus.waveform:
        case WhiteNoise():
            kind: Any = _White
        case OrnsteinUhlenbeck():
            kind = _Process
        case _:
            kind = _Given
    return kind(drives, place[stimulus.target.population.name], stimulus, label)
