"""General synapses in numbers: what they keep, prepare and find, each synapse by itself."""

from collections.abc import Callable
from typing import NamedTuple

from somaflow.compiler.states import Coefficients, Tensors
from somaflow.numerics.random import Key
from somaflow.numerics.types import Tensor


class GeneralState(NamedTuple):
    """What general synapses keep from step to step, each `[..., size]`.

    Attributes:
        own: States with closed forms, by name.
        flow: The other states, at the start and at the end of a run alone: between, they are a
            block of the flow state.
        remaining: How much longer transmitter pulses last, in ms; () where there are none.
    """

    own: Tensors
    flow: Tensors
    remaining: Tensor = ()


class GeneralConstants(NamedTuple):
    """What general synapses have for a chunk.

    Attributes:
        arrays: Of the wiring.
        table: Numbers of the equations, by name.
        values: Coefficients of the states with closed forms.
        ways: How each of them depends on each at the step's start, at each of `Tick.fractions`.
        duration: Length of each synapse's transmitter pulse in ms; None where there are none.
        keys: Keys of what is drawn at spikes; None where nothing is.
    """

    arrays: Tensors
    table: Tensors
    values: Coefficients
    ways: dict[str, dict[str, list[Tensor]]]
    duration: Tensor | None
    keys: Key | None


class GeneralContext(NamedTuple):
    """What general synapses do in a step without spikes.

    Attributes:
        nodes: States with closed forms at each node and, last, at the start.
        end: The same at the end.
        covered: The part of the step that pulses cover; None where there are none.
        remaining: How much longer they last at the step's end; () where there are none.
    """

    nodes: list[Tensors]
    end: Tensors
    covered: Tensor | None
    remaining: Tensor


class GeneralSums(NamedTuple):
    """What synapses have at a node of a step, but for what the target gives.

    Attributes:
        values: What their equations read, by name.
        pulse: The part of the step that pulses cover.
        arrays: Of the wiring.
    """

    values: Tensors
    pulse: Tensor
    arrays: Tensors


class Gains(NamedTuple):
    """What spikes have changed within a step, as points of a quadrature over time.

    Attributes:
        points: Weight in ms; values and pulse with the spikes; the same without.
    """

    points: list[tuple[Tensor, tuple[Tensors, Tensor], tuple[Tensors, Tensor]]]


class GeneralCharge(NamedTuple):
    """What spikes have changed within a step.

    Attributes:
        gains: Returns it.
        arrays: Of the wiring.
    """

    gains: Callable[[], Gains]
    arrays: Tensors
