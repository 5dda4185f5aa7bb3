"""What couples populations in a run: groups of projections that share presynaptic states."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, NamedTuple, Protocol, TypeGuard, TypeVar

import numpy as np
import tensorflow as tf

from somaflow.compiler.diagnosis.terms import measure
from somaflow.compiler.final import KeptGroup
from somaflow.compiler.lower import Lowered, Scope
from somaflow.compiler.states import StateKey, States, Tensors, Tick
from somaflow.compiler.wiring import Member
from somaflow.equations.affine import ZERO, chord_in
from somaflow.equations.equations import Equations
from somaflow.equations.expression import Name, Node, render
from somaflow.errors import NetworkError
from somaflow.network.choice import Choice
from somaflow.network.form import Form
from somaflow.network.poisson import PoissonInput
from somaflow.network.projection import Projection
from somaflow.numerics.constants import columns
from somaflow.numerics.device import cast, spread
from somaflow.numerics.types import Tensor
from somaflow.simulation.system import Array

RINGS = ("late", "late_end")  # parts of a group's event state: what arrives later

# What a coupling keeps from step to step, a nest; what it has prepared for a chunk; what it has
# found for a step; its sums at a node.
StateT = TypeVar("StateT")
ConstantsT = TypeVar("ConstantsT")
ContextT = TypeVar("ContextT")
SumsT = TypeVar("SumsT")


class Chord(NamedTuple):
    """How a current depends on a variable of the postsynaptic cell.

    Attributes:
        slopes: For each of a route's `post` its slope along the chord to where it vanishes.
        exact: Whether the current is a straight line there.
    """

    slopes: tuple[Node, ...]
    exact: bool


@dataclass(frozen=True)
class Route:
    """Where a group's sums go.

    Attributes:
        projection: Its name.
        target: Index of the postsynaptic population.
        into: The input of its cells that the current leaves; None where it drives none.
        columns: The part of the group's sums that belongs to it.
        post: What turns the sums into the outward current: for each sum the factor that the
            postsynaptic cell gives, or for jumping synapses the current itself.
        chords: How the current depends on each input that the postsynaptic cell gives.
        lowered: The synapse's equations.
    """

    projection: str
    target: int
    into: str | None
    columns: slice
    post: tuple[Node, ...]
    chords: dict[str, Chord]
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
        nodes: Fractions of the step at which the method asks for currents.
        before: What the state at which another run ended tells of it; None where it is new.
        begun: Of a group that a network did not have from the beginning: the steps made before.
            Spikes that were sent earlier do not arrive. None where all do.
        here: Where what its presynaptic cells give is told from share to share: how many of them
            this share has, padding included; None elsewhere.
        counted: Where it is a Poisson input, which has no projection and no presynaptic cells: its
            number. `source` is then the population that it reaches.
        heard: Of a share, whether delays differ and some of the presynaptic cells are elsewhere:
            what spikes send is put under way by `Coupling.sent` once all cells' are heard of, and
            not in their step.
    """

    unseen = ("members", "before", "begun", "initial")

    key: str
    form: Form
    source: int
    initial: dict[str, float]
    lowered: Lowered
    delay: int | None
    place: str
    nodes: tuple[float, ...] = ()
    before: KeptGroup | None = None
    begun: int | None = None
    members: list[Member] = field(default_factory=list)
    routes: list[Route] = field(default_factory=list)
    here: int | None = None
    counted: int | None = None
    heard: bool = False

    @property
    def kind(self) -> str:
        """What each of its routes is called in messages."""
        return Projection.kind if self.counted is None else PoissonInput.kind

    @property
    def width(self) -> int:
        """Number of columns of its sums."""
        return self.routes[-1].columns.stop


class Spikes(NamedTuple):
    """Spikes in a step, as the time from each to the step's end in ms, 0 where there is none.

    Attributes:
        pre: Of the presynaptic cells, after the delay: they arrive in this step. Of a Poisson
            input their number, for each postsynaptic cell.
        post: Of the postsynaptic cells of the group's only projection; None if it has no use.
        states: The states of all populations at the step's end, before resets.
        earlier: The same at its start.
    """

    pre: Tensor
    post: Tensor | None
    states: list[States]
    earlier: list[States]


class Effect(NamedTuple, Generic[StateT, SumsT]):
    """What a group's spikes have done by the end of a step.

    Attributes:
        event: The group's event state at the end.
        charge: Integral over time of what they have opened within the step, by sum: what
            `current` takes.
        rows: New values of rows of the presynaptic population's block.
        added: What is added to variables of postsynaptic cells, `[..., width]`.
        moves: Takes the states of the postsynaptic population, and returns new values of those that
            spikes assign to; None where they only add.
        some: Whether anything may have arrived, bool; None where all spikes have to be looked at.
    """

    event: StateT
    charge: SumsT | None
    rows: States
    added: Tensors
    moves: Callable[[States], Tensors] | None = None
    some: Tensor | None = None


class Location(NamedTuple, Generic[StateT]):
    """Where a state of synapses is found.

    Attributes:
        axis: Who has it once: `pre`, `post` or `synapse`.
        read: Takes it out of the group's event state or the presynaptic population's states.
        places: Of `synapse`: where each synapse is, in the order of `connections()`.
    """

    unseen = ("places",)

    axis: str
    read: Callable[[StateT, States], Tensor]
    places: Array | None = None


class Synapses(Protocol):
    """The synapses of a group.

    Attributes:
        arrays: By name, arguments of the compiled functions.
        width: Number of postsynaptic cells, padding included.
        choice: How they are summed, and what that costs.
        latest: The longest delay in steps where delays differ between synapses, else None.
    """

    @property
    def arrays(self) -> dict[str, Array]: ...

    @property
    def width(self) -> int: ...

    @property
    def choice(self) -> Choice: ...

    @property
    def latest(self) -> int | None: ...


class Coupling(Protocol[StateT, ConstantsT, ContextT, SumsT]):
    """How one group is computed.

    Attributes:
        group: The group.
        rows: Its rows in the block of the presynaptic population, and the initial value of each.
        wiring: Its synapses.
        wired: Which cells are joined, as a checksum; empty where no synapse has variables of its
            own.
        began: The weights with which synapses begin, as a checksum; empty where spikes do not
            change them.
        places: Parts of a step at which gates that are under way in rings are known; empty where
            there are none.
        each: Whether each synapse is computed by itself, and gets its own spikes.
        follows: Whether its sums change with the states of presynaptic cells within a step.
        flowing: Keys of states of single synapses that the solver integrates.
        ordered: Where the variables of each synapse are, in the order of `connections()`, in which
            a final state has them; None where they are in that order already, or there are none.
    """

    group: Group

    @property
    def rows(self) -> Mapping[str, float]: ...

    @property
    def wiring(self) -> Synapses: ...

    @property
    def wired(self) -> str: ...

    @property
    def began(self) -> str: ...

    @property
    def places(self) -> tuple[float, ...]: ...

    @property
    def each(self) -> bool: ...

    @property
    def follows(self) -> bool: ...

    @property
    def flowing(self) -> tuple[StateKey, ...]: ...

    @property
    def ordered(self) -> Array | None: ...

    def check(self, parameters: dict[str, Array], dt: float) -> None:
        """Refuse numbers with which it cannot be computed.

        Raises:
            NetworkError: There are such.
        """
        ...

    def initial(self, batch: tuple[int, ...]) -> StateT:
        """Return the event state at step 0, or None for none."""
        ...

    def prepare(
        self, arrays: Tensors, table: Tensors, dt: float, nodes: tuple[float, ...]
    ) -> ConstantsT:
        """Compute once a chunk what does not change within it."""
        ...

    def arrive(self, event: StateT, tick: Tick, prepared: ConstantsT) -> ContextT:
        """Return what the step needs: what events have opened at each node, and at the end."""
        ...

    def sums(self, states: States, context: ContextT, node: int, prepared: ConstantsT) -> SumsT:
        """Return the sums over synapses at a node of the step, each `[..., width]`.

        Node -1 is the start itself: where sums change much within a step, the nodes have the mean.
        """
        ...

    def current(
        self,
        route: Route,
        owner: States,
        sums: SumsT,
        table: Tensors,
        of: tuple[Node, ...] | None = None,
    ) -> Tensor | None:
        """Return the outward current of a route, given the sums of the group.

        Args:
            route: The route.
            owner: The states of the postsynaptic cells.
            sums: What `sums` returned.
            table: The prepared parameters of the route's synapse.
            of: Trees in place of the route's own `post`, such as their slopes.
        """
        ...

    def slopes(self, states: States, context: ContextT, prepared: ConstantsT) -> States:
        """Return the derivative of each row."""
        ...

    def emit(
        self, event: StateT, context: ContextT, spikes: Spikes, tick: Tick, prepared: ConstantsT
    ) -> Effect[StateT, SumsT] | None:
        """Return what the spikes that arrive in a step have done by its end."""
        ...

    def variable(self, name: str, route: Route) -> Location[StateT]:
        """Return where a state of a route's synapses is found."""
        ...


# A coupling whose own types the place does not know: it hands back what the coupling gave.
AnyCoupling = Coupling[Any, Any, Any, Any]


class Sending(Coupling[Any, Any, Any, Any], Protocol):
    """How a group is computed whose delays differ between synapses that go by spikes."""

    def emptied(self, event: Any, step: Tensor) -> Any:
        """Return the event state without what has arrived in the step before a step."""
        ...

    def sent(self, event: Any, spikes: Spikes, tick: Tick, prepared: Any) -> Any:
        """Return the event state with what the spikes of a step send, which arrives later."""
        ...


def is_heard(coupling: AnyCoupling) -> TypeGuard[Sending]:
    """Tell whether what spikes send is put under way once all are heard of (`Group.heard`)."""
    return coupling.group.heard


def check_numbers(group: Group, parameters: dict[str, Array]) -> None:
    """Refuse a definition of numbers alone that is not a number, such as 0/0.

    Raises:
        NetworkError: With the definition and the numbers that it was made of.
    """
    equations = group.lowered.equations
    prepared = group.lowered.prepare({n: tf.constant(v) for n, v in parameters.items()})
    for name, definition in equations.definitions.items():
        value = prepared.get(name)
        if value is None or np.all(np.isfinite(np.asarray(value))):
            continue
        used = sorted(equations.depends(definition.expression) & set(parameters))
        numbers = [f"{n} = {measure(parameters[n].flat[0], equations.unit(n))}" for n in used]
        raise NetworkError(
            f"{group.place}: {name} = {render(definition.expression)} is "
            f"{np.asarray(value).flat[0]} with {' and '.join(numbers)}; change one of these."
        )


def ports(lowered: Lowered, owner: States, side: str) -> Tensors:
    """Return the inputs of a synapse that a cell gives: `v_post` from `v`."""
    return {
        name: owner[name.removesuffix(side)]
        for name in lowered.equations.inputs
        if name.endswith(side)
    }


def with_definitions(
    states: States, names: Iterable[str], value: Scope, like: tf.TensorSpec
) -> States:
    """Return the states of cells with some of their definitions, which `value` evaluates.

    Args:
        states: The states.
        names: Of the definitions.
        value: Evaluates trees.
        like: Of which shape and type they are.
    """
    rows = {name: cast(value(Name(name)), like.dtype) for name in names}
    return states | {name: spread(row, like.shape) for name, row in rows.items()}


def chords_of(equations: Equations, post: tuple[Node, ...]) -> dict[str, Chord]:
    """Return how a current depends on each input of the postsynaptic cell on which it does."""
    chords = {}
    for name in equations.inputs:
        if not name.endswith("_post"):
            continue
        parts = [chord_in(name, node, equations.definitions) for node in post]
        if any(slope != ZERO for slope, _ in parts):
            slopes, exact = zip(*parts, strict=True)
            chords[name] = Chord(slopes, all(exact))
    return chords


def multiplied(
    route: Route,
    owner: States,
    sums: Sequence[Tensor],
    table: Tensors,
    of: tuple[Node, ...] | None = None,
) -> Tensor:
    """Return a current as a sum of products: sums times what the postsynaptic cell gives."""
    value = route.lowered.scope(table, ports(route.lowered, owner, "_post"))
    total = None
    for part, post in zip(sums, route.post if of is None else of, strict=True):
        term = columns(part, route.columns) * value(post)
        total = term if total is None else total + term
    return total
