"""Recorders: what is recorded of each member of a sweep, checked."""

from collections.abc import Sequence

from somaflow import given
from somaflow.errors import RunError, SomaflowError, WrongTypeError
from somaflow.given import shown
from somaflow.network.network import Network
from somaflow.network.recorder import Recorder, uncalled
from somaflow.sweeping.space import FAILURE, POINT, TRIAL

_OF_SPIKES = ("count", "first", "times", "cells", "cell")  # what a result has of a recording


def recorders_of(record: object, whole: object, network: Network) -> tuple[Recorder, ...]:
    """Return what is recorded.

    Args:
        record: Recorders; a function that returns them of `whole`; None or nothing for the spikes
            of all populations that spike.
        whole: What was given as the model, or what the function returned.
        network: Its network.

    Raises:
        WrongTypeError: Something is no recorder.
        RunError: The function fails, or there is nothing to record.
    """
    if callable(record):
        try:
            record = record(whole)
        except SomaflowError:
            raise
        except Exception as error:  # whatever a user's function raises
            raise RunError(f"record failed: {type(error).__name__}: {error}") from error
    several = [record] if isinstance(record, Recorder) else given.listed(record)
    if record is not None and several is None:
        raise WrongTypeError(
            f"record is a list of recorders, or a function that returns one, not {shown(record)}."
        )
    if not several:
        several = [part.spikes for part in network.populations if part.spiking]
    if not several:
        raise RunError("no population spikes; say what to record, such as record=pop['v'].")
    for recorder in several:
        if not isinstance(recorder, Recorder):
            raise WrongTypeError(
                "record takes recorders such as pn.spikes or pn['v'], not "
                f"{uncalled(recorder) or shown(recorder)}."
            )
    return tuple(several)


def check_names(record: Sequence[Recorder]) -> None:
    """Refuse recordings with a name that a result needs for something else.

    Raises:
        RunError: So it is.
    """
    taken = {FAILURE: "tells why members failed", TRIAL: "numbers trials", POINT: "numbers points"}
    for one in record:
        if one.of_spikes:
            taken |= {f"{one.key}.{part}": f"belongs to {one.key!r}" for part in _OF_SPIKES}
    for one in record:
        if one.key in taken:
            raise RunError(
                f"a recording is called {one.key!r}, which {taken[one.key]} in the result of a "
                f"sweep; give it a name of its own, such as .as_({one.key + '.recorded'!r})."
            )
