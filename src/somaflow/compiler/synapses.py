"""Synapses: from one equation a synapse to few states, by rewrites that are exact.

A synaptic current is a product: weight, times what the presynaptic cell does, times what the
postsynaptic cell does. The compiler finds these factors and computes

* a *graded* gate once for each presynaptic cell, as a further row of that population's block: it
  depends on the presynaptic voltage, so the solver integrates it;
* a *pulsed* gate once for each presynaptic cell, in closed form between the edges of its
  transmitter pulses, and the conductance it opens once for each postsynaptic cell: between pulses
  this only decays, so only pulses cost anything;
* a *jumping* conductance once for each postsynaptic cell, in closed form.

The design page docs/design/synapses.md derives them; tests/contracts hold them to the plain result.
"""

from dataclasses import dataclass, field
from typing import Any

import tensorflow as tf

from somaflow.compiler.lower import Lowered, TensorAlgebra, unit_factor
from somaflow.description import fingerprint
from somaflow.equations.affine import ZERO, AffineAlgebra, inlined
from somaflow.equations.equations import Equations
from somaflow.equations.expression import (
    Binary,
    Call,
    Name,
    Negative,
    Node,
    Number,
    evaluate,
    render,
    walk,
)
from somaflow.errors import EquationError, NetworkError
from somaflow.network.projection import Projection


@dataclass(frozen=True)
class Parts:
    """A synaptic current taken apart.

    Attributes:
        kind: `graded`, `pulsed` or `jumping`.
        state: The gate (graded, pulsed) or the conductance (jumping).
        post: The factors that the postsynaptic cell gives.
        duration: Length of the transmitter pulse, for pulsed gates.
        rate: For pulsed gates and jumping conductances: `dstate/dt = a*state + b` as trees (a, b).
    """

    kind: str
    state: str
    post: Node
    duration: Node = ZERO
    rate: tuple[Node, Node] = (ZERO, ZERO)


def no_noise(equations: Equations) -> str:
    """Return why a network cannot run equations with noise."""
    noises = ", ".join(equations.noises.values())
    return (
        f"equations with noise ({noises}) run in sf.solve(..., solver=sf.EulerMaruyama()); "
        "networks do not take them yet."
    )


def take_apart(projection: Projection) -> Parts:
    """Find the factors of a projection's current.

    Raises:
        NetworkError: The current is not of a form that can be computed; the message says why.
    """
    equations = projection.synapse.equations
    weight = projection.synapse.details["weight"]
    place = f"synapse {projection.synapse.name!r} of projection {projection.name!r}"
    inputs_pre = {name for name in equations.inputs if name.endswith("_pre")}
    inputs_post = {name for name in equations.inputs if name.endswith("_post")}
    if equations.noises:
        raise NetworkError(f"{place}: {no_noise(equations)}")
    if len(equations.states) != 1:
        raise NetworkError(
            f"{place} has {len(equations.states)} states; synapses of one state are supported."
        )
    state, variable = next(iter(equations.states.items()))
    needs = equations.depends(variable.expression)
    if needs & inputs_post or weight in needs:
        raise NetworkError(
            f"{place}: d{state}/dt depends on {sorted(needs & (inputs_post | {weight}))}, so "
            "every synapse would need a state of its own, which is not supported yet."
        )
    if "t" in needs | equations.depends(Name("I")):
        raise NetworkError(f"{place} depends on the time t, which synapses do not know.")
    jumps = bool(equations.on_spike)
    before, after = [], []
    for factor in _factors(Name("I"), equations):
        used = equations.depends(factor)
        if used & (inputs_pre | {state, weight}) and used & inputs_post:
            raise NetworkError(
                f"{place}: the factor {render(factor)} of I mixes what the presynaptic and the "
                "postsynaptic cell give, so it cannot be summed over synapses."
            )
        (before if used & (inputs_pre | {state, weight}) else after).append(factor)
    wanted = [Name(state)] if jumps else [Name(weight), Name(state)]
    if sorted(map(render, before)) != sorted(map(render, wanted)):
        raise NetworkError(
            f"{place}: I must be {' * '.join(n.name for n in wanted)} times what the "
            f"postsynaptic cell gives; found {' * '.join(map(render, before)) or 'no such factor'}."
        )
    post = after[0] if after else Number(1.0)
    for factor in after[1:]:
        post = Binary("*", post, factor)
    if needs & inputs_pre:
        return Parts("graded", state, post)
    try:
        tree = inlined(variable.expression, equations.definitions, {state})
        rate = evaluate(tree, AffineAlgebra(state))
    except EquationError as error:
        raise NetworkError(f"{place}: d{state}/dt is not linear in {state}: {error}") from error
    if jumps:
        _check_jump(equations, state, weight, place)
        return Parts("jumping", state, post, ZERO, rate)
    durations = {
        render(item.arguments[0]): item.arguments[0]
        for node in rate
        for item in walk(node)
        if isinstance(item, Call) and item.function == "pulse"
    }
    if len(durations) != 1:
        raise NetworkError(f"{place} needs one pulse(duration) or one 'on spike' line.")
    return Parts("pulsed", state, post, next(iter(durations.values())), rate)


def _factors(node: Node, equations: Equations) -> list[Node]:
    """Return the factors of a product, through definitions; divisors as 1/x, a sign as -1."""
    match node:
        case Name(name=name) if name in equations.definitions:
            inside = equations.definitions[name].expression
            found = _factors(inside, equations)
            return found if len(found) > 1 or isinstance(found[0], Name) else [node]
        case Negative():
            return [Negative(Number(1.0)), *_factors(node.operand, equations)]
        case Binary(operator="*"):
            return [*_factors(node.left, equations), *_factors(node.right, equations)]
        case Binary(operator="/"):
            return [*_factors(node.left, equations), Binary("/", Number(1.0), node.right)]
    return [node]


def _check_jump(equations: Equations, state: str, weight: str, place: str) -> None:
    wanted = Binary("+", Name(state), Name(weight))
    if len(equations.on_spike) != 1 or equations.on_spike[0].expression != wanted:
        raise NetworkError(
            f"{place}: the line must be 'on spike: {state} += {weight}'; other assignments are "
            "not supported yet."
        )


@dataclass(frozen=True)
class Route:
    """Where a group's sum goes.

    Attributes:
        projection: Its name.
        target: Index of the postsynaptic population.
        columns: The part of the group's sum that belongs to it.
        post: The factors that the postsynaptic cell gives.
        lowered: The synapse's equations.
    """

    projection: str
    target: int
    columns: slice
    post: Node
    lowered: Lowered


@dataclass
class Group:
    """Projections that share their presynaptic states.

    Attributes:
        key: Its name in the state and among the parameters.
        kind: As in `Parts`.
        state: As in `Parts`.
        source: Index of the presynaptic population.
        initial: Initial value of the state.
        parts: As found.
        lowered: The first projection's equations, which all share but for the weight.
        projections: Its members.
        routes: Where the sums go.
    """

    key: str
    kind: str
    state: str
    source: int
    initial: float
    parts: Parts
    lowered: Lowered
    projections: list[Projection] = field(default_factory=list)
    routes: list[Route] = field(default_factory=list)


def group_key(projection: Projection, source: int, parts: Parts) -> str:
    """Return what projections must have in common to share their presynaptic states."""
    equations = projection.synapse.equations
    needed = equations.depends(equations.states[parts.state].expression)
    shared = {name: p for name, p in equations.parameters.items() if name in needed}
    return f"{source} {parts.kind} " + fingerprint((equations.text, shared, equations.initial))


def evaluate_between_pulses(node: Node, prepared: dict[str, Any]) -> Any:
    """Evaluate a tree of parameters with `pulse` at 0."""
    return _with_pulse(0.0, node, prepared)


def pulse_rates(parts: Parts, prepared: dict[str, Any]) -> dict[str, Any]:
    """Evaluate the closed form of a pulsed gate, or of a jumping conductance.

    Returns:
        `off`: the rate a of d state/dt = a*state between pulses. For pulsed gates also `on`, the
        rate within a pulse, `level`, what the state tends to within it, and `duration`.
    """

    def at(pulse: float, node: Node) -> Any:
        return _with_pulse(pulse, node, prepared)

    (a, b), duration = parts.rate, parts.duration
    rates = {"off": at(0.0, a)}
    if parts.kind == "pulsed":
        on = at(1.0, a)
        rates |= {"on": on, "level": -at(1.0, b) / on, "duration": at(1.0, duration)}
    return rates


def _with_pulse(pulse: float, node: Node, prepared: dict[str, Any]) -> Any:
    def lookup(name: str) -> Any:
        return prepared[name] if name in prepared else unit_factor(name)

    return evaluate(node, TensorAlgebra(lookup, {"pulse": lambda _: pulse}))


def after(gate: tf.Tensor, remaining: tf.Tensor, time: Any, rates: dict[str, Any]) -> tf.Tensor:
    """Return a pulsed gate after some time without a new pulse, in closed form.

    Args:
        gate: Its value now.
        remaining: How much longer its pulse lasts; 0 outside a pulse.
        time: How far to go, not negative.
        rates: What `pulse_rates` returned.
    """
    within = tf.minimum(remaining, time)
    opened = rates["level"] + (gate - rates["level"]) * tf.exp(rates["on"] * within)
    return opened * tf.exp(rates["off"] * (time - within))
