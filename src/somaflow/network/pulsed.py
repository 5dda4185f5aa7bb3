"""Pulsed synapses: gates with one linear state that transmitter pulses open."""

from dataclasses import dataclass

from somaflow.equations.affine import AffineAlgebra, inlined
from somaflow.equations.expression import Name, Node, evaluate
from somaflow.equations.linear import because
from somaflow.network.form import Form
from somaflow.network.general import check_rest, duration_of
from somaflow.network.graded import follows, terms_of
from somaflow.network.synaptic import Synaptic, place_of


@dataclass(frozen=True)
class Pulsed(Form):
    """A gate with one linear state that transmitter pulses open.

    Attributes:
        state: The gate.
        factor: What the postsynaptic cell gives to the current.
        duration: Length of the pulse.
        rate: dstate/dt = a*state + b as trees (a, b), in which `pulse` occurs.
    """

    state: str
    factor: Node
    duration: Node
    rate: tuple[Node, Node]

    @classmethod
    def recognise(cls, projection: Synaptic) -> "Pulsed | None":
        """Return a synapse in this form, where one gate and nothing else follows a pulse."""
        equations, place = projection.equations, place_of(projection)
        if equations.on_spike or equations.on_post_spike or len(equations.states) != 1:
            return None
        terms, duration = terms_of(projection), duration_of(equations, place)
        state = next(iter(equations.states))
        alone = len(terms) == 1 and terms[0][0] == Name(state)
        if duration is None or not alone or follows(equations, "_pre"):
            return None
        tree = inlined(equations.states[state].expression, equations.definitions, set())
        rate = evaluate(tree, AffineAlgebra(state, message=because(state)))
        check_rest(equations, (state,), place)
        return cls(state, terms[0][1], duration, rate)

    @property
    def traces(self) -> tuple[str, ...]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The gate."""
        return (self.state,)

    @property
    def post(self) -> tuple[Node, ...]:
        """The factor that the postsynaptic cell gives."""
        return (self.factor,)

    def count(self, n_pre: int, n_post: int, synapses: int) -> int:
        """Return how many states there are: gates, and conductances."""
        return n_pre + n_post

    def explain(self, place: str) -> str:
        """Return what the form is called."""
        return "pulsed"

    def uncounted(self) -> str | None:
        """Return that a number of spikes is not enough."""
        return "lets each presynaptic cell open a gate of its own"
