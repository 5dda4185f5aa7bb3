"""Fields of descriptions that take what a user gives, and hold what is made of it.

A current is given as a quantity, a number, an array or a text; what a description holds is always
a `Parameter`. `amplitude: Field[Parameter]` says this to a type checker: whatever is given, a
`Parameter` is read. The class checks what is given, in `__post_init__`.
"""

from typing import TYPE_CHECKING, Any, Generic, TypeVar

Held_co = TypeVar("Held_co", covariant=True)


class Field(Generic[Held_co]):
    """The type of such a field. It is seen by type checkers alone, and there are none of it."""

    if TYPE_CHECKING:

        def __get__(self, owner: object, kind: type) -> Held_co: ...

        def __set__(self, owner: object, given: object) -> None: ...


def default(given: object) -> Any:  # not of the type that the field holds
    """Return what a field takes where nothing is given."""
    return given
