"""Plastic synapses: each has variables of its own, which change at spikes alone."""

from collections.abc import Callable
from dataclasses import dataclass

from somaflow.equations.equations import Assignment
from somaflow.equations.expression import Node
from somaflow.errors import NetworkError
from somaflow.network.form import BETWEEN, Form
from somaflow.network.jumping import jumps_of
from somaflow.network.synaptic import Synaptic, place_of, varied_delays


@dataclass(frozen=True)
class Plastic(Form):
    """States that jump at spikes, of which some are of single synapses.

    Attributes:
        pre_states: States that are one for each presynaptic cell.
        post_states: States that are one for each postsynaptic cell.
        sums: States of which only the sum over a postsynaptic cell's synapses matters.
        own: States of each synapse, constant between spikes.
        on_spike: What a presynaptic spike does, in order.
        on_post_spike: What a postsynaptic spike does, in order.
        current: The outward current of one synapse, a tree that is linear in `sums`, or None.
    """

    pre_states: tuple[str, ...]
    post_states: tuple[str, ...]
    sums: tuple[str, ...]
    own: tuple[str, ...]
    on_spike: tuple[Assignment, ...]
    on_post_spike: tuple[Assignment, ...]
    current: Node | None

    alone = True

    @classmethod
    def recognise(cls, projection: Synaptic) -> "Plastic | None":
        """Return a synapse in this form."""
        found = jumps_of(projection)
        if found is None or found.amplitudes is not None:
            return None
        if varied_delays(projection):
            raise NetworkError(
                f"{place_of(projection)}: what a spike does is computed for each synapse by "
                "itself, and their delays differ."
            )
        return cls(*found[:-1])

    @property
    def learns(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Whether it knows the postsynaptic cell's spikes."""
        return bool(self.post_states or self.on_post_spike)

    @property
    def post(self) -> tuple[Node, ...]:
        """The current."""
        return () if self.current is None else (self.current,)

    def count(self, n_pre: int, n_post: int, synapses: int) -> int:
        """Return how many states there are: traces, sums, and variables of synapses."""
        cells = n_pre * len(self.pre_states) + n_post * len(self.sums + self.post_states)
        return cells + synapses * len(self.own)

    def explain(self, place: str) -> str:
        """Return what the form is called."""
        return "jumping, computed for each synapse by itself"

    def treatment(self, state: str, solved: Callable[[], str]) -> str:
        """Return how a state is advanced."""
        return "changes at spikes and rules only" if state in self.own else BETWEEN

    def uncounted(self) -> str | None:
        """Return what is kept, of which a number of spikes says nothing."""
        kept = ", ".join((*self.pre_states, *self.own, *self.post_states))
        return f"keeps {kept} for each cell or synapse" if kept else "is plastic"
