"""Delayed reading: synapses that follow what the presynaptic cell was some time ago."""

from somaflow.errors import NetworkError
from somaflow.network.form import Form
from somaflow.network.ports import BACK
from somaflow.network.projection import Projection
from somaflow.network.synaptic import place_of


def read_between_spikes(projection: Projection) -> list[str]:
    """Return what a synapse reads of the presynaptic cell at all times, such as `v`."""
    equations = projection.equations
    nodes = [variable.expression for variable in equations.states.values()]
    nodes += [equations.definitions["I"].expression] if "I" in equations.definitions else []
    used = set().union(*map(equations.depends, nodes)) & set(equations.inputs)
    return sorted(name.removesuffix("_pre") for name in used if name.endswith("_pre"))


def check_delay(projection: Projection, form: Form) -> None:
    """Refuse a delay, other than 0, of something that cannot come later.

    Raises:
        NetworkError: The synapse conducts both ways at once, has nothing to delay, or both reads
            the presynaptic cell at all times and waits for its spikes.
    """
    place, equations = place_of(projection), projection.equations
    if BACK in equations.definitions or projection.is_gap_junction:
        raise NetworkError(
            f"{place} conducts both ways at once, so it takes no delay; leave delay out. A current "
            "that acts one way and late is written in equations of your own, such as "
            "'I = w*(v_post - v_pre)', which with a delay is no gap junction."
        )
    rules = (item.expression for rule in equations.rules for item in rule.assignments)
    used = set[str]().union(*map(equations.depends, rules)) & set(equations.inputs)
    if late := sorted(name for name in used if name.endswith("_pre")):
        raise NetworkError(
            f"{place}: what is done at intervals reads {late[0]!r}, the presynaptic cell as it is "
            "then and not a delay ago; leave delay out, or that name."
        )
    read = read_between_spikes(projection)
    events = form.waits or form.learns
    if not read and not events:
        raise NetworkError(
            f"{place} reads nothing of the presynaptic cell and waits for no spike, so it takes no "
            "delay; leave delay out."
        )
    if read and events:
        raise NetworkError(
            f"{place} follows {read[0]}_pre at all times and waits for spikes too, and takes no "
            "delay; leave delay out, or make two synapses of it, each with its delay."
        )


def told(projection: Projection) -> str | None:
    """Return what an explanation says of a delay in what is read; None where there is none."""
    read = read_between_spikes(projection)
    if not read or projection.one_delay == 0:
        return None
    names = ", ".join(f"{name}_pre" for name in read)
    ago = "the delay of each synapse"
    if projection.one_delay is not None:
        ago = f"{projection.one_delay:g} ms"
    return f"{names} of {ago} ago; before the start, the first value"
