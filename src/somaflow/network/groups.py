"""Groups of projections that share presynaptic states, and how the sums of each are computed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from somaflow.description import fingerprint
from somaflow.equations.expression import render
from somaflow.network.choice import Choice, Degrees
from somaflow.network.connections import Connections
from somaflow.network.connectors import FixedOutDegree
from somaflow.network.form import Form
from somaflow.network.forms import take_apart
from somaflow.network.junctions import both_ways, has_back
from somaflow.network.projection import Projection
from somaflow.network.senders import name_of_sender
from somaflow.network.synaptic import varied_delays
from somaflow.units import Parameter

_PART = 4_000_000  # synapses built at a time


@dataclass
class Grouping:
    """Projections that leave one population with the same kinetics and delay.

    Attributes:
        key: What it is called in a run's state and in explanations.
        form: The form of its synapses.
        projections: Its members.
        forms: The form of each.
    """

    key: str
    form: Form
    projections: list[Projection] = field(default_factory=list)
    forms: list[Form] = field(default_factory=list)


def group(
    projections: Sequence[Projection], apart: Mapping[str, str] | None = None
) -> list[Grouping]:
    """Put projections together that can share their presynaptic states.

    Args:
        projections: The projections.
        apart: Of a network that goes on: the group that projections were in. Those of different
            groups, or of none, have presynaptic states of their own.

    Raises:
        NetworkError: A synapse is of no form that can be computed.
    """
    groupings: dict[tuple[str, str | None], Grouping] = {}
    for projection in both_ways(projections):
        form = take_apart(projection)
        key = _shared(projection, form), (apart or {}).get(str(projection.name))
        if key not in groupings:
            source = name_of_sender(projection)
            name = f"{projection.synapse_name} of {source} ({projection.name})"
            groupings[key] = Grouping(name, form)
        groupings[key].projections.append(projection)
        groupings[key].forms.append(form)
    return list(groupings.values())


def _shared(projection: Projection, form: Form) -> str:
    """Return what projections must have in common to share their presynaptic states."""
    if form.alone:
        return f"alone {projection.name}"
    delay = "varied" if projection.one_delay is None else projection.one_delay
    return f"{name_of_sender(projection)} {delay} {kinetics(projection, form)}"


def kinetics(projection: Projection, form: Form) -> str:
    """Return what projections have in common whose synapses, but for the weight, are alike."""
    equations = projection.equations
    nodes = [variable.expression for variable in equations.states.values()]
    nodes += [assignment.expression for assignment in equations.on_spike]
    terms = form.shared
    needed = set().union(*(equations.depends(node) for node in (*nodes, *terms)))
    needed -= {projection.weight_name}
    shared = {name: p for name, p in equations.parameters.items() if name in needed}
    return fingerprint(
        (equations.text, shared, equations.initial, [render(term) for term in terms])
    )


def ranges(projection: Projection) -> list[tuple[int, int]]:
    """Return ranges of postsynaptic cells with about as many synapses as are built at a time."""
    n_post = len(projection.post)
    each = projection.expected() / max(n_post, 1)
    if isinstance(projection.connector, FixedOutDegree):
        each /= 8  # each range draws the whole, so few and large ones
    height = max(1, int(_PART // max(each, 1)))
    return [(a, min(a + height, n_post)) for a in range(0, n_post, height)]


Drawn = list[list[Connections]]  # of each projection, some ranges of postsynaptic cells


def drawn(projections: Sequence[Projection]) -> Drawn:
    """Draw the synapses of projections, once for all that is made of them."""
    return [[p.connections(rows) for rows in ranges(p)] for p in projections]


def choose(grouping: Grouping, item_bytes: int = 8, synapses: Drawn | None = None) -> Choice:
    """Say how a group's sums are computed, at what predicted cost, in how many bytes.

    Args:
        grouping: The group.
        item_bytes: Size of a weight.
        synapses: What `drawn` returned; None draws the synapses, and does not keep them.
    """
    found = []
    for k, projection in enumerate(grouping.projections):
        counts = np.zeros(projection.post.population.size, np.int64)
        made = synapses[k] if synapses else map(projection.connections, ranges(projection))
        for part in made:
            counts += np.bincount(part.post, minlength=len(counts))
        found.append(counts)
    return chosen(grouping, Degrees.of(np.concatenate(found)), item_bytes)


def chosen(grouping: Grouping, degrees: Degrees, item_bytes: int) -> Choice:
    """Say the same of a group whose numbers of synapses are known.

    Args:
        grouping: The group.
        degrees: How many synapses reach its postsynaptic cells.
        item_bytes: Size of a weight.
    """
    delays = any(map(varied_delays, grouping.projections))
    n_pre = grouping.projections[0].pre.population.size
    return grouping.form.choose(degrees, n_pre, delays, item_bytes)


def expected_bytes(projections: Sequence[Projection], item_bytes: int) -> int:
    """Return about how much memory the synapses of a run take, before any of them is made.

    Args:
        projections: The projections.
        item_bytes: Size of a weight.
    """
    total = 0.0
    for projection in projections:
        count = projection.expected()
        states = len(projection.equations.states) if projection.equations.on_post_spike else 0
        each = 4 + item_bytes + 4 * varied_delays(projection) + states * (item_bytes + 8)
        each += len(projection.varied) * item_bytes
        size = max(count * each, _summed_bytes(projection, count, item_bytes))
        # Beside what is built there are first the synapses as they were drawn, and later the copy
        # that the compiled function is given.
        total += (size + max(size, count * _drawn_bytes(projection))) * (1 + has_back(projection))
    return int(total)


def _drawn_bytes(projection: Projection) -> int:
    """Return how many bytes a synapse has as it is drawn: its cells, and numbers of its own."""
    weight = projection.weight
    one = weight is None or (isinstance(weight, Parameter) and not weight.value.ndim)
    return 8 + 8 * (not one) + 8 * varied_delays(projection)


def _summed_bytes(projection: Projection, count: float, item_bytes: int) -> int:
    """Return the size of a matrix, which may be larger than that of the synapses it holds."""
    form, width = take_apart(projection), projection.post.population.size
    if form.events or form.alone:
        return 0
    degrees = Degrees(width, round(count / width), width * round(count / width))
    return form.choose(degrees, projection.pre.population.size, False, item_bytes).bytes
