"""Reductions: what is kept of a member in place of its recordings."""

import io
import pickle
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import FunctionType
from typing import Any

import numpy as np
import pint
import xarray as xr

from somaflow.analysis.spectrum import PEAK_BAND, power_spectrum
from somaflow.errors import RunError, UnitError, UnknownNameError, WrongTypeError, nearest
from somaflow.given import array, has_unit, is_among, listed, shown, takes_one
from somaflow.network.network import Network
from somaflow.network.recorder import Recorder
from somaflow.storage.solution import Solution, SpikeTrains
from somaflow.units import Parameter, dimensions, unit_text

Reduce = Callable[[Solution], object] | str | Sequence[str]

_BATCH = "batch_"
_WINDOW = {"window": "whole run"}  # `somaflow run` takes that of the odour
_LONGEST_INTERVAL = 1000 / (2 * PEAK_BAND[1])  # ms between samples that tell 80 Hz from slower
_KINDS = "a number, a quantity, an array, a DataArray, a Dataset, or a dict of numbers and arrays"


def reduced(solution: Solution, reduce: Reduce | None) -> xr.Dataset:
    """Return what a sweep keeps of a member.

    The names, and what they make of a member; without spikes, or without a peak, it is NaN:

    - `"rate"`: `PN.rate`, the mean rate of the recorded cells over the whole run in Hz, of each
      recording of spikes or other events.
    - `"count"`: `PN.count`, the number of spikes of all its cells.
    - `"cv"`: `PN.cv`, the coefficient of variation of the interspike intervals (their standard
      deviation over their mean), averaged over the cells that have at least two intervals.
    - `"lfp_peak"`: `PN.lfp_peak`, the frequency in Hz of the highest peak from 8 to 80 Hz in the
      power spectrum of a population's mean voltage, of each such recording, over the whole run and
      with a Hann window; see `somaflow.analysis.power_spectrum`. A run under 250 ms has none.

    Args:
        solution: The member's run.
        reduce: One of these names, or several; a function that is given the solution and returns
            a number, a quantity, an array, a DataArray, a Dataset or a dict of numbers and arrays;
            or None for all recordings.

    Returns:
        Numbers with their units, float64 where they are whole, so that NaN can stand beside them.
        What a function returns without a name has the function's; an array `x` of shape [n] without
        names for its axes has the dimension `x.axis_0`.

    Raises:
        WrongTypeError: A function returned something else.
        Exception: Whatever a function raises.
    """
    if reduce is None:
        return solution.arrays()  # what it tells of the run a sweep tells of all members
    if not callable(reduce):
        return xr.Dataset(dict(_by_names(solution, _names(reduce))))
    name = getattr(reduce, "__name__", "value")
    return _dataset(reduce(solution), name if name.isidentifier() else "value")


def check_reduce(reduce: object, record: Sequence[Recorder], network: Network) -> None:
    """Refuse what cannot reduce a member, before any runs.

    Args:
        reduce: What was given.
        record: What is recorded.
        network: Of what.

    Raises:
        WrongTypeError: It is no function of one argument and no name.
        UnknownNameError: There is no such reduction.
        RunError: A reduction needs what is not recorded, or two would have one name.
    """
    if reduce is None:
        return
    if callable(reduce):
        if isinstance(reduce, type) or not takes_one(reduce):
            raise WrongTypeError(
                f"reduce is a function that is given the sf.Solution of a member, not "
                f"{shown(reduce)}."
            )
        return
    names = _names(reduce)
    spikes = [r for r in record if r.of_spikes and r.over_time is None]
    means = [r for r in record if _is_field(r, network)]
    for name in names:
        if name == "lfp_peak":
            _check_field(means)
        elif not spikes:
            raise RunError(
                f"reduce={name!r} needs spikes, and none are recorded: record=pn.spikes."
            )
    owners: dict[str, str] = {}
    for name in names:
        for recorder in means if name == "lfp_peak" else spikes:
            label = f"{_owner(recorder.key)}.{name}"
            other = owners.setdefault(label, recorder.key)
            if other != recorder.key:
                raise RunError(
                    f"the recordings {other!r} and {recorder.key!r} would both be reduced to "
                    f"{label!r}; give one of them another name, such as .as_('other')."
                )


def travels(reduce: object) -> bool:
    """Return whether a reduction can be sent to another process.

    A function is sent by the name of its module and its own: one of `__main__`, a lambda and a
    closure have none that another process could import.

    Args:
        reduce: A function, names, or None.
    """
    try:
        _Pickler(io.BytesIO()).dump(reduce)
    except Exception:  # whatever an object raises that cannot be pickled
        return False
    return True


class _Pickler(pickle.Pickler):
    """Pickles what does not need `__main__`, which in another process is another module."""

    def reducer_override(self, obj: Any) -> Any:
        if isinstance(obj, (type, FunctionType)) and obj.__module__ == "__main__":
            raise pickle.PicklingError(f"{obj.__qualname__} is of __main__")
        return NotImplemented


# ------------------------------------------------------------------------------ by their names


def _names(reduce: object) -> list[str]:
    """Return names of reductions.

    Raises:
        WrongTypeError: They are none.
        UnknownNameError: There is no such reduction.
    """
    names = [reduce] if isinstance(reduce, str) else listed(reduce)
    if not names or isinstance(reduce, (bytes, Mapping)):
        raise WrongTypeError(
            f"reduce is a function, or names such as ['rate', 'lfp_peak'], not {shown(reduce)}."
        )
    known = (*_OF_SPIKES, "lfp_peak")
    for name in names:
        if callable(name):
            raise WrongTypeError(
                f"reduce is a function or names, not both, as in {shown(reduce)}; let the function "
                "return a dict of all, such as {'rate': run['PN.spikes'].rates().mean(), ...}."
            )
        if not is_among(name, known):
            raise UnknownNameError(f"there is no reduction {shown(name)}.{nearest(name, known)}")
    return list(dict.fromkeys(names))


def _check_field(means: Sequence[Recorder]) -> None:
    if not means:
        raise RunError(
            "reduce='lfp_peak' needs the mean of a voltage, and none is recorded: "
            "record=pn['v'].mean().every(0.1*ms)."
        )
    for recorder in means:
        if recorder.interval is not None and recorder.interval > _LONGEST_INTERVAL:
            raise RunError(
                f"reduce='lfp_peak' looks for peaks of up to {PEAK_BAND[1]:g} Hz, and samples of "
                f"{recorder.key!r} are {recorder.interval:g} ms apart; they must be at most "
                f"{_LONGEST_INTERVAL:g} ms apart, such as .every(0.1*ms)."
            )


def _is_field(recorder: Recorder, network: Network) -> bool:
    """Return whether a recorder is of the mean of a voltage over cells."""
    if recorder.of_spikes or recorder.of_projection or recorder.reduction not in ("mean", "sum"):
        return False
    equations = network.population(recorder.owner).equations
    return _is_voltage(equations.unit(recorder.variable))


def _is_voltage(unit: str) -> bool:
    return dimensions(unit) == dimensions("mV")


def _owner(key: str) -> str:
    """Return what a recording is of, by its name: `PN` of `PN.spikes` and of `PN.v.mean`."""
    if key.endswith(".spikes"):
        return key.removesuffix(".spikes")
    return key.removesuffix(".mean").removesuffix(".v")


def _by_names(solution: Solution, names: Sequence[str]) -> Iterator[tuple[str, xr.Variable]]:
    recordings = {key: solution[key] for key in solution}
    for name in names:
        for key, values in recordings.items():
            label = f"{_owner(key)}.{name}"
            if isinstance(values, SpikeTrains) and name in _OF_SPIKES:
                function, unit = _OF_SPIKES[name]
                each = [function(values.problem(*place)) for place in np.ndindex(values.batch)]
                yield label, _of_batch(each, values.batch, label, {"units": unit})
            elif isinstance(values, xr.DataArray) and name == "lfp_peak" and _is_mean(values):
                time = np.asarray(values["time"])
                interval = float(time[1] - time[0]) if len(time) > 1 else 0.0
                batch = values.shape[1:]
                each = [
                    _peak(np.asarray(values)[(slice(None), *place)], interval)
                    for place in np.ndindex(batch)
                ]
                yield label, _of_batch(each, batch, label, {"units": "Hz", **_WINDOW})


def _is_mean(values: xr.DataArray) -> bool:
    one = all(str(dim).startswith(_BATCH) for dim in values.dims[1:])
    return one and _is_voltage(values.attrs["units"])


def _of_batch(
    each: list[float], batch: tuple[int, ...], name: str, attributes: Mapping[str, str]
) -> xr.Variable:
    """Return the values of the problems of a batch; one number where there is none."""
    dims = [f"{name}.{_BATCH}{k}" for k in range(len(batch))]
    return xr.Variable(dims, np.reshape(np.array(each, np.float64), batch), attributes)


def _rate(spikes: SpikeTrains) -> float:
    return _mean(spikes.rates())


def _count(spikes: SpikeTrains) -> float:
    return float(len(spikes))


def _variation(spikes: SpikeTrains) -> float:
    """Return the coefficient of variation of the intervals of each cell, averaged over cells."""
    intervals = [np.diff(train) for train in spikes.trains()]
    return _mean([between.std() / between.mean() for between in intervals if len(between) > 1])


def _peak(voltage: Any, interval: float) -> float:
    if len(voltage) < 2:
        return np.nan
    peak = power_spectrum(voltage, interval).peak
    return np.nan if peak is None else peak


def _mean(values: Any) -> float:
    return float(np.mean(values)) if len(values) else np.nan


_OF_SPIKES: dict[str, tuple[Callable[[SpikeTrains], float], str]] = {
    "rate": (_rate, "Hz"),
    "count": (_count, "1"),
    "cv": (_variation, "1"),
}


# ------------------------------------------------------------------------------ by a function


def _dataset(value: object, name: str) -> xr.Dataset:
    """Return what a function made of a member as a dataset."""
    if isinstance(value, xr.Dataset):
        parts = {str(key): part for key, part in value.data_vars.items()}
    elif isinstance(value, Mapping):
        parts = dict(value)
    else:
        own = value.name if isinstance(value, xr.DataArray) else None
        parts = {name if own is None else str(own): value}
    for key in parts:
        if not isinstance(key, str) or not key or "/" in key:
            raise WrongTypeError(
                f"reduce returned a dict with the key {shown(key)}; keys are names."
            )
    if not parts:
        raise WrongTypeError(f"reduce returned {shown(value)}, which is empty; return {_KINDS}.")
    return xr.Dataset({key: _array(part, key) for key, part in parts.items()})


def _array(value: object, name: str) -> xr.DataArray:
    """Return a value with its unit.

    Raises:
        WrongTypeError: It is none of what a function may return.
    """
    if isinstance(value, xr.DataArray):
        numbers = _numbers(value.values, value, name)
        return value.copy(data=numbers)
    unit, magnitude = "1", value
    if isinstance(value, Parameter):
        unit, magnitude = value.unit, value.declared
    elif isinstance(value, pint.Quantity):
        unit, magnitude = unit_text(value.units), value.magnitude
    elif has_unit(value):
        raise UnitError(
            f"reduce returned the list of quantities {shown(value)} as {name!r}, whose unit would "
            "be lost; return one quantity, such as [1, 2]*mV."
        )
    numbers = _numbers(magnitude, value, name)
    dims = [f"{name}.axis_{k}" for k in range(numbers.ndim)]
    return xr.DataArray(numbers, dims=dims, attrs={"units": unit})


def _numbers(magnitude: object, value: object, name: str) -> np.ndarray[Any, np.dtype[Any]]:
    numbers = None if magnitude is None or isinstance(magnitude, str) else array(magnitude)
    if numbers is None or numbers.dtype.kind not in "biufc":
        raise WrongTypeError(f"reduce returned {shown(value)} as {name!r}; return {_KINDS}.")
    return numbers.astype(np.float64) if numbers.dtype.kind in "biu" else numbers
