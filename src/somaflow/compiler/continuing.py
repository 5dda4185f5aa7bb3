"""Continuing: from the state at which a run ended to the state at which another begins.

What both networks have goes on: populations, projections and noise are told by their names and
not by their place. What is new begins as it would at time 0, what is gone vanishes. Where the two
differ in a way that leaves open what is meant, the run is refused.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from somaflow.compiler import underway
from somaflow.compiler.coupling import RINGS, AnyCoupling, Group
from somaflow.compiler.final import FinalState, KeptGroup, flattened, parts_of
from somaflow.compiler.poisson import COUNTS
from somaflow.compiler.states import EventState
from somaflow.compiler.underway import NEAR, Clocks
from somaflow.equations.expression import Node
from somaflow.errors import RunError, warn
from somaflow.network.population import Population
from somaflow.network.senders import name_of_sender
from somaflow.simulation.system import Array

_POST = ("sum", "sums", "post")  # parts of a group's event state by postsynaptic cells


class Continuing:
    """The end of a run, asked by a network that goes on from it.

    Args:
        final: The end.
        populations: Of the network that goes on.
        dt: Its step in ms.
        dtype: NumPy type of its run.

    Attributes:
        clocks: The steps of both runs.
    """

    def __init__(
        self, final: FinalState, populations: Sequence[Population], dt: float, dtype: DTypeLike
    ) -> None:
        self.final = final
        self.dtype: np.dtype = np.dtype(dtype)
        self.populations = {population.name: population for population in populations}
        self.clocks = Clocks(final.steps, final.dt, round(final.time / dt), dt)
        self._check_populations()

    @property
    def batch(self) -> tuple[int, ...]:
        """Leading axes of what goes on."""
        for name, states in self.final.states.items():
            if name in self.populations and states:
                return next(iter(states.values())).shape[:-1]
        return ()

    # ---------------------------------------------------------------- populations

    def _check_populations(self) -> None:
        """Refuse populations of another size or type, or with other states.

        Raises:
            RunError: There is one.
        """
        for name, population in self.populations.items():
            size = self.final.sizes.get(name)
            if size not in (None, population.size):
                raise RunError(
                    f"population {name!r} has {population.size} cells, but {size} in the state "
                    "that is given."
                )
            states = self._own_states(name)
            if size is not None and sorted(states) != sorted(population.equations.states):
                raise RunError(
                    f"population {name!r} has {_listed(population.equations.states)}, but "
                    f"{_listed(states)} in the state that is given."
                )
            kinds = {value.dtype for value in states.values()} - {self.dtype}
            if kinds:
                raise RunError(
                    f"the state that is given is {kinds.pop()}, but this run is {self.dtype}; run "
                    "both in one type."
                )
        for name in self.final.sizes.keys() - self.populations.keys():
            gone = sorted(self._own_states(name))
            for other, population in self.populations.items():
                new = other not in self.final.sizes and population.size == self.final.sizes[name]
                if new and gone and gone == sorted(population.equations.states):
                    _tell(f"population {other!r}", repr(name))

    def _own_states(self, name: str) -> dict[str, Array]:
        """Return the states of a population, without those of its synapses."""
        starts = tuple(self.final.groups)
        return {
            state: value
            for state, value in self.final.states.get(name, {}).items()
            if not state.startswith(starts)
        }

    def cells(self, name: str) -> dict[str, Array] | None:
        """Return the states of a population; None where it is new."""
        return self._own_states(name) if name in self.final.sizes else None

    # ---------------------------------------------------------------- projections

    def group(self, group: Group) -> KeptGroup | None:
        """Return what is known of a group; None where it is new.

        Raises:
            RunError: A projection leads elsewhere.
        """
        names = [route.projection for route in group.routes]
        old = self.final.groups.get(self.final.group_of.get(names[0], ""))
        if old is None:
            return None
        if (old.sums == COUNTS) != (group.counted is not None):
            raise RunError(
                f"{group.place} was of another kind in the state that is given; give it another "
                "name, under which it begins anew."
            )
        if group.counted is not None:
            here, there = list(self.populations)[group.source], old.members[names[0]][0]
            if here != there:
                raise RunError(
                    f"the Poisson input {names[0]!r} reaches {here!r}, but {there!r} in the state "
                    "that is given; give it another name, under which it begins anew."
                )
        for member in group.members:
            pre = name_of_sender(member.projection)
            post = member.projection.post.population.name
            before = old.source, old.members[str(member.projection.name)][0]
            if before != (pre, post):
                raise RunError(
                    f"projection {member.projection.name!r} leads from {pre!r} to {post!r}, but "
                    f"from {before[0]!r} to {before[1]!r} in the state that is given; give it "
                    "another name, under which it begins anew."
                )
        return old

    def begun(self, group: Group, old: KeptGroup | None, longest: int | None = None) -> int | None:
        """Return since which step spikes arrive by a group; None where all do.

        Args:
            group: The group.
            old: What is known of it.
            longest: The longest delay in steps; default that of the group.
        """
        delay = group.delay if longest is None else longest
        if not delay:
            return None
        if old is None:
            source = name_of_sender(group.members[0].projection)
            return self.clocks.now if self._sent(source, delay * self.clocks.dt) else None
        if old.begun is None:
            return None
        begun = round(old.begun * self.clocks.ratio)
        return begun if self.clocks.now - begun < delay else None

    def latest(self, group: Group, old: KeptGroup) -> int:
        """Return in how many steps the last that is under way in a group's rings arrives."""
        last = 0
        for name in RINGS:
            due = self._due(name, group, old)
            if due is not None and self.clocks.same:
                last = max(last, 1 + int(np.flatnonzero(due.any(axis=(1, 2))).max(initial=-1)))
        return last

    def check_projections(self, couplings: Sequence[AnyCoupling]) -> None:
        """Refuse changed delays where spikes are under way, and tell of names that are gone.

        Raises:
            RunError: As said.
        """
        here = {route.projection for coupling in couplings for route in coupling.group.routes}
        for coupling in couplings:
            group, old = coupling.group, coupling.group.before
            if old is None:
                self._tell_of_likes(group, here)
                continue
            self._check_delay(group, old)
            old.check(group.routes[0].projection, coupling.wired, coupling.began)

    def _tell_of_likes(self, group: Group, here: set[str]) -> None:
        """Warn of a new projection that stands where another one has gone."""
        kind = group.key.rpartition(" (")[0]  # its synapse and its source
        for member in group.members:
            target = member.projection.post.population.name
            for key, old in self.final.groups.items():
                for gone, (post, *_) in old.members.items():
                    alike = post == target and key.rpartition(" (")[0] == kind
                    if alike and gone not in here:
                        _tell(f"projection {member.projection.name!r}", repr(gone))

    def _check_delay(self, group: Group, old: KeptGroup) -> None:
        pairs = (old.delay, self.final.dt), (group.delay, self.clocks.dt)
        before, now = (None if delay is None else delay * dt for delay, dt in pairs)
        if before is None and (now is None or not self._in_rings(group, old)):
            return
        if before is not None and now is not None and abs(before - now) <= NEAR * self.clocks.dt:
            return
        longest = max(before or 0.0, now or 0.0)
        if before is not None and not self._sent(old.source, longest):
            return
        raise RunError(
            f"projection {group.routes[0].projection!r} has {_delay(now)}, but {_delay(before)} "
            "in the state that is given, and spikes are under way; keep its delay, or give it "
            "another name: it then begins anew, and what was under way does not arrive."
        )

    def _sent(self, source: str, ago: float) -> bool:
        """Tell whether a population is known to have spiked within the last `ago` ms."""
        history = self.final.events.get(f"spikes {source}")
        if history is None:
            return False
        step, _ = underway.slots(history, self.final.steps)
        return bool((step > self.final.steps - 1 - ago / self.final.dt - NEAR).any())

    def _in_rings(self, group: Group, old: KeptGroup) -> bool:
        rings = [self._due(name, group, old) for name in RINGS]
        return any(due.any() for due in rings if due is not None)

    def _due(self, name: str, group: Group, old: KeptGroup) -> Array | None:
        """Return what is due in a ring of a group; None where it had none."""
        ring = self.final.events.get(f"{self._key(group)}/{name}")
        return None if ring is None else underway.due(ring, self.final.steps, group, old)

    def _key(self, group: Group) -> str:
        return self.final.group_of[group.routes[0].projection]

    def rows(self, coupling: AnyCoupling) -> dict[str, Array] | None:
        """Return the rows of a coupling in the block of its presynaptic population.

        Returns:
            None where it is new.

        Raises:
            RunError: Its synapses have other states.
        """
        group = coupling.group
        if group.before is None:
            return None
        states, key = self.final.states.get(group.before.source, {}), self._key(group)
        rows = {name: states.get(key + name.removeprefix(group.key)) for name in coupling.rows}
        known = [name for name in states if self._group_of_row(name) == key]
        if len(known) != len(rows) or any(value is None for value in rows.values()):
            raise self._other_synapse(group)
        return {name: value for name, value in rows.items() if value is not None}

    def _group_of_row(self, name: str) -> str:
        """Return the group to which a row belongs; "" for a population's own state."""
        keys = (key for key in self.final.groups if name == key or name.startswith(f"{key} "))
        return max(keys, key=len, default="")

    @staticmethod
    def _other_synapse(group: Group) -> RunError:
        return RunError(
            f"projection {group.routes[0].projection!r} has a synapse with other variables than in "
            "the state that is given; give it another name, under which it begins anew."
        )

    # --------------------------------------------------------------------- events

    def events(self, initial: EventState, couplings: Sequence[AnyCoupling]) -> EventState:
        """Return the event state of the network that goes on.

        Args:
            initial: That of a run which begins at time 0.
            couplings: Its groups of projections.

        Raises:
            RunError: What is kept in steps of another dt cannot be told exactly.
        """
        groups = {}
        edits = underway.edits_of(self.final, couplings)
        for coupling in couplings:
            key = coupling.group.key
            known = self._kept(coupling.group) if coupling.group.before is not None else {}
            if known and key not in initial.groups:
                raise self._other_synapse(coupling.group)
            kept = initial.groups.get(key)
            kept = None if kept is None else self._of_group(coupling, kept)
            kept = underway.edited(edits, coupling, kept)
            if key in initial.groups:
                groups[key] = kept
        known = self.final.events
        return EventState(
            noise=self._noise(initial.noise),
            groups=groups,
            refractory={
                key: self._refractory(key, known[key]) if key in known else value
                for key, value in initial.refractory.items()
            },
            # Who is above already has spiked, or has not crossed.
            above={
                key: known[key] if key in known else np.ones_like(value)
                for key, value in initial.above.items()
            },
            spikes={
                key: self._history(key, known[key], value) if key in known else value
                for key, value in initial.spikes.items()
            },
            past=initial.past,  # `past.begun` goes on with it
        )

    def _refractory(self, key: str, known: Array) -> Array:
        name = key.partition(" ")[2]
        return known if self._has_condition(name) else self.clocks.counts(name, known)

    def _history(self, key: str, known: Array, empty: Array) -> Array:
        return self.clocks.history(key.partition(" ")[2], known, empty)

    def _has_condition(self, name: str) -> bool:
        """Tell whether a condition says how long a population is refractory."""
        return isinstance(self.populations[name].firing.refractory, Node)

    def _kept(self, group: Group) -> dict[str, Array]:
        """Return what is kept of a group, without its rings."""
        arrays = _below(self.final.events, self._key(group))
        return {path: value for path, value in arrays.items() if path not in RINGS}

    def _of_group(self, coupling: AnyCoupling, initial: NamedTuple) -> NamedTuple:
        """Return what a group keeps."""
        group, old = coupling.group, coupling.group.before
        if old is None:
            return initial
        known = self._kept(group)
        parts = parts_of(initial) or {}
        wanted = flattened({name: value for name, value in parts.items() if name not in RINGS})
        if known.keys() != wanted.keys():
            raise self._other_synapse(group)

        def one(path: str, value: object) -> object:
            if isinstance(value, Mapping):
                return {name: one(f"{path}/{name}", part) for name, part in value.items()}
            part = path.partition("/")[0]
            if part in RINGS:
                due = self._due(path, group, old)
                if part == "late" and old.places != coupling.places:
                    self._check_nothing_due(due, group)
                    return value
                return value if due is None else self.clocks.ring(due, np.asarray(value), group)
            array = known[path]
            if part == "busy":  # how long a pulse may last, in steps; longer does no harm
                steps = np.asarray(np.ceil(array * self.clocks.ratio), array.dtype)
                return np.broadcast_to(steps, np.asarray(value).shape).copy()  # once one for all
            if part == "own" and coupling.ordered is not None:
                if array.shape[-1] != len(coupling.ordered):
                    raise self._other_synapse(group)
                values = np.array(value)
                values[..., coupling.ordered] = array
                return values
            if part not in _POST:
                return array
            values = np.array(value)
            for here, there in underway.columns(group, old):
                values[..., here] = array[..., there]
            return values

        return initial._replace(**{name: one(name, value) for name, value in parts.items()})

    @staticmethod
    def _check_nothing_due(due: Array | None, group: Group) -> None:
        """Refuse gates that are under way and known at the nodes of another method."""
        if due is not None and due.any():
            raise RunError(
                f"the state that is given is of a method with other nodes, and spikes are under "
                f"way by projection {group.routes[0].projection!r}, whose delays differ; go on "
                "with the same method, or end the run before where nothing is under way."
            )

    def _noise(self, initial: Mapping[str, Array]) -> dict[str, Array]:
        """Return the last numbers of noise: of the same, or of the one that took its place.

        A key is what a noise has in common with itself under other parameters, and behind the
        last space what tells it from others of that kind.
        """
        known = taken_over(initial, _below(self.final.events, "stimuli"))
        return {key: known.get(key, value) for key, value in initial.items()}


def taken_over(names: Collection[str], known: Mapping[str, Array]) -> dict[str, Array]:
    """Return the states that noises take over: of the same, or of one of the same kind.

    Args:
        names: The noises that go on; before the last space a name tells the kind.
        known: The states by the names of those that were.
    """
    left = dict(known)
    found = {name: left.pop(name) for name in names if name in left}
    for name in names:
        alike = [k for k in left if k.rpartition(" ")[0] == name.rpartition(" ")[0]]
        if name not in found and alike:
            found[name] = left.pop(alike[0])
    return found


def _below(events: Mapping[str, Array], key: str) -> dict[str, Array]:
    """Return the arrays of a part of an event state, by what follows its name."""
    start = f"{key}/"
    return {k.removeprefix(start): v for k, v in events.items() if k.startswith(start)}


def _delay(delay: float | None) -> str:
    return "delays that differ" if delay is None else f"a delay of {delay:g} ms"


def _listed(states: Iterable[str]) -> str:
    names = ", ".join(states)
    return f"the states {names}" if names else "no states"


def _tell(what: str, gone: str) -> None:
    warn(
        f"{what} begins anew: the state that is given has {gone}, which this network has not. "
        "What is to go on keeps its name.",
    )


def check_start(final: FinalState, dt: float) -> int:
    """Return how many steps of `dt` were made before.

    Raises:
        RunError: No whole number.
    """
    steps = final.time / dt
    if abs(steps - round(steps)) > NEAR or (final.steps and round(steps) < 1):
        raise RunError(
            f"the state that is given is of {final.time:.10g} ms, which is not a whole number of "
            f"steps of dt = {dt:g} ms; end the run before at a multiple of it."
        )
    return round(steps)
