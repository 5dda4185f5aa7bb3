"""When the cells of a population spike, what a spike does to them, and what they then do not do."""

from typing import NamedTuple, TypeGuard

import numpy as np

from somaflow.equations.drawing import Distribution
from somaflow.equations.equations import Assignment, Equations
from somaflow.equations.expression import Node, comparisons
from somaflow.equations.statements import IN_A_CELL
from somaflow.errors import NetworkError, UnknownNameError, WrongTypeError, nearest
from somaflow.given import shown
from somaflow.network.distributions import drawn_of
from somaflow.units import Parameter

NO_TIME = Parameter(np.zeros(()), "ms")


class Firing(NamedTuple):
    """The threshold, the reset and the refractory period of cells.

    Attributes:
        condition: The threshold as a tree; None where cells do not spike.
        resets: The reset as assignments.
        refractory: The refractory period in ms, one or one for each cell; or, as a tree, the
            condition that keeps a cell refractory after a spike.
        held: The states that stay where they are while a cell is refractory.
    """

    condition: Node | None = None
    resets: tuple[Assignment, ...] = ()
    refractory: Parameter | Node = NO_TIME
    held: tuple[str, ...] = ()

    @property
    def waits(self) -> bool:
        """Whether cells are refractory at all."""
        return isinstance(self.refractory, Node) or bool(np.any(self.refractory.value))


def is_condition_text(value: object) -> TypeGuard[str]:
    """Tell whether a refractory period is given as a condition, and not as a time."""
    return isinstance(value, str) and bool({"<", ">"} & set(value))


def read_firing(
    name: str,
    size: int,
    equations: Equations,
    threshold: str | None,
    reset: str | None,
    refractory: Parameter | Distribution | str,
    hold: object,
    links: frozenset[str] = frozenset(),
) -> Firing:
    """Read what a population says of its spikes.

    Args:
        name: Of the population, for messages.
        size: How many cells it has.
        equations: Theirs.
        threshold: The condition, or None.
        reset: Assignments, or None.
        refractory: A condition as text, a `Parameter` or a distribution.
        hold: Names of states, or None for the default.
        links: Names of inputs that are variables of other cells.

    Raises:
        NetworkError, WrongTypeError, UnknownNameError: As `Population`.
        EquationError, UnitError: A slip in a text.
    """
    for what, value in (
        ("a reset", reset),
        ("a refractory condition", refractory if isinstance(refractory, str) else None),
        ("hold", hold),
    ):
        if value is not None and threshold is None:
            raise NetworkError(f"{name!r} has {what} but no threshold.")
    condition = None if threshold is None else equations.condition(threshold, known=IN_A_CELL)
    resets = () if reset is None else equations.assignments(reset, known=IN_A_CELL)
    if isinstance(refractory, str):
        period = equations.condition(refractory, known=IN_A_CELL)
    else:
        period = _period(name, size, refractory)
    nodes = [node for node in (condition, period) if isinstance(node, Node)]
    for node in (*nodes, *(assignment.expression for assignment in resets)):
        inputs = equations.depends(node) & equations.inputs.keys() - links
        if inputs:
            raise NetworkError(
                f"the threshold and the reset of {name!r} may use states, parameters and the time "
                f"t, not {', '.join(sorted(inputs))}."
            )
    firing = Firing(condition, resets, period)
    return firing._replace(held=_held(name, equations, firing, hold))


def _period(name: str, size: int, refractory: Parameter | Distribution) -> Parameter:
    period = drawn_of(refractory, name, size, "refractory", 0)
    if period.value.shape not in ((), (size,)):
        raise NetworkError(
            f"refractory of {name!r} is {period}; give one time >= 0 ms, or one for each of the "
            f"{size} cells."
        )
    for cell in np.flatnonzero(~(period.value >= 0))[:1]:
        what = f"refractory of {name!r}"
        if period.value.ndim:
            what += f" is {period.value[cell]:.6g} ms in cell {cell}"
        else:
            what += f" is {period}"
        hint = "give times >= 0 ms." if period.value.ndim else "give one time >= 0 ms."
        if isinstance(refractory, Distribution):
            hint = f"{refractory} goes below 0: give it a bound, low=."
        raise NetworkError(f"{what}; {hint}")
    return period


def _held(name: str, equations: Equations, firing: Firing, hold: object) -> tuple[str, ...]:
    """Return the states that a refractory period holds.

    Raises:
        WrongTypeError, UnknownNameError: What is given names no states.
        NetworkError: Nothing is given, and the threshold and the reset do not tell.
    """
    if hold is not None:
        return _checked(name, equations, hold)
    if not firing.waits or not firing.resets or firing.condition is None:
        return ()
    set_to_values = {a.name for a in firing.resets if a.name not in equations.depends(a.expression)}
    sides = [
        [equations.depends(side) & set_to_values for side in (node.left, node.right)]
        for node in comparisons(firing.condition)
    ]
    compared = {state for pair in sides for side in pair for state in side}
    if compared and not any(left and right for left, right in sides):
        return tuple(state for state in equations.states if state in compared)
    why = "no state that the threshold compares is set to a value by the reset"
    if compared:
        why = f"the threshold compares {' and '.join(sorted(compared))}, and the reset sets both"
    raise NetworkError(
        f"which states does the refractory period of {name!r} hold? {why[0].upper()}{why[1:]}. "
        "Name them, such as hold=('v',), or write hold=() if all go on and only spikes wait."
    )


def _checked(name: str, equations: Equations, hold: object) -> tuple[str, ...]:
    if not isinstance(hold, tuple) or not all(isinstance(item, str) for item in hold):
        raise WrongTypeError(
            f"hold of {name!r} is a tuple of names of states, such as ('v',) or (), not "
            f"{shown(hold)}."
        )
    for item in hold:
        if item not in equations.states:
            raise UnknownNameError(
                f"{name!r} has no state {item!r} to hold.{nearest(item, equations.states)}"
            )
    return hold
