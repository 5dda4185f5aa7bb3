"""The arguments of `solve`, checked before TensorFlow is loaded."""

# Annotations stay text: `Solver` would load TensorFlow.
from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from somaflow import given, units
from somaflow.compiler.event import Event
from somaflow.equations.equations import Equations
from somaflow.errors import RunError, WrongTypeError
from somaflow.given import is_whole, shown
from somaflow.settings import positive
from somaflow.simulation import clock

if TYPE_CHECKING:
    from somaflow.solvers.base import Solver

_SAMPLES = 101  # of an adaptive solve that was not told when
_STEPS = 1_000_000  # that a problem may attempt: a few seconds of a small one


@dataclass(frozen=True)
class Times:
    """When: all numbers in the user's unit of time, or in ms.

    Attributes:
        unit: `"ms"`, or `"1"` for pure numbers.
        t0: Start.
        t1: End.
        dt: Fixed step, or None.
        at: Times of the samples, float64, from t0 on.
        jumps: Times at which f jumps, from t0 on.
        longest: The longest step; infinite for any.
        first: The first step; 0 where it is to be chosen.
    """

    unit: str
    t0: float
    t1: float
    dt: float | None
    at: NDArray[np.float64]
    jumps: NDArray[np.float64]
    longest: float
    first: float

    @property
    def sign(self) -> float:
        """-1 for a solve backwards in time."""
        return 1.0 if self.t1 > self.t0 else -1.0


class SolveArguments(NamedTuple):
    """What a solve was asked to be, checked as far as that needs no TensorFlow.

    Attributes:
        f: The right-hand side.
        y0: Initial state.
        args: Passed to `f`, `noise` and events.
        noise: The factor of the noise, or None.
        events: `sf.Event`s by name, or None.
        batch: Leading axes that number problems, or None.
        solver: The method, or None.
        rtol: Relative tolerance, or None.
        atol: Absolute tolerance: a number or a nest, or None.
        times: When.
        most: How many steps a problem may attempt.
        seed: Of the noise.
        dtype: `"float64"` or `"float32"`.
    """

    f: Equations | Callable[..., object]
    y0: object
    args: object
    noise: Callable[..., object] | None
    events: Mapping[str, Event] | None
    batch: int | None
    solver: Solver | None
    rtol: float | None
    atol: object
    times: Times
    most: int
    seed: int
    dtype: str


def batch_axes(batch: int | None) -> int | None:
    """Return the number of leading axes that number problems, or None.

    Raises:
        WrongTypeError: It is none.
    """
    if batch is None:
        return None
    if not is_whole(batch) or not 0 <= batch < 2**31:
        raise WrongTypeError(f"batch is a number of leading axes such as 1, not {shown(batch)}.")
    return int(batch)


def check_tolerances(dt: object, rtol: object, atol: object) -> None:
    """Refuse tolerances of fixed steps.

    Raises:
        RunError: There are.
    """
    if dt is not None and (rtol is not None or atol is not None):
        raise RunError("give dt= for fixed steps, or rtol= and atol= for adaptive ones, not both.")


def read_times(
    f: object,
    t0: object,
    t1: object,
    dt: object,
    every: object,
    at: object,
    jumps: object = None,
    max_step: object = None,
    first_step: object = None,
) -> Times:
    """Return the times of a solve.

    Raises:
        RunError: They do not fit.
        UnitError, MissingValueError, WrongTypeError: One of them is no time.
    """
    times = [("t0", t0), ("t1", t1), ("dt", dt), ("every", every)]
    times += [("max_step", max_step), ("first_step", first_step)]
    for name, value in (("at", at), ("jumps", jumps)):
        several = isinstance(value, (list, tuple))
        times += [(name, part) for part in (value if several else [] if value is None else [value])]
    with_units = [isinstance(value, units.Quantity) for _, value in times]
    unit = "ms" if any(with_units) or isinstance(f, Equations) else "1"
    if any(with_units):
        for name, value in times:
            plain = value is not None and not isinstance(value, (units.Quantity, str))
            if plain and not _is_zero(value):
                raise RunError(
                    f"{name} is {shown(value)}, without a unit, beside times with units; write it "
                    "with one, such as 1*ms."
                )
    begin, end = _time(t0, unit, "t0"), _time(t1, unit, "t1")
    if begin == end:
        raise RunError(f"t1 is {end:g}, the same as t0; there is nothing to integrate.")
    step = None if dt is None else positive(dt, "dt", unit)
    length = abs(end - begin)
    if step is not None and clock.whole_steps(length, step, "t1 - t0", unit) >= 2**31:
        raise RunError(
            f"t1 - t0 is {length / step:.3g} steps of dt; at most 2**31 can be counted. Solve in "
            "parts, or with rtol= in steps that follow the solution."
        )
    if at is not None and every is not None:
        raise RunError("give every= or at=, not both.")
    longest, first = _limits(max_step, first_step, dt, unit, length)
    places = np.zeros(0) if jumps is None else _jumps(jumps, unit, begin, end)
    samples = _samples(at, every, step, unit, begin, end)
    return Times(unit, begin, end, step, samples, places, longest, first)


def _samples(
    at: object, every: object, step: float | None, unit: str, begin: float, end: float
) -> NDArray[np.float64]:
    """Return the times of the samples."""
    if at is not None:
        return _at(at, unit, begin, end)
    length, sign = abs(end - begin), 1.0 if end > begin else -1.0
    if every is None and step is None:
        return np.linspace(begin, end, _SAMPLES)
    interval = step if every is None else positive(every, "every", unit)
    assert interval is not None
    if step is not None:
        clock.whole_steps(interval, step, "every", unit)
    if interval > length * (1 + 1e-9):
        raise RunError(f"every is {interval:g}, longer than the whole solve, {length:g}.")
    count = int(np.floor(length / interval * (1 + 1e-12) + 1e-9))
    return begin + sign * interval * np.arange(count + 1, dtype=np.float64)


def _limits(
    max_step: object, first_step: object, dt: object, unit: str, length: float
) -> tuple[float, float]:
    """Return the longest and the first step of a solve whose steps follow the tolerances."""
    if max_step is None and first_step is None:
        return np.inf, 0.0
    if dt is not None:
        name = "max_step" if max_step is not None else "first_step"
        raise RunError(f"{name}= is for steps that follow the tolerances; with dt= all are dt.")
    longest = np.inf if max_step is None else positive(max_step, "max_step", unit)
    if first_step is None:
        return longest, 0.0
    first = positive(first_step, "first_step", unit)
    if first > min(longest, length):
        what = "max_step" if longest < length else "the whole solve"
        raise RunError(f"first_step is {first:g}, longer than {what}, {min(longest, length):g}.")
    return longest, first


def _jumps(jumps: object, unit: str, begin: float, end: float) -> NDArray[np.float64]:
    """Return the times at which f jumps, in the direction of the solve, each once.

    Those within rounding of each other, or of the start or end, are one; those outside of the
    solve do not concern it.
    """
    values = np.sort(_times(jumps, unit, "jumps"))
    same = 8 * 2.0**-52 * max(abs(begin), abs(end))
    for edge in (begin, end):
        values[np.abs(values - edge) <= same] = edge
    values = values[(values >= min(begin, end)) & (values <= max(begin, end))]
    values = values[np.diff(values, prepend=-np.inf) > same]
    return values if end > begin else values[::-1]


def pieces(times: Times, dtype: str) -> NDArray[np.float64] | None:
    """Return the pieces between jumps as `rows.Timetable` has them, or None without jumps.

    A field is asked for times strictly between two jumps, by a few units in the last place, so
    that it does not matter to which side a function counts the jump itself.

    Raises:
        RunError: Two jumps are nearer to each other than times of this precision can be.
    """
    if not len(times.jumps):
        return None
    ends = np.concatenate([[times.t0], times.jumps, [times.t1]])
    gaps = np.abs(np.diff(ends))
    reach = np.minimum(*(np.where(g > 0, g, np.inf) for g in (gaps[:-1], gaps[1:])))
    margin = 4 * float(np.finfo(np.dtype(dtype)).eps) * np.maximum(np.abs(times.jumps), reach)
    near = np.flatnonzero(np.diff(times.jumps) * times.sign <= 4 * margin[1:])
    if len(near):
        raise RunError(
            f"jumps contains {times.jumps[near[0]]:.10g} and {times.jumps[near[0] + 1]:.10g}, "
            f"nearer to each other than times in {dtype} can be told apart."
        )
    before, behind = times.jumps - times.sign * margin, times.jumps + times.sign * margin
    # In each piece, from the jump that it begins with to the one that it ends with.
    first = np.concatenate([[-times.sign * np.inf], behind])
    last = np.concatenate([before, [times.sign * np.inf]])
    least, greatest = (first, last) if times.sign > 0 else (last, first)
    bounds = np.stack([np.abs(ends[1:] - times.t0), least, greatest])
    if times.jumps[0] == times.t0:
        bounds = bounds[:, 1:]
    # Few lengths, so that another number of jumps seldom compiles anew.
    size = 1 << int(np.ceil(np.log2(bounds.shape[1])))
    return np.pad(bounds, [(0, 0), (0, size - bounds.shape[1])], mode="edge")


def step_limit(max_steps: int | None, times: Times) -> int:
    """Return how many steps a problem may attempt.

    Raises:
        RunError: It is given with fixed steps, or not positive.
        WrongTypeError: It is no whole number.
    """
    if times.dt is not None:
        if max_steps is not None:
            raise RunError("max_steps= is for steps that follow the tolerances; dt= sets theirs.")
        # Events may divide fixed steps without end.
        return min(round(abs(times.t1 - times.t0) / times.dt) + _STEPS, 2**31 - 1)
    if max_steps is None:
        return _STEPS
    if not is_whole(max_steps):
        raise WrongTypeError(
            f"max_steps is a whole number such as 1_000_000, not {shown(max_steps)}."
        )
    if not 0 < max_steps < 2**31:
        raise RunError(f"max_steps is {shown(max_steps)}; it is at least 1 and below 2**31.")
    return int(max_steps)


def _is_zero(value: object) -> bool:
    array = given.array(value)
    return array is not None and array.dtype.kind in "biuf" and not np.any(array)


def _time(value: object, unit: str, name: str) -> float:
    if value is None or isinstance(value, str):
        example = "1.0" if unit == "1" else "1.0*ms"
        raise WrongTypeError(f"{name} is a time such as {example}, not {shown(value)}.")
    return units.scalar(value, unit, name)


def _times(value: object, unit: str, name: str) -> NDArray[np.float64]:
    """Return a list of times."""
    if isinstance(value, (list, tuple)):
        values = np.array([units.scalar(time, unit, name) for time in value])
    else:
        values = np.atleast_1d(units.parameter(value, unit, name).value).astype(float)
    if values.ndim != 1 or not len(values):
        raise RunError(f"{name} is a list of times such as [1.0, 2.0].")
    return values


def _at(at: object, unit: str, begin: float, end: float) -> NDArray[np.float64]:
    values = _times(at, unit, "at")
    low, high = min(begin, end), max(begin, end)
    for value in values:
        if not low <= value <= high:
            raise RunError(f"at contains {value:g}, outside of t0 = {begin:g} to t1 = {end:g}.")
    steps = np.diff(values) * (1 if end > begin else -1)
    if (steps < 0).any():
        way = "ascending" if end > begin else "descending"
        raise RunError(f"at must be {way} from t0 to t1; {values[1:][steps < 0][0]:g} is not.")
    if (steps == 0).any():
        raise RunError(f"at contains {values[1:][steps == 0][0]:g} twice.")
    return values


def whole_steps(times: Times) -> NDArray[np.int64] | None:
    """Return after how many fixed steps each sample is due, or None if one is between steps."""
    if times.dt is None:
        return None
    places = np.abs(times.at - times.t0) / times.dt
    whole = np.rint(places)
    return whole.astype(np.int64) if (np.abs(places - whole) < 1e-6).all() else None
