"""What was under way when a run ended, on the clock of the run that goes on from it."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from somaflow.compiler.coupling import AnyCoupling, Group
from somaflow.compiler.final import FinalState, KeptGroup
from somaflow.compiler.ring import slots_of
from somaflow.compiler.spiking import LEAST
from somaflow.errors import RunError
from somaflow.simulation.system import Array

Edits = Mapping[str, Mapping[str, Array]]  # values of synapses, by projection and variable
NEAR = 1e-6  # of a step: what decimal times may miss a whole number of steps by


class Clocks(NamedTuple):
    """The steps of a run that ended and of one that goes on.

    Attributes:
        before: Steps at the end of the first.
        old: Its step in ms.
        now: Steps of the other in the same time.
        dt: Its step in ms.
    """

    before: int
    old: float
    now: int
    dt: float

    @property
    def same(self) -> bool:
        """Whether both have one step."""
        return abs(self.old - self.dt) <= 1e-12 * self.dt

    @property
    def ratio(self) -> float:
        """How many steps of the other a step of the first is."""
        return 1.0 if self.same else self.old / self.dt

    def history(self, name: str, found: Array, empty: Array) -> Array:
        """Return the last spikes of a population, each in the slot of its step.

        Args:
            name: The population.
            found: Those of the first run, `[n_steps, ..., n_cells]`, as the time from each spike
                to the end of its step.
            empty: A history of the length that is needed.

        Raises:
            RunError: A cell has two of them in one step.
        """
        step, places = slots(found, self.before)
        since, history = found[(step % len(found), *places)], np.array(empty)
        if not self.same:
            times = (step + 1) * self.old - since.astype(np.float64)
            step = np.ceil(times / self.dt - 1e-9).astype(np.int64) - 1
            since = np.clip((step + 1) * self.dt - times, LEAST, self.dt).astype(history.dtype)
        kept = step > self.now - len(history)  # the first step writes its own
        step, since, places = step[kept], since[kept], tuple(place[kept] for place in places)
        if np.unique(np.stack([step, *places]), axis=1).shape[1] < len(step):
            raise self._refused(
                f"a cell of {name!r} has two spikes under way within {self.dt:g} ms"
            )
        history[(step % len(history), *places)] = since
        return history

    def counts(self, name: str, found: Array) -> Array:
        """Return for how many steps each cell of a population stays refractory.

        Raises:
            RunError: No whole number of steps.
        """
        counts = found * self.ratio
        if np.abs(counts - np.rint(counts)).max(initial=0) > NEAR:
            raise self._refused(f"cells of {name!r} are refractory")
        return np.rint(counts).astype(found.dtype)

    def ring(self, due: Array, empty: Array, group: Group) -> Array:
        """Return a ring with what is due by a group of projections.

        Args:
            due: Of `due`.
            empty: A ring of the size that is needed.
            group: The group.

        Raises:
            RunError: Something is due at another dt: a ring holds sums up to the end of a step.
        """
        if not self.same and due.any():
            raise self._refused(
                f"spikes are under way by projection {group.routes[0].projection!r}, whose delays "
                "differ"
            )
        slots = np.array(empty).reshape(-1, group.width + 1, empty.shape[-1])
        due = due[: len(slots) - 2]
        slots[(self.now + np.arange(len(due))) % len(slots), :-1] = due
        return slots.reshape(empty.shape)

    def _refused(self, what: str) -> RunError:
        return RunError(
            f"the state that is given was made with dt = {self.old:g} ms, and {what}, which no "
            f"whole number of steps of dt = {self.dt:g} ms tells; go on with the same dt or one "
            "that divides it, or end the run before where nothing is under way."
        )


def slots(history: Array, steps: int) -> tuple[Array, tuple[Array, ...]]:
    """Return the step and the other indices of each spike in a history that ends at `steps`."""
    slot, *places = np.nonzero(history)
    return steps - 1 - (steps - 1 - slot) % len(history), tuple(places)


def columns(group: Group, old: KeptGroup) -> list[tuple[slice, slice]]:
    """Return the columns of each projection of a group, here and in the state that is given."""
    return [
        (route.columns, slice(*old.members[route.projection][1:]))
        for route in group.routes
        if route.projection in old.members
    ]


def due(ring: Array, steps: int, group: Group, old: KeptGroup) -> Array:
    """Return what arrives in the steps from `steps` on, `[n_steps, width, height]`.

    Args:
        ring: Of the group to which the projections belonged.
        steps: The step at which it was left.
        group: The group that they are in now, in whose columns it is returned.
        old: The group that they were in.
    """
    slots = slots_of(ring, old.width)
    order = (steps + np.arange(len(slots) - 2)) % len(slots)
    arrivals = np.zeros((len(order), group.width, ring.shape[-1]), ring.dtype)
    for here, there in columns(group, old):
        arrivals[:, here] = slots[order][:, there]
    return arrivals


def edits_of(final: FinalState, couplings: Sequence[AnyCoupling]) -> Edits:
    """Return the values that were given for single synapses, by projection.

    Raises:
        RunError: There is no such projection.
    """
    here = {route.projection for coupling in couplings for route in coupling.group.routes}
    for gone in sorted(final.edits.keys() - here):
        raise RunError(
            f"values are given for synapses of {gone!r}, a projection that this network has not."
        )
    return final.edits


def edited(edits: Edits, coupling: AnyCoupling, kept: Any) -> Any:
    """Return what a group keeps with the values that were given for its synapses.

    Args:
        edits: Of `edits_of`.
        coupling: The group.
        kept: What it keeps; None where that is nothing.

    Raises:
        RunError: It does not keep them for each synapse.
    """
    for route in coupling.group.routes:
        for name, value in edits.get(route.projection, {}).items():
            place = coupling.variable(name, route)
            if place.axis != "synapse":
                raise RunError(
                    f"{name!r} of projection {route.projection!r} is kept for each {place.axis}"
                    "synaptic cell and not for each synapse, and cannot be given."
                )
            part = "flow" if name in getattr(kept, "flow", ()) else "own"
            values = {**getattr(kept, part)}
            values[name] = np.array(values[name])
            values[name][..., place.places] = value
            kept = kept._replace(**{part: values})
    return kept
