"""Variants: members of a sweep that are one network with other parts.

Each part is made and sent once, and the networks are put together where they are computed: of
thousands that differ in a few numbers none is sent whole.
"""

# Annotations stay text: `Member` would load TensorFlow, before which everything is checked.
from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar, overload
from warnings import catch_warnings, simplefilter

from somaflow.description import decode, encode
from somaflow.equations.drawing import Setting
from somaflow.errors import SomaflowWarning
from somaflow.network.network import Network, Part, exchanged
from somaflow.network.recorder import Recorder
from somaflow.quiet import late

if TYPE_CHECKING:
    from somaflow.sweeping.task import Member

    _Members = Sequence[Member]
else:
    _Members = Sequence

_task = late("somaflow.sweeping.task")
Made = TypeVar("Made")
Initial = Mapping[str, Mapping[str, Setting]]


class Once(Generic[Made]):
    """Things that are made once each, in the order in which they were.

    Attributes:
        made: The things.
    """

    def __init__(self) -> None:
        self.made: list[Made] = []
        self._places: dict[tuple[int, ...], int] = {}

    def place(self, key: tuple[int, ...], make: Callable[..., Made], *arguments: object) -> int:
        """Return the place of a thing, which is made where it is not there."""
        if key not in self._places:
            self.made.append(make(*arguments))
            self._places[key] = len(self.made) - 1
        return self._places[key]


class Variant(NamedTuple):
    """What tells a member from others.

    Attributes:
        parts: Which of the parts stand in its network, by their places there.
        network_seed: The seed of its network; None for that of the network as it is.
        initial: Which of the initial values it has.
        seed: Of its run.
    """

    parts: tuple[tuple[int, int], ...]
    network_seed: int | None
    initial: int
    seed: int


class Variants(_Members):
    """Members that are put together when they are asked for.

    Args:
        network: The network.
        record: What is recorded of each.
        parts: Parts that stand in place of its own; each refers to its populations as they are.
        initial: Initial values.
        variants: What each member has of these.
    """

    def __init__(
        self,
        network: Network,
        record: tuple[Recorder, ...],
        parts: Sequence[Part],
        initial: Sequence[Initial],
        variants: Sequence[Variant],
    ) -> None:
        self._network, self._record, self._variants = network, record, variants
        self._parts, self._initial = parts, initial

    def __len__(self) -> int:
        return len(self._variants)

    @overload
    def __getitem__(self, place: int) -> Member: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Member]: ...
    def __getitem__(self, place: int | slice) -> Any:
        chosen = self._variants[place]
        found = self._members([chosen] if isinstance(chosen, Variant) else chosen)
        return found[0] if isinstance(place, int) else found

    def __iter__(self) -> Iterator[Member]:
        return iter(self._members(self._variants))

    def __reduce__(self) -> tuple[Any, ...]:
        # All in one, so that parts refer to populations of the network there too.
        whole = self._network, self._record, tuple(self._parts), tuple(self._initial)
        return _read, (*encode(whole), self._variants)

    def _members(self, variants: Sequence[Variant]) -> list[Member]:
        members: list[Member] = []
        last, network = None, self._network
        with catch_warnings():
            simplefilter("ignore", SomaflowWarning)  # the sweep has warned, once for all
            for variant in variants:
                if variant[:2] != last:  # runs that differ in their seeds share a network
                    last, network = variant[:2], self._put_together(variant)
                initial = self._initial[variant.initial]
                members.append(_task.Member(network, initial, variant.seed, self._record))
        return members

    def _put_together(self, variant: Variant) -> Network:
        if not variant.parts and variant.network_seed is None:
            return self._network
        new = {place: self._parts[k] for place, k in variant.parts}
        return exchanged(self._network, new, variant.network_seed)


def _read(text: str, arrays: list[Any], variants: Sequence[Variant]) -> Variants:
    network, record, parts, initial = decode(text, arrays)
    return Variants(network, record, parts, initial, variants)
