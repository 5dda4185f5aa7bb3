"""Attributes that populations, projections and networks have elsewhere: what is written here."""

from collections.abc import Callable
from dataclasses import FrozenInstanceError
from typing import TYPE_CHECKING, TypeVar

from somaflow import elsewhere

_Described = TypeVar("_Described", bound=type)


class Described:
    """Something whose variables are those of its equations, and no attributes."""

    if not TYPE_CHECKING:  # to a checker of types they are unknown attributes, as they should be

        def __getattr__(self, name: str) -> object:
            variables = () if name.startswith("_") else _variables(self)
            message = elsewhere.attribute(self, name, variables)
            raise AttributeError(message, name=name, obj=self)


def fixed(kind: _Described) -> _Described:
    """Let a frozen class answer an assignment to a variable as it answers when that is asked for.

    Args:
        kind: The class, already a dataclass.
    """
    refuse: Callable[[object, str, object], None] = vars(kind)["__setattr__"]

    def assign(self: object, name: str, value: object) -> None:
        if not name.startswith("_") and name in _variables(self):
            raise FrozenInstanceError(elsewhere.attribute(self, name, (name,)))
        refuse(self, name, value)

    kind.__setattr__ = assign  # pyright: ignore[reportAttributeAccessIssue]
    return kind


def _variables(owner: object) -> frozenset[str]:
    """Return the names of variables; none where it is not made yet."""
    own = vars(owner)
    if "population" in own:
        own = vars(own["population"])
    equations = own.get("_equations", own.get("synapse"))
    equations = vars(equations).get("equations", equations) if equations is not None else None
    return frozenset().union(
        *(getattr(equations, table, ()) for table in ("states", "definitions", "inputs"))
    )
