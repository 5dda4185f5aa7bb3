"""What couples populations in a run: groups of projections that share presynaptic states."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from somaflow.compiler.final import KeptGroup
from somaflow.compiler.lower import Lowered
from somaflow.compiler.wiring import Member, Wiring
from somaflow.equations.expression import Node
from somaflow.network.forms import Form
from somaflow.simulation.system import Array

Tensor = Any  # a tf.Tensor: TensorFlow's own type stubs refuse ordinary indexing
States = Mapping[str, Tensor]
RINGS = ("late", "late end")  # parts of a group's event state: what arrives later


@dataclass(frozen=True)
class Route:
    """Where a group's sums go.

    Attributes:
        projection: Its name.
        target: Index of the postsynaptic population.
        columns: The part of the group's sums that belongs to it.
        post: What turns the sums into the outward current: for each sum the factor that the
            postsynaptic cell gives, or for jumping synapses the current itself.
        lowered: The synapse's equations.
    """

    projection: str
    target: int
    columns: slice
    post: tuple[Node, ...]
    lowered: Lowered


@dataclass
class Group:
    """Projections that share their presynaptic states.

    Attributes:
        key: Its name in the state and among the parameters.
        form: The form of its synapses.
        source: Index of the presynaptic population.
        initial: Initial value of each state of the synapse.
        lowered: The first projection's equations, which all share but for the weight and what
            belongs to the postsynaptic cell.
        delay: Its delay in steps; None if it differs between synapses.
        members: Its projections.
        routes: Where its sums go.
        place: What its first projection is called in messages.
        before: What the state at which another run ended tells of it; None where it is new.
        begun: Of a group that a network did not have from the beginning: the steps made before.
            Spikes that were sent earlier do not arrive. None where all do.
    """

    key: str
    form: Form
    source: int
    initial: dict[str, float]
    lowered: Lowered
    delay: int | None
    place: str
    before: KeptGroup | None = None
    begun: int | None = None
    members: list[Member] = field(default_factory=list)
    routes: list[Route] = field(default_factory=list)

    @property
    def width(self) -> int:
        """Number of columns of its sums."""
        return self.routes[-1].columns.stop


class Moment(NamedTuple):
    """What a coupling may know of a step.

    Attributes:
        step: The number of steps made before, int32 or int64 scalar.
        dt: The step in ms.
        nodes: Fractions of the step at which the solver asks for currents.
    """

    step: Tensor
    dt: float
    nodes: tuple[float, ...]

    @property
    def fractions(self) -> tuple[float, ...]:
        """The parts of a step after its start at which closed forms are needed."""
        return fractions(self.nodes)


class Spikes(NamedTuple):
    """Spikes in a step, as the time from each to the step's end in ms, 0 where there is none.

    Attributes:
        before: Of the presynaptic cells, after the delay: they arrive in this step.
        after: Of the postsynaptic cells of the group's only projection; None if it has no use.
        states: The states of all populations at the step's end, before resets.
    """

    before: Tensor
    after: Tensor | None
    states: list[dict[str, Tensor]]


class Outcome(NamedTuple):
    """What a group's spikes have done by the end of a step.

    Attributes:
        event: The group's event state at the end.
        charge: Integral over time of what they have opened within the step, by sum: what
            `current` takes.
        rows: New values of rows of the presynaptic population's block.
        added: What is added to variables of postsynaptic cells, `[..., width]`.
    """

    event: Any
    charge: Any
    rows: dict[str, Tensor]
    added: dict[str, Tensor]


class Variable(NamedTuple):
    """Where a state of synapses is found.

    Attributes:
        axis: Who has it once: `pre`, `post` or `synapse`.
        read: Takes it out of the group's event state or the presynaptic population's states.
        places: Of `synapse`: where each synapse is, in the order of `connections()`.
    """

    axis: str
    read: Callable[[Any, States], Tensor]
    places: Array | None = None


def fractions(nodes: tuple[float, ...]) -> tuple[float, ...]:
    """Return the parts of a step after its start at which closed forms are needed."""
    return tuple(sorted({*nodes, 1.0} - {0.0}))


class Coupling(Protocol):
    """How one group is computed.

    Attributes:
        group: The group.
        rows: Its rows in the block of the presynaptic population, and the initial value of each.
        wiring: Its synapses.
        wired: Which cells are joined, as a checksum; empty where no synapse has variables of its
            own.
    """

    group: Group
    rows: dict[str, float]
    wiring: Wiring
    wired: str

    def initial(self, batch: tuple[int, ...]) -> Any:
        """Return the event state at step 0, or None for none."""
        ...

    def prepare(self, arrays: Any, table: Any, dt: float, nodes: tuple[float, ...]) -> Any:
        """Compute once a chunk what does not change within it."""
        ...

    def arrive(self, event: Any, moment: Moment, prepared: Any) -> Any:
        """Return what the step needs: what events have opened at each node, and at the end."""
        ...

    def sums(self, states: States, context: Any, node: int, prepared: Any) -> Any:
        """Return the sums over synapses at a node of the step, each `[..., width]`."""
        ...

    def current(self, route: Route, owner: States, sums: Any, table: Any) -> Tensor | None:
        """Return the outward current of a route, given the sums of the group."""
        ...

    def slopes(self, states: States, context: Any, prepared: Any) -> dict[str, Tensor]:
        """Return the derivative of each row."""
        ...

    def emit(
        self, event: Any, context: Any, spikes: Spikes, moment: Moment, prepared: Any
    ) -> Outcome | None:
        """Return what the spikes that arrive in a step have done by its end."""
        ...

    def variable(self, name: str, route: Route) -> Variable:
        """Return where a state of a route's synapses is found."""
        ...


def ports(lowered: Lowered, owner: States, side: str) -> dict[str, Tensor]:
    """Return the inputs of a synapse that a cell gives: `v_post` from `v`."""
    return {
        name: owner[name.removesuffix(side)]
        for name in lowered.equations.inputs
        if name.endswith(side)
    }


def multiplied(route: Route, owner: States, sums: Any, table: Any) -> Tensor:
    """Return a current as a sum of products: sums times what the postsynaptic cell gives."""
    value = route.lowered.scope(table, ports(route.lowered, owner, "_post"))
    total = None
    for part, post in zip(sums, route.post, strict=True):
        term = part[..., route.columns] * value(post)
        total = term if total is None else total + term
    return total
