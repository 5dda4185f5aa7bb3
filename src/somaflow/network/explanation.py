"""Explanations: what a run will do with a network, in words, section by section."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from somaflow.equations.affine import ONE, ZERO, affine_in, affine_parts
from somaflow.equations.expression import Name, render
from somaflow.errors import EquationError, NetworkError
from somaflow.network.choice import costs
from somaflow.network.delayed import told
from somaflow.network.forms import take_apart
from somaflow.network.groups import choose, group
from somaflow.network.inputs import inputs_of
from somaflow.network.junctions import both_ways
from somaflow.network.poisson import PoissonInput
from somaflow.network.population import Population
from somaflow.network.projection import Projection
from somaflow.network.recorder import Recorder
from somaflow.network.synaptic import Synaptic, place_of
from somaflow.units import factor

_MAP = "a map: one iteration a step, by sf.Map()"
_EXACT = "exact: affine in itself"


class Entry(NamedTuple):
    """What is said of one part of a network.

    Attributes:
        part: What the part is called.
        pairs: Names, and what is said of each.
    """

    part: str
    pairs: list[tuple[str, str]]


class Section(NamedTuple):
    """A part of an explanation: its title, of one line, and its entries."""

    title: str
    entries: list[Entry]


def explain(
    populations: Sequence[Population],
    projections: Sequence[Projection],
    inputs: Sequence[PoissonInput],
) -> str:
    """Return all sections as text, but for what a network has none of."""
    sections = [
        exponential_methods(populations, [*both_ways(projections), *inputs]),
        sums(projections),
        *([counts(inputs)] if inputs else []),
    ]
    ruled = rules(populations, projections)
    sections += [ruled] if ruled.entries else []
    lines = []
    for section in sections:
        lines.append(section.title)
        for part, pairs in section.entries:
            width = max((len(name) for name, _ in pairs), default=0)
            lines.append(f"  {part}")
            lines += [f"    {name:<{width}}  {words}" for name, words in pairs]
    return "\n".join(lines)


def exponential_methods(
    populations: Sequence[Population], synapses: Sequence[Projection | PoissonInput]
) -> Section:
    """Say of every state whether exponential methods solve it exactly, others held fixed."""
    entries = []
    for population in populations:
        if population.source is not None:
            continue
        arriving = [s for s in synapses if s.post.population is population]
        pairs = [
            (
                state,
                _MAP if variable.is_map else _treatment(_problem(population, state, arriving)),
            )
            for state, variable in population.equations.states.items()
        ]
        pairs += [(name, _link(read)) for name, read in population.links.items()]
        entries.append(Entry(f"population {population.name}", pairs))
    for each in synapses:
        gates = [(gate, _gate(each, gate)) for gate in each.equations.states]
        entries.append(Entry(f"synapses {each.name} ({each.synapse_name})", gates))
    return Section("Exponential methods", entries)


def sums(projections: Sequence[Projection]) -> Section:
    """Say of every group of projections how its sums are computed, and at what cost."""
    entries = []
    for grouping in group(projections):
        members = ", ".join(str(projection.name) for projection in grouping.projections)
        kind = grouping.form.explain(place_of(grouping.projections[0]))
        pairs = [("projections", members), ("form", kind), ("sums", str(choose(grouping)))]
        if (late := told(grouping.projections[0])) is not None:
            pairs.insert(2, ("reads", late))
        pairs += [("current", text) for text in map(_current, grouping.projections) if text]
        entries.append(Entry(grouping.key, pairs))
    return Section("Sums over synapses (float64)", entries)


def _current(projection: Projection) -> str:
    """Say where the current of a projection goes, where that is not plain."""
    target = projection.post.population
    if target.source is not None and "I" in projection.written.definitions:
        return f"of {projection.name} goes nowhere: {target.name} is made of spike sources"
    if projection.into is not None and len(inputs_of(target)) > 1:
        return f"of {projection.name} goes into {projection.into} of {target.name}"
    return ""


def counts(inputs: Sequence[PoissonInput]) -> Section:
    """Say of every Poisson input what it draws, what it keeps, and at what cost."""
    entries = []
    for source in inputs:
        cells, states = len(source.post), ", ".join(source.equations.states)
        drawn = 1 if source.shared else cells
        cost = drawn * costs()["poisson_number"] / 1000
        train = "one train for all" if source.shared else "a train for each"
        pairs = [
            ("cells", f"{cells:,} of {source.post.population.name}, {train}"),
            ("rate", f"up to {source.highest / factor('Hz'):,.6g} Hz a cell, of all its sources"),
            ("kept", f"{states} of each cell" if states else "nothing"),
            ("drawn", f"{drawn:,} numbers a step, about {cost:,.2f} us (more above a mean of 10)"),
        ]
        entries.append(Entry(str(source.name), pairs))
    return Section("Poisson inputs", entries)


def rules(populations: Sequence[Population], projections: Sequence[Projection]) -> Section:
    """Say of every text with rules at intervals what is done, and how often."""
    parts = [(f"population {p.name}", p.equations) for p in populations]
    parts += [(f"synapses {p.name}", p.equations) for p in projections]
    entries = []
    for part, equations in parts:
        pairs = [
            (f"every {render(rule.interval)}", f"{item.name} = {render(item.expression)}")
            for rule in equations.rules
            for item in rule.assignments
        ]
        entries += [Entry(part, pairs)] if pairs else []
    return Section("At intervals, at the end of a step", entries)


def _link(read: Recorder) -> str:
    cells = "" if read.cells is None else f", of {len(read.cells):,} cells"
    return f"link: {read.key} at each moment{cells}, held fixed while a method differentiates"


def _treatment(problem: str | None) -> str:
    return _EXACT if problem is None else f"Rosenbrock form: {problem}"


def _problem(population: Population, state: str, arriving: Sequence[Synaptic]) -> str | None:
    """Return why a state's derivative, synaptic currents included, is not affine in the state."""
    equations = population.equations
    if problem := _first_line(lambda: affine_parts(equations, state)):
        return problem
    used = set(equations.inputs) & equations.depends(equations.states[state].expression)
    forms = {}
    for projection in (each for each in arriving if each.into in used):
        if problem := _problem_of_current(projection, state):
            return problem
        if f"{state}_post" in projection.equations.depends(Name("I")):
            forms[projection.into] = ONE, ZERO
    problem = _first_line(lambda: affine_parts(equations, state, forms))
    holds = " and ".join(forms)
    return problem and f"{problem} {holds} holds synaptic currents that depend on {state}."


def _problem_of_current(projection: Synaptic, state: str) -> str | None:
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


def _gate(projection: Synaptic, gate: str) -> str:
    """Say how a state of a synapse is advanced."""
    equations = projection.equations
    try:
        form = take_apart(projection)
    except NetworkError as error:
        return f"a run refuses it: {str(error).splitlines()[0]}"
    return form.treatment(
        gate, lambda: _treatment(_first_line(lambda: affine_parts(equations, gate)))
    )


def _first_line(make: Callable[[], object]) -> str | None:
    """Return the first line of the error that a form meets: the reason without the caret."""
    try:
        make()
    except EquationError as error:
        return str(error).splitlines()[0]
    return None
