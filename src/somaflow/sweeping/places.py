"""Places: what the names in a sweep stand for in a network, and the network with other values.

A name is the name of a part and of what it has: of a population its parameters, the initial values
of its states and its refractory period; of a spike source its rate or times; of a projection its
weight, its delay, what its synapse has, and what its connector has, such as `seed`; of a stimulus,
a voltage clamp or a Poisson input the fields of its waveform and what else it has.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, NamedTuple

import numpy as np
import pint

from somaflow import units
from somaflow.equations.equations import Equations
from somaflow.errors import RunError, UnknownNameError, nearest
from somaflow.given import shown
from somaflow.mechanisms.catalogue import Mechanism
from somaflow.network.network import Network, Part, exchanged
from somaflow.network.neuron import Neuron
from somaflow.network.poisson import PoissonInput
from somaflow.network.population import Population
from somaflow.network.projection import Projection
from somaflow.network.sources import SpikeSourceArray, SpikeSourcePoisson
from somaflow.network.stimuli import Stimulus, VoltageClamp, labels
from somaflow.network.synaptic import Synaptic
from somaflow.network.waveforms import Ramp, SaturatingPulse, Step, Waveform
from somaflow.sweeping.space import Key
from somaflow.units import Parameter

WEIGHT = "weight"
_COURSES = (Step, Ramp, SaturatingPulse, Waveform)
_MODELS = (Equations, Mechanism, Neuron)
_SHARED = ("duration", "dt", "solver", "dtype")
_NETWORK = -1  # in place of the number of a part
INITIAL = ("initial",)  # the path of a state, whose value is given to the run


class Place(NamedTuple):
    """Where a value belongs.

    Attributes:
        part: The number of a part of the network, or -1 for the network itself.
        path: From the part to what has the value, field by field.
        field: The field, the parameter or the state.
        unit: What a number without a unit is in; None where that is not known, or has none.
    """

    part: int
    path: tuple[str, ...]
    field: str
    unit: str | None


@dataclass(frozen=True)
class Places:
    """The places of a network, by the name of a part and of what it has.

    Attributes:
        network: The network.
        found: The places of each pair of names; where there are several, it is not clear which is
            meant.
    """

    network: Network
    found: Mapping[tuple[str, str], list[Place]]

    def find(self, key: Key, also: Iterable[str] = ()) -> Place:
        """Return what a name stands for.

        Args:
            key: Such as `"PN.g_na"` or `("LN_to_PN", "weight")`; a projection may be named by its
                populations too, `"LN->PN"`, where there is one alone.
            also: What else can vary, for messages.

        Raises:
            UnknownNameError: There is nothing of that name, or it is the same for all members.
            RunError: It may mean one of several.
        """
        known = {".".join(pair): pair for pair in self.found}
        name = key if isinstance(key, str) else ".".join(key)
        if name in _SHARED:
            raise UnknownNameError(
                f"{name} is an argument of sf.sweep, the same for all members, and is not varied; "
                "make a sweep of each."
            )
        pair = known.get(name) if isinstance(key, str) else key
        if pair is None or pair not in self.found:
            raise UnknownNameError(
                f"nothing in the network that can vary is called {shown(name)}."
                f"{_near(name, known, also)}"
            )
        places = self.found[pair]
        if len(places) > 1:
            parts = [self.network.parts[place.part] for place in places]
            kinds = [f"{type(part).__name__} {_name(part)!r}" for part in parts]
            owners = [
                ".".join((kind, *place.path)) for kind, place in zip(kinds, places, strict=True)
            ]
            raise RunError(
                f"{name!r} may mean one of {' and '.join(owners)}; give one of them "
                "another name, or a function that builds the network."
            )
        return places[0]


def _near(name: str, known: Iterable[str], also: Iterable[str]) -> str:
    """Return what may have been meant: of the part that was named, if there is one."""
    owner = max(
        (text for text in known if name.startswith(text.rpartition(".")[0] + ".")),
        key=lambda text: len(text.rpartition(".")[0]),
        default=None,
    )
    if owner is None:
        return nearest(name, [*also, *known])
    prefix = owner.rpartition(".")[0] + "."
    return nearest(name, [text for text in known if text.startswith(prefix)])


def _name(part: Part) -> str:
    return str(getattr(part, "name", None))


# ------------------------------------------------------------------- what there is


def places_of(network: Network) -> Places:
    """Return the places of a network."""
    found: dict[tuple[str, str], list[Place]] = {("network", "seed"): [_seed()]}
    clamps = Counter[str]()
    stimuli = iter(labels([part for part in network.parts if isinstance(part, Stimulus)]))
    pairs = Counter(_pair(part) for part in network.parts if isinstance(part, Projection))
    for number, part in enumerate(network.parts):
        names = [_name(part)]
        if isinstance(part, Stimulus):
            names = [next(stimuli)]
        elif isinstance(part, VoltageClamp):
            label = f"VoltageClamp on {part.cells.population.name}"
            clamps[label] += 1
            names = [label if clamps[label] == 1 else f"{label} ({clamps[label]})"]
        elif isinstance(part, Projection) and pairs[_pair(part)] == 1:
            names.append(_pair(part))
        for name in names:
            for place in _of_part(part, number):
                found.setdefault((name, place.field), []).append(place)
    return Places(network, found)


def _seed() -> Place:
    return Place(_NETWORK, (), "seed", None)


def _pair(projection: Projection) -> str:
    sides = projection.sides
    return "->".join("_".join(owner.name for owner in side.owners) for side in sides[:2])


def _of_part(part: Part, number: int) -> Iterator[Place]:
    """Iterate over the places of a part."""
    if isinstance(part, Population):
        yield from _of_population(part, number)
    elif isinstance(part, Stimulus):
        yield from _of_fields(part.waveform, number, ("waveform",))
    elif isinstance(part, VoltageClamp):
        own = {"voltage": "mV", "start": "ms", "stop": "ms"}
        yield from (Place(number, (), name, unit) for name, unit in own.items())
        for place in _of_fields(part.voltage, number, ("voltage",)):
            if place.field not in own:
                yield place
    else:
        yield from _of_synaptic(part, number)


def _of_population(population: Population, number: int) -> Iterator[Place]:
    model = population.model
    if isinstance(model, SpikeSourcePoisson):
        yield Place(number, ("model",), "rate", "Hz")
        if isinstance(model.rate, _COURSES):
            yield from _of_fields(model.rate, number, ("model", "rate"))
    elif isinstance(model, SpikeSourceArray):
        yield Place(number, ("model",), "times", "ms")
    else:
        equations = model if isinstance(model, Equations) else model.equations
        yield from (
            Place(number, ("model",), name, value.unit)
            for name, value in equations.parameters.items()
        )
        yield from (
            Place(number, INITIAL, name, variable.unit)
            for name, variable in population.equations.states.items()
        )
        if isinstance(population.refractory, Parameter):
            yield Place(number, (), "refractory", "ms")


def _of_synaptic(part: Projection | PoissonInput, number: int) -> Iterator[Place]:
    weight, written = part.weight_name, part.written
    units_of = {name: value.unit for name, value in written.parameters.items()}
    units_of |= {name: variable.unit for name, variable in written.states.items()}
    if weight is not None:
        yield Place(number, (), WEIGHT, units_of[weight])
        if part.weight is None:  # of a matrix, whose entries are the weights
            del units_of[weight]
    for name, unit in units_of.items():
        if name != WEIGHT:
            yield Place(number, ("synapse",), name, unit)
    if isinstance(part, Projection):
        yield Place(number, (), "delay", "ms")
        yield from _of_fields(part.connector, number, ("connector",))
    else:
        yield Place(number, (), "rate", "Hz")
        yield Place(number, (), "n", None)
        if isinstance(part.rate, _COURSES):
            yield from _of_fields(part.rate, number, ("rate",))


def _of_fields(thing: Any, number: int, path: tuple[str, ...]) -> Iterator[Place]:
    """Iterate over the values that a description has; in a waveform what has no unit is a time."""
    for item in fields(thing):
        value = getattr(thing, item.name)
        varies = value is None or isinstance(value, (int, float, str, Parameter))
        if not item.init or not varies or isinstance(value, bool):
            continue
        unit = value.unit if isinstance(value, Parameter) else None
        if path[-1] != "connector" and unit is None:
            unit = "mV" if item.name == "reversal" else "ms"
        yield Place(number, path, item.name, unit)


# --------------------------------------------------------------- with other values


def check_apart(places: Mapping[str, Place], network: Network) -> None:
    """Refuse two names of one thing.

    Args:
        places: What the names stand for.
        network: Where they are.

    Raises:
        RunError: Two of them are one place, or one sets a thing of which another sets a part.
    """
    seen: dict[tuple[object, ...], str] = {}
    for name, place in places.items():
        field, path = place.field, place.path
        part = None if place.part == _NETWORK else network.parts[place.part]
        if isinstance(part, Synaptic) and path == ("synapse",) and field == part.weight_name:
            path, field = (), WEIGHT  # which is its value, wherever it is written
        seen_as = place.part, (*path, field)
        if seen_as in seen:
            raise RunError(f"{seen[seen_as]!r} and {name!r} are one thing; vary it once.")
        seen[seen_as] = name
    for (part, path), name in seen.items():
        for (other, inner), within in seen.items():
            if part == other and len(inner) > len(path) and inner[: len(path)] == path:  # type: ignore
                raise RunError(f"{name!r} replaces what {within!r} is a part of; vary one of them.")


def changed(network: Network, values: Mapping[Place, object]) -> Network:
    """Return a network with other values at some places; not at those of initial values.

    Raises:
        SomaflowError: As where a part is made with such a value.
    """
    seed = network_seed(values)
    new = {number: other_part(network, number, values) for number in parts_in(values)}
    if not new and seed is None:
        return network
    return exchanged(network, new, seed)


def parts_in(places: Iterable[Place]) -> list[int]:
    """Return the numbers of the parts that are other ones with other values at some places."""
    own = (p.part for p in places if p.part != _NETWORK and p.path != INITIAL)
    return list(dict.fromkeys(own))


def other_part(network: Network, number: int, values: Mapping[Place, object]) -> Part:
    """Return a part with other values, which refers to the populations of the network as it is.

    Args:
        network: The network.
        number: The number of the part.
        values: Values at some places, those of other parts too.

    Raises:
        SomaflowError: As where a part is made with such a value.
    """
    own = {p: v for p, v in values.items() if p.part == number and p.path != INITIAL}
    new = {(*p.path, p.field): _measured(p, value) for p, value in own.items()}
    return _with(network.parts[number], new)


def network_seed(values: Mapping[Place, object]) -> Any:
    """Return the seed that a network has among some values; None where it is not among them."""
    return values.get(_seed())


def _measured(place: Place, value: object) -> object:
    """Return a number with the unit of what it is for; what has a unit or is none as it is."""
    bare = isinstance(value, (int, float, np.ndarray, list, tuple)) and not isinstance(value, bool)
    if place.unit is None or not bare or isinstance(value, pint.Quantity):
        return value
    return units.parameter(value, place.unit, place.field)


def _with(thing: Any, values: Mapping[tuple[str, ...], object]) -> Any:
    """Return a description with other values, by their paths in it."""
    own = {path[0]: value for path, value in values.items() if len(path) == 1}
    if isinstance(thing, _MODELS):
        return thing(**own)
    for name in dict.fromkeys(path[0] for path in values if len(path) > 1):
        inner = {path[1:]: value for path, value in values.items() if path[0] == name}
        own[name] = _with(getattr(thing, name), inner)
        if name == "synapse" and (thing.weight_name,) in inner and WEIGHT not in own:
            own[WEIGHT] = None  # so that it is the synapse's again
    return replace(thing, **own)
