"""Fitting: a synapse as it reads and drives the cells of one projection.

A synapse speaks of `v_post`, whatever its cells call the voltage there: their state `v`, or, where
they have none or several inputs, the one that the input drives. What drives spike sources goes
nowhere, so there only what learns is left.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import NamedTuple

from somaflow.equations.equations import Equations, starts
from somaflow.equations.events import written
from somaflow.equations.expression import Name, Negative, Node, renamed, render
from somaflow.equations.statements import Assignment, Variable
from somaflow.errors import NetworkError
from somaflow.network.inputs import MEMBRANE, chosen_input, inputs_of, membrane
from somaflow.network.population import Population
from somaflow.network.ports import BACK, is_gap_junction

_POST, _PRE = f"{MEMBRANE}_post", f"{MEMBRANE}_pre"


class Fit(NamedTuple):
    """How a synapse fits its cells.

    Attributes:
        equations: The synapse's, of the states and inputs of these cells.
        into: The input of the postsynaptic cells that it drives; None where it drives none.
        back: That of the presynaptic cells, of a synapse that conducts both ways.
        ports: What it is called that the synapse, as it is written, reads as `v_post` and `v_pre`.
    """

    equations: Equations
    into: str | None
    back: str | None
    ports: dict[str, str]


class Fitted(Equations):
    """Equations of a synapse that are of the states of its cells already."""


def fit(
    place: str,
    equations: Equations,
    into: object,
    post: Population,
    pre: Population | None = None,
    weight: str | None = None,
) -> Fit:
    """Return a synapse as it acts on some cells.

    Args:
        place: What has the synapse, for messages.
        equations: The synapse's.
        into: The input that the user named, or None.
        post: The postsynaptic population.
        pre: The presynaptic one; None where there is none.
        weight: The parameter or state that is the weight.

    Raises:
        NetworkError: The cells have no such input, or several and none was named.
    """
    if post.source is not None:
        if into is not None:
            raise NetworkError(
                f"{place}: {post.name!r} is made of spike sources, which have no input; leave into "
                "out."
            )
        return Fit(_without_current(equations, weight), None, None, {})
    named = _named(place, equations, post, into)
    if named is not None:
        equations, into = _as_current(equations, named), named
    drives = "I" in equations.definitions
    inputs = inputs_of(post)
    if into is None and not (drives or (_POST in equations.inputs and inputs)):
        return Fit(equations, None, None, {})
    chosen = chosen_input(post.name, inputs, into, "a synapse")
    if isinstance(equations, Fitted):
        return Fit(equations, chosen, None, {})
    ports: dict[str, str] = {}
    if _POST in equations.inputs:
        ports[_POST] = f"{membrane(post, chosen, equations.inputs[_POST])}_post"
    back = None
    if pre is not None and (is_gap_junction(equations) or BACK in equations.definitions):
        back = _input_of(place, pre, chosen)
        if back is not None and _PRE in equations.inputs:
            ports[_PRE] = f"{membrane(pre, back, equations.inputs[_PRE])}_pre"
    return Fit(_with_ports(equations, ports), chosen, back, ports)


def turned(written: Equations, fitted: Fit) -> Fitted:
    """Return a synapse that conducts both ways, seen from its presynaptic cells."""
    ports = dict(fitted.ports)
    if BACK in written.definitions:
        seen = _exchanged(fitted.equations)
    else:  # the same current: only what is read has other names
        new = {
            _POST: ports.get(_PRE, _PRE).removesuffix("_pre") + "_post",
            _PRE: ports.get(_POST, _POST).removesuffix("_post") + "_pre",
        }
        seen = _with_ports(written, {name: new[name] for name in ports})
    return Fitted(seen.source, dict(seen.parameters), dict(seen.initial))


def _exchanged(equations: Equations) -> Equations:
    """Return a synapse with its two cells exchanged."""
    ends = {"I": BACK, BACK: "I"}
    for port in equations.inputs:
        variable, _, side = port.rpartition("_")
        ends[port] = f"{variable}_{'post' if side == 'pre' else 'pre'}"

    def turn(name: Name) -> Node:
        return Name(ends.get(name.name, name.name))

    inputs = {ends[port]: unit for port, unit in equations.inputs.items()}
    definitions = {ends.get(name, name): line for name, line in equations.definitions.items()}
    return _rewritten(equations, turn, {}, inputs, definitions)


def _input_of(place: str, pre: Population, into: str) -> str | None:
    """Return the input through which a current leaves the presynaptic cells.

    It is that of the same name, or the only one, or the only one that drives `v`.

    Raises:
        NetworkError: It is none of these.
    """
    equations = pre.equations
    inputs = inputs_of(pre)
    if into in inputs:
        return into
    if len(inputs) > 1:
        state = equations.states.get(MEMBRANE)
        known = equations.depends(state.expression) if state else set()
        driving = {name: unit for name, unit in inputs.items() if name in known}
        if len(driving) != 1:
            raise NetworkError(
                f"{place}: its current flows out of {pre.name!r} too, which has the inputs "
                f"{', '.join(map(repr, inputs))} and none called {into!r}. Give the projection "
                "from the other side, with the into of these cells."
            )
        inputs = driving
    return next(iter(inputs)) if len(inputs) == 1 else None


def _named(place: str, equations: Equations, post: Population, into: object) -> str | None:
    """Return the input that a text defines, as in `g_in_post = w*s : nS`; None for none."""
    if "I" in equations.definitions:
        return None
    defined = [name for name in inputs_of(post) if f"{name}_post" in equations.definitions]
    if len(defined) > 1 or (defined and into not in (None, defined[0])):
        lines = " and ".join(f"'{name}_post = ...'" for name in defined)
        raise NetworkError(
            f"{place}: the synapse says {lines}, and one projection drives one input"
            f"{'' if into is None else f', here {into!r}'}."
        )
    return defined[0] if defined else None


def _with_ports(equations: Equations, ports: Mapping[str, str]) -> Equations:
    """Return equations with other names for some of their inputs."""
    ports = {name: new for name, new in ports.items() if new != name}
    if not ports:
        return equations
    inputs = {ports.get(name, name): unit for name, unit in equations.inputs.items()}
    return _rewritten(equations, lambda name: Name(ports.get(name.name, name.name)), ports, inputs)


def _as_current(equations: Equations, into: str) -> Equations:
    """Return what a text adds to an input as the current that leaves it: with a minus."""
    own = f"{into}_post"

    def turned(name: Name) -> Node:
        return Negative(Name("I")) if name.name == own else name

    definitions = {
        ("I" if name == own else name): variable for name, variable in equations.definitions.items()
    }
    definitions["I"] = replace(
        definitions["I"], name="I", expression=Negative(definitions["I"].expression)
    )
    return _rewritten(equations, turned, {}, equations.inputs, definitions)


def _without_current(equations: Equations, weight: str | None) -> Equations:
    """Return equations without their current, and without what only the current needs."""
    if "I" not in equations.definitions or not equations.on_post_spike:
        return equations
    states, ruled = equations.states, [a for rule in equations.rules for a in rule.assignments]
    assigned = (*equations.on_spike, *equations.on_post_spike, *ruled)

    def needs(state: str) -> set[str]:
        nodes = [a.expression for a in assigned if a.name == state]
        return set().union(*map(equations.depends, (states[state].expression, *nodes)))

    idle = equations.depends(Name("I")) & set(states)
    for _ in states:
        idle |= set().union(*(equations.depends(states[s].expression) for s in idle)) & set(states)
    idle -= {weight}
    while True:
        rest = [state for state in states if state not in idle]
        used = set().union(*(needs(state) for state in rest))
        used |= set().union(
            *(equations.depends(a.expression) for a in assigned if a.name not in states)
        )
        if not idle & used:
            break
        idle -= used
    used |= {a.name for a in assigned} - idle
    return _rewritten(
        equations,
        lambda name: name,
        {},
        {name: unit for name, unit in equations.inputs.items() if name in used},
        {name: line for name, line in equations.definitions.items() if name in used},
        idle,
    )


def _rewritten(
    equations: Equations,
    turn: Callable[[Name], Node],
    ports: Mapping[str, str],
    inputs: Mapping[str, str],
    definitions: Mapping[str, Variable] | None = None,
    without: set[str] | frozenset[str] = frozenset(),
) -> Equations:
    """Return equations with names turned in all their trees, without some of the states."""

    def variables(old: Mapping[str, Variable]) -> dict[str, Variable]:
        return {
            name: replace(line, expression=renamed(line.expression, turn))
            for name, line in old.items()
            if name not in without
        }

    def events(old: tuple[Assignment, ...]) -> list[Assignment]:
        return [
            Assignment(ports.get(a.name, a.name), renamed(a.expression, turn))
            for a in old
            if a.name not in without
        ]

    lines = [f"{name} : {unit}" for name, unit in inputs.items()]
    for head, old in (
        ("{} = ", equations.definitions if definitions is None else definitions),
        ("d{}/dt = ", equations.states),
    ):
        for name, line in variables(old).items():
            lines.append(f"{head.format(name)}{render(line.expression)} : {line.unit}")
    for event, old in (("spike", equations.on_spike), ("post spike", equations.on_post_spike)):
        lines += [f"on {event}: {a.name} = {render(a.expression)}" for a in events(old)]
    rules = (replace(rule, assignments=tuple(events(rule.assignments))) for rule in equations.rules)
    lines += written(rules)
    known = starts(equations)
    initial = {
        name: render(renamed(known[name], turn)) if name in known else value
        for name, value in equations.initial.items()
        if name not in without
    }
    return Equations("\n".join(lines), dict(equations.parameters), initial)
