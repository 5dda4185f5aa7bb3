"""Stimuli: currents that a run is driven with.

A waveform has an amplitude (one number, or one for each cell it drives) and a shape over time. The
shape is evaluated in float64 on the host, at the times a solver asks for. Its pieces are chosen by
the middle of the step, so that a jump on a step's border acts from that border on and never inside.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from somaflow import units
from somaflow.description import Description
from somaflow.errors import NetworkError, UnitError, WrongTypeError
from somaflow.network.neuron import CURRENT_INPUT
from somaflow.network.population import PopulationView, as_view
from somaflow.units import Parameter, ms

Times = NDArray[np.float64]


def _times(waveform: Any, *names: str) -> None:
    for name in names:
        value = units.scalar(getattr(waveform, name), "ms", name)
        object.__setattr__(waveform, name, value)


def _amplitude(value: Any, kind: str) -> Parameter:
    amplitude = units.parameter(value, None, "amplitude", kind)
    if amplitude.value.ndim > 1:
        raise NetworkError(f"the amplitude of a {kind} is one number, or one for each cell.")
    return amplitude


@dataclass(frozen=True, eq=False)
class Step(Description):
    """A constant current between two times, each taken to the nearest border of a step.

    Args:
        amplitude: The current; one number or one for each cell.
        start: When it begins, in ms.
        stop: When it ends; None means never.
    """

    amplitude: Any
    start: Any = 0 * ms
    stop: Any = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "amplitude", _amplitude(self.amplitude, "Step"))
        _times(self, "start", *(["stop"] if self.stop is not None else []))
        if self.stop is not None and self.stop < self.start:
            raise NetworkError(f"a Step stops at {self.stop} ms, before it starts ({self.start}).")

    def shape(self, times: Times, middle: Times) -> Times:
        """Return the course over time, at `times` of steps whose middles are `middle` (ms)."""
        stop = np.inf if self.stop is None else self.stop
        return ((middle > self.start) & (middle < stop)) * np.ones_like(times)


@dataclass(frozen=True, eq=False)
class SaturatingPulse(Description):
    """An odour pulse: 0; then 1 - exp(-(t - on)/rise); after `off` it decays from where it was.

    The form is that of Mohanta and Assisi (2022), doi:10.51628/001c.37893, without its step of
    0.0009 at the offset.

    Args:
        amplitude: The current it tends to; one number or one for each cell.
        on: Onset, in ms.
        off: Offset, in ms.
        rise: Time constant of the rise.
        decay: Time constant of the decay.
    """

    amplitude: Any
    on: Any
    off: Any
    rise: Any
    decay: Any

    def __post_init__(self) -> None:
        object.__setattr__(self, "amplitude", _amplitude(self.amplitude, "SaturatingPulse"))
        _times(self, "on", "off", "rise", "decay")
        if self.off < self.on:
            raise NetworkError(f"a pulse is off at {self.off} ms, before it is on ({self.on} ms).")
        if self.rise <= 0 or self.decay <= 0:
            raise NetworkError("the rise and the decay of a pulse are times greater than 0.")

    def shape(self, times: Times, middle: Times) -> Times:
        """Return the course over time, at `times` of steps whose middles are `middle` (ms)."""
        rising = -np.expm1(-(np.clip(times, self.on, self.off) - self.on) / self.rise)
        falling = np.exp(-np.maximum(times - self.off, 0) / self.decay)
        return np.where(middle > self.on, rising * np.where(middle > self.off, falling, 1.0), 0.0)


@dataclass(frozen=True, eq=False)
class Waveform(Description):
    """A current given as samples; each holds until the next, the last one to the end.

    Args:
        samples: Current, shape [n_samples], or [n_samples, n_cells] for one course a cell.
        every: Time from a sample to the next, in ms.
        start: Time of sample 0; before it there is no current.
    """

    samples: Any
    every: Any = 1 * ms
    start: Any = 0 * ms

    def __post_init__(self) -> None:
        samples = units.parameter(self.samples, None, "samples", "Waveform")
        if samples.value.ndim not in (1, 2) or len(samples.value) == 0:
            raise NetworkError(
                f"samples of a Waveform have shape [n_samples] or [n_samples, n_cells], not "
                f"{samples.value.shape}."
            )
        object.__setattr__(self, "samples", samples)
        _times(self, "every", "start")
        if self.every <= 0:
            raise NetworkError(f"the samples of a Waveform are {self.every} ms apart; give > 0.")

    @property
    def amplitude(self) -> Parameter:
        """One unit of the samples' current."""
        return Parameter(np.ones(()), self.samples.unit)

    def shape(self, times: Times, middle: Times) -> Times:
        """Return the course over time, at `times` of steps whose middles are `middle` (ms)."""
        samples = self.samples.value
        # Half a step stands between the middle and either border, so rounding cannot matter.
        index = np.floor((middle - self.start) / self.every).astype(np.int64)
        index = np.broadcast_to(index, times.shape)
        values = samples[np.clip(index, 0, len(samples) - 1)]
        before = index < 0
        return np.where(before[..., None] if samples.ndim == 2 else before, 0.0, values)


Course = Step | SaturatingPulse | Waveform


@dataclass(frozen=True, eq=False)
class Stimulus(Description):
    """Drives cells with a waveform, through the input `I_stim` of their equations.

    Args:
        target: A population or a view, such as `pn[:30]`.
        waveform: A `Step`, `SaturatingPulse` or `Waveform`; its amplitude, if an array, has one
            value for each cell of the target.

    Raises:
        NetworkError: The cells have no input for a current, or the sizes differ.
        UnitError: The current has another unit than the input.
    """

    target: PopulationView
    waveform: Course

    def __post_init__(self) -> None:
        target = as_view(self.target, "the target of a Stimulus")
        object.__setattr__(self, "target", target)
        if not isinstance(self.waveform, (Step, SaturatingPulse, Waveform)):
            raise WrongTypeError(
                "the waveform of a Stimulus is a sf.Step, sf.SaturatingPulse or sf.Waveform, not "
                f"{self.waveform!r}."
            )
        owner = target.population
        unit = require_current_input(owner.name, owner.equations.inputs, "a stimulus")
        amplitude = self.waveform.amplitude
        if units.dimensions(amplitude.unit) != units.dimensions(unit):
            raise UnitError(
                f"the stimulus of {owner.name!r} is in {amplitude.unit}, but the cells take "
                f"{CURRENT_INPUT} in {unit}."
            )
        counts = [amplitude.value.shape[-1]] if amplitude.value.ndim else []
        if isinstance(self.waveform, Waveform) and self.waveform.samples.value.ndim == 2:
            counts.append(self.waveform.samples.value.shape[1])
        for count in counts:
            if count != len(target):
                raise NetworkError(
                    f"the stimulus has {count} courses for {len(target)} cells of {owner.name!r}."
                )


def require_current_input(name: str, inputs: dict[str, str], what: str) -> str:
    """Return the unit of a population's current input.

    Raises:
        NetworkError: It has none.
    """
    if CURRENT_INPUT not in inputs:
        raise NetworkError(
            f"{name!r} has no input for {what}: add the line '{CURRENT_INPUT} : nA' to its "
            f"equations and use {CURRENT_INPUT} in dv/dt."
        )
    return inputs[CURRENT_INPUT]


def CurrentClamp(  # noqa: N802 - the electrode's name, used like the classes beside it
    cells: Any, amplitude: Any, start: Any = 0 * ms, stop: Any = None
) -> Stimulus:
    """Return a stimulus of constant current, as from an electrode.

    Args:
        cells: A population or a view.
        amplitude: The current; one number, or one for each cell.
        start: When it begins.
        stop: When it ends; None means never.

    Raises:
        NetworkError, UnitError: As for `Stimulus` and `Step`.
    """
    return Stimulus(cells, Step(amplitude, start, stop))
