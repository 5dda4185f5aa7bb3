"""Forms of synapses: from equations a synapse to few states, by rewrites that are exact.

A synapse's equations speak of one synapse. Some of their states are equal for all synapses of
one presynaptic cell, some for all of one postsynaptic cell, and of some only the sum over the
synapses of one postsynaptic cell matters. A run keeps each of them once:

* *graded*: what depends on the presynaptic cell's state is one more row of that population's block,
  which the solver integrates; its effect is summed over synapses at each of the solver's nodes;
* *pulsed*: a gate that transmitter pulses open, in closed form between the edges of the pulses, for
  each presynaptic cell, and the conductance that it opens, for each postsynaptic cell;
* *jumping*: what jumps at spikes and obeys linear equations between them, in closed form.

docs/design/synapses.md derives them; tests/compiler holds them to the plain result.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from somaflow.equations.affine import ONE, ZERO, AffineAlgebra, inlined
from somaflow.equations.equations import Assignment, Equations
from somaflow.equations.expression import (
    Binary,
    Call,
    Name,
    Negative,
    Node,
    Number,
    evaluate,
    names,
    render,
    walk,
)
from somaflow.equations.linear import LinearParts, because
from somaflow.errors import EquationError, NetworkError
from somaflow.network.synaptic import Synaptic

_MOST_FACTORS = 10_000  # of a current that is multiplied out


@dataclass(frozen=True)
class Graded:
    """A synapse whose effect follows the presynaptic cell's state at every moment.

    Attributes:
        rows: Its states, which become rows of the presynaptic population's block.
        terms: The outward current as a sum of weight * pre * post: trees (pre, post).
        duration: Length of the transmitter pulse that the states know, or None.
    """

    rows: tuple[str, ...]
    terms: tuple[tuple[Node, Node], ...]
    duration: Node | None


@dataclass(frozen=True)
class Pulsed:
    """A gate with one linear state that transmitter pulses open.

    Attributes:
        state: The gate.
        post: What the postsynaptic cell gives to the current.
        duration: Length of the pulse.
        rate: dstate/dt = a*state + b as trees (a, b), in which `pulse` occurs.
    """

    state: str
    post: Node
    duration: Node
    rate: tuple[Node, Node]


@dataclass(frozen=True)
class Jumping:
    """States that jump at spikes and are linear between them.

    Attributes:
        before: States that are one for each presynaptic cell.
        after: States that are one for each postsynaptic cell.
        sums: States of which only the sum over a postsynaptic cell's synapses matters.
        own: States of each synapse, constant between spikes.
        on_spike: What a presynaptic spike does, in order.
        on_post_spike: What a postsynaptic spike does, in order.
        current: The outward current of one synapse, a tree that is linear in `sums`, or None.
        amplitudes: Where all jumps of sums and of postsynaptic variables are the weight times what
            the presynaptic cell gives: that factor, for each; else None.
    """

    before: tuple[str, ...]
    after: tuple[str, ...]
    sums: tuple[str, ...]
    own: tuple[str, ...]
    on_spike: tuple[Assignment, ...]
    on_post_spike: tuple[Assignment, ...]
    current: Node | None
    amplitudes: dict[str, Node] | None


Form = Graded | Pulsed | Jumping


def no_noise(equations: Equations) -> str:
    """Return why a network cannot run equations with noise."""
    noises = ", ".join(equations.noises.values())
    return (
        f"equations with noise ({noises}) run in sf.solve(..., solver=sf.EulerMaruyama()); "
        "a network takes noise as a stimulus, such as sf.OrnsteinUhlenbeck."
    )


def place_of(projection: Synaptic) -> str:
    """Return what a projection's synapse is called in messages."""
    return f"synapse {projection.synapse_name!r} of {projection.place}"


def take_apart(projection: Synaptic) -> Form:
    """Find the form of a projection's synapse.

    Raises:
        NetworkError: It is of no form that can be computed; the message says why.
    """
    equations, place = projection.equations, place_of(projection)
    if equations.noises:
        raise NetworkError(f"{place}: {no_noise(equations)}")
    nodes = [variable.expression for variable in equations.states.values()]
    nodes += [a.expression for a in (*equations.on_spike, *equations.on_post_spike)]
    nodes += [equations.definitions["I"].expression] if "I" in equations.definitions else []
    if any("t" in equations.depends(node) for node in nodes):
        raise NetworkError(f"{place} depends on the time t, which synapses do not know.")
    try:
        if equations.on_spike or equations.on_post_spike:
            return _jumping(projection)
        return _graded_or_pulsed(projection)
    except EquationError as error:
        raise NetworkError(f"{place}: {str(error).splitlines()[0]}") from error


# ------------------------------------------------------------------ graded and pulsed


def _graded_or_pulsed(projection: Synaptic) -> Graded | Pulsed:
    equations, weight, place = projection.equations, projection.weight_name, place_of(projection)
    inputs_post = {name for name in equations.inputs if name.endswith("_post")}
    inputs_pre = {name for name in equations.inputs if name.endswith("_pre")}
    for state, variable in equations.states.items():
        bad = equations.depends(variable.expression) & (inputs_post | {weight or ""})
        if bad:
            raise NetworkError(
                f"{place}: d{state}/dt depends on {sorted(bad)}, so every synapse would need a "
                "state of its own that changes all the time, which is not supported."
            )
    terms = _terms(projection)
    for node in (part for term in terms for part in term):
        if _calls_pulse(inlined(node, equations.definitions, set())):
            raise NetworkError(
                f"{place}: I depends on pulse() itself; let a state follow the pulse, as in "
                "'do/dt = alpha*(1 - o)*pulse(duration) - beta*o'."
            )
    duration = _duration(equations, place)
    needs: set[str] = set()
    for variable in equations.states.values():
        needs |= equations.depends(variable.expression)
    if not needs & inputs_pre and duration is not None and len(equations.states) == 1:
        state = next(iter(equations.states))
        if len(terms) == 1 and terms[0][0] == Name(state):
            tree = inlined(equations.states[state].expression, equations.definitions, set())
            rate = evaluate(tree, AffineAlgebra(state, message=because(state)))
            return Pulsed(state, terms[0][1], duration, rate)
    if equations.states and not needs & inputs_pre and duration is None:
        raise NetworkError(
            f"{place} has states that nothing drives: read a variable of the presynaptic cell, "
            "such as v_pre, call pulse(duration), or write an 'on spike:' line."
        )
    return Graded(tuple(equations.states), tuple(terms), duration)


def _calls_pulse(node: Node) -> bool:
    return any(isinstance(item, Call) and item.function == "pulse" for item in walk(node))


def _duration(equations: Equations, place: str) -> Node | None:
    nodes = [v.expression for v in (*equations.states.values(), *equations.definitions.values())]
    found = {
        render(item.arguments[0]): item.arguments[0]
        for node in nodes
        for item in walk(node)
        if isinstance(item, Call) and item.function == "pulse"
    }
    if len(found) > 1:
        raise NetworkError(f"{place} has pulses of {len(found)} durations; give one.")
    return next(iter(found.values()), None)


def _terms(projection: Synaptic) -> list[tuple[Node, Node]]:
    """Write the current as a sum of weight * (what pre gives) * (what post gives)."""
    equations, weight, place = projection.equations, projection.weight_name, place_of(projection)
    before = {name for name in equations.inputs if name.endswith("_pre")} | set(equations.states)
    after = {name for name in equations.inputs if name.endswith("_post")}

    def mixed(node: Node) -> bool:
        used = equations.depends(node)
        return bool(used & (before | {weight or ""})) and bool(used & after)

    found = []
    try:
        products = _products(Name("I"), equations, mixed)
    except RecursionError:
        raise NetworkError(
            f"{place}: I stands at the end of too long a chain of definitions."
        ) from None
    for factors in products:
        pre: Node = ONE
        post: Node = ONE
        weighted = 0
        for factor in factors:
            used = equations.depends(factor)
            if factor == Name(weight or ""):
                weighted += 1
            elif mixed(factor) or (weight and weight in used):
                raise NetworkError(
                    f"{place}: the factor {render(factor)} of I mixes what the presynaptic and the "
                    "postsynaptic cell give, so it cannot be summed over synapses."
                )
            elif used & before:
                pre = factor if pre == ONE else Binary("*", pre, factor)
            else:
                post = factor if post == ONE else Binary("*", post, factor)
        if weighted != (weight is not None):
            raise NetworkError(
                f"{place}: each term of I must be {weight} times what the presynaptic and the "
                f"postsynaptic cell give; found {' * '.join(render(f) for f in factors)}."
            )
        found.append((pre, post))
    return found


def _products(node: Node, equations: Equations, mixed: Any) -> list[list[Node]]:
    """Expand a tree into products, opening sums only where they mix the two sides."""
    match node:
        case Name(name=name) if name in equations.definitions:
            inside = _products(equations.definitions[name].expression, equations, mixed)
            _few(inside)
            whole = len(inside) == 1 and len(inside[0]) == 1 and not isinstance(inside[0][0], Name)
            return [[node]] if whole and not mixed(node) else inside
        case Negative():
            return [[Negative(Number(1.0)), *f] for f in _products(node.operand, equations, mixed)]
        case Binary(operator="*"):
            left = _products(node.left, equations, mixed)
            right = _products(node.right, equations, mixed)
            _few(left, len(right))
            return [[*a, *b] for a in left for b in right]
        case Binary(operator="/"):
            inverse = Binary("/", Number(1.0), node.right)
            return [[*a, inverse] for a in _products(node.left, equations, mixed)]
        case Binary(operator="+" | "-") if mixed(node):
            right = _products(node.right, equations, mixed)
            if node.operator == "-":
                right = [[Negative(Number(1.0)), *f] for f in right]
            both = [*_products(node.left, equations, mixed), *right]
            _few(both)
            return both
    return [[node]]


def _few(products: list[list[Node]], times: int = 1) -> None:
    if sum(map(len, products)) * times > _MOST_FACTORS:
        raise NetworkError(
            f"I becomes more than {_MOST_FACTORS:,} factors when its products of sums are "
            "multiplied out, which is more than can be worked with; write it with fewer of them."
        )


# -------------------------------------------------------------------------- jumping


def _jumping(projection: Synaptic) -> Jumping:
    equations, weight, place = projection.equations, projection.weight_name, place_of(projection)
    if equations.uses_pulse:
        raise NetworkError(f"{place} has both pulse() and an 'on spike:' line; use one of them.")
    current = _current(equations)
    used = equations.depends(current) if current is not None else set()
    if bad := {name for name in used if name.endswith("_pre")} & set(equations.inputs):
        raise NetworkError(
            f"{place}: I depends on {sorted(bad)} of the presynaptic cell beside its spikes, "
            "which is not supported."
        )
    sums = _closure(used & set(equations.states), equations)
    on_spike = list(equations.on_spike)
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
    before, after, own = _locate(equations, sums, weight, place)
    for states in (sums, before, after):
        LinearParts(equations, sorted(states, key=list(equations.states).index))
    amplitudes = None
    if not own and not equations.on_post_spike:
        amplitudes = _amplitudes(on_spike, before, weight, equations, place)
    return Jumping(
        before,
        after,
        tuple(s for s in equations.states if s in sums),
        own,
        tuple(on_spike),
        equations.on_post_spike,
        current,
        amplitudes,
    )


def _current(equations: Equations) -> Node | None:
    return Name("I") if "I" in equations.definitions else None


def _closure(found: set[str], equations: Equations) -> set[str]:
    """Add the states that the derivatives of states depend on, those of these, and so on."""
    while True:
        more = set(found)
        for state in found:
            more |= equations.depends(equations.states[state].expression) & set(equations.states)
        if more == found:
            return found
        found = more


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
        found = set(rest) - {a.name for a in other}
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
    before = side(equations.on_spike, equations.on_post_spike, "_pre") - {weight}
    after = side(equations.on_post_spike, equations.on_spike, "_post") & assigned
    before -= after
    own = [state for state in rest if state not in before | after]
    between = LinearParts(equations, own)
    for state in own:
        if not between.constant(state):
            raise NetworkError(
                f"{place}: {state} is a state of every single synapse, and such a state may only "
                f"change at spikes (d{state}/dt = 0)."
            )
    order = list(equations.states)
    return (
        tuple(sorted(before, key=order.index)),
        tuple(sorted(after, key=order.index)),
        tuple(own),
    )


def _amplitudes(
    assignments: list[Assignment],
    before: tuple[str, ...],
    weight: str | None,
    equations: Equations,
    place: str,
) -> dict[str, Node] | None:
    """Return the factor of the weight in each jump that is not of a presynaptic state."""
    found: dict[str, Node] = {}
    for assignment in assignments:
        if assignment.name in before:
            continue
        added = inlined(increment(assignment, place), equations.definitions, set())
        if weight is not None:
            added, rest = evaluate(added, AffineAlgebra(weight))
            if added == ZERO or rest != ZERO or weight in names(added):
                return None
        outside = {name for name in equations.inputs if name.endswith("_post")}
        if assignment.name in found or names(added) & (
            outside | set(equations.states) - set(before)
        ):
            return None
        found[assignment.name] = added
    return found
