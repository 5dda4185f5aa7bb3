"""Junctions: projections that carry current both ways, as two projections of a run.

A gap junction between two populations is declared once. What flows out of the postsynaptic cell
flows into the presynaptic one; the way back is a projection of its own, made here from the synapses
of the first, pair by pair. Where the text says itself what leaves the presynaptic cell, in a line
`I_pre = ...`, the way back has that current; so a junction may rectify.
"""

from collections.abc import Iterable, Iterator

import numpy as np

from somaflow.mechanisms.catalogue import Mechanism
from somaflow.network.fitting import turned
from somaflow.network.lists import FromList
from somaflow.network.ports import BACK, looks_mutual
from somaflow.network.projection import Projection
from somaflow.units import Parameter


def both_ways(projections: Iterable[Projection]) -> Iterator[Projection]:
    """Iterate over projections and, behind each that has one, its way back."""
    for projection in projections:
        yield projection
        if has_back(projection):
            yield back(projection)


def has_back(projection: Projection) -> bool:
    """Tell whether a projection carries current into its presynaptic cells too."""
    if projection.is_joined:
        return False
    apart = projection.pre.population is not projection.post.population
    return BACK in projection.equations.definitions or (projection.is_gap_junction and apart)


def doubled(projections: Iterable[Projection]) -> str:
    """Tell of gap junctions between two populations that are given from both sides.

    Returns:
        A sentence; empty where there are none.
    """
    seen: list[Projection] = []
    for one in projections:
        if not (one.is_gap_junction and has_back(one)):
            continue
        for other in seen:
            ends = (one.pre, other.post), (one.post, other.pre)
            if all(a.population is b.population for a, b in ends) and all(
                len(np.intersect1d(a.cells, b.cells)) for a, b in ends
            ):
                return (
                    f"projections {other.name!r} and {one.name!r} are gap junctions between the "
                    "same cells from either side. Each conducts both ways by itself, so a pair "
                    "that is in both has both conductances; leave one of them out."
                )
        seen.append(one)
    return ""


def name_of_back(projection: Projection) -> str:
    """Return the name of the way back of a projection."""
    return f"{projection.name} back"


def back(projection: Projection) -> Projection:
    """Return the way back of a projection: from its postsynaptic to its presynaptic cells."""
    if "_back" not in projection.__dict__:
        object.__setattr__(projection, "_back", _back(projection))
    return projection._back  # pyright: ignore[reportAttributeAccessIssue]


def _back(projection: Projection) -> Projection:
    connections = projection.connections()
    fitted, synapse = projection.fitted, projection.synapse
    assert fitted is not None
    equations = turned(projection.written, fitted)
    if isinstance(synapse, Mechanism):
        synapse = Mechanism(
            synapse.name,
            synapse.kind,
            synapse.title,
            synapse.reference,
            equations,
            synapse.details,
        )
    else:
        synapse = equations
    if connections.own:
        units = {name: equations.unit(name) for name in connections.own}
        synapse = synapse(
            **{name: Parameter(v, units[name]) for name, v in connections.own.items()}
        )
    weight = None
    if projection.weight_name is not None:
        weight = Parameter(np.ascontiguousarray(connections.coherent), connections.unit)
    pairs = FromList(np.stack([connections.post, connections.pre], axis=1), multapses=True)
    source, target = (end.population[:] for end in (projection.post, projection.pre))
    return Projection(
        source, target, synapse, pairs, weight, name=name_of_back(projection), into=fitted.back
    )


def one_way(projections: Iterable[Projection]) -> str | None:
    """Say which projection has the current of a gap junction and acts one way all the same."""
    for each in projections:
        if not each.sides.same and each.one_delay == 0 and looks_mutual(each.written):
            return (
                f"{each.place}: its current is that of a gap junction, but a synapse with states "
                f"({', '.join(each.written.states)}) acts on the postsynaptic cell alone. If it is "
                "to act both ways, give a projection for the way back too."
            )
    return None
