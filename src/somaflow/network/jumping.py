"""Synapses whose states jump at spikes and are linear between them."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from somaflow.equations.affine import ONE, ZERO, AffineAlgebra, inlined
from somaflow.equations.equations import Assignment, Equations
from somaflow.equations.expression import (
    Binary,
    Name,
    Node,
    evaluate,
    names,
    render,
)
from somaflow.equations.linear import LinearParts
from somaflow.errors import NetworkError
from somaflow.network import intervals
from somaflow.network.form import Form
from somaflow.network.general import check_rest
from somaflow.network.synaptic import Synaptic, place_of


class Jumps(NamedTuple):
    """The parts of a synapse that jumps; of what they are, see `Jumping` and `Plastic`."""

    pre_states: tuple[str, ...]
    post_states: tuple[str, ...]
    sums: tuple[str, ...]
    own: tuple[str, ...]
    on_spike: tuple[Assignment, ...]
    on_post_spike: tuple[Assignment, ...]
    current: Node | None
    amplitudes: dict[str, Node] | None


@dataclass(frozen=True)
class Jumping(Form):
    """States that jump at spikes and are linear between them; each jump has the weight as a factor.

    Attributes:
        pre_states: States that are one for each presynaptic cell.
        sums: States of which only the sum over a postsynaptic cell's synapses matters.
        on_spike: What a presynaptic spike does, in order.
        current: The outward current of one synapse, a tree that is linear in `sums`, or None.
        amplitudes: For each jump of a sum or of a postsynaptic variable the factor of the weight,
            which the presynaptic cell gives.
    """

    pre_states: tuple[str, ...]
    sums: tuple[str, ...]
    on_spike: tuple[Assignment, ...]
    current: Node | None
    amplitudes: dict[str, Node]

    @classmethod
    def recognise(cls, projection: Synaptic) -> "Jumping | None":
        """Return a synapse in this form."""
        found = jumps_of(projection)
        if found is None or found.amplitudes is None:
            return None
        return cls(found.pre_states, found.sums, found.on_spike, found.current, found.amplitudes)

    @property
    def traces(self) -> tuple[str, ...]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """States of presynaptic cells."""
        return self.pre_states

    @property
    def post(self) -> tuple[Node, ...]:
        """The current."""
        return () if self.current is None else (self.current,)

    def count(self, n_pre: int, n_post: int, synapses: int) -> int:
        """Return how many states there are: traces, and sums."""
        return n_pre * len(self.pre_states) + n_post * len(self.sums)

    def explain(self, place: str) -> str:
        """Return what the form is called."""
        return "jumping"

    def uncounted(self) -> str | None:
        """Return what is kept of presynaptic cells, of which a number of spikes says nothing."""
        traces = ", ".join(self.pre_states)
        return f"keeps {traces} for each cell or synapse" if traces else None


def jumps_of(projection: Synaptic) -> Jumps | None:
    """Take a synapse with `on spike:` lines apart; None for one without.

    Raises:
        NetworkError, EquationError: It is not linear between spikes, or more than that; the
            message says why.
    """
    if not (projection.equations.on_spike or projection.equations.on_post_spike):
        return None
    equations, weight, place = projection.equations, projection.weight_name, place_of(projection)
    if equations.uses_pulse:
        raise NetworkError(f"{place} has both pulse() and an 'on spike:' line; use one of them.")
    current = _current(equations)
    used = equations.depends(current) if current is not None else set()
    if bad := {name for name in used if name.endswith("_pre")} & set(equations.inputs):
        raise NetworkError(
            f"{place}: I depends on {sorted(bad)} of the presynaptic cell beside its spikes."
        )
    sums = _closure(used & set(equations.states), equations)
    on_spike = list(equations.on_spike)
    if said := intervals.shared(equations, sums):
        raise NetworkError(f"{place}: {said}")
    if weight in equations.states and weight in used:
        raise NetworkError(
            f"{place}: I depends on the plastic weight {weight} itself; let the spike carry it: "
            f"'on spike: G += {weight}' and I with G."
        )
    if current is not None and weight is not None and weight in used:
        # Linear in weight and in what jumps, so the weight may as well be in the jump.
        current, rest = evaluate(
            inlined(current, equations.definitions, set()), AffineAlgebra(weight)
        )
        if rest != ZERO or weight in names(current):
            raise NetworkError(f"{place}: I must be proportional to the weight {weight}.")
        on_spike = [_weighted(a, weight, place) if a.name in sums else a for a in on_spike]
    if current is not None:
        _check_linear(current, sums, equations, place)
    pre, post, own = _locate(equations, sums, weight, place)
    for assignment in equations.on_post_spike:
        if assignment.name not in {*own, *post}:
            raise NetworkError(
                f"{place}: 'on post spike' changes {assignment.name}, which is no variable of one "
                "synapse and no trace of the postsynaptic cell."
            )
    for states in (sums, pre, post):
        LinearParts(equations, sorted(states, key=list(equations.states).index))
    amplitudes = None
    if not own and not equations.on_post_spike and not equations.rules:
        amplitudes = _amplitudes(on_spike, pre, weight, equations, place)
    for assignment in on_spike if amplitudes is None else ():
        if assignment.name not in {*pre, *own}:
            increment(assignment, place)
    check_rest(equations, tuple(s for s in equations.states if s in sums), place)
    return Jumps(
        pre,
        post,
        tuple(s for s in equations.states if s in sums),
        own,
        tuple(on_spike),
        equations.on_post_spike,
        current,
        amplitudes,
    )


def _current(equations: Equations) -> Node | None:
    return Name("I") if "I" in equations.definitions else None


def _closure(closure: set[str], equations: Equations) -> set[str]:
    """Add the states that the derivatives of states depend on, those of these, and so on."""
    while True:
        larger = set(closure)
        for state in closure:
            larger |= equations.depends(equations.states[state].expression) & set(equations.states)
        if larger == closure:
            return closure
        closure = larger


def increment(assignment: Assignment, place: str) -> Node:
    """Return what an assignment adds to its variable.

    Raises:
        NetworkError: It does something else than to add.
    """
    slope, rest = evaluate(assignment.expression, AffineAlgebra(assignment.name))
    if slope != ONE:
        raise NetworkError(
            f"{place}: a spike can only add to {assignment.name} ('{assignment.name} += ...'), "
            f"since all synapses of a cell share it; found {render(assignment.expression)}."
        )
    return rest


def _weighted(assignment: Assignment, weight: str, place: str) -> Assignment:
    added = Binary("*", Name(weight), increment(assignment, place))
    return Assignment(assignment.name, Binary("+", Name(assignment.name), added))


def _check_linear(current: Node, sums: Iterable[str], equations: Equations, place: str) -> None:
    rest = inlined(current, equations.definitions, set())
    for state in sorted(sums):
        slope, rest = evaluate(rest, AffineAlgebra(state))
        if names(slope) & set(sums):
            raise NetworkError(f"{place}: I must be linear in {state} to be summed over synapses.")
    if rest != ZERO and not _vanishes(rest):
        raise NetworkError(
            f"{place}: I must be 0 when no synapse is open; it has the term {render(rest)}."
        )


def _vanishes(node: Node) -> bool:
    return isinstance(node, Binary) and node.operator == "*" and ZERO in (node.left, node.right)


def _locate(
    equations: Equations, sums: set[str], weight: str | None, place: str
) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """Find which states are one for each presynaptic cell, each postsynaptic cell, or synapse."""
    rest = [state for state in equations.states if state not in sums]
    inputs = set(equations.inputs)
    shared = set(equations.parameters) - {weight}

    def side(mine: tuple[Assignment, ...], other: tuple[Assignment, ...], port: str) -> set[str]:
        found = set(rest) - {a.name for a in other} - intervals.changed(equations)
        while True:
            allowed = shared | found | {name for name in inputs if name.endswith(port)}
            bad = set()
            for state in found:
                nodes = [a.expression for a in mine if a.name == state]
                needs = set().union(*(equations.depends(node) for node in nodes))
                drift = equations.depends(equations.states[state].expression)
                known = set(equations.states) | inputs | set(equations.parameters)
                if (needs & known) - allowed or (drift & known) - (shared | found):
                    bad.add(state)
            if not bad:
                return found
            found -= bad

    assigned = {a.name for a in equations.on_post_spike}
    pre = side(equations.on_spike, equations.on_post_spike, "_pre") - {weight}
    post = side(equations.on_post_spike, equations.on_spike, "_post") & assigned
    pre -= post
    own = [state for state in rest if state not in pre | post]
    between = LinearParts(equations, own)
    for state in own:
        if not between.constant(state):
            raise NetworkError(
                f"{place}: {state} is a state of every single synapse that changes between spikes."
            )
    order = list(equations.states)
    return (
        tuple(sorted(pre, key=order.index)),
        tuple(sorted(post, key=order.index)),
        tuple(own),
    )


def _amplitudes(
    assignments: list[Assignment],
    pre: tuple[str, ...],
    weight: str | None,
    equations: Equations,
    place: str,
) -> dict[str, Node] | None:
    """Return the factor of the weight in each jump that is not of a presynaptic state."""
    amplitudes: dict[str, Node] = {}
    for assignment in assignments:
        if assignment.name in pre:
            continue
        added = inlined(increment(assignment, place), equations.definitions, set())
        if weight is not None:
            added, rest = evaluate(added, AffineAlgebra(weight))
            if added == ZERO or rest != ZERO or weight in names(added):
                return None
        outside = {name for name in equations.inputs if name.endswith("_post")}
        if assignment.name in amplitudes or names(added) & (
            outside | set(equations.states) - set(pre)
        ):
            return None
        amplitudes[assignment.name] = added
    return amplitudes
