"""Graded synapses: their effect follows the presynaptic cell's state at every moment."""

from collections.abc import Callable
from dataclasses import dataclass

from somaflow.equations.affine import ONE, ZERO, inlined
from somaflow.equations.equations import Assignment, Equations
from somaflow.equations.expression import (
    Binary,
    Call,
    Name,
    Negative,
    Node,
    Number,
    render,
)
from somaflow.errors import NetworkError
from somaflow.network.form import Form
from somaflow.network.general import calls_pulse, closed_states, duration_of, undriven
from somaflow.network.synaptic import Synaptic, place_of, varied_delays

_MOST_FACTORS = 10_000  # of a current that is multiplied out
_MOST_SUMS = 8  # of one whose sines are taken apart; more would cost more than each by itself


@dataclass(frozen=True)
class Graded(Form):
    """A synapse whose effect follows the presynaptic cell's state at every moment.

    Attributes:
        rows: Its states, which become rows of the presynaptic population's block.
        terms: The outward current as a sum of weight * pre * post: trees (pre, post).
        duration: Length of the transmitter pulse that the states know, or None.
        on_spike: What a presynaptic spike does to the states, in order.
        closed: Of states that spikes move: those with closed forms from spike to spike.
    """

    rows: tuple[str, ...]
    terms: tuple[tuple[Node, Node], ...]
    duration: Node | None
    on_spike: tuple[Assignment, ...] = ()
    closed: tuple[str, ...] = ()

    events, shown = False, True

    @classmethod
    def recognise(cls, projection: Synaptic) -> "Graded | None":
        """Return a synapse without `on spike:` lines in this form."""
        equations, place = projection.equations, place_of(projection)
        if equations.on_spike or equations.on_post_spike:
            return None
        terms = terms_of(projection)
        duration = duration_of(equations, place)
        if equations.states and not follows(equations, "_pre") and duration is None:
            raise NetworkError(undriven(place))
        if varied_delays(projection):
            raise NetworkError(
                f"{place}: it follows the presynaptic cell, and the delays of its synapses differ."
            )
        return cls(tuple(equations.states), terms, duration)

    @property
    def waits(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Whether presynaptic spikes begin pulses, or move states."""
        return self.duration is not None or bool(self.on_spike)

    @property
    def acts(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Whether arriving spikes move postsynaptic cells at once."""
        return bool(self.on_spike)

    @property
    def post(self) -> tuple[Node, ...]:
        """The factor of each term that the postsynaptic cell gives."""
        return tuple(post for _, post in self.terms)

    @property
    def shared(self) -> tuple[Node, ...]:
        """The factors that the presynaptic cell gives."""
        return tuple(pre for pre, _ in self.terms)

    @property
    def n_sums(self) -> int:
        """How many sums there are: one for each factor of a presynaptic cell."""
        return max(1, len({render(pre) for pre in self.shared} - {render(ONE)}))

    def count(self, n_pre: int, n_post: int, synapses: int) -> int:
        """Return how many states there are: each once for each presynaptic cell."""
        return n_pre * len(self.rows)

    def explain(self, place: str) -> str:
        """Return what the form is called."""
        return "graded, moved by spikes" if self.on_spike else "graded"

    def treatment(self, state: str, solved: Callable[[], str]) -> str:
        """Return that the solver integrates it."""
        return f"graded by the presynaptic cell; {solved()}"

    def uncounted(self) -> str | None:
        """Return that a number of spikes is not enough."""
        return "lets each presynaptic cell open a gate of its own"


def moved_by_spikes(projection: Synaptic) -> Graded | None:
    """Return a synapse whose states know of the presynaptic cell alone, its spikes among it.

    So each cell has them once, whatever spikes make of them. What is linear between spikes has
    cheaper forms.
    """
    equations, weight = projection.equations, projection.weight_name
    if not equations.on_spike or equations.on_post_spike or equations.uses_pulse:
        return None
    if "I" not in equations.definitions or weight in equations.states or varied_delays(projection):
        return None
    changes = [(state, variable.expression) for state, variable in equations.states.items()]
    changes += [(assignment.name, assignment.expression) for assignment in equations.on_spike]
    other = {name for name in equations.inputs if not name.endswith("_pre")} | {weight}
    for name, node in changes:
        if name not in equations.states or equations.depends(node) & other:
            return None
    try:
        terms = terms_of(projection)
    except NetworkError:
        return None
    rows, closed = tuple(equations.states), closed_states(equations)
    return Graded(rows, terms, None, equations.on_spike, closed)


def follows(equations: Equations, side: str) -> bool:
    """Tell whether states follow what the cell on a side gives."""
    inputs = {name for name in equations.inputs if name.endswith(side)}
    return any(equations.depends(state.expression) & inputs for state in equations.states.values())


def terms_of(projection: Synaptic) -> tuple[tuple[Node, Node], ...]:
    """Return the current as a sum of weight * (what pre gives) * (what post gives).

    Raises:
        NetworkError: It is none, or a state knows of single synapses.
    """
    equations, weight, place = projection.equations, projection.weight_name, place_of(projection)
    inputs_post = {name for name in equations.inputs if name.endswith("_post")}
    for state, variable in equations.states.items():
        bad = equations.depends(variable.expression) & (inputs_post | {weight or ""})
        if bad:
            raise NetworkError(
                f"{place}: d{state}/dt depends on {sorted(bad)}, so every synapse would need a "
                "state of its own that changes all the time."
            )
    terms = _terms(projection)
    for node in (part for term in terms for part in term):
        if calls_pulse(inlined(node, equations.definitions, set())):
            raise NetworkError(
                f"{place}: I depends on pulse() itself; let a state follow the pulse, as in "
                "'do/dt = alpha*(1 - o)*pulse(duration) - beta*o'."
            )
    return tuple(terms)


def _terms(projection: Synaptic) -> list[tuple[Node, Node]]:
    """Write the current as a sum of weight * (what pre gives) * (what post gives).

    Sines and cosines are taken apart where that makes few terms, and reasons do not speak of it.
    """
    try:
        terms = _terms_of(projection, angles=True)
    except NetworkError:
        return _terms_of(projection, angles=False)
    return terms if len(terms) <= _MOST_SUMS else _terms_of(projection, angles=False)


def _terms_of(projection: Synaptic, angles: bool) -> list[tuple[Node, Node]]:
    equations, weight, place = projection.equations, projection.weight_name, place_of(projection)
    of_pre = {name for name in equations.inputs if name.endswith("_pre")} | set(equations.states)
    of_post = {name for name in equations.inputs if name.endswith("_post")}

    def mixed(node: Node) -> bool:
        used = equations.depends(node)
        return bool(used & (of_pre | {weight or ""})) and bool(used & of_post)

    terms = []
    try:
        products = _products(Name("I"), equations, mixed, angles)
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
            elif used & of_pre:
                pre = factor if pre == ONE else Binary("*", pre, factor)
            else:
                post = factor if post == ONE else Binary("*", post, factor)
        if weighted != (weight is not None):
            raise NetworkError(
                f"{place}: each term of I must be {weight} times what the presynaptic and the "
                f"postsynaptic cell give; found {' * '.join(render(f) for f in factors)}."
            )
        terms.append((pre, post))
    return terms


def _products(
    node: Node, equations: Equations, mixed: Callable[[Node], bool], angles: bool
) -> list[list[Node]]:
    """Expand a tree into products, opening sums only where they mix the two sides.

    Args:
        node: The tree.
        equations: Those of the synapse.
        mixed: Tells whether a tree mixes them.
        angles: Whether sines and cosines of sums are opened too.
    """

    def opened(part: Node) -> list[list[Node]]:
        return _products(part, equations, mixed, angles)

    match node:
        case Name(name=name) if name in equations.definitions:
            inside = opened(equations.definitions[name].expression)
            _few(inside)
            whole = len(inside) == 1 and len(inside[0]) == 1 and not isinstance(inside[0][0], Name)
            return [[node]] if whole and not mixed(node) else inside
        case Negative():
            return [[Negative(Number(1.0)), *f] for f in opened(node.operand)]
        case Call(function="sin" | "cos", arguments=(angle,)) if angles and mixed(node):
            if parts := _parts(angle, equations, mixed):
                return opened(_theorem(node.function, *parts))
        case Binary(operator="*"):
            left = opened(node.left)
            right = opened(node.right)
            _few(left, len(right))
            return [[*a, *b] for a in left for b in right]
        case Binary(operator="/"):
            inverse = Binary("/", Number(1.0), node.right)
            return [[*a, inverse] for a in opened(node.left)]
        case Binary(operator="+" | "-") if mixed(node):
            right = opened(node.right)
            if node.operator == "-":
                right = [[Negative(Number(1.0)), *f] for f in right]
            both = [*opened(node.left), *right]
            _few(both)
            return both
    return [[node]]


def _theorem(function: str, a: Node, b: Node) -> Node:
    """Return sin(a + b) or cos(a + b) by the addition theorem."""

    def of(name: str, angle: Node) -> Node:
        return Call(name, (angle,))

    if function == "sin":
        left, right = (of("sin", a), of("cos", b)), (of("cos", a), of("sin", b))
        return Binary("+", Binary("*", *left), Binary("*", *right))
    left, right = (of("cos", a), of("cos", b)), (of("sin", a), of("sin", b))
    return Binary("-", Binary("*", *left), Binary("*", *right))


def _parts(
    node: Node, equations: Equations, mixed: Callable[[Node], bool]
) -> tuple[Node, Node] | None:
    """Return a sum as what the postsynaptic cell gives to it and the rest; None if it is none."""
    if not mixed(node):
        after = any(name.endswith("_post") for name in equations.depends(node))
        return (node, ZERO) if after else (ZERO, node)
    match node:
        case Name(name=name) if name in equations.definitions:
            return _parts(equations.definitions[name].expression, equations, mixed)
        case Negative():
            found = _parts(node.operand, equations, mixed)
            return found and (Negative(found[0]), Negative(found[1]))
        case Binary(operator="+" | "-" as sign):
            left = _parts(node.left, equations, mixed)
            right = _parts(node.right, equations, mixed)
            if left is None or right is None:
                return None
            return Binary(sign, left[0], right[0]), Binary(sign, left[1], right[1])
    return None


def _few(products: list[list[Node]], times: int = 1) -> None:
    if sum(map(len, products)) * times > _MOST_FACTORS:
        raise NetworkError(
            f"I becomes more than {_MOST_FACTORS:,} factors when its products of sums are "
            "multiplied out, which is more than can be worked with; write it with fewer of them."
        )
