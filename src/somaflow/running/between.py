"""Between: a Python function that a run calls at intervals, between two of its steps."""

# Annotations stay text: `Moment` would load TensorFlow.
from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from somaflow.errors import RunError, WrongTypeError
from somaflow.given import shown
from somaflow.settings import Duration, positive

if TYPE_CHECKING:
    from somaflow.compiler.moment import Moment, Moments
    from somaflow.simulation.system import Carry

Memory = dict[str, NDArray[Any]]
Edits = Mapping[str, Mapping[str, object]]
_HELD = frozenset("biufc")  # kinds of numbers


class Between:
    """A function that a run calls at intervals: `sf.simulate(..., between=sf.Between(...))`.

    It is called at each whole multiple of the interval, the end of the run included, when all that
    happens in the step before is done and recorded. It is given a `sf.Moment`, reads the state, and
    returns what is to be other from there on, as `run.final.with_` takes it:
    `{"cells": {"v": ...}, "a_to_b": {"w": ...}}`; or None for nothing. Nothing is compiled for it.

    A run that is stored can be resumed with the same function, which a store cannot hold; what the
    function keeps from call to call must then be in `memory`.

    Args:
        interval: The time between two calls, a whole number of steps.
        function: `function(moment)`.
        memory: Arrays by name with which the function begins: `moment.memory` is a dict of copies,
            which it may change and add to.

    Raises:
        RunError, UnitError: The interval is not above 0, or no time.
        WrongTypeError: The function cannot be called, or the memory is no dict of arrays.
    """

    def __init__(
        self,
        interval: Duration,
        function: Callable[[Moment], Edits | None],
        memory: Mapping[str, object] | None = None,
    ) -> None:
        self.interval = positive(interval, "the interval of Between")
        if not callable(function):
            raise WrongTypeError(
                f"sf.Between(interval, function) takes a function of the moment, not "
                f"{shown(function)}."
            )
        if memory is not None and not isinstance(memory, Mapping):
            raise WrongTypeError(
                f"memory is a dict of arrays such as {{'P': np.eye(3)}}, not {shown(memory)}."
            )
        self.function = function
        self.memory = checked({} if memory is None else memory)

    def __repr__(self) -> str:
        name = getattr(self.function, "__qualname__", type(self.function).__name__)
        return f"Between({self.interval:g}*ms, {name})"


class Calls:
    """The calls of one run.

    Args:
        between: The function, or None.
        moments: Makes moments of the run.
        begin: Steps made before the run.
        memory: With which it goes on; None where it begins.
    """

    def __init__(
        self,
        between: Between | None,
        moments: Moments,
        begin: int,
        memory: Mapping[str, NDArray[Any]] | None,
    ) -> None:
        self._between, self._moments, self._begin = between, moments, begin
        began = {} if between is None else between.memory
        self._memory = {k: np.array(v) for k, v in (began if memory is None else memory).items()}

    def __call__(self, carry: Carry, step: int) -> Carry:
        """Call the function after some steps of the run, and return the state with its edits.

        Raises:
            WrongTypeError, UnknownNameError, UnitError, MissingValueError, RunError: It has
                returned, or put into its memory, what cannot be taken.
        """
        assert self._between is not None
        moment = self._moments.at(carry, self._begin + step, self._memory)
        edits = self._between.function(moment)
        self._memory = checked(moment.memory)
        return self._moments.edited(carry, edits)

    def kept(self) -> Memory:
        """Return the memory as it is now, in arrays of its own."""
        return {name: value.copy() for name, value in self._memory.items()}


def checked(memory: Mapping[Any, object]) -> Memory:
    """Return a memory whose numbers are arrays.

    Raises:
        WrongTypeError: A name is no text, or a value no array of numbers.
        RunError: A name cannot stand in a checkpoint.
    """
    arrays: Memory = {}
    for name, value in memory.items():
        if not isinstance(name, str):
            raise WrongTypeError(f"a name in memory is a text, not {shown(name)}.")
        if not name.isprintable() or not name or "/" in name:
            raise RunError(f"{name!r} cannot name an array of memory: it has no '/'.")
        try:
            array = np.asarray(value)
        except Exception:  # those of the value's own methods
            array = np.asarray(None)
        if array.dtype.kind not in _HELD:
            raise WrongTypeError(
                f"memory[{name!r}] is kept in checkpoints as an array of numbers; it cannot be "
                f"{shown(value)}."
            )
        arrays[name] = array
    return arrays


def read_between(between: object) -> Between | None:
    """Return what a run is given as between=.

    Raises:
        WrongTypeError: It is something else.
    """
    if between is None or isinstance(between, Between):
        return between
    raise WrongTypeError(f"between is sf.Between(2.5*ms, function), not {shown(between)}.")


def agreed(between: Between | None, stored: float | None, place: str) -> Between | None:
    """Return the function with which a stored run goes on.

    Args:
        between: What is given.
        stored: The interval of the run in ms; None where it had no function.
        place: Where it was found.

    Raises:
        RunError: One has a function and the other none, or another interval.
    """
    if between is None and stored is not None:
        raise RunError(
            f"{place} is of a run that called a function every {stored:g} ms, which a store cannot "
            f"hold; give it: sf.resume(path, between=sf.Between({stored:g}*ms, function))."
        )
    if between is not None and stored is None:
        raise RunError(f"{place} is of a run that called no function; leave between out.")
    if (
        between is not None
        and stored is not None
        and abs(between.interval - stored) > 1e-9 * stored
    ):
        raise RunError(
            f"{place} is of a run that called a function every {stored:g} ms, and between has "
            f"{between.interval:g} ms."
        )
    return between
