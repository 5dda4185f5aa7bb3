"""Drawing: the synapses of a projection written out, with their weights and delays."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from somaflow import units
from somaflow.equations.drawing import Distribution
from somaflow.errors import NetworkError
from somaflow.network.connections import Connections
from somaflow.network.lists import FromList, FromSparse, repeats
from somaflow.network.pairs import OfPair
from somaflow.network.population import Population
from somaflow.network.random import DELAY, PARAMETER, WEIGHT, Stream, named, reseeded
from somaflow.network.spatial import DistanceDependent
from somaflow.network.wiring import Indices, Rows, ascending, cells_at
from somaflow.units import Parameter

if TYPE_CHECKING:
    from somaflow.network.projection import Projection

PerSynapse = Parameter | Distribution | OfPair


@dataclass(frozen=True)
class _Place:
    """Where some synapses are: a range of rows, positions in the two sides, and cells."""

    rows: Rows
    pre: Indices
    post: Indices
    pre_cells: Indices
    post_cells: Indices


def draw(projection: "Projection", rows: Rows) -> Connections:
    """Return the synapses of some postsynaptic cells.

    Args:
        projection: The projection, with a seed wherever something random needs one.
        rows: `(start, stop)`, positions on the postsynaptic side.

    Raises:
        NetworkError: A delay is negative, or a weight is not within its bounds.
    """
    first, second, same = sides = projection.sides
    distances = sides.apart if isinstance(projection.connector, DistanceDependent) else None
    places = projection.connector.connect(first.cells, second.cells, same, rows, distances)
    pre = cells_at(places[0], first.cells, first.size)
    post = cells_at(places[1], second.cells, second.size)
    place = _Place(rows, *places, pre, post)
    weight = _values(projection, projection.weight, place, WEIGHT)
    delay = _values(projection, projection.delay, place, DELAY)
    varied = {
        name: _values(projection, values, place, (PARAMETER, *named(name)))
        for name, values in projection.varied.items()
    }
    for bad in np.flatnonzero(delay < 0)[:1] if delay.strides != (0,) else ():
        pair = int(pre[bad]), int(post[bad])
        raise NetworkError(
            f"projection {projection.name!r}: the delay of the pair {pair} is {delay[bad]:g} ms; "
            "it must be at least 0 ms."
        )
    projection.check_within(weight[:1] if weight.strides == (0,) else weight, (pre, post))
    if not (ascending(first.cells) and ascending(second.cells)):
        order = np.lexsort((pre, post))
        pre, post = pre[order], post[order]
        weight, delay = (a if a.strides == (0,) else a[order] for a in (weight, delay))
        varied = {name: values[order] for name, values in varied.items()}
    shape = first.size, second.size
    return Connections(pre, post, weight, delay, shape, projection.weight_unit, varied)


def name_of_part(projection: "Projection", source: Population, target: Population) -> str:
    """Return the name of the part of a projection that joins two of its populations."""
    return f"{projection.name}_{source.name}_{target.name}"


def blocks(projection: "Projection") -> Iterator[dict[str, Any]]:
    """Draw a projection between joined cells, and take it apart.

    Yields:
        For each pair of populations the arguments of a projection.
    """
    whole = draw(projection, (0, len(projection.post)))
    first, second, _ = projection.sides
    weight = None if projection.weight_name is None else whole.coherent
    unit = projection.equations.unit
    for source, begin in first.begins:
        pre, pre_place = first.of(source, begin)
        for target, start in second.begins:
            post, post_place = second.of(target, start)
            here = (whole.pre >= begin) & (whole.pre < begin + source.size)
            here &= (whole.post >= start) & (whole.post < start + target.size)
            pairs = pre_place[whole.pre[here] - begin], post_place[whole.post[here] - start]
            own = {key: Parameter(v[here], unit(key)) for key, v in whole.own.items()}
            yield {
                "pre": pre,
                "post": post,
                "synapse": projection.synapse(**own) if own else projection.synapse,
                "connector": FromList(np.stack(pairs, axis=1), multapses=True),
                "weight": None if weight is None else _of(weight, here, whole.unit),
                "delay": _of(whole.delay, here, "ms"),
                "name": name_of_part(projection, source, target),
                "on": projection.on,
                "into": projection.into,
            }


def _of(values: NDArray[np.float64], some: NDArray[np.bool_], unit: str) -> Parameter:
    """Return the numbers of some synapses; one number where it is that of all."""
    one = values.strides == (0,) and len(values) > 0
    return Parameter(values[0] if one else np.ascontiguousarray(values[some]), unit)


def _values(
    projection: "Projection", values: PerSynapse | None, place: _Place, stream: Stream
) -> NDArray[np.float64]:
    """Return weights or delays of the synapses at a place, in the coherent system."""
    shape, connector = place.pre.shape, projection.connector
    if isinstance(values, Distribution):
        first, second = place.post_cells, place.pre_cells
        if projection.mutual:  # both directions draw one number
            first, second = np.maximum(first, second), np.minimum(first, second)
        numbers = values.draw((first, second), stream).value
        if getattr(connector, "multapses", False):
            again = repeats(place.pre, place.post)
            for k in range(1, again.max(initial=0) + 1):  # a further synapse of a pair
                other, one = reseeded(values, "synapse", str(k)), again == k
                numbers[one] = other.draw((first[one], second[one]), stream).value
        return numbers
    if isinstance(values, OfPair):
        sizes = len(projection.pre), len(projection.post)
        apart = projection.sides.apart if values.needs_positions else None
        return values.at(place.pre, place.post, sizes, apart)
    if values is None and isinstance(connector, FromSparse):
        entries = connector.values
        if entries is not None and projection.weight_name is not None:
            entries = entries[connector.order(place.rows)].astype(np.float64)
            return entries * units.factor(projection.weight_unit)
    if values is None:
        return np.broadcast_to(np.ones(()), shape)
    if values.value.ndim == 2:
        return values.value[place.pre, place.post]
    if values.value.ndim == 1 and isinstance(connector, FromList):
        return values.value[connector.order(place.rows)]
    return np.broadcast_to(values.value, shape)
