"""Members: the runs of a sweep, each built when it is asked for, all checked before any runs."""

# Annotations stay text: `Member` would load TensorFlow, before which everything is checked.
from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from itertools import product
from typing import TYPE_CHECKING, Any, NamedTuple
from warnings import catch_warnings, simplefilter

import numpy as np
from numpy.typing import NDArray

from somaflow import description, settings
from somaflow.difference import leaves
from somaflow.equations.drawing import Setting
from somaflow.errors import RunError, SomaflowError, SomaflowWarning
from somaflow.network.network import Network, Part
from somaflow.network.random import check_seed, seed_for
from somaflow.network.recorder import Recorder
from somaflow.quiet import late
from somaflow.running.arguments import read
from somaflow.sweeping.builders import Builder, builder_of
from somaflow.sweeping.places import (
    INITIAL,
    Place,
    changed,
    check_apart,
    network_seed,
    other_part,
    parts_in,
    places_of,
)
from somaflow.sweeping.recorders import check_names, recorders_of
from somaflow.sweeping.space import Space
from somaflow.sweeping.starts import Initial, checked_initial, population_of, start_of
from somaflow.sweeping.values import in_words, is_numeric
from somaflow.sweeping.variants import Once, Variant, Variants

if TYPE_CHECKING:
    from somaflow.sweeping.task import Member, Settings

SEED = "seed"
_FIRST_DERIVED = 1 << 62  # seeds of trials are not below it, those that people give are

_task = late("somaflow.sweeping.task")


class Built(NamedTuple):
    """What a member is made of, but for its seed.

    Attributes:
        network: The network.
        initial: Initial values in place of the models' own.
        record: What is recorded.
    """

    network: Network
    initial: dict[str, dict[str, Setting]]
    record: tuple[Recorder, ...]


class Members:
    """The members of a sweep.

    Args:
        model: A network; something that has one as `network`, and maybe initial values as
            `initial`; or a function that returns one of these. Of a function a name that is one
            of its arguments is that argument, and others are places in the network.
        space: What varies.
        record: What is recorded: recorders; a function that returns them of the network, or of
            what `model` returned; None or nothing for the spikes of all populations that spike.
        initial: Initial values, over those that the model has.
        seed: Of the runs, where `"seed"` does not vary. That name is also the argument `seed` that
            a function may have. Trial 0 has this seed, and the others seeds made of it.

    Attributes:
        space: What varies, with its units.

    Raises:
        UnknownNameError: There is nothing of a name that varies.
        WrongTypeError, RunError: The model or another argument is none, or the function fails.
    """

    def __init__(
        self,
        model: object,
        space: Space,
        record: object = None,
        initial: Initial | None = None,
        seed: int = 0,
    ) -> None:
        self.space = space
        self._builder: Builder = builder_of(model, [one.key for one in space.varied])
        self._record = record
        self._initial = checked_initial(initial)
        self._seed = check_seed(seed)
        self._digests: dict[tuple[int, ...], str] = {}
        self._last: tuple[tuple[int, ...], Built] | None = None
        arguments = [one.key in self._builder.arguments for one in space.varied]
        self._arguments = [k for k, is_one in enumerate(arguments) if is_one]
        names = [one.name for one in space.varied]
        self._placed = [
            k for k, name in enumerate(names) if k not in self._arguments and name != SEED
        ]
        for axis, one in enumerate(space.varied):
            for k, item in enumerate(one.items if one.name == SEED else ()):
                with self._at(space.with_value(axis, k)):
                    check_seed(item)
        with self._at(0):  # it may warn, once for all
            first = self._builder.build(self._given(0)).network
        self._places = self._found(first)
        named = {names[k]: place.unit for k, place in self._places.items()}
        self.space = space.measured({name: unit for name, unit in named.items() if unit})
        self._groups = self._together(self._places)

    def __len__(self) -> int:
        return len(self.space)

    def seed(self, m: int) -> int:
        """Return the seed of a member's run."""
        seed = check_seed(self.space.point(m).get(SEED, self._seed))
        trial = self.space.trial(m)
        return seed_for(seed, "trial", str(trial)) | _FIRST_DERIVED if trial else seed

    @property
    def seeds(self) -> NDArray[np.int64]:
        """The seed of each member's run, of the shape of the space."""
        numbers = [self.seed(m) for m in range(len(self))]
        return np.array(numbers, np.int64).reshape(self.space.shape)

    def member(self, m: int) -> Member:
        """Return a member.

        Args:
            m: Its number.

        Raises:
            SomaflowError: It cannot be built; the message begins with its coordinates.
        """
        built = self._built(m)
        return _task.Member(built.network, built.initial, self.seed(m), built.record)

    def several(self, numbers: Sequence[int]) -> Sequence[Member]:
        """Return members; those of one network are put together when they are asked for.

        Args:
            numbers: Their numbers.

        Raises:
            SomaflowError: As `member`.
        """
        if not self._builder.fixed:
            return tuple(map(self.member, numbers))
        built = self._plain(self._builder.build({}))
        network = built.network
        axes = {
            number: [k for k, p in self._places.items() if p.part == number and p.path != INITIAL]
            for number in parts_in(self._places.values())
        }
        starting = [k for k, place in self._places.items() if place.path == INITIAL]
        parts, initial = Once[Part](), Once[dict[str, dict[str, Setting]]]()
        variants: list[Variant] = []
        for m in numbers:
            choices, values = self.space.choices(m), self._values(self._places, m)
            with self._at(m), _silent():
                own = tuple(
                    (n, parts.place((n, *(choices[k] for k in ks)), other_part, network, n, values))
                    for n, ks in axes.items()
                )
                start = initial.place(
                    tuple(choices[k] for k in starting), self._starts, built, values
                )
            variants.append(Variant(own, network_seed(values), start, self.seed(m)))
        return Variants(network, built.record, parts.made, initial.made, variants)

    # ------------------------------------------------------------------- checks

    def check(self, common: Settings) -> None:
        """Build what there is to build, and check the runs as `sf.simulate` does.

        Of values at different parts of one network each is built once, not each with all others.

        Args:
            common: What the runs share.

        Raises:
            SomaflowError: A member cannot be built, or run so. The message has its coordinates,
                but where the first one cannot be run, as then mostly none can.
        """
        keys: list[str] = []
        by_parts = self._builder.fixed and network_seed(self._values(self._places, 0)) is None
        numbers = self._representatives()
        for m in [next(numbers)] if by_parts else numbers:
            built = self._built(m)
            with self._at(m) if m else nullcontext():
                keys = self._checked_keys(built, keys)
                if not m and common.reduce is None:
                    check_names(built.record)
                read(
                    built.network,
                    common.duration,
                    common.dt,
                    common.solver,
                    common.dtype,
                    self.seed(m),
                    built.record,
                    built.initial,
                    None,
                    None,
                )
        if by_parts:
            self._check_parts(numbers)
        _task.job(self.member(0), common)  # what only TensorFlow's part can check

    def _check_parts(self, numbers: Iterable[int]) -> None:
        """Build the parts and the initial values that members have of their own.

        A network looks at the names of its parts, and a part at names, units and sizes of the
        populations that it joins. None of these can vary, so no network is put together.
        """
        base = self._plain(self._builder.build({}))
        own = parts_in(self._places.values())
        starting = {k: place for k, place in self._places.items() if place.path == INITIAL}
        with _silent():
            for m in numbers:
                values = self._values(self._places, m)
                with self._at(m):
                    for number in own:
                        other_part(base.network, number, values)
                    if starting:
                        self._starts(base, values)

    def _checked_keys(self, built: Built, first: list[str]) -> list[str]:
        """Return the names of recordings, which are those of the first member."""
        keys = [recorder.key for recorder in built.record]
        if first and keys != first:
            raise RunError(
                f"the recordings are {', '.join(keys)}, and those at {self.space.label(0)} are "
                f"{', '.join(first)}; all members have the same."
            )
        for name in (one.name for one in self.space.varied):
            if name in keys:
                raise RunError(
                    f"{name!r} varies and is recorded too; give the recording a name of its own, "
                    f"such as .as_({name + '.recorded'!r})."
                )
        return keys

    def fingerprint(self, common: Settings) -> dict[str, str]:
        """Return all that the results depend on, as texts that `sf.diff` compares.

        Of a function the networks are compared that it builds, not its own text.

        Args:
            common: What the runs share.

        Raises:
            SomaflowError: A member cannot be built.
        """
        space = self.space
        told = {
            "duration": f"{settings.positive(common.duration, 'duration')!r} ms",
            "dt": f"{settings.positive(common.dt, 'dt')!r} ms",
            "solver": _solver_in_words(common.solver),
            "dtype": repr(common.dtype),
            "reduce": in_words([common.reduce]),
            "seed": repr(self._seed),
            "trials": repr(space.trials),
            "axes": repr(space.dims),
        }
        told |= {f"vary[{one.name!r}]": in_words(one.items) for one in space.varied}
        if self._builder.fixed:
            base = self._plain(self._builder.build({}))
            return told | {k: text for k, text in leaves(base._asdict()).items() if k}
        digests = []
        for m in self._representatives():
            if self._key(m) not in self._digests:
                self._built(m)
            digests.append(self._digests[self._key(m)])
        told["networks"] = hashlib.sha256("\n".join(digests).encode()).hexdigest()
        return told

    def _together(self, places: Mapping[int, Place]) -> list[list[int]]:
        """Return the axes whose values have to be checked together."""
        if not self._builder.fixed:
            return [[*self._arguments, *self._placed]]
        parts: dict[int, list[int]] = {}
        for k, place in places.items():
            parts.setdefault(place.part, []).append(k)
        return list(parts.values())

    def _representatives(self) -> Iterator[int]:
        """Iterate over members that have between them all that can be wrong."""
        space = self.space
        each = space.trials or 1
        if space.points is not None:
            yield from range(0, len(space), each)
            return
        yield 0
        for axes in self._groups:
            for choice in product(*(range(space.shape[k]) for k in axes)):
                index = [0] * len(space.shape)
                for k, place in zip(axes, choice, strict=True):
                    index[k] = place
                if any(index):
                    yield space.number(index)

    # ----------------------------------------------------------------- building

    def _key(self, m: int) -> tuple[int, ...]:
        """Return all that a member's network depends on: which values it has."""
        choices = self.space.choices(m)
        return tuple(choices[k] for k in (*self._arguments, *self._placed))

    def _given(self, m: int) -> dict[str, object]:
        """Return the arguments of the function."""
        choices, varied = self.space.choices(m), self.space.varied
        return {varied[k].name: varied[k].items[choices[k]] for k in self._arguments}

    def _built(self, m: int) -> Built:
        key = self._key(m)
        if self._last is not None and self._last[0] == key:
            return self._last[1]
        with self._at(m), _silent():
            built = self._plain(self._builder.build(self._given(m)))
            built = self._varied(built, m)
        if not self._builder.fixed:
            digest = description.fingerprint(built._asdict())
            if self._digests.setdefault(key, digest) != digest:
                raise RunError(
                    f"{self.space.label(m)}: the function built another network than before. What "
                    "it returns has to depend on its arguments alone: give a seed to whatever is "
                    "random in it."
                )
        self._last = key, built
        return built

    def _plain(self, model: Any) -> Built:
        """Return what a model says by itself, before anything in it varies."""
        network = model.network
        initial: dict[str, dict[str, Setting]] = {}
        for source in (model.initial, self._initial):
            for name, values in checked_initial(source).items():
                population = population_of(network, name)
                for state, value in values.items():
                    initial.setdefault(name, {})[state] = start_of(population, state, value)
        return Built(network, initial, recorders_of(self._record, model.whole, network))

    def _varied(self, built: Built, m: int) -> Built:
        """Return what a member is where something varies in the network."""
        places = self._places if self._builder.fixed else self._found(built.network)
        values = self._values(places, m)
        return Built(changed(built.network, values), self._starts(built, values), built.record)

    def _values(self, places: Mapping[int, Place], m: int) -> dict[Place, object]:
        """Return the values of a member, by their places."""
        choices, varied = self.space.choices(m), self.space.varied
        return {place: varied[k].items[choices[k]] for k, place in places.items()}

    def _starts(
        self, built: Built, values: Mapping[Place, object]
    ) -> dict[str, dict[str, Setting]]:
        """Return the initial values of a member."""
        initial = {name: {**own} for name, own in built.initial.items()}
        for place, item in values.items():
            if place.path == INITIAL:
                population: Any = built.network.parts[place.part]
                own = initial.setdefault(population.name, {})
                own[place.field] = start_of(population, place.field, item)
        return initial

    def _found(self, network: Network) -> dict[int, Place]:
        """Return where in a network the values of axes belong, by the number of the axis."""
        if not self._placed:
            return {}
        known, varied = places_of(network), self.space.varied
        also = [*self._builder.takes, SEED]
        places = {k: known.find(varied[k].key, also) for k in self._placed}
        check_apart({varied[k].name: place for k, place in places.items()}, network)
        return places

    @contextmanager
    def _at(self, m: int) -> Iterator[None]:
        """Say in an error at which member it is."""
        try:
            yield
        except SomaflowError as error:
            text = f"at {self.space.label(m)}: {error}"
            for name, value in self.space.point(m).items():
                if isinstance(value, str) and is_numeric(value):
                    text += (
                        f" The value of {name!r} is the text {value!r}, not a number; columns of "
                        "texts become numbers by table.apply(pandas.to_numeric)."
                    )
                    break
            raise type(error)(text) from error


def _solver_in_words(solver: Any) -> str:
    """Return the name of a method; of one that says which numbers it has also a checksum."""
    name, text = repr(getattr(solver, "name", None)), repr(solver)
    if solver is None or " at 0x" in text:
        return name
    return f"{name} ({hashlib.sha256(text.encode()).hexdigest()[:12]})"


@contextmanager
def _silent() -> Iterator[None]:
    """Warn of nothing that a sweep would warn of at each member."""
    with catch_warnings():
        simplefilter("ignore", SomaflowWarning)
        yield
