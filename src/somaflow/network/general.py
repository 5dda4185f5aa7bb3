"""The general synapse: each synapse by itself, for what no rewrite takes.

Every state is kept for every synapse. States that obey linear equations with constant coefficients
between spikes have closed forms; the solver integrates the others with the cells. It is the plain
result that the rewrites of `forms` are held to, and what runs where none of them applies.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count

import numpy as np
from numpy.typing import NDArray

from somaflow.equations.affine import inlined
from somaflow.equations.algebras import NumberAlgebra
from somaflow.equations.equations import Assignment, Equations
from somaflow.equations.expression import (
    RAND,
    Call,
    Name,
    Node,
    evaluate,
    names,
    renamed,
    render,
    walk,
)
from somaflow.equations.linear import LinearParts
from somaflow.equations.statements import STEPPED
from somaflow.errors import EquationError, NetworkError
from somaflow.network import choice
from somaflow.network.choice import Choice, Degrees
from somaflow.network.form import BETWEEN, Form
from somaflow.network.synaptic import Synaptic, place_of
from somaflow.units import Parameter


@dataclass(frozen=True)
class General(Form):
    """Synapses of which each has all its states for itself.

    Attributes:
        closed: States that obey linear equations with constant coefficients between spikes.
        flowing: The other states, which the solver integrates.
        on_spike: What a presynaptic spike does, in order; each `rand()` has a name of its own.
        on_post_spike: What a postsynaptic spike does, likewise.
        current: The outward current of one synapse, or None.
        duration: Length of the transmitter pulse that the equations know, or None.
        draws: Number of each `rand()`, by its name.
        reason: Why no rewrite applies, as a sentence that begins with the synapse.
    """

    unseen = ("reason",)

    closed: tuple[str, ...]
    flowing: tuple[str, ...]
    on_spike: tuple[Assignment, ...]
    on_post_spike: tuple[Assignment, ...]
    current: Node | None
    duration: Node | None
    draws: dict[str, int]  # pyright: ignore[reportIncompatibleVariableOverride]
    reason: str

    events = False
    alone = True

    @classmethod
    def recognise(cls, projection: Synaptic) -> "General":
        """Return a synapse in this form, which takes all that no other does."""
        return in_general(projection, f"{place_of(projection)}: no other form applies.")

    @property
    def waits(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Whether presynaptic spikes have something to do."""
        return bool(self.on_spike) or self.duration is not None

    @property
    def learns(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Whether postsynaptic spikes have something to do."""
        return bool(self.on_post_spike)

    @property
    def post(self) -> tuple[Node, ...]:
        """The current."""
        return () if self.current is None else (self.current,)

    def count(self, n_pre: int, n_post: int, synapses: int) -> int:
        """Return how many states there are: all of each synapse."""
        return synapses * len(self.closed + self.flowing)

    def choose(self, degrees: Degrees, n_pre: int, delays: bool, item_bytes: int) -> Choice:
        """Say what the synapses cost."""
        return choice.table(degrees, len(self.closed), len(self.flowing), item_bytes)

    def explain(self, place: str) -> str:
        """Return what the form is called, and why no other applies."""
        because = self.reason.removeprefix(place).lstrip(": ")
        return f"general: each synapse by itself in every step, since no rewrite applies. {because}"

    def treatment(self, state: str, solved: Callable[[], str]) -> str:
        """Return how a state is advanced."""
        if state in self.flowing:
            return f"each synapse by itself, with the solver; {solved()}"
        return f"each synapse by itself, in {BETWEEN}"

    def uncounted(self) -> str | None:
        """Return that a number of spikes is not enough."""
        return "is computed for each synapse by itself"


def in_general(projection: Synaptic, reason: str) -> General:
    """Return a synapse in the general form.

    Args:
        projection: What has the synapse.
        reason: Why no rewrite applies.

    Raises:
        NetworkError: Nothing drives its states; or the text cannot be followed.
    """
    equations, place = projection.equations, place_of(projection)
    duration = duration_of(equations, place)
    spikes = equations.on_spike or equations.on_post_spike or duration is not None
    if equations.states and not (spikes or equations.rules or _driven(equations)):
        raise NetworkError(undriven(place))
    for assignment in equations.on_post_spike:
        if assignment.name not in equations.states:
            raise NetworkError(
                f"{place}: 'on post spike' cannot change {assignment.name}; it may "
                "change variables of the synapse and traces of the postsynaptic cell."
            )
    closed = closed_states(equations)
    number, draws = count(), dict[str, int]()

    def named(name: Name) -> Node:
        if name.name != RAND:
            return name
        draws[f"{RAND} {len(draws)}"] = next(number)
        return Name(list(draws)[-1])

    on_spike, on_post_spike = (
        tuple(Assignment(a.name, renamed(a.expression, named)) for a in assigned)
        for assigned in (equations.on_spike, equations.on_post_spike)
    )
    return General(
        closed=closed,
        flowing=tuple(state for state in equations.states if state not in closed),
        on_spike=on_spike,
        on_post_spike=on_post_spike,
        current=Name("I") if "I" in equations.definitions else None,
        duration=duration,
        draws=draws,
        reason=reason,
    )


def undriven(place: str) -> str:
    """Return what is said of states that nothing drives."""
    return (
        f"{place} has states that nothing drives: read a variable of the presynaptic cell, "
        "such as v_pre, call pulse(duration), or write an 'on spike:' line."
    )


def _driven(equations: Equations) -> bool:
    """Tell whether states follow a cell."""
    return any(
        equations.depends(state.expression) & set(equations.inputs)
        for state in equations.states.values()
    )


def stepped(equations: Equations) -> str | None:
    """Return the first name in what spikes do that has a value in a step alone, or None."""
    for assignment in (*equations.on_spike, *equations.on_post_spike):
        for name in sorted(names(assignment.expression) & STEPPED):
            return name
    return None


def closed_states(equations: Equations) -> tuple[str, ...]:
    """Return the states with closed forms: linear in each other, with constant coefficients."""
    known = {*equations.states, *equations.inputs}

    def constant(state: str, closed: list[str]) -> bool:
        tree = inlined(equations.states[state].expression, equations.definitions, set())
        if calls_pulse(tree) or (equations.depends(tree) & known) - set(closed):
            return False
        try:
            LinearParts(equations, _led(state, closed, equations))
        except EquationError:
            return False
        return True

    closed = list(equations.states)
    while True:
        still = [state for state in closed if constant(state, closed)]
        if still == closed:
            return tuple(closed)
        closed = still


def _led(state: str, found: list[str], equations: Equations) -> list[str]:
    """Return the states that lead to one, itself among them, in order."""
    needed = {state}
    while True:
        more = set(needed)
        for name in needed:
            more |= equations.depends(equations.states[name].expression) & set(found)
        if more == needed:
            return [name for name in found if name in needed]
        needed = more


def _pulses(node: Node) -> Iterator[Call]:
    return (i for i in walk(node) if isinstance(i, Call) and i.function == "pulse")


def calls_pulse(node: Node) -> bool:
    """Tell whether a tree calls `pulse` itself."""
    return any(True for _ in _pulses(node))


def duration_of(equations: Equations, place: str) -> Node | None:
    """Return the duration of the pulses that equations call, None where they call none.

    Raises:
        NetworkError: There are several.
    """
    nodes = [v.expression for v in (*equations.states.values(), *equations.definitions.values())]
    durations = {
        render(item.arguments[0]): item.arguments[0] for node in nodes for item in _pulses(node)
    }
    if len(durations) > 1:
        raise NetworkError(f"{place} has pulses of {len(durations)} durations; give one.")
    return next(iter(durations.values()), None)


def check_rest(equations: Equations, states: tuple[str, ...], place: str) -> None:
    """Refuse states that do not stay at 0 where no spike comes.

    Args:
        equations: The synapse.
        states: Its states, that depend on each other and on numbers alone.
        place: What it is called.

    Raises:
        NetworkError: Of one the derivative at 0, or the start, is another number than 0.
    """
    table: dict[str, NDArray[np.float64] | float] = {
        name: p.value for name, p in equations.parameters.items()
    }
    table |= dict.fromkeys(equations.states, 0.0)
    known = all(state in equations.initial for state in equations.states)
    start = equations.initial_values({}, place) if known else {}
    for state in states:
        tree = inlined(equations.states[state].expression, equations.definitions, set())
        with np.errstate(all="ignore"):
            level = float(evaluate(tree, NumberAlgebra(table)))
        if abs(level) > 0 or np.any(start.get(state, 0.0)):
            unit = equations.unit(state)
            raise NetworkError(
                f"{place}: between spikes {state} must decay to 0 and start there; found "
                f"d{state}/dt = {Parameter(np.asarray(level), f'{unit}/ms')} at 0 and a start of "
                f"{Parameter(np.asarray(start.get(state, 0.0)), unit)}."
            )
