"""Waveforms: courses over time of a current, a voltage or a rate.

A waveform has an amplitude (one number, or one for each cell) and a shape over time. The shape is
evaluated in float64 on the host, at the times a solver asks for. Its pieces are chosen by the
middle of the step, so that a jump on a step's border acts from that border on and never inside. A
step within which one piece ends and another begins has the mean of the shape over the step instead.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from somaflow import units
from somaflow.description import Description
from somaflow.errors import NetworkError
from somaflow.network.fields import Field, default
from somaflow.units import Parameter, ms

Times = NDArray[np.float64]


class Windowed:
    """What begins at a time, and may end, both in ms.

    Attributes:
        start: When it begins.
        stop: When it ends; None means never.
    """

    start: Field[float]
    stop: Field[float | None]


def set_times(thing: object, *names: str) -> None:
    """Hold fields of a frozen description as times in ms.

    Raises:
        UnitError, MissingValueError, WrongTypeError: One of them is no time.
    """
    for name in names:
        value = units.scalar(getattr(thing, name), "ms", name)
        object.__setattr__(thing, name, value)


def set_window(thing: Windowed, kind: str) -> None:
    """Hold the fields `start` and `stop` as times in ms; a `stop` of None means never.

    Raises:
        NetworkError: It stops before it starts.
        UnitError, MissingValueError, WrongTypeError: One of them is no time.
    """
    set_times(thing, "start", *(["stop"] if thing.stop is not None else []))
    if thing.stop is not None and thing.stop < thing.start:
        raise NetworkError(
            f"a {kind} stops at {thing.stop} ms, before it starts ({thing.start} ms)."
        )


def within(thing: Windowed, middle: Times) -> NDArray[np.bool_]:
    """Return whether steps, by their middles, lie between `start` and `stop`."""
    return (middle > thing.start) & (middle < _stop(thing))


def shares(things: Sequence[Windowed], middle: Times, dt: float) -> Times:
    """Return which part of each step lies between `start` and `stop`: 0 to 1.

    Args:
        things: What has a `start` and a `stop`.
        middle: The middle of each step, ascending.
        dt: Its length.

    Returns:
        An array `[n_steps, n_things]`.
    """
    start = np.array([thing.start for thing in things])
    stop = np.array([_stop(thing) for thing in things])
    # Only steps around a border are looked at; behind them nothing changes until the next.
    after = np.searchsorted(middle, np.unique(np.concatenate([start, stop])))
    near = np.unique(np.clip(after[:, None] + np.arange(-2, 3), 0, max(len(middle) - 1, 0)))
    rows = np.union1d(near, 0)[: len(middle)]
    parts = _shares(start, stop, middle[rows, None], dt)
    return np.repeat(parts, np.diff(rows, append=len(middle)), axis=0)


def _shares(start: Times, stop: Times, middle: Times, dt: float) -> Times:
    parts = ((middle > start) & (middle < stop)).astype(np.float64)
    cut = _cuts(start, middle, dt) | _cuts(stop, middle, dt)
    begin, which = np.broadcast_to(middle, cut.shape)[cut] - dt / 2, np.nonzero(cut)[-1]
    inside = np.minimum(begin + dt, stop[which]) - np.maximum(begin, start[which])
    parts[cut] = np.maximum(inside, 0.0) / dt
    return parts


def over_steps(course: "Course", times: Times, middle: Times, dt: float) -> Times:
    """Return the shape of a course at times within steps; its mean where a border cuts the step.

    So the integral over time is that of the course, wherever its borders are, and a method sees a
    smooth shape in every step.

    Args:
        course: The course.
        times: Times in ms.
        middle: Of each the middle of its step, of the same shape.
        dt: Length of a step.
    """
    values = course.shape(times, middle)
    cut = course.cut(middle, dt)
    if cut.any():
        begin = middle[cut] - dt / 2
        values[cut] = course.integral(begin, begin + dt) / dt
    return values


def rounding(place: Times) -> Times:
    """Return which part of a step may be rounding, at a time given in steps.

    What is closer to a border is on it.
    """
    return 1e-9 + 4e-15 * place


def _stop(thing: Windowed) -> float:
    return np.inf if thing.stop is None else thing.stop


def _cuts(border: Times | float, middle: Times, dt: float) -> NDArray[np.bool_]:
    """Return which steps have a border in their inside, not on an edge."""
    near = np.abs(middle - border) < dt
    if near.any():
        place, edge = (np.broadcast_to(x, near.shape)[near] / dt for x in (middle, border))
        near[near] = np.abs(place - edge) < 0.5 - rounding(np.abs(place))
    return near


def per_cell(value: object, unit: str | None, name: str, kind: str) -> Parameter:
    """Return a value as one number, or one for each cell.

    Raises:
        NetworkError: It has more axes.
        UnitError, MissingValueError, WrongTypeError: It is no number in that unit.
    """
    numbers = units.parameter(value, unit, name, kind)
    if numbers.value.ndim > 1:
        raise NetworkError(f"the {name} of a {kind} is one number, or one for each cell.")
    return numbers


def lengths(*values: Parameter | None) -> tuple[int, ...]:
    """Return for how many cells the values are given that are no single number."""
    return tuple(len(v.value) for v in values if v is not None and v.value.ndim)


@dataclass(frozen=True, eq=False)
class Step(Windowed, Description):
    """A constant value between two times; 0 outside.

    A step of a run that it covers in part gets that part of the value: its integral is exact.

    Args:
        amplitude: The value, such as a current; one number or one for each cell.
        start: When it begins, in ms.
        stop: When it ends; None means never.

    Raises:
        NetworkError: It stops before it starts.
    """

    amplitude: Field[Parameter]
    start: Field[float] = default(0 * ms)
    stop: Field[float | None] = default(None)

    def __post_init__(self) -> None:
        amplitude = per_cell(self.amplitude, None, "amplitude", "Step")
        object.__setattr__(self, "amplitude", amplitude)
        set_window(self, "Step")

    @property
    def unit(self) -> str:
        """The unit of its values."""
        return self.amplitude.unit

    @property
    def sizes(self) -> tuple[int, ...]:
        """For how many cells it is given; empty where one course is for all."""
        return lengths(self.amplitude)

    @property
    def extremes(self) -> tuple[float, float]:
        """Bounds of its values, in the coherent system."""
        return _with_zero(self.amplitude)

    def shape(self, times: Times, middle: Times) -> Times:
        """Return the course over time, at `times` of steps whose middles are `middle` (ms)."""
        return np.broadcast_to(within(self, middle), times.shape).astype(np.float64)

    def cut(self, middle: Times, dt: float) -> NDArray[np.bool_]:
        """Return which steps of a length of `dt` it begins or ends within."""
        return _cuts(self.start, middle, dt) | _cuts(_stop(self), middle, dt)

    def integral(self, begin: Times, end: Times) -> Times:
        """Return the integral of the course over time from `begin` to `end` (ms)."""
        return np.maximum(np.minimum(end, _stop(self)) - np.maximum(begin, self.start), 0.0)


@dataclass(frozen=True, eq=False)
class Ramp(Description):
    """A value that rises or falls evenly between two times: 0 before, and it stays behind.

    Args:
        start_value: The value at `start`, from which on it acts; one number or one for each cell.
        stop_value: The value from `stop` on, in the same unit; one number or one for each cell.
        start: When it begins, in ms.
        stop: When it has arrived, in ms.

    Raises:
        NetworkError: It stops before it starts.
        UnitError: The two values have different units.
    """

    start_value: Field[Parameter]
    stop_value: Field[Parameter]
    start: Field[float]
    stop: Field[float]

    def __post_init__(self) -> None:
        first = per_cell(self.start_value, None, "start_value", "Ramp")
        object.__setattr__(self, "start_value", first)
        last = per_cell(self.stop_value, first.unit, "stop_value", "Ramp")
        object.__setattr__(self, "stop_value", last)
        set_times(self, "start", "stop")
        if self.stop <= self.start:
            raise NetworkError(
                f"a Ramp stops at {self.stop} ms, not after it starts ({self.start} ms); for a "
                "jump give a Step."
            )
        if len(set(self.sizes)) > 1:
            raise NetworkError(
                f"a Ramp starts with {self.sizes[0]} values and stops with {self.sizes[1]}."
            )

    @property
    def amplitude(self) -> Parameter:
        """One unit of its values."""
        return Parameter(np.ones(()), self.start_value.unit)

    @property
    def unit(self) -> str:
        """The unit of its values."""
        return self.start_value.unit

    @property
    def sizes(self) -> tuple[int, ...]:
        """For how many cells it is given; empty where one course is for all."""
        return lengths(self.start_value, self.stop_value)

    @property
    def extremes(self) -> tuple[float, float]:
        """Bounds of its values, in the coherent system."""
        low, high = zip(_with_zero(self.start_value), _with_zero(self.stop_value), strict=True)
        return min(low), max(high)

    def shape(self, times: Times, middle: Times) -> Times:
        """Return the course over time, at `times` of steps whose middles are `middle` (ms)."""
        share = np.clip((times - self.start) / (self.stop - self.start), 0.0, 1.0)
        on = middle > self.start
        if self.sizes:
            share, on = share[..., None], on[..., None]
        first, last = self.start_value.value, self.stop_value.value
        return np.where(on, first + (last - first) * share, 0.0)

    def cut(self, middle: Times, dt: float) -> NDArray[np.bool_]:
        """Return which steps of a length of `dt` it begins or arrives within."""
        return _cuts(self.start, middle, dt) | _cuts(self.stop, middle, dt)

    def integral(self, begin: Times, end: Times) -> Times:
        """Return the integral of the course over time from `begin` to `end` (ms)."""
        low, high = (np.clip(t, self.start, self.stop) for t in (begin, end))
        risen = (low + high - 2 * self.start) / 2 / (self.stop - self.start)
        slanted, flat = high - low, np.maximum(end - np.maximum(begin, self.stop), 0.0)
        if self.sizes:
            risen, slanted, flat = risen[..., None], slanted[..., None], flat[..., None]
        first, last = self.start_value.value, self.stop_value.value
        return slanted * (first + (last - first) * risen) + flat * last


@dataclass(frozen=True, eq=False)
class SaturatingPulse(Description):
    """An odour pulse: 0; then 1 - exp(-(t - on)/rise); after `off` it decays from where it was.

    The form is that of Mohanta and Assisi (2022), doi:10.51628/001c.37893, without its step of
    0.0009 at the offset.

    Args:
        amplitude: The value it tends to; one number or one for each cell.
        on: Onset, in ms.
        off: Offset, in ms.
        rise: Time constant of the rise.
        decay: Time constant of the decay.

    Raises:
        NetworkError: It is off before it is on, or a time constant is not greater than 0.
    """

    amplitude: Field[Parameter]
    on: Field[float]
    off: Field[float]
    rise: Field[float]
    decay: Field[float]

    def __post_init__(self) -> None:
        amplitude = per_cell(self.amplitude, None, "amplitude", "SaturatingPulse")
        object.__setattr__(self, "amplitude", amplitude)
        set_times(self, "on", "off", "rise", "decay")
        if self.off < self.on:
            raise NetworkError(f"a pulse is off at {self.off} ms, before it is on ({self.on} ms).")
        if self.rise <= 0 or self.decay <= 0:
            raise NetworkError("the rise and the decay of a pulse are times greater than 0.")

    @property
    def unit(self) -> str:
        """The unit of its values."""
        return self.amplitude.unit

    @property
    def sizes(self) -> tuple[int, ...]:
        """For how many cells it is given; empty where one course is for all."""
        return lengths(self.amplitude)

    @property
    def extremes(self) -> tuple[float, float]:
        """Bounds of its values, in the coherent system."""
        return _with_zero(self.amplitude)

    def shape(self, times: Times, middle: Times) -> Times:
        """Return the course over time, at `times` of steps whose middles are `middle` (ms)."""
        rising = -np.expm1(-(np.clip(times, self.on, self.off) - self.on) / self.rise)
        falling = np.exp(-np.maximum(times - self.off, 0) / self.decay)
        return np.where(middle > self.on, rising * np.where(middle > self.off, falling, 1.0), 0.0)

    def cut(self, middle: Times, dt: float) -> NDArray[np.bool_]:
        """Return which steps of a length of `dt` it goes on or off within."""
        return _cuts(self.on, middle, dt) | _cuts(self.off, middle, dt)

    def integral(self, begin: Times, end: Times) -> Times:
        """Return the integral of the course over time from `begin` to `end` (ms)."""
        low, high = (np.clip(t, self.on, self.off) - self.on for t in (begin, end))
        rising = high - low + self.rise * (np.exp(-high / self.rise) - np.exp(-low / self.rise))
        low, high = (np.maximum(t - self.off, 0.0) for t in (begin, end))
        top = -np.expm1(-(self.off - self.on) / self.rise)
        fallen = np.exp(-low / self.decay) - np.exp(-high / self.decay)
        return rising + top * self.decay * fallen


@dataclass(frozen=True, eq=False)
class Waveform(Description):
    """Values given as samples; each holds until the next, the last one to the end.

    A step of a run within which a sample begins gets the mean over the step.

    A run hands them to the compiled code piece by piece, so they may be as long as memory allows.

    Args:
        samples: The values, shape [n_samples], or [n_samples, n_cells] for one course a cell.
        every: Time from a sample to the next, in ms.
        start: Time of sample 0; before it the value is 0.

    Raises:
        NetworkError: The samples have another shape, or `every` is not greater than 0.
    """

    samples: Field[Parameter]
    every: Field[float] = default(1 * ms)
    start: Field[float] = default(0 * ms)

    def __post_init__(self) -> None:
        samples = units.parameter(self.samples, None, "samples", "Waveform")
        if samples.value.ndim not in (1, 2) or len(samples.value) == 0:
            raise NetworkError(
                f"samples of a Waveform have shape [n_samples] or [n_samples, n_cells], not "
                f"{samples.value.shape}."
            )
        object.__setattr__(self, "samples", samples)
        set_times(self, "every", "start")
        if self.every <= 0:
            raise NetworkError(f"the samples of a Waveform are {self.every} ms apart; give > 0.")

    @property
    def amplitude(self) -> Parameter:
        """One unit of the samples' values."""
        return Parameter(np.ones(()), self.samples.unit)

    @property
    def unit(self) -> str:
        """The unit of its values."""
        return self.samples.unit

    @property
    def sizes(self) -> tuple[int, ...]:
        """For how many cells it is given; empty where one course is for all."""
        return self.samples.value.shape[1:]

    @property
    def extremes(self) -> tuple[float, float]:
        """Bounds of its values, in the coherent system."""
        return _with_zero(self.samples)

    def shape(self, times: Times, middle: Times) -> Times:
        """Return the course over time, at `times` of steps whose middles are `middle` (ms)."""
        samples = self.samples.value
        # Half a step stands between the middle and either border, so rounding cannot matter.
        index = np.floor((middle - self.start) / self.every).astype(np.int64)
        index = np.broadcast_to(index, times.shape)
        values = samples[np.clip(index, 0, len(samples) - 1)]
        before = index < 0
        return np.where(before[..., None] if samples.ndim == 2 else before, 0.0, values)

    def cut(self, middle: Times, dt: float) -> NDArray[np.bool_]:
        """Return which steps of a length of `dt` a sample begins within."""
        first, last = 0, len(self.samples.value) - 1
        nearest = np.clip(np.rint((middle - self.start) / self.every), first, last)
        return _cuts(self.start + nearest * self.every, middle, dt)

    def integral(self, begin: Times, end: Times) -> Times:
        """Return the integral of the course over time from `begin` to `end` (ms)."""
        samples = self.samples.value
        low, high = ((t - self.start) / self.every for t in (begin, end))
        index = np.floor(low).astype(np.int64)
        total = np.zeros((*begin.shape, *samples.shape[1:]))
        # The first sample of each span, the next, and so on, until every span is at its end.
        while (left := (index < high) & (index < len(samples))).any():
            later = np.where(index == len(samples) - 1, np.inf, index + 1)
            part = np.maximum(np.minimum(high, later) - np.maximum(low, index), 0.0)
            part = np.where(left & (index >= 0), part, 0.0)
            values = samples[np.clip(index, 0, len(samples) - 1)]
            total += (part[..., None] if samples.ndim == 2 else part) * values
            index = index + 1
        return total * self.every


Course = Step | Ramp | SaturatingPulse | Waveform


def _with_zero(values: Parameter) -> tuple[float, float]:
    return float(values.value.min(initial=0.0)), float(values.value.max(initial=0.0))
