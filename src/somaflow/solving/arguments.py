"""The arguments of `solve`, checked before anything is computed."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from somaflow import given, units
from somaflow.compiler.ode import OdeModel
from somaflow.equations.equations import Equations
from somaflow.errors import RunError, WrongTypeError
from somaflow.given import is_whole, shown
from somaflow.settings import method, positive
from somaflow.simulation import clock
from somaflow.solvers import catalogue
from somaflow.solvers.base import Solver
from somaflow.solvers.runge_kutta import RK4, Tsitouras

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
    at: np.ndarray
    jumps: np.ndarray
    longest: float
    first: float

    @property
    def sign(self) -> float:
        """-1 for a solve backwards in time."""
        return 1.0 if self.t1 > self.t0 else -1.0


def batch_axes(batch: Any) -> int | None:
    """Return the number of leading axes that number problems, or None.

    Raises:
        WrongTypeError: It is none.
    """
    if batch is None:
        return None
    if not is_whole(batch) or not 0 <= batch < 2**31:
        raise WrongTypeError(f"batch is a number of leading axes such as 1, not {shown(batch)}.")
    return int(batch)


def choose_solver(solver: Any, dt: Any, rtol: Any, atol: Any, made: OdeModel) -> Solver:
    """Return the method of a solve.

    Raises:
        RunError: It does not go with the steps or the noise that were asked for.
        WrongTypeError: It is none.
    """
    adaptive = dt is None
    chosen = method(solver, Tsitouras() if adaptive else RK4())
    if not adaptive and (rtol is not None or atol is not None):
        raise RunError("give dt= for fixed steps, or rtol= and atol= for adaptive ones, not both.")
    if made.diffusion is not None and chosen.calculus is None:
        raise RunError(
            "equations with noise need a stochastic solver, which also sets how the noise is read: "
            "sf.EulerMaruyama() or sf.Milstein() for Ito, sf.StochasticHeun() for Stratonovich."
        )
    if made.diffusion is None and chosen.calculus is not None:
        raise RunError(f"{chosen.name} is for noise; give noise=, or use sf.RK4().")
    if adaptive and chosen.error_order is None:
        own = [m for m in catalogue.METHODS if m.steps == "own"]
        explicit, stiff = ([m for m in own if m.stiff is is_stiff] for is_stiff in (False, True))
        others = (
            f" Methods with steps of their own are {catalogue.spoken(*explicit)}, and for stiff "
            f"equations {catalogue.spoken(*stiff)}."
        )
        raise RunError(
            f"{chosen.name} takes fixed steps: give dt=.{'' if chosen.calculus else others}"
        )
    return chosen


def read_times(
    f: Any,
    t0: Any,
    t1: Any,
    dt: Any,
    every: Any,
    at: Any,
    jumps: Any = None,
    max_step: Any = None,
    first_step: Any = None,
) -> Times:
    """Return the times of a solve.

    Raises:
        RunError: They do not fit.
        UnitError, MissingValueError, WrongTypeError: One of them is no time.
    """
    times = [("t0", t0), ("t1", t1), ("dt", dt), ("every", every)]
    times += [("max_step", max_step), ("first_step", first_step)]
    for name, value in (("at", at), ("jumps", jumps)):
        listed = isinstance(value, (list, tuple))
        times += [(name, part) for part in (value if listed else [] if value is None else [value])]
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
    at: Any, every: Any, step: float | None, unit: str, begin: float, end: float
) -> np.ndarray:
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
    return begin + sign * interval * np.arange(count + 1)


def _limits(
    max_step: Any, first_step: Any, dt: Any, unit: str, length: float
) -> tuple[float, float]:
    """Return the longest and the first step of a solve whose steps follow the tolerances."""
    if max_step is None and first_step is None:
        return np.inf, 0.0
    if dt is not None:
        given = "max_step" if max_step is not None else "first_step"
        raise RunError(f"{given}= is for steps that follow the tolerances; with dt= all are dt.")
    longest = np.inf if max_step is None else positive(max_step, "max_step", unit)
    if first_step is None:
        return longest, 0.0
    first = positive(first_step, "first_step", unit)
    if first > min(longest, length):
        what = "max_step" if longest < length else "the whole solve"
        raise RunError(f"first_step is {first:g}, longer than {what}, {min(longest, length):g}.")
    return longest, first


def _jumps(jumps: Any, unit: str, begin: float, end: float) -> np.ndarray:
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


def pieces(times: Times, floats: tf.DType) -> np.ndarray | None:
    """Return the pieces between jumps as `rowwise.Plan` has them, or None without jumps.

    A field is asked for times strictly between two jumps, by a few units in the last place, so
    that it does not matter to which side a function counts the jump itself.

    Raises:
        RunError: Two jumps are nearer to each other than times of this precision can be.
    """
    if not len(times.jumps):
        return None
    ends = np.concatenate([[times.t0], times.jumps, [times.t1]])
    kind: Any = floats.as_numpy_dtype
    gaps = np.abs(np.diff(ends))
    reach = np.minimum(*(np.where(g > 0, g, np.inf) for g in (gaps[:-1], gaps[1:])))
    margin = 4 * float(np.finfo(kind).eps) * np.maximum(np.abs(times.jumps), reach)
    near = np.flatnonzero(np.diff(times.jumps) * times.sign <= 4 * margin[1:])
    if len(near):
        raise RunError(
            f"jumps contains {times.jumps[near[0]]:.10g} and {times.jumps[near[0] + 1]:.10g}, "
            f"nearer to each other than times in {floats.name} can be told apart."
        )
    before, behind = times.jumps - times.sign * margin, times.jumps + times.sign * margin
    # In each piece, from the jump that it begins with to the one that it ends with.
    first = np.concatenate([[-times.sign * np.inf], behind])
    last = np.concatenate([before, [times.sign * np.inf]])
    least, greatest = (first, last) if times.sign > 0 else (last, first)
    found = np.stack([np.abs(ends[1:] - times.t0), least, greatest])
    if times.jumps[0] == times.t0:
        found = found[:, 1:]
    # Few lengths, so that another number of jumps seldom compiles anew.
    size = 1 << int(np.ceil(np.log2(found.shape[1])))
    return np.pad(found, [(0, 0), (0, size - found.shape[1])], mode="edge")


def step_limit(max_steps: Any, times: Times) -> int:
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


def _is_zero(value: Any) -> bool:
    array = given.array(value)
    return array is not None and array.dtype.kind in "biuf" and not np.any(array)


def _time(value: Any, unit: str, name: str) -> float:
    if value is None or isinstance(value, str):
        example = "1.0" if unit == "1" else "1.0*ms"
        raise WrongTypeError(f"{name} is a time such as {example}, not {shown(value)}.")
    return units.scalar(value, unit, name)


def _times(given: Any, unit: str, name: str) -> np.ndarray:
    """Return a list of times."""
    if isinstance(given, (list, tuple)):
        values = np.array([units.scalar(value, unit, name) for value in given])
    else:
        values = np.atleast_1d(units.parameter(given, unit, name).value).astype(float)
    if values.ndim != 1 or not len(values):
        raise RunError(f"{name} is a list of times such as [1.0, 2.0].")
    return values


def _at(at: Any, unit: str, begin: float, end: float) -> np.ndarray:
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


def whole_steps(times: Times) -> np.ndarray | None:
    """Return after how many fixed steps each sample is due, or None if one is between steps."""
    if times.dt is None:
        return None
    places = np.abs(times.at - times.t0) / times.dt
    whole = np.rint(places)
    return whole.astype(np.int64) if (np.abs(places - whole) < 1e-6).all() else None


def tolerances(rtol: Any, atol: Any, made: OdeModel, floats: tf.DType) -> tuple[float, np.ndarray]:
    """Return the relative tolerance, and the absolute one of each component, [n, 1].

    Raises:
        RunError: They are too small, or do not fit the state.
        UnitError, MissingValueError, WrongTypeError: One of them is no number.
    """
    kind: Any = floats.as_numpy_dtype
    epsilon = float(np.finfo(kind).eps)
    relative = (1e-6 if floats == tf.float64 else 1e-4) if rtol is None else rtol
    relative = units.scalar(relative, "1", "rtol")
    if relative < 10 * epsilon:
        raise RunError(
            f"rtol is {relative:g}; in {floats.name} it cannot be below {10 * epsilon:.1g}. Where "
            "the solution passes zero, atol sets the precision."
        )
    blocks = made.blocks
    given.check_depth(atol, "atol")
    if tf.nest.is_nested(atol):
        try:
            tf.nest.assert_same_structure(made.state, atol)
        except (TypeError, ValueError) as error:
            raise RunError(f"atol has another structure than y0, {list(blocks.names)}.") from error
        leaves = tf.nest.flatten(atol)
    else:
        leaves = [1e-3 * relative if atol is None else atol] * len(blocks.names)
    rows = []
    for leaf, name, unit, size in zip(leaves, blocks.names, made.units, blocks.sizes, strict=True):
        held = units.parameter(leaf, "1" if not isinstance(leaf, units.Quantity) else unit, "atol")
        if (held.value < 0).any():
            raise RunError(f"atol of {name!r} is {held}; it cannot be negative.")
        if held.value.size not in (1, size):
            raise RunError(
                f"atol of {name!r} has {held.value.size} numbers; it is one number, or one for "
                f"each of the {size} components of a problem."
            )
        rows.append(np.broadcast_to(np.reshape(held.value, -1), [size]))
    return relative, np.concatenate(rows)[:, None]
