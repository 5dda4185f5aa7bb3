"""System: a hybrid system of pure functions, all that a simulation knows of a model.

Between events the flow state follows a vector field, which is all that a solver sees. At a step's
end comes a jump. One step, in this order:

1. arrive: the event state gives the inputs of the step at each of the solver's nodes;
2. flow: the solver advances the flow state;
3. threshold, 4. reset, 5. emit: `jump` finds crossings, resets cells and updates the event state.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from somaflow.numerics.types import Tensor

if TYPE_CHECKING:
    from somaflow.simulation.memory import Memory
    from somaflow.simulation.replay import Failure

Array = NDArray[Any]  # of numbers of any type
Blocks = tuple[Tensor, ...]
Parameters = TypeVar("Parameters")  # a nest
Prepared = TypeVar("Prepared")
Context = TypeVar("Context")


class Carry(NamedTuple):
    """What a step hands to the next.

    Attributes:
        flow: The continuous state, in blocks.
        event: What only events and the clock change, a nest that the model knows.
        kept: What recordings over time keep, a nest; no state depends on it.
        memory: What the method remembers of earlier steps, a nest (`memory.Memory`).
    """

    flow: Blocks
    event: Any
    kept: Any = ()
    memory: "Memory | tuple[()]" = ()


class Inputs(NamedTuple):
    """What is known of steps before they are made.

    Attributes:
        nodes: What holds at each of the solver's nodes, `[n_steps, n_nodes, n_channels]`.
        steps: What holds for a whole step, `[n_steps, n_numbers]`.
    """

    nodes: Tensor
    steps: Tensor


class Jump(NamedTuple):
    """What happens at a step's end.

    Attributes:
        flow: The flow state after resets.
        event: The event state after this step's crossings.
        since: Time from each crossing to the step's end in ms, 0 where there was none, shape
            `[..., n_sources]`; None where a system has no events.
        kept: Values that are kept with each crossing, `[n_values, ..., n_sources]`; None where
            there are none.
    """

    flow: Blocks
    event: Any
    since: Tensor | None
    kept: Tensor | None = None


class Seen(NamedTuple):
    """What a share is told within a step, as arguments of the compiled function.

    Attributes:
        step: What all cells show at each point of the step that is known.
        look: The same where somebody looks at a state.
    """

    step: tuple[Tensor, ...] = ()
    look: tuple[Tensor, ...] = ()


class Heard(NamedTuple):
    """Spikes that have come from elsewhere.

    Attributes:
        count: How many, int32.
        places: Where each stands among the histories of all senders, one after another and flat,
            int32 `[room]`.
        since: The time from it to the end of its step, `[room]`.
        first: The step from which on they are new, int64; those of steps before were heard of at
            an earlier time.
        seen: What was told within the step, and of the state that is looked at, a tensor for each
            point; nothing where nothing is told within steps.
    """

    count: Tensor
    places: Tensor
    since: Tensor
    first: Tensor
    seen: Seen


class Elsewhere(Protocol):
    """What a share of a network does with the spikes that have come from elsewhere.

    Attributes:
        histories: The last spikes of all cells of each sender of which more is elsewhere,
            `[n_steps, n_cells]`, as they were at step 0.
    """

    @property
    def histories(self) -> Mapping[str, Array]: ...

    def received(
        self, carry: Carry, parameters: Any, heard: Heard, step: Tensor
    ) -> tuple[Carry, Any]:
        """Return the state and the parameters of a chunk with what was heard.

        Args:
            carry: The state.
            parameters: The arguments of the compiled functions.
            heard: What was heard.
            step: The number of steps made before.
        """
        ...

    def split(self, carry: Carry) -> tuple[Carry, Any]:
        """Return a state without what changes only in `received`, and that, a nest."""
        ...

    def joined(self, carry: Carry, resting: Any) -> Carry:
        """Return the whole state again: the other way of `split`."""
        ...


Field = Callable[[int, Tensor, Blocks, Tensor, Context, Prepared], Blocks]


@dataclass(frozen=True)
class Row:
    """A named part of the flow state, for messages about it.

    Attributes:
        name: Such as `PN.v`.
        pick: Takes it out of the flow state: array of shape `[..., n_cells]`.
        first: What number its first cell has.
    """

    name: str
    pick: Callable[[Blocks], Array]
    first: int = 0


def numbered(place: Sequence[int], first: int) -> str:
    """Return a place as messages show it, such as `[3]`, where the first cell has a number."""
    if not place:
        return ""
    *batch, cell = place
    return f"[{', '.join(map(str, (*batch, cell + first)))}]"


@dataclass(frozen=True)
class Source:
    """A population in the list of crossings.

    Attributes:
        name: Such as `PN`.
        start: Where its cells begin.
        size: How many cells it has.
    """

    name: str
    start: int
    size: int


@dataclass(frozen=True)
class System(Generic[Parameters, Prepared, Context]):
    """A model as pure functions of tensors.

    Attributes:
        initial: The state at step 0, as NumPy arrays of the run's dtype.
        parameters: Nest of NumPy arrays; arguments of the compiled function, not constants.
        inputs: `(steps, nodes, dt) -> Inputs`, known beforehand.
        prepare: `(parameters, dt, nodes) -> prepared`, computed once a chunk.
        arrive: `(carry, step, given, prepared) -> context`, `step` being the number of steps made
            before and `given` the step's row of `Inputs.steps`.
        vector_field: `(node, t, flow, drive, context, prepared) -> d flow/dt`, `node` being the
            place of the stage among the solver's nodes.
        jump: `(before, flow, context, prepared) -> Jump`.
        observe: `(carry, step, drive, prepared) -> {key: tensor}`, what is recorded at the start of
            a step, `drive` being the `Inputs` there.
        follow: `(carry, step, drive, prepared) -> kept`, what recordings over time keep after a
            step; None where there are none.
        rows: Names of the flow state.
        sources: Who can spike.
        crossings: Shape of `Jump.since`, or None.
        alongside: How many values are kept with each crossing.
        local: As `vector_field`, but what a cell gets from the state of others is constant under
            differentiation; None where cells meet through events alone.
        doctor: `(failure) -> str`, says what a step that left the state not finite has done and
            why, `failure` being a `replay.Failure`; None where nothing is known beyond the rows.
        diffusion: As `vector_field`, the factor of each component's white noise; None without.
        increments: `(flow, context) -> blocks`, the increments of the noise in a step.
        passed: `(flows, drives, context, prepared) -> context`, takes the state at each node of a
            step after it, before the jump; None where nobody asks what it was.
        until: `(carry, since, step, drive, prepared) -> bool`, whether the run ends with a step,
            `since` being its crossings and all else as for `follow`; None where it does not.
        elsewhere: Of a share of a network what it does with what has come from elsewhere.
    """

    initial: Carry
    parameters: Parameters
    inputs: Callable[[NDArray[np.int64], tuple[float, ...], float], Inputs]
    prepare: Callable[[Parameters, float, tuple[float, ...]], Prepared]
    arrive: Callable[[Carry, Tensor, Tensor, Prepared], Context]
    vector_field: Field[Context, Prepared]
    jump: Callable[[Carry, Blocks, Context, Prepared], Jump]
    observe: Callable[[Carry, Tensor, Inputs, Prepared], dict[str, Tensor]]
    rows: tuple[Row, ...]
    sources: tuple[Source, ...]
    crossings: tuple[int, ...] | None
    local: Field[Context, Prepared] | None = None
    follow: Callable[[Carry, Tensor, Inputs, Prepared], dict[str, Tensor]] | None = None
    doctor: "Callable[[Failure], str] | None" = None
    diffusion: Field[Context, Prepared] | None = None
    increments: Callable[[Blocks, Context], Blocks] | None = None
    passed: Callable[[Sequence[Blocks], Tensor, Context, Prepared], Context] | None = None
    alongside: int = 0
    until: Callable[[Carry, Tensor, Tensor, Inputs, Prepared], Tensor] | None = None
    elsewhere: Elsewhere | None = None
