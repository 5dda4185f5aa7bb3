"""Continuing: from the state at which a run ended to the state at which another begins.

What both networks have goes on: populations, projections and noise are told by their names and
not by their place. What is new begins as it would at time 0, what is gone vanishes. Where the two
differ in a way that leaves open what is meant, the run is refused.
"""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from somaflow.compiler.coupling import RINGS, Coupling, Group
from somaflow.compiler.final import FinalState, KeptGroup, flattened
from somaflow.errors import RunError
from somaflow.network.population import Population
from somaflow.simulation.system import Array

_NEAR = 1e-6  # of a step: what decimal times may miss a whole number of steps by
_LEAST = 1e-30  # from a spike to its step's end; 0 would be no spike


class Continuing:
    """The end of a run, asked by a network that goes on from it.

    Args:
        final: The end.
        populations: Of the network that goes on.
        dt: Its step in ms.
        dtype: NumPy type of its run.

    Attributes:
        steps: Steps of `dt` that were made before.
    """

    def __init__(
        self, final: FinalState, populations: Sequence[Population], dt: float, dtype: Any
    ) -> None:
        self.final, self.dt, self.dtype = final, dt, np.dtype(dtype)
        self.populations = {population.name: population for population in populations}
        self.steps = final.steps if self._same_dt else round(final.time / dt)
        self._check_populations()

    @property
    def _same_dt(self) -> bool:
        return abs(self.final.dt - self.dt) <= 1e-12 * self.dt

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
        for member in group.members:
            pre, post = (end.population.name for end in (member.projection.pre,
                                                         member.projection.post))  # fmt: skip
            before = old.source, old.members[str(member.projection.name)][0]
            if before != (pre, post):
                raise RunError(
                    f"projection {member.projection.name!r} leads from {pre!r} to {post!r}, but "
                    f"from {before[0]!r} to {before[1]!r} in the state that is given; give it "
                    "another name, under which it begins anew."
                )
        return old

    def begun(self, group: Group, old: KeptGroup | None) -> int | None:
        """Return since which step spikes arrive by a group; None where all do."""
        if not group.delay:
            return None
        if old is None:
            source = group.members[0].projection.pre.population.name
            return self.steps if self._sent(source, group.delay * self.dt) else None
        if old.begun is None:
            return None
        begun = round(old.begun * self.final.dt / self.dt)
        return begun if self.steps - begun < group.delay else None

    def latest(self, group: Group, old: KeptGroup) -> int:
        """Return in how many steps the last that is under way in a group's rings arrives."""
        last = 0
        for name in RINGS:
            found = self.final.events.get(f"{self._key(group)}/{name}")
            if found is not None and self._same_dt:
                due = self._due(found, group, old).any(axis=(1, 2))
                last = max(last, 1 + int(np.flatnonzero(due).max(initial=-1)))
        return last

    def check_projections(self, couplings: Sequence[Coupling]) -> None:
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
            if old.wired != coupling.wired:
                raise RunError(
                    f"projection {group.routes[0].projection!r} joins other cells than in the "
                    "state that is given, and what its synapses keep, each by itself, cannot go "
                    "on; give it another name, under which it begins anew."
                )

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
        delays = [None if d is None else d * dt for d, dt in ((old.delay, self.final.dt),
                                                              (group.delay, self.dt))]  # fmt: skip
        before, now = delays
        if before is None and (now is None or not self._in_rings(group, old)):
            return
        if before is not None and now is not None and abs(before - now) <= _NEAR * self.dt:
            return
        longest = max(before or 0.0, now or 0.0)
        if before is not None and not self._sent(old.source, longest):
            return
        said = ["delays that differ" if d is None else f"a delay of {d:g} ms" for d in delays]
        raise RunError(
            f"projection {group.routes[0].projection!r} has {said[1]}, but {said[0]} in the state "
            "that is given, and spikes are under way; keep its delay, or give it another name: it "
            "then begins anew, and what was under way does not arrive."
        )

    def _sent(self, source: str, ago: float) -> bool:
        """Tell whether a population is known to have spiked within the last `ago` ms."""
        found = self.final.events.get(f"spikes {source}")
        if found is None:
            return False
        step, places = _slots(found, self.final.steps)
        del places
        return bool((step > self.final.steps - 1 - ago / self.final.dt - _NEAR).any())

    def _in_rings(self, group: Group, old: KeptGroup) -> bool:
        found = [self.final.events.get(f"{self._key(group)}/{name}") for name in RINGS]
        return any(self._due(ring, group, old).any() for ring in found if ring is not None)

    def _due(self, ring: Array, group: Group, old: KeptGroup) -> Array:
        """Return what is due in a ring, by steps from now on: `[n, width, height]`.

        Its columns are those of `group`, of which new projections have none.
        """
        stride = 1 + max(end for _, _, end in old.members.values())
        slots = ring.reshape(-1, stride, ring.shape[-1])
        order = (self.final.steps + np.arange(len(slots) - 2)) % len(slots)
        made = np.zeros((len(order), group.width, ring.shape[-1]), ring.dtype)
        for here, there in _columns(group, old):
            made[:, here] = slots[order][:, there]
        return made

    def _key(self, group: Group) -> str:
        return self.final.group_of[group.routes[0].projection]

    def rows(self, coupling: Coupling) -> dict[str, Array] | None:
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
        found = {name: states.get(key + name.removeprefix(group.key)) for name in coupling.rows}
        known = [name for name in states if name == key or name.startswith(f"{key} ")]
        if len(known) != len(found) or any(value is None for value in found.values()):
            raise self._other_synapse(group)
        return {name: value for name, value in found.items() if value is not None}

    @staticmethod
    def _other_synapse(group: Group) -> RunError:
        return RunError(
            f"projection {group.routes[0].projection!r} has a synapse with other variables than in "
            "the state that is given; give it another name, under which it begins anew."
        )

    # --------------------------------------------------------------------- events

    def events(self, initial: Mapping[str, Any], couplings: Sequence[Coupling]) -> dict[str, Any]:
        """Return the event state of the network that goes on.

        Args:
            initial: That of a run which begins at time 0.
            couplings: Its groups of projections.

        Raises:
            RunError: What is kept in steps of another dt cannot be told exactly.
        """
        keys = {coupling.group.key: coupling for coupling in couplings}
        made = {}
        for coupling in couplings:
            known = self._kept(coupling.group) if coupling.group.before is not None else {}
            if known and coupling.group.key not in initial:
                raise self._other_synapse(coupling.group)
        for key, value in initial.items():
            kind, _, name = key.partition(" ")
            if key in keys:
                made[key] = self._of_group(keys[key], value)
            elif key == "stimuli":
                made[key] = self._noise(value)
            elif kind == "spikes":
                made[key] = self._history(name, value)
            elif kind == "refractory":
                known = self.final.events.get(key)
                made[key] = value if known is None else self._counts(name, known)
            elif kind == "above":
                # Who is above already has spiked, or has not crossed.
                made[key] = self.final.events.get(key, np.ones_like(value))
            else:
                made[key] = self.final.events.get(key, value)
        return made

    def _kept(self, group: Group) -> dict[str, Array]:
        start = f"{self._key(group)}/"
        found = {k.removeprefix(start): v for k, v in self.final.events.items()
                 if k.startswith(start)}  # fmt: skip
        return {path: value for path, value in found.items() if path not in RINGS}

    def _of_group(self, coupling: Coupling, initial: Any) -> Any:
        """Return what a group keeps."""
        group, old = coupling.group, coupling.group.before
        if old is None:
            return initial
        known = self._kept(group)
        own = flattened({name: value for name, value in initial.items() if name not in RINGS})
        if known.keys() != own.keys():
            raise self._other_synapse(group)

        def one(path: str, value: Any) -> Any:
            if isinstance(value, Mapping):
                return {name: one(f"{path}/{name}", part) for name, part in value.items()}
            part = path.partition("/")[0]
            if part in RINGS:
                return self._ring(path, value, group, old)
            found = known[path]
            if part == "busy":  # how long a pulse may last, in steps; longer does no harm
                return found if self._same_dt else np.asarray(
                    np.ceil(found * self.final.dt / self.dt) + (found > 0), found.dtype)  # fmt: skip
            if part not in _AFTER:
                return found
            made = np.array(value)
            for here, there in _columns(group, old):
                made[..., here] = found[..., there]
            return made

        return {name: one(name, value) for name, value in initial.items()}

    def _ring(self, name: str, value: Array, group: Group, old: KeptGroup) -> Array:
        """Return a ring of what arrives later."""
        found = self.final.events.get(f"{self._key(group)}/{name}")
        if found is None:
            return value
        due = self._due(found, group, old)
        if not self._same_dt:
            if due.any():
                raise self._kept_in_steps(
                    f"spikes are under way by projection {group.routes[0].projection!r}, whose "
                    "delays differ"
                )
            return value
        slots = np.array(value).reshape(-1, group.width + 1, value.shape[-1])
        due = due[: len(slots) - 2]
        slots[(self.steps + np.arange(len(due))) % len(slots), :-1] = due
        return slots.reshape(value.shape)

    def _noise(self, initial: Mapping[str, Array]) -> dict[str, Array]:
        """Return the last numbers of noise: of the same, or of the one that took its place.

        A key is what a noise has in common with itself under other parameters, and behind the
        last space what tells it from others of that kind.
        """
        known = {k.removeprefix("stimuli/"): v for k, v in self.final.events.items()
                 if k.startswith("stimuli/")}  # fmt: skip
        made = {key: known.pop(key) for key in initial if key in known}
        for key, value in initial.items():
            if key in made:
                continue
            alike = [k for k in known if k.rpartition(" ")[0] == key.rpartition(" ")[0]]
            made[key] = known.pop(alike[0]) if alike else value
        return {key: made[key] for key in initial}

    def _history(self, name: str, value: Array) -> Array:
        """Return the last spikes of a population, each in the slot of its step."""
        found = self.final.events.get(f"spikes {name}")
        if found is None:
            return value
        step, places = _slots(found, self.final.steps)
        since, made = found[(step % len(found), *places)], np.array(value)
        if not self._same_dt:
            times = (step + 1) * self.final.dt - since.astype(np.float64)
            step = np.ceil(times / self.dt - 1e-9).astype(np.int64) - 1
            since = np.clip((step + 1) * self.dt - times, _LEAST, self.dt).astype(self.dtype)
        kept = step >= self.steps - len(made)
        step, since, places = step[kept], since[kept], tuple(place[kept] for place in places)
        if len(np.unique(np.stack([step, *places]), axis=1).T) < len(step):
            raise self._kept_in_steps(
                f"a cell of {name!r} has two spikes under way within {self.dt:g} ms"
            )
        made[(step % len(made), *places)] = since
        return made

    def _counts(self, name: str, found: Array) -> Array:
        """Return for how many steps each cell stays refractory."""
        if self._same_dt:
            return found
        counts = found * (self.final.dt / self.dt)
        if np.abs(counts - np.rint(counts)).max(initial=0) > _NEAR:
            raise self._kept_in_steps(f"cells of {name!r} are refractory")
        return np.rint(counts).astype(found.dtype)

    def _kept_in_steps(self, what: str) -> RunError:
        return RunError(
            f"the state that is given was made with dt = {self.final.dt:g} ms, and {what}, which "
            f"no whole number of steps of dt = {self.dt:g} ms tells; go on with the same dt or one "
            f"that divides it, or end the run before where nothing is under way."
        )


_AFTER = ("sum", "sums", "after")  # parts of a group's event state by postsynaptic cells


def _columns(group: Group, old: KeptGroup) -> list[tuple[slice, slice]]:
    """Return the columns of each projection of a group, here and in the state that is given."""
    return [
        (route.columns, slice(*old.members[route.projection][1:]))
        for route in group.routes
        if route.projection in old.members
    ]


def _slots(history: Array, steps: int) -> tuple[Array, tuple[Array, ...]]:
    """Return the step and the other indices of each spike in a history of spikes."""
    slot, *places = np.nonzero(history)
    return steps - 1 - (steps - 1 - slot) % len(history), tuple(places)


def _listed(states: Any) -> str:
    names = ", ".join(states)
    return f"the states {names}" if names else "no states"


def _tell(what: str, gone: str) -> None:
    warnings.warn(
        f"{what} begins anew: the state that is given has {gone}, which this network has not. "
        "What is to go on keeps its name.",
        stacklevel=2,
    )


def check_start(final: FinalState, dt: float) -> int:
    """Return how many steps of `dt` were made before.

    Raises:
        RunError: No whole number.
    """
    steps = final.time / dt
    if abs(steps - round(steps)) > _NEAR or round(steps) < 1:
        raise RunError(
            f"the state that is given is of {final.time:.10g} ms, which is not a whole number of "
            f"steps of dt = {dt:g} ms; end the run before at a multiple of it."
        )
    return round(steps)
