"""Explanations: what a run will do with a network, in words, section by section."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from somaflow.equations.affine import ONE, ZERO, affine_in, affine_parts
from somaflow.equations.expression import Name
from somaflow.errors import EquationError, NetworkError
from somaflow.network.forms import Graded, Jumping, take_apart
from somaflow.network.groups import choose, group
from somaflow.network.neuron import CURRENT_INPUT
from somaflow.network.population import Population
from somaflow.network.projection import Projection

_EXACT = "exact: affine in itself"
_BETWEEN = "closed form between events"


class Section(NamedTuple):
    """A part of an explanation.

    Attributes:
        title: Its title, of one line.
        entries: What each part of the network is called, and pairs of a name and what is said
            of it.
    """

    title: str
    entries: list[tuple[str, list[tuple[str, str]]]]


def explain(populations: Sequence[Population], projections: Sequence[Projection]) -> str:
    """Return all sections as text."""
    lines = []
    for made in (section(populations, projections) for section in SECTIONS):
        lines.append(made.title)
        for part, pairs in made.entries:
            width = max((len(name) for name, _ in pairs), default=0)
            lines.append(f"  {part}")
            lines += [f"    {name:<{width}}  {said}" for name, said in pairs]
    return "\n".join(lines)


def exponential_methods(
    populations: Sequence[Population], projections: Sequence[Projection]
) -> Section:
    """Say of every state whether exponential methods solve it exactly, others held fixed."""
    entries = []
    for population in populations:
        if population.source is not None:
            continue
        arriving = [p for p in projections if p.post.population is population]
        pairs = [
            (state, _treatment(_problem(population, state, arriving)))
            for state in population.equations.states
        ]
        entries.append((f"population {population.name}", pairs))
    for projection in projections:
        entries.append(
            (
                f"synapses {projection.name} ({projection.synapse_name})",
                [(gate, _gate(projection, gate)) for gate in projection.equations.states],
            )
        )
    return Section("Exponential methods", entries)


def sums(populations: Sequence[Population], projections: Sequence[Projection]) -> Section:
    """Say of every group of projections how its sums are computed, and at what cost."""
    entries = []
    for grouping in group(projections):
        members = ", ".join(str(projection.name) for projection in grouping.projections)
        form = type(grouping.form).__name__.lower()
        kind = f"{form}, computed for each synapse by itself" if grouping.plastic else form
        pairs = [("projections", members), ("form", kind), ("sums", str(choose(grouping)))]
        entries.append((grouping.key, pairs))
    return Section("Sums over synapses (float64)", entries)


SECTIONS: tuple[Callable[[Sequence[Population], Sequence[Projection]], Section], ...] = (
    exponential_methods,
    sums,
)


def _treatment(problem: str | None) -> str:
    return _EXACT if problem is None else f"Rosenbrock form: {problem}"


def _problem(population: Population, state: str, arriving: Sequence[Projection]) -> str | None:
    """Return why a state's derivative, synaptic currents included, is not affine in the state."""
    equations = population.equations
    if problem := _first_line(lambda: affine_parts(equations, state)):
        return problem
    if CURRENT_INPUT not in equations.depends(equations.states[state].expression):
        return None
    forms = {}
    for projection in arriving:
        if problem := _problem_of_current(projection, state):
            return problem
        if f"{state}_post" in projection.equations.depends(Name("I")):
            forms[CURRENT_INPUT] = ONE, ZERO
    problem = _first_line(lambda: affine_parts(equations, state, forms))
    return problem and f"{problem} {CURRENT_INPUT} holds synaptic currents that depend on {state}."


def _problem_of_current(projection: Projection, state: str) -> str | None:
    """Return why a synaptic current is not affine in a state of the cell that it reaches."""
    equations, name = projection.equations, f"{state}_post"

    def message(part: str) -> str:
        return (
            f"the current of synapse {projection.synapse_name!r} in {projection.name!r} is not "
            f"affine in {name}, because of {part}."
        )

    if "I" not in equations.definitions:
        return None
    current = equations.definitions["I"]
    return _first_line(lambda: affine_in(name, current, equations.definitions, message=message))


def _gate(projection: Projection, gate: str) -> str:
    """Say how a state of a synapse is advanced."""
    equations = projection.equations
    try:
        form = take_apart(projection)
    except NetworkError as error:
        return f"a run refuses it: {str(error).splitlines()[0]}"
    if isinstance(form, Graded):
        problem = _first_line(lambda: affine_parts(equations, gate))
        return f"graded by the presynaptic cell; {_treatment(problem)}"
    if isinstance(form, Jumping) and gate in form.own:
        return "changes at spikes only"
    return _BETWEEN


def _first_line(make: Callable[[], object]) -> str | None:
    """Return the first line of the error that a form meets: the reason without the caret."""
    try:
        make()
    except EquationError as error:
        return str(error).splitlines()[0]
    return None
