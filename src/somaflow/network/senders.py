"""Senders: the populations whose spikes, or other events, reach synapses."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from somaflow.errors import NetworkError, UnknownNameError, WrongTypeError, nearest
from somaflow.given import shown
from somaflow.network.events import Event
from somaflow.network.firing import Firing
from somaflow.network.population import Population
from somaflow.network.sources import NO_EQUATIONS

if TYPE_CHECKING:
    from somaflow.network.projection import Projection


@dataclass(frozen=True, eq=False)
class Happenings(Population):
    """Events of one name of a population, as if they were the spikes of cells without states.

    Its name is that of the population and that of the event, such as `PN.burst`.
    """

    def __post_init__(self) -> None:
        setter = object.__setattr__
        setter(self, "_source", None)
        setter(self, "_equations", NO_EQUATIONS)
        setter(self, "_firing", Firing())
        setter(self, "_happenings", ())
        setter(self, "events", {})
        setter(self, "links", {})

    @classmethod
    def of(cls, population: Population, event: Event) -> "Happenings":
        """Return the events of one name of a population."""
        name = f"{population.name}.{event.name}"
        cells = cls(name, population.size, population.model, threshold=event.name)
        object.__setattr__(cells, "_firing", Firing(event.condition, event.resets))
        object.__setattr__(cells, "first", population.first)
        return cells


def with_happenings(
    populations: tuple[Population, ...],
) -> tuple[tuple[Population, ...], tuple[int, ...]]:
    """Return populations with their events behind them, and for each whose cells it is of.

    Args:
        populations: Those of a network.

    Returns:
        All, and the place of the population of cells of each: its own, but of events.
    """
    pairs = [(k, event) for k, p in enumerate(populations) for event in p.happenings]
    events = (Happenings.of(populations[k], event) for k, event in pairs)
    owners = (*range(len(populations)), *(k for k, _ in pairs))
    return (*populations, *events), owners


def name_of_sender(projection: "Projection") -> str:
    """Return the name of what a projection carries: of a population, or of its events."""
    name = projection.pre.population.name
    return name if projection.on is None else f"{name}.{projection.on}"


def sender_of(projection: "Projection", population: Population) -> Population:
    """Return what a projection carries of a population: its spikes, or other events of it.

    Args:
        projection: The projection.
        population: Its presynaptic population, or one of them.

    Raises:
        WrongTypeError, UnknownNameError: There is no such event.
        NetworkError: The synapse waits for no spike.
    """
    on = projection.on
    if on is None:
        return population
    if not isinstance(on, str):
        raise WrongTypeError(f"on of {projection.place} is the name of an event, not {shown(on)}.")
    known = _by_name(population.happenings)
    if on not in known:
        of_spikes = on in ("spike", "spikes", "threshold")
        hint = " Its spikes need no on=." if of_spikes else nearest(on, known)
        raise UnknownNameError(
            f"{projection.place}: {population.name!r} has no event {on!r}.{hint}"
        )
    equations = projection.written
    if not (equations.on_spike or equations.uses_pulse):
        raise NetworkError(
            f"{projection.place}: synapse {projection.synapse_name!r} waits for no spike, so no "
            "event can take its place; leave on= out."
        )
    return Happenings.of(population, known[on])


def _by_name(events: Iterable[Event]) -> dict[str, Event]:
    return {event.name: event for event in events}
