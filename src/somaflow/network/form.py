"""What a form of synapse answers. A form is one class in one file; `forms.FORMS` lists them."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection

from somaflow.equations.expression import Node
from somaflow.network import choice
from somaflow.network.choice import Choice, Degrees
from somaflow.network.synaptic import Synaptic

BETWEEN = "closed form between events"


class Form(ABC):
    """A way to compute the synapses of a projection. What computes it is in `compiler`.

    A class that does not say otherwise is of synapses that act at spikes, share the states of
    their presynaptic cells, and know nothing of postsynaptic spikes.

    Attributes:
        events: Whether only cells that spiked have something to add in a step.
        alone: Whether projections of this form share nothing with each other.
        acts: Whether arriving spikes move postsynaptic cells at once.
        learns: Whether it knows the postsynaptic cell's spikes.
        waits: Whether presynaptic spikes have something to do.
        shown: Whether all that postsynaptic cells get are sums of what each presynaptic cell gives,
            at all times, so that cells of other workers may be told it.
        draws: Names of what is drawn at spikes.
        traces: States that are one for each presynaptic cell and follow from its spikes alone.
        reason: Why no rewrite applies, as a sentence that begins with the synapse; empty for a
            rewrite.
    """

    events: bool = True
    alone: bool = False
    acts: bool = True
    learns: bool = False
    waits: bool = True
    shown: bool = False
    draws: Collection[str] = ()
    traces: Collection[str] = ()
    reason: str = ""

    @classmethod
    @abstractmethod
    def recognise(cls, projection: Synaptic) -> "Form | None":
        """Return a projection's synapse in this form; None where the text is of another kind.

        Raises:
            NetworkError, EquationError: The text is of this kind, and something in it cannot be
                computed so; the message says what.
        """

    @property
    @abstractmethod
    def post(self) -> tuple[Node, ...]:
        """What turns sums into the outward current: trees of what the postsynaptic cell gives."""

    @property
    def shared(self) -> tuple[Node, ...]:
        """What must be equal, beside states and spikes, for projections to share states."""
        return ()

    @property
    def n_sums(self) -> int:
        """How many sums there are over the same synapses."""
        return 1

    @abstractmethod
    def count(self, n_pre: int, n_post: int, synapses: int) -> int:
        """Return how many states there are for so many cells on either side and synapses."""

    def choose(self, degrees: Degrees, n_pre: int, delays: bool, item_bytes: int) -> Choice:
        """Say how sums are computed and what they cost.

        Args:
            degrees: How many synapses reach the postsynaptic cells.
            n_pre: Number of presynaptic cells.
            delays: Whether delays differ between synapses.
            item_bytes: Size of a number.
        """
        single = delays or self.alone
        return choice.choose(degrees, n_pre, self.events, single, item_bytes, self.n_sums)

    @abstractmethod
    def explain(self, place: str) -> str:
        """Return what the form is called in an explanation; `place` is the synapse in messages."""

    def treatment(self, state: str, solved: Callable[[], str]) -> str:
        """Return how a state is advanced; `solved()` says so of one that the solver integrates."""
        return BETWEEN

    @abstractmethod
    def uncounted(self) -> str | None:
        """Return why numbers of spikes are not enough for it; None where they are."""
